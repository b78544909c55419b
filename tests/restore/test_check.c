// A check finds each flipped byte, each missing file, and names it; what is only left over is no alarm.
#include "tests/restore/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/repo/verify.h"

struct seen {
    const char *wanted; // file name
    unsigned alarms, named, notes, paths;
    struct buf text;
};

static void see(void *arg, const struct verify_finding *f)
{
    struct seen *s = arg;
    s->alarms += f->severity == VERIFY_ALARM;
    s->notes += f->severity == VERIFY_NOTE;
    s->named += f->severity == VERIFY_ALARM && s->wanted != NULL && strcmp(f->file, s->wanted) == 0;
    s->paths += f->path != NULL;
    buf_addf(&s->text, "%s: %s\n", f->file, f->reason);
}

// Returns what verify_run or opening the repository returned.
static int check(struct fixture *f, struct verify_options options, struct seen *s, struct verify_totals *totals, struct error *err)
{
    struct store *store;
    struct repository *repository = NULL;
    int scratch = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    options.signers = f->signers;
    options.finding = see;
    options.arg = s;
    options.jobs = 2;
    options.identities = &f->identity;
    options.n_identities = f->encrypted ? 1 : 0;
    options.scratch_dirfd = scratch;
    buf_reset(&s->text);
    s->alarms = s->named = s->notes = s->paths = 0;
    int r = store_open(io_real(), f->repo, NULL, false, &store, err);
    if (r == 0)
        r = repository_open(io_real(), store, f->signers, &repository, err);
    if (r == 0)
        r = verify_run(io_real(), repository, &options, totals, err);
    repository_close(repository);
    (void)close(scratch);
    return r;
}

static void fill(struct fixture *f)
{
    static uint8_t data[20 << 20];
    fixture_init(f, true);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int night = 0; night < 3; night++) {
        data[night] ^= 1;
        fixture_dir(f, "/", 0755);
        fixture_version(f, "/a", data, sizeof data, 0);
        fixture_file(f, "/b", 0644, data, 5000);
        fixture_file(f, "/c", 0644, data, 3 << 20);
        fixture_commit(f);
    }
}

static void test_whole(void **state)
{
    struct fixture f;
    struct seen s = { 0 };
    struct verify_totals totals;
    struct error err;
    (void)state;
    fill(&f);
    assert_int_equal(check(&f, (struct verify_options){ 0 }, &s, &totals, &err), 0);
    if (s.alarms + s.notes > 0)
        fail_msg("%s", buf_str(&s.text));
    assert_int_equal(totals.snapshots, 3);
    assert_int_equal(totals.objects, f.refs.n);
    assert_int_equal(check(&f, (struct verify_options){ .read_data = true }, &s, &totals, &err), 0);
    assert_int_equal(s.alarms, 0);
    assert_true(totals.pieces >= 3 * 3);
    buf_done(&s.text);
    fixture_done(&f);
}

#define FILES_MAX 64

static char *files[FILES_MAX];
static int n_files;

static int list_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F && st->st_size > 0 && n_files < FILES_MAX)
        files[n_files++] = xstrdup(path);
    return 0;
}

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

// Each stored file, at its beginning, middle and end.
static void test_every_flipped_byte_is_named(void **state)
{
    struct fixture f;
    struct seen s = { 0 };
    struct verify_totals totals;
    struct error err;
    (void)state;
    fill(&f);
    n_files = 0;
    assert_int_equal(nftw(f.repo, list_file, 16, FTW_PHYS), 0);
    assert_true(n_files >= 5 + 3 + 3 + 3);
    for (int i = 0; i < n_files; i++) {
        struct stat st;
        assert_int_equal(stat(files[i], &st), 0);
        off_t places[] = { 0, st.st_size / 2, st.st_size - 1 };
        for (int k = 0; k < 3; k++) {
            flip(files[i], places[k]);
            s.wanted = files[i] + strlen(f.repo) + 1;
            int r = check(&f, (struct verify_options){ 0 }, &s, &totals, &err);
            bool opened = r == 0;
            bool found = opened ? s.alarms > 0 && (s.named > 0 || strstr(buf_str(&s.text), "recover.sh") != NULL ||
                                                   strstr(buf_str(&s.text), "RECOVER.txt") != NULL)
                                : (r == ERROR_INTEGRITY || r == ERROR_FORMAT || r == ERROR_USAGE) && strstr(err.text, s.wanted) != NULL;
            if (!found)
                fail_msg("'%s' flipped at %lld: %d %s, %u alarms:\n%s", s.wanted, (long long)places[k], r, opened ? "" : err.text, s.alarms,
                         buf_str(&s.text));
            flip(files[i], places[k]);
        }
        free(files[i]);
    }
    assert_int_equal(check(&f, (struct verify_options){ 0 }, &s, &totals, &err), 0);
    assert_int_equal(s.alarms, 0);
    buf_done(&s.text);
    fixture_done(&f);
}

static void test_missing_and_surplus(void **state)
{
    struct fixture f;
    struct seen s = { 0 };
    struct verify_totals totals;
    struct error err;
    (void)state;
    fill(&f);
    _cleanup_free_ char *object = fixture_object_path(&f, 1);
    s.wanted = object + strlen(f.repo) + 1;
    fixture_run("mv '%s' '%s/kept'", object, f.dir);
    assert_int_equal(check(&f, (struct verify_options){ .quick = true }, &s, &totals, &err), 0);
    assert_int_equal(s.named, 1);
    fixture_run("head -c 1000 '%s/kept' >'%s'", f.dir, object);
    assert_int_equal(check(&f, (struct verify_options){ 0 }, &s, &totals, &err), 0);
    assert_int_equal(s.named, 1); // the size; not once more for the hash
    fixture_run("chmod u+w '%s'; cp '%s/kept' '%s'; echo x >'%s/objects/stray'; echo y >'%s/strange'", object, f.dir, object, f.repo,
                f.repo);
    // An object that no snapshot names, right by itself, and one that is not.
    fixture_run(
        "h=$(echo z | sha256sum | cut -c1-64); d=$(echo $h | cut -c1-2); mkdir -p '%s/objects/'$d; echo z >'%s/objects/'$d/$h.tar.zst.age",
        f.repo, f.repo);
    assert_int_equal(check(&f, (struct verify_options){ 0 }, &s, &totals, &err), 0);
    assert_int_equal(s.alarms, 0);
    assert_int_equal(totals.unknown_files, 2);
    assert_int_equal(totals.leftover_files, 1);
    fixture_run("rm '%s/recover.sh'", f.repo);
    s.wanted = "recover.sh";
    assert_int_equal(check(&f, (struct verify_options){ 0 }, &s, &totals, &err), 0);
    assert_int_equal(s.named, 1);
    buf_done(&s.text);
    fixture_done(&f);
}

// What no hash of a stored file shows: content that decodes, but to something else than was recorded.
static void test_wrong_content(void **state)
{
    struct fixture f;
    struct seen s = { 0 };
    struct verify_totals totals;
    struct error err;
    (void)state;
    fixture_init(&f, true);
    fixture_dir(&f, "/", 0755);
    fixture_file(&f, "/a", 0644, "right", 5);
    struct place place = fixture_member(&f, "whole", "WRONG", 5);
    struct buf at = { 0 };
    place_format(&at, &place);
    fixture_line(&f, "/b f mode=0644 uid=0 gid=0 mtime=1.000000000 size=5 sha256=%064d at=%s", 1, buf_str(&at));
    fixture_commit(&f);
    assert_int_equal(check(&f, (struct verify_options){ 0 }, &s, &totals, &err), 0);
    assert_int_equal(s.alarms, 0);
    assert_int_equal(check(&f, (struct verify_options){ .read_data = true }, &s, &totals, &err), 0);
    assert_int_equal(s.alarms, 1);
    assert_int_equal(s.paths, 1);
    buf_done(&at);
    buf_done(&s.text);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_every_flipped_byte_is_named),
        cmocka_unit_test(test_missing_and_surplus),
        cmocka_unit_test(test_wrong_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
