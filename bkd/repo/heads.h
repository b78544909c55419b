// Loading the heads of a repository: which there are, which are valid, how they follow one another. Used by repository.c.
#ifndef BKD_REPO_HEADS_H
#define BKD_REPO_HEADS_H

#include "bkd/codec/signers.h"
#include "bkd/repo/repository.h"

// Which heads of each chain are wanted: the newest ones, `back` more of them, and the one of that number (0 = none).
struct heads_near {
    uint64_t back, number;
};

// Fills r->heads and r->n_heads. A head that is not right is listed with its problem; ERROR_UNREACHABLE and failures of the
// listing end it. near (NULL: all of them are read): the others are left out, and r->partial is set when there are any.
MUST_USE int heads_load(struct repository *r, const struct signers *signers, const struct heads_near *near, struct error *err);

// One head file: signature (signers NULL: none needed), text, repository, and that it says the chain and number of its name.
// `head` has chain and number set, and gets the rest.
void heads_judge(const struct repository *r, const struct signers *signers, const void *file, size_t n,
                 struct repository_head *head);

// Marks forks and breaks among heads that are sorted by chain and number.
void heads_check_order(struct repository_head *heads, size_t n);

#endif
