// An image in a simulation: blocks change in place, scattered; each night is a version that builds on others.
#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/engine/simulate_shelf.h"

enum { BLOCKS = 65536, REAL_BLOCK = 4096, PIECE_BLOCKS = 4096, NONE = -1 };
// Stored bytes of a range in a recipe: about 20 of text, compressed; measured by tests/engine/test_nights.
#define RANGE_BYTES 9.0

struct image_version {
    struct ancestry ancestry;
    long base, anchor; // versions; NONE
    uint64_t bytes;    // stored
    bool is_needed;
};

struct simulate_image {
    uint64_t random, bytes;
    double change_share;
    size_t birth[BLOCKS]; // night since when the content is what it is
    struct image_version *versions; // by night
    size_t n;
};

struct simulate_image *simulate_image_new(const struct simulate_source *source, uint64_t seed, size_t nights)
{
    struct simulate_image *image = xcalloc(1, sizeof *image);
    image->random = seed | 1;
    image->bytes = source->bytes;
    image->change_share = source->change_share;
    image->versions = xcalloc(nights, sizeof *image->versions);
    return image;
}

void simulate_image_free(struct simulate_image *image)
{
    if (image == NULL)
        return;
    free(image->versions);
    free(image);
}

static double changed_since(const struct simulate_image *image, long night)
{
    size_t n = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        n += (long)image->birth[i] > night;
    return (double)n / BLOCKS;
}

// The version stored whole that all this builds on.
static long root_of(const struct simulate_image *image, long version)
{
    while (image->versions[version].base != NONE)
        version = image->versions[version].base;
    return version;
}

// Each changed block is a range of its own, and so is each run of blocks between two of them.
static double recipe_bytes(const struct simulate_image *image, long root)
{
    double changed = changed_since(image, root), blocks = (double)image->bytes / REAL_BLOCK;
    return blocks * (changed + changed * (1 - changed)) * RANGE_BYTES;
}

static long choose_base(const struct simulate_image *image, const struct ancestry_limits *limits, size_t night)
{
    if (night == 0)
        return NONE;
    const struct image_version *previous = &image->versions[night - 1];
    const struct image_version *anchor = previous->anchor == (long)night - 1 ? NULL : &image->versions[previous->anchor];
    switch (ancestry_choose(limits, image->bytes, &previous->ancestry, anchor == NULL ? NULL : &anchor->ancestry)) {
    case ANCESTRY_PREVIOUS:
        return (long)night - 1;
    case ANCESTRY_ANCHOR:
        return previous->anchor;
    case ANCESTRY_WHOLE:
        break;
    }
    return NONE;
}

static void store_version(struct simulate_image *image, const struct ancestry_limits *limits, size_t night)
{
    struct image_version *v = &image->versions[night];
    long base = choose_base(image, limits, night);
    *v = (struct image_version){ .base = base, .anchor = (long)night, .ancestry = { .chain = 1 }, .bytes = image->bytes };
    image->n = night + 1;
    if (base == NONE)
        return;
    const struct image_version *b = &image->versions[base];
    uint64_t delta = (uint64_t)(changed_since(image, base) * (double)image->bytes);
    v->ancestry = (struct ancestry){ .chain = b->ancestry.chain + 1, .delta_bytes = b->ancestry.delta_bytes + delta };
    v->bytes = delta + (uint64_t)recipe_bytes(image, root_of(image, base));
    if (base == (long)night - 1) {
        v->ancestry.steps = b->ancestry.steps + 1;
        v->anchor = b->anchor;
    }
}

void simulate_image_backup(struct simulate_image *image, const struct simulate_rules *rules, struct simulate_shelf *shelf, size_t night, struct simulate_night *figures)
{
    for (size_t i = 0; night > 0 && i < BLOCKS; i++) {
        if (simulate_random(&image->random) >= image->change_share)
            continue;
        simulate_shelf_kill(shelf, image->birth[i], night, image->bytes / BLOCKS);
        image->birth[i] = night;
    }
    store_version(image, &rules->ancestry, night);
    figures->written_bytes = image->versions[night].bytes;
    simulate_shelf_add(shelf, night);
}

uint64_t simulate_image_stored(struct simulate_image *image, const struct simulate_shelf *shelf)
{
    uint64_t stored = 0;
    for (size_t i = 0; i < image->n; i++)
        image->versions[i].is_needed = false;
    for (size_t i = 0; i < image->n; i++)
        for (long v = shelf->kept[i] ? (long)i : NONE; v != NONE && !image->versions[v].is_needed; v = image->versions[v].base) {
            image->versions[v].is_needed = true;
            stored += image->versions[v].bytes;
        }
    return stored;
}
