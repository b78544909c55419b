#include "bkd/notify/heard.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"

static void item_done(struct telling *t)
{
    free((char *)(uintptr_t)t->channel);
    free((char *)(uintptr_t)t->kind);
    free((char *)(uintptr_t)t->policy);
    free((char *)(uintptr_t)t->copy);
}

void heard_done(struct heard *heard)
{
    for (size_t i = 0; i < heard->count; i++)
        item_done(&heard->items[i]);
    free(heard->items);
    *heard = (struct heard){ 0 };
}

static int take(void *arg, const struct telling *telling, struct error *err)
{
    struct heard *heard = arg;
    (void)err;
    heard->items = xrealloc(heard->items, (heard->count + 1) * sizeof *heard->items);
    struct telling *t = &heard->items[heard->count++];
    *t = *telling;
    t->channel = xstrdup(telling->channel);
    t->kind = xstrdup(telling->kind);
    t->policy = xstrdup(telling->policy);
    t->copy = xstrdup(telling->copy);
    return 0;
}

int heard_load(struct catalogue *c, struct heard *ret_heard, struct error *err)
{
    _cleanup_heard_ struct heard heard = { 0 };
    int r = tellings_list(c, take, &heard, err);
    if (r < 0)
        return r;
    *ret_heard = heard;
    heard = (struct heard){ 0 };
    return 0;
}

const struct telling *heard_find(const struct heard *heard, const char *channel, const char *kind, const char *policy, const char *copy, bool of_event)
{
    for (size_t i = 0; i < heard->count; i++) {
        const struct telling *t = &heard->items[i];
        if (t->of_event == of_event && strcmp(t->kind, kind) == 0 && strcmp(t->policy, policy) == 0 && strcmp(t->channel, channel) == 0 && strcmp(t->copy, copy) == 0)
            return t;
    }
    return NULL;
}

int heard_set(struct heard *heard, struct catalogue *c, const struct telling *telling, struct error *err)
{
    int r = tellings_set(c, telling, err);
    const struct telling *old = heard_find(heard, telling->channel, telling->kind, telling->policy, telling->copy, telling->of_event);
    if (r < 0)
        return r;
    if (old == NULL)
        return take(heard, telling, err);
    struct telling *t = &heard->items[old - heard->items];
    t->alarm = telling->alarm;
    t->severity = telling->severity;
    t->stands = telling->stands;
    t->told_ns = telling->told_ns;
    t->flaps = telling->flaps;
    t->unsaid = telling->unsaid;
    return 0;
}
