#include "bkd/engine/simulate.h"

#include <assert.h>
#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/engine/simulate_shelf.h"

double simulate_random(uint64_t *state) // xorshift64*, Vigna 2016
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (double)((x * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

// ---- the shelf

void simulate_shelf_init(struct simulate_shelf *shelf, size_t nights)
{
    *shelf = (struct simulate_shelf){
        .nights = nights, .kept = xcalloc(nights, sizeof *shelf->kept), .condemned_ns = xcalloc(nights, sizeof *shelf->condemned_ns),
        .rows = xcalloc(nights, sizeof *shelf->rows), .next_kept = xcalloc(nights + 1, sizeof *shelf->next_kept),
    };
    for (size_t i = 0; i <= nights; i++)
        shelf->next_kept[i] = nights;
}

void simulate_shelf_done(struct simulate_shelf *shelf)
{
    for (size_t i = 0; i < shelf->nights; i++)
        free(shelf->rows[i]);
    free(shelf->kept);
    free(shelf->condemned_ns);
    free(shelf->rows);
    free(shelf->next_kept);
}

static void find_next_kept(struct simulate_shelf *shelf)
{
    for (size_t i = shelf->now + 1; i-- > 0;)
        shelf->next_kept[i] = shelf->kept[i] ? i : i == shelf->now ? shelf->nights : shelf->next_kept[i + 1];
}

void simulate_shelf_add(struct simulate_shelf *shelf, size_t night)
{
    shelf->now = night;
    shelf->kept[night] = true;
    find_next_kept(shelf);
}

static void put_dead(struct simulate_shelf *shelf, size_t snapshot, size_t death, uint64_t bytes)
{
    if (shelf->rows[snapshot] == NULL)
        shelf->rows[snapshot] = xcalloc(shelf->nights + 1, sizeof **shelf->rows);
    shelf->rows[snapshot][death] += bytes;
}

void simulate_shelf_kill(struct simulate_shelf *shelf, size_t birth, size_t death, uint64_t bytes)
{
    size_t oldest = shelf->next_kept[birth];
    if (oldest >= death)
        return;
    put_dead(shelf, oldest, death, bytes);
    shelf->dead_bytes += bytes;
}

bool simulate_shelf_holds(const struct simulate_shelf *shelf, size_t first, size_t last) { return shelf->next_kept[first] <= last; }

static void remove_snapshot(struct simulate_shelf *shelf, size_t night)
{
    uint64_t *row = shelf->rows[night];
    shelf->kept[night] = false;
    shelf->rows[night] = NULL;
    find_next_kept(shelf);
    size_t next = shelf->next_kept[night];
    for (size_t death = 0; row != NULL && death <= shelf->nights; death++) {
        if (row[death] == 0)
            continue;
        if (next < death)
            put_dead(shelf, next, death, row[death]);
        else
            shelf->dead_bytes -= row[death];
    }
    free(row);
}

size_t simulate_shelf_prune(struct simulate_shelf *shelf, const struct simulate_rules *rules)
{
    uint64_t *times = xcalloc(shelf->now + 1, sizeof *times);
    size_t *night = xcalloc(shelf->now + 1, sizeof *night);
    bool *keep = xcalloc(shelf->now + 1, sizeof *keep);
    uint64_t now_ns = SIMULATE_START_NS + shelf->now * SIMULATE_NIGHT_NS;
    size_t n = 0, left = 0;
    for (size_t i = 0; i <= shelf->now; i++) {
        if (!shelf->kept[i] || shelf->condemned_ns[i] != 0)
            continue;
        times[n] = SIMULATE_START_NS + i * SIMULATE_NIGHT_NS;
        night[n++] = i;
    }
    rules->keep(rules->keep_arg, times, n, now_ns, keep);
    for (size_t i = 0; i < n; i++)
        if (!keep[i])
            shelf->condemned_ns[night[i]] = now_ns;
    for (size_t i = 0; i <= shelf->now; i++) {
        if (shelf->kept[i] && shelf->condemned_ns[i] != 0 && now_ns - shelf->condemned_ns[i] >= rules->grace_ns)
            remove_snapshot(shelf, i);
        left += shelf->kept[i];
    }
    free(times);
    free(night);
    free(keep);
    return left;
}

// ---- the nights

void simulate_run(const struct simulate_source *source, const struct simulate_rules *rules, size_t nights, uint64_t seed, struct simulate_night *ret_nights)
{
    assert(nights > 0 && nights <= SIMULATE_NIGHTS_MAX);
    struct simulate_shelf shelf;
    simulate_shelf_init(&shelf, nights);
    struct simulate_tree *tree = source->is_image ? NULL : simulate_tree_new(source, seed);
    struct simulate_image *image = source->is_image ? simulate_image_new(source, seed, nights) : NULL;
    for (size_t night = 0; night < nights; night++) {
        struct simulate_night figures = { 0 };
        if (image != NULL)
            simulate_image_backup(image, rules, &shelf, night, &figures);
        else
            simulate_tree_backup(tree, rules, &shelf, night, &figures);
        figures.snapshots = simulate_shelf_prune(&shelf, rules);
        figures.stored_bytes = image != NULL ? simulate_image_stored(image, &shelf) : simulate_tree_stored(tree, &shelf);
        figures.unique_bytes = source->bytes + shelf.dead_bytes;
        ret_nights[night] = figures;
    }
    simulate_tree_free(tree);
    simulate_image_free(image);
    simulate_shelf_done(&shelf);
}
