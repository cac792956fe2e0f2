
/*
 * Uploads hashed two at a time: whoever hashes a job, it is hashed once and
 * right, and its own thread goes on only then.
 */


#include "tap.h"

#include <pthread.h>
#include <stdlib.h>

#include "../../ngx_exam_module/ngx_http_exam_hasher.c"


#define JOBS    8
#define ROUNDS  400
#define SIZE    (96 * 1024)


typedef struct {
    ngx_http_exam_hasher_t  job;
    exam_sha256_t           want;
    sem_t                   go;         /* the task is posted */
    sem_t                   ready;      /* and done */
    size_t                  hashed;
} task_t;


static void test_alone(void);
static void test_taken(void);
static void test_many(void);
static void *thread(void *data);
static void *run(void *data);
static void fill(task_t *t, const uint8_t *data, unsigned seed);
static int right(task_t *t);
static int none(void);


static uint8_t  data[SIZE + 64];


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) (i * 31 + i / 251);
    }

    test_alone();
    test_taken();
    test_many();

    return tap_done();
}


static void
test_alone(void)
{
    task_t  t;

    ngx_http_exam_hasher_init(&t.job);
    exam_sha256_init(&t.want);

    fill(&t, data, 12345);
    ngx_http_exam_hasher_offer(&t.job);

    tap_ok(ngx_http_exam_hasher_run(&t.job) > 0, "alone: its bytes");
    tap_ok(right(&t), "hashed");
    tap_ok(none(), "and on no list");

    ngx_http_exam_hasher_offer(&t.job);
    tap_ok(none(),
           "what has begun is not offered any more");

    ngx_http_exam_hasher_open(&t.job);
    ngx_http_exam_hasher_offer(&t.job);
    tap_ok(none(), "without blocks it is not offered at all");

    tap_is(ngx_http_exam_hasher_run(&t.job), 0, "no blocks, no bytes");
    tap_ok(right(&t), "and the hash stays");
}


/* of two that are offered the first to run takes the other one */

static void
test_taken(void)
{
    int        pays;
    task_t     a, b;
    pthread_t  other;

    ngx_http_exam_hasher_init(&a.job);
    ngx_http_exam_hasher_init(&b.job);
    exam_sha256_init(&a.want);
    exam_sha256_init(&b.want);

    fill(&a, data, 0x12345678);
    fill(&b, data + 5, 0x7654321b);

    ngx_http_exam_hasher_offer(&a.job);
    ngx_http_exam_hasher_offer(&b.job);

    (void) ngx_http_exam_hasher_run(&a.job);
    tap_ok(right(&a), "two of them: the one that runs");

    pays = exam_sha256_two_pays();

    tap_is(b.job.i > 0 || b.job.at > 0, pays,
           "hashes of the other what it can, where that pays");
    tap_is(b.job.state, pays ? NGX_HTTP_EXAM_HASHER_LISTED
                             : NGX_HTTP_EXAM_HASHER_OPEN, "and lets go");

    tap_is(pthread_create(&other, NULL, run, &b), 0, "the other's thread");
    (void) pthread_join(other, NULL);

    tap_ok(b.hashed > 0 && right(&b), "does the rest, once");
    tap_ok(none(), "nothing is left on the list");
}


static void *
run(void *p)
{
    task_t *t = p;

    t->hashed = ngx_http_exam_hasher_run(&t->job);

    return NULL;
}


/* as the event loop and its threads do it */

static void
test_many(void)
{
    int        i, n, wrong;
    task_t    *tasks;
    pthread_t  threads[JOBS];

    tasks = calloc(JOBS, sizeof(task_t));
    wrong = 0;

    for (i = 0; i < JOBS; i++) {
        ngx_http_exam_hasher_init(&tasks[i].job);
        exam_sha256_init(&tasks[i].want);
        (void) sem_init(&tasks[i].go, 0, 0);
        (void) sem_init(&tasks[i].ready, 0, 0);
        (void) pthread_create(&threads[i], NULL, thread, &tasks[i]);
    }

    for (n = 0; n < ROUNDS; n++) {
        for (i = 0; i < JOBS; i++) {
            fill(&tasks[i], data + i, (unsigned) (n * JOBS + i) * 2654435761u);

            if (n % 2) {
                (void) sem_post(&tasks[i].go);
            }

            ngx_http_exam_hasher_offer(&tasks[i].job);
        }

        /* threads that begin when all are offered: there is company */

        for (i = 0; n % 2 == 0 && i < JOBS; i++) {
            (void) sem_post(&tasks[i].go);
        }

        for (i = 0; i < JOBS; i++) {
            (void) sem_wait(&tasks[i].ready);
            wrong += !right(&tasks[i]);
        }
    }

    for (i = 0; i < JOBS; i++) {
        ngx_http_exam_hasher_open(&tasks[i].job);
        tasks[i].job.blocks[0].data = NULL;
        (void) sem_post(&tasks[i].go);
        (void) pthread_join(threads[i], NULL);
    }

    tap_is(wrong, 0, "many threads: each job is hashed right");
    tap_ok(none(), "nothing is left on the list");

    free(tasks);
}


static void *
thread(void *p)
{
    task_t *t = p;

    for ( ;; ) {
        while (sem_wait(&t->go) != 0) { /* void */ }

        if (t->job.n == 0 && t->job.blocks[0].data == NULL) {
            return NULL;
        }

        t->hashed = ngx_http_exam_hasher_run(&t->job);
        (void) sem_post(&t->ready);
    }
}


/* blocks of some length, also of no multiple of 64 */

static void
fill(task_t *t, const uint8_t *from, unsigned seed)
{
    size_t    len;
    unsigned  i, n;

    n = 1 + seed % NGX_HTTP_EXAM_HASHER_BLOCKS;

    ngx_http_exam_hasher_open(&t->job);

    for (i = 0; i < n; i++) {
        len = (seed >> (4 * i)) % SIZE;
        len -= (i + 1 < n) ? len % 64 : 0;

        ngx_http_exam_hasher_add(&t->job, from, len);
        exam_sha256_update(&t->want, from, len);
    }
}


static int
right(task_t *t)
{
    uint8_t        got[32], want[32];
    exam_sha256_t  h;

    h = t->job.sha;
    exam_sha256_final(&h, got);
    h = t->want;
    exam_sha256_final(&h, want);

    return memcmp(got, want, 32) == 0;
}


/* on a list, or hashing */

static int
none(void)
{
    return TAILQ_EMPTY(&ngx_http_exam_hasher_waiting)
           && TAILQ_EMPTY(&ngx_http_exam_hasher_offered)
           && ngx_http_exam_hasher_active == 0;
}
