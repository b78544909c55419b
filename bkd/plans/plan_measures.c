#include "bkd/plans/plan_measures.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/compare.h"
#include "bkd/base/fs.h"
#include "bkd/plans/planning.h"

struct loading {
    const struct context *ctx;
    const struct recovery *plan;
    struct plan_measures *m;
};

static const struct planning_step *find_step(const struct planning *run, const char *id)
{
    for (size_t i = 0; i < run->n_steps; i++)
        if (strcmp(run->ids[i], id) == 0)
            return &run->steps[i];
    return NULL;
}

static void add_run(struct loading *l, const struct planning *run)
{
    struct plan_measures *m = l->m;
    struct plan_past past = { .started_ns = run->started_ns, .took_s = (double)run->took_ns / 1e9, .steps = xcalloc(m->n_steps + 1, sizeof *past.steps) };
    for (size_t i = 0; i < m->n_steps; i++) {
        const struct planning_step *s = find_step(run, l->plan->steps[i].id);
        if (s != NULL && s->state == PLANNING_DONE)
            past.steps[i] = (struct plan_measure){ .is_done = true, .took_s = (double)s->took_ns / 1e9, .files = s->files, .bytes = s->bytes,
                                                   .copy = xstrdup(s->copy == NULL ? "" : s->copy) };
    }
    m->runs = xrealloc(m->runs, (m->n + 1) * sizeof *m->runs);
    m->runs[m->n++] = past;
}

static int look(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct loading *l = arg;
    _cleanup_planning_ struct planning run = { 0 };
    (void)type;
    if (name[0] != '.' && planning_read(l->ctx, name, &run, err) == 0 && strcmp(run.plan, l->plan->name) == 0 && run.passed && run.mode != PLANNING_TABLETOP)
        add_run(l, &run);
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct plan_past *x = a, *y = b;
    return (x->started_ns > y->started_ns) - (x->started_ns < y->started_ns);
}

void plan_measures_load(const struct context *ctx, const struct recovery *plan, struct plan_measures *ret_measures)
{
    struct loading l = { ctx, plan, ret_measures };
    _cleanup_free_ char *directory = planning_directory(ctx, ".");
    struct error ignored; // there are none yet
    *ret_measures = (struct plan_measures){ .n_steps = plan->step_count };
    (void)!fs_list_dir(ctx->io, AT_FDCWD, directory, look, &l, &ignored);
    if (ret_measures->n > 1)
        qsort(ret_measures->runs, ret_measures->n, sizeof *ret_measures->runs, by_time);
}

void plan_measures_done(struct plan_measures *m)
{
    for (size_t i = 0; i < m->n; i++) {
        for (size_t k = 0; k < m->n_steps; k++)
            free(m->runs[i].steps[k].copy);
        free(m->runs[i].steps);
    }
    free(m->runs);
    *m = (struct plan_measures){ 0 };
}

double *plan_measures_of(const struct plan_measures *m, size_t step, uint64_t before_ns, size_t *ret_n)
{
    double *values = xcalloc(m->n + 1, sizeof *values);
    *ret_n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->runs[i].steps[step].is_done && (before_ns == 0 || m->runs[i].started_ns < before_ns))
            values[(*ret_n)++] = m->runs[i].steps[step].took_s;
    if (*ret_n > 1)
        qsort(values, *ret_n, sizeof *values, compare_doubles);
    return values;
}
