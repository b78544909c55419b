// bkd tag: gives a snapshot one more name.
#include <string.h>

#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/codec/sshkey.h"
#include "bkd/repo/tags.h"
#include "bkd/snapshots/holding.h"

// Another snapshot of this chain with the tag: from now on both can only be named by number.
static void warn_of_twin(const struct repository *repository, const struct records *records, const struct repository_head *head, const char *tag)
{
    for (size_t i = 0; i < repository->n_heads; i++) {
        const struct repository_head *other = &repository->heads[i];
        if (other == head || memcmp(other->chain, head->chain, sizeof head->chain) != 0 || !tags_has(records, other, tag))
            continue;
        log_warn("snapshot %llu has the tag '%s', too: commands will ask for a number", (unsigned long long)other->number, tag);
        return;
    }
}

static int write_tag(const struct setup *s, const struct repository *repository, const struct repository_head *head, const char *tag, struct error *err)
{
    _cleanup_sshkey_ struct sshkey key = { 0 };
    struct record record = { .kind = RECORD_TAG, .time_ns = io_realtime_ns(s->ctx->io) };
    holding_who(s, record.by);
    (void)snprintf(record.tag, sizeof record.tag, "%s", tag);
    int r = sshkey_parse(s->signing_key.data, s->signing_key.len, &key, err);
    return r < 0 ? r : records_append(repository, buf_str(&s->signers), &key, head, &record, err);
}

static int report(const struct setup *s, const struct repository_head *head, const char *tag, bool is_new, struct error *err)
{
    if (s->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", s->policy.name);
        json_add_u64(line, "snapshot", head->number);
        json_add_str(line, "tag", tag);
        json_add_u64(line, "written", is_new ? 1 : 0);
        return json_line_print(&line, stdout, err);
    }
    if (s->ctx->verbosity >= 0)
        printf("%s: snapshot %llu %s the tag %s\n", s->policy.name, (unsigned long long)head->number, is_new ? "has" : "had already", tag);
    return 0;
}

int cmd_tag(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_records_ struct records records = { 0 };
    const struct repository_head *head = NULL;
    const char *tag = cli_args_value(args, 2);
    int r = tags_check(tag, err);
    if (r == 0)
        r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r == 0)
        r = setup_open_repository(&s, &repository, err);
    if (r == 0)
        r = setup_find_snapshot(&s, repository, cli_args_value(args, 1), &head, err);
    if (r == 0)
        r = records_load(repository, buf_str(&s.signers), &records, err);
    if (r < 0)
        return r;
    bool is_new = !tags_has(&records, head, tag);
    if (is_new) {
        warn_of_twin(repository, &records, head, tag);
        r = setup_load_signing(&s, err);
    }
    if (r == 0 && is_new)
        r = write_tag(&s, repository, head, tag, err);
    return r < 0 ? error_prefix(err, "policy %s", s.policy.name) : report(&s, head, tag, is_new, err);
}
