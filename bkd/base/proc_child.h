// The part of starting a program that happens on the other side of fork: between it and execve only async-signal-safe calls are allowed, since other
// threads may have held any lock. Everything is therefore looked up before. See bkd/base/proc.h for what the program finds.
#ifndef BKD_BASE_PROC_CHILD_H
#define BKD_BASE_PROC_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bkd/base/error.h"

struct proc_child {
    const char *path; // absolute
    const char *const *argv, *const *env;
    const char *directory;
    int input_fd, output_fd, error_fd; // borrowed
    int userns_fd; // 0 = stay
    bool keep_rights, gives_way;
    int tell_fd; // its group, as "-NUMBER\n", is written here before the program begins; -1 = nowhere
    const char *user; // NULL = stay; for messages
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t n_groups;
};

// Forks and executes, and waits until that is done: on failure the error names what could not be done and nothing runs.
MUST_USE int proc_child_start(const struct proc_child *c, pid_t *ret_pid, struct error *err);

#endif
