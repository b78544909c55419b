#include "restore/selection_args.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/json.h"
#include "bkd/base/log.h"
#include "bkd/base/pattern.h"

enum { FILE_MAX = 16 << 20 };

struct list {
    char **items;
    size_t n;
};

static void list_done(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i]);
    free(l->items);
}
#define _cleanup_list_ __attribute__((cleanup(list_done)))

static void list_add(struct list *l, const char *text, size_t n)
{
    l->items = xrealloc(l->items, (l->n + 1) * sizeof *l->items);
    l->items[l->n++] = xstrndup(text, n);
}

static int read_text(const struct io *io, const char *path, struct buf *text, struct error *err)
{
    if (strcmp(path, "-") != 0)
        return fs_read_file(io, AT_FDCWD, path, FILE_MAX, text, err);
    for (size_t got = 1; got > 0 && text->len < FILE_MAX;) {
        uint8_t chunk[4096];
        int r = io_read_full(io, STDIN_FILENO, chunk, sizeof chunk, "standard input", &got, err);
        if (r < 0)
            return r;
        buf_add(text, chunk, got);
    }
    return 0;
}

// One pattern a line; empty lines and lines that begin with '#' say nothing.
static int add_file(const struct io *io, const char *path, struct list *patterns, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int r = read_text(io, path, &text, err);
    if (r < 0)
        return r;
    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        return error_set(err, ERROR_USAGE, "'%s' is not a list of patterns: it has a zero byte", path);
    unsigned number = 1;
    for (const char *line = buf_str(&text); *line != '\0'; number++) {
        size_t n = strcspn(line, "\n");
        if (n > 0 && *line != '#') {
            list_add(patterns, line, n);
            if (pattern_check(patterns->items[patterns->n - 1], err) < 0) {
                err->code = ERROR_USAGE;
                return error_prefix(err, "'%s' line %u: pattern '%.*s'", path, number, n > 200 ? 200 : (int)n, line);
            }
        }
        line += n + (line[n] == '\n');
    }
    return 0;
}

static int read_patterns(const struct io *io, const struct cli_args *args, struct list *include, struct list *exclude, struct error *err)
{
    for (size_t i = 0; i < args->given_count; i++) {
        const char *name = args->given[i].option->name, *value = args->given[i].value;
        int r = 0;
        if (strcmp(name, "include") == 0)
            list_add(include, value, strlen(value));
        else if (strcmp(name, "exclude") == 0)
            list_add(exclude, value, strlen(value));
        else if (strcmp(name, "include-from") == 0)
            r = add_file(io, value, include, err);
        else if (strcmp(name, "exclude-from") == 0)
            r = add_file(io, value, exclude, err);
        if (r < 0)
            return error_prefix(err, "--%s", name);
    }
    return 0;
}

int selection_from_args(const struct io *io, const struct cli_args *args, size_t first_path, struct selection **ret_selection,
                        struct error *err)
{
    _cleanup_list_ struct list include = { 0 };
    _cleanup_list_ struct list exclude = { 0 };
    int r = read_patterns(io, args, &include, &exclude, err);
    if (r < 0)
        return r;
    struct selection_options options = {
        .paths = args->count > first_path ? args->values + first_path : NULL,
        .n_paths = args->count > first_path ? args->count - first_path : 0,
        .include = (const char *const *)include.items,
        .n_include = include.n,
        .exclude = (const char *const *)exclude.items,
        .n_exclude = exclude.n,
        .escaped = cli_args_flag(args, "escaped"),
    };
    return selection_new(&options, ret_selection, err);
}

static void warn_unmatched(const char *option, const char *pattern, bool json)
{
    struct error ignored;
    _cleanup_free_ char *message = xasprintf("%s '%s' matches nothing here", option, pattern);
    log_warn("%s", message);
    if (!json)
        return;
    struct json *line = json_line_new("warning");
    json_add_str(line, "message", message);
    if (json_line_print(&line, stdout, &ignored) < 0)
        return; // told on standard error
}

int selection_tell(const struct selection *s, uint64_t selected, bool json, struct error *err)
{
    const char *option, *pattern;
    for (size_t at = 0; (pattern = selection_unmatched(s, &at, &option)) != NULL;)
        warn_unmatched(option, pattern, json);
    return selection_verdict(s, selected, err);
}
