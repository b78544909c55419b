#include "bkd/notify/notifier.h"

const struct notifier *notifier_of(const struct config_channel *channel)
{
    static const struct notifier *const notifiers[] = {
        [CONFIG_EMAIL] = &notifier_email, [CONFIG_WEBHOOK] = &notifier_webhook, [CONFIG_COMMAND] = &notifier_command, [CONFIG_SYSLOG] = &notifier_syslog,
    };
    return notifiers[channel->type];
}
