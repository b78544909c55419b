// A wall clock that a scenario sets, for LD_PRELOAD: the file that CLOCK_SHIFT names has the seconds it is ahead of the real one. Timers by the wall clock follow
// when they are set the next time; the monotonic clocks are left alone.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 4096 };

static char by_wall[FDS_MAX]; // of timer descriptors

static time_t shift(void)
{
    long seconds = 0;
    const char *path = getenv("CLOCK_SHIFT");
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &seconds) != 1)
        seconds = 0;
    (void)fclose(file);
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int r = (int)syscall(SYS_clock_gettime, clock, now);
    if (r == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += shift();
    return r;
}

time_t time(time_t *ret_now)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now != NULL)
        *ret_now = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int r = clock_gettime(CLOCK_REALTIME, &now);
    *ret_now = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return r;
}

int timerfd_create(int clock, int flags)
{
    int fd = (int)syscall(SYS_timerfd_create, clock, flags);
    if (fd >= 0 && fd < FDS_MAX)
        by_wall[fd] = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
    return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    struct itimerspec real = *new;
    if (fd >= 0 && fd < FDS_MAX && by_wall[fd] && (flags & TFD_TIMER_ABSTIME) != 0 && real.it_value.tv_sec > shift())
        real.it_value.tv_sec -= shift();
    return (int)syscall(SYS_timerfd_settime, fd, flags, &real, old);
}
