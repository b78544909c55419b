#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/base/progress.h"
#include "bkd/base/shell.h"
#include "bkd/cmd.h"
#include "bkd/history/cataloguing.h"
#include "bkd/history/recording.h"
#include "bkd/host/pinned.h"
#include "bkd/host/setup.h"
#include "bkd/record/alarms.h"
#include "bkd/repo/verify.h"

struct display {
    const struct context *ctx;
    struct progress *progress;
};

static void show_finding(void *arg, const struct verify_finding *f)
{
    struct display *d = arg;
    const char *severity = f->severity == VERIFY_ALARM ? "alarm" : "note";
    progress_pause(d->progress);
    if (d->ctx->json) {
        struct error ignored; // the exit code and the summary say it too
        struct json *line = json_line_new("finding");
        json_add_str(line, "severity", severity);
        json_add_str(line, "file", f->file);
        json_add_str(line, "reason", f->reason);
        json_add_str(line, "snapshots", f->snapshots);
        if (f->path != NULL)
            json_add_name(line, "path", f->path, strlen(f->path));
        (void)!json_line_print(&line, stdout, &ignored);
        return;
    }
    _cleanup_buf_ struct buf path = { 0 };
    if (f->path != NULL)
        manifest_escape(&path, f->path, strlen(f->path));
    printf("%s: %s: %s%s%s%s%s\n", severity, f->file, f->reason, f->snapshots == NULL ? "" : "; touches snapshots ", f->snapshots == NULL ? "" : f->snapshots,
           f->path == NULL ? "" : "; touches ", buf_str(&path));
}

static void show_progress(void *arg, uint64_t files, uint64_t bytes)
{
    struct display *d = arg;
    progress_add(d->progress, files, bytes);
}

static void show_phase(void *arg, const char *phase, uint64_t files, uint64_t bytes)
{
    struct display *d = arg;
    progress_begin(d->progress, phase, files, bytes);
}

// What this host made there, or brought there, must be there.
static int check_pin(const struct setup *s, const struct repository *repository, const struct policy_store *place, struct display *display, struct verify_totals *totals,
                     struct error *err)
{
    _cleanup_free_ char *name = NULL;
    int r = pinned_find_missing(s, repository, place, &name, err);
    if (r < 0 || name == NULL)
        return r;
    struct verify_finding finding = {
        .severity = VERIFY_ALARM, .file = name,
        .reason = place == &s->policy.repository ? "this host created it as the newest head, and it is not there as it was: the repository was rolled back, damaged or exchanged"
                                                 : "this host brought it there as the newest head, and it is not there as it was: the copy was rolled back, damaged or exchanged",
    };
    show_finding(display, &finding);
    totals->alarms++;
    return 0;
}

// Where not everything was read here: how the objects were proved instead.
static void print_proofs(const struct verify_totals *t)
{
    char far[CLOCK_TEXT_MAX], sized[CLOCK_TEXT_MAX];
    clock_format_bytes(far, t->far_bytes);
    clock_format_bytes(sized, t->sized_bytes);
    if (t->far_files > 0)
        printf("%llu objects, %s, hashed by the server itself\n", (unsigned long long)t->far_files, far);
    if (t->sized_files > 0)
        printf("%llu objects, %s, of which only the size was compared (--read full reads them)\n", (unsigned long long)t->sized_files, sized);
}

static int report(const struct setup *s, const struct verify_totals *t, const char *place, bool read_data, struct error *err)
{
    if (s->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", s->policy.name);
        json_add_u64(line, "snapshots", t->snapshots);
        json_add_u64(line, "pruned", t->pruned);
        json_add_u64(line, "chains", t->chains);
        json_add_u64(line, "records", t->records);
        json_add_u64(line, "objects", t->objects);
        json_add_u64(line, "object_bytes", t->object_bytes);
        json_add_u64(line, "hashed_bytes", t->hashed_bytes);
        json_add_u64(line, "server_hashed_objects", t->far_files);
        json_add_u64(line, "server_hashed_bytes", t->far_bytes);
        json_add_u64(line, "size_only_objects", t->sized_files);
        json_add_u64(line, "size_only_bytes", t->sized_bytes);
        json_add_u64(line, "leftover_bytes", t->leftover_bytes);
        json_add_bool(line, "read_data", read_data);
        json_add_u64(line, "data_bytes", t->data_bytes);
        json_add_u64(line, "by_hand_bytes", t->newest_bytes);
        json_add_u64(line, "notes", t->notes);
        json_add_u64(line, "alarms", t->alarms);
        int r = json_line_print(&line, stdout, err);
        if (r < 0)
            return r;
    } else if (s->ctx->verbosity >= 0) {
        char bytes[CLOCK_TEXT_MAX], newest[CLOCK_TEXT_MAX], data[CLOCK_TEXT_MAX];
        clock_format_bytes(bytes, t->object_bytes);
        clock_format_bytes(newest, t->newest_bytes);
        clock_format_bytes(data, t->data_bytes);
        if (t->pruned > 0)
            printf("%llu snapshots were removed by rule, as signed tombstones say; ", (unsigned long long)t->pruned);
        printf("%llu snapshots, %llu objects, %s; recovering the newest by hand moves %s", (unsigned long long)t->snapshots, (unsigned long long)t->objects, bytes, newest);
        printf(read_data ? "; %s of content decoded and compared\n" : "; signatures, hashes and sizes checked, content not decoded (--read-data)\n", data);
        print_proofs(t);
    }
    if (t->alarms > 0)
        return error_set(err, ERROR_INTEGRITY, "repository '%s': %llu alarms; restore what is needed from another copy, and keep this one as it is",
                         place, (unsigned long long)t->alarms);
    return 0;
}

// What --read says, else the policy for a place on a server; all of a directory.
static int find_reading(const struct cli_args *args, const struct policy_store *place, enum proof_reading *ret_reading, struct error *err)
{
    static const char *const names[] = { "full", "sample", "none" };
    const char *wanted = cli_args_option(args, "read");
    *ret_reading = policy_store_is_remote(place) ? (enum proof_reading)place->verify : PROOF_FULL;
    if (wanted == NULL)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(wanted, names[i]) == 0) {
            *ret_reading = (enum proof_reading)i;
            return 0;
        }
    return error_set(err, ERROR_USAGE, "--read is full, sample or none, not '%s'", wanted);
}

static void record(const struct context *ctx, const struct verify_totals *t, uint64_t duration_ns)
{
    recording_phase(ctx, "check", duration_ns);
    recording_figure(ctx, "snapshots", t->snapshots);
    recording_figure(ctx, "objects", t->objects);
    recording_figure(ctx, "object_bytes", t->object_bytes);
    recording_figure(ctx, "bytes_hashed", t->hashed_bytes);
    recording_figure(ctx, "bytes_hashed_there", t->far_bytes);
    recording_figure(ctx, "bytes_not_read", t->sized_bytes);
    recording_figure(ctx, "alarms", t->alarms);
}

static int run_check(const struct setup *s, const struct cli_args *args, const struct policy_store *place, struct repository *repository, struct verify_totals *totals,
                     struct error *err)
{
    const struct context *ctx = s->ctx;
    struct display display = { ctx, progress_new(ctx->io, progress_style_for(ctx->json, ctx->verbosity < 0), NULL) };
    _cleanup_age_identities_ struct age_identities identities = { 0 };
    unsigned long jobs = 0;
    const char *scratch = getenv("TMPDIR");
    int scratch_fd = -1;
    struct verify_options options = {
        .signers = buf_str(&s->signers), .quick = cli_args_flag(args, "quick"), .read_data = cli_args_flag(args, "read-data"),
        .finding = show_finding, .progress = show_progress, .phase = show_phase, .arg = &display,
    };
    int r = cli_args_number(args, "jobs", 256, &jobs, err);
    if (r == 0)
        r = find_reading(args, place, &options.reading, err);
    if (r == 0)
        r = setup_load_identities(s, cli_args_option(args, "identity"), &identities, err);
    if (r == 0 && options.read_data && repository->info.encrypted && identities.n == 0)
        r = error_set(err, ERROR_KEY, "--read-data decodes content, which takes an identity: give it with -i FILE");
    if (r == 0)
        r = io_open(ctx->io, AT_FDCWD, scratch == NULL || scratch[0] == '\0' ? "/tmp" : scratch, O_RDONLY | O_DIRECTORY, 0, &scratch_fd, err);
    options.identities = identities.list;
    options.n_identities = identities.n;
    options.jobs = (unsigned)jobs;
    options.scratch_dirfd = scratch_fd;
    if (r == 0)
        r = verify_run(ctx->io, repository, &options, totals, err);
    if (r == 0)
        r = check_pin(s, repository, place, &display, totals, err);
    io_close_quietly(ctx->io, &scratch_fd);
    progress_free(&display.progress);
    return r;
}

// ---- who does not read this run's output hears of it by an alarm

// How deep a check looked: what it finds to be whole says nothing of what lies deeper.
enum depth { DEPTH_QUICK, DEPTH_HASHES, DEPTH_DATA };

static enum depth depth_of(const struct cli_args *args, const struct verify_totals *totals)
{
    if (cli_args_flag(args, "quick") || totals->sized_files > 0)
        return DEPTH_QUICK;
    return cli_args_flag(args, "read-data") ? DEPTH_DATA : DEPTH_HASHES;
}

static int set_alarms(struct catalogue *c, const struct alarm_raise *alarm, enum depth depth, bool stands, struct error *err)
{
    static const char *const kinds[] = { "check-quick", "check", "check-data" };
    struct alarm_raise raised = *alarm;
    raised.kind = kinds[depth];
    int r = stands ? alarms_raise(c, &raised, NULL, err) : 0;
    for (int d = DEPTH_QUICK; !stands && d <= (int)depth && r == 0; d++)
        r = alarms_clear(c, kinds[d], alarm->policy, alarm->copy, "checked, and whole", NULL, err);
    return r;
}

static void tell_watchers(const struct setup *s, const struct cli_args *args, const struct policy_store *place, const struct verify_totals *totals)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error err;
    bool is_home = place == &s->policy.repository;
    const char *name = s->policy.name, *from = is_home ? "" : " --from ", *url = is_home ? "" : place->url;
    _cleanup_free_ char *word = is_home ? xstrdup("") : shell_word(url);
    const char *how = cli_args_flag(args, "read-data") ? " --read-data" : "";
    _cleanup_free_ char *text = xasprintf("a check of %s%s found %llu alarms: what is stored there is not as it was made", is_home ? "the repository" : "the copy ", url,
                                          (unsigned long long)totals->alarms);
    _cleanup_free_ char *step = xasprintf("see which: bkd check %s%s%s%s; restore what is needed from another copy, and keep this one as it is", name, from, word, how);
    const struct alarm_raise alarm = { .policy = name, .copy = url, .severity = SEVERITY_CRITICAL, .text = text, .next_step = step };
    int r = catalogue_open(s->ctx->io, s->ctx->state_dir, CATALOGUE_WRITE, &catalogue, &err);
    if (r == 0)
        r = set_alarms(&catalogue, &alarm, depth_of(args, totals), totals->alarms > 0, &err);
    if (r < 0)
        log_warn("what this check found is no alarm of the catalogue: %s", err.text);
}

// What other hosts proved of the place. Those of a copy are told from those of the repository by who has left any there: so that is needed, too.
static void take_proofs(const struct setup *s, const struct policy_store *place, const struct repository *repository)
{
    _cleanup_repository_ struct repository *home = NULL;
    bool is_home = place == &s->policy.repository;
    uint8_t chain[16];
    struct error err;
    int r = is_home ? 0 : setup_open_repository(s, &home, &err);
    if (r == 0)
        r = setup_find_chain(s, is_home ? repository : home, chain, &err);
    if (r == 0)
        cataloguing_proofs(s, is_home ? repository : home, is_home ? NULL : repository->store, chain);
    else
        log_info("what other hosts proved at '%s' is not taken in: %s", place->url, err.text);
}

int cmd_check(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    struct verify_totals totals = { 0 };
    const struct policy_store *place = &s.policy.repository;
    const char *copy = cli_args_option(args, "from");
    uint64_t start = io_monotonic_ns(ctx->io);
    int r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    s.far_sha256sum = cli_args_flag(args, "far-sha256sum");
    if (r == 0)
        r = copy == NULL ? setup_open_repository(&s, &repository, err) : setup_open_copy(&s, copy, &place, &repository, err);
    if (r == 0)
        r = run_check(&s, args, place, repository, &totals, err);
    if (r == 0) {
        record(ctx, &totals, io_monotonic_ns(ctx->io) - start);
        tell_watchers(&s, args, place, &totals);
        take_proofs(&s, place, repository);
    }
    return r < 0 ? r : report(&s, &totals, place->url, cli_args_flag(args, "read-data"), err);
}
