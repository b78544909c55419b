// A place: where bytes are stored (doc/FORMAT.md section 1). Text form "OBJECT:OFFSET+LENGTH".
#ifndef BKD_REPO_PLACE_H
#define BKD_REPO_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/codec/ranges.h" // struct place: object (0: zeros), offset in its tar stream, length

#define PLACE_OBJECT_MAX 0x7fffffffu
#define PLACE_OFFSET_MAX (UINT64_C(1) << 40) // of an object's tar stream

static inline bool place_is_set(const struct place *p) { return p->length > 0 || p->object > 0; }
bool place_parse(const char *text, size_t n, struct place *ret_place);
void place_format(struct buf *out, const struct place *place);

#endif
