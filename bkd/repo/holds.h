// Which snapshots are held: kept, whatever retention says, until each hold on them was released.
//
// A hold record holds the snapshot it names. A release record ends exactly the holds whose files it names by SHA-256: no clock decides, and a
// hold made later stands again. Everything that removes snapshots asks here first.
#ifndef BKD_REPO_HOLDS_H
#define BKD_REPO_HOLDS_H

#include "bkd/repo/records.h"

// Counts the holds that stand on this snapshot, and gives the first `max` of them, oldest first for each signer.
size_t holds_standing(const struct records *records, const struct repository_head *head, const struct records_item **ret_holds, size_t max);
bool holds_is_held(const struct records *records, const struct repository_head *head);

#endif
