// Which snapshots of a chain stay and which may go, and why. Pure: values in, values out.
//
// Rules count as restic's do: `daily: 14` keeps the newest snapshot of each of the last 14 days that have one, whatever other rules keep; of a period
// it is the newest complete one where there is one. What no rule keeps may go. Whatever the rules say: nothing goes when none is given; the newest, the
// newest complete, the last verified and every held snapshot stay; and while one of the chain is suspect, all stay.
//
// Times are claimed by the host that is backed up, and whoever breaks in there can claim any. They are believed as far as they fit: snapshots are in the
// order of their numbers, none is later than now or than the far side received it, and the largest number of claims that ascend with the numbers is taken
// as it is. A claim that contradicts these is moved between its neighbours; when that is far, the snapshot's place in time is in doubt: it stays, and takes
// the place of no other. So claims cannot push a snapshot out, neither by a clock that was wrong one night nor by a flood of snapshots with made-up times.
// A burst of snapshots uses up one place in each period, and none of `last`.
#ifndef BKD_ENGINE_KEEP_H
#define BKD_ENGINE_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keep_rules {
    uint64_t last, hourly, daily, weekly, monthly, quarterly, yearly; // how many; 0 = the rule is not given
    uint64_t within_s;                                                // all that are at most so much older than the newest
};
bool keep_rules_given(const struct keep_rules *rules);

enum {
    KEEP_LAST = 1 << 0,
    KEEP_HOURLY = 1 << 1,
    KEEP_DAILY = 1 << 2,
    KEEP_WEEKLY = 1 << 3,
    KEEP_MONTHLY = 1 << 4,
    KEEP_QUARTERLY = 1 << 5,
    KEEP_YEARLY = 1 << 6,
    KEEP_WITHIN = 1 << 7,
    KEEP_NEWEST = 1 << 8,
    KEEP_NEWEST_COMPLETE = 1 << 9,
    KEEP_LAST_VERIFIED = 1 << 10,
    KEEP_HELD = 1 << 11,
    KEEP_DOUBT = 1 << 12,  // its claimed time contradicts those around it
    KEEP_FROZEN = 1 << 13, // one of the chain is suspect
    KEEP_ALL = 1 << 14,    // no rule is given
};

struct keep_snapshot {
    uint64_t number;
    uint64_t time_ns;     // claimed
    uint64_t received_ns; // by the far side's clock; 0 = not known
    bool complete, suspect, held, verified;
    // Decided:
    uint64_t effective_ns; // ascends with the numbers
    unsigned reasons;      // why it stays; 0 = it may go
};

struct keep_clock {
    uint64_t now_ns;
    // What the local time is ahead of UTC at a time (seconds since 1970); NULL = days begin at midnight UTC.
    int64_t (*offset_s)(const void *arg, int64_t utc_s);
    const void *arg;
};

struct keep_result {
    size_t kept, going;
    size_t doubtful;     // kept because their times are in doubt
    size_t burst;        // snapshots of the newest's hour, when they are far more than this chain ever had in one; else 0
    uint64_t frozen_by;  // number of the oldest suspect snapshot; 0 = none
};

// snapshots ascend by number. Sets what is decided of each.
void keep_decide(const struct keep_rules *rules, const struct keep_clock *clock, struct keep_snapshot *snapshots, size_t n, struct keep_result *ret_result);

// The words for a set of reasons, one after the other: start with *at 0; NULL after the last ("daily", "held", …).
const char *keep_reason_next(unsigned reasons, unsigned *at);

#endif
