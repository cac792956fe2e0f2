
/*
 * Redis adapter, the connection: hiredis' asynchronous client on nginx's event
 * loop, one a worker process.  Invariants:
 *
 * - Events are level-triggered: hiredis reads 16 KB an event and asks for
 *   write events only while it has something to send.  Nothing is ever posted.
 * - hiredis opens and closes the socket.  The nginx connection is released in
 *   the cleanup hook, before the close, so the number cannot be reused between.
 * - Answers come in the order of the calls: one timer, on the oldest, is the
 *   deadline of all.
 * - Whatever ends a connection passes ngx_http_exam_redis_lost() before the
 *   first handler sees NULL, so a handler cannot send into a dying connection.
 *   Reconnecting is done by the timer alone, never from within hiredis.
 * - The timer keeps a leaving worker process only while a caller waits.  The
 *   connection itself does not, and works until exit_process: uploads that a
 *   leaving process still finishes are to be announced.
 */


#include "ngx_http_exam_redis_link.h"

#include <ngx_sha1.h>


#define NGX_HTTP_EXAM_REDIS_PING         2000    /* ms without any call */
#define NGX_HTTP_EXAM_REDIS_BACKOFF_MIN  100     /* ms */
#define NGX_HTTP_EXAM_REDIS_BACKOFF_MAX  5000
#define NGX_HTTP_EXAM_REDIS_REFUSED      10000   /* wrong password, ... */


static void ngx_http_exam_redis_connect(ngx_http_exam_redis_t *redis);
static void ngx_http_exam_redis_attach(ngx_http_exam_redis_t *redis);
static void ngx_http_exam_redis_setup(ngx_http_exam_redis_t *redis);
static void ngx_http_exam_redis_setup_answer(void *data, redisReply *reply);
static void ngx_http_exam_redis_drop(ngx_http_exam_redis_t *redis,
    const char *reason);
static void ngx_http_exam_redis_timer(ngx_event_t *ev);
static void ngx_http_exam_redis_on_connect(const redisAsyncContext *ac,
    int status);
static void ngx_http_exam_redis_on_disconnect(const redisAsyncContext *ac,
    int status);
static void ngx_http_exam_redis_read(ngx_event_t *rev);
static void ngx_http_exam_redis_write(ngx_event_t *wev);
static void ngx_http_exam_redis_add_read(void *data);
static void ngx_http_exam_redis_del_read(void *data);
static void ngx_http_exam_redis_add_write(void *data);
static void ngx_http_exam_redis_del_write(void *data);
static void ngx_http_exam_redis_cleanup(void *data);


ngx_http_exam_redis_t *
ngx_http_exam_redis_create(ngx_cycle_t *cycle,
    ngx_http_exam_redis_conf_t *conf)
{
    u_char                  digest[NGX_HTTP_EXAM_REDIS_SHA / 2];
    ngx_sha1_t              sha1;
    const char             *source;
    exam_script_e           i;
    ngx_http_exam_redis_t  *redis;

    redis = ngx_pcalloc(cycle->pool, sizeof(ngx_http_exam_redis_t));
    if (redis == NULL) {
        return NULL;
    }

    for (i = 0; i < EXAM_SCRIPT_MAX; i++) {
        source = exam_script(i)->source;

        ngx_sha1_init(&sha1);
        ngx_sha1_update(&sha1, source, ngx_strlen(source));
        ngx_sha1_final(digest, &sha1);
        (void) ngx_hex_dump(redis->sha[i], digest, sizeof(digest));
    }

    redis->conf = conf;
    redis->log = cycle->log;
    redis->since = ngx_current_msec;
    redis->latency_us = -1;

    ngx_queue_init(&redis->queue);

    exam_backoff_init(&redis->backoff, NGX_HTTP_EXAM_REDIS_BACKOFF_MIN,
                      NGX_HTTP_EXAM_REDIS_BACKOFF_MAX);

    redis->timer.handler = ngx_http_exam_redis_timer;
    redis->timer.data = redis;
    redis->timer.log = redis->log;
    redis->timer.cancelable = 1;

    ngx_http_exam_redis_connect(redis);

    return redis;
}


void
ngx_http_exam_redis_destroy(ngx_http_exam_redis_t *redis)
{
    if (redis == NULL) {
        return;
    }

    redis->closing = 1;

    ngx_http_exam_redis_drop(redis, "worker process exits");

    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }
}


static void
ngx_http_exam_redis_connect(ngx_http_exam_redis_t *redis)
{
    redisAsyncContext           *ac;
    ngx_http_exam_redis_conf_t  *conf;

    conf = redis->conf;

    redis->state = NGX_HTTP_EXAM_REDIS_CONNECTING;
    redis->refused = 0;

    ac = conf->path ? redisAsyncConnectUnix(conf->path)
                    : redisAsyncConnect(conf->host, conf->port);

    if (ac == NULL) {
        ngx_http_exam_redis_lost(redis, "no memory");
        return;
    }

    redis->ac = ac;

    if (ac->err) {
        ngx_http_exam_redis_drop(redis, ac->errstr);
        return;
    }

    ngx_http_exam_redis_attach(redis);

    if (redis->connection == NULL) {
        ngx_http_exam_redis_drop(redis, "no free connection");
        return;
    }

    ngx_add_timer(&redis->timer, conf->timeout);
}


static void
ngx_http_exam_redis_attach(ngx_http_exam_redis_t *redis)
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    ac = redis->ac;

    c = ngx_get_connection(ac->c.fd, redis->log);
    if (c == NULL) {
        return;
    }

    c->data = redis;
    c->log = redis->log;
    c->read->log = redis->log;
    c->write->log = redis->log;
    c->read->handler = ngx_http_exam_redis_read;
    c->write->handler = ngx_http_exam_redis_write;

    redis->connection = c;

    ac->data = redis;
    ac->ev.data = redis;
    ac->ev.addRead = ngx_http_exam_redis_add_read;
    ac->ev.delRead = ngx_http_exam_redis_del_read;
    ac->ev.addWrite = ngx_http_exam_redis_add_write;
    ac->ev.delWrite = ngx_http_exam_redis_del_write;
    ac->ev.cleanup = ngx_http_exam_redis_cleanup;

    /* the connect callback asks for the first write event: it comes last */

    (void) redisAsyncSetDisconnectCallback(ac,
                                           ngx_http_exam_redis_on_disconnect);
    (void) redisAsyncSetConnectCallback(ac, ngx_http_exam_redis_on_connect);
}


/*
 * What every new connection has to say before it can serve.  Something that
 * could not be sent is not answered, and the deadline of the connect ends it.
 */

static void
ngx_http_exam_redis_setup(ngx_http_exam_redis_t *redis)
{
    u_char         db[NGX_INT_T_LEN];
    ngx_str_t      argv[2];
    exam_script_e  i;

    redis->state = NGX_HTTP_EXAM_REDIS_SETUP;
    redis->setup = EXAM_SCRIPT_MAX;

    if (redis->conf->password.len) {
        ngx_str_set(&argv[0], "AUTH");
        argv[1] = redis->conf->password;

        redis->setup++;
        ngx_http_exam_redis_own(redis, 2, argv,
                                ngx_http_exam_redis_setup_answer);
    }

    if (redis->conf->db) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = db;
        argv[1].len = ngx_sprintf(db, "%ui", redis->conf->db) - db;

        redis->setup++;
        ngx_http_exam_redis_own(redis, 2, argv,
                                ngx_http_exam_redis_setup_answer);
    }

    for (i = 0; i < EXAM_SCRIPT_MAX; i++) {
        ngx_http_exam_redis_load(redis, i, ngx_http_exam_redis_setup_answer);
    }
}


void
ngx_http_exam_redis_load(ngx_http_exam_redis_t *redis, exam_script_e script,
    ngx_http_exam_redis_pt handler)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "SCRIPT");
    ngx_str_set(&argv[1], "LOAD");
    argv[2].data = (u_char *) exam_script(script)->source;
    argv[2].len = ngx_strlen(argv[2].data);

    ngx_http_exam_redis_own(redis, 3, argv, handler);
}


static void
ngx_http_exam_redis_setup_answer(void *data, redisReply *reply)
{
    ngx_http_exam_redis_t *redis = data;

    if (redis->state != NGX_HTTP_EXAM_REDIS_SETUP) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {

        /* all but LOADING needs somebody who changes something */

        redis->refused = !ngx_http_exam_redis_error(reply, "LOADING");

        ngx_http_exam_redis_drop(redis, reply->str);
        return;
    }

    if (--redis->setup) {
        return;
    }

    redis->state = NGX_HTTP_EXAM_REDIS_READY;

    if (redis->connects++ == 0 && !redis->told) {
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "exam redis \"%V\" is connected", &redis->conf->name);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "exam redis \"%V\" is connected after %M ms, "
                      "%ui calls were declined", &redis->conf->name,
                      ngx_current_msec - redis->since, redis->declined);
    }

    redis->told = 0;
    redis->told_refused = 0;
    redis->declined = 0;

    ngx_http_exam_redis_arm(redis);
}


/* touches nothing of hiredis: that is freeing the context, or about to */

void
ngx_http_exam_redis_lost(ngx_http_exam_redis_t *redis, const char *reason)
{
    ngx_uint_t  level;

    if (redis->state == NGX_HTTP_EXAM_REDIS_AWAY) {
        return;
    }

    if (redis->state == NGX_HTTP_EXAM_REDIS_READY) {
        redis->since = ngx_current_msec;
    }

    redis->state = NGX_HTTP_EXAM_REDIS_AWAY;
    redis->ac = NULL;

    if (redis->closing) {
        return;
    }

    level = redis->told ? NGX_LOG_INFO : NGX_LOG_WARN;

    if (redis->refused && !redis->told_refused) {
        redis->told_refused = 1;
        level = NGX_LOG_ERR;
    }

    redis->told = 1;

    ngx_log_error(level, redis->log, 0, "exam redis \"%V\" is away: %s",
                  &redis->conf->name, reason);

    redis->timer.cancelable = 1;

    ngx_add_timer(&redis->timer,
                  redis->refused
                  ? NGX_HTTP_EXAM_REDIS_REFUSED
                  : exam_backoff_next(&redis->backoff,
                                      (uint32_t) ngx_random()));
}


/* ends the connection from our side; pending handlers are called with NULL */

static void
ngx_http_exam_redis_drop(ngx_http_exam_redis_t *redis, const char *reason)
{
    redisAsyncContext  *ac;

    ac = redis->ac;

    ngx_http_exam_redis_lost(redis, reason);

    if (ac) {
        redisAsyncFree(ac);
    }
}


void
ngx_http_exam_redis_arm(ngx_http_exam_redis_t *redis)
{
    ngx_msec_int_t               left;
    ngx_http_exam_redis_call_t  *call;

    if (redis->state != NGX_HTTP_EXAM_REDIS_READY) {
        return;
    }

    redis->timer.cancelable = (redis->pending == 0);

    if (ngx_queue_empty(&redis->queue)) {
        ngx_add_timer(&redis->timer, NGX_HTTP_EXAM_REDIS_PING);
        return;
    }

    call = ngx_queue_data(ngx_queue_head(&redis->queue),
                          ngx_http_exam_redis_call_t, queue);

    left = (ngx_msec_int_t) (call->deadline - ngx_current_msec);

    ngx_add_timer(&redis->timer, (ngx_msec_t) ngx_max(left, 1));
}


static void
ngx_http_exam_redis_timer(ngx_event_t *ev)
{
    ngx_str_t                    ping;
    ngx_http_exam_redis_t       *redis;
    ngx_http_exam_redis_call_t  *call;

    redis = ev->data;

    if (redis->state == NGX_HTTP_EXAM_REDIS_AWAY) {
        ngx_http_exam_redis_connect(redis);
        return;
    }

    if (redis->state != NGX_HTTP_EXAM_REDIS_READY) {
        ngx_http_exam_redis_drop(redis, "connecting timed out");
        return;
    }

    if (ngx_queue_empty(&redis->queue)) {
        ngx_str_set(&ping, "PING");
        ngx_http_exam_redis_own(redis, 1, &ping, NULL);
        ngx_http_exam_redis_arm(redis);
        return;
    }

    call = ngx_queue_data(ngx_queue_head(&redis->queue),
                          ngx_http_exam_redis_call_t, queue);

    if ((ngx_msec_int_t) (call->deadline - ngx_current_msec) > 0) {
        ngx_http_exam_redis_arm(redis);
        return;
    }

    ngx_http_exam_redis_drop(redis, "no answer in time");
}


/* hiredis frees the context itself after a failure, in this or the next one */

static void
ngx_http_exam_redis_on_connect(const redisAsyncContext *ac, int status)
{
    if (status != REDIS_OK) {
        ngx_http_exam_redis_lost(ac->data, ac->c.errstr);
        return;
    }

    ngx_http_exam_redis_setup(ac->data);
}


static void
ngx_http_exam_redis_on_disconnect(const redisAsyncContext *ac, int status)
{
    ngx_http_exam_redis_lost(ac->data,
                             status == REDIS_OK ? "closed" : ac->c.errstr);
}


static void
ngx_http_exam_redis_read(ngx_event_t *rev)
{
    char                    c;
    ngx_connection_t       *conn;
    ngx_http_exam_redis_t  *redis;

    conn = rev->data;
    redis = conn->data;

    if (conn->close) {
        redis->closing = 1;
        ngx_http_exam_redis_drop(redis, "worker process is shut down");
        return;
    }

    /* hiredis asserts that nobody answers what was not asked */

    if (ngx_queue_empty(&redis->queue)
        && redis->state == NGX_HTTP_EXAM_REDIS_READY
        && recv(conn->fd, &c, 1, MSG_PEEK) == 1
        && c != '-')
    {
        ngx_http_exam_redis_drop(redis, "unexpected answer");
        return;
    }

    redisAsyncHandleRead(redis->ac);
}


static void
ngx_http_exam_redis_write(ngx_event_t *wev)
{
    ngx_connection_t       *c;
    ngx_http_exam_redis_t  *redis;

    c = wev->data;
    redis = c->data;

    redisAsyncHandleWrite(redis->ac);
}


static void
ngx_http_exam_redis_add_read(void *data)
{
    ngx_http_exam_redis_t *redis = data;

    if (redis->connection && !redis->connection->read->active) {
        (void) ngx_add_event(redis->connection->read, NGX_READ_EVENT,
                             NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_exam_redis_del_read(void *data)
{
    ngx_http_exam_redis_t *redis = data;

    if (redis->connection && redis->connection->read->active) {
        (void) ngx_del_event(redis->connection->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_http_exam_redis_add_write(void *data)
{
    ngx_http_exam_redis_t *redis = data;

    if (redis->connection && !redis->connection->write->active) {
        (void) ngx_add_event(redis->connection->write, NGX_WRITE_EVENT,
                             NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_exam_redis_del_write(void *data)
{
    ngx_http_exam_redis_t *redis = data;

    if (redis->connection && redis->connection->write->active) {
        (void) ngx_del_event(redis->connection->write, NGX_WRITE_EVENT, 0);
    }
}


/*
 * hiredis closes the socket behind this.  ngx_free_connection() needs the
 * number, stale events are known by its being -1.
 */

static void
ngx_http_exam_redis_cleanup(void *data)
{
    ngx_http_exam_redis_t *redis = data;

    ngx_connection_t  *c;

    c = redis->connection;

    if (c == NULL) {
        return;
    }

    ngx_http_exam_redis_del_read(redis);
    ngx_http_exam_redis_del_write(redis);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    redis->connection = NULL;

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);

    c->fd = (ngx_socket_t) -1;
}
