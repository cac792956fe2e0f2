
/*
 * POST /api/v1/preflight: how fast can this client send?  The body is thrown
 * away as it arrives; the figures are kept as an event of the candidate.
 *
 * Event loop.  The reply waits for the journal as that of any event, but is
 * given whatever became of the record: the measurement is the client's.
 */


#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_recent.h"
#include "ngx_http_exam_record.h"
#include "ngx_http_exam_writer.h"

#include <sys/random.h>


#define NGX_HTTP_EXAM_PREFLIGHT_MAX   (5 * 1024 * 1024) /* bytes */
#define NGX_HTTP_EXAM_PREFLIGHT_TURN  262144            /* at a time */


/* lives in r->pool */

typedef struct {
    ngx_http_request_t  *r;
    uint64_t             start_us;
    off_t                bytes;
    int64_t              ms;
} ngx_http_exam_preflight_t;


static void ngx_http_exam_preflight_body(ngx_http_request_t *r);
static void ngx_http_exam_preflight_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_exam_preflight_take(ngx_http_request_t *r,
    ngx_http_exam_preflight_t *pf);
static void ngx_http_exam_preflight_done(ngx_http_exam_preflight_t *pf);
static ngx_int_t ngx_http_exam_preflight_record(
    ngx_http_exam_preflight_t *pf);
static void ngx_http_exam_preflight_synced(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_exam_preflight_answer(
    ngx_http_exam_preflight_t *pf);


/* 6 a minute */

static const ngx_http_exam_rate_t  ngx_http_exam_preflight_rate = { 100, 5 };


ngx_int_t
ngx_http_exam_preflight_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    exam_err_e                  err;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_preflight_t  *pf;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, "POST");
    }

    err = ngx_http_exam_recent_admit(r, NGX_HTTP_EXAM_RECENT_PREFLIGHT,
                                     &ngx_http_exam_preflight_rate);

    if (err == EXAM_OK
        && r->headers_in.content_length_n > NGX_HTTP_EXAM_PREFLIGHT_MAX)
    {
        err = EXAM_ERR_TOO_LARGE;
    }

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    pf = ngx_pcalloc(r->pool, sizeof(ngx_http_exam_preflight_t));
    if (pf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pf->r = r;
    pf->start_us = ngx_http_exam_writer_clock_us();

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    ctx->data = pf;

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_exam_preflight_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_exam_preflight_body(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_exam_preflight_read;

    ngx_http_exam_preflight_read(r);
}


static void
ngx_http_exam_preflight_read(ngx_http_request_t *r)
{
    off_t                       start;
    ngx_int_t                   rc;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_preflight_t  *pf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    pf = ctx->data;

    start = pf->bytes;

    for ( ;; ) {

        if (ngx_http_exam_preflight_take(r, pf) != NGX_OK) {
            r->read_event_handler = ngx_http_block_reading;
            ngx_http_finalize_request(r,
                          ngx_http_exam_problem(r, EXAM_ERR_TOO_LARGE, NULL));
            return;
        }

        if (!r->reading_body) {
            ngx_http_exam_preflight_done(pf);
            return;
        }

        /* others do not wait for a fast client */

        if (pf->bytes - start >= NGX_HTTP_EXAM_PREFLIGHT_TURN
            && r->connection->read->ready
            && r->http_version < NGX_HTTP_VERSION_20)
        {
            ngx_post_event(r->connection->read, &ngx_posted_next_events);
            return;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }
}


/* NGX_DECLINED: more than allowed */

static ngx_int_t
ngx_http_exam_preflight_take(ngx_http_request_t *r,
    ngx_http_exam_preflight_t *pf)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    while (rb->bufs != NULL) {
        cl = rb->bufs;
        b = cl->buf;

        pf->bytes += b->last - b->pos;
        b->pos = b->last;

        rb->bufs = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return pf->bytes > NGX_HTTP_EXAM_PREFLIGHT_MAX ? NGX_DECLINED : NGX_OK;
}


static void
ngx_http_exam_preflight_done(ngx_http_exam_preflight_t *pf)
{
    pf->ms = (int64_t) (ngx_http_exam_writer_clock_us() - pf->start_us) / 1000;

    pf->r->read_event_handler = ngx_http_block_reading;

    if (ngx_http_exam_preflight_record(pf) == NGX_OK) {
        pf->r->main->blocked++;
        return;
    }

    ngx_http_finalize_request(pf->r, ngx_http_exam_preflight_answer(pf));
}


static ngx_int_t
ngx_http_exam_preflight_record(ngx_http_exam_preflight_t *pf)
{
    uint8_t               random[16];
    u_char                id[64], json[64];
    exam_buf_t            name, data;
    exam_record_t         record;
    ngx_http_exam_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(pf->r, ngx_http_exam_module);

    if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random)) {
        return NGX_ERROR;
    }

    exam_buf_init(&name, id, sizeof(id));
    exam_buf_lit(&name, "preflight-");
    exam_buf_hex(&name, random, sizeof(random));

    exam_buf_init(&data, json, sizeof(json));
    exam_buf_lit(&data, "{\"bytes\":");
    exam_buf_int(&data, pf->bytes);
    exam_buf_lit(&data, ",\"ms\":");
    exam_buf_int(&data, pf->ms);
    exam_buf_char(&data, '}');

    ngx_http_exam_record_init(&record, EXAM_RECORD_EVENT, &ctx->claims);

    record.event = exam_str_make(name.start, exam_buf_len(&name));
    record.name = exam_str("preflight");
    record.client_time = -1;
    record.data = exam_str_make(data.start, exam_buf_len(&data));

    return ngx_http_exam_journal(&record, ngx_http_exam_preflight_synced, pf);
}


static void
ngx_http_exam_preflight_synced(void *data, ngx_int_t rc)
{
    ngx_http_exam_preflight_t *pf = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = pf->r;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;

    ngx_http_finalize_request(r, ngx_http_exam_preflight_answer(pf));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_exam_preflight_answer(ngx_http_exam_preflight_t *pf)
{
    u_char      memory[NGX_HTTP_EXAM_JSON_MAX];
    exam_buf_t  b;

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_lit(&b, "{\"bytes\":");
    exam_buf_int(&b, pf->bytes);
    exam_buf_lit(&b, ",\"ms\":");
    exam_buf_int(&b, pf->ms);
    exam_buf_lit(&b, ",\"server_time\":");
    exam_buf_int(&b, ngx_http_exam_now());
    exam_buf_lit(&b, "}\n");

    return ngx_http_exam_json(pf->r, NGX_HTTP_OK, &b);
}
