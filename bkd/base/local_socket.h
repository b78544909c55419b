// Sockets between processes of one host, by a name in a directory (unix(7), stream). The name may be longer than the 107 bytes an address holds.
#ifndef BKD_BASE_LOCAL_SOCKET_H
#define BKD_BASE_LOCAL_SOCKET_H

#include <sys/types.h>

#include "bkd/base/error.h"

// A listening socket, not blocking, at DIR/NAME with mode 0600; one that an earlier process left is replaced, so hold a lock.
MUST_USE int local_socket_listen(const char *dir, const char *name, int *ret_fd, struct error *err);
// ERROR_NOT_FOUND when nobody listens there. The descriptor blocks; no answer for `timeout_ms` is an error of read(2) and write(2).
MUST_USE int local_socket_connect(const char *dir, const char *name, unsigned timeout_ms, int *ret_fd, struct error *err);
// Who is at the other end, by what the kernel noted when they connected.
MUST_USE int local_socket_peer(int fd, uid_t *ret_uid, pid_t *ret_pid, struct error *err);

#endif
