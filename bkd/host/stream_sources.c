#include "bkd/host/stream_sources.h"

#include <stdlib.h>
#include <string.h>

// "NAME=value", in the place of what the name had before.
static void set_variable(struct env *env, const char *item)
{
    size_t n = strcspn(item, "=");
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->list[i], item, n + 1) == 0) {
            free((char *)env->list[i]);
            env->list[i] = xstrdup(item);
            return;
        }
    }
    _cleanup_free_ char *name = xstrndup(item, n);
    env_add(env, name, item + n + 1);
}

static void make_env(const struct policy *policy, const struct policy_stream *stream, const char *host, struct env *env)
{
    env_init(env, stream->user[0] != '\0' ? stream->user : NULL);
    env_add(env, "BKD_POLICY", policy->name);
    env_add(env, "BKD_HOST", host);
    env_add(env, "BKD_STREAM", stream->name);
    for (size_t i = 0; i < stream->env.count; i++)
        set_variable(env, stream->env.items[i]);
}

static const char *const *make_argv(const struct policy_list *command)
{
    const char **argv = xcalloc(command->count + 1, sizeof *argv);
    for (size_t i = 0; i < command->count; i++)
        argv[i] = command->items[i];
    return argv;
}

void stream_sources_make(const struct policy *policy, const char *host, struct stream_sources *ret_sources)
{
    struct stream_sources s = { .count = policy->stream_count };
    s.list = xcalloc(s.count + 1, sizeof *s.list);
    s.envs = xcalloc(s.count + 1, sizeof *s.envs);
    for (size_t i = 0; i < s.count; i++) {
        const struct policy_stream *stream = &policy->streams[i].stream;
        make_env(policy, stream, host, &s.envs[i]);
        s.list[i] = (struct stream_source){
            .name = stream->name, .command = make_argv(&stream->command), .env = s.envs[i].list, .user = stream->user[0] != '\0' ? stream->user : NULL,
            .timeout_ms = stream->timeout_s * 1000,
        };
    }
    *ret_sources = s;
}

void stream_sources_done(struct stream_sources *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free((void *)s->list[i].command); // the array; its strings are the policy's
        env_done(&s->envs[i]);
    }
    free(s->list);
    free(s->envs);
    *s = (struct stream_sources){ 0 };
}
