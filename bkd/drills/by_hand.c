#include "bkd/drills/by_hand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/env.h"
#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/codec/sshsig.h"
#include "bkd/dr/bare_root.h"
#include "bkd/dr/mtree_compare.h"
#include "bkd/dr/replica.h"
#include "bkd/host/programs.h"
#include "bkd/record/verifications.h"

enum { SCRIPT_MAX = 1 << 20, EXIT_INCOMPLETE = 3 };

struct by_hand {
    struct drilling *d;
    struct bare_root root;
    char *repository, *target, *listing, *sums; // outside; owned
    char *script;                               // within the root; owned
    uint64_t bytes, took_ns;                    // of the copy; of recover.sh
    uint64_t files;
};

static void by_hand_done(struct by_hand *h)
{
    bare_root_done(&h->root);
    free(h->repository);
    free(h->target);
    free(h->listing);
    free(h->sums);
    free(h->script);
}

static uint64_t now(const struct by_hand *h) { return io_monotonic_ns(h->d->setup.ctx->io); }

// The last line of what a program said.
static const char *last_words(const struct proc_result *result)
{
    char *text = (char *)result->error.tail.data;
    if (text == NULL)
        return "nothing was said";
    for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n';)
        text[--n] = '\0';
    const char *line = strrchr(text, '\n');
    return line == NULL ? text : line + 1;
}

// ---- what the person who recovers has: the repository, the identity, the signers file, and a machine without bkd

static int copy_in(const struct by_hand *h, const char *from, const char *name, struct error *err)
{
    const struct io *io = h->d->setup.ctx->io;
    _cleanup_buf_ struct buf data = { 0 };
    _cleanup_free_ char *path = bare_root_outside(&h->root, name);
    int r = fs_read_file(io, AT_FDCWD, from, SCRIPT_MAX, &data, err);
    if (r == 0)
        r = fs_create_file(io, AT_FDCWD, path, 0600, data.data, data.len, err);
    if (data.data != NULL)
        explicit_bzero(data.data, data.len);
    return r;
}

static int prepare(struct by_hand *h, struct error *err)
{
    const struct drilling *d = h->d;
    _cleanup_free_ char *place = xasprintf("%s/root", d->scratch.path);
    uint64_t start = now(h);
    int r = bare_root_make(d->setup.ctx->io, place, d->repository->info.encrypted, &h->root, err);
    if (r < 0)
        return r;
    h->repository = bare_root_outside(&h->root, "/repository");
    h->target = bare_root_outside(&h->root, "/target");
    h->script = bare_root_inside(&h->root, "/repository/recover.sh");
    h->listing = xasprintf("%s/listing", d->scratch.path);
    h->sums = xasprintf("%s/sums", d->scratch.path);
    r = replica_make(d->repository, d->head, false, h->repository, &h->bytes, err);
    if (r == 0)
        r = copy_in(h, d->signers, "/signers", err);
    if (r == 0 && d->identity != NULL)
        r = copy_in(h, d->identity, "/identity.txt", err);
    return r < 0 ? r : drilling_step(h->d, "a place without bkd", now(h) - start, DRILL_PASSED, err, "%llu bytes of the repository are at hand, entered by %s", (unsigned long long)h->bytes,
                                     h->root.way == BARE_ROOT_CHROOT ? "chroot" : "PATH");
}

// Nobody runs a script from a repository before its signature was verified, as RECOVER.txt says.
static int verify_script(struct by_hand *h, struct error *err)
{
    const struct io *io = h->d->setup.ctx->io;
    _cleanup_buf_ struct buf script = { 0 }, signature = { 0 };
    _cleanup_signers_ struct signers signers = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/recover.sh", h->repository), *signature_path = xasprintf("%s.sig", path);
    uint64_t start = now(h);
    int r = fs_read_file(io, AT_FDCWD, path, SCRIPT_MAX, &script, err);
    if (r == 0)
        r = fs_read_file(io, AT_FDCWD, signature_path, SSHSIG_ARMOR_MAX, &signature, err);
    if (r == 0)
        r = signers_parse(buf_str(&h->d->setup.signers), h->d->setup.signers.len, &signers, err);
    if (r == 0)
        r = sshsig_verify(&signers, NULL, FORMAT_NAMESPACE_RECOVER, h->d->repository->info.created_ns / 1000000000, script.data, script.len, signature.data, signature.len, NULL, err);
    if (r < 0)
        return error_set(err, ERROR_INTEGRITY, "recover.sh of '%s' is not what was signed, so it was not run", h->d->place->url);
    return drilling_step(h->d, "the signature of recover.sh", now(h) - start, DRILL_PASSED, err, "%zu bytes are what was signed", script.len);
}

// ---- recovery

static int recover(struct by_hand *h, struct error *err)
{
    const struct drilling *d = h->d;
    _cleanup_proc_result_ struct proc_result result = { 0 };
    char number[24], chain[2 * sizeof d->head->chain + 1], ended[PROC_TEXT_MAX];
    _cleanup_free_ char *repository = bare_root_inside(&h->root, "/repository"), *target = bare_root_inside(&h->root, "/target"),
                        *identity = d->identity == NULL ? xstrdup("none") : bare_root_inside(&h->root, "/identity.txt"), *signers = bare_root_inside(&h->root, "/signers");
    format_hex(chain, d->head->chain, sizeof d->head->chain);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)d->head->number);
    _cleanup_free_ char *env_signers = xasprintf("BKD_SIGNERS=%s", signers), *env_chain = xasprintf("BKD_CHAIN=%s", chain);
    const char *const arguments[] = { h->script, repository, identity, number, target, NULL }, *const env[] = { env_signers, env_chain, NULL };
    uint64_t start = now(h);
    int r = bare_root_sh(&h->root, arguments, env, interrupt_stops, &result, err);
    h->took_ns = now(h) - start;
    if (r == 0 && interrupt_requested())
        r = error_set(err, ERROR_FAILED, "interrupted");
    if (r < 0)
        return r;
    proc_result_text(&result, ended);
    bool is_complete = result.end == PROC_EXITED && result.code == 0, is_partial = result.end == PROC_EXITED && result.code == EXIT_INCOMPLETE;
    if (is_partial) // sockets, devices without root, owners: what it lists. What is missing beside that shows in the comparison
        r = drill_not_exercised(&h->d->drill, "what recover.sh lists as left out (it ended with 3)", err);
    return r < 0 ? r : drilling_step(h->d, "recover.sh", h->took_ns, is_complete || is_partial ? DRILL_PASSED : DRILL_FAILED, err, "%s: %s", ended, last_words(&result));
}

// ---- comparison, with tools that did not make it

static int write_listing(const struct by_hand *h, struct error *err)
{
    const struct drilling *d = h->d;
    _cleanup_proc_ struct proc *proc = NULL;
    _cleanup_proc_result_ struct proc_result result = { 0 };
    _cleanup_env_ struct env env = { 0 };
    _cleanup_free_ char *program = programs_path("bkd-restore");
    char number[24], block[1 << 16];
    size_t n = 0;
    int fd = -1;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)d->head->number);
    const char *const argv[] = { program, "-r", h->repository, "-s", d->signers, "mtree", number, d->identity == NULL ? NULL : "-i", d->identity, NULL };
    env_init(&env, NULL);
    int r = io_open(d->setup.ctx->io, AT_FDCWD, h->listing, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &fd, err);
    if (r == 0)
        r = proc_start(d->setup.ctx->io, &(struct proc_options){ .argv = argv, .env = env.list, .read_output = true, .stop = interrupt_stops }, &proc, err);
    while (r == 0 && (r = proc_read(proc, block, sizeof block, &n, err)) == 0 && n > 0)
        r = io_write_all(d->setup.ctx->io, fd, block, n, h->listing, err);
    if (proc != NULL)
        proc_wait(proc, &result);
    if (fd >= 0)
        io_close_quietly(d->setup.ctx->io, &fd);
    return r < 0 || proc_result_ok(&result) ? r : error_set(err, ERROR_FAILED, "the manifest cannot be listed: %s", last_words(&result));
}

static int tell_problems(struct by_hand *h, const struct mtree_comparison *c, struct error *err)
{
    int r = 0;
    for (const char *at = buf_str(&c->problems); r == 0 && *at != '\0'; at += strcspn(at, "\n") + 1) {
        _cleanup_free_ char *problem = xstrndup(at, strcspn(at, "\n"));
        r = drill_problem(&h->d->drill, problem, err);
    }
    return r;
}

static int compare_attributes(struct by_hand *h, struct error *err)
{
    _cleanup_mtree_comparison_ struct mtree_comparison c = { 0 };
    uint64_t start = now(h);
    int tree = -1, r = write_listing(h, err);
    if (r == 0)
        r = io_open(h->d->setup.ctx->io, AT_FDCWD, h->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, &tree, err);
    if (r < 0)
        return r;
    FILE *listing = fopen(h->listing, "re"), *sums = fopen(h->sums, "wxe");
    r = listing == NULL || sums == NULL ? error_set(err, ERROR_FAILED, "the listing in '%s' cannot be opened", h->d->scratch.path)
                                        : mtree_compare(listing, tree, geteuid() == 0, sums, &c, err);
    if (listing != NULL)
        (void)fclose(listing);
    if (sums != NULL)
        (void)fclose(sums); // mtree_compare has seen it written
    io_close_quietly(h->d->setup.ctx->io, &tree);
    if (r == 0)
        r = tell_problems(h, &c, err);
    h->files = c.files;
    return r < 0 ? r : drilling_step(h->d, "attributes", now(h) - start, c.n_problems == 0 ? DRILL_PASSED : DRILL_FAILED, err, "%llu of %llu entries are as the manifest has them",
                                     (unsigned long long)(c.entries - (c.n_problems < c.entries ? c.n_problems : c.entries)), (unsigned long long)c.entries);
}

static int compare_content(struct by_hand *h, struct error *err)
{
    _cleanup_proc_result_ struct proc_result result = { 0 };
    _cleanup_env_ struct env env = { 0 };
    struct statx st;
    const char *const argv[] = { "sha256sum", "--check", "--quiet", "--strict", h->sums, NULL };
    uint64_t start = now(h);
    env_init(&env, NULL);
    int r = io_stat(h->d->setup.ctx->io, AT_FDCWD, h->sums, 0, &st, err);
    if (r == 0 && st.stx_size == 0) // sha256sum takes an empty list for a mistake
        return drilling_step(h->d, "content", 0, DRILL_PASSED, err, "the snapshot has no files with content");
    if (r == 0)
        r = proc_run(h->d->setup.ctx->io, &(struct proc_options){ .argv = argv, .env = env.list, .directory = h->target, .stop = interrupt_stops }, &result, err);
    bool passed = proc_result_ok(&result);
    return r < 0 ? r : drilling_step(h->d, "content", now(h) - start, passed ? DRILL_PASSED : DRILL_FAILED, err, "%s",
                                     passed ? "sha256sum finds every file to be what was signed" : last_words(&result));
}

// ---- its figure

static void remember(const struct by_hand *h)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error err;
    const struct drilling *d = h->d;
    const struct verification record = {
        .policy = d->setup.policy.name, .copy = d->place == &d->setup.policy.repository ? "" : d->place->url, .snapshot = d->head->number, .mode = "by-hand",
        .is_proven = d->drill.n_failed == 0, .duration_ns = h->took_ns, .files = h->files, .bytes = d->head->head.bytes, .message = d->drill.id,
    };
    int r = catalogue_open(d->setup.ctx->io, d->setup.ctx->state_dir, CATALOGUE_WRITE, &catalogue, &err);
    if (r == 0)
        r = verifications_add(&catalogue, &record, &err);
    if (r < 0)
        log_warn("the time by hand is not in the history: %s", err.text);
}

int by_hand_run(struct drilling *d, struct error *err)
{
    __attribute__((cleanup(by_hand_done))) struct by_hand h = { .d = d };
    int r = prepare(&h, err);
    if (r == 0)
        r = verify_script(&h, err);
    if (r == 0)
        r = recover(&h, err);
    if (r == 0 && d->drill.n_failed == 0)
        r = compare_attributes(&h, err);
    if (r == 0 && d->drill.n_failed == 0)
        r = compare_content(&h, err);
    if (r == 0)
        r = drill_not_exercised(&d->drill, "carrying the repository to where it is recovered, and people finding key, signers file and tools", err);
    if (r < 0)
        return r;
    drill_figure(&d->drill, "by_hand_ms", h.took_ns / 1000000);
    remember(&h);
    return 0;
}
