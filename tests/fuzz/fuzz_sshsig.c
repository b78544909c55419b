// Signatures, signers files and private key files. The first byte chooses what the rest is.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "bkd/codec/sshsig.h"

static void try_signature(const char *text, size_t n)
{
    struct error err;
    uint8_t who[CURVE_KEY_SIZE];
    size_t cut = 0;
    if (sshsig_split(text, n, &cut) && sshsig_check("bkd-head@v1", text, cut, text + cut, n - cut, who, &err) == 0)
        assert(n - cut <= SSHSIG_ARMOR_MAX);
    (void)!sshsig_check("bkd-head@v1", "head", 4, text, n, who, &err);
}

static void try_signers(const char *text, size_t n)
{
    struct error err;
    struct signers signers = { 0 };
    if (signers_parse(text, n, &signers, &err) == 0 && signers.n > 0) {
        const struct signers_entry *entry = NULL;
        if (signers_find(&signers, signers.list[0].public_key, "bkd-head@v1", 1800000000, "bkd@host", &entry, &err) == 0)
            assert(signers_match("bkd@host", entry->principals));
    }
    signers_done(&signers);
}

static void try_key(const char *text, size_t n)
{
    struct error err;
    struct sshkey key, again;
    if (sshkey_parse(text, n, &key, &err) < 0)
        return;
    struct buf file = { 0 };
    sshkey_format(io_real(), &key, "fuzz", &file);
    assert(sshkey_parse(file.data, file.len, &again, &err) == 0 && memcmp(&key, &again, sizeof key) == 0);
    buf_done(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    if (data[0] == 's')
        try_signers(text, size - 1);
    else if (data[0] == 'k')
        try_key(text, size - 1);
    else
        try_signature(text, size - 1);
    return 0;
}
