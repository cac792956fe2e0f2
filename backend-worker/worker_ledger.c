
/*
 * The ledger (DESIGN 5, seg): every committed upload is raised to `stored` by
 * the script `settle`, which advances the number a client may delete up to.
 *
 * When Redis is away nothing is kept in memory.  The time from which rows are
 * unsettled is noted in the spool (settle.since), and the rows are read from
 * the table once Redis is back.  The last minutes are settled again at each
 * start: a crash between COMMIT and settle leaves no other trace if the
 * doorbell was lost as well.  Settling twice is harmless.
 */


#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define WORKER_SINCE      "settle.since"
#define WORKER_SINCE_MAX  32
#define WORKER_SINCE_SQL                                                      \
    "SELECT id, upload_id, exam, student, session, kind, n, bytes, sha256, "  \
    "stored_at FROM recordings WHERE node = ? AND stored_at >= ? "            \
    "AND (stored_at > ? OR id > ?) ORDER BY stored_at, id LIMIT 256"


/* the last row of the page before */

typedef struct {
    int64_t          stored_at;
    int64_t          id;
} worker_cursor_t;


typedef struct {
    worker_batch_t  *batch;
    uint16_t         items[WORKER_BATCH];
} worker_replies_t;


static exam_redis_e worker_ledger_item(worker_t *w,
    const worker_item_t *item);
static void worker_ledger_reply(void *data, size_t i,
    const redisReply *reply);
static void worker_ledger_mark(worker_t *w, const worker_batch_t *b);
static void worker_ledger_path(const worker_t *w,
    char path[EXAM_PATH_MAX + 32]);
static exam_db_e worker_ledger_page(worker_t *w, worker_cursor_t *at, size_t *n,
    exam_redis_e *redis);


exam_redis_e
worker_ledger_append(exam_redis_t *redis, const exam_manifest_t *m,
    exam_seg_e state, exam_str_t node, exam_str_t upload, exam_str_t reason)
{
    char         seg[EXAM_KEY_MAX], stored[EXAM_KEY_MAX];
    uint8_t      memory[256 + EXAM_REASON_MAX];
    exam_buf_t   b;
    exam_str_t   args[11];
    const char  *name;

    name = exam_seg_name(state);

    args[0] = exam_str_make(seg, exam_key(seg, EXAM_KEY_SEG, m->exam,
                                          m->student));
    args[1] = exam_str_make(stored, exam_key(stored, EXAM_KEY_STORED, m->exam,
                                             exam_str("")));
    args[2] = m->student;
    args[4] = m->kind;
    args[6] = exam_str_make(name, strlen(name));
    args[7] = node;
    args[8] = upload;

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_hex(&b, m->sid, EXAM_SID_LEN);
    args[3] = exam_str_make(b.start, exam_buf_len(&b));

    b.start = b.pos;
    exam_buf_uint(&b, m->n);
    args[5] = exam_str_make(b.start, exam_buf_len(&b));

    args[9] = exam_str("-");

    if (m->length >= 0) {
        b.start = b.pos;
        exam_buf_int(&b, m->length);
        args[9] = exam_str_make(b.start, exam_buf_len(&b));
    }

    b.start = b.pos;

    if (m->length >= 0) {
        exam_buf_hex(&b, m->sha256, EXAM_HASH_LEN);

    } else {
        exam_buf_char(&b, '-');
    }

    if (reason.len != 0) {
        exam_buf_char(&b, ' ');
        exam_buf_put(&b, reason.data, reason.len);
    }

    args[10] = exam_str_make(b.start, exam_buf_len(&b));

    return exam_redis_append_eval(redis, EXAM_SCRIPT_SETTLE, 11, args);
}


void
worker_ledger_settle(worker_t *w, worker_batch_t *b)
{
    size_t            i, n, tries;
    exam_redis_e      rc;
    worker_item_t    *item;
    worker_replies_t  replies;

    replies.batch = b;
    rc = EXAM_REDIS_OK;

    /* the second round: after a restart of Redis, which lost the scripts */

    for (tries = 0; tries < 2; tries++) {

        n = 0;

        for (i = 0; i < b->n && rc == EXAM_REDIS_OK; i++) {
            item = &b->items[i];

            if (item->state != WORKER_STORED && item->state != WORKER_DOUBLE
                && item->state != WORKER_REFUSED)
            {
                continue;
            }

            replies.items[n++] = (uint16_t) i;
            rc = worker_ledger_item(w, item);
        }

        if (n == 0) {
            return;
        }

        if (rc == EXAM_REDIS_OK) {
            rc = exam_redis_replies(&w->redis, worker_ledger_reply, &replies);
        }

        if (rc == EXAM_REDIS_OK) {
            return;
        }

        if (rc == EXAM_REDIS_AWAY) {
            break;
        }

        rc = EXAM_REDIS_OK;
    }

    exam_log(EXAM_LOG_WARN, "ledger", 0, "cannot settle: %s", w->redis.error);

    /* what lies in the spool, bad/ too, is told again once Redis is back */

    w->loaded[0] = '\0';
    worker_ledger_mark(w, b);
}


static exam_redis_e
worker_ledger_item(worker_t *w, const worker_item_t *item)
{
    if (item->state == WORKER_REFUSED) {
        return worker_ledger_append(&w->redis, &item->m, EXAM_SEG_REFUSED,
                                    item->m.node, item->m.id,
                                    exam_str_make(item->reason,
                                                  strlen(item->reason)));
    }

    return worker_ledger_append(&w->redis, &item->m, EXAM_SEG_STORED,
               exam_str_make(item->kept_node, strlen(item->kept_node)),
               exam_str_make(item->kept_id, strlen(item->kept_id)),
               exam_str(""));
}


static void
worker_ledger_reply(void *data, size_t i, const redisReply *reply)
{
    worker_replies_t  *replies;

    replies = data;

    if (reply->type == REDIS_REPLY_ARRAY) {
        replies->batch->items[replies->items[i]].state = WORKER_DONE;
    }
}


static void
worker_ledger_path(const worker_t *w, char path[EXAM_PATH_MAX + 32])
{
    snprintf(path, EXAM_PATH_MAX + 32, "%s/" WORKER_SINCE, w->conf.spool);
}


/* the oldest one is noted, once an outage */

static void
worker_ledger_mark(worker_t *w, const worker_batch_t *b)
{
    int                   len;
    char                  path[EXAM_PATH_MAX + 32], text[WORKER_SINCE_MAX];
    size_t                i;
    int64_t               oldest;
    const worker_item_t  *item;

    oldest = exam_now_ms();

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];

        if ((item->state == WORKER_STORED || item->state == WORKER_DOUBLE)
            && item->stored_at != 0 && item->stored_at < oldest)
        {
            oldest = item->stored_at;
        }
    }

    if (w->unsettled == 0 || oldest < w->unsettled) {
        w->unsettled = oldest;
        w->marked = false;
    }

    if (w->marked) {
        return;
    }

    len = snprintf(text, sizeof(text), "%lld\n", (long long) w->unsettled);
    worker_ledger_path(w, path);

    if (exam_file_replace(path, 0640, text, (size_t) len, false) == -1) {
        exam_log(EXAM_LOG_ERROR, "ledger", errno, "cannot write \"%s\"", path);
        return;
    }

    w->marked = true;
}


void
worker_ledger_start(worker_t *w)
{
    char     path[EXAM_PATH_MAX + 32], *text;
    size_t   len;
    int64_t  since;

    worker_ledger_path(w, path);

    w->unsettled = exam_now_ms() - WORKER_SETTLE_AGAIN;

    if (exam_file_read(path, WORKER_SINCE_MAX, &text, &len) == 0) {
        since = strtoll(text, NULL, 10);
        free(text);

        w->marked = true;

        if (since < w->unsettled) {
            w->unsettled = since;
        }

    } else if (errno != ENOENT) {
        exam_log(EXAM_LOG_ERROR, "ledger", errno, "cannot read \"%s\"", path);
    }
}


void
worker_ledger_doubt(worker_t *w, int64_t since)
{
    if (w->unsettled == 0 || since < w->unsettled) {
        w->unsettled = since;
    }
}


void
worker_ledger_again(worker_t *w)
{
    char            path[EXAM_PATH_MAX + 32];
    size_t          n;
    int64_t         total;
    exam_db_e       rc;
    exam_redis_e    redis;
    worker_cursor_t  at;

    if (w->unsettled == 0 || w->loaded[0] == '\0' || !worker_db_up(w)) {
        return;
    }

    at.stored_at = w->unsettled;
    at.id = 0;
    total = 0;

    do {
        rc = worker_ledger_page(w, &at, &n, &redis);

        if (rc != EXAM_DB_OK) {
            (void) worker_db_trouble(w, rc);
            return;
        }

        if (redis != EXAM_REDIS_OK) {
            return;
        }

        total += (int64_t) n;

    } while (n != 0 && worker_quit == 0);

    if (n != 0) {
        return;
    }

    if (w->marked) {
        worker_ledger_path(w, path);

        if (unlink(path) == -1 && errno != ENOENT) {
            exam_log(EXAM_LOG_ERROR, "ledger", errno, "cannot remove \"%s\"",
                     path);
        }
    }

    if (total != 0) {
        exam_log(EXAM_LOG_NOTICE, "ledger", 0, "settled %lld rows again",
                 (long long) total);
    }

    w->unsettled = 0;
    w->marked = false;
}


static exam_db_e
worker_ledger_page(worker_t *w, worker_cursor_t *at, size_t *n,
    exam_redis_e *redis)
{
    exam_db_e        rc;
    exam_stmt_t     *s;
    exam_manifest_t  m;

    s = &w->db.since;
    *n = 0;
    *redis = EXAM_REDIS_OK;

    rc = exam_stmt_prepare(s, &w->mysql, WORKER_SINCE_SQL);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    exam_stmt_text(s, 0, w->node);
    exam_stmt_int(s, 1, at->stored_at);
    exam_stmt_int(s, 2, at->stored_at);
    exam_stmt_int(s, 3, at->id);

    rc = exam_stmt_execute(s);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    while ((rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {
        at->id = exam_stmt_col_int(s, 0);
        at->stored_at = exam_stmt_col_int(s, 9);
        (*n)++;

        if (!worker_row_manifest(s, &m)) {
            continue;
        }

        *redis = worker_ledger_append(&w->redis, &m, EXAM_SEG_STORED, w->node,
                                      exam_stmt_col_str(s, 1), exam_str(""));

        if (*redis != EXAM_REDIS_OK) {
            exam_stmt_reset(s);
            return EXAM_DB_OK;
        }
    }

    if (rc != EXAM_DB_END) {
        exam_redis_close(&w->redis);
        return rc;
    }

    *redis = exam_redis_replies(&w->redis, NULL, NULL);

    return EXAM_DB_OK;
}
