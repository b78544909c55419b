#include "bkd/history/recording.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/history/housekeeping.h"
#include "bkd/record/pending.h"

struct recording {
    struct run_facts facts;
};

// Commands that change or prove something; their first argument is a policy, or a plan.
static const struct recorded {
    const char *command, *kind;
    bool is_of_plan;
} recorded[] = {
    { "backup", "backup", false }, { "check", "check", false }, { "drill by-hand", "drill", false }, { "drill key", "drill", false }, { "drill negative", "drill", false },
    { "drill run", "drill", true }, { "plan run", "plan", true }, { "prune", "prune", false }, { "rollback", "rollback", false }, { "ship", "ship", false },
    { "verify", "verify", false },
};

static const struct recorded *find_recorded(const struct cli_args *args)
{
    if (cli_args_flag(args, "dry-run") || cli_args_flag(args, "simulate") || cli_args_value(args, 0) == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof recorded / sizeof *recorded; i++)
        if (strcmp(args->command->name, recorded[i].command) == 0)
            return &recorded[i];
    return NULL;
}

// "erp" of "erp" and of "./policies/erp.yaml".
static void take_name(const char *policy, char *ret_name, size_t n)
{
    const char *slash = strrchr(policy, '/'), *name = slash == NULL ? policy : slash + 1;
    size_t length = strlen(name);
    if (slash != NULL && length > 5 && strcmp(name + length - 5, ".yaml") == 0)
        length -= 5;
    length = length < n ? length : n - 1;
    memcpy(ret_name, name, length);
    ret_name[length] = '\0';
}

static uint64_t number_from(const char *variable)
{
    const char *text = getenv(variable);
    uint64_t value = 0;
    return text != NULL && parse_u64(text, strlen(text), INT64_MAX, &value) ? value : 0;
}

// What the environment says that makes no sense is as if it were not there: the run is what counts.
static void take_environment(struct run_record *run)
{
    const char *trigger = getenv(RECORDING_TRIGGER), *uid = getenv(RECORDING_UID);
    uint8_t bytes[(RUN_UID_MAX - 1) / 2];
    if (trigger != NULL && !run_trigger_parse(trigger, &run->trigger))
        log_warn("%s is manual, cron, daemon or due, not '%s'", RECORDING_TRIGGER, trigger);
    if (uid != NULL && strlen(uid) == RUN_UID_MAX - 1 && parse_hex(uid, RUN_UID_MAX - 1, bytes, sizeof bytes))
        memcpy(run->uid, uid, RUN_UID_MAX);
    run->slot_ns = number_from(RECORDING_SLOT);
    run->attempt = (unsigned)number_from(RECORDING_ATTEMPT);
    // Hooks and programs that this run starts may run bkd, too: that is not this run.
    (void)unsetenv(RECORDING_UID);
    (void)unsetenv(RECORDING_SLOT);
    (void)unsetenv(RECORDING_ATTEMPT);
    (void)unsetenv(RECORDING_TRIGGER);
}

// Damage that shows only now is healed by opening again.
static int save(const struct context *ctx, const struct run_facts *facts, bool is_end, struct error *err)
{
    int r = ERROR_INTEGRITY;
    for (int i = 0; i < 2 && r == ERROR_INTEGRITY; i++) {
        _cleanup_catalogue_ struct catalogue c = { 0 };
        int64_t id = 0;
        r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &c, err);
        if (r == 0)
            r = runs_abandoned(&c, NULL, NULL, err);
        if (r == 0)
            r = run_facts_save(&c, facts, &id, err);
        if (r == 0 && is_end)
            housekeeping_run(ctx, &c);
    }
    return r;
}

// In the catalogue, else in the spool.
static int save_somewhere(const struct context *ctx, const struct run_facts *facts, bool is_end, struct error *err)
{
    struct error why;
    if (save(ctx, facts, is_end, &why) == 0)
        return 0;
    int r = pending_add(ctx->io, ctx->state_dir, facts, err);
    if (r == 0)
        log_warn("this run is not in the catalogue yet: %s. Its record waits in '%s/catalogue.pending' and is taken in by the next command that can write there", why.text,
                 ctx->state_dir);
    else
        (void)error_prefix(err, "this run cannot be recorded: %s; nor in '%s/catalogue.pending'", why.text, ctx->state_dir);
    return r;
}

void recording_begin(struct context *ctx, const struct cli_args *args)
{
    const struct recorded *what = find_recorded(args);
    if (what == NULL)
        return;
    _cleanup_free_ char *path = what->is_of_plan ? context_plan_path(ctx, cli_args_value(args, 0)) : context_policy_path(ctx, cli_args_value(args, 0));
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    if (fs_read_file(ctx->io, AT_FDCWD, path, POLICY_FILE_MAX, &text, &err) < 0)
        return; // there is no such file, which the command tells
    struct recording *recording = xcalloc(1, sizeof *recording);
    struct run_record *run = &recording->facts.run;
    (void)memccpy(run->kind, what->kind, 0, sizeof run->kind - 1);
    take_name(cli_args_value(args, 0), run->policy, sizeof run->policy);
    (void)gethostname(run->host, sizeof run->host - 1); // "" when it has no name
    take_environment(run);
    runs_complete(ctx->io, run);
    recording->facts.policy_text = what->is_of_plan ? NULL : xstrdup(buf_str(&text)); // a plan's version stands in its journal
    if (save_somewhere(ctx, &recording->facts, false, &err) < 0)
        log_warn("%s", err.text);
    ctx->recording = recording;
    ctx->tells = run->trigger != RUN_DAEMON;
}

void recording_phase(const struct context *ctx, const char *name, uint64_t duration_ns)
{
    if (ctx->recording != NULL)
        run_facts_add(&ctx->recording->facts, true, name, duration_ns);
}

void recording_figure(const struct context *ctx, const char *name, uint64_t value)
{
    if (ctx->recording != NULL)
        run_facts_add(&ctx->recording->facts, false, name, value);
}

void recording_snapshot(const struct context *ctx, uint64_t number)
{
    if (ctx->recording != NULL)
        ctx->recording->facts.run.snapshot = number;
}

static void end_run(struct run_record *run, const struct context *ctx, int r, const struct error *err)
{
    run->state = RUN_ENDED;
    run->ended_ns = io_realtime_ns(ctx->io);
    run->exit_code = r < 0 ? error_exit_code(err->code) : ctx->exit_code;
    if (r < 0)
        (void)memccpy(run->message, err->text, 0, sizeof run->message - 1);
}

int recording_end(struct context *ctx, int r, struct error *err)
{
    struct recording *recording = ctx->recording;
    if (recording == NULL)
        return r;
    ctx->recording = NULL;
    struct error lost;
    end_run(&recording->facts.run, ctx, r, err);
    int saved = save_somewhere(ctx, &recording->facts, true, &lost);
    run_facts_done(&recording->facts);
    free(recording);
    if (saved == 0)
        return r;
    if (r < 0) {
        log_warn("%s", lost.text);
        return r;
    }
    *err = lost;
    err->code = ERROR_INCOMPLETE;
    return ERROR_INCOMPLETE;
}
