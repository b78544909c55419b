// A struct io over the real one that counts calls and, at call N, fails, ends the process, or ends it as a power cut would.
//
// Usual order: fault_io_init; pass fault_io(f) to what is tested; fault_io_done. With FAULT_KILL and FAULT_POWER the code under test runs in
// a forked child, which ends with FAULT_EXIT when the fault came. Safe for several threads.
//
// Power cuts: below the watched directories a log is kept of what is not durable yet: bytes written to a file since its last fsync; and names
// made, exchanged or removed since the last fsync of their directory. A fsync of a directory covers the way to it. At call N the tree is rolled
// back to one of the states that a power cut may leave. What was there at the beginning counts as durable.
#ifndef BKD_TESTS_SUPPORT_FAULT_IO_H
#define BKD_TESTS_SUPPORT_FAULT_IO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bkd/base/io.h"

#define FAULT_EXIT 99

// Kinds of calls, to be counted or not.
enum {
    FAULT_OPEN = 1 << 0,   // openat without O_CREAT
    FAULT_READ = 1 << 1,   // read, pread, getdents64, readlinkat, lseek, statx, fstatvfs
    FAULT_CREATE = 1 << 2, // openat with O_CREAT, mkdirat, symlinkat, mknodat, linkat
    FAULT_WRITE = 1 << 3,  // write, pwrite, ftruncate
    FAULT_SYNC = 1 << 4,   // fsync, syncfs
    FAULT_CLOSE = 1 << 5,  // close of a descriptor open for writing
    FAULT_RENAME = 1 << 6, // renameat2
    FAULT_REMOVE = 1 << 7, // unlinkat
    FAULT_META = 1 << 8,   // fchownat, fchmod, utimensat, fsetxattr, fremovexattr, setflags
    FAULT_ALLOC = 1 << 9,  // alloc
    FAULT_READS = FAULT_OPEN | FAULT_READ,
    FAULT_CHANGES = FAULT_CREATE | FAULT_WRITE | FAULT_SYNC | FAULT_CLOSE | FAULT_RENAME | FAULT_REMOVE | FAULT_META,
    FAULT_SPACE = FAULT_CREATE | FAULT_WRITE, // what a full disk refuses
    FAULT_ALL = FAULT_READS | FAULT_CHANGES | FAULT_ALLOC,
};

enum fault_mode {
    FAULT_NONE,      // only count
    FAULT_ERROR,     // call N fails with os_errno
    FAULT_ERRORS,    // call N and all after it fail
    FAULT_KILL,      // call N is not made; a write is made by half
    FAULT_POWER,     // as FAULT_KILL, then what is not durable is lost as `power` says
    FAULT_INTERRUPT, // every call that may be interrupted is, once, before it is made; reads and writes are short
};

enum fault_power {
    FAULT_POWER_NONE, // nothing of what was not durable is there
    FAULT_POWER_DATA, // names as they were last, without the bytes that were not synced
    FAULT_POWER_TORN, // names as they were last; of the bytes the first half, then zeros
    FAULT_POWER_ZERO, // names as they were last; sizes too, but zeros where bytes were not synced
    FAULT_POWER_SOME, // of each watched directory's log of names some first part, of each file's bytes none, half or all: by seed
    FAULT_POWERS,
};

#define FAULT_ROOTS_MAX 4

struct fault_io_options {
    enum fault_mode mode;
    unsigned kinds;  // FAULT_*: which calls are counted and may fail
    long call;       // N, from 1
    int os_errno;
    enum fault_power power;
    uint64_t seed;                    // of FAULT_POWER_SOME
    const char *roots[FAULT_ROOTS_MAX]; // watched directories, absolute, real paths; FAULT_POWER only
    const char *aside; // FAULT_POWER: an existing directory on the same file system, where removed names are kept. Not watched
};

struct fault_io;

struct fault_io *fault_io_new(const struct fault_io_options *options);
void fault_io_free(struct fault_io *f);
const struct io *fault_io(const struct fault_io *f);
// Calls counted so far, and whether call N was reached.
long fault_io_calls(const struct fault_io *f);
bool fault_io_happened(const struct fault_io *f);
// What call N was: "write 'tmp/0123'".
const char *fault_io_call(const struct fault_io *f);

#endif
