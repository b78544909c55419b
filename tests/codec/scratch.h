// What the codec tests share: a directory that goes away, files, running a real tool, repeatable random bytes.
#ifndef BKD_TESTS_CODEC_SCRATCH_H
#define BKD_TESTS_CODEC_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

struct scratch {
    char dir[64];
};

static inline void scratch_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void scratch_run(const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    int rc = system(command);
    if (rc != 0)
        fail_msg("'%s' ended with %d", command, rc);
}

static inline struct scratch scratch_new(void)
{
    struct scratch s = { "/tmp/bkd-test-XXXXXX" };
    assert_non_null(mkdtemp(s.dir));
    return s;
}

static inline void scratch_done(struct scratch *s) { scratch_run("rm -rf '%s'", s->dir); }
#define _cleanup_scratch_ __attribute__((cleanup(scratch_done)))

static inline void scratch_write(const struct scratch *s, const char *name, const void *data, size_t n)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static inline void scratch_read(const struct scratch *s, const char *name, struct buf *ret_data)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t chunk[65536];
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
        buf_add(ret_data, chunk, n);
    assert_int_equal(fclose(file), 0);
}

// xorshift64*: the same bytes on every run.
static inline uint64_t scratch_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static inline void scratch_fill(uint64_t *state, uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t r = scratch_random(state);
        memcpy(data + i, &r, n - i < 8 ? n - i : 8);
    }
}

// Shows the error's text when a call that must succeed fails.
static inline void scratch_ok(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%d: %s", rc, err->text);
}

#endif
