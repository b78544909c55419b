// A line that passes everything on, and one that is cut: against a server that sends a known stream, several connections at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/dr/cut_line.h"

enum { SIZE = 1 << 20, CONNECTIONS = 3 };

static int listener;
static unsigned port;

static unsigned char byte_at(size_t i) { return (unsigned char)(i * 7 + i / 251); }

// Says what the client said, then the stream, then its end.
static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char word[5];
    unsigned char block[1000];
    if (recv(fd, word, sizeof word, MSG_WAITALL) == (ssize_t)sizeof word && send(fd, word, sizeof word, MSG_NOSIGNAL) == (ssize_t)sizeof word) {
        for (size_t at = 0; at < SIZE;) {
            size_t n = SIZE - at < sizeof block ? SIZE - at : sizeof block;
            for (size_t i = 0; i < n; i++)
                block[i] = byte_at(at + i);
            ssize_t sent = send(fd, block, n, MSG_NOSIGNAL);
            if (sent <= 0)
                break;
            at += (size_t)sent;
        }
    }
    (void)close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd), 0);
        assert_int_equal(pthread_detach(thread), 0);
    }
    return arg;
}

static int set_up(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    pthread_t thread;
    (void)state;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 8) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return -1;
    port = ntohs(address.sin_port);
    return pthread_create(&thread, NULL, serve, NULL) + pthread_detach(thread);
}

static int connect_to(unsigned to)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static struct cut_line *open_line(uint64_t cut_bytes)
{
    struct cut_line *line = NULL;
    struct error err;
    assert_int_equal(cut_line_open(io_real(), "127.0.0.1", port, cut_bytes, &line, &err), 0);
    return line;
}

// Bytes of the stream that came, all of them right, until the end of the connection.
static size_t read_stream(int fd)
{
    char word[5];
    unsigned char block[4096];
    size_t at = 0;
    if (recv(fd, word, sizeof word, MSG_WAITALL) != (ssize_t)sizeof word)
        return 0;
    assert_memory_equal(word, "hello", 5);
    for (ssize_t n; (n = recv(fd, block, sizeof block, 0)) > 0; at += (size_t)n)
        for (size_t i = 0; i < (size_t)n; i++)
            assert_int_equal(block[i], byte_at(at + i));
    return at;
}

static void test_whole(void **state)
{
    struct cut_line *line = open_line(UINT64_MAX);
    int fds[CONNECTIONS];
    (void)state;
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = connect_to(cut_line_port(line));
        assert_int_equal(send(fds[i], "hello", 5, 0), 5);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(read_stream(fds[i]), SIZE);
        (void)close(fds[i]);
    }
    assert_int_equal(cut_line_bytes(line), CONNECTIONS * (SIZE + 5));
    assert_false(cut_line_was_cut(line));
    cut_line_close(line);
}

static void expect_cut(uint64_t cut_bytes)
{
    struct cut_line *line = open_line(cut_bytes);
    unsigned through = cut_line_port(line);
    int fd = connect_to(through);
    assert_int_equal(send(fd, "hello", 5, 0), 5);
    assert_true(read_stream(fd) < cut_bytes);
    assert_true(cut_line_was_cut(line));
    assert_int_equal(cut_line_bytes(line), cut_bytes);
    assert_int_equal(connect_to(through), -1); // for good
    (void)close(fd);
    cut_line_close(line);
}

static void test_cut(void **state)
{
    (void)state;
    expect_cut(1);
    expect_cut(4096);
    expect_cut(SIZE / 10 * 6);
}

// One of several connections reaches the limit: all of them end.
static void test_cut_together(void **state)
{
    struct cut_line *line = open_line(2 * SIZE);
    int fds[CONNECTIONS];
    size_t came = 0;
    (void)state;
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = connect_to(cut_line_port(line));
        assert_int_equal(send(fds[i], "hello", 5, 0), 5);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        came += read_stream(fds[i]);
        (void)close(fds[i]);
    }
    assert_true(came < 2 * SIZE);
    assert_true(cut_line_was_cut(line));
    cut_line_close(line);
}

static void test_a_server_that_is_down(void **state)
{
    struct cut_line *line = NULL;
    struct error err;
    char byte;
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); // a port that nobody listens on, and nobody else gets
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(cut_line_open(io_real(), "127.0.0.1", ntohs(address.sin_port), UINT64_MAX, &line, &err), 0);
    int client = connect_to(cut_line_port(line));
    assert_true(recv(client, &byte, 1, 0) <= 0);
    (void)close(client);
    (void)close(fd);
    cut_line_close(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_together),
        cmocka_unit_test(test_a_server_that_is_down),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
