#include "bkd/policy/policy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/policy/policy_checks.h"
#include "bkd/policy/policy_read.h"
#include "bkd/policy/policy_text.h"
#include "bkd/policy/policy_yaml.h"
#include "bkd/policy/schema.h"

enum { COPY_MAX_AGE_S = 7 * 24 * 3600 };

bool policy_is_name(const char *name, size_t n)
{
    if (n == 0 || n > POLICY_NAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isascii((unsigned char)name[i]) || (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i])))
            return false;
    return true;
}

const struct policy_list *policy_times(const struct policy *policy, const char *action)
{
    static const struct policy_list none;
    return strcmp(action, "backup") == 0 ? &policy->schedule : strcmp(action, "verify") == 0 ? &policy->verify.schedule : &none;
}

bool policy_is_recipient(const char *item)
{
    return strncmp(item, "age1", 4) == 0 && !strpbrk(item, "./");
}

int policy_source_patterns(const struct policy *policy, const struct policy_source *source, struct pattern_set **ret_set, struct error *err)
{
    size_t count = 0;
    const char **patterns = xcalloc(policy->exclude.count + source->exclude.count + 1, sizeof *patterns);
    for (size_t i = 0; i < policy->exclude.count; i++)
        patterns[count++] = policy->exclude.items[i];
    for (size_t i = 0; i < source->exclude.count; i++)
        patterns[count++] = source->exclude.items[i];
    int rc = pattern_set_new(patterns, count, ret_set, err);
    free(patterns);
    return rc;
}

unsigned policy_source_line(const struct policy_source *source, const char *key)
{
    return source->key_lines[schema_index(schema_find("sources", key))];
}

bool policy_only_verifies(const struct policy *policy) { return policy->source_count == 0 && policy->stream_count == 0; }

bool policy_names_commands(const struct policy *policy)
{
    bool some = policy->hooks_before.count + policy->hooks_after.count + policy->hooks_on_failure.count > 0;
    for (size_t i = 0; i < policy->source_count; i++)
        some = some || policy->sources[i].snapshot.create.count > 0;
    for (size_t i = 0; i < policy->offsite.count; i++)
        some = some || policy->offsite.items[i].ssh_passphrase_command.count > 0;
    return some || policy->stream_count > 0 || policy->verify.check_count > 0 || policy->repository.ssh_passphrase_command.count > 0;
}

void policy_list_done(struct policy_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    free(list->lines);
}

static void commands_done(struct policy_commands *commands)
{
    for (size_t i = 0; i < commands->count; i++) {
        policy_list_done(&commands->items[i].argv);
        free(commands->items[i].name);
    }
    free(commands->items);
}

static void source_done(struct policy_source *source)
{
    free(source->path);
    policy_list_done(&source->exclude);
    policy_list_done(&source->exclude_if_present);
    policy_list_done(&source->snapshot.create);
    policy_list_done(&source->snapshot.release);
    free(source->snapshot.place);
    free(source->snapshot.path);
    free(source->stream.name);
    free(source->stream.user);
    policy_list_done(&source->stream.command);
    policy_list_done(&source->stream.env);
}

static void store_done(struct policy_store *store)
{
    free(store->url);
    free(store->ssh_identity);
    free(store->ssh_known_hosts);
    free(store->ssh_passphrase);
    policy_list_done(&store->ssh_passphrase_command);
    free(store->ssh_config);
    free(store->bandwidth);
}

bool policy_keep_is_set(const struct policy_keep *k)
{
    return k->all || (k->last | k->hourly | k->daily | k->weekly | k->monthly | k->quarterly | k->yearly | k->within_s) != 0;
}

bool policy_store_is_remote(const struct policy_store *store) { return store->url != NULL && store->url[0] != '/'; }

uint64_t policy_copy_max_age_s(const struct policy *policy, const struct policy_store *copy)
{
    bool promised = policy->objectives.rpo_s > 0 && !copy->removable; // a disk in a safe comes when it comes
    return copy->max_age_s > 0 ? copy->max_age_s : promised ? policy->objectives.rpo_s : COPY_MAX_AGE_S;
}

void policy_done(struct policy *policy)
{
    for (size_t i = 0; i < policy->source_count; i++)
        source_done(&policy->sources[i]);
    for (size_t i = 0; i < policy->stream_count; i++)
        source_done(&policy->streams[i]);
    free(policy->sources);
    free(policy->streams);
    policy_list_done(&policy->recipients);
    policy_list_done(&policy->exclude);
    policy_list_done(&policy->exclude_if_present);
    commands_done(&policy->hooks_before);
    commands_done(&policy->hooks_after);
    commands_done(&policy->hooks_on_failure);
    policy_list_done(&policy->schedule);
    free(policy->timezone);
    policy_list_done(&policy->after);
    free(policy->name);
    free(policy->file);
    free(policy->description);
    store_done(&policy->repository);
    for (size_t i = 0; i < policy->offsite.count; i++)
        store_done(&policy->offsite.items[i]);
    free(policy->offsite.items);
    policy_list_done(&policy->verify.schedule);
    policy_list_done(&policy->verify.canaries);
    policy_checks_done(policy->verify.checks, policy->verify.check_count);
    free(policy->verify.from);
    free(policy->verify.identity);
    free(policy->verify.scratch);
    free(policy->key_lines);
    *policy = (struct policy){ 0 };
}

void policy_forget_work(struct policy *policy)
{
    struct policy kept = {
        .name = TAKE(policy->name),
        .file = TAKE(policy->file),
        .schedule = policy->schedule,
        .timezone = TAKE(policy->timezone),
        .window = policy->window,
        .jitter_s = policy->jitter_s,
        .retry = policy->retry,
        .catch_up = policy->catch_up,
        .after = policy->after,
        .after_failure = policy->after_failure,
        .objectives = policy->objectives,
        .keep = policy->keep,
        .verify.schedule = policy->verify.schedule,
    };
    policy->schedule = policy->after = policy->verify.schedule = (struct policy_list){ 0 };
    policy_done(policy);
    *policy = kept;
}

// The policy's name from its file's; NULL, and reported, when it is not acceptable.
static char *name_of(const char *path, struct policy_errors *errors)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    size_t len = strlen(file);
    if (len < 5 || strcmp(file + len - 5, ".yaml") != 0) {
        policy_errors_add(errors, 0, 0, 1, NULL, "the name of a policy file ends in '.yaml'");
        return NULL;
    }
    if (!policy_is_name(file, len - 5)) {
        policy_errors_add(errors, 0, 0, 1, NULL, "'%.*s' is no policy name: letters, digits, '-', '_' and '.' (not first), at most %u", (int)(len - 5), file,
                          POLICY_NAME_MAX);
        return NULL;
    }
    return xstrndup(file, len - 5);
}

// Takes *errors with file and text set.
static int parse_text(struct policy *ret_policy, struct policy_errors *errors, struct error *err)
{
    _cleanup_policy_ struct policy policy = { .key_lines = xcalloc(POLICY_KEYS_MAX, sizeof *policy.key_lines) };
    _cleanup_policy_node_ struct policy_node *root = NULL;
    bool complete;
    policy.file = xstrdup(errors->file);
    policy.name = name_of(errors->file, errors);
    if (policy_text_check(errors)) {
        policy_yaml_parse(errors, &root, &complete);
        if (root)
            policy_read(root, complete, &policy, errors);
        else if (complete)
            policy_errors_add(errors, 1, 1, 1, NULL, "the file is empty; a policy has at least 'sources' and 'repository'");
    }
    if (errors->count > 0) {
        policy_errors_sort(errors);
        return error_set(err, ERROR_USAGE, "policy '%s' has %zu mistake%s", errors->file, errors->count, errors->count == 1 ? "" : "s");
    }
    *ret_policy = policy;
    policy = (struct policy){ 0 };
    return 0;
}

int policy_parse(const char *path, const void *text, size_t n, struct policy *ret_policy, struct policy_errors *ret_errors, struct error *err)
{
    *ret_errors = (struct policy_errors){ .file = xstrdup(path) };
    if (n > POLICY_FILE_MAX)
        return error_set(err, ERROR_USAGE, "policy '%s' has %zu bytes, at most %u are allowed", path, n, POLICY_FILE_MAX);
    buf_add(&ret_errors->text, text, n);
    return parse_text(ret_policy, ret_errors, err);
}

int policy_load(const struct io *io, const char *path, struct policy *ret_policy, struct policy_errors *ret_errors, struct error *err)
{
    *ret_errors = (struct policy_errors){ .file = xstrdup(path) };
    int rc = fs_read_file(io, AT_FDCWD, path, POLICY_FILE_MAX, &ret_errors->text, err);
    if (rc < 0)
        return error_prefix(err, "policy");
    return parse_text(ret_policy, ret_errors, err);
}
