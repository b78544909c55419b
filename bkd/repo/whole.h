// Is all that a snapshot needs in the store? Asked of names only: what the files hold is for `bkd check`.
//
// Of a snapshot that was given up this tells whether its removal has begun: a prune that was cut off leaves the refs, and some of the objects.
#ifndef BKD_REPO_WHOLE_H
#define BKD_REPO_WHOLE_H

#include "bkd/repo/repository.h"

// The refs and all objects they name. The head is valid.
MUST_USE int whole_check(const struct repository *r, const struct repository_head *head, bool *ret_whole, struct error *err);

#endif
