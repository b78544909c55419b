#include "bkd/daemon/upkeep.h"

#include <string.h>

#include "bkd/base/log.h"

#define LIMIT_NS (UINT64_C(600) * 1000000000) // then it hangs

// It has told itself what was wrong.
static void on_ended(void *arg, struct job *job, const struct job_end *end)
{
    struct upkeep *u = arg;
    (void)job;
    if (end->problem != NULL)
        log_warn("alarms are not looked at: %s", end->problem);
    loop_set_time(u->time, u->once_more ? 1 : UINT64_MAX);
}

static void on_time(void *arg)
{
    struct upkeep *u = arg;
    struct error err;
    if (u->jobs.list == NULL) {
        upkeep_start(u);
        return;
    }
    log_warn("`bkd watch` (process %d) does not come to an end and is ended", (int)u->jobs.list->process.pid);
    if (jobs_cancel(u->jobs.list, "the daemon", &err) < 0)
        log_warn("%s", err.text);
}

int upkeep_init(struct upkeep *u, const struct context *ctx, struct loop *loop, const char *starter, struct error *err)
{
    *u = (struct upkeep){ .jobs = { .loop = loop, .ctx = ctx, .starter = starter, .ended = on_ended, .arg = u } };
    return loop_add_timer(loop, LOOP_MONOTONIC, on_time, u, &u->time, err);
}

void upkeep_done(struct upkeep *u) { jobs_done(&u->jobs); }

void upkeep_start(struct upkeep *u)
{
    static const struct jobs_order order = { .action = JOBS_UPKEEP, .trigger = RUN_DAEMON };
    struct job *job = NULL;
    struct error err;
    u->once_more = u->jobs.list != NULL;
    if (u->once_more)
        return;
    if (jobs_start(&u->jobs, &order, &job, &err) < 0)
        log_warn("alarms are not looked at now: %s", err.text);
    else
        loop_set_delay(u->time, LIMIT_NS);
}
