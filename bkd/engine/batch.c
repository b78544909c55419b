#include "bkd/engine/batch.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/file_hash.h"

struct batch *batch_new(void)
{
    struct batch *b = xcalloc(1, sizeof *b);
    b->items = xcalloc(BATCH_ITEMS_MAX, sizeof *b->items);
    return b;
}

void batch_free(struct batch *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < BATCH_ITEMS_MAX; i++) {
        manifest_entry_done(&b->items[i].entry);
        free(b->items[i].problem);
    }
    free(b->items);
    buf_done(&b->text);
    buf_done(&b->content);
    free(b);
}

void batch_reset(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free(b->items[i].problem);
        b->items[i].problem = NULL;
    }
    b->count = 0;
    b->expected = 0;
    buf_reset(&b->text);
    buf_reset(&b->content);
}

bool batch_is_full(const struct batch *b) { return b->count == BATCH_ITEMS_MAX || b->text.len + b->expected >= BATCH_BYTES_MAX; }

void batch_add(struct batch *b, const struct select_item *from, uint64_t size)
{
    struct batch_item *item = &b->items[b->count++];
    item->action = from->action;
    item->stat = from->stat;
    item->planned = from->stat;
    item->before = from->stat.texture;
    item->line = b->text.len;
    item->line_len = from->line_len;
    buf_add(&b->text, from->line, from->line_len);
    item->base = b->text.len;
    item->base_len = from->base_len;
    buf_add(&b->text, from->base, from->base_len);
    item->data_len = item->xattrs_len = 0;
    item->result = SOURCE_FILE_READ;
    b->expected += size;
}

static enum source_file_result read_item(struct batch *b, struct batch_item *item, struct batch_worker *worker, struct error *err)
{
    struct source_file file;
    item->data = b->content.len;
    enum source_file_result result =
        select_reads(item->action)
            ? source_file_read(&file, &worker->chain, worker->names, &item->entry, &item->planned, worker->small_max, &b->content, err)
            : source_file_open(&file, &worker->chain, worker->names, &item->entry, err);
    if (result != SOURCE_FILE_READ)
        return result;
    item->data_len = b->content.len - item->data;
    item->xattrs = b->content.len;
    if (source_file_attrs(&file, worker->io, &b->content, err) != SOURCE_FILE_READ)
        item->problem = xstrdup(err->text);
    worker->touched += file.touched;
    item->xattrs_len = b->content.len - item->xattrs;
    item->stat = file.stat;
    item->stat.texture = texture_of(b->content.data + item->data, item->data_len);
    source_file_close(&file, worker->io);
    return result;
}

static void work_item(struct batch *b, struct batch_item *item, struct batch_worker *worker)
{
    struct error err;
    const char *line = buf_str(&b->text) + item->line;
    manifest_entry_reset(&item->entry);
    item->result = manifest_parse(line, item->line_len, &item->entry, &err) < 0 ? SOURCE_FILE_PROBLEM : read_item(b, item, worker, &err);
    if (item->result == SOURCE_FILE_PROBLEM)
        item->problem = xstrdup(err.text);
}

static bool has_content(const struct batch_item *item) { return item->action != SELECT_KEEP && item->result == SOURCE_FILE_READ && item->data_len > 0; }

static void hash_items(struct batch *b)
{
    struct file_hash_message messages[BATCH_ITEMS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        if (has_content(&b->items[i]))
            messages[n++] = (struct file_hash_message){ .data = b->content.data + b->items[i].data, .n = b->items[i].data_len };
    file_hash_each(messages, n);
    for (size_t i = b->count; i-- > 0;)
        if (has_content(&b->items[i]))
            memcpy(b->items[i].sha256, messages[--n].digest, sizeof b->items[i].sha256);
}

void batch_work(struct batch *b, struct batch_worker *worker, struct profile_lap *lap)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].action != SELECT_KEEP)
            work_item(b, &b->items[i], worker);
    profile_to(lap, PROFILE_HASH);
    hash_items(b);
    profile_to(lap, PROFILE_READ);
}
