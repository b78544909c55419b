#include "restore/owner_map.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"

#define ID_MAX (UINT32_MAX - 1) // the last one means "leave it" to chown

struct owner_rule {
    bool group;
    char *name;          // of OLD; NULL = by number
    uint32_t first, last; // OLD's numbers
    uint32_t to;
};

void owner_map_done(struct owner_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->rules[i].name);
    free(m->rules);
    *m = (struct owner_map){ 0 };
}

bool owner_map_is_rule(const char *text) { return strncmp(text, "user:", 5) == 0 || strncmp(text, "group:", 6) == 0; }

static bool parse_id(const char *text, size_t n, uint32_t *ret_id)
{
    uint64_t id;
    if (!parse_u64(text, n, ID_MAX, &id))
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

// "*", "12", "12-34"; false when it is a name.
static bool parse_numbers(const char *text, size_t n, uint32_t *ret_first, uint32_t *ret_last)
{
    const char *dash = memchr(text, '-', n);
    *ret_first = 0;
    *ret_last = UINT32_MAX;
    if (n == 1 && *text == '*')
        return true;
    if (dash == NULL)
        return parse_id(text, n, ret_first) && parse_id(text, n, ret_last);
    return parse_id(text, (size_t)(dash - text), ret_first) && parse_id(dash + 1, n - (size_t)(dash - text) - 1, ret_last);
}

static int find_new(const char *text, bool group, uint32_t *ret_id, struct error *err)
{
    if (parse_id(text, strlen(text), ret_id))
        return 0;
    const struct passwd *user = group ? NULL : getpwnam(text);
    const struct group *found = group ? getgrnam(text) : NULL;
    if (user == NULL && found == NULL)
        return error_set(err, ERROR_USAGE, "this machine has no %s '%s'; give a number or make it first", group ? "group" : "user", text);
    *ret_id = group ? found->gr_gid : user->pw_uid;
    return 0;
}

int owner_map_add(struct owner_map *m, const char *rule, struct error *err)
{
    const char *old = rule + (strncmp(rule, "group:", 6) == 0 ? 6 : 5), *equals = owner_map_is_rule(rule) ? strchr(old, '=') : NULL;
    if (equals == NULL || equals == old || equals[1] == '\0')
        return error_set(err, ERROR_USAGE, "'%s' is no rule: write user:OLD=NEW or group:OLD=NEW, with names or numbers", rule);
    struct owner_rule r = { .group = *rule == 'g' };
    bool numbers = parse_numbers(old, (size_t)(equals - old), &r.first, &r.last);
    if (numbers && r.first > r.last)
        return error_set(err, ERROR_USAGE, "'%s': the range is backwards", rule);
    if (find_new(equals + 1, r.group, &r.to, err) < 0)
        return error_prefix(err, "'%s'", rule);
    if (!numbers)
        r.name = xstrndup(old, (size_t)(equals - old));
    m->rules = xrealloc(m->rules, (m->n + 1) * sizeof *m->rules);
    m->rules[m->n++] = r;
    return 0;
}

int owner_map_add_text(struct owner_map *m, const char *text, const char *name, struct error *err)
{
    for (unsigned number = 1; *text != '\0'; number++) {
        size_t n = strcspn(text, "\n");
        _cleanup_free_ char *line = xstrndup(text, n);
        if (*line != '\0' && *line != '#' && owner_map_add(m, line, err) < 0)
            return error_prefix(err, "'%s' line %u", name, number);
        text += n + (text[n] == '\n');
    }
    return 0;
}

bool owner_map_find(const struct owner_map *m, bool group, const char *name, size_t n, uint32_t id, uint32_t *ret_id)
{
    for (size_t i = 0; m != NULL && i < m->n; i++) {
        const struct owner_rule *r = &m->rules[i];
        bool fits = r->name != NULL ? strlen(r->name) == n && memcmp(r->name, name, n) == 0 : r->first <= id && id <= r->last;
        if (r->group != group || !fits)
            continue;
        *ret_id = r->to;
        return true;
    }
    return false;
}
