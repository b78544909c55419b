// Gathers what watch.h judges: of one policy from its file, the heads of a local repository, the receipts of its copies, and the catalogue. A repository on a
// server is opened only when that is asked for; what the catalogue remembers of it stands in.
#ifndef BKD_WATCH_WATCH_LOAD_H
#define BKD_WATCH_WATCH_LOAD_H

#include "bkd/host/context.h"
#include "bkd/host/receipts.h"
#include "bkd/record/catalogue.h"
#include "bkd/watch/watch.h"

// What all policies of a host share.
struct watch_source {
    const struct context *ctx;
    struct catalogue *catalogue; // borrowed; NULL: there is none, or it cannot be used
    bool refresh;                // open repositories on servers, too
    bool remembered;             // open none of which the catalogue knows snapshots
    bool newest_only;            // of local ones look only whether the newest head is what this host made; then what the catalogue knows stands in. With
                                 // 200 policies and years of heads, verifying all takes seconds
    uint64_t now_ns;
    struct buf signers;          // text of allowed_signers
    char *signers_problem;       // why there is none; owned
    char *host;
};
void watch_source_init(struct watch_source *source, const struct context *ctx, struct catalogue *catalogue, uint64_t now_ns);
void watch_source_done(struct watch_source *source);
#define _cleanup_watch_source_ __attribute__((cleanup(watch_source_done)))

// Facts, and what their strings and lists point into.
struct watch_loaded {
    struct watch_facts facts;
    char *store_problem, *run_message, *paused_by, *prune_problem, *unnoticed, *unrecovered, *killed_drill;
    struct receipts receipts;
    struct watch_copy *copies;
};
void watch_loaded_done(struct watch_loaded *loaded);
#define _cleanup_watch_loaded_ __attribute__((cleanup(watch_loaded_done)))

// Never fails: what cannot be found out is a fact as well. policy NULL: its file has mistakes and nothing was kept of it. `problem`: of its file, NULL = none. All
// is borrowed while the facts are used.
void watch_load(const struct watch_source *source, const char *name, const struct policy *policy, const char *problem, struct watch_loaded *ret_loaded);

// watch_heads.c: what the heads say, for watch_load.
void watch_load_heads(const struct watch_source *source, const struct policy *policy, struct watch_loaded *loaded);

#endif
