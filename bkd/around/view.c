#include "bkd/around/view.h"

#include <stdarg.h>
#include <stdlib.h>

#include "bkd/base/proc.h"

enum { ARGUMENTS_MAX = 16 };

void view_done(struct view *v)
{
    free(v->source);
    free(v->name);
    free(v->made);
    free(v->mount);
    free(v->origin);
    free(v->filesystem);
    free(v->below);
    free(v->path);
    for (size_t i = 0; v->release != NULL && v->release[i] != NULL; i++)
        free((char *)v->release[i]);
    free(v->release);
    *v = (struct view){ 0 };
}

int view_run(const struct view_system *system, const struct view *v, struct buf *ret_said, struct error *err, ...)
{
    const char *argv[ARGUMENTS_MAX + 1] = { 0 };
    va_list args;
    va_start(args, err);
    for (size_t i = 0; i < ARGUMENTS_MAX && (argv[i] = va_arg(args, const char *)) != NULL; i++) {
    }
    va_end(args);
    _cleanup_env_ struct env env = { 0 };
    env_init(&env, NULL);
    return system->run(system, argv, &env, v->timeout_ms, ret_said, err);
}

char *view_last_line(const struct buf *said)
{
    size_t n;
    const char *line = proc_last_line(said, &n);
    return xstrndup(line, n);
}
