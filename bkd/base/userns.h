// A user namespace in which this user may give files to others without being root: it has all rights there, over the numbers that /etc/subuid and /etc/subgid
// hand out to it. This user and its group keep their numbers; all others, as far as the ranges reach, stand for numbers that nobody else has.
// See user_namespaces(7), subuid(5), newuidmap(1).
//
// Usual order: userns_open; programs with proc_options.userns_fd, work of our own with userns_call; userns_close.
#ifndef BKD_BASE_USERNS_H
#define BKD_BASE_USERNS_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"

// A descriptor of a new namespace, which lives as long as it is open or anybody is in it. 0 where there can be none (no ranges, no newuidmap, kernel or
// container forbid it), or nothing to gain (root); why is said as debug.
int userns_open(const struct io *io);
// Closes it; 0 stays 0.
void userns_close(const struct io *io, int *fd);

// Brings this process, which has one thread, into it, with all rights; programs that it executes keep them. 0, or -1 with errno. Async-signal-safe.
int userns_enter(int fd);

// Work inside: what it returns, its error, and `result` come back.
typedef int userns_call_fn(void *arg, void *result, struct error *err);

// Runs `call` in a child of this process within the namespace; with fd 0 right here. `result`: size bytes, without pointers, or NULL. When stop says so,
// the child gets SIGTERM. The child goes when this process does.
MUST_USE int userns_call(int fd, userns_call_fn *call, void *arg, void *result, size_t size, bool (*stop)(void *arg), struct error *err);

#endif
