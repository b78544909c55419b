#include "bkd/engine/attrs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "bkd/base/inode_flags.h"

enum { LIST_MAX = 65536, VALUE_MAX = 65536 }; // XATTR_LIST_MAX, XATTR_SIZE_MAX of the kernel

static int compare_names(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

// As getfattr quotes names: what is not printable ASCII, '=' and '\' become \ooo.
static void add_name(struct buf *out, const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= 0x20 || c >= 0x7f || c == '=' || c == '\\')
            buf_addf(out, "\\%03o", c);
        else
            buf_add_char(out, *p);
    }
}

// A descriptor that was opened with O_PATH (a symbolic link, a device) can be asked only through its name in /proc.
struct asked {
    int fd; // -1: by name
    char name[40];
};

static ssize_t list_names(struct asked *file, char *list)
{
    ssize_t n = flistxattr(file->fd, list, LIST_MAX);
    if (n >= 0 || errno != EBADF)
        return n;
    (void)snprintf(file->name, sizeof file->name, "/proc/self/fd/%d", file->fd);
    file->fd = -1;
    return listxattr(file->name, list, LIST_MAX);
}

static ssize_t read_value(const struct asked *file, const char *name, char *value)
{
    return file->fd < 0 ? getxattr(file->name, name, value, VALUE_MAX) : fgetxattr(file->fd, name, value, VALUE_MAX);
}

static int add_attribute(const struct asked *file, const char *path, const char *name, char *value, struct buf *out, struct error *err)
{
    ssize_t n = read_value(file, name, value);
    if (n < 0 && errno == ENODATA)
        return 0; // removed since it was listed
    if (n < 0)
        return error_set_errno(err, errno, "read attribute '%s' of '%s'", name, path);
    add_name(out, name);
    buf_add_str(out, "=0x");
    buf_add_hex(out, (const uint8_t *)value, (size_t)n);
    buf_add_char(out, '\n');
    return 0;
}

int attrs_read_xattrs(const struct io *io, int fd, const char *path, struct buf *ret_text, struct error *err)
{
    (void)io;
    struct asked file = { .fd = fd };
    char list[LIST_MAX];
    ssize_t n = list_names(&file, list);
    if (n == 0 || (n < 0 && (errno == ENOTSUP || errno == ENOSYS || errno == EPERM)))
        return 0;
    if (n < 0 && errno == ENOENT)
        return error_set(err, ERROR_FAILED, "attributes of '%s' cannot be read where /proc is not mounted", path);
    if (n < 0)
        return error_set_errno(err, errno, "list the attributes of '%s'", path);
    const char *names[LIST_MAX / 2]; // a name and its NUL take two bytes at least
    size_t count = 0;
    for (const char *p = list; p < list + n; p += strlen(p) + 1)
        names[count++] = p;
    qsort(names, count, sizeof *names, compare_names);
    _cleanup_free_ char *value = xmalloc(VALUE_MAX);
    int r = 0;
    for (size_t i = 0; i < count; i++) { // one that cannot be read leaves the others
        int one = add_attribute(&file, path, names[i], value, ret_text, err);
        r = r < 0 ? r : one;
    }
    return r;
}

uint32_t attrs_read_flags(int fd)
{
    unsigned flags = 0; // the kernel writes an int, whatever the number of the call says
    return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? 0 : flags & INODE_FLAGS_KEPT;
}
