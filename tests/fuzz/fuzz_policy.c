// A policy file is any bytes: they become a policy or mistakes, within the limits, and what is said can be printed.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bkd/base/pattern.h"
#include "bkd/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What holds for every policy that was accepted.
static void check_policy(const struct policy *policy)
{
    struct error err;
    assert(policy->source_count > 0 && policy->source_count <= POLICY_SOURCES_MAX);
    assert(policy->repository.url);
    assert(policy->encrypted == (policy->recipients.count > 0));
    assert(policy->compression_level >= 1 && policy->compression_level <= 19);
    for (size_t i = 0; i < policy->source_count; i++) {
        const struct policy_source *source = &policy->sources[i];
        _cleanup_pattern_set_ struct pattern_set *set = NULL;
        assert(source->path[0] == '/' && !strstr(source->path, "//"));
        int rc = pattern_set_new((const char *const *)source->exclude.items, source->exclude.count, &set, &err);
        assert(rc == 0);
        (void)pattern_set_match(set, "a/b/c.tmp", false, NULL);
        (void)pattern_set_match(set, policy->repository.url + 1, true, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    int rc = policy_parse("fuzz.yaml", data, size, &policy, &errors, &err);
    assert(rc == 0 || rc == ERROR_USAGE);
    policy_errors_format(&errors, &text);
    for (size_t i = 0; i < text.len; i++)
        assert(text.data[i] == '\n' || (text.data[i] >= 0x20 && text.data[i] != 0x7f));
    if (rc == 0)
        check_policy(&policy);
    return 0;
}
