#include "bkd/repo/store.h"

#include <stdlib.h>
#include <string.h>

int store_open(const struct io *io, const char *url, bool create, struct store **ret_store, struct error *err)
{
    if (strncmp(url, "file://", 7) == 0)
        return store_dir_open(io, url + 7, create, ret_store, err);
    const char *scheme = strstr(url, "://");
    if (scheme != NULL && strcspn(url, "/") > (size_t)(scheme - url))
        return error_set(err, ERROR_USAGE, "repository '%s': '%.*s' is not a kind of store bkd knows; give a directory, or file:///DIRECTORY", url,
                         (int)(scheme - url), url);
    return store_dir_open(io, url, create, ret_store, err);
}

void store_close(struct store *s)
{
    if (s != NULL)
        s->ops->close(s);
}

int store_get_all(struct store *s, const char *name, size_t max, struct buf *ret_data, struct error *err)
{
    uint64_t size = 0;
    int r = s->ops->size(s, name, &size, err);
    if (r < 0)
        return r;
    if (size > max)
        return error_set(err, ERROR_FORMAT, "'%s' in %s has %llu bytes, more than the %zu it may have", name, s->url, (unsigned long long)size, max);
    size_t before = ret_data->len;
    r = s->ops->get(s, name, 0, buf_extend(ret_data, (size_t)size), (size_t)size, err);
    if (r < 0)
        ret_data->len = before;
    return r;
}
