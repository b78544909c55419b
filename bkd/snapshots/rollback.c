#include "bkd/snapshots/rollback.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/base/bytes.h"
#include "bkd/base/log.h"
#include "bkd/host/programs.h"
#include "bkd/host/setup.h"

enum { BATCH_BYTES = 64 << 10, BATCH_PATHS = 500, SPARED_SHOWN = 20 };

// ---- what is meant

static bool is_below(const char *path, const char *dir) { return manifest_path_below(path, strlen(path), dir, strlen(dir)); }

// Keeps the list free of paths that lie below others.
static void add_path(struct rollback *rb, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < rb->n_paths; i++)
        if (is_below(path, rb->paths[i]))
            return;
    for (size_t i = 0; i < rb->n_paths; i++)
        if (is_below(rb->paths[i], path))
            free(rb->paths[i]);
        else
            rb->paths[n++] = rb->paths[i];
    rb->paths = xrealloc(rb->paths, (n + 1) * sizeof *rb->paths);
    rb->paths[n++] = xstrdup(path);
    rb->n_paths = n;
}

// A path in a source is meant itself; of one above sources these are.
static int take_path(struct rollback *rb, const char *given, struct error *err)
{
    _cleanup_free_ char *path = context_clean_path(given);
    _cleanup_buf_ struct buf sources = { 0 };
    bool found = false;
    if (given[0] != '/')
        return error_set(err, ERROR_USAGE, "'%s' is no PATH: it must begin with '/'", given);
    for (size_t i = 0; i < rb->policy.source_count; i++) {
        const char *source = rb->policy.sources[i].path;
        bool inside = is_below(path, source), above = is_below(source, path);
        if (inside || above)
            add_path(rb, inside ? path : source);
        found = found || inside || above;
        buf_addf(&sources, "%s%s", i == 0 ? "" : ", ", source);
    }
    return found ? 0 : error_set(err, ERROR_USAGE, "'%s' is in no source of policy %s (%s): a rollback touches nothing else", path, rb->policy.name, buf_str(&sources));
}

int rollback_open(struct rollback *rb, const struct context *ctx, const struct rollback_options *options, struct error *err)
{
    const char *scratch = getenv("TMPDIR");
    *rb = (struct rollback){ .ctx = ctx, .options = options, .scratch_fd = -1 };
    int r = context_load_policy(ctx, options->policy, &rb->policy, err);
    rb->has_policy = r == 0;
    if (r == 0 && rb->policy.source_count == 0)
        r = error_set(err, ERROR_USAGE, "policy %s has no files, only streams: write them out with `bkd-restore dump`, and load them where they belong", rb->policy.name);
    if (r == 0)
        r = io_open(ctx->io, AT_FDCWD, scratch == NULL || scratch[0] == '\0' ? "/tmp" : scratch, O_RDONLY | O_DIRECTORY, 0, &rb->scratch_fd, err);
    for (size_t i = 0; r == 0 && options->n_paths == 0 && i < rb->policy.source_count; i++)
        add_path(rb, rb->policy.sources[i].path);
    for (size_t i = 0; r == 0 && i < options->n_paths; i++)
        r = take_path(rb, options->paths[i], err);
    if (r < 0)
        return r;
    rb->is_stored = xcalloc(rb->n_paths + 1, sizeof *rb->is_stored);
    appeared_init(&rb->appeared, ctx->io, rb->scratch_fd);
    return spared_init(&rb->spared, ctx->io, err);
}

void rollback_done(struct rollback *rb)
{
    if (rb->ctx == NULL)
        return;
    appeared_done(&rb->appeared);
    spared_done(&rb->spared);
    for (size_t i = 0; i < rb->n_paths; i++)
        free(rb->paths[i]);
    free(rb->paths);
    free(rb->is_stored);
    if (rb->has_policy)
        policy_done(&rb->policy);
    io_close_quietly(rb->ctx->io, &rb->scratch_fd);
    if (rb->passphrase_fd > 0)
        io_close_quietly(rb->ctx->io, &rb->passphrase_fd);
    rb->ctx = NULL;
}

// ---- looking

struct look {
    struct rollback *rb;
    diff_change_fn *show;
    void *arg;
};

// What the policy leaves out today shows as removed, but is there: the snapshot of what is there now will not have it.
static int spare_left_out(struct rollback *rb, const char *path, struct error *err)
{
    if (rb->options->no_backup || !spared_is_there(&rb->spared, path))
        return 0;
    return spared_add(&rb->spared, path, true, err);
}

// What is mounted on a directory now is not what the snapshot has below it.
static bool is_mounted_since(const struct diff_change *change)
{
    return change->sign == 'm' && (change->b->notes & MANIFEST_MOUNT) != 0 && (change->a->notes & MANIFEST_MOUNT) == 0;
}

static int see_change(void *arg, const struct diff_change *change, struct error *err)
{
    struct look *look = arg;
    int r = 0;
    if (change->sign == '+')
        r = appeared_add(&look->rb->appeared, change->b, err);
    else if (change->sign == '-' || is_mounted_since(change))
        r = spare_left_out(look->rb, buf_str(&change->a->path), err);
    return r < 0 || look->show == NULL ? r : look->show(look->arg, change, err);
}

// The live tree beside the snapshot that is gone back to, or another one.
static int open_diffing(struct rollback *rb, const char *other, struct diffing *diffing, struct error *err)
{
    struct diffing_options options = { .policy = rb->options->policy, .a = rb->options->snapshot, .identity = rb->options->identity,
                                       .paths = (const char *const *)rb->paths, .n_paths = rb->n_paths };
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)rb->number);
    if (rb->number != 0) // "latest" has moved on when a snapshot was made in between
        options.a = number;
    if (other != NULL)
        options.a = other;
    return diffing_open(diffing, rb->ctx, &options, err);
}

// Which of the paths the snapshot has.
static int find_stored(struct rollback *rb, struct diffing *diffing, struct error *err)
{
    struct manifest_reader reader;
    const struct manifest_entry *e = NULL;
    int r;
    manifest_reader_init(&reader, rb->ctx->io, diffing->a.manifest.fd, "manifest", 0, diffing->a.manifest.size);
    while ((r = manifest_reader_next(&reader, &e, err)) == 0 && e != NULL)
        for (size_t i = 0; i < rb->n_paths; i++)
            rb->is_stored[i] = rb->is_stored[i] || strcmp(rb->paths[i], buf_str(&e->path)) == 0;
    manifest_reader_done(&reader);
    return r;
}

static int check_paths(const struct rollback *rb, struct error *err)
{
    struct statx st;
    struct error ignored;
    for (size_t i = 0; i < rb->n_paths; i++)
        if (!rb->is_stored[i] && io_stat(rb->ctx->io, AT_FDCWD, rb->paths[i], AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0)
            return error_set(err, ERROR_NOT_FOUND, "'%s' is neither in snapshot %llu nor there now", rb->paths[i], (unsigned long long)rb->number);
    return 0;
}

static void tell_spared(const struct rollback *rb, size_t first, const char *why)
{
    for (size_t i = first; i < rb->spared.n && i < first + SPARED_SHOWN; i++)
        log_warn("'%s' stays as it is: %s (--no-backup puts it back all the same)", rb->spared.paths[i].path, why);
    if (rb->spared.n > first + SPARED_SHOWN)
        log_warn("and %llu more, for the same reason", (unsigned long long)(rb->spared.n - first - SPARED_SHOWN));
}

int rollback_look(struct rollback *rb, diff_change_fn *show, void *arg, struct error *err)
{
    _cleanup_diffing_ struct diffing diffing = { 0 };
    struct look look = { rb, show, arg };
    int r = open_diffing(rb, NULL, &diffing, err);
    if (r < 0)
        return r;
    rb->number = diffing.a.head->number;
    rb->time_ns = diffing.a.head->head.time_ns;
    memcpy(rb->chain, diffing.a.head->chain, sizeof rb->chain);
    rb->is_encrypted = diffing.repository->info.encrypted;
    r = find_stored(rb, &diffing, err);
    if (r == 0)
        r = check_paths(rb, err);
    if (r == 0)
        r = diffing_run(&diffing, see_change, &look, &rb->before, err);
    rb->problems = diffing.problems;
    if (r == 0)
        tell_spared(rb, 0, "the policy leaves out what is there now, so it cannot be saved first");
    return r;
}

uint64_t rollback_work(const struct rollback *rb)
{
    return rb->before.removed + rb->before.changed + rb->before.metadata + (rb->options->delete ? rb->before.added : 0);
}

// ---- children

// A child's say: everything, or only errors and warnings.
enum say { SAY_ALL, SAY_LITTLE };

static bool is_silent(const struct rollback *rb, enum say say) { return say == SAY_LITTLE || rb->ctx->json || rb->ctx->verbosity < 0; }

struct args {
    const char **list; // ends with NULL; owned, the words are not
    size_t n;
};

static void args_done(struct args *args) { free(args->list); }
#define _cleanup_args_ __attribute__((cleanup(args_done)))

static void add_word(struct args *args, const char *word)
{
    args->list = xrealloc(args->list, (args->n + 2) * sizeof *args->list);
    args->list[args->n++] = word;
    args->list[args->n] = NULL;
}

static void add_option(struct args *args, const char *option, const char *value)
{
    if (value == NULL)
        return;
    add_word(args, option);
    add_word(args, value);
}

// What opens the way to the repository, when it is on a server.
static void add_access(struct args *args, const struct rollback *rb, const struct setup_access *access, const char *passphrase)
{
    if (!policy_store_is_remote(&rb->policy.repository))
        return;
    add_option(args, "--ssh-identity", access->identity);
    add_option(args, "--ssh-passphrase", passphrase != NULL ? passphrase : access->passphrase_file);
    add_option(args, "--known-hosts", access->known_hosts);
    add_option(args, "--ssh-config", access->config);
    add_option(args, "--transport", access->access.ssh_program ? "ssh" : NULL);
}

// Asked for once; the children that run on this terminal get it as a file of their own.
static int find_passphrase(struct rollback *rb, char **ret_path, struct error *err)
{
    if (rb->passphrase_fd == 0) {
        int r = setup_ask_passphrase(rb->ctx, &rb->policy.repository, &rb->passphrase_fd, err);
        if (r < 0 || rb->passphrase_fd == 0)
            return r;
        if (fcntl(rb->passphrase_fd, F_SETFD, 0) < 0)
            return error_set_errno(err, errno, "hand the passphrase on");
    }
    *ret_path = xasprintf("/proc/self/fd/%d", rb->passphrase_fd);
    return 0;
}

// `bkd-restore … restore NUMBER PATH… --in-place --overwrite MODE`, with `more` (NULL: nothing). Owners by number: this is the host they come from.
// What it leaves out (exit 3) shows when the trees are compared.
static int run_restore(struct rollback *rb, const char *const *paths, size_t n_paths, const char *mode, const char *more, enum say say, struct error *err)
{
    int code = 0;
    char chain[33], number[24];
    _cleanup_free_ char *program = programs_path("bkd-restore"), *signers = context_key_path(rb->ctx, "allowed_signers");
    _cleanup_free_ char *passphrase = NULL;
    _cleanup_setup_access_ struct setup_access access = { 0 };
    _cleanup_args_ struct args args = { 0 };
    int r = find_passphrase(rb, &passphrase, err);
    if (r < 0)
        return r;
    format_hex(chain, rb->chain, sizeof rb->chain);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)rb->number);
    setup_access(rb->ctx, &rb->policy.repository, &access);
    add_option(&args, program, "restore");
    add_option(&args, "-r", rb->policy.repository.url);
    add_access(&args, rb, &access, passphrase);
    add_option(&args, "-s", signers);
    add_option(&args, "-i", rb->options->identity);
    add_option(&args, "--chain", chain);
    add_option(&args, "--overwrite", mode);
    const char *const flags[] = { "--in-place", "--numeric-owner", rb->options->in_place_delta ? "--in-place-delta" : NULL,
                                  is_silent(rb, say) ? "-q" : NULL, more, number };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i] != NULL)
            add_word(&args, flags[i]);
    for (size_t i = 0; i < rb->spared.n; i++)
        add_option(&args, "--exclude", rb->spared.paths[i].is_stored ? rb->spared.paths[i].pattern : NULL);
    for (size_t i = 0; i < n_paths; i++)
        add_word(&args, paths[i]);
    r = programs_run(args.list, is_silent(rb, say), &code, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_FAILED, "there is no bkd-restore beside bkd or in PATH; install it, or restore elsewhere");
    enum error_code failure = programs_error(code);
    if (r == 0 && failure != ERROR_NONE && failure != ERROR_INCOMPLETE)
        return error_set(err, failure, "bkd-restore did not do it (it says above why)");
    return r;
}

// The paths of the whole rollback that the snapshot has; others have only appeared.
static int restore_all(struct rollback *rb, const char *more, enum say say, struct error *err)
{
    const char **paths = xcalloc(rb->n_paths + 1, sizeof(const char *));
    size_t n = 0;
    for (size_t i = 0; i < rb->n_paths; i++)
        if (rb->is_stored[i] && !spared_has(&rb->spared, rb->paths[i]))
            paths[n++] = rb->paths[i];
    int r = n == 0 ? 0 : run_restore(rb, paths, n, "if-changed", more, say, err);
    free(paths);
    return r;
}

int rollback_check_identity(const struct rollback *rb, struct error *err)
{
    if (!rb->is_encrypted || rb->options->identity != NULL)
        return 0;
    return error_set(err, ERROR_KEY,
                     "reading the snapshot takes an identity, which a host that is backed up does not keep: bring operations.txt from the host that restores (or the "
                     "recovery identity), for as long as this takes to /dev/shm, and give it with -i FILE");
}

int rollback_try(struct rollback *rb, struct error *err)
{
    int r = restore_all(rb, "--dry-run", SAY_LITTLE, err);
    return r < 0 ? error_prefix(err, "nothing was changed") : 0;
}

static int spare_unsaved(void *arg, const struct diff_change *change, struct error *err)
{
    struct rollback *rb = arg;
    const char *path = change->b == NULL ? NULL : buf_str(&change->b->path);
    return change->sign != '+' || spared_has(&rb->spared, path) ? 0 : spared_add(&rb->spared, path, false, err);
}

// Which of what could not be saved the snapshot that is gone back to has, and would put in its place.
static int find_spared(struct rollback *rb, size_t first, struct error *err)
{
    _cleanup_diffing_ struct diffing diffing = { 0 };
    struct manifest_reader reader;
    const struct manifest_entry *e = NULL;
    int r = open_diffing(rb, NULL, &diffing, err);
    if (r < 0)
        return r;
    manifest_reader_init(&reader, rb->ctx->io, diffing.a.manifest.fd, "manifest", 0, diffing.a.manifest.size);
    while ((r = manifest_reader_next(&reader, &e, err)) == 0 && e != NULL)
        for (size_t i = first; i < rb->spared.n; i++)
            rb->spared.paths[i].is_stored = rb->spared.paths[i].is_stored || is_below(buf_str(&e->path), rb->spared.paths[i].path);
    manifest_reader_done(&reader);
    return r;
}

// The snapshot of what is there now lacks something: what is not in it is not to be lost.
static int spare_rest(struct rollback *rb, struct error *err)
{
    size_t first = rb->spared.n;
    struct diff_counts ignored;
    _cleanup_diffing_ struct diffing diffing = { 0 };
    int r = open_diffing(rb, rb->backup_tag, &diffing, err);
    if (r == 0)
        r = diffing_run(&diffing, spare_unsaved, rb, &ignored, err);
    if (r < 0 || rb->spared.n == first)
        return r;
    tell_spared(rb, first, "it could not be saved");
    return find_spared(rb, first, err);
}

int rollback_save(struct rollback *rb, struct error *err)
{
    uint64_t now_ms = io_realtime_ns(rb->ctx->io) / 1000000u;
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    char tag[ROLLBACK_TAG_SIZE];
    size_t n = 0;
    _cleanup_free_ char *program = programs_path("bkd");
    int code = 0;
    if (gmtime_r(&now, &utc) == NULL || (n = strftime(tag, sizeof tag, "before-rollback-%Y%m%dT%H%M%S", &utc)) == 0)
        return error_set(err, ERROR_FAILED, "the clock cannot be read");
    (void)snprintf(tag + n, sizeof tag - n, ".%03uZ", (unsigned)(now_ms % 1000));
    const char *const argv[] = { program, "--config-dir", rb->ctx->config_dir, "--state-dir", rb->ctx->state_dir, "backup", rb->options->policy,
                                 "--no-ship", "--tag", tag, is_silent(rb, SAY_ALL) ? "-q" : NULL, NULL };
    int r = programs_run(argv, is_silent(rb, SAY_ALL), &code, err);
    enum error_code failure = programs_error(code);
    if (r == 0 && failure != ERROR_NONE && failure != ERROR_INCOMPLETE)
        r = error_set(err, failure, "what is there now could not be saved first (it says above why), so nothing was rolled back; put that right or, when there is nothing left to "
                                "save and all disks are mounted, go without with --no-backup");
    if (r < 0)
        return r;
    memcpy(rb->backup_tag, tag, sizeof tag);
    if (failure != ERROR_INCOMPLETE)
        return 0;
    log_warn("the snapshot of what is there now (tag %s) is incomplete", tag);
    return spare_rest(rb, err);
}

// ---- doing it

static void tell_kept(void *arg, const char *path, const char *why)
{
    (void)arg;
    log_warn("'%s' was not removed: %s", path, why);
}

// Files of equal size and time that still differ: bkd-restore goes by these, and left them.
struct batch {
    struct rollback *rb;
    char *paths[BATCH_PATHS];
    size_t n, bytes;
    bool has_run;
};

static int run_batch(struct batch *b, struct error *err)
{
    int r = b->n == 0 ? 0 : run_restore(b->rb, (const char *const *)b->paths, b->n, "always", NULL, SAY_LITTLE, err);
    b->has_run = b->has_run || b->n > 0;
    for (; b->n > 0; b->n--)
        free(b->paths[b->n - 1]);
    b->bytes = 0;
    return r;
}

static int add_to_batch(void *arg, const struct diff_change *change, struct error *err)
{
    struct batch *b = arg;
    bool is_hidden = change->sign == 'M' && !spared_has(&b->rb->spared, buf_str(&change->a->path)) && (change->fields & (DIFFER_TYPE | DIFFER_MTIME)) == 0 && change->a->size == change->b->size;
    if (!is_hidden)
        return 0;
    b->paths[b->n++] = xstrdup(buf_str(&change->a->path));
    b->bytes += change->a->path.len;
    return b->n == BATCH_PATHS || b->bytes >= BATCH_BYTES ? run_batch(b, err) : 0;
}

static int nothing(void *arg, const struct diff_change *change, struct error *err)
{
    (void)arg;
    (void)change;
    (void)err;
    return 0;
}

static int compare_again(struct rollback *rb, diff_change_fn *see, void *arg, struct error *err)
{
    _cleanup_diffing_ struct diffing diffing = { 0 };
    int r = open_diffing(rb, NULL, &diffing, err);
    if (r == 0)
        r = diffing_run(&diffing, see, arg, &rb->after, err);
    rb->problems += r == 0 ? diffing.problems : 0;
    return r;
}

static int restore_rest(struct rollback *rb, struct error *err)
{
    struct batch *batch = xcalloc(1, sizeof *batch);
    batch->rb = rb;
    int r = compare_again(rb, add_to_batch, batch, err);
    if (r == 0)
        r = run_batch(batch, err);
    bool has_run = batch->has_run;
    for (; batch->n > 0; batch->n--)
        free(batch->paths[batch->n - 1]);
    free(batch);
    if (r == 0 && has_run) // the directories they are in have new times
        r = restore_all(rb, NULL, SAY_LITTLE, err);
    return r == 0 && has_run ? compare_again(rb, nothing, NULL, err) : r;
}

int rollback_run(struct rollback *rb, struct error *err)
{
    // First, so that a directory can become a file again, and directories get their times last.
    int r = rb->options->delete ? appeared_remove(&rb->appeared, &rb->spared, tell_kept, NULL, err) : 0;
    if (r == 0)
        r = restore_all(rb, NULL, SAY_ALL, err);
    if (r == 0)
        r = restore_rest(rb, err);
    if (r < 0)
        return error_prefix(err, "put back only in part (the same command goes on)");
    uint64_t left = rb->after.removed + rb->after.changed + rb->after.metadata + (rb->options->delete ? rb->after.added : 0);
    if (left + rb->problems == 0)
        return 0;
    return error_set(err, ERROR_INCOMPLETE, "%llu entries still differ from snapshot %llu (see them with `bkd diff %s %llu`)%s", (unsigned long long)left,
                     (unsigned long long)rb->number, rb->policy.name, (unsigned long long)rb->number,
                     rb->options->delete || rb->before.added == 0 ? "" : "; what has appeared in the way goes with --delete");
}
