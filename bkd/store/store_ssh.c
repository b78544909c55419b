#include "bkd/store/store_ssh.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/curve.h"
#include "bkd/base/proc.h"
#include "bkd/base/ssh_url.h"
#include "bkd/codec/keyfile.h"
#include "bkd/store/pace.h"
#include "bkd/store/sftp_client.h"
#include "bkd/store/ssh_program.h"

#define COMMAND_MS 60000u // of the command that gives the passphrase
#define ANSWER_MS 60000u // a server that says nothing for so long while it owes an answer is given up

struct address {
    const struct io *io;
    char *text; // as the person wrote it
    struct ssh_url url;
    char *identity, *known_hosts, *passphrase, *config;
    bool program; // the system's ssh, instead of libssh2
    unsigned timeout_ms;
    struct pace bucket;
    struct sftp_pace pace;
};

static void address_free(void *arg)
{
    struct address *a = arg;
    if (a->passphrase != NULL)
        curve_wipe(a->passphrase, strlen(a->passphrase));
    free(a->passphrase);
    free(a->identity);
    free(a->known_hosts);
    free(a->config);
    pace_done(&a->bucket);
    free(a->text);
    ssh_url_done(&a->url);
    free(a);
}

static void fill_options(const struct address *a, struct ssh_options *ret_options)
{
    *ret_options = (struct ssh_options){
        .host = a->url.host, .port = a->url.port, .user = a->url.user, .identity = a->identity, .passphrase = a->passphrase, .known_hosts = a->known_hosts,
        .repository = a->text, .config = a->config, .timeout_ms = a->timeout_ms < SSH_TIMEOUT_MS ? a->timeout_ms : SSH_TIMEOUT_MS,
    };
}

// A connection by libssh2 and what `begin` starts through it.
static int connect_builtin(const struct address *a, const struct ssh_options *options, int (*begin)(struct ssh *s, const char *what, struct stream **ret_stream, struct error *err),
                           const char *what, struct stream **ret_stream, struct error *err)
{
    struct ssh *ssh = NULL;
    int r = ssh_open(a->io, options, &ssh, err);
    if (r == 0)
        r = begin(ssh, what, ret_stream, err);
    if (r < 0)
        ssh_close(ssh);
    return r;
}

static int connect_client(void *arg, struct sftp_client **ret_client, struct error *err)
{
    const struct address *a = arg;
    struct ssh_options options;
    struct stream *stream = NULL;
    fill_options(a, &options);
    int r = a->program ? ssh_program_subsystem(&options, "sftp", &stream, err) : connect_builtin(a, &options, ssh_subsystem, "sftp", &stream, err);
    return r < 0 ? r : sftp_client_new(a->io, stream, a->timeout_ms, ret_client, err);
}

static int run_command(void *arg, const char *command, struct stream **ret_stream, struct error *err)
{
    const struct address *a = arg;
    struct ssh_options options;
    fill_options(a, &options);
    return a->program ? ssh_program_exec(&options, command, ret_stream, err) : connect_builtin(a, &options, ssh_exec, command, ret_stream, err);
}

int store_read_passphrase(const struct io *io, const char *name, char **ret_passphrase, struct error *err)
{
    _cleanup_keyfile_ struct buf text = { 0 };
    _cleanup_free_ char *path = NULL;
    int r = keyfile_find(name, NULL, &path, err);
    if (r < 0)
        return error_prefix(err, "the passphrase");
    r = keyfile_read(io, AT_FDCWD, path, &text, err);
    if (r == 0)
        *ret_passphrase = xstrndup(buf_str(&text), strcspn(buf_str(&text), "\r\n"));
    return r;
}

int store_ask_passphrase(const struct io *io, const char *const *argv, char **ret_passphrase, struct error *err)
{
    static const char *const names[] = { "HOME", "PATH", "LANG", "XDG_RUNTIME_DIR", "GNUPGHOME", "CREDENTIALS_DIRECTORY" };
    char *env[sizeof names / sizeof *names + 1] = { NULL };
    size_t n = 0;
    char how[PROC_TEXT_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]) != NULL)
            env[n++] = xasprintf("%s=%s", names[i], getenv(names[i]));
    _cleanup_proc_result_ struct proc_result result = { 0 };
    int r = proc_run(io, &(struct proc_options){ .argv = argv, .env = (const char *const *)env, .timeout_ms = COMMAND_MS }, &result, err);
    for (size_t i = 0; i < n; i++)
        free(env[i]);
    if (r == 0 && !proc_result_ok(&result)) {
        proc_result_text(&result, how);
        r = error_set(err, ERROR_KEY, "'%s', which is to give the passphrase, %s: %.200s", argv[0], how, buf_str(&result.error.tail));
    }
    const char *text = buf_str(&result.output.tail);
    if (r == 0)
        *ret_passphrase = xstrndup(text, strcspn(text, "\r\n"));
    if (result.output.tail.data != NULL)
        curve_wipe(result.output.tail.data, result.output.tail.len);
    return r < 0 ? error_prefix(err, "passphrase_command") : 0;
}

static int load_access(struct address *a, const struct store_access *access, struct error *err)
{
    if (access == NULL || access->known_hosts == NULL)
        return error_set(err, ERROR_KEY, "repository %s: no file of pinned host keys was named, and a host that is not pinned is not believed: give --known-hosts FILE", a->text);
    a->known_hosts = xstrdup(access->known_hosts);
    a->identity = access->identity == NULL ? NULL : xstrdup(access->identity);
    a->config = access->ssh_config == NULL ? NULL : xstrdup(access->ssh_config);
    a->program = access->ssh_program;
    a->timeout_ms = access->timeout_s == 0 ? ANSWER_MS : access->timeout_s * 1000;
    pace_init(&a->bucket, a->io, &access->bandwidth);
    a->pace = (struct sftp_pace){ .may_send = pace_may_send, .arg = &a->bucket };
    if (access->passphrase_command != NULL)
        return store_ask_passphrase(a->io, access->passphrase_command, &a->passphrase, err);
    return access->passphrase_file == NULL ? 0 : store_read_passphrase(a->io, access->passphrase_file, &a->passphrase, err);
}

static int load_address(const struct io *io, const char *url, const struct store_access *access, struct address **ret_address, struct error *err)
{
    struct address *a = xcalloc(1, sizeof *a);
    a->io = io;
    a->text = xstrdup(url);
    int r = ssh_url_parse(url, &a->url, err);
    if (r == 0)
        r = load_access(a, access, err);
    if (r < 0)
        address_free(a);
    else
        *ret_address = a;
    return r;
}

int store_ssh_open(const struct io *io, const char *url, const struct store_access *access, bool create, struct store **ret_store, struct error *err)
{
    struct address *a;
    int r = load_address(io, url, access, &a, err);
    if (r < 0)
        return r;
    struct store_connector connector = { .connect = connect_client, .done = address_free, .arg = a, .lanes = access->connections, .pace = a->bucket.bandwidth.n > 0 ? &a->pace : NULL };
    if (access->far_sha256sum)
        connector.run = run_command;
    return store_sftp_open(io, url, a->url.path, create, &connector, ret_store, err);
}

int store_ssh_connect(const struct io *io, const char *url, const struct store_access *access, struct sftp_client **ret_client, char **ret_root, struct error *err)
{
    struct address *a;
    int r = load_address(io, url, access, &a, err);
    if (r < 0)
        return r;
    r = connect_client(a, ret_client, err);
    if (r == 0)
        *ret_root = xstrdup(a->url.path);
    address_free(a);
    return r;
}

// Until the command's output ends, `max` bytes came, or nothing comes for ANSWER_MS.
static void read_output(struct stream *stream, size_t max, struct buf *ret_output)
{
    struct error end;
    uint8_t step[4096];
    struct pollfd p;
    size_t n = 0;
    bool waited = true;
    while (waited && ret_output->len < max && stream->ops->read(stream, step, sizeof step, &n, &end) == 0) {
        buf_add(ret_output, step, n);
        stream->ops->wants(stream, false, &p);
        waited = n > 0 || poll(&p, 1, (int)ANSWER_MS) > 0;
    }
}

int store_ssh_command(const struct io *io, const char *url, const struct store_access *access, const char *command, size_t max, struct buf *ret_output,
                      struct error *err)
{
    struct address *a;
    struct stream *stream = NULL;
    int r = load_address(io, url, access, &a, err);
    if (r < 0)
        return r;
    r = run_command(a, command, &stream, err);
    if (r == 0) {
        read_output(stream, max, ret_output);
        stream->ops->close(stream); // and the connection
    }
    address_free(a);
    return r;
}
