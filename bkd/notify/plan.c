#include "bkd/notify/plan.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/clock.h"
#include "bkd/notify/digest.h"
#include "bkd/notify/heard.h"
#include "bkd/notify/notifier.h"
#include "bkd/notify/overflow.h"
#include "bkd/notify/routing.h"
#include "bkd/record/alarms.h"
#include "bkd/record/deliveries.h"
#include "bkd/record/events.h"

#define SECOND UINT64_C(1000000000)
#define MARK_EVENT "notify.event"   // the last event that was dealt with
#define MARK_DIGEST "notify.digest" // local seconds of the last digest's time

struct planning {
    const struct plan *plan;
    struct heard heard;
    struct alarms active;
    struct routing_time time;
    int64_t *opened; // alarms that began since the last look
    size_t opened_count;
};

static void planning_done(struct planning *p)
{
    free(p->opened);
    heard_done(&p->heard);
    alarms_done(&p->active);
}

static int64_t local_seconds(const struct plan *plan)
{
    struct zone_period period;
    int64_t utc_s = (int64_t)(plan->now_ns / SECOND);
    zone_period_at(plan->zone, utc_s, &period);
    return utc_s + period.offset_s;
}

// ---- the outbox --------------------------------------------------------------------------------------------------------

static int add_message(const struct plan *plan, const char *channel, int64_t event, struct message *m, uint64_t wait_ns, struct error *err)
{
    _cleanup_buf_ struct buf subject = { 0 }, body = { 0 };
    m->host = plan->host;
    m->run_uid = "";
    m->now_ns = m->made_ns = plan->now_ns;
    message_subject(m, &subject);
    message_body(m, &body);
    struct delivery delivery = { .event = event, .channel = channel, .what = message_what_name(m->what), .subject = buf_str(&subject), .body = buf_str(&body),
                                 .next_try_ns = plan->now_ns + wait_ns };
    return deliveries_add(plan->catalogue, &delivery, NULL, err);
}

// ---- alarms ------------------------------------------------------------------------------------------------------------

// What the last event says of it: of an alarm that is over, why.
static int take_text(void *arg, const struct event *event, struct error *err)
{
    (void)err;
    *(char **)arg = xstrdup(event->text);
    return 0;
}

static int tell_alarm(struct planning *p, const char *channel, const struct alarm *alarm, const struct routing_decision *decision, struct error *err)
{
    struct catalogue *c = p->plan->catalogue;
    _cleanup_free_ char *last_text = NULL;
    int64_t event = 0;
    bool over = decision->what == MESSAGE_OVER;
    int r = events_last_of_alarm(c, alarm->id, &event, err);
    if (r == 0 && over && event > 0)
        r = events_get(c, event, take_text, &last_text, err);
    bool says_why = last_text != NULL && strcmp(last_text, alarm->text) != 0;
    _cleanup_free_ char *text = over && !says_why ? xasprintf("no longer: %s", alarm->text) : xstrdup(says_why ? last_text : alarm->text);
    struct message m = { .what = decision->what, .severity = alarm->severity, .kind = alarm->kind, .policy = alarm->policy, .copy = alarm->copy,
                         .text = text, .next_step = alarm->next_step, .since_ns = alarm->opened_ns,
                         .time_ns = over ? alarm->cleared_ns : p->plan->now_ns, .alarm = alarm->id };
    return r < 0 ? r : add_message(p->plan, channel, event, &m, 0, err);
}

// Who is pinged by each run hears of its failure from the run.
static bool is_pinged_by_runs(const struct config_channel *channel, const char *kind)
{
    bool is_of_run = strcmp(kind, "run-failed") == 0 || strcmp(kind, "incomplete") == 0;
    return channel->type == CONFIG_WEBHOOK && channel->format == CONFIG_FORMAT_HEALTHCHECKS && is_of_run;
}

static int plan_alarm(struct planning *p, const struct alarm *alarm, struct error *err)
{
    const struct config_notify *notify = &p->plan->config->notify;
    int r = 0;
    for (size_t i = 0; i < notify->channel_count && r == 0; i++) {
        const char *channel = notify->channels[i].name;
        if (is_pinged_by_runs(&notify->channels[i], alarm->kind))
            continue;
        const struct telling *last = heard_find(&p->heard, channel, alarm->kind, alarm->policy, alarm->copy, false);
        struct routing_decision decision = routing_alarm(notify, channel, alarm, last, &p->time);
        bool is_another = last != NULL && last->stands && alarm->cleared_ns == 0 && last->alarm != alarm->id;
        if (!decision.tell && !is_another)
            continue;
        struct telling told = routing_alarm_told(notify, channel, alarm, last, &decision, &p->time);
        if (decision.tell)
            r = tell_alarm(p, channel, alarm, &decision, err);
        if (r == 0)
            r = heard_set(&p->heard, p->plan->catalogue, &told, err);
    }
    return r;
}

static bool is_active(const struct planning *p, const char *kind, const char *policy, const char *copy)
{
    for (size_t i = 0; i < p->active.n; i++) {
        const struct alarm *a = &p->active.items[i];
        if (strcmp(a->kind, kind) == 0 && strcmp(a->policy, policy) == 0 && (copy == NULL || strcmp(a->copy, copy) == 0))
            return true;
    }
    return false;
}

// Whoever was told of something that is not active any more hears that it is over, also when the catalogue was made anew and does not know it.
static int plan_over(struct planning *p, const struct telling *told, struct error *err)
{
    _cleanup_alarms_ struct alarms found = { 0 };
    int r = alarms_get(p->plan->catalogue, told->alarm, &found, err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    if (r == 0 && found.items[0].cleared_ns > 0)
        return plan_alarm(p, &found.items[0], err);
    _cleanup_free_ char *kind = xstrdup(told->kind), *policy = xstrdup(told->policy), *copy = xstrdup(told->copy);
    struct alarm gone = { .id = told->alarm, .kind = kind, .policy = policy, .copy = copy, .severity = told->severity, .text = kind, .next_step = copy,
                          .opened_ns = told->told_ns, .cleared_ns = p->plan->now_ns };
    return plan_alarm(p, &gone, err);
}

static int plan_alarms(struct planning *p, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < p->active.n && r == 0; i++)
        r = plan_alarm(p, &p->active.items[i], err);
    for (size_t i = 0; i < p->heard.count && r == 0; i++) {
        const struct telling *t = &p->heard.items[i];
        if (t->stands && !t->of_event && !is_active(p, t->kind, t->policy, t->copy))
            r = plan_over(p, t, err);
    }
    return r;
}

// ---- events ------------------------------------------------------------------------------------------------------------

// An alarm that stands says it already, with what to do and an end.
static bool is_covered(const struct planning *p, const struct event *event)
{
    const char *kind = strcmp(event->kind, "run-incomplete") == 0 ? "incomplete" : event->kind;
    return event->severity > SEVERITY_INFO && is_active(p, kind, event->policy, NULL);
}

static int plan_event_for(struct planning *p, const struct config_channel *channel, const struct event *event, struct error *err)
{
    const struct config_notify *notify = &p->plan->config->notify;
    const struct telling *last = heard_find(&p->heard, channel->name, event->kind, event->policy, event->copy, true);
    bool counts, is_log = notifier_of(channel)->is_log(channel);
    uint64_t wait_ns;
    struct routing_decision decision = routing_event(notify, channel->name, is_log, event, last, &p->time, &wait_ns, &counts);
    if ((!decision.tell && !counts) || (!is_log && is_covered(p, event)))
        return 0;
    struct message m = { .what = decision.what, .severity = event->severity, .kind = event->kind, .policy = event->policy, .copy = event->copy, .text = event->text,
                         .next_step = event->next_step, .time_ns = event->time_ns, .run = event->run, .repeated = last != NULL && !is_log ? last->unsaid : 0 };
    struct telling told = routing_event_told(notify, channel->name, event, last, decision.tell, &p->time);
    int r = decision.tell ? add_message(p->plan, channel->name, event->id, &m, wait_ns, err) : 0;
    return r < 0 || is_log ? r : heard_set(&p->heard, p->plan->catalogue, &told, err);
}

// Of an alarm that began and ended since the last look its state tells nothing any more.
static bool was_brief(const struct planning *p, const struct event *event)
{
    for (size_t i = 0; i < p->opened_count; i++)
        if (p->opened[i] == event->alarm)
            return true;
    return false;
}

// It is told as something that happened, unless the channel has just heard of it by its state.
static int plan_brief_for(struct planning *p, const struct config_channel *channel, const struct event *event, struct error *err)
{
    const struct telling *last = heard_find(&p->heard, channel->name, event->kind, event->policy, event->copy, false);
    bool is_known = last != NULL && (last->stands || last->told_ns == p->time.now_ns), is_own = strcmp(event->kind, ROUTING_CHANNEL_ALARM) == 0;
    return is_known || is_own || is_pinged_by_runs(channel, event->kind) ? 0 : plan_event_for(p, channel, event, err);
}

static int plan_brief(struct planning *p, const struct event *cleared, struct error *err)
{
    const struct config_notify *notify = &p->plan->config->notify;
    _cleanup_alarms_ struct alarms found = { 0 };
    int r = alarms_get(p->plan->catalogue, cleared->alarm, &found, err);
    if (r < 0)
        return r == ERROR_NOT_FOUND ? 0 : r;
    const struct alarm *alarm = &found.items[0];
    char duration[CLOCK_TEXT_MAX];
    clock_format_duration(duration, cleared->time_ns > alarm->opened_ns ? cleared->time_ns - alarm->opened_ns : 0);
    _cleanup_free_ char *text = xasprintf("it was so for %s, and is over: %s", duration, alarm->text);
    struct event event = *cleared;
    event.text = text;
    event.next_step = alarm->next_step;
    for (size_t i = 0; i < notify->channel_count && r == 0; i++)
        r = plan_brief_for(p, &notify->channels[i], &event, err);
    return r;
}

static int plan_event(void *arg, const struct event *event, struct error *err)
{
    struct planning *p = arg;
    const struct config_notify *notify = &p->plan->config->notify;
    int r = 0;
    if (event->time_ns + PLAN_EVENT_AGE_S * SECOND < p->plan->now_ns)
        return 0;
    if (event->what == EVENT_OPENED) {
        p->opened = xrealloc(p->opened, (p->opened_count + 1) * sizeof *p->opened);
        p->opened[p->opened_count++] = event->alarm;
    }
    if (event->what != EVENT_HAPPENED) // alarms are told by their state
        return event->what == EVENT_CLEARED && was_brief(p, event) ? plan_brief(p, event, err) : 0;
    for (size_t i = 0; i < notify->channel_count && r == 0; i++)
        r = plan_event_for(p, &notify->channels[i], event, err);
    return r;
}

static int plan_events(struct planning *p, struct error *err)
{
    struct catalogue *c = p->plan->catalogue;
    int64_t done = 0, last = 0;
    int r = catalogue_mark(c, MARK_EVENT, &done, err);
    if (r == 0)
        r = events_last_id(c, &last, err);
    if (r < 0 || last == done)
        return r;
    if (last > done)
        r = events_after(c, done, 0, plan_event, p, err);
    return r < 0 ? r : catalogue_set_mark(c, MARK_EVENT, last, err); // also when the catalogue was made anew and counts from 1 again
}

// ---- digest ------------------------------------------------------------------------------------------------------------

static int tell_digest(const struct plan *plan, uint64_t since_ns, struct error *err)
{
    const struct policy_list *to = &plan->config->notify.digest.to;
    _cleanup_buf_ struct buf subject = { 0 }, body = { 0 };
    struct digest digest = { .catalogue = plan->catalogue, .host = plan->host, .policies = plan->policies, .policy_count = plan->policy_count, .since_ns = since_ns,
                             .now_ns = plan->now_ns };
    int r = digest_make(&digest, &subject, &body, err);
    for (size_t i = 0; i < to->count && r == 0; i++) {
        struct delivery delivery = { .channel = to->items[i], .what = message_what_name(MESSAGE_DIGEST), .subject = buf_str(&subject), .body = buf_str(&body) };
        r = deliveries_add(plan->catalogue, &delivery, NULL, err);
    }
    return r;
}

// The first one comes at the next time of day after the configuration asked for it; one that was missed comes as soon as something runs again, once.
static int plan_digest(const struct plan *plan, struct error *err)
{
    const struct config_digest *digest = &plan->config->notify.digest;
    int64_t last = 0, local_s = local_seconds(plan);
    unsigned minute = 0;
    if (digest->to.count == 0 || !config_parse_time(digest->at, strlen(digest->at), &minute))
        return 0;
    int r = catalogue_mark(plan->catalogue, MARK_DIGEST, &last, err);
    int64_t slot_s = routing_last_minute(local_s, minute);
    if (r < 0 || (last >= slot_s && last <= local_s))
        return r;
    bool is_first = last == 0 || last > local_s; // or the clock was set back
    uint64_t since_ns = plan->now_ns - (uint64_t)(local_s - last) * SECOND;
    if (!is_first)
        r = tell_digest(plan, since_ns, err);
    return r < 0 ? r : catalogue_set_mark(plan->catalogue, MARK_DIGEST, slot_s, err);
}

// ---- all of it ---------------------------------------------------------------------------------------------------------

static int plan_all(struct planning *p, struct error *err)
{
    struct catalogue *c = p->plan->catalogue;
    uint64_t kept_ns = PLAN_KEPT_DAYS * 86400 * SECOND;
    int r = heard_load(c, &p->heard, err);
    if (r == 0)
        r = alarms_active(c, NULL, &p->active, err);
    if (r == 0)
        r = plan_alarms(p, err);
    if (r == 0)
        r = plan_events(p, err);
    if (r == 0)
        r = plan_digest(p->plan, err);
    for (size_t i = 0; i < p->plan->config->notify.channel_count && r == 0; i++)
        r = overflow_collapse(c, p->plan->config->notify.channels[i].name, p->plan->host, PLAN_WAITING_MAX, err);
    return r < 0 || p->plan->now_ns < kept_ns ? r : deliveries_forget(c, p->plan->now_ns - kept_ns, err);
}

int plan_messages(const struct plan *plan, struct error *err)
{
    __attribute__((cleanup(planning_done))) struct planning p = { .plan = plan };
    int64_t local_s = local_seconds(plan);
    p.time = (struct routing_time){ .now_ns = plan->now_ns, .minute = (unsigned)(((local_s % 86400) + 86400) % 86400 / 60) };
    int r = catalogue_begin(plan->catalogue, err);
    return r < 0 ? r : catalogue_end(plan->catalogue, plan_all(&p, err), err);
}
