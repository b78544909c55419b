#include "bkd/history/profiling.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/work.h"
#include "bkd/history/recording.h"
#include "bkd/record/catalogue.h"

#define PREFIX "profile_"

void profiling_begin(const struct context *ctx, struct profiling *p) { p->started_ns = io_monotonic_ns(ctx->io); }

void profiling_take(const struct context *ctx, const struct profiling *p, struct profile_report *ret_report)
{
    *ret_report = (struct profile_report){ .wall_ns = io_monotonic_ns(ctx->io) - p->started_ns, .cpu_ns = io_process_cpu_ns(ctx->io), .processors = work_processors() };
    profile_take(&p->profile, ret_report);
}

// ---- the catalogue: phases profile_wall, profile_cpu, profile_STAGE_KIND; figures profile_processors, profile_STAGE_threads

static void record_one(const struct context *ctx, bool is_phase, const char *stage, const char *what, uint64_t value)
{
    char name[CATALOGUE_NAME_MAX];
    (void)snprintf(name, sizeof name, PREFIX "%s%s%s", stage, stage[0] == '\0' ? "" : "_", what);
    if (is_phase)
        recording_phase(ctx, name, value);
    else
        recording_figure(ctx, name, value);
}

void profiling_record(const struct context *ctx, const struct profile_report *r)
{
    record_one(ctx, true, "", "wall", r->wall_ns);
    record_one(ctx, true, "", "cpu", r->cpu_ns);
    record_one(ctx, false, "", "processors", r->processors);
    for (int s = 0; s < PROFILE_STAGES; s++) {
        const char *stage = profile_stage_name((enum profile_stage)s);
        for (int k = 0; k < PROFILE_KINDS; k++)
            if (r->ns[s][k] > 0)
                record_one(ctx, true, stage, profile_kind_name((enum profile_kind)k), r->ns[s][k]);
        if (r->threads[s] > 1)
            record_one(ctx, false, stage, "threads", r->threads[s]);
    }
}

static void read_stage(struct profile_report *r, bool is_phase, const char *name, uint64_t value)
{
    for (int s = 0; s < PROFILE_STAGES; s++) {
        const char *stage = profile_stage_name((enum profile_stage)s);
        size_t n = strlen(stage);
        if (strncmp(name, stage, n) != 0 || name[n] != '_')
            continue;
        if (!is_phase && strcmp(name + n + 1, "threads") == 0)
            r->threads[s] = (unsigned)value;
        for (int k = 0; is_phase && k < PROFILE_KINDS; k++)
            if (strcmp(name + n + 1, profile_kind_name((enum profile_kind)k)) == 0)
                r->ns[s][k] = value;
    }
}

bool profiling_read(struct profile_report *r, bool is_phase, const char *name, uint64_t value)
{
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    name += strlen(PREFIX);
    if (is_phase && strcmp(name, "wall") == 0)
        r->wall_ns = value;
    else if (is_phase && strcmp(name, "cpu") == 0)
        r->cpu_ns = value;
    else if (!is_phase && strcmp(name, "processors") == 0)
        r->processors = (unsigned)value;
    else
        read_stage(r, is_phase, name, value);
    return true;
}

// ---- showing it

static bool was_used(const struct profile_report *r, int stage)
{
    uint64_t all = 0;
    for (int k = 0; k < PROFILE_KINDS; k++)
        all += r->ns[stage][k];
    return all >= 5000000; // what shows as 0.01 s
}

static double seconds(uint64_t ns) { return (double)ns / 1e9; }

static const char *device_of(enum profile_stage stage)
{
    switch (stage) {
    case PROFILE_SCAN:
        return "the disk of the sources (scan)";
    case PROFILE_READ:
        return "the disk of the sources (read)";
    case PROFILE_SHIP:
        return "the line to the copies (ship)";
    default:
        return "the repository's disk or line (write)";
    }
}

static void print_limit(const struct profile_report *r)
{
    enum profile_stage stage;
    double share;
    enum profile_limit limit = profile_judge(r, &stage, &share);
    const char *name = profile_stage_name(stage);
    unsigned percent = (unsigned)(share * 100 + 0.5);
    if (limit == PROFILE_LIMIT_PROCESSORS)
        printf("limited by the processors: wanted for %u %% of the time, most of it to %s\n", percent, name);
    else if (limit == PROFILE_LIMIT_THREAD)
        printf("limited by one thread: %s kept it busy for %u %% of the time\n", name, percent);
    else if (limit == PROFILE_LIMIT_DEVICE)
        printf("limited by %s: waited for during %u %% of the time\n", device_of(stage), percent);
    else
        printf("limited by no one thing: nothing was busy for half of the time\n");
}

void profiling_print(const struct profile_report *r)
{
    printf("profile: %.2f s, processor time %.2f s on %u processors\n", seconds(r->wall_ns), seconds(r->cpu_ns), r->processors);
    printf("  %-10s %7s %12s %18s %14s %14s\n", "STAGE", "THREADS", "PROCESSOR s", "OFF PROCESSOR s", "NO INPUT s", "NO ROOM s");
    for (int s = 0; s < PROFILE_STAGES; s++)
        if (was_used(r, s))
            printf("  %-10s %7u %12.2f %18.2f %14.2f %14.2f\n", profile_stage_name((enum profile_stage)s), r->threads[s] == 0 ? 1 : r->threads[s],
                   seconds(r->ns[s][PROFILE_CPU]), seconds(r->ns[s][PROFILE_OFF]), seconds(r->ns[s][PROFILE_STARVED]), seconds(r->ns[s][PROFILE_BLOCKED]));
    print_limit(r);
}

void profiling_add_json(struct json *line, const struct profile_report *r)
{
    enum profile_stage stage;
    double share;
    enum profile_limit limit = profile_judge(r, &stage, &share);
    struct json *profile = json_add_object(line, "profile");
    json_add_u64(profile, "wall_ms", r->wall_ns / 1000000);
    json_add_u64(profile, "processor_ms", r->cpu_ns / 1000000);
    json_add_u64(profile, "processors", r->processors);
    json_add_str(profile, "limit", profile_limit_name(limit));
    json_add_str(profile, "limit_stage", limit == PROFILE_LIMIT_NONE ? NULL : profile_stage_name(stage));
    json_add_u64(profile, "limit_percent", (uint64_t)(share * 100 + 0.5));
    struct json *stages = json_add_array(profile, "stages");
    for (int s = 0; s < PROFILE_STAGES; s++) {
        if (!was_used(r, s))
            continue;
        struct json *one = json_append_object(stages);
        json_add_str(one, "stage", profile_stage_name((enum profile_stage)s));
        json_add_u64(one, "threads", r->threads[s] == 0 ? 1 : r->threads[s]);
        for (int k = 0; k < PROFILE_KINDS; k++) {
            _cleanup_free_ char *key = xasprintf("%s_ms", profile_kind_name((enum profile_kind)k));
            json_add_u64(one, key, r->ns[s][k] / 1000000);
        }
    }
}
