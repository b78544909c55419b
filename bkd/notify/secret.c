#include "bkd/notify/secret.h"

#include <stdlib.h>
#include <string.h>

static int find_file(const char *config_dir, const char *name, char **ret_path, struct error *err)
{
    static const char prefix[] = "credential:";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) {
        *ret_path = name[0] == '/' ? xstrdup(name) : xasprintf("%s/keys/%s", config_dir, name);
        return 0;
    }
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    name += sizeof prefix - 1;
    if (name[0] == '\0' || strchr(name, '/') != NULL)
        return error_set(err, ERROR_USAGE, "'%s' is no name of a systemd credential", name);
    if (dir == NULL || dir[0] != '/')
        return error_set(err, ERROR_KEY, "it is the systemd credential '%s', and there are none here: the unit needs LoadCredential=%s:FILE", name, name);
    *ret_path = xasprintf("%s/%s", dir, name);
    return 0;
}

int secret_read(const struct io *io, const char *config_dir, const char *name, struct buf *ret_secret, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    int r = find_file(config_dir, name, &path, err);
    return r < 0 ? r : keyfile_read(io, AT_FDCWD, path, ret_secret, err);
}

int secret_read_line(const struct io *io, const char *config_dir, const char *name, struct buf *ret_secret, struct error *err)
{
    int r = secret_read(io, config_dir, name, ret_secret, err);
    if (r < 0)
        return r;
    size_t n = strcspn(buf_str(ret_secret), "\r\n");
    if (n == 0)
        return error_set(err, ERROR_KEY, "the first line of '%s' is empty", name);
    memset(ret_secret->data + n, 0, ret_secret->len - n);
    ret_secret->len = n;
    return 0;
}
