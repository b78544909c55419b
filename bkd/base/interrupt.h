// The one flag a signal sets: a person, or the system going down, wants the program to end. Work in hand is undone or completed first;
// a second signal ends at once (part files then stay, and say by their name what they are).
#ifndef BKD_BASE_INTERRUPT_H
#define BKD_BASE_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void); // SIGINT, SIGTERM, SIGHUP
bool interrupt_requested(void);
bool interrupt_stops(void *unused); // the same, as the `stop` that long work asks

#endif
