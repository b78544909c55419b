// bkd catalogue check, export, rebuild: is the record of this host's runs whole, and making it whole again.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/history/exporting.h"
#include "bkd/history/housekeeping.h"
#include "bkd/history/rebuilding.h"
#include "bkd/record/alarms.h"
#include "bkd/record/archive.h"

// ---- check

static int print_problem(const struct context *ctx, const char *problem, struct error *err)
{
    if (!ctx->json) {
        printf("%s\n", problem);
        return 0;
    }
    struct json *line = json_line_new("finding");
    json_add_str(line, "reason", problem);
    return json_line_print(&line, stdout, err);
}

// Each row that a checking statement gives is a problem, but "ok".
static int show_rows(const struct context *ctx, struct catalogue *c, const char *text, uint64_t *problems, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, text, SQL_NOTHING, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        r = 0;
        if (strcmp(sql_str(s, 0), "ok") == 0)
            continue;
        ++*problems;
        r = print_problem(ctx, sql_str(s, 0), err);
    }
    return r;
}

static int print_check(const struct context *ctx, struct catalogue *c, uint64_t problems, struct error *err)
{
    int64_t runs = 0, snapshots = 0, alarms = 0;
    int r = sql_number(c->sql, "SELECT count(*) FROM runs", SQL_NOTHING, &runs, err);
    if (r == 0)
        r = sql_number(c->sql, "SELECT count(*) FROM snapshots", SQL_NOTHING, &snapshots, err);
    if (r == 0)
        r = sql_number(c->sql, "SELECT count(*) FROM alarms WHERE cleared_ns IS NULL", SQL_NOTHING, &alarms, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_i64(line, "runs", runs);
        json_add_i64(line, "snapshots", snapshots);
        json_add_i64(line, "alarms", alarms);
        json_add_u64(line, "problems", problems);
        return json_line_print(&line, stdout, err);
    }
    printf("the catalogue is whole: %lld runs, %lld snapshots, %lld active alarms\n", (long long)runs, (long long)snapshots, (long long)alarms);
    return 0;
}

static int check(const struct context *ctx, struct catalogue *c, struct error *err)
{
    uint64_t problems = 0;
    int r = show_rows(ctx, c, "PRAGMA integrity_check", &problems, err);
    if (r == 0)
        r = show_rows(ctx, c, "SELECT 'a row of ' || \"table\" || ' refers to a row of ' || parent || ' that is not there' FROM pragma_foreign_key_check", &problems, err);
    if (r == 0 && problems > 0)
        return ERROR_INTEGRITY;
    return r < 0 ? r : print_check(ctx, c, problems, err);
}

int cmd_catalogue_check(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    struct error why = { .text = "rows contradict each other" };
    (void)args;
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_READ, &c, err);
    if (r == 0)
        r = check(ctx, &c, &why);
    else
        why = *err;
    if (r < 0 && r != ERROR_INTEGRITY) {
        *err = why;
        return r;
    }
    if (r == ERROR_INTEGRITY) // the next opening sets it aside
        catalogue_mark_damaged(ctx->io, ctx->state_dir);
    return r == 0 ? 0 : error_set(err, ERROR_INTEGRITY, "the catalogue is damaged (%.300s): `bkd catalogue rebuild` sets it aside, and rebuilds it", why.text);
}

// ---- export

static int add_text(void *arg, const void *text, size_t n, struct error *err)
{
    return fwrite(text, 1, n, arg) == n ? 0 : error_set(err, ERROR_FAILED, "cannot write all of it");
}

// As plain text, for a person: where it goes is theirs to say.
static int export_file(const struct context *ctx, struct catalogue *c, const char *policy, const char *path, struct error *err)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    struct archive_options options = { .host = host, .policy = policy };
    FILE *file = strcmp(path, "-") == 0 ? stdout : NULL;
    int fd = -1, r = file == NULL ? io_open(ctx->io, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err) : 0;
    if (r < 0)
        return r == ERROR_EXISTS ? error_set(err, ERROR_EXISTS, "'%s' is there already; give another name", path) : r;
    if (file == NULL)
        file = fdopen(fd, "w");
    if (file == NULL)
        return error_set(err, ERROR_FAILED, "open '%s': out of memory", path);
    r = archive_write(c, &options, add_text, file, err);
    if (file != stdout && fclose(file) != 0 && r == 0)
        r = error_set(err, ERROR_FAILED, "cannot write all of it");
    return r < 0 ? error_prefix(err, "'%s'", path) : 0;
}

static int export_beside(const struct context *ctx, struct catalogue *c, const char *policy, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    char text[CLOCK_TEXT_MAX];
    struct store *store = NULL;
    uint64_t size = 0;
    int r = setup_load(ctx, policy, &s, err);
    if (r == 0)
        r = setup_load_writing(&s, err);
    if (r == 0)
        r = setup_open_store(&s, false, &store, err);
    if (r == 0)
        r = exporting_run(c, &s, store, true, &size, err);
    store_close(store);
    if (r < 0)
        return error_prefix(err, "policy %s", policy);
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", policy);
        json_add_u64(line, "bytes_stored", size);
        return json_line_print(&line, stdout, err);
    }
    clock_format_bytes(text, size);
    printf("%s: exported beside the repository, %s; copies get it with the next ship\n", policy, text);
    return 0;
}

int cmd_catalogue_export(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    const char *policy = cli_args_value(args, 0), *file = cli_args_option(args, "file");
    if (policy == NULL && file == NULL)
        return error_set(err, ERROR_USAGE, "give a POLICY, to export beside its repository, or --file FILE, for a plain copy of all");
    int r = catalogue_open(ctx->io, ctx->state_dir, file == NULL ? CATALOGUE_WRITE : CATALOGUE_READ, &c, err);
    if (r < 0)
        return r;
    return file == NULL ? export_beside(ctx, &c, policy, err) : export_file(ctx, &c, policy, file, err);
}

// ---- rebuild

static int tell(const struct context *ctx, const struct rebuilt *b, struct error *err)
{
    bool is_complete = b->failed + b->left_sealed + b->problems == 0;
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "policies", b->policies);
        json_add_u64(line, "snapshots", b->snapshots);
        json_add_u64(line, "exports", b->exports);
        json_add_u64(line, "rows", b->rows);
        json_add_u64(line, "unreadable_policies", b->failed);
        json_add_u64(line, "sealed_policies", b->left_sealed);
        json_add_bool(line, "complete", is_complete);
        int r = json_line_print(&line, stdout, err);
        if (r < 0)
            return r;
    } else {
        printf("rebuilt: %llu snapshots of %llu policies from their heads; %llu rows from %llu exports\n", (unsigned long long)b->snapshots, (unsigned long long)b->policies,
               (unsigned long long)b->rows, (unsigned long long)b->exports);
    }
    if (is_complete)
        return 0;
    return error_set(err, ERROR_INCOMPLETE, "not all could be brought back: %llu policies could not be read, %llu have exports that are sealed, %llu exports are damaged (see above)",
                     (unsigned long long)b->failed, (unsigned long long)b->left_sealed, (unsigned long long)b->problems);
}

int cmd_catalogue_rebuild(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    struct rebuilt rebuilt;
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &c, err);
    if (r == 0)
        r = rebuilding_run(ctx, &c, cli_args_value(args, 0), cli_args_option(args, "identity"), &rebuilt, err);
    if (r == 0)
        r = catalogue_set_mark(&c, "rebuild.wanted", 0, err);
    if (r == 0) // a person was here and saw what could be done
        r = alarms_clear(&c, "catalogue-damaged", NULL, NULL, "the catalogue was rebuilt", NULL, err);
    if (r == 0)
        r = housekeeping_backup(&c, err);
    return r < 0 ? r : tell(ctx, &rebuilt, err);
}
