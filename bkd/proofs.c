#include "bkd/proofs.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

enum { UID_BYTES = 16 };

void proofs_uid(const uint8_t repository[16], const uint8_t signer[32], uint64_t number, char ret_uid[PROOFS_UID_MAX])
{
    _cleanup_buf_ struct buf text = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    buf_add(&text, repository, 16);
    buf_add(&text, signer, 32);
    buf_add_u64(&text, number);
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
static void name_place(const struct policy *policy, const uint8_t place[32], struct buf *ret_url)
{
    uint8_t known[CRYPTO_SHA256_SIZE];
    proofs_place("", known);
    if (memcmp(known, place, sizeof known) == 0)
        return;
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

static int import_one(struct catalogue *c, const struct policy *policy, const uint8_t repository[16], const struct records_item *item, struct error *err)
{
    char uid[PROOFS_UID_MAX];
    _cleanup_buf_ struct buf url = { 0 };
    const struct record *record = &item->record;
    proofs_uid(repository, item->signer, item->number, uid);
    name_place(policy, record->proof.place, &url);
    const struct verification verification = {
        .uid = uid, .policy = policy->name, .copy = buf_str(&url), .snapshot = record->snapshot, .time_ns = record->time_ns, .mode = record->proof.mode,
        .is_proven = record->proof.is_proven, .duration_ns = record->proof.duration_ms * 1000000, .files = record->proof.files, .bytes = record->proof.bytes,
        .message = record->reason,
    };
    return verifications_add(c, &verification, err);
}

int proofs_import(struct catalogue *c, const struct policy *policy, const struct repository *repository, const struct records *records, const uint8_t chain[16],
                  struct error *err)
{
    for (size_t i = 0; i < records->n; i++) {
        const struct records_item *item = &records->items[i];
        if (!item->valid || item->record.kind != RECORD_PROOF || memcmp(item->record.chain, chain, sizeof item->record.chain) != 0)
            continue;
        int r = import_one(c, policy, repository->info.id, item, err);
        if (r < 0)
            return r;
    }
    return 0;
}
