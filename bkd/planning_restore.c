// The restore of a system: by bkd-restore, here, or on another host where it and the keys are copied for as long as it takes.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/base/shell.h"
#include "bkd/dr/remote.h"
#include "bkd/dr/trial.h"
#include "bkd/planning_step.h"
#include "bkd/programs.h"
#include "bkd/setup.h"
#include "bkd/verifying.h"

#define SHORT_MS (60 * 1000)

struct restoring {
    struct planning_work *w;
    struct setup setup;
    const struct policy_store *place; // borrowed from the policy
    struct repository *repository;
    const struct repository_head *head;
    struct setup_access access;
    char *identity, *signers, *program; // owned
    // On another host:
    struct planning_ssh ssh;
    struct buf directory; // there
    char *far[6];         // what was copied there: owned
};

static void restoring_done(struct restoring *s)
{
    for (size_t i = 0; i < sizeof s->far / sizeof *s->far; i++)
        free(s->far[i]);
    buf_done(&s->directory);
    planning_ssh_done(&s->ssh);
    setup_access_done(&s->access);
    repository_close(s->repository);
    setup_done(&s->setup);
    free(s->identity);
    free(s->signers);
    free(s->program);
}

static int prepare(struct restoring *s, struct error *err)
{
    const struct planning_work *w = s->w;
    const struct policy_store *ignored;
    int r = setup_load(w->ctx, w->system->policy, &s->setup, err);
    if (r == 0)
        r = verifying_find_place(&s->setup.policy, w->step->from, &s->place, err);
    if (r == 0 && s->place == &s->setup.policy.repository)
        r = setup_open_repository(&s->setup, &s->repository, err);
    else if (r == 0)
        r = setup_open_copy(&s->setup, s->place->url, &ignored, &s->repository, err);
    if (r == 0)
        r = setup_find_snapshot(&s->setup, s->repository, w->step->snapshot, &s->head, err);
    if (r == 0 && s->repository->info.encrypted)
        r = verifying_find_identity(w->ctx, &s->setup.policy, w->identity, &s->identity, err);
    if (r == 0 && s->repository->info.encrypted && s->identity == NULL)
        r = error_set(err, ERROR_KEY, "this host has no identity that opens the backups of policy %s; bring one and give it with -i FILE", s->setup.policy.name);
    if (r < 0)
        return r;
    s->program = programs_path("bkd-restore");
    s->signers = cmd_key_path(w->ctx, "allowed_signers");
    setup_access(w->ctx, s->place, &s->access);
    return 0;
}

// ---- on another host

static int send(struct restoring *s, const char *file, const char *name, bool executable, char **ret_path, struct error *err)
{
    if (file == NULL)
        return 0;
    *ret_path = xasprintf("%s/%s", buf_str(&s->directory), name);
    return remote_send(s->w->ctx->io, s->ssh.remote, file, *ret_path, executable, planning_is_interrupted, err);
}

// bkd-restore as this process would find it.
static int find_program(struct restoring *s, struct error *err)
{
    if (s->program[0] == '/')
        return 0;
    return error_set(err, ERROR_NOT_FOUND, "bkd-restore is not beside bkd, so it cannot be copied to %s; install both in one directory", s->w->place.host->name);
}

static int move_there(struct restoring *s, struct error *err)
{
    const struct planning_work *w = s->w;
    planning_ssh_init(&s->ssh, w->ctx, w->place.host);
    if (!policy_store_is_remote(s->place))
        return error_set(err, ERROR_USAGE, "host %s cannot read '%s', a directory of this one; restore from a copy on a server (steps.from)", w->place.host->name, s->place->url);
    int r = find_program(s, err);
    if (r == 0)
        r = remote_run(w->ctx->io, s->ssh.remote, "umask 077 && mktemp -d", 0, SHORT_MS, planning_is_interrupted, &s->directory, err);
    const char *const files[] = { s->program, s->identity, s->signers, s->access.identity, s->access.known_hosts, s->access.passphrase_file };
    static const char *const names[] = { "bkd-restore", "identity", "signers", "ssh-identity", "known-hosts", "passphrase" };
    for (size_t i = 0; r == 0 && i < sizeof files / sizeof *files; i++)
        r = send(s, files[i], names[i], i == 0, &s->far[i], err);
    return r;
}

// Keys do not stay there.
static void leave(struct restoring *s)
{
    _cleanup_buf_ struct buf command = { 0 };
    struct error err;
    if (s->directory.len == 0)
        return;
    const char *const words[] = { "rm", "-rf", "--", buf_str(&s->directory), NULL };
    shell_add_command(&command, words);
    if (remote_run(s->w->ctx->io, s->ssh.remote, buf_str(&command), 0, SHORT_MS, NULL, NULL, &err) < 0)
        log_warn("keys may still lie in '%s' on %s; remove them: %s", buf_str(&s->directory), s->w->place.host->name, err.text);
}

// ---- the restore

static int judge(struct planning_work *w, const struct trial *t, struct error *err)
{
    char bytes[CLOCK_TEXT_MAX];
    if (!t->is_restored)
        return error_set(err, t->exit_code == 4 ? ERROR_INTEGRITY : ERROR_FAILED, "policy %s, snapshot %llu did not come back from '%s': %s%s%s", w->system->policy,
                         (unsigned long long)w->snapshot, w->copy, t->why == NULL ? "bkd-restore was ended" : t->why, t->problems.len > 0 ? "; " : "", buf_str(&t->problems));
    clock_format_bytes(bytes, t->bytes);
    w->message = xasprintf("snapshot %llu: %llu files, %s, every byte compared", (unsigned long long)w->snapshot, (unsigned long long)t->files, bytes);
    return 0;
}

static int restore(struct restoring *s, struct error *err)
{
    struct planning_work *w = s->w;
    _cleanup_trial_ struct trial trial = { 0 };
    const char *through[REMOTE_WORDS_MAX];
    char chain[33];
    bool far = w->place.host != NULL, remote = policy_store_is_remote(s->place);
    format_hex(chain, s->head->chain, sizeof s->head->chain);
    if (far)
        remote_words(s->ssh.remote, through);
    const struct trial_request request = {
        .program = far ? s->far[0] : s->program, .repository = s->place->url, .identity = far ? s->far[1] : s->identity, .signers = far ? s->far[2] : s->signers,
        .ssh_identity = far ? s->far[3] : remote ? s->access.identity : NULL, .known_hosts = far ? s->far[4] : remote ? s->access.known_hosts : NULL,
        .ssh_passphrase = far ? s->far[5] : remote ? s->access.passphrase_file : NULL, .ssh_config = remote && !far ? s->access.config : NULL, .chain = chain,
        .snapshot = s->head->number, .target = w->place.to == RECOVERY_IN_PLACE ? NULL : w->place.tree, .is_in_place = w->place.to == RECOVERY_IN_PLACE,
        .is_merging = w->place.to != RECOVERY_SCRATCH,
        .through = far ? through : NULL, .stop = planning_is_interrupted,
    };
    int r = trial_run(w->ctx->io, &request, &trial, err);
    w->files = trial.files;
    w->bytes = trial.bytes;
    return r < 0 ? r : judge(w, &trial, err);
}

int planning_restore(struct planning_work *w, struct error *err)
{
    __attribute__((cleanup(restoring_done))) struct restoring s = { .w = w };
    int r = prepare(&s, err);
    if (r < 0)
        return r;
    w->copy = xstrdup(s.place->url);
    w->snapshot = s.head->number;
    if (w->place.host != NULL)
        r = move_there(&s, err);
    if (r == 0)
        r = restore(&s, err);
    leave(&s);
    return r;
}
