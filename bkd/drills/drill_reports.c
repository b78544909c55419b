#include "bkd/drills/drill_reports.h"

#include <string.h>

#include "bkd/record/drills.h"

enum { TREND_MAX = 12 }; // three years of quarters

struct search {
    const char *id;
    struct json *found; // owned
};

static int look_at(void *arg, const struct drill_row *row, struct error *err)
{
    struct search *s = arg;
    if (strncmp(row->uid, s->id, strlen(s->id)) != 0)
        return 0;
    if (s->found != NULL)
        return error_set(err, ERROR_USAGE, "several drills begin with '%s': `bkd drill list` shows their ids", s->id);
    int r = json_parse(row->record, strlen(row->record), &s->found, err);
    return r < 0 ? error_prefix(err, "the record of drill %s", row->uid) : 0;
}

int drill_reports_find(struct catalogue *c, const char *id, struct json **ret_record, struct error *err)
{
    struct search s = { .id = id };
    int r = drills_list(c, NULL, NULL, look_at, &s, err);
    if (r == 0 && s.found == NULL)
        r = error_set(err, ERROR_NOT_FOUND, "there is no drill '%s': `bkd drill list` shows what there is", id);
    if (r == 0)
        *ret_record = s.found;
    else
        json_free(&s.found);
    return r;
}

int drill_reports_add_improvements(const struct context *ctx, struct json *record, struct error *err)
{
    _cleanup_improvements_ struct improvements improvements = { 0 };
    const char *id = json_get_str(record, "id");
    int r = improvements_load(ctx->io, ctx->state_dir, &improvements, err);
    if (r < 0)
        return r;
    struct json *list = json_add_array(record, "improvements");
    for (size_t i = 0; i < improvements.n; i++) {
        const struct improvement *item = &improvements.items[i];
        if (id == NULL || strcmp(item->drill, id) != 0)
            continue;
        struct json *object = json_append_object(list);
        improvements_describe(item, io_realtime_ns(ctx->io), object);
    }
    return 0;
}

struct trend {
    struct json *records[TREND_MAX]; // owned
    size_t n;
};

static void trend_done(struct trend *t)
{
    for (size_t i = 0; i < t->n; i++)
        json_free(&t->records[i]);
}

static int add_to_trend(void *arg, const struct drill_row *row, struct error *err)
{
    struct trend *t = arg;
    if (t->n == TREND_MAX)
        return 1;
    int r = json_parse(row->record, strlen(row->record), &t->records[t->n], err);
    t->n += r == 0;
    return r;
}

int drill_reports_html(const struct context *ctx, struct catalogue *c, const struct json *record, enum drill_report_language language, struct buf *ret_html,
                       struct error *err)
{
    __attribute__((cleanup(trend_done))) struct trend trend = { .n = 0 };
    _cleanup_improvements_ struct improvements improvements = { 0 };
    int r = improvements_load(ctx->io, ctx->state_dir, &improvements, err);
    if (r == 0)
        r = drills_list(c, json_get_str(record, "plan"), json_get_str(record, "kind"), add_to_trend, &trend, err);
    if (r < 0)
        return r;
    const struct json *earlier[TREND_MAX];
    for (size_t i = 0; i < trend.n; i++)
        earlier[i] = trend.records[i];
    drill_report_html(&(struct drill_report){ .record = record, .improvements = &improvements, .earlier = earlier, .n_earlier = trend.n, .language = language }, ret_html);
    return 0;
}
