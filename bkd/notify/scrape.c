#include "bkd/notify/scrape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/bytes.h"

#define CONNECTIONS_MAX 16u
#define TIMEOUT_S 10u
#define BACKLOG 16
#define TYPE "text/plain; version=0.0.4; charset=utf-8"

struct scrape {
    struct MHD_Daemon *daemon;
    scrape_make_fn *make;
    void *arg;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type, const char *text, size_t n)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(n, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", type);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_line(struct MHD_Connection *connection, unsigned status, const char *line)
{
    return answer(connection, status, "text/plain; charset=utf-8", line, strlen(line));
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version, const char *upload_data,
                              size_t *upload_size, void **state)
{
    struct scrape *s = arg;
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    (void)version;
    (void)upload_data;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return *upload_size > 0 ? MHD_NO : answer_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (*state == NULL) { // the headers are there, the body (there is none) is not
        *state = s;
        return MHD_YES;
    }
    if (strcmp(url, "/metrics") != 0)
        return answer_line(connection, MHD_HTTP_NOT_FOUND, "see /metrics\n");
    if (s->make(s->arg, &text, &err) < 0) {
        _cleanup_free_ char *why = xasprintf("%s\n", err.text);
        return answer_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why);
    }
    return answer(connection, MHD_HTTP_OK, TYPE, buf_str(&text), text.len);
}

// "127.0.0.1:9469" or "[::1]:9469".
static int parse_address(const char *listen_at, struct sockaddr_storage *ret_address, socklen_t *ret_size, struct error *err)
{
    const char *colon = strrchr(listen_at, ':');
    uint64_t port = 0;
    bool is_ok = colon != NULL && parse_u64(colon + 1, strlen(colon + 1), 65535, &port);
    bool is_six = is_ok && listen_at[0] == '[' && colon[-1] == ']';
    size_t skip = is_six ? 1 : 0;
    _cleanup_free_ char *host = is_ok ? xstrndup(listen_at + skip, (size_t)(colon - listen_at) - 2 * skip) : NULL;
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
    memset(ret_address, 0, sizeof *ret_address);
    if (is_six && inet_pton(AF_INET6, host, &six.sin6_addr) == 1) {
        memcpy(ret_address, &six, sizeof six);
        *ret_size = sizeof six;
    } else if (is_ok && !is_six && inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four.sin_addr) == 1) {
        memcpy(ret_address, &four, sizeof four);
        *ret_size = sizeof four;
    } else {
        return error_set(err, ERROR_USAGE, "'%s' is no address to listen at: write 127.0.0.1:9469 or [::1]:9469", listen_at);
    }
    return 0;
}

// The socket is made here, so that a failure can say why.
static int listen_at_address(const char *listen_at, int *ret_fd, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int yes = 1, r = parse_address(listen_at, &address, &size, err);
    if (r < 0)
        return r;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_errno(err, errno, "listen at %s", listen_at);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes); // connections of a process before may linger
    if (bind(fd, (const struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0) {
        r = error_set_errno(err, errno, "listen at %s", listen_at);
        (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int scrape_open(const char *listen_at, scrape_make_fn *make, void *arg, struct scrape **ret_scrape, struct error *err)
{
    int fd = -1, r = listen_at_address(listen_at, &fd, err);
    if (r < 0)
        return r;
    struct scrape *s = xcalloc(1, sizeof *s);
    s->make = make;
    s->arg = arg;
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle, s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                 CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
    if (s->daemon == NULL) {
        (void)close(fd);
        free(s);
        return error_set(err, ERROR_FAILED, "cannot answer at %s", listen_at);
    }
    *ret_scrape = s;
    return 0;
}

unsigned scrape_port(const struct scrape *scrape)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(scrape->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    if (info == NULL || getsockname(info->listen_fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    in_port_t port;
    if (address.ss_family == AF_INET6)
        memcpy(&port, (const char *)&address + offsetof(struct sockaddr_in6, sin6_port), sizeof port);
    else
        memcpy(&port, (const char *)&address + offsetof(struct sockaddr_in, sin_port), sizeof port);
    return ntohs(port);
}

void scrape_close(struct scrape **scrape)
{
    struct scrape *s = TAKE(*scrape);
    if (s == NULL)
        return;
    MHD_stop_daemon(s->daemon); // closes the socket, too
    free(s);
}
