// bkd keys init: makes the key directory and says what to take off this host.
#include <linux/stat.h>
#include <stdio.h>
#include <unistd.h>

#include "bkd/cmd.h"
#include "bkd/host/keydir.h"

// Do both directories lie on one file system? When that cannot be told, the safe answer for advice is yes.
static bool same_filesystem(const struct io *io, const char *a, const char *b)
{
    struct statx sa, sb;
    struct error ignored;
    if (io_stat(io, AT_FDCWD, a, 0, &sa, &ignored) < 0 || io_stat(io, AT_FDCWD, b, 0, &sb, &ignored) < 0)
        return true;
    return sa.stx_dev_major == sb.stx_dev_major && sa.stx_dev_minor == sb.stx_dev_minor;
}

static int print_json(const struct keydir *k, const char *keys_dir, const char *identities_dir, struct error *err)
{
    char recipient[AGE_RECIPIENT_TEXT_SIZE], fingerprint[SSHKEY_FINGERPRINT_SIZE];
    struct json *line = json_line_new("summary");
    json_add_str(line, "keys", keys_dir);
    json_add_str(line, "identities", identities_dir);
    age_recipient_format(&k->operations, recipient);
    json_add_str(line, "operations_recipient", recipient);
    age_recipient_format(&k->recovery, recipient);
    json_add_str(line, "recovery_recipient", recipient);
    sshkey_fingerprint(k->signing, fingerprint);
    json_add_str(line, "signing_fingerprint", fingerprint);
    sshkey_fingerprint(k->retention, fingerprint);
    json_add_str(line, "retention_fingerprint", fingerprint);
    return json_line_print(&line, stdout, err);
}

static void print_text(const struct keydir *k, const char *keys_dir, const char *identities_dir, bool still_here)
{
    char operations[AGE_RECIPIENT_TEXT_SIZE], recovery[AGE_RECIPIENT_TEXT_SIZE], signing[SSHKEY_FINGERPRINT_SIZE],
        retention[SSHKEY_FINGERPRINT_SIZE];
    age_recipient_format(&k->operations, operations);
    age_recipient_format(&k->recovery, recovery);
    sshkey_fingerprint(k->signing, signing);
    sshkey_fingerprint(k->retention, retention);
    printf("Keys made in %s:\n"
           "  signing          signs every snapshot           %s\n"
           "  retention        signs that holds end           %s\n"
           "  recipients.txt   what backups are encrypted to  %s (operations)\n"
           "                                                  %s (offline recovery)\n"
           "  allowed_signers  whose signatures count\n\n",
           keys_dir, signing, retention, operations, recovery);
    printf("Backing up needs none of the identities; reading backups needs one of the two. Whoever has one reads everything,\n"
           "and when both are lost nobody does. %s\n\n",
           still_here ? "They lie on this host now, so take them off:" : "They lie elsewhere already:");
    printf("  1. %s/" KEYDIR_RECOVERY "\n"
           "     Keep it offline in two places: on paper (`bkd keys sheet` prints a page with it) and on a medium in a safe.\n"
           "  2. %s/" KEYDIR_OPERATIONS "\n"
           "     Move it to the host that verifies and restores, readable by its bkd only (mode 600).\n"
           "  3. %s/" KEYDIR_SIGNERS "\n"
           "     Copy it to every place where you may have to restore: it proves that a snapshot is yours. It is not secret.\n"
           "  4. %s/" KEYDIR_RETENTION "\n"
           "     Move it to whoever decides what may be removed and which holds end.\n\n",
           identities_dir, identities_dir, keys_dir, keys_dir);
    printf("%sNext: bkd init POLICY\n",
           still_here ? "Once a copy was tried with `bkd-restore -i`, remove 1 and 2 here with: shred -u FILE\n" : "");
}

int cmd_keys_init(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_free_ char *keys_dir = xasprintf("%s/keys", ctx->config_dir);
    const char *elsewhere = cli_args_option(args, "identities-to");
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0'; // keydir_init has a name for that
    struct keydir k;
    const struct keydir_options options = { .keys_dir = keys_dir, .identities_dir = elsewhere, .host = host };
    int r = keydir_init(ctx->io, &options, &k, err);
    if (r < 0)
        return r;
    const char *identities_dir = elsewhere == NULL ? keys_dir : elsewhere;
    if (ctx->json)
        return print_json(&k, keys_dir, identities_dir, err);
    if (ctx->verbosity >= 0)
        print_text(&k, keys_dir, identities_dir, same_filesystem(ctx->io, keys_dir, identities_dir));
    return 0;
}
