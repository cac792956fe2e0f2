
/* Two uploads hashed at a time; see the header. */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "ngx_http_exam_hasher.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>


#define NGX_HTTP_EXAM_HASHER_BLOCK  64      /* bytes, of SHA-256 */

/* bytes between two looks for company: about 16 us of hashing */

#define NGX_HTTP_EXAM_HASHER_PIECE  (32 * 1024)


typedef enum {
    NGX_HTTP_EXAM_HASHER_OPEN = 0,      /* on no list */
    NGX_HTTP_EXAM_HASHER_LISTED,
    NGX_HTTP_EXAM_HASHER_TAKEN,         /* company of another one */
    NGX_HTTP_EXAM_HASHER_OWN,           /* its thread has a place */
    NGX_HTTP_EXAM_HASHER_DONE           /* by others */
} ngx_http_exam_hasher_state_e;


typedef TAILQ_HEAD(ngx_http_exam_hasher_list_s, ngx_http_exam_hasher_s)
    ngx_http_exam_hasher_list_t;


static void ngx_http_exam_hasher_hash(ngx_http_exam_hasher_t *job);
static int ngx_http_exam_hasher_begin(ngx_http_exam_hasher_t *job);
static void ngx_http_exam_hasher_end(ngx_http_exam_hasher_t *other);
static ngx_http_exam_hasher_t *ngx_http_exam_hasher_company(
    ngx_http_exam_hasher_t *job);
static void ngx_http_exam_hasher_let_go(ngx_http_exam_hasher_t *job);
static void ngx_http_exam_hasher_list(ngx_http_exam_hasher_t *job);
static void ngx_http_exam_hasher_unlist(ngx_http_exam_hasher_t *job,
    ngx_http_exam_hasher_state_e state);
static size_t ngx_http_exam_hasher_piece(ngx_http_exam_hasher_t *job,
    const uint8_t **data);
static int ngx_http_exam_hasher_cpus(void);


static pthread_mutex_t              ngx_http_exam_hasher_mutex =
                                               PTHREAD_MUTEX_INITIALIZER;

/* jobs whose threads wait, and whose tasks wait for a thread */

static ngx_http_exam_hasher_list_t  ngx_http_exam_hasher_waiting =
                          TAILQ_HEAD_INITIALIZER(ngx_http_exam_hasher_waiting);
static ngx_http_exam_hasher_list_t  ngx_http_exam_hasher_offered =
                          TAILQ_HEAD_INITIALIZER(ngx_http_exam_hasher_offered);
static int                          ngx_http_exam_hasher_active;


void
ngx_http_exam_hasher_init(ngx_http_exam_hasher_t *job)
{
    memset(job, 0, sizeof(ngx_http_exam_hasher_t));

    exam_sha256_init(&job->sha);

    /* cannot fail: a value of 0, for threads of this process */

    (void) sem_init(&job->turn, 0, 0);
}


void
ngx_http_exam_hasher_open(ngx_http_exam_hasher_t *job)
{
    job->state = NGX_HTTP_EXAM_HASHER_OPEN;
    job->begun = 0;
    job->n = 0;
    job->i = 0;
    job->at = 0;
}


void
ngx_http_exam_hasher_add(ngx_http_exam_hasher_t *job, const uint8_t *data,
    size_t len)
{
    ngx_http_exam_hasher_block_t  *block;

    block = &job->blocks[job->n++];

    block->data = data;
    block->len = len;
}


void
ngx_http_exam_hasher_offer(ngx_http_exam_hasher_t *job)
{
    if (job->n == 0 || !exam_sha256_two_pays()
        || pthread_mutex_trylock(&ngx_http_exam_hasher_mutex) != 0)
    {
        return;
    }

    if (job->state == NGX_HTTP_EXAM_HASHER_OPEN) {
        ngx_http_exam_hasher_list(job);
    }

    (void) pthread_mutex_unlock(&ngx_http_exam_hasher_mutex);
}


size_t
ngx_http_exam_hasher_run(ngx_http_exam_hasher_t *job)
{
    size_t    all;
    unsigned  i;

    if (ngx_http_exam_hasher_begin(job)) {
        ngx_http_exam_hasher_hash(job);
    }

    all = 0;

    for (i = 0; i < job->n; i++) {
        all += job->blocks[i].len;
    }

    return all;
}


static void
ngx_http_exam_hasher_hash(ngx_http_exam_hasher_t *job)
{
    size_t                   n, m;
    const uint8_t           *data, *more;
    ngx_http_exam_hasher_t  *other;

    other = NULL;

    while ((n = ngx_http_exam_hasher_piece(job, &data)) > 0) {

        other = ngx_http_exam_hasher_company(other);
        m = (other != NULL) ? ngx_http_exam_hasher_piece(other, &more) : 0;

        /* the end of a message is no whole block: it goes by itself */

        if (m == 0 || n < NGX_HTTP_EXAM_HASHER_BLOCK) {
            exam_sha256_update(&job->sha, data, n);
            job->at += n;
            continue;
        }

        if (m < NGX_HTTP_EXAM_HASHER_BLOCK) {
            exam_sha256_update(&other->sha, more, m);
            other->at += m;
            continue;
        }

        n = (n < m) ? n : m;

        exam_sha256_update_two(&job->sha, data, &other->sha, more, n);

        job->at += n;
        other->at += n;
    }

    ngx_http_exam_hasher_end(other);
}


/* 1: there is a place among those that hash; 0: others have done it all */

static int
ngx_http_exam_hasher_begin(ngx_http_exam_hasher_t *job)
{
    int  places, wait;

    places = exam_sha256_two_pays() ? ngx_http_exam_hasher_cpus() : INT_MAX;
    wait = 0;

    (void) pthread_mutex_lock(&ngx_http_exam_hasher_mutex);

    if (job->state == NGX_HTTP_EXAM_HASHER_LISTED) {
        ngx_http_exam_hasher_unlist(job, NGX_HTTP_EXAM_HASHER_OPEN);
    }

    job->begun = 1;

    if (job->state == NGX_HTTP_EXAM_HASHER_TAKEN) {
        wait = 1;

    } else if (job->state == NGX_HTTP_EXAM_HASHER_OPEN
               && ngx_http_exam_hasher_active < places)
    {
        ngx_http_exam_hasher_active++;
        job->state = NGX_HTTP_EXAM_HASHER_OWN;

    } else if (job->state == NGX_HTTP_EXAM_HASHER_OPEN) {
        ngx_http_exam_hasher_list(job);
        wait = 1;
    }

    (void) pthread_mutex_unlock(&ngx_http_exam_hasher_mutex);

    /* there is somebody who will let go of it, or of a place */

    while (wait && sem_wait(&job->turn) != 0 && errno == EINTR) { /* void */ }

    return job->state == NGX_HTTP_EXAM_HASHER_OWN;
}


/* the place goes to whoever has waited longest */

static void
ngx_http_exam_hasher_end(ngx_http_exam_hasher_t *other)
{
    ngx_http_exam_hasher_t  *next;

    (void) pthread_mutex_lock(&ngx_http_exam_hasher_mutex);

    if (other != NULL) {
        ngx_http_exam_hasher_let_go(other);
    }

    next = TAILQ_FIRST(&ngx_http_exam_hasher_waiting);

    if (next != NULL) {
        ngx_http_exam_hasher_unlist(next, NGX_HTTP_EXAM_HASHER_OWN);
        (void) sem_post(&next->turn);

    } else {
        ngx_http_exam_hasher_active--;
    }

    (void) pthread_mutex_unlock(&ngx_http_exam_hasher_mutex);
}


/*
 * The company there is, while it has anything left; else another one, or NULL.
 * Of those that are offered the newest: the oldest one's thread is about to
 * begin.
 */

static ngx_http_exam_hasher_t *
ngx_http_exam_hasher_company(ngx_http_exam_hasher_t *job)
{
    const uint8_t  *data;

    if (job != NULL && ngx_http_exam_hasher_piece(job, &data) > 0) {
        return job;
    }

    (void) pthread_mutex_lock(&ngx_http_exam_hasher_mutex);

    if (job != NULL) {
        ngx_http_exam_hasher_let_go(job);
    }

    job = TAILQ_FIRST(&ngx_http_exam_hasher_waiting);

    if (job == NULL) {
        job = TAILQ_LAST(&ngx_http_exam_hasher_offered,
                         ngx_http_exam_hasher_list_s);
    }

    if (job != NULL) {
        ngx_http_exam_hasher_unlist(job, NGX_HTTP_EXAM_HASHER_TAKEN);
    }

    (void) pthread_mutex_unlock(&ngx_http_exam_hasher_mutex);

    return job;
}


/* under the mutex, as the two below */

static void
ngx_http_exam_hasher_let_go(ngx_http_exam_hasher_t *job)
{
    const uint8_t  *data;

    if (ngx_http_exam_hasher_piece(job, &data) > 0) {
        ngx_http_exam_hasher_list(job);
        return;
    }

    job->state = NGX_HTTP_EXAM_HASHER_DONE;

    if (job->begun) {
        (void) sem_post(&job->turn);
    }
}


static void
ngx_http_exam_hasher_list(ngx_http_exam_hasher_t *job)
{
    job->state = NGX_HTTP_EXAM_HASHER_LISTED;

    if (job->begun) {
        TAILQ_INSERT_TAIL(&ngx_http_exam_hasher_waiting, job, link);

    } else {
        TAILQ_INSERT_TAIL(&ngx_http_exam_hasher_offered, job, link);
    }
}


static void
ngx_http_exam_hasher_unlist(ngx_http_exam_hasher_t *job,
    ngx_http_exam_hasher_state_e state)
{
    job->state = state;

    if (job->begun) {
        TAILQ_REMOVE(&ngx_http_exam_hasher_waiting, job, link);

    } else {
        TAILQ_REMOVE(&ngx_http_exam_hasher_offered, job, link);
    }
}


/* what comes next, and how much of it; 0: all is hashed */

static size_t
ngx_http_exam_hasher_piece(ngx_http_exam_hasher_t *job, const uint8_t **data)
{
    size_t                               len;
    const ngx_http_exam_hasher_block_t  *b;

    for ( /* void */ ; job->i < job->n; job->i++, job->at = 0) {
        b = &job->blocks[job->i];
        len = b->len - job->at;

        if (len == 0) {
            continue;
        }

        *data = b->data + job->at;

        if (len > NGX_HTTP_EXAM_HASHER_PIECE) {
            return NGX_HTTP_EXAM_HASHER_PIECE;
        }

        return (len < NGX_HTTP_EXAM_HASHER_BLOCK)
               ? len : len - len % NGX_HTTP_EXAM_HASHER_BLOCK;
    }

    return 0;
}


/* asked each time: they may be changed from outside */

static int
ngx_http_exam_hasher_cpus(void)
{
    long       n;
    cpu_set_t  set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        return CPU_COUNT(&set);
    }

    /* more than a set of that size can hold */

    n = sysconf(_SC_NPROCESSORS_ONLN);

    return (n > 0) ? (int) n : 1;
}
