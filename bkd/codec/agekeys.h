// Files of age keys: recipients (public, one a line) and identities (secret, as age-keygen writes them). Empty lines and lines
// that start with "#" are skipped. Errors name file and line and what to do, and never show a secret.
#ifndef BKD_CODEC_AGEKEYS_H
#define BKD_CODEC_AGEKEYS_H

#include "bkd/codec/age.h"

struct age_recipients {
    struct age_recipient *list;
    size_t n;
};
struct age_identities {
    struct age_identity *list;
    size_t n;
};
void age_recipients_done(struct age_recipients *recipients);
void age_identities_done(struct age_identities *identities); // wipes
#define _cleanup_age_recipients_ __attribute__((cleanup(age_recipients_done)))
#define _cleanup_age_identities_ __attribute__((cleanup(age_identities_done)))

// Parses the text of a recipients file; `name` is for error texts. ERROR_FORMAT (ERROR_KEY for an identity in it), also for a
// recipient twice, none, or more than AGE_RECIPIENTS_MAX.
MUST_USE int age_recipients_parse(const char *text, size_t n, const char *name, struct age_recipients *ret_recipients,
                                  struct error *err);
// Reads a recipients file. ERROR_KEY when it is missing or malformed. Fewer than `minimum` is ERROR_KEY and says why two are
// wanted: operations and an offline recovery key.
MUST_USE int age_recipients_load(const struct io *io, int dirfd, const char *path, size_t minimum,
                                 struct age_recipients *ret_recipients, struct error *err);

// Parses the text of an identity file.
MUST_USE int age_identities_parse(const char *text, size_t n, const char *name, struct age_identities *ret_identities,
                                  struct error *err);
// Is that what `age -p` wrapped, so that it takes a passphrase?
bool age_identities_are_wrapped(const struct buf *file);
// The identities in the bytes of a file, as age_identities_load says.
MUST_USE int age_identities_open(const struct buf *file, const char *name, const char *passphrase, struct age_identities *ret_identities, struct error *err);
// Reads an identity file with the checks of keyfile.h. A file that `age -p` wrapped (binary or armored) is opened with the
// passphrase; ERROR_KEY when that is NULL or wrong, and when the file is malformed.
MUST_USE int age_identities_load(const struct io *io, int dirfd, const char *path, const char *passphrase,
                                 struct age_identities *ret_identities, struct error *err);

#endif
