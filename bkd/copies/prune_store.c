#include "bkd/copies/prune_store.h"

#include <linux/stat.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/shell.h"
#include "bkd/codec/signers.h"
#include "bkd/copies/pruning.h"
#include "bkd/host/who.h"
#include "bkd/policy/units.h"
#include "bkd/repo/repository.h"
#include "bkd/store/grow_dir.h"

#define PART_AGE_S (7u * 86400u)
enum { COUNT_MAX = 100000, GRACE_DEFAULT_S = 86400, HOST_MAX = 256 };

// ---- rules

static int parse_rule(const char *name, size_t name_len, const char *value, struct keep_rules *rules, struct error *err)
{
    const struct { const char *name; uint64_t *at; } counts[] = {
        { "last", &rules->last }, { "hourly", &rules->hourly }, { "daily", &rules->daily }, { "weekly", &rules->weekly }, { "monthly", &rules->monthly },
        { "quarterly", &rules->quarterly }, { "yearly", &rules->yearly },
    };
    if (name_len == strlen("within") && strncmp(name, "within", name_len) == 0)
        return units_parse_duration(value, &rules->within_s, err);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strlen(counts[i].name) == name_len && strncmp(counts[i].name, name, name_len) == 0)
            return parse_u64(value, strlen(value), COUNT_MAX, counts[i].at) ? 0 : error_set(err, ERROR_USAGE, "--keep: '%s' is no number from 0 to %d", value, COUNT_MAX);
    return error_set(err, ERROR_USAGE, "--keep: '%.*s' is no rule; there are last, hourly, daily, weekly, monthly, quarterly, yearly and within", (int)name_len, name);
}

int prune_store_parse_rules(const char *text, struct keep_rules *ret_rules, struct error *err)
{
    struct keep_rules rules = { 0 };
    int r = 0;
    for (const char *at = text; r == 0 && *at != '\0';) {
        size_t n = strcspn(at, ","), name_len = strcspn(at, "=:");
        if (name_len >= n)
            return error_set(err, ERROR_USAGE, "--keep is written as daily=14,weekly=8,within=30d, not '%s'", text);
        _cleanup_free_ char *value = xstrndup(at + name_len + 1, n - name_len - 1);
        r = parse_rule(at, name_len, value, &rules, err);
        at += n + (at[n] == ',');
    }
    if (r == 0 && !keep_rules_given(&rules))
        r = error_set(err, ERROR_USAGE, "--keep '%s' says nothing: write daily=14,weekly=8,within=30d", text);
    if (r == 0)
        *ret_rules = rules;
    return r;
}

// ---- what killed sessions left

struct sweep {
    const struct io *io;
    int dirfd; // of the store
    uint64_t now_s, removed;
};

struct sweep_dir {
    struct sweep *sweep;
    const char *path; // below the store; "." for itself
};

static int sweep_entry(void *arg, const char *name, unsigned char type, struct error *err)
{
    const struct sweep_dir *dir = arg;
    struct sweep *s = dir->sweep;
    struct statx st;
    struct error ignored; // what cannot be removed today is tried again
    _cleanup_free_ char *path = strcmp(dir->path, ".") == 0 ? xstrdup(name) : xasprintf("%s/%s", dir->path, name);
    (void)type;
    if (io_stat(s->io, s->dirfd, path, AT_SYMLINK_NOFOLLOW, &st, &ignored) < 0)
        return 0;
    if (S_ISDIR(st.stx_mode)) {
        struct sweep_dir below = { s, path };
        return fs_list_dir(s->io, s->dirfd, path, sweep_entry, &below, err);
    }
    bool is_left = grow_dir_is_part(name) || strncmp(path, "tmp/", 4) == 0;
    bool is_old = st.stx_mtime.tv_sec >= 0 && s->now_s > (uint64_t)st.stx_mtime.tv_sec + PART_AGE_S;
    s->removed += is_left && is_old && io_unlink(s->io, s->dirfd, path, 0, &ignored) == 0;
    return 0;
}

static int remove_parts(const struct context *ctx, const char *dir, struct error *err)
{
    struct sweep s = { .io = ctx->io, .dirfd = -1, .now_s = io_realtime_ns(ctx->io) / 1000000000u };
    struct sweep_dir top = { &s, "." };
    int r = io_open(ctx->io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, &s.dirfd, err);
    if (r == 0)
        r = fs_list_dir(ctx->io, s.dirfd, ".", sweep_entry, &top, err);
    io_close_quietly(ctx->io, &s.dirfd);
    if (s.removed > 0)
        log_info("%s: %llu unfinished files of sessions that were killed removed", dir, (unsigned long long)s.removed);
    return r;
}

// ---- all chains

// Files that another user made the account could not read.
static int check_owner(const struct context *ctx, const char *dir, struct error *err)
{
    struct statx st;
    int r = io_stat(ctx->io, AT_FDCWD, dir, 0, &st, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, r, "there is no directory '%s': give the one on this host that holds the repository's copy, and see that its disk is mounted", dir);
    if (r < 0 || st.stx_uid == geteuid())
        return r;
    const struct passwd *owner = getpwuid(st.stx_uid);
    _cleanup_free_ char *word = shell_word(dir), *user = shell_word(owner == NULL ? "USER" : owner->pw_name);
    return error_set(err, ERROR_USAGE, "'%s' belongs to %s: prune it as that user, or its own account could not read what is written there: sudo -u %s bkd prune --store %s", dir,
                     owner == NULL ? "another user" : owner->pw_name, user, word);
}

static int prune_chain(struct pruning *p, const struct repository_head *newest, struct error *err)
{
    memcpy(p->options.chain, newest->chain, sizeof p->options.chain);
    p->policy = newest->head.policy;
    int r = pruning_run(p, err);
    return r < 0 ? error_prefix(err, "policy %s, host %s", newest->head.policy, newest->head.host) : 0;
}

// The newest valid head of each chain stands for it. What weighs most is what the whole ends with.
static int prune_chains(struct pruning *p, const struct repository *r, struct error *err)
{
    int worst = 0;
    for (size_t i = 0; i < r->n_heads && !interrupt_requested();) {
        const struct repository_head *newest = NULL;
        struct error why;
        size_t k = i;
        for (; k < r->n_heads && memcmp(r->heads[k].chain, r->heads[i].chain, sizeof r->heads[i].chain) == 0; k++)
            newest = r->heads[k].valid ? &r->heads[k] : newest;
        i = k;
        int e = newest == NULL ? 0 : prune_chain(p, newest, &why);
        if (e < 0 && worst == 0) {
            worst = e;
            *err = why;
        } else if (e < 0) {
            log_warn("%s", why.text);
        }
    }
    return worst;
}

static int take_options(const struct context *ctx, const struct cli_args *args, struct pruning *p, struct keep_rules *rules, struct error *err)
{
    const char *keep = cli_args_option(args, "keep"), *grace = cli_args_option(args, "grace");
    *p = (struct pruning){ .ctx = ctx, .key = cli_args_option(args, "key"), .grace_s = GRACE_DEFAULT_S, .dry_run = cli_args_flag(args, "dry-run"),
                           .clock_is_right = cli_args_flag(args, "clock-is-right"), .options = { .trust_receipts = true } };
    int r = keep == NULL ? 0 : prune_store_parse_rules(keep, rules, err);
    if (r == 0 && grace != NULL)
        r = units_parse_duration(grace, &p->grace_s, err);
    if (r == 0 && grace != NULL)
        p->options.min_grace_s = p->grace_s;
    p->options.rules = keep == NULL ? NULL : rules;
    return r;
}

static int open_place(const struct context *ctx, const struct cli_args *args, const char *dir, struct buf *signers, struct repository **ret_repository, struct error *err)
{
    struct store *store = NULL;
    const char *given = cli_args_option(args, "signers");
    _cleanup_free_ char *path = given != NULL ? xstrdup(given) : context_key_path(ctx, "allowed_signers");
    int r = fs_read_file(ctx->io, AT_FDCWD, path, SIGNERS_FILE_MAX, signers, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no '%s': copy keys/allowed_signers of the host that is backed up here, it says whose signatures count, and give it with "
                         "--signers FILE", path);
    if (r == 0)
        r = check_owner(ctx, dir, err);
    if (r == 0)
        r = store_dir_open(ctx->io, dir, false, &store, err);
    return r < 0 ? r : repository_open(ctx->io, store, buf_str(signers), ret_repository, err);
}

int prune_store_run(struct context *ctx, const struct cli_args *args, const char *dir, struct error *err)
{
    struct pruning p;
    struct keep_rules rules = { 0 };
    char who[WHO_MAX], host[HOST_MAX] = "";
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_buf_ struct buf signers = { 0 }, reason = { 0 };
    int r = take_options(ctx, args, &p, &rules, err);
    if (r == 0)
        r = open_place(ctx, args, dir, &signers, &repository, err);
    if (r < 0)
        return r;
    who_am_i(who);
    _cleanup_free_ char *by = xasprintf("%s@%s", who, gethostname(host, sizeof host - 1) == 0 ? host : "localhost");
    buf_add_str(&reason, "keep ");
    pruning_rules_text(&rules, &reason);
    p.by = by;
    p.reason = buf_str(&reason);
    p.options.repository = repository;
    p.options.signers = buf_str(&signers);
    r = prune_chains(&p, repository, err);
    return r < 0 || p.dry_run ? r : remove_parts(ctx, dir, err);
}
