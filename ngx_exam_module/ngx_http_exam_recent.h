
/*
 * What the node remembers of the last minutes, in tables of fixed size beside
 * the sessions: requests of rare kinds by session, and ids of events.  What
 * falls out of a table lets one more in, nothing else.
 */


#ifndef NGX_HTTP_EXAM_RECENT_H_INCLUDED
#define NGX_HTTP_EXAM_RECENT_H_INCLUDED


#include "ngx_http_exam_module.h"


typedef enum {
    NGX_HTTP_EXAM_RECENT_EVENTS = 1,
    NGX_HTTP_EXAM_RECENT_PREFLIGHT
} ngx_http_exam_recent_e;


/* the session of a request that any session may make, but not too often */

exam_err_e ngx_http_exam_recent_admit(ngx_http_request_t *r,
    ngx_http_exam_recent_e what, const ngx_http_exam_rate_t *rate);

/* an event's name here: as good as its session and id */

void ngx_http_exam_recent_hash(const uint8_t sid[EXAM_SID_LEN], exam_str_t id,
    uint64_t hash[2]);

/* 1: _keep() was called with this hash, by whatever process */

ngx_uint_t ngx_http_exam_recent_has(ngx_http_exam_zone_t *zone,
    const uint64_t hash[2]);
void ngx_http_exam_recent_keep(ngx_http_exam_zone_t *zone,
    const uint64_t hash[2]);


#endif /* NGX_HTTP_EXAM_RECENT_H_INCLUDED */
