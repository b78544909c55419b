#include "bkd/store/far_hasher.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"

#define READY "bkd-hashes"
#define GREETING_MS 20000u
#define ANSWER_MS 60000u
#define SLOW_DISK_BYTES_PER_MS 10000u // 10 MB/s
#define LINE_MAX_BYTES 4096u

struct far_hasher {
    const struct io *io;
    struct stream *stream; // owned
    struct buf in;         // read and not used yet
};

char *far_hasher_command(const char *root)
{
    struct buf out = { 0 };
    buf_add_str(&out, "cd '");
    for (const char *p = root; *p != '\0'; p++)
        if (*p == '\'')
            buf_add_str(&out, "'\\''");
        else
            buf_add_char(&out, *p);
    buf_add_str(&out, "' && echo " READY " && while IFS= read -r f; do [ -z \"$f\" ] || sha256sum <\"$f\" 2>/dev/null || echo failed; done");
    return buf_take_str(&out);
}

static int write_text(struct far_hasher *h, const char *text, struct error *err)
{
    for (size_t at = 0, total = strlen(text); at < total;) {
        struct pollfd p;
        size_t n = 0;
        int r = h->stream->ops->write(h->stream, text + at, total - at, &n, err);
        if (r < 0)
            return r;
        at += n;
        h->stream->ops->wants(h->stream, true, &p);
        if (n == 0 && poll(&p, 1, (int)GREETING_MS) <= 0)
            return error_set(err, ERROR_UNREACHABLE, "the shell on the server takes nothing");
    }
    return 0;
}

// The next line without its end. Caller frees.
static int read_line(struct far_hasher *h, uint64_t wait_ms, char **ret_line, struct error *err)
{
    uint64_t until_ns = io_monotonic_ns(h->io) + wait_ms * 1000000;
    const uint8_t *end;
    while ((end = h->in.len == 0 ? NULL : memchr(h->in.data, '\n', h->in.len)) == NULL) {
        uint8_t step[512];
        struct pollfd p;
        size_t n = 0;
        int r = h->stream->ops->read(h->stream, step, sizeof step, &n, err);
        if (r < 0)
            return r;
        buf_add(&h->in, step, n);
        if (h->in.len > LINE_MAX_BYTES || io_monotonic_ns(h->io) > until_ns)
            return error_set(err, ERROR_UNREACHABLE, "sha256sum on the server does not answer");
        h->stream->ops->wants(h->stream, false, &p);
        if (n == 0)
            (void)poll(&p, 1, 1000);
    }
    size_t n = (size_t)(end - h->in.data);
    *ret_line = xstrndup((const char *)h->in.data, n);
    memmove(h->in.data, h->in.data + n + 1, h->in.len - n - 1);
    h->in.len -= n + 1;
    return 0;
}

int far_hasher_new(const struct io *io, struct stream *stream_taken, struct far_hasher **ret_hasher, struct error *err)
{
    struct far_hasher *h = xcalloc(1, sizeof *h);
    struct error why = { 0 };
    _cleanup_free_ char *line = NULL;
    *h = (struct far_hasher){ .io = io, .stream = stream_taken };
    int r = write_text(h, "\n\n\n\n", &why); // nothing to a shell, and the end of an SFTP server that was put in its place
    if (r == 0)
        r = read_line(h, GREETING_MS, &line, &why);
    if (r == 0 && strcmp(line, READY) == 0) {
        *ret_hasher = h;
        return 0;
    }
    if (r == 0)
        (void)error_set(&why, ERROR_FAILED, "it answers '%.80s'", line);
    far_hasher_free(h);
    return error_set(err, ERROR_FAILED, "no sha256sum can be run on the server: %s", why.text);
}

void far_hasher_free(struct far_hasher *h)
{
    if (h == NULL)
        return;
    h->stream->ops->close(h->stream);
    buf_done(&h->in);
    free(h);
}

int far_hasher_hash(struct far_hasher *h, const char *name, uint64_t size, uint8_t ret_sha256[32], struct error *err)
{
    _cleanup_free_ char *request = xasprintf("%s\n", name), *line = NULL;
    if (strchr(name, '\n') != NULL)
        return error_set(err, ERROR_NOT_FOUND, "'%s' has a line break in its name", name);
    int r = write_text(h, request, err);
    if (r == 0)
        r = read_line(h, ANSWER_MS + size / SLOW_DISK_BYTES_PER_MS, &line, err);
    if (r < 0)
        return r;
    if (strcmp(line, "failed") == 0)
        return error_set(err, ERROR_NOT_FOUND, "'%s' cannot be read on the server", name);
    return strlen(line) >= 64 && parse_hex(line, 64, ret_sha256, 32) ? 0 : error_set(err, ERROR_FORMAT, "the server's sha256sum says '%.80s'", line);
}
