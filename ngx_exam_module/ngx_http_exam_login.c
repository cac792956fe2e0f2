
/*
 * POST /api/v1/login: one script in Redis decides (order of checks: DESIGN 5),
 * the answer enters the zone and becomes a token.
 *
 * Runs on the event loop; waits for Redis without holding anything but the
 * request.  Without Redis there is no login: 503.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_module.h"
#include "ngx_http_exam_record.h"

#include <sys/random.h>


#define NGX_HTTP_EXAM_LOGIN_REPLY    8192
#define NGX_HTTP_EXAM_LOGIN_WORDS    16     /* of the script's answer */
#define NGX_HTTP_EXAM_STUDENT_TRIES  10     /* 401s a minute */
#define NGX_HTTP_EXAM_ADDRESS_TRIES  600


typedef struct {
    exam_str_t  exam;
    exam_str_t  student;
    uint8_t     code[EXAM_CODE_LEN];
    uint8_t     sid[EXAM_SID_LEN];
} ngx_http_exam_login_t;


static void ngx_http_exam_login_body(ngx_http_request_t *r, exam_str_t body);
static exam_err_e ngx_http_exam_login_read(ngx_http_request_t *r,
    exam_str_t body, ngx_http_exam_login_t *login);
static exam_err_e ngx_http_exam_login_ask(ngx_http_request_t *r,
    ngx_http_exam_login_t *login);
static void ngx_http_exam_login_answer(void *data, redisReply *reply);
static exam_err_e ngx_http_exam_login_done(ngx_http_request_t *r,
    redisReply *reply, exam_buf_t *b);
static exam_err_e ngx_http_exam_login_refused(ngx_http_request_t *r);
static void ngx_http_exam_login_learn(redisReply *reply,
    exam_flush_exam_t *exam, exam_flush_answer_t *answer);
static void ngx_http_exam_login_enter(ngx_http_request_t *r,
    const exam_flush_exam_t *exam, const exam_flush_answer_t *answer,
    const exam_view_t *view, exam_claims_t *claims);
static void ngx_http_exam_login_record(ngx_http_request_t *r,
    redisReply *reply, const exam_claims_t *claims);
static exam_err_e ngx_http_exam_login_json(ngx_http_request_t *r,
    exam_buf_t *b, redisReply *reply, const exam_flush_exam_t *exam,
    const exam_view_t *view, const exam_claims_t *claims);


ngx_int_t
ngx_http_exam_login_handler(ngx_http_request_t *r)
{
    if (r->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, "POST");
    }

    return ngx_http_exam_read_body(r, EXAM_BODY_JSON_MAX,
                                   ngx_http_exam_login_body);
}


static void
ngx_http_exam_login_body(ngx_http_request_t *r, exam_str_t body)
{
    exam_err_e              err;
    ngx_http_exam_ctx_t    *ctx;
    ngx_http_exam_login_t  *login;

    ctx = ngx_http_exam_ctx(r);
    login = ngx_pcalloc(r->pool, sizeof(ngx_http_exam_login_t));

    if (ctx == NULL || login == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx->data = login;

    err = ngx_http_exam_login_read(r, body, login);

    if (err == EXAM_OK) {
        err = ngx_http_exam_login_ask(r, login);
    }

    if (err != EXAM_OK) {
        ngx_http_finalize_request(r, ngx_http_exam_problem(r, err, NULL));
        return;
    }

    /* a client that goes away while Redis thinks ends the request */

    r->read_event_handler = ngx_http_test_reading;
}


static exam_err_e
ngx_http_exam_login_read(ngx_http_request_t *r, exam_str_t body,
    ngx_http_exam_login_t *login)
{
    exam_err_e            err;
    exam_arena_t          arena;
    exam_login_body_t     in;
    ngx_http_exam_ctx_t  *ctx;

    u_char  memory[EXAM_BODY_ARENA];

    exam_arena_init(&arena, memory, sizeof(memory));

    err = exam_login_parse(body, &arena, &in);
    if (err != EXAM_OK) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
        ctx->wrong = arena.wrong;
        return err;
    }

    /* what cannot exist is answered as what does not exist */

    if (!exam_id_exam(in.exam) || !exam_id_student(in.student)) {
        return ngx_http_exam_login_refused(r);
    }

    login->exam = in.exam;
    login->student = in.student;

    if (ngx_http_exam_copy(r->pool, &login->exam) != NGX_OK
        || ngx_http_exam_copy(r->pool, &login->student) != NGX_OK)
    {
        return EXAM_ERR_INTERNAL;
    }

    if (!exam_code_normal(in.code, login->code)) {
        return ngx_http_exam_login_refused(r);
    }

    return EXAM_OK;
}


static exam_err_e
ngx_http_exam_login_ask(ngx_http_request_t *r, ngx_http_exam_login_t *login)
{
    uint8_t                     random[12], hash[EXAM_HASH_LEN];
    uint64_t                    newest;
    ngx_str_t                  *addr;
    ngx_uint_t                  i;
    ngx_http_exam_args_t        args;
    ngx_http_exam_main_conf_t  *mcf;

    static const exam_key_e  keys[] = {
        EXAM_KEY_EXAM, EXAM_KEY_FLAGS, EXAM_KEY_ROSTER, EXAM_KEY_SESSIONS,
        EXAM_KEY_STORED, EXAM_KEY_SEEN, EXAM_KEY_CHANGES
    };

    mcf = ngx_http_exam_main_conf(r);

    if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random)) {
        return EXAM_ERR_INTERNAL;
    }

    exam_sid_make(login->sid, login->exam, login->student, random);

    if (ngx_http_exam_zone_room(mcf->zone, login->sid, login->exam,
                                login->student, &newest)
        != NGX_OK)
    {
        return EXAM_ERR_OVERLOADED;
    }

    exam_code_hash(login->exam, login->student, login->code, hash);
    addr = &r->connection->addr_text;

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, EXAM_KEY_LOADED);

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        ngx_http_exam_args_key(&args, keys[i], login->exam, exam_str(""));
    }

    ngx_http_exam_args_word(&args, login->student.data, login->student.len);
    ngx_http_exam_args_hex(&args, hash, EXAM_HASH_LEN);
    ngx_http_exam_args_hex(&args, login->sid, EXAM_SID_LEN);
    ngx_http_exam_args_word(&args, mcf->node.data, mcf->node.len);
    ngx_http_exam_args_word(&args, addr->data, addr->len);
    ngx_http_exam_args_number(&args, newest ? newest + 1 : 0);

    if (mcf->takeover == NGX_HTTP_EXAM_DENY) {
        ngx_http_exam_args_lit(&args, "deny");

    } else {
        ngx_http_exam_args_lit(&args, "takeover");
    }

    ngx_http_exam_args_number(&args, mcf->offline_after);
    ngx_http_exam_args_number(&args, mcf->login_early);
    ngx_http_exam_args_word(&args, mcf->kinds_csv.data, mcf->kinds_csv.len);

    if (ngx_http_exam_redis_eval(ngx_http_exam_redis, r->pool,
                                 EXAM_SCRIPT_LOGIN, args.n, args.argv,
                                 ngx_http_exam_login_answer, r)
        != NGX_OK)
    {
        return EXAM_ERR_REDIS_UNAVAILABLE;
    }

    return EXAM_OK;
}


static void
ngx_http_exam_login_answer(void *data, redisReply *reply)
{
    ngx_http_request_t *r = data;

    ngx_int_t                   rc;
    exam_buf_t                  b;
    exam_err_e                  err;
    ngx_connection_t           *c;
    ngx_http_exam_main_conf_t  *mcf;

    u_char  memory[NGX_HTTP_EXAM_LOGIN_REPLY];

    c = r->connection;
    mcf = ngx_http_exam_main_conf(r);

    ngx_http_set_log_request(c->log, r);

    exam_buf_init(&b, memory, sizeof(memory));

    if (ngx_http_exam_redis_away(reply)) {
        err = EXAM_ERR_REDIS_UNAVAILABLE;

    } else {
        err = ngx_http_exam_login_done(r, reply, &b);
    }

    if (err == EXAM_OK) {
        ngx_http_exam_count(mcf, logins_total, 1);
        ngx_http_exam_observe(mcf, login, ngx_http_exam_elapsed(r));
        rc = ngx_http_exam_json(r, NGX_HTTP_OK, &b);

    } else {
        rc = ngx_http_exam_problem(r, err, NULL);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static exam_err_e
ngx_http_exam_login_done(ngx_http_request_t *r, redisReply *reply,
    exam_buf_t *b)
{
    exam_err_e            err;
    exam_str_t            word;
    exam_view_t           view;
    exam_claims_t         claims;
    exam_flush_exam_t     exam;
    exam_flush_answer_t   answer;
    ngx_http_exam_ctx_t  *ctx;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        word = ngx_http_exam_reply_word(reply, 1);
        err = exam_err_by_code((const char *) word.data, word.len);

        return (err == EXAM_ERR_INVALID_CREDENTIALS)
               ? ngx_http_exam_login_refused(r) : err;
    }

    if (reply->type != REDIS_REPLY_ARRAY
        || reply->elements != NGX_HTTP_EXAM_LOGIN_WORDS)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "exam login script gave an answer of type %d",
                      reply->type);
        return EXAM_ERR_INTERNAL;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    ctx->now = ngx_http_exam_now();

    ngx_http_exam_login_learn(reply, &exam, &answer);

    ngx_memzero(&view, sizeof(exam_view_t));
    view.state = exam.state;
    view.flags = answer.flags;
    view.known = true;
    view.paused_at = exam.paused_at;
    view.own_end = exam.ends_at + exam.pause_ms + answer.extra_s * 1000;

    ngx_http_exam_login_enter(r, &exam, &answer, &view, &claims);
    ngx_http_exam_login_record(r, reply, &claims);

    return ngx_http_exam_login_json(r, b, reply, &exam, &view, &claims);
}


/* the words of the script's answer, in their order (exam_script.h) */

static void
ngx_http_exam_login_learn(redisReply *reply, exam_flush_exam_t *exam,
    exam_flush_answer_t *answer)
{
    ngx_uint_t  i;
    exam_str_t  state;

    state = ngx_http_exam_reply_word(reply, 5);

    exam->state = exam_state_parse((const char *) state.data, state.len);
    exam->starts_at = ngx_http_exam_reply_number(reply, 6);
    exam->ends_at = ngx_http_exam_reply_number(reply, 7);
    exam->pause_ms = ngx_http_exam_reply_number(reply, 8);
    exam->paused_at = ngx_http_exam_reply_number(reply, 9);
    exam->version = ngx_http_exam_reply_number(reply, 10);

    answer->gen = (uint64_t) ngx_http_exam_reply_number(reply, 1);
    answer->ended = EXAM_ENDED_NO;
    answer->extra_s = ngx_http_exam_reply_number(reply, 11);
    answer->flags = (unsigned) ngx_http_exam_reply_number(reply, 12);
    answer->nresend = 0;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        answer->stored[i] = -1;
    }
}


/* the new session: claims of its token, its node in the zone */

static void
ngx_http_exam_login_enter(ngx_http_request_t *r,
    const exam_flush_exam_t *exam, const exam_flush_answer_t *answer,
    const exam_view_t *view, exam_claims_t *claims)
{
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_login_t      *login;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    login = ctx->data;

    ngx_memzero(claims, sizeof(exam_claims_t));

    claims->exam = login->exam;
    claims->student = login->student;
    ngx_memcpy(claims->sid, login->sid, EXAM_SID_LEN);
    claims->gen = answer->gen;
    claims->iat = ctx->now / 1000;
    claims->exp = ngx_http_exam_token_exp(mcf,
                                          exam_state_own_end(view, ctx->now),
                                          ctx->now);

    /* the room that was there may be another's by now: the token is enough */

    (void) ngx_http_exam_zone_login(mcf->zone, claims, ctx->now, exam, answer);
}


/*
 * What the login means for other sessions: one of this zone is recorded by its
 * end there, one that only Redis knew here.
 */

static void
ngx_http_exam_login_record(ngx_http_request_t *r, redisReply *reply,
    const exam_claims_t *claims)
{
    uint8_t                     sid[EXAM_SID_LEN];
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_snapshot_t    snap;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    ngx_http_exam_record_login(claims, ctx->now, &r->connection->addr_text);

    if (exam_sid_parse(ngx_http_exam_reply_word(reply, 13), sid)
        && ngx_http_exam_zone_look(mcf->zone, sid, &snap) != NGX_OK)
    {
        ngx_http_exam_record_replaced(claims, sid);
    }
}


/*
 * Only 401s count: a right code is always let in, since a whole school may
 * share one address.
 */

static exam_err_e
ngx_http_exam_login_refused(ngx_http_request_t *r)
{
    uint32_t                    hash;
    ngx_str_t                  *addr;
    ngx_uint_t                  over;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_login_t      *login;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    login = ctx->data;
    addr = &r->connection->addr_text;

    ngx_http_exam_count(mcf, logins_refused_total, 1);

    hash = ngx_murmur_hash2(addr->data, addr->len);

    over = ngx_http_exam_zone_attempt(mcf->zone, hash,
                                      NGX_HTTP_EXAM_ADDRESS_TRIES)
           == NGX_BUSY;

    if (login->student.len) {
        hash ^= exam_id_hash(login->exam, login->student);

        over |= ngx_http_exam_zone_attempt(mcf->zone, hash,
                                           NGX_HTTP_EXAM_STUDENT_TRIES)
                == NGX_BUSY;
    }

    return over ? EXAM_ERR_TOO_MANY_ATTEMPTS : EXAM_ERR_INVALID_CREDENTIALS;
}


static exam_err_e
ngx_http_exam_login_json(ngx_http_request_t *r, exam_buf_t *b,
    redisReply *reply, const exam_flush_exam_t *exam, const exam_view_t *view,
    const exam_claims_t *claims)
{
    size_t                      i, len;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    u_char  token[EXAM_TOKEN_MAX];

    mcf = ngx_http_exam_main_conf(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    len = exam_token_issue(mcf->keys, EXAM_KEY_CANDIDATE, claims, token,
                           sizeof(token));
    if (len == 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "exam key file \"%V\" has no key of class candidate",
                      &mcf->key_file);
        return EXAM_ERR_INTERNAL;
    }

    exam_buf_lit(b, "{\"token\":\"");
    exam_buf_put(b, token, len);
    exam_buf_lit(b, "\",\"session\":\"");
    exam_buf_hex(b, claims->sid, EXAM_SID_LEN);
    exam_buf_lit(b, "\",\"gen\":");
    exam_buf_uint(b, claims->gen);
    exam_buf_lit(b, ",\"student\":{\"id\":");
    exam_buf_json(b, claims->student);
    exam_buf_lit(b, ",\"name\":");
    exam_buf_json(b, ngx_http_exam_reply_word(reply, 2));
    exam_buf_lit(b, ",\"seat\":");
    exam_buf_json(b, ngx_http_exam_reply_word(reply, 3));
    exam_buf_lit(b, "},\"exam\":{\"id\":");
    exam_buf_json(b, claims->exam);
    exam_buf_lit(b, ",\"title\":");
    exam_buf_json(b, ngx_http_exam_reply_word(reply, 4));
    exam_buf_lit(b, ",\"state\":");
    exam_buf_json(b, ngx_http_exam_reply_word(reply, 5));
    exam_buf_lit(b, ",\"starts_at\":");
    exam_buf_int(b, exam->starts_at);
    exam_buf_lit(b, "},\"ends_at\":");
    exam_buf_int(b, exam_state_own_end(view, ctx->now));
    exam_buf_char(b, ',');
    ngx_http_exam_status_json(b, view, ctx->now);
    exam_buf_lit(b, ",\"server_time\":");
    exam_buf_int(b, ctx->now);
    exam_buf_lit(b, ",\"heartbeat_s\":");
    exam_buf_int(b, (int64_t) mcf->heartbeat_interval / 1000);
    exam_buf_lit(b, ",\"segment_s\":");
    exam_buf_int(b, (int64_t) mcf->segment_length / 1000);
    exam_buf_lit(b, ",\"max_bytes\":");
    exam_buf_int(b, mcf->max_bytes);
    exam_buf_lit(b, ",\"next_segment\":{");

    for (i = 0; i < mcf->kinds.n; i++) {

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_char(b, '"');
        exam_buf_put(b, mcf->kinds.name[i].data, mcf->kinds.name[i].len);
        exam_buf_lit(b, "\":0");
    }

    exam_buf_lit(b, "}}\n");

    return EXAM_OK;
}
