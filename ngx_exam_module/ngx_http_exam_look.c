
/*
 * GET /api/v1/recordings/{kind}/{n}: what is known of a segment, at once or,
 * with ?wait_s=, when that changes (DESIGN 3.1).
 *
 * Runs on the event loop.  Who waits stands in a queue of this process, looks
 * again about once a second, and at once when this process has changed the
 * number; all are answered when the process is told to leave.  Invariant: a
 * waiter lives in its request's pool, whose cleanup takes it out of the queue.
 */


#include "ngx_http_exam_ledger.h"
#include "ngx_http_exam_recordings.h"


#define NGX_HTTP_EXAM_LOOK_WAITERS  1024    /* a process */
#define NGX_HTTP_EXAM_LOOK_PERIOD   750     /* ms, plus the jitter */
#define NGX_HTTP_EXAM_LOOK_JITTER   500


typedef struct {
    ngx_queue_t                     queue;
    ngx_http_request_t             *r;
    ngx_http_exam_segment_t        *seg;
    ngx_event_t                     timer;
    ngx_msec_t                      until;
    exam_seg_e                      was;    /* the state it began with */
    unsigned                        asking:1;   /* the ledger, now */
} ngx_http_exam_look_t;


static void ngx_http_exam_look_answer(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, const redisReply *reply);
static ngx_int_t ngx_http_exam_look_wait(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, const exam_ledger_t *e, ngx_uint_t away);
static ngx_int_t ngx_http_exam_look_queue(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, exam_seg_e was);
static void ngx_http_exam_look_timer(ngx_event_t *ev);
static void ngx_http_exam_look_cleanup(void *data);
static ngx_int_t ngx_http_exam_look_guard(void);
static void ngx_http_exam_look_unguard(void);
static void ngx_http_exam_look_leave(ngx_event_t *ev);
static void ngx_http_exam_look_zone(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, exam_ledger_t *e,
    u_char id[EXAM_UPLOAD_MAX]);
static void ngx_http_exam_look_text(exam_buf_t *b, exam_str_t s);
static void ngx_http_exam_look_bytes(exam_buf_t *b, int64_t bytes);


static ngx_queue_t        ngx_http_exam_looks = {
    &ngx_http_exam_looks, &ngx_http_exam_looks
};

static ngx_uint_t         ngx_http_exam_looks_n;

/* idle while somebody waits, so that nginx calls it when it is to leave */

static ngx_connection_t  *ngx_http_exam_look_idle;


/* the first time, and each time that a waiter looks again */

void
ngx_http_exam_look(ngx_http_request_t *r, ngx_http_exam_segment_t *seg)
{
    ngx_http_exam_look_t  *w;

    w = seg->look;

    if (w != NULL) {
        w->asking = 1;
    }

    ngx_http_exam_ledger_request(r, seg, 0, ngx_http_exam_look_answer);
}


/* reply NULL: Redis is away */

static void
ngx_http_exam_look_answer(ngx_http_request_t *r, ngx_http_exam_segment_t *seg,
    const redisReply *reply)
{
    u_char         id[EXAM_UPLOAD_MAX];
    exam_ledger_t  e;

    ngx_http_exam_look_union(ngx_http_exam_main_conf(r), seg, reply, &e, id);

    if (seg->wait_s > 0
        && ngx_http_exam_look_wait(r, seg, &e, reply == NULL) == NGX_AGAIN)
    {
        return;
    }

    if (e.state == EXAM_SEG_NONE) {

        /* what is not known is not said to be missing */

        ngx_http_exam_recordings_problem(r, reply
                                            ? EXAM_ERR_NOT_FOUND
                                            : EXAM_ERR_REDIS_UNAVAILABLE);
        return;
    }

    ngx_http_finalize_request(r, ngx_http_exam_look_send(r, &e));
}


/* NGX_AGAIN: it waits on; NGX_OK: it is to be answered now */

static ngx_int_t
ngx_http_exam_look_wait(ngx_http_request_t *r, ngx_http_exam_segment_t *seg,
    const exam_ledger_t *e, ngx_uint_t away)
{
    ngx_msec_int_t         left, pause;
    ngx_http_exam_look_t  *w;

    /* what is stored changes no more */

    if (ngx_exiting || e->state == EXAM_SEG_STORED) {
        return NGX_OK;
    }

    w = seg->look;

    if (w == NULL) {

        if ((away && e->state == EXAM_SEG_NONE)
            || ngx_http_exam_look_queue(r, seg, e->state) != NGX_OK)
        {
            return NGX_OK;
        }

        w = seg->look;
    }

    w->asking = 0;

    left = (ngx_msec_int_t) (w->until - ngx_current_msec);

    /* with Redis away the zone alone may know less: that is no change */

    if (left <= 0 || (e->state != w->was && (!away || e->state > w->was))) {
        return NGX_OK;
    }

    pause = NGX_HTTP_EXAM_LOOK_PERIOD
            + ngx_random() % NGX_HTTP_EXAM_LOOK_JITTER;

    ngx_add_timer(&w->timer, (ngx_msec_t) ngx_min(left, pause));

    return NGX_AGAIN;
}


/* NGX_DECLINED: there are enough, or no memory */

static ngx_int_t
ngx_http_exam_look_queue(ngx_http_request_t *r, ngx_http_exam_segment_t *seg,
    exam_seg_e was)
{
    ngx_pool_cleanup_t    *cln;
    ngx_http_exam_look_t  *w;

    if (ngx_http_exam_looks_n == NGX_HTTP_EXAM_LOOK_WAITERS) {
        return NGX_DECLINED;
    }

    w = ngx_pcalloc(r->pool, sizeof(ngx_http_exam_look_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (w == NULL || cln == NULL || ngx_http_exam_look_guard() != NGX_OK) {
        return NGX_DECLINED;
    }

    cln->handler = ngx_http_exam_look_cleanup;
    cln->data = w;

    w->r = r;
    w->seg = seg;
    w->was = was;
    w->until = ngx_current_msec + (ngx_msec_t) seg->wait_s * 1000;

    w->timer.handler = ngx_http_exam_look_timer;
    w->timer.data = w;
    w->timer.log = r->connection->log;

    seg->look = w;

    ngx_queue_insert_tail(&ngx_http_exam_looks, &w->queue);
    ngx_http_exam_looks_n++;

    /* a client that leaves is noticed */

    r->read_event_handler = ngx_http_test_reading;

    return NGX_OK;
}


static void
ngx_http_exam_look_timer(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_http_exam_look_t  *w;

    w = ev->data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (w->asking) {
        return;
    }

    c = w->r->connection;

    ngx_http_set_log_request(c->log, w->r);

    ngx_http_exam_look(w->r, w->seg);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_exam_look_cleanup(void *data)
{
    ngx_http_exam_look_t *w = data;

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }

    if (w->timer.posted) {
        ngx_delete_posted_event(&w->timer);
    }

    ngx_queue_remove(&w->queue);

    if (--ngx_http_exam_looks_n == 0) {
        ngx_http_exam_look_unguard();
    }
}


void
ngx_http_exam_look_wake(const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind,
    uint32_t n)
{
    ngx_queue_t           *q;
    ngx_http_exam_look_t  *w;

    for (q = ngx_queue_head(&ngx_http_exam_looks);
         q != ngx_queue_sentinel(&ngx_http_exam_looks);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_http_exam_look_t, queue);

        if (w->seg->n == n && w->seg->kind == kind
            && ngx_memcmp(w->seg->sid, sid, EXAM_SID_LEN) == 0)
        {
            ngx_post_event(&w->timer, &ngx_posted_events);
        }
    }
}


/*
 * nginx calls the read handlers of idle connections when it begins to leave:
 * one without a socket is told like the others.
 */

static ngx_int_t
ngx_http_exam_look_guard(void)
{
    ngx_connection_t  *c;

    if (ngx_http_exam_look_idle != NULL) {
        return NGX_OK;
    }

    c = ngx_get_connection(0, ngx_cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->idle = 1;
    c->read->handler = ngx_http_exam_look_leave;

    ngx_http_exam_look_idle = c;

    return NGX_OK;
}


static void
ngx_http_exam_look_unguard(void)
{
    ngx_connection_t  *c;

    c = ngx_http_exam_look_idle;
    ngx_http_exam_look_idle = NULL;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}


/* they look once more, in this turn of the loop, and end by ngx_exiting */

static void
ngx_http_exam_look_leave(ngx_event_t *ev)
{
    ngx_queue_t           *q;
    ngx_http_exam_look_t  *w;

    for (q = ngx_queue_head(&ngx_http_exam_looks);
         q != ngx_queue_sentinel(&ngx_http_exam_looks);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_http_exam_look_t, queue);
        ngx_add_timer(&w->timer, 0);
    }
}


void
ngx_http_exam_look_union(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, const redisReply *reply,
    exam_ledger_t *e, u_char id[EXAM_UPLOAD_MAX])
{
    exam_ledger_t  here;

    if (reply == NULL || !ngx_http_exam_ledger_entry(reply, 0, e)) {
        ngx_memzero(e, sizeof(exam_ledger_t));
        e->bytes = -1;
    }

    if (ngx_http_exam_ledger_stale(mcf, seg->sid, seg->kind, seg->n, e)) {
        ngx_memzero(e, sizeof(exam_ledger_t));
        e->bytes = -1;
    }

    if (e->state == EXAM_SEG_REFUSED) {
        (void) ngx_http_exam_zone_refused(mcf->zone, seg->sid, seg->kind,
                                          seg->n, e->upload);
    }

    ngx_http_exam_look_zone(mcf, seg, &here, id);

    /* what the zone has beside a refusal came later */

    if (here.state > e->state
        || (e->state == EXAM_SEG_REFUSED && here.state != EXAM_SEG_NONE))
    {
        *e = here;
    }
}


ngx_int_t
ngx_http_exam_look_send(ngx_http_request_t *r, const exam_ledger_t *e)
{
    u_char       memory[NGX_HTTP_EXAM_LOOK_REPLY];
    exam_buf_t   b;
    const char  *name;

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_lit(&b, "{\"id\":");
    ngx_http_exam_look_text(&b, e->upload);
    exam_buf_lit(&b, ",\"state\":\"");
    name = exam_seg_name(e->state);
    exam_buf_put(&b, name, ngx_strlen(name));
    exam_buf_lit(&b, "\",\"offset\":");

    /* of an incomplete upload its own URL tells it */

    ngx_http_exam_look_bytes(&b, e->state == EXAM_SEG_RECEIVING ? -1
                                                                : e->bytes);
    exam_buf_lit(&b, ",\"bytes\":");
    ngx_http_exam_look_bytes(&b, e->bytes);
    exam_buf_lit(&b, ",\"sha256\":");

    if (e->has_sha256) {
        exam_buf_char(&b, '"');
        exam_buf_hex(&b, e->sha256, EXAM_HASH_LEN);
        exam_buf_char(&b, '"');

    } else {
        exam_buf_lit(&b, "null");
    }

    exam_buf_lit(&b, ",\"reason\":");
    ngx_http_exam_look_text(&b, e->reason);
    exam_buf_lit(&b, "}\n");

    return ngx_http_exam_json(r, NGX_HTTP_OK, &b);
}


static void
ngx_http_exam_look_text(exam_buf_t *b, exam_str_t s)
{
    if (s.len == 0 || (s.len == 1 && s.data[0] == '-')) {
        exam_buf_lit(b, "null");
        return;
    }

    exam_buf_json(b, s);
}


static void
ngx_http_exam_look_bytes(exam_buf_t *b, int64_t bytes)
{
    if (bytes < 0) {
        exam_buf_lit(b, "null");
        return;
    }

    exam_buf_int(b, bytes);
}


static void
ngx_http_exam_look_zone(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, exam_ledger_t *e,
    u_char id[EXAM_UPLOAD_MAX])
{
    ngx_int_t             rc;
    exam_buf_t            b;
    ngx_http_exam_held_t  held;
    ngx_http_exam_hash_t  h;

    ngx_memzero(e, sizeof(exam_ledger_t));
    e->bytes = -1;

    rc = ngx_http_exam_zone_segment(mcf->zone, seg->sid, seg->kind, seg->n,
                                    &h, NULL);

    if (rc == NGX_AGAIN) {
        e->state = EXAM_SEG_RECEIVED;
        return;
    }

    if (rc != NGX_OK) {
        held.kind = (unsigned) seg->kind & 0xff;
        held.n = seg->n & 0xffffff;

        if (ngx_http_exam_zone_upload_find(mcf->zone, seg->sid, &held)
            != NGX_OK)
        {
            return;
        }

        h.state = EXAM_SEG_RECEIVING;
        e->bytes = held.length;
        ngx_memcpy(h.upload, held.id, sizeof(h.upload));
    }

    e->state = h.state;

    if (h.state == EXAM_SEG_LOST) {
        return;
    }

    exam_buf_init(&b, id, EXAM_UPLOAD_MAX);
    ngx_http_exam_upload_id(&b, mcf, h.upload);
    e->upload = exam_str_make(id, exam_buf_len(&b));

    if (h.state == EXAM_SEG_RECEIVED) {
        e->bytes = h.bytes;
        e->has_sha256 = true;
        ngx_memcpy(e->sha256, h.sha256, EXAM_HASH_LEN);
    }
}
