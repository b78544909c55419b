// The host's configuration is any bytes: they become a configuration or mistakes, and what is said can be printed.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/policy/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What holds for every configuration that was accepted.
static void check_config(const struct config *config)
{
    const struct config_notify *notify = &config->notify;
    assert(config->max_parallel >= 1 && config->timezone && notify->digest.at && config->metrics.listen);
    for (size_t i = 0; i < notify->channel_count; i++)
        assert(config_find_channel(config, notify->channels[i].name) == &notify->channels[i]);
    for (size_t i = 0; i < notify->route_count; i++)
        for (size_t k = 0; k < notify->routes[i].to.count; k++)
            assert(config_find_channel(config, notify->routes[i].to.items[k]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    _cleanup_config_ struct config config = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_buf_ struct buf text = { 0 };
    int rc = config_parse("bkd.yaml", data, size, &config, &errors, &err);
    assert(rc == 0 || rc == ERROR_USAGE);
    policy_errors_format(&errors, &text);
    for (size_t i = 0; i < text.len; i++)
        assert(text.data[i] == '\n' || (text.data[i] >= 0x20 && text.data[i] != 0x7f));
    if (rc == 0)
        check_config(&config);
    return 0;
}
