// Names that people give to snapshots: one in the head (`bkd backup --tag`), any number in records later (`bkd tag`). And what a person may
// say for a snapshot: a number, latest, latest~N, or a tag.
#ifndef BKD_REPO_TAGS_H
#define BKD_REPO_TAGS_H

#include "bkd/repo/records.h"

// May this be given as a tag? One word that is no number, cannot be taken for an option, latest or live, and is safe to print; ERROR_USAGE
// says what is wrong with it. (A reader takes any label for a tag.)
MUST_USE int tags_check(const char *tag, struct error *err);

// The distinct tags of a snapshot one after the other, the head's own first: start with *at 0; NULL after the last. Borrowed from records and
// head.
const char *tags_next(const struct records *records, const struct repository_head *head, size_t *at);

bool tags_has(const struct records *records, const struct repository_head *head, const char *tag);

// As repository_find, and by tag. A tag that several snapshots of the chain have is ERROR_USAGE, which lists them: which one is meant only the
// person knows. Records are read only for a tag; signers as in records_load.
MUST_USE int tags_find(const struct repository *r, const char *signers, const uint8_t *chain, const char *snapshot,
                       const struct repository_head **ret_head, struct error *err);

#endif
