#include "bkd/host/surroundings.h"

#include <string.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"

// ---- reporting -------------------------------------------------------------------------------------------------------------

static void print_hook(void *arg, const struct hooks_outcome *o)
{
    static const char *const ends[] = { "exited", "killed", "timed-out", "interrupted" };
    const struct surroundings *s = arg;
    if (!s->setup->ctx->json)
        return;
    struct error ignored; // standard output gone: the summary will say so
    struct json *line = json_line_new("hook");
    json_add_str(line, "policy", s->setup->policy.name);
    json_add_str(line, "phase", hooks_phase_names[o->phase]);
    json_add_str(line, "name", o->name);
    json_add_str(line, "program", o->program);
    json_add_bool(line, "ok", o->started && proc_result_ok(o->result));
    json_add_str(line, "end", o->started ? ends[o->result->end] : "not-started");
    if (o->started && o->result->end == PROC_EXITED)
        json_add_i64(line, "exit", o->result->code);
    else
        json_add_null(line, "exit");
    json_add_str(line, "reason", o->why);
    json_add_u64(line, "duration_ms", o->result->duration_ns / 1000000);
    json_add_u64(line, "output_bytes", o->result->output.total_bytes);
    json_add_bool(line, "truncated", o->result->output.total_bytes > o->result->output.tail.len);
    json_add_name(line, "output", buf_str(&o->result->output.tail), o->result->output.tail.len);
    (void)!json_line_print(&line, stdout, &ignored);
}

static void note_problem(struct surroundings *s, const struct error *err)
{
    log_error("%s", err->text);
    if (s->problem.code == 0)
        s->problem = *err;
}

// ---- facts -----------------------------------------------------------------------------------------------------------------

static void add_names(const struct surroundings *s, enum hooks_phase phase, struct env *ret_facts)
{
    env_init(ret_facts, NULL);
    env_add(ret_facts, "BKD_PHASE", hooks_phase_names[phase]);
    env_add(ret_facts, "BKD_POLICY", s->setup->policy.name);
    env_add(ret_facts, "BKD_HOST", s->setup->host);
    env_add(ret_facts, "BKD_REPOSITORY", s->setup->policy.repository.url);
    env_add(ret_facts, "BKD_TAG", s->tag);
}

static void add_failure(const struct error *err, struct env *facts)
{
    env_add(facts, "BKD_RESULT", interrupt_requested() ? "interrupted" : "failed");
    env_add_u64(facts, "BKD_EXIT_CODE", (uint64_t)error_exit_code(err->code));
    env_add(facts, "BKD_ERROR", err->text);
}

static void add_success(const struct surroundings *s, const struct backup_result *result, struct env *facts)
{
    bool complete = result->complete && s->problem.code == 0 && s->follow_up.code == 0;
    enum error_code code = complete ? ERROR_NONE : ERROR_INCOMPLETE;
    code = s->follow_up.code != 0 ? s->follow_up.code : result->damaged_objects > 0 ? ERROR_INTEGRITY : code;
    env_add(facts, "BKD_RESULT", code == ERROR_INTEGRITY ? "damaged" : complete ? "ok" : "incomplete");
    env_add_u64(facts, "BKD_EXIT_CODE", (uint64_t)error_exit_code(code));
    env_add(facts, "BKD_ERROR", s->follow_up.code != 0 ? s->follow_up.text : s->problem.code != 0 ? s->problem.text : NULL);
    env_add_u64(facts, "BKD_SNAPSHOT", result->snapshot);
    env_add_u64(facts, "BKD_FILES", result->files);
    env_add_u64(facts, "BKD_BYTES_SOURCE", result->bytes_source);
    env_add_u64(facts, "BKD_BYTES_READ", result->bytes_read);
    env_add_u64(facts, "BKD_BYTES_STORED", result->bytes_stored);
    env_add_u64(facts, "BKD_SKIPPED", result->skipped + result->unstable_files);
}

// ---- around the run --------------------------------------------------------------------------------------------------------

// Programs that make snapshots end when somebody wants this process to end; those that remove them do not, since nobody else would.
static bool must_stop(void *arg)
{
    const struct surroundings *s = arg;
    return !s->was_interrupted && interrupt_requested();
}

static int take_views(struct surroundings *s, const struct env *facts, struct error *err)
{
    int r = views_take(&s->views, facts, err);
    for (size_t i = 0; r == 0 && i < s->setup->sources.count; i++)
        s->setup->sources.list[i].read_from = views_path(&s->views, s->setup->sources.list[i].path);
    return r;
}

static int begin(void *arg, struct error *err)
{
    struct surroundings *s = arg;
    const struct context *ctx = s->setup->ctx;
    _cleanup_free_ char *state_dir = xasprintf("%s/policies/%s", ctx->state_dir, s->setup->policy.name);
    _cleanup_env_ struct env facts = { 0 };
    views_init(&s->views, &s->system, &s->setup->policy, state_dir);
    add_names(s, HOOKS_BEFORE, &facts);
    int r = hooks_open(&s->hooks, ctx->io, state_dir, err);
    if (r == 0)
        r = views_release_left(&s->views, &facts, err);
    if (r == 0)
        r = hooks_run(&s->hooks, HOOKS_BEFORE, &facts, err);
    if (r == 0)
        r = take_views(s, &facts, err);
    return r < 0 ? error_prefix(err, "nothing was backed up") : 0;
}

static void release_views(struct surroundings *s)
{
    _cleanup_env_ struct env facts = { 0 };
    struct error why;
    s->was_interrupted = true;
    add_names(s, HOOKS_AFTER, &facts);
    if (views_release(&s->views, &facts, &why) < 0)
        note_problem(s, &why);
    views_done(&s->views);
}

static void run_last_hooks(struct surroundings *s, enum hooks_phase phase, int r, const struct backup_result *result, const struct error *err)
{
    _cleanup_env_ struct env facts = { 0 };
    struct error why;
    add_names(s, phase, &facts);
    if (r < 0)
        add_failure(err, &facts);
    else
        add_success(s, result, &facts);
    if (hooks_run(&s->hooks, phase, &facts, &why) < 0)
        note_problem(s, &why);
}

static void committed(void *arg, struct store *store)
{
    const struct surroundings *s = arg;
    if (s->beside != NULL)
        s->beside(s->arg, store);
}

static void end(void *arg, int r, const struct backup_result *result, const struct error *err)
{
    struct surroundings *s = arg;
    s->has_ended = true;
    progress_pause(s->progress);
    release_views(s);
    if (r == 0 && s->committed != NULL)
        (void)!s->committed(s->arg, result, &s->follow_up); // the caller reports it
    if (r < 0)
        run_last_hooks(s, HOOKS_ON_FAILURE, r, result, err);
    run_last_hooks(s, HOOKS_AFTER, r, result, err);
    hooks_close(&s->hooks);
}

void surroundings_init(struct surroundings *s, struct setup *setup, struct progress *progress, const char *tag)
{
    *s = (struct surroundings){ .setup = setup, .progress = progress, .tag = tag, .around = { begin, committed, end, s } };
    s->hooks = (struct hooks){ .policy = &setup->policy, .log_fd = -1, .interrupted = interrupt_requested, .report = print_hook, .arg = s };
    view_system_init(&s->system, setup->ctx->io, must_stop, s);
}

void surroundings_tell_failure(struct surroundings *s, const struct error *err)
{
    s->hooks.io = s->setup->ctx->io;
    if (!s->has_ended && err->code != ERROR_BUSY && err->code != ERROR_USAGE)
        run_last_hooks(s, HOOKS_ON_FAILURE, err->code, NULL, err);
}

int surroundings_problem(const struct surroundings *s, struct error *err)
{
    return error_set(err, ERROR_INCOMPLETE, "policy %s: the snapshot is committed, but what was to follow failed: %s", s->setup->policy.name, s->problem.text);
}

bool surroundings_are_wanted(const struct policy *policy)
{
    bool wanted = policy->hooks_before.count + policy->hooks_after.count + policy->hooks_on_failure.count > 0;
    for (size_t i = 0; i < policy->source_count; i++)
        wanted = wanted || policy->sources[i].snapshot.wanted;
    return wanted;
}
