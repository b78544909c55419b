// Prune fails, is killed, and loses its power at every call it makes (row C-10): whatever was kept restores, nothing that is needed is ever missing, and the next
// prune finishes. And what it leaves alone: what runs under way build on, other stores' tombstones, repositories it cannot read whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/engine/prune.h"
#include "bkd/repo/run_markers.h"
#include "bkd/repo/verify.h"
#include "tests/support/fault_io.h"
#include "tests/support/scene.h"
#include "tests/support/tree.h"

#define SECOND UINT64_C(1000000000)
enum { NIGHTS = 5, KEPT = 2, GRACE_S = 3600 };

struct vault {
    char dir[64];
    struct scene scene;
    struct sshkey retention;
    char *nights[NIGHTS + 1];
    char *given_up; // place whose first phase is done, two hours ago
    char *before;   // and one before it
    size_t objects_at_the_end;
};

static const struct keep_rules rules = { .last = KEPT };

// ---- one prune

static int open_place(const struct vault *v, const struct io *io, const char *place, struct repository **ret_repository, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/repository", place);
    struct store *store = NULL;
    int r = store_dir_open(io, path, false, &store, err);
    return r < 0 ? r : repository_open(io, store, buf_str(&v->scene.signers), ret_repository, err);
}

static void fill_options(const struct vault *v, const struct repository *repository, uint64_t now_ns, struct prune_options *ret_options)
{
    *ret_options = (struct prune_options){ .repository = repository, .signers = buf_str(&v->scene.signers), .rules = &rules, .clock = { .now_ns = now_ns } };
    memcpy(ret_options->chain, repository->heads[0].chain, sizeof ret_options->chain);
}

static int prune_opened(const struct vault *v, const struct repository *repository, uint64_t now_ns, struct prune_removed *ret_removed, struct error *err)
{
    struct prune_options options;
    _cleanup_prune_plan_ struct prune_plan plan = { 0 }, anew = { 0 };
    const struct prune_giving giving = { .key = &v->retention, .grace_s = GRACE_S, .by = "test@host", .reason = "keep last 2" };
    fill_options(v, repository, now_ns, &options);
    int r = prune_plan(&options, &plan, err);
    if (r == 0)
        r = prune_give_up(&options, &plan, &giving, err);
    if (r == 0)
        r = prune_plan(&options, &anew, err);
    return r < 0 ? r : prune_remove(&options, &anew, ret_removed, err);
}

// Both phases, as `bkd prune` does.
static int prune(const struct vault *v, const struct io *io, const char *place, uint64_t now_ns, struct prune_removed *ret_removed, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    int r = open_place(v, io, place, &repository, err);
    return r < 0 ? r : prune_opened(v, repository, now_ns, ret_removed, err);
}

static size_t count_objects(const char *place)
{
    _cleanup_free_ char *command = xasprintf("find '%s/repository/objects' -type f | wc -l", place);
    FILE *pipe = popen(command, "r");
    size_t n = 0;
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%zu", &n), 1);
    assert_int_equal(pclose(pipe), 0);
    return n;
}

// ---- the vault

static int set_up(void **state)
{
    struct vault *v = xcalloc(1, sizeof *v);
    struct error err;
    struct backup_result result;
    struct prune_removed removed;
    (void)snprintf(v->dir, sizeof v->dir, "/tmp/bkd-prune-XXXXXX");
    assert_non_null(mkdtemp(v->dir));
    _cleanup_free_ char *source = xasprintf("%s/source", v->dir);
    scene_init(&v->scene, source, false);
    sshkey_new(io_real(), &v->retention);
    buf_add_str(&v->scene.signers, "\nretention@test namespaces=\"bkd-retention@v1\" ");
    sshkey_public_format(v->retention.public_key, "test", &v->scene.signers);
    buf_add_char(&v->scene.signers, '\n');
    v->before = xasprintf("%s/before", v->dir);
    v->given_up = xasprintf("%s/given-up", v->dir);
    assert_int_equal(mkdir(v->before, 0700), 0);
    assert_int_equal(mkdir(source, 0700), 0);
    assert_int_equal(scene_make_repository(&v->scene, io_real(), v->before, &err), 0);
    _cleanup_free_ char *steady = xasprintf("head -c 50000 /dev/urandom >'%s/steady'", source); // in the first night's object, needed by all
    assert_int_equal(system(steady), 0);
    for (unsigned night = 1; night <= NIGHTS; night++) {
        _cleanup_free_ char *dir = xasprintf("%s/night", source), *command = xasprintf("seq 1 %u >'%s/log'; head -c 90000 /dev/urandom >'%s/image'", night, source, source);
        tree_remove(dir);
        tree_make_small(dir, 8, 3000 + night);
        assert_int_equal(system(command), 0);
        if (scene_backup(&v->scene, io_real(), v->before, &result, &err) < 0)
            fail_msg("%s", err.text);
        v->nights[night] = xasprintf("%s/night-%u", v->dir, night);
        _cleanup_free_ char *copy = xasprintf("cp -a '%s' '%s'", source, v->nights[night]);
        assert_int_equal(system(copy), 0);
    }
    tree_copy(v->before, v->given_up);
    uint64_t now_ns = io_realtime_ns(io_real());
    if (prune(v, io_real(), v->given_up, now_ns - 2 * GRACE_S * SECOND, &removed, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(removed.objects, 0);
    assert_int_equal(count_objects(v->given_up), count_objects(v->before));
    *state = v;
    return 0;
}

static int tear_down(void **state)
{
    struct vault *v = *state;
    tree_remove(v->dir);
    for (size_t i = 1; i <= NIGHTS; i++)
        free(v->nights[i]);
    free(v->before);
    free(v->given_up);
    scene_done(&v->scene);
    sshkey_done(&v->retention);
    free(v);
    return 0;
}

// ---- what must hold

static void tell_finding(void *arg, const struct verify_finding *finding)
{
    (void)arg;
    if (finding->severity == VERIFY_ALARM)
        (void)fprintf(stderr, "      %s: %s\n", finding->file, finding->reason);
}

static uint64_t count_alarms(const struct vault *v, const char *place)
{
    _cleanup_repository_ struct repository *repository = NULL;
    struct error err;
    struct verify_totals totals;
    struct verify_options options = { .signers = buf_str(&v->scene.signers), .quick = true, .jobs = 1, .scratch_dirfd = -1, .finding = tell_finding };
    if (open_place(v, io_real(), place, &repository, &err) < 0 || verify_run(io_real(), repository, &options, &totals, &err) < 0) {
        (void)fprintf(stderr, "      %s\n", err.text);
        return 1;
    }
    return totals.alarms;
}

static bool restores(const struct vault *v, const char *place, unsigned night)
{
    struct error err;
    char difference[512] = "";
    _cleanup_free_ char *target = xasprintf("%s/target", place), *found = xasprintf("%s%s", target, v->scene.source);
    tree_remove(target);
    if (scene_restore(&v->scene, io_real(), place, night, target, &err) == 0 && tree_same(v->nights[night], found, false, difference, sizeof difference))
        return true;
    (void)fprintf(stderr, "      snapshot %u: %s%s\n", night, err.text, difference);
    return false;
}

// Whatever happened: what stays restores, nothing is missing; and the next prune comes to the end.
static bool is_sound(const struct vault *v, const char *place, uint64_t now_ns, bool ends)
{
    struct prune_removed removed;
    struct error err = { 0 };
    bool good = count_alarms(v, place) == 0 && restores(v, place, NIGHTS) && restores(v, place, NIGHTS - 1);
    if (prune(v, io_real(), place, now_ns, &removed, &err) < 0) {
        (void)fprintf(stderr, "      the next prune: %s\n", err.text);
        return false;
    }
    if (ends && count_objects(place) != v->objects_at_the_end) {
        (void)fprintf(stderr, "      %zu objects instead of %zu\n", count_objects(place), v->objects_at_the_end);
        return false;
    }
    return good && count_alarms(v, place) == 0 && restores(v, place, NIGHTS - 1);
}

// ---- every call

static bool try_child(const struct vault *v, const struct fault_io_options *fault, const char *place, uint64_t now_ns, bool *ret_happened)
{
    struct fault_io_options options = *fault;
    _cleanup_free_ char *repository = xasprintf("%s/repository", place), *aside = xasprintf("%s/aside", v->dir);
    tree_remove(aside);
    assert_int_equal(mkdir(aside, 0700), 0);
    options.roots[0] = repository;
    options.aside = aside;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct prune_removed removed;
        struct error err = { 0 };
        struct fault_io *io = fault_io_new(&options);
        _exit(prune(v, fault_io(io), place, now_ns, &removed, &err) < 0 ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    *ret_happened = WIFEXITED(status) && WEXITSTATUS(status) == FAULT_EXIT;
    return *ret_happened || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool try_here(const struct vault *v, const struct fault_io_options *fault, const char *place, uint64_t now_ns, bool *ret_happened)
{
    struct prune_removed removed;
    struct error err = { 0 };
    struct fault_io *io = fault_io_new(fault);
    int r = prune(v, fault_io(io), place, now_ns, &removed, &err);
    *ret_happened = fault_io_happened(io);
    fault_io_free(io);
    return r == 0 || (err.code == r && err.text[0] != '\0');
}

static void sweep(const struct vault *v, const char *from, struct fault_io_options fault, long stride, bool ends)
{
    _cleanup_free_ char *place = xasprintf("%s/place", v->dir);
    uint64_t now_ns = io_realtime_ns(io_real());
    bool happened = true;
    long tries = 0;
    for (fault.call = 1; happened; fault.call += stride, tries++) {
        tree_remove(place);
        tree_copy(from, place);
        fault.seed = (uint64_t)fault.call;
        bool in_child = fault.mode == FAULT_KILL || fault.mode == FAULT_POWER;
        bool good = in_child ? try_child(v, &fault, place, now_ns, &happened) : try_here(v, &fault, place, now_ns, &happened);
        if (!good || !is_sound(v, place, now_ns, ends))
            fail_msg("call %ld, mode %d", fault.call, fault.mode);
    }
    print_message("             %ld tries\n", tries);
}

// With nothing failing: two stay, and what only the others needed is gone. The sweeps compare with this.
static void test_whole(void **state)
{
    struct vault *v = *state;
    struct prune_removed removed;
    struct error err;
    _cleanup_free_ char *place = xasprintf("%s/place", v->dir);
    tree_remove(place);
    tree_copy(v->given_up, place);
    size_t before = count_objects(place);
    assert_int_equal(prune(v, io_real(), place, io_realtime_ns(io_real()), &removed, &err), 0);
    v->objects_at_the_end = count_objects(place);
    assert_int_equal(removed.snapshots, NIGHTS - KEPT);
    assert_true(removed.objects >= NIGHTS - KEPT - 1 && removed.objects == before - v->objects_at_the_end && removed.bytes > 90000);
    assert_true(is_sound(v, place, io_realtime_ns(io_real()), true));
    assert_int_equal(scene_restore(&v->scene, io_real(), place, 1, "/nonexistent", &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "removed by rule"));
}

static void test_give_up_errors(void **state)
{
    const struct vault *v = *state;
    sweep(v, v->before, (struct fault_io_options){ .mode = FAULT_ERROR, .kinds = FAULT_ALL, .os_errno = EIO }, 5, false);
    sweep(v, v->before, (struct fault_io_options){ .mode = FAULT_ERRORS, .kinds = FAULT_SPACE, .os_errno = ENOSPC }, 1, false);
}

static void test_give_up_kills(void **state)
{
    const struct vault *v = *state;
    sweep(v, v->before, (struct fault_io_options){ .mode = FAULT_KILL, .kinds = FAULT_CHANGES }, 1, false);
    sweep(v, v->before, (struct fault_io_options){ .mode = FAULT_POWER, .kinds = FAULT_CHANGES, .power = FAULT_POWER_SOME }, 2, false);
}

static void test_remove_errors(void **state)
{
    const struct vault *v = *state;
    // A head that cannot be read once may take back a snapshot, which is then given up anew.
    sweep(v, v->given_up, (struct fault_io_options){ .mode = FAULT_ERROR, .kinds = FAULT_ALL, .os_errno = EIO }, 3, false);
    sweep(v, v->given_up, (struct fault_io_options){ .mode = FAULT_ERRORS, .kinds = FAULT_REMOVE, .os_errno = EROFS }, 1, true);
}

static void test_remove_kills(void **state)
{
    const struct vault *v = *state;
    sweep(v, v->given_up, (struct fault_io_options){ .mode = FAULT_KILL, .kinds = FAULT_CHANGES }, 1, true);
    sweep(v, v->given_up, (struct fault_io_options){ .mode = FAULT_POWER, .kinds = FAULT_CHANGES, .power = FAULT_POWER_NONE }, 3, true);
    sweep(v, v->given_up, (struct fault_io_options){ .mode = FAULT_POWER, .kinds = FAULT_CHANGES, .power = FAULT_POWER_SOME }, 3, true);
}

// ---- what is left alone

static char *fresh(const struct vault *v)
{
    char *place = xasprintf("%s/place", v->dir);
    tree_remove(place);
    tree_copy(v->given_up, place);
    return place;
}

// Snapshot 2 is given up and due; a run that is alive builds on it.
static void test_run_under_way(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = fresh(v), *marker = NULL;
    _cleanup_repository_ struct repository *repository = NULL;
    struct prune_removed removed;
    struct error err;
    uint64_t now_ns = io_realtime_ns(io_real());
    assert_int_equal(open_place(v, io_real(), place, &repository, &err), 0);
    assert_int_equal(run_markers_begin(repository, repository->heads[1].chain, repository->heads[1].sha256, "host", &marker, &err), 0);
    assert_int_equal(prune_opened(v, repository, now_ns, &removed, &err), 0);
    assert_int_equal(removed.snapshots, NIGHTS - KEPT - 1);
    assert_true(restores(v, place, 2));
    // Two days later the marker is that of a run that was killed.
    assert_int_equal(prune_opened(v, repository, now_ns + 2 * 24 * GRACE_S * SECOND, &removed, &err), 0);
    assert_int_equal(removed.snapshots, 1);
}

static char *leave_object(const char *place, const char *when)
{
    char *name = xasprintf("%s/repository/objects/00/%064d.tar.zst", place, 7);
    _cleanup_free_ char *command = xasprintf("mkdir -p '%s/repository/objects/00' && touch -d '%s' '%s'", place, when, name);
    assert_int_equal(system(command), 0);
    return name;
}

// Objects of runs that were killed go when they are old. That this host's clock says so is not enough: it may be wrong.
static void test_leftovers(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = fresh(v), *name = leave_object(place, "now"), *again = NULL;
    struct prune_removed removed;
    struct error err;
    uint64_t now_ns = io_realtime_ns(io_real());
    assert_int_equal(prune(v, io_real(), place, now_ns, &removed, &err), 0);
    assert_int_equal(removed.left_objects, 0);
    assert_int_equal(prune(v, io_real(), place, now_ns + 8 * 24 * GRACE_S * SECOND, &removed, &err), 0);
    assert_int_equal(removed.left_objects, 0);
    again = leave_object(place, "8 days ago");
    assert_int_equal(prune(v, io_real(), place, now_ns, &removed, &err), 0);
    assert_int_equal(removed.left_objects, 1);
    assert_int_not_equal(access(name, F_OK), 0);
}

// A backup that began and ended after the prune had read the heads: it may have gone on from what a killed run had left.
static void test_leftovers_in_use(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = fresh(v), *name = leave_object(place, "8 days ago");
    _cleanup_repository_ struct repository *repository = NULL;
    struct backup_result result;
    struct prune_removed removed;
    struct error err;
    assert_int_equal(open_place(v, io_real(), place, &repository, &err), 0);
    assert_int_equal(scene_backup(&v->scene, io_real(), place, &result, &err), 0);
    assert_int_equal(prune_opened(v, repository, io_realtime_ns(io_real()), &removed, &err), 0);
    assert_true(removed.objects > 0);
    assert_int_equal(removed.left_objects, 0);
    assert_int_equal(access(name, F_OK), 0);
}

// A tombstone for another store excuses nothing here, and lets nothing be removed.
static void test_other_store(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = fresh(v), *id = xasprintf("%s/repository/bkd-store", place);
    struct prune_removed removed;
    struct error err;
    FILE *file = fopen(id, "w");
    assert_non_null(file);
    assert_int_equal(fprintf(file, "bkd-store/1\nid 00000000000000000000000000000000\n"), 48);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(prune(v, io_real(), place, io_realtime_ns(io_real()), &removed, &err), 0); // given up anew, for this store
    assert_int_equal(removed.objects, 0);
    assert_true(restores(v, place, 1));
    _cleanup_free_ char *refs = xasprintf("rm '%s'/repository/refs/*", place);
    assert_int_equal(system(refs), 0);
    assert_int_equal(prune(v, io_real(), place, io_realtime_ns(io_real()), &removed, &err), ERROR_INTEGRITY);
}

// A prune was cut off in the middle of removing, and then rules became wider: what is half gone is not taken back, what is whole is.
static void test_half_gone(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = fresh(v), *command = xasprintf("cd '%s'/repository && needs() { for n in $*; do grep '^object' refs/$(sed -n 's/^refs \\([^ ]*\\).*/\\1/p' heads/*/$n); done | "
                                                                "cut -d ' ' -f 3 | sort -u >../needs-$1; }; needs 3 && needs 4 5 && some=$(comm -23 ../needs-3 ../needs-4 | head -n 1) && "
                                                                "test -n \"$some\" && rm objects/*/$some*", place);
    static const struct keep_rules wider = { .last = NIGHTS };
    const struct prune_giving giving = { .key = &v->retention, .grace_s = GRACE_S, .by = "test@host", .reason = "keep last 5" };
    _cleanup_repository_ struct repository *repository = NULL;
    struct prune_options options;
    struct prune_removed removed;
    struct error err;
    assert_int_equal(system(command), 0);
    assert_int_equal(open_place(v, io_real(), place, &repository, &err), 0);
    for (int i = 0; i < 2; i++) {
        _cleanup_prune_plan_ struct prune_plan plan = { 0 }, anew = { 0 };
        fill_options(v, repository, io_realtime_ns(io_real()), &options);
        options.rules = &wider;
        assert_int_equal(prune_plan(&options, &plan, &err), 0);
        assert_int_equal(plan.due > 0, i == 0);
        assert_int_equal(prune_give_up(&options, &plan, &giving, &err), 0);
        assert_int_equal(prune_plan(&options, &anew, &err), 0);
        assert_int_equal(prune_remove(&options, &anew, &removed, &err), 0);
        assert_int_equal(removed.snapshots > 0, i == 0);
        assert_int_equal(plan.keep.kept + plan.due + plan.gone, NIGHTS);
        for (size_t k = 0; k < plan.n; k++)
            assert_true(plan.items[k].gone || plan.items[k].due || restores(v, place, (unsigned)plan.items[k].keep.number));
    }
    assert_int_equal(count_alarms(v, place), 0);
}

// Whoever has the host's key, but not the retention key, may say that data never got here. That removes nothing of what is here.
static void test_absence(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = xasprintf("%s/place", v->dir);
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_sshkey_ struct sshkey host_key = { 0 };
    _cleanup_prune_plan_ struct prune_plan plan = { 0 };
    struct record absent = { .kind = RECORD_ABSENT, .time_ns = io_realtime_ns(io_real()), .by = "thief@host" };
    struct record_snapshot named[NIGHTS];
    struct prune_removed removed;
    struct prune_options options;
    struct error err;
    tree_remove(place);
    tree_copy(v->before, place);
    assert_int_equal(open_place(v, io_real(), place, &repository, &err), 0);
    assert_int_equal(sshkey_parse(v->scene.signing_key.data, v->scene.signing_key.len, &host_key, &err), 0);
    assert_int_equal(store_id_ensure(io_real(), repository->store, absent.store, &err), 0);
    memcpy(absent.chain, repository->heads[0].chain, sizeof absent.chain);
    for (absent.snapshots = named; absent.n_snapshots < NIGHTS; absent.n_snapshots++) {
        named[absent.n_snapshots].number = repository->heads[absent.n_snapshots].number;
        memcpy(named[absent.n_snapshots].head, repository->heads[absent.n_snapshots].sha256, sizeof named->head);
    }
    assert_int_equal(records_append_several(repository, buf_str(&v->scene.signers), &host_key, &absent, &err), 0);
    fill_options(v, repository, absent.time_ns + SECOND, &options);
    for (int own_rules = 0; own_rules < 2; own_rules++) {
        options.rules = own_rules ? &rules : NULL;
        assert_int_equal(prune_plan(&options, &plan, &err), 0);
        assert_int_equal(plan.due, 0);
        assert_int_equal(plan.to_give_up, own_rules ? NIGHTS - KEPT : 0);
        assert_int_equal(prune_remove(&options, &plan, &removed, &err), 0);
        assert_int_equal(removed.objects, 0);
        prune_plan_done(&plan);
    }
    assert_true(restores(v, place, 1));
}

// What cannot be read may need anything: nothing goes.
static void test_damaged(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = fresh(v), *command = xasprintf("cd '%s'/repository/refs && for f in *; do echo x >>$f; done", place);
    struct prune_removed removed;
    struct error err;
    size_t before = count_objects(place);
    assert_int_equal(system(command), 0);
    assert_int_equal(prune(v, io_real(), place, io_realtime_ns(io_real()), &removed, &err), ERROR_INTEGRITY);
    assert_int_equal(count_objects(place), before);
}

// Heads that this reader's signers file does not know may be somebody's: what they name stays.
static void test_void_heads(void **state)
{
    const struct vault *v = *state;
    _cleanup_free_ char *place = fresh(v), *command = xasprintf("cd '%s'/repository/heads/* && sed -i 's/^flags .*/flags suspect/' 2", place);
    struct prune_removed removed;
    struct error err;
    size_t before = count_objects(place);
    assert_int_equal(system(command), 0);
    assert_int_equal(prune(v, io_real(), place, io_realtime_ns(io_real()), &removed, &err), 0);
    assert_true(removed.objects > 0 && count_objects(place) > v->objects_at_the_end && count_objects(place) < before);
}

static void test_clock(void **state)
{
    const struct vault *v = *state;
    const uint64_t now_ns = io_realtime_ns(io_real()), day_ns = 86400 * SECOND;
    const struct { uint64_t now_ns; bool right, good; } rows[] = {
        { now_ns, false, true }, { now_ns - day_ns, false, false }, { now_ns - day_ns, true, true }, { now_ns + 300 * day_ns, false, true },
        { now_ns + 3650 * day_ns, false, false }, { now_ns + 3650 * day_ns, true, true },
    };
    _cleanup_repository_ struct repository *repository = NULL;
    struct error err;
    assert_int_equal(open_place(v, io_real(), v->given_up, &repository, &err), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        _cleanup_prune_plan_ struct prune_plan plan = { 0 };
        struct prune_options options;
        fill_options(v, repository, rows[i].now_ns, &options);
        assert_int_equal(prune_plan(&options, &plan, &err), 0);
        assert_int_equal(prune_check_clock(&options, &plan, rows[i].right, &err) == 0, rows[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),         cmocka_unit_test(test_give_up_errors), cmocka_unit_test(test_give_up_kills), cmocka_unit_test(test_remove_errors),
        cmocka_unit_test(test_remove_kills),  cmocka_unit_test(test_run_under_way),  cmocka_unit_test(test_leftovers),     cmocka_unit_test(test_other_store),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_void_heads),     cmocka_unit_test(test_clock),          cmocka_unit_test(test_absence),       cmocka_unit_test(test_half_gone),     cmocka_unit_test(test_leftovers_in_use),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
