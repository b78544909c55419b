#include "bkd/daemon/control_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/local_socket.h"
#include "bkd/base/log.h"
#include "bkd/daemon/control.h"
#include "bkd/host/programs.h"

enum { LINE_MAX = 1 << 20, ANSWER_MS = 1000 };

static int take_line(const void *text, size_t n, control_client_fn *fn, void *arg, struct error *err)
{
    _cleanup_json_ struct json *line = NULL;
    uint64_t exit_code = 1;
    int r = json_parse(text, n, &line, err);
    if (r < 0)
        return error_prefix(err, "the daemon's answer");
    const char *type = json_get_str(line, "type"), *message = json_get_str(line, "message");
    if (type != NULL && strcmp(type, "error") == 0) {
        (void)json_get_u64(line, "exit", &exit_code);
        return error_set(err, exit_code == 0 || exit_code > 9 ? ERROR_FAILED : programs_error((int)exit_code), "%s", message == NULL ? "the daemon refuses" : message);
    }
    return fn == NULL ? 0 : fn(arg, line, err);
}

// All whole lines of what has come.
static int take_lines(struct buf *in, control_client_fn *fn, void *arg, struct error *err)
{
    int r = 0;
    for (const char *end; r == 0 && in->len > 0 && (end = memchr(in->data, '\n', in->len)) != NULL;) {
        size_t n = (size_t)(end - (const char *)in->data);
        r = take_line(in->data, n, fn, arg, err);
        memmove(in->data, in->data + n + 1, in->len - n - 1);
        in->len -= n + 1;
    }
    return r == 0 && in->len > LINE_MAX ? error_set(err, ERROR_FORMAT, "the daemon's answer is too long") : r;
}

// A run may take hours: waiting has no limit but the daemon's end, and a person's.
static int read_answer(int fd, control_client_fn *fn, void *arg, struct error *err)
{
    _cleanup_buf_ struct buf in = { 0 };
    bool answered = false;
    for (;;) {
        char data[4096];
        ssize_t n = recv(fd, data, sizeof data, 0);
        if (interrupt_requested())
            return error_set(err, ERROR_FAILED, "interrupted; what the daemon does goes on");
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0 && answered && in.len == 0)
            return 0;
        if (n <= 0)
            return error_set(err, ERROR_FAILED, "the daemon ended before it had answered");
        buf_add(&in, data, (size_t)n);
        answered = true;
        int r = take_lines(&in, fn, arg, err);
        if (r != 0)
            return r;
    }
}

int control_client_ask(const struct context *ctx, const struct control_request *request, control_client_fn *fn, void *arg, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int fd = -1;
    int r = local_socket_connect(ctx->state_dir, CONTROL_SOCKET, ANSWER_MS, &fd, err);
    if (r < 0)
        return r;
    interrupt_install();
    control_request_format(request, &text);
    if (send(fd, text.data, text.len, MSG_NOSIGNAL) != (ssize_t)text.len)
        r = error_set_errno(err, errno, "ask the daemon");
    if (r == 0)
        r = read_answer(fd, fn, arg, err);
    (void)close(fd);
    return r;
}

void control_client_wake(const struct context *ctx)
{
    struct error err;
    int r = control_client_ask(ctx, &(struct control_request){ .verb = CONTROL_WAKE }, NULL, NULL, &err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        log_warn("the daemon will notice only by and by: %s", err.text);
}
