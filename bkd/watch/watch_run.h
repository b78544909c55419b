// Watching all policies of a host: what each one's facts come to, and the alarms that are raised and cleared by it.
#ifndef BKD_WATCH_WATCH_RUN_H
#define BKD_WATCH_WATCH_RUN_H

#include "bkd/host/policies.h"
#include "bkd/watch/watch_load.h"
#include "bkd/watch/watch_plans.h"

struct watched_policy {
    const char *name;            // borrowed
    const struct policy *policy; // borrowed; NULL: its file has mistakes, and nothing was kept of it
    struct watch_loaded loaded;
    struct watch_findings findings;
    enum watch_state state;
    uint64_t since_ns; // 0 = unknown
};

struct watched {
    struct watch_source source;
    struct policies policies; // of watch_all
    struct policy alone;      // of watch_one
    char *alone_name, *alone_problem;
    struct watched_policy *items; // by name
    size_t n;
    struct watch_findings host;
    struct watch_plans plans; // of watch_all
    char *keys_dir;
};
void watched_done(struct watched *w);
#define _cleanup_watched_ __attribute__((cleanup(watched_done)))

enum watch_depth {
    WATCH_REMEMBERED, // heads as the catalogue knows them, where it does: cheap with any number of snapshots
    WATCH_LOCAL,      // heads of local repositories are read
    WATCH_REFRESH,    // and those on servers
};

// Looks at all policies in CONFIG_DIR/policies, or at one (a name, or a path with a slash). catalogue may be NULL; catalogue_problem says why. Fails only when the
// policies cannot be listed, or there is no such policy.
MUST_USE int watch_all(const struct context *ctx, struct catalogue *catalogue, const char *catalogue_problem, enum watch_depth depth, uint64_t now_ns,
                       struct watched *ret_watched, struct error *err);
MUST_USE int watch_one(const struct context *ctx, struct catalogue *catalogue, const char *catalogue_problem, enum watch_depth depth, uint64_t now_ns,
                       const char *policy, struct watched *ret_watched, struct error *err);
// Raises an alarm for each finding, clears those that are over, and notes the state of each policy. Alarms of kinds that watch_kinds does not name are left alone.
MUST_USE int watch_record(const struct watched *watched, bool is_all, struct error *err);

// What the daemon does on a tick, and `bkd run --due`: all policies, by what is remembered of their heads.
MUST_USE int watch_run(const struct context *ctx, struct catalogue *catalogue, uint64_t now_ns, struct error *err);
// What each run does at its end, with its policy (a name, or a path with a slash), whose heads are read.
MUST_USE int watch_run_policy(const struct context *ctx, struct catalogue *catalogue, const char *policy, uint64_t now_ns, struct error *err);
// The same, with a catalogue of its own; never a reason to fail: what it could not do the next one does. After a run that was recorded.
void watch_after_run(const struct context *ctx, const char *policy);
// The same of all policies and plans, after a drill of a plan, and after what a drill asked for is noted or done: who is to be told is told at the end.
void watch_after_drill(struct context *ctx);

#endif
