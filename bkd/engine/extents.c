#include "bkd/engine/extents.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void add_data(struct recipe *recipe, uint64_t offset, uint64_t end)
{
    if (end > offset)
        recipe_add_extent(recipe, offset, end - offset);
}

static bool covers_all(const struct recipe *recipe, uint64_t size)
{
    return recipe->n_extents == 1 && recipe->extents[0].offset == 0 && recipe->extents[0].length == size;
}

void extents_find(const struct io *io, int fd, uint64_t size, struct recipe *recipe)
{
    uint64_t at = 0;
    while (at < size) {
        off_t data = io->lseek(io, fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) // nothing but a hole from here on
            break;
        off_t hole = data < 0 ? -1 : io->lseek(io, fd, data, SEEK_HOLE);
        if (hole < 0) { // the file system does not tell: all is data
            recipe->n_extents = 0;
            return;
        }
        at = (uint64_t)hole < size ? (uint64_t)hole : size;
        add_data(recipe, (uint64_t)data, at);
    }
    if (recipe->n_extents == 0)
        recipe_add_extent(recipe, size, 0); // one hole from end to end
    else if (covers_all(recipe, size))
        recipe->n_extents = 0;
}

uint64_t extents_hole_bytes(const struct recipe *recipe, uint64_t size)
{
    uint64_t data = 0;
    for (size_t i = 0; i < recipe->n_extents; i++)
        data += recipe->extents[i].length;
    return recipe->n_extents == 0 ? 0 : size - data;
}

void extents_next_data(const struct recipe *recipe, uint64_t at, uint64_t end, uint64_t *ret_from, uint64_t *ret_to)
{
    size_t i = recipe_extent_at(recipe, at);
    const struct recipe_extent *extent = i == recipe->n_extents ? NULL : &recipe->extents[i];
    bool is_solid = recipe->n_extents == 0;
    uint64_t from = is_solid ? at : extent == NULL ? end : extent->offset > at ? extent->offset : at;
    uint64_t to = is_solid || extent == NULL ? end : extent->offset + extent->length;
    *ret_from = from < end ? from : end;
    *ret_to = to < end ? to : end;
}

bool extents_is_hole(const struct recipe *recipe, uint64_t offset, uint64_t length)
{
    uint64_t from, to;
    extents_next_data(recipe, offset, offset + length, &from, &to);
    return from == offset + length;
}

bool extents_equal(const struct recipe *a, const struct recipe *b)
{
    return a->n_extents == b->n_extents && (a->n_extents == 0 || memcmp(a->extents, b->extents, a->n_extents * sizeof *a->extents) == 0);
}

void extents_cut(struct recipe *recipe, uint64_t size)
{
    bool had = recipe->n_extents > 0;
    while (recipe->n_extents > 0 && recipe->extents[recipe->n_extents - 1].offset >= size)
        recipe->n_extents--;
    if (recipe->n_extents > 0) {
        struct recipe_extent *last = &recipe->extents[recipe->n_extents - 1];
        if (last->offset + last->length > size)
            last->length = size - last->offset;
    } else if (had) {
        recipe_add_extent(recipe, size, 0);
    }
}
