#include "bkd/repo/repository.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/log.h"
#include "bkd/codec/signers.h"
#include "bkd/codec/sshsig.h"
#include "bkd/repo/heads.h"

#define REPOSITORY_FILE "bkd-repository"

static int read_description_once(struct repository *r, const struct signers *signers, struct error *err)
{
    _cleanup_buf_ struct buf file = { 0 };
    int e = store_get_all(r->store, REPOSITORY_FILE, FORMAT_SIGNED_MAX, &file, err);
    if (e == ERROR_NOT_FOUND)
        return error_set(err, ERROR_NOT_FOUND,
                         "there is no repository in %s (no file '" REPOSITORY_FILE "'): is the path right and its disk mounted? "
                         "`bkd init POLICY` makes a new one",
                         r->store->url);
    size_t text_len = file.len;
    if (e == 0 && (signers != NULL || sshsig_split(file.data, file.len, &text_len)))
        e = format_split_signed((const char *)file.data, file.len, &text_len, err);
    if (e == 0)
        e = format_repository_parse((const char *)file.data, text_len, &r->info, err);
    if (e == 0 && signers != NULL)
        e = sshsig_verify(signers, NULL, FORMAT_NAMESPACE_REPOSITORY, r->info.created_ns / 1000000000, file.data, text_len,
                          file.data + text_len, file.len - text_len, NULL, err);
    if (e == ERROR_FORMAT) // bytes that nobody signed
        err->code = e = ERROR_INTEGRITY;
    return e < 0 ? error_prefix(err, "repository %s, '" REPOSITORY_FILE "'", r->store->url) : 0;
}

// Of a place far away it may have become wrong on the way.
static int read_description(struct repository *r, const struct signers *signers, struct error *err)
{
    int e = read_description_once(r, signers, err);
    if (e != ERROR_INTEGRITY || !r->store->far)
        return e;
    e = read_description_once(r, signers, err);
    if (e == 0)
        log_warn("'" REPOSITORY_FILE "' in %s was read with other bytes the first time, and is right: the server's memory, this host's or what lies between is failing", r->store->url);
    return e;
}

static int open_repository(const struct io *io, struct store *store_taken, const char *signers, const struct heads_near *near,
                           struct repository **ret_repository, struct error *err)
{
    _cleanup_repository_ struct repository *r = xcalloc(1, sizeof *r);
    r->io = io;
    r->store = store_taken;
    r->signers = signers == NULL ? NULL : xstrdup(signers);
    _cleanup_signers_ struct signers trusted = { 0 };
    int e = signers == NULL ? 0 : signers_parse(signers, strlen(signers), &trusted, err);
    if (e < 0)
        return error_prefix(err, "signers");
    const struct signers *used = signers == NULL ? NULL : &trusted;
    e = read_description(r, used, err);
    if (e == 0)
        e = heads_load(r, used, near, err);
    if (e < 0)
        return e;
    *ret_repository = TAKE(r);
    return 0;
}

int repository_open(const struct io *io, struct store *store_taken, const char *signers, struct repository **ret_repository,
                    struct error *err)
{
    return open_repository(io, store_taken, signers, NULL, ret_repository, err);
}

static void free_heads(struct repository *r)
{
    for (size_t i = 0; i < r->n_heads; i++) {
        free(r->heads[i].problem);
        format_head_done(&r->heads[i].head);
    }
    free(r->heads);
    r->heads = NULL;
    r->n_heads = 0;
}

int repository_read_all_heads(struct repository *r, const char *signers, struct error *err)
{
    _cleanup_signers_ struct signers trusted = { 0 };
    int e = signers == NULL ? 0 : signers_parse(signers, strlen(signers), &trusted, err);
    free_heads(r);
    r->partial = false;
    return e < 0 ? e : heads_load(r, signers == NULL ? NULL : &trusted, NULL, err);
}

void repository_close(struct repository *r)
{
    if (r == NULL)
        return;
    free_heads(r);
    store_close(r->store);
    free(r->signers);
    free(r);
}

void free_repositoryp(struct repository **r) { repository_close(*r); }

size_t repository_count_problems(const struct repository *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_heads; i++)
        n += !r->heads[i].valid || r->heads[i].fork || r->heads[i].chain_broken;
    return n;
}

static int parse_refs(const struct format_head *head, const char *name, const void *data, size_t n, struct format_refs *ret_refs, struct error *err)
{
    uint8_t digest[32];
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    crypto_sha256(data, n, digest);
    if (n != head->refs_size || memcmp(digest, head->refs, sizeof digest) != 0)
        return error_set(err, ERROR_INTEGRITY, "'%s' is damaged: its bytes are not what its name and the head say", name);
    int e = format_refs_parse(data, n, &refs, err);
    if (e == 0 && memcmp(refs.chain, head->chain, sizeof refs.chain) != 0)
        e = error_set(err, ERROR_INTEGRITY, "'%s' belongs to another chain", name);
    if (e < 0)
        return e;
    *ret_refs = refs;
    refs = (struct format_refs){ 0 };
    return 0;
}

struct reading {
    const struct format_head *const *heads;
    struct repository_refs *results;
    char **names;
};

static int take_refs(void *arg, size_t index, const struct store_found *file, struct error *err)
{
    const struct reading *reading = arg;
    const struct format_head *head = reading->heads[index];
    struct repository_refs *result = &reading->results[index];
    struct error why = { 0 };
    (void)err;
    if (file->result < 0)
        why = *file->why;
    result->result = file->result < 0 ? file->result : parse_refs(head, reading->names[index], file->data, (size_t)file->size, &result->refs, &why);
    if (result->result == ERROR_NOT_FOUND || result->result == ERROR_FORMAT) // a signed head names these bytes
        result->result = ERROR_INTEGRITY;
    if (result->result < 0) {
        (void)error_prefix(&why, "snapshot %llu", (unsigned long long)head->number);
        result->why = xstrdup(why.text);
    }
    return 0;
}

int repository_read_refs_many(const struct repository *r, const struct format_head *const *heads, size_t n, struct repository_refs *ret_results, struct error *err)
{
    struct reading reading = { heads, ret_results, xcalloc(n + 1, sizeof *reading.names) };
    for (size_t i = 0; i < n; i++)
        reading.names[i] = format_refs_name(heads[i]->refs);
    struct store_many many = { .names = (const char *const *)reading.names, .n = n, .max = 1, .visit = take_refs, .arg = &reading };
    for (size_t i = 0; i < n; i++)
        many.max = heads[i]->refs_size > many.max ? heads[i]->refs_size : many.max; // signed: a server cannot make us keep more
    int e = store_get_many(r->store, &many, err);
    for (size_t i = 0; i < n; i++)
        free(reading.names[i]);
    free(reading.names);
    return e;
}

void repository_refs_done(struct repository_refs *result)
{
    free(result->why);
    format_refs_done(&result->refs);
    *result = (struct repository_refs){ 0 };
}

int repository_read_refs(const struct repository *r, const struct format_head *head, struct format_refs *ret_refs, struct error *err)
{
    struct repository_refs one = { 0 };
    int e = repository_read_refs_many(r, &head, 1, &one, err);
    if (e == 0 && one.result == ERROR_INTEGRITY && r->store->far) { // perhaps only on the way
        repository_refs_done(&one);
        e = repository_read_refs_many(r, &head, 1, &one, err);
        if (e == 0 && one.result == 0)
            log_warn("the refs of snapshot %llu were read with other bytes the first time, and are right: the server's memory, this host's or what lies between is failing",
                     (unsigned long long)head->number);
    }
    if (e == 0 && one.result < 0)
        e = error_set(err, (enum error_code)one.result, "%s", one.why);
    if (e == 0) {
        *ret_refs = one.refs;
        one.refs = (struct format_refs){ 0 };
    }
    repository_refs_done(&one);
    return e;
}

// ---- finding

// The newest valid head of the chain that heads[*at] belongs to, or NULL; *at moves to the next chain.
static const struct repository_head *newest_of_next_chain(const struct repository *r, size_t *at)
{
    const struct repository_head *newest = NULL;
    size_t i = *at;
    for (; i < r->n_heads && memcmp(r->heads[i].chain, r->heads[*at].chain, 16) == 0; i++)
        if (r->heads[i].valid)
            newest = &r->heads[i];
    *at = i;
    return newest;
}

static void add_chain(struct buf *list, const struct repository_head *newest)
{
    buf_add_str(list, list->len == 0 ? "" : "; ");
    buf_add_hex(list, newest->chain, sizeof newest->chain);
    buf_addf(list, " (policy %s on %s, up to %llu)", newest->head.policy, newest->head.host, (unsigned long long)newest->number);
}

int repository_only_chain(const struct repository *r, const uint8_t **ret_chain, struct error *err)
{
    _cleanup_buf_ struct buf list = { 0 };
    const uint8_t *chain = NULL;
    size_t n = 0;
    for (size_t at = 0; at < r->n_heads;) {
        const struct repository_head *newest = newest_of_next_chain(r, &at);
        if (newest == NULL)
            continue;
        chain = newest->chain;
        n++;
        add_chain(&list, newest);
    }
    if (n == 0 && r->n_heads == 0)
        return error_set(err, ERROR_NOT_FOUND, "the repository %s holds no snapshot yet", r->store->url);
    if (n == 0)
        return error_set(err, ERROR_INTEGRITY,
                         "the repository %s has no valid snapshot (%zu damaged or not signed by a known key)", r->store->url,
                         r->n_heads);
    if (n > 1)
        return error_set(err, ERROR_USAGE, "the repository has %zu chains of snapshots, say which: %s", n, buf_str(&list));
    *ret_chain = chain;
    return 0;
}

// "latest" or "latest~N".
static bool parse_latest(const char *snapshot, uint64_t *ret_back)
{
    size_t n = strlen("latest");
    if (strncmp(snapshot, "latest", n) != 0)
        return false;
    if (snapshot[n] == '\0') {
        *ret_back = 0;
        return true;
    }
    return snapshot[n] == '~' && parse_u64(snapshot + n + 1, strlen(snapshot + n + 1), UINT64_MAX, ret_back);
}

bool repository_is_number(const char *snapshot)
{
    uint64_t ignored;
    return parse_latest(snapshot, &ignored) || parse_u64(snapshot, strlen(snapshot), UINT64_MAX, &ignored);
}

// A chain without a valid one among the heads that were read may well have one.
static bool is_each_chain_known(const struct repository *r)
{
    for (size_t at = 0; at < r->n_heads;)
        if (newest_of_next_chain(r, &at) == NULL)
            return false;
    return true;
}

int repository_open_near(const struct io *io, struct store *store_taken, const char *signers, const char *snapshot, struct repository **ret_repository,
                         struct error *err)
{
    _cleanup_repository_ struct repository *r = NULL;
    struct heads_near near = { 0 };
    bool latest = parse_latest(snapshot, &near.back);
    if (!latest && !parse_u64(snapshot, strlen(snapshot), UINT64_MAX, &near.number))
        return repository_open(io, store_taken, signers, ret_repository, err);
    int e = open_repository(io, store_taken, signers, &near, &r, err);
    if (e == 0 && !is_each_chain_known(r))
        e = repository_read_all_heads(r, signers, err);
    if (e == 0)
        *ret_repository = TAKE(r);
    return e;
}

static int find_back(const struct repository *r, const uint8_t *chain, uint64_t back, const struct repository_head **ret_head,
                     struct error *err)
{
    size_t valid = 0;
    for (size_t i = r->n_heads; i-- > 0;) {
        const struct repository_head *h = &r->heads[i];
        if (memcmp(h->chain, chain, 16) != 0 || !h->valid)
            continue;
        if (valid++ == back) {
            *ret_head = h;
            return 0;
        }
    }
    if (valid == 0)
        return error_set(err, ERROR_NOT_FOUND, "there are no snapshots yet");
    return error_set(err, ERROR_NOT_FOUND, "there is no snapshot latest~%llu: the chain has %zu", (unsigned long long)back, valid);
}

static int find_number(const struct repository *r, const uint8_t *chain, uint64_t number, const struct repository_head **ret_head,
                       struct error *err)
{
    const struct repository_head *first = NULL, *last = NULL;
    for (size_t i = 0; i < r->n_heads; i++) {
        const struct repository_head *h = &r->heads[i];
        if (memcmp(h->chain, chain, 16) != 0)
            continue;
        if (h->number == number && !h->valid)
            return error_set(err, ERROR_INTEGRITY, "snapshot %llu cannot be trusted: %s", (unsigned long long)number, h->problem);
        if (h->number == number) {
            *ret_head = h;
            return 0;
        }
        if (h->valid) {
            first = first == NULL ? h : first;
            last = h;
        }
    }
    if (first == NULL)
        return error_set(err, ERROR_NOT_FOUND, "there is no snapshot %llu: the chain has no valid snapshot",
                         (unsigned long long)number);
    return error_set(err, ERROR_NOT_FOUND, "there is no snapshot %llu: there are %llu to %llu", (unsigned long long)number,
                     (unsigned long long)first->number, (unsigned long long)last->number);
}

int repository_find(const struct repository *r, const uint8_t *chain, const char *snapshot,
                    const struct repository_head **ret_head, struct error *err)
{
    uint64_t value;
    bool latest = parse_latest(snapshot, &value);
    if (!latest && !parse_u64(snapshot, strlen(snapshot), UINT64_MAX, &value))
        return error_set(err, ERROR_USAGE, "'%s' is no snapshot: give a number, latest, or latest~N", snapshot);
    int e = chain == NULL ? repository_only_chain(r, &chain, err) : 0;
    if (e < 0)
        return e;
    return latest ? find_back(r, chain, value, ret_head, err) : find_number(r, chain, value, ret_head, err);
}

int repository_chain(const struct repository *r, const char *policy, const char *host, uint8_t ret_chain[16], struct error *err)
{
    _cleanup_buf_ struct buf list = { 0 }, all = { 0 };
    const uint8_t *chain = NULL;
    size_t n = 0;
    for (size_t at = 0; at < r->n_heads;) {
        const struct repository_head *newest = newest_of_next_chain(r, &at);
        if (newest == NULL)
            continue;
        add_chain(&all, newest);
        if (strcmp(newest->head.policy, policy) != 0 || (host != NULL && strcmp(newest->head.host, host) != 0))
            continue;
        chain = newest->chain;
        n++;
        add_chain(&list, newest);
    }
    if (n == 0)
        return error_set(err, ERROR_NOT_FOUND, "the repository %s has no snapshots of policy '%s'%s%s; it has: %s", r->store->url,
                         policy, host == NULL ? "" : " on ", host == NULL ? "" : host, all.len == 0 ? "none" : buf_str(&all));
    if (n > 1)
        return error_set(err, ERROR_USAGE, "policy '%s' has %zu chains in the repository, say which by host or id: %s", policy, n,
                         buf_str(&list));
    memcpy(ret_chain, chain, 16);
    return 0;
}

// ---- making

// A file of an init that was killed may be there; since there is no repository yet, it is not overwritten but made anew.
static int put_anew(struct store *store, const char *name, const void *data, size_t n, struct error *err)
{
    int e = store->ops->put(store, name, data, n, err);
    if (e != ERROR_EXISTS)
        return e;
    e = store->ops->remove(store, name, err);
    return e < 0 ? e : store->ops->put(store, name, data, n, err);
}

// A file for recovery by hand, and its signature beside it.
static int publish(struct store *store, const struct sshkey *key, const char *name, const char *text, struct error *err)
{
    if (text == NULL)
        return 0;
    _cleanup_buf_ struct buf signature = { 0 };
    _cleanup_free_ char *signature_name = xasprintf("%s.sig", name);
    sshsig_sign(key, FORMAT_NAMESPACE_RECOVER, text, strlen(text), &signature);
    int e = put_anew(store, name, text, strlen(text), err);
    return e < 0 ? e : put_anew(store, signature_name, signature.data, signature.len, err);
}

int repository_create(const struct io *io, struct store *store, const struct format_repository *info, const char *private_key,
                      size_t private_key_len, const char *recover_script, const char *recover_text, struct error *err)
{
    (void)io;
    _cleanup_sshkey_ struct sshkey key = { 0 };
    uint64_t size;
    int e = store->ops->size(store, REPOSITORY_FILE, &size, err);
    if (e == 0)
        return error_set(err, ERROR_EXISTS, "there is a repository in %s already", store->url);
    if (e == ERROR_NOT_FOUND)
        e = sshkey_parse(private_key, private_key_len, &key, err);
    if (e == 0)
        e = publish(store, &key, "recover.sh", recover_script, err);
    if (e == 0)
        e = publish(store, &key, "RECOVER.txt", recover_text, err);
    if (e < 0)
        return e;
    // Last: from here on it is a repository.
    _cleanup_buf_ struct buf text = { 0 };
    format_repository_write(&text, info);
    _cleanup_buf_ struct buf file = { 0 };
    buf_add(&file, text.data, text.len);
    sshsig_sign(&key, FORMAT_NAMESPACE_REPOSITORY, text.data, text.len, &file);
    return store->ops->put(store, REPOSITORY_FILE, file.data, file.len, err);
}
