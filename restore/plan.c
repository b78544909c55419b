#include "restore/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "restore/content.h"
#include "restore/target.h"

enum { SPILL_MEMORY = 4 << 20, BLOCK = 4096, SPARSE_RATIO = 8 };

// Does a directory take scratch files? ret_dirfd is given back when not.
static int try_scratch(const struct io *io, int *ret_dirfd, struct error *err)
{
    int fd = -1;
    int r = plan_scratch_file(io, *ret_dirfd, &fd, err);
    io_close_quietly(io, &fd);
    if (r < 0)
        io_close_quietly(io, ret_dirfd);
    return r;
}

static int open_scratch(const struct io *io, const char *dir, int *ret_dirfd, struct error *err)
{
    int r = io_open(io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, ret_dirfd, err);
    return r < 0 ? r : try_scratch(io, ret_dirfd, err);
}

int plan_open_scratch(const struct io *io, const char *near, int *ret_dirfd, struct error *err)
{
    struct error ignored; // the target may be another's above what is restored, or read-only and only looked at
    const char *tmpdir = getenv("TMPDIR");
    if (tmpdir != NULL && *tmpdir != '\0')
        return open_scratch(io, tmpdir, ret_dirfd, err) < 0 ? error_prefix(err, "TMPDIR '%s' takes no scratch files", tmpdir) : 0;
    if (near != NULL && target_open_nearest(io, near, ret_dirfd, &ignored) == 0 && try_scratch(io, ret_dirfd, &ignored) == 0)
        return 0;
    if (open_scratch(io, "/var/tmp", ret_dirfd, &ignored) == 0 || open_scratch(io, "/tmp", ret_dirfd, err) == 0)
        return 0;
    return error_prefix(err, "neither /var/tmp nor /tmp takes scratch files; TMPDIR=DIR chooses another place");
}

int plan_scratch_file(const struct io *io, int dirfd, int *ret_fd, struct error *err)
{
    if (io_open(io, dirfd, ".", O_TMPFILE | O_RDWR, 0600, ret_fd, err) == 0)
        return 0;
    // File systems without O_TMPFILE.
    uint64_t random;
    io_random(io, &random, sizeof random);
    _cleanup_free_ char *name = xasprintf(".bkd-scratch-%016llx", (unsigned long long)random);
    int r = io_open(io, dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, ret_fd, err);
    if (r < 0)
        return error_prefix(err, "scratch file");
    (void)io->unlinkat(io, dirfd, name, 0); // a leftover without content does no harm
    return 0;
}

const char *plan_strip(const char *path, unsigned strip)
{
    if (*path != '/') // a stream
        return path;
    while (*path == '/')
        path++;
    for (; strip > 0 && *path != '\0'; strip--) {
        path += strcspn(path, "/");
        while (*path == '/')
            path++;
    }
    return *path == '\0' ? NULL : path;
}

// ---- fetching

static bool is_root(const char *path, size_t n) { return n == 1 && path[0] == '/'; }

// The part of the manifest that can hold `path` (and what is below it, when `tree`), by the recipe's path index.
static struct plan_part part_of(const struct plan *p, const char *path, size_t n, bool tree)
{
    const struct recipe *m = &p->snapshot->manifest;
    struct plan_part part = { 0, p->snapshot->head->manifest_size };
    for (size_t i = 0; i < m->n_index; i++) {
        const char *first = m->index[i].path;
        size_t len = strlen(first);
        if (manifest_path_compare(first, len, path, n) <= 0)
            part.start = m->index[i].offset;
        else if (!tree || !(is_root(path, n) || manifest_path_below(first, len, path, n))) {
            part.end = m->index[i].offset;
            break;
        }
    }
    return part;
}

static void add_part(struct plan *p, struct plan_part part)
{
    p->parts = xrealloc(p->parts, (p->n_parts + 1) * sizeof *p->parts);
    p->parts[p->n_parts++] = part;
}

static int compare_parts(const void *a, const void *b)
{
    const struct plan_part *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

// Parts of all bounds of the selection and of their ancestors, ascending, joined where they touch.
static void choose_parts(struct plan *p)
{
    size_t n_bounds;
    const char *const *bounds = selection_bounds(p->selection, &n_bounds);
    for (size_t i = 0; i < n_bounds; i++) {
        const char *path = bounds[i];
        add_part(p, part_of(p, path, strlen(path), true));
        add_part(p, part_of(p, "/", 1, false));
        for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
            add_part(p, part_of(p, path, (size_t)(slash - path), false));
    }
    qsort(p->parts, p->n_parts, sizeof *p->parts, compare_parts);
    size_t n = 0;
    for (size_t i = 0; i < p->n_parts; i++) {
        struct plan_part part = p->parts[i];
        if (n > 0 && part.start <= p->parts[n - 1].end)
            p->parts[n - 1].end = part.end > p->parts[n - 1].end ? part.end : p->parts[n - 1].end;
        else
            p->parts[n++] = part;
    }
    p->n_parts = n;
}

// Whole pieces are read, because only a whole piece can be compared with its SHA-256.
static int fetch_piece(struct plan *p, const struct recipe_piece *piece, uint64_t offset, uint8_t *data, struct error *err)
{
    int r = content_piece(p->snapshot, piece, data, err);
    if (r < 0)
        return error_prefix(err, "manifest at %llu", (unsigned long long)offset);
    return io_pwrite_all(p->io, p->fd, data, piece->length, offset, "scratch file", err);
}

static bool is_needed(const struct plan *p, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].start < end && p->parts[i].end > start)
            return true;
    return false;
}

static int fetch_parts(struct plan *p, struct error *err)
{
    const struct recipe *m = &p->snapshot->manifest;
    void *data = NULL;
    int r = io_alloc(p->io, RECIPE_PIECE_SIZE, "a piece of the manifest", &data, err);
    uint64_t offset = 0;
    for (size_t i = 0; r == 0 && i < m->n_pieces; i++) {
        if (is_needed(p, offset, offset + m->pieces[i].length))
            r = fetch_piece(p, &m->pieces[i], offset, data, err);
        offset += m->pieces[i].length;
    }
    free(data);
    return r;
}

// ---- reading entries

static int next_later(struct plan *p, struct error *err)
{
    const void *record;
    size_t n;
    int r = spill_next(p->later, &record, &n, err);
    if (r < 0)
        return r;
    struct buf first = p->first; // the memory changes places
    p->first = p->next_first;
    p->next_first = first;
    buf_reset(&p->next_first);
    p->next_later = record == NULL ? 0 : get_u64be(record);
    if (record != NULL)
        buf_add(&p->next_first, (const uint8_t *)record + 8, n - 8);
    return 0;
}

int plan_rewind(struct plan *p, struct error *err)
{
    if (p->reading)
        manifest_reader_done(&p->reader);
    p->reading = false;
    p->part = 0;
    p->sequence = 0;
    p->next_later = 0;
    p->held = false;
    p->n_above = p->above_given = 0;
    buf_reset(&p->above_path);
    if (p->selection != NULL)
        selection_rewind(p->selection);
    if (p->later == NULL)
        return 0;
    int r = spill_sort(p->later, err);
    return r < 0 ? r : next_later(p, err);
}

// An entry no manifest may have. It is signed, so a fault in it is a matter of trust: told once, and passed over only for somebody who wants what
// can be had.
static bool pass_over(struct plan *p, struct error *err)
{
    err->code = ERROR_INTEGRITY;
    if (p->refused == NULL || !manifest_reader_skip(&p->reader))
        return false;
    if (p->counting)
        p->refused(p->refused_arg, err);
    p->passed_over += p->counting;
    return true;
}

// The next entry of the parts, selected or not.
static int next_entry(struct plan *p, const struct manifest_entry **ret_entry, struct error *err)
{
    for (;;) {
        if (!p->reading) {
            if (p->part == p->n_parts) {
                *ret_entry = NULL;
                return 0;
            }
            struct plan_part part = p->parts[p->part++];
            manifest_reader_init(&p->reader, p->io, p->fd, "manifest", part.start, part.end);
            p->reading = true;
        }
        int r = manifest_reader_next(&p->reader, ret_entry, err);
        if (r == ERROR_FORMAT && pass_over(p, err))
            continue;
        if (r < 0)
            return err->code;
        if (*ret_entry != NULL) {
            p->counted += p->counting;
            return 0;
        }
        manifest_reader_done(&p->reader);
        p->reading = false;
    }
}

// Every path asked for must be there: saying so before anything is made.
static int check_paths(struct plan *p, struct error *err)
{
    const struct manifest_entry *e = NULL;
    int r = plan_rewind(p, err);
    while (r == 0 && (r = next_entry(p, &e, err)) == 0 && e != NULL)
        (void)selection_ask(p->selection, e); // remembers which paths it met
    const char *missing = r == 0 ? selection_missing(p->selection) : NULL;
    if (missing == NULL)
        return r;
    return error_set(err, ERROR_NOT_FOUND, "'%s' is not in snapshot %llu; `bkd-restore ls` shows what is%s", missing,
                     (unsigned long long)p->snapshot->head->number, strpbrk(missing, "*?[") != NULL ? " (patterns go with --include)" : "");
}

int plan_open(struct plan *p, const struct io *io, struct snapshot *snapshot, int scratch_dirfd, struct selection *selection,
              struct error *err)
{
    *p = (struct plan){
        .io = io,
        .snapshot = snapshot,
        .scratch_dirfd = scratch_dirfd,
        .fd = -1,
        .selection = selection,
        .refused = p->refused,
        .refused_arg = p->refused_arg,
    };
    int r = plan_scratch_file(io, scratch_dirfd, &p->fd, err);
    if (r < 0)
        return r;
    const uint64_t size = snapshot->head->manifest_size;
    if (selection != NULL)
        choose_parts(p);
    else
        add_part(p, (struct plan_part){ 0, size });
    bool whole = p->n_parts == 1 && p->parts[0].start == 0 && p->parts[0].end == size;
    r = whole ? snapshot_fetch_manifest(snapshot, p->fd, "scratch file", err) : fetch_parts(p, err);
    return r < 0 || selection_missing(selection) == NULL ? r : check_paths(p, err);
}

void plan_done(struct plan *p)
{
    if (p->reading)
        manifest_reader_done(&p->reader);
    manifest_entry_done(&p->above_entry);
    buf_done(&p->above_path);
    buf_done(&p->next_first);
    buf_done(&p->first);
    free(p->above);
    io_close_quietly(p->io == NULL ? io_real() : p->io, &p->fd);
    free(p->parts);
    spill_free(p->later);
    spill_free(p->links);
    *p = (struct plan){ .fd = -1 };
}

// ---- reading the selection

// Leaves the directories that do not hold this path.
static void leave_above(struct plan *p, const char *path, size_t n)
{
    while (p->n_above > 0 && !manifest_path_below(path, n, buf_str(&p->above_path), p->above[p->n_above - 1].path_len))
        p->n_above--;
    p->above_path.len = p->n_above == 0 ? 0 : p->above[p->n_above - 1].path_len;
    if (p->above_given > p->n_above)
        p->above_given = p->n_above;
}

// A directory that may turn out to be on the way to something selected: only its place in the manifest is kept.
static void note_above(struct plan *p, const struct manifest_entry *e)
{
    if (p->n_above == p->above_cap) {
        p->above_cap = p->above_cap == 0 ? 32 : 2 * p->above_cap;
        p->above = xrealloc(p->above, p->above_cap * sizeof *p->above);
    }
    p->above[p->n_above++] = (struct plan_above){ p->reader.line_offset, p->reader.line_len, e->path.len };
    buf_reset(&p->above_path);
    buf_add(&p->above_path, e->path.data, e->path.len);
}

static int read_above(struct plan *p, const struct plan_above *above, struct error *err)
{
    _cleanup_buf_ struct buf line = { 0 };
    size_t got = 0;
    int r = io_pread_full(p->io, p->fd, buf_extend(&line, above->line_len), above->line_len, above->offset, "manifest", &got, err);
    if (r == 0 && got < above->line_len)
        r = error_set(err, ERROR_FAILED, "the scratch file of the manifest was cut short");
    return r < 0 ? r : manifest_parse(buf_str(&line), line.len, &p->above_entry, err);
}

// The next entry to give: directories on the way before what is held for them.
static int next_selected(struct plan *p, const struct manifest_entry **ret_entry, enum plan_role *ret_role, struct error *err)
{
    const struct manifest_entry *e = NULL;
    while (!p->held) {
        int r = next_entry(p, &e, err);
        if (r < 0 || e == NULL) {
            *ret_entry = NULL;
            return r;
        }
        enum selection_answer answer = selection_ask(p->selection, e);
        if (answer == SELECTION_OUT)
            continue;
        leave_above(p, buf_str(&e->path), e->path.len);
        if (answer == SELECTION_ABOVE)
            note_above(p, e);
        else
            p->held = true;
    }
    if (p->above_given < p->n_above) {
        int r = read_above(p, &p->above[p->above_given++], err);
        *ret_entry = &p->above_entry;
        *ret_role = PLAN_ANCESTOR;
        return r;
    }
    p->held = false;
    *ret_entry = &p->reader.entry;
    *ret_role = PLAN_SELECTED;
    return 0;
}

int plan_next(struct plan *p, const struct manifest_entry **ret_entry, enum plan_role *ret_role, bool *ret_later, struct error *err)
{
    int r = next_selected(p, ret_entry, ret_role, err);
    if (r < 0 || *ret_entry == NULL)
        return r;
    p->sequence++;
    *ret_later = p->next_later == p->sequence;
    return *ret_later ? next_later(p, err) : 0;
}

const char *plan_first_name(const struct plan *p) { return buf_str(&p->first); }

// ---- counting

static int compare_records(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

static void count_entry(struct plan_totals *t, const struct manifest_entry *e, enum plan_role role)
{
    t->entries++;
    t->selected += role == PLAN_SELECTED;
    t->dirs += e->type == MANIFEST_DIR;
    t->links += e->type == MANIFEST_LINK;
    t->sockets += e->type == MANIFEST_SOCKET;
    t->others += e->type == MANIFEST_FIFO || e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK;
    t->unstable += (e->notes & MANIFEST_UNSTABLE) != 0;
    t->mounts += (e->notes & MANIFEST_MOUNT) != 0;
    t->excluded += (e->notes & MANIFEST_EXCLUDED) != 0;
    t->streams += e->path.data[0] != '/';
    if (e->type != MANIFEST_FILE)
        return;
    t->files++;
    t->bytes += e->size;
    t->largest = e->size > t->largest ? e->size : t->largest;
    t->blocks += (e->size + BLOCK - 1) / BLOCK * BLOCK;
}

// Record: id, NUL, sequence, size, path with its NUL.
static int add_name(struct spill **names, const struct plan *p, const struct manifest_entry *e, struct error *err)
{
    if (*names == NULL)
        *names = spill_new(p->io, p->scratch_dirfd, compare_records, SPILL_MEMORY);
    _cleanup_buf_ struct buf record = { 0 };
    buf_add(&record, e->hardlink.data, e->hardlink.len);
    buf_add_char(&record, '\0');
    put_u64be(buf_extend(&record, 8), p->sequence);
    put_u64be(buf_extend(&record, 8), e->type == MANIFEST_FILE ? e->size : UINT64_MAX);
    buf_add(&record, e->path.data, e->path.len + 1);
    return spill_add(*names, record.data, record.len, err);
}

static int add_link(struct plan *p, const struct buf *first, const uint8_t *further, const char *further_path, struct error *err)
{
    size_t id_len = strlen((const char *)first->data);
    _cleanup_buf_ struct buf record = { 0 };
    buf_add(&record, first->data + id_len + 1, 8);
    buf_add(&record, further, 8);
    buf_add_str(&record, (const char *)first->data + id_len + 17);
    buf_add_char(&record, '\0');
    buf_add(&record, further_path, strlen(further_path) + 1);
    int r = spill_add(p->links, record.data, record.len, err);
    buf_reset(&record);
    buf_add(&record, further, 8);
    buf_add_str(&record, (const char *)first->data + id_len + 17);
    return r < 0 ? r : spill_add(p->later, record.data, record.len, err);
}

// Names sorted by inode: the first of each is restored as a file, the others become links to it.
static int join_names(struct plan *p, struct spill *names, struct error *err)
{
    p->links = spill_new(p->io, p->scratch_dirfd, compare_records, SPILL_MEMORY);
    p->later = spill_new(p->io, p->scratch_dirfd, compare_records, SPILL_MEMORY);
    _cleanup_buf_ struct buf first = { 0 };
    const void *record;
    size_t n;
    int r = spill_sort(names, err);
    while (r == 0 && (r = spill_next(names, &record, &n, err)) == 0 && record != NULL) {
        size_t id_len = strlen(record);
        if (first.len == 0 || strcmp((const char *)first.data, record) != 0) {
            buf_reset(&first);
            buf_add(&first, record, n);
            continue;
        }
        const uint8_t *numbers = (const uint8_t *)record + id_len + 1;
        r = add_link(p, &first, numbers, (const char *)numbers + 16, err);
        uint64_t size = get_u64be(numbers + 8);
        p->totals.names++;
        if (size != UINT64_MAX) {
            p->totals.bytes -= size;
            p->totals.blocks -= (size + BLOCK - 1) / BLOCK * BLOCK;
        }
    }
    if (r == 0)
        r = spill_sort(p->links, err);
    return r;
}

// The head was signed for a manifest of so many entries.
static int compare_count(struct plan *p, struct error *err)
{
    uint64_t signed_for = p->snapshot->head->entries, found = p->counted + p->passed_over;
    bool whole = p->n_parts == 1 && p->parts[0].start == 0 && p->parts[0].end == p->snapshot->head->manifest_size;
    if (!whole || found == signed_for)
        return 0;
    (void)error_set(err, ERROR_INTEGRITY, "its head speaks of %llu entries, its manifest has %llu", (unsigned long long)signed_for,
                    (unsigned long long)found);
    if (p->refused == NULL)
        return err->code;
    p->refused(p->refused_arg, err);
    return 0;
}

int plan_count(struct plan *p, struct error *err)
{
    _cleanup_spill_ struct spill *names = NULL;
    _cleanup_crypto_sha256_ struct crypto_sha256 paths;
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    p->totals = (struct plan_totals){ 0 };
    p->counted = p->passed_over = 0;
    p->counting = true;
    crypto_sha256_init(&paths);
    int r = plan_rewind(p, err);
    while (r == 0 && (r = plan_next(p, &e, &role, &later, err)) == 0 && e != NULL) {
        count_entry(&p->totals, e, role);
        crypto_sha256_update(&paths, e->path.data, e->path.len + 1);
        if (e->hardlink.len > 0 && e->type != MANIFEST_DIR)
            r = add_name(&names, p, e, err);
    }
    p->counting = false;
    crypto_sha256_final(&paths, p->totals.fingerprint);
    if (r == 0)
        r = compare_count(p, err);
    return r < 0 || names == NULL ? r : join_names(p, names, err);
}

int plan_links_rewind(struct plan *p, struct error *err) { return p->links == NULL ? 0 : spill_sort(p->links, err); }

int plan_links_next(struct plan *p, struct plan_link *ret_link, bool *ret_more, struct error *err)
{
    *ret_more = false;
    if (p->links == NULL)
        return 0;
    const void *record;
    size_t n;
    int r = spill_next(p->links, &record, &n, err);
    if (r < 0 || record == NULL)
        return r;
    const char *first = (const char *)record + 16;
    *ret_link = (struct plan_link){ .first_sequence = get_u64be(record), .first = first, .further = first + strlen(first) + 1 };
    *ret_more = true;
    return 0;
}

static uint64_t data_bytes(const struct recipe *recipe)
{
    uint64_t n = 0;
    for (size_t i = 0; i < recipe->n_extents; i++)
        n += recipe->extents[i].length;
    return recipe->n_extents > 0 ? n : recipe->size;
}

uint64_t plan_data_blocks(struct plan *p, const struct manifest_entry *e)
{
    _cleanup_recipe_ struct recipe recipe = { 0 };
    struct error ignored; // a damaged recipe is reported when its file is restored
    uint64_t size = e->size;
    bool sparse = place_is_set(&e->version) && (e->notes & MANIFEST_PREALLOCATED) == 0;
    if (sparse && snapshot_read_recipe(p->snapshot, &e->version, &recipe, &ignored) == 0)
        size = data_bytes(&recipe);
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

bool plan_is_sparse(const struct plan *p)
{
    const struct format_refs *refs = &p->snapshot->refs;
    uint64_t stored = 0;
    for (size_t i = 0; i < refs->n; i++)
        stored += refs->refs[i].stored_size;
    return p->totals.bytes / SPARSE_RATIO > stored;
}

int plan_count_data(struct plan *p, uint64_t *ret_bytes, struct error *err)
{
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    uint64_t bytes = 0;
    int r = plan_rewind(p, err);
    while (r == 0 && (r = plan_next(p, &e, &role, &later, err)) == 0 && e != NULL)
        if (e->type == MANIFEST_FILE && !later)
            bytes += plan_data_blocks(p, e);
    if (r == 0)
        *ret_bytes = bytes;
    return r;
}
