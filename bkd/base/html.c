#include "bkd/base/html.h"

void html_add_text(struct buf *out, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '"' ? "&quot;" : NULL;
        if (entity != NULL)
            buf_add_str(out, entity);
        else
            buf_add_char(out, *text);
    }
}

void html_add_element(struct buf *out, const char *tag, const char *text)
{
    buf_addf(out, "<%s>", tag);
    html_add_text(out, text);
    buf_addf(out, "</%s>", tag);
}

// In a string of CSS within a <style> of XHTML: whatever could end either is written as a number.
static void add_css_string(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == '"' || c == '\\' || c == '<' || c == '&' || c == '>')
            buf_addf(out, "\\%06x", c);
        else
            buf_add_char(out, (char)c);
    }
}

// Tables break between words, and within one only where it would not fit at all; nothing that belongs together is torn between two pages.
static const char style[] =
    "*{box-sizing:border-box}"
    "body{font:15px/1.5 \"Noto Sans\",\"Noto Sans CJK SC\",\"Source Han Sans SC\",\"Microsoft YaHei\",\"PingFang SC\",sans-serif;color:#1b1f24;background:#fff;max-width:1040px;"
    "margin:2.5em auto;padding:0 1.5em}"
    "h1{font-size:1.9em;line-height:1.25;margin:0}h2{font-size:1.25em;margin:1.8em 0 .6em;padding-bottom:.2em;border-bottom:2px solid #1b1f24;break-after:avoid}"
    "h3{font-size:1.05em;margin:0;break-after:avoid}p{margin:.5em 0}p,dd,li{overflow-wrap:anywhere}a{color:inherit}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35em .6em;border-bottom:1px solid #d0d7de;overflow-wrap:break-word}"
    "thead{display:table-header-group}thead th{background:#f3f5f7;border-bottom:1px solid #8c959f}tr{break-inside:avoid}"
    "code,pre{font:13px/1.45 \"DejaVu Sans Mono\",\"Noto Sans Mono\",monospace;white-space:pre-wrap;overflow-wrap:anywhere}"
    "@media print{body{margin:0;max-width:none;padding:0;font-size:10.5pt}code,pre{font-size:9pt}a{text-decoration:none}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

void html_add_style(struct buf *out, const char *foot)
{
    buf_add_str(out, "@page{size:A4;margin:16mm 15mm 18mm;@bottom-right{content:counter(page) \" / \" counter(pages);font:8pt sans-serif;color:#57606a}");
    if (foot != NULL) {
        buf_add_str(out, "@bottom-left{content:\"");
        add_css_string(out, foot);
        buf_add_str(out, "\";font:8pt \"Noto Sans\",\"Noto Sans CJK SC\",sans-serif;color:#57606a}");
    }
    buf_add_str(out, "}\n");
    buf_add_str(out, style);
}
