// bkd ls-source: what a backup would take, and what it would leave out by which rule. It is the scan of a backup, shown.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/engine/stream.h"
#include "bkd/host/sources.h"

struct listing {
    const struct context *ctx;
    const struct policy *policy;
    const char *only; // PATH as absolute path; NULL = everything
    bool show_excluded;
    uint64_t entries, files, bytes, problems;
    uint64_t excluded[EXCLUDE_REASONS];
    struct buf line;
    struct buf kept_out; // why PATH itself is not taken
};

// ---- lines

// "f     123456 /srv/erp/a": names are escaped as in the manifest, so that nothing in them reaches the terminal raw.
static void begin_text(struct listing *l, enum manifest_type type, uint64_t size, const char *path, size_t path_len)
{
    buf_reset(&l->line);
    if (type == MANIFEST_FILE)
        buf_addf(&l->line, "%c %15llu ", (char)type, (unsigned long long)size);
    else
        buf_addf(&l->line, "%c %15s ", (char)type, "-");
    manifest_escape(&l->line, path, path_len);
}

static struct json *begin_json(const char *line_type, enum manifest_type type, uint64_t size, const char *path, size_t path_len)
{
    char kind[2] = { (char)type, '\0' };
    struct json *line = json_line_new(line_type);
    json_add_name(line, "path", path, path_len);
    json_add_str(line, "kind", kind);
    if (type == MANIFEST_FILE)
        json_add_u64(line, "size", size);
    return line;
}

static int end_text(struct listing *l, struct error *err)
{
    buf_add_char(&l->line, '\n');
    return fwrite(l->line.data, 1, l->line.len, stdout) == l->line.len ? 0 : error_set_errno(err, errno, "write to standard output");
}

// `exclude "*.tmp", line 4`
static void add_rule(struct buf *out, const struct policy *policy, size_t source, struct exclude_verdict verdict)
{
    struct source_rule rule = sources_rule(policy, source, verdict);
    if (verdict.reason == EXCLUDE_KERNEL)
        buf_add_str(out, "an interface of the kernel, never entered");
    else if (verdict.reason == EXCLUDE_MEMORY)
        buf_add_str(out, "files in memory (tmpfs), entered only as a source of their own");
    else if (verdict.reason == EXCLUDE_FILESYSTEM)
        buf_add_str(out, "another file system: ");
    buf_add_str(out, rule.key);
    if (rule.item[0] != '\0') {
        buf_add_char(out, ' ');
        context_add_quoted(rule.item, out);
    }
    if (rule.line > 0)
        buf_addf(out, ", line %u", rule.line);
    else if (rule.key[0] != '\0')
        buf_add_str(out, ", the default");
}

// ---- what the scan says

static bool is_asked_for(const struct listing *l, const char *path, size_t n)
{
    return l->only == NULL || manifest_path_below(path, n, l->only, strlen(l->only));
}

static int show_entry(void *arg, const struct manifest_entry *e, const struct scan_stat *stat, uint32_t links, uint64_t blocks_bytes, struct error *err)
{
    struct listing *l = arg;
    const char *path = buf_str(&e->path);
    (void)stat, (void)links, (void)blocks_bytes;
    if (!is_asked_for(l, path, e->path.len))
        return 0;
    l->entries++;
    l->files += e->type == MANIFEST_FILE;
    l->bytes += e->size;
    if (l->show_excluded)
        return 0;
    if (l->ctx->json) {
        struct json *line = begin_json("entry", e->type, e->size, path, e->path.len);
        if ((e->notes & (MANIFEST_MOUNT | MANIFEST_EXCLUDED)) != 0)
            json_add_bool(line, "entered", false);
        return json_line_print(&line, stdout, err);
    }
    begin_text(l, e->type, e->size, path, e->path.len);
    return end_text(l, err);
}

// What a command will write nobody knows before; it is not run to find out.
static int show_streams(struct listing *l, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < l->policy->stream_count; i++) {
        _cleanup_free_ char *path = xasprintf(STREAM_ROOT "%s", l->policy->streams[i].stream.name);
        if (!is_asked_for(l, path, strlen(path)))
            continue;
        l->entries++;
        l->files++;
        if (l->show_excluded)
            continue;
        if (l->ctx->json) {
            struct json *line = json_line_new("entry");
            json_add_str(line, "path", path);
            json_add_str(line, "kind", "f");
            json_add_null(line, "size");
            r = json_line_print(&line, stdout, err);
            continue;
        }
        buf_reset(&l->line);
        buf_addf(&l->line, "f %15s ", "-");
        manifest_escape(&l->line, path, strlen(path));
        r = end_text(l, err);
    }
    return r;
}

static int show_excluded(void *arg, const struct scan_excluded *x, struct error *err)
{
    struct listing *l = arg;
    size_t n = strlen(x->path);
    bool above = l->only != NULL && strcmp(l->only, x->path) != 0 && manifest_path_below(l->only, strlen(l->only), x->path, n);
    if (above || (l->only != NULL && strcmp(l->only, x->path) == 0)) {
        buf_reset(&l->kept_out);
        if (above)
            buf_addf(&l->kept_out, "'%s' is left out: ", x->path);
        add_rule(&l->kept_out, l->policy, x->source, x->verdict);
    }
    if (!above && !is_asked_for(l, x->path, n))
        return 0;
    l->excluded[x->verdict.reason]++;
    if (!l->show_excluded)
        return 0;
    if (!l->ctx->json) {
        begin_text(l, x->type, x->size, x->path, n);
        buf_add_str(&l->line, "  ");
        add_rule(&l->line, l->policy, x->source, x->verdict);
        return end_text(l, err);
    }
    struct source_rule rule = sources_rule(l->policy, x->source, x->verdict);
    struct json *line = begin_json("excluded", x->type, x->size, x->path, n);
    json_add_str(line, "reason", exclude_reason_name(x->verdict.reason));
    if (rule.key[0] != '\0')
        json_add_str(line, "key", rule.key);
    if (rule.item[0] != '\0')
        json_add_str(line, "item", rule.item);
    if (rule.line > 0)
        json_add_u64(line, "line", rule.line);
    return json_line_print(&line, stdout, err);
}

static void show_problem(void *arg, const struct scan_problem *problem)
{
    struct listing *l = arg;
    l->problems++;
    if (l->ctx->json) {
        struct error ignored; // standard output gone: the summary will say so
        struct json *line = json_line_new("problem");
        json_add_name(line, "path", problem->path, strlen(problem->path));
        json_add_str(line, "reason", problem->reason);
        (void)!json_line_print(&line, stdout, &ignored);
    }
    log_warn("'%.1000s%s' cannot be read: %s", problem->path, strlen(problem->path) > 1000 ? "..." : "", problem->reason);
}

// ---- totals

static int show_totals_json(const struct listing *l, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_str(line, "policy", l->policy->name);
    json_add_u64(line, "entries", l->entries);
    json_add_u64(line, "files", l->files);
    json_add_u64(line, "bytes", l->bytes);
    struct json *excluded = json_add_object(line, "excluded");
    for (int reason = EXCLUDE_NOT + 1; reason < EXCLUDE_REASONS; reason++)
        json_add_u64(excluded, exclude_reason_name((enum exclude_reason)reason), l->excluded[reason]);
    json_add_u64(line, "problems", l->problems);
    json_add_bool(line, "complete", l->problems == 0);
    return json_line_print(&line, stdout, err);
}

static int show_totals(const struct listing *l, struct error *err)
{
    char size[CLOCK_TEXT_MAX];
    uint64_t left_out = 0;
    if (l->ctx->json)
        return show_totals_json(l, err);
    for (int reason = EXCLUDE_NOT + 1; reason < EXCLUDE_REASONS; reason++)
        left_out += l->excluded[reason];
    clock_format_bytes(size, l->bytes);
    if (l->ctx->verbosity >= 0)
        (void)printf("%s: %llu entries, %llu files, %s; left out %llu%s\n", l->policy->name, (unsigned long long)l->entries, (unsigned long long)l->files, size,
                     (unsigned long long)left_out, l->show_excluded || left_out == 0 ? "" : ", see --excluded");
    return fflush(stdout) == 0 ? 0 : error_set_errno(err, errno, "write to standard output");
}

// PATH is not taken: why.
static int explain(const struct listing *l, struct error *err)
{
    if (l->kept_out.len > 0)
        return error_set(err, ERROR_NOT_FOUND, "'%s' would not be taken: %s", l->only, buf_str(&l->kept_out));
    for (size_t i = 0; i < l->policy->source_count; i++) {
        const char *source = l->policy->sources[i].path;
        if (manifest_path_below(l->only, strlen(l->only), source, strlen(source)))
            return error_set(err, ERROR_NOT_FOUND, "there is no '%s' in source '%s'", l->only, source);
    }
    return error_set(err, ERROR_NOT_FOUND, "'%s' lies in no source of policy '%s'", l->only, l->policy->name);
}

static int list_sources(struct listing *l, const struct sources *sources, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    int scratch = -1;
    int r = io_open(l->ctx->io, AT_FDCWD, tmp == NULL || tmp[0] == '\0' ? "/tmp" : tmp, O_RDONLY | O_DIRECTORY, 0, &scratch, err);
    if (r < 0)
        return error_prefix(err, "directory for scratch files (TMPDIR)");
    struct scan_options options = { .sources = sources->list, .n_sources = sources->count, .one_filesystem = l->policy->one_filesystem, .scratch_fd = scratch,
                                    .helpers = scan_helpers(1), .only = l->only };
    struct scan_callbacks callbacks = { .visit = show_entry, .problem = show_problem, .excluded = show_excluded, .arg = l };
    r = scan_run(l->ctx->io, &options, &callbacks, err);
    io_close_quietly(l->ctx->io, &scratch);
    return r;
}

// PATH is a path of files that are there, so it may be relative, too; a stream is named as it is.
static int absolute_path(const char *given, char **ret_path, struct error *err)
{
    if (strncmp(given, STREAM_ROOT, sizeof STREAM_ROOT - 1) == 0) {
        *ret_path = xstrdup(given);
        return 0;
    }
    _cleanup_free_ char *here = getcwd(NULL, 0), *path = xasprintf("%s/%s", given[0] == '/' || here == NULL ? "" : here, given);
    *ret_path = policy_normalise(path);
    return *ret_path != NULL ? 0 : error_set(err, ERROR_USAGE, "PATH '%s' has a '..' component; write it without", given);
}

int cmd_ls_source(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    const char *given = cli_args_value(args, 1);
    _cleanup_free_ char *only = NULL;
    if (given != NULL && absolute_path(given, &only, err) < 0)
        return err->code;
    struct sources sources = { 0 };
    struct listing l = { .ctx = ctx, .policy = &policy, .only = only == NULL || strcmp(only, "/") == 0 ? NULL : only,
                         .show_excluded = cli_args_flag(args, "excluded") };
    int r = context_load_policy(ctx, cli_args_value(args, 0), &policy, err);
    if (r == 0)
        r = sources_compile(&policy, &sources, err);
    if (r == 0)
        r = list_sources(&l, &sources, err);
    if (r == 0)
        r = show_streams(&l, err);
    bool nothing = l.only != NULL && l.entries == 0 && !(l.show_excluded && l.kept_out.len > 0);
    if (r == 0 && (!nothing || ctx->json))
        r = show_totals(&l, err);
    if (r == 0 && l.problems > 0)
        r = error_set(err, ERROR_INCOMPLETE, "policy %s: %llu places cannot be read, and would be missing in a backup", policy.name, (unsigned long long)l.problems);
    else if (r == 0 && nothing)
        r = explain(&l, err);
    sources_done(&sources);
    buf_done(&l.line);
    buf_done(&l.kept_out);
    return r;
}
