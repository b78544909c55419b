#include "bkd/dr/mtree_compare.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- lines

struct line {
    char *path; // decoded, "./…"
    char *type, *uid, *gid, *mode, *time, *size, *sha256, *link; // NULL where the line has none; link decoded
};

// \ooo becomes its byte, in place. False: a backslash that begins nothing, or a NUL.
static bool decode(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++, to++) {
        *to = *at;
        if (*at != '\\')
            continue;
        char digits[4] = { 0 }, *end;
        memcpy(digits, at + 1, strnlen(at + 1, 3));
        *to = (char)strtoul(digits, &end, 8);
        if (end != digits + 3 || *to == '\0')
            return false;
        at += 3;
    }
    *to = '\0';
    return true;
}

static bool take_word(struct line *l, char *word)
{
    static const char *const keys[] = { "type=", "uid=", "gid=", "mode=", "time=", "size=", "sha256=", "link=" };
    char **const fields[] = { &l->type, &l->uid, &l->gid, &l->mode, &l->time, &l->size, &l->sha256, &l->link };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(word, keys[i], strlen(keys[i])) == 0)
            *fields[i] = word + strlen(keys[i]);
    return strchr(word, '=') != NULL;
}

static bool parse(char *text, struct line *ret_line)
{
    char *rest = NULL;
    struct line l = { .path = strtok_r(text, " \n", &rest) };
    bool good = l.path != NULL && decode(l.path);
    for (char *word; good && (word = strtok_r(NULL, " \n", &rest)) != NULL;)
        good = take_word(&l, word);
    *ret_line = l;
    return good && l.type != NULL && (l.link == NULL || decode(l.link));
}

// ---- entries

static void __attribute__((format(printf, 3, 4))) tell(struct mtree_comparison *c, const char *path, const char *format, ...)
{
    va_list args;
    char what[200];
    if (++c->n_problems > MTREE_PROBLEMS_KEPT)
        return;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    buf_addf(&c->problems, "%.300s: %s\n", path, what);
}

static const char *type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "dir";
    case S_IFREG:
        return "file";
    case S_IFLNK:
        return "link";
    case S_IFIFO:
        return "fifo";
    case S_IFCHR:
        return "char";
    case S_IFBLK:
        return "block";
    default:
        return "other";
    }
}

static void compare_number(struct mtree_comparison *c, const char *path, const char *what, const char *wanted, int base, uint64_t is)
{
    if (wanted == NULL || strtoull(wanted, NULL, base) == is)
        return;
    tell(c, path, base == 8 ? "%s is %llo instead of %s" : "%s is %llu instead of %s", what, (unsigned long long)is, wanted);
}

static void compare_link(struct mtree_comparison *c, int tree_fd, const struct line *l)
{
    char target[4096 + 1];
    ssize_t n = readlinkat(tree_fd, l->path, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    if (strcmp(target, l->link) != 0)
        tell(c, l->path, "points somewhere else");
}

static void compare_entry(struct mtree_comparison *c, int tree_fd, const struct line *l, bool with_owners)
{
    struct stat st;
    char time[64];
    if (fstatat(tree_fd, l->path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        tell(c, l->path, "is not there");
        return;
    }
    if (strcmp(type_of(st.st_mode), l->type) != 0) {
        tell(c, l->path, "is a %s instead of a %s", type_of(st.st_mode), l->type);
        return;
    }
    (void)snprintf(time, sizeof time, "%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    if (l->time != NULL && strcmp(time, l->time) != 0)
        tell(c, l->path, "time is %s instead of %s", time, l->time);
    compare_number(c, l->path, "mode", l->mode, 8, st.st_mode & 07777);
    compare_number(c, l->path, "size", l->size, 10, (uint64_t)st.st_size);
    compare_number(c, l->path, "owner", with_owners ? l->uid : NULL, 10, st.st_uid);
    compare_number(c, l->path, "group", with_owners ? l->gid : NULL, 10, st.st_gid);
    if (l->link != NULL)
        compare_link(c, tree_fd, l);
}

// As sha256sum prints names that hold a backslash, LF or CR.
static void add_sum(FILE *sums, const struct line *l)
{
    if (strpbrk(l->path, "\\\n\r") != NULL)
        (void)fputc('\\', sums);
    (void)fprintf(sums, "%s  ", l->sha256);
    for (const char *at = l->path; *at != '\0'; at++) {
        const char *escaped = *at == '\\' ? "\\\\" : *at == '\n' ? "\\n" : *at == '\r' ? "\\r" : NULL;
        if (escaped != NULL)
            (void)fputs(escaped, sums);
        else
            (void)fputc(*at, sums);
    }
    (void)fputc('\n', sums);
}

static void take_entry(struct mtree_comparison *c, int tree_fd, const struct line *l, bool with_owners, FILE *sums)
{
    bool is_file = strcmp(l->type, "file") == 0;
    c->entries++;
    c->files += is_file;
    compare_entry(c, tree_fd, l, with_owners);
    if (!is_file || l->sha256 == NULL)
        return;
    c->hashed++;
    add_sum(sums, l);
}

int mtree_compare(FILE *listing, int tree_fd, bool with_owners, FILE *sums, struct mtree_comparison *ret_comparison, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    struct mtree_comparison c = { 0 };
    unsigned long long number = 0;
    size_t size = 0;
    int r = 0;
    while (r == 0 && getline(&text, &size, listing) > 0) {
        struct line l;
        number++;
        if (text[0] == '#' || text[0] == '\n')
            continue;
        if (!parse(text, &l))
            r = error_set(err, ERROR_FORMAT, "line %llu of the listing is none of mtree(5)", number);
        else if (strcmp(l.path, ".") != 0)
            take_entry(&c, tree_fd, &l, with_owners, sums);
    }
    if (r == 0 && (ferror(listing) || fflush(sums) != 0 || ferror(sums)))
        r = error_set(err, ERROR_FAILED, "the listing, or the list of hashes, cannot be read or written");
    if (r < 0)
        mtree_comparison_done(&c);
    else
        *ret_comparison = c;
    return r;
}

void mtree_comparison_done(struct mtree_comparison *c)
{
    buf_done(&c->problems);
    *c = (struct mtree_comparison){ 0 };
}
