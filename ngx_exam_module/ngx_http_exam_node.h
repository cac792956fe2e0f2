
/*
 * What this node says of itself: the hash exam:node:<node> (DESIGN 5), by which
 * the watcher of an exam tells a silent candidate from a silent node, and the
 * journal's record of the time when Redis could not be told.
 *
 * Called at each tick of the flush by the process that flushes the first shard.
 */


#ifndef NGX_HTTP_EXAM_NODE_H_INCLUDED
#define NGX_HTTP_EXAM_NODE_H_INCLUDED


#include "ngx_http_exam_module.h"


void ngx_http_exam_node_tick(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_redis_figures_t *redis);


/*
 * Up to when all is in Redis that a shard was told (flushed_at).  A mark stands
 * at a tick and is reached when as many rows were answered as were waiting
 * then.  Rows of another exam may change places behind a mark within one tick,
 * so what counts is the mark before the one that was reached.
 */

void ngx_http_exam_mark_tick_locked(ngx_http_exam_shard_t *shard, int64_t now);
void ngx_http_exam_mark_taken_locked(ngx_http_exam_shard_t *shard,
    ngx_uint_t rows);

/* answered, or done with; failed: they wait again */

void ngx_http_exam_mark_done_locked(ngx_http_exam_shard_t *shard,
    ngx_uint_t rows, ngx_uint_t failed);


#endif /* NGX_HTTP_EXAM_NODE_H_INCLUDED */
