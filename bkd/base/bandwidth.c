#include "bkd/base/bandwidth.h"

#include <string.h>

#include "bkd/base/bytes.h"

#define FORM "2MiB/s, or a table such as \"08:00 4MiB/s, 19:00 off\""

static bool read_rate(const char *text, size_t n, uint64_t *ret_rate)
{
    static const struct { const char *name; unsigned shift; } units[] = { { "B/s", 0 }, { "KiB/s", 10 }, { "MiB/s", 20 }, { "GiB/s", 30 } };
    size_t digits = strspn(text, "0123456789");
    uint64_t value;
    *ret_rate = 0;
    if (n == 3 && strncmp(text, "off", 3) == 0)
        return true;
    if (digits == 0 || digits >= n || !parse_u64(text, digits, UINT64_C(1) << 32, &value))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == n - digits && strncmp(text + digits, units[i].name, n - digits) == 0) {
            *ret_rate = value << units[i].shift;
            return *ret_rate >= BANDWIDTH_MIN;
        }
    return false;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool read_time(const char *text, size_t n, unsigned *ret_minute)
{
    if (n != 5 || !is_digit(text[0]) || !is_digit(text[1]) || text[2] != ':' || !is_digit(text[3]) || !is_digit(text[4]))
        return false;
    unsigned hour = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0'), minute = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
    *ret_minute = hour * 60 + minute;
    return hour < 24 && minute < 60;
}

static int read_step(struct bandwidth *b, const char *item, size_t n, struct error *err)
{
    size_t time = strcspn(item, " \t,"), gap = time < n ? strspn(item + time, " \t") : 0, i = b->n;
    if (i == BANDWIDTH_STEPS_MAX)
        return error_set(err, ERROR_USAGE, "more than %u times of day", BANDWIDTH_STEPS_MAX);
    if (!read_time(item, time, &b->steps[i].minute))
        return error_set(err, ERROR_USAGE, "'%.*s' is no time of day: write %s", (int)(time > 40 ? 40 : time), item, FORM);
    const char *rate = item + time + gap;
    size_t rate_len = n - time - gap;
    if (gap == 0 || !read_rate(rate, rate_len, &b->steps[i].bytes_per_s))
        return error_set(err, ERROR_USAGE, "'%.*s' is no rate of at least 1KiB/s: write %s", gap == 0 ? 0 : (int)(rate_len > 40 ? 40 : rate_len), rate, FORM);
    if (i > 0 && b->steps[i].minute <= b->steps[i - 1].minute)
        return error_set(err, ERROR_USAGE, "the times of day must ascend: '%.*s' does not come after the one before it", (int)time, item);
    b->n++;
    return 0;
}

int bandwidth_parse(const char *text, struct bandwidth *ret_bandwidth, struct error *err)
{
    struct bandwidth b = { 0 };
    if (read_rate(text, strlen(text), &b.steps[0].bytes_per_s)) {
        b.n = b.steps[0].bytes_per_s > 0;
        *ret_bandwidth = b;
        return 0;
    }
    if (strchr(text, ':') == NULL)
        return error_set(err, ERROR_USAGE, "'%.60s' is no rate of at least 1KiB/s: write %s", text, FORM);
    for (const char *item = text;; item++) {
        item += strspn(item, " \t");
        size_t n = strcspn(item, ","), used = n;
        while (used > 0 && (item[used - 1] == ' ' || item[used - 1] == '\t'))
            used--;
        int r = read_step(&b, item, used, err);
        if (r < 0)
            return r;
        item += n;
        if (*item == '\0')
            break;
    }
    *ret_bandwidth = b;
    return 0;
}

uint64_t bandwidth_at(const struct bandwidth *b, unsigned minute)
{
    if (b->n == 0)
        return 0;
    size_t i = b->n - 1; // before the first time of the day the last of the day before holds
    for (size_t k = 0; k < b->n && b->steps[k].minute <= minute; k++)
        i = k;
    return b->steps[i].bytes_per_s;
}
