// Owners exchanged on restore: rules "user:OLD=NEW" and "group:OLD=NEW", as rsync's --usermap and --groupmap.
//
// OLD is a recorded name, a number, a range of numbers "1000-1999", or "*" for every owner; a name is compared with the recorded name, a
// number with the recorded number. NEW is a name this machine knows, or a number. The first rule of its kind that fits decides. What no rule
// fits is given as without a map: by name where this machine knows it, else by number (--numeric-owner: always by number).
#ifndef BKD_RESTORE_OWNER_MAP_H
#define BKD_RESTORE_OWNER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

struct owner_map {
    struct owner_rule *rules;
    size_t n;
};

void owner_map_done(struct owner_map *m);
#define _cleanup_owner_map_ __attribute__((cleanup(owner_map_done)))

// Adds one rule. ERROR_USAGE says what is wrong with it.
MUST_USE int owner_map_add(struct owner_map *m, const char *rule, struct error *err);
// Adds the rules of a text, one a line; empty lines and lines that begin with '#' say nothing. `name` of the file, for errors.
MUST_USE int owner_map_add_text(struct owner_map *m, const char *text, const char *name, struct error *err);
// Is it one rule, and not the name of a file?
bool owner_map_is_rule(const char *text);

// The new number of a recorded owner (name: n bytes, 0 = none recorded); false when no rule fits. A NULL map has none.
bool owner_map_find(const struct owner_map *m, bool group, const char *name, size_t n, uint32_t id, uint32_t *ret_id);

#endif
