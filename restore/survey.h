// A first look at all of the target before anything is written, where it holds something already: which names of the selection exist, and which
// inodes have several names. Kept in sorted runs on disk; read back beside the plan, in its order.
#ifndef BKD_RESTORE_SURVEY_H
#define BKD_RESTORE_SURVEY_H

#include "restore/decide.h"
#include "restore/plan.h"

struct survey {
    const struct io *io;
    int scratch_dirfd;         // borrowed
    struct spill *existed;     // sequence numbers of names that exist
    struct spill *links;       // sequence number and enum decide_links of names that need it
    uint64_t missing;          // names that are not there
    uint64_t growth, largest;  // bytes, rounded up to 4 KiB a file: what files grow the target by; the largest that is there while its new one is made
    struct survey_cursor {
        uint64_t sequence;     // 0 = none left
        enum decide_links links;
    } existing, link;
};

void survey_init(struct survey *s, const struct io *io, int scratch_dirfd);
void survey_done(struct survey *s);

enum survey_names {
    SURVEY_NONE, // which ones existed is known (survey_add)
    SURVEY_DIRS, // only directories: the others do not matter where they are overwritten
    SURVEY_ALL,  // also those of files that stay
};
// Looks at every entry of the plan below the open directory. Rewinds the plan.
MUST_USE int survey_run(struct survey *s, struct plan *plan, unsigned strip, int target_fd, enum survey_names names, struct error *err);
// A name that existed before the restore began, as the survey of its first run found it.
MUST_USE int survey_add(struct survey *s, uint64_t sequence, struct error *err);

// Names that existed, ascending, from the beginning after survey_rewind; 0 at the end.
MUST_USE int survey_rewind(struct survey *s, struct error *err);
MUST_USE int survey_next(struct survey *s, uint64_t *ret_sequence, struct error *err);

// For entries in the plan's order, after survey_rewind.
MUST_USE int survey_existed(struct survey *s, uint64_t sequence, bool *ret_existed, struct error *err);
MUST_USE int survey_links(struct survey *s, uint64_t sequence, enum decide_links *ret_links, struct error *err);

#endif
