
/*
 * What this process knows of the others: Redis, the exam-worker (and through
 * it MySQL), the machine.  Looked up in the background every few seconds, so
 * that /status and /ready answer at once, whatever is away.
 */


#ifndef NGX_HTTP_EXAM_PEERS_H_INCLUDED
#define NGX_HTTP_EXAM_PEERS_H_INCLUDED


#include "ngx_http_exam_module.h"


#define NGX_HTTP_EXAM_UNKNOWN  (-1)


/* numbers: NGX_HTTP_EXAM_UNKNOWN where not known */

typedef struct {
    int64_t      redis_memory_used;     /* bytes */
    int64_t      redis_memory_max;      /* 0 = no limit */
    int64_t      redis_clients;
    int64_t      redis_maxclients;
    int64_t      clock_skew_ms;         /* ours minus Redis' */
    ngx_uint_t   skew_known;

    char         worker_state[16];      /* empty = not known */
    int64_t      worker_lag_s;
    int64_t      worker_processing_ms;
    int64_t      worker_stored_total;
    int64_t      worker_failed_total;
    int64_t      worker_ready;
    int64_t      journal_lag_bytes;
    int64_t      journal_refused_total;
    char         mysql_state[16];
    int64_t      mysql_latency_ms;
    int64_t      mysql_connections;
    int64_t      mysql_max_connections;
    int64_t      mysql_slow_queries;

    int64_t      memory_total_kb;
    int64_t      memory_available_kb;
    int64_t      rss_anon_kb;           /* of this process */
    int64_t      cpu_busy;              /* percent since the last look */
    int64_t      disk_busy;

    int64_t      requests_per_s;
} ngx_http_exam_peers_t;


extern ngx_http_exam_peers_t  ngx_http_exam_peers;


ngx_int_t ngx_http_exam_peers_init(ngx_cycle_t *cycle);
void ngx_http_exam_peers_exit(ngx_cycle_t *cycle);


#endif /* NGX_HTTP_EXAM_PEERS_H_INCLUDED */
