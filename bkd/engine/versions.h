// Versions of files with a recipe, as the source host knows them: for each stored version, named by the place of its recipe, the local
// directory `versions` keeps the recipe text, the objects its closure needs, and the tags and signature deltas are made against.
// All are sealed caches; what is missing or wrong means: store the file whole.
#ifndef BKD_ENGINE_VERSIONS_H
#define BKD_ENGINE_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/spill.h"
#include "bkd/codec/delta.h"
#include "bkd/codec/piece_delta.h"
#include "bkd/codec/version_cache.h"
#include "bkd/engine/sealed.h"
#include "bkd/repo/recipe.h"

// Objects something needs, with the bytes used of each. One item an object, ascending.
struct versions_need {
    uint32_t object;
    uint64_t used;
};
struct versions_needs {
    struct versions_need *items;
    size_t n, cap;
    uint64_t delta_bytes; // sum of the delta members in the closure: what a recovery by hand has to apply
    // Of one version's needs (see bkd/engine/ancestry.h):
    uint32_t steps;      // versions since its anchor, itself included
    struct place anchor; // its recipe; none when steps is 0
};
void versions_needs_done(struct versions_needs *needs);
void versions_needs_add(struct versions_needs *needs, uint32_t object, uint64_t used);
// NULL when the object is not among them.
const struct versions_need *versions_needs_find(const struct versions_needs *needs, uint32_t object);
#define _cleanup_versions_needs_ __attribute__((cleanup(versions_needs_done)))

struct versions {
    const struct io *io;
    int dirfd; // owned: the directory `versions`
    uint8_t key[SEALED_KEY_SIZE];
    struct spill *seen; // names of versions the new snapshot uses; owned
    bool changed;       // some version was made or dropped: sweep is worth it
};

MUST_USE int versions_open(struct versions *v, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], struct error *err);
// Only for versions_read_recipe: makes nothing.
MUST_USE int versions_open_readonly(struct versions *v, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], struct error *err);
void versions_done(struct versions *v);

// A version to make deltas against.
struct versions_base {
    struct place place;
    struct recipe recipe;
    struct versions_needs needs;
    struct version_cache *cache; // tags; NULL: none, then nothing is found at the same place
    struct delta_search *search; // NULL: none
};
// ERROR_NOT_FOUND / ERROR_INTEGRITY: no such base; the caller goes on without. The signature is loaded when that takes at most search_memory
// bytes (0: never).
MUST_USE int versions_load(struct versions *v, const struct place *place, uint64_t search_memory, struct versions_base *ret_base, struct error *err);
void versions_base_done(struct versions_base *base);
// Only the recipe.
MUST_USE int versions_read_recipe(struct versions *v, const struct place *place, struct recipe *ret_recipe, struct error *err);
// Only the needs; and marks the version and its anchor as used by the new snapshot. A version whose needs are unknown is ERROR_NOT_FOUND or ERROR_INTEGRITY.
MUST_USE int versions_use(struct versions *v, const struct place *place, struct versions_needs *ret_needs, struct error *err);

// Tags of a version being made are written aside, under its id, then taken over by versions_save. Several may be under way.
MUST_USE int versions_begin_cache(struct versions *v, const struct version_cache_info *info, struct version_cache_writer **ret_writer, struct error *err);
// Keeps recipe, needs and (cache_id: the version whose cache was closed; NULL: none) tags under the place.
MUST_USE int versions_save(struct versions *v, const struct place *place, const struct buf *recipe_text, const struct versions_needs *needs,
                           const uint8_t *cache_id, struct error *err);
// Removes what no version in use needs any more.
MUST_USE int versions_sweep(struct versions *v, struct error *err);

#endif
