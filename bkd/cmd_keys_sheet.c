// bkd keys sheet: gathers the facts of the recovery sheet and prints it.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/codec/agekeys.h"
#include "bkd/codec/keyfile.h"
#include "bkd/codec/sshsig.h"
#include "bkd/host/keydir.h"
#include "bkd/host/setup.h"
#include "bkd/host/sheet.h"

#define RECOVER_SCRIPT_MAX (1u << 20)

// The texts a struct sheet borrows.
struct facts {
    char printed[CLOCK_TEXT_MAX], host[256];
    char identity[AGE_IDENTITY_TEXT_SIZE], recipient[AGE_RECIPIENT_TEXT_SIZE];
    char repository_id[33], chain[33], head_number[24], head_time[CLOCK_TEXT_MAX], head_sha256[65], recover_sha256[65];
    uint64_t snapshot; // 0 = none yet
};

static void facts_done(struct facts *f) { curve_wipe(f->identity, sizeof f->identity); }
#define _cleanup_facts_ __attribute__((cleanup(facts_done)))

// The identity given with -i, else keys/recovery.txt.
static int gather_identity(const struct context *ctx, const char *file, struct facts *f, struct error *err)
{
    _cleanup_age_identities_ struct age_identities found = { 0 };
    _cleanup_free_ char *kept = context_key_path(ctx, KEYDIR_RECOVERY);
    struct statx st;
    if (file == NULL && io_stat(ctx->io, AT_FDCWD, kept, 0, &st, err) == ERROR_NOT_FOUND)
        return error_set(err, ERROR_KEY,
                         "the recovery identity is not in '%s' any more (good): name the file it lies in with -i FILE", kept);
    int r = age_identities_load(ctx->io, AT_FDCWD, file == NULL ? kept : file, NULL, &found, err);
    if (r < 0)
        return r;
    if (found.n > 1)
        log_warn("'%s' holds %zu identities; the sheet shows the first", file == NULL ? kept : file, found.n);
    age_identity_format(&found.list[0], f->identity);
    age_recipient_format(&found.list[0].recipient, f->recipient);
    return 0;
}

// recover.sh as the repository has it, once its signature is right: its hash on paper vouches for it later.
static int gather_recover(const struct setup *s, struct store *store, struct facts *f, struct error *err)
{
    _cleanup_buf_ struct buf script = { 0 }, signature = { 0 };
    _cleanup_signers_ struct signers signers = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    int r = store_get_all(store, "recover.sh", RECOVER_SCRIPT_MAX, &script, err);
    if (r == 0)
        r = store_get_all(store, "recover.sh.sig", SSHSIG_ARMOR_MAX, &signature, err);
    if (r == 0)
        r = signers_parse(buf_str(&s->signers), s->signers.len, &signers, err);
    if (r == 0)
        r = sshsig_verify(&signers, NULL, FORMAT_NAMESPACE_RECOVER, io_realtime_ns(s->ctx->io) / 1000000000u, script.data,
                          script.len, signature.data, signature.len, NULL, err);
    if (r < 0)
        return error_prefix(err, "recover.sh of '%s'", s->policy.repository.url);
    crypto_sha256(script.data, script.len, digest);
    format_hex(f->recover_sha256, digest, sizeof digest);
    return 0;
}

static int gather_repository(const struct setup *s, struct facts *f, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    const struct repository_head *head = NULL;
    uint8_t chain[16];
    struct error ignored;
    int r = setup_open_repository(s, &repository, err);
    if (r == 0)
        r = gather_recover(s, repository->store, f, err);
    if (r < 0)
        return r;
    format_hex(f->repository_id, repository->info.id, sizeof repository->info.id);
    if (setup_find_chain(s, repository, chain, &ignored) < 0 || repository_find(repository, chain, "latest", &head, &ignored) < 0)
        return 0; // no snapshot yet
    format_hex(f->chain, chain, sizeof chain);
    f->snapshot = head->number;
    (void)snprintf(f->head_number, sizeof f->head_number, "%llu", (unsigned long long)head->number);
    clock_format_utc(f->head_time, head->head.time_ns, false);
    format_hex(f->head_sha256, head->sha256, sizeof head->sha256);
    return 0;
}

static const char *or_null(const char *text) { return *text == '\0' ? NULL : text; }

// Public facts only: what a machine collects should not hold the identity.
static int print_json(const struct sheet *sheet, uint64_t snapshot, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_str(line, "host", sheet->host);
    json_add_str(line, "recipient", sheet->recipient);
    json_add_str(line, "policy", sheet->policy);
    json_add_str(line, "repository", sheet->repository);
    json_add_str(line, "repository_id", sheet->repository_id);
    json_add_str(line, "chain", sheet->chain);
    if (snapshot > 0)
        json_add_u64(line, "snapshot", snapshot);
    else
        json_add_null(line, "snapshot");
    json_add_str(line, "head_sha256", sheet->head_sha256);
    json_add_str(line, "recover_sha256", sheet->recover_sha256);
    return json_line_print(&line, stdout, err);
}

static int print_page(const struct sheet *sheet, struct error *err)
{
    _cleanup_keyfile_ struct buf text = { 0 };
    int r = sheet_format(sheet, isatty(STDOUT_FILENO) == 1, &text, err);
    if (r == 0 && (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0))
        r = error_set(err, ERROR_FAILED, "the sheet could not be written to standard output");
    return r;
}

int cmd_keys_sheet(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_buf_ struct buf signers = { 0 };
    _cleanup_free_ char *signers_path = context_key_path(ctx, KEYDIR_SIGNERS);
    const char *policy = cli_args_value(args, 0), *identity = cli_args_option(args, "identity");
    _cleanup_facts_ struct facts f = { 0 };
    int r = 0;
    if (policy != NULL) {
        r = setup_load(ctx, policy, &s, err);
        if (r == 0)
            r = gather_repository(&s, &f, err);
    }
    if (r == 0 && (policy == NULL || s.policy.encrypted || identity != NULL))
        r = gather_identity(ctx, identity, &f, err);
    if (r == 0)
        r = fs_read_file(ctx->io, AT_FDCWD, signers_path, SIGNERS_FILE_MAX, &signers, err);
    if (r == ERROR_NOT_FOUND)
        r = error_set(err, ERROR_KEY, "there is no '%s': make this host's keys with `bkd keys init`", signers_path);
    if (r < 0)
        return r;
    clock_format_utc(f.printed, io_realtime_ns(ctx->io), false);
    if (gethostname(f.host, sizeof f.host - 1) < 0)
        (void)snprintf(f.host, sizeof f.host, "localhost");
    const struct sheet sheet = {
        .host = f.host,
        .printed = f.printed,
        .identity = or_null(f.identity),
        .recipient = or_null(f.recipient),
        .signers = buf_str(&signers),
        .policy = policy == NULL ? NULL : s.policy.name,
        .repository = policy == NULL ? NULL : s.policy.repository.url,
        .repository_id = or_null(f.repository_id),
        .chain = or_null(f.chain),
        .head_number = or_null(f.head_number),
        .head_time = or_null(f.head_time),
        .head_sha256 = or_null(f.head_sha256),
        .recover_sha256 = or_null(f.recover_sha256),
    };
    return ctx->json ? print_json(&sheet, f.snapshot, err) : print_page(&sheet, err);
}
