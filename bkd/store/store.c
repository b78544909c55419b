#include "bkd/store/store.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/ssh_url.h"
#include "bkd/store/store_ssh.h"

static bool has_scheme(const char *url)
{
    const char *colon = strstr(url, "://");
    if (colon == NULL || colon == url)
        return false;
    // "./a://b" is a path: a scheme has letters and digits only.
    for (const char *p = url; p < colon; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '+' || *p == '-' ||
              *p == '.'))
            return false;
    return true;
}

int store_open(const struct io *io, const char *url, const struct store_access *access, bool create, struct store **ret_store, struct error *err)
{
    if (url[0] == '\0')
        return error_set(err, ERROR_USAGE, "the repository's location is empty: give a directory");
    if (!has_scheme(url))
        return store_dir_open(io, url, create, ret_store, err);
    if (ssh_url_is(url))
        return store_ssh_open(io, url, access, create, ret_store, err);
    static const char file[] = "file://";
    if (strncmp(url, file, sizeof file - 1) != 0)
        return error_set(err, ERROR_USAGE,
                         "repository '%s': unknown kind of location; known are a directory, file:///DIRECTORY and sftp://USER@HOST:PORT/PATH", url);
    const char *path = url + sizeof file - 1;
    if (path[0] != '/')
        return error_set(err, ERROR_USAGE, "repository '%s': a file URL has three slashes before its path (file:///srv/backup)",
                         url);
    return store_dir_open(io, path, create, ret_store, err);
}

static bool name_is_sound(const char *name)
{
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        if (*p == '\0')
            return true;
    }
}

int store_check_name(const struct store *s, const char *name, struct error *err)
{
    return name_is_sound(name) ? 0 : error_set(err, ERROR_FAILED, "'%s' is no name for a file in %s", name, s->url);
}

int store_hash(struct store *s, const char *name, uint64_t size, uint8_t ret_sha256[32], bool *ret_offered, struct error *err)
{
    *ret_offered = false;
    return s->ops->hash == NULL ? 0 : s->ops->hash(s, name, size, ret_sha256, ret_offered, err);
}

int store_space(struct store *s, uint64_t *ret_free, uint64_t *ret_total, struct error *err)
{
    if (s->ops->space == NULL)
        return error_set(err, ERROR_FAILED, "'%s' does not tell how much room it has", s->url);
    return s->ops->space(s, ret_free, ret_total, err);
}

void store_forget(struct store *s, const char *name)
{
    if (s->ops->forget != NULL)
        s->ops->forget(s, name);
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    char *url = s->url;
    s->ops->close(s);
    free(url);
}

int store_put_many(struct store *s, struct store_put *files, size_t n, struct error *err)
{
    if (s->ops->put_many != NULL)
        return n == 0 ? 0 : s->ops->put_many(s, files, n, err);
    for (size_t i = 0; i < n; i++) {
        files[i].result = s->ops->put(s, files[i].name, files[i].data, files[i].n, err);
        if (files[i].result != 0 && files[i].result != ERROR_EXISTS)
            return files[i].result;
    }
    return 0;
}

// One of many, where the store has no way to ask for all at once.
static int get_one_of_many(struct store *s, const struct store_many *many, size_t i, struct error *err)
{
    _cleanup_buf_ struct buf data = { 0 };
    struct error why;
    struct store_found found = { .why = &why };
    if (many->max == 0)
        found.result = s->ops->size(s, many->names[i], &found.size, &why);
    else
        found.result = store_get_all(s, many->names[i], many->max, &data, &why);
    if (found.result == ERROR_UNREACHABLE) {
        *err = why;
        return found.result;
    }
    if (many->max > 0) {
        found.size = data.len;
        found.data = data.data;
    }
    return many->visit(many->arg, i, &found, err);
}

int store_get_many(struct store *s, const struct store_many *many, struct error *err)
{
    int r = 0;
    if (s->ops->get_many != NULL)
        return many->n == 0 ? 0 : s->ops->get_many(s, many, err);
    for (size_t i = 0; r == 0 && i < many->n; i++)
        r = get_one_of_many(s, many, i, err);
    return r;
}

// ---- a whole file

static int keep_whole(void *arg, size_t index, const struct store_found *found, struct error *err)
{
    struct buf *data = arg;
    (void)index;
    if (found->result == 0)
        buf_add(data, found->data, (size_t)found->size);
    else
        *err = *found->why;
    return found->result;
}

static int get_in_steps(struct store *s, const char *name, size_t max, struct buf *ret_data, struct error *err)
{
    uint64_t size;
    int r = s->ops->size(s, name, &size, err);
    if (r < 0)
        return r;
    if (size > max)
        return error_set(err, ERROR_FORMAT, "'%s' in %s has %llu bytes, more than the %zu it may have", name, s->url,
                         (unsigned long long)size, max);
    size_t before = ret_data->len;
    uint8_t *place = buf_extend(ret_data, (size_t)size);
    r = s->ops->get(s, name, 0, place, (size_t)size, err);
    if (r < 0) {
        ret_data->len = before;
        ret_data->data[before] = '\0';
    }
    return r;
}

int store_get_all(struct store *s, const char *name, size_t max, struct buf *ret_data, struct error *err)
{
    struct store_many one = { .names = &name, .n = 1, .max = max, .visit = keep_whole, .arg = ret_data };
    return s->ops->get_many != NULL ? s->ops->get_many(s, &one, err) : get_in_steps(s, name, max, ret_data, err);
}
