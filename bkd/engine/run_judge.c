// Is what this run found far from what the policy is used to? Decided right before the head, which says so.
#include "bkd/base/log.h"
#include "bkd/engine/run.h"

static uint64_t at_most(uint64_t value, uint64_t most) { return value < most ? value : most; }

// Without the local copy of the manifest only the numbers of files can be compared.
static void compare_counts(const struct run *run, struct masschange_night *night)
{
    const struct format_head *last = &run->parent.head->head;
    night->held = last->files;
    night->held_bytes = last->bytes;
    night->gone = last->files > run->result.files ? last->files - run->result.files : 0;
}

// Files that went and noise that came are taken together: programs that encrypt often write another name and remove the first.
static void compare_files(const struct run *run, struct masschange_night *night)
{
    const struct select_counts *counts = select_counts(run->plan);
    const struct intake_stats *intake = &run->intake;
    uint64_t renamed = at_most(intake->dense_new_files, counts->lost_loose);
    night->held = counts->held_files;
    night->held_bytes = counts->held_bytes;
    night->gone = counts->lost_files;
    night->changed = at_most(intake->altered_files, counts->held_files);
    night->turned = at_most(intake->turned_files + renamed, counts->held_files);
    night->turned_bytes = at_most(intake->turned_bytes + (renamed == 0 ? 0 : intake->dense_new_bytes / intake->dense_new_files * renamed), counts->held_bytes);
}

void run_judge(struct run *run)
{
    const struct backup_options *o = run->options;
    struct masschange_night *night = &run->result.night;
    *night = (struct masschange_night){ .snapshot = run->parent.next_number };
    nights_load(&run->nights, run->io, run->state.dirfd, run->cache_key);
    if (run->parent.head == NULL)
        return;
    if (run->previous.has_manifest)
        compare_files(run, night);
    else
        compare_counts(run, night);
    nights_ask_accepted(&run->nights, run->repository, o->signers, run->parent.chain);
    night->suspect = !o->accept_source_change && masschange_judge(&o->guard, run->nights.items, run->nights.n, night, run->result.suspect_reason);
}

void run_remember_night(struct run *run)
{
    struct error why;
    if (run->parent.head == NULL || !run->previous.has_manifest)
        return;
    nights_add(&run->nights, &run->result.night);
    if (nights_save(&run->nights, run->io, run->state.dirfd, run->cache_key, &why) < 0)
        log_warn("what is usual for this policy was not noted: %s", why.text);
}
