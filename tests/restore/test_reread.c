// --verify: whatever is not on the disk as it was restored is found, and nothing else. It is changed between the end of the restore and the reading.
#include "tests/restore/fixture.h"

#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 16 << 20, HOLE = 5000 };

// What happens to the restored tree; run_options have no argument for it.
static const char *damage, *place;

// Asked after each step. As soon as the directory has its time, everything is in place, and only reading is left.
static bool do_damage(void)
{
    struct stat st;
    _cleanup_free_ char *dir = xasprintf("%s/t/d", place);
    if (damage != NULL && stat(dir, &st) == 0 && st.st_mtim.tv_sec == FIXTURE_MTIME_S) {
        fixture_run("cd '%s/t/d' && touch -r . ../../time && { %s; } && touch -r ../../time .", place, damage);
        damage = NULL;
    }
    return false;
}

static void make(struct fixture *f)
{
    _cleanup_free_ char *data = xmalloc(PIECE);
    for (size_t i = 0; i < PIECE; i++)
        data[i] = (char)(i * 131 + i / 509);
    fixture_init(f, false);
    fixture_dir(f, "/", 0755);
    fixture_dir(f, "/d", 0755);
    fixture_file(f, "/d/file", 0640, "hello\n", 6);
    fixture_line(f, "/d/link l mode=0777 uid=%u gid=%u mtime=%d.000000000 target=file", (unsigned)geteuid(), (unsigned)getegid(), FIXTURE_MTIME_S);
    f->unhashed = true;
    fixture_version(f, "/d/sparse", data, PIECE, HOLE);
    fixture_commit(f);
    place = f->dir;
}

// How many entries differ.
static uint64_t differing(struct fixture *f, const char *what)
{
    struct report report;
    struct error err = { 0 };
    const struct run_options options = { .verify = true, .quiet = true, .interrupted = do_damage };
    damage = what;
    int r = fixture_restore(f, "t", &options, &report, &err);
    assert_null(damage);
    assert_int_equal(r, report.count[REPORT_DIFFERS] == 0 ? 0 : ERROR_INTEGRITY);
    assert_int_equal(report.verified, 4);
    fixture_run("rm -r '%s/t'", f->dir);
    return report.count[REPORT_DIFFERS];
}

static void test_differences(void **state)
{
    static const struct {
        const char *what;
        unsigned differ;
    } cases[] = {
        { "true", 0 },
        { "touch -r file ../../t0; printf J | dd of=file bs=1 conv=notrunc 2>/dev/null; touch -r ../../t0 file", 1 }, // size and time as they were
        { "touch -r file ../../t0; echo >>file; touch -r ../../t0 file", 1 },
        { "touch -r file ../../t0; : >file; touch -r ../../t0 file", 1 },
        { "chmod 641 file", 1 },
        { "touch -d @1600000001 file", 1 },
        { "rm file", 1 },
        { "rm file; mkdir file", 1 },
        { "rm file; mkfifo file", 1 },
        { "touch -h -r link ../../t0; ln -sfn fild link; touch -h -r ../../t0 link", 1 },
        { "chmod 700 .", 1 },
        { "touch -r sparse ../../t0; printf X | dd of=sparse bs=1 seek=9999999 conv=notrunc 2>/dev/null; touch -r ../../t0 sparse", 1 },
        { "touch -r sparse ../../t0; printf X | dd of=sparse bs=1 seek=16780000 conv=notrunc 2>/dev/null; touch -r ../../t0 sparse", 1 }, // in the hole
        { "touch -r sparse ../../t0; printf '\\0' | dd of=sparse bs=1 seek=16780000 conv=notrunc 2>/dev/null; touch -r ../../t0 sparse", 0 }, // the same bytes
    };
    struct fixture f;
    (void)state;
    make(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (differing(&f, cases[i].what) != cases[i].differ)
            fail_msg("'%s' is taken for something else", cases[i].what);
    fixture_done(&f);
}

static void test_attributes(void **state)
{
    struct fixture f;
    (void)state;
    make(&f);
    _cleanup_free_ char *try = xasprintf("touch '%s/x' && setfattr -n user.x -v 1 '%s/x' 2>/dev/null", f.dir, f.dir);
    bool can = system(try) == 0;
    if (can)
        assert_int_equal(differing(&f, "setfattr -n user.x -v 1 file"), 1);
    fixture_done(&f);
    if (!can)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_differences), cmocka_unit_test(test_attributes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
