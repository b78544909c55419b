// Files of pinned SSH host keys, in the format of OpenSSH's known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). Pure.
// A host is named "host", or "[host]:port" for another port than 22. Names in the file may be hashed ("|1|…") or patterns with "*", "?" and "!".
// Lines with a marker (@revoked, @cert-authority) that concern the host are an error, since what they ask for is not done here.
#ifndef BKD_CODEC_KNOWN_HOSTS_H
#define BKD_CODEC_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

#define KNOWN_HOSTS_FILE_MAX (1u << 20)
#define KNOWN_HOSTS_FINGERPRINT_SIZE 52 // "SHA256:" and 43 characters of base64, and NUL

enum known_hosts_answer {
    KNOWN_HOSTS_MATCH,   // this very key is pinned
    KNOWN_HOSTS_CHANGED, // other keys are pinned for the host
    KNOWN_HOSTS_UNKNOWN, // no key is
};

// The name under which a host's keys stand: caller frees.
char *known_hosts_name(const char *host, unsigned port);
// What the file says of a key blob (RFC 4253 section 6.6) that the host showed. ERROR_KEY for a marker line that concerns it.
MUST_USE int known_hosts_find(const void *text, size_t n, const char *name, const uint8_t *blob, size_t blob_len, enum known_hosts_answer *ret_answer,
                              struct error *err);
// The types of the keys pinned for the host, each once, separated by commas, appended to *ret_types: what is to be negotiated.
MUST_USE int known_hosts_types(const void *text, size_t n, const char *name, struct buf *ret_types, struct error *err);
// Appends the file's text without the lines that name this host and no other. Errors as known_hosts_find.
MUST_USE int known_hosts_without(const void *text, size_t n, const char *name, struct buf *ret_text, struct error *err);
// The line that pins the key, with its LF.
void known_hosts_line(const char *name, const uint8_t *blob, size_t blob_len, struct buf *ret_line);
// "SHA256:…" of a key blob, as ssh-keygen -l shows it.
void known_hosts_fingerprint(const uint8_t *blob, size_t blob_len, char ret_text[KNOWN_HOSTS_FINGERPRINT_SIZE]);

#endif
