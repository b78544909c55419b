// The directories of which something was left out, so that a snapshot says where it is not whole by the policy's will. The scan meets a directory
// before what it holds; so they are collected while it runs, and asked for afterwards, in path order. Memory is constant.
// Usual order: leftout_new; leftout_add …; leftout_sort; leftout_has …; leftout_free.
#ifndef BKD_ENGINE_LEFTOUT_H
#define BKD_ENGINE_LEFTOUT_H

#include <stdbool.h>

#include "bkd/base/io.h"

struct leftout;

// scratch_fd: a directory for scratch files (borrowed).
struct leftout *leftout_new(const struct io *io, int scratch_fd);
void leftout_free(struct leftout *l);

// The entry `path` (absolute) was left out of the directory that holds it.
MUST_USE int leftout_add(struct leftout *l, const char *path, struct error *err);
MUST_USE int leftout_sort(struct leftout *l, struct error *err);
// Was something left out of the directory `dir` (n bytes)? To be asked for ascending paths.
MUST_USE int leftout_has(struct leftout *l, const void *dir, size_t n, bool *ret_has, struct error *err);

#endif
