#include "bkd/notify/known.h"

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

void known_done(struct known *known)
{
    for (size_t i = 0; i < known->count; i++)
        item_done(&known->items[i]);
    free(known->items);
    *known = (struct known){ 0 };
}

static int take(void *arg, const struct telling *telling, struct error *err)
{
    struct known *known = arg;
    (void)err;
    known->items = xrealloc(known->items, (known->count + 1) * sizeof *known->items);
    struct telling *t = &known->items[known->count++];
    *t = *telling;
    t->channel = xstrdup(telling->channel);
    t->kind = xstrdup(telling->kind);
    t->policy = xstrdup(telling->policy);
    t->copy = xstrdup(telling->copy);
    return 0;
}

int known_load(struct catalogue *c, struct known *ret_known, struct error *err)
{
    _cleanup_known_ struct known known = { 0 };
    int r = tellings_list(c, take, &known, err);
    if (r < 0)
        return r;
    *ret_known = known;
    known = (struct known){ 0 };
    return 0;
}

const struct telling *known_find(const struct known *known, const char *channel, const char *kind, const char *policy, const char *copy, bool of_event)
{
    for (size_t i = 0; i < known->count; i++) {
        const struct telling *t = &known->items[i];
        if (t->of_event == of_event && strcmp(t->kind, kind) == 0 && strcmp(t->policy, policy) == 0 && strcmp(t->channel, channel) == 0 && strcmp(t->copy, copy) == 0)
            return t;
    }
    return NULL;
}

int known_set(struct known *known, struct catalogue *c, const struct telling *telling, struct error *err)
{
    int r = tellings_set(c, telling, err);
    const struct telling *old = known_find(known, telling->channel, telling->kind, telling->policy, telling->copy, telling->of_event);
    if (r < 0)
        return r;
    if (old == NULL)
        return take(known, telling, err);
    struct telling *t = &known->items[old - known->items];
    t->alarm = telling->alarm;
    t->severity = telling->severity;
    t->stands = telling->stands;
    t->told_ns = telling->told_ns;
    t->flaps = telling->flaps;
    t->unsaid = telling->unsaid;
    return 0;
}
