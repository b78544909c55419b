#include "restore/meet.h"

// The survey knows what one look at a name cannot show.
static int ask_survey(const struct meet *m, uint64_t sequence, struct decide_there *there, struct error *err)
{
    bool existed = true;
    int r = 0;
    if (m->survey == NULL || !there->exists)
        return 0;
    if (m->rules->resume && (there->type == MANIFEST_DIR || m->rules->mode == DECIDE_NEVER))
        r = survey_existed(m->survey, sequence, &existed, err);
    if (r == 0 && there->type != MANIFEST_DIR)
        r = survey_links(m->survey, sequence, &there->links, err);
    there->ours = !existed;
    return r;
}

// Only what would be left as it is: everything else gets its attributes anyway. What cannot be read is not the same.
static bool attributes_differ(const struct meet *m, int dirfd, const char *name, const struct attrs *attrs, const struct meeting *meeting)
{
    const char *text = NULL;
    size_t n = 0;
    struct error ignored; // told when they are applied
    int fd = -1;
    if (m->rules->mode == DECIDE_NEVER || meeting->existing.there.type != MANIFEST_FILE)
        return false;
    if (attrs->xattr.length > 0 && apply_xattr(m->apply, m->apply->n_workers - 1, &attrs->xattr, &text, &n, &ignored) < 0)
        return true;
    if (existing_open(m->io, dirfd, name, &meeting->existing.id, &fd, &ignored) < 0)
        return false;
    bool equal = existing_xattrs_equal(fd, text, n, m->apply->self->untrusted);
    io_close_quietly(m->io, &fd);
    return !equal;
}

int meet_name(const struct meet *m, int dirfd, const char *name, const struct manifest_entry *entry, const struct attrs *attrs,
              uint64_t sequence, struct meeting *ret_meeting, struct error *err)
{
    struct decide_there *there = &ret_meeting->existing.there;
    int r = existing_look(m->io, dirfd, name, entry, &ret_meeting->existing, err);
    if (r == 0)
        r = ask_survey(m, sequence, there, err);
    if (r < 0)
        return r;
    ret_meeting->action = decide(m->rules, entry, attrs, there, &ret_meeting->why);
    if (ret_meeting->action == DECIDE_COMPARE) {
        bool equal = false;
        struct error ignored; // what cannot be read is not the same
        if (existing_content_equal(m->io, dirfd, name, &ret_meeting->existing.id, entry, &equal, &ignored) < 0)
            equal = false;
        ret_meeting->action = decide_compared(m->rules, attrs, there, equal, &ret_meeting->why);
    }
    bool newer = m->rules->mode == DECIDE_IF_NEWER; // left because of its time, whatever it is
    if (ret_meeting->action == DECIDE_LEAVE && !newer && attributes_differ(m, dirfd, name, attrs, ret_meeting))
        ret_meeting->action = decide_attributes_differ(m->rules, there, &ret_meeting->why);
    return 0;
}
