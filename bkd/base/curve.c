#include "bkd/base/curve.h"

#include <sodium.h>
#include <stdlib.h>

#include "bkd/base/log.h"

// Chooses the fastest code for this CPU; costs a lock when done already. Randomness never comes from libsodium.
static void ready(void)
{
    if (sodium_init() >= 0)
        return;
    log_error("libsodium cannot be used on this machine");
    abort();
}

void curve_x25519_new(const struct io *io, uint8_t ret_secret[CURVE_KEY_SIZE]) { io_random(io, ret_secret, CURVE_KEY_SIZE); }

void curve_x25519_public(const uint8_t secret[CURVE_KEY_SIZE], uint8_t ret_public[CURVE_KEY_SIZE])
{
    ready();
    (void)crypto_scalarmult_base(ret_public, secret); // always 0 for this curve
}

bool curve_x25519_shared(const uint8_t secret[CURVE_KEY_SIZE], const uint8_t public_key[CURVE_KEY_SIZE],
                         uint8_t ret_shared[CURVE_KEY_SIZE])
{
    ready();
    // -1 for some points of low order; the all-zero result is asked for as well, whatever the version of libsodium does.
    return crypto_scalarmult(ret_shared, secret, public_key) == 0 && sodium_is_zero(ret_shared, CURVE_KEY_SIZE) == 0;
}

void curve_ed25519_from_seed(const uint8_t seed[CURVE_KEY_SIZE], uint8_t ret_public[CURVE_KEY_SIZE],
                             uint8_t ret_secret[CURVE_SECRET_SIZE])
{
    ready();
    (void)crypto_sign_seed_keypair(ret_public, ret_secret, seed); // always 0
}

void curve_ed25519_sign(const uint8_t secret[CURVE_SECRET_SIZE], const void *data, size_t n,
                        uint8_t ret_signature[CURVE_SIGNATURE_SIZE])
{
    ready();
    (void)crypto_sign_detached(ret_signature, NULL, data, n, secret); // always 0
}

bool curve_ed25519_verify(const uint8_t public_key[CURVE_KEY_SIZE], const void *data, size_t n,
                          const uint8_t signature[CURVE_SIGNATURE_SIZE])
{
    ready();
    return crypto_sign_verify_detached(signature, data, n, public_key) == 0;
}

bool curve_equal(const void *a, const void *b, size_t n) { return sodium_memcmp(a, b, n) == 0; }

void curve_wipe(void *data, size_t n)
{
    if (data != NULL)
        sodium_memzero(data, n);
}
