// bkd policy check.
#include <stdlib.h>
#include <string.h>

#include "bkd/cmd.h"
#include "bkd/policy/policy_order.h"
#include "bkd/policy/policy_trust.h"

// One file, and what was found in it.
struct checked {
    char *path;
    bool good;
    struct policy policy; // when it is good; else only its name is set, and borrowed
    struct policy_errors errors;
};

struct check {
    const struct context *ctx;
    size_t files, bad_files, mistakes;
};

static void load(const struct check *check, const char *path, struct checked *ret_checked)
{
    struct error err;
    *ret_checked = (struct checked){ .path = xstrdup(path) };
    int rc = policy_load(check->ctx->io, path, &ret_checked->policy, &ret_checked->errors, &err);
    bool loaded = rc == 0;
    if (loaded)
        rc = policy_trust_check(check->ctx->io, &ret_checked->policy, &err);
    if (loaded && rc < 0)
        policy_done(&ret_checked->policy);
    if (rc < 0 && ret_checked->errors.count == 0) // could not be read, or not be trusted: one mistake of the file as a whole
        policy_errors_add(&ret_checked->errors, 0, 0, 1, NULL, "%s", err.text);
    ret_checked->good = rc == 0;
}

static void checked_done(struct checked *checked)
{
    if (checked->good)
        policy_done(&checked->policy);
    policy_errors_done(&checked->errors);
    free(checked->path);
}

static int report_file(struct check *check, const struct checked *checked, struct error *err)
{
    context_print_policy_errors(check->ctx, &checked->errors);
    check->files++;
    check->bad_files += checked->errors.count > 0;
    check->mistakes += checked->errors.count;
    if (checked->errors.count > 0)
        return 0;
    if (!check->ctx->json) {
        (void)printf("%s: ok\n", checked->path);
        return 0;
    }
    struct json *line = json_line_new("policy");
    json_add_str(line, "file", checked->path);
    json_add_str(line, "name", checked->policy.name);
    json_add_bool(line, "ok", true);
    return json_line_print(&line, stdout, err);
}

// In which column a policy's name stands in a line of the file; 1 when it is not to be seen there.
static unsigned column_of(const struct policy_errors *errors, unsigned line, const char *name)
{
    const char *start = buf_str(&errors->text);
    size_t length = strlen(name);
    for (; line > 1 && start; line--) {
        start = strchr(start, '\n');
        start += start != NULL;
    }
    const char *end = start ? strchrnul(start, '\n') : NULL;
    for (const char *at = start; at && (at = strstr(at, name)) && at < end; at++)
        if (!policy_is_name(at + length, 1) && (at == start || !policy_is_name(at - 1, 1)))
            return (unsigned)(at - start) + 1;
    return 1;
}

static void report_order(void *arg, size_t index, size_t item, const char *message)
{
    struct checked *checked = (struct checked *)arg + index;
    const char *name = checked->policy.after.items[item];
    unsigned line = checked->policy.after.lines[item];
    policy_errors_add(&checked->errors, line, column_of(&checked->errors, line, name), (unsigned)strlen(name), NULL, "%s", message);
}

// What the policies mean together. One with mistakes is there, too.
static void check_order(struct checked *all, const struct context_names *names)
{
    const struct policy **policies = xcalloc(names->count + 1, sizeof *policies);
    for (size_t i = 0; i < names->count; i++) {
        if (!all[i].good)
            all[i].policy = (struct policy){ .name = names->items[i] };
        policies[i] = &all[i].policy;
    }
    policy_order_check(policies, names->count, report_order, all);
    free(policies);
}

// Every policy of the configuration directory, by name.
static int check_all(struct check *check, struct error *err)
{
    _cleanup_context_names_ struct context_names names = { 0 };
    int rc = context_policy_names(check->ctx, &names, err);
    struct checked *all = xcalloc(names.count + 1, sizeof *all);
    for (size_t i = 0; i < names.count; i++) {
        _cleanup_free_ char *path = context_policy_path(check->ctx, names.items[i]);
        load(check, path, &all[i]);
    }
    check_order(all, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (rc == 0)
            rc = report_file(check, &all[i], err);
        checked_done(&all[i]);
    }
    free(all);
    return rc;
}

// A file, or what other commands take, the name of a policy.
static int check_given(struct check *check, const char *given, struct error *err)
{
    const struct io *io = check->ctx->io;
    struct statx st;
    struct error ignored;
    struct checked checked;
    _cleanup_free_ char *path = context_policy_path(check->ctx, given);
    bool is_name = io_stat(io, AT_FDCWD, given, 0, &st, &ignored) < 0 && io_stat(io, AT_FDCWD, path, 0, &st, &ignored) == 0;
    load(check, is_name ? path : given, &checked);
    int rc = report_file(check, &checked, err);
    checked_done(&checked);
    return rc;
}

static int print_summary(const struct check *check, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_u64(line, "files", check->files);
    json_add_u64(line, "files_with_mistakes", check->bad_files);
    json_add_u64(line, "mistakes", check->mistakes);
    return json_line_print(&line, stdout, err);
}

int cmd_policy_check(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct check check = { .ctx = ctx };
    int rc = args->count == 0 ? check_all(&check, err) : 0;
    for (size_t i = 0; i < args->count && rc == 0; i++)
        rc = check_given(&check, args->values[i], err);
    if (rc == 0 && ctx->json)
        rc = print_summary(&check, err);
    if (rc == 0 && check.mistakes > 0)
        rc = error_set(err, ERROR_USAGE, "%zu mistake%s in %zu of %zu policy file%s; correct them and check again", check.mistakes,
                       check.mistakes == 1 ? "" : "s", check.bad_files, check.files, check.files == 1 ? "" : "s");
    return rc;
}
