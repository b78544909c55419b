// The local state of one policy: STATE_DIR/policies/NAME. Everything in it is a cache that can be lost, except the pin (number and hash of the
// last head), without which a repository that was rolled back could not be told from one that is as it should be.
#ifndef BKD_ENGINE_STATE_H
#define BKD_ENGINE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/engine/sealed.h"

struct state_pin {
    bool is_set;
    uint64_t number;
    uint8_t sha256[32];
    uint8_t repository[16]; // id
};

struct state {
    const struct io *io;
    int dirfd;   // owned
    int lock_fd; // owned; -1 when opened for reading only
    uint8_t key[SEALED_KEY_SIZE];
    bool has_chain;
    uint8_t chain[16];
    struct state_pin pin;     // of the last head this host knows
    struct state_pin pending; // of the head that was about to be created
    uint32_t objects; // object numbers below this one may have been given by this host, for whatever became of them
};

// Makes the directory when missing, locks it (ERROR_BUSY: another run), reads or makes the key, chain and pin.
MUST_USE int state_open(const struct io *io, const char *state_dir, const char *policy, struct state *ret_state, struct error *err);
// For readers: no lock, nothing is made. ERROR_NOT_FOUND when there was no run yet.
MUST_USE int state_open_readonly(const struct io *io, const char *state_dir, const char *policy, struct state *ret_state, struct error *err);
void state_close(struct state *s);
#define _cleanup_state_ __attribute__((cleanup(state_close)))

MUST_USE int state_set_chain(struct state *s, const uint8_t chain[16], struct error *err);
// The key of all caches of one chain in one repository: caches of another fail their seals.
void state_cache_key(const struct state *s, const uint8_t repository[16], const uint8_t chain[16], uint8_t ret_key[SEALED_KEY_SIZE]);
// Durable: object numbers below `objects` are never given again, so that a place in a cache can never come to mean other bytes, also after a
// cut-off run, a void head or a repository that was rolled back.
MUST_USE int state_reserve_objects(struct state *s, uint32_t objects, struct error *err);
// Durable: pending before the head is created, the pin after it.
MUST_USE int state_set_pending(struct state *s, const struct state_pin *pin, struct error *err);
MUST_USE int state_set_pin(struct state *s, const struct state_pin *pin, struct error *err);

#endif
