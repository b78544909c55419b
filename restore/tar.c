#include "restore/tar.h"

#include <stdio.h>
#include <string.h>

#include "restore/attrs.h"

enum { JOINED = 1 << 20 };

static int flush(struct tar *t, struct error *err)
{
    int r = t->waiting.len == 0 ? 0 : io_write_all(t->io, t->fd, t->waiting.data, t->waiting.len, "standard output", err);
    buf_reset(&t->waiting);
    return r;
}

static int take_bytes(void *arg, const void *data, size_t n, struct error *err)
{
    struct tar *t = arg;
    if (t->waiting.len + n <= JOINED) {
        buf_add(&t->waiting, data, n);
        return 0;
    }
    int r = flush(t, err);
    return r < 0 ? r : io_write_all(t->io, t->fd, data, n, "standard output", err);
}

int tar_open(struct tar *t, const struct io *io, int fd, struct error *err)
{
    *t = (struct tar){ .io = io, .fd = fd };
    return pack_open_tree(take_bytes, t, &t->pack, err);
}

// Relative to where it will be extracted; "." stands for the root.
static const char *name_of(const char *path)
{
    const char *name = path + (*path == '/');
    return *name == '\0' ? "." : name;
}

// ACLs have a place of their own in tar; other system.* attributes are the kernel's business.
static void add_attributes(struct tar *t, const char *text, size_t n)
{
    _cleanup_buf_ struct buf name = { 0 };
    _cleanup_buf_ struct buf value = { 0 };
    size_t at = 0;
    while (attrs_xattr_next(text, n, &at, &name, &value) > 0) {
        bool access = strcmp(buf_str(&name), "system.posix_acl_access") == 0, standard = strcmp(buf_str(&name), "system.posix_acl_default") == 0;
        if (!((access || standard) && pack_add_acl(t->pack, value.data, value.len, standard)))
            pack_add_xattr(t->pack, buf_str(&name), value.data == NULL ? (const uint8_t *)"" : value.data, value.len);
    }
}

static void add_extents(struct tar *t, const struct recipe *recipe)
{
    for (size_t i = 0; i < recipe->n_extents; i++)
        pack_add_extent(t->pack, recipe->extents[i].offset, recipe->extents[i].length);
}

static int begin(void *arg, const struct stream_member *m, struct error *err)
{
    struct tar *t = arg;
    const struct manifest_entry *e = m->entry;
    t->skipping = e->type == MANIFEST_SOCKET;
    t->sockets += t->skipping;
    if (t->skipping)
        return 0;
    struct pack_member member = {
        .path = name_of(buf_str(&e->path)),
        .type = m->first != NULL ? 'h' : (char)e->type,
        .target = m->first != NULL ? name_of(m->first) : buf_str(&e->target),
        .mode = e->mode,
        .uid = e->uid,
        .gid = e->gid,
        .user = buf_str(&e->user),
        .group = buf_str(&e->group),
        .mtime_s = e->mtime_s,
        .mtime_ns = e->mtime_ns,
        .size = e->size,
        .device_major = e->device_major,
        .device_minor = e->device_minor,
    };
    pack_describe(t->pack, &member);
    if (m->first == NULL)
        add_attributes(t, m->xattr_text, m->xattr_n);
    if (m->recipe != NULL)
        add_extents(t, m->recipe);
    t->inside = true;
    int r = pack_begin_described(t->pack, err);
    return r < 0 ? error_prefix(err, "'%s'", buf_str(&e->path)) : 0;
}

static int data(void *arg, const void *bytes, size_t n, struct error *err) { return pack_data(((struct tar *)arg)->pack, bytes, n, err); }

static int end(void *arg, struct error *err)
{
    struct tar *t = arg;
    int r = t->skipping ? 0 : pack_end_member(t->pack, err);
    t->inside = t->inside && r < 0;
    return r;
}

struct stream_sink tar_sink(struct tar *t) { return (struct stream_sink){ .begin = begin, .data = data, .end = end, .arg = t }; }

int tar_close(struct tar *t, struct error *err)
{
    int r = pack_close(t->pack, err);
    if (r == 0)
        r = flush(t, err);
    if (r < 0)
        return r;
    pack_free(TAKE(t->pack));
    return 0;
}

// The header of a pax record of 512 bytes that does not follow.
static void add_torn_header(struct buf *out)
{
    char header[512] = "broken-off-by-bkd-restore";
    unsigned sum = 0;
    memcpy(header + 100, "0000600", 8);                    // mode
    memcpy(header + 108, "0000000\0000000000", 16);       // owner and group
    memcpy(header + 124, "00000001000\00000000000000", 24); // size, time
    memcpy(header + 148, "        x", 9);                  // sum, counted as spaces, and type
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof header; i++)
        sum += (unsigned char)header[i];
    (void)snprintf(header + 148, 8, "%06o", sum);
    buf_add(out, header, sizeof header);
}

// A tar that ends inside a member is seen to be cut off. One that ends between two looks whole to most readers, so something is begun.
static void tear(struct tar *t)
{
    struct error ignored; // the failure that led here is the one to tell
    if (!t->inside)
        add_torn_header(&t->waiting);
    (void)!flush(t, &ignored);
}

void tar_done(struct tar *t)
{
    if (t->pack != NULL)
        tear(t);
    pack_free(t->pack);
    buf_done(&t->waiting);
    *t = (struct tar){ .fd = -1 };
}
