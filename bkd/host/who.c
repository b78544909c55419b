#include "bkd/host/who.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void who_is(uid_t uid, char ret_who[WHO_MAX])
{
    struct passwd entry, *found = NULL;
    char text[16384];
    (void)getpwuid_r(uid, &entry, text, sizeof text, &found);
    if (found != NULL)
        (void)snprintf(ret_who, WHO_MAX, "%s", found->pw_name);
    else
        (void)snprintf(ret_who, WHO_MAX, "user %u", (unsigned)uid);
}

void who_am_i(char ret_who[WHO_MAX])
{
    const char *behind = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
    who_is(geteuid(), ret_who);
    size_t n = strlen(ret_who);
    if (behind != NULL && behind[0] != '\0')
        (void)snprintf(ret_who + n, WHO_MAX - n, " (sudo by %s)", behind);
}
