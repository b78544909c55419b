#include "bkd/codec/keyfile.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/curve.h"

// Judges the open file, not its name: nobody can exchange it in between.
static int check_safe(const struct io *io, int fd, const char *path, struct error *err)
{
    struct statx st;
    if (io->statx(io, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_UID, &st) < 0)
        return error_set_errno(err, errno, "stat '%s'", path);
    if (S_ISDIR(st.stx_mode))
        return error_set(err, ERROR_KEY, "'%s' is a directory, not a key file", path);
    if (!S_ISREG(st.stx_mode))
        return 0;
    if (st.stx_uid != geteuid() && st.stx_uid != 0)
        return error_set(
            err, ERROR_KEY,
            "key file '%s' belongs to another user (uid %u): chown it, or copy it with: install -m 600 FILE OWN-COPY", path,
            st.stx_uid);
    if ((st.stx_mode & 077) != 0)
        return error_set(
            err, ERROR_KEY,
            "key file '%s' can be read by others (mode %04o): run chmod 600 on it, or, where the file system has no modes, "
            "copy it with: install -m 600 FILE OWN-COPY",
            path, st.stx_mode & 07777u);
    return 0;
}

int keyfile_find(const char *name, const char *dir, char **ret_path, struct error *err)
{
    if (strncmp(name, KEYFILE_CREDENTIAL, sizeof KEYFILE_CREDENTIAL - 1) != 0) {
        *ret_path = name[0] == '/' || dir == NULL ? xstrdup(name) : xasprintf("%s/%s", dir, name);
        return 0;
    }
    const char *credential = name + sizeof KEYFILE_CREDENTIAL - 1, *given = getenv("CREDENTIALS_DIRECTORY");
    if (credential[0] == '\0' || strchr(credential, '/') != NULL || strcmp(credential, "..") == 0)
        return error_set(err, ERROR_USAGE, "'%s' is no name of a systemd credential", credential);
    if (given == NULL || given[0] != '/')
        return error_set(err, ERROR_KEY, "it is the systemd credential '%s', and there are none here: the unit needs LoadCredential=%s:FILE", credential, credential);
    *ret_path = xasprintf("%s/%s", given, credential);
    return 0;
}

int keyfile_read(const struct io *io, int dirfd, const char *path, struct buf *ret_secret, struct error *err)
{
    int fd = -1;
    int r = io_open(io, dirfd, path, O_RDONLY | O_NOCTTY, 0, &fd, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no key file '%s'", path);
    if (r < 0)
        return r;
    r = check_safe(io, fd, path, err);
    if (r == 0) {
        // All at once, so that growing leaves no copies of the secret behind.
        buf_reserve(ret_secret, KEYFILE_MAX + 1);
        size_t got = 0;
        r = io_read_full(io, fd, ret_secret->data + ret_secret->len, KEYFILE_MAX + 1, path, &got, err);
        if (r == 0 && got > KEYFILE_MAX)
            r = error_set(err, ERROR_KEY, "'%s' is larger than a key file can be (%u bytes)", path, KEYFILE_MAX);
        if (r == 0)
            (void)buf_extend(ret_secret, got);
    }
    io_close_quietly(io, &fd);
    return r;
}

void keyfile_done(struct buf *secret)
{
    curve_wipe(secret->data, secret->cap);
    buf_done(secret);
}

int keyfile_wrong(int code, struct error *err)
{
    if (code == ERROR_FORMAT)
        err->code = ERROR_KEY;
    return code == ERROR_FORMAT ? ERROR_KEY : code;
}
