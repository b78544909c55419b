// An object on its way out: compressed frames come in, are sealed by age, hashed and written to the store's spool; at its end the object gets its name
// and is put. It knows nothing of threads: whoever holds it sees to it that one at a time works on it.
//
// Order: object_out_open → object_out_add_frame … → object_out_end → object_out_put; object_out_free at any time drops what was not put.
#ifndef BKD_ENGINE_OBJECT_OUT_H
#define BKD_ENGINE_OBJECT_OUT_H

#include <stdint.h>

#include "bkd/base/profile.h"
#include "bkd/codec/age.h"
#include "bkd/repo/format.h"
#include "bkd/store/store.h"

struct object_out;

struct object_out_options {
    struct store *store;                    // borrowed
    const struct age_recipient *recipients; // borrowed; n_recipients 0: no age layer
    size_t n_recipients;
};

MUST_USE int object_out_open(const struct io *io, const struct object_out_options *options, uint32_t number, struct object_out **ret_object, struct error *err);
void object_out_free(struct object_out *o);

// Appends one zstd frame that holds `plain` bytes of the tar stream. The lap is of the calling thread, in PROFILE_ENCRYPT, here and below. After a failure
// this and object_out_end fail with the same error: no object is finished with a hole in it.
MUST_USE int object_out_add_frame(struct object_out *o, const void *frame, size_t n, size_t plain, struct profile_lap *lap, struct error *err);
// Appends the table of frames and ends the age layer: the object has its last byte.
MUST_USE int object_out_end(struct object_out *o, struct profile_lap *lap, struct error *err);
// Puts it under its name, durably. An object that stands there with the same bytes is as good.
MUST_USE int object_out_put(struct object_out *o, struct error *err);

// All is set but `used`; after object_out_end.
const struct format_ref *object_out_ref(const struct object_out *o);

#endif
