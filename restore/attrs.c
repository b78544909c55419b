#include "restore/attrs.h"

#include <errno.h>
#include <grp.h>
#include <linux/stat.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/inode_flags.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

// As many as there are accounts, up to a bound: names come from the repository.
enum { NAMES_MAX = 512 };

#define RAISES_RIGHTS ((uint32_t)(S_ISUID | S_ISGID))

struct known {
    char *name;
    bool found;
    uint32_t id;
};

struct known_list {
    struct known items[NAMES_MAX];
    size_t n;
};

struct attrs_names {
    struct known_list users, groups;
};

struct attrs_names *attrs_names_new(void) { return xcalloc(1, sizeof(struct attrs_names)); }

static void free_list(struct known_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i].name);
}

void attrs_names_free(struct attrs_names *names)
{
    if (names == NULL)
        return;
    free_list(&names->users);
    free_list(&names->groups);
    free(names);
}

static bool look_up(const char *name, bool group, uint32_t *ret_id)
{
    if (group) {
        const struct group *g = getgrnam(name);
        if (g != NULL)
            *ret_id = g->gr_gid;
        return g != NULL;
    }
    const struct passwd *p = getpwnam(name);
    if (p != NULL)
        *ret_id = p->pw_uid;
    return p != NULL;
}

static uint32_t map_id(struct known_list *list, const struct buf *name, bool group, uint32_t number)
{
    if (name->len == 0)
        return number;
    const char *text = buf_str(name);
    size_t i = 0;
    while (i < list->n && strcmp(list->items[i].name, text) != 0)
        i++;
    if (i == list->n) {
        if (list->n == NAMES_MAX)
            free(list->items[--list->n].name), i--;
        struct known item = { .name = xstrdup(text) };
        item.found = look_up(text, group, &item.id);
        list->items[list->n++] = item;
    }
    struct known found = list->items[i];
    memmove(list->items + 1, list->items, i * sizeof found); // the next entry has likely the same owner
    list->items[0] = found;
    return found.found ? found.id : number;
}

void attrs_self_read(bool numeric_owner, struct attrs_self *ret_self)
{
    *ret_self = (struct attrs_self){ .root = geteuid() == 0, .uid = geteuid(), .gid = getegid(), .numeric_owner = numeric_owner };
}

static uint32_t owner_of(struct known_list *known, const struct attrs_self *self, bool group, const struct buf *name, uint32_t number)
{
    uint32_t id;
    if (owner_map_find(self->owners, group, buf_str(name), name->len, number, &id))
        return id;
    return self->numeric_owner ? number : map_id(known, name, group, number);
}

void attrs_of_entry(struct attrs_names *names, const struct attrs_self *self, const struct manifest_entry *entry, struct attrs *ret_attrs)
{
    *ret_attrs = (struct attrs){
        .mode = self->untrusted ? entry->mode & ~RAISES_RIGHTS : entry->mode,
        .stripped = self->untrusted ? entry->mode & RAISES_RIGHTS : 0,
        .uid = owner_of(&names->users, self, false, &entry->user, entry->uid),
        .gid = owner_of(&names->groups, self, true, &entry->group, entry->gid),
        .mtime_s = entry->mtime_s,
        .mtime_ns = entry->mtime_ns,
        .flags = entry->flags,
        .xattr = entry->xattr,
    };
}

static void add_reason(struct attrs_loss *loss) { buf_add_str(&loss->why, loss->why.len == 0 ? "" : "; "); }
void attrs_loss_done(struct attrs_loss *loss)
{
    buf_done(&loss->why);
    buf_done(&loss->stripped);
}

static void strip(struct attrs_loss *loss, const char *what) { buf_addf(&loss->stripped, "%s%s", loss->stripped.len == 0 ? "" : "; ", what); }

static void tell_stripped_mode(const struct attrs *attrs, struct attrs_loss *loss)
{
    if ((attrs->stripped & S_ISUID) != 0)
        strip(loss, "setuid");
    if ((attrs->stripped & S_ISGID) != 0)
        strip(loss, "setgid");
}

bool attrs_raises_rights(const char *name) { return strncmp(name, "security.", 9) == 0 || strncmp(name, "trusted.", 8) == 0; }

static void lose(struct attrs_loss *loss, const char *what, int os_errno)
{
    add_reason(loss);
    buf_addf(&loss->why, "%s: %s", what, strerror(os_errno));
}

// True when owner and group are as they should be.
static bool give_owner(const struct io *io, int fd, const struct attrs *a, const struct attrs_self *self, struct attrs_loss *loss)
{
    bool nobody = a->uid == UINT32_MAX || a->gid == UINT32_MAX; // chown takes these for "as it is"
    if (!nobody && io->fchownat(io, fd, "", a->uid, a->gid, AT_EMPTY_PATH) == 0)
        return true;
    int why = nobody ? EINVAL : errno;
    if (self->root) {
        add_reason(loss);
        buf_addf(&loss->why, "owner %u:%u: %s", a->uid, a->gid, strerror(why));
        return false;
    }
    loss->owner = true;
    (void)io->fchownat(io, fd, "", (uid_t)-1, a->gid, AT_EMPTY_PATH); // one's own groups can be given by anybody
    return false;
}

static void set_times(const struct io *io, int fd, const struct attrs *a, struct attrs_loss *loss)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)a->mtime_s, .tv_nsec = (long)a->mtime_ns } };
    if (io->utimensat(io, fd, "", times, AT_EMPTY_PATH) < 0)
        lose(loss, "time", errno);
}

void attrs_set_flags(const struct io *io, int fd, uint32_t flags, struct attrs_loss *loss)
{
    if (flags == 0 || io->setflags(io, fd, flags, flags) == 0)
        return;
    uint32_t lost = 0;
    int why = errno;
    for (uint32_t bit = 1; bit != 0; bit <<= 1) // one that this file system does not know refuses them all
        if ((flags & bit) != 0 && io->setflags(io, fd, bit, bit) < 0) {
            lost |= bit;
            why = errno;
        }
    if (lost == 0)
        return;
    add_reason(loss);
    buf_add_str(&loss->why, "inode flags ");
    inode_flags_letters(&loss->why, lost);
    buf_addf(&loss->why, ": %s", strerror(why));
}

static int octal(const char *p)
{
    for (int i = 0; i < 3; i++)
        if (p[i] < '0' || p[i] > '7')
            return -1;
    int v = (p[0] - '0') * 64 + (p[1] - '0') * 8 + (p[2] - '0');
    return v > 0 && v < 256 ? v : -1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int attrs_xattr_next(const char *text, size_t n, size_t *at, struct buf *ret_name, struct buf *ret_value)
{
    buf_reset(ret_name);
    buf_reset(ret_value);
    if (*at == n)
        return 0;
    const char *p = text + *at, *end = memchr(p, '\n', n - *at);
    if (end == NULL)
        return -1;
    for (; p < end && *p != '='; p++) {
        if (*p != '\\') {
            buf_add_char(ret_name, *p);
            continue;
        }
        int c = end - p >= 4 ? octal(p + 1) : -1;
        if (c < 0)
            return -1;
        buf_add_char(ret_name, (char)c);
        p += 3;
    }
    if (ret_name->len == 0 || ret_name->len > 255)
        return -1;
    if (p < end) { // "name=0xHEX"; a name alone has an empty value
        if (end - p < 3 || memcmp(p, "=0x", 3) != 0 || (end - p - 3) % 2 != 0)
            return -1;
        for (p += 3; p < end; p += 2) {
            int high = hex_digit(p[0]), low = hex_digit(p[1]);
            if (high < 0 || low < 0)
                return -1;
            buf_add_char(ret_value, (char)(high * 16 + low));
        }
    }
    *at = (size_t)(end - text) + 1;
    return 1;
}

// Without SELinux a label means nothing, and one that cannot be written either is no loss.
static bool kernel_has_selinux(void) { return access("/sys/fs/selinux/enforce", F_OK) == 0; }

static void set_xattrs(const struct io *io, int fd, const char *text, size_t n, const struct attrs_self *self, bool *ret_acl,
                       struct attrs_loss *loss)
{
    _cleanup_buf_ struct buf name = { 0 };
    _cleanup_buf_ struct buf value = { 0 };
    size_t at = 0;
    int more;
    while ((more = attrs_xattr_next(text, n, &at, &name, &value)) > 0) {
        if (self->untrusted && attrs_raises_rights(buf_str(&name))) {
            strip(loss, buf_str(&name));
            continue;
        }
        if (strcmp(buf_str(&name), ACL_ACCESS) == 0)
            *ret_acl = true;
        if (io->fsetxattr(io, fd, buf_str(&name), value.data == NULL ? (const uint8_t *)"" : value.data, value.len) == 0)
            continue;
        int saved = errno;
        if (strcmp(buf_str(&name), "security.selinux") == 0 && !kernel_has_selinux())
            continue;
        char what[300];
        (void)snprintf(what, sizeof what, "extended attribute %s", buf_str(&name));
        lose(loss, what, saved);
    }
    if (more < 0)
        lose(loss, "extended attributes as they are recorded", EBADMSG);
}

static void remove_inherited_acl(const struct io *io, int fd, bool is_dir, struct attrs_loss *loss)
{
    const char *names[] = { ACL_ACCESS, ACL_DEFAULT };
    for (int i = 0; i < (is_dir ? 2 : 1); i++)
        if (io->fremovexattr(io, fd, names[i]) < 0 && errno != ENODATA && errno != EOPNOTSUPP)
            lose(loss, "ACL imposed by the directory above", errno);
}

// File systems cut times to what they can hold, and some keep their own modes and owners, all without an error.
static void look_again(const struct io *io, const struct attrs_object *object, const struct attrs *a, uint32_t mode, bool owner_given,
                       struct attrs_loss *loss)
{
    struct statx st;
    if (loss->why.len > 0) // said already
        return;
    if (io->statx(io, object->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) < 0) {
        lose(loss, "look at it again", errno);
        return;
    }
    if (owner_given && (st.stx_uid != a->uid || st.stx_gid != a->gid)) {
        add_reason(loss);
        buf_addf(&loss->why, "owner: the file system keeps %u:%u", st.stx_uid, st.stx_gid);
    }
    if (!object->is_link && (st.stx_mode & 07777u) != mode) {
        add_reason(loss);
        buf_addf(&loss->why, "mode %04o: the file system keeps %04o", mode, st.stx_mode & 07777u);
    }
    if (st.stx_mtime.tv_sec != a->mtime_s || st.stx_mtime.tv_nsec != a->mtime_ns) {
        add_reason(loss);
        buf_addf(&loss->why, "time %lld.%09u: the file system keeps %lld.%09u", (long long)a->mtime_s, a->mtime_ns,
                 (long long)st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec);
    }
}

void attrs_apply(const struct io *io, const struct attrs_object *object, const struct attrs *attrs, const struct attrs_self *self,
                 struct attrs_loss *loss)
{
    int fd = object->fd;
    bool own = object->plain_owner && attrs->uid == self->uid && attrs->gid == self->gid;
    bool owner_right = own || give_owner(io, fd, attrs, self, loss);
    uint32_t mode = attrs->mode;
    tell_stripped_mode(attrs, loss);
    if (!owner_right)
        mode &= object->is_dir ? 03777u : 01777u; // setuid or setgid for somebody else than recorded would be a gift
    if (object->clear_acl)
        remove_inherited_acl(io, fd, object->is_dir, loss);
    // chown clears setuid and setgid; an inherited ACL was masked by the mode at creation.
    bool set_mode = !object->is_link && (mode != object->mode || (!own && (mode & 06000) != 0) || object->clear_acl);
    if (set_mode && io->fchmod(io, fd, mode) < 0)
        lose(loss, "mode", errno);
    attrs_set_flags(io, fd, attrs->flags & ~INODE_FLAGS_LATE, loss); // before attributes: btrfs has the kind of compression among those
    bool acl = false;
    if (object->n > 0)
        set_xattrs(io, fd, object->xattr_text, object->n, self, &acl, loss);
    if (acl && (mode & 07000) != 0 && io->fchmod(io, fd, mode) < 0) // setting an ACL may drop setgid
        lose(loss, "mode", errno);
    set_times(io, fd, attrs, loss);
    look_again(io, object, attrs, mode, owner_right, loss);
}

void attrs_apply_at(const struct io *io, int dirfd, const char *name, mode_t type, struct attrs_object *object, const struct attrs *attrs,
                    const struct attrs_self *self, struct attrs_loss *loss)
{
    struct statx st;
    object->fd = io->openat(io, dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (object->fd < 0 || io->statx(io, object->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) < 0)
        lose(loss, "metadata", errno);
    else if ((st.stx_mode & S_IFMT) != type || st.stx_nlink != 1 || (self->root && st.stx_uid != self->uid))
        buf_add_str(&loss->why, "metadata: it was replaced by somebody during the restore");
    else
        attrs_apply(io, object, attrs, self, loss);
    io_close_quietly(io, &object->fd);
}
