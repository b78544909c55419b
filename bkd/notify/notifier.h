// A notifier tells one message over one channel. There is one for each type of channel.
#ifndef BKD_NOTIFY_NOTIFIER_H
#define BKD_NOTIFY_NOTIFIER_H

#include "bkd/notify/message.h"
#include "bkd/policy/config.h"

// What a notifier works with.
struct notifier_context {
    const struct io *io;
    const char *config_dir; // its keys/ holds the secrets
    uint64_t timeout_ms;    // for this message
};

struct notifier {
    // Hands the message over, within the time; 0 = whoever is at the other end has taken it. *ret_note: what a person should know beside success
    // ("1 of 3 recipients was refused"), left alone when there is nothing. Secrets appear in neither note nor error.
    int (*send)(const struct notifier_context *ctx, const struct config_channel *channel, const struct message *message, struct buf *ret_note, struct error *err);
    // Does each message count, however many there are? Where not, what comes too often is thinned out.
    bool (*is_log)(const struct config_channel *channel);
};

extern const struct notifier notifier_email, notifier_webhook, notifier_command, notifier_syslog;

const struct notifier *notifier_of(const struct config_channel *channel);

#endif
