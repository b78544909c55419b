#include "restore/decide.h"

#include <string.h>

static const char *const mode_names[] = {
    [DECIDE_NEVER] = "never",
    [DECIDE_IF_CHANGED] = "if-changed",
    [DECIDE_IF_NEWER] = "if-newer",
    [DECIDE_ALWAYS] = "always",
};

int decide_mode_parse(const char *text, enum decide_mode *ret_mode, struct error *err)
{
    for (int i = DECIDE_NEVER; i <= DECIDE_ALWAYS; i++)
        if (strcmp(text, mode_names[i]) == 0) {
            *ret_mode = i;
            return 0;
        }
    return error_set(err, ERROR_USAGE, "--overwrite takes never, if-changed, if-newer or always, not '%s'", text);
}

const char *decide_mode_name(enum decide_mode mode) { return mode_names[mode]; }

static bool same_time(const struct attrs *a, const struct decide_there *t)
{
    return a->mtime_s == t->mtime_s && a->mtime_ns == t->mtime_ns;
}

static bool is_newer(const struct attrs *a, const struct decide_there *t)
{
    return a->mtime_s > t->mtime_s || (a->mtime_s == t->mtime_s && a->mtime_ns > t->mtime_ns);
}

// The bits that could be given: setuid and setgid are left out where the owner is.
static bool same_mode(const struct decide_rules *rules, const struct attrs *a, const struct decide_there *t)
{
    bool own = !rules->own_owners || (a->uid == t->uid && a->gid == t->gid);
    uint32_t mode = own ? a->mode : a->mode & (t->type == MANIFEST_DIR ? 03777u : 01777u);
    return t->type == MANIFEST_LINK || mode == t->mode;
}

static bool same_owner(const struct decide_rules *rules, const struct attrs *a, const struct decide_there *t)
{
    return rules->own_owners || (a->uid == t->uid && a->gid == t->gid);
}

bool decide_metadata_equal(const struct decide_rules *rules, const struct attrs *attrs, const struct decide_there *there)
{
    return same_time(attrs, there) && same_mode(rules, attrs, there) && same_owner(rules, attrs, there);
}

// What of the content can be seen without reading it.
static bool may_be_same(const struct manifest_entry *e, const struct decide_there *t)
{
    switch (e->type) {
    case MANIFEST_FILE:
        return e->size == t->size;
    case MANIFEST_LINK:
        return !t->other_target;
    case MANIFEST_CHAR:
    case MANIFEST_BLOCK:
        return e->device_major == t->device_major && e->device_minor == t->device_minor;
    default:
        return true;
    }
}

// An inode that somebody else has as well is not written to, and not left where the snapshot has two files.
static enum decide_action respect_links(enum decide_action action, const struct decide_there *t, const char **why)
{
    bool parts = t->links == DECIDE_LINKS_MIXED && action == DECIDE_LEAVE;
    if (parts || (t->links != DECIDE_LINKS_OWN && action == DECIDE_METADATA)) {
        *why = "hard-linked to something else";
        return DECIDE_REPLACE;
    }
    return action;
}

static enum decide_action same_content(const struct decide_rules *rules, const struct attrs *a, const struct decide_there *t, const char **why)
{
    bool same = decide_metadata_equal(rules, a, t);
    *why = same ? "the same" : same_time(a, t) ? "mode or owner" : "time";
    return respect_links(same ? DECIDE_LEAVE : DECIDE_METADATA, t, why);
}

// Where nothing is overwritten, only what an interrupted run itself made may be wrong, and only when power was lost: a killed one leaves whole files.
static enum decide_action other_content(const struct decide_rules *rules)
{
    return rules->mode != DECIDE_NEVER || rules->doubt ? DECIDE_REPLACE : DECIDE_EXISTS;
}

static enum decide_action decide_dir(const struct decide_rules *rules, const struct manifest_entry *e, const struct attrs *a,
                                     const struct decide_there *t, const char **why)
{
    *why = "the directory exists";
    if (t->ours)
        return DECIDE_METADATA;
    if (e->source == MANIFEST_NO_SOURCE) // only on the way to what was backed up
        return DECIDE_ENTER;
    if (rules->mode == DECIDE_NEVER || (rules->mode == DECIDE_IF_NEWER && !rules->resume && !is_newer(a, t)))
        return DECIDE_ENTER;
    return DECIDE_METADATA;
}

static enum decide_action decide_other_type(const struct decide_rules *rules, const struct manifest_entry *e, const struct attrs *a,
                                            const struct decide_there *t, const char **why)
{
    *why = "another type";
    if (rules->mode == DECIDE_NEVER || (e->type == MANIFEST_DIR && e->source == MANIFEST_NO_SOURCE))
        return DECIDE_EXISTS;
    if (rules->mode == DECIDE_IF_NEWER && !is_newer(a, t)) {
        *why = "another type, and not older";
        return DECIDE_EXISTS; // not simply left: what the snapshot has below or in it cannot be restored
    }
    if (t->type == MANIFEST_DIR && t->filled && !rules->delete) {
        *why = "a directory that is not empty is in the way (--delete removes it)";
        return DECIDE_CONFLICT;
    }
    return DECIDE_REPLACE;
}

static enum decide_action decide_same_type(const struct decide_rules *rules, const struct manifest_entry *e, const struct attrs *a,
                                           const struct decide_there *t, const char **why)
{
    if (rules->mode == DECIDE_NEVER && !t->ours) {
        *why = "it exists";
        return DECIDE_EXISTS;
    }
    if (rules->mode == DECIDE_ALWAYS && !rules->resume) {
        *why = "always";
        return DECIDE_REPLACE;
    }
    if (rules->mode == DECIDE_IF_NEWER && !is_newer(a, t) && !(rules->resume && same_time(a, t))) {
        *why = same_time(a, t) ? "the same time" : "newer than the snapshot's";
        return DECIDE_LEAVE;
    }
    if (rules->mode == DECIDE_IF_NEWER && is_newer(a, t)) {
        *why = "older than the snapshot's";
        return DECIDE_REPLACE;
    }
    if (!may_be_same(e, t)) {
        *why = e->type == MANIFEST_FILE ? "size" : "content";
        return other_content(rules);
    }
    // Times and sizes of old content prove nothing where everything was to be replaced.
    bool prove = rules->doubt || rules->mode == DECIDE_ALWAYS;
    if (e->type == MANIFEST_FILE && e->size > 0 && (prove || !same_time(a, t))) {
        *why = "same size, content is compared";
        return DECIDE_COMPARE;
    }
    return same_content(rules, a, t, why);
}

enum decide_action decide(const struct decide_rules *rules, const struct manifest_entry *entry, const struct attrs *attrs,
                          const struct decide_there *there, const char **ret_why)
{
    *ret_why = "it is not there";
    if (!there->exists)
        return DECIDE_CREATE;
    if (there->type != entry->type)
        return decide_other_type(rules, entry, attrs, there, ret_why);
    if (entry->type == MANIFEST_DIR)
        return decide_dir(rules, entry, attrs, there, ret_why);
    return decide_same_type(rules, entry, attrs, there, ret_why);
}

enum decide_action decide_compared(const struct decide_rules *rules, const struct attrs *attrs, const struct decide_there *there, bool equal,
                                   const char **ret_why)
{
    if (equal)
        return same_content(rules, attrs, there, ret_why);
    *ret_why = "content";
    return other_content(rules);
}

enum decide_action decide_attributes_differ(const struct decide_rules *rules, const struct decide_there *there, const char **ret_why)
{
    if (rules->mode == DECIDE_NEVER)
        return DECIDE_LEAVE;
    *ret_why = "extended attributes or ACL";
    return respect_links(DECIDE_METADATA, there, ret_why);
}
