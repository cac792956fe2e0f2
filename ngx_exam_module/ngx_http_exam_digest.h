
/*
 * The request field Content-Digest (RFC 9530): a structured dictionary of byte
 * sequences (RFC 8941).  Pure, any thread.
 */


#ifndef NGX_HTTP_EXAM_DIGEST_H_INCLUDED
#define NGX_HTTP_EXAM_DIGEST_H_INCLUDED


#include "../core/exam_id.h"


typedef enum {
    NGX_HTTP_EXAM_DIGEST_NONE = 0,  /* well-formed, but no sha-256 in it */
    NGX_HTTP_EXAM_DIGEST_SHA256,
    NGX_HTTP_EXAM_DIGEST_MALFORMED
} ngx_http_exam_digest_e;


/* unknown algorithms are ignored; sha256 is set with _SHA256 only */

ngx_http_exam_digest_e ngx_http_exam_digest_parse(exam_str_t field,
    uint8_t sha256[EXAM_HASH_LEN]);


#endif /* NGX_HTTP_EXAM_DIGEST_H_INCLUDED */
