#include "bkd/plans/planning_note.h"

#include "bkd/base/process.h"

#define OUTPUT_LINES_MAX 200 // of one step that go into the journal

static void note(struct planning_course *run, struct json *line, bool sync)
{
    struct error err;
    if (plan_journal_write(&run->journal, &line, sync, &err) < 0 && !run->in_trouble) {
        run->trouble = err;
        run->in_trouble = true;
    }
}

static struct json *new_line(const struct planning_course *run, const char *type)
{
    struct json *line = json_line_new(type);
    json_add_time(line, "time", io_realtime_ns(run->ctx->io));
    json_add_u64(line, "at_ms", (planning_course_now(run) - run->zero_ns) / 1000000);
    return line;
}

void planning_note_output(void *arg, const struct recovery_step *step, const char *text)
{
    struct planning_worker *worker = arg;
    struct error ignored; // output is for people; begins and ends are what counts
    if (worker->lines++ >= OUTPUT_LINES_MAX)
        return;
    struct json *line = new_line(worker->run, "output");
    json_add_str(line, "step", step->id);
    json_add_str(line, "text", text);
    (void)!plan_journal_write(&worker->run->journal, &line, false, &ignored);
}

void planning_note_begin(struct planning_course *run, const char *type)
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
    json_add_u64(line, "monotonic_ns", planning_course_now(run));
    struct json *ids = json_add_array(line, "steps");
    for (size_t i = 0; i < run->plan.step_count; i++)
        json_append_str(ids, run->plan.steps[i].id);
    note(run, line, true);
}

void planning_note_step_end(struct planning_course *run, size_t i)
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
    if (s->snapshot > 0)
        json_add_time(line, "snapshot_time", s->snapshot_time_ns);
    json_add_u64(line, "files", s->files);
    json_add_u64(line, "bytes", s->bytes);
    note(run, line, true);
}

void planning_note_step_begin(struct planning_course *run, const struct recovery_step *step)
{
    struct json *line = new_line(run, "step_begin");
    json_add_str(line, "step", step->id);
    json_add_str(line, "owner", step->owner);
    if (planning_is_for_people(run->p->mode, step)) { // whoever looks on needs no plan for that, which may have changed
        _cleanup_free_ char *question = planning_question(&run->plan, step);
        json_add_str(line, "question", question);
        json_add_bool(line, "choice", step->type == RECOVERY_DECISION);
        json_add_u64(line, "patience_ms", planning_patience_ns(step) / 1000000);
    }
    note(run, line, true);
}

void planning_note_late(struct planning_course *run, const struct recovery_step *step)
{
    struct json *line = new_line(run, "late");
    json_add_str(line, "step", step->id);
    note(run, line, true);
}

void planning_note_end(struct planning_course *run, bool is_over)
{
    const struct planning *p = run->p;
    struct json *line = new_line(run, is_over ? "end" : "stop");
    json_add_bool(line, "passed", p->passed);
    json_add_bool(line, "aborted", p->was_aborted);
    json_add_u64(line, "took_ms", p->took_ns / 1000000);
    json_add_u64(line, "late", p->n_late);
    json_add_bool(line, "misses_rto", p->misses_rto);
    note(run, line, true);
}
