
/*
 * What the two halves of the flush share: ngx_http_exam_flush.c (timer, leases,
 * queues) and ngx_http_exam_flush_call.c (rows, call, answer).
 */


#ifndef NGX_HTTP_EXAM_FLUSH_H_INCLUDED
#define NGX_HTTP_EXAM_FLUSH_H_INCLUDED


#include "ngx_http_exam_module.h"


/* ngx_http_exam_flush_call.c: the memory of the rows, once a process */

ngx_int_t ngx_http_exam_flush_call_init(ngx_cycle_t *cycle);
void ngx_http_exam_flush_call_exit(void);

/* 1: as many calls are on the way as a process may have */

ngx_uint_t ngx_http_exam_flush_call_full(void);

/* NGX_OK: a call is on the way; NGX_DECLINED: nothing to do or no way */

ngx_int_t ngx_http_exam_flush_shard(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard);


/* ngx_http_exam_flush.c: the next calls of the tick, after an answer */

void ngx_http_exam_flush_more(ngx_http_exam_main_conf_t *mcf);

/* what has become dirty in the middle of a tick, too, in shards of ours */

void ngx_http_exam_flush_now(ngx_http_exam_main_conf_t *mcf);

/* the script said EMPTY */

void ngx_http_exam_flush_emptied(ngx_http_exam_main_conf_t *mcf);


#endif /* NGX_HTTP_EXAM_FLUSH_H_INCLUDED */
