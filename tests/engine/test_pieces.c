// Content on its way: how many pieces of big files, and batches of small ones, are in memory at a time; and what becomes of a piece that was not what its tags said.
#include "tests/engine/lab.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/base/sha256_ni.h"
#include "bkd/engine/state.h"
#include "bkd/engine/versions.h"

enum { PIECE = RECIPE_PIECE_SIZE, IN_MEMORY_MAX = 4 };

static int setup(void **state)
{
    struct lab *lab = xcalloc(1, sizeof *lab);
    lab_init(lab, false, 0);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    lab_done(*state);
    free(*state);
    return 0;
}

// ---- memory

static pthread_t main_thread; // which looks at a file's beginning, without a piece in memory
static atomic_int reading, most_reading;

static bool is_big(int fd)
{
    char link[64], path[4096] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/big-") != NULL;
}

// Slow enough that every thread that may read a piece comes to do so.
static ssize_t slow_pread(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    if (pthread_equal(pthread_self(), main_thread) || !is_big(fd))
        return io_real()->pread(io, fd, data, n, offset);
    int now = atomic_fetch_add(&reading, 1) + 1, most = atomic_load(&most_reading);
    while (now > most && !atomic_compare_exchange_weak(&most_reading, &most, now))
        continue;
    (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    ssize_t got = io_real()->pread(io, fd, data, n, offset);
    (void)atomic_fetch_sub(&reading, 1);
    return got;
}

static int most_at_once(struct lab *lab, unsigned jobs)
{
    struct io io = *io_real();
    lab_sh(lab, "for f in a b c; do truncate -s 64M $SRC/big-$f; done");
    for (unsigned i = 0; i < 12; i++) { // a little of each piece is data
        char name[] = "big-?";
        name[4] = "abc"[i / 4];
        lab_scribble(lab, name, i + 1, (uint64_t)(i % 4) * PIECE + 4096 * i, 4096);
    }
    io.pread = slow_pread;
    main_thread = pthread_self();
    lab->io = &io;
    lab->options.jobs = jobs;
    atomic_store(&most_reading, 0);
    (void)lab_backup(lab);
    lab->io = io_real();
    lab_assert_restores(lab, "latest", NULL);
    return atomic_load(&most_reading);
}

// However many threads there are, and whichever file they are of: four pieces at a time.
static void test_few_at_a_time(void **state) { assert_in_range(most_at_once(*state, 8), 1, IN_MEMORY_MAX); }

// One for each job, and one that waits for it.
static void test_one_job(void **state) { assert_in_range(most_at_once(*state, 1), 1, 2); }

enum { SMALL_FILES = 100, SMALL_SIZE = 200 << 10, READERS = 8 }; // two files fill a batch

static atomic_int small_read;

// The first of the small files takes its time; meanwhile the others are read, as far as there is room for them.
static ssize_t pread_of_small(const struct io *io, int fd, void *data, size_t n, off_t offset)
{
    char link[64], path[4096] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const char *name = readlink(link, path, sizeof path - 1) > 0 ? strstr(path, "/small-") : NULL;
    if (name != NULL && strcmp(name, "/small-00") == 0) {
        (void)nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
        atomic_store(&most_reading, atomic_load(&small_read));
    } else if (name != NULL) {
        (void)atomic_fetch_add(&small_read, 1);
    }
    return io_real()->pread(io, fd, data, n, offset);
}

// A file that cannot be read yet holds up those behind it, instead of having them all wait in memory.
static void test_batches_wait(void **state)
{
    struct lab *lab = *state;
    struct io io = *io_real();
    for (unsigned i = 0; i < SMALL_FILES; i++) {
        char name[] = "small-??";
        name[6] = (char)('0' + i / 10);
        name[7] = (char)('0' + i % 10);
        lab_noise(lab, name, i, SMALL_SIZE);
    }
    io.pread = pread_of_small;
    lab->io = &io;
    lab->options.jobs = 1;
    atomic_store(&most_reading, 0);
    (void)lab_backup(lab);
    lab->io = io_real();
    assert_true(atomic_load(&most_reading) <= 2 * (READERS + 1)); // those that are read, and one more
    assert_int_equal(atomic_load(&small_read), SMALL_FILES - 1);
    lab_assert_restores(lab, "latest", NULL);
}

// ---- tags that lie

static void open_versions(struct lab *lab, struct state *s, struct versions *v)
{
    struct error err;
    struct store *store = NULL;
    _cleanup_repository_ struct repository *repository = NULL;
    const struct repository_head *head = NULL;
    uint8_t key[SEALED_KEY_SIZE];
    scratch_ok(store_open(io_real(), lab->repo, NULL, false, &store, &err), &err);
    scratch_ok(repository_open(io_real(), store, lab->signers, &repository, &err), &err);
    scratch_ok(repository_find(repository, NULL, "latest", &head, &err), &err);
    scratch_ok(state_open_readonly(io_real(), lab->state, "test", s, &err), &err);
    state_cache_key(s, repository->info.id, head->chain, key);
    scratch_ok(versions_open(v, io_real(), s->dirfd, key, &err), &err);
}

// As the real cache, but with the tags of `data`: as if the file had had these bytes.
static void write_lie(const struct versions *v, const struct version_cache *truth, const uint8_t *data)
{
    struct error err;
    const struct version_cache_info *info = version_cache_info(truth);
    struct version_cache_writer *lie = NULL;
    _cleanup_buf_ struct buf tags_space = { 0 }, entries_space = { 0 };
    uint8_t *tags = buf_extend(&tags_space, PIECE_TAGS * SAMEPLACE_TAG), *entries = buf_extend(&entries_space, PIECE_TAGS * DELTA_SIGNATURE_ENTRY);
    _cleanup_sameplace_hasher_ struct sameplace_hasher *hasher = sameplace_hasher_new(info->key);
    size_t block = info->signature_block, per_piece = block == 0 ? 0 : PIECE / block, n; // blocks are of SAMEPLACE_BLOCK at least
    scratch_ok(version_cache_create(io_real(), v->dirfd, "lie", info, v->key, &lie, &err), &err);
    for (uint64_t at = 0; at < info->file_size; at += PIECE) {
        size_t length = info->file_size - at < PIECE ? (size_t)(info->file_size - at) : PIECE;
        sameplace_hash(hasher, data + at, length, tags);
        scratch_ok(version_cache_entries(truth, at / PIECE * per_piece, per_piece, entries, &n, &err), &err);
        scratch_ok(version_cache_add(lie, tags, sameplace_count(length), entries, n, &err), &err);
    }
    scratch_ok(version_cache_close(&lie, info->file_size, info->sha256, &err), &err);
}

static void forge_tags(struct lab *lab, const char *name, const uint8_t *data)
{
    struct error err;
    struct state s = { .dirfd = -1, .lock_fd = -1 };
    struct versions v = { .dirfd = -1 };
    struct versions_base base = { 0 };
    struct manifest_entry e = lab_entry(lab, name);
    open_versions(lab, &s, &v);
    scratch_ok(versions_load(&v, &e.version, UINT64_MAX, &base, &err), &err);
    assert_non_null(base.cache);
    write_lie(&v, base.cache, data);
    _cleanup_free_ char *script = xasprintf("mv $STATE/versions/lie $STATE/versions/%u-%llu.tags", e.version.object, (unsigned long long)e.version.offset);
    lab_sh(lab, script);
    versions_base_done(&base);
    versions_done(&v);
    state_close(&s);
    manifest_entry_done(&e);
}

// A run whose warnings are kept in dir/said.
static struct backup_result backup_heard(struct lab *lab)
{
    _cleanup_free_ char *path = xasprintf("%s/said", lab->dir);
    enum log_level level = log_get_level();
    int kept = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    log_set_level(LOG_LEVEL_WARN);
    struct backup_result result = lab_backup(lab);
    log_set_level(level);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    assert_int_equal(close(kept), 0);
    assert_int_equal(close(fd), 0);
    return result;
}

static void expect_kinds(struct lab *lab, const char *kinds, uint32_t chain)
{
    struct recipe r = lab_recipe(lab, "f");
    assert_int_equal(r.n_pieces, strlen(kinds));
    for (size_t i = 0; i < r.n_pieces; i++)
        assert_int_equal("?wdsh"[r.pieces[i].kind], kinds[i]);
    assert_int_equal(r.chain, chain);
    recipe_done(&r);
}

// The tags call both pieces unchanged; the second has changed. Its hash says so: it is stored again, which is told, and the night after has no tags to trust.
static void test_belied(void **state)
{
    struct lab *lab = *state;
    _cleanup_buf_ struct buf data = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/f", lab->source);
    struct error err;
    if (!sha256_ni_works()) // where a second hash of the piece costs time, unchanged pieces are not hashed every night
        skip();
    lab_noise(lab, "f", 1, 2 * PIECE);
    (void)lab_backup(lab);
    lab_scribble(lab, "f", 2, PIECE + 8192, 1000);
    scratch_ok(fs_read_file(io_real(), AT_FDCWD, path, 2 * PIECE, &data, &err), &err);
    forge_tags(lab, "f", data.data);
    struct backup_result second = backup_heard(lab);
    assert_true(second.complete);
    assert_in_range(second.bytes_stored, PIECE, PIECE + PIECE / 2);
    expect_kinds(lab, "ww", 1);
    lab_sh(lab, "grep -q 'f. is damaged: a piece was unchanged by its tags' said");
    lab_assert_restores(lab, "2", NULL);
    lab_assert_sound(lab);
    lab_scribble(lab, "f", 3, 5000, 1000);
    (void)lab_backup(lab);
    expect_kinds(lab, "ww", 1);
    lab_scribble(lab, "f", 4, 5000, 1000);
    (void)lab_backup(lab);
    expect_kinds(lab, "dw", 2); // and from then on as ever
    lab_assert_restores(lab, "4", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_few_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batches_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_belied, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
