#include "bkd/repo/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/repo/format.h"

static const char *const kind_names[] = { [RECORD_TAG] = "tag", [RECORD_HOLD] = "hold", [RECORD_RELEASE] = "release", [RECORD_ACCEPT] = "accept" };

void record_done(struct record *r)
{
    free(r->holds);
    *r = (struct record){ 0 };
}

static void add_reason(struct buf *out, const char *reason) { lines_add_label(out, "reason", reason[0] == '\0' ? "-" : reason); }

void record_write(struct buf *out, const struct record *r)
{
    assert(r->kind != RECORD_OTHER);
    buf_add_str(out, "bkd-record/1\n");
    lines_add_hex(out, "repository", r->repository, sizeof r->repository);
    lines_add_number(out, "number", r->number);
    lines_add_hex(out, "previous", r->previous, sizeof r->previous);
    lines_add_time(out, "time", r->time_ns);
    lines_add_label(out, "by", r->by);
    buf_addf(out, "kind %s\n", kind_names[r->kind]);
    lines_add_hex(out, "chain", r->chain, sizeof r->chain);
    lines_add_number(out, "snapshot", r->snapshot);
    lines_add_hex(out, "head", r->head, sizeof r->head);
    if (r->kind == RECORD_TAG)
        lines_add_label(out, "tag", r->tag);
    for (size_t i = 0; r->kind == RECORD_RELEASE && i < r->n_holds; i++)
        lines_add_hex(out, "hold", r->holds[i], sizeof r->holds[i]);
    if (r->kind != RECORD_TAG)
        add_reason(out, r->reason);
}

// 1 to RECORD_KIND_MAX of a–z, 0–9 and "-".
static bool parse_kind(struct record *r, const char *value, size_t n)
{
    if (n == 0 || n > RECORD_KIND_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((value[i] >= 'a' && value[i] <= 'z') || (value[i] >= '0' && value[i] <= '9') || value[i] == '-'))
            return false;
    memcpy(r->kind_name, value, n);
    for (size_t kind = RECORD_TAG; kind < sizeof kind_names / sizeof *kind_names; kind++)
        if (strcmp(kind_names[kind], r->kind_name) == 0)
            r->kind = (enum record_kind)kind;
    return true;
}

static int parse_beginning(struct lines *l, struct record *r, struct error *err)
{
    const char *v;
    size_t n;
    int e = lines_take_first(l, "bkd-record/1", err);
    if (e < 0)
        return e;
    LINES_NEED(l, "repository", LINES_ONLY(lines_hex(&v, &n, r->repository, sizeof r->repository)));
    LINES_NEED(l, "number", LINES_ONLY(lines_u64(&v, &n, INT64_MAX, &r->number)) && r->number > 0);
    LINES_NEED(l, "previous", LINES_ONLY(lines_hex(&v, &n, r->previous, sizeof r->previous)));
    LINES_NEED(l, "time", lines_time(v, n, &r->time_ns));
    LINES_NEED(l, "by", lines_label(v, n, r->by));
    LINES_NEED(l, "kind", parse_kind(r, v, n));
    return 0;
}

static bool add_hold(struct record *r, const char *v, size_t n)
{
    if (r->n_holds == RECORD_HOLDS_MAX)
        return false;
    r->holds = xrealloc(r->holds, (r->n_holds + 1) * sizeof *r->holds);
    return lines_hex(&v, &n, r->holds[r->n_holds++], sizeof *r->holds) && lines_no_more(v);
}

static int parse_snapshot(struct lines *l, struct record *r, struct error *err)
{
    const char *v;
    size_t n;
    LINES_NEED(l, "chain", LINES_ONLY(lines_hex(&v, &n, r->chain, sizeof r->chain)));
    LINES_NEED(l, "snapshot", LINES_ONLY(lines_u64(&v, &n, INT64_MAX, &r->snapshot)) && r->snapshot > 0);
    LINES_NEED(l, "head", LINES_ONLY(lines_hex(&v, &n, r->head, sizeof r->head)));
    if (r->kind == RECORD_TAG)
        LINES_NEED(l, "tag", !lines_is_dash(v, n) && lines_label(v, n, r->tag));
    while (r->kind == RECORD_RELEASE && lines_take(l, "hold", &v, &n))
        if (!add_hold(r, v, n))
            return lines_expected(l, "hold", err);
    if (r->kind == RECORD_RELEASE && r->n_holds == 0)
        return lines_expected(l, "hold", err);
    if (r->kind != RECORD_TAG)
        LINES_NEED(l, "reason", lines_is_dash(v, n) || lines_label(v, n, r->reason));
    return lines_ended(l) ? 0 : lines_expected(l, "line", err);
}

int record_parse(const char *text, size_t n, struct record *ret_record, struct error *err)
{
    if (n > FORMAT_SIGNED_MAX)
        return error_set(err, ERROR_FORMAT, "record: %zu bytes, more than the %u it may have", n, FORMAT_SIGNED_MAX);
    _cleanup_record_ struct record r = { 0 };
    struct lines l;
    lines_init(&l, text, n, "record", true);
    int e = parse_beginning(&l, &r, err);
    if (e == 0 && r.kind != RECORD_OTHER)
        e = parse_snapshot(&l, &r, err);
    if (e < 0)
        return e;
    if (text[n - 1] != '\n')
        return error_set(err, ERROR_FORMAT, "record: it ends in the middle of a line");
    *ret_record = r;
    r = (struct record){ 0 };
    return 0;
}

char *record_name(const uint8_t signer[32], uint64_t number)
{
    char hex[65];
    format_hex(hex, signer, 32);
    return xasprintf("records/%s/%llu", hex, (unsigned long long)number);
}
