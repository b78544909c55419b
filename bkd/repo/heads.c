#include "bkd/repo/heads.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/log.h"
#include "bkd/base/work.h"
#include "bkd/codec/sshsig.h"

#define CHAIN_HEX 32u

struct found {
    struct repository_head *heads;
    size_t n, cap;
};

// "heads/<32 hex>/<number>"; other names are not heads and are passed over.
static int visit(void *arg, const char *name, uint64_t size, struct error *err)
{
    (void)size;
    (void)err;
    struct found *found = arg;
    struct repository_head head = { 0 };
    size_t n = strlen(name), prefix = strlen("heads/");
    if (n <= prefix + CHAIN_HEX + 1 || strncmp(name, "heads/", prefix) != 0 || name[prefix + CHAIN_HEX] != '/' ||
        !parse_hex(name + prefix, CHAIN_HEX, head.chain, sizeof head.chain) ||
        !parse_u64(name + prefix + CHAIN_HEX + 1, n - prefix - CHAIN_HEX - 1, INT64_MAX, &head.number) || head.number == 0)
        return 0;
    if (found->n == found->cap) {
        found->cap = found->cap == 0 ? 64 : 2 * found->cap;
        found->heads = xrealloc(found->heads, found->cap * sizeof *found->heads);
    }
    found->heads[found->n++] = head;
    return 0;
}

static int by_chain_and_number(const void *a, const void *b)
{
    const struct repository_head *x = a, *y = b;
    int order = memcmp(x->chain, y->chain, sizeof x->chain);
    return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

static int check_signed_text(const struct repository *r, const struct signers *signers, const void *file, size_t n,
                             struct repository_head *head, struct format_head *parsed, struct error *err)
{
    size_t text_len = n;
    int e = 0;
    if (n > FORMAT_HEAD_MAX)
        return error_set(err, ERROR_FORMAT, "%zu bytes, more than the %u a head may have", n, FORMAT_HEAD_MAX);
    if (signers != NULL || sshsig_split(file, n, &text_len))
        e = format_split_signed(file, n, &text_len, err);
    if (e == 0)
        e = format_head_parse(file, text_len, parsed, err);
    // The signer must have been allowed at the time the head says.
    if (e == 0 && signers != NULL)
        e = sshsig_verify(signers, NULL, FORMAT_NAMESPACE_HEAD, parsed->time_ns / 1000000000, file, text_len,
                          (const char *)file + text_len, n - text_len, NULL, err);
    if (e < 0)
        return e;
    if (memcmp(parsed->repository, r->info.id, sizeof parsed->repository) != 0)
        return error_set(err, ERROR_INTEGRITY, "it belongs to another repository");
    if (memcmp(parsed->chain, head->chain, sizeof head->chain) != 0 || parsed->number != head->number)
        return error_set(err, ERROR_INTEGRITY, "it is not the snapshot its name says (%llu)", (unsigned long long)parsed->number);
    return 0;
}

void heads_judge(const struct repository *r, const struct signers *signers, const void *file, size_t n,
                 struct repository_head *head)
{
    struct error err = { 0 };
    _cleanup_format_head_ struct format_head parsed = { 0 };
    crypto_sha256(file, n, head->sha256);
    if (check_signed_text(r, signers, file, n, head, &parsed, &err) < 0) {
        head->problem = xstrdup(err.text);
        return;
    }
    head->valid = true;
    head->head = parsed;
    parsed = (struct format_head){ 0 };
}

// ---- reading and judging many: one thread reads, all check signatures (0.1 ms each)

struct judgement {
    const struct repository *repository;
    const struct signers *signers;
    struct buf file;
    struct repository_head *head;
};

static void judge_job(void *arg, unsigned worker)
{
    (void)worker;
    struct judgement *j = arg;
    heads_judge(j->repository, j->signers, j->file.data, j->file.len, j->head);
}

static void free_judgement(struct judgement *j)
{
    if (j == NULL)
        return;
    buf_done(&j->file);
    free(j);
}

struct judging {
    const struct repository *repository;
    const struct signers *signers;
    const struct found *found;
    struct work_pool *pool;
    size_t limit;
};

// A head that cannot be read is void.
static int judge_file(void *arg, size_t index, const struct store_found *file, struct error *err)
{
    struct judging *all = arg;
    struct repository_head *head = &all->found->heads[index];
    (void)err;
    if (file->result < 0) {
        head->problem = xstrdup(file->why->text);
        return 0;
    }
    while (work_count(all->pool) >= all->limit)
        free_judgement(work_next(all->pool));
    struct judgement *j = xcalloc(1, sizeof *j);
    *j = (struct judgement){ .repository = all->repository, .signers = all->signers, .head = head };
    buf_add(&j->file, file->data, (size_t)file->size);
    work_submit(all->pool, judge_job, j);
    return 0;
}

static int judge_all(const struct repository *r, const struct signers *signers, const struct found *found, struct error *err)
{
    struct judging all = { .repository = r, .signers = signers, .found = found, .pool = work_new(work_processors()) };
    all.limit = 16 * (size_t)work_threads(all.pool);
    char **names = xcalloc(found->n + 1, sizeof *names);
    for (size_t i = 0; i < found->n; i++)
        names[i] = format_head_name(found->heads[i].chain, found->heads[i].number);
    struct store_many many = { .names = (const char *const *)names, .n = found->n, .max = FORMAT_HEAD_MAX, .visit = judge_file, .arg = &all };
    int e = store_get_many(r->store, &many, err);
    while (work_count(all.pool) > 0)
        free_judgement(work_next(all.pool));
    work_free(all.pool);
    for (size_t i = 0; i < found->n; i++)
        free(names[i]);
    free(names);
    return e;
}

// Of a place far away: what is void may have become so on the way, and is asked for once more.
static int judge_void_again(const struct repository *r, const struct signers *signers, struct found *found, struct error *err)
{
    struct found again = { .heads = xcalloc(found->n + 1, sizeof *again.heads) };
    for (size_t i = 0; i < found->n; i++)
        if (!found->heads[i].valid) {
            memcpy(again.heads[again.n].chain, found->heads[i].chain, sizeof found->heads[i].chain);
            again.heads[again.n++].number = found->heads[i].number;
        }
    int e = again.n == 0 ? 0 : judge_all(r, signers, &again, err);
    for (size_t i = 0, k = 0; i < found->n && k < again.n; i++) {
        if (found->heads[i].valid)
            continue;
        if (again.heads[k].valid)
            log_warn("snapshot %llu was read with other bytes the first time, and is right: the server's memory, this host's or what lies between is failing",
                     (unsigned long long)found->heads[i].number);
        free(found->heads[i].problem);
        found->heads[i] = again.heads[k++];
    }
    free(again.heads);
    return e;
}

// ---- order

static int by_chain_and_previous(const void *a, const void *b)
{
    const struct repository_head *x = *(struct repository_head *const *)a, *y = *(struct repository_head *const *)b;
    int order = memcmp(x->chain, y->chain, sizeof x->chain);
    return order != 0 ? order : memcmp(x->head.previous, y->head.previous, sizeof x->head.previous);
}

static void mark_forks(struct repository_head *heads, size_t n)
{
    struct repository_head **valid = xcalloc(n + 1, sizeof(struct repository_head *));
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (heads[i].valid)
            valid[count++] = &heads[i];
    qsort(valid, count, sizeof *valid, by_chain_and_previous);
    for (size_t i = 1; i < count; i++)
        if (by_chain_and_previous(&valid[i - 1], &valid[i]) == 0)
            valid[i - 1]->fork = valid[i]->fork = true;
    free(valid);
}

void heads_check_order(struct repository_head *heads, size_t n)
{
    static const uint8_t none[32] = { 0 };
    const struct repository_head *before = NULL;
    for (size_t i = 0; i < n; i++) {
        struct repository_head *h = &heads[i];
        if (i > 0 && memcmp(h->chain, heads[i - 1].chain, sizeof h->chain) != 0)
            before = NULL;
        if (!h->valid)
            continue;
        h->chain_broken = memcmp(h->head.previous, before == NULL ? none : before->sha256, sizeof none) != 0;
        before = h;
    }
    mark_forks(heads, n);
}

// ---- which are read

enum { NEWEST = 4 }; // of each chain: should the very newest be void, the one before is at hand

static bool is_near(const struct heads_near *near, uint64_t number, size_t newer)
{
    return newer < NEWEST || newer - NEWEST < near->back || number == near->number;
}

// Takes the others out, from the newest of each chain on.
static void leave_out(struct found *found, const struct heads_near *near)
{
    size_t kept = found->n, newer = 0;
    for (size_t i = found->n; i-- > 0; newer++) {
        if (i + 1 < found->n && memcmp(found->heads[i].chain, found->heads[i + 1].chain, sizeof found->heads[i].chain) != 0)
            newer = 0;
        if (is_near(near, found->heads[i].number, newer))
            found->heads[--kept] = found->heads[i];
    }
    found->n -= kept;
    memmove(found->heads, found->heads + kept, found->n * sizeof *found->heads);
}

int heads_load(struct repository *r, const struct signers *signers, const struct heads_near *near, struct error *err)
{
    struct found found = { 0 };
    int e = r->store->ops->list(r->store, "heads", visit, &found, err);
    size_t all = found.n;
    if (e == 0) {
        if (found.n > 0)
            qsort(found.heads, found.n, sizeof *found.heads, by_chain_and_number);
        if (found.n > 0 && near != NULL)
            leave_out(&found, near);
        e = judge_all(r, signers, &found, err);
    }
    if (e == 0 && r->store->far)
        e = judge_void_again(r, signers, &found, err);
    r->heads = found.heads; // freed by repository_close, also after a failure
    r->n_heads = found.n;
    r->partial = found.n < all;
    if (e == 0 && !r->partial)
        heads_check_order(r->heads, r->n_heads);
    return e;
}
