
/*
 * GET /api/v1/me: what a candidate has and what the server has of him.
 *
 * Runs on the event loop; asks Redis for the ledger of the student and goes on
 * with the zone alone where it is away (`degraded`).
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_ledger.h"


#define NGX_HTTP_EXAM_ME_SESSIONS  16
#define NGX_HTTP_EXAM_ME_REPLY     (192 * 1024)


typedef struct {
    uint8_t                  sid[EXAM_SID_LEN];
    ngx_http_exam_ledger_t   ledger;
} ngx_http_exam_me_session_t;


/* sessions[0] is the one that asks */

typedef struct {
    ngx_uint_t                   n;
    ngx_http_exam_me_session_t  *sessions[NGX_HTTP_EXAM_ME_SESSIONS];
} ngx_http_exam_me_t;


static void ngx_http_exam_me_answer(void *data, redisReply *reply);
static ngx_int_t ngx_http_exam_me_send(ngx_http_request_t *r,
    redisReply *reply);
static ngx_http_exam_me_session_t *ngx_http_exam_me_session(
    ngx_http_request_t *r, ngx_http_exam_me_t *me,
    const uint8_t sid[EXAM_SID_LEN]);
static ngx_int_t ngx_http_exam_me_entries(ngx_http_request_t *r,
    ngx_http_exam_me_t *me, redisReply *reply);
static void ngx_http_exam_me_sessions(ngx_http_request_t *r,
    ngx_http_exam_me_t *me, exam_buf_t *b);
static void ngx_http_exam_me_json(ngx_http_request_t *r,
    ngx_http_exam_me_t *me, ngx_uint_t degraded, exam_buf_t *b);


ngx_int_t
ngx_http_exam_me_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    exam_err_e                  err;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_args_t        args;
    ngx_http_exam_main_conf_t  *mcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_exam_not_allowed(r, "GET, HEAD");
    }

    ctx = ngx_http_exam_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mcf = ngx_http_exam_main_conf(r);

    err = ngx_http_exam_session(r, ctx, EXAM_ACTION_LOOK);

    if (err == EXAM_OK
        && ngx_http_exam_zone_poll(mcf->zone, ctx->claims.sid,
                                   &mcf->poll_rate)
           == NGX_BUSY)
    {
        err = EXAM_ERR_RATE_LIMITED;
    }

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    rc = ngx_http_exam_drop_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "HGETALL");
    ngx_http_exam_args_key(&args, EXAM_KEY_SEG, ctx->claims.exam,
                           ctx->claims.student);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, r->pool, args.n,
                                    args.argv, ngx_http_exam_me_answer, r)
        != NGX_OK)
    {
        return ngx_http_exam_me_send(r, NULL);
    }

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;

    return NGX_DONE;
}


static void
ngx_http_exam_me_answer(void *data, redisReply *reply)
{
    ngx_http_request_t *r = data;

    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ngx_http_exam_redis_away(reply)
        || reply->type != REDIS_REPLY_ARRAY)
    {
        reply = NULL;
    }

    ngx_http_finalize_request(r, ngx_http_exam_me_send(r, reply));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_exam_me_send(ngx_http_request_t *r, redisReply *reply)
{
    u_char               *memory;
    ngx_int_t             rc;
    exam_buf_t            b;
    ngx_http_exam_me_t    me;
    ngx_http_exam_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    memory = ngx_alloc(NGX_HTTP_EXAM_ME_REPLY, r->connection->log);
    if (memory == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    me.n = 0;
    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (ngx_http_exam_me_session(r, &me, ctx->claims.sid) == NULL) {
        goto done;
    }

    if (reply != NULL
        && ngx_http_exam_me_entries(r, &me, reply) != NGX_OK)
    {
        goto done;
    }

    exam_buf_init(&b, memory, NGX_HTTP_EXAM_ME_REPLY);
    ngx_http_exam_me_json(r, &me, reply == NULL, &b);

    rc = ngx_http_exam_json(r, NGX_HTTP_OK, &b);

done:

    ngx_free(memory);

    return rc;
}


/* the session's place in the answer; NULL: there are enough */

static ngx_http_exam_me_session_t *
ngx_http_exam_me_session(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    const uint8_t sid[EXAM_SID_LEN])
{
    ngx_uint_t                   i;
    ngx_http_exam_me_session_t  *s;

    for (i = 0; i < me->n; i++) {
        if (ngx_memcmp(me->sessions[i]->sid, sid, EXAM_SID_LEN) == 0) {
            return me->sessions[i];
        }
    }

    if (me->n == NGX_HTTP_EXAM_ME_SESSIONS) {
        return NULL;
    }

    s = ngx_palloc(r->pool, sizeof(ngx_http_exam_me_session_t));
    if (s == NULL) {
        return NULL;
    }

    ngx_memcpy(s->sid, sid, EXAM_SID_LEN);
    ngx_http_exam_ledger_init(&s->ledger);

    me->sessions[me->n++] = s;

    return s;
}


static ngx_int_t
ngx_http_exam_me_entries(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    redisReply *reply)
{
    ngx_uint_t                     i;
    ngx_array_t                    entries;
    ngx_http_exam_me_session_t    *s;
    ngx_http_exam_ledger_entry_t  *e;

    if (ngx_http_exam_ledger_read(r, reply, 0, &entries) != NGX_OK) {
        return NGX_ERROR;
    }

    e = entries.elts;

    for (i = 0; i < entries.nelts; i++) {
        s = ngx_http_exam_me_session(r, me, e[i].sid);

        if (s != NULL) {
            ngx_http_exam_ledger_add(&s->ledger, e[i].kind, e[i].n,
                                     e[i].state);
        }
    }

    return NGX_OK;
}


static void
ngx_http_exam_me_json(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    ngx_uint_t degraded, exam_buf_t *b)
{
    const char                 *name;
    exam_view_t                *view;
    ngx_http_exam_ctx_t        *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    view = &ctx->snap.view;

    exam_buf_lit(b, "{\"session\":\"");
    exam_buf_hex(b, ctx->claims.sid, EXAM_SID_LEN);
    exam_buf_lit(b, "\",\"gen\":");
    exam_buf_uint(b, ctx->claims.gen);
    exam_buf_lit(b, ",\"ended\":");

    if (view->ended == EXAM_ENDED_NO) {
        exam_buf_lit(b, "null");

    } else {
        name = exam_ended_name(view->ended);
        exam_buf_json(b, exam_str_make(name, ngx_strlen(name)));
    }

    exam_buf_lit(b, ",\"student\":{\"id\":");
    exam_buf_json(b, ctx->claims.student);
    exam_buf_lit(b, "},\"exam\":{\"id\":");
    exam_buf_json(b, ctx->claims.exam);
    exam_buf_lit(b, ",\"state\":");

    if (view->state == EXAM_STATE_UNKNOWN) {
        exam_buf_lit(b, "null");

    } else {
        name = exam_state_name(view->state);
        exam_buf_json(b, exam_str_make(name, ngx_strlen(name)));
    }

    exam_buf_lit(b, "},\"ends_at\":");
    ngx_http_exam_time_json(b, exam_state_own_end(view, ctx->now));
    exam_buf_lit(b, ",\"late_until\":");
    ngx_http_exam_time_json(b, exam_state_deadline(view, ctx->now));
    exam_buf_char(b, ',');
    ngx_http_exam_status_json(b, view, ctx->now);
    exam_buf_lit(b, ",\"server_time\":");
    exam_buf_int(b, ctx->now);
    exam_buf_char(b, ',');

    ngx_http_exam_me_sessions(r, me, b);

    exam_buf_lit(b, ",\"degraded\":[");

    if (degraded) {
        exam_buf_lit(b, "\"redis\"");
    }

    exam_buf_lit(b, "]}\n");
}


static void
ngx_http_exam_me_sessions(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    exam_buf_t *b)
{
    int32_t                     stored;
    ngx_uint_t                  i;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    for (i = 0; i < me->n; i++) {
        ngx_http_exam_ledger_local(&me->sessions[i]->ledger, mcf,
                                   me->sessions[i]->sid);
    }

    /* the ledger may know more than the node's last flush has told */

    for (i = 0; i < mcf->kinds.n; i++) {
        stored = ngx_http_exam_ledger_stored(&me->sessions[0]->ledger, i);

        if (stored >= 0) {
            ctx->snap.stored[i] = ngx_max(ctx->snap.stored[i], stored);
        }
    }

    ngx_http_exam_stored_json(b, &mcf->kinds, ctx->snap.stored);
    exam_buf_lit(b, ",\"sessions\":[");

    for (i = 0; i < me->n; i++) {

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_lit(b, "{\"session\":\"");
        exam_buf_hex(b, me->sessions[i]->sid, EXAM_SID_LEN);
        exam_buf_lit(b, "\",\"current\":");
        ngx_http_exam_bool_json(b, i == 0);
        exam_buf_lit(b, ",\"segments\":");
        ngx_http_exam_ledger_json(&me->sessions[i]->ledger, b, &mcf->kinds);
        exam_buf_char(b, '}');
    }

    exam_buf_char(b, ']');
}
