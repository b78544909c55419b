// A run of a recovery plan, from its begin, or from where it was interrupted, to its end. One thread decides, writes the journal's begins and ends and listens for
// answers; each step that is executed has a thread of its own.
//
//   waiting --start--> running --finish--> done, failed        (a step that the mode leaves out: waiting --leave_out--> skipped)
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/process.h"
#include "bkd/dr/plan_journal.h"
#include "bkd/dr/scratch.h"
#include "bkd/planning_ask.h"
#include "bkd/planning_step.h"
#include "bkd/who.h"

#define TICK_MS 100
#define OUTPUT_LINES_MAX 200 // of one step that go into the journal

struct worker {
    pthread_t thread;
    bool is_started, is_asked; // a thread executes it; people answer it
    atomic_bool is_finished;
    struct planning_work work;
    uint64_t begun_ns; // monotonic
    unsigned lines;
    bool was_warned; // that it is late
    struct run *run;
};

struct run {
    const struct cmd_context *ctx;
    const struct planning_options *options;
    struct recovery plan;
    struct recovery_graph graph;
    struct plan_journal journal;
    char *directory;
    struct planning *p;
    uint64_t zero_ns; // on the monotonic clock: the begin of the run
    struct worker *workers;  // of each step
    struct scratch *scratch; // of each system; path NULL = none is made
    size_t *ready;
    enum planning_state *states;
    struct planning_dialogue dialogue;
    struct error trouble; // the journal cannot be written
    bool in_trouble;
};

static uint64_t now(const struct run *run) { return io_monotonic_ns(run->ctx->io); }

// ---- the journal

static void note(struct run *run, struct json *line, bool sync)
{
    struct error err;
    if (plan_journal_write(&run->journal, &line, sync, &err) < 0 && !run->in_trouble) {
        run->trouble = err;
        run->in_trouble = true;
    }
}

static struct json *new_line(const struct run *run, const char *type)
{
    struct json *line = json_line_new(type);
    json_add_time(line, "time", io_realtime_ns(run->ctx->io));
    json_add_u64(line, "at_ms", (now(run) - run->zero_ns) / 1000000);
    return line;
}

// Called by the threads of steps.
static void note_output(void *arg, const struct recovery_step *step, const char *text)
{
    struct worker *worker = arg;
    struct error ignored; // output is for people; begins and ends are what counts
    if (worker->lines++ >= OUTPUT_LINES_MAX)
        return;
    struct json *line = new_line(worker->run, "output");
    json_add_str(line, "step", step->id);
    json_add_str(line, "text", text);
    (void)!plan_journal_write(&worker->run->journal, &line, false, &ignored);
}

static void note_begin(struct run *run, const char *type)
{
    struct process self;
    struct json *line = new_line(run, type);
    process_self(&self);
    json_add_str(line, "run", run->p->id);
    json_add_str(line, "plan", run->plan.name);
    json_add_str(line, "file", run->plan.file);
    json_add_str(line, "sha256", run->plan.sha256);
    json_add_str(line, "mode", planning_mode_name(run->p->mode));
    json_add_str(line, "scenario", run->p->scenario);
    json_add_str(line, "by", run->p->by);
    json_add_str(line, "host", run->p->host);
    json_add_str(line, "boot", self.boot_id);
    json_add_u64(line, "monotonic_ns", now(run));
    struct json *ids = json_add_array(line, "steps");
    for (size_t i = 0; i < run->plan.step_count; i++)
        json_append_str(ids, run->plan.steps[i].id);
    note(run, line, true);
}

static void note_step_end(struct run *run, size_t i)
{
    const struct planning_step *s = &run->p->steps[i];
    struct json *line = new_line(run, "step_end");
    json_add_str(line, "step", run->plan.steps[i].id);
    json_add_str(line, "state", planning_state_name(s->state));
    json_add_u64(line, "begun_ms", s->begun_ns / 1000000);
    json_add_u64(line, "took_ms", s->took_ns / 1000000);
    json_add_u64(line, "deadline_ms", run->plan.steps[i].deadline_s * 1000);
    json_add_bool(line, "late", s->is_late);
    json_add_str(line, "message", s->message);
    json_add_str(line, "by", s->by);
    json_add_str(line, "note", s->note);
    json_add_str(line, "choice", s->choice);
    json_add_str(line, "copy", s->copy);
    json_add_u64(line, "snapshot", s->snapshot);
    json_add_u64(line, "files", s->files);
    json_add_u64(line, "bytes", s->bytes);
    note(run, line, true);
}

// ---- the end of a step

static void set_text(char **at, const char *text)
{
    char *copy = xstrdup(text == NULL ? "" : text);
    free(*at);
    *at = copy;
}

static void tell(const struct run *run, size_t i)
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

static void end_step(struct run *run, size_t i, enum planning_state state, const char *message)
{
    struct planning_step *s = &run->p->steps[i];
    uint64_t deadline_ns = run->plan.steps[i].deadline_s * UINT64_C(1000000000);
    s->state = state;
    s->took_ns = state == PLANNING_SKIPPED ? 0 : now(run) - run->workers[i].begun_ns;
    s->is_late = deadline_ns > 0 && s->took_ns > deadline_ns;
    set_text(&s->message, message);
    char **const texts[] = { &s->by, &s->note, &s->choice, &s->copy };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (*texts[k] == NULL)
            set_text(texts[k], "");
    note_step_end(run, i);
    tell(run, i);
}

static void take_work(struct run *run, size_t i)
{
    struct worker *worker = &run->workers[i];
    struct planning_step *s = &run->p->steps[i];
    pthread_join(worker->thread, NULL);
    worker->is_started = false;
    set_text(&s->copy, worker->work.copy);
    s->snapshot = worker->work.snapshot;
    s->files = worker->work.files;
    s->bytes = worker->work.bytes;
    end_step(run, i, worker->work.passed ? PLANNING_DONE : PLANNING_FAILED, worker->work.message);
    planning_work_done(&worker->work);
}

static void take_answer(struct run *run, size_t i, struct planning_answer *answer)
{
    struct planning_step *s = &run->p->steps[i];
    run->workers[i].is_asked = false;
    set_text(&s->by, answer->by);
    set_text(&s->note, answer->note);
    set_text(&s->choice, answer->choice);
    run->p->was_aborted = run->p->was_aborted || strcmp(s->choice, "abort") == 0;
    end_step(run, i, answer->refused ? PLANNING_FAILED : PLANNING_DONE, answer->refused ? "it was not done" : s->choice);
}

// ---- the begin of a step

static int make_scratch(struct run *run, const struct recovery_system *system, struct error *err)
{
    struct scratch *scratch = &run->scratch[system - run->plan.systems];
    _cleanup_policy_ struct policy policy = { 0 };
    if (scratch->path != NULL)
        return 0;
    int r = cmd_load_policy(run->ctx, system->policy, &policy, err);
    return r < 0 ? r : scratch_make(run->ctx->io, policy.verify.scratch, scratch, err);
}

// Where the step's system is restored to in this mode and scenario.
static int find_place(struct run *run, const struct recovery_system *system, struct planning_place *ret_place, struct error *err)
{
    const struct recovery_target *target = recovery_find_target(system, run->p->scenario);
    struct planning_place place = { .to = target == NULL ? RECOVERY_IN_PLACE : (enum recovery_place)target->to, .tree = "/" };
    if (run->p->mode == PLANNING_REHEARSE)
        place.to = RECOVERY_SCRATCH;
    bool at_home = target == NULL || (target->to == RECOVERY_IN_PLACE && target->host[0] == '\0');
    if (place.to != RECOVERY_SCRATCH)
        place.host = recovery_find_host(&run->plan, at_home ? system->host : target->host);
    if (place.to == RECOVERY_DIRECTORY)
        place.tree = target->path;
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
    struct worker *worker = arg;
    planning_step_execute(&worker->work);
    atomic_store(&worker->is_finished, true);
    return NULL;
}

static int start_thread(struct run *run, size_t i, struct error *err)
{
    struct worker *worker = &run->workers[i];
    const struct recovery_step *step = &run->plan.steps[i];
    const struct recovery_system *system = recovery_find_system(&run->plan, step->system);
    worker->work = (struct planning_work){ .ctx = run->ctx, .plan = &run->plan, .step = step, .system = system, .run = run->p->id, .scenario = run->p->scenario,
                                           .identity = run->options->identity, .mode = run->p->mode, .said = note_output, .arg = worker };
    int r = system == NULL ? 0 : find_place(run, system, &worker->work.place, err);
    if (r < 0)
        return r;
    worker->run = run;
    atomic_store(&worker->is_finished, false);
    int error = pthread_create(&worker->thread, NULL, execute, worker);
    if (error != 0)
        return error_set_errno(err, error, "start a thread");
    worker->is_started = true;
    return 0;
}

static void ask(struct run *run, size_t i)
{
    const struct recovery_step *step = &run->plan.steps[i];
    const struct recovery_role *role = recovery_find_role(&run->plan, step->owner);
    _cleanup_buf_ struct buf text = { 0 };
    run->workers[i].is_asked = true;
    buf_addf(&text, "step '%s'", step->id);
    if (role != NULL)
        buf_addf(&text, " (%s: %s, else %s; %s)", role->name, role->holder, role->deputy, role->contact);
    buf_addf(&text, ": %s", step->instruction[0] != '\0' ? step->instruction : step->title[0] != '\0' ? step->title : recovery_type_name(step->type));
    log_info("%s", buf_str(&text));
    if (!run->dialogue.enabled)
        log_info("answer with: bkd plan answer %s %s --by NAME%s --note TEXT", run->p->id, step->id, step->type == RECOVERY_DECISION ? " --choice WORD" : "");
}

static bool is_for_people(const struct run *run, const struct recovery_step *step)
{
    return run->p->mode == PLANNING_TABLETOP || step->type == RECOVERY_MANUAL || step->type == RECOVERY_DECISION;
}

// Why a step is left out in this mode; NULL = it is not.
static const char *leave_out(const struct run *run, const struct recovery_step *step)
{
    bool acts = step->type == RECOVERY_COMMAND || step->type == RECOVERY_NOTIFY;
    if (run->p->mode == PLANNING_REHEARSE && acts && !step->rehearse)
        return "not exercised: it acts on live systems";
    if (run->p->mode != PLANNING_RUN && is_for_people(run, step) && run->options->unattended)
        return "not exercised: nobody is there to answer";
    return NULL;
}

static void start(struct run *run, size_t i)
{
    const struct recovery_step *step = &run->plan.steps[i];
    struct planning_step *s = &run->p->steps[i];
    struct error err;
    const char *why = leave_out(run, step);
    run->workers[i].begun_ns = now(run);
    run->workers[i].was_warned = false;
    s->begun_ns = run->workers[i].begun_ns - run->zero_ns;
    if (why != NULL) {
        end_step(run, i, PLANNING_SKIPPED, why);
        return;
    }
    struct json *line = new_line(run, "step_begin");
    json_add_str(line, "step", step->id);
    json_add_str(line, "owner", step->owner);
    note(run, line, true);
    s->state = PLANNING_RUNNING;
    if (is_for_people(run, step)) {
        ask(run, i);
        return;
    }
    if (!run->ctx->json)
        log_info("step '%s' begins: %s", step->id, step->title[0] != '\0' ? step->title : recovery_type_name(step->type));
    if (start_thread(run, i, &err) < 0)
        end_step(run, i, PLANNING_FAILED, err.text);
}

// ---- the loop

static void warn_late(struct run *run, size_t i)
{
    struct worker *worker = &run->workers[i];
    uint64_t deadline_ns = run->plan.steps[i].deadline_s * UINT64_C(1000000000);
    if (run->p->steps[i].state != PLANNING_RUNNING || worker->was_warned || deadline_ns == 0 || now(run) - worker->begun_ns <= deadline_ns)
        return;
    worker->was_warned = true;
    log_warn("step '%s' is past its deadline", run->plan.steps[i].id);
    struct json *line = new_line(run, "late");
    json_add_str(line, "step", run->plan.steps[i].id);
    note(run, line, true);
}

static void listen(struct run *run)
{
    struct planning_dialogue *d = &run->dialogue;
    for (size_t i = 0; i < run->plan.step_count; i++) {
        _cleanup_planning_answer_ struct planning_answer answer = { 0 };
        if (!run->workers[i].is_asked || !planning_answer_take(run->ctx->io, run->directory, run->plan.steps[i].id, &answer))
            continue;
        if (d->step == &run->plan.steps[i])
            planning_dialogue_drop(d);
        take_answer(run, i, &answer);
    }
    for (size_t i = 0; d->enabled && d->step == NULL && i < run->plan.step_count; i++)
        if (run->workers[i].is_asked)
            planning_dialogue_begin(d, &run->plan.steps[i]);
}

static void wait_a_little(struct run *run)
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
static size_t tend(struct run *run, bool is_ending)
{
    size_t running = 0;
    for (size_t i = 0; i < run->plan.step_count; i++) {
        struct worker *worker = &run->workers[i];
        if (worker->is_started && atomic_load(&worker->is_finished))
            take_work(run, i);
        warn_late(run, i);
        running += worker->is_started || (worker->is_asked && !is_ending);
    }
    return running;
}

static void copy_states(struct run *run)
{
    for (size_t i = 0; i < run->plan.step_count; i++)
        run->states[i] = run->p->steps[i].state;
}

static void carry_out(struct run *run)
{
    for (;;) {
        bool is_ending = interrupt_requested() || run->p->was_aborted || run->in_trouble;
        if (!is_ending)
            listen(run);
        size_t running = tend(run, is_ending);
        copy_states(run);
        size_t n = is_ending ? 0 : plan_run_ready(&run->plan, &run->graph, run->states, run->ready);
        for (size_t i = 0; i < n; i++)
            start(run, run->ready[i]);
        if (n == 0 && running == 0)
            return;
        if (n == 0)
            wait_a_little(run);
    }
}

// ---- begin and end

static bool can_go_on(const void *arg, const struct planning *p)
{
    const struct planning_options *o = arg;
    return p->ended_ns == 0 && p->mode == o->mode && strcmp(p->scenario, o->scenario == NULL ? "" : o->scenario) == 0;
}

// What was interrupted is done again; so is what lay in scratch space.
static void forget_unfinished(struct run *run)
{
    for (size_t i = 0; i < run->p->n_steps; i++) {
        const struct recovery_step *step = &run->plan.steps[i];
        const struct recovery_system *system = recovery_find_system(&run->plan, step->system);
        const struct recovery_target *target = system == NULL ? NULL : recovery_find_target(system, run->p->scenario);
        bool in_scratch = run->p->mode == PLANNING_REHEARSE || (target != NULL && target->to == RECOVERY_SCRATCH);
        bool is_over = run->p->steps[i].state == PLANNING_DONE || run->p->steps[i].state == PLANNING_SKIPPED;
        if (!is_over || (step->type == RECOVERY_RESTORE && in_scratch))
            run->p->steps[i].state = PLANNING_WAITING;
    }
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
static void find_zero(struct run *run)
{
    struct origin origin = { 0 };
    struct process self;
    struct error ignored;
    uint64_t real = io_realtime_ns(run->ctx->io), since = real > run->p->started_ns ? real - run->p->started_ns : 0;
    process_self(&self);
    (void)!plan_journal_read(run->ctx->io, run->directory, take_origin, &origin, &ignored);
    bool same_boot = origin.boot[0] != '\0' && strcmp(origin.boot, self.boot_id) == 0;
    run->zero_ns = same_boot ? origin.monotonic_ns : now(run) > since ? now(run) - since : 0;
}

static int go_on(struct run *run, struct error *err)
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
    note_begin(run, "resume");
    return run->in_trouble ? (*err = run->trouble, (int)err->code) : 0;
}

static void make_id(const struct run *run, unsigned attempt, char ret_id[PLANNING_ID_MAX + 1])
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

static int begin_anew(struct run *run, struct error *err)
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
    run->zero_ns = now(run);
    note_begin(run, "begin");
    return run->in_trouble ? (*err = run->trouble, (int)err->code) : 0;
}

static bool misses_objective(const struct run *run)
{
    bool misses = run->plan.rto_s > 0 && run->p->took_ns > run->plan.rto_s * UINT64_C(1000000000);
    for (size_t i = 0; i < run->p->n_steps; i++) {
        const struct recovery_system *system = recovery_find_system(&run->plan, run->plan.steps[i].system);
        const struct planning_step *s = &run->p->steps[i];
        misses = misses || (system != NULL && system->rto_s > 0 && s->begun_ns + s->took_ns > system->rto_s * UINT64_C(1000000000));
    }
    return misses;
}

static void end(struct run *run)
{
    struct planning *p = run->p;
    copy_states(run);
    p->took_ns = now(run) - run->zero_ns;
    p->passed = !p->was_aborted && plan_run_passed(run->states, p->n_steps);
    p->misses_rto = p->mode != PLANNING_TABLETOP && misses_objective(run);
    for (size_t i = 0; i < p->n_steps; i++)
        p->n_late += p->steps[i].is_late;
    bool is_over = p->passed || p->was_aborted; // else it is gone on with
    p->ended_ns = is_over ? io_realtime_ns(run->ctx->io) : 0;
    struct json *line = new_line(run, is_over ? "end" : "stop");
    json_add_bool(line, "passed", p->passed);
    json_add_bool(line, "aborted", p->was_aborted);
    json_add_u64(line, "took_ms", p->took_ns / 1000000);
    json_add_u64(line, "late", p->n_late);
    json_add_bool(line, "misses_rto", p->misses_rto);
    note(run, line, true);
}

static void run_done(struct run *run)
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

static int check_scenario(const struct run *run, struct error *err)
{
    const char *scenario = run->options->scenario;
    if (scenario == NULL || recovery_has_scenario(&run->plan, scenario))
        return 0;
    return error_set(err, ERROR_USAGE, "plan %s says nothing of a scenario '%s': no system has a target for it", run->plan.name, scenario);
}

int planning_run(const struct cmd_context *ctx, const struct planning_options *options, struct planning *ret_planning, struct error *err)
{
    __attribute__((cleanup(run_done))) struct run run = { .ctx = ctx, .options = options, .p = ret_planning };
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
    bool is_old = !options->anew && planning_find(ctx, run.plan.name, can_go_on, options, ret_planning);
    r = is_old ? go_on(&run, err) : begin_anew(&run, err);
    if (r < 0)
        return r;
    carry_out(&run);
    end(&run);
    if (run.in_trouble)
        *err = run.trouble;
    return run.in_trouble ? (int)err->code : 0;
}
