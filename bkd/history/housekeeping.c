#include "bkd/history/housekeeping.h"

#include "bkd/base/log.h"
#include "bkd/history/rebuilding.h"
#include "bkd/policy/config.h"
#include "bkd/record/compaction.h"

#define S_NS UINT64_C(1000000000)
#define EVERY_NS (20 * 3600 * S_NS) // a nightly run is sometimes early
#define LEAP_NS (30 * 86400 * S_NS) // after a longer pause the clock may be wrong

static bool is_due(struct catalogue *c, const char *mark, struct error *err, int *ret_r)
{
    int64_t last = 0;
    int64_t now = (int64_t)catalogue_now_ns(c);
    *ret_r = catalogue_mark(c, mark, &last, err);
    return *ret_r == 0 && (last > now || now - last >= (int64_t)EVERY_NS);
}

int housekeeping_backup(struct catalogue *c, struct error *err)
{
    int r = catalogue_set_mark(c, "backup.last", (int64_t)catalogue_now_ns(c), err); // first, so that the copy itself says it
    return r < 0 ? r : catalogue_backup(c, err);
}

// A configuration that is wrong is told by whoever it concerns; here the defaults do.
static struct compaction_options options_of(const struct context *ctx)
{
    _cleanup_config_ struct config config = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    struct error ignored;
    if (config_load(ctx->io, ctx->config_dir, &config, &errors, &ignored) < 0)
        return (struct compaction_options){ .details_ns = UINT64_C(400) * 86400 * S_NS, .runs_ns = UINT64_C(1095) * 86400 * S_NS };
    return (struct compaction_options){ .details_ns = config.history_details_s * S_NS, .runs_ns = config.history_runs_s * S_NS };
}

// A clock that is years ahead makes everything old. So after a leap nothing goes until, most of a day later, the clock still says so.
static bool has_leapt(struct catalogue *c, struct error *err, int *ret_r)
{
    int64_t last = 0;
    *ret_r = catalogue_mark(c, "compaction.last", &last, err);
    return *ret_r == 0 && last != 0 && (int64_t)catalogue_now_ns(c) - last > (int64_t)LEAP_NS;
}

static int compact(const struct context *ctx, struct catalogue *c, struct error *err)
{
    int leap_r;
    if (has_leapt(c, err, &leap_r))
        return catalogue_set_mark(c, "compaction.last", (int64_t)catalogue_now_ns(c), err);
    if (leap_r < 0)
        return leap_r;
    struct compaction_options options = options_of(ctx);
    struct compaction_result result;
    int r = compaction_run(c, &options, &result, err);
    if (r == 0 && result.rows > 0)
        log_debug("old rows of the catalogue went rows=%llu", (unsigned long long)result.rows);
    return r < 0 ? r : catalogue_set_mark(c, "compaction.last", (int64_t)catalogue_now_ns(c), err);
}

// Without an identity: from heads. The alarm stays until a person runs `bkd catalogue rebuild`.
static int rebuild(const struct context *ctx, struct catalogue *c, struct error *err)
{
    struct rebuilt rebuilt;
    int r = catalogue_set_mark(c, "rebuild.wanted", 0, err); // first: what cannot be rebuilt now is left to that person
    if (r == 0)
        r = rebuilding_run(ctx, c, NULL, NULL, &rebuilt, err);
    if (r == 0)
        log_warn("the catalogue was rebuilt from heads: %llu snapshots of %llu policies", (unsigned long long)rebuilt.snapshots, (unsigned long long)rebuilt.policies);
    return r;
}

void housekeeping_run(const struct context *ctx, struct catalogue *c)
{
    int64_t wanted = 0;
    struct error err;
    int r = catalogue_mark(c, "rebuild.wanted", &wanted, &err);
    if (r == 0 && wanted != 0)
        r = rebuild(ctx, c, &err);
    if (r == 0 && is_due(c, "compaction.last", &err, &r))
        r = compact(ctx, c, &err);
    if (r == 0 && is_due(c, "backup.last", &err, &r))
        r = housekeeping_backup(c, &err);
    if (r < 0)
        log_warn("housekeeping of the catalogue was not done: %s. The next run tries again", err.text);
}
