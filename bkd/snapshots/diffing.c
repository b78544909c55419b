#include "bkd/snapshots/diffing.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"

enum { PROBLEMS_SHOWN = 100 };

// ---- opening

static int take_paths(struct diffing *d, const struct diffing_options *o, struct error *err)
{
    d->paths = xcalloc(o->n_paths + 1, sizeof *d->paths);
    for (size_t i = 0; i < o->n_paths; i++) {
        if (o->paths[i][0] != '/')
            return error_set(err, ERROR_USAGE, "'%s' is no PATH: it must begin with '/'", o->paths[i]);
        d->paths[d->n_paths++] = context_clean_path(o->paths[i]);
    }
    return 0;
}

static int open_side(struct diffing *d, const char *snapshot, const char *identity, struct diffing_side *side, struct error *err)
{
    int r = setup_open_manifest(&d->setup, d->repository, snapshot, identity, NULL, &side->head, &side->manifest, err);
    if (r < 0)
        return r;
    manifest_reader_init(&side->reader, d->ctx->io, side->manifest.fd, "manifest", 0, side->manifest.size);
    side->is_reading = true;
    return 0;
}

static void show_problem(void *arg, const struct scan_problem *problem)
{
    struct diffing *d = arg;
    struct error ignored; // the summary counts it
    d->problems++;
    progress_pause(d->progress);
    if (d->ctx->json) {
        struct json *line = json_line_new("problem");
        json_add_name(line, "path", problem->path, strlen(problem->path));
        json_add_str(line, "reason", problem->reason);
        (void)!json_line_print(&line, stdout, &ignored);
    }
    if (d->problems <= PROBLEMS_SHOWN)
        log_warn("'%s' cannot be compared: %s", problem->path, problem->reason);
    else if (d->problems == PROBLEMS_SHOWN + 1)
        log_warn("more entries cannot be compared; they are counted, and listed with --json");
}

static void find_present(struct diffing *d)
{
    struct statx st;
    struct error why;
    const struct sources *all = &d->setup.sources;
    d->present = xcalloc(all->count + 1, sizeof *d->present);
    for (size_t i = 0; i < all->count; i++)
        if (io_stat(d->ctx->io, AT_FDCWD, all->list[i].path, AT_SYMLINK_NOFOLLOW, &st, &why) == ERROR_NOT_FOUND)
            log_warn("source '%s' is not there (is its disk mounted?): all that it held shows as removed", all->list[i].path);
        else
            d->present[d->n_present++] = all->list[i];
}

static int open_live(struct diffing *d, struct error *err)
{
    const struct context *ctx = d->ctx;
    const char *scratch = getenv("TMPDIR");
    struct error none;
    if (d->setup.policy.source_count == 0)
        return error_set(err, ERROR_USAGE, "policy %s has no files, only streams, which have no live side: name two snapshots", d->setup.policy.name);
    int r = sources_compile(&d->setup.policy, &d->setup.sources, err);
    if (r == 0)
        r = io_open(ctx->io, AT_FDCWD, scratch == NULL || scratch[0] == '\0' ? "/tmp" : scratch, O_RDONLY | O_DIRECTORY, 0, &d->scratch_fd, err);
    if (r < 0)
        return r;
    if (repository_find(d->repository, d->a.head->chain, "latest", &d->b.head, &none) < 0)
        d->b.head = NULL;
    find_present(d);
    struct live_options options = {
        .state_dir = ctx->state_dir, .policy = d->setup.policy.name, .newest = d->b.head,
        .scan = { .sources = d->present, .n_sources = d->n_present, .one_filesystem = d->setup.policy.one_filesystem,
                  .scratch_fd = d->scratch_fd, .only = d->n_paths == 1 ? d->paths[0] : NULL },
        .compare_inode = d->setup.policy.compare == POLICY_COMPARE_INODE, .problem = show_problem, .arg = d,
    };
    progress_begin(d->progress, "scan", 0, 0);
    return live_open(ctx->io, &options, &d->live, err);
}

// Of the live tree only the sources are looked at: a path beside them would seem to be without any difference.
static int check_in_sources(const struct diffing *d, struct error *err)
{
    const struct policy *policy = &d->setup.policy;
    for (size_t i = 0; i < d->n_paths; i++) {
        const char *path = d->paths[i];
        bool found = false;
        for (size_t k = 0; !found && k < policy->source_count; k++) {
            const char *source = policy->sources[k].path;
            found = manifest_path_below(path, strlen(path), source, strlen(source)) || manifest_path_below(source, strlen(source), path, strlen(path));
        }
        if (!found)
            return error_set(err, ERROR_USAGE, "'%s' is in no source of policy %s; `bkd policy show %s` lists them", path, policy->name, policy->name);
    }
    return 0;
}

int diffing_open(struct diffing *d, const struct context *ctx, const struct diffing_options *o, struct error *err)
{
    *d = (struct diffing){ .ctx = ctx, .scratch_fd = -1, .content = o->content };
    d->progress = progress_new(ctx->io, progress_style_for(ctx->json, ctx->verbosity < 0), NULL);
    int r = take_paths(d, o, err);
    if (r == 0)
        r = setup_load(ctx, o->policy, &d->setup, err);
    if (r == 0 && o->b == NULL)
        r = check_in_sources(d, err);
    if (r == 0)
        r = setup_open_repository(&d->setup, &d->repository, err);
    if (r == 0)
        r = setup_load_identities(&d->setup, o->identity, &d->identities, err);
    if (r == 0)
        r = open_side(d, o->a, o->identity, &d->a, err);
    if (r == 0)
        r = o->b != NULL ? open_side(d, o->b, o->identity, &d->b, err) : open_live(d, err);
    return r;
}

static void side_done(struct diffing_side *side)
{
    if (side->is_open)
        snapshot_done(&side->snapshot);
    if (side->is_reading)
        manifest_reader_done(&side->reader);
    setup_manifest_done(&side->manifest);
}

void diffing_done(struct diffing *d)
{
    if (d->ctx == NULL)
        return;
    live_free(d->live);
    free(d->present);
    side_done(&d->a);
    side_done(&d->b);
    age_identities_done(&d->identities);
    repository_close(d->repository);
    setup_done(&d->setup);
    io_close_quietly(d->ctx->io, &d->scratch_fd);
    for (size_t i = 0; i < d->n_paths; i++)
        free(d->paths[i]);
    free(d->paths);
    progress_free(&d->progress);
    d->ctx = NULL;
}

// ---- comparing

static int read_text(struct diffing *d, struct diffing_side *side, const struct place *place, struct buf *text, struct error *err)
{
    int r = 0;
    if (!side->is_open)
        r = snapshot_open_parts(d->repository, side->head, d->identities.list, d->identities.n, &side->snapshot, err);
    if (r < 0)
        return r;
    side->is_open = true;
    return object_reader_read(side->snapshot.reader, place, buf_extend(text, (size_t)place->length), err);
}

static int text_a(void *arg, const struct place *place, struct buf *text, struct error *err)
{
    struct diffing *d = arg;
    return read_text(d, &d->a, place, text, err);
}

static int text_b(void *arg, const struct place *place, struct buf *text, struct error *err)
{
    struct diffing *d = arg;
    return read_text(d, &d->b, place, text, err);
}

static void count_hashed(void *arg, uint64_t files, uint64_t bytes) { progress_add(((struct diffing *)arg)->progress, files, bytes); }

// The caller's function, with what diffing needs around it.
struct relay {
    struct diffing *diffing;
    diff_change_fn *change;
    void *arg;
};

static int relay_change(void *arg, const struct diff_change *change, struct error *err)
{
    struct relay *relay = arg;
    progress_pause(relay->diffing->progress);
    return relay->change(relay->arg, change, err);
}

static void relay_problem(void *arg, const struct scan_problem *problem) { show_problem(((struct relay *)arg)->diffing, problem); }
static void relay_progress(void *arg, uint64_t files, uint64_t bytes) { count_hashed(((struct relay *)arg)->diffing, files, bytes); }

int diffing_run(struct diffing *d, diff_change_fn *change, void *arg, struct diff_counts *ret_counts, struct error *err)
{
    bool can_read = !d->repository->info.encrypted || d->identities.n > 0;
    struct relay relay = { d, change, arg };
    struct diff_options options = {
        .a = &d->a.reader, .b = d->live == NULL ? &d->b.reader : NULL, .live = d->live, .paths = (const char *const *)d->paths, .n_paths = d->n_paths,
        .content = d->content, .text_a = can_read ? text_a : NULL, .text_b = can_read ? text_b : NULL, .text_arg = d,
        .change = relay_change, .problem = relay_problem, .progress = relay_progress, .arg = &relay,
    };
    if (d->live != NULL)
        progress_begin(d->progress, "compare", d->content ? live_counts(d->live)->files : live_counts(d->live)->read_files,
                       d->content ? live_counts(d->live)->bytes : live_counts(d->live)->read_bytes);
    return diff_run(&options, ret_counts, err);
}

// ---- showing

static const char *word_of(char sign)
{
    return sign == '+' ? "added" : sign == '-' ? "removed" : sign == 'M' ? "modified" : "metadata";
}

int diffing_print(const struct context *ctx, const struct diff_change *c, struct error *err)
{
    const struct manifest_entry *e = c->b != NULL ? c->b : c->a;
    if (ctx->json) {
        char kind[2] = { (char)e->type, '\0' };
        struct json *line = json_line_new("change");
        json_add_str(line, "change", word_of(c->sign));
        json_add_name(line, "path", e->path.data, e->path.len);
        json_add_str(line, "kind", kind);
        json_add_u64(line, "size", e->size);
        if (c->fields != 0)
            differ_add_json(line, c->fields, c->a, c->b);
        return json_line_print(&line, stdout, err);
    }
    _cleanup_buf_ struct buf line = { 0 };
    buf_addf(&line, "%c %c ", c->sign, (char)e->type);
    manifest_escape(&line, e->path.data, e->path.len);
    if (c->fields != 0) {
        buf_add_str(&line, "  (");
        differ_add_text(&line, c->fields, c->a, c->b);
        buf_add_char(&line, ')');
    }
    return puts(buf_str(&line)) == EOF ? error_set(err, ERROR_FAILED, "cannot write to standard output") : 0;
}

void diffing_add_counts(struct json *line, const struct diff_counts *c)
{
    json_add_u64(line, "added", c->added);
    json_add_u64(line, "removed", c->removed);
    json_add_u64(line, "modified", c->changed);
    json_add_u64(line, "metadata", c->metadata);
    json_add_u64(line, "added_bytes", c->added_bytes);
    json_add_u64(line, "removed_bytes", c->removed_bytes);
    json_add_u64(line, "modified_bytes", c->changed_bytes);
}

void diffing_print_counts(const struct diff_counts *c)
{
    char added[CLOCK_TEXT_MAX], removed[CLOCK_TEXT_MAX], changed[CLOCK_TEXT_MAX];
    clock_format_bytes(added, c->added_bytes);
    clock_format_bytes(removed, c->removed_bytes);
    clock_format_bytes(changed, c->changed_bytes);
    printf("%llu added (%s), %llu removed (%s), %llu modified (%s), %llu with other metadata\n", (unsigned long long)c->added, added,
           (unsigned long long)c->removed, removed, (unsigned long long)c->changed, changed, (unsigned long long)c->metadata);
}
