// bkd schedule: the next slots of the policies, from their files alone.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/policy/agenda.h"
#include "bkd/policy/civil.h"
#include "bkd/policy/schedule.h"

#define NEXT_DEFAULT 10u
#define NEXT_MAX 1000000u
#define NS_PER_S 1000000000u

// The slots of one action of one policy.
struct lane {
    char *policy;
    const char *action;
    struct schedule schedule;
    struct policy_list expressions; // as items of the schedule
    int64_t start_delay_s;
    int64_t next_s; // CALENDAR_NEVER: no more
};

struct listing {
    struct context *ctx;
    struct lane *lanes;
    size_t count;
    size_t bad; // policies with mistakes
    size_t width; // of the longest name
    unsigned long limit;
    int64_t from_s;
    bool from_now;
};

static void listing_done(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        free(listing->lanes[i].policy);
        schedule_done(&listing->lanes[i].schedule);
        policy_list_done(&listing->lanes[i].expressions);
    }
    free(listing->lanes);
}

// Takes the expressions.
static int add_lane(struct listing *listing, const struct policy *policy, const char *action, struct policy_list *expressions, struct error *err)
{
    char host[256] = { 0 };
    (void)gethostname(host, sizeof host - 1); // "" when it has no name, as the daemon takes it
    listing->lanes = xrealloc(listing->lanes, (listing->count + 1) * sizeof *listing->lanes);
    struct lane *lane = &listing->lanes[listing->count];
    *lane = (struct lane){ .action = action };
    int rc = schedule_open(listing->ctx->io, expressions, policy->timezone, &lane->schedule, err);
    if (rc < 0)
        return error_prefix(err, "policy %s", policy->name);
    lane->policy = xstrdup(policy->name);
    lane->expressions = *expressions;
    *expressions = (struct policy_list){ 0 };
    lane->start_delay_s = agenda_start_delay(host, policy->name, lane->action, policy->jitter_s);
    lane->next_s = schedule_next(&lane->schedule, listing->from_s - 1);
    if (lane->expressions.count > 0 && lane->next_s == CALENDAR_NEVER && !listing->ctx->json && listing->ctx->verbosity >= 0)
        printf("%s has no more slots\n", lane->policy);
    size_t width = strlen(lane->policy);
    listing->width = width > listing->width ? width : listing->width;
    listing->count++;
    return 0;
}

static int add_policy(struct listing *listing, const char *name, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    int rc = context_load_policy(listing->ctx, name, &policy, err);
    if (rc < 0)
        return rc;
    if (policy.schedule.count == 0 && !listing->ctx->json && listing->ctx->verbosity >= 0)
        printf("%s has no schedule: it runs when somebody asks for it\n", policy.name);
    rc = add_lane(listing, &policy, "backup", &policy.schedule, err);
    return rc < 0 || policy.verify.schedule.count == 0 ? rc : add_lane(listing, &policy, "verify", &policy.verify.schedule, err);
}

// One policy with mistakes does not hide the others.
static int add_all(struct listing *listing, struct error *err)
{
    _cleanup_context_names_ struct context_names names = { 0 };
    int rc = context_policy_names(listing->ctx, &names, err);
    for (size_t i = 0; i < names.count && rc == 0; i++) {
        rc = add_policy(listing, names.items[i], err);
        if (rc == ERROR_USAGE) {
            listing->bad++;
            rc = 0;
        }
    }
    return rc;
}

static struct lane *next_lane(const struct listing *listing)
{
    struct lane *first = NULL;
    for (size_t i = 0; i < listing->count; i++)
        if (listing->lanes[i].next_s != CALENDAR_NEVER && (!first || listing->lanes[i].next_s < first->next_s))
            first = &listing->lanes[i];
    return first;
}

// ---- showing -----------------------------------------------------------------------------------------------------------

struct slot {
    const struct lane *lane;
    const char *expression;
    struct zone_period period;
    enum calendar_note note;
    char utc[CIVIL_TEXT_MAX], local[CIVIL_TEXT_MAX], begins[CIVIL_TEXT_MAX];
    const char *zone;
};

static void describe(const struct lane *lane, struct slot *ret_slot)
{
    const struct schedule_item *item = schedule_item_of(&lane->schedule, lane->next_s);
    *ret_slot = (struct slot){ .lane = lane, .zone = zone_name(item->zone), .expression = lane->expressions.items[item - lane->schedule.items] };
    zone_period_at(item->zone, lane->next_s, &ret_slot->period);
    ret_slot->note = calendar_note(&item->calendar, item->zone, lane->next_s);
    civil_format(ret_slot->utc, lane->next_s, 0);
    civil_format(ret_slot->local, lane->next_s, ret_slot->period.offset_s);
    civil_format(ret_slot->begins, lane->next_s + lane->start_delay_s, 0);
}

static int print_json(const struct slot *slot, struct error *err)
{
    static const char *const notes[] = { NULL, "after-gap", "first-of-two", "second-of-two" };
    struct json *line = json_line_new("slot");
    json_add_str(line, "policy", slot->lane->policy);
    json_add_str(line, "action", slot->lane->action);
    json_add_str(line, "time", slot->utc);
    json_add_str(line, "local", slot->local);
    json_add_str(line, "timezone", slot->zone);
    json_add_str(line, "begins", slot->begins);
    json_add_str(line, "schedule", slot->expression);
    json_add_str(line, "note", notes[slot->note]);
    return json_line_print(&line, stdout, err);
}

static void print_text(const struct listing *listing, const struct slot *slot)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const notes[] = {
        "", "  (the clocks have just skipped its time)", "  (the first of two times that the clocks show this)", "  (the second time that the clocks show this)",
    };
    int64_t at = slot->lane->next_s, local = at + slot->period.offset_s;
    struct civil c = civil_of(local);
    bool more = listing->from_now || slot->note != CALENDAR_PLAIN || slot->lane->start_delay_s > 0;
    printf("%s  %s %04d-%02u-%02u %02u:%02u:%02u %-5s  %-*s", slot->utc, days[civil_weekday(civil_days(c.year, c.month, c.day))], (int)c.year, c.month, c.day, c.hour,
           c.minute, c.second, slot->period.abbreviation, more ? (int)listing->width : 0, slot->lane->policy);
    if (strcmp(slot->lane->action, "backup") != 0)
        printf("  %s", slot->lane->action);
    if (listing->from_now && at - listing->from_s >= 2 * CIVIL_DAY) {
        printf("  in %lld days", (long long)((at - listing->from_s) / CIVIL_DAY));
    } else if (listing->from_now) {
        char left[CLOCK_TEXT_MAX];
        clock_format_duration(left, (uint64_t)(at - listing->from_s) * NS_PER_S);
        printf("  in %s", left);
    }
    if (slot->lane->start_delay_s > 0)
        printf("  begins %.8s (jitter)", slot->begins + strlen("2026-03-28T"));
    printf("%s\n", notes[slot->note]);
}

static int show(struct listing *listing, struct error *err)
{
    int rc = 0;
    for (unsigned long n = 0; n < listing->limit && rc == 0; n++) {
        struct lane *lane = next_lane(listing);
        if (!lane)
            break;
        struct slot slot;
        describe(lane, &slot);
        if (listing->ctx->json)
            rc = print_json(&slot, err);
        else
            print_text(listing, &slot);
        lane->next_s = schedule_next(&lane->schedule, lane->next_s);
    }
    return rc;
}

static int read_options(struct listing *listing, const struct cli_args *args, struct error *err)
{
    const char *from = cli_args_option(args, "from");
    int rc = cli_args_number(args, "next", NEXT_MAX, &listing->limit, err);
    if (rc < 0)
        return rc;
    if (from && !civil_parse(from, &listing->from_s))
        return error_set(err, ERROR_USAGE, "--from is a time as in RFC 3339, such as 2026-03-28T00:00:00Z or 2026-03-28T01:00:00+01:00, not '%s'", from);
    listing->from_now = !from;
    return 0;
}

int cmd_schedule(struct context *ctx, const struct cli_args *args, struct error *err)
{
    __attribute__((cleanup(listing_done))) struct listing listing = { .ctx = ctx, .limit = NEXT_DEFAULT };
    listing.from_s = (int64_t)(io_realtime_ns(ctx->io) / NS_PER_S);
    int rc = read_options(&listing, args, err);
    if (rc == 0)
        rc = args->count ? add_policy(&listing, cli_args_value(args, 0), err) : add_all(&listing, err);
    if (rc == 0)
        rc = show(&listing, err);
    if (rc == 0 && listing.bad > 0)
        return error_set(err, ERROR_USAGE, "%zu polic%s mistakes, and %s slots are not shown; see `bkd policy check`", listing.bad, listing.bad == 1 ? "y has" : "ies have",
                         listing.bad == 1 ? "its" : "their");
    return rc;
}
