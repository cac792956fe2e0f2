
/*
 * The thread that takes the journals over: a batch of each file that has grown,
 * the one written least lately first, so that neither a long backlog nor a busy
 * file keeps the others waiting.  MySQL's absence is waited out; what was read
 * is read again then.
 */


#include "worker_journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define WORKER_JOURNAL_SLICE  50        /* ms a pause is divided into */


static worker_journal_t *worker_journal_new(worker_t *w);
static void worker_journal_free(worker_journal_t *j);
static void *worker_journal_thread(void *data);
static bool worker_journal_step(worker_journal_t *j, bool *more);
static exam_db_e worker_journal_turn(worker_journal_t *j, bool *more);
static exam_db_e worker_journal_file(worker_journal_t *j,
    worker_journal_file_t *f, bool *more);
static void worker_journal_trouble(worker_journal_t *j, exam_db_e rc);
static void worker_journal_lag(worker_journal_t *j);
static bool worker_journal_pause(worker_journal_t *j, int64_t ms);


int
worker_journal_start(worker_t *w)
{
    worker_journal_t  *j;

    j = worker_journal_new(w);

    if (j == NULL) {
        return -1;
    }

    if (pthread_create(&j->thread, NULL, worker_journal_thread, j) != 0) {
        worker_journal_free(j);
        return -1;
    }

    j->started = true;
    w->journal = j;

    return 0;
}


void
worker_journal_stop(worker_t *w)
{
    worker_journal_t  *j;

    j = w->journal;

    if (j == NULL) {
        return;
    }

    atomic_store(&j->stop, true);
    pthread_join(j->thread, NULL);

    worker_journal_free(j);
    w->journal = NULL;
}


/* for --once: until everything that can be taken over is */

void
worker_journal_once(worker_t *w)
{
    bool               more;
    worker_journal_t  *j;

    j = worker_journal_new(w);

    if (j == NULL) {
        return;
    }

    do {
        (void) worker_journal_step(j, &more);
    } while (more && worker_quit == 0);

    worker_journal_free(j);
}


static worker_journal_t *
worker_journal_new(worker_t *w)
{
    worker_journal_t  *j;

    j = calloc(1, sizeof(worker_journal_t));

    if (j == NULL) {
        exam_log(EXAM_LOG_ALERT, "journal", 0, "no memory");
        return NULL;
    }

    j->w = w;
    j->kept = -1;
    j->unsettled = true;
    j->buffer = malloc(WORKER_JOURNAL_BUFFER);
    j->arena = malloc(WORKER_JOURNAL_ARENA);

    exam_mysql_init(&j->mysql, &w->conf.mysql);
    exam_redis_init(&j->redis, &w->conf.redis);
    exam_backoff_init(&j->backoff, 100, 5000);

    if (j->buffer == NULL || j->arena == NULL) {
        exam_log(EXAM_LOG_ALERT, "journal", 0, "no memory");
        worker_journal_free(j);
        return NULL;
    }

    return j;
}


static void
worker_journal_free(worker_journal_t *j)
{
    worker_journal_rows_close(j);

    exam_stmt_close(&j->position);
    exam_stmt_close(&j->positions);
    exam_stmt_close(&j->forget);
    exam_stmt_close(&j->lost);

    exam_mysql_close(&j->mysql);
    exam_redis_close(&j->redis);

    free(j->files);
    free(j->buffer);
    free(j->arena);
    free(j);
}


static void *
worker_journal_thread(void *data)
{
    bool               more;
    worker_journal_t  *j;

    j = data;

    (void) mysql_thread_init();

    while (!atomic_load(&j->stop) && worker_quit == 0) {

        if (worker_journal_step(j, &more) && !more) {
            (void) worker_journal_pause(j, WORKER_JOURNAL_LOOK);
        }
    }

    mysql_thread_end();

    return NULL;
}


/* false, after a wait: MySQL does not take it; *more: there is more to do */

static bool
worker_journal_step(worker_journal_t *j, bool *more)
{
    exam_db_e  rc;

    *more = true;

    rc = exam_mysql_connect(&j->mysql, true);

    if (rc == EXAM_DB_OK) {
        rc = worker_journal_turn(j, more);
    }

    if (rc != EXAM_DB_OK) {
        worker_journal_trouble(j, rc);
        *more = true;
        return false;
    }

    if (j->away) {
        exam_log(EXAM_LOG_NOTICE, "journal", 0, "mysql takes the journal "
                 "again");
        j->away = false;
    }

    exam_backoff_reset(&j->backoff);
    worker_journal_settle_again(j);

    return true;
}


/* *more: a file was not read to its end */

static exam_db_e
worker_journal_turn(worker_journal_t *j, bool *more)
{
    size_t     i;
    exam_db_e  rc;

    *more = false;

    worker_journal_look(j);

    /* a server that was changed or restored has its own positions */

    if (j->epoch != j->mysql.epoch || j->unknown) {
        rc = worker_journal_positions(j);

        if (rc != EXAM_DB_OK) {
            return rc;
        }

        j->epoch = j->mysql.epoch;
        j->unknown = false;
    }

    for (i = 0; i < j->nfiles && !atomic_load(&j->stop); i++) {
        rc = worker_journal_file(j, &j->files[i], more);

        if (rc != EXAM_DB_OK) {
            return rc;
        }
    }

    worker_journal_lag(j);

    return worker_journal_retire(j);
}


static exam_db_e
worker_journal_file(worker_journal_t *j, worker_journal_file_t *f, bool *more)
{
    exam_db_e                rc;
    worker_journal_batch_t  *b;

    b = &j->batch;

    if (!worker_journal_read(j, f)) {
        return EXAM_DB_OK;
    }

    rc = worker_journal_rows(j);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    f->position = b->next;

    atomic_fetch_add(&j->w->figures.journal_records, (int64_t) b->n);
    atomic_fetch_add(&j->w->figures.journal_refused, b->refused);
    atomic_fetch_add(&j->w->figures.journal_damaged, b->damaged);

    if (b->damaged != 0) {
        exam_log(EXAM_LOG_ERROR, "journal", 0, "%u damaged lines in \"%s\", "
                 "the first at %lld", b->damaged, f->name,
                 (long long) b->damaged_at);
    }

    worker_journal_settle(j);

    if (f->position < f->size) {
        *more = true;
    }

    return EXAM_DB_OK;
}


static void
worker_journal_trouble(worker_journal_t *j, exam_db_e rc)
{
    if (!j->away) {
        exam_log(rc == EXAM_DB_LOST ? EXAM_LOG_WARN : EXAM_LOG_ALERT,
                 "journal", 0, "mysql does not take the journal, waiting (%s)",
                 j->mysql.error);
        j->away = true;
    }

    if (rc == EXAM_DB_LOST) {
        exam_mysql_close(&j->mysql);
    }

    /* what is not taken over is counted all the same */

    worker_journal_look(j);
    worker_journal_lag(j);

    (void) worker_journal_pause(j, exam_backoff_next(&j->backoff,
                                                     (uint32_t) exam_now_ms()));
}


static void
worker_journal_lag(worker_journal_t *j)
{
    size_t   i;
    int64_t  lag;

    lag = 0;

    for (i = 0; i < j->nfiles; i++) {
        if (j->files[i].size > j->files[i].position) {
            lag += j->files[i].size - j->files[i].position;
        }
    }

    atomic_store(&j->w->figures.journal_lag, lag);
}


static bool
worker_journal_pause(worker_journal_t *j, int64_t ms)
{
    int64_t          end, left;
    struct timespec  ts;

    end = exam_mono_ms() + ms;

    for ( ;; ) {

        if (atomic_load(&j->stop) || worker_quit != 0) {
            return false;
        }

        left = end - exam_mono_ms();

        if (left <= 0) {
            return true;
        }

        ts.tv_sec = 0;
        ts.tv_nsec = (left < WORKER_JOURNAL_SLICE ? left
                                                  : WORKER_JOURNAL_SLICE)
                     * 1000000;

        (void) nanosleep(&ts, NULL);
    }
}
