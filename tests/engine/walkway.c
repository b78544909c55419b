#include "tests/engine/walkway.h"

#include <fcntl.h>
#include <sys/stat.h>

int walkway_setup(void **state)
{
    struct walkway *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->root = xasprintf("%s/tree", p->scratch.dir);
    assert_int_equal(mkdir(p->root, 0755), 0);
    p->sources[0] = (struct scan_source){ .path = p->root };
    p->options = (struct scan_options){ .sources = p->sources, .n_sources = 1, .scratch_fd = p->dirfd, .helpers = 4 };
    *state = p;
    return 0;
}

int walkway_teardown(void **state)
{
    struct walkway *p = *state;
    (void)close(p->dirfd);
    scratch_run("chmod -R u+rwX '%s' 2>/dev/null; true", p->root);
    scratch_done(&p->scratch);
    buf_done(&p->entries);
    buf_done(&p->problems);
    buf_done(&p->excluded);
    free(p->root);
    free(p);
    return 0;
}

static int visit(void *arg, const struct manifest_entry *e, const struct scan_stat *stat, uint32_t links, uint64_t blocks_bytes, struct error *err)
{
    struct walkway *p = arg;
    (void)stat, (void)links, (void)blocks_bytes;
    if (++p->count == p->stop_at)
        return error_set(err, ERROR_BUSY, "enough");
    p->longest = e->path.len > p->longest ? e->path.len : p->longest;
    if (e->path.len < 10000)
        manifest_escape(&p->entries, e->path.data, e->path.len);
    if (e->source == MANIFEST_NO_SOURCE)
        buf_addf(&p->entries, " %c -\n", e->type);
    else
        buf_addf(&p->entries, " %c %u%s%s\n", e->type, e->source, (e->notes & MANIFEST_MOUNT) != 0 ? " mount" : "",
                 (e->notes & MANIFEST_EXCLUDED) != 0 ? " excluded" : "");
    return 0;
}

void walkway_note_problem(void *arg, const struct scan_problem *problem)
{
    struct walkway *p = arg;
    buf_addf(&p->problems, "%s: %s\n", problem->path, problem->reason);
}

static int note_excluded(void *arg, const struct scan_excluded *excluded, struct error *err)
{
    (void)err;
    struct walkway *p = arg;
    manifest_escape(&p->excluded, excluded->path, strlen(excluded->path));
    buf_addf(&p->excluded, " %c %s", excluded->type, exclude_reason_name(excluded->verdict.reason));
    if (excluded->verdict.reason == EXCLUDE_PATTERN || excluded->verdict.reason == EXCLUDE_MARKER)
        buf_addf(&p->excluded, " %zu", excluded->verdict.rule);
    buf_add_char(&p->excluded, '\n');
    return 0;
}

int walkway_walk(struct walkway *p, const struct io *io, struct error *err)
{
    struct scan_callbacks callbacks = { .visit = visit, .problem = walkway_note_problem, .excluded = note_excluded, .arg = p };
    buf_reset(&p->entries);
    buf_reset(&p->problems);
    buf_reset(&p->excluded);
    p->count = 0;
    return scan_run(io, &p->options, &callbacks, err);
}

void walkway_walk_ok(struct walkway *p)
{
    struct error err;
    scratch_ok(walkway_walk(p, io_real(), &err), &err);
}

void walkway_sh(const struct walkway *p, const char *script)
{
    _cleanup_free_ char *line = xasprintf("cd '%s' && LC_ALL=C; export LC_ALL; set -e\n%s", p->root, script);
    if (system(line) != 0)
        fail_msg("'%s' failed", script);
}

char *walkway_below_root(const struct walkway *p, const struct buf *all)
{
    struct buf text = { 0 };
    size_t n = strlen(p->root);
    for (const char *line = buf_str(all); *line != '\0'; line = strchr(line, '\n') + 1)
        if (strncmp(line, p->root, n) == 0)
            buf_add(&text, line + n, strcspn(line, "\n") + 1 - n);
    buf_add_str(&text, "");
    return buf_take_str(&text);
}

static void compare(const struct walkway *p, const struct buf *said, const char *wanted)
{
    _cleanup_free_ char *got = walkway_below_root(p, said);
    assert_string_equal(got, wanted);
}

void walkway_expect(const struct walkway *p, const char *entries) { compare(p, &p->entries, entries); }
void walkway_expect_excluded(const struct walkway *p, const char *excluded) { compare(p, &p->excluded, excluded); }

struct pattern_set *walkway_exclude(struct walkway *p, const char *const *patterns, size_t n)
{
    struct error err;
    struct pattern_set *set = NULL;
    scratch_ok(pattern_set_new(patterns, n, &set, &err), &err);
    p->rules.patterns = set;
    p->sources[0].exclude = &p->rules;
    return set;
}
