#include "bkd/base/proc.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/proc_child.h"

#define NS_PER_MS 1000000ull
enum { ASK_MS = 200, READ_SIZE = 64 << 10, PIPE_SIZE = 1 << 20, GROUPS_MAX = 1024 };

struct stream {
    int fd;         // -1 when closed
    bool no_writer; // what it still holds is all there will be
    struct proc_kept kept;
    struct buf line; // not ended yet
};

//   running --(time is up, stop)--> stopping --(grace over)--> killed --(grace over again: it hangs in the kernel)--> given up
//      \______________________________\_________________________\--(program ended)--> ended --(outputs at their end, or PROC_LINGER_MS)--> over
struct proc {
    const struct io *io;
    struct proc_options o;
    pid_t pid;
    int pidfd;
    pid_t guard;     // ends the group when this process cannot, since it was killed
    int lifeline_fd; // by whose end the guard knows
    struct stream streams[2];
    uint64_t started_ns;
    uint64_t limit_ns; // when the next step is due: the timeout, then the grace, then giving up, then the end of lingering; 0 = never
    enum { RUNNING, STOPPING, KILLED, ENDED, OVER } state;
    bool ended; // and can be waited for
    struct proc_result result;
};

// ---- before the start ------------------------------------------------------------------------------------------------------

static int find_program(const char *name, char **ret_path, struct error *err)
{
    if (name[0] == '/') {
        *ret_path = xstrdup(name);
        return 0;
    }
    if (strchr(name, '/') != NULL)
        return error_set(err, ERROR_FAILED, "program '%s': give an absolute path, or a name to find in " PROC_PATH, name);
    for (const char *dir = PROC_PATH; *dir != '\0'; dir += strspn(dir, ":")) {
        size_t n = strcspn(dir, ":");
        _cleanup_free_ char *path = xasprintf("%.*s/%s", (int)n, dir, name);
        if (access(path, X_OK) == 0) {
            *ret_path = TAKE(path);
            return 0;
        }
        dir += n;
    }
    return error_set(err, ERROR_NOT_FOUND, "there is no program '%s' in " PROC_PATH, name);
}

static int look_up_user(struct proc_child *c, gid_t groups[GROUPS_MAX], struct error *err)
{
    struct passwd entry, *found = NULL;
    char text[16384];
    int os_errno = getpwnam_r(c->user, &entry, text, sizeof text, &found);
    if (found == NULL)
        return os_errno != 0 ? error_set_errno(err, os_errno, "user '%s'", c->user) : error_set(err, ERROR_FAILED, "there is no user '%s'", c->user);
    int n = GROUPS_MAX;
    if (getgrouplist(c->user, entry.pw_gid, groups, &n) < 0)
        return error_set(err, ERROR_FAILED, "user '%s' is in more than %d groups", c->user, GROUPS_MAX);
    c->uid = entry.pw_uid;
    c->gid = entry.pw_gid;
    c->groups = groups;
    c->n_groups = (size_t)n;
    return 0;
}

static int open_pipe(struct stream *s, int *ret_write_fd, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "pipe");
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK); // the ends are apart: the program's blocks, as it expects
    (void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE); // smaller is slower, not wrong
    s->fd = ends[0];
    *ret_write_fd = ends[1];
    return 0;
}

static void free_child_ends(struct proc_child *c)
{
    const struct io *io = io_real();
    io_close_quietly(io, &c->output_fd);
    io_close_quietly(io, &c->error_fd);
}

// A program of its own rather than a fork of this process: it may wait for hours, and would keep all memory we change meanwhile.
static int start_guard(struct proc *p, struct error *err)
{
    char grace[24];
    (void)snprintf(grace, sizeof grace, "%llu", (unsigned long long)(p->o.grace_ms + 999) / 1000);
    static const char script[] = "read group || exit; read end || { kill -s TERM -- $group; sleep $1; kill -s KILL -- $group; } 2>/dev/null";
    const char *const argv[] = { "sh", "-c", script, "bkd-guard", grace, NULL }, *const env[] = { "PATH=" PROC_PATH, NULL };
    int ends[2], null_fd = -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "pipe");
    p->lifeline_fd = ends[1];
    int r = io_open(p->io, AT_FDCWD, "/dev/null", O_WRONLY, 0, &null_fd, err);
    struct proc_child c = { .path = "/bin/sh", .argv = argv, .env = env, .directory = "/", .input_fd = ends[0], .output_fd = null_fd, .error_fd = null_fd,
                            .tell_fd = -1 };
    if (r == 0)
        r = proc_child_start(&c, &p->guard, err);
    io_close_quietly(p->io, &null_fd);
    io_close_quietly(p->io, &ends[0]);
    return r;
}

static int start(struct proc *p, struct error *err)
{
    const struct proc_options *o = &p->o;
    __attribute__((cleanup(free_child_ends))) struct proc_child c = {
        .argv = o->argv, .env = o->env, .user = o->user, .userns_fd = o->userns_fd, .keep_rights = o->keep_rights, .gives_way = o->gives_way, .output_fd = -1, .error_fd = -1,
    };
    _cleanup_free_ char *path = NULL;
    gid_t groups[GROUPS_MAX];
    int null_fd = -1, r = find_program(o->argv[0], &path, err);
    if (r == 0 && o->user != NULL)
        r = look_up_user(&c, groups, err);
    if (r == 0)
        r = open_pipe(&p->streams[PROC_OUTPUT], &c.output_fd, err);
    if (r == 0 && !o->merge)
        r = open_pipe(&p->streams[PROC_ERROR], &c.error_fd, err);
    else if (r == 0 && (c.error_fd = fcntl(c.output_fd, F_DUPFD_CLOEXEC, 0)) < 0)
        r = error_set_errno(err, errno, "pipe");
    if (r == 0 && o->stdin_fd == 0)
        r = io_open(p->io, AT_FDCWD, "/dev/null", O_RDONLY, 0, &null_fd, err);
    if (r < 0)
        return r;
    c.path = path;
    c.directory = o->directory != NULL ? o->directory : "/";
    c.input_fd = o->stdin_fd != 0 ? o->stdin_fd : null_fd;
    r = start_guard(p, err);
    c.tell_fd = p->lifeline_fd;
    r = r < 0 ? r : proc_child_start(&c, &p->pid, err);
    io_close_quietly(p->io, &null_fd);
    return r;
}

int proc_start(const struct io *io, const struct proc_options *options, struct proc **ret_proc, struct error *err)
{
    _cleanup_proc_ struct proc *p = xcalloc(1, sizeof *p);
    *p = (struct proc){ .io = io, .o = *options, .pidfd = -1, .lifeline_fd = -1, .streams = { { .fd = -1 }, { .fd = -1 } }, .started_ns = io_monotonic_ns(io) };
    p->o.grace_ms = p->o.grace_ms != 0 ? p->o.grace_ms : PROC_GRACE_MS;
    p->o.keep_bytes = p->o.keep_bytes != 0 ? p->o.keep_bytes : PROC_KEEP_BYTES;
    if (p->o.timeout_ms != 0)
        p->limit_ns = p->started_ns + p->o.timeout_ms * NS_PER_MS;
    int r = start(p, err);
    if (r < 0)
        return r;
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->pidfd < 0)
        return error_set_errno(err, errno, "watch '%s'", options->argv[0]);
    *ret_proc = TAKE(p);
    return 0;
}

// ---- while it runs ---------------------------------------------------------------------------------------------------------

static void give_line(struct proc *p, enum proc_stream which)
{
    struct buf *line = &p->streams[which].line;
    p->o.line(p->o.arg, which, buf_str(line), line->len);
    buf_reset(line);
}

static void give_lines(struct proc *p, enum proc_stream which, const char *data, size_t n)
{
    struct buf *line = &p->streams[which].line;
    while (n > 0) {
        if (line->len == PROC_LINE_MAX && *data != '\n')
            give_line(p, which);
        const char *end = memchr(data, '\n', n);
        size_t room = PROC_LINE_MAX - line->len, part = end != NULL ? (size_t)(end - data) : n;
        bool whole = end != NULL && part <= room;
        part = part < room ? part : room;
        buf_add(line, data, part);
        data += part + whole;
        n -= part + whole;
        if (whole)
            give_line(p, which);
    }
}

static void cut_tail(struct buf *tail, size_t max)
{
    if (tail->len <= max)
        return;
    memmove(tail->data, tail->data + tail->len - max, max);
    tail->len = max;
    tail->data[max] = '\0';
}

// Twice the size is collected before the older half goes, so that a flood is not moved byte by byte.
static void keep(struct proc_kept *kept, const void *data, size_t n, size_t max)
{
    kept->total_bytes += n;
    buf_add(&kept->tail, data, n);
    if (kept->tail.len >= 2 * max)
        cut_tail(&kept->tail, max);
}

static void close_stream(struct proc *p, enum proc_stream which)
{
    struct stream *s = &p->streams[which];
    io_close_quietly(p->io, &s->fd);
    if (s->line.len > 0) // its last one had no LF
        give_line(p, which);
}

static void drain(struct proc *p, enum proc_stream which)
{
    char data[READ_SIZE];
    ssize_t n = read(p->streams[which].fd, data, sizeof data);
    if (n == 0)
        close_stream(p, which);
    if (n <= 0)
        return; // nothing at the moment: a pipe knows no other failure
    keep(&p->streams[which].kept, data, (size_t)n, p->o.keep_bytes);
    if (p->o.line != NULL)
        give_lines(p, which, data, (size_t)n);
}

static void set_limit(struct proc *p, int state, uint64_t now, uint64_t ms)
{
    p->state = state;
    p->limit_ns = now + ms * NS_PER_MS;
}

static void begin_stopping(struct proc *p, enum proc_end why, uint64_t now)
{
    p->result.end = why;
    (void)kill(-p->pid, SIGTERM);
    (void)kill(-p->pid, SIGCONT); // a stopped one would not hear it
    set_limit(p, STOPPING, now, p->o.grace_ms);
}

static void take_limit(struct proc *p, uint64_t now)
{
    switch (p->state) {
    case RUNNING:
        begin_stopping(p, PROC_TIMED_OUT, now);
        break;
    case STOPPING:
        (void)kill(-p->pid, SIGKILL);
        set_limit(p, KILLED, now, p->o.grace_ms);
        break;
    default:
        p->result.left_open = true;
        p->result.output_left_open = p->streams[PROC_OUTPUT].fd >= 0 && !p->streams[PROC_OUTPUT].no_writer;
        if (!p->ended)
            p->result.duration_ns = now - p->started_ns;
        p->state = OVER;
    }
}

// The number stays taken until the program is waited for, which proc_free does last: no other group can have it meanwhile.
static void note_end(struct proc *p, uint64_t now)
{
    siginfo_t info = { 0 };
    int r = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOWAIT);
    assert(r == 0); // it is our child, and main() does not ignore SIGCHLD
    if (p->state == RUNNING)
        p->result.end = info.si_code == CLD_EXITED ? PROC_EXITED : PROC_KILLED;
    p->result.code = info.si_status;
    p->result.duration_ns = now - p->started_ns;
    p->ended = true;
    set_limit(p, ENDED, now, PROC_LINGER_MS);
}

static bool outputs_ended(const struct proc *p)
{
    const struct stream *output = &p->streams[PROC_OUTPUT];
    return p->streams[PROC_ERROR].fd < 0 && (output->fd < 0 || (p->o.read_output && output->no_writer));
}

static void take_events(struct proc *p, const struct pollfd *fds, uint64_t now)
{
    if ((fds[PROC_OUTPUT].revents & POLLHUP) != 0)
        p->streams[PROC_OUTPUT].no_writer = true;
    if (fds[PROC_OUTPUT].revents != 0 && !p->o.read_output)
        drain(p, PROC_OUTPUT);
    if (fds[PROC_ERROR].revents != 0)
        drain(p, PROC_ERROR);
    if (fds[2].revents != 0)
        note_end(p, now);
}

// Waits for the next thing to happen, at most so long, and takes it; standard output is left to a caller who reads it.
static void take_turn(struct proc *p, int wait_ms)
{
    struct pollfd fds[] = {
        { .fd = p->streams[PROC_OUTPUT].fd, .events = POLLIN },
        { .fd = p->streams[PROC_ERROR].fd, .events = POLLIN },
        { .fd = p->state < ENDED ? p->pidfd : -1, .events = POLLIN },
    };
    int ready = poll(fds, 3, wait_ms);
    uint64_t now = io_monotonic_ns(p->io);
    if (ready > 0)
        take_events(p, fds, now);
    if (p->state == RUNNING && p->o.stop != NULL && p->o.stop(p->o.arg))
        begin_stopping(p, PROC_INTERRUPTED, now);
    if (p->state == ENDED && outputs_ended(p))
        p->state = OVER;
    else if (p->state != OVER && p->limit_ns != 0 && now >= p->limit_ns)
        take_limit(p, now);
}

int proc_read(struct proc *p, void *data, size_t n, size_t *ret_n, struct error *err)
{
    struct stream *s = &p->streams[PROC_OUTPUT];
    assert(p->o.read_output && n > 0);
    // The first turn does not wait, but sees the time: also a program that always has something to say comes to its end.
    for (int wait_ms = 0;; wait_ms = ASK_MS) {
        take_turn(p, wait_ms);
        ssize_t got = s->fd < 0 || p->result.output_left_open ? 0 : read(s->fd, data, n);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return error_set_errno(err, errno, "read what a program writes");
        if (got < 0)
            continue;
        if (got == 0)
            close_stream(p, PROC_OUTPUT);
        s->kept.total_bytes += (size_t)got;
        *ret_n = (size_t)got;
        return 0;
    }
}

// ---- the end ---------------------------------------------------------------------------------------------------------------

// One that hangs in the kernel cannot be waited for; init will, some day.
static void end_group(struct proc *p)
{
    if (p->pid > 0)
        (void)kill(-p->pid, SIGKILL);
    while (p->pid > 0 && waitpid(p->pid, NULL, p->state == OVER && !p->ended ? WNOHANG : 0) < 0 && errno == EINTR) {
    }
    p->pid = 0;
    if (p->guard > 0)
        (void)kill(p->guard, SIGKILL);
    while (p->guard > 0 && waitpid(p->guard, NULL, 0) < 0 && errno == EINTR) {
    }
    p->guard = 0;
    io_close_quietly(p->io, &p->lifeline_fd);
}

static void give_kept(struct proc_kept *kept, size_t max, struct proc_kept *ret_kept)
{
    cut_tail(&kept->tail, max);
    *ret_kept = *kept;
    *kept = (struct proc_kept){ 0 };
}

void proc_wait(struct proc *p, struct proc_result *ret_result)
{
    if (p->o.read_output)
        close_stream(p, PROC_OUTPUT);
    while (p->state != OVER)
        take_turn(p, ASK_MS);
    end_group(p);
    for (int which = PROC_OUTPUT; which <= PROC_ERROR; which++)
        close_stream(p, which);
    give_kept(&p->streams[PROC_OUTPUT].kept, p->o.keep_bytes, &p->result.output);
    give_kept(&p->streams[PROC_ERROR].kept, p->o.keep_bytes, &p->result.error);
    *ret_result = p->result;
    p->result = (struct proc_result){ 0 };
}

void proc_free(struct proc *p)
{
    if (p == NULL)
        return;
    end_group(p);
    io_close_quietly(p->io, &p->pidfd);
    for (int which = PROC_OUTPUT; which <= PROC_ERROR; which++) {
        io_close_quietly(p->io, &p->streams[which].fd);
        buf_done(&p->streams[which].kept.tail);
        buf_done(&p->streams[which].line);
    }
    free(p);
}

void free_procp(struct proc **p) { proc_free(*p); }

int proc_run(const struct io *io, const struct proc_options *options, struct proc_result *ret_result, struct error *err)
{
    _cleanup_proc_ struct proc *p = NULL;
    int r = proc_start(io, options, &p, err);
    if (r == 0)
        proc_wait(p, ret_result);
    return r;
}

void proc_result_done(struct proc_result *r)
{
    buf_done(&r->output.tail);
    buf_done(&r->error.tail);
}

bool proc_result_ok(const struct proc_result *r) { return r->end == PROC_EXITED && r->code == 0; }

void proc_result_text(const struct proc_result *r, char ret_text[PROC_TEXT_MAX])
{
    char duration[CLOCK_TEXT_MAX];
    clock_format_duration(duration, r->duration_ns);
    switch (r->end) {
    case PROC_EXITED:
        (void)snprintf(ret_text, PROC_TEXT_MAX, "exited with status %d", r->code);
        break;
    case PROC_KILLED:
        (void)snprintf(ret_text, PROC_TEXT_MAX, "was killed by signal %d (%s)", r->code, sigdescr_np(r->code));
        break;
    case PROC_TIMED_OUT:
        (void)snprintf(ret_text, PROC_TEXT_MAX, "did not end within its timeout and was killed after %s", duration);
        break;
    case PROC_INTERRUPTED:
        (void)snprintf(ret_text, PROC_TEXT_MAX, "was interrupted after %s", duration);
        break;
    }
}

const char *proc_last_line(const struct buf *tail, size_t *ret_n)
{
    const char *text = tail->len == 0 ? "" : (const char *)tail->data;
    size_t end = tail->len;
    while (end > 0 && strchr(" \t\r\n", text[end - 1]) != NULL)
        end--;
    size_t start = end;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    while (start < end && strchr(" \t\r", text[start]) != NULL)
        start++;
    *ret_n = end - start;
    return text + start;
}
