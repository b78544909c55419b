#include "bkd/engine/parent.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/log.h"

static bool same_chain(const uint8_t *a, const uint8_t *b) { return memcmp(a, b, 16) == 0; }

// The chain whose newest head carries these labels: state was lost, or another directory is used now.
static bool adopt_chain(const struct repository *repository, const char *host, const char *policy, uint8_t ret_chain[16])
{
    const struct repository_head *best = NULL;
    for (size_t i = 0; i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (h->valid && strcmp(h->head.host, host) == 0 && strcmp(h->head.policy, policy) == 0 && (best == NULL || h->head.time_ns > best->head.time_ns))
            best = h;
    }
    if (best != NULL)
        memcpy(ret_chain, best->chain, 16);
    return best != NULL;
}

static const struct repository_head *find_number(const struct repository *repository, const uint8_t chain[16], uint64_t number)
{
    for (size_t i = 0; i < repository->n_heads; i++)
        if (same_chain(repository->heads[i].chain, chain) && repository->heads[i].number == number)
            return &repository->heads[i];
    return NULL;
}

static bool is_pin(const struct state_pin *pin, const struct repository_head *head)
{
    return pin->is_set && head->valid && pin->number == head->number && memcmp(pin->sha256, head->sha256, sizeof pin->sha256) == 0;
}

// The policy names another repository than at the last run, which only the owner of the signing key can have made: a new beginning.
static bool is_elsewhere(const struct state_pin *pin, const struct repository *repository)
{
    return pin->is_set && memcmp(pin->repository, repository->info.id, sizeof pin->repository) != 0;
}

static int check_pin(const struct state *state, const struct repository *repository, const struct parent *parent, struct error *err)
{
    const struct state_pin *pin = &state->pin;
    if (!pin->is_set || is_elsewhere(pin, repository))
        return 0;
    const struct repository_head *pinned = find_number(repository, parent->chain, pin->number);
    if (pinned == NULL || !is_pin(pin, pinned))
        return error_set(err, ERROR_INTEGRITY,
                         "the repository does not hold snapshot %llu as this host wrote it: it was rolled back, damaged or exchanged; run `bkd check`, "
                         "and to go on with what it holds remove the file 'pin' in the policy's state directory",
                         (unsigned long long)pin->number);
    if (parent->head != pinned && !is_pin(&state->pending, parent->head))
        return error_set(err, ERROR_INTEGRITY,
                         "the repository holds snapshot %llu, which this host does not know of: its identity is used twice, or its state directory was "
                         "restored; when the second, remove the file 'pin' in the policy's state directory",
                         (unsigned long long)parent->head->number);
    return 0;
}

int parent_find(const struct io *io, const struct state *state, const struct repository *repository, const char *host, const char *policy,
                struct parent *ret_parent, struct error *err)
{
    struct parent parent = { .next_number = 1 };
    bool elsewhere = is_elsewhere(&state->pin, repository);
    if (elsewhere)
        log_warn("policy %s goes to another repository than at its last backup: everything is stored anew there", policy);
    if (state->has_chain && !elsewhere) {
        memcpy(parent.chain, state->chain, sizeof parent.chain);
    } else if (!adopt_chain(repository, host, policy, parent.chain)) {
        io_random(io, parent.chain, sizeof parent.chain);
    }
    for (size_t i = 0; i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (!same_chain(h->chain, parent.chain))
            continue;
        if (h->number >= parent.next_number)
            parent.next_number = h->number + 1;
        if (h->valid && h->fork)
            return error_set(err, ERROR_INTEGRITY, "snapshot %llu has a twin with the same predecessor: this host's identity is used twice; run `bkd check`",
                             (unsigned long long)h->number);
        if (h->valid && (parent.head == NULL || h->number > parent.head->number))
            parent.head = h;
    }
    int r = check_pin(state, repository, &parent, err);
    if (r == 0)
        *ret_parent = parent;
    return r;
}
