// The key directory: what is made, what ssh-keygen and age say of it, that nothing is overwritten, and that a run cut off anywhere can be repeated.
#include "tests/codec/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/base/fs.h"
#include "bkd/codec/agekeys.h"
#include "bkd/codec/sshsig.h"
#include "bkd/host/keydir.h"

static const char *const files[] = { "signing", "signing.pub", "retention", "retention.pub", "operations.txt", "recovery.txt", "recipients.txt",
                                     "allowed_signers" };
#define N_FILES (sizeof files / sizeof *files)

static void path_of(const struct scratch *s, const char *below, char ret_path[192])
{
    (void)snprintf(ret_path, 192, "%s/%s", s->dir, below);
}

// Loads everything as the programs do and checks that the halves fit.
static void assert_complete(const struct scratch *s, const char *keys, const char *identities, const struct keydir *k)
{
    struct error err;
    char path[192];
    static const char *const keys_names[] = { "signing", "retention" };
    for (size_t i = 0; i < 2; i++) {
        _cleanup_sshkey_ struct sshkey key;
        (void)snprintf(path, sizeof path, "%s/%s/%s", s->dir, keys, keys_names[i]);
        scratch_ok(sshkey_load(io_real(), AT_FDCWD, path, &key, &err), &err);
        assert_memory_equal(key.public_key, i == 0 ? k->signing : k->retention, CURVE_KEY_SIZE);
    }
    static const char *const identity_names[] = { "operations.txt", "recovery.txt" };
    for (size_t i = 0; i < 2; i++) {
        _cleanup_age_identities_ struct age_identities found = { 0 };
        (void)snprintf(path, sizeof path, "%s/%s/%s", s->dir, identities, identity_names[i]);
        scratch_ok(age_identities_load(io_real(), AT_FDCWD, path, NULL, &found, &err), &err);
        assert_int_equal(found.n, 1);
        assert_memory_equal(&found.list[0].recipient, i == 0 ? &k->operations : &k->recovery, sizeof k->operations);
    }
    _cleanup_age_recipients_ struct age_recipients recipients = { 0 };
    (void)snprintf(path, sizeof path, "%s/%s/recipients.txt", s->dir, keys);
    scratch_ok(age_recipients_load(io_real(), AT_FDCWD, path, 2, &recipients, &err), &err);
    assert_int_equal(recipients.n, 2);
    assert_memory_equal(&recipients.list[0], &k->operations, sizeof k->operations);
    assert_memory_equal(&recipients.list[1], &k->recovery, sizeof k->recovery);
    _cleanup_signers_ struct signers signers = { 0 };
    const struct signers_entry *e = NULL;
    (void)snprintf(path, sizeof path, "%s/%s/allowed_signers", s->dir, keys);
    scratch_ok(signers_load(io_real(), AT_FDCWD, path, &signers, &err), &err);
    static const char *const signing_uses[] = { "bkd-repository@v1", "bkd-head@v1", "bkd-record@v1", "bkd-recover@v1" };
    for (size_t i = 0; i < 4; i++) {
        scratch_ok(signers_find(&signers, k->signing, signing_uses[i], 0, "bkd@db1.example", &e, &err), &err);
        assert_true(signers_find(&signers, k->retention, signing_uses[i], 0, NULL, &e, &err) < 0);
    }
    scratch_ok(signers_find(&signers, k->retention, "bkd-retention@v1", 0, NULL, &e, &err), &err);
    assert_true(signers_find(&signers, k->signing, "bkd-retention@v1", 0, NULL, &e, &err) < 0);
}

static void test_made(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    char dir[192], path[256];
    struct error err;
    struct keydir k;
    path_of(&s, "etc/keys", dir);
    mode_t old = umask(0);
    scratch_ok(keydir_init(io_real(), &(struct keydir_options){ .keys_dir = dir, .host = "db1.example" }, &k, &err), &err);
    (void)umask(old);
    assert_complete(&s, "etc/keys", "etc/keys", &k);
    assert_true(keydir_has_identity(io_real(), dir));
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (size_t i = 0; i < N_FILES; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    // Nothing else lies there.
    scratch_run("test $(ls -A %s | wc -l) = %zu", dir, N_FILES);
}

static void test_other_tools_agree(void **state)
{
    (void)state;
    if (system("command -v age >/dev/null 2>&1 && command -v ssh-keygen >/dev/null 2>&1") != 0)
        skip();
    _cleanup_scratch_ struct scratch s = scratch_new();
    char dir[192];
    struct error err;
    struct keydir k;
    path_of(&s, "keys", dir);
    scratch_ok(keydir_init(io_real(), &(struct keydir_options){ .keys_dir = dir, .host = "db1.example" }, &k, &err), &err);
    scratch_run("cd %s && echo head > h && ssh-keygen -q -Y sign -f signing -n bkd-head@v1 h 2>/dev/null && "
                "ssh-keygen -q -Y verify -f allowed_signers -I bkd@db1.example -n bkd-head@v1 -s h.sig < h >/dev/null",
                dir);
    scratch_run("cd %s && ! ssh-keygen -q -Y verify -f allowed_signers -I bkd-retention@db1.example -n bkd-head@v1 -s h.sig < h >/dev/null 2>&1", dir);
    scratch_run("cd %s && ssh-keygen -y -f retention | cmp - retention.pub", dir);
    scratch_run("cd %s && age -R recipients.txt -o h.age h && age -d -i operations.txt h.age | cmp - h && age -d -i recovery.txt h.age | cmp - h", dir);
    scratch_run("cd %s && test $(age-keygen -y operations.txt) = $(grep ^age1 recipients.txt | head -1)", dir);
}

static void test_nothing_is_overwritten(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    char dir[192];
    struct error err;
    struct keydir k;
    path_of(&s, "keys", dir);
    const struct keydir_options options = { .keys_dir = dir, .host = "db1.example" };
    scratch_ok(keydir_init(io_real(), &options, &k, &err), &err);
    scratch_run("cp -a %s %s.before", dir, dir);
    assert_int_equal(keydir_init(io_real(), &options, &k, &err), ERROR_EXISTS);
    scratch_run("diff -r %s %s.before", dir, dir);
    // The identities were taken off this host: still complete, no new ones appear.
    scratch_run("rm %s/operations.txt %s/recovery.txt", dir, dir);
    assert_int_equal(keydir_init(io_real(), &options, &k, &err), ERROR_EXISTS);
    assert_false(keydir_has_identity(io_real(), dir));
    // The signers file alone was lost: made again, for the same keys.
    scratch_run("rm %s/allowed_signers", dir);
    scratch_ok(keydir_init(io_real(), &options, &k, &err), &err);
    scratch_run("cmp %s/allowed_signers %s.before/allowed_signers", dir, dir);
    assert_false(keydir_has_identity(io_real(), dir));
}

static void test_identities_elsewhere(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    char dir[192], elsewhere[192];
    struct error err;
    struct keydir k;
    path_of(&s, "keys", dir);
    path_of(&s, "stick/bkd", elsewhere);
    scratch_ok(keydir_init(io_real(), &(struct keydir_options){ .keys_dir = dir, .identities_dir = elsewhere, .host = "db1.example" }, &k, &err), &err);
    assert_complete(&s, "keys", "stick/bkd", &k);
    assert_false(keydir_has_identity(io_real(), dir));
    assert_true(keydir_has_identity(io_real(), elsewhere));
    scratch_run("! grep -rl AGE-SECRET-KEY %s", dir);
}

static void test_keys_that_are_there(void **state)
{
    (void)state;
    if (system("command -v ssh-keygen >/dev/null 2>&1") != 0)
        skip();
    _cleanup_scratch_ struct scratch s = scratch_new();
    char dir[192];
    struct error err;
    struct keydir k;
    path_of(&s, "keys", dir);
    const struct keydir_options options = { .keys_dir = dir, .host = "db1.example" };
    scratch_run("mkdir -m 700 %s && ssh-keygen -q -t ed25519 -N '' -f %s/signing && cp -p %s/signing %s/own", dir, dir, dir, dir);
    scratch_run("chmod 640 %s/signing", dir);
    assert_int_equal(keydir_init(io_real(), &options, &k, &err), ERROR_KEY); // could be read by others
    scratch_run("chmod 600 %s/signing && cp %s/signing.pub %s/keep && echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea' > %s/signing.pub",
                dir, dir, dir, dir);
    assert_int_equal(keydir_init(io_real(), &options, &k, &err), ERROR_KEY); // another key's .pub
    scratch_run("cd %s && mv keep signing.pub", dir);
    scratch_ok(keydir_init(io_real(), &options, &k, &err), &err);
    scratch_run("cd %s && cmp signing own", dir);
    assert_complete(&s, "keys", "keys", &k);
    // A .pub without its key is no reason to make another key.
    scratch_run("cd %s && rm allowed_signers signing", dir);
    assert_int_equal(keydir_init(io_real(), &options, &k, &err), ERROR_KEY);
}

static void test_odd_host_names(void **state)
{
    (void)state;
    static const struct {
        const char *host, *principal;
    } cases[] = { { "a b*,!\"c", "bkd@a-b----c" }, { "", "bkd@localhost" }, { "x\ny", "bkd@x-y" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_scratch_ struct scratch s = scratch_new();
        char dir[192], path[256];
        struct error err;
        struct keydir k;
        path_of(&s, "keys", dir);
        scratch_ok(keydir_init(io_real(), &(struct keydir_options){ .keys_dir = dir, .host = cases[i].host }, &k, &err), &err);
        _cleanup_signers_ struct signers signers = { 0 };
        (void)snprintf(path, sizeof path, "%s/allowed_signers", dir);
        scratch_ok(signers_load(io_real(), AT_FDCWD, path, &signers, &err), &err);
        assert_int_equal(signers.n, 2);
        assert_string_equal(signers.list[0].principals, cases[i].principal);
    }
}

// ---- a run that ends at call N: everything that changes a file fails from then on, as when the machine stops

struct fault {
    long calls, stop_at;
};

static bool stopped(const struct io *self)
{
    struct fault *f = self->state;
    errno = EIO;
    return f->calls++ >= f->stop_at;
}

static int fault_openat(const struct io *self, int dirfd, const char *path, int flags, mode_t mode)
{
    return (flags & O_CREAT) != 0 && stopped(self) ? -1 : io_real()->openat(io_real(), dirfd, path, flags, mode);
}
static ssize_t fault_write(const struct io *self, int fd, const void *data, size_t n)
{
    if (!stopped(self))
        return io_real()->write(io_real(), fd, data, n);
    (void)!io_real()->write(io_real(), fd, data, n / 2); // torn
    errno = EIO;
    return -1;
}
static int fault_fsync(const struct io *self, int fd)
{
    return stopped(self) ? -1 : io_real()->fsync(io_real(), fd);
}
static int fault_mkdirat(const struct io *self, int dirfd, const char *path, mode_t mode)
{
    return stopped(self) ? -1 : io_real()->mkdirat(io_real(), dirfd, path, mode);
}
static int fault_unlinkat(const struct io *self, int dirfd, const char *path, int flags)
{
    return stopped(self) ? -1 : io_real()->unlinkat(io_real(), dirfd, path, flags);
}
static int fault_renameat2(const struct io *self, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    return stopped(self) ? -1 : io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
}

static void test_cut_off_anywhere(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        _cleanup_scratch_ struct scratch s = scratch_new();
        char dir[192], elsewhere[192];
        struct error err;
        struct keydir k;
        struct fault fault = { 0, n };
        struct io io = *io_real();
        io.openat = fault_openat;
        io.write = fault_write;
        io.fsync = fault_fsync;
        io.mkdirat = fault_mkdirat;
        io.unlinkat = fault_unlinkat;
        io.renameat2 = fault_renameat2;
        io.state = &fault;
        path_of(&s, "keys", dir);
        path_of(&s, "stick", elsewhere);
        const struct keydir_options options = { .keys_dir = dir, .identities_dir = elsewhere, .host = "db1.example" };
        int r = keydir_init(&io, &options, &k, &err);
        if (r == 0) {
            assert_true(n > 40); // every call was reached
            print_message("             cut off at each of %ld calls\n", n);
            return;
        }
        r = keydir_init(io_real(), &options, &k, &err);
        if (r == ERROR_EXISTS) // cut off after the last rename: complete
            continue;
        scratch_ok(r, &err);
        assert_complete(&s, "keys", "stick", &k);
        scratch_run("test $(ls -A %s %s | grep -c part) = 0", dir, elsewhere);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),           cmocka_unit_test(test_other_tools_agree),  cmocka_unit_test(test_nothing_is_overwritten),
        cmocka_unit_test(test_identities_elsewhere), cmocka_unit_test(test_keys_that_are_there), cmocka_unit_test(test_odd_host_names),
        cmocka_unit_test(test_cut_off_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
