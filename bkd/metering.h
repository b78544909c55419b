// The figures of this host for Prometheus: its policies and its catalogue, as text, as a file, and by HTTP.
#ifndef BKD_METERING_H
#define BKD_METERING_H

#include "bkd/cmd.h"
#include "bkd/notify/scrape.h"

// As they are now, appended. May be called from any thread.
MUST_USE int metering_text(const struct cmd_context *ctx, struct buf *ret_text, struct error *err);
// The same into a file, which is replaced as a whole; anybody may read it.
MUST_USE int metering_write(const struct cmd_context *ctx, const char *path, struct error *err);
// Serves them at ADDRESS:PORT from now on. ctx must outlive the scrape.
MUST_USE int metering_serve(const struct cmd_context *ctx, const char *listen, struct scrape **ret_scrape, struct error *err);
// The same where the configuration says so; *ret_scrape is NULL when it does not.
MUST_USE int metering_serve_configured(const struct cmd_context *ctx, struct scrape **ret_scrape, struct error *err);

#endif
