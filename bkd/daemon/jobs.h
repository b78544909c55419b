// Runs as processes of their own: started, watched, ended when somebody asks, and found again by a later daemon. A job leads a session of its own and
// outlives the process that started it.
//
// Without a starter a job is a child. With one it is a unit of systemd's: STARTER is the socket of bkd-run.socket, each connection to which makes systemd start a
// bkd-run@.service, with the rights its unit file says; that one takes the order (jobs_take_order) and becomes the run. So runs and their hooks are outside the
// daemon's sandbox, and no rights over systemd are needed.
#ifndef BKD_DAEMON_JOBS_H
#define BKD_DAEMON_JOBS_H

#include "bkd/base/loop.h"
#include "bkd/host/context.h"
#include "bkd/record/runs.h"

#define JOBS_UPKEEP "watch" // the one action of no policy

struct jobs_order {
    char policy[CATALOGUE_NAME_MAX]; // "" with JOBS_UPKEEP
    char action[CATALOGUE_NAME_MAX]; // "backup", "prune" …: the command
    const char *policy_file; // another file than CONFIG_DIR/policies/POLICY.yaml; NULL = that one. Borrowed
    enum run_trigger trigger;
    uint64_t slot_ns; // 0 = none
    unsigned attempt; // 0 = the first
};

struct job {
    struct job *next;
    uint64_t number; // of this process's jobs, from 1
    char policy[CATALOGUE_NAME_MAX], action[CATALOGUE_NAME_MAX];
    uint64_t slot_ns;
    uint64_t started_ns; // wall time
    char uid[RUN_UID_MAX];  // by which the catalogue knows the run
    struct process process; // pid 0 = systemd is starting it
    bool was_adopted;
    char *cancelled_by; // NULL = nobody asked it to end
    struct job_watch *watch; // of jobs.c
};

struct job_end {
    bool is_known; // else only the catalogue can tell
    int exit_code; // of bkd(1); 128 + the number when a signal ended it
    const char *problem; // why it did not begin; NULL = it did
};

// The job is freed when the callback returns.
typedef void jobs_ended_fn(void *arg, struct job *job, const struct job_end *end);

struct jobs {
    struct loop *loop;
    const struct context *ctx;
    const char *starter; // path of a socket, or NULL
    jobs_ended_fn *ended;
    void *arg;
    struct job *list;
    size_t count;
    uint64_t last_number;
};

// May this command be run by schedule, or by `bkd run --action`? ERROR_USAGE when not.
MUST_USE int jobs_check_action(const char *action, struct error *err);
// Leaves the processes alone: they go on.
void jobs_done(struct jobs *jobs);

// Starts a run. ret_job stays valid until its end was told. ERROR_USAGE: there is no such action.
MUST_USE int jobs_start(struct jobs *jobs, const struct jobs_order *order, struct job **ret_job, struct error *err);
// Watches a run that somebody else started. ERROR_NOT_FOUND when its process is gone.
MUST_USE int jobs_adopt(struct jobs *jobs, const struct run_record *run, struct error *err);
struct job *jobs_find(const struct jobs *jobs, const char *policy, const char *action); // the first; NULL when there is none
// Asks it to end as SIGTERM does; asked again, it ends at once. `by` is for the record.
MUST_USE int jobs_cancel(struct job *job, const char *by, struct error *err);

// The other side: takes an order from a starter's connection, answers it, and becomes the run. Returns only on failure.
MUST_USE int jobs_take_order(const struct context *ctx, int fd, struct error *err);

#endif
