// Identities as people bring them: a file, or what they type or pipe in; under a passphrase (`age -p`), or not.
#ifndef BKD_REPO_UNLOCK_H
#define BKD_REPO_UNLOCK_H

#include "bkd/codec/agekeys.h"

struct unlock {
    const char *identity;           // file; "-" = standard input, which is asked for where that is a terminal
    const char *passphrase_file;    // its first line opens the file, or "credential:NAME"; NULL = it is not said
    const char *passphrase_command; // of sh(1), instead: the first line that it says
};

// Where neither says the passphrase of a file that is under one, it is asked for at the terminal. ERROR_KEY: there is no such file, it is none of identities, or
// nobody says its passphrase, or it is a wrong one.
MUST_USE int unlock_identities(const struct io *io, const struct unlock *how, struct age_identities *ret_identities, struct error *err);

#endif
