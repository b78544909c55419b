#include "bkd/policy/policy_order.h"

#include <stdlib.h>
#include <string.h>

struct search {
    const struct policy *const *policies;
    size_t count;
    bool *seen;
};

static size_t find(const struct search *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->policies[i]->name, name) == 0)
            return i;
    return SIZE_MAX;
}

// Is there a way from a policy to another one, by what they come after? It is added to *way: " after 'b' after 'c'".
static bool find_way(const struct search *s, size_t from, size_t to, struct buf *way)
{
    const struct policy_list *after = &s->policies[from]->after;
    size_t length = way->len;
    s->seen[from] = true;
    for (size_t i = 0; i < after->count; i++) {
        size_t next = find(s, after->items[i]);
        if (next == SIZE_MAX || (next != to && s->seen[next]))
            continue;
        buf_addf(way, " after '%s'", after->items[i]);
        if (next == to || find_way(s, next, to, way))
            return true;
        way->len = length;
    }
    return false;
}

static void check_item(const struct search *s, size_t index, size_t item, policy_order_report *report, void *arg)
{
    const char *name = s->policies[index]->after.items[item];
    _cleanup_buf_ struct buf text = { 0 }, way = { 0 };
    size_t next = find(s, name);
    memset(s->seen, 0, s->count * sizeof *s->seen);
    if (next == SIZE_MAX) {
        buf_addf(&text, "there is no policy '%s'", name);
        report(arg, index, item, buf_str(&text));
    } else if (find_way(s, next, index, &way)) {
        buf_addf(&text, "these policies wait for each other: '%s' after '%s'%s", s->policies[index]->name, name, buf_str(&way));
        report(arg, index, item, buf_str(&text));
    }
}

void policy_order_check(const struct policy *const *policies, size_t count, policy_order_report *report, void *arg)
{
    struct search s = { policies, count, xcalloc(count + 1, sizeof *s.seen) };
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < policies[i]->after.count; k++)
            check_item(&s, i, k, report, arg);
    free(s.seen);
}
