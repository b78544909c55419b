// What a policy's last runs found, for the guard against mass changes: a sealed file of the state directory, one line a run. Lost, it begins anew.
#ifndef BKD_ENGINE_NIGHTS_H
#define BKD_ENGINE_NIGHTS_H

#include "bkd/engine/masschange.h"
#include "bkd/engine/sealed.h"
#include "bkd/repo/repository.h"

#define NIGHTS_MAX 120

struct nights {
    struct masschange_night items[NIGHTS_MAX]; // newest last
    size_t n;
};

// What cannot be read is no history.
void nights_load(struct nights *nights, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE]);
// Asks the repository's records which suspect nights were accepted since; reads them only when there is such a night. Records that cannot be read accept nothing.
void nights_ask_accepted(struct nights *nights, const struct repository *repository, const char *signers, const uint8_t chain[16]);
// The oldest go.
void nights_add(struct nights *nights, const struct masschange_night *night);
MUST_USE int nights_save(const struct nights *nights, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], struct error *err);

#endif
