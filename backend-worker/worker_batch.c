
/*
 * One batch, step by step (DESIGN 6, "Worker").  Each step leaves its mark in
 * item->state, and the next one takes only the items that got that far.
 */


#include "worker.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>


static void worker_batch_probe(worker_t *w);
static void worker_batch_bad(worker_t *w);
static void worker_batch_oldest(worker_t *w);
static void worker_batch_release(worker_t *w);
static void worker_batch_disk(worker_t *w);


void
worker_batch_reset(worker_batch_t *b)
{
    b->n = 0;
    b->nacks = 0;
}


worker_item_t *
worker_batch_add(worker_batch_t *b, exam_str_t id)
{
    size_t          i;
    worker_item_t  *item;

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];

        if (memcmp(item->id, id.data, id.len) == 0
            && item->id[id.len] == '\0')
        {
            return item;
        }
    }

    if (b->n == WORKER_BATCH) {
        return NULL;
    }

    item = &b->items[b->n++];
    memset(item, 0, offsetof(worker_item_t, raw));

    memcpy(item->id, id.data, id.len);
    item->fd = -1;
    item->found_bytes = -1;
    exam_media_none(&item->media);

    return item;
}


void
worker_batch_run(worker_t *w)
{
    size_t           i;
    int64_t          start;
    worker_batch_t  *b;

    b = &w->batch;
    start = exam_mono_ms();

    for (i = 0; i < b->n; i++) {
        worker_claim(w, &b->items[i]);
    }

    worker_batch_oldest(w);

    worker_pool_run(&w->pool, worker_verify, w, b->n);
    worker_batch_probe(w);
    worker_pool_run(&w->pool, worker_store, w, b->n);
    worker_store_sync(w);
    worker_batch_bad(w);

    if (worker_db_batch(w, b)) {
        worker_batch_bad(w);
        worker_batch_release(w);
        worker_ledger_settle(w, b);
        (void) worker_stream_ack(w);
    }

    atomic_store(&w->figures.oldest, 0);
    atomic_store(&w->figures.processing_ms, exam_mono_ms() - start);

    worker_batch_disk(w);
}


static void
worker_batch_probe(worker_t *w)
{
    size_t          i;
    worker_item_t  *item;

    for (i = 0; i < w->batch.n; i++) {
        item = &w->batch.items[i];

        if (item->fd == -1) {
            continue;
        }

        worker_probe_file(&w->probe, item->id, item->fd, &item->media);

        close(item->fd);
        item->fd = -1;
    }
}


static void
worker_batch_bad(worker_t *w)
{
    size_t  i;

    for (i = 0; i < w->batch.n; i++) {

        if (w->batch.items[i].state == WORKER_BAD) {
            worker_bad(w, &w->batch.items[i]);
        }
    }
}


static void
worker_batch_oldest(worker_t *w)
{
    size_t          i;
    int64_t         oldest;
    worker_item_t  *item;

    oldest = 0;

    for (i = 0; i < w->batch.n; i++) {
        item = &w->batch.items[i];

        if (item->state == WORKER_CLAIMED && item->m.received_at > 0
            && (oldest == 0 || item->m.received_at < oldest))
        {
            oldest = item->m.received_at;
        }
    }

    atomic_store(&w->figures.oldest, oldest);
}


/* committed: from here on the table is what a repetition would meet */

static void
worker_batch_release(worker_t *w)
{
    size_t          i;
    worker_item_t  *item;

    for (i = 0; i < w->batch.n; i++) {
        item = &w->batch.items[i];

        if (item->state != WORKER_STORED && item->state != WORKER_DOUBLE) {
            continue;
        }

        if (item->state == WORKER_DOUBLE && item->parsed
            && worker_store_remove(w, item) == -1)
        {
            continue;
        }

        (void) worker_claim_release(w, item);
    }
}


/* a disk that takes nothing is waited out; one bad file is not a bad disk */

static void
worker_batch_disk(worker_t *w)
{
    size_t  i, failed, fine;

    failed = 0;
    fine = 0;

    for (i = 0; i < w->batch.n; i++) {

        if (w->batch.items[i].state == WORKER_DONE) {
            fine++;

        } else if (w->batch.items[i].disk) {
            failed++;
        }
    }

    if (failed == 0 || fine != 0) {
        exam_backoff_reset(&w->disk);
        return;
    }

    atomic_store(&w->figures.mode, WORKER_WAITING);

    /* then work/ is looked at again, without waiting for the next scan */

    w->scan.due = 0;

    (void) worker_pause(w, exam_backoff_next(&w->disk,
                                             (uint32_t) exam_now_ms()));

    atomic_store(&w->figures.mode, WORKER_RUNNING);
}
