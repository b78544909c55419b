// Runs: every piece of work that bkd does for a policy or a recovery plan, from its begin to its end, with its phases and figures.
//
// Usual order: runs_begin; runs_phase and runs_figure as they become known; runs_end. A run whose process is gone without an end is found by runs_abandoned.
#ifndef BKD_RECORD_RUNS_H
#define BKD_RECORD_RUNS_H

#include "bkd/base/process.h"
#include "bkd/record/catalogue.h"

#define RUN_UID_MAX 33 // 32 hex digits and NUL

enum run_trigger { RUN_MANUAL, RUN_CRON, RUN_DAEMON, RUN_DUE, RUN_TRIGGERS };
enum run_state { RUN_RUNNING, RUN_ENDED, RUN_KILLED, RUN_STATES };

struct run_record {
    int64_t id;
    char uid[RUN_UID_MAX];        // random, the same in every export
    char kind[CATALOGUE_NAME_MAX]; // the command: "backup", "ship", "check", "prune", "verify", "plan", "drill" …
    char policy[CATALOGUE_NAME_MAX];
    char host[256];
    enum run_trigger trigger;
    uint64_t slot_ns;      // the time of the schedule it serves; 0 = none
    unsigned attempt;      // 1 = the first try of that slot
    struct process process;
    uint64_t started_ns, ended_ns; // ended_ns 0 = it runs
    enum run_state state;
    int exit_code;         // of bkd(1); -1 unless RUN_ENDED
    char message[CATALOGUE_TEXT_MAX];
    uint64_t snapshot;     // number of the snapshot it made or worked on; 0 = none
    int64_t copy;          // id in copies; 0 = none or several
    int64_t policy_version; // id in policy_versions; 0 = unknown
};

// "manual", "cron", "daemon", "due".
const char *run_trigger_name(enum run_trigger trigger);
bool run_trigger_parse(const char *name, enum run_trigger *ret_trigger);
// "running", "ended", "killed".
const char *run_state_name(enum run_state state);

// Fills in what a new run has: uid "", process.pid 0, started_ns 0 and attempt 0 become a random one, this process, now and 1.
void runs_complete(const struct io *io, struct run_record *run);
// Records that a run begins. Of *run, kind and policy are needed; the rest is filled in as by runs_complete.
MUST_USE int runs_begin(struct catalogue *c, const struct run_record *run, int64_t *ret_id, struct error *err);
// Records a run as it stands, known by its uid: new ones are added; one that is there gets the end that *run has, unless it has ended already. For what was
// kept elsewhere meanwhile (run_facts.h).
MUST_USE int runs_save(struct catalogue *c, const struct run_record *run, int64_t *ret_id, struct error *err);
// How long a part of it took (monotonic), and a number that is known of it. Said again, the later one counts.
MUST_USE int runs_phase(struct catalogue *c, int64_t id, const char *name, uint64_t duration_ns, struct error *err);
MUST_USE int runs_figure(struct catalogue *c, int64_t id, const char *name, uint64_t value, struct error *err);
MUST_USE int runs_set_snapshot(struct catalogue *c, int64_t id, uint64_t snapshot, struct error *err);
// Its end, now. message "" = nothing to say. A run that has ended already keeps its first end: 0.
MUST_USE int runs_end(struct catalogue *c, int64_t id, int exit_code, const char *message, struct error *err);
// Puts a note before the message of a run that has ended, such as who cancelled it. Said again, nothing changes.
MUST_USE int runs_note(struct catalogue *c, int64_t id, const char *note, struct error *err);

// One run. ERROR_NOT_FOUND.
MUST_USE int runs_find(struct catalogue *c, const char *uid, int64_t *ret_id, struct error *err);
MUST_USE int runs_get(struct catalogue *c, int64_t id, struct run_record *ret_run, struct error *err);
// The run of a policy and kind that started last; only_successful: that ended with 0 or 3 (done, or done but incomplete). ERROR_NOT_FOUND.
MUST_USE int runs_last(struct catalogue *c, const char *policy, const char *kind, bool only_successful, struct run_record *ret_run, struct error *err);

struct runs_filter {
    const char *policy, *kind;   // NULL = all
    uint64_t since_ns, until_ns; // started at or after, before; 0 = no limit
    bool failed;                 // killed, or ended with another code than 0
    bool running;                // not ended
    bool successful;             // ended with 0 or 3
    uint64_t limit;              // 0 = all
};
// A visit that returns non-zero ends the listing with that value.
typedef int runs_visit_fn(void *arg, const struct run_record *run, struct error *err);
// The newest first.
MUST_USE int runs_list(struct catalogue *c, const struct runs_filter *filter, runs_visit_fn *visit, void *arg, struct error *err);

// How many runs of one policy and kind came to what.
struct runs_count {
    const char *policy, *kind;
    uint64_t done, incomplete, failed, killed, running;
};
typedef int runs_count_fn(void *arg, const struct runs_count *count, struct error *err);
// By policy and kind. Strings are valid during the visit only; a visit that returns non-zero ends the listing with that value.
MUST_USE int runs_counts(struct catalogue *c, runs_count_fn *visit, void *arg, struct error *err);

typedef int runs_value_fn(void *arg, const char *name, uint64_t value, struct error *err);
// A run's phases (nanoseconds) and its figures, by name.
MUST_USE int runs_phases(struct catalogue *c, int64_t id, runs_value_fn *visit, void *arg, struct error *err);
MUST_USE int runs_figures(struct catalogue *c, int64_t id, runs_value_fn *visit, void *arg, struct error *err);

// One figure of a policy's runs of a kind that have ended, the newest first, at most `limit`.
typedef int runs_point_fn(void *arg, uint64_t ended_ns, uint64_t value, struct error *err);
MUST_USE int runs_series(struct catalogue *c, const char *policy, const char *kind, const char *figure, uint64_t limit, runs_point_fn *visit, void *arg, struct error *err);

// How many runs of a kind ended without a snapshot since the last one that made one, and when the first of them began; 0 = none did. Those that found another run
// at work do not count.
MUST_USE int runs_failing(struct catalogue *c, const char *policy, const char *kind, uint64_t *ret_count, uint64_t *ret_since_ns, struct error *err);

// Runs that were begun and whose process is gone (also: begun before this boot) are recorded as killed, now, with an event
// ("run-killed"). Each is visited first (visit may be NULL).
MUST_USE int runs_abandoned(struct catalogue *c, runs_visit_fn *visit, void *arg, struct error *err);

#endif
