// A tree of equal files in a simulation: each night some change as a whole, and files of objects that are to be emptied are stored anew.
#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/engine/simulate_shelf.h"

struct tree_object {
    size_t birth, last; // nights of the first and the last snapshot that uses it
    uint32_t files, used;
    bool is_gone, is_chosen;
};

struct simulate_tree {
    uint64_t random, file_bytes;
    double chance[SIMULATE_FILES]; // of changing in a night
    size_t birth[SIMULATE_FILES];  // night since when the content is what it is
    uint32_t object[SIMULATE_FILES];
    struct tree_object *objects;
    size_t n_objects, cap;
    size_t open[2]; // objects being filled, of what changed and of what is stored anew; 1 more than the index, 0 = none
};

struct simulate_tree *simulate_tree_new(const struct simulate_source *source, uint64_t seed)
{
    struct simulate_tree *tree = xcalloc(1, sizeof *tree);
    tree->random = seed | 1;
    tree->file_bytes = source->bytes / SIMULATE_FILES;
    for (size_t i = 0; i < SIMULATE_FILES; i++) {
        bool hot = simulate_random(&tree->random) < source->hot_share;
        double share = hot ? source->hot_changes / source->hot_share : (1 - source->hot_changes) / (1 - source->hot_share);
        tree->chance[i] = source->hot_share > 0 ? source->change_share * share : source->change_share;
    }
    return tree;
}

void simulate_tree_free(struct simulate_tree *tree)
{
    if (tree == NULL)
        return;
    free(tree->objects);
    free(tree);
}

static void choose_objects(struct simulate_tree *tree, const struct renewal_rule *rule)
{
    struct renewal_object *seen = xcalloc(tree->n_objects + 1, sizeof *seen);
    size_t n = 0;
    for (size_t i = 0; i < tree->n_objects; i++) {
        const struct tree_object *object = &tree->objects[i];
        tree->objects[i].is_chosen = false;
        if (object->used > 0)
            seen[n++] = (struct renewal_object){ .number = (uint32_t)i, .bytes = object->files * tree->file_bytes, .used_bytes = object->used * tree->file_bytes };
    }
    n = renewal_choose(rule, seen, n);
    for (size_t i = 0; i < n; i++)
        tree->objects[seen[i].number].is_chosen = true;
    free(seen);
}

// What is stored anew has not changed for long, and is kept apart from what changed tonight, much of which will change again soon.
static uint32_t open_object(struct simulate_tree *tree, size_t night, bool is_renewed)
{
    size_t *open = &tree->open[is_renewed];
    if (*open > 0 && tree->objects[*open - 1].birth == night && tree->objects[*open - 1].files < SIMULATE_OBJECT_FILES)
        return (uint32_t)(*open - 1);
    if (tree->n_objects == tree->cap) {
        tree->cap = tree->cap == 0 ? 256 : 2 * tree->cap;
        tree->objects = xrealloc(tree->objects, tree->cap * sizeof *tree->objects);
    }
    tree->objects[tree->n_objects] = (struct tree_object){ .birth = night, .last = night };
    *open = ++tree->n_objects;
    return (uint32_t)(*open - 1);
}

static void store_file(struct simulate_tree *tree, size_t i, size_t night, bool is_renewed, struct simulate_night *figures)
{
    uint32_t number = open_object(tree, night, is_renewed);
    if (night > 0)
        tree->objects[tree->object[i]].used--;
    tree->objects[number].files++;
    tree->objects[number].used++;
    tree->object[i] = number;
    figures->written_bytes += tree->file_bytes;
    figures->renewed_bytes += is_renewed ? tree->file_bytes : 0;
}

void simulate_tree_backup(struct simulate_tree *tree, const struct simulate_rules *rules, struct simulate_shelf *shelf, size_t night, struct simulate_night *figures)
{
    choose_objects(tree, &rules->renewal);
    for (size_t i = 0; i < SIMULATE_FILES; i++) {
        bool changed = night > 0 && simulate_random(&tree->random) < tree->chance[i];
        if (changed) {
            simulate_shelf_kill(shelf, tree->birth[i], night, tree->file_bytes);
            tree->birth[i] = night;
        }
        bool renewed = !changed && night > 0 && tree->objects[tree->object[i]].is_chosen && figures->renewed_bytes < rules->renewal.budget_bytes;
        if (night == 0 || changed || renewed)
            store_file(tree, i, night, renewed, figures);
    }
    for (size_t i = 0; i < tree->n_objects; i++)
        if (tree->objects[i].used > 0)
            tree->objects[i].last = night;
    simulate_shelf_add(shelf, night);
}

uint64_t simulate_tree_stored(struct simulate_tree *tree, const struct simulate_shelf *shelf)
{
    uint64_t stored = 0;
    for (size_t i = 0; i < tree->n_objects; i++) {
        struct tree_object *object = &tree->objects[i];
        object->is_gone = object->is_gone || !simulate_shelf_holds(shelf, object->birth, object->last);
        stored += object->is_gone ? 0 : object->files * tree->file_bytes;
    }
    return stored;
}
