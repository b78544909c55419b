#include "bkd/plans/handbook_chart.h"

#include "bkd/base/clock.h"
#include "bkd/base/html.h"

enum { TICKS = 4 };

static double percent(uint64_t part, uint64_t whole) { return whole == 0 ? 0 : (double)part * 100 / (double)whole; }

static void add_axis(struct buf *out, uint64_t total_ns)
{
    buf_add_str(out, "<div class=\"axis\"><span></span><span class=\"track\">");
    for (unsigned tick = 0; tick <= TICKS; tick++) {
        char text[CLOCK_TEXT_MAX];
        clock_format_duration(text, total_ns / TICKS * tick);
        html_add_element(out, "span", tick == 0 ? "0" : text);
    }
    buf_add_str(out, "</span><span></span></div>\n");
}

static void add_step(struct buf *out, const struct recovery_step *step, size_t i, const struct plan_times *times, const struct handbook_chart_words *words)
{
    const struct critical_path_node *node = &times->nodes[i];
    char took[CLOCK_TEXT_MAX] = "?";
    if (times->sources[i] != PLAN_TIMES_UNKNOWN)
        clock_format_duration(took, node->duration);
    buf_addf(out, "<div><span class=\"label\">%zu. ", i + 1);
    html_add_text(out, step->title[0] != '\0' ? step->title : step->id);
    buf_addf(out, "</span><span class=\"track\"><i%s style=\"left:%.2f%%;width:%.2f%%\"></i></span><span class=\"took\">", node->is_critical ? " class=\"critical\"" : "",
             percent(node->start, times->total_ns), percent(node->duration, times->total_ns));
    html_add_text(out, took);
    buf_add_str(out, ", ");
    html_add_text(out, words->sources[times->sources[i]]);
    buf_add_str(out, "</span></div>\n");
}

void handbook_chart_add(struct buf *out, const struct recovery *plan, const struct plan_times *times, const struct handbook_chart_words *words)
{
    buf_add_str(out, "<div class=\"gantt\">\n");
    add_axis(out, times->total_ns);
    for (size_t i = 0; i < times->n; i++)
        add_step(out, &plan->steps[i], i, times, words);
    buf_add_str(out, "</div>\n<p class=\"legend\"><i></i>");
    html_add_text(out, words->critical);
    buf_add_str(out, "</p>\n");
}
