#include "bkd/daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/local_socket.h"
#include "bkd/base/log.h"

#define NS_PER_MS UINT64_C(1000000)

enum { ANSWERS_MAX = 1 << 20, ACCEPTS_A_TURN = 256, LOG_WINDOW_MS = 60000, TIRED_MS = 1000 };

//   accepted ──take_line──> has asked ──control_end──> is ending ──flush──> gone
//      └───────── on_late, on_client (too long, gone), make_room: drop ──────┘
struct client {
    struct control_client shown; // first: the daemon's pointer is this one's
    struct control *control;
    struct client *next;
    int fd;
    struct loop_source *source, *limit;
    struct buf in, out;
    bool has_asked, is_ending;
};

struct control {
    struct loop *loop;
    char *state_dir;
    int fd;
    struct loop_source *source, *rest;
    control_fn *fn;
    void *arg;
    struct client *clients; // the newest first
    size_t count;
    uint64_t dropped, next_log_ns;
};

// ---- losing clients --------------------------------------------------------------------------------------------------------

static void note_drop(struct control *control, const char *why)
{
    uint64_t now = io_monotonic_ns(io_real());
    control->dropped++;
    if (now < control->next_log_ns)
        return;
    log_warn("control socket: %llu client%s dropped, the last one since %s; more are counted and told of in a minute", (unsigned long long)control->dropped,
             control->dropped == 1 ? " was" : "s were", why);
    control->dropped = 0;
    control->next_log_ns = now + LOG_WINDOW_MS * NS_PER_MS;
}

static void free_client(struct client *c)
{
    struct client **link = &c->control->clients;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    c->control->count--;
    loop_source_free(c->source);
    loop_source_free(c->limit);
    (void)close(c->fd);
    buf_done(&c->in);
    buf_done(&c->out);
    free(c);
}

static void drop(struct client *c, const char *why)
{
    note_drop(c->control, why);
    free_client(c);
}

static void on_late(void *arg) { drop(arg, "it was too slow"); }

// ---- answers ---------------------------------------------------------------------------------------------------------------

// Sends what the socket takes; false when the client is gone, and freed.
static bool flush(struct client *c)
{
    ssize_t n = c->out.len == 0 ? 0 : send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        free_client(c);
        return false;
    }
    if (n > 0) {
        memmove(c->out.data, c->out.data + n, c->out.len - (size_t)n);
        c->out.len -= (size_t)n;
    }
    if (c->out.len == 0 && c->is_ending) {
        free_client(c);
        return false;
    }
    loop_set_events(c->source, c->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (c->out.len == 0)
        loop_set_time(c->limit, UINT64_MAX);
    else if (n != 0)
        loop_set_delay(c->limit, CONTROL_REQUEST_MS * NS_PER_MS);
    return true;
}

void control_answer(struct control_client *client, struct json **line)
{
    struct client *c = (struct client *)client;
    _cleanup_json_ struct json *json = TAKE(*line);
    if (c->out.len > ANSWERS_MAX)
        return; // it does not read, and will be dropped for being slow
    json_format(json, &c->out);
    buf_add_char(&c->out, '\n');
    loop_set_events(c->source, EPOLLIN | EPOLLOUT); // sent by the loop, where losing the client surprises nobody
    loop_set_delay(c->limit, CONTROL_REQUEST_MS * NS_PER_MS);
}

void control_refuse(struct control_client *client, const struct error *err)
{
    struct json *line = json_line_new("error");
    json_add_str(line, "code", error_code_name(err->code));
    json_add_i64(line, "exit", error_exit_code(err->code));
    json_add_str(line, "message", err->text);
    control_answer(client, &line);
    control_end(client);
}

void control_end(struct control_client *client)
{
    struct client *c = (struct client *)client;
    c->is_ending = true;
    loop_set_events(c->source, EPOLLIN | EPOLLOUT);
}

void control_each(struct control *control, void (*fn)(void *arg, struct control_client *client), void *arg)
{
    for (struct client *c = control->clients; c != NULL; c = c->next)
        if (c->has_asked && !c->is_ending)
            fn(arg, &c->shown);
}

// ---- requests --------------------------------------------------------------------------------------------------------------

static void take_request(struct client *c, size_t n)
{
    struct control_request request;
    struct error err;
    c->has_asked = true;
    loop_set_time(c->limit, UINT64_MAX);
    if (control_request_parse(c->in.data, n, &request, &err) < 0) {
        note_drop(c->control, err.text);
        control_refuse(&c->shown, &err);
        return;
    }
    c->control->fn(c->control->arg, &c->shown, &request);
}

static void on_client(void *arg, uint32_t events)
{
    struct client *c = arg;
    char data[CONTROL_REQUEST_MAX];
    if ((events & EPOLLOUT) != 0 && !flush(c))
        return;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
        return;
    ssize_t n = recv(c->fd, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 && c->out.len > 0 && (events & EPOLLHUP) == 0) {
        loop_set_events(c->source, EPOLLOUT); // it has said all it wants, and still listens
        return;
    }
    if (n <= 0) {
        if (!c->has_asked)
            note_drop(c->control, "it left without asking");
        free_client(c);
        return;
    }
    if (c->has_asked)
        return; // one request a connection: the rest is not listened to
    buf_add(&c->in, data, (size_t)n);
    const char *end = memchr(c->in.data, '\n', c->in.len);
    if (end != NULL && (size_t)(end - (const char *)c->in.data) <= CONTROL_REQUEST_MAX)
        take_request(c, (size_t)(end - (const char *)c->in.data));
    else if (c->in.len > CONTROL_REQUEST_MAX)
        drop(c, "its request was too long");
}

// ---- new clients -----------------------------------------------------------------------------------------------------------

// The oldest that has not asked; false when all have.
static bool make_room(struct control *control)
{
    struct client *oldest = NULL;
    for (struct client *c = control->clients; c != NULL; c = c->next)
        if (!c->has_asked)
            oldest = c;
    if (oldest != NULL)
        drop(oldest, "there were too many at once");
    return oldest != NULL;
}

static bool is_permitted(struct control *control, int fd, struct control_client *ret_shown)
{
    struct error err;
    if (local_socket_peer(fd, &ret_shown->uid, &ret_shown->pid, &err) == 0 && (ret_shown->uid == geteuid() || ret_shown->uid == 0))
        return true;
    static const char refusal[] = "{\"type\":\"error\",\"schema\":1,\"code\":\"failed\",\"exit\":1,\"message\":\"only root and the daemon's own user may ask it\"}\n";
    (void)!send(fd, refusal, sizeof refusal - 1, MSG_NOSIGNAL | MSG_DONTWAIT); // a courtesy
    note_drop(control, "it is another user's");
    return false;
}

static void add_client(struct control *control, int fd)
{
    struct error err;
    struct control_client shown = { 0 };
    if (!is_permitted(control, fd, &shown) || (control->count >= CONTROL_CLIENTS_MAX && !make_room(control))) {
        if (control->count >= CONTROL_CLIENTS_MAX)
            note_drop(control, "there were too many at once");
        (void)close(fd);
        return;
    }
    struct client *c = xcalloc(1, sizeof *c);
    *c = (struct client){ .shown = shown, .control = control, .next = control->clients, .fd = fd };
    control->clients = c;
    control->count++;
    if (loop_add_fd(control->loop, fd, EPOLLIN, on_client, c, &c->source, &err) < 0 || loop_add_timer(control->loop, LOOP_MONOTONIC, on_late, c, &c->limit, &err) < 0) {
        drop(c, err.text);
        return;
    }
    loop_set_delay(c->limit, CONTROL_REQUEST_MS * NS_PER_MS);
}

static void on_rested(void *arg) { loop_set_events(((struct control *)arg)->source, EPOLLIN); }

// Without descriptors to accept with, the socket would stay readable and the loop would spin: it rests for a second.
static void on_connection(void *arg, uint32_t events)
{
    struct control *control = arg;
    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            note_drop(control, strerrordesc_np(errno));
            loop_set_events(control->source, 0);
            loop_set_delay(control->rest, TIRED_MS * NS_PER_MS);
        }
        if (fd < 0)
            return;
        add_client(control, fd);
    }
}

int control_new(struct loop *loop, const char *state_dir, control_fn *fn, void *arg, struct control **ret_control, struct error *err)
{
    struct control *control = xcalloc(1, sizeof *control);
    *control = (struct control){ .loop = loop, .state_dir = xstrdup(state_dir), .fd = -1, .fn = fn, .arg = arg };
    int r = local_socket_listen(state_dir, CONTROL_SOCKET, &control->fd, err);
    if (r == 0)
        r = loop_add_fd(loop, control->fd, EPOLLIN, on_connection, control, &control->source, err);
    if (r == 0)
        r = loop_add_timer(loop, LOOP_MONOTONIC, on_rested, control, &control->rest, err);
    if (r < 0) {
        control_free(control);
        return r;
    }
    *ret_control = control;
    return 0;
}

void control_free(struct control *control)
{
    if (control == NULL)
        return;
    while (control->clients != NULL) {
        if (control->clients->out.len > 0) // what it can take at once
            (void)!send(control->clients->fd, control->clients->out.data, control->clients->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        free_client(control->clients);
    }
    loop_source_free(control->source);
    loop_source_free(control->rest);
    if (control->fd >= 0) {
        _cleanup_free_ char *path = xasprintf("%s/%s", control->state_dir, CONTROL_SOCKET);
        (void)unlink(path);
        (void)close(control->fd);
    }
    free(control->state_dir);
    free(control);
}
