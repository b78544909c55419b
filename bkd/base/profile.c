#include "bkd/base/profile.h"

#include <string.h>

// Below this share nothing is called the limit.
#define LIMIT_MIN 0.5

static const char *const stage_names[PROFILE_STAGES] = { "scan", "read", "hash", "delta", "place", "compress", "encrypt", "write", "ship" };
static const char *const kind_names[PROFILE_KINDS] = { "cpu", "off", "starved", "blocked" };
static const char *const limit_names[] = { "none", "processors", "thread", "device" };

const char *profile_stage_name(enum profile_stage stage) { return stage_names[stage]; }
const char *profile_kind_name(enum profile_kind kind) { return kind_names[kind]; }
const char *profile_limit_name(enum profile_limit limit) { return limit_names[limit]; }

bool profile_moves(enum profile_stage stage)
{
    return stage == PROFILE_SCAN || stage == PROFILE_READ || stage == PROFILE_WRITE || stage == PROFILE_SHIP;
}

void profile_threads(struct profile *p, enum profile_stage stage, unsigned threads)
{
    if (p != NULL && threads > p->threads[stage])
        p->threads[stage] = threads;
}

void profile_add(struct profile *p, enum profile_stage stage, enum profile_kind kind, uint64_t ns)
{
    if (p != NULL)
        p->ns[stage][kind] += ns;
}

// ---- laps

static void begin_stretch(struct profile_lap *lap)
{
    memset(lap->spent_ns, 0, sizeof lap->spent_ns);
    lap->since_ns = io_monotonic_ns(lap->io);
    lap->cpu_since_ns = io_thread_cpu_ns(lap->io);
}

void profile_begin(struct profile_lap *lap, struct profile *profile, const struct io *io, enum profile_stage stage)
{
    lap->profile = profile;
    lap->io = io;
    lap->stage = stage;
    if (profile != NULL)
        begin_stretch(lap);
}

void profile_to(struct profile_lap *lap, enum profile_stage stage)
{
    if (lap->profile == NULL || stage == lap->stage)
        return;
    uint64_t now = io_monotonic_ns(lap->io);
    lap->spent_ns[lap->stage] += now - lap->since_ns;
    lap->since_ns = now;
    lap->stage = stage;
}

// `part` of `whole`, of n.
static uint64_t share(uint64_t n, uint64_t part, uint64_t whole) { return whole == 0 ? 0 : (uint64_t)((double)n * (double)part / (double)whole); }

// Gives the stretch to its stages: first what it was off the processor to those that move bytes, up to what they took.
static void end_stretch(struct profile_lap *lap)
{
    uint64_t cpu = io_thread_cpu_ns(lap->io) - lap->cpu_since_ns, now = io_monotonic_ns(lap->io), all = 0, moving = 0;
    lap->spent_ns[lap->stage] += now - lap->since_ns;
    lap->since_ns = now;
    for (int s = 0; s < PROFILE_STAGES; s++) {
        all += lap->spent_ns[s];
        moving += profile_moves((enum profile_stage)s) ? lap->spent_ns[s] : 0;
    }
    uint64_t off = all > cpu ? all - cpu : 0, off_moving = off < moving ? off : moving;
    for (int s = 0; s < PROFILE_STAGES; s++) {
        uint64_t spent = lap->spent_ns[s];
        if (spent == 0)
            continue;
        uint64_t here = profile_moves((enum profile_stage)s) ? share(off_moving, spent, moving) : share(off - off_moving, spent, all - moving);
        lap->profile->ns[s][PROFILE_CPU] += spent > here ? spent - here : 0;
        lap->profile->ns[s][PROFILE_OFF] += here;
    }
}

void profile_pause(struct profile_lap *lap)
{
    if (lap->profile != NULL)
        end_stretch(lap);
}

void profile_resume(struct profile_lap *lap, enum profile_kind waited)
{
    if (lap->profile == NULL)
        return;
    uint64_t since = lap->since_ns;
    begin_stretch(lap);
    lap->profile->ns[lap->stage][waited] += lap->since_ns - since;
}

void profile_end(struct profile_lap *lap)
{
    if (lap->profile != NULL)
        end_stretch(lap);
    lap->profile = NULL;
}

// ---- what it tells

void profile_take(const struct profile *p, struct profile_report *ret_report)
{
    for (int s = 0; s < PROFILE_STAGES; s++) {
        for (int k = 0; k < PROFILE_KINDS; k++)
            ret_report->ns[s][k] = p->ns[s][k];
        ret_report->threads[s] = p->threads[s] == 0 ? 1 : p->threads[s];
    }
}

// The processors were busy for this run, or others had them when it wanted one.
static double processors_share(const struct profile_report *r, enum profile_stage *ret_stage)
{
    uint64_t wanted = r->cpu_ns;
    *ret_stage = PROFILE_SCAN;
    for (int s = 0; s < PROFILE_STAGES; s++) {
        if (!profile_moves((enum profile_stage)s))
            wanted += r->ns[s][PROFILE_OFF];
        if (r->ns[s][PROFILE_CPU] > r->ns[*ret_stage][PROFILE_CPU])
            *ret_stage = (enum profile_stage)s;
    }
    double share = (double)wanted / ((double)r->wall_ns * (r->processors == 0 ? 1 : r->processors));
    return share > 1 ? 1 : share;
}

enum profile_limit profile_judge(const struct profile_report *r, enum profile_stage *ret_stage, double *ret_share)
{
    *ret_share = 0;
    *ret_stage = PROFILE_SCAN;
    if (r->wall_ns == 0)
        return PROFILE_LIMIT_NONE;
    enum profile_limit limit = PROFILE_LIMIT_PROCESSORS;
    *ret_share = processors_share(r, ret_stage);
    for (int s = 0; s < PROFILE_STAGES; s++) {
        double of_threads = (double)r->wall_ns * (r->threads[s] == 0 ? 1 : r->threads[s]);
        bool moves = profile_moves((enum profile_stage)s);
        double off = moves ? (double)r->ns[s][PROFILE_OFF] / of_threads : 0;
        double busy = r->threads[s] <= 1 ? (double)r->ns[s][PROFILE_CPU] / of_threads : 0;
        if (off > *ret_share || busy > *ret_share) {
            limit = off > busy ? PROFILE_LIMIT_DEVICE : PROFILE_LIMIT_THREAD;
            *ret_stage = (enum profile_stage)s;
            *ret_share = off > busy ? off : busy;
        }
    }
    return *ret_share < LIMIT_MIN ? PROFILE_LIMIT_NONE : limit;
}
