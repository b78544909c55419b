// A place where bkd is not installed: only sh, the few tools that recovery by hand needs, and their libraries. Root enters it with chroot(1); an ordinary user, and
// root where no devices can be made, gets a PATH with these tools alone and no other environment.
#ifndef BKD_DR_BARE_ROOT_H
#define BKD_DR_BARE_ROOT_H

#include "bkd/base/proc.h"

enum bare_root_way { BARE_ROOT_CHROOT, BARE_ROOT_PATH };

struct bare_root {
    const struct io *io;
    char *path; // absolute; owned. Whoever made its parent removes it
    enum bare_root_way way;
};

// `path` does not exist yet. ERROR_NOT_FOUND: a tool that recovery needs is not on this host, with its package.
MUST_USE int bare_root_make(const struct io *io, const char *path, bool needs_age, struct bare_root *ret_root, struct error *err);
void bare_root_done(struct bare_root *b);
#define _cleanup_bare_root_ __attribute__((cleanup(bare_root_done)))

// A file below the root, by its name there ("/repository"): as the host names it, and as a program inside does. Caller frees.
char *bare_root_outside(const struct bare_root *b, const char *name);
char *bare_root_inside(const struct bare_root *b, const char *name);
// Runs `sh ARGUMENT…` in it; both lists end with NULL. env: beside PATH and LC_ALL.
MUST_USE int bare_root_sh(const struct bare_root *b, const char *const *arguments, const char *const *env, bool (*stop)(void *arg), struct proc_result *ret_result,
                          struct error *err);

#endif
