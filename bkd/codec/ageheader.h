// The grammar of an age v1 header: version line, stanzas, MAC line. Knows nothing of keys.
#ifndef BKD_CODEC_AGEHEADER_H
#define BKD_CODEC_AGEHEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/crypto.h"
#include "bkd/base/error.h"

#define AGEHEADER_VERSION_LINE "age-encryption.org/v1\n"
#define AGEHEADER_BODY_MAX 64 // bytes of a stanza's body that are kept; those this program can open have 32

// One recipient stanza: "-> TYPE [ARG …]" and its decoded body. Strings are borrowed from the parsed bytes and not
// NUL-terminated.
struct ageheader_stanza {
    const char *type;
    size_t type_len;
    const char *args; // after the type: ARG [ARG …] separated by single spaces; NULL when there is none
    size_t args_len;
    size_t n_args;
    uint8_t body[AGEHEADER_BODY_MAX]; // the first bytes of a longer body
    size_t body_len;                  // the true length
};

struct ageheader {
    struct ageheader_stanza *stanzas; // owned
    size_t n_stanzas;
    size_t mac_input_len; // the MAC covers this many bytes from the start: up to and including "---"
    uint8_t mac[CRYPTO_SHA256_SIZE];
    size_t size; // of the whole header, its last LF included
};

// Where the header ends (after the LF of its MAC line), going by the first line that starts with "---". False when that is not
// within n bytes.
bool ageheader_find_end(const uint8_t *data, size_t n, size_t *ret_size);

// Parses and checks a header at the start of data; what follows it is not looked at. ERROR_FORMAT, also above max_size bytes or
// max_stanzas.
MUST_USE int ageheader_parse(const uint8_t *data, size_t n, size_t max_size, size_t max_stanzas, struct ageheader *ret_header,
                             struct error *err);
void ageheader_done(struct ageheader *header);
#define _cleanup_ageheader_ __attribute__((cleanup(ageheader_done)))

// Is the stanza of this type?
bool ageheader_is(const struct ageheader_stanza *stanza, const char *type);
// Argument `index` (0 is the first after the type). False when there is none.
bool ageheader_arg(const struct ageheader_stanza *stanza, size_t index, const char **ret_arg, size_t *ret_len);

#endif
