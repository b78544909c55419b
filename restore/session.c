#include "restore/session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/codec/signers.h"
#include "bkd/repo/tags.h"
#include "bkd/repo/unlock.h"

static int read_signers(struct session *s, const char *path, struct error *err)
{
    struct signers parsed = { 0 };
    int r = fs_read_file(s->io, AT_FDCWD, path, SIGNERS_FILE_MAX, &s->signers, err);
    if (r == 0)
        r = signers_load(s->io, AT_FDCWD, path, &parsed, err); // its permissions, and that it can be understood at all
    signers_done(&parsed);
    if (r == 0)
        s->signers_path = xstrdup(path);
    return r;
}

// Places in the order in which they are looked at; NULL where a variable is not set.
static void usual_places(char *ret_places[4])
{
    const char *signers = getenv("BKD_SIGNERS"), *config = getenv("BKD_CONFIG_DIR"), *home = getenv("HOME");
    ret_places[0] = signers == NULL || *signers == '\0' ? NULL : xstrdup(signers);
    ret_places[1] = config == NULL || *config == '\0' ? NULL : xasprintf("%s/keys/allowed_signers", config);
    ret_places[2] = home == NULL || *home == '\0' ? NULL : xasprintf("%s/.config/bkd/keys/allowed_signers", home);
    ret_places[3] = xstrdup("/etc/bkd/keys/allowed_signers");
}

static int find_signers(struct session *s, struct error *err)
{
    char *places[4];
    _cleanup_buf_ struct buf looked = { 0 };
    usual_places(places);
    int r = ERROR_NOT_FOUND;
    for (int i = 0; i < 4; i++) {
        if (r == ERROR_NOT_FOUND && places[i] != NULL) {
            buf_addf(&looked, "%s'%s'", looked.len == 0 ? "" : ", ", places[i]);
            r = read_signers(s, places[i], err);
        }
        free(places[i]);
    }
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY,
                         "no signers file: it says whose backups to believe and must come from you, not from the repository. Give "
                         "--signers FILE (the recovery "
                         "sheet has its line), or --accept-unsigned to believe whatever is stored. Looked at %s",
                         buf_str(&looked));
    return r;
}

static int load_signers(struct session *s, struct error *err)
{
    if (s->options->signers == NULL)
        return s->options->accept_unsigned ? 0 : find_signers(s, err);
    int r = read_signers(s, s->options->signers, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no signers file '%s': the recovery sheet has the line that belongs into it",
                         s->options->signers);
    return r;
}

int session_open(struct session *s, const struct io *io, const struct session_options *options, struct error *err)
{
    return session_open_for(s, io, options, NULL, err);
}

int session_open_for(struct session *s, const struct io *io, const struct session_options *options, const char *snapshot, struct error *err)
{
    *s = (struct session){ .io = io, .options = options };
    struct store *store = NULL;
    int r = load_signers(s, err);
    if (r == 0)
        r = store_open(io, options->repository, &options->access, false, &store, err);
    if (r < 0)
        return r;
    if (store->far && snapshot != NULL && repository_is_number(snapshot))
        return repository_open_near(io, store, session_signers(s), snapshot, &s->repository, err);
    return repository_open(io, store, session_signers(s), &s->repository, err);
}

void session_done(struct session *s)
{
    repository_close(s->repository);
    age_identities_done(&s->identities);
    buf_done(&s->signers);
    free(s->signers_path);
    *s = (struct session){ 0 };
}

const char *session_signers(const struct session *s) { return s->signers_path == NULL ? NULL : buf_str(&s->signers); }

int session_unlock(struct session *s, struct error *err)
{
    if (!s->repository->info.encrypted || s->identities.n > 0)
        return 0;
    const char *path = s->options->identity;
    if (path == NULL)
        return error_set(
            err, ERROR_KEY,
            "the repository is encrypted: give -i FILE with an age identity (the operations key, or the recovery key kept elsewhere)");
    int r = unlock_identities(s->io, &(struct unlock){ .identity = path }, &s->identities, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY, "there is no identity file '%s'; give -i FILE with the operations or the recovery key", path);
    return r;
}

int session_chain(const struct session *s, bool *ret_chosen, uint8_t ret_chain[16], struct error *err)
{
    *ret_chosen = s->options->chain != NULL || s->options->policy != NULL;
    if (s->options->chain != NULL) {
        if (!parse_hex(s->options->chain, strlen(s->options->chain), ret_chain, 16))
            return error_set(err, ERROR_USAGE, "--chain takes 32 lower-case hex digits; `bkd-restore list` shows the chains");
        return 0;
    }
    if (s->options->policy != NULL)
        return repository_chain(s->repository, s->options->policy, s->options->host, ret_chain, err);
    if (s->options->host != NULL)
        return error_set(err, ERROR_USAGE, "--host goes with --policy NAME");
    return 0;
}

// Older than what was asked for is better than nothing, but not without a word: the newest head may have been damaged on purpose.
static void warn_of_void(const struct repository *r, const struct repository_head *head)
{
    for (size_t i = 0; i < r->n_heads; i++) {
        const struct repository_head *h = &r->heads[i];
        if (!h->valid && memcmp(h->chain, head->chain, sizeof h->chain) == 0 && h->number > head->number)
            log_warn("snapshot %llu cannot be used: %s; 'latest' is counted without it, run `bkd-restore check`", (unsigned long long)h->number, h->problem);
    }
}

static int find(const struct session *s, const char *snapshot, const struct repository_head **ret_head, struct error *err)
{
    uint8_t chain[16];
    bool chosen;
    int r = session_chain(s, &chosen, chain, err);
    return r < 0 ? r : tags_find(s->repository, session_signers(s), chosen ? chain : NULL, snapshot, ret_head, err);
}

int session_find(const struct session *s, const char *snapshot, const struct repository_head **ret_head, struct error *err)
{
    int r = find(s, snapshot, ret_head, err);
    if (r < 0 && s->repository->partial) {
        r = repository_read_all_heads(s->repository, session_signers(s), err);
        if (r == 0)
            r = find(s, snapshot, ret_head, err);
    }
    if (r == 0 && repository_is_number(snapshot) && strncmp(snapshot, "latest", 6) == 0)
        warn_of_void(s->repository, *ret_head);
    return r;
}

static __typeof__(snapshot_open) *opener(const struct session_options *o)
{
    return o->accept_damaged ? snapshot_open_damaged : o->wants_parts ? snapshot_open_parts : snapshot_open;
}

int session_snapshot(struct session *s, const char *name, struct snapshot *ret_snapshot, const struct repository_head **ret_head,
                     struct error *err)
{
    const struct repository_head *head = NULL;
    int r = session_find(s, name, &head, err);
    if (r == 0)
        r = session_unlock(s, err);
    if (r == 0)
        r = opener(s->options)(s->repository, head, s->identities.list, s->identities.n, ret_snapshot, err);
    if (r == 0)
        object_reader_tell_confinement(ret_snapshot->reader);
    if (r == 0 && ret_head != NULL)
        *ret_head = head;
    return r;
}
