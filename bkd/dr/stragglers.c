#include "bkd/dr/stragglers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "bkd/base/buf.h"
#include "bkd/base/fs.h"

enum { ROUNDS_MAX = 100, CHILDREN_TEXT_MAX = 1 << 20 };

struct children {
    const struct io *io;
    struct buf text; // numbers with spaces between
};

static int read_thread(void *arg, const char *name, unsigned char type, struct error *err)
{
    struct children *c = arg;
    _cleanup_free_ char *path = xasprintf("/proc/self/task/%s/children", name);
    struct error ignored; // the thread has ended, or the kernel does not tell
    (void)type, (void)err;
    (void)!fs_read_file(c->io, AT_FDCWD, path, CHILDREN_TEXT_MAX, &c->text, &ignored);
    buf_add_char(&c->text, ' ');
    return 0;
}

static void read_children(const struct io *io, struct buf *ret_text)
{
    struct children c = { .io = io };
    struct error ignored; // without /proc nothing is known
    (void)!fs_list_dir(io, AT_FDCWD, "/proc/self/task", read_thread, &c, &ignored);
    *ret_text = c.text;
}

static pid_t next_pid(const char **at)
{
    char *end = NULL;
    long pid = strtol(*at, &end, 10);
    *at = end;
    return (pid_t)pid;
}

static bool is_known(const struct stragglers *s, pid_t pid)
{
    for (size_t i = 0; i < s->n_known; i++)
        if (s->known[i] == pid)
            return true;
    return false;
}

void stragglers_watch(const struct io *io, struct stragglers *ret_stragglers)
{
    _cleanup_buf_ struct buf text = { 0 };
    struct stragglers s = { 0 };
    read_children(io, &text);
    const char *at = buf_str(&text);
    pid_t pid = 0;
    while (s.n_known < STRAGGLERS_KNOWN_MAX && (pid = next_pid(&at)) > 0)
        s.known[s.n_known++] = pid;
    // With more children than fit nobody could tell whose they are.
    s.is_watching = s.n_known < STRAGGLERS_KNOWN_MAX && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
    *ret_stragglers = s;
}

size_t stragglers_end(const struct io *io, const struct stragglers *s)
{
    size_t ended = 0, before = SIZE_MAX;
    for (int round = 0; s->is_watching && round < ROUNDS_MAX && before != ended; round++) { // what one leaves comes with the next round
        _cleanup_buf_ struct buf text = { 0 };
        read_children(io, &text);
        const char *at = buf_str(&text);
        before = ended;
        for (pid_t pid = next_pid(&at); pid > 0; pid = next_pid(&at)) {
            if (is_known(s, pid) || kill(pid, SIGKILL) < 0)
                continue;
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
            ended++;
        }
    }
    return ended;
}
