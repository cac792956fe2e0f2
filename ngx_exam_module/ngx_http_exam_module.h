
/*
 * What the files of the module share: configuration, the request context and
 * the helpers of ngx_http_exam_request.c.  All of it runs on nginx's event loop
 * unless a comment says otherwise.
 */


#ifndef NGX_HTTP_EXAM_MODULE_H_INCLUDED
#define NGX_HTTP_EXAM_MODULE_H_INCLUDED


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../core/exam_body.h"
#include "../core/exam_err.h"
#include "../core/exam_state.h"
#include "../core/exam_token.h"
#include "ngx_http_exam_redis.h"
#include "ngx_http_exam_zone.h"


#define NGX_HTTP_EXAM_JSON_MAX  1024    /* of a reply of fixed form */


typedef enum {
    NGX_HTTP_EXAM_OFF = 0,
    NGX_HTTP_EXAM_LOGIN,
    NGX_HTTP_EXAM_HEARTBEAT,
    NGX_HTTP_EXAM_RECORDINGS,
    NGX_HTTP_EXAM_UPLOADS,
    NGX_HTTP_EXAM_ME,
    NGX_HTTP_EXAM_LOGOUT,
    NGX_HTTP_EXAM_EVENTS,
    NGX_HTTP_EXAM_PREFLIGHT,
    NGX_HTTP_EXAM_HEALTH,
    NGX_HTTP_EXAM_READY,
    NGX_HTTP_EXAM_STATUS,
    NGX_HTTP_EXAM_METRICS,
    NGX_HTTP_EXAM_PROBLEM,
    NGX_HTTP_EXAM_NONE
} ngx_http_exam_endpoint_e;


typedef enum {
    NGX_HTTP_EXAM_TAKEOVER = 0,
    NGX_HTTP_EXAM_DENY
} ngx_http_exam_takeover_e;


typedef struct {
    ngx_http_exam_zone_t         *zone;     /* NULL: module not in use */
    ngx_http_exam_redis_conf_t   *redis;    /* NULL: no exam_redis */
    exam_keyring_t               *keys;
    exam_str_t                    node;
    ngx_str_t                     key_file;
    ngx_str_t                     spool;    /* absolute, no trailing slash */
    ngx_str_t                     pool_name;
    ngx_thread_pool_t            *thread_pool;
    exam_kinds_t                  kinds;
    ngx_str_t                     kinds_csv;

    ngx_msec_t                    redis_timeout;
    ngx_msec_t                    flush_interval;
    ngx_msec_t                    login_early;
    ngx_msec_t                    late_upload;
    ngx_msec_t                    upload_expire;
    ngx_msec_t                    offline_after;
    ngx_msec_t                    heartbeat_interval;
    ngx_msec_t                    segment_length;
    ngx_uint_t                    takeover; /* ngx_http_exam_takeover_e */
    off_t                         max_bytes;
    off_t                         student_quota;    /* bytes, 0 = none */
    off_t                         journal_reserve;  /* 0 = none */
    off_t                         spool_low;        /* bytes, 0 = no mark */
    ngx_int_t                     upload_max_active;    /* 0 = no limit */
    size_t                        upload_min_rate;  /* bytes/s, 0 = any */
    off_t                         upload_buffers;   /* bytes a process */
    ngx_int_t                     max_segments;
    ngx_int_t                     segment_window;
    ngx_int_t                     kind_uploads;
    ngx_int_t                     file_uploads;     /* attachments */
    ngx_http_exam_rate_t          heartbeat_rate;
    ngx_http_exam_rate_t          poll_rate;
    ngx_http_exam_rate_t          events_rate;
} ngx_http_exam_main_conf_t;


typedef struct {
    ngx_uint_t                    endpoint; /* ngx_http_exam_endpoint_e */
    ngx_array_t                  *cors;     /* of ngx_str_t, NULL: off */
    ngx_str_t                     public_url;   /* empty: as was asked */

    /* found out by each worker process at the first heartbeat */

    unsigned                      headers_looked:1;
    unsigned                      headers_added:1;
} ngx_http_exam_loc_conf_t;


typedef void (*ngx_http_exam_body_pt)(ngx_http_request_t *r, exam_str_t body);


/* r's module context */

typedef struct {
    exam_claims_t                 claims;   /* set by _authorize */
    ngx_http_exam_snapshot_t      snap;     /* set by _session */
    int64_t                       now;      /* wall clock ms */
    ngx_http_exam_body_pt         reader;   /* waits for the body */
    exam_str_t                    wrong;    /* member of it, see exam_json.h */
    exam_str_t                    told;     /* by _tell */
    ngx_uint_t                    wait_s;   /* Retry-After at least; 0 */
    exam_str_t                    members;  /* more of problem+json */
    void                         *data;     /* the endpoint's own */
} ngx_http_exam_ctx_t;


extern ngx_module_t  ngx_http_exam_module;

/* of this worker process; NULL where the module is not in use */

extern ngx_http_exam_redis_t  *ngx_http_exam_redis;


#define ngx_http_exam_main_conf(r)                                            \
    ((ngx_http_exam_main_conf_t *)                                            \
     ngx_http_get_module_main_conf(r, ngx_http_exam_module))

#define ngx_http_exam_count(mcf, name, n)                                     \
    (void) ngx_atomic_fetch_add(&(mcf)->zone->shared->stats.name, n)

#define ngx_http_exam_observe(mcf, name, us)                                  \
    ngx_http_exam_histogram_add(&(mcf)->zone->shared->stats.latency.name, us)


/* wall clock, ms, as of the current turn of the event loop */

static ngx_inline int64_t
ngx_http_exam_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + (int64_t) tp->msec;
}


/* endpoints: content handlers */

ngx_int_t ngx_http_exam_login_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_heartbeat_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_recordings_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_uploads_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_me_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_logout_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_events_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_preflight_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_health_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_ready_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_status_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_metrics_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_problem_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_exam_none_handler(ngx_http_request_t *r);


/*
 * ngx_http_exam_request.c.  The reply functions send header and body and
 * return what a content handler returns; an asynchronous caller passes it to
 * ngx_http_finalize_request().  An unread request body is discarded, without a
 * 100 Continue before it.
 */

/* now and the context; NULL: out of memory */

ngx_http_exam_ctx_t *ngx_http_exam_ctx(ngx_http_request_t *r);

/* 405 with `Allow`; returns as ngx_http_exam_problem() does */

ngx_int_t ngx_http_exam_not_allowed(ngx_http_request_t *r, const char *allow);

/* the bearer token as it was sent; NGX_DECLINED: none */

ngx_int_t ngx_http_exam_bearer(ngx_http_request_t *r, exam_str_t *token);

/* verifies the bearer token into ctx->claims */

exam_err_e ngx_http_exam_authorize(ngx_http_request_t *r,
    ngx_http_exam_ctx_t *ctx);

/*
 * authorize, touch the zone, check the table of states: EXAM_OK and ctx->snap,
 * or the error.  EXAM_OVER also ends the session in the zone.
 */

exam_err_e ngx_http_exam_session(ngx_http_request_t *r,
    ngx_http_exam_ctx_t *ctx, exam_action_e action);

/*
 * problem+json (RFC 9457) of an error; 429 and 503 get Retry-After with jitter,
 * 401 WWW-Authenticate.  detail may be NULL; session_ended tells its reason, a
 * refused member of the body its name, from the context.  Returns the content
 * handler's return code.
 */

ngx_int_t ngx_http_exam_problem(ngx_http_request_t *r, exam_err_e err,
    const char *detail);

/*
 * Returns err; its `detail` will name the field and what is right: a format of
 * ngx_sprintf(), of our own words, names and numbers only, as nothing of it is
 * escaped.
 */

exam_err_e ngx_http_exam_tell(ngx_http_request_t *r, exam_err_e err,
    const char *fmt, ...);

/*
 * For a 2xx that does not want the body; _problem() does it by itself.
 * Anything but NGX_OK is what the handler is to return.
 */

ngx_int_t ngx_http_exam_drop_body(ngx_http_request_t *r);

/* ngx_http_exam_linger.c: before an answer that may not wait for its body */

ngx_int_t ngx_http_exam_linger(ngx_http_request_t *r);

/* 2xx with a JSON body, copied into r->pool */

ngx_int_t ngx_http_exam_json(ngx_http_request_t *r, ngx_uint_t status,
    exam_buf_t *b);

/* the same with another content type */

ngx_int_t ngx_http_exam_text(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, exam_buf_t *b);

/* what the others end in; data lies in r->pool */

ngx_int_t ngx_http_exam_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, u_char *data, size_t len);

/* a response without a body; the request's is thrown away before */

ngx_int_t ngx_http_exam_empty(ngx_http_request_t *r, ngx_uint_t status);

/* a response header; NGX_ERROR: out of memory */

ngx_int_t ngx_http_exam_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/*
 * Reads a body of at most max bytes as one piece of memory and calls handler,
 * which ends the request by ngx_http_finalize_request().  Over max: 413.
 * Returns what the content handler is to return.
 */

ngx_int_t ngx_http_exam_read_body(ngx_http_request_t *r, size_t max,
    ngx_http_exam_body_pt handler);

/*
 * NGX_OK: the body lay whole behind the header and has been taken off there;
 * NGX_DECLINED: it must be read.
 */

ngx_int_t ngx_http_exam_body_here(ngx_http_request_t *r, exam_str_t *body);

/* puts a copy in the place of *s; NGX_ERROR: out of memory */

ngx_int_t ngx_http_exam_copy(ngx_pool_t *pool, exam_str_t *s);

void ngx_http_exam_histogram_add(ngx_http_exam_histogram_t *h, uint64_t us);

/* microseconds since the first byte of the request was seen */

uint64_t ngx_http_exam_elapsed(ngx_http_request_t *r);

/* `"status":{"locked":...,"paused":...,"closed":...}`; null: not known now */

void ngx_http_exam_status_json(exam_buf_t *b, const exam_view_t *view,
    int64_t now);

/* `"stored":{"screen":12,"camera":null}` */

void ngx_http_exam_stored_json(exam_buf_t *b, const exam_kinds_t *kinds,
    const int32_t *stored);


/*
 * `exp` of a token issued now, s: the later of own end (0 unknown) and now,
 * plus the late window and a day
 */

int64_t ngx_http_exam_token_exp(ngx_http_exam_main_conf_t *mcf,
    int64_t own_end, int64_t now);

void ngx_http_exam_bool_json(exam_buf_t *b, bool value);
void ngx_http_exam_time_json(exam_buf_t *b, int64_t ms);


/* ngx_http_exam_conf.c, _zone.c, _cors.c: setters of directives */

char *ngx_http_exam_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_exam_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exam_conf_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exam_conf_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_exam_conf_spool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exam_conf_kinds(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exam_conf_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_exam_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_exam_conf_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_exam_conf_quota(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* ngx_http_exam_flush.c: the tick of a worker process */

ngx_int_t ngx_http_exam_flush_init(ngx_cycle_t *cycle);
void ngx_http_exam_flush_exit(ngx_cycle_t *cycle);

/* asks Redis whether it has been filled anew since the last time */

void ngx_http_exam_flush_watch(void);


/* ngx_http_exam_spool.c: directories at start, recovery in a thread */

ngx_int_t ngx_http_exam_spool_init(ngx_cycle_t *cycle);
void ngx_http_exam_spool_exit(ngx_cycle_t *cycle);


#endif /* NGX_HTTP_EXAM_MODULE_H_INCLUDED */
