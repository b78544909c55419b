#include "bkd/store/ssh.h"

#include <errno.h>
#include <libssh2.h>
#include <pwd.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/curve.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/base/shell.h"
#include "bkd/base/tcp.h"
#include "bkd/codec/keyfile.h"
#include "bkd/codec/known_hosts.h"
#include "bkd/store/ssh_alias.h"

// What may be negotiated, best first. Left out: everything with SHA-1, CBC or 3DES. libssh2 1.10 has neither AES-GCM nor encrypt-then-MAC nor
// ChaCha20, so what the Terrapin attack (CVE-2023-48795) needs cannot be chosen.
static const char kex_methods[] = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
                                  "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,"
                                  "diffie-hellman-group-exchange-sha256";
static const char host_key_methods[] = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521";
const char *const ssh_host_key_types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", NULL };
static const char ciphers[] = "aes128-ctr,aes256-ctr,aes192-ctr";
static const char macs[] = "hmac-sha2-256,hmac-sha2-512";

#define CHANNEL_WINDOW (16u << 20) // what the server may send ahead; one of 2 MiB would bound downloads at 2 MiB a round trip

struct ssh {
    const struct io *io;
    char *name; // for messages: "user@host"
    int fd;
    pid_t child;            // the way through other hosts; 0 = none
    struct ssh_alias alias; // what ssh_config says of the host; empty when it is not asked
    unsigned timeout_ms;
    LIBSSH2_SESSION *session;
    LIBSSH2_AGENT *agent;
};

// ---- waiting

// Waits until the socket is ready for what libssh2 stopped at. False when the time is over.
static bool wait_ready(const struct ssh *s, uint64_t until_ns)
{
    uint64_t now = io_monotonic_ns(s->io);
    if (now >= until_ns)
        return false;
    int directions = libssh2_session_block_directions(s->session);
    struct pollfd p = { .fd = s->fd, .events = (short)((directions & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0) | POLLIN) };
    int left_ms = (int)((until_ns - now + 999999) / 1000000);
    return poll(&p, 1, left_ms) > 0 || io_monotonic_ns(s->io) < until_ns;
}

static uint64_t deadline(const struct ssh *s) { return io_monotonic_ns(s->io) + s->timeout_ms * UINT64_C(1000000); }

// Repeats a call of libssh2 that answers LIBSSH2_ERROR_EAGAIN while it waits.
#define UNTIL_DONE(s, call)                                            \
    ({                                                                 \
        uint64_t until_ = deadline(s);                                 \
        int rc_;                                                       \
        do                                                             \
            rc_ = (call);                                              \
        while (rc_ == LIBSSH2_ERROR_EAGAIN && wait_ready(s, until_)); \
        rc_;                                                           \
    })

static int session_error(const struct ssh *s, int rc, enum error_code code, const char *what, struct error *err)
{
    char *text = NULL;
    (void)libssh2_session_last_error(s->session, &text, NULL, 0);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return error_set(err, ERROR_UNREACHABLE, "%s: no answer from %s within %u s", what, s->name, s->timeout_ms / 1000);
    return error_set(err, code, "%s: %s says: %s (%d)", what, s->name, text == NULL || *text == '\0' ? "nothing" : text, rc);
}

// ---- the host's key

static const uint8_t *shown_key(const struct ssh *s, size_t *ret_n)
{
    int type;
    return (const uint8_t *)libssh2_session_hostkey(s->session, ret_n, &type);
}

// Only the types of the pinned keys are asked for, so that a server that prefers another of its keys does not look changed.
static int prefer_pinned_types(const struct ssh_options *o, const struct buf *known, const char *name, struct buf *ret_types, struct error *err)
{
    _cleanup_buf_ struct buf pinned = { 0 };
    int r = known_hosts_types(known->data, known->len, name, &pinned, err);
    if (r < 0)
        return r;
    for (const char *p = buf_str(&pinned); *p != '\0';) {
        size_t n = strcspn(p, ",");
        _cleanup_free_ char *type = xstrndup(p, n);
        if (strstr(host_key_methods, type) != NULL) {
            buf_add_str(ret_types, ret_types->len > 0 ? "," : "");
            buf_add_str(ret_types, type);
        }
        p += n + (p[n] == ',');
    }
    _cleanup_free_ char *repository = shell_word(o->repository);
    if (pinned.len > 0 && ret_types->len == 0)
        return error_set(err, ERROR_KEY, "of host %s only a key of type %s is pinned in '%s', which libssh2 cannot use safely: pin an Ed25519 or ECDSA one with `bkd trust-host %s`",
                         name, buf_str(&pinned), o->known_hosts, repository);
    return 0;
}

static int judge_key(const struct ssh *s, const struct ssh_options *o, const struct buf *known, const char *name, struct error *err)
{
    size_t n = 0;
    const uint8_t *blob = shown_key(s, &n);
    enum known_hosts_answer answer;
    char fingerprint[KNOWN_HOSTS_FINGERPRINT_SIZE];
    int r = known_hosts_find(known->data, known->len, name, blob, n, &answer, err);
    if (r < 0 || answer == KNOWN_HOSTS_MATCH)
        return r;
    known_hosts_fingerprint(blob, n, fingerprint);
    _cleanup_free_ char *repository = shell_word(o->repository);
    if (answer == KNOWN_HOSTS_CHANGED)
        return error_set(err, ERROR_INTEGRITY,
                         "host %s shows another key (%s) than the one pinned in '%s': either it was installed anew or somebody sits in between; nothing was sent. If its "
                         "administrator confirms the new key, pin it instead: bkd trust-host %s --fingerprint %s",
                         name, fingerprint, o->known_hosts, repository, fingerprint);
    return error_set(err, ERROR_KEY,
                     "host %s is not known: '%s' has no key for it. It shows %s; compare that with what its administrator says, then: bkd trust-host %s --fingerprint %s", name,
                     o->known_hosts, fingerprint, repository, fingerprint);
}

// ---- steps of opening

static const char *user_of(const struct ssh_options *o)
{
    if (o->user != NULL)
        return o->user;
    const struct passwd *me = getpwuid(geteuid());
    return me == NULL ? "root" : me->pw_name;
}

static int set_methods(const struct ssh *s, const char *host_keys, struct error *err)
{
    const struct { int method; const char *list; } wanted[] = {
        { LIBSSH2_METHOD_KEX, kex_methods }, { LIBSSH2_METHOD_HOSTKEY, host_keys }, { LIBSSH2_METHOD_CRYPT_CS, ciphers },
        { LIBSSH2_METHOD_CRYPT_SC, ciphers }, { LIBSSH2_METHOD_MAC_CS, macs }, { LIBSSH2_METHOD_MAC_SC, macs },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (libssh2_session_method_pref(s->session, wanted[i].method, wanted[i].list) != 0)
            return error_set(err, ERROR_FAILED, "libssh2 knows none of %s", wanted[i].list);
    return 0;
}

// "curve25519-sha256, ssh-ed25519, aes128-ctr, hmac-sha2-256".
static void tell_algorithms(const struct ssh *s)
{
    log_debug("%s: connected with %s, %s, %s, %s", s->name, libssh2_session_methods(s->session, LIBSSH2_METHOD_KEX), libssh2_session_methods(s->session, LIBSSH2_METHOD_HOSTKEY),
              libssh2_session_methods(s->session, LIBSSH2_METHOD_CRYPT_CS), libssh2_session_methods(s->session, LIBSSH2_METHOD_MAC_CS));
}

// The socket to the host: TCP, or a child that leads there.
static int connect_socket(struct ssh *s, const struct ssh_options *o, struct error *err)
{
    const char *host = o->host;
    unsigned port = o->port;
    if (o->config != NULL) {
        int r = ssh_alias_resolve(s->io, o->config, o->host, o->port, o->user, &s->alias, err);
        if (r == 0)
            r = ssh_alias_start(&s->alias, o->config, &s->fd, &s->child, err);
        if (r < 0 || s->fd >= 0)
            return r;
        host = s->alias.host;
        port = s->alias.port;
    }
    return tcp_connect(s->io, host, port == 0 ? 22 : port, s->timeout_ms, &s->fd, err);
}

// TCP and the key exchange; the host's key is known afterwards, and not yet believed.
static int connect_session(const struct io *io, const struct ssh_options *o, const char *host_keys, struct ssh *s, struct error *err)
{
    *s = (struct ssh){ .io = io, .fd = -1, .timeout_ms = o->timeout_ms == 0 ? SSH_TIMEOUT_MS : o->timeout_ms };
    s->name = xasprintf("%s@%s", user_of(o), o->host);
    int r = connect_socket(s, o, err);
    if (r < 0)
        return r;
    s->session = libssh2_session_init();
    if (s->session == NULL)
        return error_set(err, ERROR_FAILED, "libssh2 cannot begin a session");
    libssh2_session_set_blocking(s->session, 0);
    r = set_methods(s, host_keys, err);
    if (r < 0)
        return r;
    int rc = UNTIL_DONE(s, libssh2_session_handshake(s->session, s->fd));
    if (rc == LIBSSH2_ERROR_KEX_FAILURE || rc == LIBSSH2_ERROR_METHOD_NONE)
        return error_set(err, ERROR_UNREACHABLE, "%s and bkd have no safe algorithms in common, or the server has no host key of type %s", s->name, host_keys);
    if (rc != 0)
        return session_error(s, rc, ERROR_UNREACHABLE, "key exchange", err);
    tell_algorithms(s);
    return 0;
}

// ---- authentication

// An RSA key would be signed with SHA-1, which servers since OpenSSH 8.8 refuse: say so before they do.
static int check_key_type(const char *path, const struct buf *key, struct error *err)
{
    static const char *const rsa[] = { "BEGIN RSA PRIVATE KEY", "\x07ssh-rsa" };
    _cleanup_buf_ struct buf body = { 0 };
    const char *text = buf_str(key), *begin = strstr(text, "-----BEGIN OPENSSH PRIVATE KEY-----\n"), *end = strstr(text, "-----END");
    bool is_rsa = strstr(text, rsa[0]) != NULL;
    if (begin != NULL && end != NULL) {
        _cleanup_buf_ struct buf base64 = { 0 };
        for (const char *p = strchr(begin, '\n'); p < end; p++)
            if (*p != '\n' && *p != '\r')
                buf_add_char(&base64, *p);
        size_t n = 0;
        buf_reserve(&body, base64.len);
        if (base64_decode(buf_str(&base64), base64.len, true, body.data, body.cap, &n))
            is_rsa = memmem(body.data, n, rsa[1], strlen(rsa[1])) != NULL;
        curve_wipe(body.data, body.cap);
        curve_wipe(base64.data, base64.len);
    }
    return is_rsa ? error_set(err, ERROR_KEY,
                              "'%s' is an RSA key: libssh2 1.10 can sign with it only by SHA-1, which servers refuse. Make an Ed25519 key (ssh-keygen -t ed25519 -f FILE), "
                              "and add its .pub line to the account's authorized_keys; or connect by the system's ssh (transport: ssh)",
                              path)
                  : 0;
}

// libssh2 has one code for "the server said no" and "the line broke while it was asked"; only its words tell them apart.
static bool is_refusal(const struct ssh *s, int rc)
{
    char *text = NULL;
    (void)libssh2_session_last_error(s->session, &text, NULL, 0);
    return (rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED || rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED) && (text == NULL || strstr(text, "Waiting for") == NULL);
}

static int offer_file(struct ssh *s, const struct ssh_options *o, struct error *err)
{
    _cleanup_keyfile_ struct buf key = { 0 };
    int r = keyfile_read(s->io, AT_FDCWD, o->identity, &key, err);
    if (r == 0)
        r = check_key_type(o->identity, &key, err);
    if (r < 0)
        return r;
    const char *user = user_of(o), *pass = o->passphrase == NULL ? "" : o->passphrase;
    int rc = UNTIL_DONE(s, libssh2_userauth_publickey_frommemory(s->session, user, strlen(user), NULL, 0, (const char *)key.data, key.len, pass));
    if (rc == LIBSSH2_ERROR_FILE || rc == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED || rc == LIBSSH2_ERROR_METHOD_NONE)
        return error_set(err, ERROR_KEY, "the key '%s' cannot be used: %s", o->identity,
                         o->passphrase == NULL ? "it is damaged, of a type libssh2 does not know, or under a passphrase that was not given" : "its passphrase is wrong, or it is damaged");
    if (is_refusal(s, rc))
        return error_set(err, ERROR_KEY, "%s does not accept the key '%s': is its .pub line in the account's authorized_keys?", s->name, o->identity);
    return rc == 0 ? 0 : session_error(s, rc, ERROR_UNREACHABLE, "authentication", err);
}

static bool is_rsa_blob(const uint8_t *blob, size_t n) { return n > 11 && memcmp(blob, "\0\0\0\x07ssh-rsa", 11) == 0; }

static int offer_agent(struct ssh *s, const struct ssh_options *o, struct error *err)
{
    struct libssh2_agent_publickey *key = NULL;
    s->agent = libssh2_agent_init(s->session);
    if (s->agent == NULL || libssh2_agent_connect(s->agent) != 0 || libssh2_agent_list_identities(s->agent) != 0)
        return error_set(err, ERROR_KEY, "no key file was given for %s, and there is no SSH agent (SSH_AUTH_SOCK): name the key file", s->name);
    bool has_rsa = false;
    for (unsigned n = 0; n < 64 && libssh2_agent_get_identity(s->agent, &key, key) == 0; n++) {
        if (is_rsa_blob(key->blob, key->blob_len)) { // as a file: offered, it would only count as a failure
            has_rsa = true;
            continue;
        }
        int rc = UNTIL_DONE(s, libssh2_agent_userauth(s->agent, user_of(o), key));
        if (rc == 0)
            return 0;
        if (!is_refusal(s, rc))
            return session_error(s, rc, ERROR_UNREACHABLE, "authentication by the agent", err);
    }
    return error_set(err, ERROR_KEY, "%s accepts none of the agent's keys: name the key file%s", s->name,
                     !has_rsa ? "" : ". RSA keys were left out, since libssh2 1.10 can sign with them only by SHA-1, which servers refuse: add an Ed25519 key to the agent "
                                     "(ssh-keygen -t ed25519 -f FILE), or connect by the system's ssh (transport: ssh)");
}

// What the address and the policy say comes before what ssh_config says; a key file that is not there is looked for in the latter.
static int authenticate(struct ssh *s, const struct ssh_options *o, struct error *err)
{
    struct ssh_options used = *o;
    if (used.user == NULL)
        used.user = s->alias.user;
    if (s->alias.identity != NULL && (used.identity == NULL || access(used.identity, F_OK) < 0))
        used.identity = s->alias.identity;
    return used.identity != NULL ? offer_file(s, &used, err) : offer_agent(s, &used, err);
}

// ---- opening and closing

static int open_session(const struct io *io, const struct ssh_options *o, struct ssh *s, struct error *err)
{
    _cleanup_buf_ struct buf known = { 0 }, types = { 0 };
    _cleanup_free_ char *name = o->alias != NULL ? xstrdup(o->alias) : known_hosts_name(o->host, o->port == 0 ? 22 : o->port);
    s->fd = -1;
    int r = fs_read_file(io, AT_FDCWD, o->known_hosts, KNOWN_HOSTS_FILE_MAX, &known, err);
    if (r == ERROR_NOT_FOUND)
        r = 0; // as an empty one: the message then shows the fingerprint
    if (r == 0)
        r = prefer_pinned_types(o, &known, name, &types, err);
    if (r == 0)
        r = connect_session(io, o, types.len > 0 ? buf_str(&types) : host_key_methods, s, err);
    if (r == 0)
        r = judge_key(s, o, &known, name, err);
    return r < 0 ? r : authenticate(s, o, err);
}

int ssh_open(const struct io *io, const struct ssh_options *options, struct ssh **ret_ssh, struct error *err)
{
    struct ssh *s = xcalloc(1, sizeof *s);
    int r = open_session(io, options, s, err);
    if (r < 0)
        ssh_close(s);
    else
        *ret_ssh = s;
    return r;
}

void ssh_close(struct ssh *s)
{
    if (s == NULL)
        return;
    if (s->agent != NULL)
        libssh2_agent_free(s->agent);
    if (s->session != NULL) {
        (void)libssh2_session_disconnect(s->session, "done"); // one try: nobody waits for a line that may be dead
        (void)libssh2_session_free(s->session);
    }
    if (s->fd >= 0)
        (void)close(s->fd);
    if (s->child > 0) { // it ends with the socket; one that hangs is not waited for
        (void)kill(s->child, SIGTERM);
        (void)waitpid(s->child, NULL, 0);
    }
    ssh_alias_done(&s->alias);
    free(s->name);
    free(s);
}

int ssh_fetch_host_key(const struct io *io, const struct ssh_options *options, const char *type, struct buf *ret_blob, struct error *err)
{
    struct ssh *s = xcalloc(1, sizeof *s);
    int r = connect_session(io, options, type == NULL ? host_key_methods : type, s, err);
    if (r == 0) {
        size_t n = 0;
        const uint8_t *blob = shown_key(s, &n);
        buf_add(ret_blob, blob, n);
    }
    ssh_close(s);
    return r;
}

// ---- a channel as a stream

struct channel {
    struct stream stream;
    struct ssh *ssh; // owned
    LIBSSH2_CHANNEL *channel;
};

static struct channel *channel_of(struct stream *s) { return (struct channel *)s; }

static int moved(struct channel *c, ssize_t n, size_t *ret_n, struct error *err)
{
    if (n == LIBSSH2_ERROR_EAGAIN) {
        *ret_n = 0;
        return 0;
    }
    if (n < 0)
        return session_error(c->ssh, (int)n, ERROR_UNREACHABLE, "the connection broke", err);
    *ret_n = (size_t)n;
    return 0;
}

// What the server's program says on its standard error goes to the log.
static void log_complaints(struct channel *c)
{
    char text[512];
    ssize_t n = libssh2_channel_read_stderr(c->channel, text, sizeof text - 1);
    if (n > 0) {
        text[n] = '\0';
        log_warn("%s says: %s", c->ssh->name, text);
    }
}

static int read_channel(struct stream *s, void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct channel *c = channel_of(s);
    ssize_t got = libssh2_channel_read(c->channel, data, n);
    if (got != 0)
        return moved(c, got, ret_n, err);
    log_complaints(c);
    if (libssh2_channel_eof(c->channel))
        return error_set(err, ERROR_UNREACHABLE, "%s ended the transfer: is its sftp-server there, and the account allowed to use it?", c->ssh->name);
    *ret_n = 0;
    return 0;
}

static int write_channel(struct stream *s, const void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct channel *c = channel_of(s);
    return moved(c, libssh2_channel_write(c->channel, data, n), ret_n, err);
}

// A channel without window waits for the server's word, not for the socket's room.
static void wants(struct stream *s, bool writing, struct pollfd *ret_poll)
{
    struct channel *c = channel_of(s);
    bool out = writing && (libssh2_session_block_directions(c->ssh->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
    *ret_poll = (struct pollfd){ .fd = c->ssh->fd, .events = (short)(POLLIN | (out ? POLLOUT : 0)) };
}

static void close_channel(struct stream *s)
{
    struct channel *c = channel_of(s);
    (void)libssh2_channel_free(c->channel);
    ssh_close(c->ssh);
    free(c);
}

static const struct stream_ops channel_ops = { .read = read_channel, .write = write_channel, .wants = wants, .close = close_channel };

static int open_channel(struct ssh *s, LIBSSH2_CHANNEL **ret_channel, struct error *err)
{
    uint64_t until = deadline(s);
    do
        *ret_channel = libssh2_channel_open_ex(s->session, "session", sizeof "session" - 1, CHANNEL_WINDOW, LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0);
    while (*ret_channel == NULL && libssh2_session_last_errno(s->session) == LIBSSH2_ERROR_EAGAIN && wait_ready(s, until));
    return *ret_channel != NULL ? 0 : session_error(s, libssh2_session_last_errno(s->session), ERROR_UNREACHABLE, "open a channel", err);
}

static struct stream *stream_of(struct ssh *s, LIBSSH2_CHANNEL *channel)
{
    struct channel *c = xcalloc(1, sizeof *c);
    *c = (struct channel){ .stream = { &channel_ops }, .ssh = s, .channel = channel };
    return &c->stream;
}

int ssh_subsystem(struct ssh *s, const char *name, struct stream **ret_stream, struct error *err)
{
    LIBSSH2_CHANNEL *channel;
    int r = open_channel(s, &channel, err);
    if (r < 0)
        return r;
    int rc = UNTIL_DONE(s, libssh2_channel_subsystem(channel, name));
    if (rc != 0) {
        (void)libssh2_channel_free(channel);
        return session_error(s, rc, ERROR_UNREACHABLE, "start the server's sftp subsystem", err);
    }
    *ret_stream = stream_of(s, channel);
    return 0;
}

int ssh_exec(struct ssh *s, const char *command, struct stream **ret_stream, struct error *err)
{
    LIBSSH2_CHANNEL *channel;
    int r = open_channel(s, &channel, err);
    if (r < 0)
        return r;
    int rc = UNTIL_DONE(s, libssh2_channel_exec(channel, command));
    if (rc != 0) {
        (void)libssh2_channel_free(channel);
        return session_error(s, rc, rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED ? ERROR_FAILED : ERROR_UNREACHABLE, "run a command there", err);
    }
    *ret_stream = stream_of(s, channel);
    return 0;
}
