// Ed25519 keys in OpenSSH's files: the private key ("openssh-key-v1", see PROTOCOL.key of OpenSSH) and the line of a .pub file.
// Only Ed25519 and only without passphrase: bkd signs unattended.
#ifndef BKD_CODEC_SSHKEY_H
#define BKD_CODEC_SSHKEY_H

#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/curve.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define SSHKEY_FILE_MAX (16u << 10)
#define SSHKEY_BLOB_SIZE 51 // string "ssh-ed25519", string public key

struct sshkey {
    uint8_t public_key[CURVE_KEY_SIZE];
    uint8_t secret[CURVE_SECRET_SIZE];
};
void sshkey_done(struct sshkey *key); // wipes
#define _cleanup_sshkey_ __attribute__((cleanup(sshkey_done)))

// A new key from kernel randomness.
void sshkey_new(const struct io *io, struct sshkey *ret_key);

// The bytes of a private key file. ERROR_FORMAT when it is none; ERROR_KEY for other types of key and for keys under a
// passphrase.
MUST_USE int sshkey_parse(const void *text, size_t n, struct sshkey *ret_key, struct error *err);
// Reads a private key file with the checks of keyfile.h; ERROR_KEY also for what sshkey_parse refuses.
MUST_USE int sshkey_load(const struct io *io, int dirfd, const char *path, struct sshkey *ret_key, struct error *err);
// Appends the file's text, as ssh-keygen writes it. The caller wipes it (keyfile_done).
void sshkey_format(const struct io *io, const struct sshkey *key, const char *comment, struct buf *ret_text);

// "ssh-ed25519 BASE64[ comment]" without LF.
MUST_USE int sshkey_public_parse(const char *line, size_t n, uint8_t ret_public[CURVE_KEY_SIZE], struct error *err);
void sshkey_public_format(const uint8_t public_key[CURVE_KEY_SIZE], const char *comment, struct buf *ret_line);
// "SHA256:…", as ssh-keygen -l shows it; 51 characters and NUL.
#define SSHKEY_FINGERPRINT_SIZE 52
void sshkey_fingerprint(const uint8_t public_key[CURVE_KEY_SIZE], char ret_text[SSHKEY_FINGERPRINT_SIZE]);

// A public key as it stands inside key files and signatures.
void sshkey_blob_write(const uint8_t public_key[CURVE_KEY_SIZE], struct buf *ret_blob);
MUST_USE int sshkey_blob_parse(const uint8_t *blob, size_t n, uint8_t ret_public[CURVE_KEY_SIZE], struct error *err);

#endif
