#include "bkd/drills/negative_line.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/ssh_url.h"
#include "bkd/codec/known_hosts.h"
#include "bkd/dr/clear.h"
#include "bkd/dr/cut_line.h"
#include "bkd/proof/trying.h"
#include "bkd/store/ssh.h"

enum { EXIT_ALARM = 4, EXIT_UNREACHABLE = 8, SSH_PORT = 22, CUT_PERCENT = 60, GREETING_BYTES = 8 << 10 };

static const struct io *io_of(const struct negative_line *l) { return l->d->setup.ctx->io; }

// ---- the server

struct server {
    struct ssh_url url;
    char *name;      // under which its key is pinned; owned
    struct buf blob; // the key it shows, which is the one that is pinned
};

static void server_done(struct server *s)
{
    ssh_url_done(&s->url);
    free(s->name);
    buf_done(&s->blob);
}
#define _cleanup_server_ __attribute__((cleanup(server_done)))

// The server likes one of its keys best, and the pinned one may be another: then that is asked for.
static int find_pinned(const struct negative_line *l, const struct ssh_options *options, struct server *s, struct error *err)
{
    _cleanup_buf_ struct buf pinned = { 0 };
    enum known_hosts_answer answer = KNOWN_HOSTS_UNKNOWN;
    struct error no_key_of_type;
    int r = fs_read_file(io_of(l), AT_FDCWD, l->d->access.known_hosts, KNOWN_HOSTS_FILE_MAX, &pinned, err);
    if (r == 0)
        r = ssh_fetch_host_key(io_of(l), options, NULL, &s->blob, err);
    if (r == 0)
        r = known_hosts_find(pinned.data, pinned.len, s->name, s->blob.data, s->blob.len, &answer, err);
    for (size_t i = 0; r == 0 && answer != KNOWN_HOSTS_MATCH && ssh_host_key_types[i] != NULL; i++) {
        buf_reset(&s->blob);
        if (ssh_fetch_host_key(io_of(l), options, ssh_host_key_types[i], &s->blob, &no_key_of_type) == 0)
            r = known_hosts_find(pinned.data, pinned.len, s->name, s->blob.data, s->blob.len, &answer, err);
    }
    if (r == 0 && answer != KNOWN_HOSTS_MATCH)
        r = error_set(err, ERROR_INTEGRITY, "%s shows another key than the one that is pinned, before anything was tried", s->name);
    return r;
}

static int find_server(const struct negative_line *l, struct server *s, struct error *err)
{
    const struct setup_access *access = &l->d->access;
    int r = ssh_url_parse(l->d->place->url, &s->url, err);
    if (r < 0)
        return r;
    s->name = known_hosts_name(s->url.host, s->url.port == 0 ? SSH_PORT : s->url.port);
    const struct ssh_options options = { .host = s->url.host, .port = s->url.port, .user = s->url.user, .known_hosts = access->known_hosts, .repository = l->d->place->url,
                                         .config = access->config };
    return find_pinned(l, &options, s, err);
}

// ---- trying

// Another file of pinned keys with this one key. Caller frees the path.
static int pin(const struct negative_line *l, const char *name, const struct buf *blob, char **ret_path, struct error *err)
{
    _cleanup_buf_ struct buf line = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/known_hosts", l->d->scratch.path);
    known_hosts_line(name, blob->data, blob->len, &line);
    int r = fs_replace_file(io_of(l), AT_FDCWD, path, 0600, line.data, line.len, err);
    if (r == 0)
        *ret_path = TAKE(path);
    return r;
}

static int run_restore(const struct negative_line *l, const char *url, const char *known_hosts, struct trial *ret_trial, struct error *err)
{
    char chain[2 * sizeof l->d->head->chain + 1];
    const struct drilling *d = l->d;
    format_hex(chain, d->head->chain, sizeof d->head->chain);
    const struct trial_request request = {
        .program = l->restore, .repository = url, .identity = d->identity, .signers = d->signers, .known_hosts = known_hosts, .chain = chain, .snapshot = d->head->number,
        .target = d->scratch.tree, .stop = interrupt_stops,
    };
    int r = trying_run(d->setup.ctx, d->place, &request, ret_trial, err);
    if (r == 0 && interrupt_requested())
        r = error_set(err, ERROR_FAILED, "interrupted");
    return r < 0 ? r : clear_tree(io_of(l), d->scratch.tree, err);
}

static bool can_restore(const struct negative_line *l) { return l->d->identity != NULL || !l->d->repository->info.encrypted; }

// ---- a line that is cut

// The address with another host and port: what stands before the host and behind the port is left as it was written.
static char *address_through(const char *url, unsigned port)
{
    const char *authority = url + strlen("sftp://"), *path = authority + strcspn(authority, "/"), *at = memrchr(authority, '@', (size_t)(path - authority));
    int user = at == NULL ? 0 : (int)(at + 1 - authority);
    return xasprintf("sftp://%.*s127.0.0.1:%u%s", user, authority, port, path);
}

static int restore_through(const struct negative_line *l, const struct server *s, uint64_t cut_bytes, uint64_t *ret_bytes, bool *ret_was_cut, struct trial *ret_trial,
                           struct error *err)
{
    struct cut_line *line = NULL;
    _cleanup_free_ char *known_hosts = NULL, *url = NULL, *name = NULL;
    int r = cut_line_open(io_of(l), s->url.host, s->url.port == 0 ? SSH_PORT : s->url.port, cut_bytes, &line, err);
    if (r < 0)
        return r;
    url = address_through(l->d->place->url, cut_line_port(line));
    name = known_hosts_name("127.0.0.1", cut_line_port(line));
    r = pin(l, name, &s->blob, &known_hosts, err);
    if (r == 0)
        r = run_restore(l, url, known_hosts, ret_trial, err);
    *ret_bytes = cut_line_bytes(line);
    *ret_was_cut = cut_line_was_cut(line);
    cut_line_close(line);
    return r;
}

int negative_line_cut(const struct negative_line *l, const char *name, struct error *err)
{
    _cleanup_trial_ struct trial trial = { 0 };
    _cleanup_server_ struct server server = { .name = NULL };
    char came[CLOCK_TEXT_MAX];
    uint64_t start = io_monotonic_ns(io_of(l)), bytes = 0;
    bool was_cut = false;
    if (l->d->access.config != NULL)
        return drilling_step(l->d, name, 0, DRILL_SKIPPED, err, "the server is found by ssh_config, perhaps over other hosts: there is no one line to cut");
    if (!can_restore(l))
        return drilling_step(l->d, name, 0, DRILL_SKIPPED, err, "this host has no identity to restore with");
    int r = find_server(l, &server, err);
    if (r == 0)
        r = restore_through(l, &server, GREETING_BYTES + l->fetched_bytes * CUT_PERCENT / 100, &bytes, &was_cut, &trial, err);
    if (r == 0 && !was_cut && trial.is_restored) { // less came than was expected; now it is known how much
        trial_done(&trial);
        r = restore_through(l, &server, bytes * CUT_PERCENT / 100, &bytes, &was_cut, &trial, err);
    }
    if (r < 0)
        return r;
    bool passed = was_cut && !trial.is_restored && trial.exit_code == EXIT_UNREACHABLE;
    clock_format_bytes(came, bytes);
    return drilling_step(l->d, name, io_monotonic_ns(io_of(l)) - start, passed ? DRILL_PASSED : DRILL_FAILED, err, "after %s nothing came any more; bkd-restore ends with %d%s%s", came,
                         trial.exit_code, trial.why == NULL ? "" : ": ", trial.why == NULL ? "" : trial.why);
}

// ---- a wrong host key

// To who pinned another key, the server's own is the wrong one. Of the same kind, so that it comes to be compared.
int negative_line_host_key(const struct negative_line *l, const char *name, struct error *err)
{
    _cleanup_trial_ struct trial trial = { 0 };
    _cleanup_server_ struct server server = { .name = NULL };
    _cleanup_free_ char *known_hosts = NULL;
    uint64_t start = io_monotonic_ns(io_of(l));
    int r = find_server(l, &server, err);
    if (r < 0)
        return r;
    server.blob.data[server.blob.len - 1] ^= 1;
    r = pin(l, server.name, &server.blob, &known_hosts, err);
    if (r == 0)
        r = run_restore(l, l->d->place->url, known_hosts, &trial, err);
    if (r < 0)
        return r;
    bool passed = !trial.is_restored && trial.exit_code == EXIT_ALARM;
    return drilling_step(l->d, name, io_monotonic_ns(io_of(l)) - start, passed ? DRILL_PASSED : DRILL_FAILED, err, "bkd-restore ends with %d%s%s", trial.exit_code,
                         trial.why == NULL ? "" : ": ", trial.why == NULL ? "" : trial.why);
}
