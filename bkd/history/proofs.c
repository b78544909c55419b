#include "bkd/history/proofs.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

enum { UID_BYTES = 16 };

void proofs_uid(const struct record *record, const uint8_t signer[32], char ret_uid[PROOFS_UID_MAX])
{
    _cleanup_buf_ struct buf text = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    buf_add(&text, record->repository, sizeof record->repository);
    buf_add(&text, signer, 32);
    buf_add_u64(&text, record->number);
    buf_add_u64(&text, record->time_ns / 1000000000); // as records hold it
    crypto_sha256(text.data, text.len, digest);
    format_hex(ret_uid, digest, UID_BYTES);
}

void proofs_place(const char *url, uint8_t ret_place[32])
{
    memset(ret_place, 0, CRYPTO_SHA256_SIZE);
    if (url[0] != '\0')
        crypto_sha256(url, strlen(url), ret_place);
}

// The address this host knows the place by; one of another host's stays a hash.
static void name_place(const struct policy *policy, const char *at, const uint8_t place[32], struct buf *ret_url)
{
    uint8_t known[CRYPTO_SHA256_SIZE];
    proofs_place("", known);
    if (memcmp(known, place, sizeof known) == 0) {
        buf_add_str(ret_url, at);
        return;
    }
    for (size_t i = 0; i < policy->offsite.count; i++) {
        proofs_place(policy->offsite.items[i].url, known);
        if (memcmp(known, place, sizeof known) == 0) {
            buf_add_str(ret_url, policy->offsite.items[i].url);
            return;
        }
    }
    buf_add_str(ret_url, "sha256:");
    buf_add_hex(ret_url, place, CRYPTO_SHA256_SIZE);
}

// Who proved it is "USER@HOST", or "USER@HOST (sudo by …)".
static char *host_of(const char *by)
{
    const char *host = strchr(by, '@');
    return host == NULL ? xstrdup("") : xstrndup(host + 1, strcspn(host + 1, " "));
}

static int import_one(struct catalogue *c, const struct policy *policy, const char *at, const struct records_item *item, struct error *err)
{
    char uid[PROOFS_UID_MAX];
    _cleanup_buf_ struct buf url = { 0 };
    const struct record *record = &item->record;
    _cleanup_free_ char *host = host_of(record->by);
    proofs_uid(record, item->signer, uid);
    name_place(policy, at, record->proof.place, &url);
    const struct verification verification = {
        .uid = uid, .policy = policy->name, .copy = buf_str(&url), .snapshot = record->snapshot, .time_ns = record->time_ns, .mode = record->proof.mode,
        .is_proven = record->proof.is_proven, .duration_ns = record->proof.duration_ms * 1000000, .files = record->proof.files, .bytes = record->proof.bytes,
        .message = record->reason, .host = host,
    };
    return verifications_add(c, &verification, err);
}

static bool is_proof(const struct records_item *item, const uint8_t chain[16])
{
    return item->valid && item->record.kind == RECORD_PROOF && memcmp(item->record.chain, chain, sizeof item->record.chain) == 0;
}

int proofs_import(struct catalogue *c, const struct policy *policy, const char *at, const struct records *records, const uint8_t chain[16], struct error *err)
{
    for (size_t i = 0; i < records->n; i++) {
        const struct records_item *item = &records->items[i];
        if (!is_proof(item, chain))
            continue;
        int r = import_one(c, policy, at, item, err);
        if (r < 0)
            return r;
    }
    return 0;
}

// ---- what others left at a copy

struct signer_list {
    struct buf hex; // one a line, without order
};

static bool lists(const struct signer_list *list, const char hex[2 * CRYPTO_SHA256_SIZE + 1]) { return list->hex.len > 0 && strstr(buf_str(&list->hex), hex) != NULL; }

// "records/SIGNER/NUMBER"
static int see_record(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct signer_list *list = arg;
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    (void)size, (void)err;
    if (strncmp(name, "records/", 8) != 0 || strlen(name) < 8 + sizeof hex - 1)
        return 0;
    memcpy(hex, name + 8, sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    if (!lists(list, hex))
        buf_addf(&list->hex, "%s\n", hex);
    return 0;
}

static bool has_strangers(const struct signer_list *there, const struct signer_list *here)
{
    char hex[2 * CRYPTO_SHA256_SIZE + 1] = "";
    for (size_t at = 0; at + sizeof hex <= there->hex.len; at += sizeof hex) {
        memcpy(hex, there->hex.data + at, sizeof hex - 1);
        if (!lists(here, hex))
            return true;
    }
    return false;
}

static int import_strangers(struct catalogue *c, const struct policy *policy, const char *at, const struct records *records, const struct signer_list *here,
                            const uint8_t chain[16], struct error *err)
{
    int r = 0;
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    for (size_t i = 0; r == 0 && i < records->n; i++) {
        const struct records_item *item = &records->items[i];
        format_hex(hex, item->signer, sizeof item->signer);
        if (is_proof(item, chain) && !lists(here, hex))
            r = import_one(c, policy, at, item, err);
    }
    return r;
}

int proofs_import_copy(struct catalogue *c, const struct policy *policy, const struct repository *home, struct store *copy, const char *signers,
                       const uint8_t chain[16], struct error *err)
{
    struct signer_list here = { 0 }, there = { 0 };
    _cleanup_records_ struct records records = { 0 };
    struct repository at_copy = *home; // the same, elsewhere
    at_copy.store = copy;
    int r = home->store->ops->list(home->store, "records", see_record, &here, err);
    if (r == 0)
        r = copy->ops->list(copy, "records", see_record, &there, err);
    bool wanted = r == 0 && has_strangers(&there, &here);
    if (wanted)
        r = records_load(&at_copy, signers, &records, err);
    if (wanted && r == 0)
        r = import_strangers(c, policy, copy->url, &records, &here, chain, err);
    buf_done(&here.hex);
    buf_done(&there.hex);
    return r;
}
