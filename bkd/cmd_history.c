// bkd history, bkd runs list, bkd runs show: what was done when, and what came of it.
#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/printable.h"
#include "bkd/cmd.h"
#include "bkd/history/history.h"
#include "bkd/history/profiling.h"
#include "bkd/record/snapshots.h"

struct listing {
    const struct context *ctx;
    uint64_t runs;
};

static int show_run(void *arg, const struct run_record *run, struct error *err)
{
    struct listing *l = arg;
    if (l->runs++ == 0 && !l->ctx->json)
        history_print_title();
    return history_print(l->ctx, run, err);
}

static int finish(const struct listing *l, const struct runs_filter *filter, struct error *err)
{
    if (l->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "runs", l->runs);
        json_add_bool(line, "complete", filter->limit == 0 || l->runs < filter->limit);
        return json_line_print(&line, stdout, err);
    }
    if (l->runs == 0)
        printf("no such runs\n");
    else if (l->runs == filter->limit && l->ctx->verbosity >= 0)
        printf("(the last %llu; --limit N shows more, --limit 0 all)\n", (unsigned long long)l->runs);
    return 0;
}

int cmd_history(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    struct runs_filter filter;
    struct listing listing = { .ctx = ctx };
    int r = history_filter(ctx, args, &filter, err);
    if (r == 0)
        r = history_open(ctx, &c, err);
    if (r == 0)
        r = runs_list(&c, &filter, show_run, &listing, err);
    return r < 0 ? r : finish(&listing, &filter, err);
}

// ---- one run

static void print_time(const char *title, uint64_t time_ns)
{
    char text[CLOCK_TEXT_MAX];
    clock_format_utc(text, time_ns, false);
    if (time_ns != 0)
        printf("%-12s %s\n", title, text);
}

static void print_run(const struct run_record *run)
{
    char result[32], took[CLOCK_TEXT_MAX];
    _cleanup_buf_ struct buf message = { 0 };
    history_result(run, result);
    printable_add(&message, run->message, strlen(run->message));
    printf("%-12s %lld (%s)\n%-12s %s of %s\n", "run", (long long)run->id, run->uid, "what", run->kind, run->policy);
    printf("%-12s %s%s\n", "started by", run_trigger_name(run->trigger), run->attempt > 1 ? "" : ", first try");
    if (run->attempt > 1)
        printf("%-12s %u\n", "try", run->attempt);
    print_time("slot", run->slot_ns);
    print_time("started", run->started_ns);
    print_time("ended", run->ended_ns);
    printf("%-12s %s\n", "result", result);
    if (run->ended_ns > run->started_ns) {
        clock_format_duration(took, run->ended_ns - run->started_ns);
        printf("%-12s %s\n", "took", took);
    }
    if (run->host[0] != '\0')
        printf("%-12s %s, process %ld\n", "host", run->host, (long)run->process.pid);
    if (run->message[0] != '\0')
        printf("%-12s %s\n", "message", buf_str(&message));
    if (run->snapshot != 0)
        printf("%-12s %llu\n", "snapshot", (unsigned long long)run->snapshot);
}

// What is known of a run beside the run: into a JSON line (NULL: text), but what belongs to its profile.
struct parts {
    struct json *phases, *figures;
    struct profile_report profile;
};

static int show_phase(void *arg, const char *name, uint64_t value, struct error *err)
{
    struct parts *parts = arg;
    char text[CLOCK_TEXT_MAX];
    (void)err;
    if (profiling_read(&parts->profile, true, name, value))
        return 0;
    if (parts->phases != NULL) {
        _cleanup_free_ char *key = xasprintf("%s_ms", name);
        json_add_u64(parts->phases, key, value / 1000000);
        return 0;
    }
    clock_format_duration(text, value);
    printf("  %-24s %20s\n", name, text);
    return 0;
}

static int show_figure(void *arg, const char *name, uint64_t value, struct error *err)
{
    struct parts *parts = arg;
    char text[CLOCK_TEXT_MAX];
    (void)err;
    if (profiling_read(&parts->profile, false, name, value))
        return 0;
    if (parts->figures != NULL) {
        json_add_u64(parts->figures, name, value);
        return 0;
    }
    clock_format_bytes(text, value);
    bool is_bytes = strstr(name, "bytes") != NULL;
    printf("  %-24s %20llu%s%s%s\n", name, (unsigned long long)value, is_bytes ? "  (" : "", is_bytes ? text : "", is_bytes ? ")" : "");
    return 0;
}

static int show_place(void *arg, int64_t copy, const char *url, const char *serial, uint64_t arrived_ns, uint64_t gone_ns, struct error *err)
{
    char arrived[CLOCK_TEXT_MAX], gone[CLOCK_TEXT_MAX];
    (void)copy;
    (void)err;
    clock_format_utc(arrived, arrived_ns, false);
    clock_format_utc(gone, gone_ns, false);
    if (arg != NULL) {
        struct json *place = json_append_object(arg);
        json_add_str(place, "url", url);
        json_add_str(place, "serial", serial[0] == '\0' ? NULL : serial);
        json_add_time(place, "arrived", arrived_ns);
        if (gone_ns != 0)
            json_add_time(place, "gone", gone_ns);
        return 0;
    }
    printf("  %s%s%s  since %s%s%s\n", url, serial[0] == '\0' ? "" : " disk ", serial, arrived, gone_ns == 0 ? "" : ", gone ", gone_ns == 0 ? "" : gone);
    return 0;
}

// The snapshot a run made; one that only worked on a snapshot has none of its own.
static int show_places(struct catalogue *c, const struct run_record *run, struct json *line, struct error *err)
{
    int64_t snapshot = 0;
    int r = snapshots_of_run(c, run->id, &snapshot, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    if (r == 0 && line == NULL)
        printf("where the snapshot is\n");
    return r < 0 ? r : snapshots_places(c, snapshot, show_place, line == NULL ? NULL : json_add_array(line, "places"), err);
}

static void show_profile(struct json *line, const struct profile_report *profile)
{
    if (line != NULL)
        profiling_add_json(line, profile);
    else
        profiling_print(profile);
}

static int show_all(const struct context *ctx, struct catalogue *c, const struct run_record *run, struct error *err)
{
    _cleanup_json_ struct json *line = NULL;
    struct parts parts = { 0 };
    if (ctx->json) {
        line = json_line_new("run");
        history_add_json(line, ctx, run);
        json_add_str(line, "host", run->host);
        json_add_u64(line, "pid", (uint64_t)run->process.pid);
        parts.phases = json_add_object(line, "phases");
        parts.figures = json_add_object(line, "figures");
    } else {
        print_run(run);
        printf("phases and figures\n");
    }
    int r = runs_phases(c, run->id, show_phase, &parts, err);
    if (r == 0)
        r = runs_figures(c, run->id, show_figure, &parts, err);
    if (r == 0 && parts.profile.wall_ns > 0)
        show_profile(line, &parts.profile);
    if (r == 0)
        r = show_places(c, run, line, err);
    return r < 0 || line == NULL ? r : json_line_print(&line, stdout, err);
}

int cmd_runs_show(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    const char *text = cli_args_value(args, 0);
    struct run_record run;
    uint64_t id = 0;
    if (!parse_u64(text, strlen(text), INT64_MAX, &id))
        return error_set(err, ERROR_USAGE, "'%s' is no number of a run; `bkd history` lists them", text);
    int r = history_open(ctx, &c, err);
    if (r == 0)
        r = runs_get(&c, (int64_t)id, &run, err);
    return r < 0 ? r : show_all(ctx, &c, &run, err);
}
