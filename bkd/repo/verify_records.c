#include "bkd/repo/verify_records.h"

static bool names_a_head(const struct repository *r, const struct records_item *item)
{
    for (size_t i = 0; i < r->n_heads; i++)
        if (records_concerns(item, &r->heads[i]))
            return true;
    return false;
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
            tell(arg, name, item->problem);
        if (item->fork)
            tell(arg, name, "another valid record has the same predecessor: two hosts sign with one key, or a host was set back");
        if (item->chain_broken)
            tell(arg, name, "does not continue the record before it: records were removed or exchanged");
        if (item->valid && item->record.kind != RECORD_OTHER && !names_a_head(r, item))
            tell(arg, name, "names a snapshot that is not there as it was: its head was removed, damaged or exchanged");
    }
    return e;
}
