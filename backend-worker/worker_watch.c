
/*
 * The thread of the presence watch.  Once a second: is Redis the one it was,
 * which exams are active, whose lease is ours; then each of those.  After a
 * reconnect, a refill, a lease that was won, or a stop of this process it looks
 * at everything anew, and believes nodes only from there on.
 */


#include "worker_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define WORKER_WATCH_SLICE  20          /* ms a pause is divided into */


static void *worker_watch_thread(void *data);
static void worker_watch_tick(worker_watch_t *t);
static bool worker_watch_redis(worker_watch_t *t);
static void worker_watch_doubt(worker_watch_t *t);
static bool worker_watch_active(worker_watch_t *t);
static worker_exam_t *worker_watch_exam(worker_watch_t *t, exam_str_t id);
static bool worker_watch_lease(worker_watch_t *t, worker_exam_t *e);
static void worker_watch_release(worker_watch_t *t, worker_exam_t *e);
static bool worker_watch_one(worker_watch_t *t, worker_exam_t *e);
static void worker_watch_pause(worker_watch_t *t, int64_t ms);
static int64_t worker_watch_us(void);


/* 1: still ours, 2: ours now */

static const char  worker_watch_take[] =
    "local v = redis.call('GET', KEYS[1])\n"
    "if v == ARGV[1] then\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "  return 1\n"
    "end\n"
    "if v then return 0 end\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
    "return 2\n";

static const char  worker_watch_drop[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "return redis.call('DEL', KEYS[1])\n";


int
worker_watch_start(worker_t *w)
{
    uint32_t         random[2];
    worker_watch_t  *t;

    t = calloc(1, sizeof(worker_watch_t));

    if (t == NULL) {
        return -1;
    }

    t->w = w;
    t->late_ms = (int64_t) w->conf.heartbeat_s * 1500;
    t->offline_ms = (int64_t) w->conf.offline_s * 1000;

    exam_random(random, sizeof(random));
    snprintf(t->token, sizeof(t->token), "%s-%08x%08x", w->conf.node,
             (unsigned) random[0], (unsigned) random[1]);

    exam_redis_init(&t->redis, &w->conf.redis);
    exam_mysql_init(&t->mysql, &w->conf.mysql);
    exam_backoff_init(&t->backoff, 500, 15000);
    t->mysql.timeout_s = WORKER_WATCH_DB_S;

    if (pthread_create(&t->thread, NULL, worker_watch_thread, t) != 0) {
        free(t);
        return -1;
    }

    w->watch = t;

    return 0;
}


void
worker_watch_stop(worker_t *w)
{
    size_t           i;
    worker_watch_t  *t;

    t = w->watch;

    if (t == NULL) {
        return;
    }

    atomic_store(&t->stop, true);
    pthread_join(t->thread, NULL);

    for (i = 0; i < t->nexams; i++) {
        worker_exam_free(&t->exams[i]);
    }

    free(t->exams);
    free(t->nodes);
    free(t);

    w->watch = NULL;
}


static void *
worker_watch_thread(void *data)
{
    size_t           i;
    int64_t          start, last, us;
    worker_watch_t  *t;

    t = data;

    (void) mysql_thread_init();

    last = exam_mono_ms();
    t->since = exam_now_ms();

    while (!atomic_load(&t->stop) && worker_quit == 0) {
        start = exam_mono_ms();

        if (start - last > WORKER_WATCH_STALL) {
            exam_log(EXAM_LOG_WARN, "watch", 0, "was stopped for %lld ms",
                     (long long) (start - last));
            worker_watch_doubt(t);
        }

        last = start;

        us = worker_watch_us();

        worker_watch_tick(t);

        atomic_store(&t->w->figures.watch_us, worker_watch_us() - us);

        worker_watch_pause(t, start + WORKER_WATCH_TICK - exam_mono_ms());
    }

    for (i = 0; i < t->nexams; i++) {
        worker_watch_release(t, &t->exams[i]);
    }

    exam_stmt_close(&t->save);
    exam_stmt_close(&t->save_one);
    exam_stmt_close(&t->views);
    exam_mysql_close(&t->mysql);
    exam_redis_close(&t->redis);

    mysql_thread_end();

    return NULL;
}


static void
worker_watch_tick(worker_watch_t *t)
{
    size_t          i, ours;
    worker_exam_t  *e;

    ours = 0;

    atomic_store(&t->w->figures.watched, 0);

    if (!worker_watch_redis(t) || !worker_watch_active(t)) {
        return;
    }

    for (i = 0; i < t->nexams; /* void */ ) {
        e = &t->exams[i];

        if (e->wanted) {

            if (!worker_watch_one(t, e)) {

                /* that it is away is said by others */

                if (t->redis.conn != NULL) {
                    exam_log(EXAM_LOG_WARN, "watch", 0, "redis does not take "
                             "the watch of exam \"%s\": %s", e->id,
                             t->redis.error);
                }

                return;
            }

            ours += e->ours;
            i++;
            continue;
        }

        worker_watch_release(t, e);
        worker_exam_free(e);

        *e = t->exams[--t->nexams];
    }

    atomic_store(&t->w->figures.watched, (int64_t) ours);
}


/* false: Redis is away, or has nothing yet */

static bool
worker_watch_redis(worker_watch_t *t)
{
    char  value[EXAM_LOADED_MAX];

    if (exam_live_loaded(&t->redis, value) != EXAM_LIVE_OK
        || value[0] == '\0')
    {
        t->loaded[0] = '\0';
        return false;
    }

    if (t->connects != t->redis.connects || strcmp(value, t->loaded) != 0) {
        t->connects = t->redis.connects;
        memcpy(t->loaded, value, sizeof(value));

        worker_watch_doubt(t);
    }

    return true;
}


/* from here on every node has to flush once before it is believed */

static void
worker_watch_doubt(worker_watch_t *t)
{
    size_t  i;

    t->since = exam_now_ms();

    for (i = 0; i < t->nnodes; i++) {
        t->nodes[i].heard = exam_mono_ms();
    }

    for (i = 0; i < t->nexams; i++) {
        t->exams[i].load_at = 0;
    }
}


static bool
worker_watch_active(worker_watch_t *t)
{
    size_t          i;
    exam_str_t      id;
    redisReply     *reply;
    worker_exam_t  *e;

    if (exam_redis_command(&t->redis, &reply, "SMEMBERS " EXAM_KEY_ACTIVE)
        != EXAM_REDIS_OK)
    {
        return false;
    }

    for (i = 0; i < t->nexams; i++) {
        t->exams[i].wanted = false;
    }

    for (i = 0; exam_redis_item(reply, i) != NULL; i++) {
        id = exam_redis_str(exam_redis_item(reply, i));

        e = exam_id_exam(id) ? worker_watch_exam(t, id) : NULL;

        if (e != NULL) {
            e->wanted = true;
        }
    }

    freeReplyObject(reply);

    return true;
}


static worker_exam_t *
worker_watch_exam(worker_watch_t *t, exam_str_t id)
{
    void           *more;
    size_t          i, max;
    worker_exam_t  *e;

    for (i = 0; i < t->nexams; i++) {
        e = &t->exams[i];

        if (exam_str_eq(exam_str_make(e->id, strlen(e->id)), id)) {
            return e;
        }
    }

    if (t->nexams == t->maxexams) {
        max = t->maxexams * 2 + 8;
        more = realloc(t->exams, max * sizeof(worker_exam_t));

        if (more == NULL) {
            exam_log(EXAM_LOG_ALERT, "watch", 0, "no memory");
            return NULL;
        }

        t->exams = more;
        t->maxexams = max;
    }

    e = &t->exams[t->nexams++];
    memset(e, 0, sizeof(worker_exam_t));
    memcpy(e->id, id.data, id.len);

    return e;
}


/* false: Redis does not answer, the rest of the tick is void */

static bool
worker_watch_one(worker_watch_t *t, worker_exam_t *e)
{
    if (!worker_exam_read(t, e)) {
        return false;
    }

    if (!worker_exam_live(e)) {
        worker_watch_release(t, e);
        worker_exam_free(e);
        return true;
    }

    if (!worker_watch_lease(t, e)) {
        return false;
    }

    if (!e->ours) {
        worker_exam_free(e);
        return true;
    }

    if (!worker_exam_seats(t, e)) {
        return false;
    }

    worker_view_load(t, e);

    if (!worker_node_read(t) || !worker_exam_seen(t, e)
        || !worker_view_tick(t, e))
    {
        return false;
    }

    worker_view_save(t, e);
    worker_exam_chores(t, e);

    return true;
}


static bool
worker_watch_lease(worker_watch_t *t, worker_exam_t *e)
{
    char         key[EXAM_KEY_MAX];
    long long    got;
    redisReply  *reply;

    (void) exam_key(key, EXAM_KEY_WATCH, exam_str_make(e->id, strlen(e->id)),
                    exam_str(""));

    if (exam_redis_command(&t->redis, &reply, "EVAL %s 1 %s %s %d",
                           worker_watch_take, key, t->token,
                           WORKER_WATCH_LEASE)
        != EXAM_REDIS_OK)
    {
        return false;
    }

    got = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);

    if (e->ours && got != 1) {
        exam_log(EXAM_LOG_WARN, "watch", 0, "the lease of exam \"%s\" was "
                 "lost", e->id);
    }

    if (got == 2) {
        exam_log(EXAM_LOG_NOTICE, "watch", 0, "watches exam \"%s\"", e->id);

        worker_exam_free(e);
        e->since = exam_now_ms();
    }

    e->ours = got != 0;

    return true;
}


/* another worker need not wait until it expires */

static void
worker_watch_release(worker_watch_t *t, worker_exam_t *e)
{
    char  key[EXAM_KEY_MAX];

    if (!e->ours) {
        return;
    }

    e->ours = false;

    (void) exam_key(key, EXAM_KEY_WATCH, exam_str_make(e->id, strlen(e->id)),
                    exam_str(""));

    if (exam_redis_do(&t->redis, "EVAL %s 1 %s %s", worker_watch_drop, key,
                      t->token)
        != EXAM_REDIS_OK)
    {
        exam_log(EXAM_LOG_WARN, "watch", 0, "cannot give up the lease of exam "
                 "\"%s\": %s", e->id, t->redis.error);
    }
}


static void
worker_watch_pause(worker_watch_t *t, int64_t ms)
{
    int64_t          end, left;
    struct timespec  ts;

    end = exam_mono_ms() + ms;

    for ( ;; ) {
        left = end - exam_mono_ms();

        if (left <= 0 || atomic_load(&t->stop) || worker_quit != 0) {
            return;
        }

        ts.tv_sec = 0;
        ts.tv_nsec = (left < WORKER_WATCH_SLICE ? left : WORKER_WATCH_SLICE)
                     * 1000000;

        (void) nanosleep(&ts, NULL);
    }
}


static int64_t
worker_watch_us(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
