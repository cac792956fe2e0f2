
/*
 * POST /api/v1/logout: ends the session, tells what is still to be sent.
 *
 * Runs on the event loop.  The zone's session ends at once and is dirty, so
 * that the flush tells Redis where the script below could not.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_ledger.h"


#define NGX_HTTP_EXAM_LOGOUT_WORDS  10      /* before the ledger's pairs */
#define NGX_HTTP_EXAM_LOGOUT_REPLY  (128 * 1024)


static void ngx_http_exam_logout_body(ngx_http_request_t *r, exam_str_t body);
static ngx_int_t ngx_http_exam_logout_ask(ngx_http_request_t *r);
static void ngx_http_exam_logout_answer(void *data, redisReply *reply);
static ngx_int_t ngx_http_exam_logout_send(ngx_http_request_t *r,
    redisReply *reply);
static ngx_int_t ngx_http_exam_logout_entries(ngx_http_request_t *r,
    ngx_http_exam_ledger_t *ledger, redisReply *reply);
static ngx_int_t ngx_http_exam_logout_json(ngx_http_request_t *r,
    ngx_http_exam_ledger_t *ledger, ngx_uint_t degraded, exam_buf_t *b);


ngx_int_t
ngx_http_exam_logout_handler(ngx_http_request_t *r)
{
    if (r->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, "POST");
    }

    return ngx_http_exam_read_body(r, EXAM_BODY_JSON_MAX,
                                   ngx_http_exam_logout_body);
}


static void
ngx_http_exam_logout_body(ngx_http_request_t *r, exam_str_t body)
{
    ngx_int_t                   rc;
    exam_err_e                  err, bad;
    exam_arena_t                arena;
    exam_logout_body_t         *out;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    u_char  memory[EXAM_BODY_ARENA];

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_exam_ctx(r);
    out = ngx_pcalloc(r->pool, sizeof(exam_logout_body_t));

    if (ctx == NULL || out == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx->data = out;

    exam_arena_init(&arena, memory, sizeof(memory));

    bad = exam_logout_parse(body, &mcf->kinds, &arena, out);
    err = ngx_http_exam_session(r, ctx, EXAM_ACTION_LOGOUT);

    if (err == EXAM_OK) {
        err = bad;
    }

    if (err != EXAM_OK) {
        ctx->wrong = arena.wrong;
        ngx_http_finalize_request(r, ngx_http_exam_problem(r, err, NULL));
        return;
    }

    ngx_http_exam_zone_end(mcf->zone, ctx->claims.sid, EXAM_ENDED_LOGOUT);
    ngx_http_exam_count(mcf, logouts_total, 1);

    if (ngx_http_exam_logout_ask(r) == NGX_OK) {
        r->read_event_handler = ngx_http_test_reading;
        return;
    }

    rc = ngx_http_exam_logout_send(r, NULL);
    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_exam_logout_ask(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    exam_claims_t              *claims;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_args_t        args;
    ngx_http_exam_main_conf_t  *mcf;

    static const exam_key_e  keys[] = {
        EXAM_KEY_EXAM, EXAM_KEY_SESSIONS, EXAM_KEY_SEG, EXAM_KEY_STORED,
        EXAM_KEY_FLAGS, EXAM_KEY_CHANGES
    };

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    claims = &ctx->claims;

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, EXAM_KEY_LOADED);

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        ngx_http_exam_args_key(&args, keys[i], claims->exam, claims->student);
    }

    ngx_http_exam_args_word(&args, claims->student.data, claims->student.len);
    ngx_http_exam_args_hex(&args, claims->sid, EXAM_SID_LEN);
    ngx_http_exam_args_number(&args, claims->gen);
    ngx_http_exam_args_word(&args, mcf->node.data, mcf->node.len);
    ngx_http_exam_args_lit(&args, "logout");
    ngx_http_exam_args_word(&args, mcf->kinds_csv.data, mcf->kinds_csv.len);

    return ngx_http_exam_redis_eval(ngx_http_exam_redis, r->pool,
                                    EXAM_SCRIPT_LOGOUT, args.n, args.argv,
                                    ngx_http_exam_logout_answer, r);
}


static void
ngx_http_exam_logout_answer(void *data, redisReply *reply)
{
    ngx_http_request_t *r = data;

    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    /* an error of the script is as if Redis were away: the zone answers */

    if (ngx_http_exam_redis_away(reply) || reply->type != REDIS_REPLY_ARRAY
        || reply->elements < NGX_HTTP_EXAM_LOGOUT_WORDS)
    {
        reply = NULL;
    }

    ngx_http_finalize_request(r, ngx_http_exam_logout_send(r, reply));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_exam_logout_send(ngx_http_request_t *r, redisReply *reply)
{
    u_char                     *memory;
    ngx_int_t                   rc;
    exam_buf_t                  b;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_ledger_t      ledger;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    memory = ngx_alloc(NGX_HTTP_EXAM_LOGOUT_REPLY, r->connection->log);
    if (memory == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    ngx_http_exam_ledger_init(&ledger, r->pool);
    exam_buf_init(&b, memory, NGX_HTTP_EXAM_LOGOUT_REPLY);

    if ((reply == NULL
         || ngx_http_exam_logout_entries(r, &ledger, reply) == NGX_OK)
        && ngx_http_exam_ledger_local(&ledger, mcf, ctx->claims.sid) == NGX_OK
        && ngx_http_exam_logout_json(r, &ledger, reply == NULL, &b) == NGX_OK)
    {
        rc = ngx_http_exam_json(r, NGX_HTTP_OK, &b);
    }

    ngx_free(memory);

    return rc;
}


/*
 * Words 2..8 are exam and student (a cold node knows neither), word 9 `stored`
 * a kind, then pairs of the ledger beyond it.
 */

static ngx_int_t
ngx_http_exam_logout_entries(ngx_http_request_t *r,
    ngx_http_exam_ledger_t *ledger, redisReply *reply)
{
    int32_t                     stored[EXAM_KINDS_MAX];
    ngx_uint_t                  i;
    ngx_array_t                 entries;
    exam_view_t                *view;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    view = &ctx->snap.view;

    view->own_end = ngx_http_exam_reply_number(reply, 4)
                    + ngx_http_exam_reply_number(reply, 5)
                    + ngx_http_exam_reply_number(reply, 7) * 1000;
    view->paused_at = ngx_http_exam_reply_number(reply, 6);

    if (ngx_http_exam_ledger_read(r, reply, NGX_HTTP_EXAM_LOGOUT_WORDS,
                                  &entries)
            != NGX_OK
        || ngx_http_exam_ledger_entries(ledger, entries.elts, entries.nelts)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!exam_stored_parse(ngx_http_exam_reply_word(reply, 9), mcf->kinds.n,
                           stored))
    {
        return NGX_OK;
    }

    for (i = 0; i < mcf->kinds.n; i++) {
        if (ngx_http_exam_ledger_prefix(ledger, i, stored[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_logout_json(ngx_http_request_t *r,
    ngx_http_exam_ledger_t *ledger, ngx_uint_t degraded, exam_buf_t *b)
{
    ngx_uint_t                  i, shown;
    exam_ranges_t               pending;
    exam_logout_body_t         *out;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    out = ctx->data;
    shown = 0;

    exam_buf_lit(b, "{\"pending\":[");

    for (i = 0; i < mcf->kinds.n; i++) {
        if (ngx_http_exam_ledger_pending(ledger, i, out->recorded[i],
                                         &pending)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (pending.n == 0) {
            continue;
        }

        if (shown++) {
            exam_buf_char(b, ',');
        }

        exam_buf_lit(b, "{\"kind\":\"");
        exam_buf_put(b, mcf->kinds.name[i].data, mcf->kinds.name[i].len);
        exam_buf_lit(b, "\",\"ranges\":");
        exam_ranges_json(b, &pending);
        exam_buf_char(b, '}');
    }

    exam_buf_lit(b, "],\"late_until\":");
    ngx_http_exam_time_json(b, exam_state_deadline(&ctx->snap.view, ctx->now));
    exam_buf_lit(b, ",\"degraded\":[");

    if (degraded) {
        exam_buf_lit(b, "\"redis\"");
    }

    exam_buf_lit(b, "]}\n");

    return NGX_OK;
}
