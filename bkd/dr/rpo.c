#include "bkd/dr/rpo.h"

static uint64_t latest(uint64_t a, uint64_t b) { return a > b ? a : b; }

// A later clock than the moment's makes a point of now, not one of the future.
static uint64_t age_of(uint64_t time_ns, uint64_t moment_ns) { return moment_ns > time_ns ? moment_ns - time_ns : 0; }

static void better(uint64_t age, uint64_t number, uint64_t *age_at, uint64_t *number_at)
{
    if (age < *age_at || (age == *age_at && number > *number_at)) {
        *age_at = age;
        *number_at = number;
    }
}

struct rpo rpo_at(const struct rpo_point *points, size_t n, uint64_t moment_ns)
{
    struct rpo rpo = { RPO_NEVER, RPO_NEVER, RPO_NEVER, 0, 0, 0 };
    for (size_t i = 0; i < n; i++) {
        const struct rpo_point *p = &points[i];
        uint64_t age = age_of(p->time_ns, moment_ns);
        if (p->made_ns > moment_ns || p->gone_ns <= moment_ns)
            continue;
        better(age, p->number, &rpo.newest, &rpo.newest_number);
        if (p->offsite_ns <= moment_ns)
            better(age, p->number, &rpo.offsite, &rpo.offsite_number);
        if (p->offsite_ns <= moment_ns && p->proven_ns <= moment_ns)
            better(age, p->number, &rpo.proven, &rpo.proven_number);
    }
    return rpo;
}

static uint64_t known_since(const struct rpo_point *p, bool needs_proof)
{
    uint64_t since = latest(p->made_ns, p->offsite_ns);
    return needs_proof ? latest(since, p->proven_ns) : since;
}

static uint64_t age_at(const struct rpo_point *points, size_t n, uint64_t moment_ns, bool needs_proof)
{
    struct rpo rpo = rpo_at(points, n, moment_ns);
    return needs_proof ? rpo.proven : rpo.offsite;
}

// The age grows with time and falls only when something becomes known: the worst is just before such a moment, just after a point was given up, or at the end.
uint64_t rpo_worst(const struct rpo_point *points, size_t n, uint64_t from_ns, uint64_t until_ns, bool needs_proof)
{
    uint64_t worst = age_at(points, n, until_ns, needs_proof);
    for (size_t i = 0; i < n; i++) {
        uint64_t since = known_since(&points[i], needs_proof), gone = points[i].gone_ns;
        if (since > from_ns && since <= until_ns)
            worst = latest(worst, age_at(points, n, since - 1, needs_proof));
        if (gone != RPO_NEVER && gone > from_ns && gone <= until_ns)
            worst = latest(worst, age_at(points, n, gone, needs_proof));
    }
    return worst;
}
