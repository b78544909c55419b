#include "bkd/engine/nights.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/log.h"
#include "bkd/repo/suspects.h"

enum { FILE_MAX = 64 << 10, FIGURES = 8 };

// "SNAPSHOT HELD HELD_BYTES GONE CHANGED TURNED TURNED_BYTES SUSPECT"
static bool parse_line(const char *line, size_t n, struct masschange_night *ret_night)
{
    uint64_t figures[FIGURES];
    const char *end = line + n;
    for (size_t i = 0; i < FIGURES; i++) {
        const char *space = memchr(line, ' ', (size_t)(end - line)), *stop = space == NULL ? end : space;
        if (!parse_u64(line, (size_t)(stop - line), UINT64_MAX, &figures[i]) || (space == NULL) != (i == FIGURES - 1))
            return false;
        line = stop + (space != NULL);
    }
    *ret_night = (struct masschange_night){ .snapshot = figures[0], .held = figures[1], .held_bytes = figures[2], .gone = figures[3], .changed = figures[4],
                                            .turned = figures[5], .turned_bytes = figures[6], .suspect = figures[7] != 0 };
    return true;
}

void nights_load(struct nights *nights, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE])
{
    _cleanup_buf_ struct buf text = { 0 };
    struct error ignored; // nothing remembered
    struct masschange_night night;
    const char *line;
    size_t n;
    nights->n = 0;
    if (sealed_read(io, state_dirfd, "nights", key, FILE_MAX, &text, &ignored) < 0)
        return;
    struct cursor c = cursor_of(text.data, text.len);
    while (cursor_line(&c, &line, &n))
        if (parse_line(line, n, &night))
            nights_add(nights, &night);
}

static const struct repository_head *find(const struct repository *r, const uint8_t chain[16], uint64_t number)
{
    for (size_t i = 0; i < r->n_heads; i++)
        if (memcmp(r->heads[i].chain, chain, sizeof r->heads[i].chain) == 0 && r->heads[i].number == number)
            return &r->heads[i];
    return NULL;
}

void nights_ask_accepted(struct nights *nights, const struct repository *repository, const char *signers, const uint8_t chain[16])
{
    _cleanup_records_ struct records records = { 0 };
    struct error why;
    bool any = false;
    for (size_t i = 0; i < nights->n; i++)
        any = any || nights->items[i].suspect;
    if (!any)
        return;
    if (records_load(repository, signers, &records, &why) < 0) {
        log_debug("which suspect snapshots were accepted is not known: %s", why.text);
        return;
    }
    for (size_t i = 0; i < nights->n; i++) {
        const struct repository_head *head = nights->items[i].suspect ? find(repository, chain, nights->items[i].snapshot) : NULL;
        nights->items[i].accepted = head != NULL && !suspects_is(&records, head);
    }
}

void nights_add(struct nights *nights, const struct masschange_night *night)
{
    if (nights->n == NIGHTS_MAX)
        memmove(nights->items, nights->items + 1, --nights->n * sizeof *nights->items);
    nights->items[nights->n++] = *night;
}

int nights_save(const struct nights *nights, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    for (size_t i = 0; i < nights->n; i++) {
        const struct masschange_night *night = &nights->items[i];
        buf_addf(&text, "%llu %llu %llu %llu %llu %llu %llu %d\n", (unsigned long long)night->snapshot, (unsigned long long)night->held,
                 (unsigned long long)night->held_bytes, (unsigned long long)night->gone, (unsigned long long)night->changed, (unsigned long long)night->turned,
                 (unsigned long long)night->turned_bytes, night->suspect);
    }
    return sealed_write(io, state_dirfd, "nights", key, text.data, text.len, err);
}
