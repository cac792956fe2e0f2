
/*
 * The journal's records that other parts cause by the way: login, end of a
 * session, receipt.  None of them is waited for.  Event loop only.
 */


#ifndef NGX_HTTP_EXAM_RECORD_H_INCLUDED
#define NGX_HTTP_EXAM_RECORD_H_INCLUDED


#include "ngx_http_exam_module.h"
#include "../core/exam_journal.h"
#include "../core/exam_manifest.h"


/* of now, by the session of claims; all else is zero */

void ngx_http_exam_record_init(exam_record_t *record, exam_record_e type,
    const exam_claims_t *claims);

void ngx_http_exam_record_login(const exam_claims_t *claims, int64_t login_at,
    ngx_str_t *ip);

/* a session of claims' student that this zone does not hold was replaced */

void ngx_http_exam_record_replaced(const exam_claims_t *claims,
    const uint8_t sid[EXAM_SID_LEN]);

void ngx_http_exam_record_receipt(const exam_manifest_t *m);

/*
 * An end is noted under the shard's mutex and written after it: whoever gives
 * the mutex back calls _ended() when something was noted.
 */

extern ngx_uint_t  ngx_http_exam_record_ends;

void ngx_http_exam_record_end_locked(ngx_http_exam_shard_t *shard,
    const ngx_http_exam_session_t *s);
void ngx_http_exam_record_ended(void);


#endif /* NGX_HTTP_EXAM_RECORD_H_INCLUDED */
