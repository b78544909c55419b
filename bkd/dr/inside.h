// Paths inside a restored tree: whatever symbolic links it holds, absolute ones too, a lookup ends inside it and never in the live system, where the
// file of the same name would make a check pass that proves nothing.
#ifndef BKD_DR_INSIDE_H
#define BKD_DR_INSIDE_H

#include "bkd/base/io.h"

// Opens `path` ("srv/erp/db" or "/srv/erp/db") below the tree, resolved as if the tree were the root (openat2(2), RESOLVE_IN_ROOT). ERROR_NOT_FOUND.
MUST_USE int inside_open(int tree_fd, const char *path, int flags, int *ret_fd, struct error *err);
// Its real path in the host's own terms, for programs that open it themselves. Caller frees.
MUST_USE int inside_path(const struct io *io, int tree_fd, const char *path, char **ret_path, struct error *err);

#endif
