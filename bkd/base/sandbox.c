#include "bkd/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1 // reserves terabytes of addresses and reports on standard error
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

// ---- descriptors and signals

static void close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
        return;
    struct rlimit limit = { .rlim_cur = 1024 }; // Linux before 5.9
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = first; (rlim_t)fd < limit.rlim_cur; fd++)
        (void)close(fd);
}

static void set_signals(const int *signals, size_t n, sighandler_t what)
{
    for (size_t i = 0; i < n; i++)
        (void)signal(signals[i], what);
}

void sandbox_keep_only(int fd)
{
    static const int from_terminal[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGUSR1, SIGUSR2 };
    static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGCHLD };
    set_signals(from_terminal, sizeof from_terminal / sizeof *from_terminal, SIG_IGN);
    if (!SANITIZED)
        set_signals(faults, sizeof faults / sizeof *faults, SIG_DFL);
    if (fd != SANDBOX_FD && dup2(fd, SANDBOX_FD) < 0)
        _exit(126); // without its one descriptor it has nothing to do
    close_from(SANDBOX_FD + 1);
    for (int standard = 0; standard < (SANITIZED ? 2 : 3); standard++)
        (void)close(standard);
}

// ---- limits

static void limit(int resource, rlim_t most)
{
    struct rlimit l = { most, most };
    (void)setrlimit(resource, &l); // lowering can only fail for an unknown resource
}

static void limit_memory(size_t more)
{
    unsigned long long pages = 0;
    FILE *f = SANITIZED ? NULL : fopen("/proc/self/statm", "re");
    if (f == NULL)
        return;
    if (fscanf(f, "%llu", &pages) == 1)
        limit(RLIMIT_AS, (rlim_t)(pages * (unsigned long long)sysconf(_SC_PAGESIZE) + more));
    (void)fclose(f);
}

// Rights each version of Landlock knows, as far as they are about files: all are taken away. The numbers are the kernel's (landlock.h), named
// here so that older headers build what newer kernels understand.
static uint64_t file_rights(int version)
{
    uint64_t rights = (UINT64_C(1) << 13) - 1; // execute … make_sym
    if (version >= 2)
        rights |= UINT64_C(1) << 13; // refer
    if (version >= 3)
        rights |= UINT64_C(1) << 14; // truncate
    if (version >= 5)
        rights |= UINT64_C(1) << 15; // ioctl on devices
    return rights;
}

static int take_paths_away(void)
{
    struct {
        uint64_t fs, net, scoped;
    } rules = { 0 };
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version <= 0)
        return 0;
    rules.fs = file_rights((int)version);
    rules.net = version >= 4 ? 3 : 0;    // bind and connect TCP
    rules.scoped = version >= 6 ? 3 : 0; // abstract sockets, signals to processes outside
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return 0;
    bool done = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    (void)close(fd);
    return done ? (int)version : 0;
}

// What a directory that only grows needs: files read, written, made, named and dropped, directories read and made. No programs, links, devices, sockets.
static uint64_t growing_rights(int version)
{
    uint64_t rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                      LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG;
    return version >= 2 ? rights | UINT64_C(1) << 13 : rights; // a rename from one directory to another
}

int sandbox_only_below(int dirfd)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version <= 0)
        return 0;
    uint64_t rights = file_rights((int)version);
    struct landlock_path_beneath_attr below = { .allowed_access = growing_rights((int)version), .parent_fd = dirfd };
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0);
    if (fd < 0)
        return 0;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    bool done = syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0 && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    (void)close(fd);
    return done ? (int)version : 0;
}

bool sandbox_no_programs(void)
{
    static const int calls[] = { SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
                                 SCMP_SYS(process_vm_writev), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare), SCMP_SYS(setns),
                                 SCMP_SYS(bpf), SCMP_SYS(keyctl), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(reboot), SCMP_SYS(listen),
                                 SCMP_SYS(accept4), SCMP_SYS(accept), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(mknod),
                                 SCMP_SYS(mknodat), SCMP_SYS(truncate), SCMP_SYS(ftruncate) };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool good = filter != NULL;
    for (size_t i = 0; good && i < sizeof calls / sizeof *calls; i++)
        good = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0) == 0;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    good = good && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return good;
}

void sandbox_no_core(void)
{
    struct rlimit core = { 0 };
    (void)getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = 0; // programs it starts may allow themselves cores again
    (void)setrlimit(RLIMIT_CORE, &core);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void sandbox_limit(size_t memory_bytes, struct sandbox_state *ret_state)
{
    limit_memory(memory_bytes);
    sandbox_no_core();
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    *ret_state = (struct sandbox_state){ .landlock = take_paths_away() };
}

void sandbox_no_more_files(void)
{
    limit(RLIMIT_NOFILE, 0);
    limit(RLIMIT_NPROC, 0);
}

// ---- system calls

// What a decoder does: receive, compute, answer, end; memory for that. Names that a machine does not have are left out by libseccomp.
static const int works[] = {
    SCMP_SYS(recvmsg),       SCMP_SYS(recvfrom),     SCMP_SYS(sendmsg),      SCMP_SYS(sendto),         SCMP_SYS(futex),
    SCMP_SYS(brk),           SCMP_SYS(munmap),       SCMP_SYS(mremap),       SCMP_SYS(madvise),        SCMP_SYS(exit),
    SCMP_SYS(exit_group),    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),  SCMP_SYS(getrandom),    SCMP_SYS(getpid),       SCMP_SYS(gettid),         SCMP_SYS(sched_yield),
    SCMP_SYS(restart_syscall),
};

// What the process that forks the decoders does on top, and what these do until their own filter is in place.
static const int forks[] = {
    SCMP_SYS(clone),    SCMP_SYS(clone3),  SCMP_SYS(fork),      SCMP_SYS(vfork),       SCMP_SYS(wait4),     SCMP_SYS(waitid),
    SCMP_SYS(kill),     SCMP_SYS(mmap),    SCMP_SYS(mprotect),  SCMP_SYS(close),       SCMP_SYS(close_range), SCMP_SYS(dup2),
    SCMP_SYS(dup3),     SCMP_SYS(prctl),   SCMP_SYS(seccomp),   SCMP_SYS(prlimit64),   SCMP_SYS(setrlimit), SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),     SCMP_SYS(getppid), SCMP_SYS(set_tid_address),
};

// Only an attack asks for these.
static const int kills[] = {
    SCMP_SYS(execve),  SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(socket),
    SCMP_SYS(connect), SCMP_SYS(bind),     SCMP_SYS(mount),  SCMP_SYS(unshare),          SCMP_SYS(setns),             SCMP_SYS(bpf),
};

static bool add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (seccomp_rule_add(filter, action, calls[i], 0) < 0)
            return false;
    return true;
}

// Memory without backing by a file and never executable; that is all a worker may ask for.
static bool add_memory(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                            SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
}

// Ending itself (abort, assert) is allowed, signals to others are not.
static bool add_abort(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

static bool fill(scmp_filter_ctx filter, enum sandbox_role role)
{
    bool good = add(filter, SCMP_ACT_ALLOW, works, COUNT(works)) && add(filter, SCMP_ACT_KILL_PROCESS, kills, COUNT(kills));
    if (good && role == SANDBOX_FORKS)
        good = add(filter, SCMP_ACT_ALLOW, forks, COUNT(forks)) && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 0) == 0;
    else if (good)
        good = add_memory(filter) && add_abort(filter);
    if (good && SANITIZED) // its report
        good = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO, 0)) == 0 &&
               seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 0) == 0;
    return good;
}

void sandbox_filter(enum sandbox_role role, struct sandbox_state *state)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = -ENOMEM;
    if (filter != NULL)
        r = fill(filter, role) ? seccomp_load(filter) : -EINVAL;
    seccomp_release(filter);
    state->filtered = r == 0;
    state->filter_errno = -r;
}
