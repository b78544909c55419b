#include "bkd/codec/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"

static bool name_is_valid(const char *name)
{
    size_t n = strnlen(name, PACK_NAME_MAX + 1);
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
            return false;
    return n > 0 && n <= PACK_NAME_MAX;
}

// ---- writing ----

struct pack {
    struct archive *archive;
    struct archive_entry *entry; // reused
    pack_sink_fn *sink;
    void *arg;
    uint64_t left; // data of the current member still to come
    locale_t locale; // a tree's: what makes valid UTF-8 of names be seen as such
    bool in_member;
    struct error *err;        // of the call under way: where the sink reports
    enum error_code sink_code; // what the sink failed with; stays
};

// libarchive is never told of a failed sink: it would then not close its client filter and leak it (3.6.2). Each call looks at
// sink_code itself, and nothing reaches the sink any more.
static la_ssize_t on_write(struct archive *archive, void *arg, const void *data, size_t n)
{
    struct pack *p = arg;
    (void)archive;
    if (p->sink_code != ERROR_NONE)
        return (la_ssize_t)n;
    int rc = p->sink(p->arg, data, n, p->err);
    if (rc < 0)
        p->sink_code = (enum error_code)rc;
    return (la_ssize_t)n;
}

// Begins a call: after the sink failed, every further call fails.
static int enter(struct pack *p, struct error *err)
{
    p->err = err;
    return p->sink_code == ERROR_NONE ? 0 : error_set(err, p->sink_code, "what takes the tar stream failed before");
}

// What a libarchive call came to: the sink's error where that was the cause.
static int outcome(struct pack *p, int result, const char *what, struct error *err)
{
    if (p->sink_code != ERROR_NONE)
        return p->sink_code;
    if (result == ARCHIVE_OK)
        return 0;
    const char *text = archive_error_string(p->archive);
    return error_set(err, ERROR_FAILED, "%s: %s", what, text != NULL ? text : "libarchive gives no reason");
}

static int open_stream(pack_sink_fn *sink, void *arg, bool tree, struct pack **ret_pack, struct error *err)
{
    _cleanup_pack_ struct pack *p = xcalloc(1, sizeof(*p));
    p->sink = sink;
    p->arg = arg;
    p->err = err;
    p->archive = archive_write_new();
    p->entry = archive_entry_new();
    if (p->archive == NULL || p->entry == NULL)
        return error_set(err, ERROR_FAILED, "libarchive: out of memory");
    // No blocking: each header and each run of data reaches the sink during the call that makes it.
    int result = tree ? archive_write_set_format_pax(p->archive) : archive_write_set_format_pax_restricted(p->archive);
    if (result == ARCHIVE_OK && tree)
        result = archive_write_set_options(p->archive, "xattrheader=SCHILY");
    if (result == ARCHIVE_OK)
        result = archive_write_set_bytes_per_block(p->archive, 0);
    if (result == ARCHIVE_OK)
        result = archive_write_set_bytes_in_last_block(p->archive, 1);
    if (result == ARCHIVE_OK)
        result = archive_write_open(p->archive, p, NULL, on_write, NULL);
    int rc = outcome(p, result, "begin a tar stream", err);
    if (rc < 0)
        return rc;
    *ret_pack = TAKE(p);
    return 0;
}

static void describe(struct archive_entry *entry, const char *name, uint64_t size)
{
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_size(entry, (la_int64_t)size);
}

struct header {
    uint8_t *bytes;
    size_t size;
};

static int take_header(void *arg, const void *data, size_t n, struct error *err)
{
    struct header *h = arg;
    // Readers count on plain headers: an extended one would mean that libarchive was given something ustar cannot hold.
    if (h->size + n > PACK_BLOCK)
        return error_set(err, ERROR_FAILED, "a tar header takes more than %u bytes", PACK_BLOCK);
    memcpy(h->bytes + h->size, data, n);
    h->size += n;
    return 0;
}

int pack_member_header(const char *name, uint64_t size, uint8_t ret_header[PACK_BLOCK], struct error *err)
{
    uint8_t bytes[PACK_BLOCK];
    struct header header = { .bytes = bytes };
    _cleanup_pack_ struct pack *p = NULL;
    int rc = open_stream(take_header, &header, false, &p, err);
    if (rc < 0)
        return rc;
    describe(p->entry, name, size);
    rc = outcome(p, archive_write_header(p->archive, p->entry), "write a tar header", err);
    if (rc == 0 && header.size != PACK_BLOCK)
        rc = error_set(err, ERROR_FAILED, "a tar header takes %zu bytes", header.size);
    if (rc == 0)
        memcpy(ret_header, bytes, PACK_BLOCK);
    return rc;
}

int pack_data(struct pack *p, const void *data, size_t n, struct error *err)
{
    int rc = enter(p, err);
    if (rc < 0)
        return rc;
    if (!p->in_member || n > p->left)
        return error_set(err, ERROR_FAILED, "more bytes than the tar member was announced with");
    const uint8_t *at = data;
    while (n > 0) {
        la_ssize_t written = archive_write_data(p->archive, at, n);
        rc = outcome(p, written > 0 ? ARCHIVE_OK : ARCHIVE_FATAL, "write tar data", err);
        if (rc < 0)
            return rc;
        at += written;
        n -= (size_t)written;
        p->left -= (uint64_t)written;
    }
    return 0;
}

int pack_end_member(struct pack *p, struct error *err)
{
    int rc = enter(p, err);
    if (rc < 0)
        return rc;
    if (!p->in_member || p->left > 0)
        return error_set(err, ERROR_FAILED, "fewer bytes than the tar member was announced with");
    p->in_member = false;
    return outcome(p, archive_write_finish_entry(p->archive), "end a tar member", err);
}

int pack_close(struct pack *p, struct error *err)
{
    int rc = enter(p, err);
    if (rc < 0)
        return rc;
    if (p->in_member)
        return error_set(err, ERROR_FAILED, "a tar member is not ended");
    return outcome(p, archive_write_close(p->archive), "end a tar stream", err);
}

// ---- writing a tree ----

int pack_open_tree(pack_sink_fn *sink, void *arg, struct pack **ret_pack, struct error *err)
{
    _cleanup_pack_ struct pack *p = NULL;
    int rc = open_stream(sink, arg, true, &p, err);
    if (rc < 0)
        return rc;
    p->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (p->locale == (locale_t)0)
        return error_set_errno(err, errno, "locale C.UTF-8, which tar's names need");
    *ret_pack = TAKE(p);
    return 0;
}

static unsigned file_type(char type)
{
    switch (type) {
    case 'd':
        return AE_IFDIR;
    case 'l':
        return AE_IFLNK;
    case 'p':
        return AE_IFIFO;
    case 'c':
        return AE_IFCHR;
    case 'b':
        return AE_IFBLK;
    default:
        return AE_IFREG;
    }
}

void pack_describe(struct pack *p, const struct pack_member *m)
{
    struct archive_entry *e = p->entry;
    archive_entry_clear(e);
    archive_entry_copy_pathname(e, m->path);
    archive_entry_set_filetype(e, file_type(m->type));
    archive_entry_set_perm(e, m->mode);
    archive_entry_set_uid(e, m->uid);
    archive_entry_set_gid(e, m->gid);
    if (m->user[0] != '\0')
        archive_entry_copy_uname(e, m->user);
    if (m->group[0] != '\0')
        archive_entry_copy_gname(e, m->group);
    archive_entry_set_mtime(e, m->mtime_s, (long)m->mtime_ns);
    archive_entry_set_size(e, m->type == 'f' ? (la_int64_t)m->size : 0);
    if (m->type == 'l')
        archive_entry_copy_symlink(e, m->target);
    if (m->type == 'h')
        archive_entry_copy_hardlink(e, m->target);
    if (m->type == 'c' || m->type == 'b') {
        archive_entry_set_rdevmajor(e, m->device_major);
        archive_entry_set_rdevminor(e, m->device_minor);
    }
}

void pack_add_xattr(struct pack *p, const char *name, const void *value, size_t n)
{
    archive_entry_xattr_add_entry(p->entry, name, value, n);
}

// Linux: version 2, then entries of tag, permissions (16 bits each) and number (32 bits), all little-endian.
bool pack_add_acl(struct pack *p, const void *acl, size_t n, bool is_default)
{
    static const struct {
        unsigned posix;
        int tag;
    } tags[] = { { 0x01, ARCHIVE_ENTRY_ACL_USER_OBJ }, { 0x02, ARCHIVE_ENTRY_ACL_USER }, { 0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ },
                 { 0x08, ARCHIVE_ENTRY_ACL_GROUP },    { 0x10, ARCHIVE_ENTRY_ACL_MASK }, { 0x20, ARCHIVE_ENTRY_ACL_OTHER } };
    struct cursor c = cursor_of(acl, n);
    uint32_t version, tag_and_bits, id;
    if (!cursor_u32le(&c, &version) || version != 2)
        return false;
    while (cursor_left(&c) > 0) {
        size_t i = 0;
        if (!cursor_u32le(&c, &tag_and_bits) || !cursor_u32le(&c, &id))
            return false;
        while (i < sizeof tags / sizeof *tags && tags[i].posix != (tag_and_bits & 0xffff))
            i++;
        if (i == sizeof tags / sizeof *tags)
            return false;
        bool named = tags[i].tag == ARCHIVE_ENTRY_ACL_USER || tags[i].tag == ARCHIVE_ENTRY_ACL_GROUP;
        (void)archive_entry_acl_add_entry(p->entry, is_default ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
                                          (int)(tag_and_bits >> 16 & 7), tags[i].tag, named ? (int)id : -1, NULL);
    }
    return true;
}

void pack_add_extent(struct pack *p, uint64_t offset, uint64_t length)
{
    archive_entry_sparse_add_entry(p->entry, (la_int64_t)offset, (la_int64_t)length);
}

int pack_begin_described(struct pack *p, struct error *err)
{
    int rc = enter(p, err);
    if (rc < 0)
        return rc;
    if (p->in_member)
        return error_set(err, ERROR_FAILED, "a tar member is not ended");
    locale_t before = uselocale(p->locale);
    int result = archive_write_header(p->archive, p->entry);
    (void)uselocale(before);
    // A name that is no UTF-8 is written as its bytes, which libarchive warns of.
    rc = outcome(p, result == ARCHIVE_WARN ? ARCHIVE_OK : result, "write a tar header", err);
    if (rc < 0)
        return rc;
    p->in_member = true;
    p->left = archive_entry_hardlink(p->entry) != NULL ? 0 : (uint64_t)archive_entry_size(p->entry);
    return 0;
}

void pack_free(struct pack *p)
{
    if (p == NULL)
        return;
    // Freeing an unfinished archive would write its end; the stream shall stay unfinished.
    p->sink_code = ERROR_FAILED;
    if (p->archive != NULL)
        (void)archive_write_free(p->archive);
    if (p->entry != NULL)
        archive_entry_free(p->entry);
    if (p->locale != (locale_t)0)
        freelocale(p->locale);
    free(p);
}

void pack_freep(struct pack **p) { pack_free(*p); }

// ---- reading ----

struct pack_reader {
    struct archive *archive;
    pack_source_fn *source;
    void *arg;
    uint32_t members_left;
    uint64_t size, got; // of the current member
    struct error *err;
    enum error_code source_code;
    const void *memory; // pack_reader_open_memory: what is not given out yet
    size_t memory_left;
};

static la_ssize_t on_read(struct archive *archive, void *arg, const void **ret_data)
{
    struct pack_reader *r = arg;
    size_t n = 0;
    int rc = r->source(r->arg, ret_data, &n, r->err);
    if (rc < 0) {
        r->source_code = (enum error_code)rc;
        archive_set_error(archive, EIO, "the source failed");
        return -1;
    }
    return (la_ssize_t)n;
}

static int read_failed(struct pack_reader *r, struct error *err)
{
    if (r->source_code != ERROR_NONE)
        return r->source_code;
    const char *text = archive_error_string(r->archive);
    return error_set(err, ERROR_FORMAT, "tar stream: %s", text != NULL ? text : "damaged");
}

static int reader_start(struct pack_reader *r, uint32_t max_members, struct error *err)
{
    r->members_left = max_members;
    r->err = err;
    r->archive = archive_read_new();
    if (r->archive == NULL)
        return error_set(err, ERROR_FAILED, "libarchive: out of memory");
    if (archive_read_support_format_tar(r->archive) != ARCHIVE_OK || archive_read_open(r->archive, r, NULL, on_read, NULL) != ARCHIVE_OK)
        return read_failed(r, err);
    return 0;
}

int pack_reader_open(pack_source_fn *source, void *arg, uint32_t max_members, struct pack_reader **ret_reader, struct error *err)
{
    _cleanup_pack_reader_ struct pack_reader *r = xcalloc(1, sizeof(*r));
    r->source = source;
    r->arg = arg;
    int rc = reader_start(r, max_members, err);
    if (rc < 0)
        return rc;
    *ret_reader = TAKE(r);
    return 0;
}

static int from_memory(void *arg, const void **ret_data, size_t *ret_n, struct error *err)
{
    struct pack_reader *r = arg;
    (void)err;
    *ret_data = r->memory;
    *ret_n = r->memory_left;
    r->memory_left = 0;
    return 0;
}

int pack_reader_open_memory(const void *data, size_t n, uint32_t max_members, struct pack_reader **ret_reader, struct error *err)
{
    _cleanup_pack_reader_ struct pack_reader *r = xcalloc(1, sizeof(*r));
    r->source = from_memory;
    r->arg = r;
    r->memory = data;
    r->memory_left = n;
    int rc = reader_start(r, max_members, err);
    if (rc < 0)
        return rc;
    *ret_reader = TAKE(r);
    return 0;
}

int pack_reader_next(struct pack_reader *r, struct pack_entry *ret_entry, bool *ret_more, struct error *err)
{
    r->err = err;
    struct archive_entry *entry;
    int result = archive_read_next_header(r->archive, &entry);
    if (result == ARCHIVE_EOF) {
        *ret_more = false;
        return 0;
    }
    if (result != ARCHIVE_OK)
        return read_failed(r, err);
    const char *name = archive_entry_pathname(entry);
    la_int64_t size = archive_entry_size(entry);
    if (r->members_left == 0)
        return error_set(err, ERROR_FORMAT, "tar stream has more members than it may");
    if (name == NULL || !name_is_valid(name) || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL ||
        archive_entry_sparse_count(entry) > 0 || size < 0 || (uint64_t)size > PACK_MEMBER_MAX)
        return error_set(err, ERROR_FORMAT, "tar stream has a member that no backup wrote");
    r->members_left--;
    r->size = (uint64_t)size;
    r->got = 0;
    struct pack_entry found = { .size = r->size, .data_offset = (uint64_t)archive_filter_bytes(r->archive, 0) };
    memcpy(found.name, name, strlen(name) + 1);
    *ret_entry = found;
    *ret_more = true;
    return 0;
}

int pack_reader_data(struct pack_reader *r, const void **ret_data, size_t *ret_n, struct error *err)
{
    r->err = err;
    const void *data;
    size_t n = 0;
    la_int64_t offset;
    int result = archive_read_data_block(r->archive, &data, &n, &offset);
    if (result == ARCHIVE_EOF) {
        if (r->got != r->size)
            return error_set(err, ERROR_FORMAT, "tar member is cut short");
        *ret_n = 0;
        return 0;
    }
    if (result != ARCHIVE_OK || (uint64_t)offset != r->got || n > r->size - r->got)
        return read_failed(r, err);
    r->got += n;
    *ret_data = data;
    *ret_n = n;
    return 0;
}

void pack_reader_free(struct pack_reader *r)
{
    if (r == NULL)
        return;
    struct error ignored;
    r->err = &ignored;
    if (r->archive != NULL)
        (void)archive_read_free(r->archive); // nothing was written
    free(r);
}

void pack_reader_freep(struct pack_reader **r) { pack_reader_free(*r); }
