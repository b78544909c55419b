// A TCP line as it is between two towns, for tests and for scripts/bench: what connects to its port reaches another port through a delay, a rate, and
// the failures that lines have. Not part of bkd.
//
//   slow_line PORT TO-PORT [delay=MS] [rate=BYTES-PER-S] [loss=PERCENT] [cut=BYTES] [cuts=N] [hole=BYTES]
//
// Both ports are on 127.0.0.1. delay: each way. rate: each way. loss: so many of a hundred packets (of 1280 bytes) are late by a retransmission, twice as
// long each time it is lost again; those behind wait, as TCP has it. cut: connections are reset after so many bytes (both ways together), the first N of them
// (cuts, else all). hole: after so many bytes nothing goes any more, in either direction, and no end is told.
// SIGUSR1: from now on nothing goes on the connections there are. SIGUSR2: they are reset. At the end of a connection its bytes and turns are printed: a
// turn is a time the client spoke after the server had, so about a round trip.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 64, CHUNK = 16384, PACKET = 1280, QUEUED_MAX = 16 << 20 };

struct options {
    uint64_t delay_ns, rate, loss, cut, cuts, hole;
};

struct chunk {
    struct chunk *next;
    uint64_t due_ns;
    size_t n, at;
    uint8_t data[CHUNK];
};

struct way {
    int from, to;
    struct chunk *first, *last;
    size_t queued;
    uint64_t free_ns; // when the line has taken what came before
    uint64_t bytes;
    bool ended, told; // the source has ended; the destination was told
};

struct connection {
    bool used, dead; // dead: a black hole
    bool cuts;
    struct way up, down;
    bool server_spoke;
    unsigned turns;
};

static volatile sig_atomic_t dig, reset_all;
static void on_signal(int number) { *(number == SIGUSR1 ? &dig : &reset_all) = 1; }

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in at_port(unsigned port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static void drop_queue(struct way *w)
{
    while (w->first != NULL) {
        struct chunk *c = w->first;
        w->first = c->next;
        free(c);
    }
}

static void end_connection(struct connection *c, bool with_reset)
{
    struct linger now = { .l_onoff = 1 };
    printf("up %llu down %llu turns %u\n", (unsigned long long)c->up.bytes, (unsigned long long)c->down.bytes, c->turns);
    fflush(stdout);
    if (with_reset) {
        (void)setsockopt(c->up.from, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        (void)setsockopt(c->up.to, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    (void)close(c->up.from);
    (void)close(c->up.to);
    drop_queue(&c->up);
    drop_queue(&c->down);
    c->used = false;
}

// How much later than the others a packet arrives, and what it takes of the rate to be sent again.
static uint64_t late_ns(const struct options *o, struct way *w, size_t n)
{
    uint64_t late = 0, timeout = 200000000 + 2 * o->delay_ns;
    while (o->loss > 0 && (uint64_t)(rand() % 100) < o->loss) {
        late += timeout;
        timeout *= 2;
        w->free_ns += o->rate == 0 ? 0 : (uint64_t)n * 1000000000u / o->rate;
    }
    return late;
}

static void take_in(const struct options *o, struct way *w)
{
    struct chunk *c = malloc(sizeof *c);
    if (c == NULL)
        die("malloc");
    ssize_t n = read(w->from, c->data, o->loss > 0 ? PACKET : sizeof c->data);
    if (n <= 0) {
        w->ended |= n == 0 || (errno != EAGAIN && errno != EINTR);
        free(c);
        return;
    }
    uint64_t now = now_ns(), start = w->free_ns > now ? w->free_ns : now;
    w->free_ns = o->rate == 0 ? start : start + (uint64_t)n * 1000000000u / o->rate;
    c->n = (size_t)n;
    c->at = 0;
    c->due_ns = w->free_ns + o->delay_ns + late_ns(o, w, c->n);
    if (w->first != NULL && c->due_ns < w->last->due_ns)
        c->due_ns = w->last->due_ns;
    c->next = NULL;
    *(w->first == NULL ? &w->first : &w->last->next) = c;
    w->last = c;
    w->queued += c->n;
    w->bytes += c->n;
}

// Writes what has arrived at the other end by now.
static void give_out(struct way *w, uint64_t now)
{
    while (w->first != NULL && w->first->due_ns <= now) {
        struct chunk *c = w->first;
        ssize_t n = write(w->to, c->data + c->at, c->n - c->at);
        if (n < 0)
            w->ended |= errno != EAGAIN && errno != EINTR;
        if (n <= 0)
            return;
        c->at += (size_t)n;
        w->queued -= (size_t)n;
        if (c->at < c->n)
            return;
        w->first = c->next;
        free(c);
    }
    if (w->first == NULL && w->ended && !w->told) {
        (void)shutdown(w->to, SHUT_WR);
        w->told = true;
    }
}

static void serve(const struct options *o, struct connection *c, uint64_t now)
{
    uint64_t up = c->up.bytes, down = c->down.bytes;
    if (c->dead)
        return;
    if (!c->up.ended && c->up.queued < QUEUED_MAX)
        take_in(o, &c->up);
    if (!c->down.ended && c->down.queued < QUEUED_MAX)
        take_in(o, &c->down);
    if (c->up.bytes > up && c->server_spoke)
        c->turns++;
    c->server_spoke = c->down.bytes > down || (c->server_spoke && c->up.bytes == up);
    uint64_t all = c->up.bytes + c->down.bytes;
    if (c->cuts && all >= o->cut) {
        end_connection(c, true);
        return;
    }
    c->dead = o->hole > 0 && all >= o->hole;
    give_out(&c->up, now);
    give_out(&c->down, now);
    if (c->up.told && c->down.told)
        end_connection(c, false);
}

static void accept_one(const struct options *o, int listener, unsigned to_port, struct connection *all)
{
    static unsigned number;
    struct sockaddr_in there = at_port(to_port);
    int on = 1, client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct connection *c = all;
    while (c < all + CONNECTIONS && c->used)
        c++;
    if (c == all + CONNECTIONS || server < 0 || connect(server, (struct sockaddr *)&there, sizeof there) < 0) {
        (void)close(client);
        (void)close(server);
        return;
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)fcntl(client, F_SETFL, O_NONBLOCK);
    (void)fcntl(server, F_SETFL, O_NONBLOCK);
    number++;
    *c = (struct connection){ .used = true, .cuts = o->cut > 0 && (o->cuts == 0 || number <= o->cuts), .up = { .from = client, .to = server },
                              .down = { .from = server, .to = client } };
}

static bool readable(const struct way *w) { return !w->ended && w->queued < QUEUED_MAX; }

// What to wait for on one end: bytes from it, or room for bytes to it.
static struct pollfd end_of(const struct connection *c, const struct way *in, const struct way *out, uint64_t now, int *wait_ms)
{
    short events = readable(in) ? POLLIN : 0;
    if (!c->used || c->dead)
        return (struct pollfd){ .fd = -1 };
    if (out->first != NULL && out->first->due_ns <= now)
        events |= POLLOUT;
    else if (out->first != NULL) {
        int ms = (int)((out->first->due_ns - now + 999999) / 1000000);
        *wait_ms = ms < *wait_ms ? ms : *wait_ms;
    }
    return (struct pollfd){ .fd = events == 0 ? -1 : in->from, .events = events };
}

static _Noreturn void run(const struct options *o, int listener, unsigned to_port)
{
    static struct connection all[CONNECTIONS];
    for (;;) {
        struct pollfd polls[2 * CONNECTIONS + 1] = { { .fd = listener, .events = POLLIN } };
        uint64_t now = now_ns();
        int wait_ms = 1000;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            polls[1 + 2 * i] = end_of(&all[i], &all[i].up, &all[i].down, now, &wait_ms);
            polls[2 + 2 * i] = end_of(&all[i], &all[i].down, &all[i].up, now, &wait_ms);
        }
        (void)poll(polls, 2 * CONNECTIONS + 1, wait_ms);
        now = now_ns();
        for (struct connection *c = all; c < all + CONNECTIONS; c++) {
            if (c->used && reset_all)
                end_connection(c, true);
            c->dead |= dig != 0;
            if (c->used)
                serve(o, c, now);
        }
        dig = reset_all = 0;
        if ((polls[0].revents & POLLIN) != 0)
            accept_one(o, listener, to_port, all);
    }
}

static void read_option(struct options *o, const char *text)
{
    struct { const char *name; uint64_t *value; uint64_t unit; } known[] = {
        { "delay=", &o->delay_ns, 1000000 }, { "rate=", &o->rate, 1 }, { "loss=", &o->loss, 1 }, { "cut=", &o->cut, 1 }, { "cuts=", &o->cuts, 1 }, { "hole=", &o->hole, 1 },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(text, known[i].name, strlen(known[i].name)) == 0) {
            *known[i].value = strtoull(text + strlen(known[i].name), NULL, 10) * known[i].unit;
            return;
        }
    fprintf(stderr, "slow_line: '%s' is not known\n", text);
    exit(2);
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    int on = 1;
    if (argc < 3) {
        fprintf(stderr, "usage: slow_line PORT TO-PORT [delay=MS] [rate=BYTES-PER-S] [loss=PERCENT] [cut=BYTES] [cuts=N] [hole=BYTES]\n");
        return 2;
    }
    for (int i = 3; i < argc; i++)
        read_option(&o, argv[i]);
    (void)signal(SIGPIPE, SIG_IGN);
    struct sigaction act = { .sa_handler = on_signal };
    (void)sigaction(SIGUSR1, &act, NULL);
    (void)sigaction(SIGUSR2, &act, NULL);
    struct sockaddr_in here = at_port((unsigned)atoi(argv[1]));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 64) < 0)
        die("listen");
    run(&o, listener, (unsigned)atoi(argv[2]));
}
