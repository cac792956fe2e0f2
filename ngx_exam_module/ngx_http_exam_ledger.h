
/*
 * What is known of the segments of one session: the union of the ledger in
 * Redis and of this node's zone (DESIGN 5, "local before remote").
 */


#ifndef NGX_HTTP_EXAM_LEDGER_H_INCLUDED
#define NGX_HTTP_EXAM_LEDGER_H_INCLUDED


#include "ngx_http_exam_module.h"


/* the sets of a kind, in the order of their names in /me */

typedef enum {
    NGX_HTTP_EXAM_SET_STORED = 0,
    NGX_HTTP_EXAM_SET_RECEIVED,
    NGX_HTTP_EXAM_SET_RECEIVING,
    NGX_HTTP_EXAM_SET_LOST,
    NGX_HTTP_EXAM_SET_REFUSED,
    NGX_HTTP_EXAM_SETS
} ngx_http_exam_set_e;


/* ranges grow in the pool: every set is exact */

typedef struct {
    ngx_pool_t     *pool;
    exam_ranges_t   sets[EXAM_KINDS_MAX][NGX_HTTP_EXAM_SETS];
} ngx_http_exam_ledger_t;


typedef struct {
    uint8_t         sid[EXAM_SID_LEN];
    uint8_t         kind;
    uint8_t         state;          /* exam_seg_e */
    uint32_t        n;
} ngx_http_exam_ledger_entry_t;


/* all of these return NGX_OK, or NGX_ERROR: out of memory */

void ngx_http_exam_ledger_init(ngx_http_exam_ledger_t *l, ngx_pool_t *pool);

/*
 * Pairs field, value of the ledger as Redis gave them, from element `from` on,
 * into r->pool: session by session, in rising order of the numbers, since Redis
 * has none and ranges grow best from below.  Malformed pairs and kinds that are
 * not configured are left out.  The zone forgets what is refused; of a number
 * that has come again here the entry says received.
 */

ngx_int_t ngx_http_exam_ledger_read(ngx_http_request_t *r, redisReply *reply,
    size_t from, ngx_array_t *entries);

ngx_int_t ngx_http_exam_ledger_entries(ngx_http_exam_ledger_t *l,
    const ngx_http_exam_ledger_entry_t *e, ngx_uint_t n);

/* 0..stored, but for what another set has */

ngx_int_t ngx_http_exam_ledger_prefix(ngx_http_exam_ledger_t *l,
    ngx_uint_t kind, int32_t stored);

/*
 * What the zone holds of the session.  Afterwards each number is in one set at
 * most, that of its highest state.
 */

ngx_int_t ngx_http_exam_ledger_local(ngx_http_exam_ledger_t *l,
    ngx_http_exam_main_conf_t *mcf, const uint8_t sid[EXAM_SID_LEN]);

/*
 * An entry of this node for an incomplete upload that the zone does not know:
 * it is gone, and Redis was away when that was told.  For answers only, a zone
 * without room knows less: whoever creates the number again looks at the disk.
 */

ngx_uint_t ngx_http_exam_ledger_stale(ngx_http_exam_main_conf_t *mcf,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n,
    const exam_ledger_t *entry);

/* the highest n such that 0..n are stored or lost; -1: none */

ngx_int_t ngx_http_exam_ledger_stored(ngx_http_exam_ledger_t *l,
    ngx_uint_t kind, int32_t *stored);

/* numbers 0..last that the client still has to send */

ngx_int_t ngx_http_exam_ledger_pending(ngx_http_exam_ledger_t *l,
    ngx_uint_t kind, int64_t last, exam_ranges_t *out);

/* `{"screen":{"stored":[[0,12]],...,"missing":[]},...}` */

ngx_int_t ngx_http_exam_ledger_json(ngx_http_exam_ledger_t *l, exam_buf_t *b,
    const exam_kinds_t *kinds);


#endif /* NGX_HTTP_EXAM_LEDGER_H_INCLUDED */
