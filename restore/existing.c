#include "restore/existing.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"

enum { CHUNK = 1 << 20 };

static int compare_target(const struct io *io, int dirfd, const char *name, const struct manifest_entry *entry, bool *ret_other,
                          struct error *err)
{
    size_t room = entry->target.len + 1; // one byte more than the same target takes
    _cleanup_free_ char *target = xmalloc(room);
    ssize_t n = io->readlinkat(io, dirfd, name, target, room);
    if (n < 0)
        return error_set_errno(err, errno, "read link '%s'", name);
    *ret_other = (size_t)n != entry->target.len || memcmp(target, entry->target.data, (size_t)n) != 0;
    return 0;
}

static int see_entry(void *arg, const char *name, unsigned char type, struct error *err)
{
    (void)name, (void)type, (void)err;
    *(bool *)arg = true;
    return 1;
}

static int look_into(const struct io *io, int dirfd, const char *name, const struct target_id *id, bool *ret_filled, struct error *err)
{
    int fd = -1;
    bool filled = false;
    int r = existing_open(io, dirfd, name, id, &fd, err);
    if (r == 0)
        r = fs_list_dir(io, fd, ".", see_entry, &filled, err);
    io_close_quietly(io, &fd);
    if (r >= 0)
        *ret_filled = filled;
    return r < 0 ? r : 0;
}

static void take_stat(const struct statx *st, struct existing *e)
{
    e->id = (struct target_id){ makedev(st->stx_dev_major, st->stx_dev_minor), st->stx_ino };
    e->links = st->stx_nlink;
    e->there = (struct decide_there){
        .exists = true,
        .type = manifest_type_of(st->stx_mode),
        .mode = st->stx_mode & 07777,
        .uid = st->stx_uid,
        .gid = st->stx_gid,
        .size = st->stx_size,
        .mtime_s = st->stx_mtime.tv_sec,
        .mtime_ns = st->stx_mtime.tv_nsec,
        .device_major = st->stx_rdev_major,
        .device_minor = st->stx_rdev_minor,
    };
}

int existing_look(const struct io *io, int dirfd, const char *name, const struct manifest_entry *entry, struct existing *ret_existing,
                  struct error *err)
{
    struct statx st;
    *ret_existing = (struct existing){ 0 };
    if (io->statx(io, dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "look at '%s'", name);
    take_stat(&st, ret_existing);
    struct decide_there *there = &ret_existing->there;
    if (there->type == MANIFEST_LINK && entry->type == MANIFEST_LINK)
        return compare_target(io, dirfd, name, entry, &there->other_target, err);
    if (there->type == MANIFEST_DIR && entry->type != MANIFEST_DIR)
        return look_into(io, dirfd, name, &ret_existing->id, &there->filled, err);
    return 0;
}

int existing_open(const struct io *io, int dirfd, const char *name, const struct target_id *id, int *ret_fd, struct error *err)
{
    int fd = -1;
    struct target_id now;
    // O_NONBLOCK: should a FIFO stand there by now, nobody waits for its other end.
    int r = io_open(io, dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd, err);
    if (r == 0)
        r = target_id_of(io, fd, &now, err);
    if (r == 0 && !target_id_equal(&now, id))
        r = error_set(err, ERROR_FAILED, "it was replaced by somebody during the restore");
    if (r < 0)
        io_close_quietly(io, &fd);
    else
        *ret_fd = fd;
    return r;
}

static int hash_file(const struct io *io, int fd, const char *name, uint8_t ret_sha256[CRYPTO_SHA256_SIZE], struct error *err)
{
    _cleanup_free_ char *chunk = xmalloc(CHUNK);
    _cleanup_crypto_sha256_ struct crypto_sha256 hash;
    size_t n = 0;
    crypto_sha256_init(&hash);
    do {
        int r = io_read_full(io, fd, chunk, CHUNK, name, &n, err);
        if (r < 0)
            return r;
        crypto_sha256_update(&hash, chunk, n);
    } while (n == CHUNK);
    crypto_sha256_final(&hash, ret_sha256);
    return 0;
}

int existing_content_of(const struct io *io, int fd, const struct manifest_entry *entry, bool *ret_equal, struct error *err)
{
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    int r = hash_file(io, fd, buf_str(&entry->path), sha256, err);
    *ret_equal = r == 0 && entry->has_sha256 && memcmp(sha256, entry->sha256, sizeof sha256) == 0;
    return r;
}

int existing_content_equal(const struct io *io, int dirfd, const char *name, const struct target_id *id, const struct manifest_entry *entry,
                           bool *ret_equal, struct error *err)
{
    int fd = -1;
    *ret_equal = false;
    if (!entry->has_sha256)
        return 0;
    int r = existing_open(io, dirfd, name, id, &fd, err);
    if (r == 0)
        r = existing_content_of(io, fd, entry, ret_equal, err);
    io_close_quietly(io, &fd);
    return r;
}

// ---- extended attributes

// The kernel's list of names, NUL after each.
static void list_names(int fd, struct buf *ret_names)
{
    for (;;) {
        ssize_t n = flistxattr(fd, NULL, 0);
        buf_reset(ret_names);
        if (n <= 0)
            return;
        n = flistxattr(fd, (char *)buf_extend(ret_names, (size_t)n), (size_t)n);
        if (n >= 0) {
            ret_names->len = (size_t)n;
            return;
        }
        if (errno != ERANGE) { // one was added meanwhile: again
            buf_reset(ret_names);
            return;
        }
    }
}

static bool is_labelled(const char *name) { return strcmp(name, "security.selinux") == 0; }

static bool has_value(int fd, const struct buf *name, const struct buf *value)
{
    _cleanup_free_ char *now = xmalloc(value->len + 1);
    ssize_t n = fgetxattr(fd, (const char *)name->data, now, value->len + 1);
    return n >= 0 && (size_t)n == value->len && memcmp(now, value->data == NULL ? (const uint8_t *)"" : value->data, value->len) == 0;
}

bool existing_xattrs_equal(int fd, const char *text, size_t n, bool untrusted)
{
    _cleanup_buf_ struct buf names = { 0 };
    _cleanup_buf_ struct buf name = { 0 };
    _cleanup_buf_ struct buf value = { 0 };
    size_t at = 0, wanted = 0, there = 0;
    while (attrs_xattr_next(text, n, &at, &name, &value) > 0) {
        if (is_labelled(buf_str(&name)) || (untrusted && attrs_raises_rights(buf_str(&name))))
            continue;
        if (!has_value(fd, &name, &value))
            return false;
        wanted++;
    }
    list_names(fd, &names);
    for (size_t i = 0; i < names.len; i += strlen((const char *)names.data + i) + 1)
        there += !is_labelled((const char *)names.data + i);
    return there == wanted;
}

static bool is_wanted(const char *looked_for, const char *text, size_t n)
{
    _cleanup_buf_ struct buf name = { 0 };
    _cleanup_buf_ struct buf value = { 0 };
    size_t at = 0;
    while (attrs_xattr_next(text, n, &at, &name, &value) > 0)
        if (strcmp(buf_str(&name), looked_for) == 0)
            return true;
    return false;
}

void existing_remove_xattrs(const struct io *io, int fd, const char *text, size_t n, bool untrusted)
{
    _cleanup_buf_ struct buf names = { 0 };
    list_names(fd, &names);
    for (size_t i = 0; i < names.len; i += strlen((const char *)names.data + i) + 1) {
        const char *name = (const char *)names.data + i;
        if (!is_labelled(name) && !(is_wanted(name, text, n) && !(untrusted && attrs_raises_rights(name))))
            (void)io->fremovexattr(io, fd, name); // what stays shows when attributes are compared
    }
}
