// The windows of a restore taking turns: while workers decode some, the planner fills another. Results of finished windows are told here.
#ifndef BKD_RESTORE_WINDOWS_H
#define BKD_RESTORE_WINDOWS_H

#include "bkd/base/progress.h"
#include "restore/deferred.h"
#include "restore/fetch.h"
#include "restore/flush.h"

enum { WINDOWS = 4 }; // one is being filled, two are worked on (their large pieces are compared together), and one takes over without a pause

struct windows {
    struct apply *apply; // borrowed, as the next six
    struct target *target;
    struct deferred *deferred;
    struct report *report;
    struct progress *progress;
    struct flush *flush;
    unsigned strip;
    unsigned open_dirs_max; // directories held by files under way
    struct work_pool *pool; // owned
    struct fetch_pairing *pairing;
    struct fetch *slots[WINDOWS];
    unsigned filling;
};

// The borrowed fields and numbers are set by the caller before.
MUST_USE int windows_init(struct windows *w, unsigned jobs, struct error *err);
void windows_done(struct windows *w); // all finished, or never started

// The window that takes the next files.
struct fetch *windows_filling(struct windows *w);
// Makes room for one more file or piece of so many bytes: starts the window being filled when it is full, finishes the one before.
MUST_USE int windows_need_room(struct windows *w, uint32_t length, struct error *err);
// Starts and finishes everything. What ended the restore as a whole (apply->stop) is put into *err when that says nothing yet.
MUST_USE int windows_finish(struct windows *w, struct error *err);
// Undoes a file that will not get all its pieces, once no worker touches it any more, and frees it. `failure`: the error in *err, or 0.
MUST_USE int windows_give_up(struct windows *w, struct apply_file *f, int failure, struct error *err);

#endif
