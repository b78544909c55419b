#include "bkd/dr/parcel.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/base/shell.h"

enum { NAME_BYTES = 16, PIECE = 64 << 10, TICK_MS = 100 };

// The arguments: the directory; name and size of each file; --; the program and its arguments. The first ones to hear of the end are the keys; a program that does
// not end when it is told to is killed. The guard reads the line by itself: another process would hold it open when the guard is ended, and sshd would wait for it.
static const char script[] =
    "umask 077; dir=$1; shift; keys=; child=; "
    "end() { rm -rf -- \"$dir\" ${keys:+\"$keys\"}; [ -z \"$child\" ] || kill \"$child\" 2>/dev/null; }; "
    "trap end EXIT; trap 'exit 125' HUP INT TERM PIPE; "
    "mkdir -- \"$dir\" || exit 125; "
    "for place in \"${XDG_RUNTIME_DIR:-/dev/shm}\" /dev/shm \"$dir\"; do keys=$(mktemp -d \"$place/bkd-restore.XXXXXXXXXX\" 2>/dev/null) && break; done; "
    "ln -s -- \"$keys\" \"$dir/keys\" || exit 125; exec 3<&0 </dev/null; "
    "while [ \"$1\" != -- ]; do "
    "head -c \"$2\" <&3 >\"$dir/$1\" && [ \"$(wc -c <\"$dir/$1\")\" -eq \"$2\" ] || { echo \"'$1' did not arrive whole in $dir\" >&2; exit 125; }; "
    "shift 2; done; shift; chmod 700 \"$1\"; "
    "\"$@\" 3<&- & child=$!; "
    "{ read -r nothing; end; sleep 10; kill -s KILL \"$child\"; } <&3 >/dev/null 2>&1 & guard=$!; exec 3<&-; "
    "wait \"$child\"; status=$?; child=; kill \"$guard\"; exit \"$status\"";

void parcel_init(const struct io *io, struct parcel *ret_parcel)
{
    _cleanup_buf_ struct buf name = { 0 };
    uint8_t random[NAME_BYTES];
    io_random(io, random, sizeof random);
    buf_add_hex(&name, random, sizeof random);
    *ret_parcel = (struct parcel){ .io = io, .directory = xasprintf("/tmp/bkd-restore-%s", buf_str(&name)), .ends = { -1, -1 } };
}

void parcel_done(struct parcel *p)
{
    if (p->io == NULL)
        return; // it was not begun
    atomic_store(&p->is_over, true);
    if (p->is_sending)
        pthread_join(p->thread, NULL);
    io_close_quietly(p->io, &p->ends[0]);
    io_close_quietly(p->io, &p->ends[1]);
    for (size_t i = 0; i < p->n; i++)
        io_close_quietly(p->io, &p->items[i].fd);
    free(p->directory);
    p->io = NULL;
}

// ---- what is in it

static void add(struct parcel *p, const char *name, int fd, uint64_t size)
{
    assert(p->n < PARCEL_ITEMS_MAX);
    p->items[p->n++] = (struct parcel_item){ name, fd, size };
}

int parcel_add_file(struct parcel *p, const char *name, const char *path, struct error *err)
{
    struct statx st;
    int fd = -1, r = io_open(p->io, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, &fd, err);
    if (r == 0)
        r = io_stat(p->io, AT_FDCWD, path, 0, &st, err);
    if (r == 0)
        add(p, name, fd, st.stx_size);
    else
        io_close_quietly(p->io, &fd);
    return r;
}

int parcel_add_bytes(struct parcel *p, const char *name, const void *data, size_t n, struct error *err)
{
    int fd = memfd_create("bkd-parcel", MFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "make room in memory");
    int r = io_write_all(p->io, fd, data, n, "a file in memory", err);
    if (r == 0)
        add(p, name, fd, n);
    else
        io_close_quietly(p->io, &fd);
    return r;
}

char *parcel_path(const struct parcel *p, const char *name) { return xasprintf("%s/%s", p->directory, name); }

void parcel_add_shell(const struct parcel *p, struct buf *out)
{
    const char *const words[] = { "sh", "-c", script, "bkd-parcel", p->directory, NULL };
    shell_add_command(out, words);
    for (size_t i = 0; i < p->n; i++)
        buf_addf(out, " %s %llu", p->items[i].name, (unsigned long long)p->items[i].size);
    buf_add_str(out, " -- ");
}

// ---- on its way

static bool push(struct parcel *p, const uint8_t *data, size_t n)
{
    while (n > 0 && !atomic_load(&p->is_over)) {
        struct pollfd room = { .fd = p->ends[1], .events = POLLOUT };
        if (poll(&room, 1, TICK_MS) <= 0)
            continue;
        ssize_t sent = send(p->ends[1], data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        data += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return n == 0;
}

static bool push_item(struct parcel *p, const struct parcel_item *item)
{
    uint8_t piece[PIECE];
    bool went = true;
    for (uint64_t at = 0; went && at < item->size;) {
        uint64_t left = item->size - at;
        ssize_t n = pread(item->fd, piece, left < sizeof piece ? left : sizeof piece, (off_t)at);
        went = n > 0 && push(p, piece, (size_t)n);
        at += n > 0 ? (uint64_t)n : 0;
    }
    explicit_bzero(piece, sizeof piece);
    return went;
}

// What cannot be sent ends the line: the shell there notices that a file is short. Else the line stays open.
static void *send_all(void *arg)
{
    struct parcel *p = arg;
    bool went = true;
    for (size_t i = 0; went && i < p->n; i++)
        went = push_item(p, &p->items[i]);
    if (!went)
        (void)shutdown(p->ends[1], SHUT_WR);
    return NULL;
}

int parcel_send(struct parcel *p, int *ret_fd, struct error *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->ends) < 0)
        return error_set_errno(err, errno, "a line to ssh");
    int error = pthread_create(&p->thread, NULL, send_all, p);
    if (error != 0)
        return error_set_errno(err, error, "start a thread");
    p->is_sending = true;
    *ret_fd = p->ends[0];
    return 0;
}
