#include "bkd/base/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Reads what fits of a file of /proc; "" when there is none.
static void read_text(const char *path, char *ret_text, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, ret_text, n - 1);
    ret_text[got < 0 ? 0 : got] = '\0';
    if (fd >= 0)
        (void)close(fd);
}

static void read_boot_id(char ret_id[PROCESS_BOOT_MAX])
{
    read_text("/proc/sys/kernel/random/boot_id", ret_id, PROCESS_BOOT_MAX);
    ret_id[strcspn(ret_id, "\n")] = '\0';
}

uint64_t process_start(pid_t pid)
{
    char path[40], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    read_text(path, text, sizeof text);
    const char *at = strrchr(text, ')'); // the name before it may hold anything
    if (at == NULL || strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0)
        return 0;
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

void process_self(struct process *ret_process)
{
    *ret_process = (struct process){ .pid = getpid(), .start = process_start(getpid()) };
    read_boot_id(ret_process->boot_id);
}

bool process_is_alive(const struct process *process)
{
    struct process self;
    process_self(&self);
    if (self.start == 0 || self.boot_id[0] == '\0')
        return true;
    return strcmp(self.boot_id, process->boot_id) == 0 && process->start == process_start(process->pid);
}
