#include "restore/mirror.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkd/base/dirchain.h"
#include "bkd/base/fs.h"
#include "restore/marker.h"

enum { SPILL_MEMORY = 4 << 20 };

// What a name is: entries of the snapshot come before what is found in the target.
enum { IN_SNAPSHOT, IN_TARGET };

// Followed by the path below the target and the path in the snapshot, each with its NUL. Unlinked scratch files of this process only.
struct name_record {
    uint32_t below_len;
    uint8_t where, is_dir;
};

static const char *below_of(const void *record) { return (const char *)record + sizeof(struct name_record); }

static int compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct name_record x, y;
    (void)a_len, (void)b_len;
    memcpy(&x, a, sizeof x); // records in memory are not aligned
    memcpy(&y, b, sizeof y);
    int c = manifest_path_compare(below_of(a), x.below_len, below_of(b), y.below_len);
    return c != 0 ? c : x.where - y.where;
}

static int add_record(struct spill *names, uint8_t where, bool is_dir, const char *below, const char *path, struct error *err)
{
    _cleanup_buf_ struct buf bytes = { 0 };
    struct name_record record = { .below_len = (uint32_t)strlen(below), .where = where, .is_dir = is_dir };
    buf_add(&bytes, &record, sizeof record);
    buf_add(&bytes, below, record.below_len + 1);
    buf_add(&bytes, path, strlen(path) + 1);
    return spill_add(names, bytes.data, bytes.len, err);
}

void mirror_init(struct mirror *m) { m->extras = spill_new(m->io, m->scratch_dirfd, compare_names, SPILL_MEMORY); }

void mirror_done(struct mirror *m)
{
    spill_free(m->extras);
    free(m->first);
    *m = (struct mirror){ 0 };
}

// ---- what the target's directories hold

struct listing {
    struct mirror *m;
    struct spill *names;
    const char *below, *path; // of the directory
};

static int see_name(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct listing *l = arg;
    bool top = *l->below == '\0';
    if (top && strncmp(name, MARKER_PREFIX, sizeof MARKER_PREFIX - 1) == 0)
        return 0;
    _cleanup_free_ char *below = xasprintf("%s%s%s", l->below, top ? "" : "/", name);
    _cleanup_free_ char *path = xasprintf("%s%s%s", l->path, strcmp(l->path, "/") == 0 ? "" : "/", name);
    return add_record(l->names, IN_TARGET, type == DT_DIR, below, path, err);
}

// A mount inside what is mirrored is another's; the selected directory itself may be one.
static bool is_mounted(const struct statx *st) { return (st->stx_attributes & st->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0; }

static int list_dir(struct mirror *m, struct spill *names, struct dirchain *chain, const struct manifest_entry *e, const char *below, bool inner,
                    bool *ret_entered, struct error *err)
{
    struct listing listing = { m, names, below, buf_str(&e->path) };
    struct statx st;
    struct error ignored; // what is not there or cannot be listed holds nothing to remove
    int dirfd, fd = -1;
    const char *name;
    *ret_entered = false;
    if (dirchain_parent(chain, below, &dirfd, &name, &ignored) < 0 ||
        io_open(m->io, dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, &ignored) < 0)
        return 0;
    int r = io_stat(m->io, fd, "", AT_EMPTY_PATH, &st, err);
    if (r == 0 && !(inner && is_mounted(&st))) {
        *ret_entered = true;
        r = fs_list_dir(m->io, fd, ".", see_name, &listing, err);
    }
    io_close_quietly(m->io, &fd);
    return r;
}

// A directory that gives way to something else is removed when that takes its name; here it is only counted.
static void count_in_the_way(struct mirror *m, struct dirchain *chain, const char *below)
{
    struct statx st;
    struct error ignored; // what is not there is not in the way
    int dirfd;
    const char *name;
    if (dirchain_parent(chain, below, &dirfd, &name, &ignored) < 0 ||
        io_stat(m->io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0 || !S_ISDIR(st.stx_mode))
        return;
    struct prune prune = { .io = m->io, .spared = &m->spared, .n_spared = 1, .count_only = true };
    bool goes = prune_name(&prune, dirfd, name); // counts
    m->count += goes ? prune.removed : 0;
    if (m->first == NULL && goes)
        m->first = xstrdup(below);
    prune_done(&prune);
}

static bool was_listed_whole(const struct manifest_entry *e, enum plan_role role)
{
    return e->type == MANIFEST_DIR && role == PLAN_SELECTED && e->source != MANIFEST_NO_SOURCE &&
           (e->notes & (MANIFEST_MOUNT | MANIFEST_EXCLUDED)) == 0;
}

static int collect(struct mirror *m, struct spill *names, struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { .io = m->io, .root_fd = -1 };
    _cleanup_buf_ struct buf above = { 0 }; // the outermost directory being mirrored
    _cleanup_buf_ struct buf foreign = { 0 }; // a mount in it
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int r = io_open(m->io, m->target_fd, ".", O_PATH | O_DIRECTORY, 0, &chain.root_fd, err);
    if (r == 0)
        r = plan_rewind(m->plan, err);
    while (r == 0 && (r = plan_next(m->plan, &e, &role, &later, err)) == 0 && e != NULL) {
        const char *path = buf_str(&e->path), *below = plan_strip(path, m->strip);
        below = below == NULL ? "" : below;
        if (*below != '\0')
            r = add_record(names, IN_SNAPSHOT, e->type == MANIFEST_DIR, below, path, err);
        if (*below != '\0' && e->type != MANIFEST_DIR && m->replaces)
            count_in_the_way(m, &chain, below);
        bool inner = above.len > 0 && manifest_path_below(path, e->path.len, buf_str(&above), above.len);
        bool away = foreign.len > 0 && manifest_path_below(path, e->path.len, buf_str(&foreign), foreign.len);
        if (r < 0 || away || !was_listed_whole(e, role))
            continue;
        bool entered;
        r = list_dir(m, names, &chain, e, below, inner, &entered, err);
        struct buf *which = !inner ? &above : !entered ? &foreign : NULL;
        if (which != NULL) {
            buf_reset(which);
            buf_add(which, e->path.data, e->path.len);
        }
    }
    return r;
}

// ---- what goes

static bool is_left_out(struct mirror *m, const char *path, bool is_dir)
{
    struct manifest_entry e = { .type = is_dir ? MANIFEST_DIR : MANIFEST_FILE };
    buf_add_str(&e.path, path);
    bool out = m->selection != NULL && selection_ask(m->selection, &e) != SELECTION_IN;
    buf_done(&e.path);
    return out;
}

static bool stays(void *arg, const char *path, bool is_dir) { return is_left_out(arg, path, is_dir); }

static struct prune prune_for(struct mirror *m, bool count_only, const char *path)
{
    struct prune prune = { .io = m->io, .spared = &m->spared, .n_spared = 1, .count_only = count_only, .stays = stays, .arg = m };
    buf_add_str(&prune.path, path);
    return prune;
}

static int take_extra(struct mirror *m, struct dirchain *chain, const char *below, const char *path, bool is_dir, struct error *err)
{
    int dirfd;
    const char *name;
    int r = dirchain_parent(chain, below, &dirfd, &name, err);
    if (r < 0)
        return r;
    struct prune prune = prune_for(m, true, path);
    (void)prune_name(&prune, dirfd, name); // counts
    m->count += prune.removed;
    bool goes = prune.removed + prune.kept > 0;
    prune_done(&prune);
    if (!goes)
        return 0;
    if (m->first == NULL)
        m->first = xstrdup(below);
    return add_record(m->extras, IN_TARGET, is_dir, below, path, err);
}

static int sift(struct mirror *m, struct spill *names, struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { .io = m->io, .root_fd = -1 };
    _cleanup_buf_ struct buf known = { 0 };
    const void *bytes;
    size_t n;
    int r = io_open(m->io, m->target_fd, ".", O_PATH | O_DIRECTORY, 0, &chain.root_fd, err);
    if (r == 0)
        r = spill_sort(names, err);
    if (m->selection != NULL)
        selection_rewind(m->selection);
    while (r == 0 && (r = spill_next(names, &bytes, &n, err)) == 0 && bytes != NULL) {
        struct name_record record;
        memcpy(&record, bytes, sizeof record);
        const char *below = below_of(bytes), *path = below + record.below_len + 1;
        if (record.where == IN_SNAPSHOT) {
            buf_reset(&known);
            buf_add(&known, below, record.below_len);
            (void)is_left_out(m, path, record.is_dir); // patterns go by what is above
        } else if (known.len != record.below_len || memcmp(known.data, below, known.len) != 0) {
            r = take_extra(m, &chain, below, path, record.is_dir, err);
        }
    }
    return r;
}

int mirror_survey(struct mirror *m, struct error *err)
{
    _cleanup_spill_ struct spill *names = spill_new(m->io, m->scratch_dirfd, compare_names, SPILL_MEMORY);
    int r = collect(m, names, err);
    return r < 0 ? r : sift(m, names, err);
}

// ---- removing

int mirror_list(struct mirror *m, void (*visit)(void *arg, const char *below), void *arg, struct error *err)
{
    const void *bytes;
    size_t n;
    int r = spill_sort(m->extras, err);
    while (r == 0 && (r = spill_next(m->extras, &bytes, &n, err)) == 0 && bytes != NULL)
        visit(arg, below_of(bytes));
    return r;
}

// Patterns go by what is above: they hear of the directories on the way.
static void ask_above(struct mirror *m, const char *path)
{
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *dir = xstrndup(path, (size_t)(slash - path));
        (void)is_left_out(m, dir, true);
    }
}

static void remove_extra(struct mirror *m, struct dirchain *chain, const char *below, const char *path, struct report *report)
{
    int dirfd;
    const char *name;
    struct error why;
    if (dirchain_parent(chain, below, &dirfd, &name, &why) < 0) {
        report_problem(report, REPORT_FAILED, path, why.text);
        return;
    }
    ask_above(m, path);
    struct prune prune = prune_for(m, false, path);
    (void)prune_name(&prune, dirfd, name); // what stays is told
    report->deleted += prune.removed;
    if (prune.kept > 0) {
        _cleanup_free_ char *text = xasprintf("it is not in the snapshot but could not be deleted: %s", buf_str(&prune.why));
        report_problem(report, REPORT_FAILED, path, text);
    }
    prune_done(&prune);
}

int mirror_run(struct mirror *m, struct report *report, struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { .io = m->io, .root_fd = -1 };
    const void *bytes;
    size_t n;
    int r = io_open(m->io, m->target_fd, ".", O_PATH | O_DIRECTORY, 0, &chain.root_fd, err);
    if (r == 0)
        r = spill_sort(m->extras, err);
    if (m->selection != NULL)
        selection_rewind(m->selection);
    while (r == 0 && (r = spill_next(m->extras, &bytes, &n, err)) == 0 && bytes != NULL) {
        const char *below = below_of(bytes);
        remove_extra(m, &chain, below, below + strlen(below) + 1, report);
    }
    return r;
}
