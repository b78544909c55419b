#include "bkd/base/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/base/proc.h"

#define RANGES_FILE_MAX (1u << 20)
enum { LINES_MAX = 3, NUMBERS = 3, NUMBER_SIZE = 24, ASK_MS = 200, MAP_TIMEOUT_MS = 10000 };

// ---- what this user may hand out

// "NAME:FIRST:COUNT" in subuid(5); a number may stand for the name.
static bool read_range(const char *line, const char *name, unsigned id, unsigned long *ret_first, unsigned long *ret_count)
{
    char *end = NULL;
    size_t n = strcspn(line, ":");
    bool is_mine = line[n] == ':' && ((n == strlen(name) && strncmp(line, name, n) == 0) || (strtoul(line, &end, 10) == id && end == line + n && n > 0));
    if (!is_mine)
        return false;
    *ret_first = strtoul(line + n + 1, &end, 10);
    if (*end != ':')
        return false;
    *ret_count = strtoul(end + 1, &end, 10);
    return *ret_count > 0;
}

// The largest range of the file.
static bool find_range(const struct io *io, const char *file, unsigned id, unsigned long *ret_first, unsigned long *ret_count)
{
    _cleanup_buf_ struct buf text = { 0 };
    const struct passwd *me = getpwuid(geteuid());
    struct error err;
    unsigned long first, count;
    *ret_count = 0;
    if (fs_read_file(io, AT_FDCWD, file, RANGES_FILE_MAX, &text, &err) < 0)
        return false;
    for (const char *line = buf_str(&text); *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
        if (read_range(line, me == NULL ? "" : me->pw_name, id, &first, &count) && count > *ret_count) {
            *ret_first = first;
            *ret_count = count;
        }
    return *ret_count > 0;
}

// ---- the map

// The arguments of newuidmap(1): the process, and lines "INSIDE OUTSIDE COUNT".
struct map {
    char numbers[1 + LINES_MAX * NUMBERS][NUMBER_SIZE];
    const char *argv[2 + LINES_MAX * NUMBERS + 1];
    size_t n;
};

static void add_number(struct map *m, unsigned long number)
{
    (void)snprintf(m->numbers[m->n], NUMBER_SIZE, "%lu", number);
    m->argv[m->n + 1] = m->numbers[m->n];
    m->n++;
}

static void add_line(struct map *m, unsigned long inside, unsigned long outside, unsigned long count)
{
    if (count == 0)
        return;
    add_number(m, inside);
    add_number(m, outside);
    add_number(m, count);
}

// Numbers from 0 on, with our own in its place.
static void make_map(struct map *m, const char *program, pid_t pid, unsigned own, unsigned long first, unsigned long count)
{
    unsigned long below = own < count ? own : count;
    *m = (struct map){ .argv = { program } };
    add_number(m, (unsigned long)pid);
    add_line(m, 0, first, below);
    add_line(m, own, own, 1);
    add_line(m, own + 1ul, first + below, count - below);
}

static int write_map(const struct io *io, const char *program, const char *file, pid_t pid, unsigned own, struct error *err)
{
    _cleanup_proc_result_ struct proc_result result = { 0 };
    struct map map;
    char how[PROC_TEXT_MAX];
    unsigned long first = 0, count = 0;
    const char *const env[] = { "PATH=" PROC_PATH, NULL };
    if (!find_range(io, file, geteuid(), &first, &count))
        return error_set(err, ERROR_NOT_FOUND, "%s has no range for this user", file);
    make_map(&map, program, pid, own, first, count);
    int r = proc_run(io, &(struct proc_options){ .argv = map.argv, .env = env, .timeout_ms = MAP_TIMEOUT_MS }, &result, err);
    if (r < 0 || proc_result_ok(&result))
        return r;
    proc_result_text(&result, how);
    return error_set(err, ERROR_FAILED, "%s %s: %s", program, how, buf_str(&result.error.tail));
}

// ---- opening

// Our memory may hold secrets, so /proc does not open our namespaces to anybody but ourselves: the child opens its own, and sends the descriptor.
struct handover {
    char byte;
    struct iovec content;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr message;
};

static void prepare_handover(struct handover *p)
{
    *p = (struct handover){ .content = { &p->byte, 1 } };
    p->message = (struct msghdr){ .msg_iov = &p->content, .msg_iovlen = 1, .msg_control = p->control, .msg_controllen = sizeof p->control };
}

static void send_descriptor(int socket, int fd)
{
    struct handover p;
    prepare_handover(&p);
    struct cmsghdr *header = CMSG_FIRSTHDR(&p.message);
    *header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    (void)!sendmsg(socket, &p.message, MSG_NOSIGNAL);
}

static bool receive_descriptor(int socket, int *ret_fd)
{
    struct handover p;
    ssize_t n;
    do {
        prepare_handover(&p);
        n = recvmsg(socket, &p.message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    const struct cmsghdr *header = n == 1 ? CMSG_FIRSTHDR(&p.message) : NULL;
    if (header == NULL || header->cmsg_type != SCM_RIGHTS)
        return false;
    memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
    return true;
}

// Is the namespace's first process until its map is written: until our parent closes the other end, or dies.
_Noreturn static void hold_namespace(int socket)
{
    char byte;
    int fd = unshare(CLONE_NEWUSER) < 0 ? -1 : open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        send_descriptor(socket, fd);
        (void)!read(socket, &byte, 1);
    }
    _exit(0);
}

static int map_ids(const struct io *io, pid_t pid, struct error *err)
{
    int r = write_map(io, "newuidmap", "/etc/subuid", pid, geteuid(), err);
    return r < 0 ? r : write_map(io, "newgidmap", "/etc/subgid", pid, getegid(), err);
}

static void end_child(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static int make_namespace(const struct io *io, int *ret_fd, struct error *err)
{
    int ends[2], fd = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return error_set_errno(err, errno, "socketpair");
    pid_t pid = fork();
    int r = pid < 0 ? error_set_errno(err, errno, "fork") : 0;
    if (pid == 0) {
        (void)close(ends[0]);
        hold_namespace(ends[1]);
    }
    (void)close(ends[1]);
    if (r == 0 && !receive_descriptor(ends[0], &fd))
        r = error_set(err, ERROR_FAILED, "unshare(2) is not allowed");
    if (r == 0)
        r = map_ids(io, pid, err);
    (void)close(ends[0]);
    if (pid > 0)
        end_child(pid);
    if (r == 0)
        *ret_fd = fd;
    else
        io_close_quietly(io, &fd);
    return r;
}

int userns_open(const struct io *io)
{
    struct error err;
    unsigned long first, count;
    int fd = -1;
    if (geteuid() == 0 || !find_range(io, "/etc/subuid", geteuid(), &first, &count))
        return 0;
    if (make_namespace(io, &fd, &err) == 0)
        return fd;
    log_debug("no user namespace: %s", err.text);
    return 0;
}

void userns_close(const struct io *io, int *fd)
{
    if (*fd > 0)
        io_close_quietly(io, fd);
    *fd = 0;
}

// ---- inside

// Rights that can be inherited are inherited where they are ambient, too: capabilities(7).
static int keep_rights(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].inheritable = data[i].permitted;
    if (syscall(SYS_capset, &header, data) < 0)
        return -1;
    for (unsigned long right = 0; prctl(PR_CAPBSET_READ, right, 0, 0, 0) >= 0; right++)
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, right, 0, 0) < 0 && errno != EPERM) // EPERM: not among ours
            return -1;
    return 0;
}

int userns_enter(int fd) { return setns(fd, CLONE_NEWUSER) < 0 ? -1 : keep_rights(); }

struct answer {
    int r;
    struct error err;
};

static bool send_all(int fd, const void *data, size_t n)
{
    const char *at = data;
    while (n > 0) {
        ssize_t written = write(fd, at, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        n -= (size_t)written;
    }
    return true;
}

_Noreturn static void work_inside(int fd, userns_call_fn *call, void *arg, void *result, size_t size, int told, pid_t parent)
{
    struct answer answer = { 0 };
    if (userns_enter(fd) < 0)
        answer.r = error_set_errno(&answer.err, errno, "enter the user namespace");
    else if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent) // entering had cleared it
        answer.r = call(arg, result, &answer.err);
    else
        answer.r = error_set(&answer.err, ERROR_FAILED, "whose work this is has ended");
    (void)(send_all(told, &answer, sizeof answer) && (size == 0 || send_all(told, result, size))); // a short answer is noticed
    _exit(0);
}

// Reads until the child has told everything, or has ended.
static bool receive(int fd, pid_t pid, void *data, size_t n, bool (*stop)(void *arg))
{
    char *at = data;
    while (n > 0) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        if (stop != NULL && stop(NULL))
            (void)kill(pid, SIGTERM);
        if (poll(&wait, 1, ASK_MS) <= 0)
            continue;
        ssize_t got = read(fd, at, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

int userns_call(int fd, userns_call_fn *call, void *arg, void *result, size_t size, bool (*stop)(void *arg), struct error *err)
{
    struct answer answer;
    int told[2];
    if (fd == 0)
        return call(arg, result, err);
    if (pipe2(told, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "pipe");
    pid_t parent = getpid(), pid = fork();
    int fork_errno = errno;
    if (pid == 0)
        work_inside(fd, call, arg, result, size, told[1], parent);
    (void)close(told[1]);
    int r = pid < 0 ? error_set_errno(err, fork_errno, "fork") : 0;
    if (r == 0 && (!receive(told[0], pid, &answer, sizeof answer, stop) || !receive(told[0], pid, result, size, stop)))
        r = error_set(err, ERROR_FAILED, "what worked in the user namespace has ended without a word");
    else if (r == 0 && answer.r < 0)
        r = (*err = answer.err).code;
    (void)close(told[0]);
    if (pid > 0)
        end_child(pid);
    return r;
}
