
/*
 * What the worker says of itself: exam:worker:<node>, written every two
 * seconds, gone after fifteen.  A thread with connections of its own, so that
 * a worker that waits for the disk or for MySQL still says that it does.
 */


#include "worker.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


#define WORKER_READY_MAX     100000     /* counted no further */
#define WORKER_FIGURES_ARGS  48


static void *worker_figures_thread(void *data);
static void worker_figures_write(worker_t *w, exam_redis_t *redis,
    const exam_mysql_health_t *health);
static void worker_figures_mysql(exam_mysql_t *db,
    exam_mysql_health_t *health);
static unsigned worker_figures_ready(worker_t *w);
static bool worker_figures_count(void *data, const char *id);


int
worker_figures_start(worker_t *w)
{
    if (pthread_create(&w->figures.thread, NULL, worker_figures_thread, w)
        != 0)
    {
        return -1;
    }

    w->figures.started = true;

    return 0;
}


void
worker_figures_stop(worker_t *w)
{
    if (w->figures.started) {
        atomic_store(&w->figures.stop, true);
        pthread_join(w->figures.thread, NULL);
        w->figures.started = false;
    }
}


static void *
worker_figures_thread(void *data)
{
    int64_t               due;
    worker_t             *w;
    exam_mysql_t          db;
    exam_redis_t          redis;
    exam_mysql_health_t   health;

    static const struct timespec  tick = { 0, 50000000 };

    w = data;
    due = 0;

    (void) mysql_thread_init();

    exam_mysql_init(&db, &w->conf.mysql);
    exam_redis_init(&redis, &w->conf.redis);

    while (!atomic_load(&w->figures.stop)) {

        if (exam_mono_ms() >= due) {
            due = exam_mono_ms() + WORKER_FIGURES;

            worker_figures_mysql(&db, &health);
            worker_figures_write(w, &redis, &health);
        }

        (void) nanosleep(&tick, NULL);
    }

    exam_redis_close(&redis);
    exam_mysql_close(&db);

    mysql_thread_end();

    return NULL;
}


/* latency_ms is -1 while MySQL is down */

static void
worker_figures_mysql(exam_mysql_t *db, exam_mysql_health_t *health)
{
    if (exam_mysql_connect(db, true) == EXAM_DB_OK
        && exam_mysql_health(db, health) == EXAM_DB_OK)
    {
        return;
    }

    exam_mysql_close(db);

    memset(health, 0, sizeof(exam_mysql_health_t));
    health->latency_ms = -1;
}


static void
worker_figures_write(worker_t *w, exam_redis_t *redis,
    const exam_mysql_health_t *health)
{
    char          key[EXAM_KEY_MAX], text[768], ttl[8], *p, *name;
    size_t        n;
    int64_t       now, oldest;
    exam_str_t    args[WORKER_FIGURES_ARGS];
    const char   *mode;
    exam_redis_e  rc;

    static const char *const  modes[] = { "running", "waiting", "draining" };

    now = exam_now_ms();
    oldest = atomic_load(&w->figures.oldest);
    mode = worker_quit != 0 ? modes[WORKER_DRAINING]
                            : modes[atomic_load(&w->figures.mode)];

    (void) exam_key_worker(key, w->node);

    snprintf(text, sizeof(text),
             "state %s lag_s %" PRId64 " processing_ms %" PRId64
             " stored_total %" PRId64 " failed_total %" PRId64 " ready %u"
             " mysql_state %s mysql_latency_ms %" PRId64
             " mysql_connections %" PRId64 " mysql_max_connections %" PRId64
             " mysql_slow_queries %" PRId64
             " journal_lag_bytes %" PRId64 " journal_records_total %" PRId64
             " journal_refused_total %" PRId64
             " journal_damaged_total %" PRId64 " watched_exams %" PRId64
             " watch_us %" PRId64 " updated_at %" PRId64, mode,
             oldest == 0 || oldest > now ? 0 : (now - oldest) / 1000,
             atomic_load(&w->figures.processing_ms),
             atomic_load(&w->figures.stored), atomic_load(&w->figures.failed),
             worker_figures_ready(w), health->latency_ms < 0 ? "down" : "up",
             health->latency_ms < 0 ? 0 : health->latency_ms,
             health->connections, health->max_connections,
             health->slow_queries, atomic_load(&w->figures.journal_lag),
             atomic_load(&w->figures.journal_records),
             atomic_load(&w->figures.journal_refused),
             atomic_load(&w->figures.journal_damaged),
             atomic_load(&w->figures.watched),
             atomic_load(&w->figures.watch_us), now);

    args[0] = exam_str("HSET");
    args[1] = exam_str_make(key, strlen(key));
    n = 2;

    for (p = strtok_r(text, " ", &name); p != NULL && n < WORKER_FIGURES_ARGS;
         p = strtok_r(NULL, " ", &name))
    {
        args[n++] = exam_str_make(p, strlen(p));
    }

    snprintf(ttl, sizeof(ttl), "%d", WORKER_FIGURES_TTL);

    rc = exam_redis_append(redis, n, args);

    args[0] = exam_str("EXPIRE");
    args[2] = exam_str_make(ttl, strlen(ttl));

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_append(redis, 3, args);
    }

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_replies(redis, NULL, NULL);
    }

    /* Redis that is away has nobody to read this; the main thread says so */

    if (rc == EXAM_REDIS_ERROR) {
        exam_log(EXAM_LOG_ERROR, "figures", 0, "cannot write \"%s\": %s", key,
                 redis->error);
    }
}


static unsigned
worker_figures_ready(worker_t *w)
{
    unsigned  n;

    n = 0;

    /* cut short at the maximum; a folder that cannot be read is logged */

    if (worker_scan_each(w, "ready", worker_figures_count, &n) == -1
        && n != WORKER_READY_MAX)
    {
        return 0;
    }

    return n;
}


static bool
worker_figures_count(void *data, const char *id)
{
    unsigned  *n;

    (void) id;

    n = data;

    return ++*n < WORKER_READY_MAX;
}
