#include "bkd/base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "bkd/base/buf.h"

enum { TIMER_ACCURACY_US = 50000 };

struct loop_source {
    struct loop *loop;
    struct loop_source *next, **link; // in the loop's list
    sd_event_source *inner;
    clockid_t clock; // of a timer
    int own_fd;      // -1 = none
    union {
        loop_fn *plain;
        loop_fd_fn *fd;
        loop_change_fn *change;
    } fn;
    void *arg;
};

struct loop {
    sd_event *event;
    struct loop_source *sources;
};

int loop_new(struct loop **ret_loop, struct error *err)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    int r = sd_event_new(&loop->event);
    if (r < 0) {
        free(loop);
        return error_set_errno(err, -r, "make an event loop");
    }
    *ret_loop = loop;
    return 0;
}

void loop_source_free(struct loop_source *source)
{
    if (source == NULL)
        return;
    *source->link = source->next;
    if (source->next != NULL)
        source->next->link = source->link;
    (void)sd_event_source_set_enabled(source->inner, SD_EVENT_OFF); // it may be the one whose callback is running
    (void)sd_event_source_unref(source->inner);
    if (source->own_fd >= 0)
        (void)close(source->own_fd);
    free(source);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    while (loop->sources != NULL)
        loop_source_free(loop->sources);
    (void)sd_event_unref(loop->event);
    free(loop);
}

void loop_freep(struct loop **loop) { loop_free(*loop); }

static struct loop_source *source_new(struct loop *loop, void *arg)
{
    struct loop_source *source = xcalloc(1, sizeof *source);
    *source = (struct loop_source){ .loop = loop, .next = loop->sources, .link = &loop->sources, .own_fd = -1, .arg = arg };
    if (source->next != NULL)
        source->next->link = &source->next;
    loop->sources = source;
    return source;
}

// `r` is what sd-event said to the new source.
static int finish(struct loop_source *source, int r, const char *what, struct loop_source **ret_source, struct error *err)
{
    if (r < 0) {
        loop_source_free(source);
        return error_set_errno(err, -r, "wait for %s", what);
    }
    if (ret_source != NULL)
        *ret_source = source;
    return 0;
}

// ---- what sd-event calls ---------------------------------------------------------------------------------------------------

static int on_fd(sd_event_source *inner, int fd, uint32_t events, void *arg)
{
    const struct loop_source *source = arg;
    (void)inner;
    (void)fd;
    source->fn.fd(source->arg, events);
    return 0;
}

static int on_signal(sd_event_source *inner, const struct signalfd_siginfo *info, void *arg)
{
    const struct loop_source *source = arg;
    (void)inner;
    (void)info;
    source->fn.plain(source->arg);
    return 0;
}

static int on_time(sd_event_source *inner, uint64_t at_us, void *arg)
{
    const struct loop_source *source = arg;
    (void)inner;
    (void)at_us;
    source->fn.plain(source->arg);
    return 0;
}

static int on_change(sd_event_source *inner, const struct inotify_event *event, void *arg)
{
    const struct loop_source *source = arg;
    (void)inner;
    source->fn.change(source->arg, event->len > 0 ? event->name : "");
    return 0;
}

// ---- adding ----------------------------------------------------------------------------------------------------------------

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg, struct loop_source **ret_source, struct error *err)
{
    struct loop_source *source = source_new(loop, arg);
    source->fn.fd = fn;
    return finish(source, sd_event_add_io(loop->event, &source->inner, fd, events, on_fd, source), "a descriptor", ret_source, err);
}

void loop_set_events(struct loop_source *source, uint32_t events) { (void)sd_event_source_set_io_events(source->inner, events); }

int loop_add_signal(struct loop *loop, int number, loop_fn *fn, void *arg, struct error *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    struct loop_source *source = source_new(loop, arg);
    source->fn.plain = fn;
    return finish(source, sd_event_add_signal(loop->event, &source->inner, number, on_signal, source), "a signal", NULL, err);
}

int loop_add_timer(struct loop *loop, enum loop_clock clock, loop_fn *fn, void *arg, struct loop_source **ret_source, struct error *err)
{
    struct loop_source *source = source_new(loop, arg);
    source->fn.plain = fn;
    source->clock = clock == LOOP_WALL ? CLOCK_REALTIME : CLOCK_BOOTTIME;
    int r = sd_event_add_time(loop->event, &source->inner, source->clock, UINT64_MAX, TIMER_ACCURACY_US, on_time, source);
    return finish(source, r, "a time", ret_source, err);
}

void loop_set_time(struct loop_source *timer, uint64_t at_ns)
{
    if (at_ns == UINT64_MAX) {
        (void)sd_event_source_set_enabled(timer->inner, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(timer->inner, (at_ns + 999) / 1000);
    (void)sd_event_source_set_enabled(timer->inner, SD_EVENT_ONESHOT);
}

void loop_set_delay(struct loop_source *timer, uint64_t delay_ns)
{
    struct timespec now;
    (void)clock_gettime(timer->clock, &now);
    loop_set_time(timer, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + delay_ns);
}

static int on_turn(sd_event_source *inner, void *arg)
{
    const struct loop_source *source = arg;
    (void)inner;
    source->fn.plain(source->arg);
    return 0;
}

int loop_add_turn(struct loop *loop, loop_fn *fn, void *arg, struct loop_source **ret_source, struct error *err)
{
    struct loop_source *source = source_new(loop, arg);
    source->fn.plain = fn;
    int r = sd_event_add_defer(loop->event, &source->inner, on_turn, source);
    if (r >= 0)
        r = sd_event_source_set_enabled(source->inner, SD_EVENT_OFF);
    return finish(source, r, "a turn", ret_source, err);
}

void loop_turn_soon(struct loop_source *turn) { (void)sd_event_source_set_enabled(turn->inner, SD_EVENT_ONESHOT); }

// A timer far away that is cancelled when the clock is set (timerfd_create(2)): reading it says so, and it goes on waiting.
static int wait_for_clock_change(int fd)
{
    const struct itimerspec far_away = { .it_value = { .tv_sec = INT64_C(0x7fffffffff) } };
    return fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far_away, NULL) < 0 ? -errno : 0;
}

static int on_clock(sd_event_source *inner, int fd, uint32_t events, void *arg)
{
    const struct loop_source *source = arg;
    uint64_t expired;
    (void)inner;
    (void)events;
    (void)!read(fd, &expired, sizeof expired); // ECANCELED is the news
    (void)wait_for_clock_change(fd);
    source->fn.plain(source->arg);
    return 0;
}

int loop_add_clock_change(struct loop *loop, loop_fn *fn, void *arg, struct error *err)
{
    struct loop_source *source = source_new(loop, arg);
    source->fn.plain = fn;
    source->own_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    int r = wait_for_clock_change(source->own_fd);
    if (r == 0)
        r = sd_event_add_io(loop->event, &source->inner, source->own_fd, EPOLLIN, on_clock, source);
    return finish(source, r, "changes of the clock", NULL, err);
}

int loop_add_directory(struct loop *loop, const char *path, loop_change_fn *fn, void *arg, struct loop_source **ret_source, struct error *err)
{
    enum { CHANGES = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF };
    struct loop_source *source = source_new(loop, arg);
    source->fn.change = fn;
    int r = sd_event_add_inotify(loop->event, &source->inner, path, CHANGES | IN_ONLYDIR, on_change, source);
    return finish(source, r, path, ret_source, err);
}

// ---- turning ---------------------------------------------------------------------------------------------------------------

void loop_feed_watchdog(struct loop *loop) { (void)sd_event_set_watchdog(loop->event, true); }

int loop_run(struct loop *loop, struct error *err)
{
    int r = sd_event_loop(loop->event);
    return r < 0 ? error_set_errno(err, -r, "wait for events") : 0;
}

void loop_stop(struct loop *loop) { (void)sd_event_exit(loop->event, 0); }
