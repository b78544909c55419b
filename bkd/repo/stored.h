// The stored files of a snapshot's objects, authenticated before any of their bytes is used.
//
// Before its first use a file is read whole and compared with its SHA-256 in the refs, which the head signs. That pass also keeps a keyed hash
// of each STORED_BLOCK, under a random key of this process; every later read takes whole blocks and compares them with it. So what is
// decrypted, decompressed or parsed is what was signed, also when the store's owner exchanges the file in between or answers differently the
// second time. Of an encrypted file in a store far away, or of which only parts are wanted, the opening alone is authenticated so, and age's chunk tags
// vouch for the rest: see stored.c.
// Safe for several threads.
#ifndef BKD_REPO_STORED_H
#define BKD_REPO_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/repo/format.h"
#include "bkd/store/store.h"

#define STORED_BLOCK 65536u
// Bytes of block hashes kept; beyond it the file authenticated first is authenticated again when it is needed again.
#define STORED_TAGS_MAX (32u << 20)

// Bytes fetched before they are asked for that are kept.
#define STORED_AT_HAND_MAX (16u << 20)

struct stored_stats {
    uint64_t hashed_bytes, hash_ns; // authentication, reading left out
    uint64_t read_bytes, read_ns;   // all reading
};

struct stored;
// store and the array in refs borrowed.
struct stored *stored_new(const struct io *io, struct store *store, const struct format_refs *refs, bool encrypted);
void stored_free(struct stored *s);
// Its name in the store, valid as long as s.
const char *stored_name(struct stored *s, size_t index);

// For somebody who wants what can be had: files that are not what the refs say are read nevertheless, each told once. Nothing in them may be
// believed that was not compared with a hash from elsewhere; stored_is_authentic tells. Before the first use.
void stored_accept_damaged(struct stored *s);

// For somebody who wants little of much: encrypted files nearby are not read whole either. Before the first use.
void stored_want_parts(struct stored *s);

// Authenticates the file of refs[index]; does nothing when that is done already. ERROR_INTEGRITY: another size or hash; a file once refused
// stays refused. Trouble with the store is told as it comes.
MUST_USE int stored_open(struct stored *s, size_t index, struct error *err);
// Bytes [offset, offset + n) of it (ERROR_INTEGRITY beyond its end). They begin at space + *ret_skip; space has room for
// n + 2 * STORED_BLOCK bytes.
MUST_USE int stored_read(struct stored *s, size_t index, uint64_t offset, size_t n, uint8_t *space, size_t *ret_skip, struct error *err);
// What will be read soon, of several files: fetched together, where a read costs a round trip. Of others nothing is done.
struct stored_part {
    size_t index; // in refs
    uint64_t offset;
    size_t n;
};
bool stored_is_worth_expecting(const struct stored *s);
void stored_expect(struct stored *s, const struct stored_part *parts, size_t n);
// What was read turned out to be wrong: it is asked for anew, and if it is right then, that is told.
void stored_forget(struct stored *s, size_t index);
void stored_tell_healed(struct stored *s, size_t index);
// After stored_open: false for a damaged file that was accepted.
bool stored_is_authentic(struct stored *s, size_t index);
void stored_stats(const struct stored *s, struct stored_stats *ret_stats);

#endif
