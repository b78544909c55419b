#include "bkd/notify/overflow.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/clock.h"
#include "bkd/notify/message.h"
#include "bkd/record/deliveries.h"

#define LINES_MAX 200u // of the summary

struct collected {
    int64_t *ids;
    size_t count;
    struct buf lines;   // one for each message
    size_t line_count, earlier; // of summaries before this one: how many they told of
    uint64_t first_ns, last_ns;
};

static void collected_done(struct collected *c)
{
    free(c->ids);
    buf_done(&c->lines);
}

// A summary of before brings its lines along, below its own first paragraph.
static void take_summary(struct collected *c, const char *body)
{
    const char *lines = strstr(body, "\n\n");
    c->earlier += (size_t)strtoul(body, NULL, 10);
    if (lines != NULL)
        buf_add_str(&c->lines, lines + 2);
}

static int collect(void *arg, const struct delivery *delivery, struct error *err)
{
    struct collected *c = arg;
    char time[CLOCK_TEXT_MAX];
    (void)err;
    c->ids = xrealloc(c->ids, (c->count + 1) * sizeof *c->ids);
    c->ids[c->count++] = delivery->id;
    if (c->first_ns == 0)
        c->first_ns = delivery->created_ns;
    c->last_ns = delivery->created_ns;
    if (strcmp(delivery->what, message_what_name(MESSAGE_SUMMARY)) == 0) {
        take_summary(c, delivery->body);
        c->earlier--; // it is no message of its own
        return 0;
    }
    clock_format_utc(time, delivery->created_ns, false);
    buf_addf(&c->lines, "%s %s\n", time, delivery->subject);
    return 0;
}

// The newest lines, at most LINES_MAX of them.
static const char *last_lines(const struct buf *lines)
{
    const char *text = buf_str(lines), *at = text + lines->len;
    for (unsigned n = 0; at > text; at--)
        if (at[-1] == '\n' && n++ == LINES_MAX)
            break;
    return at;
}

static int add_summary(struct catalogue *c, const char *channel, const char *host, const struct collected *all, struct error *err)
{
    char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
    size_t n = all->count + all->earlier;
    clock_format_utc(from, all->first_ns, false);
    clock_format_utc(to, all->last_ns, false);
    _cleanup_free_ char *subject = xasprintf("[bkd %s] %zu messages that could not be delivered before", host, n);
    _cleanup_free_ char *body = xasprintf("%zu messages could not be delivered between %s and %s, and came to be too many to keep; `bkd alarm list` shows what stands now.\n\n%s", n, from,
                                          to, last_lines(&all->lines));
    struct delivery summary = { .channel = channel, .what = message_what_name(MESSAGE_SUMMARY), .subject = subject, .body = body };
    return deliveries_add(c, &summary, NULL, err);
}

static int count_waiting(void *arg, const struct delivery *delivery, struct error *err)
{
    (void)delivery;
    (void)err;
    ++*(uint64_t *)arg;
    return 0;
}

int overflow_collapse(struct catalogue *c, const char *channel, const char *host, uint64_t max, struct error *err)
{
    __attribute__((cleanup(collected_done))) struct collected all = { 0 };
    uint64_t waiting = 0;
    int r = deliveries_waiting(c, channel, max + 1, count_waiting, &waiting, err);
    if (r < 0 || waiting <= max)
        return r;
    r = deliveries_waiting(c, channel, max / 2, collect, &all, err);
    for (size_t i = 0; i < all.count && r == 0; i++)
        r = deliveries_failed(c, all.ids[i], 0, "is in a summary of messages that could not be delivered", err);
    return r < 0 ? r : add_summary(c, channel, host, &all, err);
}
