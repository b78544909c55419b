#include "restore/survey.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/base/dirchain.h"

enum { SPILL_MEMORY = 4 << 20, GROUP = 16, BLOCK = 4096 };

// Names of one inode stand together: its number first. All as bytes that sort.
struct name_record {
    uint8_t device[8], inode[8];
    uint8_t sequence[8];
    uint8_t links[8];     // names the inode has in all
    uint8_t group[GROUP]; // equal for names that are one file in the snapshot
};

struct link_record {
    uint8_t sequence[8];
    uint8_t links;
};

static int compare_bytes_of(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return memcmp(a, b, a_len < b_len ? a_len : b_len);
}

void survey_init(struct survey *s, const struct io *io, int scratch_dirfd)
{
    *s = (struct survey){
        .io = io,
        .scratch_dirfd = scratch_dirfd,
        .existed = spill_new(io, scratch_dirfd, compare_bytes_of, SPILL_MEMORY),
        .links = spill_new(io, scratch_dirfd, compare_bytes_of, SPILL_MEMORY),
    };
}

void survey_done(struct survey *s)
{
    spill_free(s->existed);
    spill_free(s->links);
    *s = (struct survey){ 0 };
}

int survey_add(struct survey *s, uint64_t sequence, struct error *err)
{
    uint8_t record[8];
    put_u64be(record, sequence);
    return spill_add(s->existed, record, sizeof record, err);
}

// ---- looking

static int add_name(struct spill *names, const struct manifest_entry *e, uint64_t sequence, const struct statx *st, struct error *err)
{
    struct name_record record = { 0 };
    uint8_t sha256[CRYPTO_SHA256_SIZE];
    put_u64be(record.device, makedev(st->stx_dev_major, st->stx_dev_minor));
    put_u64be(record.inode, st->stx_ino);
    put_u64be(record.sequence, sequence);
    put_u64be(record.links, st->stx_nlink);
    if (e->hardlink.len > 0)
        crypto_sha256(e->hardlink.data, e->hardlink.len, sha256);
    else
        crypto_sha256(record.sequence, sizeof record.sequence, sha256);
    memcpy(record.group, sha256, GROUP);
    return spill_add(names, &record, sizeof record, err);
}

static uint64_t blocks(uint64_t size) { return (size + BLOCK - 1) / BLOCK * BLOCK; }

// st NULL: nothing is there. `stays`: what is there is not replaced.
static void add_growth(struct survey *s, const struct manifest_entry *e, const struct statx *st, bool stays)
{
    uint64_t now = st != NULL && S_ISREG(st->stx_mode) ? st->stx_blocks * 512 : 0;
    s->missing += st == NULL;
    if (e->type != MANIFEST_FILE || (st != NULL && stays))
        return;
    s->growth += blocks(e->size) > now ? blocks(e->size) - now : 0;
    if (st != NULL && blocks(e->size) > s->largest)
        s->largest = blocks(e->size);
}

static int look_at(struct survey *s, struct spill *names, struct dirchain *chain, const struct manifest_entry *e, const char *below,
                   uint64_t sequence, bool later, enum survey_names which, struct error *err)
{
    int dirfd;
    const char *name;
    struct statx st;
    struct error ignored; // what cannot be reached does not exist yet, or shows when it is to be written
    bool there = dirchain_parent(chain, below, &dirfd, &name, &ignored) == 0 && io_stat(s->io, dirfd, name, AT_SYMLINK_NOFOLLOW, &st, &ignored) == 0;
    if (!later)
        add_growth(s, e, there ? &st : NULL, which == SURVEY_ALL);
    if (!there)
        return 0;
    if (which == SURVEY_ALL || (which == SURVEY_DIRS && S_ISDIR(st.stx_mode) && e->type == MANIFEST_DIR)) {
        int r = survey_add(s, sequence, err);
        if (r < 0)
            return r;
    }
    if (S_ISDIR(st.stx_mode))
        return 0;
    return st.stx_nlink > 1 ? add_name(names, e, sequence, &st, err) : 0;
}

// ---- who shares what

static int add_links(struct survey *s, const struct name_record *names, size_t n, enum decide_links links, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct link_record record = { .links = (uint8_t)links };
        memcpy(record.sequence, names[i].sequence, sizeof record.sequence);
        r = spill_add(s->links, &record, sizeof record, err);
    }
    return r;
}

static bool is_same_inode(const struct name_record *a, const struct name_record *b)
{
    return memcmp(a->device, b->device, sizeof a->device) == 0 && memcmp(a->inode, b->inode, sizeof a->inode) == 0;
}

static int judge(struct survey *s, const struct name_record *names, size_t n, struct error *err)
{
    bool mixed = false;
    for (size_t i = 1; i < n; i++)
        mixed = mixed || memcmp(names[i].group, names[0].group, GROUP) != 0;
    if (mixed)
        return add_links(s, names, n, DECIDE_LINKS_MIXED, err);
    return get_u64be(names[0].links) > n ? add_links(s, names, n, DECIDE_LINKS_OUTSIDE, err) : 0;
}

// Memory: the names of one inode (a file system allows some 65,000).
static int judge_all(struct survey *s, struct spill *names, struct error *err)
{
    _cleanup_buf_ struct buf group = { 0 };
    const void *record;
    size_t len;
    int r = spill_sort(names, err);
    while (r == 0 && (r = spill_next(names, &record, &len, err)) == 0 && record != NULL) {
        if (group.len > 0 && !is_same_inode((const struct name_record *)group.data, record)) {
            r = judge(s, (const struct name_record *)group.data, group.len / sizeof(struct name_record), err);
            buf_reset(&group);
        }
        buf_add(&group, record, len);
    }
    if (r == 0 && group.len > 0)
        r = judge(s, (const struct name_record *)group.data, group.len / sizeof(struct name_record), err);
    return r;
}

int survey_run(struct survey *s, struct plan *plan, unsigned strip, int target_fd, enum survey_names which, struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { .io = s->io, .root_fd = -1 };
    _cleanup_spill_ struct spill *names = spill_new(s->io, s->scratch_dirfd, compare_bytes_of, SPILL_MEMORY);
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int r = io_open(s->io, target_fd, ".", O_PATH | O_DIRECTORY, 0, &chain.root_fd, err);
    if (r == 0)
        r = plan_rewind(plan, err);
    while (r == 0 && (r = plan_next(plan, &e, &role, &later, err)) == 0 && e != NULL) {
        const char *below = plan_strip(buf_str(&e->path), strip);
        if (below != NULL)
            r = look_at(s, names, &chain, e, below, plan->sequence, later, which, err);
    }
    return r < 0 ? r : judge_all(s, names, err);
}

// ---- reading back

int survey_next(struct survey *s, uint64_t *ret_sequence, struct error *err)
{
    const void *record;
    size_t n;
    int r = spill_next(s->existed, &record, &n, err);
    if (r == 0)
        *ret_sequence = record == NULL ? 0 : get_u64be(record);
    return r;
}

static int next_link(struct survey *s, struct error *err)
{
    const void *bytes;
    size_t n;
    int r = spill_next(s->links, &bytes, &n, err);
    if (r < 0)
        return r;
    s->link = (struct survey_cursor){ 0 };
    if (bytes != NULL) {
        const struct link_record *record = bytes;
        s->link = (struct survey_cursor){ get_u64be(record->sequence), record->links };
    }
    return 0;
}

int survey_rewind(struct survey *s, struct error *err)
{
    int r = spill_sort(s->existed, err);
    if (r == 0)
        r = spill_sort(s->links, err);
    if (r == 0)
        r = survey_next(s, &s->existing.sequence, err);
    return r < 0 ? r : next_link(s, err);
}

int survey_existed(struct survey *s, uint64_t sequence, bool *ret_existed, struct error *err)
{
    int r = 0;
    while (r == 0 && s->existing.sequence > 0 && s->existing.sequence < sequence)
        r = survey_next(s, &s->existing.sequence, err);
    *ret_existed = s->existing.sequence == sequence;
    return r;
}

int survey_links(struct survey *s, uint64_t sequence, enum decide_links *ret_links, struct error *err)
{
    int r = 0;
    while (r == 0 && s->link.sequence > 0 && s->link.sequence < sequence)
        r = next_link(s, err);
    *ret_links = s->link.sequence == sequence ? s->link.links : DECIDE_LINKS_OWN;
    return r;
}
