#include "bkd/base/env.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "bkd/base/buf.h"
#include "bkd/base/proc.h"

void env_add(struct env *env, const char *name, const char *value)
{
    if (value == NULL)
        return;
    env->list = xrealloc(env->list, (env->count + 2) * sizeof *env->list);
    env->list[env->count++] = xasprintf("%s=%s", name, value);
    env->list[env->count] = NULL;
}

void env_add_u64(struct env *env, const char *name, uint64_t value)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_add_u64(&text, value);
    env_add(env, name, buf_str(&text));
}

void env_init(struct env *env, const char *user)
{
    struct passwd entry, *found = NULL;
    char text[16384];
    *env = (struct env){ 0 };
    env_add(env, "PATH", PROC_PATH);
    env_add(env, "LANG", "C.UTF-8");
    if (user != NULL)
        (void)getpwnam_r(user, &entry, text, sizeof text, &found);
    else
        (void)getpwuid_r(geteuid(), &entry, text, sizeof text, &found);
    if (found == NULL)
        return;
    env_add(env, "HOME", found->pw_dir);
    env_add(env, "USER", found->pw_name);
    env_add(env, "LOGNAME", found->pw_name);
    env_add(env, "SHELL", found->pw_shell);
}

void env_done(struct env *env)
{
    for (size_t i = 0; i < env->count; i++)
        free((char *)env->list[i]);
    free(env->list);
    *env = (struct env){ 0 };
}
