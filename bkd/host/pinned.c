#include "bkd/host/pinned.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/log.h"
#include "bkd/engine/state.h"
#include "bkd/host/receipts.h"

struct pin {
    uint8_t chain[16];
    uint64_t number; // 0 = nothing is remembered
    uint8_t sha256[32];
    bool has_sha256;
};

static void read_own(const struct setup *s, const struct repository *repository, struct pin *ret_pin)
{
    struct error ignored; // no state on this host: nothing is pinned
    _cleanup_state_ struct state state = { 0 };
    if (state_open_readonly(s->ctx->io, s->ctx->state_dir, s->policy.name, &state, &ignored) < 0 || !state.pin.is_set || !state.has_chain ||
        memcmp(state.pin.repository, repository->info.id, sizeof state.pin.repository) != 0)
        return;
    ret_pin->number = state.pin.number;
    ret_pin->has_sha256 = true;
    memcpy(ret_pin->chain, state.chain, sizeof ret_pin->chain);
    memcpy(ret_pin->sha256, state.pin.sha256, sizeof ret_pin->sha256);
}

// Several disks may take turns at one address, and each has its own newest.
static void read_receipt(const struct setup *s, const struct repository *repository, const struct policy_store *place, struct pin *ret_pin)
{
    char chain[RECEIPTS_STORE_MAX];
    struct error ignored; // nothing was brought there by this host, nor seen there
    _cleanup_receipts_ struct receipts receipts = { .lock_fd = -1 };
    if (place->removable || receipts_open(s->ctx->io, s->ctx->state_dir, s->policy.name, false, &receipts, &ignored) < 0)
        return;
    const struct receipt *receipt = receipts_newest(&receipts, place->url);
    if (receipt == NULL || receipt->snapshot == 0 || setup_find_chain(s, repository, ret_pin->chain, &ignored) < 0)
        return;
    format_hex(chain, ret_pin->chain, sizeof ret_pin->chain);
    if (receipt->chain[0] == '\0' || strcmp(receipt->chain, chain) == 0) // the host that is backed up may have begun anew
        ret_pin->number = receipt->snapshot;
}

// The head of the pin's number as the repository was opened; NULL = there was none.
static const struct repository_head *find_head(const struct repository *repository, const struct pin *pin)
{
    for (size_t i = 0; i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (memcmp(h->chain, pin->chain, sizeof h->chain) == 0 && h->number == pin->number)
            return h;
    }
    return NULL;
}

int pinned_find_missing(const struct setup *s, const struct repository *repository, const struct policy_store *place, char **ret_head, struct error *err)
{
    struct pin pin = { 0 };
    if (place == &s->policy.repository && !policy_only_verifies(&s->policy))
        read_own(s, repository, &pin);
    else
        read_receipt(s, repository, place, &pin);
    if (pin.number == 0)
        return 0;
    const struct repository_head *head = find_head(repository, &pin);
    if (head != NULL && head->valid && (!pin.has_sha256 || memcmp(head->sha256, pin.sha256, sizeof pin.sha256) == 0))
        return 0;
    _cleanup_free_ char *name = format_head_name(pin.chain, pin.number);
    uint64_t size;
    int r = head != NULL ? ERROR_NOT_FOUND : repository->store->ops->size(repository->store, name, &size, err); // a run may have ended since it was opened
    if (r != ERROR_NOT_FOUND)
        return r;
    *ret_head = TAKE(name);
    return 0;
}

static int remember(const struct setup *s, const struct policy_store *place, const uint8_t chain[16], const struct repository_head *newest, struct error *err)
{
    _cleanup_receipts_ struct receipts receipts = { .lock_fd = -1 };
    int r = receipts_open(s->ctx->io, s->ctx->state_dir, s->policy.name, true, &receipts, err);
    if (r < 0)
        return r;
    struct receipt *receipt = receipts_of(&receipts, place->url, "");
    char text[RECEIPTS_STORE_MAX];
    format_hex(text, chain, sizeof newest->chain);
    if (strcmp(receipt->chain, text) == 0 && receipt->snapshot >= newest->number)
        return 0; // what was seen once stays seen, also when an older state is looked at on purpose
    format_hex(receipt->chain, chain, sizeof newest->chain);
    receipt->snapshot = newest->number;
    receipt->snapshot_time_ns = newest->head.time_ns;
    return receipts_save(&receipts, err);
}

void pinned_remember(const struct setup *s, const struct repository *repository, const struct policy_store *place)
{
    const struct repository_head *newest = NULL;
    uint8_t chain[16];
    struct error err;
    if (place->removable || setup_find_chain(s, repository, chain, &err) < 0)
        return;
    for (size_t i = 0; i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (h->valid && memcmp(h->chain, chain, sizeof chain) == 0 && (newest == NULL || h->number > newest->number))
            newest = h;
    }
    if (newest != NULL && remember(s, place, chain, newest, &err) < 0)
        log_warn("that snapshot %llu was seen at '%s' is not remembered: %s", (unsigned long long)newest->number, place->url, err.text);
}
