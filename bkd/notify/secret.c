#include "bkd/notify/secret.h"

#include <stdlib.h>
#include <string.h>

int secret_read(const struct io *io, const char *config_dir, const char *name, struct buf *ret_secret, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_free_ char *dir = xasprintf("%s/keys", config_dir);
    int r = keyfile_find(name, dir, &path, err);
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
