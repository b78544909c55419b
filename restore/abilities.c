#include "restore/abilities.h"

#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "restore/replace.h"

#define TRIAL_PREFIX ".bkd-probe-"
#define OTHER_ID 54321u // some owner that is not root
#define BEFORE_1970 INT64_C(-2177452800) // 1901-01-01
#define AFTER_2038 INT64_C(15032385535)  // 2446-05-10, as far as ext4 reaches

int abilities_begin_trying(const struct io *io, int dirfd, struct abilities_trial *ret_trial, struct error *err)
{
    uint64_t random;
    struct abilities_trial trial = { .dirfd = dirfd, .fd = -1 };
    struct statx st;
    io_random(io, &random, sizeof random);
    (void)snprintf(trial.name, sizeof trial.name, TRIAL_PREFIX "%016llx", (unsigned long long)random);
    int r = io_stat(io, dirfd, "", AT_EMPTY_PATH, &st, err);
    if (r == 0)
        r = io_mkdir(io, dirfd, trial.name, 0700, err);
    if (r < 0)
        return r;
    trial.mtime = (struct timespec){ .tv_sec = (time_t)st.stx_mtime.tv_sec, .tv_nsec = (long)st.stx_mtime.tv_nsec };
    r = io_open(io, dirfd, trial.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &trial.fd, err);
    if (r < 0)
        abilities_end_trying(io, &trial);
    else
        *ret_trial = trial;
    return r;
}

void abilities_end_trying(const struct io *io, struct abilities_trial *trial)
{
    struct error ignored; // an empty directory of ours that stays harms nobody
    io_close_quietly(io, &trial->fd);
    (void)!fs_remove_tree(io, trial->dirfd, trial->name, &ignored);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, trial->mtime };
    (void)io->utimensat(io, trial->dirfd, "", times, AT_EMPTY_PATH); // somebody else's directory keeps the new time
}

struct sweep {
    const struct io *io;
    int dirfd;
    int64_t before_s; // those changed later may be in use
};

static int sweep_name(void *arg, const char *name, unsigned char type, struct error *err)
{
    const struct sweep *s = arg;
    struct statx st;
    (void)type, (void)err;
    if (strncmp(name, TRIAL_PREFIX, sizeof TRIAL_PREFIX - 1) == 0 &&
        s->io->statx(s->io, s->dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) == 0 && S_ISDIR(st.stx_mode) &&
        st.stx_uid == geteuid() && st.stx_ctime.tv_sec < s->before_s)
        replace_discard(s->io, s->dirfd, name);
    return 0;
}

void abilities_sweep(const struct io *io, int dirfd, bool all)
{
    struct sweep s = { io, dirfd, all ? INT64_MAX : (int64_t)(io_realtime_ns(io) / 1000000000) - 60 };
    struct error ignored; // a target that cannot be listed shows when it is written to
    (void)!fs_list_dir(io, dirfd, ".", sweep_name, &s, &ignored);
}

static bool make_file(const struct io *io, int dirfd, const char *name)
{
    int fd = io->openat(io, dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool made = fd >= 0;
    io_close_quietly(io, &fd);
    return made;
}

static bool exists(const struct io *io, int dirfd, const char *name)
{
    struct statx st;
    return io->statx(io, dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0;
}

// A name that the file system takes and lists as it was given.
static int is_name(void *arg, const char *name, unsigned char type, struct error *err)
{
    (void)type, (void)err;
    return strcmp(name, arg) == 0;
}

static bool keeps_name(const struct io *io, int dirfd, const char *name)
{
    struct error ignored;
    if (!make_file(io, dirfd, name))
        return false;
    bool listed = fs_list_dir(io, dirfd, ".", is_name, (void *)name, &ignored) == 1;
    (void)io->unlinkat(io, dirfd, name, 0); // goes with the directory otherwise
    return listed;
}

static void try_names(const struct io *io, int fd, struct abilities *a)
{
    struct statvfs st;
    // What some file system forbids; every other byte is taken everywhere.
    static const unsigned char suspects[] = { 1, '\n', '"', '*', ':', '<', '>', '?', '\\', '|', 127, 255 };
    a->name_max = io->fstatvfs(io, fd, &st) == 0 && st.f_namemax > 0 ? (uint32_t)st.f_namemax : 255;
    for (size_t i = 0; i < sizeof suspects; i++) {
        char name[] = { 'x', (char)suspects[i], 'x', '\0' };
        a->forbidden[suspects[i]] = !keeps_name(io, fd, name);
    }
    for (int c = 2; c < 32; c++)
        a->forbidden[c] = a->forbidden[1];
    for (int c = 128; c < 255; c++)
        a->forbidden[c] = false; // may be part of UTF-8: only a byte that never is was tried
    a->trailing = keeps_name(io, fd, "x.") && keeps_name(io, fd, "x ");
    a->folds_case = make_file(io, fd, "case-a") && exists(io, fd, "CASE-A");
}

static void try_kinds(const struct io *io, int fd, struct abilities *a)
{
    a->symlinks = io->symlinkat(io, "nowhere", fd, "symlink") == 0;
    a->hard_links = io->linkat(io, fd, "file", fd, "hard-link", 0) == 0;
    a->fifos = io->mknodat(io, fd, "fifo", S_IFIFO | 0600, 0) == 0;
    a->devices = io->mknodat(io, fd, "device", S_IFCHR | 0600, makedev(1, 3)) == 0;
}

static bool takes_xattr(const struct io *io, int file, const char *name, const void *value, size_t n)
{
    return io->fsetxattr(io, file, name, value, n) == 0;
}

static void try_xattrs(const struct io *io, int file, struct abilities *a)
{
    // u::rw-,u:1:r--,g::r--,m::r--,o::--- as the kernel stores it (version 2)
    static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2,  0, 4, 0, 1,   0,   0,   0,  4, 0,
                                   4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };
    a->acls = takes_xattr(io, file, "system.posix_acl_access", acl, sizeof acl);
    a->user_xattrs = takes_xattr(io, file, "user.bkd-probe", "x", 1);
    a->trusted_xattrs = takes_xattr(io, file, "trusted.bkd-probe", "x", 1);
    a->security_xattrs = takes_xattr(io, file, "security.bkd-probe", "x", 1);
}

static bool keeps_time(const struct io *io, int file, int64_t seconds, uint32_t ns)
{
    struct statx st;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)seconds, .tv_nsec = (long)ns } };
    return io->utimensat(io, file, "", times, AT_EMPTY_PATH) == 0 && io->statx(io, file, "", AT_EMPTY_PATH, STATX_MTIME, &st) == 0 &&
           st.stx_mtime.tv_sec == seconds && st.stx_mtime.tv_nsec == ns;
}

static bool keeps_mode(const struct io *io, int file, mode_t mode)
{
    struct statx st;
    return io->fchmod(io, file, mode) == 0 && io->statx(io, file, "", AT_EMPTY_PATH, STATX_MODE, &st) == 0 && (st.stx_mode & 07777) == mode;
}

// The kernel lets nobody seek beyond what the file system can hold.
static uint64_t largest_file(const struct io *io, int file)
{
    uint64_t most = 0;
    for (int bit = 62; bit >= 0; bit--)
        if (io->lseek(io, file, (off_t)(most | UINT64_C(1) << bit), SEEK_SET) >= 0)
            most |= UINT64_C(1) << bit;
    return most;
}

static void try_file(const struct io *io, int file, struct abilities *a)
{
    a->modes = keeps_mode(io, file, 04711) && keeps_mode(io, file, 0600);
    a->nanoseconds = keeps_time(io, file, 1000000001, 123456789);
    a->times_before_1970 = keeps_time(io, file, BEFORE_1970, 0);
    a->times_after_2038 = keeps_time(io, file, AFTER_2038, 0);
    a->file_size_max = largest_file(io, file);
    try_xattrs(io, file, a);
    a->owners = io->fchownat(io, file, "", OTHER_ID, OTHER_ID, AT_EMPTY_PATH) == 0;
}

int abilities_probe(const struct io *io, int dirfd, struct abilities *ret_abilities, struct error *err)
{
    struct abilities_trial trial;
    struct abilities a = { 0 };
    int file = -1;
    int r = abilities_begin_trying(io, dirfd, &trial, err);
    if (r < 0)
        return r;
    r = io_open(io, trial.fd, "file", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &file, err);
    if (r == 0) {
        try_names(io, trial.fd, &a);
        try_kinds(io, trial.fd, &a);
        try_file(io, file, &a);
        *ret_abilities = a;
    }
    io_close_quietly(io, &file);
    abilities_end_trying(io, &trial);
    return r;
}
