// Bech32 texts and the keys in them: what decodes must encode to the same text.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "bkd/codec/age.h"
#include "bkd/codec/bech32.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char prefix[BECH32_PREFIX_MAX + 1], text[AGE_IDENTITY_TEXT_SIZE];
    uint8_t bytes[256];
    size_t n = 0;
    struct error err;
    if (bech32_decode((const char *)data, size, prefix, bytes, sizeof bytes, &n, &err) == 0) {
        _cleanup_buf_ struct buf again = { 0 };
        bech32_encode(prefix, bytes, n, &again);
        assert(again.len == size && memcmp(again.data, data, size) == 0);
    }
    struct age_recipient recipient;
    if (age_recipient_parse((const char *)data, size, &recipient, &err) == 0) {
        age_recipient_format(&recipient, text);
        assert(strlen(text) == size && memcmp(text, data, size) == 0);
    }
    struct age_identity identity;
    if (age_identity_parse((const char *)data, size, &identity, &err) == 0) {
        age_identity_format(&identity, text);
        assert(strlen(text) == size && memcmp(text, data, size) == 0);
    }
    return 0;
}
