// Improvements that drills asked for: each with an owner and a due date, open until somebody closes it. A journal, STATE_DIR/drills/improvements.jsonl: nothing in
// it is ever changed; later lines say what holds.
#ifndef BKD_DR_IMPROVEMENTS_H
#define BKD_DR_IMPROVEMENTS_H

#include <stdbool.h>

#include "bkd/base/io.h"
#include "bkd/base/json.h"

struct improvement {
    uint64_t id;        // from 1
    char *drill;        // that asked for it; "" = none
    char *text, *owner;
    char *due;          // "2026-12-31"
    char *opened;       // RFC 3339
    char *closed, *closed_by, *note; // NULL while it is open
};

struct improvements {
    struct improvement *items; // by id; owned, as the strings are
    size_t n;
};
void improvements_done(struct improvements *i);
#define _cleanup_improvements_ __attribute__((cleanup(improvements_done)))

// Without a journal there are none. ERROR_FORMAT names the line that is damaged; the last one, cut off by a crash, is passed over.
MUST_USE int improvements_load(const struct io *io, const char *state_dir, struct improvements *ret_improvements, struct error *err);
// Adds one. ERROR_USAGE: the date is none.
struct improvement_wanted {
    const char *drill, *text, *owner, *due;
};
MUST_USE int improvements_add(const struct io *io, const char *state_dir, const struct improvement_wanted *wanted, uint64_t *ret_id, struct error *err);
// ERROR_NOT_FOUND: there is none of that id, or it is closed.
MUST_USE int improvements_close(const struct io *io, const char *state_dir, uint64_t id, const char *by, const char *note, struct error *err);
// Is it open, and was it due before `now_ns`? (The day it is due counts as in time, in UTC.)
bool improvements_is_overdue(const struct improvement *improvement, uint64_t now_ns);
// Its fields, in a JSON object.
void improvements_describe(const struct improvement *improvement, uint64_t now_ns, struct json *object);

#endif
