// The signed and plain text files of a repository: bkd-repository, heads, refs (doc/FORMAT.md sections 2 and 3).
// Pure: text in, structs out. Reading them from a store and verifying chains is repository.h's.
#ifndef BKD_REPO_FORMAT_H
#define BKD_REPO_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/repo/lines.h"
#include "bkd/repo/place.h"

#define FORMAT_LABEL_MAX LINES_LABEL_MAX
#define FORMAT_HEAD_MAX 8192u
#define FORMAT_SIGNED_MAX 65536u
#define FORMAT_REFS_MAX (256u << 20)
#define FORMAT_OPENING_MAX ((64u << 10) + 16u) // an age header and its nonce
#define FORMAT_NAMESPACE_REPOSITORY "bkd-repository@v1"
#define FORMAT_NAMESPACE_HEAD "bkd-head@v1"
#define FORMAT_NAMESPACE_RECORD "bkd-record@v1"
#define FORMAT_NAMESPACE_RETENTION "bkd-retention@v1"
#define FORMAT_NAMESPACE_RECOVER "bkd-recover@v1"

struct format_repository {
    uint8_t id[16];
    uint64_t created_ns; // since 1970, whole seconds
    bool encrypted;      // age
    uint64_t piece_size, object_size;
    bool writing_needs_newer; // set by the parser: write-requires names a feature this bkd does not know, so it may only read
};

#define FORMAT_RECIPIENTS_MAX 32

enum { FORMAT_INCOMPLETE = 1, FORMAT_SUSPECT = 2 };

struct format_head {
    uint8_t repository[16];
    uint8_t chain[16];
    char host[FORMAT_LABEL_MAX + 1]; // raw
    char policy[FORMAT_LABEL_MAX + 1];
    uint64_t number;
    uint8_t previous[32]; // zeros for the first
    uint64_t time_ns;
    uint64_t next_by_ns; // 0 = none
    struct place manifest; // of its recipe
    uint8_t recipe_sha256[32];
    uint64_t manifest_size;
    uint8_t manifest_sha256[32];
    uint8_t refs[32];
    uint64_t refs_size;
    uint32_t next_object;
    char *recipients[FORMAT_RECIPIENTS_MAX]; // owned
    size_t n_recipients;
    uint64_t files, entries, bytes, stored;
    uint32_t flags;
    char tag[FORMAT_LABEL_MAX + 1]; // "" = none
};

void format_head_done(struct format_head *h);
#define _cleanup_format_head_ __attribute__((cleanup(format_head_done)))

// Text without the signature. Parsing: ERROR_FORMAT with what is wrong; ERROR_USAGE ("a newer bkd") for unknown required features.
void format_repository_write(struct buf *out, const struct format_repository *r);
MUST_USE int format_repository_parse(const char *text, size_t n, struct format_repository *ret_repository, struct error *err);
void format_head_write(struct buf *out, const struct format_head *h);
MUST_USE int format_head_parse(const char *text, size_t n, struct format_head *ret_head, struct error *err);

// Splits a signed file into text and armoured signature (both borrowed).
MUST_USE int format_split_signed(const char *file, size_t n, size_t *ret_text_len, struct error *err);

struct format_ref {
    uint32_t object;
    uint8_t sha256[32];
    uint64_t stored_size; // bytes of the stored file
    uint64_t used;        // bytes of its tar stream that this snapshot needs
    uint32_t opening_size; // of an age file: bytes of its header and nonce, the start of the stored file; 0 = not known, or not encrypted
    uint8_t opening_sha256[32];
};

struct format_refs {
    uint8_t chain[16];
    struct format_ref *refs; // ascending by object; owned; one per object, not per file
    size_t n;
};

void format_refs_done(struct format_refs *r);
#define _cleanup_format_refs_ __attribute__((cleanup(format_refs_done)))
void format_refs_write(struct buf *out, const struct format_refs *r);
MUST_USE int format_refs_parse(const char *text, size_t n, struct format_refs *ret_refs, struct error *err);
// NULL when the object is not in the list.
const struct format_ref *format_refs_find(const struct format_refs *r, uint32_t object);

// "objects/ab/ab….tar.zst.age" and the other names of the layout.
char *format_object_name(const uint8_t sha256[32], bool encrypted); // caller frees
char *format_head_name(const uint8_t chain[16], uint64_t number);
char *format_refs_name(const uint8_t sha256[32]);

#endif
