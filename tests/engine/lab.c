#include "tests/engine/lab.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/codec/sshkey.h"
#include "bkd/repo/snapshot.h"
#include "bkd/repo/verify.h"
#include "restore/run.h"

static void no_progress(void *arg, const char *phase, uint64_t bytes, uint64_t total_bytes, uint64_t files, uint64_t total_files)
{
    (void)arg, (void)phase, (void)bytes, (void)total_bytes, (void)files, (void)total_files;
}

static void note_problem(void *arg, const struct scan_problem *problem)
{
    struct lab *lab = arg;
    buf_addf(&lab->problems, "%s: %s\n", problem->path, problem->reason);
}

static void make_keys(struct lab *lab)
{
    struct sshkey key;
    _cleanup_buf_ struct buf line = { 0 };
    sshkey_new(io_real(), &key);
    sshkey_format(io_real(), &key, "test", &lab->key);
    sshkey_public_format(key.public_key, NULL, &line);
    lab->signers = xasprintf("bkd %s\n", buf_str(&line));
    age_identity_new(io_real(), &lab->identity);
    sshkey_done(&key);
}

static void make_repository(struct lab *lab, bool encrypted, uint64_t object_size)
{
    struct error err;
    struct store *store = NULL;
    struct format_repository info = { .created_ns = UINT64_C(1700000000) * 1000000000, .encrypted = encrypted, .piece_size = 16777216, .object_size = object_size };
    memset(info.id, 0x11, sizeof info.id);
    scratch_ok(store_open(io_real(), lab->repo, NULL, true, &store, &err), &err);
    scratch_ok(repository_create(io_real(), store, &info, (const char *)lab->key.data, lab->key.len, "#!/bin/sh\n", "by hand\n", &err), &err);
    store_close(store);
}

void lab_init(struct lab *lab, bool encrypted, uint64_t object_size)
{
    *lab = (struct lab){ .dir = "/tmp/bkd-test-XXXXXX", .n_sources = 1, .io = io_real() };
    assert_non_null(mkdtemp(lab->dir));
    log_set_level(LOG_LEVEL_ERROR);
    lab->source = xasprintf("%s/source", lab->dir);
    lab->repo = xasprintf("%s/repo", lab->dir);
    lab->state = xasprintf("%s/state", lab->dir);
    lab->policy_state = xasprintf("%s/policies/test", lab->state);
    assert_int_equal(mkdir(lab->source, 0755), 0);
    make_keys(lab);
    make_repository(lab, encrypted, object_size == 0 ? 134217728 : object_size);
    lab->sources[0] = (struct scan_source){ .path = lab->source };
    lab->options = (struct backup_options){
        .state_dir = lab->state, .policy = "test", .host = "host", .repository = lab->repo, .signers = lab->signers,
        .signing_key = lab->key.data, .signing_key_len = lab->key.len, .recipients = &lab->identity.recipient, .n_recipients = encrypted ? 1 : 0,
        .compare_inode = true, .compression_level = 1, .delta_max_chain = 14, .delta_max_share_percent = 50, .jobs = 2,
        .progress = no_progress, .problem = note_problem, .arg = lab,
    };
}

void lab_done(struct lab *lab)
{
    scratch_run("chmod -R u+rwX '%s' 2>/dev/null; rm -rf '%s'", lab->dir, lab->dir);
    free(lab->source);
    free(lab->repo);
    free(lab->state);
    free(lab->policy_state);
    free(lab->signers);
    buf_done(&lab->key);
    buf_done(&lab->problems);
}

void lab_sh(const struct lab *lab, const char *script)
{
    assert_int_equal(setenv("SRC", lab->source, 1), 0);
    assert_int_equal(setenv("REPO", lab->repo, 1), 0);
    assert_int_equal(setenv("STATE", lab->policy_state, 1), 0);
    _cleanup_free_ char *line = xasprintf("cd '%s' && LC_ALL=C; export LC_ALL; set -e\n%s", lab->dir, script);
    int rc = system(line);
    if (rc != 0)
        fail_msg("'%s' ended with %d", script, rc);
}

static int open_source(const struct lab *lab, const char *name, int flags)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", lab->source, name);
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        fail_msg("cannot open %s", path);
    return fd;
}

static void write_noise(int fd, uint64_t seed, uint64_t offset, size_t n)
{
    _cleanup_free_ char *data = xmalloc(n + 8);
    uint64_t state = seed * 2654435761u + 1;
    scratch_fill(&state, (uint8_t *)data, n);
    assert_int_equal(pwrite(fd, data, n, (off_t)offset), n);
    assert_int_equal(close(fd), 0);
}

void lab_noise(const struct lab *lab, const char *name, uint64_t seed, size_t n) { write_noise(open_source(lab, name, O_WRONLY | O_CREAT | O_TRUNC), seed, 0, n); }
void lab_scribble(const struct lab *lab, const char *name, uint64_t seed, uint64_t offset, size_t n) { write_noise(open_source(lab, name, O_WRONLY), seed, offset, n); }

void lab_file(const struct lab *lab, const char *name, const char *text)
{
    int fd = open_source(lab, name, O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

// The clock files are stamped with may lag by 10 ms.
void lab_settle(void) { (void)nanosleep(&(struct timespec){ .tv_nsec = 25000000 }, NULL); }

int lab_try(struct lab *lab, struct backup_result *ret_result, struct error *err)
{
    buf_reset(&lab->problems);
    lab->options.sources = lab->sources;
    lab->options.n_sources = lab->n_sources;
    *err = (struct error){ 0 };
    return backup_run(lab->io, &lab->options, ret_result, err);
}

struct backup_result lab_backup(struct lab *lab)
{
    struct error err;
    struct backup_result result = { 0 };
    lab_settle();
    scratch_ok(lab_try(lab, &result, &err), &err);
    return result;
}

static struct repository *open_repository(struct lab *lab)
{
    struct error err;
    struct store *store = NULL;
    struct repository *repository = NULL;
    scratch_ok(store_open(io_real(), lab->repo, NULL, false, &store, &err), &err);
    scratch_ok(repository_open(io_real(), store, lab->signers, &repository, &err), &err);
    return repository;
}

static void open_snapshot(struct lab *lab, const struct repository *repository, const char *name, struct snapshot *ret_snapshot)
{
    struct error err;
    const struct repository_head *head = NULL;
    scratch_ok(repository_find(repository, NULL, name, &head, &err), &err);
    scratch_ok(snapshot_open(repository, head, &lab->identity, lab->options.n_recipients, ret_snapshot, &err), &err);
}

char *lab_restore(struct lab *lab, const char *name)
{
    struct error err = { 0 };
    struct report report = { 0 };
    struct timing timing;
    _cleanup_repository_ struct repository *repository = open_repository(lab);
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    open_snapshot(lab, repository, name, &snapshot);
    char *target = xasprintf("%s/restored-%u", lab->dir, ++lab->restores);
    struct run_options options = { .target = target, .quiet = true, .jobs = 2 };
    timing_init(&timing, io_real());
    mode_t mask = umask(0);
    int r = run_restore(io_real(), &snapshot, &options, &timing, &report, &err);
    (void)umask(mask);
    scratch_ok(r, &err);
    return target;
}

void lab_assert_restores(struct lab *lab, const char *snapshot, const char *expected)
{
    _cleanup_free_ char *target = lab_restore(lab, snapshot);
    _cleanup_free_ char *script =
        xasprintf("list() { (cd \"$1\" && find . -type d -printf '%%p d %%m %%U %%G %%T@\\n' -o -printf '%%p %%y %%m %%n %%U %%G %%T@ %%s %%l\\n' | sort\n"
                  "    find . -type f -print0 | sort -z | xargs -0r sha256sum); }\n"
                  "list '%s' >expected; list '%s%s' >got; diff expected got >&2\n"
                  "rm -rf '%s'",
                  expected == NULL ? lab->source : expected, target, lab->source, target);
    lab_sh(lab, script);
}

char *lab_copy(const struct lab *lab, const char *name)
{
    char *path = xasprintf("%s/%s", lab->dir, name);
    scratch_run("rm -rf '%s' && cp -a '%s' '%s'", path, lab->source, path);
    return path;
}

char *lab_manifest(struct lab *lab)
{
    struct error err;
    _cleanup_repository_ struct repository *repository = open_repository(lab);
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/manifest-text", lab->dir);
    struct buf text = { 0 };
    open_snapshot(lab, repository, "latest", &snapshot);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    scratch_ok(snapshot_fetch_manifest(&snapshot, fd, "manifest-text", &err), &err);
    assert_int_equal(close(fd), 0);
    scratch_ok(fs_read_file(io_real(), AT_FDCWD, path, 64 << 20, &text, &err), &err);
    return buf_take_str(&text);
}

struct manifest_entry lab_entry(struct lab *lab, const char *name)
{
    struct error err;
    struct manifest_entry entry = { 0 };
    _cleanup_free_ char *text = lab_manifest(lab), *path = xasprintf("%s/%s", lab->source, name);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        scratch_ok(manifest_parse(line, strcspn(line, "\n"), &entry, &err), &err);
        if (strcmp(buf_str(&entry.path), path) == 0)
            return entry;
    }
    fail_msg("%s is not in the manifest", path);
    return entry;
}

struct recipe lab_recipe(struct lab *lab, const char *name)
{
    struct error err;
    struct recipe recipe = { 0 };
    struct manifest_entry entry = lab_entry(lab, name);
    _cleanup_repository_ struct repository *repository = open_repository(lab);
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    open_snapshot(lab, repository, "latest", &snapshot);
    assert_true(place_is_set(&entry.version));
    scratch_ok(snapshot_read_recipe(&snapshot, &entry.version, &recipe, &err), &err);
    assert_int_equal(recipe.size, entry.size);
    manifest_entry_done(&entry);
    return recipe;
}

static void print_finding(void *arg, const struct verify_finding *finding)
{
    struct lab *lab = arg;
    if (finding->severity == VERIFY_ALARM)
        buf_addf(&lab->problems, "%s: %s\n", finding->file, finding->reason);
}

void lab_assert_sound(struct lab *lab)
{
    struct error err;
    struct verify_totals totals = { 0 };
    _cleanup_repository_ struct repository *repository = open_repository(lab);
    int scratch = open(lab->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct verify_options options = {
        .signers = lab->signers, .read_data = true, .identities = &lab->identity, .n_identities = lab->options.n_recipients, .jobs = 2,
        .scratch_dirfd = scratch, .finding = print_finding, .arg = lab,
    };
    buf_reset(&lab->problems);
    scratch_ok(verify_run(io_real(), repository, &options, &totals, &err), &err);
    assert_int_equal(close(scratch), 0);
    if (totals.alarms > 0)
        fail_msg("check: %s", buf_str(&lab->problems));
}

uint64_t lab_count_files(const struct lab *lab, const char *below)
{
    char command[256];
    unsigned long long n = 0;
    (void)snprintf(command, sizeof command, "find '%s/%s' -type f 2>/dev/null | wc -l", lab->dir, below);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%llu", &n), 1);
    assert_int_equal(pclose(p), 0);
    return n;
}
