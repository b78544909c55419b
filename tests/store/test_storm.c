// Row S-21: the server of `bkd serve` in a storm of requests: every type, known and unknown, paths of all kinds, flags, handles that are open, closed or never
// were, lengths that lie, bytes that were changed, bodies that are cut. Whatever comes: what was there is as it was, what was published stays as it was
// published, nothing outside is touched, and each answer is SFTP. BKD_TEST_SECONDS=N storms longer, BKD_SEED=N differently.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/base/fs.h"
#include "bkd/codec/sftp.h"
#include "bkd/store/sftp_server.h"

enum { SECONDS = 2, REQUESTS = 200 }; // of one session

#define LENGTH(a) (sizeof(a) / sizeof *(a))

struct storm {
    char top[32];       // holds the directory that is served, and a file beside it
    struct grow_dir dir;
    uint64_t random, requests, refused, sessions, published;
};

static uint32_t draw(struct storm *s, uint32_t below)
{
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((s->random >> 33) % below);
}

// ---- the place

static void write_file(int dirfd, const char *name, const char *text)
{
    int fd = openat(dirfd, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void assert_file(int dirfd, const char *name, const char *text)
{
    char there[64] = "";
    struct stat st;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, there, sizeof there - 1), strlen(text));
    assert_string_equal(there, text);
    assert_true(fstat(fd, &st) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0600);
    close(fd);
}

static int setup(void **state)
{
    struct storm *s = xcalloc(1, sizeof *s);
    strcpy(s->top, "/tmp/bkd-storm-XXXXXX");
    assert_non_null(mkdtemp(s->top));
    const char *seed = getenv("BKD_SEED");
    s->random = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    _cleanup_free_ char *path = xasprintf("%s/served", s->top);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(grow_dir_open(&s->dir, io_real(), path), 0);
    write_file(s->dir.fd, "old", "as it was");
    write_file(s->dir.fd, "../beside", "not theirs");
    assert_int_equal(mkdirat(s->dir.fd, "d", 0700), 0);
    assert_int_equal(symlinkat("../beside", s->dir.fd, "link"), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct storm *s = *state;
    struct error err;
    grow_dir_close(&s->dir);
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, s->top, &err), 0);
    free(s);
    return 0;
}

static void check_place(struct storm *s)
{
    char target[32] = "";
    assert_file(s->dir.fd, "old", "as it was");
    assert_file(s->dir.fd, "../beside", "not theirs");
    assert_int_equal(readlinkat(s->dir.fd, "link", target, sizeof target - 1), 9);
    assert_string_equal(target, "../beside");
}

// ---- requests

static const char *draw_path(struct storm *s)
{
    static const char *const paths[] = {
        "old", "/old", "link", "beside", "../beside", "/../beside", "d", "d/", "d/..", "d/../../beside", ".", "/", "", "x.part-1", "d/x.part-2", "d/x", "x", "y.part-", ".part-",
        "old.part-3", "link/x.part-1", "d/e/f.part-1", "/etc/passwd", "//old", "./old", "d//x", "a\nb.part-1", "\xff.part-1", "tmp/x", "new/deep/er",
    };
    return paths[draw(s, LENGTH(paths))];
}

static void put_path(struct storm *s, struct buf *out)
{
    char text[64];
    const char *path = draw_path(s);
    if (draw(s, 4) == 0)
        (void)snprintf(text, sizeof text, "n%u.part-%u", draw(s, 50), draw(s, 3));
    else if (draw(s, 4) == 0)
        (void)snprintf(text, sizeof text, "n%u", draw(s, 50));
    else
        (void)snprintf(text, sizeof text, "%s", path);
    sftp_put_string(out, text, draw(s, 40) == 0 ? draw(s, (uint32_t)strlen(text) + 1) : strlen(text));
}

static void put_handle(struct storm *s, struct buf *out)
{
    uint8_t noise[8];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)draw(s, 256);
    uint8_t likely[4] = { 0, 0, 0, (uint8_t)draw(s, 8) };
    if (draw(s, 8) != 0)
        sftp_put_string(out, likely, sizeof likely);
    else
        sftp_put_string(out, noise, draw(s, sizeof noise + 1));
}

static void put_extension(struct storm *s, struct buf *out)
{
    static const char *const names[] = { "posix-rename@openssh.com", "hardlink@openssh.com", "fsync@openssh.com", "statvfs@openssh.com", "fstatvfs@openssh.com",
                                         "lsetstat@openssh.com", "limits@openssh.com", "expand-path@openssh.com", "copy-data", "check-file-name", "check-file", "" };
    sftp_put_text(out, names[draw(s, LENGTH(names))]);
    if (draw(s, 2) == 0) {
        put_path(s, out);
        put_path(s, out);
    } else {
        put_handle(s, out);
    }
}

static struct sftp_attrs draw_attrs(struct storm *s)
{
    return (struct sftp_attrs){ .flags = draw(s, 16), .size = draw(s, 3) == 0 ? UINT64_MAX : draw(s, 100), .permissions = draw(s, 010000) };
}

static void put_body(struct storm *s, uint8_t type, struct buf *out)
{
    struct sftp_attrs attrs = draw_attrs(s);
    switch (type) {
    case SFTP_OPEN:
        put_path(s, out);
        sftp_put_u32(out, draw(s, 4) != 0 ? SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL : draw(s, 64));
        sftp_put_attrs(out, &attrs);
        break;
    case SFTP_READ:
    case SFTP_WRITE:
        put_handle(s, out);
        sftp_put_u64(out, draw(s, 10) == 0 ? UINT64_MAX - draw(s, 3) : draw(s, 1000));
        if (type == SFTP_READ)
            sftp_put_u32(out, draw(s, 10) == 0 ? UINT32_MAX : draw(s, 1000));
        else
            sftp_put_string(out, "0123456789abcdef", draw(s, 17));
        break;
    case SFTP_RENAME:
        put_path(s, out);
        put_path(s, out);
        break;
    case SFTP_EXTENDED: put_extension(s, out); break;
    default:
        if (draw(s, 2) == 0)
            put_path(s, out);
        else
            put_handle(s, out);
        sftp_put_attrs(out, &attrs);
        break;
    }
}

static void put_named(struct storm *s, enum sftp_type type, const char *path, const char *other, struct buf *out)
{
    size_t begun = sftp_begin(out, type, (uint32_t)s->requests++);
    sftp_put_text(out, path);
    if (type == SFTP_RENAME) {
        sftp_put_text(out, other);
    } else {
        sftp_put_u32(out, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL);
        sftp_put_attrs(out, &(struct sftp_attrs){ 0 });
    }
    sftp_end(out, begun);
}

// A file as a good client puts it, whatever handles are open: so that there is something to attack.
static void put_good_file(struct storm *s, struct buf *out)
{
    char part[32], name[16];
    (void)snprintf(name, sizeof name, "n%u", draw(s, 10));
    (void)snprintf(part, sizeof part, "%s.part-9", name);
    put_named(s, SFTP_OPEN, part, NULL, out);
    for (uint8_t i = 0; i < 64; i++) {
        uint8_t handle[4] = { 0, 0, 0, i };
        size_t begun = sftp_begin(out, i % 2 == 0 ? SFTP_WRITE : SFTP_CLOSE, (uint32_t)s->requests++);
        handle[3] = i / 2;
        sftp_put_string(out, handle, sizeof handle);
        if (i % 2 == 0) {
            sftp_put_u64(out, 0);
            sftp_put_string(out, "published", 9);
        }
        sftp_end(out, begun);
    }
    put_named(s, SFTP_RENAME, part, name, out);
}

// Mostly whole; sometimes a byte of it is another, its length lies, or it ends early.
static void put_request(struct storm *s, struct buf *out)
{
    static const uint8_t likely[] = { SFTP_OPEN, SFTP_CLOSE, SFTP_READ, SFTP_WRITE, SFTP_RENAME, SFTP_OPEN, SFTP_WRITE, SFTP_CLOSE, SFTP_EXTENDED };
    uint8_t type = draw(s, 3) != 0 ? likely[draw(s, sizeof likely)] : (uint8_t)draw(s, draw(s, 4) == 0 ? 256 : 21);
    size_t begun = sftp_begin(out, (enum sftp_type)type, (uint32_t)s->requests++);
    put_body(s, type, out);
    if (draw(s, 30) == 0)
        out->len -= draw(s, (uint32_t)(out->len - begun - 9) + 1);
    sftp_end(out, begun);
    if (draw(s, 60) == 0)
        out->data[begun + 4 + draw(s, (uint32_t)(out->len - begun - 4))] ^= (uint8_t)(1u << draw(s, 8));
    if (draw(s, 2000) == 0)
        out->data[begun + draw(s, 4)] ^= (uint8_t)draw(s, 256);
}

// ---- one session

static void check_answers(struct storm *s, const struct buf *out)
{
    for (size_t at = 0, length; at < out->len; at += length) {
        struct sftp_message m;
        struct error err;
        assert_int_equal(sftp_take_message(out->data + at, out->len - at, &m, &length, &err), 0);
        assert_true(length > 0);
        assert_true(m.type == SFTP_VERSION_REPLY || (m.type >= SFTP_STATUS && m.type <= SFTP_ATTRS) || m.type == SFTP_EXTENDED_REPLY);
        s->refused += m.type == SFTP_STATUS;
    }
}

static void refusal(void *arg, const char *request, const char *what) { (void)arg, (void)request, (void)what; }

static void run_session(struct storm *s)
{
    static const uint8_t init[] = { 0, 0, 0, 5, SFTP_INIT, 0, 0, 0, 3 };
    _cleanup_buf_ struct buf in = { 0 }, out = { 0 };
    struct error err;
    bool more = false;
    struct sftp_server *server = sftp_server_new(io_real(), &s->dir, refusal, NULL);
    buf_add(&in, init, sizeof init);
    for (unsigned i = 0; i < REQUESTS; i++)
        if (draw(s, REQUESTS) == 0)
            put_good_file(s, &in);
        else
            put_request(s, &in);
    int r = sftp_server_feed(server, in.data, in.len, &out, &more, &err);
    while (r == 0 && more) {
        check_answers(s, &out);
        buf_reset(&out);
        r = sftp_server_feed(server, NULL, 0, &out, &more, &err);
    }
    assert_true(r == 0 || r == ERROR_FORMAT);
    check_answers(s, &out);
    sftp_server_free(server);
    s->sessions++;
}

// What has a name without .part- was published: its bytes are remembered and never change. Now and then the place is emptied of it.
static void test_storm(void **state)
{
    struct storm *s = *state;
    const char *longer = getenv("BKD_TEST_SECONDS");
    uint64_t until = io_monotonic_ns(io_real()) + (longer == NULL ? SECONDS : strtoull(longer, NULL, 10)) * UINT64_C(1000000000);
    char before[64], after[64];
    while (io_monotonic_ns(io_real()) < until) {
        int fd = openat(s->dir.fd, "n7", O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, before, sizeof before);
        run_session(s);
        check_place(s);
        if (n >= 0) {
            assert_int_equal(pread(fd, after, sizeof after, 0), n);
            assert_memory_equal(before, after, (size_t)n);
            s->published++;
        }
        if (fd >= 0)
            close(fd);
        if (s->sessions % 100 == 0) {
            _cleanup_free_ char *command = xasprintf("cd %s/served && find . -mindepth 1 ! -name old ! -name d ! -name link -delete", s->top);
            assert_int_equal(system(command), 0);
        }
    }
    print_message("%llu requests in %llu sessions, %llu statuses; a published file looked at %llu times\n", (unsigned long long)s->requests, (unsigned long long)s->sessions,
                  (unsigned long long)s->refused, (unsigned long long)s->published);
    assert_true(s->requests > 1000);
    assert_true(s->published > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_storm, setup, teardown) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
