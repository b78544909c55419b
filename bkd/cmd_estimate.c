// bkd estimate: how long the recovery of a policy would take after a disaster, by what was measured before it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/dr/estimate.h"
#include "bkd/policy/units.h"
#include "bkd/record/runs.h"
#include "bkd/record/snapshots.h"

enum { RUNS_MAX = 200, PARALLEL_MAX = 1000 };

// What is left after it, so where to restore from. After an attack the last clean snapshot has to be found: one restore aside, one in earnest.
static const struct scenario {
    const char *name;
    bool from_repository;
    unsigned restores;
    const char *text;
} scenarios[] = {
    { "disk-loss", true, 1, "the disk with the files is gone, the repository is there" },
    { "host-loss", false, 1, "the host is gone with all its disks" },
    { "site-loss", false, 1, "the place is gone; people and machines meet elsewhere" },
    { "ransomware", false, 2, "nothing here can be believed; a clean snapshot is looked for in a restore aside" },
};

struct estimating {
    const struct cmd_context *ctx;
    struct policy policy;
    struct catalogue catalogue;
    struct estimate_run *runs; // owned
    size_t n;
    struct estimate_model model;
    uint64_t snapshot, files, bytes;
    double line_rate, people_s;
    unsigned parallel;
};

static void estimating_done(struct estimating *e)
{
    free(e->runs);
    catalogue_close(&e->catalogue);
    policy_done(&e->policy);
}

// ---- what was measured

struct seen {
    struct estimate_run run;
    double total_s;
};

static int see_phase(void *arg, const char *name, uint64_t value, struct error *err)
{
    struct seen *s = arg;
    double seconds = (double)value / 1e9;
    (void)err;
    s->total_s += seconds;
    s->run.fetch_s = strcmp(name, "fetch") == 0 ? seconds : s->run.fetch_s;
    s->run.checks_s = strcmp(name, "checks") == 0 ? seconds : s->run.checks_s;
    return 0;
}

static int see_figure(void *arg, const char *name, uint64_t value, struct error *err)
{
    struct seen *s = arg;
    (void)err;
    if (strcmp(name, "files") == 0)
        s->run.files = value;
    else if (strcmp(name, "bytes") == 0)
        s->run.bytes = value;
    else if (strcmp(name, "bytes_fetched") == 0)
        s->run.fetched_bytes = value;
    else if (strcmp(name, "offsite") == 0)
        s->run.is_offsite = value != 0;
    return 0;
}

// One that restored something and was right; also when it was slower than promised.
static int see_run(void *arg, const struct run_record *run, struct error *err)
{
    struct estimating *e = arg;
    struct seen seen = { .total_s = 0 };
    if (run->state != RUN_ENDED || (run->exit_code != 0 && run->exit_code != 5))
        return 0;
    int r = runs_phases(&e->catalogue, run->id, see_phase, &seen, err);
    if (r == 0)
        r = runs_figures(&e->catalogue, run->id, see_figure, &seen, err);
    if (r < 0 || seen.run.files == 0)
        return r;
    seen.run.local_s = seen.total_s - seen.run.fetch_s - seen.run.checks_s;
    e->runs = xrealloc(e->runs, (e->n + 1) * sizeof *e->runs);
    e->runs[e->n++] = seen.run;
    return 0;
}

static int see_snapshot(void *arg, const struct snapshot_record *s, struct error *err)
{
    struct estimating *e = arg;
    (void)err;
    e->snapshot = s->number;
    e->files = s->files;
    e->bytes = s->bytes_source;
    return 0;
}

static int load(struct estimating *e, struct error *err)
{
    const struct runs_filter filter = { .policy = e->policy.name, .kind = "verify", .limit = RUNS_MAX };
    int r = catalogue_open(e->ctx->io, e->ctx->state_dir, CATALOGUE_READ, &e->catalogue, err);
    if (r == 0)
        r = snapshots_list(&e->catalogue, e->policy.name, 1, see_snapshot, e, err);
    if (r == 0)
        r = runs_list(&e->catalogue, &filter, see_run, e, err);
    if (r == 0 && e->snapshot == 0)
        r = error_set(err, ERROR_NOT_FOUND, "policy %s has no snapshot that could be restored: run `bkd backup %s`", e->policy.name, e->policy.name);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    if (e->n == 0)
        return error_set(err, ERROR_NOT_FOUND, "no restore of policy %s was ever measured on this host, and without one an estimate would be a guess: run `bkd verify %s`",
                         e->policy.name, e->policy.name);
    for (size_t i = 0; i < e->n / 2; i++) { // they came newest first
        struct estimate_run swap = e->runs[i];
        e->runs[i] = e->runs[e->n - 1 - i];
        e->runs[e->n - 1 - i] = swap;
    }
    estimate_fit(e->runs, e->n, &e->model);
    return r;
}

// ---- what is asked

// "100Mbit/s" as lines are sold, or "12MiB/s".
static int read_line(const char *text, double *ret_rate, struct error *err)
{
    static const struct { const char *unit; double bits; } units[] = { { "kbit/s", 1e3 }, { "Mbit/s", 1e6 }, { "Gbit/s", 1e9 } };
    char *end = NULL;
    struct error ignored; // what is no size is said below
    uint64_t bytes = 0;
    if (text == NULL)
        return 0;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (value > 0 && value < 1e9 && strcmp(end, units[i].unit) == 0) {
            *ret_rate = value * units[i].bits / 8;
            return 0;
        }
    size_t n = strlen(text);
    _cleanup_free_ char *size = n > 2 && strcmp(text + n - 2, "/s") == 0 ? xstrndup(text, n - 2) : NULL;
    if (size == NULL || units_parse_size(size, &bytes, &ignored) < 0 || bytes == 0)
        return error_set(err, ERROR_USAGE, "--link is a rate such as 100Mbit/s or 12MiB/s, not '%s'", text);
    *ret_rate = (double)bytes;
    return 0;
}

static int read_options(const struct cli_args *args, struct estimating *e, struct error *err)
{
    unsigned long parallel = 0;
    uint64_t people_s = 0;
    const char *arrival = cli_args_option(args, "arrival");
    int r = read_line(cli_args_option(args, "link"), &e->line_rate, err);
    if (r == 0)
        r = cli_args_number(args, "parallel", PARALLEL_MAX, &parallel, err);
    if (r == 0 && arrival != NULL)
        r = units_parse_duration(arrival, &people_s, err);
    e->parallel = (unsigned)parallel;
    e->people_s = (double)people_s;
    return r;
}

static int check_scenario(const char *name, struct error *err)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (name == NULL || strcmp(scenarios[i].name, name) == 0)
            return 0;
    return error_set(err, ERROR_USAGE, "--scenario is disk-loss, host-loss, site-loss or ransomware, not '%s'", name);
}

// ---- telling

static uint64_t ms_of(double seconds) { return (uint64_t)(seconds * 1000 + 0.5); }

static const char *place_of(const struct estimating *e, bool is_offsite) { return is_offsite ? e->policy.offsite.items[0].url : e->policy.repository.url; }

static int print_json(const struct estimating *e, const struct scenario *s, bool is_offsite, const struct estimate *x, struct error *err)
{
    const struct estimate_model *m = &e->model;
    struct json *line = json_line_new("estimate");
    json_add_str(line, "policy", e->policy.name);
    json_add_str(line, "scenario", s->name);
    json_add_str(line, "from", place_of(e, is_offsite));
    json_add_u64(line, "snapshot", e->snapshot);
    json_add_u64(line, "files", e->files);
    json_add_u64(line, "bytes", e->bytes);
    json_add_u64(line, "likely_ms", ms_of(x->likely_s));
    json_add_u64(line, "low_ms", ms_of(x->low_s));
    json_add_u64(line, "high_ms", ms_of(x->high_s));
    struct json *parts = json_add_object(line, "parts");
    for (int i = 0; i < ESTIMATE_PARTS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s_ms", estimate_part_name((enum estimate_part)i));
        json_add_u64(parts, key, ms_of(x->part_s[i]));
    }
    json_add_str(line, "bottleneck", estimate_part_name(x->bottleneck));
    json_add_str(line, "help", estimate_part_help(x->bottleneck));
    json_add_bool(line, "extrapolated", x->is_beyond);
    json_add_bool(line, "line_known", x->line_is_known);
    struct json *model = json_add_object(line, "model");
    json_add_u64(model, "runs", m->runs);
    json_add_double(model, "fixed_ms", m->fixed_s * 1000);
    json_add_double(model, "per_file_us", m->per_file_s * 1e6);
    json_add_double(model, "per_mib_ms", m->per_byte_s * 1048576 * 1000);
    json_add_double(model, "line_bytes_per_s", is_offsite ? m->offsite_rate : m->home_rate);
    json_add_u64(model, "tested", m->tested);
    if (m->tested > 0) {
        json_add_double(model, "median_error", m->median_error);
        json_add_double(model, "worst_error", m->worst_error);
    }
    if (e->policy.objectives.rto_s > 0) {
        json_add_u64(line, "objective_rto_ms", e->policy.objectives.rto_s * 1000);
        json_add_bool(line, "met", x->high_s <= (double)e->policy.objectives.rto_s);
    }
    return cmd_print_line(&line, err);
}

static void format_s(char ret_text[CLOCK_TEXT_MAX], double seconds) { clock_format_duration(ret_text, (uint64_t)(seconds * 1e9)); }

static void print_text(const struct estimating *e, const struct scenario *s, bool is_offsite, const struct estimate *x)
{
    char likely[CLOCK_TEXT_MAX], low[CLOCK_TEXT_MAX], high[CLOCK_TEXT_MAX], part[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    format_s(likely, x->likely_s);
    format_s(low, x->low_s);
    format_s(high, x->high_s);
    format_s(promised, (double)e->policy.objectives.rto_s);
    printf("%s, %s: %s, between %s and %s, from %s\n  (%s)\n  ", e->policy.name, s->name, likely, low, high, place_of(e, is_offsite), s->text);
    for (int i = 0; i < ESTIMATE_PARTS; i++) {
        format_s(part, x->part_s[i]);
        if (x->part_s[i] >= 0.0005)
            printf(" %s %s", estimate_part_name((enum estimate_part)i), part);
    }
    printf("\n  most of it: %s; what would help: %s\n", estimate_part_name(x->bottleneck), estimate_part_help(x->bottleneck));
    if (x->is_beyond)
        printf("  far larger than any restore that was measured: prove a whole snapshot once, `bkd verify %s --sample full`\n", e->policy.name);
    if (!x->line_is_known)
        printf("  nothing is counted for the line: no restore from there was measured; give --link\n");
    if (e->policy.objectives.rto_s > 0)
        printf("  promised are %s: %s\n", promised, x->high_s <= (double)e->policy.objectives.rto_s ? "kept" : x->likely_s <= (double)e->policy.objectives.rto_s ? "not for certain" : "NOT kept");
}

static void print_model(const struct estimating *e)
{
    const struct estimate_model *m = &e->model;
    printf("fitted to %zu measured restores; ", m->runs);
    if (m->tested == 0)
        printf("too few to tell how wrong it is: the interval is a factor of two\n");
    else
        printf("%zu of them foretold from those before: wrong by %.0f %% in the middle, by %.0f %% at worst\n", m->tested, m->median_error * 100, m->worst_error * 100);
}

// Does a copy outlive that? A repository on the host itself does not.
static bool is_survived(const struct estimating *e, const struct scenario *s)
{
    return s->from_repository || e->policy.offsite.count > 0 || policy_store_is_remote(&e->policy.repository) || policy_only_verifies(&e->policy);
}

static int tell_lost(const struct estimating *e, const struct scenario *s, struct error *err)
{
    static const char reason[] = "nothing would be left: the policy has no copy elsewhere; list one below `offsite`";
    if (!e->ctx->json) {
        printf("%s, %s: %s\n", e->policy.name, s->name, reason);
        return 0;
    }
    struct json *line = json_line_new("estimate");
    json_add_str(line, "policy", e->policy.name);
    json_add_str(line, "scenario", s->name);
    json_add_null(line, "likely_ms");
    json_add_str(line, "reason", reason);
    return cmd_print_line(&line, err);
}

static int answer(const struct estimating *e, const struct scenario *s, struct error *err)
{
    struct estimate x;
    bool is_offsite = !s->from_repository && e->policy.offsite.count > 0;
    const struct estimate_question q = { .files = e->files, .bytes = e->bytes, .is_offsite = is_offsite, .line_rate = s->from_repository && !policy_store_is_remote(&e->policy.repository) ? 0 : e->line_rate,
                                         .parallel = e->parallel, .restores = s->restores, .people_s = e->people_s };
    if (!is_survived(e, s))
        return tell_lost(e, s, err);
    estimate_answer(&e->model, &q, &x);
    if (e->ctx->json)
        return print_json(e, s, is_offsite, &x, err);
    print_text(e, s, is_offsite, &x);
    return 0;
}

int cmd_estimate(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    __attribute__((cleanup(estimating_done))) struct estimating e = { .ctx = ctx };
    const char *only = cli_args_option(args, "scenario");
    int r = check_scenario(only, err);
    if (r == 0)
        r = read_options(args, &e, err);
    if (r == 0)
        r = cmd_load_policy(ctx, cli_args_value(args, 0), &e.policy, err);
    if (r == 0)
        r = load(&e, err);
    for (size_t i = 0; r == 0 && i < sizeof scenarios / sizeof *scenarios; i++)
        if (only == NULL || strcmp(only, scenarios[i].name) == 0)
            r = answer(&e, &scenarios[i], err);
    if (r == 0 && !ctx->json)
        print_model(&e);
    return r;
}
