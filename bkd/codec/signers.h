// The allowed_signers file (ssh-keygen(1), "ALLOWED SIGNERS"): whose signature counts, for what, and when. It is the root of
// trust on a restore and always comes from the person, never from a store.
//
//   principals [namespaces="…",valid-after="…",valid-before="…"] ssh-ed25519 BASE64 [comment]
// Principals and namespaces are pattern lists as in ssh_config(5): "*", "?", "!" and commas. Lines with keys of other types are
// skipped (this program cannot check them); cert-authority lines are refused, since trusting a key more than it says is no
// option.
#ifndef BKD_CODEC_SIGNERS_H
#define BKD_CODEC_SIGNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/curve.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define SIGNERS_FILE_MAX (256u << 10)
#define SIGNERS_MAX 1024

struct signers_entry {
    char *principals;                       // pattern list; owned
    char *namespaces;                       // pattern list, or NULL for any; owned
    uint64_t valid_after_s, valid_before_s; // seconds since 1970; 0 and UINT64_MAX where not given
    unsigned line;                          // in the file, from 1
    uint8_t public_key[CURVE_KEY_SIZE];
};
struct signers {
    struct signers_entry *list;
    size_t n;
};

// Parses the text of a file. ERROR_FORMAT names the line.
MUST_USE int signers_parse(const char *text, size_t n, struct signers *ret_signers, struct error *err);
// Reads a file; it may be public, but nobody other than root and this user may be able to write it (ERROR_KEY,
// as when it is missing or malformed).
MUST_USE int signers_load(const struct io *io, int dirfd, const char *path, struct signers *ret_signers, struct error *err);
void signers_done(struct signers *signers);
#define _cleanup_signers_ __attribute__((cleanup(signers_done)))

// The entry that lets this key sign in this namespace at this time (seconds since 1970), for `principal` or, when that is NULL,
// for anyone; NULL when there is none: *err then says what was missing (key unknown, other namespace, not valid at that time).
// ERROR_INTEGRITY.
MUST_USE int signers_find(const struct signers *signers, const uint8_t public_key[CURVE_KEY_SIZE], const char *name_space,
                          uint64_t time_s, const char *principal, const struct signers_entry **ret_entry, struct error *err);

// Does `text` match a pattern list? A negated pattern ("!x") that matches decides against, as match_pattern_list of OpenSSH does.
bool signers_match(const char *text, const char *pattern_list);

#endif
