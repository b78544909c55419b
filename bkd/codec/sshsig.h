// Signatures in OpenSSH's SSHSIG format (PROTOCOL.sshsig of OpenSSH): Ed25519 over SHA-512, armoured, in a namespace.
// Interchangeable with `ssh-keygen -Y sign` and `ssh-keygen -Y verify`.
#ifndef BKD_CODEC_SSHSIG_H
#define BKD_CODEC_SSHSIG_H

#include "bkd/base/buf.h"
#include "bkd/codec/signers.h"
#include "bkd/codec/sshkey.h"

#define SSHSIG_ARMOR_MAX 1024 // bytes of armoured text a reader accepts; with a namespace of 16 characters it is 306
#define SSHSIG_NAMESPACE_MAX 64
#define SSHSIG_BEGIN "-----BEGIN SSH SIGNATURE-----\n"

// Appends the armoured signature of n bytes, ending with LF. name_space: 1 to SSHSIG_NAMESPACE_MAX printable characters.
void sshsig_sign(const struct sshkey *key, const char *name_space, const void *data, size_t n, struct buf *ret_armored);

// Where a text that ends with its signature is cut: at the first line that is exactly the signature's beginning. False when there
// is none.
bool sshsig_split(const void *data, size_t n, size_t *ret_text_len);

// Verifies an armoured signature over n bytes of data: form, namespace, key among the signers, valid at time_s (seconds since
// 1970; the time the data claims, or now), signature. The armour must be exactly what sshsig_sign or ssh-keygen writes: one
// signature has one encoding. ERROR_FORMAT for anything malformed, another algorithm or another hash; ERROR_INTEGRITY for a wrong
// signature or namespace or a key that is not allowed. principal as in signers_find. ret_entry (may be NULL) gets the signers'
// entry, borrowed from signers.
MUST_USE int sshsig_verify(const struct signers *signers, const char *principal, const char *name_space, uint64_t time_s,
                           const void *data, size_t n, const void *armored, size_t armored_len,
                           const struct signers_entry **ret_entry, struct error *err);
// Only the signature and the namespace; whose key it is comes back. For reports on what cannot be trusted.
MUST_USE int sshsig_check(const char *name_space, const void *data, size_t n, const void *armored, size_t armored_len,
                          uint8_t ret_public[CURVE_KEY_SIZE], struct error *err);

#endif
