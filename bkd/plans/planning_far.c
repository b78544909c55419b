#include "bkd/plans/planning_far.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/curve.h"
#include "bkd/base/ssh_url.h"
#include "bkd/codec/keyfile.h"
#include "bkd/host/who.h"
#include "bkd/store/ssh_alias.h"

enum { SHELL_NOT_EXECUTABLE = 126, SHELL_NOT_FOUND = 127 };

// What is on its way to becoming a parcel.
struct packing {
    struct planning_far *far;
    const struct planning_work *w;
    const struct policy_store *place;
    struct setup_access access;
    struct ssh_alias alias; // of the copy's host, where ssh_config explains it
    struct trial_request *request;
};

static void packing_done(struct packing *p)
{
    setup_access_done(&p->access);
    ssh_alias_done(&p->alias);
}

// The name of a file there, as long as *far lives.
static const char *there(struct packing *p, const char *name)
{
    struct planning_far *far = p->far;
    assert(far->n_paths < sizeof far->paths / sizeof *far->paths);
    return far->paths[far->n_paths++] = parcel_path(&far->parcel, name);
}

// ---- files

static int pack_file(struct packing *p, const char *name, const char *path, const char **ret_there, struct error *err)
{
    int r = parcel_add_file(&p->far->parcel, name, path, err);
    if (r == 0)
        *ret_there = there(p, name);
    return r;
}

// As strict about who could have read it as whoever uses it here.
static int pack_secret(struct packing *p, const char *name, const char *path, const char **ret_there, struct error *err)
{
    _cleanup_keyfile_ struct buf secret = { 0 };
    int r = keyfile_read(p->w->ctx->io, AT_FDCWD, path, &secret, err);
    if (r == 0)
        r = parcel_add_bytes(&p->far->parcel, name, secret.data, secret.len, err);
    if (r == 0)
        *ret_there = there(p, name);
    return r;
}

static int pack_files(struct packing *p, const struct planning_far_files *files, struct error *err)
{
    struct trial_request *q = p->request;
    int r = pack_file(p, "bkd-restore", files->program, &q->program, err);
    if (r == 0)
        r = pack_file(p, PARCEL_SECRETS "signers", files->signers, &q->signers, err);
    if (r == 0 && files->identity != NULL)
        r = pack_secret(p, PARCEL_SECRETS "identity", files->identity, &q->identity, err);
    return r;
}

// ---- the way to the copy

// As whoever runs bkd here where the address names nobody: the one who runs bkd-restore there may be another.
static void name_user(struct packing *p, const struct ssh_url *url)
{
    char who[WHO_MAX];
    if (url->user != NULL || p->access.config != NULL)
        return;
    who_is(geteuid(), who);
    p->far->repository = xasprintf("sftp://%s@%s", who, p->place->url + strlen("sftp://"));
    p->request->repository = p->far->repository;
}

// What ssh_config of this host says of the copy's, as a file for the other one, which has its own.
static int pack_config(struct packing *p, const struct ssh_url *url, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    struct ssh_alias *a = &p->alias;
    if (p->access.config == NULL)
        return 0;
    int r = ssh_alias_resolve(p->w->ctx->io, p->access.config, url->host, url->port, url->user, a, err);
    if (r < 0)
        return r;
    buf_addf(&text, "Host %s\n  HostName %s\n", url->host, a->host);
    if (a->port != 0)
        buf_addf(&text, "  Port %u\n", a->port);
    if (a->user != NULL)
        buf_addf(&text, "  User %s\n", a->user);
    if (a->jump != NULL)
        buf_addf(&text, "  ProxyJump %s\n", a->jump);
    else if (a->command != NULL)
        buf_addf(&text, "  ProxyCommand %s\n", a->command);
    r = parcel_add_bytes(&p->far->parcel, PARCEL_SECRETS "ssh-config", text.data, text.len, err);
    if (r == 0)
        p->request->ssh_config = there(p, PARCEL_SECRETS "ssh-config");
    return r;
}

static bool is_there(const struct packing *p, const char *path)
{
    struct statx st;
    struct error ignored;
    return path != NULL && io_stat(p->w->ctx->io, AT_FDCWD, path, 0, &st, &ignored) == 0;
}

// The agent's keys stay where they are: ssh lends them for the time of the session.
static int pack_key(struct packing *p, struct error *err)
{
    const char *key = p->access.identity;
    if (p->alias.identity != NULL && !is_there(p, key))
        key = p->alias.identity;
    if (key != NULL)
        return pack_secret(p, PARCEL_SECRETS "ssh-identity", key, &p->request->ssh_identity, err);
    if (getenv("SSH_AUTH_SOCK") == NULL)
        return error_set(err, ERROR_KEY, "'%s' is opened with the keys of the SSH agent, and there is none here (SSH_AUTH_SOCK): start bkd where it runs", p->place->url);
    p->far->ssh.remote->forwards_agent = true;
    return 0;
}

static int pack_passphrase(struct packing *p, struct error *err)
{
    const char *const *argv = (const char *const *)p->place->ssh_passphrase_command.items;
    const char *name = PARCEL_SECRETS "passphrase";
    _cleanup_free_ char *path = NULL;
    char *passphrase = NULL;
    int r = 0;
    if (argv != NULL) {
        r = store_ask_passphrase(p->w->ctx->io, argv, &passphrase, err);
        if (r < 0)
            return r;
        r = parcel_add_bytes(&p->far->parcel, name, passphrase, strlen(passphrase), err);
        curve_wipe(passphrase, strlen(passphrase));
        free(passphrase);
        if (r == 0)
            p->request->ssh_passphrase = there(p, name);
        return r;
    }
    if (p->access.passphrase_file == NULL)
        return 0;
    r = keyfile_find(p->access.passphrase_file, NULL, &path, err);
    return r < 0 ? r : pack_secret(p, name, path, &p->request->ssh_passphrase, err);
}

static int pack_way(struct packing *p, struct error *err)
{
    _cleanup_ssh_url_ struct ssh_url url = { 0 };
    int r = ssh_url_parse(p->place->url, &url, err);
    if (r == 0)
        name_user(p, &url);
    if (r == 0)
        r = pack_config(p, &url, err);
    if (r == 0)
        r = pack_file(p, PARCEL_SECRETS "known-hosts", p->access.known_hosts, &p->request->known_hosts, err);
    if (r == 0)
        r = pack_key(p, err);
    return r < 0 ? r : pack_passphrase(p, err);
}

int planning_far_init(struct planning_far *far, const struct planning_work *w, const struct policy_store *place, const struct planning_far_files *files,
                      struct trial_request *request, struct error *err)
{
    __attribute__((cleanup(packing_done))) struct packing p = { .far = far, .w = w, .place = place, .request = request };
    const struct recovery_host *host = w->place.host;
    *far = (struct planning_far){ 0 };
    planning_ssh_init(&far->ssh, w->ctx, host);
    parcel_init(w->ctx->io, &far->parcel);
    if (!policy_store_is_remote(place))
        return error_set(err, ERROR_USAGE, "host %s cannot read '%s', a directory of this one; restore from a copy on a server (steps.from)", host->name, place->url);
    if (files->program[0] != '/')
        return error_set(err, ERROR_NOT_FOUND, "bkd-restore is not beside bkd, so it cannot be copied to %s; install both in one directory", host->name);
    request->repository = place->url;
    setup_access(w->ctx, place, &p.access);
    request->ssh_program = p.access.access.ssh_program;
    int r = pack_files(&p, files, err);
    if (r == 0)
        r = pack_way(&p, err);
    if (r < 0)
        return error_prefix(err, "for the restore on %s", host->name);
    parcel_add_shell(&far->parcel, &far->shell);
    remote_words(far->ssh.remote, far->words);
    request->through = far->words;
    request->shell = buf_str(&far->shell);
    return 0;
}

void planning_far_done(struct planning_far *far)
{
    parcel_done(&far->parcel);
    planning_ssh_done(&far->ssh);
    buf_done(&far->shell);
    for (size_t i = 0; i < far->n_paths; i++)
        free(far->paths[i]);
    free(far->repository);
}

int planning_far_judge(const struct planning_work *w, const struct trial *trial, struct error *err)
{
    const char *host = w->place.host->name, *said = trial->why == NULL ? "" : trial->why;
    switch (trial->exit_code) {
    case REMOTE_FAILED:
        return error_set(err, ERROR_UNREACHABLE, "host %s cannot be reached by ssh: %s", host, said);
    case PARCEL_FAILED:
        return error_set(err, ERROR_FAILED, "host %s did not take what bkd-restore needs there: %s", host, said);
    case SHELL_NOT_EXECUTABLE:
    case SHELL_NOT_FOUND:
        return error_set(err, ERROR_FAILED, "bkd-restore does not run on host %s: %s; install the libraries it is linked with there (the package of bkd brings them), and see that /tmp is not "
                         "mounted noexec", host, said);
    default:
        return 0;
    }
}
