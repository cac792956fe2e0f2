
/*
 * What the two halves of the reader share: ngx_http_exam_control.c (lease,
 * calls, rounds) and ngx_http_exam_control_apply.c (what an entry does).
 */


#ifndef NGX_HTTP_EXAM_CONTROL_H_INCLUDED
#define NGX_HTTP_EXAM_CONTROL_H_INCLUDED


#include <hiredis/hiredis.h>

#include "ngx_http_exam_command.h"


#define NGX_HTTP_EXAM_CONTROL_COUNT  200    /* entries a call */


typedef struct {
    uint64_t       ms;
    uint64_t       seq;
} ngx_http_exam_control_at_t;


/* an exam of the zone, in the process that reads */

typedef struct {
    uint8_t                      id_len;    /* 0 = free */
    uint8_t                      id[EXAM_EXAM_MAX];
    unsigned                     seen:1;    /* in this tick */
    unsigned                     reading:1; /* a call is on the way */
    unsigned                     again:1;   /* so is one of a round */
    unsigned                     round:1;   /* a round has begun */
    unsigned                     dirtied:1;
    ngx_uint_t                   calls;     /* left in this tick */
    ngx_uint_t                   round_calls;
    ngx_http_exam_control_at_t   from;      /* of the call on the way */
    ngx_http_exam_control_at_t   next;      /* where the round goes on */
    ngx_http_exam_control_at_t   bad;       /* the last one that was logged */
    uint32_t                     rounds[NGX_HTTP_EXAM_SHARDS_MAX];
} ngx_http_exam_stream_t;


/*
 * Applies the entries of an answer.  again: those of a round, which enters no
 * commands.  Returns how many there were; *last is set unless there was none.
 */

ngx_uint_t ngx_http_exam_control_page(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st, redisReply *entries, ngx_uint_t again,
    ngx_http_exam_control_at_t *last);


static ngx_inline ngx_uint_t
ngx_http_exam_control_before(const ngx_http_exam_control_at_t *a,
    const ngx_http_exam_control_at_t *b)
{
    return a->ms < b->ms || (a->ms == b->ms && a->seq < b->seq);
}


#endif /* NGX_HTTP_EXAM_CONTROL_H_INCLUDED */
