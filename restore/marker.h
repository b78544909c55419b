// The marker of a restore under way: a file ".bkd-restore-<id>" at the top of the target that says what is being restored and how, so that
// --resume can go on after an interrupt, a kill, a power loss or a full disk. It is durable before anything else is written, locked while the
// restore runs, and removed when the restore has ended (with or without problems of single entries).
//
// Text: a head of "key value" lines, then "existed N" and N lines of 16 hex digits (sequence numbers of names that existed before: of directories, and where nothing is overwritten of all), then
// "end". Without "end" nothing else was written yet. The id is derived from repository, chain, snapshot, the selected entries and --strip-components.
#ifndef BKD_RESTORE_MARKER_H
#define BKD_RESTORE_MARKER_H

#include "restore/survey.h"
#include "restore/target.h"

#define MARKER_PREFIX ".bkd-restore-"
#define MARKER_COMMAND_MAX 400u // bytes: a message has room for it; of a cut one nobody should make use

// What a restore is, and how it is done.
struct marker_facts {
    uint8_t repository[16], chain[16];
    uint64_t snapshot;
    uint8_t selection[32]; // hash of the selected paths
    unsigned strip;
    const char *options; // those that change what is made: an interrupted restore goes on with the same; one line
    const char *command; // what goes on with it: one line; NULL = not known, or longer than MARKER_COMMAND_MAX
};

struct marker {
    const struct io *io;
    int dirfd;     // the target; borrowed
    int fd;        // the marker, locked; -1 = none
    char name[sizeof MARKER_PREFIX + 16];
    uint64_t parts;  // makes part names this restore's own, in all its runs
    bool root_made;  // the target was made by this restore
    bool doubt;      // power may have been lost since: what is there proves nothing by its size and time
};

// What stands there: *ret_found a marker of this restore that can be resumed: it is open and locked, and what existed is added to
// `survey`. ERROR_BUSY when that restore runs now; ERROR_USAGE when it had other options.
MUST_USE int marker_open(struct marker *m, const struct io *io, int dirfd, const struct marker_facts *facts, struct survey *survey,
                         bool *ret_found, struct error *err);
// Makes and syncs it, with what `survey` (may be NULL) found to exist. Where the target's top is not writable there is no marker
// (m->fd stays -1) and no error.
MUST_USE int marker_create(struct marker *m, const struct marker_facts *facts, bool root_made, struct survey *survey, struct error *err);
// The end: everything else is durable. The target's own time stays what it is.
MUST_USE int marker_remove(struct marker *m, struct error *err);
void marker_done(struct marker *m); // closes; the file stays

// Another restore's marker in the target, for a warning; NULL = none. Caller frees.
char *marker_other(const struct marker *m);

#endif
