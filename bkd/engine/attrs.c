#include "bkd/engine/attrs.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

enum { LIST_MAX = 65536, VALUE_MAX = 65536, NAMES_MAX = 4096 };

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

static int add_attribute(const char *link, const char *path, const char *name, char *value, struct buf *out, struct error *err)
{
    ssize_t n = getxattr(link, name, value, VALUE_MAX);
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
    // The descriptor's own name reaches every type of file, symbolic links too, without opening it.
    char link[64], list[LIST_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = listxattr(link, list, sizeof list);
    if (n == 0 || (n < 0 && (errno == ENOTSUP || errno == ENOSYS || errno == EPERM)))
        return 0;
    if (n < 0)
        return error_set_errno(err, errno, "list the attributes of '%s'", path);
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (const char *p = list; p < list + n && count < NAMES_MAX; p += strlen(p) + 1)
        names[count++] = p;
    qsort(names, count, sizeof *names, compare_names);
    _cleanup_free_ char *value = xmalloc(VALUE_MAX);
    for (size_t i = 0; i < count; i++) {
        int r = add_attribute(link, path, names[i], value, ret_text, err);
        if (r < 0)
            return r;
    }
    return 0;
}

uint32_t attrs_read_flags(int fd)
{
    unsigned flags = 0; // the kernel writes an int, whatever the number of the call says
    const unsigned settable = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL | FS_NOCOW_FL | FS_COMPR_FL;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return 0;
    return flags & settable;
}
