// Telling systemd how a service is doing (sd_notify(3)). Where nobody listens, nothing happens.
#ifndef BKD_BASE_READINESS_H
#define BKD_BASE_READINESS_H

// It has started: units that wait for it may go on.
void readiness_ready(void);
// It reads its configuration anew; readiness_ready follows.
void readiness_reloading(void);
// It is about to end.
void readiness_stopping(void);
// One line for `systemctl status`.
void readiness_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
