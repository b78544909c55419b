#include "bkd/dr/plan_forecast.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"

enum which { LOW, LIKELY, HIGH };

struct timeline {
    const struct plan_forecast_part *parts;
    size_t n;
    const bool *needs;
    size_t most;
    enum which which;
    double *start, *end; // end < 0: it did not begin
    size_t *after;       // the part whose end let it begin; n = none
};

static double duration(const struct timeline *t, size_t i)
{
    const struct plan_forecast_part *p = &t->parts[i];
    return t->which == LOW ? p->low_s : t->which == LIKELY ? p->likely_s : p->high_s;
}

// When all that it needs has ended; false while something of that has not begun.
static bool is_ready(const struct timeline *t, size_t i, double *ret_when, size_t *ret_after)
{
    *ret_when = 0;
    *ret_after = t->n;
    for (size_t k = 0; k < t->n; k++) {
        if (!t->needs[i * t->n + k])
            continue;
        if (t->end[k] < 0)
            return false;
        if (t->end[k] > *ret_when || *ret_after == t->n) {
            *ret_when = t->end[k];
            *ret_after = k;
        }
    }
    return true;
}

// When one of the places for restores is free: the end of the running one that ends first.
static void wait_for_place(const struct timeline *t, double *when, size_t *after)
{
    for (;;) {
        size_t running = 0, first = t->n;
        for (size_t k = 0; k < t->n; k++)
            if (t->parts[k].is_restore && t->end[k] > *when && t->start[k] <= *when) {
                running++;
                first = first == t->n || t->end[k] < t->end[first] ? k : first;
            }
        if (running < t->most)
            return;
        *when = t->end[first];
        *after = first;
    }
}

// Begins the part that can begin first; of several the first one. False: there is none.
static bool begin_next(const struct timeline *t)
{
    size_t best = t->n, best_after = t->n, after;
    double best_when = 0, when;
    for (size_t i = 0; i < t->n; i++) {
        if (t->end[i] >= 0 || !is_ready(t, i, &when, &after))
            continue;
        if (t->parts[i].is_restore && t->most > 0)
            wait_for_place(t, &when, &after);
        if (best == t->n || when < best_when) {
            best = i;
            best_when = when;
            best_after = after;
        }
    }
    if (best == t->n)
        return false;
    t->start[best] = best_when;
    t->end[best] = best_when + duration(t, best);
    t->after[best] = best_after;
    return true;
}

static size_t find_last(const struct timeline *t)
{
    size_t last = 0;
    for (size_t i = 1; i < t->n; i++)
        last = t->end[i] > t->end[last] ? i : last;
    return last;
}

static void keep(const struct timeline *t, struct plan_forecast_part *parts)
{
    for (size_t i = 0; i < t->n; i++) {
        parts[i].start_s = t->start[i];
        parts[i].end_s = t->end[i];
        parts[i].is_critical = false;
    }
    for (size_t i = find_last(t); i < t->n; i = t->after[i])
        parts[i].is_critical = true;
}

// *ret_s: when the last part ends. `parts` is NULL, or gets what was found.
static bool draw(struct timeline *t, struct plan_forecast_part *parts, double *ret_s)
{
    size_t begun = 0;
    t->start = xcalloc(t->n + 1, sizeof *t->start);
    t->end = xcalloc(t->n + 1, sizeof *t->end);
    t->after = xcalloc(t->n + 1, sizeof *t->after);
    for (size_t i = 0; i < t->n; i++)
        t->end[i] = -1;
    while (begin_next(t))
        begun++;
    *ret_s = begun == t->n && t->n > 0 ? t->end[find_last(t)] : 0;
    if (begun == t->n && t->n > 0 && parts != NULL)
        keep(t, parts);
    free(t->start);
    free(t->end);
    free(t->after);
    return begun == t->n;
}

bool plan_forecast(struct plan_forecast_part *parts, size_t n, const bool *needs, size_t most, struct plan_forecast *ret_forecast)
{
    struct plan_forecast f;
    struct timeline t = { .parts = parts, .n = n, .needs = needs, .most = most, .which = LOW };
    if (!draw(&t, NULL, &f.low_s))
        return false;
    t.which = HIGH;
    (void)draw(&t, NULL, &f.high_s);
    t.which = LIKELY;
    (void)draw(&t, parts, &f.likely_s);
    f.low_s = f.low_s < f.likely_s ? f.low_s : f.likely_s; // with places that are waited for, shorter parts may make the whole longer (Graham 1969)
    f.high_s = f.high_s > f.likely_s ? f.high_s : f.likely_s;
    *ret_forecast = f;
    return true;
}

// ---- who may run with whom

// Everything that a part waits for, through others (Warshall 1962).
static bool *close_over(const bool *needs, size_t n)
{
    bool *before = xcalloc(n * n + 1, sizeof *before);
    memcpy(before, needs, n * n * sizeof *before);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; before[i * n + k] && j < n; j++)
                before[i * n + j] |= before[k * n + j];
    return before;
}

void plan_forecast_together(const struct plan_forecast_part *parts, size_t n, const bool *needs, size_t most, size_t *ret_together)
{
    bool *before = close_over(needs, n);
    for (size_t i = 0; i < n; i++) {
        ret_together[i] = 0;
        for (size_t k = 0; k < n; k++)
            ret_together[i] += parts[i].is_restore && parts[k].is_restore && !before[i * n + k] && !before[k * n + i];
        if (most > 0 && ret_together[i] > most)
            ret_together[i] = most;
    }
    free(before);
}
