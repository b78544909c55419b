// Who is told what, and when: the rules of the configuration, what is so now, and what each channel was told last, give what it is told now. Pure.
//
// Of alarms it is the state that counts, not each change of it: a channel that was told that an alarm stands is reminded by rule, told when it gets worse or
// better, and always told when it is over, whatever the routes say by then. One that comes and goes is told at growing distances:
//
//                  opened / escalated                        over
//     (not told) ----------------------> (told: it stands) ---------> (told: it is over)
//          ^       after the interval      | changed, reminder             |
//          |                               '---'                           |
//          '---------------------------------------------------------------'   the interval doubles when it comes back soon, up to ROUTING_INTERVAL_MAX
//
// Events that are no alarm are told once each; those of one kind and policy that follow each other closely are counted instead.
// So is an alarm that began and ended between two looks: as something that happened.
#ifndef BKD_NOTIFY_ROUTING_H
#define BKD_NOTIFY_ROUTING_H

#include "bkd/notify/message.h"
#include "bkd/policy/config.h"
#include "bkd/record/alarms.h"
#include "bkd/record/tellings.h"

#define ROUTING_INTERVAL_MAX_S (4u * 3600)
#define ROUTING_CHANNEL_ALARM "channel" // the kind of alarm that says that a channel fails; its copy is the channel's name. It does not go there

#define ROUTING_ANNOUNCEMENT "drill-announced" // the kind of event that tells of a drill to come: people are to hear of it, so that every route that fits tells

struct routing_time {
    uint64_t now_ns;
    unsigned minute; // of the day, by the clock of the configuration's time zone
};

// What is told, if anything.
struct routing_decision {
    bool tell;
    enum message_what what;
};

// Of an alarm, to a channel. `last`: what the channel was told last about its kind, policy and copy; NULL = nothing yet.
struct routing_decision routing_alarm(const struct config_notify *notify, const char *channel, const struct alarm *alarm, const struct telling *last,
                                      const struct routing_time *now);
// What is to be remembered after that (strings are borrowed from alarm and channel). Also when nothing was told: the occurrence may be another one.
struct telling routing_alarm_told(const struct config_notify *notify, const char *channel, const struct alarm *alarm, const struct telling *last,
                                  const struct routing_decision *decision, const struct routing_time *now);

// Of an event that is no alarm. is_log: the channel wants each one. *ret_wait_ns: for how long it is to wait (quiet hours); 0 = not at all.
// *ret_counts: it is not told but counted.
struct routing_decision routing_event(const struct config_notify *notify, const char *channel, bool is_log, const struct event *event, const struct telling *last,
                                      const struct routing_time *now, uint64_t *ret_wait_ns, bool *ret_counts);
struct telling routing_event_told(const struct config_notify *notify, const char *channel, const struct event *event, const struct telling *last, bool told,
                                  const struct routing_time *now);

// The local time (seconds of a clock that is never changed) of the last moment at or before `local_s` at which the clock showed this minute of the day.
int64_t routing_last_minute(int64_t local_s, unsigned minute);

// When to try again after so many tries that failed: 1, 2, 4 … minutes, at most an hour.
uint64_t routing_backoff_ns(uint64_t tries);

#endif
