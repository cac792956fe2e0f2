
/*
 * GET /api/v1/me: what a candidate has and what the server has of him.
 *
 * Runs on the event loop; asks Redis for the ledger of the student and goes on
 * with the zone alone where it is away (`degraded`).
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_ledger.h"


#define NGX_HTTP_EXAM_ME_REPLY   (192 * 1024)
#define NGX_HTTP_EXAM_ME_TAIL    128    /* bytes behind the sessions */
#define NGX_HTTP_EXAM_ME_LOCAL   32     /* sessions of the zone */


typedef struct {
    ngx_array_t              entries;   /* of the ledger, by session */
    uint8_t                  local[NGX_HTTP_EXAM_ME_LOCAL][EXAM_SID_LEN];
    ngx_uint_t               nlocal;
    ngx_uint_t               shown;
    ngx_uint_t               truncated;
} ngx_http_exam_me_t;


static void ngx_http_exam_me_answer(void *data, redisReply *reply);
static ngx_int_t ngx_http_exam_me_send(ngx_http_request_t *r,
    redisReply *reply);
static ngx_int_t ngx_http_exam_me_json(ngx_http_request_t *r,
    ngx_http_exam_me_t *me, ngx_uint_t degraded, exam_buf_t *b);
static void ngx_http_exam_me_head(ngx_http_request_t *r, exam_buf_t *b);
static void ngx_http_exam_me_local(ngx_http_request_t *r,
    ngx_http_exam_me_t *me);
static ngx_int_t ngx_http_exam_me_sessions(ngx_http_request_t *r,
    ngx_http_exam_me_t *me, exam_buf_t *b);
static ngx_uint_t ngx_http_exam_me_entries(ngx_http_exam_me_t *me,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_ledger_entry_t **e);
static ngx_int_t ngx_http_exam_me_ledger(ngx_http_request_t *r,
    const ngx_http_exam_ledger_entry_t *e, ngx_uint_t n,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_ledger_t *ledger);
static ngx_int_t ngx_http_exam_me_other(ngx_http_request_t *r,
    ngx_http_exam_me_t *me, const ngx_http_exam_ledger_entry_t *e,
    ngx_uint_t n, const uint8_t sid[EXAM_SID_LEN], exam_buf_t *b);
static ngx_int_t ngx_http_exam_me_session(ngx_http_request_t *r,
    ngx_http_exam_me_t *me, const uint8_t sid[EXAM_SID_LEN],
    ngx_http_exam_ledger_t *ledger, exam_buf_t *b);


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
    u_char              *memory;
    ngx_int_t            rc;
    exam_buf_t           b;
    ngx_http_exam_me_t   me;

    ngx_memzero(&me, sizeof(ngx_http_exam_me_t));

    if (reply != NULL
        && ngx_http_exam_ledger_read(r, reply, 0, &me.entries) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    memory = ngx_alloc(NGX_HTTP_EXAM_ME_REPLY, r->connection->log);
    if (memory == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_exam_me_local(r, &me);

    exam_buf_init(&b, memory, NGX_HTTP_EXAM_ME_REPLY);

    rc = ngx_http_exam_me_json(r, &me, reply == NULL, &b);

    if (rc == NGX_OK) {
        rc = ngx_http_exam_json(r, NGX_HTTP_OK, &b);
    }

    ngx_free(memory);

    return rc;
}


/* what the zone knows of the student, also sessions without a segment */

static void
ngx_http_exam_me_local(ngx_http_request_t *r, ngx_http_exam_me_t *me)
{
    exam_claims_t             *claims;
    ngx_http_exam_ctx_t       *ctx;
    ngx_http_exam_exam_t      *e;
    ngx_http_exam_shard_t     *shard;
    ngx_http_exam_session_t   *s;
    ngx_http_exam_shard_sh_t  *sh;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    claims = &ctx->claims;

    shard = ngx_http_exam_zone_shard(ngx_http_exam_main_conf(r)->zone,
                                     claims->sid);

    ngx_http_exam_shard_lock(shard);

    sh = shard->sh;

    for (s = sh->buckets[exam_sid_hash(claims->sid) & sh->mask];
         s != NULL && me->nlocal < NGX_HTTP_EXAM_ME_LOCAL;
         s = s->next)
    {
        e = &sh->exams[s->exam];

        if (exam_str_eq(exam_str_make(e->id, e->id_len), claims->exam)
            && exam_str_eq(exam_str_make(s->data, s->student_len),
                           claims->student))
        {
            ngx_memcpy(me->local[me->nlocal++], s->sid, EXAM_SID_LEN);
        }
    }

    ngx_http_exam_shard_unlock(shard);
}


static ngx_int_t
ngx_http_exam_me_json(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    ngx_uint_t degraded, exam_buf_t *b)
{
    ngx_int_t  rc;

    ngx_http_exam_me_head(r, b);

    rc = ngx_http_exam_me_sessions(r, me, b);
    if (rc != NGX_OK) {
        return rc;
    }

    exam_buf_lit(b, ",\"truncated\":");
    ngx_http_exam_bool_json(b, me->truncated);
    exam_buf_lit(b, ",\"degraded\":[");

    if (degraded) {
        exam_buf_lit(b, "\"redis\"");
    }

    exam_buf_lit(b, "]}\n");

    return NGX_OK;
}


static void
ngx_http_exam_me_head(ngx_http_request_t *r, exam_buf_t *b)
{
    const char           *name;
    exam_view_t          *view;
    ngx_http_exam_ctx_t  *ctx;

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
}


/* the one that asks, the ledger's, those of the zone that have no segment */

static ngx_int_t
ngx_http_exam_me_sessions(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    exam_buf_t *b)
{
    int32_t                        stored;
    ngx_uint_t                     i, n;
    ngx_http_exam_ctx_t           *ctx;
    ngx_http_exam_ledger_t         ledger;
    ngx_http_exam_main_conf_t     *mcf;
    ngx_http_exam_ledger_entry_t  *e;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    e = NULL;
    n = ngx_http_exam_me_entries(me, ctx->claims.sid, &e);

    if (ngx_http_exam_me_ledger(r, e, n, ctx->claims.sid, &ledger) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the ledger may know more than the node's last flush has told */

    for (i = 0; i < mcf->kinds.n; i++) {

        if (ngx_http_exam_ledger_stored(&ledger, i, &stored) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (stored >= 0) {
            ctx->snap.stored[i] = ngx_max(ctx->snap.stored[i], stored);
        }
    }

    ngx_http_exam_stored_json(b, &mcf->kinds, ctx->snap.stored);
    exam_buf_lit(b, ",\"sessions\":[");

    if (ngx_http_exam_me_session(r, me, ctx->claims.sid, &ledger, b) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    e = me->entries.elts;

    for (i = 0; i < me->entries.nelts; i += n) {

        for (n = 1; i + n < me->entries.nelts; n++) {
            if (ngx_memcmp(e[i + n].sid, e[i].sid, EXAM_SID_LEN) != 0) {
                break;
            }
        }

        if (ngx_http_exam_me_other(r, me, &e[i], n, e[i].sid, b) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    for (i = 0; i < me->nlocal; i++) {

        if (ngx_http_exam_me_entries(me, me->local[i], &e) == 0
            && ngx_http_exam_me_other(r, me, NULL, 0, me->local[i], b)
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    exam_buf_char(b, ']');

    return NGX_OK;
}


/* those of one session: they stand together */

static ngx_uint_t
ngx_http_exam_me_entries(ngx_http_exam_me_t *me,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_ledger_entry_t **first)
{
    ngx_uint_t                     i, n;
    ngx_http_exam_ledger_entry_t  *e;

    e = me->entries.elts;
    n = 0;

    for (i = 0; i < me->entries.nelts; i++) {

        if (ngx_memcmp(e[i].sid, sid, EXAM_SID_LEN) == 0 && n++ == 0) {
            *first = &e[i];
        }
    }

    return n;
}


static ngx_int_t
ngx_http_exam_me_ledger(ngx_http_request_t *r,
    const ngx_http_exam_ledger_entry_t *e, ngx_uint_t n,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_ledger_t *ledger)
{
    ngx_http_exam_ledger_init(ledger, r->pool);

    if (ngx_http_exam_ledger_entries(ledger, e, n) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exam_ledger_local(ledger, ngx_http_exam_main_conf(r), sid);
}


static ngx_int_t
ngx_http_exam_me_other(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    const ngx_http_exam_ledger_entry_t *e, ngx_uint_t n,
    const uint8_t sid[EXAM_SID_LEN], exam_buf_t *b)
{
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_ledger_t   ledger;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    if (me->truncated
        || ngx_memcmp(sid, ctx->claims.sid, EXAM_SID_LEN) == 0)
    {
        return NGX_OK;
    }

    if (ngx_http_exam_me_ledger(r, e, n, sid, &ledger) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exam_me_session(r, me, sid, &ledger, b);
}


/* whole, or not at all and the reply says so */

static ngx_int_t
ngx_http_exam_me_session(ngx_http_request_t *r, ngx_http_exam_me_t *me,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_ledger_t *ledger,
    exam_buf_t *b)
{
    exam_buf_t                  out;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    out = *b;
    out.end -= NGX_HTTP_EXAM_ME_TAIL;

    if (me->shown > 0) {
        exam_buf_char(&out, ',');
    }

    exam_buf_lit(&out, "{\"session\":\"");
    exam_buf_hex(&out, sid, EXAM_SID_LEN);
    exam_buf_lit(&out, "\",\"current\":");
    ngx_http_exam_bool_json(&out, me->shown == 0);
    exam_buf_lit(&out, ",\"segments\":");

    if (ngx_http_exam_ledger_json(ledger, &out, &mcf->kinds) != NGX_OK) {
        return NGX_ERROR;
    }

    exam_buf_char(&out, '}');

    if (out.overflow) {
        me->truncated = 1;
        return NGX_OK;
    }

    b->pos = out.pos;
    me->shown++;

    return NGX_OK;
}
