#include "bkd/plans/handbook_command.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/shell.h"
#include "bkd/host/programs.h"
#include "bkd/host/setup.h"
#include "bkd/proof/verifying.h"

#define FAR_DIRECTORY "/dev/shm/bkd" // on the other host: memory, so that keys never reach its disk

enum { WORDS_MAX = 48 };

// Words that end with NULL; those that were made for it are owned.
struct words {
    const char *list[WORDS_MAX + 1];
    char *owned[WORDS_MAX];
    size_t n, n_owned;
};

static void words_done(struct words *w)
{
    for (size_t i = 0; i < w->n_owned; i++)
        free(w->owned[i]);
}

static void add(struct words *w, const char *word) { w->list[w->n++] = word; }

static void add_owned(struct words *w, char *word)
{
    w->owned[w->n_owned++] = word;
    add(w, word);
}

static const char *base_of(const char *path) { return strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1; }

// ---- the way to a host

static void add_ssh(const struct context *ctx, const struct recovery_host *host, bool lends_agent, struct words *w)
{
    add(w, "ssh");
    if (lends_agent)
        add(w, "-A");
    if (host->ssh_identity[0] != '\0') {
        add(w, "-i");
        add_owned(w, context_key_path(ctx, host->ssh_identity));
    }
    if (host->ssh_known_hosts[0] != '\0') {
        _cleanup_free_ char *path = context_key_path(ctx, host->ssh_known_hosts);
        add(w, "-o");
        add_owned(w, xasprintf("UserKnownHostsFile=%s", path));
    }
    add(w, host->address);
}

// `ssh HOST 'COMMAND'`
static void add_far(const struct context *ctx, const struct recovery_host *host, bool lends_agent, const char *command, struct buf *out)
{
    __attribute__((cleanup(words_done))) struct words w = { 0 };
    add_ssh(ctx, host, lends_agent, &w);
    add(&w, command);
    shell_add_command(out, w.list);
}

// ---- a restore

struct by_hand {
    const struct context *ctx;
    const struct recovery_step *step;
    struct recovery_destination to;
    const struct policy *policy;
    const struct policy_store *place;
    struct setup_access access;
};

// An option whose value is a file: by its path here, or by its name in the directory that it is brought to; *files gets what tar(1) has to be told.
static void add_file(struct words *w, const char *option, char *path, struct words *files)
{
    add(w, option);
    if (files == NULL) {
        add_owned(w, path);
        return;
    }
    add_owned(w, xstrdup(base_of(path)));
    add(files, "-C");
    add_owned(files, xstrndup(path, (size_t)(base_of(path) - path)));
    add_owned(files, xstrdup(base_of(path)));
    free(path);
}

static void add_keys(const struct by_hand *b, struct words *w, struct words *files)
{
    const struct setup_access *a = &b->access;
    if (b->policy->encrypted || policy_only_verifies(b->policy))
        add_file(w, "-i", context_key_path(b->ctx, b->policy->verify.identity), files);
    add_file(w, "-s", context_key_path(b->ctx, "allowed_signers"), files);
    if (!policy_store_is_remote(b->place))
        return;
    add_file(w, "--known-hosts", xstrdup(a->known_hosts), files);
    if (a->access.ssh_program) {
        add(w, "--transport");
        add(w, "ssh");
    }
    if (a->identity != NULL)
        add_file(w, "--ssh-identity", xstrdup(a->identity), files);
    if (a->passphrase_file != NULL && a->passphrase_file[0] == '/')
        add_file(w, "--ssh-passphrase", xstrdup(a->passphrase_file), files);
    if (a->config != NULL && a->config[0] == '/')
        add_file(w, "--ssh-config", xstrdup(a->config), files);
}

static void add_restore(const struct by_hand *b, const char *program, struct words *files, struct buf *out)
{
    __attribute__((cleanup(words_done))) struct words w = { 0 };
    const char *const head[] = { program, "restore", b->step->snapshot, "--policy", b->policy->name, "-r", b->place->url };
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        add(&w, head[i]);
    add_keys(b, &w, files);
    if (b->to.to == RECOVERY_IN_PLACE) {
        add(&w, "--in-place");
    } else {
        add(&w, "--target");
        add(&w, b->to.tree == NULL ? "DIR" : b->to.tree);
    }
    add(&w, "--overwrite");
    add(&w, "if-changed");
    shell_add_command(out, w.list);
}

// tar … | ssh HOST 'mkdir … && tar -x … && ./bkd-restore …; rm …'
static void add_far_restore(const struct by_hand *b, const char *program, struct buf *out)
{
    __attribute__((cleanup(words_done))) struct words tar = { 0 };
    _cleanup_buf_ struct buf there = { 0 };
    add(&tar, "tar");
    add(&tar, "-cf");
    add(&tar, "-");
    if (program[0] == '/') {
        add(&tar, "-C");
        add_owned(&tar, xstrndup(program, (size_t)(base_of(program) - program)));
    }
    add(&tar, base_of(program));
    buf_add_str(&there, "umask 077; mkdir " FAR_DIRECTORY " && cd " FAR_DIRECTORY " && tar -xf - && ");
    add_restore(b, "./bkd-restore", &tar, &there);
    buf_add_str(&there, "; cd /; rm -rf " FAR_DIRECTORY);
    shell_add_command(out, tar.list);
    buf_add_str(out, " | ");
    add_far(b->ctx, b->to.host, policy_store_is_remote(b->place) && b->access.identity == NULL, buf_str(&there), out);
}

static void add_restore_step(const struct context *ctx, const struct recovery_step *step, const struct recovery_system *system, const struct recovery_destination *to,
                             struct buf *out)
{
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors ignored = { 0 }; // `bkd policy check` tells
    _cleanup_free_ char *path = context_policy_path(ctx, system->policy), *program = programs_path("bkd-restore");
    struct by_hand b = { .ctx = ctx, .step = step, .to = *to, .policy = &policy };
    struct error err;
    if (policy_load(ctx->io, path, &policy, &ignored, &err) < 0 || verifying_find_place(&policy, step->from, &b.place, &err) < 0)
        return; // `bkd plan lint` tells
    setup_access(ctx, b.place, &b.access);
    if (to->host == NULL)
        add_restore(&b, "bkd-restore", NULL, out);
    else
        add_far_restore(&b, program, out);
    setup_access_done(&b.access);
}

void handbook_command(const struct context *ctx, const struct recovery *plan, const struct recovery_step *step, const char *scenario, struct buf *out)
{
    const struct recovery_system *system = recovery_find_system(plan, step->system);
    struct recovery_destination to = { .to = RECOVERY_IN_PLACE };
    if (system != NULL)
        to = recovery_find_destination(plan, system, scenario);
    bool at_target = strcmp(step->host, "target") == 0;
    const struct recovery_host *host = at_target ? to.host : recovery_find_host(plan, step->host);
    _cleanup_buf_ struct buf command = { 0 };
    if (step->type == RECOVERY_RESTORE && system != NULL) {
        add_restore_step(ctx, step, system, &to, out);
    } else if (step->type == RECOVERY_COMMAND) {
        shell_add_command(&command, (const char *const *)step->command.items);
        if (host == NULL)
            buf_add_str(out, buf_str(&command));
        else
            add_far(ctx, host, false, buf_str(&command), out);
    }
}
