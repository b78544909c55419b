#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/keydir.h"
#include "bkd/receipts.h"
#include "bkd/repo/holds.h"
#include "bkd/setup.h"

// What is protected, what is not, since when, and what to do.
struct status {
    const char *policy; // borrowed
    bool has_snapshot, complete;
    uint64_t snapshot, time_ns, problems, record_problems;
    uint64_t held; // snapshots
    char *reason; // why nothing is known, or NULL; owned
};

struct names {
    char **items;
    size_t n;
};

static int collect_policy(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct names *names = arg;
    size_t n = strlen(name);
    (void)type;
    (void)err;
    if (n <= 5 || strcmp(name + n - 5, ".yaml") != 0)
        return 0;
    names->items = xrealloc(names->items, (names->n + 1) * sizeof *names->items);
    names->items[names->n++] = xstrndup(name, n - 5);
    return 0;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// Holds keep space for as long as nobody releases them.
static void look_at_records(const struct setup *s, const struct repository *repository, const uint8_t chain[16], struct status *status)
{
    _cleanup_records_ struct records records = { 0 };
    struct error ignored; // the store answered for the heads; `bkd check` says what is wrong with records
    if (records_load(repository, buf_str(&s->signers), &records, &ignored) < 0)
        return;
    status->record_problems = records_count_problems(&records);
    for (size_t i = 0; i < repository->n_heads; i++)
        if (memcmp(repository->heads[i].chain, chain, 16) == 0)
            status->held += holds_is_held(&records, &repository->heads[i]);
}

static void look_at(const struct setup *s, struct status *status)
{
    _cleanup_repository_ struct repository *repository = NULL;
    const struct repository_head *head = NULL;
    struct error why;
    uint8_t chain[16];
    int r = setup_open_repository(s, &repository, &why);
    if (r == 0)
        r = setup_find_chain(s, repository, chain, &why);
    if (r == 0)
        r = repository_find(repository, chain, "latest", &head, &why);
    if (r < 0) {
        status->reason = xstrdup(why.text);
        return;
    }
    status->has_snapshot = true;
    status->snapshot = head->number;
    status->time_ns = head->head.time_ns;
    status->complete = (head->head.flags & FORMAT_INCOMPLETE) == 0;
    status->problems = repository_count_problems(repository);
    look_at_records(s, repository, chain, status);
}

// ---- copies

static bool is_overdue(const struct cmd_context *ctx, const struct policy_store *place, const struct receipt *receipt)
{
    uint64_t now = io_realtime_ns(ctx->io), limit = place->max_age_s * UINT64_C(1000000000);
    return receipt == NULL || receipt->snapshot == 0 || (now > receipt->snapshot_time_ns && now - receipt->snapshot_time_ns > limit);
}

static void copy_json(const struct cmd_context *ctx, const struct policy_store *place, const struct receipt *receipt, struct json *array)
{
    struct json *copy = json_append_object(array);
    json_add_str(copy, "url", place->url);
    if (receipt != NULL && receipt->serial[0] != '\0')
        json_add_str(copy, "disk", receipt->serial);
    if (receipt != NULL && receipt->snapshot > 0) {
        json_add_u64(copy, "snapshot", receipt->snapshot);
        json_add_time(copy, "time", receipt->snapshot_time_ns);
        json_add_time(copy, "shipped", receipt->shipped_ns);
    }
    json_add_bool(copy, "overdue", is_overdue(ctx, place, receipt));
    if (receipt != NULL && receipt->failing_since_ns > 0) {
        json_add_time(copy, "failing_since", receipt->failing_since_ns);
        json_add_u64(copy, "failures", receipt->failures);
        json_add_str(copy, "problem", receipt->problem);
    }
}

static void copy_text(const struct cmd_context *ctx, const struct policy_store *place, const struct receipt *receipt)
{
    char time[CLOCK_TEXT_MAX];
    if (receipt == NULL || receipt->snapshot == 0) {
        printf("%-20s copy %s: nothing there yet%s%s\n", "", place->url, receipt != NULL && receipt->problem != NULL ? ": " : "",
               receipt != NULL && receipt->problem != NULL ? receipt->problem : "");
        return;
    }
    clock_format_utc(time, receipt->snapshot_time_ns, false);
    printf("%-20s copy %s%s%.8s: snapshot %llu of %s%s\n", "", place->url, receipt->serial[0] == '\0' ? "" : ", disk ", receipt->serial,
           (unsigned long long)receipt->snapshot, time, is_overdue(ctx, place, receipt) ? ", OLDER THAN IT MAY BE" : "");
    if (receipt->failing_since_ns == 0)
        return;
    clock_format_utc(time, receipt->failing_since_ns, false);
    printf("%-20s   fails since %s (%u tries): %s\n", "", time, receipt->failures, receipt->problem == NULL ? "" : receipt->problem);
}

// Each disk of a removable place is a copy of its own; a place without any receipt is shown, too. array NULL: as text.
static bool show_copies(const struct setup *s, struct json *array)
{
    _cleanup_receipts_ struct receipts receipts = { .lock_fd = -1 };
    struct error ignored; // without receipts nothing is known, which is what is shown then
    bool overdue = false;
    if (s->policy.offsite.count == 0)
        return false;
    (void)!receipts_open(s->ctx->io, s->ctx->state_dir, s->policy.name, false, &receipts, &ignored);
    for (size_t i = 0; i < s->policy.offsite.count; i++) {
        const struct policy_store *place = &s->policy.offsite.items[i];
        const struct receipt *newest = receipts_newest(&receipts, place->url);
        overdue |= is_overdue(s->ctx, place, newest);
        for (size_t k = 0; k < receipts.n || (k == 0 && newest == NULL); k++) {
            const struct receipt *receipt = newest == NULL ? NULL : &receipts.items[k];
            if (receipt != NULL && strcmp(receipt->url, place->url) != 0)
                continue;
            if (array != NULL)
                copy_json(s->ctx, place, receipt, array);
            else
                copy_text(s->ctx, place, receipt);
            if (receipt == NULL)
                break;
        }
    }
    return overdue;
}

static int print_json(const struct setup *s, const struct status *st, bool *ret_overdue, struct error *err)
{
    const struct cmd_context *ctx = s->ctx;
    struct json *line = json_line_new("policy");
    json_add_str(line, "policy", st->policy);
    json_add_bool(line, "protected", st->has_snapshot && st->complete && st->problems == 0);
    if (st->has_snapshot) {
        uint64_t now = io_realtime_ns(ctx->io);
        json_add_u64(line, "snapshot", st->snapshot);
        json_add_time(line, "time", st->time_ns);
        json_add_u64(line, "age_ms", now > st->time_ns ? (now - st->time_ns) / 1000000 : 0);
        json_add_bool(line, "complete", st->complete);
        json_add_u64(line, "head_problems", st->problems);
        json_add_u64(line, "record_problems", st->record_problems);
        json_add_u64(line, "held", st->held);
    } else {
        json_add_str(line, "reason", st->reason);
    }
    *ret_overdue = s->policy.offsite.count > 0 && show_copies(s, json_add_array(line, "copies"));
    return cmd_print_line(&line, err);
}

static void print_text(const struct cmd_context *ctx, const struct status *st)
{
    if (!st->has_snapshot) {
        printf("%-20s NOT PROTECTED: %s\n", st->policy, st->reason);
        return;
    }
    char time[CLOCK_TEXT_MAX], age[CLOCK_TEXT_MAX];
    uint64_t now = io_realtime_ns(ctx->io);
    clock_format_utc(time, st->time_ns, false);
    clock_format_duration(age, now > st->time_ns ? now - st->time_ns : 0);
    printf("%-20s snapshot %llu of %s, %s ago%s\n", st->policy, (unsigned long long)st->snapshot, time, age,
           st->complete ? "" : ", incomplete: see what the run reported, and run `bkd backup` again");
    if (st->problems > 0)
        printf("%-20s %llu heads are not right: run `bkd check %s`\n", "", (unsigned long long)st->problems, st->policy);
    if (st->record_problems > 0)
        printf("%-20s %llu records (tags, holds, releases) are not right: run `bkd check %s`\n", "", (unsigned long long)st->record_problems, st->policy);
    if (st->held > 0)
        printf("%-20s %llu of its snapshots are held until `bkd release`: `bkd snapshots %s` shows which and why\n", "", (unsigned long long)st->held, st->policy);
}

// Of several policies, what weighs most: an alarm, then what is not protected.
static void note_exit_code(struct cmd_context *ctx, const struct status *st, bool overdue)
{
    int alarm = error_exit_code(ERROR_INTEGRITY);
    if (st->problems + st->record_problems > 0)
        ctx->exit_code = alarm;
    else if ((overdue || !st->has_snapshot) && ctx->exit_code != alarm)
        ctx->exit_code = error_exit_code(ERROR_OBJECTIVE);
}

static int show_policy(struct cmd_context *ctx, const char *policy, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    struct status status = { .policy = policy };
    struct error why;
    int r = setup_load(ctx, policy, &s, &why);
    if (r < 0)
        status.reason = xstrdup(why.text);
    else
        look_at(&s, &status);
    if (r == 0)
        status.policy = s.policy.name;
    s.ctx = ctx;
    bool overdue = false;
    r = 0;
    if (ctx->json) {
        r = print_json(&s, &status, &overdue, err);
    } else {
        print_text(ctx, &status);
        overdue = show_copies(&s, NULL);
    }
    note_exit_code(ctx, &status, overdue);
    free(status.reason);
    return r;
}

static int show_identities(const struct cmd_context *ctx, struct error *err)
{
    _cleanup_free_ char *keys = xasprintf("%s/keys", ctx->config_dir);
    if (!keydir_has_identity(ctx->io, keys))
        return 0;
    const char *text = "identities lie on this host: whoever breaks in can read all backups; move operations.txt to the host that restores, and recovery.txt off line";
    if (ctx->json) {
        struct json *line = json_line_new("warning");
        json_add_str(line, "directory", keys);
        json_add_str(line, "message", text);
        return cmd_print_line(&line, err);
    }
    printf("warning: %s: %s\n", keys, text);
    return 0;
}

int cmd_status(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    const char *policy = cli_args_value(args, 0);
    if (policy != NULL) {
        int r = show_policy(ctx, policy, err);
        return r < 0 ? r : show_identities(ctx, err);
    }
    struct names names = { 0 };
    _cleanup_free_ char *dir = xasprintf("%s/policies", ctx->config_dir);
    int r = fs_list_dir(ctx->io, AT_FDCWD, dir, collect_policy, &names, err);
    if (r == ERROR_NOT_FOUND)
        r = error_set(err, ERROR_USAGE, "there is no '%s': write a policy there, or give --config-dir", dir);
    if (names.n > 1)
        qsort(names.items, names.n, sizeof *names.items, compare_names);
    for (size_t i = 0; i < names.n; i++) {
        if (r == 0)
            r = show_policy(ctx, names.items[i], err);
        free(names.items[i]);
    }
    free(names.items);
    return r < 0 ? r : show_identities(ctx, err);
}
