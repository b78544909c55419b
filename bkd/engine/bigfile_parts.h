// A version while it is made. Only for bigfile.c (its beginning, the placing of its pieces, its end) and bigfile_piece.c (what worker threads do).
#ifndef BKD_ENGINE_BIGFILE_PARTS_H
#define BKD_ENGINE_BIGFILE_PARTS_H

#include "bkd/base/crypto.h"
#include "bkd/base/file_hash.h"
#include "bkd/base/turns.h"
#include "bkd/codec/sameplace.h"
#include "bkd/engine/bigfile.h"

// What zeros have, made once for all of a file.
struct zeros {
    uint8_t tag[SAMEPLACE_TAG];           // a block
    uint8_t entry[DELTA_SIGNATURE_ENTRY]; // a block of the signature, if there is one
    uint8_t sha256[CRYPTO_SHA256_SIZE];   // a piece that is one hole, where there can be one
};

struct bigfile {
    const struct bigfile_context *ctx;
    int fd; // borrowed; -1: a stream
    char *name;
    uint64_t size; // of a stream: of the pieces so far
    struct versions_base base;
    bool has_base;
    bool on_anchor; // the base is not the version before, but that one's anchor
    bool anew;      // nothing of it shall be in objects that are being emptied
    struct object_writer *writer;
    uint64_t anew_bytes;
    bool whole;     // no new delta: what the base has in deltas is stored whole
    struct piece_search search;
    struct version_cache_writer *cache;
    struct version_cache_info cache_info;
    struct recipe recipe;
    struct versions_needs needs; // the places of this version; the base's are added at the end
    struct versions_needs taken; // members of the base that are this version's too: they count when the base does not
    bool hash_whole;
    struct turns hashing; // the pieces, one after the other
    struct file_hash hash;
    bool hash_ended;      // at a piece that could not be read, or was shorter than planned
    struct zeros zeros;
    bool has_head;
    uint8_t head_sha256[CRYPTO_SHA256_SIZE];
    bool compares;    // pieces are compared with the base, and their tags kept
    bool uses_base;   // some piece is a delta against it or the same as its delta
    bool all_same;
    bool short_read;
    struct texture_sum texture;
    uint64_t bytes_read, position;
    uint64_t pieces;
};

struct bigfile_job {
    struct bigfile *file;
    uint64_t index;
    uint32_t planned, length; // to be read, as read
    bool is_hole, same;
    bool belied;  // it was the base's piece by its tags, and is not by its hash
    bool is_read; // the bytes stand in `space` already
    struct buf space;
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    uint8_t *tags;
    struct buf entries;
    struct piece_output piece;
    bool has_delta;
    enum texture texture;
    int status;
    struct error err;
};

// bigfile_piece.c: fills f->zeros, once the file's extents are found, and its key and block size chosen.
MUST_USE int bigfile_make_zeros(struct bigfile *f, struct error *err);

#endif
