#include "bkd/engine/keep.h"

#include <stdlib.h>

#include "bkd/base/buf.h"

#define SECOND UINT64_C(1000000000)
#define AHEAD_NS (5 * 60 * SECOND)      // a claim may be so much later than now or its receipt
#define MOVED_NS (2 * 60 * 60 * SECOND) // a time that is moved further than this is in doubt
#define HOUR_NS (60 * 60 * SECOND)

enum {
    BURST_MIN = 24,  // snapshots in an hour that are no burst in any chain
    BURST_TIMES = 3, // as many as the fullest hour before had
};

bool keep_rules_given(const struct keep_rules *r)
{
    return (r->last | r->hourly | r->daily | r->weekly | r->monthly | r->quarterly | r->yearly | r->within_s) != 0;
}

const char *keep_reason_next(unsigned reasons, unsigned *at)
{
    static const char *const names[] = { "last", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "within", "newest", "newest-complete",
                                         "last-verified", "held", "time-in-doubt", "suspect", "no-rules" };
    while (*at < sizeof names / sizeof *names) {
        unsigned i = (*at)++;
        if ((reasons & 1u << i) != 0)
            return names[i];
    }
    return NULL;
}

// ---- effective times

static uint64_t latest_possible(const struct keep_snapshot *s, uint64_t now_ns)
{
    return s->received_ns != 0 && s->received_ns < now_ns ? s->received_ns : now_ns;
}

// Marks the largest number of possible claims that ascend with the numbers: patience sorting, with the way back. believed[i]: it is one of them.
static void believe_most(struct keep_snapshot *s, size_t n, uint64_t now_ns, bool *believed)
{
    size_t *tail = xcalloc(n + 1, sizeof *tail), *before = xcalloc(n + 1, sizeof *before), length = 0; // indices + 1; 0 = none
    for (size_t i = 0; i < n; i++) {
        uint64_t latest = latest_possible(&s[i], now_ns);
        if (s[i].time_ns > latest + AHEAD_NS)
            continue;
        s[i].effective_ns = s[i].time_ns < latest ? s[i].time_ns : latest;
        size_t low = 0, high = length; // the longest row that this one continues
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (s[tail[middle] - 1].effective_ns <= s[i].effective_ns)
                low = middle + 1;
            else
                high = middle;
        }
        before[i] = low == 0 ? 0 : tail[low - 1];
        tail[low] = i + 1;
        length = low == length ? length + 1 : length;
    }
    for (size_t at = length == 0 ? 0 : tail[length - 1]; at > 0; at = before[at - 1])
        believed[at - 1] = true;
    free(tail);
    free(before);
}

static uint64_t distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

static void place_in_time(struct keep_snapshot *s, size_t n, uint64_t now_ns)
{
    bool *believed = xcalloc(n + 1, sizeof *believed);
    uint64_t *no_later = xcalloc(n + 1, sizeof *no_later), next = now_ns, last = 0;
    believe_most(s, n, now_ns, believed);
    for (size_t i = n; i-- > 0;) {
        no_later[i] = next;
        next = believed[i] ? s[i].effective_ns : next;
    }
    for (size_t i = 0; i < n; i++) {
        if (!believed[i]) {
            uint64_t latest = latest_possible(&s[i], now_ns), high = no_later[i] < latest ? no_later[i] : latest, low = last < high ? last : high;
            s[i].effective_ns = s[i].time_ns < low ? low : s[i].time_ns > high ? high : s[i].time_ns;
            if (distance(s[i].effective_ns, s[i].time_ns) > MOVED_NS)
                s[i].reasons |= KEEP_DOUBT;
        }
        last = s[i].effective_ns;
    }
    free(believed);
    free(no_later);
}

// ---- periods

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// Months since 0000-03-01, from days since 1970 (the civil calendar runs in cycles of 400 years, 146097 days).
static int64_t month_of(int64_t day)
{
    int64_t z = day + 719468, era = floor_div(z, 146097), day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    return 12 * (year_of_era + era * 400) + (5 * day_of_year + 2) / 153;
}

// Numbers the hours, days, … of local time: equal for two times in one of them.
static int64_t period_of(unsigned rule, const struct keep_clock *clock, uint64_t time_ns)
{
    int64_t utc = (int64_t)(time_ns / SECOND), offset = clock->offset_s == NULL ? 0 : clock->offset_s(clock->arg, utc);
    int64_t day = floor_div(utc + offset, 86400), month = month_of(day) + 2; // since January 0000
    switch (rule) {
    case KEEP_HOURLY: return floor_div(utc + offset % 3600, 3600); // an hour that comes twice is two
    case KEEP_DAILY: return day;
    case KEEP_WEEKLY: return floor_div(day + 3, 7); // 1970 began on a Thursday
    case KEEP_MONTHLY: return month;
    case KEEP_QUARTERLY: return floor_div(month, 3);
    default: return floor_div(month, 12);
    }
}

// Is b rather to stand for its period than a, which is newer? One whose time is in doubt stands for none: it stays anyway.
static bool is_better(const struct keep_snapshot *a, const struct keep_snapshot *b)
{
    bool a_doubtful = (a->reasons & KEEP_DOUBT) != 0, b_doubtful = (b->reasons & KEEP_DOUBT) != 0;
    return a_doubtful != b_doubtful ? a_doubtful : !a->complete && b->complete;
}

// Keeps one of each of the newest `count` periods that have any.
static void keep_periods(unsigned rule, uint64_t count, const struct keep_clock *clock, struct keep_snapshot *s, size_t n)
{
    for (size_t end = n; end > 0 && count > 0;) {
        int64_t period = period_of(rule, clock, s[end - 1].effective_ns);
        size_t best = end - 1, start = end;
        while (start > 0 && period_of(rule, clock, s[start - 1].effective_ns) == period) {
            start--;
            if (is_better(&s[best], &s[start]))
                best = start;
        }
        end = start;
        if ((s[best].reasons & KEEP_DOUBT) != 0)
            continue;
        s[best].reasons |= rule;
        count--;
    }
}

// ---- rules

// How many snapshots the fullest hour has that ends with one of s[0, n).
static size_t fullest_hour(const struct keep_snapshot *s, size_t n)
{
    size_t most = 0;
    for (size_t first = 0, i = 0; i < n; i++) {
        while (s[i].effective_ns - s[first].effective_ns >= HOUR_NS)
            first++;
        most = i - first + 1 > most ? i - first + 1 : most;
    }
    return most;
}

// Young chains have no habits yet.
static size_t count_burst(const struct keep_snapshot *s, size_t n)
{
    size_t first = n;
    while (first > 0 && s[n - 1].effective_ns - s[first - 1].effective_ns < HOUR_NS)
        first--;
    bool is_old = n > 0 && s[n - 1].effective_ns - s[0].effective_ns > 24 * HOUR_NS;
    return is_old && n - first > BURST_MIN && n - first > BURST_TIMES * fullest_hour(s, first) ? n - first : 0;
}

static void keep_last(uint64_t count, struct keep_snapshot *s, size_t n)
{
    for (size_t i = n; i > 0 && count > 0; i--) {
        if ((s[i - 1].reasons & KEEP_DOUBT) != 0)
            continue;
        s[i - 1].reasons |= KEEP_LAST;
        count--;
    }
}

static void keep_within(uint64_t within_s, struct keep_snapshot *s, size_t n)
{
    uint64_t within_ns = within_s > UINT64_MAX / SECOND ? UINT64_MAX : within_s * SECOND;
    for (size_t i = n; i > 0 && s[n - 1].effective_ns - s[i - 1].effective_ns <= within_ns; i--)
        s[i - 1].reasons |= KEEP_WITHIN;
}

static void apply_rules(const struct keep_rules *r, const struct keep_clock *clock, struct keep_snapshot *s, size_t n, size_t burst)
{
    const struct { unsigned rule; uint64_t count; } periods[] = {
        { KEEP_HOURLY, r->hourly }, { KEEP_DAILY, r->daily }, { KEEP_WEEKLY, r->weekly }, { KEEP_MONTHLY, r->monthly },
        { KEEP_QUARTERLY, r->quarterly }, { KEEP_YEARLY, r->yearly },
    };
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++)
        keep_periods(periods[i].rule, periods[i].count, clock, s, n);
    keep_last(r->last, s, n);
    keep_last(burst == 0 ? 0 : r->last, s, n - burst);
    if (r->within_s > 0)
        keep_within(r->within_s, s, n);
}

// What stays whatever the rules say.
static void keep_always(struct keep_snapshot *s, size_t n, struct keep_result *result)
{
    bool complete = false, verified = false;
    for (size_t i = n; i-- > 0;) {
        s[i].reasons |= (i == n - 1 ? KEEP_NEWEST : 0) | (s[i].held ? KEEP_HELD : 0);
        if (s[i].complete && !s[i].suspect && !complete)
            s[i].reasons |= KEEP_NEWEST_COMPLETE;
        if (s[i].verified && !verified)
            s[i].reasons |= KEEP_LAST_VERIFIED;
        complete = complete || (s[i].complete && !s[i].suspect);
        verified = verified || s[i].verified;
        result->frozen_by = s[i].suspect ? s[i].number : result->frozen_by;
    }
}

void keep_decide(const struct keep_rules *rules, const struct keep_clock *clock, struct keep_snapshot *snapshots, size_t n, struct keep_result *ret_result)
{
    *ret_result = (struct keep_result){ 0 };
    for (size_t i = 0; i < n; i++)
        snapshots[i].reasons = 0;
    place_in_time(snapshots, n, clock->now_ns);
    ret_result->burst = count_burst(snapshots, n);
    apply_rules(rules, clock, snapshots, n, ret_result->burst);
    keep_always(snapshots, n, ret_result);
    unsigned all = (keep_rules_given(rules) ? 0 : KEEP_ALL) | (ret_result->frozen_by > 0 ? KEEP_FROZEN : 0);
    for (size_t i = 0; i < n; i++) {
        snapshots[i].reasons |= all;
        ret_result->kept += snapshots[i].reasons != 0;
        ret_result->going += snapshots[i].reasons == 0;
        ret_result->doubtful += (snapshots[i].reasons & KEEP_DOUBT) != 0;
    }
}
