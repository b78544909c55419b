#include "bkd/plans/planning_begin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/base/process.h"
#include "bkd/host/who.h"
#include "bkd/plans/planning_ask.h"
#include "bkd/plans/planning_note.h"

static bool is_alike(const void *arg, const struct planning *p)
{
    const struct planning_options *o = arg;
    return p->mode == o->mode && strcmp(p->scenario, o->scenario == NULL ? "" : o->scenario) == 0;
}

// Only the newest of its kind: what began later took the place of one that was interrupted before.
static bool find_interrupted(const struct planning_course *run, struct planning *ret_planning)
{
    _cleanup_planning_ struct planning newest = { 0 };
    if (run->options->anew || !planning_find(run->ctx, run->plan.name, is_alike, run->options, &newest) || newest.ended_ns != 0)
        return false;
    *ret_planning = newest;
    newest = (struct planning){ 0 };
    return true;
}

// Scratch space went with the process that made it.
static bool is_lost(const struct planning_course *run, const struct recovery_step *step)
{
    const struct recovery_system *system = recovery_find_system(&run->plan, step->system);
    const struct recovery_target *target = system == NULL ? NULL : recovery_find_target(system, run->p->scenario);
    bool in_scratch = run->p->mode == PLANNING_REHEARSE || (target != NULL && target->to == RECOVERY_SCRATCH);
    return step->type == RECOVERY_RESTORE && in_scratch && run->p->mode != PLANNING_TABLETOP;
}

static void mark_after(const struct planning_course *run, size_t step, bool *marked)
{
    for (size_t i = 0; i < run->p->n_steps; i++)
        if (recovery_graph_needs(&run->graph, i, step) && !marked[i]) {
            marked[i] = true;
            mark_after(run, i, marked);
        }
}

// What was interrupted is done again; so is what lay in scratch space, and all that came after it: what was checked there says nothing of what is restored anew, perhaps
// from another snapshot.
static void forget_unfinished(struct planning_course *run)
{
    bool *again = xcalloc(run->p->n_steps + 1, sizeof *again);
    for (size_t i = 0; i < run->p->n_steps; i++)
        if (is_lost(run, &run->plan.steps[i]) && !again[i]) {
            again[i] = true;
            mark_after(run, i, again);
        }
    for (size_t i = 0; i < run->p->n_steps; i++) {
        bool is_over = run->p->steps[i].state == PLANNING_DONE || run->p->steps[i].state == PLANNING_SKIPPED;
        if (run->p->steps[i].state == PLANNING_FAILED || again[i]) // it is asked about again: an answer that is in the journal and was not removed any more is no new one
            planning_answer_drop(run->ctx->io, run->directory, run->plan.steps[i].id);
        if (!is_over || again[i])
            run->p->steps[i].state = PLANNING_WAITING;
    }
    free(again);
}

struct origin {
    char boot[PROCESS_BOOT_MAX];
    uint64_t monotonic_ns;
};

static void take_origin(void *arg, const struct json *line)
{
    struct origin *o = arg;
    const char *type = json_get_str(line, "type"), *boot = json_get_str(line, "boot");
    if (type == NULL || boot == NULL || strcmp(type, "begin") != 0)
        return;
    (void)snprintf(o->boot, sizeof o->boot, "%s", boot);
    (void)json_get_u64(line, "monotonic_ns", &o->monotonic_ns);
}

// The begin of an earlier process, on the monotonic clock of this boot; after another boot the wall clock says how long it is since.
static void find_zero(struct planning_course *run)
{
    struct origin origin = { 0 };
    struct process self;
    struct error ignored;
    uint64_t real = io_realtime_ns(run->ctx->io), since = real > run->p->started_ns ? real - run->p->started_ns : 0;
    process_self(&self);
    (void)!plan_journal_read(run->ctx->io, run->directory, take_origin, &origin, &ignored);
    bool same_boot = origin.boot[0] != '\0' && strcmp(origin.boot, self.boot_id) == 0;
    run->zero_ns = same_boot ? origin.monotonic_ns : planning_course_now(run) > since ? planning_course_now(run) - since : 0;
}

static int go_on(struct planning_course *run, struct error *err)
{
    if (strcmp(run->p->sha256, run->plan.sha256) != 0)
        return error_set(err, ERROR_USAGE, "the plan was changed since run %s was interrupted; --anew begins a new one", run->p->id);
    run->directory = planning_directory(run->ctx, run->p->id);
    int r = plan_journal_open(run->ctx->io, run->directory, &run->journal, err);
    if (r < 0)
        return r;
    find_zero(run);
    forget_unfinished(run);
    log_info("going on with run %s", run->p->id);
    planning_note_begin(run, "resume");
    return run->in_trouble ? (*err = run->trouble, (int)err->code) : 0;
}

static void make_id(const struct planning_course *run, unsigned attempt, char ret_id[PLANNING_ID_MAX + 1])
{
    char time[CLOCK_TEXT_MAX], digits[CLOCK_TEXT_MAX];
    size_t n = 0;
    clock_format_utc(time, run->p->started_ns, false);
    for (const char *s = time; *s != '\0'; s++)
        if (strchr("-:Z", *s) == NULL)
            digits[n++] = *s == 'T' ? '-' : *s;
    digits[n] = '\0';
    if (attempt == 0)
        (void)snprintf(ret_id, PLANNING_ID_MAX + 1, "%s-%s", run->plan.name, digits);
    else
        (void)snprintf(ret_id, PLANNING_ID_MAX + 1, "%s-%s-%u", run->plan.name, digits, attempt + 1);
}

static int begin_anew(struct planning_course *run, struct error *err)
{
    const struct io *io = run->ctx->io;
    struct planning *p = run->p;
    char who[WHO_MAX], host[256] = "";
    struct statx st;
    struct error ignored;
    who_am_i(who);
    (void)gethostname(host, sizeof host - 1);
    *p = (struct planning){ .mode = run->options->mode, .plan = xstrdup(run->plan.name), .sha256 = xstrdup(run->plan.sha256), .by = xstrdup(who), .host = xstrdup(host),
                            .scenario = xstrdup(run->options->scenario == NULL ? "" : run->options->scenario), .started_ns = io_realtime_ns(io),
                            .n_steps = run->plan.step_count };
    p->ids = xcalloc(p->n_steps + 1, sizeof *p->ids);
    p->steps = xcalloc(p->n_steps + 1, sizeof *p->steps);
    for (size_t i = 0; i < p->n_steps; i++)
        p->ids[i] = xstrdup(run->plan.steps[i].id);
    for (unsigned attempt = 0; run->directory == NULL; attempt++) {
        make_id(run, attempt, p->id);
        run->directory = planning_directory(run->ctx, p->id);
        if (io_stat(io, AT_FDCWD, run->directory, 0, &st, &ignored) == 0) {
            free(run->directory);
            run->directory = NULL;
        }
    }
    int r = plan_journal_open(io, run->directory, &run->journal, err);
    if (r < 0)
        return r;
    run->zero_ns = planning_course_now(run);
    planning_note_begin(run, "begin");
    return run->in_trouble ? (*err = run->trouble, (int)err->code) : 0;
}

int planning_begin(struct planning_course *run, struct error *err)
{
    return find_interrupted(run, run->p) ? go_on(run, err) : begin_anew(run, err);
}
