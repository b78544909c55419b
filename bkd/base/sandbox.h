// Confinement of a process that handles bytes from outside, so that a fault in a decoder is worth nothing to whoever wrote the bytes:
// no files, no network, no programs, no other processes, bounded memory, no core.
//
// Layers, each of which would do alone: closed descriptors, resource limits, no_new_privs, Landlock (no path can be opened), seccomp (an
// allow-list of system calls; everything else is EPERM, and what only an attack would ask for kills the process). Where the kernel or a
// container forbids Landlock or seccomp the rest still holds, and sandbox_state says what is missing.
//
// Usual order, in a process just forked: sandbox_keep_only → sandbox_limit → sandbox_filter.
#ifndef BKD_BASE_SANDBOX_H
#define BKD_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

// What is in force.
struct sandbox_state {
    int landlock;       // version of the kernel's Landlock; 0 = it has none
    bool filtered;      // seccomp
    int filter_errno;   // why not, 0 when filtered
};

enum sandbox_role {
    SANDBOX_WORKS, // memory, its open descriptors and nothing else
    SANDBOX_FORKS, // also: forks workers that confine themselves further, and ends them
};

// Makes descriptor `fd` the number SANDBOX_FD and closes all others, the standard ones too (builds with a sanitizer keep standard error for
// its reports). Signals from the terminal are ignored from now on: whoever started this process decides when it ends. A fault ends it.
#define SANDBOX_FD 3
void sandbox_keep_only(int fd);

// no_new_privs, not dumpable, limits (files 0 bytes, no core, memory_bytes more than now), Landlock. Cannot be undone.
void sandbox_limit(size_t memory_bytes, struct sandbox_state *ret_state);
// No descriptor can be opened any more, whatever the kernel supports.
void sandbox_no_more_files(void);
// The filter; narrower ones may follow wider ones.
void sandbox_filter(enum sandbox_role role, struct sandbox_state *state);

// For a program that serves one directory to others, after it has opened all else that it needs; neither can be undone. No path outside of the directory can be
// opened any more, and in it only files and directories be made, written, read and dropped. Returns Landlock's version; 0 = the kernel has none.
int sandbox_only_below(int dirfd);
// It starts no programs and processes, makes no links and devices, cuts no file, changes no name space, takes no connections. False: forbidden here.
bool sandbox_no_programs(void);

// For the programs themselves: no core dump and no debugger of the same user gets at keys in memory.
void sandbox_no_core(void);

#endif
