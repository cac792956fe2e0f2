
/*
 * The doorbell (DESIGN 5): exam:recordings:<node>, group `workers`, one
 * consumer.  An entry only names an upload; whether there is something to do is
 * seen in the spool.  Entries are acknowledged and deleted once their upload is
 * committed and settled, so the length of the stream is the queue.
 *
 * After each connect, and every WORKER_SWEEP, the entries that were delivered
 * but never acknowledged come first (XAUTOCLAIM): those of an earlier run, and
 * those whose upload could not be finished.
 */


#include "worker.h"

#include <stdio.h>
#include <string.h>


#define WORKER_STREAM_GROUP  "workers"
#define WORKER_STREAM_START  "0-0"


static exam_redis_e worker_stream_read(worker_t *w, size_t room,
    unsigned block_ms);
static exam_redis_e worker_stream_sweep(worker_t *w, size_t room);
static bool worker_stream_greet(worker_t *w);
static exam_redis_e worker_stream_trouble(worker_t *w, exam_redis_e rc);
static void worker_stream_entries(worker_t *w, const redisReply *entries);
static exam_str_t worker_stream_upload(const redisReply *fields);
static void worker_stream_add(worker_t *w, exam_str_t entry, exam_str_t id);


void
worker_stream_init(worker_t *w)
{
    (void) exam_key_recordings(w->stream.key, w->node);
}


exam_redis_e
worker_stream_fill(worker_t *w, unsigned block_ms)
{
    size_t        room;
    exam_redis_e  rc;

    rc = exam_redis_connect(&w->redis);

    if (rc != EXAM_REDIS_OK || !worker_stream_greet(w)) {
        return EXAM_REDIS_AWAY;
    }

    /* an entry takes an item and an acknowledgement, at most */

    while (w->stream.sweeping) {
        room = WORKER_BATCH - w->batch.n;

        if (room == 0 || w->batch.nacks + room > WORKER_ACKS) {
            return EXAM_REDIS_OK;
        }

        rc = worker_stream_sweep(w, room);

        if (rc != EXAM_REDIS_OK) {
            return worker_stream_trouble(w, rc);
        }
    }

    room = WORKER_BATCH - w->batch.n;

    if (room == 0 || w->batch.nacks + room > WORKER_ACKS) {
        return EXAM_REDIS_OK;
    }

    return worker_stream_trouble(w, worker_stream_read(w, room,
                                     w->batch.n != 0 ? 0 : block_ms));
}


/* a new connection: may be another server, or the same one emptied */

static bool
worker_stream_greet(worker_t *w)
{
    int64_t  now;

    now = exam_mono_ms();

    if (w->stream.connects != w->redis.connects) {

        if (exam_live_group(&w->redis, w->node) != EXAM_LIVE_OK) {
            return false;
        }

        w->stream.connects = w->redis.connects;
        w->stream.min_idle = 0;
        w->stream.sweep_at = now;
    }

    if (!w->stream.sweeping && now >= w->stream.sweep_at) {
        w->stream.sweeping = true;
        w->stream.sweep_at = now + WORKER_SWEEP;

        snprintf(w->stream.cursor, sizeof(w->stream.cursor),
                 WORKER_STREAM_START);
    }

    return true;
}


/* NOGROUP: the stream was deleted; the group is made anew, from 0 */

static exam_redis_e
worker_stream_trouble(worker_t *w, exam_redis_e rc)
{
    if (rc != EXAM_REDIS_ERROR) {
        return rc;
    }

    if (strncmp(w->redis.error, "NOGROUP", 7) == 0) {
        w->stream.connects = 0;
        w->stream.sweeping = false;

        return worker_stream_greet(w) ? EXAM_REDIS_OK : EXAM_REDIS_AWAY;
    }

    exam_log(EXAM_LOG_ERROR, "stream", 0, "cannot read \"%s\": %s",
             w->stream.key, w->redis.error);

    return EXAM_REDIS_AWAY;
}


/*
 * XREADGROUP -> nil, or [[key, [[id, [field, value, ...]], ...]]]
 */

static exam_redis_e
worker_stream_read(worker_t *w, size_t room, unsigned block_ms)
{
    redisReply    *reply;
    exam_redis_e   rc;

    /* BLOCK 0 would wait for ever */

    if (block_ms != 0) {
        rc = exam_redis_command(&w->redis, &reply, "XREADGROUP GROUP "
                 WORKER_STREAM_GROUP " %s COUNT %u BLOCK %u STREAMS %s >",
                 w->conf.node, (unsigned) room, block_ms, w->stream.key);

    } else {
        rc = exam_redis_command(&w->redis, &reply, "XREADGROUP GROUP "
                 WORKER_STREAM_GROUP " %s COUNT %u STREAMS %s >",
                 w->conf.node, (unsigned) room, w->stream.key);
    }

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
        && reply->element[0]->type == REDIS_REPLY_ARRAY
        && reply->element[0]->elements == 2)
    {
        worker_stream_entries(w, reply->element[0]->element[1]);
    }

    freeReplyObject(reply);

    return EXAM_REDIS_OK;
}


/*
 * XAUTOCLAIM -> [next cursor, [[id, [field, value, ...]], ...], [deleted, ...]]
 */

static exam_redis_e
worker_stream_sweep(worker_t *w, size_t room)
{
    exam_str_t     cursor;
    redisReply    *reply;
    exam_redis_e   rc;

    rc = exam_redis_command(&w->redis, &reply, "XAUTOCLAIM %s "
             WORKER_STREAM_GROUP " %s %lld %s COUNT %u", w->stream.key,
             w->conf.node, (long long) w->stream.min_idle, w->stream.cursor,
             (unsigned) room);

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    cursor = exam_str(WORKER_STREAM_START);

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2) {
        cursor = exam_redis_str(reply->element[0]);
        worker_stream_entries(w, reply->element[1]);
    }

    if (cursor.len == 0 || cursor.len >= sizeof(w->stream.cursor)
        || exam_str_eq(cursor, exam_str(WORKER_STREAM_START)))
    {
        w->stream.sweeping = false;
        w->stream.min_idle = WORKER_SWEEP;

    } else {
        memcpy(w->stream.cursor, cursor.data, cursor.len);
        w->stream.cursor[cursor.len] = '\0';
    }

    freeReplyObject(reply);

    return EXAM_REDIS_OK;
}


static void
worker_stream_entries(worker_t *w, const redisReply *entries)
{
    size_t             i;
    exam_str_t         entry;
    const redisReply  *r;

    if (entries->type != REDIS_REPLY_ARRAY) {
        return;
    }

    for (i = 0; i < entries->elements; i++) {
        r = entries->element[i];

        if (r->type != REDIS_REPLY_ARRAY || r->elements != 2) {
            continue;
        }

        entry = exam_redis_str(r->element[0]);

        if (entry.len == 0 || entry.len >= WORKER_ENTRY_MAX) {
            continue;
        }

        worker_stream_add(w, entry, worker_stream_upload(r->element[1]));
    }
}


/* the value of the field `id`; empty when it was trimmed or is malformed */

static exam_str_t
worker_stream_upload(const redisReply *fields)
{
    size_t      i;
    exam_str_t  id;

    if (fields->type == REDIS_REPLY_ARRAY) {

        for (i = 0; i + 1 < fields->elements; i += 2) {

            if (!exam_str_eq(exam_redis_str(fields->element[i]),
                             exam_str("id")))
            {
                continue;
            }

            id = exam_redis_str(fields->element[i + 1]);

            if (exam_id_upload(id)) {
                return id;
            }
        }
    }

    return exam_str("");
}


static void
worker_stream_add(worker_t *w, exam_str_t entry, exam_str_t id)
{
    worker_ack_t   *ack;
    worker_item_t  *item;

    if (w->batch.nacks == WORKER_ACKS) {
        return;
    }

    ack = &w->batch.acks[w->batch.nacks];

    if (id.len == 0) {
        exam_log(EXAM_LOG_WARN, "stream", 0, "entry \"%.*s\" names no upload",
                 (int) entry.len, (const char *) entry.data);
        ack->item = WORKER_BATCH;

    } else {
        item = worker_batch_add(&w->batch, id);

        if (item == NULL) {
            return;
        }

        ack->item = (size_t) (item - w->batch.items);
    }

    memcpy(ack->entry, entry.data, entry.len);
    ack->entry[entry.len] = '\0';
    w->batch.nacks++;
}


exam_redis_e
worker_stream_ack(worker_t *w)
{
    size_t         i, n;
    exam_str_t     ids[WORKER_ACKS + 3];
    exam_redis_e   rc;
    worker_ack_t  *ack;

    n = 0;

    for (i = 0; i < w->batch.nacks; i++) {
        ack = &w->batch.acks[i];

        if (ack->item == WORKER_BATCH
            || w->batch.items[ack->item].state == WORKER_DONE)
        {
            ids[3 + n++] = exam_str_make(ack->entry, strlen(ack->entry));
        }
    }

    if (n == 0) {
        return EXAM_REDIS_OK;
    }

    ids[0] = exam_str("XACK");
    ids[1] = exam_str_make(w->stream.key, strlen(w->stream.key));
    ids[2] = exam_str(WORKER_STREAM_GROUP);

    rc = exam_redis_append(&w->redis, n + 3, ids);

    if (rc == EXAM_REDIS_OK) {
        ids[1] = exam_str("XDEL");
        ids[2] = exam_str_make(w->stream.key, strlen(w->stream.key));

        rc = exam_redis_append(&w->redis, n + 2, ids + 1);
    }

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_replies(&w->redis, NULL, NULL);
    }

    /* not lost: the entries are pending, the next sweep brings them again */

    if (rc != EXAM_REDIS_OK) {
        exam_log(EXAM_LOG_WARN, "stream", 0, "cannot acknowledge: %s",
                 w->redis.error);
    }

    return rc;
}
