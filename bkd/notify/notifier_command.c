// A program that tells: the message in its environment and, as JSON, on its standard input.
#include "bkd/notify/notifier.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/env.h"
#include "bkd/base/printable.h"
#include "bkd/base/proc.h"

#define SAID_MAX 200 // bytes of its last words that an error shows

static void make_env(const struct message *m, const char *user, struct env *ret_env)
{
    char time[CLOCK_TEXT_MAX], since[CLOCK_TEXT_MAX];
    clock_format_utc(time, m->time_ns, false);
    clock_format_utc(since, m->since_ns, false);
    env_init(ret_env, user);
    env_add(ret_env, "BKD_WHAT", message_what_name(m->what));
    env_add(ret_env, "BKD_SEVERITY", severity_name(m->severity));
    env_add(ret_env, "BKD_HOST", m->host);
    env_add(ret_env, "BKD_KIND", m->kind);
    env_add(ret_env, "BKD_POLICY", m->policy);
    env_add(ret_env, "BKD_COPY", m->copy);
    env_add(ret_env, "BKD_SUBJECT", m->subject);
    env_add(ret_env, "BKD_TEXT", m->text);
    env_add(ret_env, "BKD_NEXT_STEP", m->next_step);
    env_add(ret_env, "BKD_TIME", m->time_ns != 0 ? time : "");
    env_add(ret_env, "BKD_SINCE", m->since_ns != 0 ? since : "");
    env_add(ret_env, "BKD_BODY", m->body);
    if (m->alarm != 0)
        env_add_u64(ret_env, "BKD_ALARM", (uint64_t)m->alarm);
    if (m->run != 0)
        env_add_u64(ret_env, "BKD_RUN", (uint64_t)m->run);
}

// The JSON line in memory, to be read from its beginning.
static int make_input(const struct io *io, const struct message *m, int *ret_fd, struct error *err)
{
    _cleanup_json_ struct json *json = message_json(m);
    _cleanup_buf_ struct buf line = { 0 };
    json_format(json, &line);
    buf_add_char(&line, '\n');
    int fd = memfd_create("bkd-message", MFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "make the command's input");
    int r = io_write_all(io, fd, line.data, line.len, "the command's input", err);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = error_set_errno(err, errno, "rewind the command's input");
    if (r < 0)
        io_close_quietly(io, &fd);
    *ret_fd = fd;
    return r;
}

static void add_last_line(const struct proc_result *result, struct buf *ret_text)
{
    size_t n;
    const char *line = proc_last_line(&result->output.tail, &n);
    size_t skipped = n > SAID_MAX ? n - SAID_MAX : 0;
    if (n > 0)
        buf_add_str(ret_text, ": ");
    printable_add(ret_text, line + skipped, n - skipped);
}

static int send_command(const struct notifier_context *ctx, const struct config_channel *channel, const struct message *message, struct buf *ret_note, struct error *err)
{
    const char *user = channel->user[0] != '\0' ? channel->user : NULL;
    _cleanup_env_ struct env env = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    _cleanup_buf_ struct buf said = { 0 };
    char how[PROC_TEXT_MAX];
    int input = -1;
    (void)ret_note;
    int r = make_input(ctx->io, message, &input, err);
    if (r < 0)
        return r;
    make_env(message, user, &env);
    struct proc_options options = { .argv = (const char *const *)channel->command.items, .env = env.list, .user = user, .stdin_fd = input,
                                    .timeout_ms = ctx->timeout_ms, .grace_ms = 2000, .merge = true };
    r = proc_run(ctx->io, &options, &result, err);
    io_close_quietly(ctx->io, &input);
    if (r < 0 || proc_result_ok(&result))
        return r;
    proc_result_text(&result, how);
    add_last_line(&result, &said);
    return error_set(err, ERROR_FAILED, "%s %s%s", channel->command.items[0], how, buf_str(&said));
}

static bool is_log(const struct config_channel *channel)
{
    (void)channel;
    return false;
}

const struct notifier notifier_command = { .send = send_command, .is_log = is_log };
