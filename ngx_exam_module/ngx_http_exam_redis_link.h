
/*
 * What the two halves of the Redis adapter share: the calls
 * (ngx_http_exam_redis.c) and the connection (ngx_http_exam_redis_link.c).
 * Nobody else includes this.
 */


#ifndef NGX_HTTP_EXAM_REDIS_LINK_H_INCLUDED
#define NGX_HTTP_EXAM_REDIS_LINK_H_INCLUDED


#include <ngx_event.h>

#include <hiredis/async.h>

#include "../core/exam_backoff.h"
#include "ngx_http_exam_redis.h"


#define NGX_HTTP_EXAM_REDIS_SHA  40     /* hex digits of SHA-1 */


typedef struct ngx_http_exam_redis_call_s  ngx_http_exam_redis_call_t;


typedef enum {
    NGX_HTTP_EXAM_REDIS_AWAY = 0,   /* the timer will connect */
    NGX_HTTP_EXAM_REDIS_CONNECTING,
    NGX_HTTP_EXAM_REDIS_SETUP,      /* AUTH, SELECT, SCRIPT LOAD sent */
    NGX_HTTP_EXAM_REDIS_READY
} ngx_http_exam_redis_state_e;


/*
 * On the heap, from the sending to the answer.  `slot` is in the caller's
 * pool: its cleanup takes the handler away.
 */

struct ngx_http_exam_redis_call_s {
    ngx_queue_t                   queue;
    ngx_http_exam_redis_t        *redis;
    ngx_http_exam_redis_pt        handler;      /* NULL: caller has gone */
    void                         *data;
    ngx_http_exam_redis_call_t  **slot;
    ngx_msec_t                    deadline;
    uint64_t                      sent;         /* us, monotonic */
    size_t                        len;
    exam_script_e                 script;       /* _MAX: a plain command */
    unsigned                      own:1;        /* set-up, ping */
    unsigned                      repeated:1;
    u_char                        text[1];      /* kept for NOSCRIPT */
};


struct ngx_http_exam_redis_s {
    ngx_http_exam_redis_conf_t   *conf;
    redisAsyncContext            *ac;
    ngx_connection_t             *connection;
    ngx_log_t                    *log;
    ngx_queue_t                   queue;        /* of calls, oldest first */
    ngx_event_t                   timer;
    ngx_http_exam_redis_state_e   state;
    exam_backoff_t                backoff;
    u_char                        sha[EXAM_SCRIPT_MAX]
                                     [NGX_HTTP_EXAM_REDIS_SHA];
    ngx_uint_t                    setup;        /* answers still missing */
    ngx_uint_t                    pending;      /* callers' calls in queue */
    size_t                        bytes;        /* of all calls in queue */
    ngx_uint_t                    connects;
    ngx_uint_t                    declined;     /* since Redis went away */
    ngx_msec_t                    since;        /* when it went away */
    ngx_int_t                     latency_us;
    time_t                        warned;       /* last line of _measure */
    unsigned                      told:1;       /* being away was logged */
    unsigned                      told_refused:1;
    unsigned                      refused:1;    /* set-up was answered so */
    unsigned                      closing:1;    /* no reconnect any more */
};


/* a call of the adapter itself: set-up, ping */

void ngx_http_exam_redis_own(ngx_http_exam_redis_t *redis, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_http_exam_redis_pt handler);

/* is the reply an error that begins with this word? */

ngx_uint_t ngx_http_exam_redis_error(const redisReply *reply, const char *code);

/* SCRIPT LOAD; handler may be NULL */

void ngx_http_exam_redis_load(ngx_http_exam_redis_t *redis,
    exam_script_e script, ngx_http_exam_redis_pt handler);

/* from now on Redis is away; the timer will connect */

void ngx_http_exam_redis_lost(ngx_http_exam_redis_t *redis, const char *reason);

/* sets the timer for the oldest call, or for the next ping */

void ngx_http_exam_redis_arm(ngx_http_exam_redis_t *redis);


#endif /* NGX_HTTP_EXAM_REDIS_LINK_H_INCLUDED */
