#include "bkd/plans/planning_open.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/dr/plan_journal.h"

void planning_opens_done(struct planning_opens *opens)
{
    for (size_t i = 0; i < opens->n; i++)
        planning_done(&opens->items[i].planning);
    free(opens->items);
    *opens = (struct planning_opens){ 0 };
}

static bool is_alike(const struct planning *a, const struct planning *b) { return a->mode == b->mode && strcmp(a->scenario, b->scenario) == 0; }

static bool is_newer(const struct planning *a, const struct planning *b)
{
    return a->started_ns > b->started_ns || (a->started_ns == b->started_ns && strcmp(a->id, b->id) > 0);
}

// Of those that are over the newest of each kind is kept, until all are known.
static struct planning_open *place_of(struct planning_opens *opens, const struct planning *p)
{
    for (size_t i = 0; p->ended_ns != 0 && i < opens->n; i++)
        if (opens->items[i].planning.ended_ns != 0 && is_alike(&opens->items[i].planning, p))
            return &opens->items[i];
    opens->items = xrealloc(opens->items, (opens->n + 1) * sizeof *opens->items);
    opens->items[opens->n] = (struct planning_open){ 0 };
    return &opens->items[opens->n++];
}

static void take(struct planning_opens *opens, struct planning *p)
{
    struct planning_open *place = place_of(opens, p);
    if (place->planning.plan != NULL && !is_newer(p, &place->planning))
        return;
    planning_done(&place->planning);
    place->planning = *p;
    *p = (struct planning){ 0 };
}

struct reading {
    const struct context *ctx;
    const char *plan;
    struct planning_opens *opens;
};

static int read_one(void *arg, const char *name, unsigned char type, struct error *err)
{
    const struct reading *reading = arg;
    _cleanup_planning_ struct planning p = { 0 };
    (void)type;
    if (name[0] != '.' && planning_read(reading->ctx, name, &p, err) == 0 && strcmp(p.plan, reading->plan) == 0)
        take(reading->opens, &p);
    return 0;
}

// Whoever read the journal a moment before its last line was written finds nobody at work there any more.
static bool has_ended_meanwhile(const struct context *ctx, const char *id)
{
    _cleanup_planning_ struct planning p = { 0 };
    struct error ignored;
    return planning_read(ctx, id, &p, &ignored) == 0 && p.ended_ns != 0;
}

static bool is_open(const struct context *ctx, const struct planning_opens *opens, struct planning_open *open)
{
    if (open->planning.ended_ns != 0)
        return false;
    _cleanup_free_ char *directory = planning_directory(ctx, open->planning.id);
    open->is_alive = plan_journal_is_alive(ctx->io, directory);
    for (size_t i = 0; !open->is_alive && i < opens->n; i++)
        if (is_alike(&opens->items[i].planning, &open->planning) && is_newer(&opens->items[i].planning, &open->planning))
            return false;
    return open->is_alive || !has_ended_meanwhile(ctx, open->planning.id);
}

static int compare(const void *a, const void *b)
{
    const struct planning_open *x = a, *y = b;
    return x->is_alive != y->is_alive ? (x->is_alive ? -1 : 1) : is_newer(&x->planning, &y->planning) ? -1 : is_newer(&y->planning, &x->planning);
}

void planning_opens_load(const struct context *ctx, const char *plan, struct planning_opens *ret_opens)
{
    _cleanup_planning_opens_ struct planning_opens all = { 0 };
    struct reading reading = { .ctx = ctx, .plan = plan, .opens = &all };
    _cleanup_free_ char *directory = xasprintf("%s/plans", ctx->state_dir);
    struct error ignored; // there are none yet
    *ret_opens = (struct planning_opens){ 0 };
    (void)!fs_list_dir(ctx->io, AT_FDCWD, directory, read_one, &reading, &ignored);
    ret_opens->items = xcalloc(all.n + 1, sizeof *ret_opens->items);
    bool *open = xcalloc(all.n + 1, sizeof *open);
    for (size_t i = 0; i < all.n; i++)
        open[i] = is_open(ctx, &all, &all.items[i]);
    for (size_t i = 0; i < all.n; i++)
        if (open[i]) {
            ret_opens->items[ret_opens->n++] = all.items[i];
            all.items[i] = (struct planning_open){ 0 };
        }
    free(open);
    qsort(ret_opens->items, ret_opens->n, sizeof *ret_opens->items, compare);
}
