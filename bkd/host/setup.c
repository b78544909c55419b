#include "bkd/host/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/curve.h"
#include "bkd/base/fs.h"
#include "bkd/codec/keyfile.h"
#include "bkd/codec/signers.h"
#include "bkd/codec/sshkey.h"
#include "bkd/engine/previous.h"
#include "bkd/engine/state.h"
#include "bkd/repo/tags.h"
#include "bkd/repo/unlock.h"

void setup_done(struct setup *s)
{
    sources_done(&s->sources);
    stream_sources_done(&s->streams);
    free(s->host);
    if (s->signing_key.data != NULL)
        curve_wipe(s->signing_key.data, s->signing_key.len);
    buf_done(&s->signing_key);
    buf_done(&s->signers);
    age_recipients_done(&s->recipients);
    if (s->ctx != NULL)
        policy_done(&s->policy);
    s->ctx = NULL;
}

static char *host_name(void)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0')
        return xstrdup("localhost");
    return xstrdup(name);
}

int setup_load(const struct context *ctx, const char *policy, struct setup *ret_setup, struct error *err)
{
    struct setup s = { 0 };
    int r = context_load_policy(ctx, policy, &s.policy, err);
    if (r < 0)
        return r;
    s.ctx = ctx;
    s.host = host_name();
    _cleanup_free_ char *path = context_key_path(ctx, "allowed_signers");
    r = fs_read_file(ctx->io, AT_FDCWD, path, SIGNERS_FILE_MAX, &s.signers, err);
    if (r == ERROR_NOT_FOUND)
        r = error_set(err, ERROR_KEY, "there is no '%s': make this host's keys with `bkd keys init`", path);
    if (r < 0) {
        setup_done(&s);
        return r;
    }
    *ret_setup = s;
    return 0;
}

static int load_recipients(struct setup *s, struct error *err)
{
    const struct policy *policy = &s->policy;
    for (size_t i = 0; i < policy->recipients.count; i++) {
        const char *item = policy->recipients.items[i];
        _cleanup_age_recipients_ struct age_recipients more = { 0 };
        _cleanup_free_ char *path = context_key_path(s->ctx, item);
        int r = policy_is_recipient(item) ? age_recipients_parse(item, strlen(item), "encryption.recipients", &more, err)
                                          : age_recipients_load(s->ctx->io, AT_FDCWD, path, 1, &more, err);
        if (r < 0)
            return r;
        s->recipients.list = xrealloc(s->recipients.list, (s->recipients.n + more.n) * sizeof *more.list);
        memcpy(s->recipients.list + s->recipients.n, more.list, more.n * sizeof *more.list);
        s->recipients.n += more.n;
    }
    size_t distinct = 0;
    for (size_t i = 0; i < s->recipients.n; i++) {
        size_t k = 0;
        while (k < i && memcmp(&s->recipients.list[k], &s->recipients.list[i], sizeof s->recipients.list[i]) != 0)
            k++;
        distinct += k == i;
    }
    if (distinct < 2 && !policy->allow_single_recipient)
        return error_set(err, ERROR_KEY,
                         "policy '%s' encrypts to %zu recipient: when that one key is lost, all backups are; name a second one (an offline recovery key), or set "
                         "`allow_single_recipient: true` below `encryption`",
                         policy->name, distinct);
    if (s->recipients.n > FORMAT_RECIPIENTS_MAX)
        return error_set(err, ERROR_USAGE, "policy '%s' names %zu recipients; at most %d are possible", policy->name, s->recipients.n, FORMAT_RECIPIENTS_MAX);
    return 0;
}

// What this host signs must be what it will believe afterwards: else its snapshots would be void, and say so only when they are needed.
static int check_signing_key(const struct setup *s, struct error *err)
{
    _cleanup_sshkey_ struct sshkey key = { 0 };
    _cleanup_signers_ struct signers signers = { 0 };
    static const char *const uses[] = { FORMAT_NAMESPACE_REPOSITORY, FORMAT_NAMESPACE_HEAD, FORMAT_NAMESPACE_RECOVER };
    uint64_t now_s = io_realtime_ns(s->ctx->io) / 1000000000u;
    int r = sshkey_parse(s->signing_key.data, s->signing_key.len, &key, err);
    if (r == 0)
        r = signers_parse(buf_str(&s->signers), s->signers.len, &signers, err);
    for (size_t i = 0; r == 0 && i < sizeof uses / sizeof *uses; i++) {
        const struct signers_entry *entry;
        if (signers_find(&signers, key.public_key, uses[i], now_s, NULL, &entry, err) < 0)
            r = error_set(err, ERROR_KEY, "the signing key of this host is not one that its 'allowed_signers' lets sign %s now, so nobody would believe what it "
                          "signs; put the right key back, or add this one's line", uses[i]);
    }
    return r;
}

int setup_load_signing(struct setup *s, struct error *err)
{
    _cleanup_free_ char *path = context_key_path(s->ctx, "signing");
    int r = keyfile_read(s->ctx->io, AT_FDCWD, path, &s->signing_key, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no signing key '%s': make this host's keys with `bkd keys init`", path);
    return r < 0 ? r : check_signing_key(s, err);
}

int setup_load_writing(struct setup *s, struct error *err)
{
    if (policy_only_verifies(&s->policy))
        return error_set(err, ERROR_USAGE, "policy %s has no sources: this host only verifies what another one backs up to %s. Verify it with `bkd verify %s`, or name `sources`",
                         s->policy.name, s->policy.repository.url, s->policy.name);
    int r = setup_load_signing(s, err);
    if (r == 0 && s->policy.encrypted)
        r = load_recipients(s, err);
    if (r == 0)
        stream_sources_make(&s->policy, s->host, &s->streams);
    return r < 0 ? r : sources_compile(&s->policy, &s->sources, err);
}

void setup_access_done(struct setup_access *a)
{
    free(a->identity);
    free(a->known_hosts);
    free(a->passphrase_file);
    free(a->config);
    *a = (struct setup_access){ 0 };
}

void setup_access(const struct context *ctx, const struct policy_store *place, struct setup_access *ret_access)
{
    bool agent = strcmp(place->ssh_identity, "agent") == 0, bare = place->ssh_passphrase[0] == '\0';
    struct setup_access a = { .identity = agent ? NULL : context_key_path(ctx, place->ssh_identity), .known_hosts = context_key_path(ctx, place->ssh_known_hosts),
                              .passphrase_file = bare ? NULL : strncmp(place->ssh_passphrase, KEYFILE_CREDENTIAL, sizeof KEYFILE_CREDENTIAL - 1) == 0 ? xstrdup(place->ssh_passphrase)
                                                                                                                   : context_key_path(ctx, place->ssh_passphrase) };
    const char *config = place->ssh_config;
    a.config = config[0] == '\0' ? NULL : strcmp(config, "true") == 0 ? xstrdup(config) : context_key_path(ctx, config);
    a.access = (struct store_access){ .identity = a.identity, .known_hosts = a.known_hosts, .passphrase_file = a.passphrase_file,
                                      .passphrase_command = (const char *const *)place->ssh_passphrase_command.items, .ssh_config = a.config,
                                      .ssh_program = place->ssh_transport == POLICY_TRANSPORT_SSH,
                                      .timeout_s = (unsigned)place->ssh_timeout_s, .connections = (unsigned)place->ssh_connections };
    struct error ignored;
    (void)!bandwidth_parse(place->bandwidth, &a.access.bandwidth, &ignored); // checked when the policy was read
    *ret_access = a;
}

int setup_ask_passphrase(const struct context *ctx, const struct policy_store *place, int *ret_fd, struct error *err)
{
    const char *const *argv = (const char *const *)place->ssh_passphrase_command.items;
    char *passphrase = NULL;
    if (argv == NULL || !policy_store_is_remote(place))
        return 0;
    int r = store_ask_passphrase(ctx->io, argv, &passphrase, err);
    if (r < 0)
        return r;
    int fd = memfd_create("bkd-passphrase", MFD_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) < 0)
        r = error_set_errno(err, errno, "make room for the passphrase in memory");
    if (r == 0)
        r = io_write_all(ctx->io, fd, passphrase, strlen(passphrase), "the passphrase in memory", err);
    curve_wipe(passphrase, strlen(passphrase));
    free(passphrase);
    if (r < 0)
        io_close_quietly(ctx->io, &fd);
    else
        *ret_fd = fd;
    return r;
}

int setup_open_store(const struct setup *s, bool create, struct store **ret_store, struct error *err)
{
    _cleanup_setup_access_ struct setup_access a = { 0 };
    setup_access(s->ctx, &s->policy.repository, &a);
    a.access.far_sha256sum = s->far_sha256sum;
    return store_open(s->ctx->io, s->policy.repository.url, &a.access, create, ret_store, err);
}

int setup_open_repository(const struct setup *s, struct repository **ret_repository, struct error *err)
{
    struct store *store = NULL;
    int r = setup_open_store(s, false, &store, err);
    if (r == 0)
        r = repository_open(s->ctx->io, store, buf_str(&s->signers), ret_repository, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_NOT_FOUND, "there is no repository at '%s': mount its disk, or make it with `bkd init %s`", s->policy.repository.url, s->policy.name);
    return r;
}

static const struct policy_store *find_copy(const struct policy *policy, const char *url)
{
    for (size_t i = 0; i < policy->offsite.count; i++)
        if (strcmp(policy->offsite.items[i].url, url) == 0)
            return &policy->offsite.items[i];
    return NULL;
}

int setup_open_copy(const struct setup *s, const char *url, const struct policy_store **ret_place, struct repository **ret_repository, struct error *err)
{
    _cleanup_setup_access_ struct setup_access a = { 0 };
    struct store *store = NULL;
    const struct policy_store *place = find_copy(&s->policy, url);
    if (place == NULL)
        return error_set(err, ERROR_USAGE, "'%s' is no copy of policy %s: `bkd policy show %s` lists them below `offsite`", url, s->policy.name, s->policy.name);
    setup_access(s->ctx, place, &a);
    a.access.far_sha256sum = s->far_sha256sum;
    int r = store_open(s->ctx->io, place->url, &a.access, false, &store, err);
    if (r == 0)
        r = repository_open(s->ctx->io, store, buf_str(&s->signers), ret_repository, err);
    if (r == 0)
        *ret_place = place;
    return r;
}

int setup_find_chain(const struct setup *s, const struct repository *repository, uint8_t ret_chain[16], struct error *err)
{
    struct error ignored;
    _cleanup_state_ struct state state = { 0 };
    if (state_open_readonly(s->ctx->io, s->ctx->state_dir, s->policy.name, &state, &ignored) == 0 && state.has_chain) {
        memcpy(ret_chain, state.chain, 16);
        return 0;
    }
    if (repository_chain(repository, s->policy.name, s->host, ret_chain, &ignored) == 0)
        return 0;
    return repository_chain(repository, s->policy.name, NULL, ret_chain, err);
}

int setup_find_snapshot(const struct setup *s, const struct repository *repository, const char *snapshot, const struct repository_head **ret_head,
                        struct error *err)
{
    uint8_t chain[16];
    int r = setup_find_chain(s, repository, chain, err);
    return r < 0 ? r : tags_find(repository, buf_str(&s->signers), chain, snapshot, ret_head, err);
}

int setup_load_identities(const struct setup *s, const char *identity, struct age_identities *ret_identities, struct error *err)
{
    if (identity == NULL)
        return 0;
    return unlock_identities(s->ctx->io, &(struct unlock){ .identity = identity }, ret_identities, err);
}

void setup_manifest_done(struct setup_manifest *m)
{
    if (m->io != NULL)
        io_close_quietly(m->io, &m->fd);
    m->io = NULL;
}

static bool open_local(const struct setup *s, const struct format_head *head, struct setup_manifest *ret_manifest)
{
    struct error ignored;
    char manifest[PREVIOUS_NAME_SIZE], stat[PREVIOUS_NAME_SIZE];
    uint8_t sha256[32];
    _cleanup_state_ struct state state = { 0 };
    struct setup_manifest m = { .io = s->ctx->io, .fd = -1 };
    if (state_open_readonly(s->ctx->io, s->ctx->state_dir, s->policy.name, &state, &ignored) < 0)
        return false;
    uint8_t key[SEALED_KEY_SIZE];
    state_cache_key(&state, head->repository, head->chain, key);
    previous_names(head->manifest_sha256, manifest, stat);
    if (sealed_open_as(s->ctx->io, state.dirfd, "manifest", manifest, key, &m.fd, &m.size, sha256, &ignored) < 0)
        return false;
    if (memcmp(sha256, head->manifest_sha256, sizeof sha256) != 0) {
        setup_manifest_done(&m);
        return false;
    }
    *ret_manifest = m;
    return true;
}

static int open_scratch(const struct io *io, int *ret_fd, struct error *err)
{
    const char *dir = getenv("TMPDIR");
    _cleanup_free_ char *path = xasprintf("%s/bkd-XXXXXX", dir == NULL || dir[0] == '\0' ? "/tmp" : dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "make a scratch file '%s'", path);
    (void)io->unlinkat(io, AT_FDCWD, path, 0); // the descriptor is enough
    *ret_fd = fd;
    return 0;
}

int setup_open_manifest(const struct setup *s, const struct repository *repository, const char *snapshot, const char *identity, const char *path,
                        const struct repository_head **ret_head, struct setup_manifest *ret_manifest, struct error *err)
{
    const struct repository_head *head = NULL;
    int r = setup_find_snapshot(s, repository, snapshot, &head, err);
    if (r < 0)
        return r;
    *ret_head = head;
    if (open_local(s, &head->head, ret_manifest))
        return 0;
    if (repository->info.encrypted && identity == NULL)
        return error_set(err, ERROR_KEY, "the manifest of snapshot %llu lies encrypted in the repository: give an identity with -i FILE",
                         (unsigned long long)head->number);
    _cleanup_age_identities_ struct age_identities identities = { 0 };
    _cleanup_snapshot_ struct snapshot opened = { 0 };
    _cleanup_setup_manifest_ struct setup_manifest m = { .io = s->ctx->io, .fd = -1, .size = head->head.manifest_size };
    r = setup_load_identities(s, identity, &identities, err);
    if (r == 0)
        r = snapshot_open_parts(repository, head, identities.list, identities.n, &opened, err);
    if (r == 0)
        object_reader_tell_confinement(opened.reader);
    if (r == 0)
        r = open_scratch(s->ctx->io, &m.fd, err);
    bool part = path != NULL && strcmp(path, "/") != 0;
    if (r == 0)
        r = part ? snapshot_fetch_part(&opened, path, m.fd, "scratch file", &m.size, err) : snapshot_fetch_manifest(&opened, m.fd, "scratch file", err);
    if (r < 0)
        return r;
    *ret_manifest = m;
    m.io = NULL;
    return 0;
}
