#include "bkd/dr/bare_root.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bkd/base/env.h"
#include "bkd/base/fs.h"

enum { WORDS_MAX = 256 };

// What recover.sh says it needs; `package` is Debian's.
static const struct tool {
    const char *name, *package;
} needed[] = {
    { "sh", "dash" },         { "awk", "mawk" },       { "tar", "tar" },          { "zstd", "zstd" },       { "rdiff", "rdiff" },      { "ssh-keygen", "openssh-client" },
    { "grep", "grep" },       { "cat", "coreutils" },  { "chmod", "coreutils" },  { "chown", "coreutils" }, { "cp", "coreutils" },     { "dd", "coreutils" },
    { "head", "coreutils" },  { "id", "coreutils" },   { "ln", "coreutils" },     { "ls", "coreutils" },    { "mkdir", "coreutils" },  { "mkfifo", "coreutils" },
    { "mknod", "coreutils" }, { "mktemp", "coreutils" }, { "mv", "coreutils" },   { "rm", "coreutils" },    { "sha256sum", "coreutils" }, { "sort", "coreutils" },
    { "tac", "coreutils" },   { "tail", "coreutils" }, { "touch", "coreutils" },  { "truncate", "coreutils" },
};
static const struct tool age = { "age", "age" };
static const char *const optional[] = { "setfattr", "chattr", "fallocate" }; // without them recover.sh says what it left out

// A list of words for a command; ends with NULL.
struct words {
    char *list[WORDS_MAX];
    size_t n;
};

static void words_done(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->list[i]);
}
#define _cleanup_words_ __attribute__((cleanup(words_done)))

static void add_word(struct words *w, char *word)
{
    if (w->n + 1 < WORDS_MAX)
        w->list[w->n++] = word;
    else
        free(word);
}

// ---- tools

static char *find_tool(const char *name)
{
    for (const char *at = PROC_PATH; *at != '\0'; at += strcspn(at, ":"), at += *at == ':') {
        char *path = xasprintf("%.*s/%s", (int)strcspn(at, ":"), at, name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static int add_needed(struct words *tools, const struct tool *tool, struct error *err)
{
    char *path = find_tool(tool->name);
    if (path == NULL)
        return error_set(err, ERROR_NOT_FOUND, "recovery by hand needs '%s', and it is not on this host: install the package %s", tool->name, tool->package);
    add_word(tools, path);
    return 0;
}

static int find_tools(bool needs_age, struct words *tools, struct error *err)
{
    int r = needs_age ? add_needed(tools, &age, err) : 0;
    for (size_t i = 0; r == 0 && i < sizeof needed / sizeof *needed; i++)
        r = add_needed(tools, &needed[i], err);
    for (size_t i = 0; r == 0 && i < sizeof optional / sizeof *optional; i++) {
        char *path = find_tool(optional[i]);
        if (path != NULL)
            add_word(tools, path);
    }
    return r;
}

// ---- a root of copies

static int run(const struct io *io, struct words *command, void (*line)(void *, enum proc_stream, const char *, size_t), void *arg, struct proc_result *ret_result,
               struct error *err)
{
    _cleanup_env_ struct env env = { 0 };
    env_init(&env, NULL);
    return proc_run(io, &(struct proc_options){ .argv = (const char *const *)command->list, .env = env.list, .line = line, .arg = arg }, ret_result, err);
}

static int copy_files(const struct io *io, const char *option, const char *to, const struct words *files, struct error *err)
{
    _cleanup_words_ struct words command = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    add_word(&command, xstrdup("cp"));
    add_word(&command, xstrdup("-L"));
    if (option != NULL)
        add_word(&command, xstrdup(option));
    add_word(&command, xstrdup("-t"));
    add_word(&command, xstrdup(to));
    for (size_t i = 0; i < files->n; i++)
        add_word(&command, xstrdup(files->list[i]));
    int r = run(io, &command, NULL, NULL, &result, err);
    size_t n;
    const char *why = proc_last_line(&result.error.tail, &n);
    bool is_full = strstr(buf_str(&result.error.tail), "No space left on device") != NULL; // its environment asks for these words
    if (r == 0 && !proc_result_ok(&result))
        r = error_set(err, is_full ? ERROR_NO_SPACE : ERROR_FAILED, "tools cannot be copied to '%s': %.*s", to, (int)n, why);
    return r;
}

// "	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", "	/lib64/ld-linux-x86-64.so.2 (0x…)"; what ends with a colon names the program.
static void take_library(void *arg, enum proc_stream stream, const char *text, size_t n)
{
    struct words *libraries = arg;
    const char *path = memchr(text, '/', n);
    if (stream != PROC_OUTPUT || path == NULL || text[0] != '\t')
        return;
    char *found = xstrndup(path, strcspn(path, " \n"));
    for (size_t i = 0; i < libraries->n; i++)
        if (strcmp(libraries->list[i], found) == 0) {
            free(found);
            return;
        }
    add_word(libraries, found);
}

static int copy_libraries(const struct io *io, const char *root, const struct words *tools, struct error *err)
{
    _cleanup_words_ struct words command = { 0 }, libraries = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    add_word(&command, xstrdup("ldd"));
    for (size_t i = 0; i < tools->n; i++)
        add_word(&command, xstrdup(tools->list[i]));
    int r = run(io, &command, take_library, &libraries, &result, err); // programs without libraries make it end with 1
    return r < 0 || libraries.n == 0 ? r : copy_files(io, "--parents", root, &libraries, err);
}

static int make_file(const struct bare_root *b, const char *name, const char *text, struct error *err)
{
    _cleanup_free_ char *path = bare_root_outside(b, name);
    return fs_create_file(b->io, AT_FDCWD, path, 0644, text, strlen(text), err);
}

static int make_directories(const struct bare_root *b, struct error *err)
{
    static const char *const names[] = { "/bin", "/dev", "/etc", "/tmp" };
    int r = fs_make_dirs(b->io, AT_FDCWD, b->path, 0700, err);
    for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++) {
        _cleanup_free_ char *path = bare_root_outside(b, names[i]);
        r = io_mkdir(b->io, AT_FDCWD, path, 0755, err);
    }
    return r;
}

// Some file systems, and most containers, have no place for devices that work: then there is no root to change to.
static bool make_devices(const struct bare_root *b)
{
    static const struct {
        const char *name;
        unsigned minor;
    } devices[] = { { "/dev/null", 3 }, { "/dev/zero", 5 } };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        _cleanup_free_ char *path = bare_root_outside(b, devices[i].name);
        int fd = b->io->mknodat(b->io, AT_FDCWD, path, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return false;
        (void)close(fd);
    }
    return true;
}

static int fill_root(const struct bare_root *b, const struct words *tools, struct error *err)
{
    _cleanup_free_ char *bin = bare_root_outside(b, "/bin");
    int r = copy_files(b->io, NULL, bin, tools, err);
    if (r == 0)
        r = copy_libraries(b->io, b->path, tools, err);
    return r < 0 ? r : make_file(b, "/etc/passwd", "root:x:0:0:root:/:/bin/sh\n", err); // ssh-keygen wants to know who it is
}

// ---- a directory of links

static int link_tools(const struct bare_root *b, const struct words *tools, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < tools->n; i++) {
        _cleanup_free_ char *path = xasprintf("%s/bin%s", b->path, strrchr(tools->list[i], '/'));
        if (b->io->symlinkat(b->io, tools->list[i], AT_FDCWD, path) < 0)
            r = error_set(err, ERROR_FAILED, "'%s' cannot be made", path);
    }
    return r;
}

int bare_root_make(const struct io *io, const char *path, bool needs_age, struct bare_root *ret_root, struct error *err)
{
    _cleanup_words_ struct words tools = { 0 };
    struct bare_root b = { .io = io, .path = xstrdup(path), .way = BARE_ROOT_PATH };
    int r = find_tools(needs_age, &tools, err);
    if (r == 0)
        r = make_directories(&b, err);
    if (r == 0 && geteuid() == 0 && make_devices(&b))
        b.way = BARE_ROOT_CHROOT;
    if (r == 0)
        r = b.way == BARE_ROOT_CHROOT ? fill_root(&b, &tools, err) : link_tools(&b, &tools, err);
    if (r < 0) {
        bare_root_done(&b);
        return error_prefix(err, "a place without bkd");
    }
    *ret_root = b;
    return 0;
}

void bare_root_done(struct bare_root *b)
{
    free(b->path);
    *b = (struct bare_root){ 0 };
}

char *bare_root_outside(const struct bare_root *b, const char *name) { return xasprintf("%s%s", b->path, name); }

char *bare_root_inside(const struct bare_root *b, const char *name) { return b->way == BARE_ROOT_CHROOT ? xstrdup(name) : bare_root_outside(b, name); }

int bare_root_sh(const struct bare_root *b, const char *const *arguments, const char *const *env, bool (*stop)(void *arg), struct proc_result *ret_result, struct error *err)
{
    _cleanup_words_ struct words command = { 0 }, all_env = { 0 };
    _cleanup_free_ char *bin = bare_root_inside(b, "/bin");
    if (b->way == BARE_ROOT_CHROOT) {
        add_word(&command, xstrdup("chroot"));
        add_word(&command, xstrdup(b->path));
    }
    add_word(&command, xasprintf("%s/sh", bin));
    for (; *arguments != NULL; arguments++)
        add_word(&command, xstrdup(*arguments));
    add_word(&all_env, xasprintf("PATH=%s", bin));
    add_word(&all_env, xstrdup("LC_ALL=C"));
    for (; *env != NULL; env++)
        add_word(&all_env, xstrdup(*env));
    const struct proc_options options = { .argv = (const char *const *)command.list, .env = (const char *const *)all_env.list, .stop = stop };
    return proc_run(b->io, &options, ret_result, err);
}
