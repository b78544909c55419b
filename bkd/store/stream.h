// A byte stream to a program on another machine, without waiting: what an SFTP client talks through. Two kinds exist: a channel of an SSH
// connection (ssh.c), and a local process (for tests, the sftp-server program itself).
#ifndef BKD_STORE_STREAM_H
#define BKD_STORE_STREAM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"

struct stream;

struct stream_ops {
    // Move what can be moved at once; *ret_n 0 = nothing now. ERROR_UNREACHABLE: the other side is gone.
    int (*read)(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err);
    int (*write)(struct stream *s, const void *data, size_t n, size_t *ret_n, struct error *err);
    // What to wait for when nothing moves: descriptor and events of poll(2). `writing`: there is something to be written.
    void (*wants)(struct stream *s, bool writing, struct pollfd *ret_poll);
    void (*close)(struct stream *s); // frees it
};

struct stream {
    const struct stream_ops *ops;
};

// A stream through descriptors of our own: `in` is read from, `out` written to (they may be the same socket). Both are made non-blocking and belong to
// the stream. `pid` is waited for when the stream is closed (0 = nobody).
struct stream *stream_of_fds(int in, int out, int pid);

#endif
