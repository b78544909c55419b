// Whatever a client sends: the server of `bkd serve` stays whole, its answers are SFTP, and the file that was there before is as it was.
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/codec/sftp.h"
#include "bkd/store/sftp_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct grow_dir dir; // made once, emptied of what came to be for each input
static char path[] = "/tmp/bkd-fuzz-serve-XXXXXX";

static void remove_all(void)
{
    struct error err;
    grow_dir_close(&dir);
    (void)!fs_remove_tree(io_real(), AT_FDCWD, path, &err);
}

static void put_old_file(void)
{
    int fd = openat(dir.fd, "old", O_CREAT | O_WRONLY | O_TRUNC, 0600);
    bool good = fd >= 0 && write(fd, "untouched", 9) == 9;
    assert(good);
    close(fd);
}

static void make_dir(void)
{
    bool good = mkdtemp(path) != NULL && grow_dir_open(&dir, io_real(), path) == 0;
    assert(good);
    put_old_file();
    (void)atexit(remove_all);
}

static void check_old_file(void)
{
    char text[16];
    int fd = openat(dir.fd, "old", O_RDONLY);
    assert(fd >= 0 && read(fd, text, sizeof text) == 9 && memcmp(text, "untouched", 9) == 0);
    close(fd);
}

static void check_answers(const struct buf *out)
{
    for (size_t at = 0, length; at < out->len; at += length) {
        struct sftp_message m;
        struct error err;
        int r = sftp_take_message(out->data + at, out->len - at, &m, &length, &err);
        assert(r == 0 && length > 0);
        assert(m.type == SFTP_VERSION_REPLY || (m.type >= SFTP_STATUS && m.type <= SFTP_ATTRS) || m.type == SFTP_EXTENDED_REPLY);
    }
}

static void refused(void *arg, const char *request, const char *what)
{
    (void)arg;
    assert(request != NULL && what != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t init[] = { 0, 0, 0, 5, SFTP_INIT, 0, 0, 0, 3 };
    _cleanup_buf_ struct buf out = { 0 };
    struct error err;
    bool more = false;
    if (dir.path == NULL)
        make_dir();
    struct sftp_server *server = sftp_server_new(io_real(), &dir, refused, NULL);
    int r = sftp_server_feed(server, init, sizeof init, &out, &more, &err);
    assert(r == 0);
    for (r = sftp_server_feed(server, data, size, &out, &more, &err); r == 0 && more; r = sftp_server_feed(server, NULL, 0, &out, &more, &err)) {
        assert(out.len < 2 << 20);
        check_answers(&out);
        buf_reset(&out);
    }
    assert(r == 0 || r == ERROR_FORMAT);
    check_answers(&out);
    sftp_server_free(server);
    check_old_file();
    return 0;
}
