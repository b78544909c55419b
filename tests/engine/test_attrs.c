// Extended attributes and inode flags: against getfattr, of every type of file, and through a backup.
#include "tests/engine/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/xattr.h>

#include "bkd/engine/attrs.h"

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

static char *attrs_of(struct lab *lab, const char *name, int flags)
{
    struct error err;
    struct buf text = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/%s", lab->source, name);
    int fd = open(path, flags | O_CLOEXEC);
    assert_true(fd >= 0);
    scratch_ok(attrs_read_xattrs(io_real(), fd, path, &text, &err), &err);
    assert_int_equal(close(fd), 0);
    buf_add_str(&text, "");
    return buf_take_str(&text);
}

// What getfattr prints for the same file, sorted, without its first line; names that begin with "security." come from elsewhere.
static void expect_as_getfattr(struct lab *lab, const char *name, int flags)
{
    _cleanup_free_ char *got = attrs_of(lab, name, flags);
    struct scratch s;
    (void)snprintf(s.dir, sizeof s.dir, "%s", lab->dir);
    scratch_write(&s, "got", got == NULL ? "" : got, got == NULL ? 0 : strlen(got));
    _cleanup_free_ char *script = xasprintf("getfattr --absolute-names -h -m - -d -e hex $SRC/%s | sed '/^#/d; /^$/d' | sort >expected; diff expected got >&2", name);
    lab_sh(lab, script);
}

static void set(struct lab *lab, const char *name, const char *attribute, const void *value, size_t n)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", lab->source, name);
    if (lsetxattr(path, attribute, value, n, 0) == 0)
        return;
    if (errno == ENOTSUP)
        skip();
    fail_msg("%s: %s", attribute, strerror(errno));
}

static void need_getfattr(void)
{
    if (system("command -v getfattr >/dev/null && command -v setfacl >/dev/null") != 0)
        skip();
}

static void test_as_getfattr_prints(void **state)
{
    struct lab *lab = *state;
    char big[3000];
    need_getfattr();
    memset(big, 0xa5, sizeof big);
    lab_file(lab, "f", "x");
    lab_file(lab, "plain", "x");
    lab_sh(lab, "mkdir $SRC/d; ln -s f $SRC/l");
    set(lab, "f", "user.z", "last", 4);
    set(lab, "f", "user.empty", "", 0);
    set(lab, "f", "user.binary", "\0\xff\n=", 4);
    set(lab, "f", "user.big", big, sizeof big);
    set(lab, "d", "user.of-a-directory", "1", 1);
    lab_sh(lab, "setfacl -m u:12345:rw- $SRC/f; setfacl -d -m g:54321:r-x $SRC/d");
    expect_as_getfattr(lab, "f", O_RDONLY);
    expect_as_getfattr(lab, "f", O_PATH | O_NOFOLLOW);
    expect_as_getfattr(lab, "d", O_PATH | O_NOFOLLOW);
    expect_as_getfattr(lab, "plain", O_RDONLY);
    _cleanup_free_ char *none = attrs_of(lab, "plain", O_RDONLY);
    assert_true(none == NULL || strstr(none, "user.") == NULL);
    // A link's own, which only privileged programs may set, not its target's.
    _cleanup_free_ char *link = attrs_of(lab, "l", O_PATH | O_NOFOLLOW);
    assert_true(link == NULL || strstr(link, "user.z") == NULL);
}

// Odd names are escaped more than getfattr does, and setfattr reads them back.
static void test_setfattr_reads_it(void **state)
{
    struct lab *lab = *state;
    struct scratch s;
    need_getfattr();
    lab_file(lab, "f", "x");
    lab_file(lab, "g", "x");
    set(lab, "f", "user.odd name=\\\x01\n\xc3\xa9#", "v", 1);
    set(lab, "f", "user.plain", "\0", 1);
    set(lab, "f", "user.empty", "", 0);
    _cleanup_free_ char *got = attrs_of(lab, "f", O_RDONLY);
    assert_string_equal(got, "user.empty=0x\nuser.odd\\040name\\075\\134\\001\\012\\303\\251#=0x76\nuser.plain=0x00\n");
    _cleanup_free_ char *text = xasprintf("# file: g\n%s", got);
    (void)snprintf(s.dir, sizeof s.dir, "%s", lab->dir);
    scratch_write(&s, "dump", text, strlen(text));
    lab_sh(lab, "cd $SRC && setfattr --restore=../dump");
    _cleanup_free_ char *copy = attrs_of(lab, "g", O_RDONLY);
    assert_string_equal(copy, got);
}

static void test_flags(void **state)
{
    struct lab *lab = *state;
    lab_file(lab, "f", "x");
    if (system("command -v chattr >/dev/null") != 0)
        skip();
    _cleanup_free_ char *path = xasprintf("%s/f", lab->source);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *command = xasprintf("chattr +dA '%s' 2>/dev/null", path);
    assert_int_equal(attrs_read_flags(fd), 0);
    if (system(command) == 0)
        assert_int_equal(attrs_read_flags(fd), FS_NODUMP_FL | FS_NOATIME_FL);
    assert_int_equal(close(fd), 0);
    assert_int_equal(attrs_read_flags(-1), 0);
}

// Attributes are stored once however many files have them, and a change of them alone stores nothing else.
static void test_through_a_backup(void **state)
{
    struct lab *lab = *state;
    need_getfattr();
    lab_noise(lab, "large", 1, 300000);
    lab_sh(lab, "mkdir $SRC/d; for i in 1 2 3 4 5; do seq $i >$SRC/$i; done; : >$SRC/empty; mkfifo $SRC/p");
    static const char *const names[] = { "1", "2", "empty", "d", "large", "3" };
    for (size_t i = 0; i < 6; i++)
        set(lab, names[i], "user.same", "value", 5);
    (void)lab_backup(lab);
    struct place place = { 0 };
    for (size_t i = 0; i < 6; i++) {
        struct manifest_entry e = lab_entry(lab, names[i]);
        assert_true(place_is_set(&e.xattr));
        assert_true(i == 0 || memcmp(&place, &e.xattr, sizeof place) == 0);
        place = e.xattr;
        manifest_entry_done(&e);
    }
    struct manifest_entry without = lab_entry(lab, "4");
    assert_false(place_is_set(&without.xattr));
    manifest_entry_done(&without);
    set(lab, "large", "user.same", "other", 5);
    set(lab, "4", "user.same", "value", 5);
    struct backup_result second = lab_backup(lab);
    assert_in_range(second.bytes_stored, 1, 3000);
    struct manifest_entry now = lab_entry(lab, "4"), large = lab_entry(lab, "large");
    assert_memory_equal(&now.xattr, &place, sizeof place); // known from the first night
    assert_memory_not_equal(&large.xattr, &place, sizeof place);
    manifest_entry_done(&now);
    manifest_entry_done(&large);
    _cleanup_free_ char *target = lab_restore(lab, "2");
    _cleanup_free_ char *script = xasprintf("dump() { (cd \"$1\" && find . -print0 | sort -z | xargs -0 getfattr -h -m - -d -e hex 2>/dev/null); }\n"
                                            "dump $SRC >expected; dump %s%s >got; grep -q user.same expected; diff expected got >&2",
                                            target, lab->source);
    lab_sh(lab, script);
}

// Flags of directories, and space that is reserved and not written.
static void test_flags_and_space_through_a_backup(void **state)
{
    struct lab *lab = *state;
    lab_sh(lab, "mkdir $SRC/d; fallocate -l 1M $SRC/reserved && sync -f $SRC/reserved || :; truncate -s 1M $SRC/hole; chattr +d $SRC/d 2>/dev/null || rmdir $SRC/d");
    (void)lab_backup(lab);
    _cleanup_free_ char *dir = xasprintf("%s/d", lab->source), *reserved = xasprintf("%s/reserved", lab->source);
    struct stat st;
    if (stat(dir, &st) == 0) {
        struct manifest_entry e = lab_entry(lab, "d");
        assert_int_equal(e.flags, FS_NODUMP_FL);
        manifest_entry_done(&e);
    }
    if (stat(reserved, &st) == 0 && st.st_size > 0 && st.st_blocks * 512 >= st.st_size) {
        struct manifest_entry e = lab_entry(lab, "reserved");
        assert_int_equal(e.notes, MANIFEST_PREALLOCATED);
        manifest_entry_done(&e);
    }
    struct manifest_entry hole = lab_entry(lab, "hole");
    assert_int_equal(hole.notes, 0);
    manifest_entry_done(&hole);
    (void)lab_backup(lab); // what is kept is kept as it was
    _cleanup_free_ char *target = lab_restore(lab, "2");
    _cleanup_free_ char *script = xasprintf("maps() { (cd \"$1\" && stat -c '%%n %%s %%b' hole reserved; lsattr -d d 2>/dev/null); }\n"
                                            "maps $SRC >expected; maps %s%s >got; diff expected got >&2",
                                            target, lab->source);
    lab_sh(lab, script);
}

static struct manifest_entry kept_entry(struct lab *lab)
{
    struct manifest_entry e = lab_entry(lab, "f");
    assert_true(place_is_set(&e.xattr) && place_is_set(&e.at));
    assert_int_not_equal(e.xattr.object, e.at.object);
    return e;
}

// A file whose attributes lie in another object than its content is left alone for nights: both objects stay needed.
static void test_kept_line_needs_its_attributes(void **state)
{
    struct lab *lab = *state;
    struct error err;
    lab_file(lab, "f", "content");
    (void)lab_backup(lab);
    set(lab, "f", "user.later", "value", 5);
    lab_settle();
    (void)lab_backup(lab);
    struct backup_result third = lab_backup(lab);
    assert_int_equal(third.bytes_read, 0);
    struct manifest_entry e = kept_entry(lab);
    struct store *store = NULL;
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    const struct repository_head *head = NULL;
    scratch_ok(store_open(io_real(), lab->repo, NULL, false, &store, &err), &err);
    scratch_ok(repository_open(io_real(), store, lab->signers, &repository, &err), &err);
    scratch_ok(repository_find(repository, NULL, "latest", &head, &err), &err);
    scratch_ok(repository_read_refs(repository, &head->head, &refs, &err), &err);
    assert_int_equal(head->number, 3);
    const struct format_ref *of_attributes = format_refs_find(&refs, e.xattr.object), *of_content = format_refs_find(&refs, e.at.object);
    assert_non_null(of_attributes);
    assert_non_null(of_content);
    // Their object is lost: they are stored once more.
    _cleanup_free_ char *name = format_object_name(of_attributes->sha256, false);
    _cleanup_free_ char *script = xasprintf("rm $REPO/%s", name);
    lab_sh(lab, script);
    (void)lab_backup(lab);
    struct manifest_entry anew = lab_entry(lab, "f");
    assert_int_not_equal(anew.xattr.object, e.xattr.object);
    manifest_entry_done(&anew);
    manifest_entry_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_getfattr_prints, setup, teardown),
        cmocka_unit_test_setup_teardown(test_setfattr_reads_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_through_a_backup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_line_needs_its_attributes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags_and_space_through_a_backup, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
