#include "bkd/host/context.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/compare.h"
#include "bkd/base/fs.h"
#include "bkd/policy/policy_trust.h"

void context_print_policy_errors(const struct context *ctx, const struct policy_errors *errors)
{
    struct error err;
    for (size_t i = 0; ctx->json && i < errors->count; i++) {
        const struct policy_error *error = &errors->items[i];
        struct json *line = json_line_new("policy_error");
        json_add_str(line, "file", errors->file);
        json_add_u64(line, "line", error->line);
        json_add_u64(line, "column", error->column);
        json_add_str(line, "message", error->message);
        json_add_str(line, "hint", error->hint[0] ? error->hint : NULL);
        if (json_line_print(&line, stdout, &err) < 0)
            return; // the exit code says 2 in any case
    }
    _cleanup_buf_ struct buf text = { 0 };
    policy_errors_format(errors, &text);
    if (!ctx->json)
        (void)fputs(buf_str(&text), stderr);
}

char *context_policy_path(const struct context *ctx, const char *policy)
{
    if (strchr(policy, '/'))
        return xstrdup(policy);
    return xasprintf("%s/policies/%s.yaml", ctx->config_dir, policy);
}

char *context_plan_path(const struct context *ctx, const char *plan)
{
    return strchr(plan, '/') != NULL ? xstrdup(plan) : xasprintf("%s/plans/%s.yaml", ctx->config_dir, plan);
}

int context_load_policy(const struct context *ctx, const char *policy, struct policy *ret_policy, struct error *err)
{
    if (!strchr(policy, '/') && !policy_is_name(policy, strlen(policy)))
        return error_set(err, ERROR_USAGE, "'%s' is no policy name; give a name, or a path with a slash", policy);
    _cleanup_free_ char *path = context_policy_path(ctx, policy);
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    int rc = policy_load(ctx->io, path, ret_policy, &errors, err);
    if (rc == ERROR_NOT_FOUND)
        return error_set(err, ERROR_USAGE, "there is no policy '%s': write %s, or give --config-dir", policy, path);
    context_print_policy_errors(ctx, &errors);
    if (rc < 0)
        return rc;
    rc = policy_trust_check(ctx->io, ret_policy, err);
    if (rc < 0)
        policy_done(ret_policy);
    return rc;
}

void context_names_done(struct context_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct context_names){ 0 };
}

static int add_name(void *arg, const char *file, unsigned char type, struct error *err)
{
    struct context_names *names = arg;
    size_t length = strlen(file);
    (void)type;
    (void)err;
    if (file[0] == '.' || length <= 5 || strcmp(file + length - 5, ".yaml") != 0)
        return 0;
    names->items = xrealloc(names->items, (names->count + 1) * sizeof *names->items);
    names->items[names->count++] = xstrndup(file, length - 5);
    return 0;
}

int context_names_below(const struct context *ctx, const char *folder, struct context_names *ret_names, struct error *err)
{
    _cleanup_free_ char *dir = xasprintf("%s/%s", ctx->config_dir, folder);
    _cleanup_context_names_ struct context_names names = { 0 };
    int rc = fs_list_dir(ctx->io, AT_FDCWD, dir, add_name, &names, err);
    if (rc < 0 && rc != ERROR_NOT_FOUND)
        return rc;
    if (names.count > 1)
        qsort(names.items, names.count, sizeof *names.items, compare_strings);
    *ret_names = names;
    names = (struct context_names){ 0 };
    return 0;
}

int context_policy_names(const struct context *ctx, struct context_names *ret_names, struct error *err)
{
    int rc = context_names_below(ctx, "policies", ret_names, err);
    if (rc == 0 && ret_names->count == 0)
        rc = error_set(err, ERROR_USAGE, "there are no policies in '%s/policies'; name a file, or give --config-dir", ctx->config_dir);
    return rc;
}

int context_load_config(const struct context *ctx, struct config *ret_config, struct error *err)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    int r = config_load(ctx->io, ctx->config_dir, ret_config, &errors, err);
    context_print_policy_errors(ctx, &errors);
    return r;
}

char *context_key_path(const struct context *ctx, const char *name)
{
    if (name[0] == '/')
        return xstrdup(name);
    return xasprintf("%s/keys/%s", ctx->config_dir, name);
}

char *context_clean_path(const char *path)
{
    bool is_stream = strncmp(path, "stream/", 7) == 0;
    char *clean = xasprintf("%s%s", path[0] == '/' || is_stream ? "" : "/", path);
    for (size_t n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--)
        clean[n - 1] = '\0';
    return clean;
}

void context_add_quoted(const char *text, struct buf *ret_text)
{
    buf_add_char(ret_text, '"');
    for (const char *s = text; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_addf(ret_text, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            buf_addf(ret_text, "\\x%02x", (unsigned char)*s);
        else
            buf_add_char(ret_text, *s);
    }
    buf_add_char(ret_text, '"');
}

void context_conclude(struct context *ctx, int result, const struct error *err)
{
    struct error lost; // the exit code tells it as well
    ctx->has_concluded = true;
    if (result < 0 && err->code != ERROR_INCOMPLETE)
        (void)!context_print_error(err, &lost);
}

int context_print_error(const struct error *failure, struct error *err)
{
    struct json *line = json_line_new("error");
    json_add_str(line, "code", error_code_name(failure->code));
    json_add_i64(line, "exit", error_exit_code(failure->code));
    json_add_str(line, "message", failure->text);
    return json_line_print(&line, stdout, err);
}
