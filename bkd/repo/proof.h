// Proofs that a place keeps an object as it was written, the cheapest first: the place itself hashes it (bkd serve, proftpd), or it is read back, whole or
// in part. A size alone proves little, and is said to be just that.
#ifndef BKD_REPO_PROOF_H
#define BKD_REPO_PROOF_H

#include <stdint.h>

#include "bkd/store/store.h"

// How much is read back where the place does not hash.
enum proof_reading { PROOF_FULL, PROOF_SAMPLE, PROOF_NONE };

enum proof_way {
    PROOF_BY_SERVER, // it hashed the object
    PROOF_BY_READING,
    PROOF_BY_RANGES, // some of its bytes were compared
    PROOF_BY_SIZE,
};

// read: where the place does not hash, all of it is read; else its size is all that is known. ERROR_INTEGRITY: other bytes.
MUST_USE int proof_object(struct store *s, const char *name, uint64_t size, const uint8_t sha256[32], bool read, enum proof_way *ret_way, struct error *err);

// An object that was just sent from `fd`. PROOF_SAMPLE reads small ones whole, and of large ones some ranges at random places and the end.
MUST_USE int proof_sent(const struct io *io, struct store *s, const char *name, int fd, uint64_t size, const uint8_t sha256[32], enum proof_reading reading,
                        enum proof_way *ret_way, struct error *err);

#endif
