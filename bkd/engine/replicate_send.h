// What replicate.c sends: small files gathered and put together, for the round trips of one; large objects one by one, the next while the one before is
// ended. Every byte of an object is compared with its SHA-256 on the way, and a far place has to prove that it keeps it before a head names it.
//
// Usual order for a snapshot: replicate_send_object for each object; replicate_send_objects_end; replicate_send_file for refs and records;
// replicate_send_head. Then the next snapshot, and replicate_send_flush at the end. Files get their names in this order, heads after all before them.
#ifndef BKD_ENGINE_REPLICATE_SEND_H
#define BKD_ENGINE_REPLICATE_SEND_H

#include "bkd/engine/replicate.h"

struct replicate_send;

struct replicate_send *replicate_send_new(const struct io *io, const struct repository *from, struct store *to, enum proof_reading proof, struct replicate_result *result);
// Waits for what is on its way; what was not flushed is dropped.
void replicate_send_free(struct replicate_send *s);

MUST_USE int replicate_send_object(struct replicate_send *s, const struct format_ref *ref, struct error *err);
// Afterwards all objects are there, and proved.
MUST_USE int replicate_send_objects_end(struct replicate_send *s, struct error *err);
// A small file, byte for byte; one that is there already must be the same. `last`: it gets its name after all before it.
MUST_USE int replicate_send_file(struct replicate_send *s, const char *name, size_t max, bool last, struct error *err);
// Counted in the result when it has its name.
MUST_USE int replicate_send_head(struct replicate_send *s, const struct repository_head *head, struct error *err);
MUST_USE int replicate_send_flush(struct replicate_send *s, struct error *err);
// The copy has this head; it may be the latest.
void replicate_send_note_latest(struct replicate_result *result, const struct repository_head *head);

#endif
