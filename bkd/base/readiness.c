#include "bkd/base/readiness.h"

#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "bkd/base/io.h"

void readiness_ready(void) { (void)sd_notify(0, "READY=1"); }

void readiness_reloading(void)
{
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(io_monotonic_ns(io_real()) / 1000));
}

void readiness_stopping(void) { (void)sd_notify(0, "STOPPING=1"); }

void readiness_status(const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)sd_notifyf(0, "STATUS=%s", text);
}
