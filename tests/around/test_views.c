// Snapshots of sources: what is run to make and release them, in which order, also where this kernel has none of it (programs are recorded, not run); and
// with real commands that what was made is released whatever happens.
#include "tests/codec/scratch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/around/views.h"
#include "bkd/base/fs.h"

struct scene {
    char dir[32];
    char *source, *state_dir, *mounts;
    struct policy policy;
    struct policy_source sources[2];
    struct view_system system;
    struct views views;
    struct env facts;
    struct buf ran;     // what was run, a line each
    const char *fails;  // what begins so fails
    const char *lvs;    // what lvs says
    bool made;          // the snapshot exists
};

static int record(const struct view_system *system, const char *const *argv, const struct env *env, uint64_t timeout_ms, struct buf *ret_said, struct error *err)
{
    struct scene *s = system->arg;
    size_t start = s->ran.len;
    assert_int_equal(timeout_ms, 60000);
    assert_true(env->count > 0);
    for (size_t i = 0; argv[i] != NULL; i++)
        buf_addf(&s->ran, "%s%s", i > 0 ? " " : "", argv[i]);
    const char *line = buf_str(&s->ran) + start;
    bool asks = strncmp(line, "lvs --noheadings -o lv_name", 27) == 0 || strncmp(line, "zfs list", 8) == 0;
    bool fails = (asks && !s->made) || (s->fails != NULL && strncmp(line, s->fails, strlen(s->fails)) == 0);
    if (strncmp(line, "lvcreate", 8) == 0 || strncmp(line, "zfs snapshot", 12) == 0)
        s->made = s->made || !fails;
    if (strncmp(line, "lvremove", 8) == 0 || strncmp(line, "zfs destroy", 11) == 0)
        s->made = s->made && fails;
    if (ret_said != NULL)
        buf_addf(ret_said, "  %s\n", s->lvs);
    if (asks)
        s->ran.data[s->ran.len = start] = '\0'; // questions change nothing
    else
        buf_add_char(&s->ran, '\n');
    return fails ? error_set(err, ERROR_FAILED, "'%s' exited with status 5", argv[0]) : 0;
}

static void setup(struct scene *s, const char *mount_type, const char *device)
{
    *s = (struct scene){ .dir = "/tmp/bkd-views-XXXXXX", .lvs = "vg,srv," };
    assert_non_null(mkdtemp(s->dir));
    s->source = xasprintf("%s/srv/erp", s->dir);
    s->state_dir = xasprintf("%s/state", s->dir);
    s->mounts = xasprintf("%s/mounts", s->dir);
    _cleanup_free_ char *line = xasprintf("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:44 / %s/srv rw - %s %s rw\n", s->dir, mount_type, device);
    struct error err;
    assert_int_equal(fs_make_dirs(io_real(), AT_FDCWD, s->source, 0755, &err), 0);
    assert_int_equal(fs_make_dirs(io_real(), AT_FDCWD, s->state_dir, 0700, &err), 0);
    assert_int_equal(fs_create_file(io_real(), AT_FDCWD, s->mounts, 0600, line, strlen(line), &err), 0);
    s->sources[0].path = s->source;
    s->sources[0].snapshot = (struct policy_snapshot){ .wanted = true, .timeout_s = 60 };
    s->policy = (struct policy){ .name = (char *)"p", .sources = s->sources, .source_count = 1 };
    s->system = (struct view_system){ .io = io_real(), .mounts_file = s->mounts, .run = record, .arg = s };
    env_init(&s->facts, NULL);
    views_init(&s->views, &s->system, &s->policy, s->state_dir);
}

static void teardown(struct scene *s)
{
    struct error err;
    views_done(&s->views);
    env_done(&s->facts);
    buf_done(&s->ran);
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, s->dir, &err), 0);
    free(s->source);
    free(s->state_dir);
    free(s->mounts);
}

// The path the mounted snapshot would have: the test makes it, since no mount does.
static void make_view(const struct scene *s, const char *below)
{
    struct error err;
    _cleanup_free_ char *path = xasprintf("%s/%s", s->dir, below);
    assert_int_equal(fs_make_dirs(io_real(), AT_FDCWD, path, 0755, &err), 0);
}

static void check_ran(struct scene *s, const char *wanted)
{
    _cleanup_buf_ struct buf with = { 0 };
    for (const char *p = wanted; *p != '\0'; p++)
        if (*p == '~')
            buf_add_str(&with, s->dir);
        else
            buf_add_char(&with, *p);
    assert_string_equal(buf_str(&s->ran), buf_str(&with));
    buf_reset(&s->ran);
}

static bool is_written_down(const struct scene *s)
{
    _cleanup_free_ char *path = xasprintf("%s/" VIEWS_FILE, s->state_dir);
    return access(path, F_OK) == 0;
}

static void take(struct scene *s)
{
    struct error err;
    if (views_take(&s->views, &s->facts, &err) < 0)
        fail_msg("%s", err.text);
}

static void release(struct scene *s)
{
    struct error err;
    if (views_release(&s->views, &s->facts, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(s->views.count, 0);
    assert_false(is_written_down(s));
}

// A view in the place it would be mounted is a directory the test made; with a mount the directory is in the mounts file too.
static void check_lvm(const char *filesystem, const char *lvs, uint64_t size, const char *make, const char *mount)
{
    struct scene s;
    setup(&s, filesystem, "/dev/mapper/vg-srv");
    s.lvs = lvs;
    s.sources[0].snapshot.size_bytes = size;
    make_view(&s, "state/bkd-p-0/erp");
    take(&s);
    _cleanup_free_ char *wanted = xasprintf("lvs --noheadings --separator , -o vg_name,lv_name,pool_lv /dev/mapper/vg-srv\n%s\n"
                                            "mount -t %s -o %s /dev/vg/bkd-p-0 ~/state/bkd-p-0\n", make, filesystem, mount);
    check_ran(&s, wanted);
    _cleanup_free_ char *path = xasprintf("%s/state/bkd-p-0/erp", s.dir);
    assert_string_equal(views_path(&s.views, s.source), path);
    assert_true(is_written_down(&s));
    (void)rmdir(path);
    release(&s);
    check_ran(&s, "lvremove --force --yes vg/bkd-p-0\n"); // no umount: nothing is mounted
    teardown(&s);
}

static void test_lvm(void **state)
{
    (void)state;
    check_lvm("ext4", "vg,srv,", 0, "lvcreate --snapshot --extents 10%ORIGIN --name bkd-p-0 vg/srv", "ro,nosuid,nodev,noexec");
    check_lvm("xfs", "vg,srv,", 1 << 30, "lvcreate --snapshot --size 1073741824b --name bkd-p-0 vg/srv", "ro,nosuid,nodev,noexec,nouuid");
    check_lvm("xfs", "vg,srv,pool0", 1 << 30, "lvcreate --snapshot --setactivationskip n --name bkd-p-0 vg/srv", "ro,nosuid,nodev,noexec,nouuid");
}

static void test_lvm_is_unmounted(void **state)
{
    (void)state;
    struct scene s;
    setup(&s, "ext4", "/dev/mapper/vg-srv");
    make_view(&s, "state/bkd-p-0/erp");
    take(&s);
    _cleanup_free_ char *line = xasprintf("9 1 253:3 / %s/state/bkd-p-0 ro - ext4 /dev/mapper/vg-bkd--p--0 ro\n", s.dir), *path = xasprintf("%s/state/bkd-p-0/erp", s.dir);
    FILE *file = fopen(s.mounts, "a");
    assert_non_null(file);
    assert_true(fputs(line, file) >= 0 && fclose(file) == 0);
    (void)rmdir(path);
    buf_reset(&s.ran);
    release(&s);
    check_ran(&s, "umount ~/state/bkd-p-0\nlvremove --force --yes vg/bkd-p-0\n");
    teardown(&s);
}

// What was made when a later step fails is released; what the failing step would have made is not there and is not asked for.
static void test_a_failure_half_way(void **state)
{
    (void)state;
    struct error err;
    struct scene s;
    setup(&s, "ext4", "/dev/mapper/vg-srv");
    s.fails = "mount";
    assert_int_equal(views_take(&s.views, &s.facts, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "snapshot (lvm) of source '"));
    assert_true(is_written_down(&s));
    buf_reset(&s.ran);
    release(&s);
    check_ran(&s, "lvremove --force --yes vg/bkd-p-0\n");
    s.fails = "lvcreate";
    assert_int_equal(views_take(&s.views, &s.facts, &err), ERROR_FAILED);
    buf_reset(&s.ran);
    release(&s);
    check_ran(&s, "");
    teardown(&s);
}

// Nothing of anybody else's is removed: what has the name already, and was not left by a run of ours, is in the way.
static void test_strangers_stay(void **state)
{
    (void)state;
    struct error err;
    struct scene s;
    setup(&s, "ext4", "/dev/mapper/vg-srv");
    s.made = true;
    assert_int_equal(views_take(&s.views, &s.facts, &err), ERROR_EXISTS);
    assert_non_null(strstr(err.text, "lvremove vg/bkd-p-0"));
    buf_reset(&s.ran);
    release(&s);
    check_ran(&s, "");
    assert_true(s.made);
    teardown(&s);
}

static void test_what_a_killed_run_left(void **state)
{
    (void)state;
    struct error err;
    struct scene s;
    setup(&s, "zfs", "tank/srv");
    s.sources[0].snapshot.type = POLICY_SNAPSHOT_ZFS;
    make_view(&s, "srv/.zfs/snapshot/bkd-p-0/erp");
    take(&s);
    check_ran(&s, "zfs snapshot tank/srv@bkd-p-0\n");
    views_done(&s.views); // the run is killed
    s.policy.source_count = 0; // and the policy changed
    views_init(&s.views, &s.system, &s.policy, s.state_dir);
    s.fails = "zfs destroy"; // first it cannot be released
    assert_int_equal(views_release_left(&s.views, &s.facts, &err), ERROR_FAILED);
    assert_true(is_written_down(&s));
    views_done(&s.views);
    views_init(&s.views, &s.system, &s.policy, s.state_dir);
    s.fails = NULL;
    buf_reset(&s.ran);
    assert_int_equal(views_release_left(&s.views, &s.facts, &err), 0);
    check_ran(&s, "zfs destroy tank/srv@bkd-p-0\n");
    assert_false(is_written_down(&s));
    assert_int_equal(views_release_left(&s.views, &s.facts, &err), 0);
    check_ran(&s, "");
    teardown(&s);
}

static void test_the_wrong_kind(void **state)
{
    (void)state;
    struct error err;
    struct scene s;
    setup(&s, "ext4", "/dev/sdb1");
    s.sources[0].snapshot.type = POLICY_SNAPSHOT_ZFS;
    assert_int_equal(views_take(&s.views, &s.facts, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "it is on ext4, not on zfs"));
    s.sources[0].snapshot.type = POLICY_SNAPSHOT_BTRFS;
    assert_int_equal(views_take(&s.views, &s.facts, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "it is not on btrfs"));
    s.sources[0].snapshot.type = POLICY_SNAPSHOT_LVM;
    s.fails = "lvs";
    assert_int_equal(views_take(&s.views, &s.facts, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "which is no logical volume"));
    assert_false(is_written_down(&s));
    teardown(&s);
}

// ---- with real programs

static void use_commands(struct scene *s, struct policy_list create, struct policy_list release_list)
{
    view_system_init(&s->system, io_real(), NULL, NULL);
    s->sources[0].snapshot.type = POLICY_SNAPSHOT_COMMAND;
    s->sources[0].snapshot.create = create;
    s->sources[0].snapshot.release = release_list;
}

#define LIST(...) (struct policy_list){ .items = (char *[]){ __VA_ARGS__, NULL }, .count = sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *) }
#define SH(script, dir) LIST((char *)"sh", (char *)"-c", (char *)script, dir)

static bool is_there(const struct scene *s, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", s->dir, name);
    return access(path, F_OK) == 0;
}

static void test_command(void **state)
{
    (void)state;
    struct scene s;
    setup(&s, "ext4", "/dev/sda1");
    use_commands(&s, SH("mkdir $0/view && echo making && echo \"  $0/view \"", s.dir),
                 SH("rmdir \"$BKD_SNAPSHOT_MOUNT\" && echo $BKD_SNAPSHOT_NAME $BKD_SOURCE >$0/released", s.dir));
    take(&s);
    _cleanup_free_ char *view = xasprintf("%s/view", s.dir);
    assert_string_equal(views_path(&s.views, s.source), view);
    release(&s);
    assert_false(is_there(&s, "view"));
    assert_true(is_there(&s, "released"));
    teardown(&s);
}

static void refuse_view(const char *script, const char *part)
{
    struct error err;
    struct scene s;
    setup(&s, "ext4", "/dev/sda1");
    use_commands(&s, SH(script, s.dir), SH(": >$0/released", s.dir));
    assert_true(views_take(&s.views, &s.facts, &err) < 0);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, part);
    release(&s); // a command that failed may have made something
    assert_true(is_there(&s, "released"));
    teardown(&s);
}

static void test_commands_that_fail(void **state)
{
    (void)state;
    refuse_view("echo no room >&2; exit 7", "'sh' exited with status 7: no room");
    refuse_view("true", "must be an absolute path, not ''");
    refuse_view("echo view", "must be an absolute path, not 'view'");
    refuse_view("echo $0/none", "No such file or directory");
    refuse_view(": >$0/file; echo $0/file", "of another type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lvm),
        cmocka_unit_test(test_lvm_is_unmounted),
        cmocka_unit_test(test_a_failure_half_way),
        cmocka_unit_test(test_strangers_stay),
        cmocka_unit_test(test_what_a_killed_run_left),
        cmocka_unit_test(test_the_wrong_kind),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_commands_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
