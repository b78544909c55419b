// What the kernel tells of an entry, as a manifest entry.
#include "bkd/engine/scan.h"

#include <grp.h>
#include <linux/stat.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"

enum { NAME_SPACE = 16384, GROUP_SPACE = 1 << 20 };

// Names of owners: asked once for each number. There are as many as accounts, not as files.
struct name {
    uint32_t id;
    char *text; // NULL = none
};

struct name_list {
    struct name *items;
    size_t count;
};

struct scan_names {
    struct name_list users, groups;
};

struct scan_names *scan_names_new(void) { return xcalloc(1, sizeof(struct scan_names)); }

static void free_list(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].text);
    free(list->items);
}

void scan_names_free(struct scan_names *names)
{
    if (names == NULL)
        return;
    free_list(&names->users);
    free_list(&names->groups);
    free(names);
}

// Threads look names up at the same time, each with its own cache: hence the reentrant calls.
static char *look_up_user(uint32_t id)
{
    char space[NAME_SPACE];
    struct passwd entry, *found = NULL;
    return getpwuid_r(id, &entry, space, sizeof space, &found) != 0 || found == NULL ? NULL : xstrdup(found->pw_name);
}

static char *look_up_group(uint32_t id)
{
    _cleanup_free_ char *space = xmalloc(GROUP_SPACE); // holds all members of the group
    struct group entry, *found = NULL;
    return getgrgid_r(id, &entry, space, GROUP_SPACE, &found) != 0 || found == NULL ? NULL : xstrdup(found->gr_name);
}

static void add_name(struct buf *out, struct name_list *list, uint32_t id, char *(*look_up)(uint32_t))
{
    size_t i = 0;
    while (i < list->count && list->items[i].id != id)
        i++;
    if (i == list->count) {
        list->items = xrealloc(list->items, (list->count + 1) * sizeof *list->items);
        list->items[list->count++] = (struct name){ id, look_up(id) };
    }
    if (i > 0) { // the owner just asked for is the likely next one
        struct name found = list->items[i];
        memmove(list->items + 1, list->items, i * sizeof found);
        list->items[0] = found;
    }
    if (list->items[0].text != NULL)
        buf_add_str(out, list->items[0].text);
}

void scan_fill_entry(struct scan_names *names, const struct statx *st, struct manifest_entry *entry, struct scan_stat *ret_stat)
{
    entry->type = manifest_type_of(st->stx_mode);
    entry->mode = st->stx_mode & 07777;
    entry->uid = st->stx_uid;
    entry->gid = st->stx_gid;
    buf_reset(&entry->user);
    buf_reset(&entry->group);
    add_name(&entry->user, &names->users, st->stx_uid, look_up_user);
    add_name(&entry->group, &names->groups, st->stx_gid, look_up_group);
    entry->mtime_s = st->stx_mtime.tv_sec;
    entry->mtime_ns = st->stx_mtime.tv_nsec;
    entry->size = entry->type == MANIFEST_FILE ? st->stx_size : 0;
    entry->device_major = st->stx_rdev_major;
    entry->device_minor = st->stx_rdev_minor;
    buf_reset(&entry->hardlink);
    if (entry->type != MANIFEST_DIR && st->stx_nlink > 1)
        buf_addf(&entry->hardlink, "%x.%llx", (unsigned)(st->stx_dev_major << 20 | st->stx_dev_minor), (unsigned long long)st->stx_ino);
    *ret_stat = (struct scan_stat){ .inode = st->stx_ino, .ctime_s = st->stx_ctime.tv_sec, .ctime_ns = st->stx_ctime.tv_nsec };
}
