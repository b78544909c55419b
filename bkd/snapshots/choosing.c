#include "bkd/snapshots/choosing.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/shell.h"
#include "bkd/host/pinned.h"
#include "bkd/repo/tombstones.h"

// One of this chain that is no head any more, numbered above `number`.
static const struct repository_head *find_damaged(const struct repository *repository, const uint8_t chain[16], uint64_t number)
{
    for (size_t i = 0; i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (!h->valid && h->number > number && memcmp(h->chain, chain, sizeof h->chain) == 0)
            return h;
    }
    return NULL;
}

static int check_heads(const struct setup *s, const struct repository *repository, const uint8_t chain[16], uint64_t number, struct error *err)
{
    const struct repository_head *damaged = find_damaged(repository, chain, number);
    if (damaged == NULL)
        return 0;
    return error_set(err, ERROR_INTEGRITY, "the head of snapshot %llu at '%s' is not as it was signed: %s; `bkd check %s` says what else is wrong, another copy may be whole",
                     (unsigned long long)damaged->number, repository->store->url, damaged->problem == NULL ? "it is void" : damaged->problem, s->policy.name);
}

// What was given up may be half gone, and is promised to nobody.
static int draw(const struct setup *s, const struct repository *repository, const struct tombstones *tombstones, const struct repository_head **ret_head, struct error *err)
{
    uint8_t chain[16];
    uint64_t seen = 0;
    const struct repository_head *drawn = NULL;
    int r = setup_find_chain(s, repository, chain, err);
    if (r == 0)
        r = check_heads(s, repository, chain, 0, err);
    for (size_t i = 0; r == 0 && i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        uint32_t chance;
        if (memcmp(h->chain, chain, sizeof h->chain) != 0 || tombstones_of(tombstones, h) != NULL)
            continue;
        io_random(s->ctx->io, &chance, sizeof chance);
        seen++;
        if (chance % seen == 0) // the n-th takes the place with probability 1/n: each is as likely
            drawn = h;
    }
    if (r == 0 && drawn == NULL)
        r = error_set(err, ERROR_NOT_FOUND, "there is no snapshot at '%s' that could be drawn", repository->store->url);
    if (r == 0)
        *ret_head = drawn;
    return r;
}

// Heads stay for ever: a number with later ones that is not there was taken away.
static bool was_taken(const struct repository *repository, const uint8_t chain[16], const char *snapshot)
{
    uint64_t number = 0;
    bool has_later = false;
    if (!parse_u64(snapshot, strlen(snapshot), UINT64_MAX, &number) || number == 0)
        return false;
    for (size_t i = 0; i < repository->n_heads; i++)
        has_later = has_later || (repository->heads[i].number > number && memcmp(repository->heads[i].chain, chain, sizeof repository->heads[i].chain) == 0);
    return has_later;
}

static int find(const struct setup *s, const struct repository *repository, const char *snapshot, const struct repository_head **ret_head, struct error *err)
{
    uint8_t chain[16];
    struct error why;
    int r = setup_find_snapshot(s, repository, snapshot, ret_head, err);
    bool wants_newest = strcmp(snapshot, "latest") == 0, has_chain = setup_find_chain(s, repository, chain, &why) == 0;
    if (r == ERROR_NOT_FOUND && !has_chain && repository->n_heads > 0)
        return error_set(err, ERROR_INTEGRITY, "of the snapshots at '%s' none is signed by anybody whom this host believes: they are damaged, or the line of the host that made them "
                         "is missing in keys/allowed_signers", repository->store->url);
    if (r == ERROR_NOT_FOUND && has_chain && was_taken(repository, chain, snapshot))
        return error_set(err, ERROR_INTEGRITY, "the head of snapshot %s at '%s' is gone, and later ones are there; `bkd check %s` says what else is wrong, another copy may be whole", snapshot,
                         repository->store->url, s->policy.name);
    if (!has_chain || (r != ERROR_NOT_FOUND && (r < 0 || !wants_newest)) || check_heads(s, repository, chain, r == 0 ? (*ret_head)->number : 0, &why) == 0)
        return r;
    *err = why;
    return ERROR_INTEGRITY;
}

// Of a place that was put back to an older state the newest snapshot proves nothing of what this host counts on.
static int refuse_old_state(const struct setup *s, const struct repository *repository, const struct policy_store *place, struct error *err)
{
    _cleanup_free_ char *name = NULL;
    bool is_home = place == &s->policy.repository;
    int r = pinned_find_missing(s, repository, place, &name, err);
    if (r < 0 || name == NULL)
        return r;
    _cleanup_free_ char *word = shell_word(place->url);
    const char *known = policy_only_verifies(&s->policy) ? "has seen there" : is_home ? "made" : "brought there";
    return error_set(err, ERROR_INTEGRITY, "'%s' was rolled back, damaged or exchanged: '%s', the newest head that this host %s, is not there as it was; `bkd check %s%s%s` says "
                     "what else is wrong, and what is left can be named by its number", place->url, name, known, s->policy.name, is_home ? "" : " --from ", is_home ? "" : word);
}

static int choose(const struct setup *s, const struct repository *repository, const char *snapshot, const struct repository_head **ret_head, struct error *err)
{
    _cleanup_tombstones_ struct tombstones tombstones = { 0 };
    _cleanup_buf_ struct buf why = { 0 };
    const struct repository_head *head = NULL;
    int r = tombstones_load(repository, &tombstones, err);
    if (r == 0)
        r = strcmp(snapshot, "random") == 0 ? draw(s, repository, &tombstones, &head, err) : find(s, repository, snapshot, &head, err);
    if (r < 0)
        return r;
    if (tombstones_explain(&tombstones, head, io_realtime_ns(s->ctx->io), &why))
        return error_set(err, ERROR_NOT_FOUND, "snapshot %llu is no more at '%s': %s; `bkd snapshots %s` lists those that are", (unsigned long long)head->number,
                         repository->store->url, buf_str(&why), s->policy.name);
    *ret_head = head;
    return 0;
}

int choosing_snapshot(const struct setup *s, const struct repository *repository, const struct policy_store *place, const char *snapshot, const struct repository_head **ret_head,
                      struct error *err)
{
    struct error why;
    int r = choose(s, repository, snapshot, ret_head, err);
    bool by_number = strcmp(snapshot, "latest") != 0 && strcmp(snapshot, "random") != 0;
    if ((by_number && r == 0) || (r < 0 && r != ERROR_NOT_FOUND) || refuse_old_state(s, repository, place, &why) == 0)
        return r;
    *err = why;
    return (int)why.code;
}
