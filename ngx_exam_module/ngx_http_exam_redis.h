
/*
 * The connection to Redis of one worker process: hiredis' asynchronous client
 * on nginx's event loop (DESIGN 1 rule 3).  Everything here runs on the event
 * loop of the process that created it.
 *
 * Redis being away is a state, not an error: calls are declined at once until
 * it answers again, and what was pending is answered with NULL.
 */


#ifndef NGX_HTTP_EXAM_REDIS_H_INCLUDED
#define NGX_HTTP_EXAM_REDIS_H_INCLUDED


#include <ngx_config.h>
#include <ngx_core.h>

#include <hiredis/hiredis.h>

#include "../core/exam_script.h"


#define NGX_HTTP_EXAM_REDIS_PENDING  4096       /* calls without an answer */
#define NGX_HTTP_EXAM_REDIS_OUTPUT   8388608    /* bytes of these calls */


typedef struct {
    ngx_str_t                        name;      /* as configured, for logs */
    char                            *path;      /* unix socket, or NULL */
    char                            *host;      /* numeric address */
    in_port_t                        port;
    ngx_uint_t                       db;
    ngx_str_t                        password;  /* empty: no AUTH */
    ngx_msec_t                       timeout;   /* connect, and each call */
} ngx_http_exam_redis_conf_t;


typedef struct ngx_http_exam_redis_s  ngx_http_exam_redis_t;


typedef struct {
    ngx_uint_t                       up;        /* 1: calls are taken */
    ngx_uint_t                       away;      /* 1: tried in vain, or lost */
    ngx_uint_t                       pending;   /* calls without an answer */
    ngx_uint_t                       reconnects; /* connections but the first */
    ngx_int_t                        latency_us; /* moving mean, -1 none yet */
} ngx_http_exam_redis_figures_t;


/*
 * reply: owned by the adapter, valid during the call only.  NULL: the
 * connection was lost or the deadline passed; whether Redis has run the call
 * is then not known.
 */

typedef void (*ngx_http_exam_redis_pt)(void *data, redisReply *reply);


/*
 * The directive `exam_redis unix:path|host[:port] [password_file=F] [db=N]`;
 * reads cf->args, fills all of conf but the timeout, which the caller sets
 * once it is known.  Names are resolved here and never again.
 */

char *ngx_http_exam_redis_parse(ngx_conf_t *cf,
    ngx_http_exam_redis_conf_t *conf);


/*
 * In init_process of a worker process; connects in the background, whether
 * Redis is there or not.  conf must live as long as the cycle.  NULL: out of
 * memory.
 */

ngx_http_exam_redis_t *ngx_http_exam_redis_create(ngx_cycle_t *cycle,
    ngx_http_exam_redis_conf_t *conf);

/* in exit_process; pending handlers are called with NULL; NULL is allowed */

void ngx_http_exam_redis_destroy(ngx_http_exam_redis_t *redis);


/*
 * NGX_OK: the handler will be called exactly once, later, never from within
 * this function.  NGX_DECLINED: Redis is away, too much is pending or there is
 * no memory; the handler is never called.  The arguments are copied.
 *
 * pool: when it is destroyed before the answer, the handler is not called any
 * more; NULL: data outlives the answer.
 */

ngx_int_t ngx_http_exam_redis_command(ngx_http_exam_redis_t *redis,
    ngx_pool_t *pool, ngx_uint_t argc, const ngx_str_t *argv,
    ngx_http_exam_redis_pt handler, void *data);

/* args: the KEYS of the script (exam_script.h), then its ARGV */

ngx_int_t ngx_http_exam_redis_eval(ngx_http_exam_redis_t *redis,
    ngx_pool_t *pool, exam_script_e script, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_http_exam_redis_pt handler, void *data);


/*
 * 1: lost, or an error reply that means "Redis cannot serve now" (DESIGN 5):
 * LOADING, OOM, READONLY, MISCONF and their like
 */

ngx_uint_t ngx_http_exam_redis_away(const redisReply *reply);

void ngx_http_exam_redis_figures(ngx_http_exam_redis_t *redis,
    ngx_http_exam_redis_figures_t *figures);


#endif /* NGX_HTTP_EXAM_REDIS_H_INCLUDED */
