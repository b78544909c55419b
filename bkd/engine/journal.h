// The journal of a run under way: which entries and pieces are in objects that are finished and durable, so that a run that was cut
// off goes on where it was. Entries become valid only by the commit record of the object that holds them; a torn end is ignored.
// The file is append-only, in the state directory, and goes away when the snapshot is committed.
#ifndef BKD_ENGINE_JOURNAL_H
#define BKD_ENGINE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/spill.h"
#include "bkd/engine/previous.h"
#include "bkd/engine/sealed.h"
#include "bkd/repo/format.h"
#include "bkd/repo/manifest.h"
#include "bkd/repo/place.h"

struct journal;

// What a journal from an earlier run tells. All callbacks may be NULL.
struct journal_replay {
    // A finished object; returning false (it is not in the store as it should be) ends the replay there.
    bool (*object)(void *arg, const struct format_ref *object);
    int (*piece)(void *arg, const uint8_t sha256[32], const struct place *place, struct error *err);
    void *arg;
    struct spill *entries; // gets previous_record()s of valid entries
};

// Opens (or begins) the journal `journal`, replays what is valid in it, cuts off the rest, and goes on behind it.
MUST_USE int journal_open(const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE], const struct journal_replay *replay, struct journal **ret_journal,
                          struct error *err);
void journal_close(struct journal *j);

MUST_USE int journal_add_entry(struct journal *j, const struct manifest_entry *entry, const struct scan_stat *stat, bool racy, const char *line, size_t n,
                               struct error *err);
MUST_USE int journal_add_piece(struct journal *j, const uint8_t sha256[32], const struct place *place, struct error *err);
// Everything added so far lies in objects up to this one, which has its last byte. Replaying asks the store whether it has it.
MUST_USE int journal_commit_object(struct journal *j, const struct format_ref *object, struct error *err);
// The snapshot is committed: the journal is removed.
void journal_remove(struct journal *j);

#endif
