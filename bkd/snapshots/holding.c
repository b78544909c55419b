#include "bkd/snapshots/holding.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/codec/signers.h"
#include "bkd/codec/sshkey.h"

void holding_who(const struct setup *s, char ret_who[LINES_LABEL_MAX + 1])
{
    const struct passwd *user = getpwuid(geteuid());
    const char *behind = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
    char number[16];
    (void)snprintf(number, sizeof number, "%u", (unsigned)geteuid());
    bool is_sudo = behind != NULL && behind[0] != '\0';
    (void)snprintf(ret_who, LINES_LABEL_MAX + 1, "%s@%s%s%s%s", user == NULL ? number : user->pw_name, s->host, is_sudo ? " (sudo by " : "",
                   is_sudo ? behind : "", is_sudo ? ")" : "");
}

int holding_check(const struct setup *s, struct error *err)
{
    _cleanup_sshkey_ struct sshkey key = { 0 };
    _cleanup_signers_ struct signers signers = { 0 };
    const struct signers_entry *entry = NULL;
    int r = sshkey_parse(s->signing_key.data, s->signing_key.len, &key, err);
    if (r == 0)
        r = signers_parse(buf_str(&s->signers), s->signers.len, &signers, err);
    if (r == 0 && signers_find(&signers, key.public_key, records_namespace(RECORD_HOLD), io_realtime_ns(s->ctx->io) / 1000000000u, NULL, &entry, err) < 0)
        r = error_set(err, ERROR_KEY, "this host's key may not sign holds: add '%s' to the namespaces of its line in 'allowed_signers'",
                      records_namespace(RECORD_HOLD));
    return r;
}

int holding_check_reason(const char *reason, struct error *err)
{
    if (reason == NULL || (reason[0] != '\0' && strcmp(reason, "-") != 0 && strlen(reason) <= LINES_LABEL_MAX))
        return 0;
    return error_set(err, ERROR_USAGE, "a reason has 1 to %d bytes, and is not '-'", LINES_LABEL_MAX);
}

int holding_hold(const struct setup *s, const struct repository *repository, const struct repository_head *head, const char *reason,
                 struct error *err)
{
    _cleanup_sshkey_ struct sshkey key = { 0 };
    struct record record = { .kind = RECORD_HOLD, .time_ns = io_realtime_ns(s->ctx->io) };
    holding_who(s, record.by);
    (void)snprintf(record.reason, sizeof record.reason, "%s", reason == NULL ? "" : reason);
    int r = sshkey_parse(s->signing_key.data, s->signing_key.len, &key, err);
    return r < 0 ? r : records_append(repository, buf_str(&s->signers), &key, head, &record, err);
}

int holding_hold_new(const struct setup *s, uint64_t snapshot, const char *reason, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    const struct repository_head *head = NULL;
    uint8_t chain[16];
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)snapshot);
    int r = setup_open_repository(s, &repository, err);
    if (r == 0)
        r = setup_find_chain(s, repository, chain, err);
    if (r == 0)
        r = repository_find(repository, chain, number, &head, err);
    return r < 0 ? r : holding_hold(s, repository, head, reason, err);
}

int holding_load_retention_key(const struct context *ctx, const char *given, struct sshkey *ret_key, struct error *err)
{
    struct statx st;
    struct error ignored;
    _cleanup_free_ char *usual = context_key_path(ctx, "retention");
    const char *path = given != NULL ? given : usual;
    if (io_stat(ctx->io, AT_FDCWD, path, 0, &st, &ignored) == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY,
                         "there is no retention key '%s'%s: only it gives up protection, so that nobody who breaks into a backed up host can; run this where the key "
                         "is kept, or give it with --key FILE",
                         path, given != NULL ? "" : ", as it should be on a host that is backed up");
    return sshkey_load(ctx->io, AT_FDCWD, path, ret_key, err);
}
