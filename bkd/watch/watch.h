// What of a policy is protected, what is not, since when, and what to do: facts in, findings out. Pure.
//
// Usual order: watch_load.h gathers the facts; watch_policy and watch_host judge them; watch_run.h makes alarms of the findings; cmd_status.c shows them.
//
// A snapshot is good when its head is right and it is not suspect. A policy is not protected when there is no good snapshot, when the newest is older than
// the objective, or when the repository is not what this host left; at risk when something else needs a person, but a restore would do.
#ifndef BKD_WATCH_WATCH_H
#define BKD_WATCH_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/dr/draws.h"
#include "bkd/record/events.h"
#include "bkd/record/watch_state.h"

#define WATCH_TEXT_MAX 512
#define WATCH_KIND_MAX 65

// What a finding means for the policy.
enum watch_effect {
    WATCH_NOTE,      // to be known
    WATCH_RISK,      // somebody has to do something
    WATCH_OBJECTIVE, // a promise is broken: exit 5
    WATCH_SECURITY,  // integrity or security: exit 4
};

// How full a place is, and when it is full by what it grew (forecast.h).
struct watch_disk {
    bool is_known; // else nothing is said
    uint64_t free_bytes, total_bytes;
    uint64_t bytes_per_day; // 0 = it does not grow
    uint64_t full_in_days;  // UINT64_MAX = never
};

// A copy in another place.
struct watch_copy {
    const char *url;    // borrowed, as all strings here
    const char *serial; // of a removable disk; "" = none
    bool is_removable;
    uint64_t max_age_ns;
    uint64_t snapshot, snapshot_time_ns; // newest there; 0 = none yet
    uint64_t failing_since_ns, failures; // 0 = the last try succeeded
    const char *problem;                 // of the last try; NULL = none
    bool is_damaged;                     // it is gone, changed or incomplete
    uint64_t refuted;                    // snapshot of the last verification from there, when that failed; 0 = it did not
    struct watch_disk disk;              // it lies on
    uint64_t clock_off_ns;               // between this host's clock and that of its server, at the last ship
};

struct watch_facts {
    const char *policy;
    const char *policy_problem; // its file has mistakes; NULL = none
    bool is_loaded;             // the policy holds, perhaps an earlier version of it; else the rest is not known
    const char *store_problem;  // the repository cannot be opened, and why; NULL = it can, or nobody looked
    const char *store_step;     // what to do about that; NULL = see the message
    bool store_is_missing;      // nobody has made it yet
    bool store_was_seen;        // somebody looked now: whether there is a problem is known
    bool only_verifies;         // it backs up nothing: its repository is what another host stores
    uint64_t rpo_ns;            // 0 = nothing is promised
    // Heads.
    uint64_t snapshots;
    uint64_t newest, newest_ns;           // 0 = none
    uint64_t good, good_ns;               // the newest good one; 0 = none
    bool is_incomplete;                   // the newest
    uint64_t suspects, first_suspect;     // standing
    uint64_t before_suspect;              // the newest good one before the first suspect; 0 = none
    uint64_t future_ns;                   // what one of the last snapshots claims as its time, when that is still to come; 0 = none does
    unsigned after_future;                // snapshots made after it
    uint64_t head_problems, record_problems;
    uint64_t lost_head;                   // number of the last head this host made, when the repository does not hold it so; 0 = it does
    uint64_t foreign_head;                // number of the first after it, which this host did not make; 0 = none
    bool heads_were_read;                 // now; else what the catalogue knows
    uint64_t held;
    // Runs, as far as the catalogue knows them.
    bool has_run;               // a last backup that ended
    bool run_was_killed;
    int run_exit_code;
    uint64_t run_ended_ns, run_id;
    const char *run_message;
    uint64_t failing_since_ns;  // of the first failed backup after the last good one; 0 = the last one succeeded
    uint64_t failures;
    uint64_t running_since_ns;  // 0 = none runs
    const char *prune_problem;  // the last prune did not do it; NULL = it did, or there was none
    uint64_t differing, differing_ns; // files that were found not to be what was stored, though nothing showed a change; when last. 0 = none lately
    // Schedule.
    bool has_schedule;
    uint64_t overdue_slot_ns;   // the first slot that nobody ran or decided; 0 = none
    uint64_t next_slot_ns;      // 0 = unknown
    uint64_t far_clock_off_ns;  // between this host's clock and that of the repository's server, at the last backup
    uint64_t paused_ns;         // since; 0 = not paused
    const char *paused_by;
    // Elsewhere.
    const struct watch_copy *copies;
    size_t n_copies;
    struct watch_disk disk;
    uint64_t verified, verified_ns; // the last verification from anywhere; 0 = none
    bool verification_failed;       // that one
    uint64_t rto_ns;                // 0 = nothing is promised
    uint64_t measured_ns;           // how long the newest restore in full took; 0 = none was measured
    uint64_t rto_crossed_in_days;   // by the trend of restores; UINT64_MAX = never, as far as is known
    struct draws draws;             // what restores of random files say together; files 0 = none was drawn
    uint64_t proof_due_ns;          // the second slot of the schedule of verifications since the last one; 0 = it is still to come, or there is no schedule
    uint64_t refuted;               // snapshot of the last verification from the repository, when that failed; 0 = it did not
    bool has_key;            // backups are encrypted, so that somebody needs a key one day
    uint64_t key_drilled_ns; // when the offline key opened something (bkd drill key); 0 = never
    const char *unnoticed;   // id of the last negative drill, when something went unnoticed in it; NULL
    const char *killed_drill, *killed_kind; // id of a drill that has no end though nothing carries it out, and no later one of its kind; NULL
    const char *unrecovered; // id of the last by-hand drill, when it did not pass; NULL
};

struct watch_host {
    const char *catalogue_problem; // NULL = none
    bool clock_is_unsynchronised;  // the kernel says so
    bool clock_is_behind;          // before the last head of some policy
    const char *clock_policy;      // whose
    uint64_t clock_off_ns;         // by how much
    bool identities_here;          // whoever breaks in here reads all backups
    const char *keys_dir;
};

struct watch_finding {
    char kind[WATCH_KIND_MAX]; // a word
    const char *copy; // address, borrowed from the facts; "" = none
    enum severity severity;
    enum watch_effect effect;
    char text[WATCH_TEXT_MAX];
    char step[WATCH_TEXT_MAX]; // what to do
};

struct watch_findings {
    struct watch_finding *items; // owned
    size_t n;
};
void watch_findings_done(struct watch_findings *f);
#define _cleanup_watch_findings_ __attribute__((cleanup(watch_findings_done)))

// All that is worth saying of a policy, the heaviest first. *ret_since_ns: since when the state is so, as far as can be told; 0 = unknown.
enum watch_state watch_policy(const struct watch_facts *facts, uint64_t now_ns, struct watch_findings *ret_findings, uint64_t *ret_since_ns);
// What somebody else found, or raised. The strings are copied, and not what *copy of the result will point to. It may move with the next one.
struct watch_finding *watch_add(struct watch_findings *findings, const char *kind, enum severity severity, const char *text, const char *step);
void watch_host(const struct watch_host *host, struct watch_findings *ret_findings);
// Is there a good and complete snapshot, as young as promised, in a repository that is what this host left?
bool watch_is_protected(const struct watch_facts *facts, uint64_t now_ns);
// bkd(1)'s exit code for findings: 4, 5 or 0.
int watch_exit_code(const struct watch_findings *findings);
// Every kind there is, so that alarms of a kind that no longer holds can be cleared. Ends with NULL.
const char *const *watch_kinds(void);
bool watch_is_kind(const char *kind);

#endif
