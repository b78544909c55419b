#include "bkd/repo/verify_records.h"

#include <string.h>

// A copy may have a record before the head it names, or of a chain that it does not keep.
static void check_head(const struct repository *r, const struct records_item *item, const char *name, verify_records_tell_fn *tell, void *arg)
{
    bool should_be_there = false;
    for (size_t i = 0; i < r->n_heads; i++) {
        const struct repository_head *head = &r->heads[i];
        if (records_concerns(item, head))
            return;
        should_be_there = should_be_there || (memcmp(head->chain, item->record.chain, sizeof head->chain) == 0 && head->number >= item->record.snapshot);
    }
    tell(arg, should_be_there, name,
         should_be_there ? "names a snapshot that is not there as it was: its head was removed, damaged or exchanged"
                         : "names a snapshot that is not here: its head was removed, or this is a copy that does not have it yet");
}

int verify_records_run(const struct repository *r, const char *signers, verify_records_tell_fn *tell, void *arg, uint64_t *ret_count,
                       struct error *err)
{
    _cleanup_records_ struct records records = { 0 };
    int e = records_load(r, signers, &records, err);
    *ret_count = records.n;
    for (size_t i = 0; e == 0 && i < records.n; i++) {
        const struct records_item *item = &records.items[i];
        _cleanup_free_ char *name = record_name(item->signer, item->number);
        if (!item->valid)
            tell(arg, true, name, item->problem);
        if (item->fork)
            tell(arg, true, name, "another valid record has the same predecessor: two hosts sign with one key, or a host was set back");
        if (item->chain_broken)
            tell(arg, true, name, "does not continue the record before it: records were removed or exchanged");
        if (item->valid && item->record.kind != RECORD_OTHER && !record_names_several(item->record.kind))
            check_head(r, item, name, tell, arg);
    }
    return e;
}
