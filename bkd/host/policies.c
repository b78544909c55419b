#include "bkd/host/policies.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/host/kept_copies.h"
#include "bkd/policy/policy_trust.h"

static void item_done(struct policies_item *item)
{
    free(item->name);
    free(item->problem);
    free(item->accepted);
    if (item->has_policy)
        policy_done(&item->policy);
}

void policies_done(struct policies *p)
{
    for (size_t i = 0; i < p->count; i++)
        item_done(&p->items[i]);
    free(p->items);
    *p = (struct policies){ 0 };
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct policies_item *)a)->name, ((const struct policies_item *)b)->name);
}

static struct policies_item *find(const struct policies *p, const char *name)
{
    struct policies_item wanted = { .name = (char *)(uintptr_t)name }; // only compared
    return p->count == 0 ? NULL : bsearch(&wanted, p->items, p->count, sizeof *p->items, compare_items);
}

const struct policies_item *policies_find(const struct policies *p, const char *name) { return find(p, name); }

const char *policies_file(const struct policies_item *item) { return item->problem != NULL ? item->accepted : NULL; }

// ---- one file --------------------------------------------------------------------------------------------------------------

static char *first_mistake(const struct policy_errors *errors, const struct error *err)
{
    if (errors->count == 0)
        return xstrdup(err->text);
    const struct policy_error *e = &errors->items[0];
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "%s:%u:%u: %s", errors->file, e->line, e->column, e->message);
    if (errors->count > 1)
        buf_addf(&text, " (and %zu more)", errors->count - 1);
    return buf_take_str(&text);
}

static int load(const struct context *ctx, const char *path, struct policy *ret_policy, char **ret_problem)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    struct error err;
    int r = policy_load(ctx->io, path, ret_policy, &errors, &err);
    if (r == 0) {
        r = policy_trust_check(ctx->io, ret_policy, &err);
        if (r < 0)
            policy_done(ret_policy);
    }
    if (r < 0)
        *ret_problem = first_mistake(&errors, &err);
    return r;
}

static void use_kept_copy(const struct context *ctx, struct policies_item *item)
{
    _cleanup_free_ char *ignored = NULL; // a version of bkd that does not understand it any more, or none was kept
    item->has_policy = load(ctx, item->accepted, &item->policy, &ignored) == 0;
}

struct reading {
    const struct context *ctx;
    struct policies *p;
    struct policies_item *fresh; // of names that were not there before
    size_t fresh_count;
    struct kept_copies copies;
    policies_changed_fn *changed;
    void *arg;
};

static void read_item(struct reading *reading, struct policies_item *item, const struct statx *st)
{
    const struct context *ctx = reading->ctx;
    _cleanup_free_ char *path = context_policy_path(ctx, item->name), *problem = NULL;
    struct policy policy = { 0 };
    item->changed_ns = (uint64_t)st->stx_ctime.tv_sec * 1000000000u + st->stx_ctime.tv_nsec;
    item->size = st->stx_size;
    item->inode = st->stx_ino;
    int r = load(ctx, path, &policy, &problem);
    free(item->problem);
    item->problem = TAKE(problem);
    if (r == 0) {
        if (item->has_policy)
            policy_done(&item->policy);
        item->policy = policy;
        item->has_policy = true;
        kept_copies_add(&reading->copies, item->name, path, item->accepted);
    } else if (!item->has_policy) {
        use_kept_copy(ctx, item);
    }
    if (reading->p->without_work && item->has_policy)
        policy_forget_work(&item->policy);
}

static bool is_as_it_was(const struct policies_item *item, const struct statx *st)
{
    return item->size == st->stx_size && item->inode == st->stx_ino && item->changed_ns == (uint64_t)st->stx_ctime.tv_sec * 1000000000u + st->stx_ctime.tv_nsec;
}

// ---- all of them -----------------------------------------------------------------------------------------------------------

static struct policies_item *add_fresh(struct reading *reading, const char *name)
{
    reading->fresh = xrealloc(reading->fresh, (reading->fresh_count + 1) * sizeof *reading->fresh);
    struct policies_item *item = &reading->fresh[reading->fresh_count++];
    *item = (struct policies_item){ .name = xstrdup(name), .accepted = kept_copies_path(reading->ctx->state_dir, name) };
    return item;
}

static int visit(void *arg, const char *file, unsigned char type, struct error *err)
{
    struct reading *reading = arg;
    size_t n = strlen(file);
    struct statx st;
    (void)type;
    if (n <= 5 || strcmp(file + n - 5, ".yaml") != 0 || !policy_is_name(file, n - 5))
        return 0;
    _cleanup_free_ char *name = xstrndup(file, n - 5), *path = context_policy_path(reading->ctx, name);
    if (io_stat(reading->ctx->io, AT_FDCWD, path, 0, &st, err) < 0 || !S_ISREG(st.stx_mode))
        return 0; // gone while the directory was listed, or a link to nothing: not there
    struct policies_item *item = find(reading->p, name);
    bool is_new = item == NULL;
    if (is_new)
        item = add_fresh(reading, name);
    item->is_there = true;
    if (is_new || !is_as_it_was(item, &st)) {
        read_item(reading, item, &st);
        reading->changed(reading->arg, &(struct policies_change){ .item = item, .name = item->name });
    }
    return 0;
}

static void remove_gone(struct reading *reading)
{
    struct policies *p = reading->p;
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct policies_item *item = &p->items[i];
        if (item->is_there) {
            p->items[kept++] = *item;
            continue;
        }
        struct error ignored; // then it lies there until the next policy of that name
        (void)!io_unlink(reading->ctx->io, AT_FDCWD, item->accepted, 0, &ignored);
        reading->changed(reading->arg, &(struct policies_change){ .name = item->name });
        item_done(item);
    }
    p->count = kept;
}

static void add_all_fresh(struct reading *reading)
{
    struct policies *p = reading->p;
    if (reading->fresh_count == 0)
        return;
    p->items = xrealloc(p->items, (p->count + reading->fresh_count) * sizeof *p->items);
    memcpy(p->items + p->count, reading->fresh, reading->fresh_count * sizeof *p->items);
    p->count += reading->fresh_count;
    qsort(p->items, p->count, sizeof *p->items, compare_items);
}

int policies_read(const struct context *ctx, struct policies *p, policies_changed_fn *changed, void *arg, struct error *err)
{
    _cleanup_free_ char *dir = xasprintf("%s/policies", ctx->config_dir);
    struct reading reading = { .ctx = ctx, .p = p, .changed = changed, .arg = arg };
    for (size_t i = 0; i < p->count; i++)
        p->items[i].is_there = false;
    kept_copies_begin(ctx->io, ctx->state_dir, &reading.copies);
    int r = fs_list_dir(ctx->io, AT_FDCWD, dir, visit, &reading, err);
    if (r == ERROR_NOT_FOUND && p->count == 0)
        r = 0;
    else if (r == 0)
        remove_gone(&reading);
    add_all_fresh(&reading);
    kept_copies_end(&reading.copies);
    free(reading.fresh);
    return r;
}
