// The text of a signed record (doc/FORMAT.md section 3.4): what is said of a snapshot after its head was written. Pure: text in, struct out.
// Reading records from a store, verifying and appending them is records.h's.
#ifndef BKD_REPO_RECORD_H
#define BKD_REPO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/repo/lines.h"

#define RECORD_HOLDS_MAX 256 // that one release names
#define RECORD_SNAPSHOTS_MAX 256 // that one tombstone, revival or absence names
#define RECORD_KIND_MAX 32   // characters of a kind's name

enum record_kind {
    RECORD_OTHER, // a kind that only a later bkd knows: kept, and passed over
    RECORD_TAG,
    RECORD_HOLD,
    RECORD_RELEASE,
    RECORD_ACCEPT,
    RECORD_PROOF, // it was restored, or could not be
    // What is said of several snapshots in one store (see tombstones.h):
    RECORD_TOMBSTONE, // their data may go
    RECORD_REVIVE,    // it may not, in spite of the tombstones named
    RECORD_ABSENT,    // their data never got there
};

struct record_snapshot {
    uint64_t number;
    uint8_t head[32]; // SHA-256 of its head file
};

// What a verification came to.
struct record_proof {
    uint8_t place[32]; // SHA-256 of the address it was restored from; zeros: the repository the record stands in
    char mode[RECORD_KIND_MAX + 1]; // "full", "sample", …
    bool is_proven;
    uint64_t duration_ms, files, bytes;
};

struct record {
    uint8_t repository[16];
    uint64_t number;      // among its signer's records, from 1
    uint8_t previous[32]; // SHA-256 of the file of the signer's last valid record before; zeros for the first
    uint64_t time_ns;
    char by[LINES_LABEL_MAX + 1]; // who did it, for people
    enum record_kind kind;
    char kind_name[RECORD_KIND_MAX + 1];
    // The rest is not set for RECORD_OTHER.
    uint8_t chain[16];
    uint64_t snapshot;
    uint8_t head[32];                 // SHA-256 of the snapshot's head file
    char tag[LINES_LABEL_MAX + 1];    // RECORD_TAG
    struct record_proof proof;        // RECORD_PROOF
    char reason[LINES_LABEL_MAX + 1]; // of all but RECORD_TAG; "" = none given
    uint8_t (*holds)[32];             // RECORD_RELEASE, RECORD_REVIVE: SHA-256 of the files of the hold records, tombstones, that end; owned
    size_t n_holds;
    // RECORD_TOMBSTONE, RECORD_REVIVE and RECORD_ABSENT have these, and no `snapshot` and `head`:
    uint8_t store[16];
    uint64_t after_ns;                 // RECORD_TOMBSTONE: no data goes before
    struct record_snapshot *snapshots; // ascending; owned
    size_t n_snapshots;
};

// Does a record of this kind name several snapshots, and a store?
bool record_names_several(enum record_kind kind);

void record_done(struct record *r);
#define _cleanup_record_ __attribute__((cleanup(record_done)))

// Text without the signature. Writing: any kind but RECORD_OTHER; kind_name is not looked at. Parsing: ERROR_FORMAT with what is wrong.
void record_write(struct buf *out, const struct record *r);
MUST_USE int record_parse(const char *text, size_t n, struct record *ret_record, struct error *err);

// "records/<signer>/<number>"; caller frees.
char *record_name(const uint8_t signer[32], uint64_t number);

#endif
