
/*
 * What the parts of the endpoint `exam recordings` share: the segment that a
 * request names, and questions to the ledger.  Event loop only.
 */


#ifndef NGX_HTTP_EXAM_RECORDINGS_H_INCLUDED
#define NGX_HTTP_EXAM_RECORDINGS_H_INCLUDED


#include "ngx_http_exam_module.h"


/* lives in r->pool; exam and student point into the request's context */

typedef struct {
    exam_str_t                     exam;
    exam_str_t                     student;
    uint8_t                        sid[EXAM_SID_LEN];
    uint64_t                       gen;     /* 0: not known here */
    ngx_uint_t                     kind;    /* index in exam_kinds */
    exam_str_t                     kind_name;
    uint32_t                       n;
    int64_t                        started_at;      /* ms, -1 not given */
    int64_t                        duration_ms;     /* -1 */

    ngx_uint_t                     own;     /* of the token's session */
} ngx_http_exam_segment_t;


/*
 * Reads of the ledger: the number itself, then, with `before`, so many numbers
 * below it.  Answered by an array; return codes of _redis_command().
 */

ngx_int_t ngx_http_exam_ledger_ask(const ngx_http_exam_segment_t *seg,
    ngx_uint_t before, ngx_pool_t *pool, ngx_http_exam_redis_pt handler,
    void *data);

/* element i of that answer; false: nothing there, or malformed */

bool ngx_http_exam_ledger_entry(const redisReply *reply, ngx_uint_t i,
    exam_ledger_t *e);

/* `<node>-<32 hex>` */

void ngx_http_exam_upload_id(exam_buf_t *b, ngx_http_exam_main_conf_t *mcf,
    const uint8_t random[16]);


/*
 * ngx_http_exam_put.c: PUT with session, kind and number checked.  The count of
 * r was raised; the request is ended here.
 */

void ngx_http_exam_put(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg);


#endif /* NGX_HTTP_EXAM_RECORDINGS_H_INCLUDED */
