#include "bkd/host/sheet.h"

#include <string.h>

#include "bkd/base/shell.h"
#include "bkd/dr/qr.h"

#define TYPICAL "IDENTITY.txt"

// ---- QR

static void add_rows(const struct qr *code, int row, bool terminal, struct buf *out)
{
    buf_add_str(out, terminal ? "  \033[0;38;5;16;48;5;231m" : "  ");
    for (int column = 0; column < code->width + 2 * QR_QUIET; column++) {
        bool upper = qr_is_dark(code, row, column), lower = qr_is_dark(code, row + 1, column);
        buf_add_str(out, upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ");
    }
    if (terminal) {
        buf_add_str(out, "\033[0m");
    } else {
        while (out->len > 0 && out->data[out->len - 1] == ' ')
            out->len--; // paper is white anyway
    }
    buf_add_char(out, '\n');
}

int sheet_qr(const char *text, bool terminal, struct buf *ret_text, struct error *err)
{
    // Upper case and digits make alphanumeric mode: an identity's 74 characters fit in 33 x 33 modules at level M (15 % may be
    // unreadable).
    _cleanup_qr_ struct qr code = { 0 };
    int r = qr_encode(text, &code, err);
    if (r < 0)
        return r;
    // On paper the upper and lower quiet zones are the empty lines around.
    int first = terminal ? 0 : QR_QUIET, last = code.width + (terminal ? 2 : 1) * QR_QUIET;
    for (int row = first; row < last; row += 2)
        add_rows(&code, row, terminal, ret_text);
    return 0;
}

// ---- the page

static int add_identity(const struct sheet *s, bool terminal, struct buf *out, struct error *err)
{
    if (s->identity == NULL) {
        buf_add_str(
            out, "1. IDENTITY\n   None is needed: the backups are not encrypted. Whoever has the repository can read them.\n\n");
        return 0;
    }
    buf_addf(out,
             "1. IDENTITY   Opens every backup. Type or scan it into a file " TYPICAL " (chmod 600).\n"
             "   All letters are capitals. After KEY-1 the letters B, I, O and the digit 1 do not occur.\n\n"
             "   %s\n\n",
             s->identity);
    int r = sheet_qr(s->identity, terminal, out, err);
    if (r == 0 && s->recipient != NULL)
        buf_addf(out, "\n   Its public half: %s\n\n", s->recipient);
    return r;
}

// A line of the signers file in two, so that it fits the page.
static void add_signers(const struct sheet *s, struct buf *out)
{
    buf_add_str(out, "2. SIGNERS   Whose snapshots to trust. Two lines here make one of a file allowed_signers:\n");
    for (const char *at = s->signers; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, "\n");
        const char *key = *at == '#' ? NULL : memmem(at, len, " ssh-", 5);
        if (key != NULL) {
            buf_addf(out, "   %.*s\n", (int)(key - at), at);
            buf_addf(out, "     %.*s\n", (int)(at + len - key - 1), key + 1);
        }
        at += len + (at[len] == '\n');
    }
    buf_add_char(out, '\n');
}

static void add_repository(const struct sheet *s, struct buf *out)
{
    buf_addf(out, "3. REPOSITORY   %s\n",
             s->repository == NULL ? "(write its address here)  ______________________________________" : s->repository);
    if (s->repository_id != NULL)
        buf_addf(out, "   repository   %s\n", s->repository_id);
    if (s->chain != NULL)
        buf_addf(out, "   chain        %s   (policy %s)\n", s->chain, s->policy == NULL ? "-" : s->policy);
    if (s->head_number != NULL)
        buf_addf(out, "   snapshot     %s of %s; a latest one older than this is an alarm\n   its head     sha256 %s\n",
                 s->head_number, s->head_time, s->head_sha256);
    else if (s->repository != NULL)
        buf_add_str(out, "   snapshot     none yet: print this sheet again after the first backup\n");
    if (s->recover_sha256 != NULL)
        buf_addf(out, "   recover.sh   sha256 %s\n", s->recover_sha256);
    buf_add_char(out, '\n');
}

static void add_steps(const struct sheet *s, struct buf *out)
{
    const char *identity = s->identity == NULL ? "" : " -i " TYPICAL;
    buf_add_str(out, "4. RESTORE with bkd-restore (no configuration, no database, no daemon):\n   R=");
    shell_add_quoted(out, s->repository == NULL ? "REPOSITORY" : s->repository);
    buf_addf(out,
             "\n   bkd-restore -r \"$R\"%s --signers allowed_signers list\n"
             "   bkd-restore -r \"$R\"%s --signers allowed_signers restore latest --target DIR\n\n",
             identity, identity);
    buf_addf(out,
             "5. RESTORE by hand, on any Linux with age, zstd, tar, rdiff, awk and ssh-keygen:\n"
             "   sha256sum \"$R/recover.sh\"     must print what section 3 says; else do not run it\n"
             "   BKD_SIGNERS=allowed_signers sh \"$R/recover.sh\" \"$R\" %s latest DIR\n"
             "   It uses ssh-keygen -Y verify, sha256sum, age -d | zstd -d | tar x, and rdiff patch.\n",
             s->identity == NULL ? "none" : TYPICAL);
}

int sheet_format(const struct sheet *sheet, bool terminal, struct buf *ret_text, struct error *err)
{
    buf_reserve(ret_text, 32768); // at once, so that growing leaves no copies of the identity behind
    buf_addf(ret_text, "BKD RECOVERY SHEET   host %s   printed %s\n", sheet->host, sheet->printed);
    if (sheet->identity != NULL)
        buf_add_str(ret_text, "Keep this page like the key to a safe: with it and the repository, everything can be read.\n");
    buf_add_char(ret_text, '\n');
    int r = add_identity(sheet, terminal, ret_text, err);
    if (r < 0)
        return r;
    add_signers(sheet, ret_text);
    add_repository(sheet, ret_text);
    add_steps(sheet, ret_text);
    return 0;
}
