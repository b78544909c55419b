// Which snapshots are suspect: marked so by the run that made them (files gone, changed or turned incompressible far beyond what is usual), until
// somebody who has the retention key looked and accepted them.
//
// While one stands, nothing of its chain is removed: the good files may be in the snapshots before it alone. Everything that removes snapshots
// asks here first.
#ifndef BKD_REPO_SUSPECTS_H
#define BKD_REPO_SUSPECTS_H

#include "bkd/repo/records.h"

// The head is valid and marked suspect, and no valid accept record names it.
bool suspects_is(const struct records *records, const struct repository_head *head);
// Counts the suspect snapshots of this chain, and gives the oldest of them (untouched when there is none; NULL: not wanted). The chain is frozen while there is one.
size_t suspects_standing(const struct repository *r, const struct records *records, const uint8_t chain[16], const struct repository_head **ret_first);

#endif
