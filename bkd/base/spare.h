// Large buffers that come and go all the time and differ in size. What comes back is kept for the next one that it suits, as long as all of them together, lent
// and kept, stay within a bound: so memory does not depend on what sizes came in what order, nor on how many threads share the work.
// One thread takes and gives; what is lent may be used anywhere.
#ifndef BKD_BASE_SPARE_H
#define BKD_BASE_SPARE_H

#include <stdbool.h>

#include "bkd/base/buf.h"

struct spare {
    size_t bound, lent, kept; // bytes
    struct buf *idle; // what is kept, the oldest first
    size_t n, cap;
};

void spare_init(struct spare *s, size_t bound_bytes);
// What is lent stays with who has it.
void spare_done(struct spare *s);
// May `size` bytes more be lent within the bound? Who takes them all the same gets them.
bool spare_has_room(const struct spare *s, size_t size);
// An empty buffer with room for `size` bytes, from the start of a page on.
struct buf spare_take(struct spare *s, size_t size);
// Takes a lent buffer back, which must not have grown. *b is empty afterwards.
void spare_give(struct spare *s, struct buf *b);

#endif
