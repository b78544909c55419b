#include "bkd/notify/digest.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/notify/message.h"
#include "bkd/record/alarms.h"
#include "bkd/record/runs.h"
#include "bkd/record/watch_state.h"

// What happened to one policy or recovery plan.
struct line {
    char *name;
    uint64_t good, incomplete, failed, running; // runs of the time
    bool is_policy; // else a recovery plan, or a policy that was removed
    bool was_never_good;
    uint64_t last_good_ns; // its last good backup
    enum watch_state state;
};

struct gathering {
    const struct digest *digest;
    struct line *lines;
    size_t count;
    struct alarms alarms;
    uint64_t good, failed; // runs of the time, of all policies
    size_t policies, at_risk, not_protected;
};

static void gathering_done(struct gathering *g)
{
    for (size_t i = 0; i < g->count; i++)
        free(g->lines[i].name);
    free(g->lines);
    alarms_done(&g->alarms);
}

static struct line *line_of(struct gathering *g, const char *name)
{
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->lines[i].name, name) == 0)
            return &g->lines[i];
    g->lines = xrealloc(g->lines, (g->count + 1) * sizeof *g->lines);
    g->lines[g->count] = (struct line){ .name = xstrdup(name) };
    return &g->lines[g->count++];
}

static int count_run(void *arg, const struct run_record *run, struct error *err)
{
    struct gathering *g = arg;
    struct line *line = line_of(g, run->policy);
    (void)err;
    bool ended = run->state == RUN_ENDED;
    if (run->state == RUN_RUNNING)
        line->running++;
    else if (ended && run->exit_code == 0)
        line->good++;
    else if (ended && run->exit_code == 3)
        line->incomplete++;
    else
        line->failed++;
    g->good += ended && (run->exit_code == 0 || run->exit_code == 3);
    g->failed += run->state == RUN_KILLED || (ended && run->exit_code != 0 && run->exit_code != 3);
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    return x->state != y->state ? (x->state > y->state ? -1 : 1) : strcmp(x->name, y->name);
}

// As `bkd status` says; what has come up since it was noted counts, too.
static int judge(struct gathering *g, struct line *line, struct error *err)
{
    bool known = false;
    int r = watch_state_noted(g->digest->catalogue, line->name, &known, &line->state, err);
    if (r < 0)
        return r;
    if (!known)
        line->state = line->was_never_good ? WATCH_NOT_PROTECTED : WATCH_PROTECTED;
    for (size_t i = 0; i < g->alarms.n && line->state == WATCH_PROTECTED; i++)
        if (strcmp(g->alarms.items[i].policy, line->name) == 0 && g->alarms.items[i].severity > SEVERITY_INFO)
            line->state = WATCH_AT_RISK;
    g->policies++;
    g->at_risk += line->state == WATCH_AT_RISK;
    g->not_protected += line->state == WATCH_NOT_PROTECTED;
    return 0;
}

static int gather_line(struct gathering *g, struct line *line, struct error *err)
{
    struct run_record last;
    int r = runs_last(g->digest->catalogue, line->name, "backup", true, &last, err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    line->was_never_good = r == ERROR_NOT_FOUND;
    line->last_good_ns = line->was_never_good ? 0 : last.ended_ns;
    return line->is_policy ? judge(g, line, err) : 0;
}

static int gather(struct gathering *g, struct error *err)
{
    const struct digest *d = g->digest;
    struct runs_filter filter = { .since_ns = d->since_ns };
    for (size_t i = 0; i < d->policy_count; i++)
        line_of(g, d->policies[i])->is_policy = true;
    int r = alarms_active(d->catalogue, NULL, &g->alarms, err);
    if (r == 0)
        r = runs_list(d->catalogue, &filter, count_run, g, err);
    for (size_t i = 0; i < g->count && r == 0; i++)
        r = gather_line(g, &g->lines[i], err);
    if (r == 0 && g->count > 1)
        qsort(g->lines, g->count, sizeof *g->lines, compare_lines);
    return r;
}

// ---- its text ----------------------------------------------------------------------------------------------------------

static void add_count(uint64_t n, const char *word, bool *some, struct buf *ret_text)
{
    if (n == 0)
        return;
    buf_addf(ret_text, "%s%llu %s", *some ? ", " : "", (unsigned long long)n, word);
    *some = true;
}

static void add_line(const struct gathering *g, const struct line *line, struct buf *ret_text)
{
    char age[CLOCK_TEXT_MAX];
    bool some = false;
    buf_addf(ret_text, "  %-20s %-13s ", line->name, line->is_policy ? watch_state_name(line->state) : "-");
    if (line->was_never_good && line->is_policy) {
        buf_add_str(ret_text, "no good backup on record; ");
    } else if (!line->was_never_good) {
        clock_format_duration(age, g->digest->now_ns > line->last_good_ns ? g->digest->now_ns - line->last_good_ns : 0);
        buf_addf(ret_text, "last good backup %s ago; ", age);
    }
    add_count(line->good, "good", &some, ret_text);
    add_count(line->incomplete, "incomplete", &some, ret_text);
    add_count(line->failed, "FAILED", &some, ret_text);
    add_count(line->running, "running", &some, ret_text);
    buf_add_str(ret_text, some ? "\n" : "nothing ran\n");
}

static void add_alarm(const struct alarm *a, struct buf *ret_text)
{
    char since[CLOCK_TEXT_MAX];
    clock_format_utc(since, a->opened_ns, false);
    buf_addf(ret_text, "  %lld %s %s%s", (long long)a->id, severity_name(a->severity), a->policy, a->policy[0] != '\0' ? ": " : "");
    message_add_line(a->text, 500, ret_text);
    buf_addf(ret_text, " (since %s%s%s)\n", since, a->acknowledged_ns > 0 ? ", known to " : "", a->acknowledged_ns > 0 ? a->acknowledged_by : "");
    if (a->next_step[0] != '\0') {
        buf_add_str(ret_text, "      what to do: ");
        message_add_line(a->next_step, 500, ret_text);
        buf_add_char(ret_text, '\n');
    }
}

static void add_subject(const struct gathering *g, struct buf *ret_text)
{
    buf_addf(ret_text, "[bkd %s] digest: ", g->digest->host);
    if (g->not_protected > 0)
        buf_addf(ret_text, "%zu of %zu policies NOT PROTECTED, ", g->not_protected, g->policies);
    if (g->at_risk > 0)
        buf_addf(ret_text, "%zu of %zu policies AT RISK, ", g->at_risk, g->policies);
    if (g->not_protected + g->at_risk == 0)
        buf_addf(ret_text, "all %zu policies PROTECTED, ", g->policies);
    if (g->good + g->failed == 0)
        buf_add_str(ret_text, "nothing ran");
    else
        buf_addf(ret_text, "%llu runs, %llu failed", (unsigned long long)(g->good + g->failed), (unsigned long long)g->failed);
}

static void add_body(const struct gathering *g, struct buf *ret_text)
{
    char since[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
    clock_format_utc(since, g->digest->since_ns, false);
    clock_format_utc(now, g->digest->now_ns, false);
    buf_addf(ret_text, "Host %s, %s to %s\n\n", g->digest->host, since, now);
    if (g->good + g->failed == 0)
        buf_add_str(ret_text, "Nothing happened in this time.\n\n");
    buf_add_str(ret_text, g->policies > 0 ? "Policies\n" : "There are no policies: nothing is backed up.\n");
    for (size_t i = 0; i < g->count; i++)
        add_line(g, &g->lines[i], ret_text);
    buf_add_str(ret_text, g->alarms.n > 0 ? "\nWhat stands\n" : "\nNo alarm stands.\n");
    for (size_t i = 0; i < g->alarms.n; i++)
        add_alarm(&g->alarms.items[i], ret_text);
    buf_add_str(ret_text, "\nThis message comes every day. When it does not, nothing watches this host's backups: see `bkd status` there.\n");
}

int digest_make(const struct digest *digest, struct buf *ret_subject, struct buf *ret_body, struct error *err)
{
    __attribute__((cleanup(gathering_done))) struct gathering g = { .digest = digest };
    int r = gather(&g, err);
    if (r < 0)
        return r;
    add_subject(&g, ret_subject);
    add_body(&g, ret_body);
    return 0;
}
