// What the decisions of an agenda are called.
#include "bkd/policy/agenda.h"
#include "bkd/policy/civil.h"

static void add_task(const struct agenda *agenda, size_t index, struct buf *ret_text)
{
    buf_addf(ret_text, "'%s' (%s)", agenda->tasks[index].policy, agenda->tasks[index].action);
}

void agenda_reason_text(const struct agenda *agenda, const struct agenda_decision *d, struct buf *ret_text)
{
    char other[CIVIL_TEXT_MAX], first[CIVIL_TEXT_MAX];
    civil_format(other, d->other_s, 0);
    switch (d->reason) {
    case AGENDA_NEW: buf_add_str(ret_text, "the policy is new here; its slots count from now on"); break;
    case AGENDA_STILL_RUNS: buf_addf(ret_text, "the run that began at %s was still going on", other); break;
    case AGENDA_OVERTAKEN: buf_addf(ret_text, "it was still waiting when the slot of %s came due", other); break;
    case AGENDA_MADE_UP: buf_addf(ret_text, "bkd was not there to start it; left to the slot of %s", other); break;
    case AGENDA_COVERED: buf_addf(ret_text, "the run that began at %s has succeeded", other); break;
    case AGENDA_TOO_LATE: buf_add_str(ret_text, "bkd was not there to start it, and 'catch_up' is none"); break;
    case AGENDA_WINDOW_OVER: buf_addf(ret_text, "its window ended at %s", other); break;
    case AGENDA_PAUSED: buf_addf(ret_text, "the policy is paused since %s", other); break;
    case AGENDA_AFTER_FAILED:
        add_task(agenda, d->other, ret_text);
        buf_add_str(ret_text, ", which it comes after, failed");
        break;
    default: break;
    }
    if (d->first_s != d->slot_s) {
        civil_format(first, d->first_s, 0);
        buf_addf(ret_text, "; this stands for all slots since %s", first);
    }
}

void agenda_waits_text(const struct agenda *agenda, const struct agenda_task *task, struct buf *ret_text)
{
    char until[CIVIL_TEXT_MAX];
    if (task->waits_until_s != CALENDAR_NEVER)
        civil_format(until, task->waits_until_s, 0);
    switch (task->waits) {
    case AGENDA_MAX_PARALLEL: buf_addf(ret_text, "%zu runs are going on, and no more are allowed ('max_parallel')", agenda->max_parallel); break;
    case AGENDA_POLICY_BUSY: buf_addf(ret_text, "'%s' of the same policy is going on", agenda->tasks[task->waits_for].action); break;
    case AGENDA_AFTER:
        add_task(agenda, task->waits_for, ret_text);
        buf_add_str(ret_text, ", which it comes after, is not done");
        break;
    case AGENDA_RETRY: buf_addf(ret_text, "the last run failed; tried again at %s", until); break;
    case AGENDA_JITTER: buf_addf(ret_text, "it begins at %s ('jitter')", until); break;
    default: break;
    }
}
