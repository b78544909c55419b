// A run of a recovery plan, from its begin, or from where it was interrupted, to its end. One thread decides, writes the journal's begins and ends and listens for
// answers; each step that is executed has a thread of its own.
//
//   waiting --start--> running --finish--> done, failed        (a step that the mode leaves out: waiting --leave_out--> skipped)
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/host/programs.h"
#include "bkd/plans/planning_begin.h"
#include "bkd/plans/planning_note.h"

#define TICK_MS 100
#define EXECUTED_MAX 32 // steps at a time, each with a process or two; questions to people do not count

// ---- the end of a step

static void set_text(char **at, const char *text)
{
    char *copy = xstrdup(text == NULL ? "" : text);
    free(*at);
    *at = copy;
}

static void tell(const struct planning_course *run, size_t i)
{
    const struct recovery_step *step = &run->plan.steps[i];
    const struct planning_step *s = &run->p->steps[i];
    char took[CLOCK_TEXT_MAX];
    clock_format_duration(took, s->took_ns);
    if (s->state == PLANNING_FAILED)
        log_warn("step '%s' FAILED after %s: %s", step->id, took, s->message);
    else if (!run->ctx->json)
        log_info("step '%s' %s after %s%s%s%s%s", step->id, planning_state_name(s->state), took, s->message[0] == '\0' ? "" : ": ", s->message, s->by[0] == '\0' ? "" : ", by ", s->by);
}

static void end_step(struct planning_course *run, size_t i, enum planning_state state, const char *message)
{
    struct planning_step *s = &run->p->steps[i];
    uint64_t deadline_ns = run->plan.steps[i].deadline_s * UINT64_C(1000000000);
    s->state = state;
    s->took_ns = state == PLANNING_SKIPPED ? 0 : planning_course_now(run) - run->workers[i].begun_ns;
    s->is_late = deadline_ns > 0 && s->took_ns > deadline_ns;
    set_text(&s->message, message);
    char **const texts[] = { &s->by, &s->note, &s->choice, &s->copy };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (*texts[k] == NULL)
            set_text(texts[k], "");
    planning_note_step_end(run, i);
    tell(run, i);
}

static void take_work(struct planning_course *run, size_t i)
{
    struct planning_worker *worker = &run->workers[i];
    struct planning_step *s = &run->p->steps[i];
    pthread_join(worker->thread, NULL);
    worker->is_started = false;
    set_text(&s->copy, worker->work.copy);
    s->snapshot = worker->work.snapshot;
    s->snapshot_time_ns = worker->work.snapshot_time_ns;
    s->files = worker->work.files;
    s->bytes = worker->work.bytes;
    end_step(run, i, worker->work.passed ? PLANNING_DONE : PLANNING_FAILED, worker->work.message);
    planning_work_done(&worker->work);
}

// Whoever is to be told that a step waits, or waits no more, is told by a process of its own: here nobody waits for that.
static void tell_others(struct planning_course *run)
{
    const struct context *ctx = run->ctx;
    _cleanup_free_ char *bkd = programs_path("bkd");
    const char *const argv[] = { bkd, "--quiet", "--config-dir", ctx->config_dir, "--state-dir", ctx->state_dir, "watch", NULL };
    struct error err;
    if (run->teller > 0)
        (void)waitpid(run->teller, NULL, WNOHANG);
    if (programs_start(argv, (const char *const *)environ, &run->teller, &err) < 0)
        log_debug("nobody is told that a step waits: %s", err.text);
}

static void take_answer(struct planning_course *run, size_t i, struct planning_answer *answer)
{
    struct planning_step *s = &run->p->steps[i];
    run->workers[i].is_asked = false;
    set_text(&s->by, answer->by);
    set_text(&s->note, answer->note);
    set_text(&s->choice, answer->choice);
    run->p->was_aborted = run->p->was_aborted || strcmp(s->choice, "abort") == 0;
    end_step(run, i, answer->refused ? PLANNING_FAILED : PLANNING_DONE, answer->refused ? "it was not done" : s->choice);
    if (run->workers[i].was_warned)
        tell_others(run);
}

// ---- the begin of a step

static int make_scratch(struct planning_course *run, const struct recovery_system *system, struct error *err)
{
    struct scratch *scratch = &run->scratch[system - run->plan.systems];
    _cleanup_policy_ struct policy policy = { 0 };
    if (scratch->path != NULL)
        return 0;
    int r = context_load_policy(run->ctx, system->policy, &policy, err);
    return r < 0 ? r : scratch_make(run->ctx->io, policy.verify.scratch, scratch, err);
}

// Where the step's system is restored to in this mode and scenario.
static int find_place(struct planning_course *run, const struct recovery_system *system, struct recovery_destination *ret_place, struct error *err)
{
    struct recovery_destination place = { .to = RECOVERY_SCRATCH };
    if (run->p->mode != PLANNING_REHEARSE)
        place = recovery_find_destination(&run->plan, system, run->p->scenario);
    if (place.to == RECOVERY_SCRATCH && system->policy[0] != '\0') {
        int r = make_scratch(run, system, err);
        if (r < 0)
            return r;
        place.tree = run->scratch[system - run->plan.systems].tree;
    }
    *ret_place = place;
    return 0;
}

static void *execute(void *arg)
{
    struct planning_worker *worker = arg;
    planning_step_execute(&worker->work);
    atomic_store(&worker->is_finished, true);
    return NULL;
}

static int start_thread(struct planning_course *run, size_t i, struct error *err)
{
    struct planning_worker *worker = &run->workers[i];
    const struct recovery_step *step = &run->plan.steps[i];
    const struct recovery_system *system = recovery_find_system(&run->plan, step->system);
    worker->work = (struct planning_work){ .ctx = run->ctx, .plan = &run->plan, .step = step, .system = system, .run = run->p->id, .scenario = run->p->scenario,
                                           .identity = run->options->identity, .mode = run->p->mode, .said = planning_note_output, .arg = worker };
    int r = system == NULL ? 0 : find_place(run, system, &worker->work.place, err);
    if (r < 0)
        return r;
    if (worker->work.place.to == RECOVERY_SCRATCH && worker->work.place.tree != NULL)
        worker->work.scratch = &run->scratch[system - run->plan.systems];
    worker->run = run;
    atomic_store(&worker->is_finished, false);
    int error = pthread_create(&worker->thread, NULL, execute, worker);
    if (error != 0)
        return error_set_errno(err, error, "start a thread");
    worker->is_started = true;
    return 0;
}

static void ask(struct planning_course *run, size_t i)
{
    const struct recovery_step *step = &run->plan.steps[i];
    _cleanup_free_ char *question = planning_question(&run->plan, step);
    run->workers[i].is_asked = true;
    log_info("%s", question);
    if (!run->dialogue.enabled)
        log_info("answer with: bkd plan answer %s %s --by NAME%s --note TEXT", run->p->id, step->id, step->type == RECOVERY_DECISION ? " --choice WORD" : "");
}

// Why a step is left out in this mode; NULL = it is not.
static const char *leave_out(const struct planning_course *run, const struct recovery_step *step)
{
    bool acts = step->type == RECOVERY_COMMAND || step->type == RECOVERY_NOTIFY;
    if (run->p->mode == PLANNING_REHEARSE && acts && !step->rehearse)
        return "not exercised: it acts on live systems";
    if (run->p->mode != PLANNING_RUN && planning_is_for_people(run->p->mode, step) && run->options->unattended)
        return "not exercised: nobody is there to answer";
    return NULL;
}

static void start(struct planning_course *run, size_t i)
{
    const struct recovery_step *step = &run->plan.steps[i];
    struct planning_step *s = &run->p->steps[i];
    struct error err;
    const char *why = leave_out(run, step);
    run->workers[i].begun_ns = planning_course_now(run);
    run->workers[i].was_warned = false;
    s->begun_ns = run->workers[i].begun_ns - run->zero_ns;
    if (why != NULL) {
        end_step(run, i, PLANNING_SKIPPED, why);
        return;
    }
    planning_note_step_begin(run, step);
    s->state = PLANNING_RUNNING;
    if (planning_is_for_people(run->p->mode, step)) {
        ask(run, i);
        return;
    }
    if (!run->ctx->json)
        log_info("step '%s' begins: %s", step->id, step->title[0] != '\0' ? step->title : recovery_type_name(step->type));
    if (start_thread(run, i, &err) < 0)
        end_step(run, i, PLANNING_FAILED, err.text);
}

// ---- the loop

static void warn_late(struct planning_course *run, size_t i)
{
    struct planning_worker *worker = &run->workers[i];
    const struct recovery_step *step = &run->plan.steps[i];
    uint64_t limit_ns = worker->is_asked ? planning_patience_ns(step) : step->deadline_s * UINT64_C(1000000000);
    if (run->p->steps[i].state != PLANNING_RUNNING || worker->was_warned || limit_ns == 0 || planning_course_now(run) - worker->begun_ns <= limit_ns)
        return;
    worker->was_warned = true;
    log_warn("step '%s' %s", step->id, worker->is_asked ? "still waits for an answer" : "is past its deadline");
    if (step->deadline_s > 0)
        planning_note_late(run, step);
    if (worker->is_asked)
        tell_others(run);
}

static void listen(struct planning_course *run)
{
    struct planning_dialogue *d = &run->dialogue;
    for (size_t i = 0; i < run->plan.step_count; i++) {
        _cleanup_planning_answer_ struct planning_answer answer = { 0 };
        if (!run->workers[i].is_asked || !planning_answer_read(run->ctx->io, run->directory, run->plan.steps[i].id, &answer))
            continue;
        if (d->step == &run->plan.steps[i])
            planning_dialogue_drop(d);
        take_answer(run, i, &answer);
        if (!run->in_trouble) // the journal has it
            planning_answer_drop(run->ctx->io, run->directory, run->plan.steps[i].id);
    }
    for (size_t i = 0; d->enabled && d->step == NULL && i < run->plan.step_count; i++)
        if (run->workers[i].is_asked)
            planning_dialogue_begin(d, &run->plan.steps[i]);
}

static void wait_a_little(struct planning_course *run)
{
    struct planning_dialogue *d = &run->dialogue;
    _cleanup_planning_answer_ struct planning_answer answer = { 0 };
    const struct recovery_step *step = d->step;
    if (!d->enabled || step == NULL)
        (void)usleep(TICK_MS * 1000);
    else if (planning_dialogue_go_on(d, TICK_MS, &answer))
        take_answer(run, (size_t)(step - run->plan.steps), &answer);
}

// Steps that run, or wait for an answer that may still come.
static size_t tend(struct planning_course *run, bool is_ending)
{
    size_t running = 0;
    for (size_t i = 0; i < run->plan.step_count; i++) {
        struct planning_worker *worker = &run->workers[i];
        if (worker->is_started && atomic_load(&worker->is_finished))
            take_work(run, i);
        warn_late(run, i);
        running += worker->is_started || (worker->is_asked && !is_ending);
    }
    return running;
}

static size_t count_executed(const struct planning_course *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->plan.step_count; i++)
        n += run->workers[i].is_started;
    return n;
}

static void copy_states(struct planning_course *run)
{
    for (size_t i = 0; i < run->plan.step_count; i++)
        run->states[i] = run->p->steps[i].state;
}

// How many were started.
static size_t start_ready(struct planning_course *run)
{
    size_t started = 0, n = plan_run_ready(&run->plan, &run->graph, run->states, run->ready);
    for (size_t i = 0; i < n; i++) {
        if (!planning_is_for_people(run->p->mode, &run->plan.steps[run->ready[i]]) && count_executed(run) >= EXECUTED_MAX)
            continue;
        start(run, run->ready[i]);
        started++;
    }
    return started;
}

static void carry_out(struct planning_course *run)
{
    for (;;) {
        bool is_ending = interrupt_requested() || run->p->was_aborted || run->in_trouble;
        if (!is_ending)
            listen(run);
        size_t running = tend(run, is_ending);
        copy_states(run);
        size_t started = is_ending ? 0 : start_ready(run);
        if (started == 0 && running == 0)
            return;
        if (started == 0)
            wait_a_little(run);
    }
}

// ---- begin and end

static bool misses_objective(const struct planning_course *run)
{
    bool misses = run->plan.rto_s > 0 && run->p->took_ns > run->plan.rto_s * UINT64_C(1000000000);
    for (size_t i = 0; i < run->p->n_steps; i++) {
        const struct recovery_system *system = recovery_find_system(&run->plan, run->plan.steps[i].system);
        const struct planning_step *s = &run->p->steps[i];
        misses = misses || (system != NULL && system->rto_s > 0 && s->begun_ns + s->took_ns > system->rto_s * UINT64_C(1000000000));
    }
    return misses;
}

static void end(struct planning_course *run)
{
    struct planning *p = run->p;
    copy_states(run);
    p->took_ns = planning_course_now(run) - run->zero_ns;
    p->passed = !p->was_aborted && plan_run_passed(run->states, p->n_steps);
    p->misses_rto = p->mode != PLANNING_TABLETOP && misses_objective(run);
    p->n_late = 0; // what was late in an earlier attempt was tried again
    for (size_t i = 0; i < p->n_steps; i++)
        p->n_late += p->steps[i].is_late;
    bool is_over = p->passed || p->was_aborted; // else it is gone on with
    p->ended_ns = is_over ? io_realtime_ns(run->ctx->io) : 0;
    planning_note_end(run, is_over);
}

static void run_done(struct planning_course *run)
{
    for (size_t i = 0; run->scratch != NULL && i < run->plan.system_count; i++)
        if (run->scratch[i].path != NULL)
            scratch_done(&run->scratch[i]);
    planning_dialogue_done(&run->dialogue);
    plan_journal_close(&run->journal);
    recovery_graph_done(&run->graph);
    recovery_done(&run->plan);
    free(run->directory);
    free(run->workers);
    free(run->scratch);
    free(run->ready);
    free(run->states);
}

static int check_scenario(const struct planning_course *run, struct error *err)
{
    const char *scenario = run->options->scenario;
    if (scenario == NULL || recovery_has_scenario(&run->plan, scenario))
        return 0;
    return error_set(err, ERROR_USAGE, "plan %s says nothing of a scenario '%s': no system has a target for it", run->plan.name, scenario);
}

int planning_run(const struct context *ctx, const struct planning_options *options, struct planning *ret_planning, struct error *err)
{
    __attribute__((cleanup(run_done))) struct planning_course run = { .ctx = ctx, .options = options, .p = ret_planning };
    *ret_planning = (struct planning){ 0 };
    int r = planning_load(ctx, options->plan, &run.plan, err);
    if (r == 0)
        r = check_scenario(&run, err);
    if (r < 0)
        return r;
    recovery_graph_init(&run.graph, &run.plan);
    run.workers = xcalloc(run.plan.step_count + 1, sizeof *run.workers);
    run.scratch = xcalloc(run.plan.system_count + 1, sizeof *run.scratch);
    run.ready = xcalloc(run.plan.step_count + 1, sizeof *run.ready);
    run.states = xcalloc(run.plan.step_count + 1, sizeof *run.states);
    for (size_t i = 0; i < run.plan.system_count; i++)
        run.scratch[i].lock_fd = -1;
    run.dialogue.enabled = options->may_ask && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    r = planning_begin(&run, err);
    if (r < 0)
        return r;
    carry_out(&run);
    end(&run);
    if (run.in_trouble)
        *err = run.trouble;
    return run.in_trouble ? (int)err->code : 0;
}
