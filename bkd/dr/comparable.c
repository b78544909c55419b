#include "bkd/dr/comparable.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/record/verifications.h"

struct comparing {
    struct comparable *c;
    const char *from;
};

static bool is_alike(const struct comparable *c, const struct verification *v)
{
    return strcmp(c->copy, v->copy) == 0 && strcmp(c->host, v->host) == 0 && v->bytes <= 2 * c->bytes && c->bytes <= 2 * v->bytes;
}

static int take(void *arg, const struct verification *v, struct error *err)
{
    const struct comparing *comparing = arg;
    struct comparable *c = comparing->c;
    (void)err;
    if (!v->is_proven || strcmp(v->mode, "full") != 0)
        return 0;
    if (!c->has_newest && (comparing->from == NULL || strcmp(comparing->from, v->copy) == 0)) {
        c->has_newest = true;
        c->copy = xstrdup(v->copy);
        c->host = xstrdup(v->host);
        c->bytes = v->bytes;
        c->newest_ns = v->time_ns;
        c->newest_ms = v->duration_ns / 1000000;
    }
    if (!c->has_newest || !is_alike(c, v)) {
        c->others++;
        return 0;
    }
    c->runs = xrealloc(c->runs, (c->n + 1) * sizeof *c->runs);
    c->runs[c->n++] = (struct trend_point){ v->time_ns, v->duration_ns / 1000000 };
    return 0;
}

int comparable_load(struct catalogue *c, const char *policy, const char *from, struct comparable *ret_comparable, struct error *err)
{
    struct comparing comparing = { ret_comparable, from };
    *ret_comparable = (struct comparable){ 0 };
    return verifications_list(c, policy, COMPARABLE_MAX, take, &comparing, err);
}

void comparable_done(struct comparable *c)
{
    free(c->copy);
    free(c->host);
    free(c->runs);
    *c = (struct comparable){ 0 };
}

void comparable_evidence(const struct comparable *c, struct evidence *ret_evidence)
{
    uint64_t *values = xcalloc(c->n + 1, sizeof *values);
    for (size_t i = 0; i < c->n; i++)
        values[i] = c->runs[i].value;
    evidence_of(values, c->n, ret_evidence);
    free(values);
}
