// The tar layer, by libarchive: the header of a member of objects, trees as other programs read them, and reading objects back.
#ifndef BKD_CODEC_PACK_H
#define BKD_CODEC_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"

#define PACK_BLOCK 512u                           // tar's block: a header, and what data is filled up to
#define PACK_NAME_MAX 64u                         // bytes of a member name
#define PACK_MEMBER_MAX ((UINT64_C(8) << 30) - 1) // bytes of a member: what the octal size field of ustar holds

// The header of a member of an object: mode 0600, owner 0, time 0. "Pax restricted" gives a plain ustar header for such a member, so its data starts
// 512 bytes after its header starts. Objects are written by bkd/codec/members.
MUST_USE int pack_member_header(const char *name, uint64_t size, uint8_t ret_header[PACK_BLOCK], struct error *err);

// Takes the next n bytes of the tar stream; 0 or an error, which ends the pack with that error.
typedef int pack_sink_fn(void *arg, const void *data, size_t n, struct error *err);

// Writing a tree as other programs read it (GNU tar, bsdtar): any name, type and time, hard links, sparse maps, extended attributes as
// SCHILY.xattr and ACLs as SCHILY.acl. pack_open_tree, then for each member pack_describe, pack_add_…, pack_begin_described, and for files of
// some size pack_data… (the whole logical size: what lies in holes is passed over), pack_end_member; at last pack_close. Bytes reach the sink during
// each call.
struct pack;
struct pack_member {
    const char *path; // raw bytes, relative
    char type;        // as in manifests: d f l p c b; 'h' = a further name of the member `target`
    const char *target;
    uint32_t mode, uid, gid;
    const char *user, *group; // "" = none
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t size; // of files
    uint32_t device_major, device_minor;
};
MUST_USE int pack_open_tree(pack_sink_fn *sink, void *arg, struct pack **ret_pack, struct error *err);
void pack_describe(struct pack *p, const struct pack_member *member);
void pack_add_xattr(struct pack *p, const char *name, const void *value, size_t n);
// The bytes of system.posix_acl_access, or of system.posix_acl_default; false when they are not such an ACL.
bool pack_add_acl(struct pack *p, const void *acl, size_t n, bool is_default);
// Data of a sparse file, ascending; a file that has none is one hole of its size.
void pack_add_extent(struct pack *p, uint64_t offset, uint64_t length);
MUST_USE int pack_begin_described(struct pack *p, struct error *err);
// More than the announced size is ERROR_FAILED.
MUST_USE int pack_data(struct pack *p, const void *data, size_t n, struct error *err);
// Less than the announced size is ERROR_FAILED.
MUST_USE int pack_end_member(struct pack *p, struct error *err);
// Ends the stream. The pack must still be freed.
MUST_USE int pack_close(struct pack *p, struct error *err);
// Frees; a pack that was not closed leaves the stream unfinished.
void pack_free(struct pack *p);
void pack_freep(struct pack **p);
#define _cleanup_pack_ __attribute__((cleanup(pack_freep)))

// Reading a tar stream front to back, for salvage and `check --read-data`: tar only, no filters, regular members only.
// Gives the next bytes of the stream: *ret_data stays valid until the next call; *ret_n 0 is the end.
typedef int pack_source_fn(void *arg, const void **ret_data, size_t *ret_n, struct error *err);

struct pack_entry {
    char name[PACK_NAME_MAX + 1];
    uint64_t size;
    uint64_t data_offset; // in the tar stream
};

struct pack_reader;
// max_members bounds how many members are accepted; more is ERROR_FORMAT.
MUST_USE int pack_reader_open(pack_source_fn *source, void *arg, uint32_t max_members, struct pack_reader **ret_reader, struct error *err);
// The same over memory, which is borrowed.
MUST_USE int pack_reader_open_memory(const void *data, size_t n, uint32_t max_members, struct pack_reader **ret_reader, struct error *err);
// The next member, skipping what is left of the current one. *ret_more false at the end of the archive. ERROR_FORMAT for what is not
// a tar of members as pack writes them (types, names, sizes), the source's error as it came.
MUST_USE int pack_reader_next(struct pack_reader *r, struct pack_entry *ret_entry, bool *ret_more, struct error *err);
// The next bytes of the current member; *ret_n 0 at its end. ret_data stays valid until the next call.
MUST_USE int pack_reader_data(struct pack_reader *r, const void **ret_data, size_t *ret_n, struct error *err);
void pack_reader_free(struct pack_reader *r);
void pack_reader_freep(struct pack_reader **r);
#define _cleanup_pack_reader_ __attribute__((cleanup(pack_reader_freep)))

#endif
