// Known content: what is stored already in this chain, by SHA-256, so that a copy or a moved file stores nothing.
// A sealed, sorted file of fixed records on disk, searched with a few small reads, plus a table of fixed size for what this run added
// (old additions fall out of the table: content is then stored again, never wrongly referred to). Memory does not grow with the number of files.
//
// The file is written after a snapshot's head and named by it, so that it speaks of committed objects alone and is found only on top of that very
// snapshot: the numbers of objects that a failed run made are given again, and a file that names them would make a wrong snapshot.
#ifndef BKD_ENGINE_KNOWN_H
#define BKD_ENGINE_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/base/spill.h"
#include "bkd/engine/sealed.h"
#include "bkd/repo/place.h"

enum known_kind {
    KNOWN_WHOLE = 'w',   // key: SHA-256 of a piece or small file; place: its bytes
    KNOWN_VERSION = 'v', // key: SHA-256 of a file with a recipe; place: the recipe
    KNOWN_HEAD = 'h',    // key: of a version's first bytes (bigfile_head); place: that version's recipe
    KNOWN_XATTR = 'x',   // key: SHA-256 of an xattr text; place: its member
};

struct known;

// Which objects that existed before this run may be referred to. What this run adds itself is not asked about; and what the file says of numbers that
// this run gives out was another run's, and must be refused.
typedef bool known_usable_fn(void *arg, uint32_t object);

#define KNOWN_NAME_SIZE 32
// Name of the file in the state directory that belongs to the head with this SHA-256 (NULL: a name no file has).
void known_name(const uint8_t *head_sha256, char ret_name[KNOWN_NAME_SIZE]);
// Loads what was known when the head with this SHA-256 was created (NULL: no head yet), when it is there and good; else begins empty.
MUST_USE int known_open(const struct io *io, int dirfd, const uint8_t *head_sha256, const uint8_t key[SEALED_KEY_SIZE], known_usable_fn *usable, void *arg,
                        struct known **ret_known, struct error *err);
void known_free(struct known *k);
// Looks the content up; false when it is not known.
bool known_find(struct known *k, enum known_kind kind, const uint8_t sha256[32], struct place *ret_place);
MUST_USE int known_add(struct known *k, enum known_kind kind, const uint8_t sha256[32], const struct place *place, struct error *err);
// Keeps it for the run after this head, which has been created. Entries of objects that cannot be used any more are dropped.
MUST_USE int known_save(struct known *k, const uint8_t head_sha256[32], struct error *err);

#endif
