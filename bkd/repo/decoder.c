#include "bkd/repo/decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/repo/decoder_child.h"

#define IDLE_MAX 256u // there are as many as threads that read at once

struct process {
    struct decoder decoder; // first: what callers see
    int socket;
    pid_t pid;
    bool over; // it ended or was given up
};

struct decoders {
    unsigned seconds_per_mib;
    pid_t helper;
    int socket; // to the helper; under the lock, like the rest
    struct sandbox_state state;
    unsigned most; // 0 = as many as are asked for at once
    pthread_mutex_t lock;
    pthread_cond_t given; // one is idle, or gone
    struct process *idle[IDLE_MAX];
    size_t n_idle, n_taken;
};

static struct process *process_of(struct decoder *d) { return (struct process *)d; }

// ---- messages

static bool give(int socket, const void *data, size_t n)
{
    ssize_t sent;
    do
        sent = send(socket, data, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)n;
}

static bool take(int socket, void *data, size_t n)
{
    ssize_t got;
    do
        got = recv(socket, data, n, 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)n;
}

static int helper_gone(struct error *err) { return error_set(err, ERROR_FAILED, "the process that decodes stored data has ended; run the command again"); }

static int ask_helper(struct decoders *pool, const struct decoder_request *request, const int *fds, struct decoder_answer *ret_answer,
                      struct error *err)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct iovec part = { (void *)(uintptr_t)request, sizeof *request };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fds != NULL) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(2 * sizeof(int));
        memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
    }
    pthread_mutex_lock(&pool->lock);
    ssize_t sent;
    do
        sent = sendmsg(pool->socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    bool good = sent == (ssize_t)sizeof *request && take(pool->socket, ret_answer, sizeof *ret_answer);
    pthread_mutex_unlock(&pool->lock);
    return good ? 0 : helper_gone(err);
}

// ---- the helper

static int start_helper(struct decoders *pool, const struct age_identity *identities, size_t n_identities, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, errno, "make a socket for the decoding process");
    pid_t pid = fork();
    if (pid == 0)
        decoder_child_main(pair[1], identities, n_identities);
    int saved = errno;
    (void)close(pair[1]);
    pool->socket = pair[0];
    if (pid < 0)
        return error_set_errno(err, saved, "start the decoding process");
    pool->helper = pid;
    struct decoder_answer hello;
    if (!take(pool->socket, &hello, sizeof hello))
        return helper_gone(err);
    pool->state = hello.state;
    return 0;
}

int decoders_new(const struct age_identity *identities, size_t n_identities, const struct decoders_rules *rules, struct decoders **ret_decoders,
                 struct error *err)
{
    struct decoders *pool = xcalloc(1, sizeof *pool);
    pool->seconds_per_mib = rules->seconds_per_mib > 0 ? rules->seconds_per_mib : DECODER_SECONDS_PER_MIB;
    pool->most = rules->most;
    pool->socket = -1;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->given, NULL);
    int r = start_helper(pool, identities, n_identities, err);
    if (r < 0)
        decoders_free(pool);
    else
        *ret_decoders = pool;
    return r;
}

struct sandbox_state decoders_confinement(const struct decoders *pool) { return pool->state; }

static void free_process(struct process *p)
{
    if (p->decoder.in != NULL)
        (void)munmap(p->decoder.in, DECODER_SHARED_SIZE);
    if (p->socket >= 0)
        (void)close(p->socket);
    free(p);
}

void decoders_free(struct decoders *pool)
{
    if (pool == NULL)
        return;
    for (size_t i = 0; i < pool->n_idle; i++)
        free_process(pool->idle[i]);
    if (pool->socket >= 0)
        (void)close(pool->socket); // the helper's sign to end
    if (pool->helper > 0)
        while (waitpid(pool->helper, NULL, 0) < 0 && errno == EINTR)
            continue;
    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

// ---- decoders

// Memory of fixed size: the other side cannot cut it off below this one.
static int make_shared(struct process *p, int *ret_fd, struct error *err)
{
    int fd = memfd_create("bkd-decoder", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set_errno(err, errno, "make memory for a decoding process");
    void *shared = MAP_FAILED;
    if (ftruncate(fd, DECODER_SHARED_SIZE) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        shared = mmap(NULL, DECODER_SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        int saved = errno;
        (void)close(fd);
        return error_set_errno(err, saved, "make memory for a decoding process");
    }
    p->decoder.in = shared;
    p->decoder.out = p->decoder.in + DECODE_IN_SIZE;
    *ret_fd = fd;
    return 0;
}

static int start_process(struct decoders *pool, struct process *p, struct error *err)
{
    int memory = -1, pair[2];
    struct decoder_answer answer = { 0 };
    int r = make_shared(p, &memory, err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        r = error_set_errno(err, errno, "make a socket for a decoding process");
    } else {
        p->socket = pair[0];
        r = ask_helper(pool, &(struct decoder_request){ .order = DECODER_FORK }, (int[]){ pair[1], memory }, &answer, err);
        (void)close(pair[1]);
    }
    (void)close(memory);
    if (r == 0 && answer.pid < 0)
        r = error_set_errno(err, -answer.pid, "start a decoding process");
    p->pid = answer.pid;
    return r;
}

// An idle one, NULL when there may be one more, or waits.
static struct process *take_idle(struct decoders *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->n_idle == 0 && pool->most > 0 && pool->n_taken >= pool->most)
        pthread_cond_wait(&pool->given, &pool->lock);
    struct process *p = pool->n_idle > 0 ? pool->idle[--pool->n_idle] : NULL;
    pool->n_taken++;
    pthread_mutex_unlock(&pool->lock);
    return p;
}

// Kept for the next one who asks, where it is of any use.
static void give_back(struct decoders *pool, struct process *p)
{
    pthread_mutex_lock(&pool->lock);
    pool->n_taken--;
    bool keep = !p->over && pool->n_idle < IDLE_MAX;
    if (keep)
        pool->idle[pool->n_idle++] = p;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->lock);
    if (!keep)
        free_process(p);
}

int decoders_take(struct decoders *pool, struct decoder **ret_decoder, struct error *err)
{
    struct process *p = take_idle(pool);
    if (p == NULL) {
        p = xcalloc(1, sizeof *p);
        p->socket = -1;
        int r = start_process(pool, p, err);
        if (r < 0) {
            p->over = true;
            give_back(pool, p);
            return r;
        }
    }
    *ret_decoder = &p->decoder;
    return 0;
}

void decoders_give(struct decoders *pool, struct decoder *d) { give_back(pool, process_of(d)); }

// ---- a job

enum outcome { ANSWERED, ENDED, TOO_LONG };

// Waits in steps, each of which counts as a second at most: a process group that was stopped and goes on is not taken for a hang.
static enum outcome await(struct process *p, unsigned seconds, struct decode_reply *ret_reply)
{
    for (unsigned waited = 0; waited < seconds; waited++) {
        struct pollfd ready = { .fd = p->socket, .events = POLLIN };
        int n;
        do
            n = poll(&ready, 1, 1000);
        while (n < 0 && errno == EINTR);
        if (n != 0)
            return take(p->socket, ret_reply, sizeof *ret_reply) ? ANSWERED : ENDED;
    }
    return TOO_LONG;
}

// Why a process that can no longer be used is gone. Whatever it was given made it so: the bytes are not what they should be.
static int bury(struct decoders *pool, struct process *p, enum outcome outcome, struct error *err)
{
    struct decoder_answer answer = { 0 };
    p->over = true;
    int r = ask_helper(pool, &(struct decoder_request){ .order = DECODER_END, .pid = p->pid }, NULL, &answer, err);
    if (r < 0)
        return r;
    if (outcome == TOO_LONG)
        return error_set(err, ERROR_INTEGRITY, "decoding did not come to an end and was stopped");
    if (WIFSIGNALED(answer.status) && WTERMSIG(answer.status) == SIGSYS)
        return error_set(err, ERROR_INTEGRITY, "the decoding process asked the kernel for something forbidden and was ended: do not trust this file");
    if (WIFSIGNALED(answer.status))
        return error_set(err, ERROR_INTEGRITY, "the decoding process was ended by signal %d", WTERMSIG(answer.status));
    return error_set(err, ERROR_INTEGRITY, "the decoding process ended in the middle of its work");
}

// The failures decoding can have; every other code would be the invention of a process that is no longer ours.
static int code_of(const struct decode_reply *reply)
{
    switch (reply->code) {
    case ERROR_NONE:
    case ERROR_KEY:
    case ERROR_FORMAT:
    case ERROR_INTEGRITY:
        return reply->code;
    default:
        return ERROR_INTEGRITY;
    }
}

int decoder_run(struct decoders *pool, struct decoder *d, const struct decode_job *job, struct decode_reply *ret_reply, struct error *err)
{
    struct process *p = process_of(d);
    unsigned mib = 1 + (job->in_size > job->frame_size ? job->in_size : job->frame_size) / (1u << 20);
    enum outcome outcome = ENDED;
    if (give(p->socket, job, sizeof *job))
        outcome = await(p, mib * pool->seconds_per_mib, ret_reply);
    if (outcome != ANSWERED)
        return bury(pool, p, outcome, err);
    int code = code_of(ret_reply);
    if (code < 0)
        return error_set(err, code, "%.*s", (int)sizeof ret_reply->text - 1, ret_reply->text);
    if (ret_reply->size > DECODE_OUT_SIZE)
        return error_set(err, ERROR_INTEGRITY, "decoding gave more than fits");
    return 0;
}
