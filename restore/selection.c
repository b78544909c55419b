#include "restore/selection.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/pattern.h"

struct path {
    char *text;
    bool met;
};

// The patterns of one kind, and which of them ever matched.
struct rules {
    struct pattern_set *set;
    bool *matched;
    size_t n;
};

// A directory from which on the include patterns' answer is another one.
struct level {
    size_t path_len;
    bool in;
};

struct selection {
    struct path *paths; // sorted
    size_t n_paths;
    char **bounds; // sorted, without overlaps
    size_t n_bounds;
    struct rules include, exclude;
    // of the pass under way
    struct buf excluded;    // below this directory nothing is selected; len 0 = none
    struct buf level_path;  // of the innermost level
    struct level *levels;
    size_t depth, cap;
};

// ---- reading what is wanted

static bool is_octal(const char *s) { return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7'; }

static int unescape(const char *text, struct buf *out, struct error *err)
{
    for (const char *s = text; *s != '\0'; s++) {
        if (*s != '\\') {
            buf_add_char(out, *s);
        } else if (s[1] == '\\') {
            buf_add_char(out, *s++);
        } else if (is_octal(s + 1) && strncmp(s + 1, "000", 3) != 0) {
            buf_add_char(out, (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0')));
            s += 3;
        } else {
            return error_set(err, ERROR_USAGE, "path '%s': with --escaped, a backslash stands before three octal digits or another backslash", text);
        }
    }
    return 0;
}

// As paths stand in a manifest: from the root on, without double slashes, "." and slashes at the end.
static int normalise(const char *path, struct buf *out, struct error *err)
{
    bool stream = strncmp(path, "stream/", 7) == 0;
    if (*path == '\0')
        return error_set(err, ERROR_USAGE, "a path is empty; '/' means everything");
    for (const char *s = path; *s != '\0';) {
        s += strspn(s, "/");
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.')
            return error_set(err, ERROR_USAGE, "path '%s': '..' is in no path of a snapshot", path);
        if (n > 0 && !(n == 1 && s[0] == '.')) {
            if (out->len > 0 || !stream)
                buf_add_char(out, '/');
            buf_add(out, s, n);
        }
        s += n;
    }
    if (out->len == 0)
        buf_add_char(out, '/');
    return 0;
}

static int compare_texts(const char *x, const char *y) { return manifest_path_compare(x, strlen(x), y, strlen(y)); }
static int compare_paths(const void *a, const void *b) { return compare_texts(((const struct path *)a)->text, ((const struct path *)b)->text); }
static int compare_strings(const void *a, const void *b) { return compare_texts(*(char *const *)a, *(char *const *)b); }

static int take_paths(struct selection *s, const struct selection_options *o, struct error *err)
{
    s->paths = xcalloc(o->n_paths + 1, sizeof *s->paths);
    for (size_t i = 0; i < o->n_paths; i++) {
        _cleanup_buf_ struct buf raw = { 0 };
        struct buf path = { 0 };
        int r = 0;
        if (o->escaped)
            r = unescape(o->paths[i], &raw, err);
        else
            buf_add_str(&raw, o->paths[i]);
        if (r == 0)
            r = normalise(buf_str(&raw), &path, err);
        if (r < 0) {
            buf_done(&path);
            return r;
        }
        s->paths[s->n_paths++].text = buf_take_str(&path);
    }
    if (s->n_paths > 0)
        qsort(s->paths, s->n_paths, sizeof *s->paths, compare_paths);
    return 0;
}

static int take_rules(struct rules *rules, const char *const *patterns, size_t n, const char *option, struct error *err)
{
    int r = pattern_set_new(patterns, n, &rules->set, err);
    if (r < 0) {
        err->code = ERROR_USAGE;
        return error_prefix(err, "%s", option);
    }
    rules->n = n;
    rules->matched = xcalloc(n + 1, sizeof *rules->matched);
    return 0;
}

// The path that all a pattern can match is, or lies below: "/" unless it is anchored.
static char *bound_of(const char *pattern)
{
    const char *body = pattern + (*pattern == '/');
    size_t n = strlen(body), wild = strcspn(body, "*?[\\");
    while (n > 0 && body[n - 1] == '/')
        n--;
    if (*pattern != '/' && memchr(body, '/', n) == NULL)
        return xstrdup("/");
    if (wild < n)
        for (n = wild; n > 0 && body[n - 1] != '/'; n--) {}
    while (n > 0 && body[n - 1] == '/')
        n--;
    return xasprintf("%s%.*s", strncmp(body, "stream/", 7) == 0 ? "" : "/", (int)n, body);
}

// What is below another bound adds nothing.
static void drop_overlaps(struct selection *s)
{
    size_t kept = 0;
    if (s->n_bounds > 0)
        qsort(s->bounds, s->n_bounds, sizeof *s->bounds, compare_strings);
    for (size_t i = 0; i < s->n_bounds; i++) {
        char *bound = s->bounds[i];
        const char *last = kept > 0 ? s->bounds[kept - 1] : NULL;
        if (last != NULL && manifest_path_below(bound, strlen(bound), last, strlen(last)))
            free(bound);
        else
            s->bounds[kept++] = bound;
    }
    s->n_bounds = kept;
}

// PATHs bound the selection where there are any, else the include patterns; the taken-back ones add nothing.
static void find_bounds(struct selection *s, const struct selection_options *o)
{
    s->bounds = xcalloc(s->n_paths + o->n_include + 1, sizeof *s->bounds);
    for (size_t i = 0; i < s->n_paths; i++)
        s->bounds[s->n_bounds++] = xstrdup(s->paths[i].text);
    for (size_t i = 0; s->n_paths == 0 && i < o->n_include; i++)
        if (o->include[i][0] != '!')
            s->bounds[s->n_bounds++] = bound_of(o->include[i]);
    if (s->n_bounds == 0)
        s->bounds[s->n_bounds++] = xstrdup("/");
    drop_overlaps(s);
}

int selection_new(const struct selection_options *options, struct selection **ret_selection, struct error *err)
{
    _cleanup_selection_ struct selection *s = xcalloc(1, sizeof *s);
    int r = take_paths(s, options, err);
    if (r == 0)
        r = take_rules(&s->include, options->include, options->n_include, "--include", err);
    if (r == 0)
        r = take_rules(&s->exclude, options->exclude, options->n_exclude, "--exclude", err);
    if (r < 0)
        return r;
    find_bounds(s, options);
    *ret_selection = TAKE(s);
    return 0;
}

static void rules_done(struct rules *rules)
{
    pattern_set_free(&rules->set);
    free(rules->matched);
}

void selection_free(struct selection *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_paths; i++)
        free(s->paths[i].text);
    for (size_t i = 0; i < s->n_bounds; i++)
        free(s->bounds[i]);
    free(s->paths);
    free(s->bounds);
    rules_done(&s->include);
    rules_done(&s->exclude);
    buf_done(&s->excluded);
    buf_done(&s->level_path);
    free(s->levels);
    free(s);
}

void selection_freep(struct selection **s) { selection_free(*s); }

const char *const *selection_bounds(const struct selection *s, size_t *ret_n)
{
    *ret_n = s->n_bounds;
    return (const char *const *)s->bounds;
}

bool selection_is_everything(const struct selection *s)
{
    return s == NULL || (s->n_paths == 0 && s->include.n == 0 && s->exclude.n == 0);
}

// ---- asking

void selection_rewind(struct selection *s)
{
    buf_reset(&s->excluded);
    buf_reset(&s->level_path);
    s->depth = 0;
}

// How many of the paths are not after `path`.
static size_t paths_up_to(const struct selection *s, const char *path, size_t n)
{
    size_t low = 0, high = s->n_paths;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *at = s->paths[middle].text;
        if (manifest_path_compare(at, strlen(at), path, n) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum selection_answer ask_paths(struct selection *s, const char *path, size_t n)
{
    if (s->n_paths == 0)
        return SELECTION_IN;
    // What is below a path follows it at once in the path order; of several that hold each other, the outermost decides.
    size_t after = paths_up_to(s, path, n);
    for (size_t i = after; i > 0 && strcmp(s->paths[i - 1].text, path) == 0; i--)
        s->paths[i - 1].met = true;
    for (size_t i = after; i > 0 && *path != '/' && *s->paths[i - 1].text != '/'; i--)
        if (strchr(s->paths[i - 1].text, '/') == NULL) // the directory of streams is no entry: any of them stands for it
            s->paths[i - 1].met = true;
    size_t low = 0, high = s->n_bounds;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (manifest_path_compare(s->bounds[middle], strlen(s->bounds[middle]), path, n) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && manifest_path_below(path, n, s->bounds[low - 1], strlen(s->bounds[low - 1])))
        return SELECTION_IN;
    bool above = low < s->n_bounds && manifest_path_below(s->bounds[low], strlen(s->bounds[low]), path, n);
    return above ? SELECTION_ABOVE : SELECTION_OUT;
}

// What the rules say of this very path; *ret_decided false when none matches.
static bool match_rules(struct rules *rules, const char *relative, bool is_dir, bool *ret_decided)
{
    size_t rule;
    bool yes = pattern_set_match(rules->set, relative, is_dir, &rule);
    *ret_decided = rule != SIZE_MAX;
    for (size_t i = 0; i < rules->n; i++)
        if (!rules->matched[i])
            rules->matched[i] = pattern_set_match_one(rules->set, i, relative, is_dir);
    return yes;
}

static bool is_excluded(struct selection *s, const struct manifest_entry *e, const char *relative)
{
    bool decided;
    if (s->exclude.n == 0)
        return false;
    if (s->excluded.len > 0 && manifest_path_below(buf_str(&e->path), e->path.len, buf_str(&s->excluded), s->excluded.len))
        return true;
    buf_reset(&s->excluded);
    if (!match_rules(&s->exclude, relative, e->type == MANIFEST_DIR, &decided))
        return false;
    if (e->type == MANIFEST_DIR)
        buf_add(&s->excluded, e->path.data, e->path.len);
    return true;
}

static void push_level(struct selection *s, const struct manifest_entry *e, bool in)
{
    if (s->depth == s->cap) {
        s->cap = s->cap == 0 ? 16 : 2 * s->cap;
        s->levels = xrealloc(s->levels, s->cap * sizeof *s->levels);
    }
    s->levels[s->depth++] = (struct level){ .path_len = e->path.len, .in = in };
    buf_reset(&s->level_path);
    buf_add(&s->level_path, e->path.data, e->path.len);
}

// The pattern that matches decides; where none does, the directory's answer holds.
static bool is_included(struct selection *s, const struct manifest_entry *e, const char *relative)
{
    bool decided;
    if (s->include.n == 0)
        return true;
    while (s->depth > 0 && !manifest_path_below(buf_str(&e->path), e->path.len, buf_str(&s->level_path), s->levels[s->depth - 1].path_len)) {
        s->depth--;
        s->level_path.len = s->depth == 0 ? 0 : s->levels[s->depth - 1].path_len;
    }
    bool inherited = s->depth > 0 && s->levels[s->depth - 1].in;
    bool matched = match_rules(&s->include, relative, e->type == MANIFEST_DIR, &decided);
    bool in = decided ? matched : inherited;
    if (e->type == MANIFEST_DIR && in != inherited)
        push_level(s, e, in);
    return in;
}

enum selection_answer selection_ask(struct selection *s, const struct manifest_entry *e)
{
    if (s == NULL)
        return SELECTION_IN;
    const char *path = buf_str(&e->path), *relative = path + (*path == '/');
    enum selection_answer answer = ask_paths(s, path, e->path.len);
    if (answer == SELECTION_OUT)
        return SELECTION_OUT;
    bool in = answer == SELECTION_IN && is_included(s, e, relative); // asked first: a pattern that others overrule did match
    if (is_excluded(s, e, relative))
        return SELECTION_OUT;
    bool root_alone = *relative == '\0' && s->exclude.n > 0; // no pattern can name it: it comes with what is left
    if (in && !root_alone)
        return SELECTION_IN;
    return e->type == MANIFEST_DIR ? SELECTION_ABOVE : SELECTION_OUT;
}

// ---- what came of it

const char *selection_missing(const struct selection *s)
{
    for (size_t i = 0; s != NULL && i < s->n_paths; i++)
        if (!s->paths[i].met)
            return s->paths[i].text;
    return NULL;
}

const char *selection_unmatched(const struct selection *s, size_t *at, const char **ret_option)
{
    for (; s != NULL && *at < s->include.n + s->exclude.n; ++*at) {
        bool include = *at < s->include.n;
        const struct rules *rules = include ? &s->include : &s->exclude;
        size_t rule = *at - (include ? 0 : s->include.n);
        if (rules->matched[rule])
            continue;
        ++*at;
        *ret_option = include ? "--include" : "--exclude";
        return pattern_set_text(rules->set, rule);
    }
    return NULL;
}

int selection_verdict(const struct selection *s, uint64_t selected, struct error *err)
{
    if (selection_is_everything(s))
        return 0;
    if (selected > 0)
        return 0;
    const char *why = s->include.n == 0   ? "the exclude patterns leave nothing"
                      : s->exclude.n == 0 ? "the include patterns match nothing"
                                          : "no entry is taken by the include patterns and left by the exclude patterns";
    return error_set(err, ERROR_NOT_FOUND, "nothing is selected: %s; `bkd-restore ls` shows what the snapshot holds", why);
}
