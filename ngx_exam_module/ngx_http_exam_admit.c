
/*
 * How many uploads a node receives at a time, and who gives his place away when
 * there are too few (DESIGN 3.1, 8; exam_upload_max_active, _min_rate).
 *
 * The number is the node's: a gauge in the zone.  The uploads of a process are
 * in its queue; while places are short, a timer looks through it for clients
 * that are slower than the directive asks for.  Event loop only.
 */


#include "ngx_http_exam_upload.h"


#define NGX_HTTP_EXAM_ADMIT_WINDOW  5000        /* ms a rate is measured over */
#define NGX_HTTP_EXAM_ADMIT_SHORT   3           /* s after one was refused */
#define NGX_HTTP_EXAM_ADMIT_TICK    1000


typedef struct {
    ngx_queue_t                    queue;
    ngx_event_t                    timer;
    ngx_connection_t               dummy;   /* what debug logs look at */
    ngx_http_exam_main_conf_t     *mcf;
} ngx_http_exam_admit_t;


static void ngx_http_exam_admit_gauge(ngx_http_exam_main_conf_t *mcf,
    ngx_int_t uploads, off_t bytes, off_t expected);
static void ngx_http_exam_admit_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_exam_admit_slow(ngx_http_exam_upload_t *u);
static void ngx_http_exam_admit_evict(ngx_http_exam_upload_t *u);


static ngx_http_exam_admit_t  ngx_http_exam_admit;


void
ngx_http_exam_upload_init(ngx_http_exam_main_conf_t *mcf)
{
    ngx_event_t             *ev;
    ngx_http_exam_gauges_t  *own;

    ngx_http_exam_buffers_init((size_t) mcf->upload_buffers);

    own = &mcf->zone->shared->gauges[ngx_process_slot];

    ngx_http_exam_admit_gauge(mcf, -(ngx_int_t) own->uploads,
                              -(off_t) own->bytes, -(off_t) own->expected);

    ngx_memzero(&ngx_http_exam_admit, sizeof(ngx_http_exam_admit_t));

    ngx_http_exam_admit.mcf = mcf;
    ngx_http_exam_admit.dummy.fd = (ngx_socket_t) -1;
    ngx_queue_init(&ngx_http_exam_admit.queue);

    ev = &ngx_http_exam_admit.timer;

    ev->handler = ngx_http_exam_admit_timer;
    ev->data = &ngx_http_exam_admit.dummy;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;
}


exam_err_e
ngx_http_exam_upload_enter(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_stats_t      *st;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = u->mcf;
    st = &mcf->zone->shared->stats;

    if (mcf->upload_max_active > 0
        && (ngx_atomic_int_t) st->active_uploads >= mcf->upload_max_active)
    {
        mcf->zone->shared->short_at = (ngx_atomic_uint_t) ngx_time();
        (void) ngx_atomic_fetch_add(&mcf->zone->shared->wanted, 1);

        return EXAM_ERR_OVERLOADED;
    }

    u->counted = 1;
    u->expected = ngx_max(u->writer.length, 0);
    u->window = ngx_current_msec;
    u->before = u->received;

    ngx_http_exam_admit_gauge(mcf, 1, 0, u->expected);

    ngx_queue_insert_tail(&ngx_http_exam_admit.queue, &u->active);

    if (mcf->upload_min_rate > 0 && !ngx_http_exam_admit.timer.timer_set
        && !ngx_exiting)
    {
        ngx_add_timer(&ngx_http_exam_admit.timer, NGX_HTTP_EXAM_ADMIT_TICK);
    }

    return EXAM_OK;
}


void
ngx_http_exam_upload_came(ngx_http_exam_upload_t *u, size_t n)
{
    off_t  come;

    come = ngx_min((off_t) n, u->expected);

    u->received += n;
    u->expected -= come;

    ngx_http_exam_admit_gauge(u->mcf, 0, n, -come);
}


void
ngx_http_exam_upload_exit(ngx_http_exam_upload_t *u)
{
    if (!u->counted) {
        return;
    }

    u->counted = 0;
    ngx_queue_remove(&u->active);

    ngx_http_exam_admit_gauge(u->mcf, -1, -u->received, -u->expected);
}


/* of the node, and what this process has put into it */

static void
ngx_http_exam_admit_gauge(ngx_http_exam_main_conf_t *mcf, ngx_int_t uploads,
    off_t bytes, off_t expected)
{
    ngx_http_exam_gauges_t  *own;

    own = &mcf->zone->shared->gauges[ngx_process_slot];

    ngx_http_exam_count(mcf, active_uploads, uploads);
    ngx_http_exam_count(mcf, upload_bytes_in_flight, bytes);
    ngx_http_exam_count(mcf, upload_bytes_expected, expected);

    (void) ngx_atomic_fetch_add(&own->uploads, uploads);
    (void) ngx_atomic_fetch_add(&own->bytes, bytes);
    (void) ngx_atomic_fetch_add(&own->expected, expected);
}


static void
ngx_http_exam_admit_timer(ngx_event_t *ev)
{
    ngx_queue_t             *q, *next, *queue;
    ngx_uint_t               few;
    ngx_http_exam_shared_t  *sh;
    ngx_http_exam_upload_t  *u;

    sh = ngx_http_exam_admit.mcf->zone->shared;
    queue = &ngx_http_exam_admit.queue;

    few = ngx_time() - (time_t) sh->short_at < NGX_HTTP_EXAM_ADMIT_SHORT;

    if (!few) {
        sh->wanted = 0;
    }

    for (q = ngx_queue_head(queue); q != ngx_queue_sentinel(queue); q = next) {
        next = ngx_queue_next(q);
        u = ngx_queue_data(q, ngx_http_exam_upload_t, active);

        if (ngx_current_msec - u->window < NGX_HTTP_EXAM_ADMIT_WINDOW) {
            continue;
        }

        if (few && sh->wanted > 0 && ngx_http_exam_admit_slow(u)) {
            (void) ngx_atomic_fetch_add(&sh->wanted, -1);
            ngx_http_exam_admit_evict(u);

            /* who was looked at has a new window and is passed over */

            next = ngx_queue_head(queue);
            continue;
        }

        u->window = ngx_current_msec;
        u->before = u->received;
    }

    if (!ngx_queue_empty(queue) && !ngx_exiting) {
        ngx_add_timer(ev, NGX_HTTP_EXAM_ADMIT_TICK);
    }
}


/* the client, that is: who waits for our disk or for a buffer is not slow */

static ngx_uint_t
ngx_http_exam_admit_slow(ngx_http_exam_upload_t *u)
{
    uint64_t  bytes, ms;

    if (u->state != NGX_HTTP_EXAM_UPLOAD_RECEIVING || u->eof || u->busy
        || u->full != NULL || u->wait.waits)
    {
        return 0;
    }

    bytes = (uint64_t) (u->received - u->before);
    ms = ngx_current_msec - u->window;

    return bytes * 1000 < (uint64_t) u->mcf->upload_min_rate * ms;
}


/* what has come of a resumable upload is kept */

static void
ngx_http_exam_admit_evict(ngx_http_exam_upload_t *u)
{
    ngx_connection_t  *c;

    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "exam upload is slow and gives its place away");

    ngx_http_exam_count(u->mcf, uploads_evicted_total, 1);

    ngx_http_exam_upload_fail(u, EXAM_ERR_OVERLOADED);

    ngx_http_run_posted_requests(c);
}
