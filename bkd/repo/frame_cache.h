// Decoded frames of objects, kept for reuse up to a number of bytes, least recently used first out. Safe for several threads:
// of two that ask for the same frame, one loads it and the other waits. Frames in use stay, even beyond the limit.
//
// Usual order: frame_cache_take; when *ret_must_load: load, then frame_cache_filled or (after which the entry is gone)
// frame_cache_failed; use entry->data; frame_cache_release.
#ifndef BKD_REPO_FRAME_CACHE_H
#define BKD_REPO_FRAME_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame_cache;

struct frame_cache_entry {
    uint32_t object, frame;
    uint8_t *data; // NULL while being loaded
    uint32_t size;
    // The cache's own:
    unsigned users;
    struct frame_cache_entry *bucket_next;
    struct frame_cache_entry *newer, *older; // among those without users
};

struct frame_cache *frame_cache_new(size_t limit_bytes);
void frame_cache_free(struct frame_cache *c); // no entry may be in use

// Never fails. The entry is the caller's to release (or to fail).
struct frame_cache_entry *frame_cache_take(struct frame_cache *c, uint32_t object, uint32_t frame, bool *ret_must_load);
// The entry if it is there with its content, else NULL. The caller's to release.
struct frame_cache_entry *frame_cache_find(struct frame_cache *c, uint32_t object, uint32_t frame);
// Gives the entry its content; `data` is from malloc and belongs to the cache from now on.
void frame_cache_filled(struct frame_cache *c, struct frame_cache_entry *entry, uint8_t *data, uint32_t size);
// Loading failed: who waits for the entry tries for itself.
void frame_cache_failed(struct frame_cache *c, struct frame_cache_entry *entry);
// used_up: nobody is expected to ask for it again, so it goes before all others.
void frame_cache_release(struct frame_cache *c, struct frame_cache_entry *entry, bool used_up);

#endif
