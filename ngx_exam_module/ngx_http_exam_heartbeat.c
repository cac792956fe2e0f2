
/*
 * POST /api/v1/heartbeat: the hot path (DESIGN 3.1, 8).
 *
 * Runs on the event loop of any worker process; the session changes under the
 * mutex of its shard, everything else happens outside of it.  No Redis, no
 * disk, no wait: what is to be told to Redis is marked dirty for the flush.
 *
 * A token that was verified before lies in the session's node, its header as
 * the mark of the key: the same bytes again need no MAC.  The mark changes with
 * the key, so that a reload with other keys makes all tokens be verified anew.
 *
 * The reply is written by ngx_http_exam_beat_reply.c.
 */


#include "ngx_http_exam_beat.h"


#define NGX_HTTP_EXAM_BUMP_S  10


/* a token of ours by its form, not verified */

typedef struct {
    exam_str_t               whole;
    exam_str_t               text;  /* behind the header */
    uint32_t                 mark;  /* of the key */
    uint32_t                 hash;  /* of its session id */
    ngx_http_exam_shard_t   *shard;

    ngx_http_exam_session_t *volatile  *bucket;
} ngx_http_exam_beat_token_t;


static void ngx_http_exam_beat_body(ngx_http_request_t *r, exam_str_t body);
static ngx_int_t ngx_http_exam_beat(ngx_http_request_t *r, exam_str_t body);
static exam_err_e ngx_http_exam_beat_parse(ngx_http_request_t *r,
    exam_str_t body, exam_beat_t *beat);
static ngx_int_t ngx_http_exam_beat_peek(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_beat_token_t *token);
static void ngx_http_exam_beat_fetch(const ngx_http_exam_session_t *s);
static exam_err_e ngx_http_exam_beat_session(ngx_http_request_t *r,
    const ngx_http_exam_beat_token_t *token, const exam_beat_t *beat,
    int64_t now, ngx_http_exam_beat_reply_t *reply);
static ngx_http_exam_session_t *ngx_http_exam_beat_known_locked(
    const ngx_http_exam_beat_token_t *token, int64_t now);
static void ngx_http_exam_beat_keep_locked(ngx_http_exam_session_t *s,
    const ngx_http_exam_beat_token_t *token, int64_t exp);
static void ngx_http_exam_beat_locked(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard, ngx_http_exam_session_t *s,
    const exam_beat_t *beat, int64_t now, ngx_http_exam_beat_reply_t *reply);
static ngx_uint_t ngx_http_exam_beat_take_locked(ngx_http_exam_session_t *s,
    const exam_beat_t *beat, int64_t now);


ngx_int_t
ngx_http_exam_heartbeat_handler(ngx_http_request_t *r)
{
    exam_str_t  body;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, "POST");
    }

    if (r->headers_in.content_length_n <= EXAM_BODY_BEAT_MAX
        && ngx_http_exam_body_here(r, &body) == NGX_OK)
    {
        return ngx_http_exam_beat(r, body);
    }

    return ngx_http_exam_read_body(r, EXAM_BODY_BEAT_MAX,
                                   ngx_http_exam_beat_body);
}


static void
ngx_http_exam_beat_body(ngx_http_request_t *r, exam_str_t body)
{
    ngx_http_finalize_request(r, ngx_http_exam_beat(r, body));
}


static ngx_int_t
ngx_http_exam_beat(ngx_http_request_t *r, exam_str_t body)
{
    int64_t                      now;
    exam_err_e                   err;
    ngx_buf_t                   *out;
    exam_beat_t                  beat;
    ngx_http_exam_main_conf_t   *mcf;
    ngx_http_exam_beat_token_t   token;
    ngx_http_exam_beat_reply_t   reply;

    if (ngx_http_exam_bearer(r, &token.whole) != NGX_OK) {
        return ngx_http_exam_problem(r, EXAM_ERR_TOKEN_MISSING, NULL);
    }

    now = ngx_http_exam_now();
    mcf = ngx_http_exam_main_conf(r);

    if (ngx_http_exam_beat_peek(mcf, &token) != NGX_OK) {
        return ngx_http_exam_problem(r, EXAM_ERR_TOKEN_INVALID, NULL);
    }

    /*
     * In a large zone the bucket is far away, and so is the node behind it: the
     * one is on its way while the head of the reply is written, the other then
     * while the body is parsed.
     */

    out = ngx_http_exam_beat_head(r);
    ngx_http_exam_beat_fetch(*token.bucket);

    if (!exam_beat_parse_fast(body, &mcf->kinds, &beat)) {
        err = ngx_http_exam_beat_parse(r, body, &beat);
        if (err != EXAM_OK) {
            return ngx_http_exam_problem(r, err, NULL);
        }
    }

    reply.presence.present = 0;
    reply.presence.gap = 0;

    err = ngx_http_exam_beat_session(r, &token, &beat, now, &reply);

    ngx_http_exam_presence_journal(&reply.presence, now);

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    if (reply.commands != NULL) {
        ngx_http_exam_report_journal(reply.commands);
    }

    ngx_http_exam_observe(mcf, heartbeat, ngx_http_exam_elapsed(r));

    return ngx_http_exam_beat_reply(r, out, &reply, now);
}


/*
 * The full parser, for what the fast one does not know.  Its arena lives with
 * the request: the beat points into it.
 */

static exam_err_e
ngx_http_exam_beat_parse(ngx_http_request_t *r, exam_str_t body,
    exam_beat_t *beat)
{
    u_char                     *memory;
    exam_err_e                  err, refused;
    exam_arena_t                arena;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    memory = ngx_palloc(r->pool, EXAM_BEAT_ARENA);
    if (memory == NULL) {
        return EXAM_ERR_INTERNAL;
    }

    exam_arena_init(&arena, memory, EXAM_BEAT_ARENA);
    err = exam_beat_parse(body, &mcf->kinds, &arena, beat);

    ngx_http_exam_count(mcf, beats_slow_path_total, 1);

    if (err == EXAM_OK) {
        return EXAM_OK;
    }

    /* a stranger learns nothing of what is wrong with his body */

    ctx = ngx_http_exam_ctx(r);
    if (ctx == NULL) {
        return EXAM_ERR_INTERNAL;
    }

    ctx->wrong = arena.wrong;
    refused = ngx_http_exam_authorize(r, ctx);

    return refused ? refused : err;
}


static ngx_int_t
ngx_http_exam_beat_peek(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_beat_token_t *token)
{
    const exam_key_t          *key;
    ngx_http_exam_shard_sh_t  *sh;

    key = exam_token_peek(mcf->keys, EXAM_KEY_CANDIDATE, token->whole,
                          &token->hash);
    if (key == NULL) {
        return NGX_DECLINED;
    }

    token->mark = key->mark;
    token->text = exam_str_make(token->whole.data + key->header_len,
                                token->whole.len - key->header_len);
    token->shard = ngx_http_exam_zone_shard_of(mcf->zone, token->hash);

    sh = token->shard->sh;
    token->bucket = &sh->buckets[token->hash & sh->mask];

    __builtin_prefetch((void *) token->bucket);

    return NGX_OK;
}


/*
 * Read without the mutex, as a hint: the zone's memory stays mapped, and what
 * is fetched in vain costs nothing.
 */

static void
ngx_http_exam_beat_fetch(const ngx_http_exam_session_t *s)
{
    ngx_uint_t     i;
    const u_char  *node;

    node = (const u_char *) s;

    if (node == NULL) {
        return;
    }

    for (i = 0; i < NGX_HTTP_EXAM_NODE_SIZE; i += NGX_HTTP_EXAM_LINE) {
        __builtin_prefetch(node + i);
    }
}


static exam_err_e
ngx_http_exam_beat_session(ngx_http_request_t *r,
    const ngx_http_exam_beat_token_t *token, const exam_beat_t *beat,
    int64_t now, ngx_http_exam_beat_reply_t *reply)
{
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_shard_t      *shard;
    ngx_http_exam_session_t    *s;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);
    shard = token->shard;

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_beat_known_locked(token, now);

    if (s != NULL) {
        ngx_http_exam_beat_locked(mcf, shard, s, beat, now, reply);
        ngx_http_exam_shard_unlock(shard);
        goto done;
    }

    ngx_http_exam_shard_unlock(shard);

    /* the context is needed for the reason of a refusal, too */

    ctx = ngx_http_exam_ctx(r);
    if (ctx == NULL) {
        return EXAM_ERR_INTERNAL;
    }

    reply->err = ngx_http_exam_authorize(r, ctx);
    if (reply->err != EXAM_OK) {
        return reply->err;
    }

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_make_locked(shard, &ctx->claims);

    if (s != NULL) {
        ngx_http_exam_beat_keep_locked(s, token, ctx->claims.exp);
        ngx_http_exam_beat_locked(mcf, shard, s, beat, now, reply);
    }

    ngx_http_exam_shard_unlock(shard);

    if (s == NULL) {

        /* a zone full of live sessions loses no heartbeat but its memory */

        ngx_http_exam_zone_cold(mcf->zone, &ctx->snap);

        reply->view = ctx->snap.view;
        reply->exp = ctx->claims.exp;
        reply->slot = 0;
        reply->commands = NULL;
        ngx_memcpy(reply->stored, ctx->snap.stored, sizeof(reply->stored));
        reply->nresend = 0;

        ngx_http_exam_count(mcf, heartbeats_total, 1);
    }

done:

    if (reply->err == EXAM_ERR_SESSION_ENDED) {
        ctx = ngx_http_exam_ctx(r);
        if (ctx == NULL) {
            return EXAM_ERR_INTERNAL;
        }

        ctx->snap.view = reply->view;
    }

    return reply->err;
}


/*
 * The session whose node holds the same token, not expired.  Two tokens that
 * are the same bytes name the same session, so that nothing else is compared.
 */

static ngx_http_exam_session_t *
ngx_http_exam_beat_known_locked(const ngx_http_exam_beat_token_t *token,
    int64_t now)
{
    ngx_http_exam_session_t  *s;

    for (s = *token->bucket; s; s = s->next) {

        /* strangers are told by the node's first line alone */

        if (exam_sid_hash(s->sid) == token->hash
            && s->token_len == token->text.len && s->mark == token->mark
            && ngx_memcmp(s->data + s->student_len, token->text.data,
                          token->text.len)
               == 0)
        {
            return s->exp > now / 1000 ? s : NULL;
        }

        ngx_http_exam_beat_fetch(s->next);
    }

    return NULL;
}


/* when the verified token ends, and itself where the node has room for it */

static void
ngx_http_exam_beat_keep_locked(ngx_http_exam_session_t *s,
    const ngx_http_exam_beat_token_t *token, int64_t exp)
{
    size_t  room;

    room = NGX_HTTP_EXAM_NODE_SIZE - offsetof(ngx_http_exam_session_t, data)
           - s->student_len;

    s->exp = exp;
    s->token_len = 0;

    if (token->text.len > room) {
        return;
    }

    s->mark = token->mark;
    s->token_len = (uint16_t) token->text.len;
    ngx_memcpy(s->data + s->student_len, token->text.data, token->text.len);
}


static void
ngx_http_exam_beat_locked(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard, ngx_http_exam_session_t *s,
    const exam_beat_t *beat, int64_t now, ngx_http_exam_beat_reply_t *reply)
{
    uint32_t  sec;

    ngx_http_exam_view_locked(shard, s, &reply->view);

    reply->err = exam_state_check(&reply->view, EXAM_ACTION_HEARTBEAT, now);

    if (reply->err != EXAM_OK) {

        if (reply->err == EXAM_ERR_EXAM_OVER && s->ended == EXAM_ENDED_NO) {
            ngx_http_exam_end_locked(shard, s, EXAM_ENDED_EXAM_OVER);
            ngx_http_exam_dirty_locked(shard, s);
        }

        return;
    }

    ngx_http_exam_presence_beat_locked(shard, s, beat, now, &reply->presence);

    if (ngx_http_exam_beat_take_locked(s, beat, now)) {
        ngx_http_exam_count(mcf, heartbeats_total, 1);
    }

    ngx_http_exam_dirty_locked(shard, s);

    /* the queue is ordered by some seconds: its neighbours stay uncached */

    sec = (uint32_t) (now / 1000);

    if (s->place != NGX_HTTP_EXAM_ONLINE
        || sec - s->bumped >= NGX_HTTP_EXAM_BUMP_S)
    {
        s->bumped = sec;
        ngx_http_exam_place_locked(shard, s, NGX_HTTP_EXAM_ONLINE);
    }

    if (mcf->heartbeat_rate.rate
        && ngx_http_exam_bucket(&s->beats, &mcf->heartbeat_rate) == NGX_BUSY)
    {
        reply->err = EXAM_ERR_RATE_LIMITED;
        ngx_http_exam_count(mcf, heartbeats_limited_total, 1);
        return;
    }

    reply->exp = s->exp;
    ngx_memcpy(&reply->slot, s->sid + EXAM_SID_LEN - sizeof(uint32_t),
               sizeof(uint32_t));
    ngx_memcpy(reply->stored, s->stored, sizeof(reply->stored));

    reply->nresend = s->segs ? s->segs->nresend : 0;

    if (reply->nresend > 0) {
        ngx_memcpy(reply->resend, s->segs->resend, sizeof(reply->resend));
    }

    reply->commands = shard->sh->exams[s->exam].commands == NULL ? NULL
                      : ngx_http_exam_command_beat_locked(shard, s, beat, now);
}


/* what the beat says goes into the session; 1: its seq is a new one */

static ngx_uint_t
ngx_http_exam_beat_take_locked(ngx_http_exam_session_t *s,
    const exam_beat_t *beat, int64_t now)
{
    /*
     * Redis has a state that stays as it was, unless a beat in between went to
     * another node: then this one is told again.
     */

    if (beat->has_state
        && (!s->stated || beat->seq != s->seq + 1
            || ngx_memcmp(&s->state, &beat->state, sizeof(s->state)) != 0))
    {
        s->state = beat->state;
        s->stated = 1;
        s->has_state = 1;
    }

    if (s->last_beat && now - s->last_beat > s->longest_gap) {
        s->longest_gap = now - s->last_beat;
    }

    if (s->first_beat == 0) {
        s->first_beat = now;
    }

    s->last_beat = now;

    if (s->beaten && beat->seq <= s->seq) {
        return 0;
    }

    s->seq = beat->seq;
    s->beaten = 1;

    return 1;
}
