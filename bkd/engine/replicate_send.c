#include "bkd/engine/replicate_send.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/work.h"

enum {
    FILES_MAX = 64,          // gathered before they are put
    BYTES_MAX = 2 << 20,     // likewise
    SMALL_MAX = 256 << 10,   // objects up to here are gathered
    STEP = 1 << 20,
    FAR_JOBS = 2,            // large objects under way to a far place: while one is ended, the next one is sent
};

struct item {
    char *name;
    struct buf data;
    bool last, is_object;
    uint8_t sha256[32];  // of an object
    uint64_t size_bytes; // likewise
    const struct repository_head *head; // of a head
};

struct replicate_send {
    const struct io *io;
    const struct repository *from;
    struct store *to;
    enum proof_reading proof;
    struct replicate_result *result;
    struct item items[FILES_MAX];
    size_t n_items, bytes;
    struct item unproved[FILES_MAX]; // small objects that are there; without their data
    size_t n_unproved;
    struct work_pool *pool;
    size_t jobs_max;
};

struct replicate_send *replicate_send_new(const struct io *io, const struct repository *from, struct store *to, enum proof_reading proof, struct replicate_result *result)
{
    struct replicate_send *s = xcalloc(1, sizeof *s);
    s->io = io;
    s->from = from;
    s->to = to;
    s->proof = proof;
    s->result = result;
    s->jobs_max = to->far ? FAR_JOBS : 1; // a directory's disk is not made faster by two who write
    s->pool = work_new((unsigned)s->jobs_max);
    return s;
}

static void item_done(struct item *item)
{
    free(item->name);
    buf_done(&item->data);
    *item = (struct item){ 0 };
}

static void count_proof(struct replicate_result *result, enum proof_way way)
{
    uint64_t *const counts[] = { &result->proved_by_server, &result->proved_by_reading, &result->proved_by_ranges, &result->by_size_only };
    ++*counts[way];
}

static int not_as_sent(const struct replicate_send *s, const char *name, struct error *err)
{
    return error_prefix(err, "'%s' in %s is not as it was sent; move it away there and ship again", name, s->to->url);
}

static int damaged_here(const struct replicate_send *s, const char *name, struct error *err)
{
    return error_set(err, ERROR_INTEGRITY, "'%s' in %s is damaged", name, s->from->store->url);
}

// ---- large objects

struct job {
    const struct replicate_send *send;
    struct format_ref ref;
    char *name;
    bool brought; // by us
    bool proved;
    enum proof_way way;
    int result;
    struct error why;
};

// What signed refs name has to be here.
static int must_be_here(int r, struct error *err) { return r == ERROR_NOT_FOUND ? err->code = ERROR_INTEGRITY : r; }

// Into the spool file, compared on the way.
static int fill_spool(struct job *j, int fd, struct error *err)
{
    const struct replicate_send *s = j->send;
    struct store *from = s->from->store;
    _cleanup_crypto_sha256_ struct crypto_sha256 hash = { 0 };
    _cleanup_free_ char *step = xmalloc(STEP);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256_init(&hash);
    for (uint64_t at = 0; at < j->ref.stored_size;) {
        size_t n = j->ref.stored_size - at < STEP ? (size_t)(j->ref.stored_size - at) : STEP;
        int r = must_be_here(from->ops->get(from, j->name, at, step, n, err), err);
        if (r == 0)
            r = io_write_all(s->io, fd, step, n, j->name, err);
        if (r < 0)
            return r;
        crypto_sha256_update(&hash, step, n);
        at += n;
    }
    crypto_sha256_final(&hash, digest);
    return memcmp(digest, j->ref.sha256, sizeof digest) == 0 ? 0 : damaged_here(s, j->name, err);
}

// *ret_fd: the bytes that were put, for comparing.
static int put_through_spool(struct job *j, int *ret_fd, struct error *err)
{
    struct store *to = j->send->to;
    _cleanup_free_ char *spool = NULL;
    int fd = -1;
    int r = to->ops->spool_open(to, &fd, &spool, err);
    if (r < 0)
        return r;
    r = fill_spool(j, fd, err);
    if (r < 0) {
        io_close_quietly(j->send->io, &fd);
        to->ops->spool_drop(to, spool);
        return r;
    }
    *ret_fd = to->far ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1; // the put closes its own
    return to->ops->put_spool(to, j->name, fd, spool, err);
}

// A local file is sent as it stands there.
static int put_object(struct job *j, int *ret_fd, struct error *err)
{
    struct store *from = j->send->from->store, *to = j->send->to;
    if (to->ops->put_file == NULL || from->ops->open_file == NULL)
        return put_through_spool(j, ret_fd, err);
    int r = must_be_here(from->ops->open_file(from, j->name, ret_fd, err), err);
    return r < 0 ? r : to->ops->put_file(to, j->name, *ret_fd, j->ref.stored_size, j->ref.sha256, err);
}

static void run_job(void *arg, unsigned worker)
{
    struct job *j = arg;
    const struct replicate_send *s = j->send;
    int fd = -1;
    (void)worker;
    j->result = put_object(j, &fd, &j->why);
    j->brought = j->result == 0;
    if (j->result == ERROR_EXISTS) // somebody else ships, too; or a try whose end was not seen
        j->result = 0;
    if (j->result == 0 && s->to->far && fd >= 0) {
        j->result = proof_sent(s->io, s->to, j->name, fd, j->ref.stored_size, j->ref.sha256, s->proof, &j->way, &j->why);
        j->proved = j->result == 0;
        if (j->result == ERROR_INTEGRITY || j->result == ERROR_NOT_FOUND) {
            j->why.code = ERROR_INTEGRITY;
            j->result = not_as_sent(s, j->name, &j->why);
        }
    }
    io_close_quietly(s->io, &fd);
}

static int take_job(struct replicate_send *s, struct error *err)
{
    struct job *j = work_next(s->pool);
    int r = j->result;
    if (r < 0)
        *err = j->why;
    if (j->proved)
        count_proof(s->result, j->way);
    s->result->objects += r == 0 && j->brought;
    s->result->bytes += r == 0 && j->brought ? j->ref.stored_size : 0;
    free(j->name);
    free(j);
    return r;
}

// The first failure counts; what is on its way is waited for.
static int take_jobs(struct replicate_send *s, size_t left, struct error *err)
{
    int r = 0;
    struct error later;
    while (work_count(s->pool) > (r < 0 ? 0 : left)) {
        int e = take_job(s, r < 0 ? &later : err);
        r = r < 0 ? r : e;
    }
    return r;
}

static int send_large(struct replicate_send *s, const struct format_ref *ref, struct error *err)
{
    int r = take_jobs(s, s->jobs_max - 1, err);
    if (r < 0)
        return r;
    struct job *j = xcalloc(1, sizeof *j);
    *j = (struct job){ .send = s, .ref = *ref, .name = format_object_name(ref->sha256, s->from->info.encrypted) };
    work_submit(s->pool, run_job, j);
    return 0;
}

void replicate_send_free(struct replicate_send *s)
{
    struct error dropped;
    if (s == NULL)
        return;
    (void)take_jobs(s, 0, &dropped);
    work_free(s->pool);
    for (size_t i = 0; i < s->n_items; i++)
        item_done(&s->items[i]);
    for (size_t i = 0; i < s->n_unproved; i++)
        item_done(&s->unproved[i]);
    free(s);
}

// ---- small files

static int compare_there(const struct replicate_send *s, const struct item *item, struct error *err)
{
    _cleanup_buf_ struct buf there = { 0 };
    int r = store_get_all(s->to, item->name, item->data.len + 1, &there, err);
    if (r == ERROR_FORMAT || (r == 0 && (there.len != item->data.len || memcmp(there.data, item->data.data, there.len) != 0)))
        r = error_set(err, ERROR_INTEGRITY, "'%s' in %s is not that of %s", item->name, s->to->url, s->from->store->url);
    return r;
}

void replicate_send_note_latest(struct replicate_result *result, const struct repository_head *head)
{
    if (head->number >= result->latest) {
        result->latest = head->number;
        memcpy(result->latest_sha256, head->sha256, sizeof head->sha256);
    }
}

static int note_put(struct replicate_send *s, struct item *item, int result, struct error *err)
{
    if (result == ERROR_EXISTS && !item->is_object) {
        int r = compare_there(s, item, err);
        if (r < 0)
            return r;
    }
    if (item->head != NULL) {
        s->result->snapshots++;
        replicate_send_note_latest(s->result, item->head);
    }
    if (!item->is_object)
        return 0;
    s->result->objects += result != ERROR_EXISTS;
    s->result->bytes += result != ERROR_EXISTS ? item->size_bytes : 0;
    buf_done(&item->data);
    s->unproved[s->n_unproved++] = *item;
    *item = (struct item){ 0 };
    return 0;
}

static int flush(struct replicate_send *s, struct error *err)
{
    struct store_put *puts = xcalloc(s->n_items + 1, sizeof *puts);
    int r = take_jobs(s, 0, err);
    for (size_t i = 0; i < s->n_items; i++)
        puts[i] = (struct store_put){ .name = s->items[i].name, .data = s->items[i].data.data, .n = s->items[i].data.len, .last = s->items[i].last };
    if (r == 0)
        r = store_put_many(s->to, puts, s->n_items, err);
    for (size_t i = 0; i < s->n_items; i++) {
        if (r == 0)
            r = note_put(s, &s->items[i], puts[i].result, err);
        item_done(&s->items[i]);
    }
    s->n_items = s->bytes = 0;
    free(puts);
    return r;
}

// ---- proofs of small objects

static int judge_whole(void *arg, size_t index, const struct store_found *found, struct error *err)
{
    const struct replicate_send *s = arg;
    const struct item *item = &s->unproved[index];
    uint8_t digest[CRYPTO_SHA256_SIZE];
    if (found->result < 0) {
        *err = *found->why;
        return found->result;
    }
    crypto_sha256(found->data, (size_t)found->size, digest);
    if (memcmp(digest, item->sha256, sizeof digest) == 0)
        return 0;
    (void)error_set(err, ERROR_INTEGRITY, "its bytes do not have the SHA-256 of its name");
    return not_as_sent(s, item->name, err);
}

// Those that the place hashes itself; *ret_n: how many, from the first.
static int prove_by_server(const struct replicate_send *s, size_t *ret_n, struct error *err)
{
    enum proof_way way = PROOF_BY_SERVER;
    size_t n = 0;
    for (; n < s->n_unproved && way == PROOF_BY_SERVER; n++) {
        const struct item *item = &s->unproved[n];
        int r = proof_object(s->to, item->name, item->size_bytes, item->sha256, false, &way, err);
        if (r < 0)
            return r == ERROR_INTEGRITY ? not_as_sent(s, item->name, err) : r;
    }
    *ret_n = way == PROOF_BY_SERVER ? n : n - 1;
    return 0;
}

static int prove_by_reading(struct replicate_send *s, struct error *err)
{
    const char *names[FILES_MAX];
    for (size_t i = 0; i < s->n_unproved; i++)
        names[i] = s->unproved[i].name;
    struct store_many many = { .names = names, .n = s->n_unproved, .max = SMALL_MAX, .visit = judge_whole, .arg = s };
    return store_get_many(s->to, &many, err);
}

static int prove(struct replicate_send *s, struct error *err)
{
    size_t by_server = 0;
    int r = s->to->far && s->n_unproved > 0 ? prove_by_server(s, &by_server, err) : 0;
    bool read = s->to->far && s->proof != PROOF_NONE && by_server < s->n_unproved;
    if (r == 0 && read)
        r = prove_by_reading(s, err);
    for (size_t i = 0; i < s->n_unproved; i++) {
        if (r == 0 && s->to->far)
            count_proof(s->result, i < by_server ? PROOF_BY_SERVER : read ? PROOF_BY_READING : PROOF_BY_SIZE);
        item_done(&s->unproved[i]);
    }
    s->n_unproved = 0;
    return r;
}

int replicate_send_flush(struct replicate_send *s, struct error *err)
{
    int r = flush(s, err);
    return r < 0 ? r : prove(s, err);
}

// ---- gathering

static int make_room(struct replicate_send *s, size_t n, struct error *err)
{
    if (s->n_items < FILES_MAX && s->bytes + n <= BYTES_MAX)
        return 0;
    return replicate_send_flush(s, err);
}

static int gather(struct replicate_send *s, struct item *item, struct error *err)
{
    int r = make_room(s, item->data.len, err);
    if (r < 0) {
        item_done(item);
        return r;
    }
    s->bytes += item->data.len;
    s->items[s->n_items++] = *item;
    return 0;
}

static int send_small(struct replicate_send *s, const struct format_ref *ref, struct error *err)
{
    struct item item = { .name = format_object_name(ref->sha256, s->from->info.encrypted), .is_object = true, .size_bytes = ref->stored_size };
    memcpy(item.sha256, ref->sha256, sizeof item.sha256);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    int r = store_get_all(s->from->store, item.name, SMALL_MAX, &item.data, err);
    if (r == 0) {
        crypto_sha256(item.data.data, item.data.len, digest);
        if (item.data.len != ref->stored_size || memcmp(digest, ref->sha256, sizeof digest) != 0)
            r = damaged_here(s, item.name, err);
    }
    if (r < 0) {
        item_done(&item);
        return r == ERROR_NOT_FOUND || r == ERROR_FORMAT ? err->code = ERROR_INTEGRITY : r;
    }
    return gather(s, &item, err);
}

int replicate_send_object(struct replicate_send *s, const struct format_ref *ref, struct error *err)
{
    return ref->stored_size <= SMALL_MAX ? send_small(s, ref, err) : send_large(s, ref, err);
}

static bool has_objects(const struct replicate_send *s)
{
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].is_object)
            return true;
    return false;
}

int replicate_send_objects_end(struct replicate_send *s, struct error *err)
{
    int r = take_jobs(s, 0, err);
    return r == 0 && s->to->far && s->proof != PROOF_NONE && has_objects(s) ? replicate_send_flush(s, err) : r;
}

static int send_file(struct replicate_send *s, const char *name, size_t max, bool last, const struct repository_head *head, struct error *err)
{
    struct item item = { .name = xstrdup(name), .last = last, .head = head };
    int r = store_get_all(s->from->store, name, max, &item.data, err);
    if (r < 0) {
        item_done(&item);
        return r;
    }
    return gather(s, &item, err);
}

int replicate_send_file(struct replicate_send *s, const char *name, size_t max, bool last, struct error *err) { return send_file(s, name, max, last, NULL, err); }

int replicate_send_head(struct replicate_send *s, const struct repository_head *head, struct error *err)
{
    _cleanup_free_ char *name = format_head_name(head->chain, head->number);
    return send_file(s, name, FORMAT_HEAD_MAX, true, head, err);
}
