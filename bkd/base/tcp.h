// Connecting to a host's port, with a deadline.
#ifndef BKD_BASE_TCP_H
#define BKD_BASE_TCP_H

#include "bkd/base/error.h"
#include "bkd/base/io.h"

// Tries the host's addresses one after the other, each for its share of the time. The socket is non-blocking, without Nagle's delay.
// ERROR_UNREACHABLE says what each kind of failure means: no such name, no answer, refused.
MUST_USE int tcp_connect(const struct io *io, const char *host, unsigned port, unsigned timeout_ms, int *ret_fd, struct error *err);

#endif
