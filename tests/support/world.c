#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/world.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/log.h"
#include "tests/support/tree.h"

const char *const world_step_names[] = { "init", "first backup", "second backup", "restore" };

static char *below(const struct world *w, const char *name) { return xasprintf("%s/%s", w->dir, name); }

// ---- what must hold

static bool restores(const struct world *w, const struct scene *scene, const char *place, uint64_t number, bool with_gaps, const char *night)
{
    struct error err = { 0 };
    char difference[512] = "";
    _cleanup_free_ char *target = xasprintf("%s/target", place), *found = xasprintf("%s/target%s", place, w->source);
    tree_remove(target);
    int r = scene_restore(scene, io_real(), place, number, target, &err);
    WORLD_REQUIRE(r == 0, "snapshot %llu does not restore: %s", (unsigned long long)number, err.text);
    WORLD_REQUIRE(tree_same(night, found, with_gaps, difference, sizeof difference), "snapshot %llu is not what was backed up: %s", (unsigned long long)number,
                  difference);
    tree_remove(target);
    return true;
}

bool world_all_restore(const struct world *w, bool encrypted, enum world_step step, const char *place, size_t least, bool with_gaps)
{
    const struct scene *scene = &w->scene[encrypted];
    bool second = step == WORLD_SECOND || step == WORLD_RESTORE;
    struct scene_heads heads;
    struct error err = { 0 };
    WORLD_REQUIRE(scene_list(scene, io_real(), place, &heads, &err) == 0, "the repository does not open: %s", err.text);
    WORLD_REQUIRE(heads.problems == 0, "%zu heads have problems", heads.problems);
    WORLD_REQUIRE(heads.n >= least, "%zu snapshots are listed instead of %zu", heads.n, least);
    for (size_t i = 0; i < heads.n; i++) {
        bool gaps = heads.incomplete[i] || (with_gaps && i + 1 < heads.n);
        if (!restores(w, scene, place, heads.number[i], gaps, w->nights[second && heads.number[i] > 1]))
            return false;
    }
    return true;
}

bool world_is_sound(const struct world *w, bool encrypted, enum world_step step, const char *place, size_t most, bool with_gaps)
{
    const struct scene *scene = &w->scene[encrypted];
    struct error err = { 0 };
    struct backup_result result = { 0 };
    struct scene_heads heads = { 0 };
    if (step == WORLD_INIT) {
        int r = scene_make_repository(scene, io_real(), place, &err);
        WORLD_REQUIRE(r == 0 || r == ERROR_EXISTS, "init does not succeed afterwards: %s", err.text);
    }
    WORLD_REQUIRE(scene_list(scene, io_real(), place, &heads, &err) == 0, "the repository does not open: %s", err.text);
    size_t before = step == WORLD_RESTORE ? 2 : step == WORLD_SECOND ? 1 : 0;
    size_t after = step == WORLD_INIT || step == WORLD_RESTORE ? before : before + most;
    WORLD_REQUIRE(heads.n >= before && heads.n <= after, "%zu snapshots are listed", heads.n);
    if (step != WORLD_RESTORE)
        WORLD_REQUIRE(scene_backup(scene, io_real(), place, &result, &err) == 0, "the next run fails: %s", err.text);
    WORLD_REQUIRE(step == WORLD_RESTORE || result.complete, "the next run is incomplete");
    return world_all_restore(w, encrypted, step, place, heads.n + (step != WORLD_RESTORE), with_gaps);
}

// ---- making it

static void save(struct world *w, int encrypted, enum world_step step, const char *place)
{
    w->before[encrypted][step] = xasprintf("%s/before-%d-%d", w->dir, encrypted, (int)step);
    tree_copy(place, w->before[encrypted][step]);
}

char *world_place(const struct world *w, bool encrypted, enum world_step step, const char *name)
{
    char *place = below(w, name);
    tree_remove(place);
    tree_copy(w->before[encrypted][step], place);
    return place;
}

static void backup_both(struct world *w, enum world_step step)
{
    for (int encrypted = 0; encrypted < 2; encrypted++) {
        _cleanup_free_ char *place = below(w, encrypted == 0 ? "plain" : "encrypted");
        struct backup_result result;
        struct error err;
        if (scene_backup(&w->scene[encrypted], io_real(), place, &result, &err) < 0)
            fail_msg("%s", err.text);
        assert_true(result.complete);
        save(w, encrypted, step, place);
    }
}

static void keep_night(struct world *w, int night)
{
    w->nights[night] = below(w, night == 0 ? "night-1" : "night-2");
    _cleanup_free_ char *command = xasprintf("cp -a '%s' '%s'", w->source, w->nights[night]);
    assert_int_equal(system(command), 0);
}

void world_next_night(struct world *w)
{
    tree_edit(w->source);
    keep_night(w, 1);
    backup_both(w, WORLD_RESTORE);
}

int world_set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    (void)snprintf(w->dir, sizeof w->dir, "%s/bkd-world-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(w->dir) == NULL)
        return -1;
    log_set_level(LOG_LEVEL_ERROR);
    // Buffers of megabytes, thousands of times: pages from the kernel each time would take longer than all else.
    (void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
    (void)mallopt(M_ARENA_MAX, 1);
    w->all = getenv("BKD_FAULTS_ALL") != NULL;
    w->workers = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
    w->source = below(w, "source");
    tree_make(w->source);
    keep_night(w, 0);
    for (int encrypted = 0; encrypted < 2; encrypted++) {
        _cleanup_free_ char *place = below(w, encrypted == 0 ? "plain" : "encrypted");
        struct error err;
        scene_init(&w->scene[encrypted], w->source, encrypted != 0);
        if (mkdir(place, 0700) < 0)
            return -1;
        save(w, encrypted, WORLD_INIT, place);
        if (scene_make_repository(&w->scene[encrypted], io_real(), place, &err) < 0)
            return -1;
        save(w, encrypted, WORLD_FIRST, place);
    }
    backup_both(w, WORLD_SECOND);
    *state = w;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    tree_remove(w->dir);
    for (int encrypted = 0; encrypted < 2; encrypted++) {
        scene_done(&w->scene[encrypted]);
        free(w->nights[encrypted]);
        for (int step = WORLD_INIT; step <= WORLD_RESTORE; step++)
            free(w->before[encrypted][step]);
    }
    free(w->source);
    free(w);
    return 0;
}
