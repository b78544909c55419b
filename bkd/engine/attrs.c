#include "bkd/engine/attrs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "bkd/base/compare.h"
#include "bkd/base/inode_flags.h"

enum {
    LIST_MAX = 65536, VALUE_MAX = 65536, // XATTR_LIST_MAX, XATTR_SIZE_MAX of the kernel
    LIST_USUAL = 1024, // the kernel allocates as much as it is offered, for each file anew
};

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

static ssize_t list_names(struct asked *file, char *list, size_t n)
{
    ssize_t r = file->fd < 0 ? -1 : flistxattr(file->fd, list, n);
    if (r >= 0 || (file->fd >= 0 && errno != EBADF))
        return r;
    if (file->fd >= 0)
        (void)snprintf(file->name, sizeof file->name, "/proc/self/fd/%d", file->fd);
    file->fd = -1;
    return listxattr(file->name, list, n);
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

// The attributes whose names stand in `list`, one behind the other.
static int add_attributes(const struct asked *file, const char *path, const char *list, size_t list_len, struct buf *out, struct error *err)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < list_len; i++)
        count += list[i] == '\0';
    _cleanup_free_ char *value = xmalloc(VALUE_MAX);
    const char **names = xcalloc(count, sizeof *names);
    for (size_t i = 0; i < count; i++, at += strlen(list + at) + 1)
        names[i] = list + at;
    qsort(names, count, sizeof *names, compare_strings);
    int r = 0;
    for (size_t i = 0; i < count; i++) { // one that cannot be read leaves the others
        int one = add_attribute(file, path, names[i], value, out, err);
        r = r < 0 ? r : one;
    }
    free(names);
    return r;
}

int attrs_read_xattrs(const struct io *io, int fd, const char *path, struct buf *ret_text, struct error *err)
{
    (void)io;
    struct asked file = { .fd = fd };
    char usual[LIST_USUAL], *list = usual;
    _cleanup_free_ char *large = NULL;
    ssize_t n = list_names(&file, usual, sizeof usual);
    if (n < 0 && errno == ERANGE) {
        list = large = xmalloc(LIST_MAX);
        n = list_names(&file, large, LIST_MAX);
    }
    if (n == 0 || (n < 0 && (errno == ENOTSUP || errno == ENOSYS || errno == EPERM)))
        return 0;
    if (n < 0 && errno == ENOENT)
        return error_set(err, ERROR_FAILED, "attributes of '%s' cannot be read where /proc is not mounted", path);
    if (n < 0)
        return error_set_errno(err, errno, "list the attributes of '%s'", path);
    return add_attributes(&file, path, list, (size_t)n, ret_text, err);
}

uint32_t attrs_read_flags(int fd)
{
    unsigned flags = 0; // the kernel writes an int, whatever the number of the call says
    return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? 0 : flags & INODE_FLAGS_KEPT;
}
