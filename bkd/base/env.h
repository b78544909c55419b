// The environment of a program to start: what it needs to feel at home, and what we tell it; nothing of ours leaks.
// Usual order: env_init; env_add …; proc_options.env = env.list; env_done.
#ifndef BKD_BASE_ENV_H
#define BKD_BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

struct env {
    const char **list; // "NAME=value", ends with NULL; owned, as the strings are
    size_t count;
};

// PATH (PROC_PATH), LANG (C.UTF-8) and, as far as the user is known, HOME, USER, LOGNAME and SHELL. `user`: NULL = whoever we are.
void env_init(struct env *env, const char *user);
void env_done(struct env *env);
#define _cleanup_env_ __attribute__((cleanup(env_done)))

// Any bytes but NUL; a value of NULL adds nothing.
void env_add(struct env *env, const char *name, const char *value);
void env_add_u64(struct env *env, const char *name, uint64_t value);

#endif
