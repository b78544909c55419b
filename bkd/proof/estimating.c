#include "bkd/proof/estimating.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/policy/units.h"
#include "bkd/record/runs.h"
#include "bkd/record/snapshots.h"

enum { RUNS_MAX = 200, PARALLEL_MAX = 1000 };

const struct estimating_scenario estimating_scenarios[ESTIMATING_SCENARIOS] = {
    { "disk-loss", true, false, 1, "the disk with the files is gone, the repository is there" },
    { "host-loss", false, false, 1, "the host is gone with all its disks" },
    { "site-loss", false, true, 1, "the place is gone; people and machines meet elsewhere" },
    { "ransomware", false, false, 2, "nothing here can be believed; a clean snapshot is looked for in a restore aside" },
};

int estimating_find_scenario(const char *name, const struct estimating_scenario **ret_scenario, struct error *err)
{
    for (size_t i = 0; i < ESTIMATING_SCENARIOS; i++)
        if (strcmp(estimating_scenarios[i].name, name) == 0) {
            *ret_scenario = &estimating_scenarios[i];
            return 0;
        }
    return error_set(err, ERROR_USAGE, "--scenario is disk-loss, host-loss, site-loss or ransomware, not '%s'", name);
}

void estimating_done(struct estimating *e)
{
    free(e->runs);
    policy_done(&e->policy);
    *e = (struct estimating){ 0 };
}

// ---- what was measured

struct loading {
    struct catalogue *catalogue;
    struct estimating *e;
};

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
    const struct loading *l = arg;
    struct estimating *e = l->e;
    struct seen seen = { .run.time_ns = run->started_ns };
    if (run->state != RUN_ENDED || (run->exit_code != 0 && run->exit_code != 5))
        return 0;
    int r = runs_phases(l->catalogue, run->id, see_phase, &seen, err);
    if (r == 0)
        r = runs_figures(l->catalogue, run->id, see_figure, &seen, err);
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

int estimating_load(const struct context *ctx, struct catalogue *catalogue, const char *policy, uint64_t before_ns, struct estimating *ret_estimating, struct error *err)
{
    struct estimating *e = ret_estimating;
    *e = (struct estimating){ 0 };
    int r = context_load_policy(ctx, policy, &e->policy, err);
    if (r < 0)
        return r;
    const struct runs_filter filter = { .policy = e->policy.name, .kind = "verify", .until_ns = before_ns, .limit = RUNS_MAX };
    r = snapshots_list(catalogue, e->policy.name, 1, see_snapshot, e, err);
    if (r == 0)
        r = runs_list(catalogue, &filter, see_run, &(struct loading){ catalogue, e }, err);
    if (r == 0 && e->snapshot == 0)
        return error_set(err, ERROR_NOT_FOUND, "policy %s has no snapshot that could be restored: run `bkd backup %s`", e->policy.name, e->policy.name);
    if (r == 0 && e->n == 0)
        return error_set(err, ERROR_NOT_FOUND, "no restore of policy %s was ever measured on this host, and without one an estimate would be a guess: run `bkd verify %s`",
                         e->policy.name, e->policy.name);
    for (size_t i = 0; i < e->n / 2; i++) { // they came newest first
        struct estimate_run swap = e->runs[i];
        e->runs[i] = e->runs[e->n - 1 - i];
        e->runs[e->n - 1 - i] = swap;
    }
    if (r == 0)
        estimate_fit(e->runs, e->n, &e->model);
    return r;
}

bool estimating_is_survived(const struct policy *policy, const struct estimating_scenario *scenario)
{
    return scenario->from_repository || policy->offsite.count > 0 || policy_store_is_remote(&policy->repository) || policy_only_verifies(policy);
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

int estimating_read_options(const struct cli_args *args, struct estimating_options *ret_options, struct error *err)
{
    struct estimating_options o = { .scenario = NULL };
    unsigned long parallel = 0;
    uint64_t people_s = 0;
    const char *scenario = cli_args_option(args, "scenario"), *arrival = cli_args_option(args, "arrival");
    int r = scenario == NULL ? 0 : estimating_find_scenario(scenario, &o.scenario, err);
    if (r == 0)
        r = read_line(cli_args_option(args, "link"), &o.line_rate, err);
    if (r == 0)
        r = cli_args_number(args, "parallel", PARALLEL_MAX, &parallel, err);
    if (r == 0 && cli_args_option(args, "parallel") != NULL && parallel == 0)
        r = error_set(err, ERROR_USAGE, "--parallel is how many restores run at once: at least 1");
    if (r == 0 && arrival != NULL)
        r = units_parse_duration(arrival, &people_s, err);
    o.parallel = (unsigned)parallel;
    o.has_people = arrival != NULL;
    o.people_s = (double)people_s;
    if (r == 0)
        *ret_options = o;
    return r;
}

double estimating_people_s(const struct estimating_options *options, const struct config *config, const struct estimating_scenario *scenario)
{
    uint64_t elsewhere_s = config->arrival_elsewhere_s > 0 ? config->arrival_elsewhere_s : config->arrival_s;
    return options->has_people ? options->people_s : (double)(scenario->is_elsewhere ? elsewhere_s : config->arrival_s);
}

uint64_t estimating_ms(double seconds) { return (uint64_t)(seconds * 1000 + 0.5); }

void estimating_format(char ret_text[CLOCK_TEXT_MAX], double seconds) { clock_format_duration(ret_text, (uint64_t)(seconds * 1e9)); }
