// What a shell cannot make or see of a file system, for the torture tree (make.sh, inventory.sh). Knows nothing of bkd.
//   tool deep DIR LEVELS NAME-LENGTH   a chain of directories, far beyond PATH_MAX, with a file and a link at every hundredth
//   tool modes DIR                     a file for each of the 4096 modes; for users other than root: of those they can read
//   tool names DIR                     a file for each byte that a name may hold
//   tool links FILE DIR COUNT          that many further names, as far as the file system goes
//   tool many DIR COUNT                that many empty files
//   tool socket PATH
//   tool comb FILE COUNT               data and holes of 4 KiB in turn
//   tool map FILE…                     where data begin and end, by SEEK_DATA and SEEK_HOLE
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static _Noreturn void fail(const char *what, const char *path)
{
    (void)fprintf(stderr, "tool: %s '%s': %s\n", what, path, strerror(errno));
    exit(1);
}

static int must(int r, const char *what, const char *path)
{
    if (r < 0)
        fail(what, path);
    return r;
}

static void put(int dirfd, const char *name, mode_t mode)
{
    int fd = must(openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), "create", name);
    if (write(fd, name, strlen(name)) < 0)
        fail("write", name);
    must(fchmod(fd, mode), "chmod", name);
    must(close(fd), "close", name);
}

static int open_dir(const char *path) { return must(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", path); }

static void make_deep(const char *path, int levels, int length)
{
    char name[256];
    memset(name, 'd', sizeof name);
    name[length] = '\0';
    int fd = open_dir(path);
    for (int i = 1; i <= levels; i++) {
        must(mkdirat(fd, name, 0755), "mkdir", name);
        int next = must(openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", name);
        if (i % 100 == 0 || i == levels) {
            put(next, "file", 0640);
            must(symlinkat("../file", next, "link"), "symlink", "link");
        }
        must(close(fd), "close", name);
        fd = next;
    }
    must(close(fd), "close", name);
}

static void make_modes(const char *path)
{
    int fd = open_dir(path);
    for (int mode = 0; mode < 07777 + 1; mode++) {
        char name[8];
        if (geteuid() != 0 && (mode & 0400) == 0)
            continue;
        (void)snprintf(name, sizeof name, "%04o", (unsigned)mode);
        put(fd, name, (mode_t)mode);
    }
}

static void make_names(const char *path)
{
    int fd = open_dir(path);
    for (int c = 1; c < 256; c++) {
        char name[] = { 'a', (char)c, 'z', '\0' }, alone[] = { (char)c, '\0' };
        if (c == '/')
            continue;
        put(fd, name, 0644);
        if (c != '.')
            put(fd, alone, 0644);
    }
}

static void make_links(const char *first, const char *path, long count)
{
    int fd = open_dir(path);
    for (long i = 0; i < count; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%ld", i);
        if (linkat(AT_FDCWD, first, fd, name, 0) < 0) {
            if (errno == EMLINK)
                return;
            fail("link", name);
        }
    }
}

static void make_many(const char *path, long count)
{
    int fd = open_dir(path);
    for (long i = 0; i < count; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%ld", i);
        must(mknodat(fd, name, S_IFREG | 0644, 0), "create", name);
    }
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket", path);
    // The address is short; the path need not be.
    char *slash = strrchr(path, '/');
    _Bool has_dir = slash != NULL;
    if (has_dir) {
        *slash = '\0';
        must(chdir(path), "chdir", path);
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", has_dir ? slash + 1 : path);
    must(bind(fd, (struct sockaddr *)&address, sizeof address), "bind", address.sun_path);
}

static void make_comb(const char *path, long count)
{
    char block[BLOCK];
    int fd = must(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), "create", path);
    for (long i = 0; i < count; i++) {
        memset(block, (int)(i % 250) + 1, sizeof block);
        if (pwrite(fd, block, sizeof block, 2 * i * BLOCK) != BLOCK)
            fail("write", path);
    }
    must(close(fd), "close", path);
}

static void show_map(const char *path)
{
    struct stat st;
    int fd = must(open(path, O_RDONLY | O_CLOEXEC | O_NOATIME | O_NONBLOCK), "open", path);
    must(fstat(fd, &st), "stat", path);
    printf("%s: ", path);
    for (off_t at = 0; at < st.st_size;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0)
            break;
        at = lseek(fd, data, SEEK_HOLE);
        printf(" %lld-%lld", (long long)data, (long long)at);
    }
    printf(" of %lld\n", (long long)st.st_size);
    must(close(fd), "close", path);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    if (strcmp(verb, "map") == 0) {
        for (int i = 2; i < argc; i++)
            show_map(argv[i]);
        return 0;
    }
    (void)umask(0);
    if (strcmp(verb, "deep") == 0 && argc == 5)
        make_deep(argv[2], atoi(argv[3]), atoi(argv[4]));
    else if (strcmp(verb, "modes") == 0)
        make_modes(argv[2]);
    else if (strcmp(verb, "names") == 0)
        make_names(argv[2]);
    else if (strcmp(verb, "links") == 0 && argc == 5)
        make_links(argv[2], argv[3], atol(argv[4]));
    else if (strcmp(verb, "many") == 0 && argc == 4)
        make_many(argv[2], atol(argv[3]));
    else if (strcmp(verb, "socket") == 0)
        make_socket(argv[2]);
    else if (strcmp(verb, "comb") == 0 && argc == 4)
        make_comb(argv[2], atol(argv[3]));
    else
        return (void)fprintf(stderr, "tool: see the head of its source\n"), 2;
    return 0;
}
