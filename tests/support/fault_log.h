// What is not durable yet below some directories, and losing it as a power cut would (see fault_io.h). Calls are serialised by the caller.
#ifndef BKD_TESTS_SUPPORT_FAULT_LOG_H
#define BKD_TESTS_SUPPORT_FAULT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/fault_io.h"

struct fault_log;

struct fault_log *fault_log_new(const char *const roots[FAULT_ROOTS_MAX], const char *aside);
void fault_log_free(struct fault_log *log);

// A name was made: a file, a directory, a link.
void fault_log_created(struct fault_log *log, int dirfd, const char *path);
// A file is about to be emptied by opening it, or to be written to.
void fault_log_before_truncate(struct fault_log *log, int dirfd, const char *path);
void fault_log_before_write(struct fault_log *log, int fd);
// A name is about to be removed or exchanged; fault_log_after says whether it was.
void fault_log_before_remove(struct fault_log *log, int dirfd, const char *path, int flags);
void fault_log_before_rename(struct fault_log *log, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path);
void fault_log_after(struct fault_log *log, bool done);
// fsync of a file or directory; all: syncfs.
void fault_log_synced(struct fault_log *log, int fd, bool all);

// Rolls back. The log is of no use afterwards.
void fault_log_lose(struct fault_log *log, enum fault_power power, uint64_t seed);

#endif
