
/*
 * Redis adapter, the calls: formatting, sending, answers.  One connection a
 * worker process, everything on its event loop.
 *
 * `queue` holds all calls in the order sent, and so in the order of their
 * answers.  Each is on the heap from the sending to the answer, freed in
 * ngx_http_exam_redis_answer() alone, and bounded in number and bytes.
 */


#include "ngx_http_exam_redis_link.h"


#define NGX_HTTP_EXAM_REDIS_HEAD   3    /* words of EVALSHA before KEYS */
#define NGX_HTTP_EXAM_REDIS_QUIET  60   /* s between warnings of refusal */


static ngx_uint_t ngx_http_exam_redis_full(ngx_http_exam_redis_t *redis);
static ngx_http_exam_redis_call_t *ngx_http_exam_redis_call(ngx_uint_t nhead,
    const ngx_str_t *head, ngx_uint_t argc, const ngx_str_t *argv);
static size_t ngx_http_exam_redis_size(ngx_uint_t n, const ngx_str_t *words);
static u_char *ngx_http_exam_redis_copy(u_char *p, ngx_uint_t n,
    const ngx_str_t *words);
static ngx_int_t ngx_http_exam_redis_send(ngx_http_exam_redis_t *redis,
    ngx_pool_t *pool, ngx_http_exam_redis_call_t *call);
static ngx_int_t ngx_http_exam_redis_put(ngx_http_exam_redis_t *redis,
    ngx_http_exam_redis_call_t *call);
static void ngx_http_exam_redis_unbind(void *data);
static void ngx_http_exam_redis_answer(redisAsyncContext *ac, void *reply,
    void *data);
static ngx_uint_t ngx_http_exam_redis_repeat(ngx_http_exam_redis_t *redis,
    ngx_http_exam_redis_call_t *call, const redisReply *reply);
static void ngx_http_exam_redis_measure(ngx_http_exam_redis_t *redis,
    const ngx_http_exam_redis_call_t *call, const redisReply *reply);
static uint64_t ngx_http_exam_redis_clock(void);


static const char *const  ngx_http_exam_redis_away_codes[] = {
    "LOADING",
    "OOM",
    "READONLY",
    "MISCONF",
    "NOSCRIPT",
    "BUSY",
    "MASTERDOWN",
    "NOREPLICAS",
    "NOAUTH",
    "NOPERM",
    NULL
};


ngx_int_t
ngx_http_exam_redis_command(ngx_http_exam_redis_t *redis, ngx_pool_t *pool,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_http_exam_redis_pt handler,
    void *data)
{
    ngx_http_exam_redis_call_t  *call;

    if (ngx_http_exam_redis_full(redis)) {
        return NGX_DECLINED;
    }

    call = ngx_http_exam_redis_call(0, NULL, argc, argv);
    if (call == NULL) {
        return NGX_DECLINED;
    }

    call->handler = handler;
    call->data = data;

    return ngx_http_exam_redis_send(redis, pool, call);
}


ngx_int_t
ngx_http_exam_redis_eval(ngx_http_exam_redis_t *redis, ngx_pool_t *pool,
    exam_script_e script, ngx_uint_t argc, const ngx_str_t *argv,
    ngx_http_exam_redis_pt handler, void *data)
{
    u_char                       keys[NGX_INT_T_LEN];
    ngx_str_t                    head[NGX_HTTP_EXAM_REDIS_HEAD];
    ngx_http_exam_redis_call_t  *call;

    if (ngx_http_exam_redis_full(redis)) {
        return NGX_DECLINED;
    }

    ngx_str_set(&head[0], "EVALSHA");
    head[1].len = NGX_HTTP_EXAM_REDIS_SHA;
    head[1].data = redis->sha[script];
    head[2].data = keys;
    head[2].len = ngx_sprintf(keys, "%ud", exam_script(script)->keys) - keys;

    call = ngx_http_exam_redis_call(NGX_HTTP_EXAM_REDIS_HEAD, head, argc, argv);
    if (call == NULL) {
        return NGX_DECLINED;
    }

    call->handler = handler;
    call->data = data;
    call->script = script;

    return ngx_http_exam_redis_send(redis, pool, call);
}


ngx_uint_t
ngx_http_exam_redis_away(const redisReply *reply)
{
    ngx_uint_t  i;

    if (reply == NULL) {
        return 1;
    }

    for (i = 0; ngx_http_exam_redis_away_codes[i]; i++) {

        if (ngx_http_exam_redis_error(reply,
                                      ngx_http_exam_redis_away_codes[i]))
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_exam_redis_figures(ngx_http_exam_redis_t *redis,
    ngx_http_exam_redis_figures_t *figures)
{
    figures->up = (redis->state == NGX_HTTP_EXAM_REDIS_READY);
    figures->away = redis->told;
    figures->pending = redis->pending;
    figures->reconnects = redis->connects ? redis->connects - 1 : 0;
    figures->latency_us = redis->latency_us;
}


static ngx_uint_t
ngx_http_exam_redis_full(ngx_http_exam_redis_t *redis)
{
    if (redis->state != NGX_HTTP_EXAM_REDIS_READY) {
        redis->declined++;
        return 1;
    }

    return redis->pending >= NGX_HTTP_EXAM_REDIS_PENDING
           || redis->bytes >= NGX_HTTP_EXAM_REDIS_OUTPUT;
}


/* a call with its words in Redis' protocol; NULL: no memory */

static ngx_http_exam_redis_call_t *
ngx_http_exam_redis_call(ngx_uint_t nhead, const ngx_str_t *head,
    ngx_uint_t argc, const ngx_str_t *argv)
{
    u_char                      *p;
    size_t                       len;
    ngx_http_exam_redis_call_t  *call;

    len = sizeof("*\r\n") + NGX_INT_T_LEN
          + ngx_http_exam_redis_size(nhead, head)
          + ngx_http_exam_redis_size(argc, argv);

    call = ngx_alloc(offsetof(ngx_http_exam_redis_call_t, text) + len,
                     ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    ngx_memzero(call, offsetof(ngx_http_exam_redis_call_t, text));

    call->script = EXAM_SCRIPT_MAX;

    p = ngx_sprintf(call->text, "*%ui\r\n", nhead + argc);
    p = ngx_http_exam_redis_copy(p, nhead, head);
    p = ngx_http_exam_redis_copy(p, argc, argv);

    call->len = p - call->text;

    /* hiredis looks at the byte behind a command for one word more */

    *p = '\0';

    return call;
}


static size_t
ngx_http_exam_redis_size(ngx_uint_t n, const ngx_str_t *words)
{
    size_t      len;
    ngx_uint_t  i;

    len = 0;

    for (i = 0; i < n; i++) {
        len += sizeof("$\r\n\r\n") - 1 + NGX_INT_T_LEN + words[i].len;
    }

    return len;
}


static u_char *
ngx_http_exam_redis_copy(u_char *p, ngx_uint_t n, const ngx_str_t *words)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "$%uz\r\n", words[i].len);
        p = ngx_cpymem(p, words[i].data, words[i].len);
        *p++ = CR;
        *p++ = LF;
    }

    return p;
}


void
ngx_http_exam_redis_own(ngx_http_exam_redis_t *redis, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_http_exam_redis_pt handler)
{
    ngx_http_exam_redis_call_t  *call;

    call = ngx_http_exam_redis_call(0, NULL, argc, argv);
    if (call == NULL) {
        return;
    }

    call->own = 1;
    call->handler = handler;
    call->data = redis;

    (void) ngx_http_exam_redis_send(redis, NULL, call);
}


static ngx_int_t
ngx_http_exam_redis_send(ngx_http_exam_redis_t *redis, ngx_pool_t *pool,
    ngx_http_exam_redis_call_t *call)
{
    ngx_pool_cleanup_t  *cln;

    call->redis = redis;

    if (pool) {
        cln = ngx_pool_cleanup_add(pool,
                                   sizeof(ngx_http_exam_redis_call_t *));
        if (cln == NULL) {
            goto failed;
        }

        cln->handler = ngx_http_exam_redis_unbind;

        call->slot = cln->data;
        *call->slot = call;
    }

    if (ngx_http_exam_redis_put(redis, call) == NGX_OK) {
        return NGX_OK;
    }

    if (call->slot) {
        *call->slot = NULL;
    }

failed:

    ngx_free(call);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_exam_redis_put(ngx_http_exam_redis_t *redis,
    ngx_http_exam_redis_call_t *call)
{
    if (redisAsyncFormattedCommand(redis->ac, ngx_http_exam_redis_answer, call,
                                   (char *) call->text, call->len)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    call->sent = ngx_http_exam_redis_clock();
    call->deadline = ngx_current_msec + redis->conf->timeout;

    ngx_queue_insert_tail(&redis->queue, &call->queue);

    redis->bytes += call->len;
    redis->pending += !call->own;

    ngx_http_exam_redis_arm(redis);

    return NGX_OK;
}


/* the caller's pool goes first: Redis' answer will be dropped */

static void
ngx_http_exam_redis_unbind(void *data)
{
    ngx_http_exam_redis_call_t **slot = data;

    if (*slot) {
        (*slot)->handler = NULL;
        (*slot)->slot = NULL;
    }
}


static void
ngx_http_exam_redis_answer(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_http_exam_redis_call_t *call = data;

    void                    *caller;
    ngx_http_exam_redis_t   *redis;
    ngx_http_exam_redis_pt   handler;

    redis = call->redis;

    ngx_queue_remove(&call->queue);

    redis->bytes -= call->len;
    redis->pending -= !call->own;

    if (reply == NULL) {
        ngx_http_exam_redis_lost(redis, ac->c.errstr);

    } else {
        ngx_http_exam_redis_measure(redis, call, reply);

        if (ngx_http_exam_redis_repeat(redis, call, reply)) {
            return;
        }

        ngx_http_exam_redis_arm(redis);
    }

    handler = call->handler;
    caller = call->data;

    if (call->slot) {
        *call->slot = NULL;
    }

    ngx_free(call);

    if (handler) {
        handler(caller, reply);
    }
}


/*
 * Redis has forgotten the scripts (SCRIPT FLUSH, or another server behind the
 * address): the call had no effect and is sent once more behind a new load.
 */

static ngx_uint_t
ngx_http_exam_redis_repeat(ngx_http_exam_redis_t *redis,
    ngx_http_exam_redis_call_t *call, const redisReply *reply)
{
    if (call->script == EXAM_SCRIPT_MAX
        || call->repeated
        || redis->state != NGX_HTTP_EXAM_REDIS_READY
        || !ngx_http_exam_redis_error(reply, "NOSCRIPT"))
    {
        return 0;
    }

    call->repeated = 1;

    ngx_http_exam_redis_load(redis, call->script, NULL);

    return ngx_http_exam_redis_put(redis, call) == NGX_OK;
}


static void
ngx_http_exam_redis_measure(ngx_http_exam_redis_t *redis,
    const ngx_http_exam_redis_call_t *call, const redisReply *reply)
{
    ngx_int_t  us;

    us = (ngx_int_t) (ngx_http_exam_redis_clock() - call->sent);

    redis->latency_us = (redis->latency_us == -1)
                        ? us
                        : redis->latency_us + (us - redis->latency_us) / 8;

    if (redis->state != NGX_HTTP_EXAM_REDIS_READY) {
        return;
    }

    if (reply->type != REDIS_REPLY_ERROR) {
        exam_backoff_reset(&redis->backoff);
        return;
    }

    if (ngx_http_exam_redis_away(reply)
        && ngx_time() - redis->warned >= NGX_HTTP_EXAM_REDIS_QUIET)
    {
        redis->warned = ngx_time();

        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "exam redis \"%V\" refuses a call: %s",
                      &redis->conf->name, reply->str);
    }
}


ngx_uint_t
ngx_http_exam_redis_error(const redisReply *reply, const char *code)
{
    size_t  len;

    len = ngx_strlen(code);

    return reply->type == REDIS_REPLY_ERROR
           && (size_t) reply->len > len
           && reply->str[len] == ' '
           && ngx_strncmp(reply->str, code, len) == 0;
}


static uint64_t
ngx_http_exam_redis_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
