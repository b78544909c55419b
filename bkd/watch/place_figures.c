#include "bkd/watch/place_figures.h"

#include <stdio.h>
#include <stdlib.h>

#include "bkd/base/crypto.h"
#include "bkd/base/log.h"
#include "bkd/history/recording.h"
#include "bkd/record/runs.h"
#include "bkd/watch/forecast.h"

#define NS_PER_S UINT64_C(1000000000)
#define CLOCK_OFF_S 300
#define APART_NS (3600 * NS_PER_S) // points that are closer tell a forecast nothing, and many of them would reach back too short a time

enum { ID_BYTES = 4, RUNS_LOOKED_AT = 1000 };

static void make_name(const char *what, const char *url, const char *serial, char ret_name[CATALOGUE_NAME_MAX])
{
    _cleanup_buf_ struct buf place = { 0 }, id = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    if (url == NULL) {
        (void)snprintf(ret_name, CATALOGUE_NAME_MAX, "store_%s", what);
        return;
    }
    buf_addf(&place, "%s %s", url, serial);
    crypto_sha256(place.data, place.len, digest);
    buf_add_hex(&id, digest, ID_BYTES);
    (void)snprintf(ret_name, CATALOGUE_NAME_MAX, "copy_%s.%s", what, buf_str(&id));
}

// ---- noting

static void note(const struct context *ctx, const char *what, const char *url, const char *serial, uint64_t value)
{
    char name[CATALOGUE_NAME_MAX];
    make_name(what, url, serial, name);
    recording_figure(ctx, name, value);
}

void place_figures_note(const struct context *ctx, struct store *store, const char *url, const char *serial, const char *head_name)
{
    struct error ignored;
    uint64_t free_bytes = 0, total_bytes = 0, there_ns = 0;
    if (store_space(store, &free_bytes, &total_bytes, &ignored) == 0 && total_bytes > 0) {
        note(ctx, "free", url, serial, free_bytes);
        note(ctx, "total", url, serial, total_bytes);
    }
    if (head_name == NULL || !store->far || store->ops->modified == NULL || store->ops->modified(store, head_name, &there_ns, &ignored) < 0)
        return;
    int64_t off_s = ((int64_t)there_ns - (int64_t)io_realtime_ns(ctx->io)) / (int64_t)NS_PER_S;
    note(ctx, "clock_off_s", url, serial, (uint64_t)llabs(off_s));
    if (llabs(off_s) > CLOCK_OFF_S)
        log_warn("the clock of '%s' is %lld s %s this host's: one of the two is wrong", url, (long long)llabs(off_s), off_s > 0 ? "ahead of" : "behind");
}

// ---- looking

struct points {
    struct forecast_point items[FORECAST_POINTS_MAX];
    size_t n;
};

// They come newest first.
static int add_point(void *arg, uint64_t ended_ns, uint64_t value, struct error *err)
{
    struct points *points = arg;
    (void)err;
    if (points->n > 0 && points->items[points->n - 1].time_ns < ended_ns + APART_NS)
        return 0;
    if (points->n < FORECAST_POINTS_MAX)
        points->items[points->n++] = (struct forecast_point){ .time_ns = ended_ns, .free_bytes = value };
    return 0;
}

// Copies are brought up to date by backups, or by runs of their own.
static void load_points(struct catalogue *c, const char *policy, const char *figure, uint64_t limit, struct points *ret_points)
{
    static const char *const kinds[] = { "backup", "ship" };
    struct error ignored; // then nothing is known
    ret_points->n = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && ret_points->n == 0; i++)
        if (runs_series(c, policy, kinds[i], figure, limit, add_point, ret_points, &ignored) < 0)
            ret_points->n = 0;
}

static uint64_t last(struct catalogue *c, const char *policy, const char *figure)
{
    struct points points;
    load_points(c, policy, figure, 1, &points);
    return points.n > 0 ? points.items[0].free_bytes : 0;
}

void place_figures_load(struct catalogue *c, const char *policy, const char *url, const char *serial, struct watch_disk *ret_disk, uint64_t *ret_clock_off_ns)
{
    char name[CATALOGUE_NAME_MAX];
    struct points points;
    struct forecast forecast = { .full_in_days = UINT64_MAX };
    make_name("clock_off_s", url, serial, name);
    *ret_clock_off_ns = last(c, policy, name) * NS_PER_S;
    make_name("free", url, serial, name);
    load_points(c, policy, name, RUNS_LOOKED_AT, &points);
    *ret_disk = (struct watch_disk){ .is_known = points.n > 0 };
    if (points.n == 0)
        return;
    bool is_foreseen = forecast_make(points.items, points.n, &forecast);
    make_name("total", url, serial, name);
    *ret_disk = (struct watch_disk){ .is_known = true, .free_bytes = points.items[0].free_bytes, .total_bytes = last(c, policy, name),
                                     .bytes_per_day = is_foreseen ? forecast.bytes_per_day : 0, .full_in_days = forecast.full_in_days };
}
