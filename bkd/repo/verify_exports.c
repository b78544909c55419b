#include "bkd/repo/verify_exports.h"

#include <string.h>

#include "bkd/repo/exports.h"

static int check_export(const struct repository *r, const struct export *export, const char *signers, verify_records_tell_fn *tell, void *arg, struct error *err)
{
    if (!export->is_signed) {
        tell(arg, false, export->name, "has no signature: what made it was cut off, and nobody reads it");
        return 0;
    }
    int e = exports_check(r, export, signers, err);
    if (e < 0 && e != ERROR_UNREACHABLE)
        tell(arg, true, export->name, err->text);
    return e == ERROR_UNREACHABLE ? e : 0;
}

static int check_chain(const struct repository *r, const uint8_t chain[16], const char *signers, verify_records_tell_fn *tell, void *arg, struct error *err)
{
    _cleanup_exports_ struct exports exports = { 0 };
    int e = exports_list(r->store, chain, &exports, err);
    for (size_t i = 0; e == 0 && i < exports.n; i++)
        e = check_export(r, &exports.items[i], signers, tell, arg, err);
    return e;
}

int verify_exports_run(const struct repository *r, const char *signers, verify_records_tell_fn *tell, void *arg, struct error *err)
{
    int e = 0;
    for (size_t i = 0; e == 0 && i < r->n_heads; i++) // sorted by chain
        if (i == 0 || memcmp(r->heads[i - 1].chain, r->heads[i].chain, sizeof r->heads[i].chain) != 0)
            e = check_chain(r, r->heads[i].chain, signers, tell, arg, err);
    return e;
}
