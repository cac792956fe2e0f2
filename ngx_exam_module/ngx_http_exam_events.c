
/*
 * POST /api/v1/events: what a client tells of its candidate, acknowledged when
 * it is synced in the journal.
 *
 * Event loop.  Everything that needs no body is looked at before it is read.
 * While the journal writes, the request is blocked: it cannot be freed, whoever
 * goes away.  An event is left out only as a double of one that was synced, or
 * that stands before it in the same request.
 */


#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_recent.h"
#include "ngx_http_exam_record.h"

#include "../core/exam_events.h"


/* lives in r->pool */

typedef struct {
    ngx_http_request_t           *r;
    ngx_uint_t                    waiting;  /* records not yet answered */
    ngx_int_t                     rc;       /* the worst of those that were */
    ngx_uint_t                    accepted;
    ngx_uint_t                    duplicates;
    exam_events_t                 events;
    uint64_t                      hashes[EXAM_EVENTS_MAX][2];
} ngx_http_exam_events_t;


static void ngx_http_exam_events_body(ngx_http_request_t *r, exam_str_t body);
static exam_err_e ngx_http_exam_events_read(ngx_http_request_t *r,
    exam_str_t body, ngx_http_exam_events_t *ev);
static void ngx_http_exam_events_write(ngx_http_request_t *r,
    ngx_http_exam_events_t *ev);
static ngx_uint_t ngx_http_exam_events_double(ngx_http_exam_events_t *ev,
    ngx_uint_t n, ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_events_synced(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_exam_events_answer(ngx_http_exam_events_t *ev);


ngx_int_t
ngx_http_exam_events_handler(ngx_http_request_t *r)
{
    exam_err_e                  err;
    ngx_http_exam_main_conf_t  *mcf;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, "POST");
    }

    mcf = ngx_http_exam_main_conf(r);

    err = ngx_http_exam_recent_admit(r, NGX_HTTP_EXAM_RECENT_EVENTS,
                                     &mcf->events_rate);

    if (err == EXAM_OK && ngx_http_exam_journal_full()) {
        err = EXAM_ERR_JOURNAL_FULL;
    }

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    return ngx_http_exam_read_body(r, EXAM_EVENTS_BODY_MAX,
                                   ngx_http_exam_events_body);
}


static void
ngx_http_exam_events_body(ngx_http_request_t *r, exam_str_t body)
{
    exam_err_e               err;
    ngx_http_exam_events_t  *ev;

    ev = ngx_palloc(r->pool, sizeof(ngx_http_exam_events_t));
    if (ev == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    err = ngx_http_exam_events_read(r, body, ev);
    if (err != EXAM_OK) {
        ngx_http_finalize_request(r, ngx_http_exam_problem(r, err, NULL));
        return;
    }

    ngx_http_exam_events_write(r, ev);

    if (ev->waiting == 0) {
        ngx_http_finalize_request(r, ngx_http_exam_events_answer(ev));
        return;
    }

    r->main->blocked++;
    r->read_event_handler = ngx_http_block_reading;
}


static exam_err_e
ngx_http_exam_events_read(ngx_http_request_t *r, exam_str_t body,
    ngx_http_exam_events_t *ev)
{
    u_char               *memory;
    exam_err_e            err;
    exam_arena_t          arena;
    ngx_http_exam_ctx_t  *ctx;

    memory = ngx_palloc(r->pool, EXAM_EVENTS_ARENA(body.len));
    if (memory == NULL) {
        return EXAM_ERR_INTERNAL;
    }

    ev->r = r;
    ev->waiting = 0;
    ev->rc = NGX_OK;
    ev->accepted = 0;
    ev->duplicates = 0;

    exam_arena_init(&arena, memory, EXAM_EVENTS_ARENA(body.len));

    err = exam_events_parse(body, &arena, &ev->events);

    if (err != EXAM_OK) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
        ctx->wrong = arena.wrong;
    }

    return err;
}


/* no record is answered before all are in: see the journal's commit */

static void
ngx_http_exam_events_write(ngx_http_request_t *r, ngx_http_exam_events_t *ev)
{
    ngx_uint_t                  i;
    exam_event_t               *event;
    exam_record_t               record;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    ngx_http_exam_record_init(&record, EXAM_RECORD_EVENT, &ctx->claims);

    record.has_offset = ctx->snap.has_offset;
    record.offset_ms = ctx->snap.offset_ms;

    for (i = 0; i < ev->events.n; i++) {
        event = &ev->events.list[i];

        ngx_http_exam_recent_hash(ctx->claims.sid, event->id, ev->hashes[i]);

        if (ngx_http_exam_events_double(ev, i, mcf)) {
            ev->duplicates++;
            continue;
        }

        record.event = event->id;
        record.name = event->type;
        record.client_time = event->client_time;
        record.data = event->data;

        ev->rc = ngx_http_exam_journal(&record, ngx_http_exam_events_synced,
                                       ev);
        if (ev->rc != NGX_OK) {
            return;
        }

        ev->accepted++;
        ev->waiting++;
    }
}


static ngx_uint_t
ngx_http_exam_events_double(ngx_http_exam_events_t *ev, ngx_uint_t n,
    ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (exam_str_eq(ev->events.list[i].id, ev->events.list[n].id)) {
            return 1;
        }
    }

    return ngx_http_exam_recent_has(mcf->zone, ev->hashes[n]);
}


static void
ngx_http_exam_events_synced(void *data, ngx_int_t rc)
{
    ngx_http_exam_events_t *ev = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    if (rc != NGX_OK && ev->rc == NGX_OK) {
        ev->rc = rc;
    }

    if (--ev->waiting) {
        return;
    }

    r = ev->r;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;

    ngx_http_finalize_request(r, ngx_http_exam_events_answer(ev));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_exam_events_answer(ngx_http_exam_events_t *ev)
{
    u_char                      memory[NGX_HTTP_EXAM_JSON_MAX];
    exam_buf_t                  b;
    ngx_uint_t                  i;
    ngx_http_exam_main_conf_t  *mcf;

    switch (ev->rc) {

    case NGX_OK:
        break;

    case NGX_ABORT:
        return ngx_http_exam_problem(ev->r, EXAM_ERR_JOURNAL_FULL, NULL);

    case NGX_BUSY:
        return ngx_http_exam_problem(ev->r, EXAM_ERR_OVERLOADED, NULL);

    default:
        return ngx_http_exam_problem(ev->r, EXAM_ERR_UNAVAILABLE,
                                     "the journal cannot be written");
    }

    mcf = ngx_http_exam_main_conf(ev->r);

    for (i = 0; i < ev->events.n; i++) {
        ngx_http_exam_recent_keep(mcf->zone, ev->hashes[i]);
    }

    ngx_http_exam_count(mcf, events_total, ev->accepted);

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_lit(&b, "{\"accepted\":");
    exam_buf_uint(&b, ev->accepted);
    exam_buf_lit(&b, ",\"duplicates\":");
    exam_buf_uint(&b, ev->duplicates);
    exam_buf_lit(&b, "}\n");

    return ngx_http_exam_json(ev->r, NGX_HTTP_ACCEPTED, &b);
}
