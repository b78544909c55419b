// The figures of this host for Prometheus: its policies and its catalogue, as text, as a file, and by HTTP.
#ifndef BKD_HISTORY_METERING_H
#define BKD_HISTORY_METERING_H

#include "bkd/host/context.h"
#include "bkd/notify/scrape.h"

// As they are now, appended. May be called from any thread.
MUST_USE int metering_text(const struct context *ctx, struct buf *ret_text, struct error *err);
// The same into a file, which is replaced as a whole; anybody may read it.
MUST_USE int metering_write(const struct context *ctx, const char *path, struct error *err);
// Serves them at ADDRESS:PORT from now on. ctx must outlive the scrape.
MUST_USE int metering_serve(const struct context *ctx, const char *listen, struct scrape **ret_scrape, struct error *err);

// Serving them where the configuration says so, for as long as it does.
struct metering_server {
    struct scrape *scrape; // NULL = not served
    char *listen;          // where; NULL = nowhere
};
// Begins, moves or ends serving, as the configuration is now. What goes wrong is a warning; with mistakes in the configuration all stays as it is.
void metering_follow(const struct context *ctx, struct metering_server *server);
void metering_server_done(struct metering_server *server);

#endif
