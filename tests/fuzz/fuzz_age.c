// age files and armored age files: header, stanzas, chunks. The identity is the one of most vectors in tests/vectors/age, so that seeds from there open.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "bkd/codec/age.h"
#include "bkd/codec/agearmor.h"
#include "bkd/codec/agekeys.h"

#define IDENTITY "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

static void decrypt(const struct age_key *key, const uint8_t *data, size_t size)
{
    struct error err;
    _cleanup_age_decrypt_ struct age_decrypt d;
    _cleanup_buf_ struct buf whole = { 0 };
    age_decrypt_init(&d, key);
    int r = age_decrypt_update(&d, data + key->payload_offset, size - key->payload_offset, &whole, &err);
    if (r == 0)
        r = age_decrypt_final(&d, &whole, &err);
    uint64_t plain = 0;
    bool possible = age_plain_size(size, key->payload_offset, &plain);
    // Whatever decrypts as a stream has the size that its stored size promises.
    assert(r < 0 || (possible && plain == whole.len));
    struct age_span span;
    if (possible && plain > 0)
        assert(age_span(key->payload_offset, plain, plain - 1, 1, &span) && span.stored_offset + span.stored_size == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct age_identity identity;
    _cleanup_age_key_ struct age_key key = { 0 };
    if (age_identity_parse(IDENTITY, strlen(IDENTITY), &identity, &err) < 0)
        assert(false);
    size_t offset = 0;
    bool complete = age_header_size(data, size, &offset);
    if (age_unwrap(data, size, &identity, 1, &key, &err) == 0) {
        assert(complete && offset == key.payload_offset);
        decrypt(&key, data, size);
    }
    _cleanup_buf_ struct buf plain = { 0 };
    if (agearmor_is(data, size) && agearmor_decode(data, size, &plain, &err) == 0)
        assert(plain.len <= size);
    struct age_recipients recipients = { 0 };
    if (age_recipients_parse((const char *)data, size, "fuzz", &recipients, &err) == 0)
        assert(recipients.n > 0);
    age_recipients_done(&recipients);
    return 0;
}
