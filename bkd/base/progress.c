#include "bkd/base/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/json.h"

#define SECOND_NS UINT64_C(1000000000)
#define RATE_WINDOW_NS (5 * SECOND_NS)
#define SAMPLE_NS (SECOND_NS / 4)

struct progress {
    const struct io *io;
    enum progress_style style;
    FILE *stream;
    atomic_uint_fast64_t files, bytes;
    atomic_uint_fast64_t due_ns;    // when the next line may be printed
    atomic_uint_fast64_t sample_ns; // when the next sample may be taken
    pthread_mutex_t lock;           // of all below
    const char *phase;
    uint64_t files_total, bytes_total;
    uint64_t start_ns;
    uint64_t rate_ns, rate_bytes; // where the current rate is measured from
    uint64_t bytes_per_second;
    struct estimate measured;
    uint64_t sampled_ns, sampled_files, sampled_bytes; // at the last sample
    size_t shown_width; // of the terminal's line, 0 = none there
};

enum progress_style progress_style_for(bool json, bool quiet)
{
    if (json)
        return quiet ? PROGRESS_SILENT : PROGRESS_JSON;
    if (quiet)
        return PROGRESS_SILENT;
    return isatty(STDERR_FILENO) ? PROGRESS_TERMINAL : PROGRESS_LINES;
}

static uint64_t interval_ns(enum progress_style style)
{
    return style == PROGRESS_TERMINAL ? SECOND_NS / 5 : style == PROGRESS_JSON ? SECOND_NS : 60 * SECOND_NS;
}

struct progress *progress_new(const struct io *io, enum progress_style style, FILE *stream)
{
    struct progress *progress = xcalloc(1, sizeof *progress);
    progress->io = io;
    progress->style = style;
    progress->stream = stream ? stream : style == PROGRESS_JSON ? stdout : stderr;
    (void)pthread_mutex_init(&progress->lock, NULL); // cannot fail for a default mutex
    progress_begin(progress, "start", 0, 0);
    return progress;
}

static void clear_line(struct progress *progress)
{
    if (progress->shown_width == 0)
        return;
    (void)fputs("\r\033[K", progress->stream);
    (void)fflush(progress->stream);
    progress->shown_width = 0;
}

void progress_free(struct progress **progress_at)
{
    struct progress *progress = TAKE(*progress_at);
    if (!progress)
        return;
    clear_line(progress);
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress);
}

void progress_begin(struct progress *progress, const char *phase, uint64_t files_total, uint64_t bytes_total)
{
    if (!progress)
        return;
    (void)pthread_mutex_lock(&progress->lock);
    uint64_t now = io_monotonic_ns(progress->io);
    progress->phase = phase;
    progress->files_total = files_total;
    progress->bytes_total = bytes_total;
    progress->start_ns = progress->rate_ns = now;
    progress->rate_bytes = progress->bytes_per_second = 0;
    progress->measured = (struct estimate){ 0 };
    progress->sampled_ns = now;
    progress->sampled_files = progress->sampled_bytes = 0;
    atomic_store(&progress->sample_ns, now + SAMPLE_NS);
    atomic_store(&progress->files, 0);
    atomic_store(&progress->bytes, 0);
    atomic_store(&progress->due_ns, now + interval_ns(progress->style));
    (void)pthread_mutex_unlock(&progress->lock);
}

// As if each had been measured for half a second: the first real samples outweigh it.
void progress_expect(struct progress *progress, double seconds_per_file, double seconds_per_byte)
{
    if (!progress)
        return;
    (void)pthread_mutex_lock(&progress->lock);
    if (seconds_per_file > 0)
        estimate_add(&progress->measured, 0.5 / seconds_per_file, 0, 0.5);
    if (seconds_per_byte > 0)
        estimate_add(&progress->measured, 0, 0.5 / seconds_per_byte, 0.5);
    (void)pthread_mutex_unlock(&progress->lock);
}

bool progress_seconds_left(const struct progress_view *view, uint64_t *ret_seconds)
{
    double seconds;
    bool known = view->files_total > 0 || view->bytes_total > 0;
    bool more_than_planned = (view->files_total > 0 && view->files > view->files_total) || (view->bytes_total > 0 && view->bytes > view->bytes_total);
    if (!known || more_than_planned)
        return false;
    double files = view->files_total > 0 ? (double)(view->files_total - view->files) : 0;
    double bytes = view->bytes_total > 0 ? (double)(view->bytes_total - view->bytes) : 0;
    if (!estimate_seconds(&view->measured, files, bytes, &seconds))
        return false;
    *ret_seconds = (uint64_t)(seconds + 0.999);
    return true;
}

void progress_format(const struct progress_view *view, struct buf *ret_text)
{
    char text[CLOCK_TEXT_MAX];
    uint64_t left;
    clock_format_bytes(text, view->bytes);
    buf_addf(ret_text, "%s: %s", view->phase, text);
    if (view->bytes_total) {
        clock_format_bytes(text, view->bytes_total);
        buf_addf(ret_text, " of %s", text);
    }
    buf_addf(ret_text, ", %" PRIu64, view->files);
    if (view->files_total)
        buf_addf(ret_text, " of %" PRIu64, view->files_total);
    buf_add_str(ret_text, " files");
    if (view->bytes_per_second) {
        clock_format_bytes(text, view->bytes_per_second);
        buf_addf(ret_text, ", %s/s", text);
    }
    if (progress_seconds_left(view, &left)) {
        clock_format_duration(text, left * SECOND_NS);
        buf_addf(ret_text, ", %s left", text);
    }
}

static void print_json(struct progress *progress, const struct progress_view *view)
{
    struct error err;
    uint64_t left;
    struct json *line = json_line_new("progress");
    json_add_str(line, "phase", view->phase);
    json_add_u64(line, "files", view->files);
    json_add_u64(line, "bytes", view->bytes);
    json_add_u64(line, "elapsed_ms", view->elapsed_ns / 1000000);
    if (view->files_total)
        json_add_u64(line, "files_total", view->files_total);
    if (view->bytes_total)
        json_add_u64(line, "bytes_total", view->bytes_total);
    if (view->bytes_per_second)
        json_add_u64(line, "bytes_per_second", view->bytes_per_second);
    if (progress_seconds_left(view, &left))
        json_add_u64(line, "eta_s", left);
    if (json_line_print(&line, progress->stream, &err) < 0)
        atomic_store(&progress->due_ns, UINT64_MAX); // nobody reads; the run itself goes on
}

static void print(struct progress *progress, const struct progress_view *view)
{
    _cleanup_buf_ struct buf text = { 0 };
    if (progress->style == PROGRESS_JSON) {
        print_json(progress, view);
        return;
    }
    if (progress->style == PROGRESS_TERMINAL)
        buf_add_str(&text, "\r");
    progress_format(view, &text);
    buf_add_str(&text, progress->style == PROGRESS_TERMINAL ? "\033[K" : "\n");
    (void)fwrite(text.data, 1, text.len, progress->stream); // a lost progress line is no failure
    (void)fflush(progress->stream);
    progress->shown_width = progress->style == PROGRESS_TERMINAL ? text.len : 0;
}

// The rate of the last seconds: measured from a point that moves on every RATE_WINDOW_NS.
static void measure_rate(struct progress *progress, uint64_t now, uint64_t bytes)
{
    uint64_t span = now - progress->rate_ns;
    if (span < SECOND_NS / 10)
        return;
    progress->bytes_per_second = (uint64_t)((double)(bytes - progress->rate_bytes) * (double)SECOND_NS / (double)span);
    if (span < RATE_WINDOW_NS)
        return;
    progress->rate_ns = now;
    progress->rate_bytes = bytes;
}

// What has no total is not looked at: the time left is told from what has one.
static void take_sample(struct progress *progress, uint64_t now, uint64_t files, uint64_t bytes)
{
    double seconds = (double)(now - progress->sampled_ns) / (double)SECOND_NS;
    if (now < atomic_load(&progress->sample_ns))
        return;
    estimate_add(&progress->measured, progress->files_total > 0 ? (double)(files - progress->sampled_files) : 0,
                 progress->bytes_total > 0 ? (double)(bytes - progress->sampled_bytes) : 0, seconds);
    progress->sampled_ns = now;
    progress->sampled_files = files;
    progress->sampled_bytes = bytes;
    atomic_store(&progress->sample_ns, now + SAMPLE_NS);
}

void progress_add(struct progress *progress, uint64_t files, uint64_t bytes)
{
    if (!progress)
        return;
    atomic_fetch_add(&progress->files, files);
    atomic_fetch_add(&progress->bytes, bytes);
    if (progress->style == PROGRESS_SILENT)
        return;
    uint64_t now = io_monotonic_ns(progress->io);
    bool due = now >= atomic_load(&progress->due_ns);
    if ((!due && now < atomic_load(&progress->sample_ns)) || pthread_mutex_trylock(&progress->lock) != 0)
        return;
    struct progress_view view = { .phase = progress->phase,
                                  .files = atomic_load(&progress->files),
                                  .files_total = progress->files_total,
                                  .bytes = atomic_load(&progress->bytes),
                                  .bytes_total = progress->bytes_total,
                                  .elapsed_ns = now - progress->start_ns };
    measure_rate(progress, now, view.bytes);
    take_sample(progress, now, view.files, view.bytes);
    view.bytes_per_second = progress->bytes_per_second;
    view.measured = progress->measured;
    if (due) {
        atomic_store(&progress->due_ns, now + interval_ns(progress->style));
        print(progress, &view);
    }
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_pause(struct progress *progress)
{
    if (!progress)
        return;
    (void)pthread_mutex_lock(&progress->lock);
    clear_line(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}
