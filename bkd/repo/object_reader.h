// Reading ranges of stored objects: the one door through which stored bytes come in. A stored file is authenticated before its first use, as a whole or by
// its opening (stored.h); then frames are located by the seek table, only the age chunks that cover them fetched, and decrypted and decompressed in a
// process without rights (decoder.h). Used by restore, check and by readers of old manifests. One reader serves all objects of a snapshot;
// safe for several threads. Errors name the object file: ERROR_INTEGRITY when it is missing, damaged or not what is needed, ERROR_KEY when no
// identity fits.
#ifndef BKD_REPO_OBJECT_READER_H
#define BKD_REPO_OBJECT_READER_H

#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/repo/format.h"
#include "bkd/store/store.h"

struct object_reader;
struct age_identity; // codec/age.h

// Counters in bytes and nanoseconds, summed over threads.
struct object_reader_stats {
    uint64_t fetched_bytes, fetch_ns;  // read from the store, for authentication too
    uint64_t hashed_bytes, hash_ns;    // authenticated
    uint64_t decoded_bytes, decode_ns; // decrypt + decompress, uncompressed bytes
};

// Forks, so it is called before threads start. store and the array in refs borrowed; identities (copied) may be NULL where nothing is encrypted, else ERROR_KEY. cache_bytes
// bounds decoded frames kept for reuse.
MUST_USE int object_reader_new(const struct io *io, struct store *store, const struct format_refs *refs, bool encrypted,
                               const struct age_identity *identities, size_t n_identities, size_t cache_bytes,
                               struct object_reader **ret_reader, struct error *err);
void object_reader_free(struct object_reader *r);
// From now on objects that are not what the refs say are read nevertheless (each is told once), for somebody who wants what can be had. What
// comes from them must be compared with a hash from elsewhere: object_reader_authentic tells which they are.
void object_reader_accept_damaged(struct object_reader *r);
// Little of the objects will be read: encrypted ones are not read whole for it (stored_want_parts). Before the first use.
void object_reader_want_parts(struct object_reader *r);
MUST_USE int object_reader_authentic(struct object_reader *r, uint32_t object, bool *ret_authentic, struct error *err);
// What confines the processes that decode: a warning when the kernel or a container forbids the filter of system calls, else a line for -v.
void object_reader_tell_confinement(const struct object_reader *r);

// Which frame holds a tar offset, and that frame's bounds. Reads the object's header and seek table when first asked.
MUST_USE int object_reader_locate(struct object_reader *r, uint32_t object, uint64_t offset, uint32_t *ret_frame,
                                  uint64_t *ret_frame_offset, uint32_t *ret_frame_size, struct error *err);
// A decoded frame, borrowed until released. Frames come from the cache when there.
struct object_frame {
    const uint8_t *data;
    uint32_t size;
    void *handle;
};
MUST_USE int object_reader_frame(struct object_reader *r, uint32_t object, uint32_t frame, struct object_frame *ret_frame,
                                 struct error *err);
void object_reader_release(struct object_reader *r, struct object_frame *frame);
// The same, of one that nobody is expected to ask for again: it leaves the cache before those that were looked into ahead of their time.
void object_reader_use_up(struct object_reader *r, struct object_frame *frame);
// A frame of `size` bytes into memory of the caller: for frames that nobody will ask for again, since it is not kept.
MUST_USE int object_reader_frame_into(struct object_reader *r, uint32_t object, uint32_t frame, void *data, uint32_t size, struct error *err);
// Any range, across frames, into memory. For small things (recipes, xattrs, manifests' pieces).
MUST_USE int object_reader_read(struct object_reader *r, const struct place *place, void *data, struct error *err);
// Places that will be read soon: what a store far away has to send for them is fetched together, for the round trips of one place. Failures show where they
// are read.
void object_reader_expect(struct object_reader *r, const struct place *places, size_t n);
// Only what opens their objects.
void object_reader_expect_ends(struct object_reader *r, const struct place *places, size_t n);
void object_reader_stats(const struct object_reader *r, struct object_reader_stats *ret_stats);

#endif
