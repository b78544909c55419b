// Waiting for many things at once, in one thread: descriptors, times, signals, changes of directories. Built on sd-event, which is included nowhere else.
//
// A callback runs when its thing has happened and never while another runs. Usual order: loop_new; loop_add_…; loop_run until a callback calls
// loop_stop; loop_free, which frees what was added and is still there.
#ifndef BKD_BASE_LOOP_H
#define BKD_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/error.h"

struct loop;
struct loop_source; // something that is waited for; belongs to its loop

typedef void loop_fn(void *arg);
typedef void loop_fd_fn(void *arg, uint32_t events);             // EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR
typedef void loop_change_fn(void *arg, const char *name);        // in the directory; "" = the directory itself, or more than could be told

MUST_USE int loop_new(struct loop **ret_loop, struct error *err);
void loop_free(struct loop *loop); // NULL is fine
void loop_freep(struct loop **loop);
#define _cleanup_loop_ __attribute__((cleanup(loop_freep)))

// A descriptor, which is borrowed and must stay open until the source is freed.
MUST_USE int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg, struct loop_source **ret_source, struct error *err);
void loop_set_events(struct loop_source *source, uint32_t events);
// A signal, which is blocked from then on: it arrives between callbacks.
MUST_USE int loop_add_signal(struct loop *loop, int number, loop_fn *fn, void *arg, struct error *err);
// A time; nothing happens until it is set. Wall time follows the clock when that is set; monotonic time goes on while the machine sleeps.
enum loop_clock { LOOP_WALL, LOOP_MONOTONIC };
MUST_USE int loop_add_timer(struct loop *loop, enum loop_clock clock, loop_fn *fn, void *arg, struct loop_source **ret_source, struct error *err);
// When it is to happen, once; a time that has passed is "at once". UINT64_MAX = never.
void loop_set_time(struct loop_source *timer, uint64_t at_ns);
void loop_set_delay(struct loop_source *timer, uint64_t delay_ns);
// Is called once each time somebody asks for it, in the loop's next turn. No clock has to do with it, so it works under one that is made up (faketime), too.
MUST_USE int loop_add_turn(struct loop *loop, loop_fn *fn, void *arg, struct loop_source **ret_source, struct error *err);
void loop_turn_soon(struct loop_source *turn);
// That somebody set the clock, or that the machine slept.
MUST_USE int loop_add_clock_change(struct loop *loop, loop_fn *fn, void *arg, struct error *err);
// Files that come to be, go, or were written in a directory. ERROR_NOT_FOUND when there is none.
MUST_USE int loop_add_directory(struct loop *loop, const char *path, loop_change_fn *fn, void *arg, struct loop_source **ret_source, struct error *err);
void loop_source_free(struct loop_source *source); // NULL is fine

// Tells systemd's watchdog (WatchdogSec= of the unit) that the loop turns; without systemd nothing happens.
void loop_feed_watchdog(struct loop *loop);
MUST_USE int loop_run(struct loop *loop, struct error *err);
void loop_stop(struct loop *loop);

#endif
