#include "bkd/base/pattern.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"

struct component {
    char *glob; // NULL = any number of directories ("**")
};

struct rule {
    char *text;
    bool include;    // "!"
    bool dir_only;   // trailing slash
    struct component *components;
    size_t count;
};

struct pattern_set {
    struct rule *rules;
    size_t count;
};

// The length of "[:name:]" at s, or 0.
static size_t class_length(const char *s)
{
    if (s[0] != '[' || s[1] != ':')
        return 0;
    const char *end = strstr(s + 2, ":]");
    return end ? (size_t)(end + 2 - s) : 0;
}

static bool class_match(const char *name, size_t n, unsigned char c, bool *ret_known)
{
    static const struct {
        const char *name;
        int (*test)(int);
    } classes[] = { { "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
                    { "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
                    { "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit } };
    *ret_known = false;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) != n || memcmp(classes[i].name, name, n) != 0)
            continue;
        *ret_known = true;
        return c < 0x80 && classes[i].test(c) != 0; // ASCII only, whatever the locale
    }
    return false;
}

// One byte of a range, which a backslash may precede; moves *s behind it.
static unsigned char range_byte(const char **s)
{
    if (**s == '\\')
        (*s)++;
    return (unsigned char)*(*s)++;
}

// One "[…]" of a glob, which pattern_check found well formed. *ret_end is behind the closing bracket.
static bool bracket_match(const char *glob, unsigned char c, const char **ret_end)
{
    const char *s = glob + 1;
    bool negated = *s == '!' || *s == '^';
    bool found = false, known;
    s += negated;
    for (bool first = true; first || *s != ']'; first = false) {
        size_t class_len = class_length(s);
        if (class_len) {
            found |= class_match(s + 2, class_len - 4, c, &known);
            s += class_len;
            continue;
        }
        unsigned char low = range_byte(&s), high = low;
        if (s[0] == '-' && s[1] != ']') {
            s++;
            high = range_byte(&s);
        }
        found |= low <= c && c <= high;
    }
    *ret_end = s + 1;
    return found != negated;
}

// Does one glob element at *glob (not "*") match byte c? Moves *glob behind the element.
static bool element_match(const char **glob, unsigned char c)
{
    const char *s = *glob;
    if (*s == '[')
        return bracket_match(s, c, glob);
    if (*s == '?') {
        *glob = s + 1;
        return true;
    }
    if (*s == '\\')
        s++;
    *glob = s + 1;
    return (unsigned char)*s == c;
}

// Glob against one path component of n bytes. Only the last "*" seen needs to be tried again, so this takes |glob| × n.
static bool glob_match(const char *glob, const char *name, size_t n)
{
    const char *star = NULL; // behind the last "*"
    size_t at = 0, star_at = 0;
    while (at < n) {
        const char *next = glob;
        if (*glob == '*') {
            star = ++glob;
            star_at = at;
        } else if (*glob && element_match(&next, (unsigned char)name[at])) {
            glob = next;
            at++;
        } else if (star) {
            glob = star;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

static size_t component_length(const char *path)
{
    return strcspn(path, "/");
}

static const char *component_next(const char *path)
{
    path += component_length(path);
    return *path == '/' ? path + 1 : path;
}

// Components against components, by the same rule: "**" takes the role of "*".
static bool rule_match_path(const struct rule *rule, const char *path)
{
    if (rule->count == 2 && !rule->components[0].glob && rule->components[1].glob) { // a name at any depth: paths may be very long
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        return glob_match(rule->components[1].glob, name, strlen(name));
    }
    size_t at = 0, star_next = SIZE_MAX;
    const char *star_path = NULL;
    while (*path) {
        if (at < rule->count && !rule->components[at].glob) {
            star_next = ++at;
            star_path = path;
        } else if (at < rule->count && glob_match(rule->components[at].glob, path, component_length(path))) {
            at++;
            path = component_next(path);
        } else if (star_next != SIZE_MAX) {
            at = star_next;
            path = star_path = component_next(star_path);
        } else {
            return false;
        }
    }
    while (at < rule->count && !rule->components[at].glob)
        at++;
    return at == rule->count;
}

static bool bracket_check(const char **glob, struct error *err)
{
    const char *s = *glob + 1;
    bool known = false;
    if (*s == '!' || *s == '^')
        s++;
    for (bool first = true; first || *s != ']'; first = false) {
        size_t class_len = class_length(s);
        if (class_len) {
            (void)class_match(s + 2, class_len - 4, 'a', &known); // asked only whether the class exists
            if (!known)
                return error_set(err, ERROR_FORMAT, "there is no character class '%.*s'", (int)class_len, s), false;
            s += class_len;
            continue;
        }
        if (*s == '\0' || *s == '/' || (*s == '\\' && (s[1] == '\0' || s[1] == '/')))
            return error_set(err, ERROR_FORMAT, "'[' has no ']' before the next slash or the end; a literal '[' is written '\\['"), false;
        unsigned char low = range_byte(&s), high = low;
        if (s[0] == '-' && s[1] != ']' && s[1] != '\0' && s[1] != '/' && !(s[1] == '\\' && (s[2] == '\0' || s[2] == '/'))) {
            s++;
            high = range_byte(&s);
        }
        if (low > high)
            return error_set(err, ERROR_FORMAT, "the range '%c-%c' is backwards and matches nothing", low, high), false;
    }
    *glob = s + 1;
    return true;
}

// Checks the globs and that components are neither empty nor "." nor "..".
static int components_check(const char *body, struct error *err)
{
    const char *start = body;
    for (const char *s = body;;) {
        if (*s == '/' || *s == '\0') {
            size_t len = (size_t)(s - start);
            if (len == 0)
                return error_set(err, ERROR_FORMAT, "'//' matches nothing: a path has no empty components");
            if ((len == 1 && start[0] == '.') || (len == 2 && start[0] == '.' && start[1] == '.'))
                return error_set(err, ERROR_FORMAT, "'%.*s' matches nothing: paths are relative to the source and have no such component", (int)len, start);
            if (*s == '\0')
                return 0;
            start = ++s;
        } else if (*s == '[') {
            if (!bracket_check(&s, err))
                return err->code;
        } else if (*s == '\\') {
            if (s[1] == '\0')
                return error_set(err, ERROR_FORMAT, "ends with a backslash, which takes the next byte literally");
            if (s[1] == '/')
                return error_set(err, ERROR_FORMAT, "a backslash stands before a slash, which needs none");
            s += 2;
        } else if (s[0] == '*' && s[1] == '*') {
            if (s != start || (s[2] != '/' && s[2] != '\0'))
                return error_set(err, ERROR_FORMAT, "'**' stands between slashes, as in 'a/**/b'; inside a name '*' is enough");
            s += 2;
        } else {
            s++;
        }
    }
}

static bool ends_with_open_space(const char *pattern, size_t len)
{
    if (len == 0 || pattern[len - 1] != ' ')
        return false;
    size_t backslashes = 0;
    while (backslashes + 1 < len && pattern[len - 2 - backslashes] == '\\')
        backslashes++;
    return backslashes % 2 == 0;
}

// The part between "!" and leading "/" at the front and the trailing "/"; the caller frees.
static char *pattern_body(const char *pattern, bool *ret_include, bool *ret_dir_only, bool *ret_rooted)
{
    *ret_include = pattern[0] == '!';
    pattern += *ret_include;
    *ret_rooted = pattern[0] == '/';
    pattern += *ret_rooted;
    size_t len = strlen(pattern);
    *ret_dir_only = len > 0 && pattern[len - 1] == '/';
    return xstrndup(pattern, len - *ret_dir_only);
}

int pattern_check(const char *pattern, struct error *err)
{
    size_t len = strlen(pattern);
    bool include, dir_only, rooted;
    if (len == 0)
        return error_set(err, ERROR_FORMAT, "the pattern is empty");
    if (len > PATTERN_MAX)
        return error_set(err, ERROR_FORMAT, "the pattern has %zu bytes, at most %d are allowed", len, PATTERN_MAX);
    if (pattern[0] == '#')
        return error_set(err, ERROR_FORMAT, "a pattern that starts with '#' is a comment; write '\\#'");
    if (ends_with_open_space(pattern, len))
        return error_set(err, ERROR_FORMAT, "the pattern ends with a space; remove it, or write '\\ '");
    _cleanup_free_ char *body = pattern_body(pattern, &include, &dir_only, &rooted);
    if (body[0] == '\0')
        return error_set(err, ERROR_FORMAT, "the pattern names nothing; the source itself cannot be excluded");
    return components_check(body, err);
}

static void rule_add(struct rule *rule, const char *glob, size_t n)
{
    rule->components = xrealloc(rule->components, (rule->count + 1) * sizeof *rule->components);
    rule->components[rule->count++].glob = glob ? xstrndup(glob, n) : NULL;
}

static void rule_compile(struct rule *rule, const char *pattern)
{
    bool rooted;
    _cleanup_free_ char *body = pattern_body(pattern, &rule->include, &rule->dir_only, &rooted);
    rule->text = xstrdup(pattern);
    bool anchored = rooted || strchr(body, '/');
    if (!anchored) {
        rule_add(rule, NULL, 0); // any depth; two stars without a slash mean no more than one
        rule_add(rule, body, strlen(body));
        return;
    }
    for (const char *s = body; *s; s = component_next(s)) {
        size_t len = component_length(s);
        bool any_depth = len == 2 && s[0] == '*' && s[1] == '*';
        bool last = s[len] == '\0';
        rule_add(rule, any_depth ? NULL : s, len);
        if (any_depth && last)
            rule_add(rule, "*", 1); // "a/**" is what lies below a, at least one component
    }
}

int pattern_set_new(const char *const *patterns, size_t count, struct pattern_set **ret_set, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        int rc = pattern_check(patterns[i], err);
        if (rc < 0)
            return error_prefix(err, "pattern '%s'", patterns[i]);
    }
    struct pattern_set *set = xcalloc(1, sizeof *set);
    set->rules = xcalloc(count ? count : 1, sizeof *set->rules);
    set->count = count;
    for (size_t i = 0; i < count; i++)
        rule_compile(&set->rules[i], patterns[i]);
    *ret_set = set;
    return 0;
}

void pattern_set_free(struct pattern_set **set_at)
{
    struct pattern_set *set = TAKE(*set_at);
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++) {
        for (size_t c = 0; c < set->rules[i].count; c++)
            free(set->rules[i].components[c].glob);
        free(set->rules[i].components);
        free(set->rules[i].text);
    }
    free(set->rules);
    free(set);
}

bool pattern_set_match(const struct pattern_set *set, const char *path, bool is_dir, size_t *ret_rule)
{
    for (size_t i = set ? set->count : 0; i-- > 0;) {
        const struct rule *rule = &set->rules[i];
        if ((rule->dir_only && !is_dir) || !rule_match_path(rule, path))
            continue;
        if (ret_rule)
            *ret_rule = i;
        return !rule->include;
    }
    if (ret_rule)
        *ret_rule = SIZE_MAX;
    return false;
}

bool pattern_set_match_one(const struct pattern_set *set, size_t index, const char *path, bool is_dir)
{
    const struct rule *rule = &set->rules[index];
    return (is_dir || !rule->dir_only) && rule_match_path(rule, path);
}

const char *pattern_set_text(const struct pattern_set *set, size_t index)
{
    return set->rules[index].text;
}
