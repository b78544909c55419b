#include "bkd/repo/decoder_child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// A decoder needs the shared memory, a buffer as large as its input and zstd's tables.
enum { MEMORY = 128 << 20 };

// Exactly one message; anything else means that the other side is gone.
static bool receive(void *message, size_t n)
{
    ssize_t got;
    do
        got = recv(SANDBOX_FD, message, n, 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)n;
}

static bool answer(const void *message, size_t n)
{
    ssize_t sent;
    do
        sent = send(SANDBOX_FD, message, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)n;
}

// ---- a decoder

_Noreturn static void serve(uint8_t *shared, const struct age_identity *identities, size_t n_identities)
{
    struct decode *d = decode_new(identities, n_identities);
    struct decode_job job;
    struct decode_reply reply;
    bool more = true;
    while (more && receive(&job, sizeof job)) {
        decode_run(d, &job, shared, shared + DECODE_IN_SIZE, &reply);
        more = answer(&reply, sizeof reply);
        explicit_bzero(&job.key, sizeof job.key);
        explicit_bzero(&reply.key, sizeof reply.key);
    }
    decode_free(d);
    _exit(0);
}

_Noreturn static void decoder_main(int socket, int memory, pid_t helper, const struct age_identity *identities, size_t n_identities)
{
    struct sandbox_state state;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    void *shared = mmap(NULL, DECODER_SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    sandbox_keep_only(socket);
    if (shared == MAP_FAILED || getppid() != helper)
        _exit(126);
    sandbox_no_more_files();
    sandbox_filter(SANDBOX_WORKS, &state);
    serve(shared, identities, n_identities);
}

// ---- the helper

// A request and the descriptors that came with it (-1 when none did).
static bool receive_request(struct decoder_request *ret_request, int ret_fds[2])
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec part = { ret_request, sizeof *ret_request };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t got;
    do
        got = recvmsg(SANDBOX_FD, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    ret_fds[0] = ret_fds[1] = -1;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (got == (ssize_t)sizeof *ret_request && c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(2 * sizeof(int)))
        memcpy(ret_fds, CMSG_DATA(c), 2 * sizeof(int));
    return got == (ssize_t)sizeof *ret_request;
}

static int fork_decoder(const int fds[2], const struct age_identity *identities, size_t n_identities)
{
    pid_t helper = getpid(), pid = fork();
    if (pid == 0)
        decoder_main(fds[0], fds[1], helper, identities, n_identities);
    int saved = errno;
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pid < 0 ? -saved : pid;
}

static int end_decoder(pid_t pid)
{
    int status = 0;
    if (pid <= 0)
        return 0;
    (void)kill(pid, SIGKILL); // a child of this process that nobody else waits for, so the number cannot mean another
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

_Noreturn void decoder_child_main(int socket, const struct age_identity *identities, size_t n_identities)
{
    struct decoder_answer a = { 0 };
    struct decoder_request request;
    int fds[2];
    (void)signal(SIGCHLD, SIG_DFL);
    sandbox_keep_only(socket);
    decode_warm_up();
    sandbox_limit(MEMORY, &a.state);
    sandbox_filter(SANDBOX_FORKS, &a.state);
    bool more = answer(&a, sizeof a);
    while (more && receive_request(&request, fds)) {
        if (request.order == DECODER_FORK)
            a.pid = fork_decoder(fds, identities, n_identities);
        else
            a.status = end_decoder(request.pid);
        more = answer(&a, sizeof a);
    }
    _exit(0); // its decoders die with it
}
