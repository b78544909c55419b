#include "bkd/dr/drill.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"

enum { RANDOM_BYTES = 3 };

const char *drill_result_name(enum drill_result result)
{
    static const char *const names[] = { "passed", "failed", "skipped" };
    return names[result];
}

bool drill_is_of_plan(const char *kind) { return strcmp(kind, DRILL_REHEARSAL) == 0 || strcmp(kind, DRILL_TABLETOP) == 0; }

// The line is on the disk when this returns.
static int write_line(struct drill *d, const struct json *line, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    json_format(line, &text);
    buf_add_char(&text, '\n');
    int r = io_write_all(d->io, d->journal_fd, text.data, text.len, "journal.jsonl", err);
    if (r == 0)
        r = io_fsync(d->io, d->journal_fd, "journal.jsonl", err);
    return r < 0 ? error_prefix(err, "drill %s", d->id) : 0;
}

static void name_drill(struct drill *d)
{
    char when[CLOCK_TEXT_MAX];
    uint8_t random[RANDOM_BYTES];
    clock_format_utc(when, d->started_ns, false); // 2026-11-26T09:31…
    io_random(d->io, random, sizeof random);
    (void)snprintf(d->id, sizeof d->id, "%.4s%.2s%.2s-%.2s%.2s-%02x%02x%02x", when, when + 5, when + 8, when + 11, when + 14, random[0], random[1], random[2]);
}

static void describe(struct drill *d, const struct drill_about *about)
{
    struct json *r = d->record;
    json_add_str(r, "id", d->id);
    json_add_str(r, "kind", about->kind);
    json_add_str(r, "plan", about->plan);
    json_add_str(r, "plan_version", about->plan_version);
    json_add_time(r, "started", d->started_ns);
    json_add_str(r, "place", about->place);
    json_add_str(r, "responsible", about->responsible);
    json_add_str(r, "participants", about->participants);
    json_add_str(r, "scope", about->scope);
    json_add_str(r, "copy", about->copy);
    if (about->snapshot > 0)
        json_add_u64(r, "snapshot", about->snapshot);
    if (about->objective_rto_ms > 0)
        json_add_u64(r, "objective_rto_ms", about->objective_rto_ms);
    if (about->objective_rpo_ms > 0)
        json_add_u64(r, "objective_rpo_ms", about->objective_rpo_ms);
}

int drill_begin(const struct io *io, const char *state_dir, const struct drill_about *about, struct drill *ret_drill, struct error *err)
{
    struct drill d = { .io = io, .journal_fd = -1, .started_ns = io_realtime_ns(io), .since_ns = io_monotonic_ns(io) };
    name_drill(&d);
    d.dir = xasprintf("%s/drills/%s", state_dir, d.id);
    d.record = json_line_new("drill");
    describe(&d, about);
    _cleanup_free_ char *journal = xasprintf("%s/journal.jsonl", d.dir);
    int r = fs_make_dirs(io, AT_FDCWD, d.dir, 0700, err);
    if (r == 0)
        r = io_open(io, AT_FDCWD, journal, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600, &d.journal_fd, err);
    if (r == 0)
        r = write_line(&d, d.record, err);
    if (r == 0)
        r = fs_sync_parent(io, AT_FDCWD, journal, err);
    if (r < 0) {
        drill_done(&d);
        return error_prefix(err, "this drill cannot be recorded");
    }
    d.steps = json_add_array(d.record, "steps");
    d.not_exercised = json_add_array(d.record, "not_exercised");
    d.problems = json_add_array(d.record, "problems");
    *ret_drill = d;
    return 0;
}

static void add_step(struct json *object, const struct drill_step *step, uint64_t begun_ns)
{
    json_add_str(object, "name", step->name);
    if (step->planned_ms > 0)
        json_add_u64(object, "planned_ms", step->planned_ms);
    json_add_u64(object, "begun_ms", begun_ns / 1000000);
    json_add_u64(object, "took_ms", step->took_ns / 1000000);
    json_add_str(object, "result", drill_result_name(step->result));
    json_add_str(object, "text", step->text);
    if (step->snapshot > 0) {
        json_add_u64(object, "snapshot", step->snapshot);
        json_add_str(object, "copy", step->copy);
    }
}

int drill_step(struct drill *d, const struct drill_step *step, struct error *err)
{
    _cleanup_json_ struct json *line = json_line_new("step");
    uint64_t since_ns = io_monotonic_ns(d->io) - d->since_ns, begun_ns = step->begun_ns != NULL ? *step->begun_ns : since_ns > step->took_ns ? since_ns - step->took_ns : 0;
    d->n_failed += step->result == DRILL_FAILED;
    add_step(json_append_object(d->steps), step, begun_ns);
    json_add_time(line, "time", io_realtime_ns(d->io));
    add_step(line, step, begun_ns);
    return write_line(d, line, err);
}

static int add_text(struct drill *d, struct json *array, const char *type, const char *text, struct error *err)
{
    _cleanup_json_ struct json *line = json_line_new(type);
    json_append_str(array, text);
    json_add_str(line, "text", text);
    return write_line(d, line, err);
}

int drill_not_exercised(struct drill *d, const char *text, struct error *err) { return add_text(d, d->not_exercised, "not_exercised", text, err); }

int drill_problem(struct drill *d, const char *text, struct error *err) { return add_text(d, d->problems, "problem", text, err); }

void drill_figure(struct drill *d, const char *name, uint64_t value) { json_add_u64(d->record, name, value); }

// ---- what was promised

static double share_of(uint64_t ms, uint64_t promised_ms) { return (double)ms / (promised_ms > 0 ? (double)promised_ms : 1); }

void drill_loss(struct drill *d, uint64_t snapshot_time_ns, uint64_t promised_ms)
{
    uint64_t age_ms = d->started_ns > snapshot_time_ns ? (d->started_ns - snapshot_time_ns) / 1000000 : 0;
    bool is_promised = promised_ms > 0, was_promised = d->loss_promised_ms > 0;
    if (d->has_loss && (is_promised < was_promised || (is_promised == was_promised && share_of(age_ms, promised_ms) <= share_of(d->loss_ms, d->loss_promised_ms))))
        return;
    d->has_loss = true;
    d->loss_ms = age_ms;
    d->loss_promised_ms = promised_ms;
}

static void judge_loss(struct drill *d)
{
    if (!d->has_loss)
        return;
    json_add_u64(d->record, "loss_ms", d->loss_ms);
    if (d->loss_promised_ms > 0 && json_number(d->record, "objective_rpo_ms") == 0) // a plan's is that of the policy
        json_add_u64(d->record, "objective_rpo_ms", d->loss_promised_ms);
    if (d->loss_promised_ms > 0 && d->has_passed)
        json_add_bool(d->record, "within_rpo", d->loss_ms <= d->loss_promised_ms);
}

// By hand; whoever carried out a plan knows more, and says so itself.
static void judge_recovery(struct drill *d)
{
    uint64_t took_ms = json_number(d->record, "by_hand_ms"), promised_ms = json_number(d->record, "objective_rto_ms");
    if (d->has_passed && took_ms > 0 && promised_ms > 0)
        json_add_bool(d->record, "within_rto", took_ms <= promised_ms);
}

int drill_end(struct drill *d, enum drill_end end, const char *evaluation, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/record.json", d->dir);
    d->ended_ns = io_realtime_ns(d->io);
    d->has_passed = d->n_failed == 0 && end == DRILL_HELD;
    json_add_time(d->record, "ended", d->ended_ns);
    json_add_u64(d->record, "took_ms", (io_monotonic_ns(d->io) - d->since_ns) / 1000000);
    json_add_bool(d->record, "passed", d->has_passed);
    json_add_bool(d->record, "broken_off", end == DRILL_BROKEN_OFF);
    judge_recovery(d);
    judge_loss(d);
    json_add_str(d->record, "evaluation", evaluation);
    json_format(d->record, &text);
    buf_add_char(&text, '\n');
    int r = fs_create_file(d->io, AT_FDCWD, path, 0600, text.data, text.len, err);
    return r < 0 ? error_prefix(err, "the record of drill %s", d->id) : 0;
}

bool drill_was_broken_off(const struct json *record)
{
    bool is_broken_off = false; // records of before do not say
    return json_get_bool(record, "broken_off", &is_broken_off) && is_broken_off;
}

void drill_done(struct drill *d)
{
    if (d->io != NULL && d->journal_fd >= 0)
        io_close_quietly(d->io, &d->journal_fd);
    json_free(&d->record);
    free(d->dir);
    *d = (struct drill){ .journal_fd = -1 };
}
