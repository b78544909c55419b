// The tar stream of an object, written: members with opaque ASCII names ("00000017.whole") of known size, mode 0600, owner 0, time 0, under plain
// ustar headers. libarchive writes one header (pack_member_header); it is the pattern of all others, which differ in name, size and checksum alone:
// made by libarchive each, they were the most expensive step of storing a small file (1.3 µs of 5).
//
// Order: members_begin, members_add …, members_end. Bytes reach the sink during each call: nothing is kept back, nothing is padded beyond tar's
// 512-byte blocks.
#ifndef BKD_CODEC_MEMBERS_H
#define BKD_CODEC_MEMBERS_H

#include "bkd/codec/pack.h"

#define MEMBERS_KIND_MAX 16u
#define MEMBERS_MAX 100000000u     // in one stream: eight digits
#define MEMBERS_TRAILER_SIZE 1024u // what members_end adds: two blocks of zeros

struct members {
    pack_sink_fn *sink;
    void *arg;
    uint64_t offset; // bytes given to the sink so far
    uint32_t count;  // members, whose names are their numbers
    uint8_t pattern[PACK_BLOCK]; // a header without name, size and checksum
    uint32_t pattern_sum;        // of its bytes
};

MUST_USE int members_begin(struct members *m, pack_sink_fn *sink, void *arg, struct error *err);
// kind: 1..MEMBERS_KIND_MAX letters, what the member's name ends with. *ret_offset is where the data starts in the tar stream. After a failure the
// stream is of no use.
MUST_USE int members_add(struct members *m, const char *kind, const void *data, uint64_t n, uint64_t *ret_offset, struct error *err);
MUST_USE int members_end(struct members *m, struct error *err);

#endif
