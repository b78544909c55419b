#include "bkd/notify/routing.h"

#include <fnmatch.h>
#include <string.h>

#include "bkd/notify/ping.h"

#define SECOND UINT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define DAY_MINUTES 1440u

// What an alarm or an event is about. Strings are borrowed.
struct subject {
    const char *kind, *policy, *copy;
    bool is_event;
    enum severity severity;
};

// How a channel is reached now by the routes that fit.
struct reach {
    bool fits;      // some route fits, quiet or not
    bool direct;    // it is told
    bool escalated; // it is told by escalation
    unsigned quiet_minutes; // of routes that fit and are quiet: until the first of them is not
    uint64_t repeat_ns;     // the shortest; 0 = never
};

static bool has(const struct policy_list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], word) == 0)
            return true;
    return false;
}

static bool fits(const struct policy_list *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (name[0] != '\0' && fnmatch(patterns->items[i], name, 0) == 0)
            return true;
    return false;
}

// What belongs to no policy, and to a plan, has the plan's name as its copy (bkd/watch/watch_plans.h).
static const char *plan_of(const struct subject *s)
{
    bool is_of_plan = strcmp(s->kind, "plan") == 0 || strncmp(s->kind, "plan-", 5) == 0 || strncmp(s->kind, "drill-", 6) == 0;
    return is_of_plan && s->policy[0] == '\0' ? s->copy : "";
}

static bool is_about(const struct config_route *route, const struct subject *s)
{
    bool is_for_all = route->policies.count == 0 && route->plans.count == 0;
    return is_for_all || fits(&route->policies, s->policy) || fits(&route->plans, plan_of(s));
}

// Minutes until the quiet hours end; 0 = it is not quiet.
static unsigned quiet_left(const struct config_route *route, enum severity severity, const struct routing_time *now)
{
    unsigned from, to;
    if (severity == SEVERITY_CRITICAL || route->quiet == NULL || route->quiet[0] == '\0' || !config_parse_hours(route->quiet, &from, &to))
        return 0;
    unsigned length = (to + DAY_MINUTES - from) % DAY_MINUTES, passed = (now->minute + DAY_MINUTES - from) % DAY_MINUTES;
    return passed < length ? length - passed : 0;
}

static void take_route(const struct config_route *route, bool direct, bool escalated, unsigned quiet, struct reach *reach)
{
    if (!direct && !escalated)
        return;
    reach->fits = true;
    if (quiet > 0) {
        if (reach->quiet_minutes == 0 || quiet < reach->quiet_minutes)
            reach->quiet_minutes = quiet;
        return;
    }
    reach->direct |= direct;
    reach->escalated |= escalated;
    uint64_t repeat_ns = route->repeat_s * SECOND;
    if (repeat_ns > 0 && (reach->repeat_ns == 0 || repeat_ns < reach->repeat_ns))
        reach->repeat_ns = repeat_ns;
}

// since_ns: since when an alarm stands and nobody acknowledged it; 0 = it is not escalated.
static struct reach find_reach(const struct config_notify *notify, const char *channel, const struct subject *s, uint64_t since_ns, const struct routing_time *now)
{
    struct reach reach = { 0 };
    bool is_for_all = s->is_event && strcmp(s->kind, ROUTING_ANNOUNCEMENT) == 0; // no route is too high for it
    for (size_t i = 0; i < notify->route_count; i++) {
        const struct config_route *route = &notify->routes[i];
        if ((!is_for_all && (uint64_t)s->severity < route->severity) || !is_about(route, s))
            continue;
        bool is_time = since_ns > 0 && route->escalate.after_s > 0 && now->now_ns >= since_ns + route->escalate.after_s * SECOND;
        take_route(route, has(&route->to, channel), is_time && has(&route->escalate.to, channel), quiet_left(route, s->severity, now), &reach);
    }
    return reach;
}

// How long after the last message about something the next one may follow.
static uint64_t interval_ns(const struct config_notify *notify, const struct telling *last)
{
    uint64_t most = ROUTING_INTERVAL_MAX_S > notify->min_interval_s ? ROUTING_INTERVAL_MAX_S : notify->min_interval_s, s = notify->min_interval_s;
    for (uint64_t i = 0; i < last->flaps && s < most; i++)
        s *= 2;
    return (s < most ? s : most) * SECOND;
}

// Soon is within a few intervals; what rested longer begins anew.
static uint64_t next_flaps(const struct config_notify *notify, const struct telling *last, const struct routing_time *now)
{
    if (last == NULL || now->now_ns > last->told_ns + 4 * interval_ns(notify, last))
        return 0;
    return last->flaps + 1;
}

static bool is_rested(const struct config_notify *notify, const struct telling *last, const struct routing_time *now)
{
    return last == NULL || now->now_ns >= last->told_ns + interval_ns(notify, last) || now->now_ns + SECOND < last->told_ns; // the clock was set back
}

// ---- alarms ------------------------------------------------------------------------------------------------------------

static const struct routing_decision nothing = { 0 };

static struct routing_decision tell(enum message_what what) { return (struct routing_decision){ .tell = true, .what = what }; }

static struct routing_decision about_over(const struct reach *reach, const struct telling *last)
{
    bool waits = reach->fits && !reach->direct && !reach->escalated && reach->quiet_minutes > 0;
    return last == NULL || !last->stands || waits ? nothing : tell(MESSAGE_OVER);
}

static struct routing_decision about_standing(const struct config_notify *notify, const struct reach *reach, const struct alarm *alarm, const struct telling *last,
                                              const struct routing_time *now)
{
    bool reached = reach->direct || reach->escalated, knows = alarm->acknowledged_ns > 0;
    if (last == NULL || !last->stands)
        return !reached || knows || !is_rested(notify, last, now) ? nothing : tell(reach->direct ? MESSAGE_OPENED : MESSAGE_ESCALATED);
    if (alarm->severity > last->severity && reached)
        return tell(MESSAGE_CHANGED);
    if (alarm->severity < last->severity && is_rested(notify, last, now))
        return tell(MESSAGE_CHANGED);
    bool is_time = reach->repeat_ns > 0 && now->now_ns >= last->told_ns + reach->repeat_ns;
    return is_time && !knows ? tell(MESSAGE_REMINDER) : nothing;
}

struct routing_decision routing_alarm(const struct config_notify *notify, const char *channel, const struct alarm *alarm, const struct telling *last,
                                      const struct routing_time *now)
{
    bool active = alarm->cleared_ns == 0;
    if (strcmp(alarm->kind, ROUTING_CHANNEL_ALARM) == 0 && strcmp(alarm->copy, channel) == 0)
        return nothing;
    uint64_t since_ns = active && alarm->acknowledged_ns == 0 ? alarm->opened_ns : 0;
    const struct subject s = { .kind = alarm->kind, .policy = alarm->policy, .copy = alarm->copy, .severity = active || last == NULL ? alarm->severity : last->severity };
    struct reach reach = find_reach(notify, channel, &s, since_ns, now);
    return active ? about_standing(notify, &reach, alarm, last, now) : about_over(&reach, last);
}

struct telling routing_alarm_told(const struct config_notify *notify, const char *channel, const struct alarm *alarm, const struct telling *last,
                                  const struct routing_decision *decision, const struct routing_time *now)
{
    struct telling told = { .channel = channel, .kind = alarm->kind, .policy = alarm->policy, .copy = alarm->copy, .alarm = alarm->id, .severity = alarm->severity,
                            .told_ns = now->now_ns, .stands = true, .flaps = last != NULL ? last->flaps : 0 };
    if (!decision->tell) { // it came back before anybody was told that it was over
        told.severity = last->severity;
        told.told_ns = last->told_ns;
        return told;
    }
    if (decision->what == MESSAGE_OPENED || decision->what == MESSAGE_ESCALATED)
        told.flaps = next_flaps(notify, last, now);
    told.stands = decision->what != MESSAGE_OVER;
    return told;
}

// ---- events ------------------------------------------------------------------------------------------------------------

struct routing_decision routing_event(const struct config_notify *notify, const char *channel, bool is_log, const struct event *event, const struct telling *last,
                                      const struct routing_time *now, uint64_t *ret_wait_ns, bool *ret_counts)
{
    const struct subject s = { .kind = event->kind, .policy = event->policy, .copy = event->copy, .is_event = true, .severity = event->severity };
    struct reach reach = find_reach(notify, channel, &s, 0, now);
    *ret_wait_ns = 0;
    *ret_counts = false;
    if (!reach.fits || (!is_log && strcmp(event->kind, PING_RUN_STARTED) == 0))
        return nothing;
    if (!is_log && !is_rested(notify, last, now)) {
        *ret_counts = true;
        return nothing;
    }
    if (!reach.direct)
        *ret_wait_ns = reach.quiet_minutes * MINUTE;
    return tell(MESSAGE_HAPPENED);
}

struct telling routing_event_told(const struct config_notify *notify, const char *channel, const struct event *event, const struct telling *last, bool told,
                                  const struct routing_time *now)
{
    struct telling t = { .channel = channel, .kind = event->kind, .policy = event->policy, .copy = event->copy, .of_event = true, .severity = event->severity };
    t.told_ns = told || last == NULL ? now->now_ns : last->told_ns;
    t.flaps = told ? next_flaps(notify, last, now) : last != NULL ? last->flaps : 0;
    t.unsaid = told || last == NULL ? 0 : last->unsaid + 1;
    return t;
}

// ---- times -------------------------------------------------------------------------------------------------------------

int64_t routing_last_minute(int64_t local_s, unsigned minute)
{
    int64_t second_of_day = ((local_s % 86400) + 86400) % 86400, at = local_s - second_of_day + (int64_t)minute * 60;
    return at <= local_s ? at : at - 86400;
}

uint64_t routing_backoff_ns(uint64_t tries)
{
    uint64_t minutes = tries < 7 ? UINT64_C(1) << (tries > 0 ? tries - 1 : 0) : 60;
    return (minutes < 60 ? minutes : 60) * MINUTE;
}
