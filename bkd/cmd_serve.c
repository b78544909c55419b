// bkd serve: the far side of a copy. A forced command of an SSH account, which then can add to a directory and read it, and nothing else.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/sandbox.h"
#include "bkd/cmd.h"
#include "bkd/copies/refusals.h"
#include "bkd/store/sftp_server.h"
#include "bkd/store/stream.h"

enum {
    STEP = 64 << 10,
    LOOK_MS = 1000, // how often a waiting session sees whether it is to end
};

struct service {
    struct stream *line;
    struct sftp_server *server;
    struct buf out; // answers; those before out_at are sent
    size_t out_at;
    bool more;      // requests wait until there is room for answers
};

// What sshd runs for the sftp subsystem, by whatever path; a command of the client's is anything else. Run by hand there is neither.
static bool is_sftp(const char *command, bool by_sshd)
{
    if (command == NULL)
        return !by_sshd;
    _cleanup_free_ char *program = xstrndup(command, strcspn(command, " \t"));
    const char *slash = strrchr(program, '/');
    return strcmp(program, "internal-sftp") == 0 || strcmp(slash == NULL ? program : slash + 1, "sftp-server") == 0;
}

static int check_command(struct refusals *refusals, struct error *err)
{
    const char *command = getenv("SSH_ORIGINAL_COMMAND");
    if (is_sftp(command, getenv("SSH_CONNECTION") != NULL))
        return 0;
    refusals_note(refusals, command == NULL ? "a shell" : "command", command == NULL ? "" : command);
    return error_set(err, ERROR_FAILED, "this account speaks SFTP and nothing else");
}

static int take_requests(struct service *s, bool *ret_moved, struct error *err)
{
    uint8_t step[STEP];
    size_t n = 0;
    int r = s->more ? 0 : s->line->ops->read(s->line, step, sizeof step, &n, err);
    *ret_moved = n > 0 || s->more;
    return r < 0 ? r : sftp_server_feed(s->server, step, n, &s->out, &s->more, err);
}

static int send_answers(struct service *s, struct error *err)
{
    size_t n = 0;
    int r = s->line->ops->write(s->line, s->out.data + s->out_at, s->out.len - s->out_at, &n, err);
    s->out_at += n;
    if (s->out_at == s->out.len) {
        buf_reset(&s->out);
        s->out_at = 0;
    }
    return r;
}

static void wait_for(struct service *s, bool writing)
{
    struct pollfd p;
    s->line->ops->wants(s->line, writing, &p);
    (void)poll(&p, 1, LOOK_MS);
}

// Answers go first: a client that takes none is not read from.
static int serve_client(struct service *s, struct error *err)
{
    while (!interrupt_requested()) {
        bool waiting = s->out.len > 0, moved = false;
        int r = waiting ? send_answers(s, err) : take_requests(s, &moved, err);
        if (r < 0)
            return r;
        if (waiting ? s->out.len > 0 : !moved)
            wait_for(s, waiting);
    }
    return 0;
}

static int serve(const struct context *ctx, const struct grow_dir *dir, struct refusals *refusals, struct error *err)
{
    struct service s = { .line = stream_of_fds(STDIN_FILENO, STDOUT_FILENO, 0), .server = sftp_server_new(ctx->io, dir, refusals_note, refusals) };
    int r = serve_client(&s, err);
    sftp_server_free(s.server);
    s.line->ops->close(s.line);
    buf_done(&s.out);
    return r == ERROR_UNREACHABLE ? 0 : r; // the client has gone: how sessions end
}

// Should a client ever find a fault in this program, it is in a place from which there is no way on: grow_dir decides what is allowed, this is behind it.
static void confine(const struct grow_dir *dir)
{
    tzset(); // for the lines of the log: reads the zone while it can be opened
    int landlock = sandbox_only_below(dir->fd);
    bool filtered = sandbox_no_programs();
    sandbox_no_core();
    log_debug("confined: Landlock %s (version %d), seccomp %s", landlock > 0 ? "yes" : "no", landlock, filtered ? "yes" : "no");
}

int cmd_serve(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct grow_dir dir;
    const char *root = cli_args_option(args, "root");
    if (!cli_args_flag(args, "append-only"))
        return error_set(err, ERROR_USAGE, "give --append-only: a place that clients could change is what the server's own sftp offers");
    if (root == NULL)
        return error_set(err, ERROR_USAGE, "give --root DIR, the directory that clients see");
    __attribute__((cleanup(refusals_end))) struct refusals refusals = { 0 };
    refusals_begin(&refusals, ctx->io, root);
    int r = check_command(&refusals, err);
    if (r < 0)
        return r;
    (void)umask(077);
    int opened = grow_dir_open(&dir, ctx->io, root);
    if (opened < 0)
        return error_set_errno(err, -opened, "--root '%s'", root);
    interrupt_install();
    (void)signal(SIGPIPE, SIG_IGN);
    confine(&dir);
    r = serve(ctx, &dir, &refusals, err);
    grow_dir_close(&dir);
    return r;
}
