#include "bkd/around/views.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/base/json.h"
#include "bkd/base/log.h"
#include "bkd/base/proc.h"

enum { FILE_MAX = 4 << 20 };

static const char *const type_names[] = { "lvm", "btrfs", "zfs", "command" };
static const struct view_kind *const kinds[] = { &view_lvm, &view_btrfs, &view_zfs, &view_command };

// ---- programs --------------------------------------------------------------------------------------------------------------

static int run_program(const struct view_system *system, const char *const *argv, const struct env *env, uint64_t timeout_ms, struct buf *ret_said, struct error *err)
{
    struct proc_options options = { .argv = argv, .env = env->list, .timeout_ms = timeout_ms, .stop = system->stop, .arg = system->arg };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    int r = proc_run(system->io, &options, &result, err);
    if (r < 0)
        return r;
    char how[PROC_TEXT_MAX];
    proc_result_text(&result, how);
    log_debug("'%s' %s", argv[0], how);
    if (!proc_result_ok(&result)) {
        _cleanup_free_ char *said = view_last_line(result.error.tail.len > 0 ? &result.error.tail : &result.output.tail);
        return error_set(err, ERROR_FAILED, "'%s' %s%s%.500s", argv[0], how, said[0] != '\0' ? ": " : "", said);
    }
    if (ret_said != NULL)
        buf_add(ret_said, result.output.tail.data, result.output.tail.len);
    return 0;
}

void view_system_init(struct view_system *system, const struct io *io, bool (*stop)(void *arg), void *arg)
{
    *system = (struct view_system){ .io = io, .mounts_file = MOUNTS_FILE, .run = run_program, .stop = stop, .arg = arg };
}

// What commands of the policy are told beside the facts of the run.
static void add_facts(const struct env *facts, const struct view *v, struct env *ret_env)
{
    *ret_env = (struct env){ 0 };
    for (size_t i = 0; i < facts->count; i++) {
        const char *equals = strchr(facts->list[i], '=');
        _cleanup_free_ char *name = xstrndup(facts->list[i], (size_t)(equals - facts->list[i]));
        env_add(ret_env, name, equals + 1);
    }
    env_add(ret_env, "BKD_SOURCE", v->source);
    env_add(ret_env, "BKD_SNAPSHOT_NAME", v->name);
    env_add(ret_env, "BKD_SNAPSHOT_MOUNT", v->path);
}

// ---- what is written down --------------------------------------------------------------------------------------------------

static void add_record(const struct view *v, struct buf *text)
{
    _cleanup_json_ struct json *line = json_object_new();
    json_add_str(line, "type", type_names[v->type]);
    json_add_str(line, "source", v->source);
    json_add_str(line, "name", v->name);
    json_add_u64(line, "timeout_ms", v->timeout_ms);
    json_add_str(line, "made", v->made);
    json_add_str(line, "path", v->path);
    struct json *release = json_add_array(line, "release");
    for (size_t i = 0; v->release != NULL && v->release[i] != NULL; i++)
        json_append_str(release, v->release[i]);
    json_format(line, text);
    buf_add_char(text, '\n');
}

static char *dup_str(const struct json *line, const char *key)
{
    const char *value = json_get_str(line, key);
    return value == NULL ? NULL : xstrdup(value);
}

static char *mount_place(const struct views *v, const char *name) { return xasprintf("%s/%s", v->state_dir, name); }

static int read_record(const struct views *v, const char *text, size_t n, struct view *ret_view, struct error *err)
{
    _cleanup_json_ struct json *line = NULL;
    int r = json_parse(text, n, &line, err);
    if (r < 0)
        return r;
    const char *type = json_get_str(line, "type");
    struct view view = { .source = dup_str(line, "source"), .name = dup_str(line, "name"), .made = dup_str(line, "made"), .path = dup_str(line, "path") };
    size_t kind = 0;
    while (type != NULL && kind < sizeof type_names / sizeof *type_names && strcmp(type, type_names[kind]) != 0)
        kind++;
    const struct json *release = json_get(line, "release");
    if (type == NULL || kind == sizeof type_names / sizeof *type_names || view.source == NULL || view.name == NULL || release == NULL ||
        !json_get_u64(line, "timeout_ms", &view.timeout_ms) || (kind == POLICY_SNAPSHOT_COMMAND ? json_length(release) == 0 : view.made == NULL)) {
        view_done(&view);
        return error_set(err, ERROR_FORMAT, "a line of it is damaged");
    }
    view.type = (enum policy_snapshot_type)kind;
    view.release = xcalloc(json_length(release) + 1, sizeof *view.release);
    for (size_t i = 0; i < json_length(release); i++)
        view.release[i] = xstrdup(json_str_at(release, i) != NULL ? json_str_at(release, i) : "");
    view.mount = mount_place(v, view.name);
    *ret_view = view;
    return 0;
}

static int write_records(const struct views *v, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/" VIEWS_FILE, v->state_dir);
    for (size_t i = 0; i < v->count; i++)
        add_record(&v->items[i], &text);
    if (v->count > 0)
        return fs_replace_file(v->system->io, AT_FDCWD, path, 0600, text.data, text.len, err);
    int r = io_unlink(v->system->io, AT_FDCWD, path, 0, err);
    return r == ERROR_NOT_FOUND ? 0 : r;
}

static struct view *add_view(struct views *v, struct view view)
{
    v->items = xrealloc(v->items, (v->count + 1) * sizeof *v->items);
    v->items[v->count] = view;
    return &v->items[v->count++];
}

static int read_records(struct views *v, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/" VIEWS_FILE, v->state_dir);
    int r = fs_read_file(v->system->io, AT_FDCWD, path, FILE_MAX, &text, err);
    if (r == ERROR_NOT_FOUND)
        return 0;
    const char *line = buf_str(&text), *end = line + text.len;
    while (r == 0 && line < end) {
        const char *lf = strchr(line, '\n');
        struct view view = { 0 };
        r = read_record(v, line, (size_t)((lf != NULL ? lf : end) - line), &view, err);
        if (r == 0)
            (void)add_view(v, view);
        line = lf != NULL ? lf + 1 : end;
    }
    if (r < 0)
        return error_prefix(err, "'%s' says which snapshots of sources an earlier run left; release them by hand and remove it", path);
    return 0;
}

// ---- taking and releasing --------------------------------------------------------------------------------------------------

static int take_view(struct views *v, size_t index, const struct env *facts, struct error *err)
{
    const struct policy_source *source = &v->policy->sources[index];
    const struct view_kind *kind = kinds[source->snapshot.type];
    struct view view = { .type = (enum policy_snapshot_type)source->snapshot.type, .source = xstrdup(source->path), .timeout_ms = source->snapshot.timeout_s * 1000 };
    view.name = xasprintf("bkd-%s-%zu", v->policy->name, index);
    view.mount = mount_place(v, view.name);
    int r = kind->plan(v->system, &source->snapshot, &view, err);
    if (r < 0) {
        view_done(&view);
        return r;
    }
    struct view *added = add_view(v, view);
    _cleanup_env_ struct env env = { 0 };
    add_facts(facts, added, &env);
    r = write_records(v, err);
    if (r == 0)
        r = kind->make(v->system, &source->snapshot, &env, added, err);
    return r;
}

// It must be there, lead through no links (the scan follows none), and be a directory where the source is one.
static int check_view(const struct views *v, struct view *view, struct error *err)
{
    struct statx source, made;
    if (view->path[0] != '/')
        return error_set(err, ERROR_FAILED, "what is to be read in its place must be an absolute path, not '%.200s'", view->path);
    char *real = realpath(view->path, NULL);
    if (real == NULL)
        return error_set_errno(err, errno, "'%s', to be read in its place", view->path);
    free(view->path);
    view->path = real;
    int r = io_stat(v->system->io, AT_FDCWD, view->source, AT_SYMLINK_NOFOLLOW, &source, err);
    if (r == 0)
        r = io_stat(v->system->io, AT_FDCWD, real, AT_SYMLINK_NOFOLLOW, &made, err);
    if (r == 0 && (source.stx_mode & S_IFMT) != (made.stx_mode & S_IFMT))
        r = error_set(err, ERROR_FAILED, "'%s', to be read in its place, is of another type", real);
    return r;
}

int views_take(struct views *v, const struct env *facts, struct error *err)
{
    for (size_t i = 0; i < v->policy->source_count; i++) {
        const struct policy_source *source = &v->policy->sources[i];
        if (!source->snapshot.wanted)
            continue;
        int r = take_view(v, i, facts, err);
        if (r == 0)
            r = check_view(v, &v->items[v->count - 1], err);
        if (r == 0)
            r = write_records(v, err);
        if (r < 0)
            return error_prefix(err, "snapshot (%s) of source '%s'", type_names[source->snapshot.type], source->path);
        log_info("source '%s' is read from a snapshot at '%s'", source->path, v->items[v->count - 1].path);
    }
    return 0;
}

const char *views_path(const struct views *v, const char *source)
{
    for (size_t i = 0; i < v->count; i++)
        if (strcmp(v->items[i].source, source) == 0)
            return v->items[i].path;
    return NULL;
}

int views_release(struct views *v, const struct env *facts, struct error *err)
{
    int failed = 0;
    struct error why;
    for (size_t i = v->count; i-- > 0;) {
        struct view *view = &v->items[i];
        _cleanup_env_ struct env env = { 0 };
        add_facts(facts, view, &env);
        int r = kinds[view->type]->release(v->system, &env, view, &why);
        if (r < 0 && failed == 0) {
            *err = why;
            failed = error_prefix(err, "release the snapshot (%s) of source '%s' (the next run tries again)", type_names[view->type], view->source);
        }
        if (r < 0)
            continue;
        view_done(view);
        memmove(view, view + 1, (--v->count - i) * sizeof *view);
    }
    int r = write_records(v, &why);
    if (r < 0 && failed == 0) {
        *err = why;
        failed = r;
    }
    return failed;
}

int views_release_left(struct views *v, const struct env *facts, struct error *err)
{
    int r = read_records(v, err);
    if (r < 0 || v->count == 0)
        return r;
    log_warn("an earlier run left %zu snapshots of sources behind: they are released", v->count);
    return views_release(v, facts, err);
}

void views_init(struct views *v, const struct view_system *system, const struct policy *policy, const char *state_dir)
{
    char *real = realpath(state_dir, NULL); // as the kernel names mounts in it
    *v = (struct views){ .system = system, .policy = policy, .state_dir = real != NULL ? real : xstrdup(state_dir) };
}

void views_done(struct views *v)
{
    for (size_t i = 0; i < v->count; i++)
        view_done(&v->items[i]);
    free(v->items);
    free(v->state_dir);
    *v = (struct views){ 0 };
}
