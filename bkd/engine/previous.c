#include "bkd/engine/previous.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"

enum { STAT_CHUNK = PREVIOUS_STAT_SIZE * 4096 };

void previous_put_stat(uint8_t record[PREVIOUS_STAT_SIZE], const struct scan_stat *stat, bool racy)
{
    put_u64le(record, stat->inode);
    put_u64le(record + 8, (uint64_t)stat->ctime_s);
    put_u32le(record + 16, stat->ctime_ns);
    record[20] = (uint8_t)((racy ? PREVIOUS_RACY : 0) | (unsigned)stat->texture << PREVIOUS_TEXTURE_SHIFT);
}

void previous_get_stat(const uint8_t record[PREVIOUS_STAT_SIZE], struct scan_stat *ret_stat, bool *ret_racy)
{
    unsigned texture = record[20] >> PREVIOUS_TEXTURE_SHIFT & PREVIOUS_TEXTURE_MASK;
    *ret_stat = (struct scan_stat){ .inode = get_u64le(record), .ctime_s = (int64_t)get_u64le(record + 8), .ctime_ns = get_u32le(record + 16),
                                    .texture = texture > TEXTURE_DENSE ? TEXTURE_UNKNOWN : (enum texture)texture };
    *ret_racy = (record[20] & PREVIOUS_RACY) != 0;
}

void previous_record(struct buf *out, const char *path, size_t path_len, const struct scan_stat *stat, bool racy, const char *line, size_t line_len)
{
    put_u32le(buf_extend(out, 4), (uint32_t)path_len);
    buf_add(out, path, path_len);
    previous_put_stat(buf_extend(out, PREVIOUS_STAT_SIZE), stat, racy);
    buf_add(out, line, line_len);
}

int previous_compare_records(const void *a, size_t a_len, const void *b, size_t b_len)
{
    (void)a_len;
    (void)b_len;
    const uint8_t *pa = a, *pb = b;
    return manifest_path_compare(pa + 4, get_u32le(pa), pb + 4, get_u32le(pb));
}

void previous_names(const uint8_t manifest_sha256[32], char ret_manifest[PREVIOUS_NAME_SIZE], char ret_stat[PREVIOUS_NAME_SIZE])
{
    char hex[17];
    format_hex(hex, manifest_sha256, 8);
    (void)snprintf(ret_manifest, PREVIOUS_NAME_SIZE, "manifest-%s", hex);
    (void)snprintf(ret_stat, PREVIOUS_NAME_SIZE, "stat-%s", hex);
}

static bool is_cache_miss(int r) { return r == ERROR_NOT_FOUND || r == ERROR_INTEGRITY; }

int previous_open(struct previous *p, const struct io *io, int dirfd, const uint8_t key[SEALED_KEY_SIZE], const uint8_t *manifest_sha256,
                  struct spill *overlay, struct error *err)
{
    *p = (struct previous){ .io = io, .manifest_fd = -1, .stat_fd = -1, .overlay = overlay };
    if (manifest_sha256 == NULL)
        return 0;
    char manifest[PREVIOUS_NAME_SIZE], stat[PREVIOUS_NAME_SIZE];
    uint8_t sha256[32];
    uint64_t size = 0;
    previous_names(manifest_sha256, manifest, stat);
    int r = sealed_open_as(io, dirfd, "manifest", manifest, key, &p->manifest_fd, &size, sha256, err);
    if (r == 0 && memcmp(sha256, manifest_sha256, sizeof sha256) != 0)
        r = ERROR_INTEGRITY;
    if (is_cache_miss(r)) {
        io_close_quietly(io, &p->manifest_fd);
        return 0;
    }
    if (r < 0)
        return r;
    p->has_manifest = true;
    manifest_reader_init(&p->manifest, io, p->manifest_fd, "local manifest", 0, size);
    r = sealed_open_as(io, dirfd, "stat", stat, key, &p->stat_fd, &p->stat_end, NULL, err);
    return is_cache_miss(r) ? 0 : r; // then every file is read, and found to be stored already
}

void previous_done(struct previous *p)
{
    if (p->io == NULL)
        return;
    if (p->has_manifest)
        manifest_reader_done(&p->manifest);
    io_close_quietly(p->io, &p->manifest_fd);
    io_close_quietly(p->io, &p->stat_fd);
    buf_done(&p->stats);
    buf_done(&p->overlay_line);
    buf_done(&p->overlay_path);
    manifest_entry_done(&p->overlaid);
    p->io = NULL;
}

static int next_stat(struct previous *p, struct scan_stat *ret_stat, bool *ret_racy, struct error *err)
{
    if (p->stats_at == p->stats.len) {
        uint64_t left = p->stat_end - p->stat_at;
        size_t want = left < STAT_CHUNK ? (size_t)left : STAT_CHUNK, got = 0;
        buf_reset(&p->stats);
        p->stats_at = 0;
        if (p->stat_fd < 0 || want < PREVIOUS_STAT_SIZE) {
            *ret_stat = (struct scan_stat){ 0 }; // matches no inode
            *ret_racy = true;
            return 0;
        }
        int r = io_pread_full(p->io, p->stat_fd, buf_extend(&p->stats, want), want, p->stat_at, "local stat file", &got, err);
        if (r < 0)
            return r;
        if (got != want)
            return error_set(err, ERROR_INTEGRITY, "the local stat file was cut short");
        p->stat_at += want;
    }
    previous_get_stat(p->stats.data + p->stats_at, ret_stat, ret_racy);
    p->stats_at += PREVIOUS_STAT_SIZE;
    return 0;
}

static int load_base(struct previous *p, struct error *err)
{
    p->base = NULL;
    if (p->has_manifest) {
        int r = manifest_reader_next(&p->manifest, &p->base, err);
        if (r < 0)
            return r;
    }
    p->base_ready = true;
    if (p->base == NULL)
        return 0;
    p->base_entry = (struct previous_entry){ .entry = p->base, .line = p->manifest.line, .line_len = p->manifest.line_len };
    return next_stat(p, &p->base_entry.stat, &p->base_entry.racy, err);
}

// Several cut-off runs may have journaled one path: the first record stands, the others are passed over (should it be outdated, the file is
// read once more).
static int load_overlay(struct previous *p, struct error *err)
{
    const void *record = NULL;
    size_t len;
    int r = 0;
    do
        r = p->overlay == NULL ? 0 : spill_next(p->overlay, &record, &len, err);
    while (r == 0 && record != NULL && get_u32le(record) == p->overlay_path.len &&
           memcmp((const uint8_t *)record + 4, p->overlay_path.data, p->overlay_path.len) == 0);
    if (r < 0)
        return r;
    p->overlay_ready = true;
    p->overlay_ended = record == NULL;
    if (record == NULL)
        return 0;
    const uint8_t *at = record;
    size_t path_len = get_u32le(at);
    buf_reset(&p->overlay_path);
    buf_add(&p->overlay_path, at + 4, path_len);
    previous_get_stat(at + 4 + path_len, &p->overlay_stat, &p->overlay_racy);
    buf_reset(&p->overlay_line);
    size_t head = 4 + path_len + PREVIOUS_STAT_SIZE;
    buf_add(&p->overlay_line, at + head, len - head);
    return manifest_parse(buf_str(&p->overlay_line), p->overlay_line.len, &p->overlaid, err);
}

int previous_next(struct previous *p, bool *ret_more, struct previous_entry *ret_entry, struct error *err)
{
    int r = 0;
    if (!p->base_ready)
        r = load_base(p, err);
    if (r == 0 && !p->overlay_ready)
        r = load_overlay(p, err);
    if (r < 0)
        return r;
    *ret_more = p->base != NULL || !p->overlay_ended;
    if (!*ret_more)
        return 0;
    int c = p->base == NULL ? 1 : p->overlay_ended ? -1 : manifest_path_compare(p->base->path.data, p->base->path.len, p->overlay_path.data, p->overlay_path.len);
    if (c <= 0)
        p->base_ready = false;
    if (c >= 0)
        p->overlay_ready = false;
    if (c < 0)
        *ret_entry = p->base_entry;
    else
        *ret_entry = (struct previous_entry){ .entry = &p->overlaid, .line = buf_str(&p->overlay_line), .line_len = p->overlay_line.len,
                                              .stat = p->overlay_stat, .racy = p->overlay_racy };
    return 0;
}
