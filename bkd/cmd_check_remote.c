// bkd check-remote: what a break-in on the host that ships could do to its copies, found out by trying.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/ssh_url.h"
#include "bkd/cmd.h"
#include "bkd/copies/probe.h"
#include "bkd/host/setup.h"
#include "bkd/store/store_ssh.h"

#define ECHO "bkd-check-remote"

struct remote {
    const struct context *ctx;
    const char *url;
    struct probe probe;
    struct sftp_abilities abilities; // extensions are borrowed from the client
};

// Whether the account runs commands: with a shell, anything can be removed.
static int try_command(struct remote *m, const struct store_access *access, struct error *err)
{
    _cleanup_buf_ struct buf output = { 0 };
    struct error answer = { .text = "done" };
    int r = store_ssh_command(m->ctx->io, m->url, access, "echo " ECHO, 4096, &output, &answer);
    if (r < 0 && r != ERROR_FAILED) {
        *err = answer;
        return r;
    }
    bool ran = r == 0 && strstr(buf_str(&output), ECHO) != NULL;
    probe_add(&m->probe, "run a command", ran, ran ? "done" : r < 0 ? answer.text : "it was not run");
    return 0;
}

static int report_json(const struct remote *m, struct error *err)
{
    const struct probe *p = &m->probe;
    struct json *line;
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->n; i++) {
        line = json_line_new("attempt");
        json_add_str(line, "url", m->url);
        json_add_str(line, "attempt", p->attempts[i].name);
        json_add_bool(line, "refused", !p->attempts[i].harmed);
        json_add_str(line, "answer", p->attempts[i].answer);
        r = json_line_print(&line, stdout, err);
    }
    if (r < 0)
        return r;
    line = json_line_new("summary");
    json_add_str(line, "url", m->url);
    json_add_bool(line, "append_only", probe_is_append_only(p));
    if (p->has_space) {
        json_add_u64(line, "free_bytes", p->free_bytes);
        json_add_u64(line, "total_bytes", p->total_bytes);
    }
    json_add_i64(line, "clock_ahead_s", p->clock_ahead_s);
    json_add_u64(line, "round_trip_us", m->abilities.round_trip_ns / 1000);
    json_add_str(line, "extensions", m->abilities.extensions);
    json_add_str(line, "left", p->left);
    return json_line_print(&line, stdout, err);
}

static void print_attempts(const struct probe *p)
{
    for (size_t i = 0; i < p->n; i++)
        printf("  %-28s %s\n", p->attempts[i].name, p->attempts[i].harmed ? "POSSIBLE" : "refused");
}

static void report_text(const struct remote *m)
{
    const struct probe *p = &m->probe;
    char free_text[CLOCK_TEXT_MAX], total[CLOCK_TEXT_MAX];
    clock_format_bytes(free_text, p->free_bytes);
    clock_format_bytes(total, p->total_bytes);
    printf("%s: append-only: %s\n", m->url, probe_is_append_only(p) ? "yes" : "NO");
    print_attempts(p);
    if (p->has_space)
        printf("  free space                   %s of %s\n", free_text, total);
    printf("  clock                        %+lld s from this host's\n  round trip                   %.1f ms\n  extensions                   %s\n", (long long)p->clock_ahead_s,
           (double)m->abilities.round_trip_ns / 1e6, m->abilities.extensions[0] == '\0' ? "none" : m->abilities.extensions);
    if (p->left != NULL)
        printf("  left there                   '%s', which cannot be removed from here\n", p->left);
    if (!probe_is_append_only(p))
        printf("Whoever breaks in on this host could destroy this copy, old snapshots too. On the server, give the account a forced command: bkd serve --append-only --root DIR\n");
}

static int check_one(struct context *ctx, const char *url, const struct store_access *access, bool expected, struct error *err)
{
    struct remote m = { .ctx = ctx, .url = url };
    struct sftp_client *client = NULL;
    _cleanup_free_ char *root = NULL;
    int r = store_ssh_connect(ctx->io, url, access, &client, &root, err);
    if (r == 0)
        r = probe_run(ctx->io, client, root, &m.probe, err);
    if (r == 0)
        r = try_command(&m, access, err);
    if (r == 0) {
        m.abilities = *sftp_client_abilities(client);
        if (ctx->json)
            r = report_json(&m, err);
        else if (ctx->verbosity >= 0)
            report_text(&m);
    }
    if (r == 0 && expected && !probe_is_append_only(&m.probe))
        r = error_set(err, ERROR_INTEGRITY, "files there can be changed or removed, and --expect-append-only was given: see `bkd serve`");
    probe_done(&m.probe);
    sftp_client_free(client);
    return r < 0 ? error_prefix(err, "%s", url) : 0;
}

static int check_url(struct context *ctx, const struct cli_args *args, bool expected, struct error *err)
{
    const char *identity = cli_args_option(args, "ssh-identity"), *known_hosts = cli_args_option(args, "known-hosts");
    _cleanup_free_ char *own_identity = context_key_path(ctx, "ssh_ed25519"), *own_known_hosts = context_key_path(ctx, "known_hosts");
    struct store_access access = {
        .identity = identity == NULL ? own_identity : identity, .known_hosts = known_hosts == NULL ? own_known_hosts : known_hosts,
        .passphrase_file = cli_args_option(args, "ssh-passphrase"),
    };
    return check_one(ctx, cli_args_value(args, 0), &access, expected, err);
}

// Every place of the policy that is on a server; all are looked at, whatever the first one says.
static int check_policy(struct context *ctx, const char *name, bool expected, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    int r = context_load_policy(ctx, name, &policy, err), worst = 0;
    size_t looked_at = 0;
    for (size_t i = 0; r == 0 && i <= policy.offsite.count; i++) {
        const struct policy_store *place = i == 0 ? &policy.repository : &policy.offsite.items[i - 1];
        struct error one;
        if (!policy_store_is_remote(place))
            continue;
        _cleanup_setup_access_ struct setup_access access = { 0 };
        setup_access(ctx, place, &access);
        int result = check_one(ctx, place->url, &access.access, expected, &one);
        looked_at++;
        if (result < 0 && (worst == 0 || result == ERROR_INTEGRITY)) {
            *err = one;
            worst = result;
        }
    }
    if (r == 0 && looked_at == 0)
        return error_set(err, ERROR_USAGE, "policy %s has nothing on a server", policy.name);
    return r < 0 ? r : worst;
}

int cmd_check_remote(struct context *ctx, const struct cli_args *args, struct error *err)
{
    const char *what = cli_args_value(args, 0);
    bool expected = cli_args_flag(args, "expect-append-only");
    return ssh_url_is(what) ? check_url(ctx, args, expected, err) : check_policy(ctx, what, expected, err);
}
