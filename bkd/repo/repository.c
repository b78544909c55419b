#include "bkd/repo/repository.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/codec/sshkey.h"
#include "bkd/codec/sshsig.h"

// ---- signed files

// Checks the signature of a signed file. signers NULL: only that it is a signature over these bytes, by whomever.
static int verify(const struct signers *signers, const char *name_space, uint64_t time_s, const struct buf *file, size_t *ret_text_len, struct error *err)
{
    size_t text_len = 0;
    const struct signers_entry *entry = NULL;
    uint8_t public_key[CURVE_KEY_SIZE];
    int r = format_split_signed(buf_str(file), file->len, &text_len, err);
    if (r < 0)
        return r;
    const uint8_t *armored = file->data + text_len;
    size_t armored_len = file->len - text_len;
    if (signers == NULL)
        r = sshsig_check(name_space, file->data, text_len, armored, armored_len, public_key, err);
    else
        r = sshsig_verify(signers, NULL, name_space, time_s, file->data, text_len, armored, armored_len, &entry, err);
    if (r == 0)
        *ret_text_len = text_len;
    return r;
}

static int read_description(struct repository *r, const struct signers *signers, struct error *err)
{
    _cleanup_buf_ struct buf file = { 0 };
    size_t text_len = 0;
    int rc = store_get_all(r->store, "bkd-repository", FORMAT_SIGNED_MAX, &file, err);
    if (rc == ERROR_NOT_FOUND)
        return error_set(err, ERROR_NOT_FOUND, "there is no repository at '%s'; mount its disk, correct the address, or make it with `bkd init`", r->store->url);
    if (rc == 0)
        rc = verify(signers, FORMAT_NAMESPACE_REPOSITORY, io_realtime_ns(r->io) / 1000000000u, &file, &text_len, err);
    if (rc == 0)
        rc = format_repository_parse(buf_str(&file), text_len, &r->info, err);
    return rc < 0 ? error_prefix(err, "'bkd-repository' in '%s'", r->store->url) : 0;
}

// ---- heads

struct head_list {
    struct repository *repository;
    size_t cap;
};

// "heads/<chain>/<number>"; other names are none of ours.
static int collect_head(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct head_list *list = arg;
    struct repository *r = list->repository;
    struct repository_head head = { 0 };
    const char *chain = name + strlen("heads/"), *number = strchr(chain, '/');
    (void)size;
    (void)err;
    if (strncmp(name, "heads/", 6) != 0 || number == NULL || !parse_hex(chain, (size_t)(number - chain), head.chain, sizeof head.chain) ||
        !parse_u64(number + 1, strlen(number + 1), UINT64_MAX - 1, &head.number) || head.number == 0)
        return 0;
    if (r->n_heads == list->cap) {
        list->cap = list->cap == 0 ? 64 : 2 * list->cap;
        r->heads = xrealloc(r->heads, list->cap * sizeof *r->heads);
    }
    r->heads[r->n_heads++] = head;
    return 0;
}

static int compare_heads(const void *a, const void *b)
{
    const struct repository_head *ha = a, *hb = b;
    int c = memcmp(ha->chain, hb->chain, sizeof ha->chain);
    return c != 0 ? c : ha->number < hb->number ? -1 : ha->number > hb->number;
}

static int check_head(const struct repository *r, const struct signers *signers, struct repository_head *h, const struct buf *file, struct error *err)
{
    size_t text_len = 0;
    struct format_head head = { 0 };
    int rc = verify(signers, FORMAT_NAMESPACE_HEAD, io_realtime_ns(r->io) / 1000000000u, file, &text_len, err);
    if (rc == 0)
        rc = format_head_parse(buf_str(file), text_len, &head, err);
    if (rc < 0)
        return rc;
    if (memcmp(head.repository, r->info.id, sizeof head.repository) != 0)
        rc = error_set(err, ERROR_INTEGRITY, "it belongs to another repository");
    else if (memcmp(head.chain, h->chain, sizeof head.chain) != 0)
        rc = error_set(err, ERROR_INTEGRITY, "it belongs to another chain");
    else if (head.number != h->number)
        rc = error_set(err, ERROR_INTEGRITY, "it is snapshot %llu under another number", (unsigned long long)head.number);
    if (rc < 0) {
        format_head_done(&head);
        return rc;
    }
    h->head = head;
    return 0;
}

// A head that is not right is a void number, not an error of the whole; a store that fails is.
static int load_head(struct repository *r, const struct signers *signers, struct repository_head *h, struct error *err)
{
    _cleanup_buf_ struct buf file = { 0 };
    _cleanup_free_ char *name = format_head_name(h->chain, h->number);
    struct error why;
    int rc = store_get_all(r->store, name, FORMAT_HEAD_MAX, &file, &why);
    if (rc < 0 && rc != ERROR_FORMAT && rc != ERROR_NOT_FOUND && rc != ERROR_INTEGRITY) {
        *err = why;
        return rc;
    }
    if (rc == 0) {
        crypto_sha256(file.data, file.len, h->sha256);
        rc = check_head(r, signers, h, &file, &why);
    }
    h->valid = rc == 0;
    if (!h->valid)
        h->problem = xstrdup(why.text);
    return 0;
}

static void check_chain(struct repository *r)
{
    const struct repository_head *last = NULL; // valid one of the same chain
    for (size_t i = 0; i < r->n_heads; i++) {
        struct repository_head *h = &r->heads[i];
        static const uint8_t none[32];
        if (last != NULL && memcmp(last->chain, h->chain, sizeof h->chain) != 0)
            last = NULL;
        if (!h->valid)
            continue;
        h->chain_broken = memcmp(h->head.previous, last == NULL ? none : last->sha256, 32) != 0;
        for (size_t k = i; h->chain_broken && k-- > 0 && memcmp(r->heads[k].chain, h->chain, sizeof h->chain) == 0;)
            if (r->heads[k].valid && memcmp(r->heads[k].head.previous, h->head.previous, 32) == 0)
                h->fork = r->heads[k].fork = true;
        last = h;
    }
}

int repository_open(const struct io *io, struct store *store_taken, const char *signers, struct repository **ret_repository, struct error *err)
{
    _cleanup_repository_ struct repository *r = xcalloc(1, sizeof *r);
    _cleanup_signers_ struct signers list = { 0 };
    r->io = io;
    r->store = store_taken;
    int rc = signers == NULL ? 0 : signers_parse(signers, strlen(signers), &list, err);
    const struct signers *known = signers == NULL ? NULL : &list;
    if (rc == 0)
        rc = read_description(r, known, err);
    struct head_list heads = { .repository = r };
    if (rc == 0)
        rc = store_taken->ops->list(store_taken, "heads", collect_head, &heads, err);
    if (rc < 0)
        return rc;
    qsort(r->heads, r->n_heads, sizeof *r->heads, compare_heads);
    for (size_t i = 0; rc == 0 && i < r->n_heads; i++)
        rc = load_head(r, known, &r->heads[i], err);
    if (rc < 0)
        return rc;
    check_chain(r);
    *ret_repository = TAKE(r);
    return 0;
}

void repository_close(struct repository *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->n_heads; i++) {
        free(r->heads[i].problem);
        format_head_done(&r->heads[i].head);
    }
    free(r->heads);
    store_close(r->store);
    free(r);
}

void free_repositoryp(struct repository **r) { repository_close(*r); }

// ---- finding

static void add_chain_label(struct buf *out, const struct repository_head *h)
{
    buf_add_str(out, out->len == 0 ? "" : ", ");
    buf_add_hex(out, h->chain, sizeof h->chain);
    if (h->valid)
        buf_addf(out, " (policy %s of host %s)", h->head.policy, h->head.host);
}

// One line about each chain that a predicate lets through, by its newest valid head; *ret_chain is the last of them.
static size_t count_chains(const struct repository *r, const char *policy, const char *host, uint8_t ret_chain[16], struct buf *labels)
{
    size_t count = 0;
    for (size_t i = 0; i < r->n_heads; i++) {
        const struct repository_head *newest = NULL;
        size_t end = i;
        for (; end < r->n_heads && memcmp(r->heads[end].chain, r->heads[i].chain, 16) == 0; end++)
            if (r->heads[end].valid)
                newest = &r->heads[end];
        i = end - 1;
        if (newest == NULL || (policy != NULL && strcmp(newest->head.policy, policy) != 0) || (host != NULL && strcmp(newest->head.host, host) != 0))
            continue;
        count++;
        memcpy(ret_chain, newest->chain, 16);
        add_chain_label(labels, newest);
    }
    return count;
}

int repository_chain(const struct repository *r, const char *policy, const char *host, uint8_t ret_chain[16], struct error *err)
{
    _cleanup_buf_ struct buf labels = { 0 };
    uint8_t chain[16];
    size_t count = count_chains(r, policy, host, chain, &labels);
    if (count == 0)
        return error_set(err, ERROR_NOT_FOUND, "repository '%s' holds no snapshot%s%s", r->store->url, policy == NULL ? "" : " of policy ", policy == NULL ? "" : policy);
    if (count > 1)
        return error_set(err, ERROR_USAGE, "repository '%s' holds several chains that fit; name one: %.700s", r->store->url, buf_str(&labels));
    memcpy(ret_chain, chain, sizeof chain);
    return 0;
}

static bool parse_latest(const char *snapshot, uint64_t *ret_back)
{
    *ret_back = 0;
    if (strcmp(snapshot, "latest") == 0)
        return true;
    return strncmp(snapshot, "latest~", 7) == 0 && parse_u64(snapshot + 7, strlen(snapshot + 7), UINT32_MAX, ret_back);
}

int repository_find(const struct repository *r, const uint8_t *chain, const char *snapshot, const struct repository_head **ret_head, struct error *err)
{
    uint8_t only[16];
    uint64_t back = 0, number = 0;
    bool latest = parse_latest(snapshot, &back);
    if (!latest && !parse_u64(snapshot, strlen(snapshot), UINT64_MAX, &number))
        return error_set(err, ERROR_USAGE, "'%s' is no snapshot: give a number, latest, or latest~N", snapshot);
    if (chain == NULL) {
        int rc = repository_chain(r, NULL, NULL, only, err);
        if (rc < 0)
            return rc;
        chain = only;
    }
    const struct repository_head *first = NULL, *last = NULL;
    for (size_t i = r->n_heads; i-- > 0;) {
        const struct repository_head *h = &r->heads[i];
        if (memcmp(h->chain, chain, 16) != 0)
            continue;
        if (!h->valid && !latest && h->number == number)
            return error_set(err, ERROR_INTEGRITY, "snapshot %llu cannot be used: %s", (unsigned long long)number, h->problem);
        if (!h->valid)
            continue;
        if (latest ? back-- == 0 : h->number == number) {
            *ret_head = h;
            return 0;
        }
        last = last == NULL ? h : last;
        first = h;
    }
    if (first == NULL)
        return error_set(err, ERROR_NOT_FOUND, "repository '%s' holds no snapshot yet", r->store->url);
    return error_set(err, ERROR_NOT_FOUND, "there is no snapshot '%s'; there are %llu to %llu", snapshot, (unsigned long long)first->number, (unsigned long long)last->number);
}

size_t repository_count_problems(const struct repository *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->n_heads; i++)
        count += !r->heads[i].valid || r->heads[i].fork || r->heads[i].chain_broken;
    return count;
}

int repository_read_refs(const struct repository *r, const struct format_head *head, struct format_refs *ret_refs, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_free_ char *name = format_refs_name(head->refs);
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    int rc = store_get_all(r->store, name, FORMAT_REFS_MAX, &text, err);
    if (rc < 0)
        return rc == ERROR_NOT_FOUND ? error_set(err, ERROR_INTEGRITY, "'%s', the object list of snapshot %llu, is missing in '%s'", name, (unsigned long long)head->number, r->store->url) : rc;
    crypto_sha256(text.data, text.len, sha256);
    if (text.len != head->refs_size || memcmp(sha256, head->refs, sizeof sha256) != 0)
        return error_set(err, ERROR_INTEGRITY, "'%s' in '%s' is damaged: its content does not have the hash it is named by", name, r->store->url);
    struct format_refs refs = { 0 };
    rc = format_refs_parse(buf_str(&text), text.len, &refs, err);
    if (rc < 0)
        return error_prefix(err, "'%s'", name);
    if (memcmp(refs.chain, head->chain, sizeof refs.chain) != 0) {
        format_refs_done(&refs);
        return error_set(err, ERROR_INTEGRITY, "'%s' belongs to another chain", name);
    }
    *ret_refs = refs;
    return 0;
}

// ---- making one

static int put_signed_pair(struct store *store, const struct sshkey *key, const char *name, const char *text, struct error *err)
{
    _cleanup_buf_ struct buf signature = { 0 };
    _cleanup_free_ char *signature_name = xasprintf("%s.sig", name);
    sshsig_sign(key, FORMAT_NAMESPACE_RECOVER, text, strlen(text), &signature);
    int r = store->ops->put(store, name, text, strlen(text), err);
    if (r == 0 || r == ERROR_EXISTS) // left by an init that was cut off
        r = store->ops->put(store, signature_name, signature.data, signature.len, err);
    return r == ERROR_EXISTS ? 0 : r;
}

int repository_create(const struct io *io, struct store *store, const struct format_repository *info, const char *private_key, size_t private_key_len,
                      const char *recover_script, const char *recover_text, struct error *err)
{
    _cleanup_sshkey_ struct sshkey key;
    _cleanup_buf_ struct buf file = { 0 }, signature = { 0 };
    uint64_t size = 0;
    (void)io;
    if (store->ops->size(store, "bkd-repository", &size, err) == 0)
        return error_set(err, ERROR_EXISTS, "there is a repository at '%s' already", store->url);
    int r = sshkey_parse(private_key, private_key_len, &key, err);
    if (r < 0)
        return r;
    format_repository_write(&file, info);
    sshsig_sign(&key, FORMAT_NAMESPACE_REPOSITORY, file.data, file.len, &signature);
    buf_add(&file, signature.data, signature.len);
    r = put_signed_pair(store, &key, "recover.sh", recover_script, err);
    if (r == 0)
        r = put_signed_pair(store, &key, "RECOVER.txt", recover_text, err);
    return r < 0 ? r : store->ops->put(store, "bkd-repository", file.data, file.len, err);
}
