
/*
 * What the parts of the endpoint `exam recordings` share: the segment that a
 * request names, and questions to the ledger.  Event loop only.
 */


#ifndef NGX_HTTP_EXAM_RECORDINGS_H_INCLUDED
#define NGX_HTTP_EXAM_RECORDINGS_H_INCLUDED


#include "ngx_http_exam_module.h"


#define NGX_HTTP_EXAM_WAIT_MAX  30          /* s */

/* a character of a reason becomes six at most */

#define NGX_HTTP_EXAM_LOOK_REPLY                                              \
    (NGX_HTTP_EXAM_JSON_MAX + 6 * EXAM_REASON_MAX)


typedef struct ngx_http_exam_segment_s  ngx_http_exam_segment_t;

/* goes on with it and ends the request */

typedef void (*ngx_http_exam_segment_pt)(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg);

/* what the ledger tells of a segment; reply NULL: Redis is away */

typedef void (*ngx_http_exam_ledger_pt)(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, const redisReply *reply);


/* in r->pool, is ctx->data; exam and student point into r's context */

struct ngx_http_exam_segment_s {
    exam_str_t                     exam;
    exam_str_t                     student;
    uint8_t                        sid[EXAM_SID_LEN];
    uint64_t                       gen;     /* 0: not known here */
    ngx_uint_t                     kind;    /* index in exam_kinds */
    exam_str_t                     kind_name;
    uint32_t                       n;
    int64_t                        started_at;      /* ms, -1 not given */
    int64_t                        duration_ms;     /* -1 */
    int64_t                        wait_s;          /* -1 */
    exam_str_t                     reason;  /* of lost; may be empty */
    exam_str_t                     content_type;    /* of an upload */

    ngx_uint_t                     own;     /* of the token's session */
    void                          *form;    /* the upload it came by, or NULL */
    void                          *look;    /* who waits; NULL: nobody */
    ngx_http_exam_ledger_pt        told;    /* by the question of r */
    ngx_http_exam_segment_pt       go;      /* NULL: what the method says */
};


/*
 * Reads of the ledger: the number itself, then, with `before`, so many numbers
 * below it.  Answered by an array; return codes of _redis_command().
 */

ngx_int_t ngx_http_exam_ledger_ask(const ngx_http_exam_segment_t *seg,
    ngx_uint_t before, ngx_pool_t *pool, ngx_http_exam_redis_pt handler,
    void *data);

/* the same for as long as r lives; told is called at once or in a later turn */

void ngx_http_exam_ledger_request(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, ngx_uint_t before,
    ngx_http_exam_ledger_pt told);

/* element i of that answer; false: nothing there, or malformed */

bool ngx_http_exam_ledger_entry(const redisReply *reply, ngx_uint_t i,
    exam_ledger_t *e);

/*
 * ngx_http_exam_digest.c: the SHA-256 that Content-Digest tells, *has: there is
 * one.  EXAM_ERR_BAD_DIGEST when the field is malformed.
 */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_digest(ngx_http_request_t *r,
    uint8_t digest[EXAM_HASH_LEN], ngx_uint_t *has);

/* of another field of that form: Repr-Digest */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_digest_of(ngx_http_request_t *r,
    const char *name, uint8_t digest[EXAM_HASH_LEN], ngx_uint_t *has);

/*
 * Of an upload in one request, without a content coding: both fields tell of
 * the same bytes.  DIGEST_MISMATCH: they do not agree.
 */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_digest_whole(ngx_http_request_t *r,
    uint8_t digest[EXAM_HASH_LEN], ngx_uint_t *has);

/* `<node>-<32 hex>` */

void ngx_http_exam_upload_id(exam_buf_t *b, ngx_http_exam_main_conf_t *mcf,
    const uint8_t random[16]);


/* what numbers and sessions look like, for ngx_http_exam_tell() */

#define NGX_HTTP_EXAM_TELL_N                                                  \
    "n is a whole number from 0 to %d without leading zeros", EXAM_SEGMENT_MAX
#define NGX_HTTP_EXAM_TELL_SESSION  "session is 32 hexadecimal digits"
#define NGX_HTTP_EXAM_TELL_NUMBER   "%s is a whole number from 0 to %uL"

/* NOT_FOUND, which tells the kinds there are; `file` is one of them here */

exam_err_e ngx_http_exam_recordings_kind(ngx_http_request_t *r,
    ngx_uint_t file);

/* an argument, -1: it is not there; EXAM_ERR_BAD_ARGUMENT */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_recordings_number(
    ngx_http_request_t *r, ngx_str_t *name, uint64_t max, int64_t *value);

/* the argument `session`, else the token's; seg has exam and student */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_recordings_session(
    ngx_http_request_t *r, ngx_http_exam_ctx_t *ctx,
    ngx_http_exam_segment_t *seg);

/* to the session that it is for, then on; the count of r was raised */

void ngx_http_exam_recordings_start(ngx_http_request_t *r);

/* ends the request, as does each of the following */

void ngx_http_exam_recordings_problem(ngx_http_request_t *r, exam_err_e err);


/*
 * ngx_http_exam_put.c: PUT with session, kind and number checked.  The count of
 * r was raised; the request is ended here.
 */

void ngx_http_exam_put(ngx_http_request_t *r, ngx_http_exam_segment_t *seg);


/*
 * ngx_http_exam_form.c: POST of a form; the content handler, and what follows
 * once the session is allowed.
 */

ngx_int_t ngx_http_exam_form_handler(ngx_http_request_t *r);
void ngx_http_exam_form_go(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg);


/* ngx_http_exam_look.c: GET, as above */

void ngx_http_exam_look(ngx_http_request_t *r, ngx_http_exam_segment_t *seg);

/*
 * The higher state of ledger and zone, EXAM_SEG_NONE: nothing is known.  reply
 * NULL: Redis is away; id is the memory that e->upload may point to.
 */

void ngx_http_exam_look_union(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, const redisReply *reply,
    exam_ledger_t *e, u_char id[EXAM_UPLOAD_MAX]);

/* 200 with what is known; the content handler's return code */

ngx_int_t ngx_http_exam_look_send(ngx_http_request_t *r,
    const exam_ledger_t *e);

/* the zone has news of the number: who waits for it in this process looks */

void ngx_http_exam_look_wake(const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind,
    uint32_t n);


/*
 * ngx_http_exam_lost.c: POST .../lost.  The first reads the body and returns
 * what the content handler is to return, the second goes on as above.
 */

ngx_int_t ngx_http_exam_lost(ngx_http_request_t *r);
void ngx_http_exam_lost_go(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg);


#endif /* NGX_HTTP_EXAM_RECORDINGS_H_INCLUDED */
