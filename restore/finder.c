#include "restore/finder.h"

#include <stdint.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

enum { SPILL_MEMORY = 8 << 20 };

// After the path with its NUL, the chain and the snapshot's number counted down (so that the newest sorts first). Records live in unlinked
// scratch files of this process only, hence a struct as it lies in memory.
struct payload {
    uint64_t number, ordinal, time_ns;
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    char type;
    bool has_sha256;
    uint8_t sha256[32];
};
enum { KEY = 16 + 8 };

static int compare_records(const void *a, size_t a_len, const void *b, size_t b_len)
{
    const char *x = a, *y = b;
    size_t x_len = strlen(x), y_len = strlen(y);
    (void)a_len, (void)b_len;
    int c = manifest_path_compare(x, x_len, y, y_len);
    return c != 0 ? c : memcmp(x + x_len + 1, y + y_len + 1, KEY);
}

void finder_init(struct finder *f, const struct io *io, int scratch_dirfd, const struct pattern_set *names, struct selection *selection)
{
    *f = (struct finder){
        .io = io,
        .scratch_dirfd = scratch_dirfd,
        .names = names,
        .selection = selection,
        .newer_s = INT64_MIN,
        .older_s = INT64_MAX,
        .records = spill_new(io, scratch_dirfd, compare_records, SPILL_MEMORY),
    };
}

void finder_done(struct finder *f)
{
    spill_free(f->records);
    buf_done(&f->ahead);
    buf_done(&f->given);
    *f = (struct finder){ 0 };
}

static bool is_wanted(const struct finder *f, const struct manifest_entry *e)
{
    const char *path = buf_str(&e->path);
    return e->mtime_s >= f->newer_s && e->mtime_s < f->older_s &&
           pattern_set_match(f->names, path + (*path == '/'), e->type == MANIFEST_DIR, NULL);
}

static int add_record(struct finder *f, const struct format_head *head, const struct manifest_entry *e, struct error *err)
{
    _cleanup_buf_ struct buf record = { 0 };
    struct payload p = {
        .number = head->number,
        .ordinal = f->ordinal,
        .time_ns = head->time_ns,
        .size = e->type == MANIFEST_FILE ? e->size : 0,
        .mtime_s = e->mtime_s,
        .mtime_ns = e->mtime_ns,
        .type = (char)e->type,
        .has_sha256 = e->has_sha256 || e->type == MANIFEST_LINK,
    };
    if (e->type == MANIFEST_LINK)
        crypto_sha256(e->target.data, e->target.len, p.sha256);
    else if (e->has_sha256)
        memcpy(p.sha256, e->sha256, sizeof p.sha256);
    buf_add(&record, e->path.data, e->path.len + 1);
    buf_add(&record, head->chain, sizeof head->chain);
    put_u64be(buf_extend(&record, 8), UINT64_MAX - head->number);
    buf_add(&record, &p, sizeof p);
    return spill_add(f->records, record.data, record.len, err);
}

int finder_add(struct finder *f, struct snapshot *snapshot, struct error *err)
{
    _cleanup_plan_ struct plan plan = { .fd = -1 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int r = plan_open(&plan, f->io, snapshot, f->scratch_dirfd, f->selection, err);
    if (r == 0)
        r = plan_rewind(&plan, err);
    while (r == 0 && (r = plan_next(&plan, &e, &role, &later, err)) == 0 && e != NULL)
        if (role == PLAN_SELECTED && is_wanted(f, e))
            r = add_record(f, snapshot->head, e, err);
    return r;
}

// ---- reading

static int read_ahead(struct finder *f, struct error *err)
{
    const void *record;
    size_t n;
    int r = spill_next(f->records, &record, &n, err);
    buf_reset(&f->ahead);
    if (r == 0 && record != NULL)
        buf_add(&f->ahead, record, n);
    return r;
}

int finder_sort(struct finder *f, struct error *err)
{
    int r = spill_sort(f->records, err);
    return r < 0 ? r : read_ahead(f, err);
}

static struct payload payload_of(const struct buf *record)
{
    struct payload p;
    memcpy(&p, record->data + record->len - sizeof p, sizeof p); // not aligned
    return p;
}

// The same path, with nothing changed, in the snapshot searched just before.
static bool continues(const struct buf *record, const char *path, const uint8_t chain[16], const struct payload *newer)
{
    if (record->len == 0 || strcmp(buf_str(record), path) != 0 || memcmp(record->data + strlen(path) + 1, chain, 16) != 0)
        return false;
    struct payload p = payload_of(record);
    return p.ordinal + 1 == newer->ordinal && p.type == newer->type && p.size == newer->size && p.mtime_s == newer->mtime_s &&
           p.mtime_ns == newer->mtime_ns && p.has_sha256 == newer->has_sha256 && memcmp(p.sha256, newer->sha256, sizeof p.sha256) == 0;
}

static void fill_version(struct finder_version *v, const struct buf *record, const struct payload *p)
{
    *v = (struct finder_version){
        .path = buf_str(record),
        .path_len = strlen(buf_str(record)),
        .first = p->number,
        .last = p->number,
        .snapshots = 1,
        .first_time_ns = p->time_ns,
        .last_time_ns = p->time_ns,
        .type = (enum manifest_type)p->type,
        .size = p->size,
        .mtime_s = p->mtime_s,
        .mtime_ns = p->mtime_ns,
        .has_sha256 = p->has_sha256,
    };
    memcpy(v->chain, record->data + v->path_len + 1, sizeof v->chain);
    memcpy(v->sha256, p->sha256, sizeof v->sha256);
}

int finder_next(struct finder *f, struct finder_version *ret_version, bool *ret_more, struct error *err)
{
    *ret_more = f->ahead.len > 0;
    if (!*ret_more)
        return 0;
    struct buf newest = f->ahead; // its memory stays behind the version
    struct payload p = payload_of(&newest);
    f->ahead = f->given;
    f->given = newest;
    fill_version(ret_version, &f->given, &p);
    int r = read_ahead(f, err);
    while (r == 0 && continues(&f->ahead, ret_version->path, ret_version->chain, &p)) {
        p = payload_of(&f->ahead);
        ret_version->first = p.number;
        ret_version->first_time_ns = p.time_ns;
        ret_version->snapshots++;
        r = read_ahead(f, err);
    }
    return r;
}
