#include "bkd/base/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t requested;

static void on_signal(int number)
{
    if (requested) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    requested = number;
}

void interrupt_install(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN) // nohup(1) means it
        (void)sigaction(SIGHUP, &action, NULL);
}

bool interrupt_requested(void) { return requested != 0; }

bool interrupt_stops(void *unused)
{
    (void)unused;
    return interrupt_requested();
}
