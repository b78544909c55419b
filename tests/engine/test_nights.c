// Many nights with a clock of their own: backup, then retention, on a tree of which 2 % change every day, and on an image with scattered changes. Counted by
// the test itself: the bytes of the objects there are, and the distinct 4 KiB blocks of the files of the snapshots that are kept. BKD_NIGHTS_ALL: 200 nights, with
// the rules of the defaults; otherwise fewer nights of a smaller source.
#include <sys/stat.h>
#include <time.h>

#include "bkd/base/crypto.h"
#include "bkd/codec/sshkey.h"
#include "bkd/engine/prune.h"
#include "bkd/engine/simulate.h"
#include "bkd/repo/recover_text.h"
#include "tests/engine/lab.h"

enum { FILES_MAX = 1200, NIGHTS_MAX = 200, BLOCK = 4096 };

// One content a file had: hashes of its blocks.
struct content {
    uint64_t seed;
    size_t size, n;
    uint64_t *blocks;
};

struct history {
    struct lab *lab;
    struct io io;
    time_t now; // by the clock that the programs see
    struct keep_rules rules;
    struct sshkey key;
    unsigned files, nights;
    uint64_t random;
    struct content *contents;
    size_t n_contents, cap;
    uint32_t held[NIGHTS_MAX][FILES_MAX]; // by night and file: which content
    uint32_t current[FILES_MAX];
    bool kept[NIGHTS_MAX];
    uint64_t renewed;
};

static int fake_clock(const struct io *io, clockid_t clock, struct timespec *ret_now)
{
    const struct history *h = io->state;
    int rc = io_real()->clock(io_real(), clock, ret_now);
    if (clock == CLOCK_REALTIME)
        *ret_now = (struct timespec){ .tv_sec = h->now };
    return rc;
}

static int setup(void **state)
{
    struct history *h = xcalloc(1, sizeof *h);
    struct error err;
    h->lab = xcalloc(1, sizeof *h->lab);
    lab_init(h->lab, false, 1 << 20);
    h->lab->options.delta_max_chain = 20;
    h->lab->options.delta_max_share_percent = 100;
    h->lab->options.renewal_min_live_percent = 30;
    h->lab->options.renewal_budget_percent = 2;
    h->now = time(NULL) + 86400;
    h->random = 1;
    h->io = *io_real();
    h->io.clock = fake_clock;
    h->io.state = h;
    h->lab->io = &h->io;
    scratch_ok(sshkey_parse(h->lab->key.data, h->lab->key.len, &h->key, &err), &err);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct history *h = *state;
    for (size_t i = 0; i < h->n_contents; i++)
        free(h->contents[i].blocks);
    free(h->contents);
    sshkey_done(&h->key);
    lab_done(h->lab);
    free(h->lab);
    free(h);
    return 0;
}

// ---- the source

// Hashes the file as it stands on disk.
static void note_content(struct history *h, unsigned file, const char *name, uint64_t seed)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", h->lab->source, name);
    uint8_t block[BLOCK], sha256[32];
    size_t got;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    if (h->n_contents == h->cap) {
        h->cap = h->cap == 0 ? 1024 : 2 * h->cap;
        h->contents = xrealloc(h->contents, h->cap * sizeof *h->contents);
    }
    struct content *c = &h->contents[h->n_contents];
    *c = (struct content){ .seed = seed, .blocks = xcalloc((64 << 20) / BLOCK, sizeof *c->blocks) };
    while ((got = fread(block, 1, sizeof block, f)) > 0) {
        crypto_sha256(block, got, sha256);
        memcpy(&c->blocks[c->n++], sha256, 8);
        c->size += got;
    }
    assert_int_equal(fclose(f), 0);
    c->blocks = xrealloc(c->blocks, (c->n + 1) * sizeof *c->blocks);
    h->current[file] = (uint32_t)h->n_contents++;
}

static void file_name(char name[16], unsigned file) { (void)snprintf(name, 16, "d%u/f%04u", file % 10, file); }

static void write_file(struct history *h, unsigned file)
{
    char name[16];
    uint64_t seed = h->n_contents + 1;
    file_name(name, file);
    lab_noise(h->lab, name, seed, 2000 + seed * 7919 % 30000);
    note_content(h, file, name, seed);
}

static void make_tree(struct history *h, unsigned files)
{
    h->files = files;
    lab_sh(h->lab, "for i in 0 1 2 3 4 5 6 7 8 9; do mkdir $SRC/d$i; done");
    for (unsigned i = 0; i < files; i++)
        write_file(h, i);
}

static double chance(struct history *h)
{
    h->random = h->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (double)(h->random >> 11) / 9007199254740992.0;
}

// ---- a night

static void back_up(struct history *h, unsigned night)
{
    struct error err;
    struct backup_result result = { 0 };
    scratch_ok(lab_try(h->lab, &result, &err), &err);
    assert_int_equal(result.snapshot, night + 1);
    assert_true(result.complete);
    assert_int_equal(result.differing_files, 0);
    memcpy(h->held[night], h->current, sizeof h->current);
    h->nights = night + 1;
    h->renewed += result.renewed_bytes;
}

static void take_plan(struct history *h, const struct prune_plan *plan)
{
    memset(h->kept, 0, sizeof h->kept);
    for (size_t i = 0; i < plan->n; i++)
        h->kept[plan->items[i].head->number - 1] = !plan->items[i].gone;
}

// Both phases, without a time of grace: what is given up is due at once.
static void prune(struct history *h)
{
    struct error err;
    struct store *store = NULL;
    for (int phase = 0; phase < 3; phase++) {
        _cleanup_repository_ struct repository *repository = NULL;
        _cleanup_prune_plan_ struct prune_plan plan = { 0 };
        struct prune_removed removed = { 0 };
        struct prune_giving giving = { .key = &h->key, .by = "test", .reason = "-" };
        scratch_ok(store_open(&h->io, h->lab->repo, NULL, false, &store, &err), &err);
        scratch_ok(repository_open(&h->io, store, h->lab->signers, &repository, &err), &err);
        struct prune_options options = { .repository = repository, .signers = h->lab->signers, .rules = &h->rules,
                                         .clock = { .now_ns = (uint64_t)h->now * 1000000000u } };
        memcpy(options.chain, repository->heads[0].chain, sizeof options.chain);
        scratch_ok(prune_plan(&options, &plan, &err), &err);
        if (phase == 0)
            scratch_ok(prune_give_up(&options, &plan, &giving, &err), &err);
        else if (phase == 1)
            scratch_ok(prune_remove(&options, &plan, &removed, &err), &err);
        else
            take_plan(h, &plan);
    }
}

// ---- what came of it

static uint64_t bytes_of_objects(const struct history *h)
{
    _cleanup_free_ char *command = xasprintf("find '%s/objects' -type f -printf '%%s\\n' | awk '{ n += $1 } END { print n + 0 }'", h->lab->repo);
    unsigned long long n = 0;
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%llu", &n), 1);
    assert_int_equal(pclose(p), 0);
    return n;
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static uint64_t distinct_bytes(const struct history *h)
{
    size_t n = 0, distinct = 0;
    for (unsigned night = 0; night < h->nights; night++)
        for (unsigned i = 0; h->kept[night] && i < h->files; i++)
            n += h->contents[h->held[night][i]].n;
    uint64_t *all = xcalloc(n + 1, sizeof *all), *at = all;
    for (unsigned night = 0; night < h->nights; night++)
        for (unsigned i = 0; h->kept[night] && i < h->files; i++) {
            const struct content *c = &h->contents[h->held[night][i]];
            memcpy(at, c->blocks, c->n * sizeof *all);
            at += c->n;
        }
    qsort(all, n, sizeof *all, compare_hashes);
    for (size_t i = 0; i < n; i++)
        distinct += i == 0 || all[i] != all[i - 1];
    free(all);
    return distinct * BLOCK;
}

// The tree below `root` against the blocks that the test hashed when it wrote the files.
static void check_tree(struct history *h, unsigned night, const char *root)
{
    char *source = h->lab->source, name[16];
    h->lab->source = xasprintf("%s%s", root, source);
    for (unsigned i = 0; i < h->files; i++) {
        uint32_t current = h->current[i];
        file_name(name, i);
        note_content(h, i, name, 0);
        const struct content *wanted = &h->contents[h->held[night][i]], *found = &h->contents[--h->n_contents];
        h->current[i] = current;
        assert_int_equal(found->size, wanted->size);
        assert_memory_equal(found->blocks, wanted->blocks, wanted->n * sizeof *wanted->blocks);
        free(found->blocks);
    }
    free(h->lab->source);
    h->lab->source = source;
    scratch_run("rm -rf '%s'", root);
}

static void check_restores(struct history *h)
{
    for (unsigned night = 0; night < h->nights; night++) {
        char number[12];
        (void)snprintf(number, sizeof number, "%u", night + 1);
        if (!h->kept[night])
            continue;
        _cleanup_free_ char *target = lab_restore(h->lab, number);
        check_tree(h, night, target);
    }
}

static void keep_by_rules(void *arg, const uint64_t *times_ns, size_t n, uint64_t now_ns, bool *keep)
{
    struct keep_snapshot *snapshots = xcalloc(n + 1, sizeof *snapshots);
    struct keep_clock clock = { .now_ns = now_ns };
    struct keep_result result;
    for (size_t i = 0; i < n; i++)
        snapshots[i] = (struct keep_snapshot){ .number = i + 1, .time_ns = times_ns[i], .complete = true };
    keep_decide(arg, &clock, snapshots, n, &result);
    for (size_t i = 0; i < n; i++)
        keep[i] = snapshots[i].reasons != 0;
    free(snapshots);
}

// The model's figure for the same nights and rules.
static double simulated_ratio(struct history *h, bool is_image, double change_share)
{
    static struct simulate_night nights[NIGHTS_MAX];
    struct simulate_source source = { .is_image = is_image, .bytes = UINT64_C(1) << 36, .change_share = change_share };
    struct simulate_rules rules = { .keep = keep_by_rules, .keep_arg = &h->rules, .renewal = { .min_live_percent = 30, .budget_bytes = source.bytes / 50 },
                                    .ancestry = { 20, 100 } };
    simulate_run(&source, &rules, h->nights, 1, nights);
    return (double)nights[h->nights - 1].stored_bytes / (double)nights[h->nights - 1].unique_bytes;
}

// 2 % of the files change every day: at most twice the distinct blocks, and as much as the model says, within a fifth.
static void test_tree(void **state)
{
    struct history *h = *state;
    bool all = getenv("BKD_NIGHTS_ALL") != NULL;
    unsigned nights = all ? NIGHTS_MAX : 40;
    h->rules = all ? (struct keep_rules){ .daily = 14, .weekly = 8, .monthly = 6 } : (struct keep_rules){ .daily = 4, .weekly = 2 };
    make_tree(h, all ? FILES_MAX : 250);
    for (unsigned night = 0; night < nights; night++, h->now += 86400) {
        for (unsigned i = 0; night > 0 && i < h->files; i++)
            if (chance(h) < 0.02)
                write_file(h, i);
        back_up(h, night);
        prune(h);
    }
    double stored = (double)bytes_of_objects(h), distinct = (double)distinct_bytes(h), model = simulated_ratio(h, false, 0.02);
    print_message("%u nights: %.1f MB stored, %.1f MB distinct, %.2f times; the model says %.2f; %.1f MB stored anew\n", nights, stored / 1e6, distinct / 1e6,
                  stored / distinct, model, (double)h->renewed / 1e6);
    assert_true(h->renewed > 0);
    assert_true(stored <= 2 * distinct);
    assert_true(stored / distinct > model * 0.8 && stored / distinct < model * 1.2);
    check_restores(h);
}

// The newest snapshot and the oldest kept one, put together with stock tools: rdiff, along the versions each builds on.
static void check_by_hand(struct history *h)
{
    unsigned oldest = 0;
    while (!h->kept[oldest])
        oldest++;
    struct scratch dir;
    _cleanup_free_ char *root = xasprintf("%s/by-hand", h->lab->dir);
    (void)snprintf(dir.dir, sizeof dir.dir, "%s", h->lab->dir);
    scratch_write(&dir, "recover.sh", recover_script, strlen(recover_script));
    scratch_write(&dir, "signers", h->lab->signers, strlen(h->lab->signers));
    for (unsigned night = oldest;; night = h->nights - 1) {
        scratch_run("cd '%s' && BKD_SIGNERS=signers sh recover.sh repo none %u by-hand >recover.log 2>&1 || { cat recover.log >&2; exit 1; }", dir.dir, night + 1);
        check_tree(h, night, root);
        if (night == h->nights - 1)
            return;
    }
}

// An image of which 1 % changes every day in blocks scattered over it.
static void test_image(void **state)
{
    struct history *h = *state;
    bool all = getenv("BKD_NIGHTS_ALL") != NULL;
    unsigned nights = all ? NIGHTS_MAX : 40, blocks = all ? 16384 : 2048;
    h->rules = all ? (struct keep_rules){ .daily = 14, .weekly = 8, .monthly = 6 } : (struct keep_rules){ .daily = 4, .weekly = 2 };
    h->files = 1;
    lab_sh(h->lab, "mkdir $SRC/d0");
    lab_noise(h->lab, "d0/f0000", 1, (size_t)blocks * BLOCK);
    note_content(h, 0, "d0/f0000", 1);
    uint64_t seed = 2;
    for (unsigned night = 0; night < nights; night++, h->now += 86400) {
        for (unsigned i = 0; night > 0 && i < blocks; i++)
            if (chance(h) < 0.01)
                lab_scribble(h->lab, "d0/f0000", seed++, (uint64_t)i * BLOCK, BLOCK);
        if (night > 0)
            note_content(h, 0, "d0/f0000", seed);
        back_up(h, night);
        prune(h);
    }
    double stored = (double)bytes_of_objects(h), distinct = (double)distinct_bytes(h), model = simulated_ratio(h, true, 0.01);
    print_message("image, %u nights: %.1f MB stored, %.1f MB distinct, %.2f times; the model says %.2f\n", nights, stored / 1e6, distinct / 1e6, stored / distinct, model);
    assert_true(stored <= 2.5 * distinct);
    assert_true(stored / distinct > model * 0.8 && stored / distinct < model * 1.2);
    check_restores(h);
    check_by_hand(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_image, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
