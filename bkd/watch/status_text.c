#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/watch/status.h"

enum { WIDTH = 80, NAME_WIDTH = 16, STATE_WIDTH = 13, LABEL_WIDTH = 18 };

// ---- small things

// Words of `text` from column `indent` to 80, where the cursor is. A word that is longer stays whole.
static void wrap_here(size_t indent, const char *text)
{
    size_t column = indent;
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        if (column > indent && column + 1 + n > WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        for (size_t i = 0; i < n; i++) // names from outside may hold anything
            putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
        column += n;
        text += n + strspn(text + n, " ");
    }
    putchar('\n');
}

static void wrap(const char *first, const char *text)
{
    printf("%s", first);
    wrap_here(strlen(first), text);
}

static const char *colour(enum watch_state state, bool wanted)
{
    static const char *const colours[] = { "\033[32m", "\033[33m", "\033[1;31m" };
    return wanted ? colours[state] : "";
}

static bool colours_are_wanted(void) { return isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL; }

static void print_state(enum watch_state state, size_t width)
{
    bool wanted = colours_are_wanted();
    printf("%s%-*s%s", colour(state, wanted), (int)width, watch_state_name(state), wanted ? "\033[0m" : "");
}

static void add_age(struct buf *out, uint64_t then_ns, uint64_t now_ns)
{
    char age[CLOCK_TEXT_MAX];
    clock_format_age(age, now_ns > then_ns ? now_ns - then_ns : 0);
    buf_add_str(out, age);
}

static void add_time(struct buf *out, uint64_t time_ns)
{
    char time[CLOCK_TEXT_MAX];
    clock_format_utc(time, time_ns, false);
    buf_add_str(out, time);
}

enum shown { SHOW_ALL, SHOW_WARNINGS, SHOW_WRONG };

static void print_findings(const struct watch_findings *findings, const char *indent, enum shown shown)
{
    static const char *const marks[] = { "- ", "! ", "!!" };
    for (size_t i = 0; i < findings->n; i++) {
        const struct watch_finding *f = &findings->items[i];
        if (f->effect == WATCH_NOTE && (shown == SHOW_WRONG || (shown == SHOW_WARNINGS && f->severity == SEVERITY_INFO)))
            continue;
        _cleanup_free_ char *first = xasprintf("%s%s ", indent, marks[f->severity]), *then = xasprintf("%s   -> ", indent);
        wrap(first, f->text);
        if (f->step[0] != '\0')
            wrap(then, f->step);
    }
}

// ---- the overview

static bool is_overdue(const struct watch_copy *copy, uint64_t now_ns)
{
    return copy->snapshot == 0 || (now_ns > copy->snapshot_time_ns && now_ns - copy->snapshot_time_ns > copy->max_age_ns);
}

static void add_copies(struct buf *out, const struct watch_facts *w, uint64_t now_ns)
{
    size_t good = 0;
    for (size_t i = 0; i < w->n_copies; i++)
        good += !is_overdue(&w->copies[i], now_ns);
    if (w->n_copies > 0)
        buf_addf(out, "; copies elsewhere: %zu of %zu", good, w->n_copies);
    else
        buf_add_str(out, "; no copy elsewhere");
}

static void add_next(struct buf *out, const struct watch_facts *w, uint64_t now_ns)
{
    if (w->running_since_ns > 0)
        buf_add_str(out, "; running now");
    else if (w->next_slot_ns > 0) {
        buf_add_str(out, "; next run in ");
        add_age(out, now_ns, w->next_slot_ns);
    }
}

// "newest snapshot 3 h old (24 h promised); copies elsewhere: 2 of 2; proved 2 days ago; next run in 21 h"
static void describe(struct buf *out, const struct watched_policy *item, uint64_t now_ns)
{
    const struct watch_facts *w = &item->loaded.facts;
    if (w->only_verifies)
        buf_add_str(out, "verifies: ");
    if (w->good == 0) {
        buf_add_str(out, w->newest > 0 ? "no snapshot that can be relied on" : "no snapshot");
        return;
    }
    buf_add_str(out, "newest snapshot ");
    add_age(out, w->good_ns, now_ns);
    buf_add_str(out, " old");
    if (w->rpo_ns > 0) {
        buf_add_str(out, " (");
        add_age(out, 0, w->rpo_ns);
        buf_add_str(out, " promised)");
    }
    add_copies(out, w, now_ns);
    if (w->verified_ns > 0 && !w->verification_failed) {
        buf_add_str(out, "; proved ");
        add_age(out, w->verified_ns, now_ns);
        buf_add_str(out, " ago");
    }
    add_next(out, w, now_ns);
}

static void print_policy(const struct watched_policy *item, uint64_t now_ns, enum shown shown)
{
    _cleanup_buf_ struct buf text = { 0 };
    size_t name = strlen(item->name);
    printf("%-*s", NAME_WIDTH, item->name);
    if (name > NAME_WIDTH)
        printf("\n%*s", NAME_WIDTH, "");
    putchar(' ');
    print_state(item->state, STATE_WIDTH);
    putchar(' ');
    if (item->since_ns > 0) {
        buf_add_str(&text, "since ");
        add_time(&text, item->since_ns);
        buf_add_str(&text, ": ");
    }
    describe(&text, item, now_ns);
    wrap_here(NAME_WIDTH + 1 + STATE_WIDTH + 1, buf_str(&text));
    print_findings(&item->findings, "    ", shown);
}

static void print_headline(const struct watched *w)
{
    size_t counts[WATCH_NOT_PROTECTED + 1] = { 0 };
    char now[CLOCK_TEXT_MAX];
    for (size_t i = 0; i < w->n; i++)
        counts[w->items[i].state]++;
    clock_format_utc(now, w->source.now_ns, false);
    if (counts[WATCH_PROTECTED] == w->n && w->n == 1)
        printf("The only policy is protected (%s)\n", now);
    else if (counts[WATCH_PROTECTED] == w->n)
        printf("All %zu policies are protected (%s)\n", w->n, now);
    else
        printf("%zu %s: %zu NOT PROTECTED, %zu at risk, %zu protected (%s)\n", w->n, w->n == 1 ? "policy" : "policies", counts[WATCH_NOT_PROTECTED],
               counts[WATCH_AT_RISK], counts[WATCH_PROTECTED], now);
}

void status_text_overview(const struct watched *w, bool only_wrong)
{
    if (w->n == 0) {
        printf("Nothing is protected: there are no policies.\n   -> write one to %s/policies/NAME.yaml; `man bkd-policy` has examples\n", w->source.ctx->config_dir);
        return;
    }
    print_headline(w);
    // What is worst stands first, where it is seen.
    for (int state = WATCH_NOT_PROTECTED; state >= (only_wrong ? WATCH_AT_RISK : WATCH_PROTECTED); state--)
        for (size_t i = 0; i < w->n; i++)
            if (w->items[i].state == (enum watch_state)state) {
                putchar('\n');
                print_policy(&w->items[i], w->source.now_ns, only_wrong ? SHOW_WRONG : SHOW_WARNINGS);
            }
    if (w->host.n > 0 && !only_wrong)
        printf("\nThis host\n");
    print_findings(&w->host, "    ", only_wrong ? SHOW_WRONG : SHOW_ALL);
    if (!only_wrong)
        printf("\nMore of one: bkd status POLICY\n");
}

// ---- one policy

static void print_row(const char *label, const char *text)
{
    char first[LABEL_WIDTH + 3];
    (void)snprintf(first, sizeof first, "  %-*s", LABEL_WIDTH, label);
    wrap(first, text);
}

static void row_newest(const struct watch_facts *w, uint64_t now_ns)
{
    _cleanup_buf_ struct buf text = { 0 };
    if (w->newest == 0) {
        print_row("Newest snapshot", "none");
        return;
    }
    buf_addf(&text, "%llu of ", (unsigned long long)w->newest);
    add_time(&text, w->newest_ns);
    buf_add_str(&text, ", ");
    add_age(&text, w->newest_ns, now_ns);
    buf_addf(&text, " old, %s%s", w->is_incomplete ? "incomplete" : "complete", w->good == w->newest ? "" : ", NOT to be relied on");
    print_row("Newest snapshot", buf_str(&text));
    if (w->good == 0 || w->good == w->newest)
        return;
    buf_reset(&text);
    buf_addf(&text, "%llu, ", (unsigned long long)w->good);
    add_age(&text, w->good_ns, now_ns);
    buf_add_str(&text, " old");
    print_row("Newest good one", buf_str(&text));
}

static void row_promised(const struct watched_policy *item)
{
    _cleanup_buf_ struct buf text = { 0 };
    const struct policy_objectives *o = &item->policy->objectives;
    if (o->rpo_s == 0 && o->rto_s == 0) {
        print_row("Promised", "nothing (`objectives: {rpo: 24h}` in the policy makes age an alarm)");
        return;
    }
    if (o->rpo_s > 0) {
        buf_add_str(&text, "a snapshot is at most ");
        add_age(&text, 0, o->rpo_s * UINT64_C(1000000000));
        buf_add_str(&text, " old");
    }
    if (o->rto_s > 0) {
        buf_addf(&text, "%sa restore takes at most ", o->rpo_s > 0 ? "; " : "");
        add_age(&text, 0, o->rto_s * UINT64_C(1000000000));
    }
    print_row("Promised", buf_str(&text));
}

static void row_repository(const struct watched_policy *item)
{
    const struct watch_facts *w = &item->loaded.facts;
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "%s", item->policy->repository.url);
    if (w->newest > 0)
        buf_addf(&text, ", %llu snapshot%s%s", (unsigned long long)w->snapshots, w->snapshots == 1 ? "" : "s", w->heads_were_read ? "" : " or more, as remembered here");
    print_row("Repository", buf_str(&text));
    buf_reset(&text);
    buf_addf(&text, "%llu of its snapshots are held until `bkd release`; `bkd snapshots %s` shows which and why", (unsigned long long)w->held, item->name);
    if (w->held > 0)
        print_row("Holds", buf_str(&text));
}

// Each disk of a removable place is a copy of its own.
static void rows_copies(const struct watched_policy *item, uint64_t now_ns)
{
    const struct watched_policy *p = item;
    for (size_t i = 0; i < p->loaded.facts.n_copies; i++) {
        const struct watch_copy *copy = &p->loaded.copies[i];
        size_t shown = 0;
        for (size_t k = 0; k < p->loaded.receipts.n; k++) {
            const struct receipt *receipt = &p->loaded.receipts.items[k];
            _cleanup_buf_ struct buf text = { 0 };
            if (strcmp(receipt->url, copy->url) != 0 || receipt->snapshot == 0)
                continue;
            buf_addf(&text, "%s%s%.8s: snapshot %llu of ", copy->url, receipt->serial[0] == '\0' ? "" : ", disk ", receipt->serial, (unsigned long long)receipt->snapshot);
            add_time(&text, receipt->snapshot_time_ns);
            buf_add_str(&text, ", ");
            add_age(&text, receipt->snapshot_time_ns, now_ns);
            buf_add_str(&text, " old");
            print_row(shown++ + i == 0 ? "Copies" : "", buf_str(&text));
        }
        _cleanup_free_ char *none = xasprintf("%s: nothing there yet", copy->url);
        if (shown == 0)
            print_row(i == 0 ? "Copies" : "", none);
    }
    if (p->loaded.facts.n_copies == 0)
        print_row("Copies", "none: when this place is lost, so is the backup (`offsite` in the policy)");
}

static void rows_runs(const struct watch_facts *w, uint64_t now_ns)
{
    _cleanup_buf_ struct buf last = { 0 }, next = { 0 }, proved = { 0 }, samples = { 0 };
    if (w->running_since_ns > 0) {
        add_age(&last, w->running_since_ns, now_ns);
        print_row("Running for", buf_str(&last));
        buf_reset(&last);
    }
    if (w->run_ended_ns > 0) {
        buf_addf(&last, "number %llu ended ", (unsigned long long)w->run_id);
        add_age(&last, w->run_ended_ns, now_ns);
        buf_addf(&last, " ago with %d", w->run_exit_code);
        print_row("Last run", buf_str(&last));
    }
    if (w->next_slot_ns > 0) {
        add_time(&next, w->next_slot_ns);
        buf_add_str(&next, ", in ");
        add_age(&next, now_ns, w->next_slot_ns);
    }
    print_row("Next run", w->paused_ns > 0        ? "paused"
                          : w->next_slot_ns > 0 ? buf_str(&next)
                          : w->has_schedule     ? "as scheduled"
                          : w->only_verifies    ? "none: it has no sources, and verifies what another host stores"
                                                : "when somebody starts it (no `schedule` in the policy)");
    if (w->verified_ns > 0) {
        buf_addf(&proved, "snapshot %llu, ", (unsigned long long)w->verified);
        add_age(&proved, w->verified_ns, now_ns);
        buf_add_str(&proved, w->verification_failed ? " ago: FAILED" : " ago, by a restore that was compared");
    }
    print_row("Proved", w->verified_ns > 0 ? buf_str(&proved) : "not yet by a restore; bkd check looks through what is stored");
    draws_format(&w->draws, &samples);
    if (w->draws.files > 0)
        print_row("Samples", buf_str(&samples));
}

static void row_disk(const struct watch_disk *disk)
{
    char left[CLOCK_TEXT_MAX], growth[CLOCK_TEXT_MAX];
    _cleanup_buf_ struct buf text = { 0 };
    if (!disk->is_known)
        return;
    clock_format_bytes(left, disk->free_bytes);
    clock_format_bytes(growth, disk->bytes_per_day);
    buf_addf(&text, "%s free", left);
    if (disk->full_in_days != UINT64_MAX)
        buf_addf(&text, "; %s more each day fill it in %llu days", growth, (unsigned long long)disk->full_in_days);
    print_row("Disk", buf_str(&text));
}

void status_text_detail(const struct watched *w)
{
    const struct watched_policy *item = &w->items[0];
    printf("%s: ", item->name);
    print_state(item->state, 0);
    if (item->since_ns > 0) {
        char time[CLOCK_TEXT_MAX];
        clock_format_utc(time, item->since_ns, false);
        printf(" since %s", time);
    }
    putchar('\n');
    if (item->policy != NULL) {
        if (item->policy->description[0] != '\0')
            wrap("", item->policy->description);
        putchar('\n');
        row_newest(&item->loaded.facts, w->source.now_ns);
        row_promised(item);
        row_repository(item);
        rows_copies(item, w->source.now_ns);
        rows_runs(&item->loaded.facts, w->source.now_ns);
        row_disk(&item->loaded.facts.disk);
    }
    if (item->findings.n > 0)
        printf("\nWhat is wrong, and what to do\n");
    print_findings(&item->findings, "  ", SHOW_ALL);
    if (w->host.n > 0)
        printf("\nThis host\n");
    print_findings(&w->host, "  ", SHOW_ALL);
}
