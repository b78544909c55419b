#include "bkd/repo/unlock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/curve.h"
#include "bkd/codec/keyfile.h"
#include "bkd/store/store.h"

// What is typed is not shown. Caller wipes and frees.
static int ask(const char *prompt, char **ret_text, struct error *err)
{
    char *typed = getpass(prompt);
    if (typed == NULL)
        return error_set(err, ERROR_KEY, "nothing can be asked for: there is no terminal");
    *ret_text = xstrdup(typed);
    curve_wipe(typed, strlen(typed));
    return 0;
}

static void wipe(char **secret)
{
    if (*secret != NULL)
        curve_wipe(*secret, strlen(*secret));
    free(*secret);
}
#define _cleanup_secret_ __attribute__((cleanup(wipe)))

static int read_file(const struct io *io, const char *identity, struct buf *ret_file, struct error *err)
{
    _cleanup_secret_ char *typed = NULL;
    bool is_input = strcmp(identity, "-") == 0;
    if (!is_input || !isatty(STDIN_FILENO))
        return keyfile_read(io, AT_FDCWD, is_input ? "/dev/stdin" : identity, ret_file, err);
    int r = ask("Identity (AGE-SECRET-KEY-1..., it is not shown): ", &typed, err);
    if (r == 0)
        buf_add_str(ret_file, typed);
    return r;
}

static int find_passphrase(const struct io *io, const struct unlock *how, char **ret_passphrase, struct error *err)
{
    const char *const command[] = { "/bin/sh", "-c", how->passphrase_command, NULL };
    if (how->passphrase_command != NULL)
        return store_ask_passphrase(io, command, ret_passphrase, err);
    if (how->passphrase_file != NULL)
        return store_read_passphrase(io, how->passphrase_file, ret_passphrase, err);
    if (isatty(STDIN_FILENO))
        return ask("Passphrase of the identity: ", ret_passphrase, err);
    return error_set(err, ERROR_KEY, "identity file '%s' is under a passphrase, and nobody is at a terminal to be asked for it", how->identity);
}

int unlock_identities(const struct io *io, const struct unlock *how, struct age_identities *ret_identities, struct error *err)
{
    _cleanup_keyfile_ struct buf file = { 0 };
    _cleanup_secret_ char *passphrase = NULL;
    int r = read_file(io, how->identity, &file, err);
    if (r == 0 && age_identities_are_wrapped(&file))
        r = find_passphrase(io, how, &passphrase, err);
    return r < 0 ? keyfile_wrong(r, err) : age_identities_open(&file, strcmp(how->identity, "-") == 0 ? "standard input" : how->identity, passphrase, ret_identities, err);
}
