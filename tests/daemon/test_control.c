// The control socket: requests and answers, and clients that are slow, too long, silent, too many or another user's (rows B-10, S-28). The server is a process
// of its own, so that its descriptors can be counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/local_socket.h"
#include "bkd/daemon/control.h"

struct server {
    char dir[200]; // longer than the address of a socket may be
    pid_t pid;
};

static void answer(void *arg, struct control_client *client, const struct control_request *request)
{
    (void)arg;
    if (request->verb == CONTROL_WATCH) {
        struct json *line = json_line_new("watching");
        control_answer(client, &line);
        client->watches = true;
        return;
    }
    for (int i = 0; i < (request->verb == CONTROL_RELOAD ? 3000 : 1); i++) { // more than a socket takes at once
        struct json *line = json_line_new("answer");
        json_add_str(line, "policy", request->policy);
        json_add_str(line, "padding", request->verb == CONTROL_RELOAD ? "a long line, a long line, a long line, a long line, a long line, a long line" : "");
        control_answer(client, &line);
    }
    control_end(client);
}

static void on_term(void *arg) { loop_stop(arg); }

static void serve(const char *dir)
{
    struct loop *loop = NULL;
    struct control *control = NULL;
    struct error err;
    bool ready = loop_new(&loop, &err) == 0 && loop_add_signal(loop, SIGTERM, on_term, loop, &err) == 0 && control_new(loop, dir, answer, NULL, &control, &err) == 0;
    if (ready && loop_run(loop, &err) == 0) {
        control_free(control);
        loop_free(loop);
        _exit(0);
    }
    _exit(1);
}

static int setup(void **state)
{
    struct server *s = xcalloc(1, sizeof *s);
    struct error err;
    int fd = -1;
    strcpy(s->dir, "/tmp/bkd-control-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    strcat(s->dir, "/a-directory-whose-name-is-rather-long-so-that-the-address-of-the-socket-would-not-fit-into-sockaddr_un-at-all-by-itself");
    assert_int_equal(mkdir(s->dir, 0700), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0)
        serve(s->dir);
    for (int i = 0; i < 500 && local_socket_connect(s->dir, CONTROL_SOCKET, 5000, &fd, &err) < 0; i++)
        usleep(10000);
    assert_true(fd >= 0);
    close(fd);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;
    struct error err;
    int status, fd;
    assert_int_equal(kill(s->pid, SIGTERM), 0);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(local_socket_connect(s->dir, CONTROL_SOCKET, 1000, &fd, &err), ERROR_NOT_FOUND); // its name is gone as well
    *strrchr(s->dir, '/') = '\0';
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, s->dir, &err), 0);
    free(s);
    return 0;
}

static int client(const struct server *s)
{
    struct error err;
    int fd = -1;
    assert_int_equal(local_socket_connect(s->dir, CONTROL_SOCKET, 20000, &fd, &err), 0);
    return fd;
}

static void say(int fd, const char *text) { assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text)); }

// Everything up to the end of the connection, which is closed; a reset is an end, too.
static size_t hear(int fd, char *text, size_t n)
{
    size_t total = 0;
    ssize_t got;
    while ((got = recv(fd, text + total, n - 1 - total, 0)) > 0)
        total += (size_t)got;
    assert_true(got == 0 || errno == ECONNRESET);
    text[total] = '\0';
    close(fd);
    return total;
}

static int count_descriptors(pid_t pid)
{
    _cleanup_free_ char *path = xasprintf("/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void ask_works(const struct server *s)
{
    char text[1024];
    int fd = client(s);
    say(fd, "{\"verb\":\"run\",\"policy\":\"erp\"}\n");
    (void)hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "\"policy\":\"erp\""));
}

static void test_request_and_answer(void **state)
{
    struct server *s = *state;
    struct stat st;
    _cleanup_free_ char *path = xasprintf("%s/%s", s->dir, CONTROL_SOCKET);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600);
    ask_works(s);
}

static void test_request_in_pieces(void **state)
{
    struct server *s = *state;
    char text[1024];
    int fd = client(s);
    const char *request = "{\"verb\":\"run\",\"policy\":\"erp\"}\n{\"verb\":\"run\",\"policy\":\"second\"}\n";
    for (const char *c = request; *c != '\0'; c++) {
        if (send(fd, c, 1, MSG_NOSIGNAL) != 1)
            break; // behind the first line nobody listens
        usleep(1000);
    }
    (void)hear(fd, text, sizeof text);
    assert_non_null(strstr(text, "erp"));
    assert_null(strstr(text, "second")); // one request a connection
}

static void test_wrong_requests_are_refused(void **state)
{
    static const char *const requests[] = { "\n", "{}\n", "[1]\n", "GET / HTTP/1.1\r\n", "{\"verb\":\"explode\"}\n", "{\"verb\":\"run\"}\n", "{\"verb\":\"cancel\"}\n",
                                            "{\"verb\":\"run\",\"policy\":\"../p\"}\n", "{\"verb\":\"run\",\"policy\":7}\n", "{\"verb\":\"cancel\",\"run\":1,\"policy\":\"p\"}\n" };
    struct server *s = *state;
    char text[1024];
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        int fd = client(s);
        say(fd, requests[i]);
        (void)hear(fd, text, sizeof text);
        assert_non_null(strstr(text, "\"type\":\"error\""));
    }
    ask_works(s);
}

static void test_too_long_and_too_slow(void **state)
{
    struct server *s = *state;
    char text[1024], flood[3 * CONTROL_REQUEST_MAX];
    int slow = client(s), quick = client(s);
    memset(flood, 'a', sizeof flood);
    say(slow, "{\"verb\":");
    (void)!send(quick, flood, sizeof flood, MSG_NOSIGNAL); // may be refused half-way
    assert_int_equal(hear(quick, text, sizeof text), 0);
    uint64_t before = io_monotonic_ns(io_real());
    assert_int_equal(hear(slow, text, sizeof text), 0);
    assert_true(io_monotonic_ns(io_real()) - before > UINT64_C(1000000) * (CONTROL_REQUEST_MS - 2000));
    ask_works(s);
}

// One that asks for much and reads slowly gets all; one that does not read at all costs no memory and goes.
static void test_long_answers(void **state)
{
    struct server *s = *state;
    static char text[1 << 20];
    ask_works(s);
    int before = count_descriptors(s->pid), reads = client(s), sleeps = client(s);
    say(reads, "{\"verb\":\"reload\"}\n");
    say(sleeps, "{\"verb\":\"reload\"}\n");
    assert_true(hear(reads, text, sizeof text) > 300000);
    for (int i = 0; i < 100 && count_descriptors(s->pid) != before; i++)
        usleep(100000);
    assert_int_equal(count_descriptors(s->pid), before);
    close(sleeps);
}

static void test_ten_thousand_connections(void **state)
{
    enum { AT_ONCE = 500, ROUNDS = 20 };
    struct server *s = *state;
    struct error err;
    static int fds[AT_ONCE];
    char byte;
    ask_works(s);
    int before = count_descriptors(s->pid), watcher = client(s);
    say(watcher, "{\"verb\":\"watch\"}\n");
    while (recv(watcher, &byte, 1, 0) == 1 && byte != '\n') {
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            if (local_socket_connect(s->dir, CONTROL_SOCKET, 20000, &fds[i], &err) < 0)
                fds[i] = -1;
        ask_works(s); // among all of them
        for (int i = 0; i < AT_ONCE; i++)
            if (fds[i] >= 0)
                close(fds[i]);
    }
    assert_true(recv(watcher, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN); // who has asked is not pushed out
    close(watcher);
    for (int i = 0; i < 100 && count_descriptors(s->pid) != before; i++)
        usleep(50000);
    assert_int_equal(count_descriptors(s->pid), before);
}

static void test_other_users_are_refused(void **state)
{
    struct server *s = *state;
    if (geteuid() != 0)
        skip(); // only root can become another user
    _cleanup_free_ char *path = xasprintf("%s/%s", s->dir, CONTROL_SOCKET), *parent = xstrndup(s->dir, (size_t)(strrchr(s->dir, '/') - s->dir));
    assert_true(chmod(parent, 0755) == 0 && chmod(s->dir, 0755) == 0 && chmod(path, 0666) == 0); // as if all doors stood open
    pid_t pid = fork();
    if (pid == 0) {
        char text[1024];
        if (setresuid(65534, 65534, 65534) < 0)
            _exit(9);
        int fd = client(s);
        (void)!send(fd, "{\"verb\":\"ping\"}\n", 16, MSG_NOSIGNAL);
        (void)hear(fd, text, sizeof text);
        _exit(strstr(text, "\"type\":\"error\"") != NULL && strstr(text, "answer") == NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    struct rlimit files = { .rlim_cur = 4096, .rlim_max = 4096 };
    (void)setrlimit(RLIMIT_NOFILE, &files); // where it may not be raised, fewer connect at once
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_request_and_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_requests_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_long_and_too_slow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten_thousand_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_users_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
