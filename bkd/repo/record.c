#include "bkd/repo/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/repo/format.h"

static const char *const kind_names[] = { [RECORD_TAG] = "tag", [RECORD_HOLD] = "hold", [RECORD_RELEASE] = "release", [RECORD_ACCEPT] = "accept",
                                          [RECORD_PROOF] = "proof",
                                          [RECORD_TOMBSTONE] = "tombstone", [RECORD_REVIVE] = "revive", [RECORD_ABSENT] = "absent" };

bool record_names_several(enum record_kind kind) { return kind == RECORD_TOMBSTONE || kind == RECORD_REVIVE || kind == RECORD_ABSENT; }

void record_done(struct record *r)
{
    free(r->holds);
    free(r->snapshots);
    *r = (struct record){ 0 };
}

static void add_reason(struct buf *out, const char *reason) { lines_add_label(out, "reason", reason[0] == '\0' ? "-" : reason); }

static void add_holds(struct buf *out, const char *key, const struct record *r)
{
    for (size_t i = 0; i < r->n_holds; i++)
        lines_add_hex(out, key, r->holds[i], sizeof r->holds[i]);
}

static void write_proof(struct buf *out, const struct record_proof *p)
{
    lines_add_hex(out, "place", p->place, sizeof p->place);
    lines_add_label(out, "mode", p->mode);
    lines_add_label(out, "proven", p->is_proven ? "yes" : "no");
    lines_add_number(out, "ms", p->duration_ms);
    lines_add_number(out, "files", p->files);
    lines_add_number(out, "bytes", p->bytes);
}

static void write_one(struct buf *out, const struct record *r)
{
    lines_add_number(out, "snapshot", r->snapshot);
    lines_add_hex(out, "head", r->head, sizeof r->head);
    if (r->kind == RECORD_TAG)
        lines_add_label(out, "tag", r->tag);
    if (r->kind == RECORD_RELEASE)
        add_holds(out, "hold", r);
    if (r->kind == RECORD_PROOF)
        write_proof(out, &r->proof);
}

static void write_several(struct buf *out, const struct record *r)
{
    lines_add_hex(out, "store", r->store, sizeof r->store);
    if (r->kind == RECORD_TOMBSTONE)
        lines_add_time(out, "after", r->after_ns);
    if (r->kind == RECORD_REVIVE)
        add_holds(out, "tombstone", r);
    for (size_t i = 0; i < r->n_snapshots; i++) {
        buf_addf(out, "snapshot %llu ", (unsigned long long)r->snapshots[i].number);
        buf_add_hex(out, r->snapshots[i].head, sizeof r->snapshots[i].head);
        buf_add_char(out, '\n');
    }
}

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
    if (record_names_several(r->kind))
        write_several(out, r);
    else
        write_one(out, r);
    if (r->kind != RECORD_TAG)
        add_reason(out, r->reason);
}

// 1 to RECORD_KIND_MAX of a–z, 0–9 and "-".
static bool parse_word(const char *value, size_t n, char ret_word[RECORD_KIND_MAX + 1])
{
    if (n == 0 || n > RECORD_KIND_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((value[i] >= 'a' && value[i] <= 'z') || (value[i] >= '0' && value[i] <= '9') || value[i] == '-'))
            return false;
    memcpy(ret_word, value, n);
    ret_word[n] = '\0';
    return true;
}

static bool parse_kind(struct record *r, const char *value, size_t n)
{
    if (!parse_word(value, n, r->kind_name))
        return false;
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

static int parse_holds(struct lines *l, const char *key, struct record *r, struct error *err)
{
    const char *v;
    size_t n;
    while (lines_take(l, key, &v, &n))
        if (!add_hold(r, v, n))
            return lines_expected(l, key, err);
    return r->n_holds == 0 ? lines_expected(l, key, err) : 0;
}

static bool parse_yes_or_no(const char *value, size_t n, bool *ret_yes)
{
    *ret_yes = n == 3 && memcmp(value, "yes", 3) == 0;
    return *ret_yes || (n == 2 && memcmp(value, "no", 2) == 0);
}

static int parse_proof(struct lines *l, struct record_proof *p, struct error *err)
{
    const char *v;
    size_t n;
    LINES_NEED(l, "place", LINES_ONLY(lines_hex(&v, &n, p->place, sizeof p->place)));
    LINES_NEED(l, "mode", parse_word(v, n, p->mode));
    LINES_NEED(l, "proven", parse_yes_or_no(v, n, &p->is_proven));
    LINES_NEED(l, "ms", LINES_ONLY(lines_u64(&v, &n, INT64_MAX / 1000000, &p->duration_ms)));
    LINES_NEED(l, "files", LINES_ONLY(lines_u64(&v, &n, INT64_MAX, &p->files)));
    LINES_NEED(l, "bytes", LINES_ONLY(lines_u64(&v, &n, INT64_MAX, &p->bytes)));
    return 0;
}

static int parse_one(struct lines *l, struct record *r, struct error *err)
{
    const char *v;
    size_t n;
    LINES_NEED(l, "snapshot", LINES_ONLY(lines_u64(&v, &n, INT64_MAX, &r->snapshot)) && r->snapshot > 0);
    LINES_NEED(l, "head", LINES_ONLY(lines_hex(&v, &n, r->head, sizeof r->head)));
    if (r->kind == RECORD_TAG)
        LINES_NEED(l, "tag", !lines_is_dash(v, n) && lines_label(v, n, r->tag));
    if (r->kind == RECORD_PROOF)
        return parse_proof(l, &r->proof, err);
    return r->kind == RECORD_RELEASE ? parse_holds(l, "hold", r, err) : 0;
}

// "NUMBER SHA256", with a higher number than the line before.
static bool add_snapshot(struct record *r, const char *v, size_t n)
{
    struct record_snapshot s = { 0 };
    uint64_t before = r->n_snapshots == 0 ? 0 : r->snapshots[r->n_snapshots - 1].number;
    if (r->n_snapshots == RECORD_SNAPSHOTS_MAX || !lines_u64(&v, &n, INT64_MAX, &s.number) || s.number <= before ||
        !lines_hex(&v, &n, s.head, sizeof s.head) || !lines_no_more(v))
        return false;
    r->snapshots = xrealloc(r->snapshots, (r->n_snapshots + 1) * sizeof *r->snapshots);
    r->snapshots[r->n_snapshots++] = s;
    return true;
}

static int parse_several(struct lines *l, struct record *r, struct error *err)
{
    const char *v;
    size_t n;
    LINES_NEED(l, "store", LINES_ONLY(lines_hex(&v, &n, r->store, sizeof r->store)));
    if (r->kind == RECORD_TOMBSTONE)
        LINES_NEED(l, "after", lines_time(v, n, &r->after_ns));
    int e = r->kind == RECORD_REVIVE ? parse_holds(l, "tombstone", r, err) : 0;
    while (e == 0 && lines_take(l, "snapshot", &v, &n))
        if (!add_snapshot(r, v, n))
            return lines_expected(l, "snapshot", err);
    return e == 0 && r->n_snapshots == 0 ? lines_expected(l, "snapshot", err) : e;
}

static int parse_rest(struct lines *l, struct record *r, struct error *err)
{
    const char *v;
    size_t n;
    LINES_NEED(l, "chain", LINES_ONLY(lines_hex(&v, &n, r->chain, sizeof r->chain)));
    int e = record_names_several(r->kind) ? parse_several(l, r, err) : parse_one(l, r, err);
    if (e < 0)
        return e;
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
        e = parse_rest(&l, &r, err);
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
