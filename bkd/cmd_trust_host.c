// bkd trust-host: pins an SSH server's host key, after a person (or a fingerprint given beforehand) said that it is the right one.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
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
    struct buf pinned; // the file as it is
    enum known_hosts_answer answer; // what it says of the key
};

static void pin_done(struct pin *p)
{
    free(p->url);
    free(p->file);
    free(p->config);
    free(p->name);
    buf_done(&p->blob);
    buf_done(&p->pinned);
}

static int look_up(const struct context *ctx, struct pin *p, struct error *err)
{
    buf_reset(&p->pinned);
    int r = fs_read_file(ctx->io, AT_FDCWD, p->file, KNOWN_HOSTS_FILE_MAX, &p->pinned, err);
    return r == 0 || r == ERROR_NOT_FOUND ? known_hosts_find(p->pinned.data, p->pinned.len, p->name, p->blob.data, p->blob.len, &p->answer, err) : r;
}

// The key of that type (NULL: the one the host likes best), and what the file says of it.
static int fetch_key(const struct context *ctx, const struct ssh_options *options, const char *type, struct pin *p, struct error *err)
{
    buf_reset(&p->blob);
    int r = ssh_fetch_host_key(ctx->io, options, type, &p->blob, err);
    if (r < 0)
        return r;
    known_hosts_fingerprint(p->blob.data, p->blob.len, p->fingerprint);
    return look_up(ctx, p, err);
}

// The one that is expected; without a word of that, one that is not another than the pinned one.
static bool is_meant(const struct pin *p, const char *expected)
{
    return expected == NULL ? p->answer != KNOWN_HOSTS_CHANGED : strcmp(expected, p->fingerprint) == 0;
}

// A host has several keys, and what is expected or pinned may be any of them. When it is none of them: the one that the host likes best.
static int ask_host(const struct context *ctx, const char *expected, struct pin *p, struct error *err)
{
    _cleanup_ssh_url_ struct ssh_url url = { 0 };
    struct error no_key_of_type;
    int r = ssh_url_parse(p->url, &url, err);
    if (r < 0)
        return r;
    struct ssh_options options = { .host = url.host, .port = url.port, .user = url.user, .known_hosts = p->file, .repository = p->url, .config = p->config };
    p->name = known_hosts_name(url.host, url.port == 0 ? 22 : url.port);
    r = fetch_key(ctx, &options, NULL, p, err);
    if (r < 0 || is_meant(p, expected))
        return r;
    for (size_t i = 0; ssh_host_key_types[i] != NULL; i++)
        if (fetch_key(ctx, &options, ssh_host_key_types[i], p, &no_key_of_type) == 0 && is_meant(p, expected))
            return 0;
    return fetch_key(ctx, &options, NULL, p, err);
}

static bool person_agrees(const struct pin *p)
{
    char answer[16] = "";
    const char *instead = p->answer == KNOWN_HOSTS_CHANGED ? " ANOTHER KEY IS PINNED for it: was the server installed anew?" : "";
    (void)fprintf(stderr, "%s shows the key %s.%s\nIs that what the server's administrator says? Type yes to pin it: ", p->name, p->fingerprint, instead);
    return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static int check_fingerprint(const char *expected, struct error *err)
{
    bool good = strncmp(expected, "SHA256:", 7) == 0 && strlen(expected + 7) == 43;
    return good ? 0 : error_set(err, ERROR_USAGE, "'%s' is no fingerprint: it is SHA256: and 43 characters, as ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub shows it there", expected);
}

static int confirm(const struct cli_args *args, const struct pin *p, struct error *err)
{
    const char *expected = cli_args_option(args, "fingerprint");
    if (expected != NULL && strcmp(expected, p->fingerprint) != 0)
        return error_set(err, ERROR_INTEGRITY, "%s shows the key %s, not %s: nothing was pinned. Either the fingerprint is of another of its keys, or somebody sits in between",
                         p->name, p->fingerprint, expected);
    bool is_agreed = cli_args_flag(args, "yes"), is_changed = p->answer == KNOWN_HOSTS_CHANGED;
    if (expected != NULL || p->answer == KNOWN_HOSTS_MATCH || (is_agreed && !is_changed))
        return 0;
    if (is_agreed)
        return error_set(err, ERROR_INTEGRITY, "%s shows the key %s, and another one is pinned for it in '%s': that may be an attack, so --yes is not enough. When its administrator confirms "
                         "the new key, give --fingerprint %s", p->name, p->fingerprint, p->file, p->fingerprint);
    if (!isatty(STDIN_FILENO))
        return error_set(err, ERROR_USAGE, "%s shows the key %s; nothing was pinned. Compare it with what its administrator says, then give --fingerprint %s, or --yes", p->name,
                         p->fingerprint, p->fingerprint);
    return person_agrees(p) ? 0 : error_set(err, ERROR_FAILED, "nothing was pinned");
}

// Leaves out the keys that were pinned for the host. A line for several hosts is a person's, and stays.
static int drop_old_keys(struct pin *p, struct error *err)
{
    _cleanup_buf_ struct buf rest = { 0 };
    int r = known_hosts_without(p->pinned.data, p->pinned.len, p->name, &rest, err);
    buf_reset(&p->pinned);
    buf_add(&p->pinned, rest.data, rest.len);
    if (r == 0)
        r = known_hosts_find(rest.data, rest.len, p->name, p->blob.data, p->blob.len, &p->answer, err);
    if (r == 0 && p->answer != KNOWN_HOSTS_UNKNOWN)
        return error_set(err, ERROR_INTEGRITY, "another key is pinned for %s in '%s' by a line for several hosts: change that line first, when you are sure that the server's key "
                         "was changed on purpose", p->name, p->file);
    if (r == 0)
        log_warn("another key was pinned for %s in '%s': it gives way to %s", p->name, p->file, p->fingerprint);
    return r;
}

// The file is written aside and renamed. *ret_pinned false: it was pinned before.
static int write_pin(const struct context *ctx, struct pin *p, bool *ret_pinned, struct error *err)
{
    int r = look_up(ctx, p, err); // once more: a person may have thought for a while
    *ret_pinned = r == 0 && p->answer != KNOWN_HOSTS_MATCH;
    if (r == 0 && p->answer == KNOWN_HOSTS_CHANGED)
        r = drop_old_keys(p, err);
    if (r < 0 || !*ret_pinned)
        return r;
    if (p->pinned.len > 0 && p->pinned.data[p->pinned.len - 1] != '\n')
        buf_add_char(&p->pinned, '\n');
    known_hosts_line(p->name, p->blob.data, p->blob.len, &p->pinned);
    _cleanup_free_ char *dir = xstrndup(p->file, (size_t)(strrchr(p->file, '/') == NULL ? 0 : strrchr(p->file, '/') - p->file));
    r = dir[0] == '\0' ? 0 : fs_make_dirs(ctx->io, AT_FDCWD, dir, 0700, err);
    return r < 0 ? r : fs_replace_file(ctx->io, AT_FDCWD, p->file, 0644, p->pinned.data, p->pinned.len, err);
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
    const char *expected = cli_args_option(args, "fingerprint");
    int r = expected == NULL ? 0 : check_fingerprint(expected, err);
    if (r == 0)
        r = ask_host(ctx, expected, p, err);
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
