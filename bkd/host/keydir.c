#include "bkd/host/keydir.h"

#include <linux/stat.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/fs.h"
#include "bkd/codec/agekeys.h"
#include "bkd/codec/keyfile.h"

// What is known while a directory is being made.
struct making {
    const struct io *io;
    const char *keys_dir;
    const char *identities_dir;
    const char *host; // fit for a principal
    char created[CLOCK_TEXT_MAX];
};

static bool there(const struct io *io, const char *path)
{
    struct statx st;
    struct error ignored;
    return io_stat(io, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st, &ignored) == 0;
}

// ---- what a crash left

struct leftovers {
    const struct io *io;
    const char *dir;
};

static int remove_leftover(void *arg, const char *name, unsigned char type, struct error *err)
{
    static const char *const names[] = { KEYDIR_SIGNING,    KEYDIR_SIGNING ".pub", KEYDIR_RETENTION,  KEYDIR_RETENTION ".pub",
                                         KEYDIR_OPERATIONS, KEYDIR_RECOVERY,       KEYDIR_RECIPIENTS, KEYDIR_SIGNERS };
    const struct leftovers *l = arg;
    (void)type;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(name, names[i], n) != 0 || strncmp(name + n, ".part-", 6) != 0)
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%s", l->dir, name);
        return io_unlink(l->io, AT_FDCWD, path, 0, err);
    }
    return 0;
}

// Unfinished files of an earlier run may hold secrets that belong to no key: they go.
static int prepare_dir(const struct io *io, const char *dir, struct error *err)
{
    int r = fs_make_dirs(io, AT_FDCWD, dir, 0700, err);
    struct leftovers l = { io, dir };
    return r < 0 ? r : fs_list_dir(io, AT_FDCWD, dir, remove_leftover, &l, err);
}

// ---- signing keys

// NAME.pub follows NAME; one that is there already must be its other half.
static int ensure_public(const struct making *m, const char *path, const uint8_t public_key[CURVE_KEY_SIZE], const char *comment,
                         struct error *err)
{
    _cleanup_free_ char *public_path = xasprintf("%s.pub", path);
    _cleanup_buf_ struct buf line = { 0 };
    uint8_t found[CURVE_KEY_SIZE];
    if (!there(m->io, public_path)) {
        sshkey_public_format(public_key, comment, &line);
        buf_add_char(&line, '\n');
        return fs_create_file(m->io, AT_FDCWD, public_path, 0600, line.data, line.len, err);
    }
    int r = fs_read_file(m->io, AT_FDCWD, public_path, SSHKEY_FILE_MAX, &line, err);
    if (r < 0)
        return r;
    const char *text = buf_str(&line);
    if (sshkey_public_parse(text, strcspn(text, "\r\n"), found, err) < 0 || !curve_equal(found, public_key, sizeof found))
        return error_set(err, ERROR_KEY, "'%s' does not belong to '%s': move it away", public_path, path);
    return 0;
}

static int ensure_signing_key(const struct making *m, const char *name, const char *purpose, uint8_t ret_public[CURVE_KEY_SIZE],
                              struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", m->keys_dir, name), *public_path = xasprintf("%s.pub", path);
    _cleanup_free_ char *comment = xasprintf("bkd %s %s", purpose, m->host);
    _cleanup_keyfile_ struct buf text = { 0 };
    _cleanup_sshkey_ struct sshkey key = { 0 };
    int r;
    if (there(m->io, path)) {
        r = sshkey_load(m->io, AT_FDCWD, path, &key, err);
    } else if (there(m->io, public_path)) {
        r = error_set(err, ERROR_KEY, "'%s' is there, but not the key it belongs to: put '%s' back, or move the .pub file away",
                      public_path, path);
    } else {
        sshkey_new(m->io, &key);
        sshkey_format(m->io, &key, comment, &text);
        r = fs_create_file(m->io, AT_FDCWD, path, 0600, text.data, text.len, err);
    }
    if (r == 0)
        r = ensure_public(m, path, key.public_key, comment, err);
    if (r == 0)
        memcpy(ret_public, key.public_key, CURVE_KEY_SIZE);
    return r;
}

// ---- identities

// The form is age-keygen's, with a line that says what the key is for.
static void format_identity(const struct making *m, const char *purpose, const struct age_identity *identity,
                            struct buf *ret_text)
{
    char secret[AGE_IDENTITY_TEXT_SIZE], recipient[AGE_RECIPIENT_TEXT_SIZE];
    age_identity_format(identity, secret);
    age_recipient_format(&identity->recipient, recipient);
    buf_reserve(ret_text, 1024); // at once, so that growing leaves no copies of the secret behind
    buf_addf(ret_text, "# bkd %s identity of %s\n# created: %s\n# public key: %s\n%s\n", purpose, m->host, m->created, recipient,
             secret);
    curve_wipe(secret, sizeof secret);
}

static int ensure_identity(const struct making *m, const char *name, const char *purpose, struct age_recipient *ret_recipient,
                           struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", m->identities_dir, name);
    _cleanup_keyfile_ struct buf text = { 0 };
    struct age_identity identity;
    int r;
    if (there(m->io, path)) {
        _cleanup_age_identities_ struct age_identities found = { 0 };
        r = age_identities_load(m->io, AT_FDCWD, path, NULL, &found, err);
        if (r == 0)
            *ret_recipient = found.list[0].recipient;
        return r;
    }
    age_identity_new(m->io, &identity);
    format_identity(m, purpose, &identity, &text);
    r = fs_create_file(m->io, AT_FDCWD, path, 0600, text.data, text.len, err);
    if (r == 0)
        *ret_recipient = identity.recipient;
    curve_wipe(&identity, sizeof identity);
    return r;
}

// ---- the public lists

// The recipients decide which identities count: when they are written, the identities may be far away already.
static int ensure_recipients(const struct making *m, struct keydir *k, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", m->keys_dir, KEYDIR_RECIPIENTS);
    if (there(m->io, path)) {
        _cleanup_age_recipients_ struct age_recipients found = { 0 };
        int r = age_recipients_load(m->io, AT_FDCWD, path, 2, &found, err);
        if (r == 0) {
            k->operations = found.list[0];
            k->recovery = found.list[1];
        }
        return r;
    }
    int r = ensure_identity(m, KEYDIR_OPERATIONS, "operations", &k->operations, err);
    if (r == 0)
        r = ensure_identity(m, KEYDIR_RECOVERY, "offline recovery", &k->recovery, err);
    if (r < 0)
        return r;
    char operations[AGE_RECIPIENT_TEXT_SIZE], recovery[AGE_RECIPIENT_TEXT_SIZE];
    age_recipient_format(&k->operations, operations);
    age_recipient_format(&k->recovery, recovery);
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text,
             "# Backups of %s are encrypted to each of these keys; either identity opens them. These lines are public.\n"
             "# operations (its identity: %s, on the host that verifies and restores)\n%s\n"
             "# offline recovery (its identity: %s, kept offline)\n%s\n",
             m->host, KEYDIR_OPERATIONS, operations, KEYDIR_RECOVERY, recovery);
    return fs_create_file(m->io, AT_FDCWD, path, 0600, text.data, text.len, err);
}

static void add_signer(struct buf *text, const char *principal, const char *host, const char *namespaces,
                       const uint8_t public_key[CURVE_KEY_SIZE])
{
    buf_addf(text, "%s@%s namespaces=\"%s\" ", principal, host, namespaces);
    sshkey_public_format(public_key, NULL, text);
    buf_add_char(text, '\n');
}

static int create_signers(const struct making *m, const struct keydir *k, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", m->keys_dir, KEYDIR_SIGNERS);
    _cleanup_buf_ struct buf text = { 0 };
    buf_add_str(&text, "# Whose signatures count, and for what (ssh-keygen(1), ALLOWED SIGNERS). Keep a copy wherever you may "
                       "have to restore.\n");
    add_signer(&text, "bkd", m->host, KEYDIR_SIGNING_NAMESPACES, k->signing);
    add_signer(&text, "bkd-retention", m->host, KEYDIR_RETENTION_NAMESPACES, k->retention);
    return fs_create_file(m->io, AT_FDCWD, path, 0600, text.data, text.len, err);
}

// ---- all of it

static char *principal_host(const char *host)
{
    char *copy = xstrdup(host == NULL || *host == '\0' ? "localhost" : host);
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
    for (char *c = copy; *(c += strspn(c, allowed)) != '\0';)
        *c = '-';
    return copy;
}

int keydir_init(const struct io *io, const struct keydir_options *options, struct keydir *ret_keydir, struct error *err)
{
    _cleanup_free_ char *host = principal_host(options->host);
    _cleanup_free_ char *signers_path = xasprintf("%s/%s", options->keys_dir, KEYDIR_SIGNERS);
    struct making m = { .io = io, .keys_dir = options->keys_dir, .host = host };
    m.identities_dir = options->identities_dir == NULL ? options->keys_dir : options->identities_dir;
    clock_format_utc(m.created, io_realtime_ns(io), false);
    if (there(io, signers_path))
        return error_set(
            err, ERROR_EXISTS,
            "the keys are there already, in '%s'; keys are never overwritten (for new ones, move that directory away)",
            options->keys_dir);
    int r = prepare_dir(io, m.keys_dir, err);
    if (r == 0 && m.identities_dir != m.keys_dir)
        r = prepare_dir(io, m.identities_dir, err);
    struct keydir k = { 0 };
    if (r == 0)
        r = ensure_signing_key(&m, KEYDIR_SIGNING, "signing", k.signing, err);
    if (r == 0)
        r = ensure_signing_key(&m, KEYDIR_RETENTION, "retention", k.retention, err);
    if (r == 0)
        r = ensure_recipients(&m, &k, err);
    if (r == 0)
        r = create_signers(&m, &k, err);
    if (r == 0)
        *ret_keydir = k;
    return r;
}

bool keydir_has_identity(const struct io *io, const char *dir)
{
    _cleanup_free_ char *operations = xasprintf("%s/%s", dir, KEYDIR_OPERATIONS),
                        *recovery = xasprintf("%s/%s", dir, KEYDIR_RECOVERY);
    return there(io, operations) || there(io, recovery);
}
