
/*
 * Redis as it should be (DESIGN 5): filled again from MySQL when it was
 * emptied, rosters warm, and this spool's uploads announced as `received`
 * whenever somebody has refilled it.  service/exam_live.c does the writing;
 * here is when.
 */


#include "worker.h"

#include <stdlib.h>
#include <string.h>


#define WORKER_ANNOUNCE  256            /* entries a pipeline */


typedef struct {
    worker_t          *w;
    exam_redis_t      *redis;
    exam_redis_e       rc;
    exam_spool_e       what;
    unsigned           pending;
    worker_refused_t   refused;
    worker_item_t      item;
} worker_announce_t;


static void worker_live_doubt(worker_t *w);
static bool worker_live_refill(worker_t *w);
static bool worker_live_sync(worker_t *w);
static exam_live_e worker_live_spool(exam_redis_t *redis, void *data);
static bool worker_live_announce(void *data, const char *id);


void
worker_live_tick(worker_t *w)
{
    char     value[EXAM_LOADED_MAX];
    int64_t  now;

    now = exam_mono_ms();

    if (now < w->loaded_at) {
        return;
    }

    w->loaded_at = now + WORKER_LOADED;

    if (exam_live_loaded(&w->redis, value) != EXAM_LIVE_OK) {
        w->loaded[0] = '\0';
        return;
    }

    if (value[0] == '\0') {
        w->loaded[0] = '\0';

        if (!worker_live_refill(w)
            || exam_live_loaded(&w->redis, value) != EXAM_LIVE_OK)
        {
            return;
        }

    } else if (w->connects != w->redis.connects
               || strcmp(value, w->loaded) != 0)
    {
        worker_live_doubt(w);

        /* filled by somebody else, who does not know this spool */

        if (worker_live_spool(&w->redis, w) != EXAM_LIVE_OK) {
            return;
        }
    }

    memcpy(w->loaded, value, sizeof(value));
    w->connects = w->redis.connects;

    if (now >= w->sync_at) {
        w->sync_at = now + WORKER_SYNC;

        /* what a command has changed is shown before it is announced */

        if (worker_live_sync(w)) {
            worker_command_announce(w);
        }
    }
}


/*
 * Behind a new connection there may be a Redis that has not got the last it
 * was told: a replica that took over, a file that was not synced.  Versions
 * tell of exams and flags; the rest is told again.
 */

static void
worker_live_doubt(worker_t *w)
{
    int64_t  since;

    since = exam_now_ms() - WORKER_REDIS_TAIL;

    worker_ledger_doubt(w, since);
    worker_command_doubt(w, since);
}


static bool
worker_live_refill(worker_t *w)
{
    exam_live_e  rc;

    if (!worker_db_up(w)) {
        return false;
    }

    rc = exam_live_refill(&w->mysql, &w->redis, &w->conf, worker_live_spool,
                          w);

    switch (rc) {

    case EXAM_LIVE_OK:
        exam_log(EXAM_LOG_NOTICE, "live", 0, "redis was empty: filled again");

        /* its doorbells are gone too */

        w->stream.connects = 0;
        worker_scan_begin(w);

        return true;

    case EXAM_LIVE_DB:
        exam_log(EXAM_LOG_ERROR, "live", 0, "cannot refill redis: %s",
                 w->mysql.error);
        worker_live_mysql(w);
        break;

    case EXAM_LIVE_REDIS:
        exam_log(EXAM_LOG_ERROR, "live", 0, "cannot refill redis: %s",
                 w->redis.error);
        break;

    default:

        /* another node's worker is at it */

        break;
    }

    return false;
}


static bool
worker_live_sync(worker_t *w)
{
    unsigned     loaded;
    exam_live_e  rc;

    if (!worker_db_up(w)) {
        return false;
    }

    loaded = 0;
    rc = exam_live_sync(&w->mysql, &w->redis, &loaded);

    if (rc == EXAM_LIVE_DB) {
        exam_log(EXAM_LOG_WARN, "live", 0, "cannot compare exams: %s",
                 w->mysql.error);
        worker_live_mysql(w);

    } else if (rc == EXAM_LIVE_REDIS) {
        exam_log(EXAM_LOG_WARN, "live", 0, "cannot compare exams: %s",
                 w->redis.error);
    }

    if (loaded != 0) {
        exam_log(EXAM_LOG_NOTICE, "live", 0, "loaded %u exams into redis",
                 loaded);
    }

    return rc == EXAM_LIVE_OK;
}


/* exam_live does not say which class of failure it was */

void
worker_live_mysql(worker_t *w)
{
    exam_db_e  rc;

    rc = exam_mysql_ping(&w->mysql);

    if (rc != EXAM_DB_OK) {
        (void) worker_db_trouble(w, rc);
    }
}


/*
 * What this spool holds has had its 201: `received`, whatever comes next.  What
 * lies in bad/ is refused, unless the number has come again since.
 */

static exam_live_e
worker_live_spool(exam_redis_t *redis, void *data)
{
    size_t              i;
    worker_announce_t  *a;

    static const struct {
        const char      *folder;
        exam_spool_e     what;
    } folders[] = {
        { "work", EXAM_SPOOL_WORK },
        { "ready", EXAM_SPOOL_INFO },
        { "bad", EXAM_SPOOL_BAD_INFO },
    };

    a = calloc(1, sizeof(worker_announce_t));

    if (a == NULL) {
        exam_log(EXAM_LOG_ALERT, "live", 0, "no memory");
        return EXAM_LIVE_REDIS;
    }

    a->w = data;
    a->redis = redis;
    a->rc = worker_refused_begin(&a->refused, redis);

    for (i = 0; i < sizeof(folders) / sizeof(folders[0])
                && a->rc == EXAM_REDIS_OK; i++) {
        a->what = folders[i].what;

        /* -1 is a folder that cannot be read, which is logged, or rc */

        (void) !worker_scan_each(a->w, folders[i].folder,
                                 worker_live_announce, a);
    }

    if (a->rc == EXAM_REDIS_OK && a->pending != 0) {
        a->rc = exam_redis_replies(redis, NULL, NULL);
    }

    i = a->rc == EXAM_REDIS_OK;

    worker_refused_end(&a->refused);
    free(a);

    return i ? EXAM_LIVE_OK : EXAM_LIVE_REDIS;
}


static bool
worker_live_announce(void *data, const char *id)
{
    bool                appended;
    worker_announce_t  *a;

    a = data;
    appended = true;

    memcpy(a->item.id, id, strlen(id) + 1);

    /* claimed meanwhile, or damaged: the batch will say which */

    if (!worker_claim_read(a->w, a->what, &a->item)) {
        return true;
    }

    if (a->what == EXAM_SPOOL_BAD_INFO) {
        a->rc = worker_refused_append(&a->refused, a->redis, &a->item,
                                      &appended);

    } else {
        a->rc = worker_ledger_append(a->redis, &a->item.m, EXAM_SEG_RECEIVED,
                                     a->item.m.node, a->item.m.id,
                                     exam_str(""));
    }

    if (a->rc != EXAM_REDIS_OK || !appended) {
        return a->rc == EXAM_REDIS_OK;
    }

    if (++a->pending == WORKER_ANNOUNCE) {
        a->pending = 0;
        a->rc = exam_redis_replies(a->redis, NULL, NULL);
    }

    return a->rc == EXAM_REDIS_OK;
}
