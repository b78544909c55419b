// Keys on Curve25519: X25519 for age recipients, Ed25519 for signatures; and the two small things secrets need: comparing in
// constant time and wiping. The only module that includes libsodium's header.
#ifndef BKD_BASE_CURVE_H
#define BKD_BASE_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/io.h"

#define CURVE_KEY_SIZE 32       // secret and public X25519 keys, Ed25519 public keys and seeds
#define CURVE_SECRET_SIZE 64    // an Ed25519 secret key: seed, then public key
#define CURVE_SIGNATURE_SIZE 64 // Ed25519

// A new X25519 secret key from kernel randomness.
void curve_x25519_new(const struct io *io, uint8_t ret_secret[CURVE_KEY_SIZE]);
// The public key of a secret key (RFC 7748: the base point 9 multiplied).
void curve_x25519_public(const uint8_t secret[CURVE_KEY_SIZE], uint8_t ret_public[CURVE_KEY_SIZE]);
// The shared secret. False when it is all zeros, that is when public_key is a point of low order: never use it then.
bool curve_x25519_shared(const uint8_t secret[CURVE_KEY_SIZE], const uint8_t public_key[CURVE_KEY_SIZE],
                         uint8_t ret_shared[CURVE_KEY_SIZE]) __attribute__((warn_unused_result));

// Ed25519 (RFC 8032): the key pair that belongs to a 32-byte seed.
void curve_ed25519_from_seed(const uint8_t seed[CURVE_KEY_SIZE], uint8_t ret_public[CURVE_KEY_SIZE],
                             uint8_t ret_secret[CURVE_SECRET_SIZE]);
void curve_ed25519_sign(const uint8_t secret[CURVE_SECRET_SIZE], const void *data, size_t n,
                        uint8_t ret_signature[CURVE_SIGNATURE_SIZE]);
// False as well for keys of low order and for signatures that are not in their canonical form.
bool curve_ed25519_verify(const uint8_t public_key[CURVE_KEY_SIZE], const void *data, size_t n,
                          const uint8_t signature[CURVE_SIGNATURE_SIZE]) __attribute__((warn_unused_result));

// Compares in a time that depends on n only.
bool curve_equal(const void *a, const void *b, size_t n) __attribute__((warn_unused_result));
// Overwrites with zeros in a way the compiler does not remove.
void curve_wipe(void *data, size_t n);

#endif
