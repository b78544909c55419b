#include "bkd/notify/transfer.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/printable.h"

#define CONNECT_SHARE 2       // of the time, one in so many parts may go into connecting
#define REDIRECTIONS_MAX 3L
#define ANSWER_MAX 300u       // bytes of a server's answer that an error shows

// One transfer: its handle, its lists, what it sends and what came back.
struct transfer {
    CURL *curl;
    struct curl_slist *list; // recipients or headers
    const uint8_t *at, *end; // of what is still to be sent
    struct buf answer;
    char said[CURL_ERROR_SIZE];
};

static void transfer_done(struct transfer *t)
{
    curl_slist_free_all(t->list);
    curl_easy_cleanup(t->curl);
    buf_done(&t->answer);
    curl_global_cleanup();
}
#define _cleanup_transfer_ __attribute__((cleanup(transfer_done)))

// Options that this libcurl does not know would be silent holes.
#define SET(t, option, value)                                              \
    do {                                                                   \
        if (curl_easy_setopt((t)->curl, option, value) != CURLE_OK)        \
            abort();                                                       \
    } while (0)

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct buf *body = arg;
    size_t room = body->len < TRANSFER_BODY_MAX ? TRANSFER_BODY_MAX - body->len : 0;
    buf_add(body, data, size * n < room ? size * n : room);
    return size * n;
}

static size_t take_answer(char *data, size_t size, size_t n, void *arg)
{
    struct buf *answer = arg;
    size_t room = answer->len < ANSWER_MAX ? ANSWER_MAX - answer->len : 0;
    buf_add(answer, data, size * n < room ? size * n : room);
    return size * n;
}

static size_t give_body(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t left = (size_t)(t->end - t->at), some = size * n < left ? size * n : left;
    memcpy(data, t->at, some);
    t->at += some;
    return some;
}

static int begin(struct transfer *t, const struct transfer_security *security, uint64_t timeout_ms, struct error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERROR_FAILED, "libcurl cannot be used");
    t->curl = curl_easy_init();
    if (t->curl == NULL)
        return error_set(err, ERROR_FAILED, "libcurl cannot be used");
    SET(t, CURLOPT_NOSIGNAL, 1L);
    SET(t, CURLOPT_ERRORBUFFER, t->said);
    SET(t, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(t, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms / CONNECT_SHARE));
    SET(t, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(t, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(t, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(t, CURLOPT_WRITEFUNCTION, take_answer);
    SET(t, CURLOPT_WRITEDATA, &t->answer);
    if (security->ca != NULL)
        SET(t, CURLOPT_CAINFO, security->ca);
    return 0;
}

// What libcurl's code means for whoever has to correct it.
static enum error_code code_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return ERROR_UNREACHABLE;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_USE_SSL_FAILED:
    case CURLE_LOGIN_DENIED: return ERROR_KEY;
    default: return ERROR_FAILED;
    }
}

static int fail(const struct transfer *t, CURLcode code, const char *what, struct error *err)
{
    _cleanup_buf_ struct buf said = { 0 };
    const char *text = t->said[0] != '\0' ? t->said : curl_easy_strerror(code);
    printable_add(&said, text, strlen(text));
    const char *hint = code == CURLE_USE_SSL_FAILED ? " (the server offers no TLS; `tls: none` is for servers on this host)" :
                       code == CURLE_PEER_FAILED_VERIFICATION ? " (`ca` names the file of its authority, when that is not one of the system's)" :
                       code == CURLE_LOGIN_DENIED ? " (see `user` and `password`)" : "";
    return error_set(err, code_of(code), "%s: %s%s", what, buf_str(&said), hint);
}

// ---- mail --------------------------------------------------------------------------------------------------------------

// "smtp://HOST:PORT/DOMAIN": libcurl says EHLO with what stands behind the slash.
static char *mail_url(const struct transfer_mail *mail)
{
    const char *scheme = strstr(mail->server, "://"), *host = scheme != NULL ? scheme + 3 : mail->server;
    bool is_smtps = strncmp(mail->server, "smtps://", 8) == 0;
    size_t n = strcspn(host, "/");
    const char *bracket = memchr(host, ']', n), *colon = memchr(bracket != NULL ? bracket : host, ':', n - (size_t)(bracket != NULL ? bracket - host : 0));
    return xasprintf("%s://%.*s%s/%s", is_smtps ? "smtps" : "smtp", (int)n, host, colon != NULL ? "" : is_smtps ? ":465" : ":587", mail->domain);
}

static int set_mail(struct transfer *t, const struct transfer_mail *mail, struct error *err)
{
    _cleanup_free_ char *url = mail_url(mail);
    int r = begin(t, &mail->security, mail->timeout_ms, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < mail->to_count; i++)
        t->list = curl_slist_append(t->list, mail->to[i]);
    SET(t, CURLOPT_URL, url);
    SET(t, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(t, CURLOPT_USE_SSL, (long)(mail->security.plain ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    SET(t, CURLOPT_MAIL_FROM, mail->from);
    SET(t, CURLOPT_MAIL_RCPT, t->list);
    if (mail->user != NULL) {
        SET(t, CURLOPT_USERNAME, mail->user);
        SET(t, CURLOPT_PASSWORD, mail->password);
    }
    SET(t, CURLOPT_UPLOAD, 1L);
    SET(t, CURLOPT_READFUNCTION, give_body);
    SET(t, CURLOPT_READDATA, t);
    t->at = mail->text;
    t->end = t->at + mail->text_bytes;
    return 0;
}

// How many recipients a server refused, from what libcurl tells of the conversation: answers of 4xx and 5xx to RCPT.
struct conversation {
    bool asked; // the last line of ours was RCPT
    size_t refused;
};

static int follow(CURL *curl, curl_infotype type, char *data, size_t n, void *arg)
{
    struct conversation *c = arg;
    (void)curl;
    if (type == CURLINFO_HEADER_OUT)
        c->asked = n >= 5 && strncmp(data, "RCPT ", 5) == 0;
    if (type == CURLINFO_HEADER_IN && c->asked && n >= 4 && (data[0] == '4' || data[0] == '5') && data[3] == ' ')
        c->refused++;
    return 0;
}

int transfer_mail(const struct transfer_mail *mail, size_t *ret_refused, struct error *err)
{
    _cleanup_transfer_ struct transfer t = { 0 };
    struct conversation conversation = { 0 };
    int r = set_mail(&t, mail, err);
    if (r < 0)
        return r;
    SET(&t, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L); // one address that is wrong must not keep the others from being told
    SET(&t, CURLOPT_VERBOSE, 1L);
    SET(&t, CURLOPT_DEBUGFUNCTION, follow);
    SET(&t, CURLOPT_DEBUGDATA, &conversation);
    CURLcode code = curl_easy_perform(t.curl);
    long status = 0;
    (void)curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK && status >= 400 && code_of(code) == ERROR_UNREACHABLE && code != CURLE_OPERATION_TIMEDOUT)
        return error_set(err, ERROR_FAILED, "the mail server refused it with %ld: %s", status, t.said[0] != '\0' ? t.said : curl_easy_strerror(code));
    if (code != CURLE_OK)
        return fail(&t, code, "the mail server", err);
    *ret_refused = conversation.refused;
    return 0;
}

// ---- posting -----------------------------------------------------------------------------------------------------------

static int set_post(struct transfer *t, const struct transfer_post *post, struct error *err)
{
    const char *protocols = post->security.plain ? "http,https" : "https";
    _cleanup_free_ char *type = xasprintf("Content-Type: %s", post->type);
    int r = begin(t, &post->security, post->timeout_ms, err);
    if (r < 0)
        return r;
    t->list = curl_slist_append(t->list, type);
    t->list = curl_slist_append(t->list, "Expect:"); // a small body is sent at once
    for (size_t i = 0; i < post->header_count; i++)
        t->list = curl_slist_append(t->list, post->headers[i]);
    SET(t, CURLOPT_URL, post->url);
    SET(t, CURLOPT_PROTOCOLS_STR, protocols);
    SET(t, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    SET(t, CURLOPT_FOLLOWLOCATION, post->header_count == 0 ? 1L : 0L);
    SET(t, CURLOPT_MAXREDIRS, REDIRECTIONS_MAX);
    SET(t, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL); // it stays a POST
    SET(t, CURLOPT_USERAGENT, "bkd/" PACKAGE_VERSION);
    SET(t, CURLOPT_HTTPHEADER, t->list);
    SET(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body_bytes);
    SET(t, CURLOPT_POSTFIELDS, (const char *)post->body);
    return 0;
}

static int judge_answer(const struct transfer *t, long status, struct error *err)
{
    if (status >= 200 && status < 300)
        return 0;
    _cleanup_buf_ struct buf line = { 0 };
    printable_add(&line, buf_str(&t->answer), strcspn(buf_str(&t->answer), "\r\n"));
    enum error_code code = status == 401 || status == 403 ? ERROR_KEY : status >= 500 ? ERROR_UNREACHABLE : ERROR_FAILED;
    return error_set(err, code, "the server answered with status %ld%s%.160s", status, line.len ? ": " : "", buf_str(&line));
}

int transfer_post(const struct transfer_post *post, struct error *err)
{
    _cleanup_transfer_ struct transfer t = { 0 };
    long status = 0;
    int r = set_post(&t, post, err);
    if (r < 0)
        return r;
    CURLcode code = curl_easy_perform(t.curl);
    if (code != CURLE_OK)
        return fail(&t, code, "the server", err);
    (void)curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    return judge_answer(&t, status, err);
}

// ---- asking ------------------------------------------------------------------------------------------------------------

int transfer_get(const char *url, uint64_t timeout_ms, struct buf *ret_body, unsigned *ret_status, struct error *err)
{
    _cleanup_transfer_ struct transfer t = { 0 };
    const struct transfer_security security = { .plain = true };
    long status = 0;
    int r = begin(&t, &security, timeout_ms, err);
    if (r < 0)
        return r;
    SET(&t, CURLOPT_URL, url);
    SET(&t, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(&t, CURLOPT_USERAGENT, "bkd/" PACKAGE_VERSION);
    SET(&t, CURLOPT_NOPROXY, "*"); // what is asked is on this host, or told by its own address
    SET(&t, CURLOPT_WRITEFUNCTION, take_body);
    SET(&t, CURLOPT_WRITEDATA, ret_body);
    CURLcode code = curl_easy_perform(t.curl);
    if (code != CURLE_OK)
        return fail(&t, code, "the server", err);
    (void)curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (unsigned)status;
    return 0;
}
