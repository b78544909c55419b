#include "bkd/store/sftp_server_extend.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bkd/base/crypto.h"

enum { HASH_STEP = 1 << 20 };

static void do_fsync(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    struct sftp_server_handle *h = sftp_server_answer_handle_of(s, body, HANDLE_WRITE);
    sftp_server_answer_result(out, id, h == NULL ? -EBADF : s->io->fsync(s->io, h->fd) < 0 ? -errno : 0);
}

static void do_statvfs(struct sftp_server *s, uint32_t id, struct buf *out)
{
    struct statvfs st;
    if (s->io->fstatvfs(s->io, s->dir->fd, &st) < 0) {
        sftp_server_answer_result(out, id, -errno);
        return;
    }
    const uint64_t fields[] = { st.f_bsize, st.f_frsize, st.f_blocks, st.f_bfree, st.f_bavail, st.f_files, st.f_ffree, st.f_favail, 0, 0, st.f_namemax };
    size_t start = sftp_begin(out, SFTP_EXTENDED_REPLY, id);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        sftp_put_u64(out, fields[i]);
    sftp_end(out, start);
}

static int hash_file(struct sftp_server *s, int fd, uint8_t ret_digest[CRYPTO_SHA256_SIZE])
{
    _cleanup_crypto_sha256_ struct crypto_sha256 hash = { 0 };
    _cleanup_free_ char *step = xmalloc_at_page(HASH_STEP);
    ssize_t n;
    crypto_sha256_init(&hash);
    for (off_t at = 0; (n = s->io->pread(s->io, fd, step, HASH_STEP, at)) > 0; at += n)
        crypto_sha256_update(&hash, step, (size_t)n);
    crypto_sha256_final(&hash, ret_digest);
    return n < 0 ? -errno : 0;
}

// Name, list of algorithms, start, length, block size: whole files in one block are what there is.
static void do_check_file(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *path = sftp_server_answer_path(body), *algorithms = sftp_server_answer_path(body);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    uint64_t start_offset, length;
    uint32_t block;
    int fd = -1;
    bool good = path != NULL && algorithms != NULL && strstr(algorithms, "sha256") != NULL && sftp_get_u64(body, &start_offset) && sftp_get_u64(body, &length) &&
                sftp_get_u32(body, &block) && start_offset == 0 && length == 0 && block == 0;
    if (!good) {
        sftp_server_answer_status(out, id, SFTP_OP_UNSUPPORTED, "sha256 of whole files only");
        return;
    }
    int r = grow_dir_read(s->dir, path, &fd);
    if (r == 0) {
        r = hash_file(s, fd, digest);
        (void)close(fd);
    }
    if (r == -EPERM) {
        sftp_server_answer_refused(s, out, id, "hash", path);
        return;
    }
    if (r < 0) {
        sftp_server_answer_result(out, id, r);
        return;
    }
    size_t start = sftp_begin(out, SFTP_EXTENDED_REPLY, id);
    sftp_put_text(out, "check-file");
    sftp_put_text(out, "sha256");
    buf_add(out, digest, sizeof digest);
    sftp_end(out, start);
}

void sftp_server_extend(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out)
{
    _cleanup_free_ char *name = sftp_server_answer_path(body);
    if (name != NULL && strcmp(name, "fsync@openssh.com") == 0) {
        do_fsync(s, body, id, out);
    } else if (name != NULL && strcmp(name, "statvfs@openssh.com") == 0) {
        do_statvfs(s, id, out);
    } else if (name != NULL && strcmp(name, "check-file-name") == 0) {
        do_check_file(s, body, id, out);
    } else {
        s->refused(s->arg, "extension", name == NULL ? "" : name);
        sftp_server_answer_status(out, id, SFTP_OP_UNSUPPORTED, "not offered here");
    }
}
