#include "bkd/repo/tags.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"

enum { LISTED = 10 }; // snapshots an error names

// ---- what is a tag

static bool has_blank_or_control(const char *tag)
{
    for (const char *c = tag; *c != '\0'; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return true;
    return false;
}

int tags_check(const char *tag, struct error *err)
{
    const char *why = NULL;
    if (tag[0] == '\0' || has_blank_or_control(tag))
        why = "it must be one word";
    else if (strlen(tag) > FORMAT_LABEL_MAX)
        why = "it is longer than 255 bytes";
    else if (tag[0] == '-')
        why = "it would be taken for an option";
    else if (tag[0] == '/')
        why = "it would be taken for a path";
    else if (strspn(tag, "0123456789") == strlen(tag))
        why = "it would be taken for a snapshot's number";
    else if (strncmp(tag, "latest", 6) == 0 && (tag[6] == '\0' || tag[6] == '~'))
        why = "it means the newest snapshot";
    else if (strcmp(tag, "live") == 0)
        why = "it means the files as they are now";
    return why == NULL ? 0 : error_set(err, ERROR_USAGE, "'%s' cannot be a tag: %s", tag, why);
}

// ---- of a snapshot

static bool seen_before(const struct repository_head *head, const struct records_item *const *of_snapshot, size_t n, const char *tag)
{
    if (strcmp(head->head.tag, tag) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (of_snapshot[i]->record.kind == RECORD_TAG && records_concerns(of_snapshot[i], head) && strcmp(of_snapshot[i]->record.tag, tag) == 0)
            return true;
    return false;
}

const char *tags_next(const struct records *records, const struct repository_head *head, size_t *at)
{
    const struct records_item *const *of_snapshot;
    if (!head->valid)
        return NULL;
    if (*at == 0) {
        *at = 1;
        if (head->head.tag[0] != '\0')
            return head->head.tag;
    }
    size_t n = records_of(records, head, &of_snapshot);
    while (*at <= n) {
        size_t i = (*at)++ - 1;
        const struct records_item *item = of_snapshot[i];
        if (item->record.kind == RECORD_TAG && records_concerns(item, head) && !seen_before(head, of_snapshot, i, item->record.tag))
            return item->record.tag;
    }
    return NULL;
}

bool tags_has(const struct records *records, const struct repository_head *head, const char *tag)
{
    const char *other;
    for (size_t at = 0; (other = tags_next(records, head, &at)) != NULL;)
        if (strcmp(other, tag) == 0)
            return true;
    return false;
}

// ---- finding

static void add_to_list(struct buf *list, const struct repository_head *head, size_t n)
{
    char time[CLOCK_TEXT_MAX];
    clock_format_utc(time, head->head.time_ns, false);
    if (n < LISTED)
        buf_addf(list, "%s%llu (%s)", n == 0 ? "" : ", ", (unsigned long long)head->number, time);
    else if (n == LISTED)
        buf_add_str(list, ", …");
}

static int find_tag(const struct repository *r, const struct records *records, const uint8_t chain[16], const char *tag,
                    const struct repository_head **ret_head, struct error *err)
{
    _cleanup_buf_ struct buf list = { 0 };
    const struct repository_head *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < r->n_heads; i++) {
        const struct repository_head *head = &r->heads[i];
        if (memcmp(head->chain, chain, 16) != 0 || !tags_has(records, head, tag))
            continue;
        found = head;
        add_to_list(&list, head, n++);
    }
    if (n == 0)
        return error_set(err, ERROR_NOT_FOUND, "there is no snapshot '%s': give a number, latest, latest~N, or a tag that one has", tag);
    if (n > 1)
        return error_set(err, ERROR_USAGE, "%zu snapshots have the tag '%s', say which by its number: %s", n, tag, buf_str(&list));
    *ret_head = found;
    return 0;
}

int tags_find(const struct repository *r, const char *signers, const uint8_t *chain, const char *snapshot,
              const struct repository_head **ret_head, struct error *err)
{
    if (repository_is_number(snapshot))
        return repository_find(r, chain, snapshot, ret_head, err);
    _cleanup_records_ struct records records = { 0 };
    int e = tags_check(snapshot, err);
    if (e == 0 && chain == NULL)
        e = repository_only_chain(r, &chain, err);
    if (e == 0)
        e = records_load(r, signers, &records, err);
    return e < 0 ? e : find_tag(r, &records, chain, snapshot, ret_head, err);
}
