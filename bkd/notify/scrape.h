// Serving the figures by HTTP at /metrics, for Prometheus to scrape. The only module that includes microhttpd.h.
//
// A thread of its own answers; it calls `make` for each request, one at a time, so `make` must not share what is not made for threads. Nothing but GET and
// HEAD of /metrics is answered; what a client sends is not read.
#ifndef BKD_NOTIFY_SCRAPE_H
#define BKD_NOTIFY_SCRAPE_H

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

struct scrape;

// Fills the text, or says why it cannot: the client gets 503 then.
typedef int scrape_make_fn(void *arg, struct buf *ret_text, struct error *err);

// Listens at "ADDRESS:PORT" ("127.0.0.1:9469", "[::1]:9469"; port 0 = any that is free) and answers from now on. ERROR_USAGE: it is no numeric address;
// ERROR_FAILED: it cannot be had, and why.
MUST_USE int scrape_open(const char *listen, scrape_make_fn *make, void *arg, struct scrape **ret_scrape, struct error *err);
unsigned scrape_port(const struct scrape *scrape);
// Waits for the answer at hand. NULL is fine.
void scrape_close(struct scrape **scrape);
#define _cleanup_scrape_ __attribute__((cleanup(scrape_close)))

#endif
