// A tree on disk against a listing in mtree(5) format, as `bkd-restore mtree` prints it: each entry's type, mode, owner, time, size and link target, by what
// lstat(2) says. Content is left to sha256sum(1), for which a list is made.
#ifndef BKD_DR_MTREE_COMPARE_H
#define BKD_DR_MTREE_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

enum { MTREE_PROBLEMS_KEPT = 20 };

struct mtree_comparison {
    uint64_t entries, files;
    uint64_t hashed;     // files whose hash went to the list
    uint64_t n_problems;
    struct buf problems; // up to MTREE_PROBLEMS_KEPT lines "path: what differs"
};
void mtree_comparison_done(struct mtree_comparison *c);
#define _cleanup_mtree_comparison_ __attribute__((cleanup(mtree_comparison_done)))

// One entry after the other, whatever their number. `tree_fd`: the directory that "." means; its own attributes are not compared. with_owners: also who owns each.
// `sums` gets lines for `sha256sum -c`, run in that directory. ERROR_FORMAT: a line that is none, with its number.
MUST_USE int mtree_compare(FILE *listing, int tree_fd, bool with_owners, FILE *sums, struct mtree_comparison *ret_comparison, struct error *err);

#endif
