// A policy's streams as the engine wants them: with the environment their commands get.
#ifndef BKD_HOST_STREAM_SOURCES_H
#define BKD_HOST_STREAM_SOURCES_H

#include "bkd/base/env.h"
#include "bkd/engine/stream.h"
#include "bkd/policy/policy.h"

struct stream_sources {
    struct stream_source *list; // in the order of their names
    struct env *envs;
    size_t count;
};

// The policy stays the caller's and must outlive the result; `host` is the label of this host.
void stream_sources_make(const struct policy *policy, const char *host, struct stream_sources *ret_sources);
void stream_sources_done(struct stream_sources *sources);

#endif
