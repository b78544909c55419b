#include "bkd/notify/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/notify/notifier.h"
#include "bkd/notify/routing.h"
#include "bkd/record/alarms.h"
#include "bkd/record/deliveries.h"
#include "bkd/record/events.h"
#include "bkd/record/runs.h"

#define SECOND UINT64_C(1000000000)
#define CLAIM_MARGIN_S 60u // a claim outlives the try by so much
#define LEAST_MS 500u      // no try begins with less time than this

// One message of the outbox, with what is known of its event: kept while it is sent, when no statement may be open.
struct letter {
    int64_t id, event;
    char *channel, *subject, *body;
    enum message_what what;
    uint64_t tries, created_ns;
    // Of the event:
    char *kind, *policy, *copy, *text, *next_step;
    enum severity severity;
    uint64_t time_ns, since_ns;
    int64_t alarm, run;
    char run_uid[RUN_UID_MAX];
};

static void letter_done(struct letter *l)
{
    char *texts[] = { l->channel, l->subject, l->body, l->kind, l->policy, l->copy, l->text, l->next_step };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
}

struct letters {
    struct letter *items;
    size_t count;
};

static void letters_done(struct letters *l)
{
    for (size_t i = 0; i < l->count; i++)
        letter_done(&l->items[i]);
    free(l->items);
}

static int take_letter(void *arg, const struct delivery *d, struct error *err)
{
    struct letters *all = arg;
    (void)err;
    all->items = xrealloc(all->items, (all->count + 1) * sizeof *all->items);
    struct letter *l = &all->items[all->count++];
    *l = (struct letter){ .id = d->id, .event = d->event, .channel = xstrdup(d->channel), .subject = xstrdup(d->subject), .body = xstrdup(d->body), .tries = d->tries,
                          .created_ns = d->created_ns, .what = MESSAGE_HAPPENED };
    (void)message_what_parse(d->what, &l->what); // only our own words are in there
    return 0;
}

// ---- the message -------------------------------------------------------------------------------------------------------

static int take_event(void *arg, const struct event *event, struct error *err)
{
    struct letter *l = arg;
    (void)err;
    l->kind = xstrdup(event->kind);
    l->policy = xstrdup(event->policy);
    l->copy = xstrdup(event->copy);
    l->text = xstrdup(event->text);
    l->next_step = xstrdup(event->next_step);
    l->severity = event->severity;
    l->time_ns = event->time_ns;
    l->alarm = event->alarm;
    l->run = event->run;
    return 0;
}

static int load_alarm(struct catalogue *c, struct letter *l, struct error *err)
{
    _cleanup_alarms_ struct alarms found = { 0 };
    int r = alarms_get(c, l->alarm, &found, err);
    if (r < 0)
        return r == ERROR_NOT_FOUND ? 0 : r;
    l->since_ns = found.items[0].opened_ns;
    if (l->what != MESSAGE_OPENED && l->what != MESSAGE_OVER)
        l->time_ns = l->created_ns;
    return 0;
}

static int load_run(struct catalogue *c, struct letter *l, struct error *err)
{
    struct run_record run;
    int r = runs_get(c, l->run, &run, err);
    if (r == 0)
        memcpy(l->run_uid, run.uid, sizeof l->run_uid);
    return r == ERROR_NOT_FOUND ? 0 : r;
}

static int load_event(struct catalogue *c, struct letter *l, struct error *err)
{
    int r = l->event > 0 ? events_get(c, l->event, take_event, l, err) : ERROR_NOT_FOUND;
    if (r == 0 && l->alarm > 0)
        r = load_alarm(c, l, err);
    if (r == 0 && l->run > 0)
        r = load_run(c, l, err);
    if (r != ERROR_NOT_FOUND)
        return r;
    l->kind = xstrdup(message_what_name(l->what)); // a digest or a summary: subject and body are all there is
    l->text = xstrdup(l->subject);
    l->time_ns = l->created_ns;
    return 0;
}

static const char *or_empty(const char *text) { return text == NULL ? "" : text; }

static struct message message_of(const struct outbox *o, const struct letter *l)
{
    return (struct message){ .what = l->what, .severity = l->severity, .host = o->host, .kind = or_empty(l->kind), .policy = or_empty(l->policy), .copy = or_empty(l->copy),
                             .text = or_empty(l->text), .next_step = or_empty(l->next_step), .time_ns = l->time_ns, .since_ns = l->since_ns, .made_ns = l->created_ns,
                             .now_ns = io_realtime_ns(o->io), .id = l->id, .alarm = l->alarm, .run = l->run, .run_uid = l->run_uid, .subject = l->subject, .body = l->body };
}

// ---- a channel's health ------------------------------------------------------------------------------------------------

struct health {
    const char *channel;
    uint64_t since_ns, tries;
    char *error;
};

static int take_health(void *arg, const struct delivery_backlog *backlog, struct error *err)
{
    struct health *h = arg;
    (void)err;
    if (strcmp(backlog->channel, h->channel) == 0 && backlog->failing > 0) {
        h->since_ns = backlog->oldest_failing_ns;
        h->tries = backlog->tries;
        h->error = xstrdup(backlog->last_error);
    }
    return 0;
}

// An alarm when it has failed for long.
static int raise_channel(const struct outbox *o, const struct health *health, struct outbox_result *result, struct error *err)
{
    char age[CLOCK_TEXT_MAX];
    uint64_t now = catalogue_now_ns(o->catalogue);
    if (health->tries < OUTBOX_FAILING_TRIES || now < health->since_ns + OUTBOX_FAILING_S * SECOND)
        return 0;
    clock_format_duration(age, now - health->since_ns);
    _cleanup_free_ char *text = xasprintf("messages over the channel '%s' have failed for %s: %s", health->channel, age, or_empty(health->error));
    _cleanup_free_ char *step = xasprintf("bkd notify test %s", health->channel);
    struct alarm_raise alarm = { .kind = ROUTING_CHANNEL_ALARM, .copy = health->channel, .severity = SEVERITY_WARNING, .text = text, .next_step = step };
    result->alarms_changed = true;
    return alarms_raise(o->catalogue, &alarm, NULL, err);
}

static int clear_channel(const struct outbox *o, const char *channel, struct outbox_result *result, struct error *err)
{
    bool was_active = false;
    _cleanup_free_ char *text = xasprintf("messages over the channel '%s' arrive again", channel);
    int r = alarms_clear(o->catalogue, ROUTING_CHANNEL_ALARM, NULL, channel, text, &was_active, err);
    result->alarms_changed |= was_active;
    return r;
}

// ---- sending -----------------------------------------------------------------------------------------------------------

struct sending {
    const struct outbox *outbox;
    struct outbox_result *result;
    uint64_t end_ns; // monotonic: no more time
    // Of each channel:
    bool failed[CONFIG_CHANNELS_MAX]; // now
    bool rests[CONFIG_CHANNELS_MAX];  // it failed before: until the time of a message that did has come, the others wait, too
    bool retries[CONFIG_CHANNELS_MAX]; // and for one of them it has
};

static uint64_t left_ms(const struct sending *s)
{
    uint64_t now = io_monotonic_ns(s->outbox->io);
    return now < s->end_ns ? (s->end_ns - now) / 1000000 : 0;
}

static int give_up(const struct sending *s, const struct letter *l, const char *why, struct error *err)
{
    return deliveries_failed(s->outbox->catalogue, l->id, 0, why, err);
}

static int note_failure(struct sending *s, const struct letter *l, size_t index, const struct error *why, struct error *err)
{
    struct catalogue *c = s->outbox->catalogue;
    struct health health = { .channel = l->channel };
    log_warn("a message could not be delivered over '%s', and is kept: %s", l->channel, why->text);
    s->failed[index] = true;
    s->result->failed++;
    int r = deliveries_backlogs(c, take_health, &health, err);
    uint64_t tries = health.tries > l->tries + 1 ? health.tries : l->tries + 1; // a message that is new does not make the distances short again
    if (r == 0)
        r = deliveries_failed(c, l->id, catalogue_now_ns(c) + routing_backoff_ns(tries), why->text, err);
    if (r == 0)
        r = raise_channel(s->outbox, &health, s->result, err);
    free(health.error);
    return r;
}

static int note_success(struct sending *s, const struct letter *l, size_t index, const struct buf *note, struct error *err)
{
    if (note->len > 0)
        log_warn("a message over '%s': %s", l->channel, buf_str(note));
    s->result->sent++;
    int r = deliveries_sent(s->outbox->catalogue, l->id, err);
    if (r == 0 && s->rests[index]) {
        s->rests[index] = false;
        r = deliveries_hurry(s->outbox->catalogue, l->channel, err);
        s->result->more = true;
    }
    return r < 0 ? r : clear_channel(s->outbox, l->channel, s->result, err);
}

static int send_claimed(struct sending *s, struct letter *l, const struct config_channel *channel, uint64_t timeout_ms, struct error *err)
{
    const struct outbox *o = s->outbox;
    _cleanup_buf_ struct buf note = { 0 };
    struct error why;
    int r = load_event(o->catalogue, l, err);
    if (r < 0)
        return r;
    struct message m = message_of(o, l);
    bool is_ping = channel->type == CONFIG_WEBHOOK && channel->format == CONFIG_FORMAT_HEALTHCHECKS;
    if (is_ping && m.now_ns > m.made_ns + OUTBOX_PING_AGE_S * SECOND)
        return give_up(s, l, "too late: a ping of so long ago means nothing", err);
    struct notifier_context context = { .io = o->io, .config_dir = o->config_dir, .timeout_ms = timeout_ms };
    size_t index = (size_t)(channel - o->config->notify.channels);
    if (notifier_of(channel)->send(&context, channel, &m, &note, &why) < 0)
        return note_failure(s, l, index, &why, err);
    return note_success(s, l, index, &note, err);
}

static int send_letter(struct sending *s, struct letter *l, struct error *err)
{
    const struct outbox *o = s->outbox;
    const struct config_channel *channel = config_find_channel(o->config, l->channel);
    bool won = false;
    if (channel == NULL)
        return give_up(s, l, "the configuration has no such channel any more", err);
    size_t index = (size_t)(channel - o->config->notify.channels);
    if (s->failed[index] || (s->rests[index] && !s->retries[index]))
        return 0;
    uint64_t now = catalogue_now_ns(o->catalogue), left = left_ms(s), timeout_ms = channel->timeout_s * 1000 < left ? channel->timeout_s * 1000 : left;
    if (timeout_ms < LEAST_MS)
        return 0;
    int r = deliveries_claim(o->catalogue, l->id, now, now + (timeout_ms / 1000 + CLAIM_MARGIN_S) * SECOND, &won, err);
    return r < 0 || !won ? r : send_claimed(s, l, channel, timeout_ms, err);
}

static int find_resting(void *arg, const struct delivery_backlog *backlog, struct error *err)
{
    struct sending *s = arg;
    const struct config_channel *channel = config_find_channel(s->outbox->config, backlog->channel);
    (void)err;
    if (channel != NULL)
        s->rests[channel - s->outbox->config->notify.channels] = backlog->failing > 0;
    return 0;
}

static void find_retries(struct sending *s, const struct letters *due)
{
    for (size_t i = 0; i < due->count; i++) {
        const struct config_channel *channel = config_find_channel(s->outbox->config, due->items[i].channel);
        if (channel != NULL && due->items[i].tries > 0)
            s->retries[channel - s->outbox->config->notify.channels] = true;
    }
}

int outbox_send(const struct outbox *outbox, struct outbox_result *ret_result, struct error *err)
{
    __attribute__((cleanup(letters_done))) struct letters due = { 0 };
    struct outbox_result result = { 0 };
    struct sending s = { .outbox = outbox, .result = &result, .end_ns = io_monotonic_ns(outbox->io) + outbox->budget_ms * 1000000 };
    int r = deliveries_due(outbox->catalogue, catalogue_now_ns(outbox->catalogue), 0, take_letter, &due, err);
    if (r == 0)
        r = deliveries_backlogs(outbox->catalogue, find_resting, &s, err);
    find_retries(&s, &due);
    for (size_t i = 0; i < due.count && r == 0; i++)
        r = send_letter(&s, &due.items[i], err);
    if (r == 0)
        *ret_result = result;
    return r;
}
