// One step of decoding stored bytes: opening an age header, reading a seek table, decoding a frame. A job says what lies in the input area
// and what is wanted; the result goes to the output area. Runs in a confined process (decoder.h); jobs, replies and both areas are the only
// things the two sides share, and each takes what the other writes there as it would a file from anywhere.
#ifndef BKD_REPO_DECODE_H
#define BKD_REPO_DECODE_H

#include <stdint.h>

#include "bkd/codec/age.h"
#include "bkd/codec/zframe.h"
#include "bkd/repo/stored.h"

// The largest frame encrypted, at any place in its chunks, with the stored blocks around it.
#define DECODE_IN_SIZE \
    ((ZFRAME_STORED_MAX / AGE_CHUNK_SIZE + 3u) * AGE_SEALED_SIZE + 2u * STORED_BLOCK) // stored bytes
#define DECODE_OUT_SIZE ZFRAME_PLAIN_MAX // a frame, or a seek table's entries

enum decode_op {
    DECODE_UNWRAP = 1, // in: the start of an age file; reply: its key
    DECODE_TABLE,      // in: the end of an object; out: its entries (two native uint32_t each: stored, plain bytes), or reply: more is needed
    DECODE_FRAME,      // in: what holds a frame; out: its content
};

struct decode_job {
    uint32_t op, encrypted;
    uint32_t in_offset, in_size; // of the stored bytes in the input area
    struct age_key key;          // not for UNWRAP; nor is anything below
    struct age_span span;        // which chunks these are; not encrypted: only `skip` counts
    uint32_t plain_size;         // bytes after decryption that are meant, from span.skip on
    uint64_t plain_total;        // TABLE: of the whole object
    uint32_t frame_size;         // FRAME: of its content
};

struct decode_reply {
    int32_t code;      // 0 or an error_code
    uint32_t size;     // bytes of output; TABLE with nothing in the output: how many bytes from the end of the object are needed
    uint32_t entries;  // TABLE
    struct age_key key; // UNWRAP
    char text[400];    // why not
};

struct decode;
// identities borrowed.
struct decode *decode_new(const struct age_identity *identities, size_t n_identities);
void decode_free(struct decode *d);
// in has DECODE_IN_SIZE bytes, out DECODE_OUT_SIZE.
void decode_run(struct decode *d, const struct decode_job *job, const uint8_t *in, uint8_t *out, struct decode_reply *ret_reply);
// Does each algorithm once, so that no library looks for its configuration when files are out of reach.
void decode_warm_up(void);

#endif
