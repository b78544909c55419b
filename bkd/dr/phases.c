#include "bkd/dr/phases.h"

#include <string.h>

const char *phase_name(enum phase phase)
{
    static const char *const names[PHASES] = { "locate", "fetch", "decode", "write", "compare", "metadata", "checks" };
    return names[phase];
}

uint64_t phases_sum(const struct phases *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < PHASES; i++)
        sum += p->ns[i];
    return sum;
}

static uint64_t told_ns(const struct json *phases, const char *name)
{
    const struct json *phase = phases == NULL ? NULL : json_get(phases, name);
    uint64_t ms = 0;
    return phase != NULL && json_get_u64(phase, "ms", &ms) && ms < UINT64_MAX / 1000000 ? ms * 1000000 : 0;
}

// What is elapsed time in the summary is taken as such, as far as it fits; what the threads did shares the rest.
void phases_of_restore(const struct json *summary, uint64_t wall_ns, struct phases *ret_phases)
{
    static const enum phase shared[] = { PHASE_FETCH, PHASE_DECODE, PHASE_WRITE, PHASE_COMPARE, PHASE_METADATA };
    const struct json *told = json_get(summary, "phases");
    struct phases p = { 0 };
    uint64_t work[PHASES] = { 0 }, total = 0, reread = told_ns(told, "verify"), alone = told_ns(told, "open") + told_ns(told, "plan");
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        total += work[shared[i]] = told_ns(told, phase_name(shared[i]));
    reread = reread < wall_ns ? reread : wall_ns;
    alone = total == 0 || alone > wall_ns - reread ? wall_ns - reread : alone;
    uint64_t together = wall_ns - reread - alone, given = 0;
    for (size_t i = 0; total > 0 && i < sizeof shared / sizeof *shared; i++) {
        p.ns[shared[i]] = (uint64_t)((long double)together * work[shared[i]] / total);
        given += p.ns[shared[i]];
    }
    p.ns[PHASE_COMPARE] += reread;
    p.ns[PHASE_LOCATE] = wall_ns - reread - given; // also what rounding left
    *ret_phases = p;
}

// Rounded so that the sum of what is printed is the printed sum: each phase ends at a whole millisecond of the way.
void phases_add_json(struct json *line, const struct phases *p)
{
    struct json *phases = json_add_object(line, "phases");
    char key[32];
    uint64_t until = 0;
    for (int i = 0; i < PHASES; i++) {
        uint64_t before_ms = until / 1000000;
        until += p->ns[i];
        (void)strcpy(key, phase_name((enum phase)i));
        json_add_u64(phases, strcat(key, "_ms"), until / 1000000 - before_ms);
    }
}
