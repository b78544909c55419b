// Which process is it, and is it still there? A process number alone may mean another one by now: the boot and the time it started tell them apart.
#ifndef BKD_BASE_PROCESS_H
#define BKD_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_BOOT_MAX 37 // a UUID and NUL

struct process {
    pid_t pid;
    char boot_id[PROCESS_BOOT_MAX]; // /proc/sys/kernel/random/boot_id; "" when it could not be read
    uint64_t start;                 // clock ticks since boot, field 22 of /proc/PID/stat (proc(5)); 0 when it could not be read
};

// This process.
void process_self(struct process *ret_process);
// The time another one started; 0 when there is none of that number (or it is a zombie, which does nothing any more).
uint64_t process_start(pid_t pid);
// Is that very process still running? True when this cannot be told (no /proc).
bool process_is_alive(const struct process *process);

#endif
