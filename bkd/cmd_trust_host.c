// bkd trust-host: pins an SSH server's host key, after a person (or a fingerprint given beforehand) said that it is the right one.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/ssh_url.h"
#include "bkd/cmd.h"
#include "bkd/codec/known_hosts.h"
#include "bkd/host/setup.h"
#include "bkd/store/ssh.h"

struct pin {
    char *url, *file, *config; // owned
    char *name;       // of the host in the file; owned
    struct buf blob;  // the key it shows
    char fingerprint[KNOWN_HOSTS_FINGERPRINT_SIZE];
};

static void pin_done(struct pin *p)
{
    free(p->url);
    free(p->file);
    free(p->config);
    free(p->name);
    buf_done(&p->blob);
}

static int ask_host(const struct context *ctx, struct pin *p, struct error *err)
{
    _cleanup_ssh_url_ struct ssh_url url = { 0 };
    int r = ssh_url_parse(p->url, &url, err);
    if (r < 0)
        return r;
    struct ssh_options options = { .host = url.host, .port = url.port, .user = url.user, .known_hosts = p->file, .repository = p->url, .config = p->config };
    p->name = known_hosts_name(url.host, url.port == 0 ? 22 : url.port);
    r = ssh_fetch_host_key(ctx->io, &options, &p->blob, err);
    if (r == 0)
        known_hosts_fingerprint(p->blob.data, p->blob.len, p->fingerprint);
    return r;
}

static bool person_agrees(const struct pin *p)
{
    char answer[16] = "";
    (void)fprintf(stderr, "%s shows the key %s.\nIs that what the server's administrator says? Type yes to pin it: ", p->name, p->fingerprint);
    return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static int confirm(const struct cli_args *args, const struct pin *p, struct error *err)
{
    const char *expected = cli_args_option(args, "fingerprint");
    if (expected != NULL && strcmp(expected, p->fingerprint) != 0)
        return error_set(err, ERROR_INTEGRITY, "%s shows the key %s, not %s: nothing was pinned. Either the fingerprint is of another of its keys, or somebody sits in between",
                         p->name, p->fingerprint, expected);
    if (expected != NULL || cli_args_flag(args, "yes"))
        return 0;
    if (!isatty(STDIN_FILENO))
        return error_set(err, ERROR_USAGE, "%s shows the key %s; nothing was pinned. Compare it with what its administrator says, then give --fingerprint %s, or --yes", p->name,
                         p->fingerprint, p->fingerprint);
    return person_agrees(p) ? 0 : error_set(err, ERROR_FAILED, "nothing was pinned");
}

// Adds the line to the file, which is written aside and renamed. *ret_pinned false: it was pinned before.
static int write_pin(const struct context *ctx, const struct pin *p, bool *ret_pinned, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    enum known_hosts_answer answer;
    int r = fs_read_file(ctx->io, AT_FDCWD, p->file, KNOWN_HOSTS_FILE_MAX, &text, err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    r = known_hosts_find(text.data, text.len, p->name, p->blob.data, p->blob.len, &answer, err);
    if (r < 0)
        return r;
    *ret_pinned = answer != KNOWN_HOSTS_MATCH;
    if (answer == KNOWN_HOSTS_MATCH)
        return 0;
    if (answer == KNOWN_HOSTS_CHANGED)
        return error_set(err, ERROR_INTEGRITY, "another key is pinned for %s in '%s': remove that line first, when you are sure that the server's key was changed on purpose",
                         p->name, p->file);
    if (text.len > 0 && text.data[text.len - 1] != '\n')
        buf_add_char(&text, '\n');
    known_hosts_line(p->name, p->blob.data, p->blob.len, &text);
    return fs_replace_file(ctx->io, AT_FDCWD, p->file, 0644, text.data, text.len, err);
}

static int report(const struct context *ctx, const struct pin *p, bool pinned, struct error *err)
{
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "host", p->name);
        json_add_str(line, "fingerprint", p->fingerprint);
        json_add_str(line, "known_hosts", p->file);
        json_add_bool(line, "pinned", pinned);
        return json_line_print(&line, stdout, err);
    }
    if (ctx->verbosity >= 0)
        printf("%s: %s %s in %s\n", p->name, p->fingerprint, pinned ? "pinned" : "was pinned already", p->file);
    return 0;
}

static int pin_host(struct context *ctx, const struct cli_args *args, struct pin *p, struct error *err)
{
    bool pinned = false;
    int r = ask_host(ctx, p, err);
    if (r == 0)
        r = confirm(args, p, err);
    if (r == 0)
        r = write_pin(ctx, p, &pinned, err);
    return r < 0 ? r : report(ctx, p, pinned, err);
}

// ---- which hosts

static int pin_address(struct context *ctx, const struct cli_args *args, const char *url, struct error *err)
{
    const char *config = cli_args_option(args, "ssh-config"), *known_hosts = cli_args_option(args, "known-hosts");
    __attribute__((cleanup(pin_done))) struct pin p = {
        .url = xstrdup(url), .file = known_hosts != NULL ? xstrdup(known_hosts) : context_key_path(ctx, "known_hosts"), .config = config == NULL ? NULL : xstrdup(config),
    };
    return pin_host(ctx, args, &p, err);
}

// As the policy reaches it: through its ssh_config, pinned in its file.
static int pin_place(struct context *ctx, const struct cli_args *args, const struct policy_store *place, struct error *err)
{
    const char *config = cli_args_option(args, "ssh-config"), *known_hosts = cli_args_option(args, "known-hosts");
    _cleanup_setup_access_ struct setup_access access = { 0 };
    setup_access(ctx, place, &access);
    config = config == NULL ? access.config : config;
    __attribute__((cleanup(pin_done))) struct pin p = {
        .url = xstrdup(place->url), .file = known_hosts != NULL ? xstrdup(known_hosts) : context_key_path(ctx, place->ssh_known_hosts),
        .config = config == NULL ? NULL : xstrdup(config),
    };
    return pin_host(ctx, args, &p, err);
}

static bool is_same_host(const struct policy_store *a, const struct policy_store *b)
{
    _cleanup_ssh_url_ struct ssh_url x = { 0 }, y = { 0 };
    struct error ignored;
    return ssh_url_parse(a->url, &x, &ignored) == 0 && ssh_url_parse(b->url, &y, &ignored) == 0 && strcmp(x.host, y.host) == 0 &&
           (x.port == 0 ? 22 : x.port) == (y.port == 0 ? 22 : y.port) && strcmp(a->ssh_known_hosts, b->ssh_known_hosts) == 0;
}

// The repository's and the copies' servers, each once. The array is freed by the caller, the places belong to the policy.
static const struct policy_store **remote_places(const struct policy *policy, size_t *ret_n)
{
    const struct policy_store **places = xcalloc(policy->offsite.count + 1, sizeof(const struct policy_store *));
    size_t n = 0;
    for (size_t i = 0; i <= policy->offsite.count; i++) {
        const struct policy_store *place = i == 0 ? &policy->repository : &policy->offsite.items[i - 1];
        bool known = !policy_store_is_remote(place);
        for (size_t k = 0; !known && k < n; k++)
            known = is_same_host(place, places[k]);
        if (!known)
            places[n++] = place;
    }
    *ret_n = n;
    return places;
}

static int pin_policy(struct context *ctx, const struct cli_args *args, const char *name, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    size_t n = 0;
    int r = context_load_policy(ctx, name, &policy, err);
    if (r < 0)
        return r;
    const struct policy_store **places = remote_places(&policy, &n);
    if (n == 0)
        r = error_set(err, ERROR_USAGE, "the repository of policy %s is a directory, no server, and so are its copies", policy.name);
    else if (n > 1 && cli_args_option(args, "fingerprint") != NULL)
        r = error_set(err, ERROR_USAGE, "policy %s reaches %zu servers, and a fingerprint is of one: give its address instead", policy.name, n);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = pin_place(ctx, args, places[i], err);
    free(places);
    return r;
}

int cmd_trust_host(struct context *ctx, const struct cli_args *args, struct error *err)
{
    const char *what = cli_args_value(args, 0);
    return ssh_url_is(what) ? pin_address(ctx, args, what, err) : pin_policy(ctx, args, what, err);
}
