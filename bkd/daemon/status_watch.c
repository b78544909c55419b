#include "bkd/daemon/status_watch.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/local_socket.h"
#include "bkd/daemon/control.h"

enum { ALONE_MS = 5000, TOLD_MS = 30000, SETTLE_MS = 300 }; // without a daemon; with one, for ages; what happens together

struct view {
    const struct context *ctx;
    const struct status_options *options;
    bool is_terminal;
    char *shown; // the text, or the lines, that were printed last
    int fd;      // of the daemon; -1 = none
};

// ---- what there is to show -------------------------------------------------------------------------------------------------

// What status_show prints, as text. Standard output is a variable of the C library's for such uses (glibc manual, "Standard Streams").
static int capture(const struct view *view, char **ret_text, struct error *err)
{
    FILE *out = stdout;
    size_t n = 0;
    int ignored = 0;
    stdout = open_memstream(ret_text, &n);
    if (stdout == NULL) {
        stdout = out;
        return error_set(err, ERROR_FAILED, "out of memory");
    }
    int r = status_show(view->ctx, view->options, &ignored, err);
    (void)fclose(stdout);
    stdout = out;
    return r;
}

// Is it the same line but for the numbers of its ages ("rpo_age_ms":123)?
static bool is_same_line(const char *a, size_t a_len, const char *b, size_t b_len)
{
    static const char age[] = "age_ms\":";
    size_t i = 0, k = 0;
    while (i < a_len && k < b_len && a[i] == b[k]) {
        i++;
        k++;
        if (i < sizeof age - 1 || memcmp(a + i - (sizeof age - 1), age, sizeof age - 1) != 0)
            continue;
        while (i < a_len && a[i] >= '0' && a[i] <= '9')
            i++;
        while (k < b_len && b[k] >= '0' && b[k] <= '9')
            k++;
    }
    return i == a_len && k == b_len;
}

static bool has_line(const char *text, const char *line, size_t n)
{
    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "\n");
        if (is_same_line(at, length, line, n))
            return true;
        at += length + (at[length] == '\n');
    }
    return false;
}

static void print_new_lines(const char *before, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        if (!has_line(before, at, n))
            printf("%.*s\n", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

static void print_screen(const struct view *view, const char *text)
{
    if (view->is_terminal)
        printf("\033[H\033[2J%s\nCtrl-C ends this view.\n", text); // home, clear
    else
        printf("%s\n", text);
}

static int show(struct view *view, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    int r = capture(view, &text, err);
    if (r < 0)
        return r;
    if (view->ctx->json)
        print_new_lines(view->shown, text);
    else if (view->shown == NULL || view->is_terminal || strcmp(view->shown, text) != 0)
        print_screen(view, text);
    free(view->shown);
    view->shown = TAKE(text);
    return fflush(stdout) == 0 ? 0 : error_set(err, ERROR_FAILED, "cannot write to standard output");
}

// ---- when to look ----------------------------------------------------------------------------------------------------------

static void ask_daemon(struct view *view)
{
    static const char request[] = "{\"verb\":\"watch\"}\n";
    struct error ignored; // then there is none
    if (view->fd < 0 && local_socket_connect(view->ctx->state_dir, CONTROL_SOCKET, 1000, &view->fd, &ignored) == 0)
        (void)!send(view->fd, request, sizeof request - 1, MSG_NOSIGNAL);
}

// Lines of the daemon's say only that something has changed. Its end is a change, too.
static void take_news(struct view *view)
{
    char data[4096];
    if (recv(view->fd, data, sizeof data, MSG_DONTWAIT) == 0)
        io_close_quietly(view->ctx->io, &view->fd);
    (void)poll(NULL, 0, SETTLE_MS);
    while (view->fd >= 0 && recv(view->fd, data, sizeof data, MSG_DONTWAIT) > 0) {
    }
}

static void wait_for_change(struct view *view)
{
    ask_daemon(view);
    struct pollfd fds[] = { { .fd = view->fd, .events = POLLIN }, { .fd = STDOUT_FILENO } }; // the second: nobody reads any more
    int ready = poll(fds, 2, view->fd < 0 ? ALONE_MS : TOLD_MS);
    if (ready > 0 && fds[0].revents != 0)
        take_news(view);
    if (ready > 0 && (fds[1].revents & (POLLERR | POLLHUP)) != 0)
        (void)raise(SIGTERM);
}

int status_watch(const struct context *ctx, const struct status_options *options, struct error *err)
{
    struct view view = { .ctx = ctx, .options = options, .is_terminal = isatty(STDOUT_FILENO) == 1 && !ctx->json, .fd = -1 };
    interrupt_install();
    int r = 0;
    while (r == 0 && !interrupt_requested()) {
        r = show(&view, err);
        if (r == 0 && !interrupt_requested())
            wait_for_change(&view);
    }
    free(view.shown);
    io_close_quietly(ctx->io, &view.fd);
    return r;
}
