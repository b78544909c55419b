// Who does something, for the records.
#ifndef BKD_HOST_WHO_H
#define BKD_HOST_WHO_H

#include <sys/types.h>

#define WHO_MAX 256

// "alice", or "user 1234" when nobody has that number.
void who_is(uid_t uid, char ret_who[WHO_MAX]);
// Who runs this process: "root", "root (sudo by alice)".
void who_am_i(char ret_who[WHO_MAX]);

#endif
