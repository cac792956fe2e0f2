
/*
 * POST /api/v1/recordings/{kind}/{n}/lost: the client will never have it
 * (DESIGN 3.1).
 *
 *   body -> session -> zone, ledger -> journal, synced -> zone
 *        -> an incomplete upload of the number ends -> 200
 *        -> ledger in the background
 *
 * Runs on the event loop.  What was received or stored is not lowered: the
 * answer tells its state.  Invariant: what the journal and Redis are given to
 * call back with lies in a pool of its own, because the request may end first;
 * a record that is written counts whether its client still waits or not.
 */


#include "ngx_http_exam_intake.h"
#include "ngx_http_exam_journal.h"


typedef struct {
    ngx_pool_t                    *pool;
    ngx_http_request_t            *r;       /* NULL: it has ended */
    ngx_pool_cleanup_t            *cln;     /* of r */
    ngx_http_exam_main_conf_t     *mcf;
    ngx_http_exam_segment_t        seg;     /* strings in the pool */
    exam_str_t                     rival;   /* incomplete, by the ledger */
} ngx_http_exam_lost_t;


static void ngx_http_exam_lost_body(ngx_http_request_t *r, exam_str_t body);
static void ngx_http_exam_lost_answer(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg, const redisReply *reply);
static ngx_uint_t ngx_http_exam_lost_beyond(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg);
static ngx_http_exam_lost_t *ngx_http_exam_lost_create(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg, exam_str_t rival);
static void ngx_http_exam_lost_record(ngx_http_exam_lost_t *l);
static void ngx_http_exam_lost_synced(void *data, ngx_int_t rc);
static void ngx_http_exam_lost_ended(void *data);
static void ngx_http_exam_lost_send(ngx_http_exam_lost_t *l, ngx_int_t rc);
static ngx_int_t ngx_http_exam_lost_settle(ngx_http_exam_lost_t *l);
static void ngx_http_exam_lost_settled(void *data, redisReply *reply);
static ngx_http_request_t *ngx_http_exam_lost_detach(ngx_http_exam_lost_t *l);
static void ngx_http_exam_lost_cleanup(void *data);


ngx_int_t
ngx_http_exam_lost(ngx_http_request_t *r)
{
    return ngx_http_exam_read_body(r, EXAM_BODY_JSON_MAX,
                                   ngx_http_exam_lost_body);
}


static void
ngx_http_exam_lost_body(ngx_http_request_t *r, exam_str_t body)
{
    exam_err_e                err;
    exam_arena_t              arena;
    exam_lost_body_t          out;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_segment_t  *seg;

    u_char  memory[EXAM_BODY_ARENA];

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    seg = ctx->data;

    exam_arena_init(&arena, memory, sizeof(memory));

    err = exam_lost_parse(body, &arena, &out);

    if (err == EXAM_OK
        && seg->n >= (uint32_t) ngx_http_exam_main_conf(r)->max_segments)
    {
        err = EXAM_ERR_SEGMENT_NUMBER;
    }

    if (err != EXAM_OK) {
        ctx->wrong = arena.wrong;
        ngx_http_exam_recordings_problem(r, err);
        return;
    }

    seg->reason = out.reason;

    if (ngx_http_exam_copy(r->pool, &seg->reason) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->read_event_handler = ngx_http_test_reading;

    ngx_http_exam_recordings_start(r);
}


void
ngx_http_exam_lost_go(ngx_http_request_t *r, ngx_http_exam_segment_t *seg)
{
    ngx_uint_t                  before;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    before = ngx_http_exam_lost_beyond(r, seg)
             ? (ngx_uint_t) mcf->segment_window : 0;

    ngx_http_exam_ledger_request(r, seg, before, ngx_http_exam_lost_answer);
}


/* of the window, as far as the zone knows it */

static ngx_uint_t
ngx_http_exam_lost_beyond(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg)
{
    int64_t                     highest;
    ngx_http_exam_hash_t        hash;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    (void) ngx_http_exam_zone_segment(mcf->zone, seg->sid, seg->kind, seg->n,
                                      &hash, &highest);

    return highest >= -1
           && (int64_t) seg->n > highest + mcf->segment_window;
}


/* reply NULL: Redis is away, the zone alone decides (DESIGN 4) */

static void
ngx_http_exam_lost_answer(ngx_http_request_t *r, ngx_http_exam_segment_t *seg,
    const redisReply *reply)
{
    u_char                 id[EXAM_UPLOAD_MAX];
    ngx_uint_t             i, beyond;
    exam_ledger_t          e, near;
    ngx_http_exam_lost_t  *l;

    ngx_http_exam_look_union(ngx_http_exam_main_conf(r), seg, reply, &e, id);

    if (e.state == EXAM_SEG_LOST || e.state == EXAM_SEG_RECEIVED
        || e.state == EXAM_SEG_STORED)
    {
        ngx_http_finalize_request(r, ngx_http_exam_look_send(r, &e));
        return;
    }

    beyond = reply != NULL && reply->type == REDIS_REPLY_ARRAY
             && ngx_http_exam_lost_beyond(r, seg);

    for (i = 0; beyond && i < reply->elements; i++) {
        if (ngx_http_exam_ledger_entry(reply, i, &near)) {
            beyond = 0;
        }
    }

    if (beyond) {
        ngx_http_exam_recordings_problem(r, EXAM_ERR_SEGMENT_NUMBER);
        return;
    }

    l = ngx_http_exam_lost_create(r, seg, e.state == EXAM_SEG_RECEIVING
                                          ? e.upload : exam_str(""));

    if (l == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_exam_lost_record(l);
}


static ngx_http_exam_lost_t *
ngx_http_exam_lost_create(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg, exam_str_t rival)
{
    ngx_pool_t            *pool;
    ngx_pool_cleanup_t    *cln;
    ngx_http_exam_lost_t  *l;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    l = ngx_pcalloc(pool, sizeof(ngx_http_exam_lost_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (l == NULL || cln == NULL) {
        goto failed;
    }

    l->pool = pool;
    l->r = r;
    l->mcf = ngx_http_exam_main_conf(r);
    l->seg = *seg;
    l->rival = rival;

    if (ngx_http_exam_copy(pool, &l->seg.exam) != NGX_OK
        || ngx_http_exam_copy(pool, &l->rival) != NGX_OK
        || ngx_http_exam_copy(pool, &l->seg.student) != NGX_OK
        || ngx_http_exam_copy(pool, &l->seg.reason) != NGX_OK)
    {
        goto failed;
    }

    cln->handler = ngx_http_exam_lost_cleanup;
    cln->data = l;
    l->cln = cln;

    return l;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


static void
ngx_http_exam_lost_record(ngx_http_exam_lost_t *l)
{
    exam_record_t        record;
    ngx_http_request_t  *r;

    ngx_memzero(&record, sizeof(exam_record_t));

    record.type = EXAM_RECORD_LOST;
    record.at = ngx_http_exam_now();
    record.exam = l->seg.exam;
    record.student = l->seg.student;
    ngx_memcpy(record.sid, l->seg.sid, EXAM_SID_LEN);
    record.gen = l->seg.gen;
    record.kind = l->seg.kind_name;
    record.n = l->seg.n;
    record.reason = l->seg.reason;

    if (ngx_http_exam_journal(&record, ngx_http_exam_lost_synced, l)
        == NGX_OK)
    {
        return;
    }

    r = ngx_http_exam_lost_detach(l);
    ngx_destroy_pool(l->pool);

    ngx_http_exam_recordings_problem(r, EXAM_ERR_OVERLOADED);
}


/* the record is on stable storage, or not at all */

static void
ngx_http_exam_lost_synced(void *data, ngx_int_t rc)
{
    ngx_http_exam_lost_t *l = data;

    if (rc != NGX_OK) {
        ngx_http_exam_lost_send(l, rc);
        ngx_destroy_pool(l->pool);
        return;
    }

    (void) ngx_http_exam_zone_lost(l->mcf->zone, l->seg.sid, l->seg.kind,
                                   l->seg.n);
    ngx_http_exam_look_wake(l->seg.sid, l->seg.kind, l->seg.n);

    ngx_http_exam_intake_end(l->mcf, &l->seg, l->rival, EXAM_GONE_DELETED,
                             ngx_http_exam_lost_ended, l);
}


static void
ngx_http_exam_lost_ended(void *data)
{
    ngx_http_exam_lost_t *l = data;

    ngx_http_exam_lost_send(l, NGX_OK);

    /* with Redis away the ledger learns it from the journal */

    if (ngx_http_exam_lost_settle(l) != NGX_OK) {
        ngx_destroy_pool(l->pool);
    }
}


static void
ngx_http_exam_lost_send(ngx_http_exam_lost_t *l, ngx_int_t rc)
{
    exam_ledger_t        e;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ngx_http_exam_lost_detach(l);

    if (r == NULL) {
        return;
    }

    c = r->connection;
    ngx_http_set_log_request(c->log, r);

    if (rc == NGX_OK) {
        ngx_memzero(&e, sizeof(exam_ledger_t));
        e.state = EXAM_SEG_LOST;
        e.bytes = -1;
        e.reason = l->seg.reason;

        ngx_http_finalize_request(r, ngx_http_exam_look_send(r, &e));

    } else {
        ngx_http_exam_recordings_problem(r, rc == NGX_ABORT
                                            ? EXAM_ERR_JOURNAL_FULL
                                            : EXAM_ERR_UNAVAILABLE);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_exam_lost_settle(ngx_http_exam_lost_t *l)
{
    char        seg_key[EXAM_KEY_MAX], stored_key[EXAM_KEY_MAX];
    u_char      sid[EXAM_SID_HEX], n[NGX_INT64_LEN];
    u_char      reason[EXAM_REASON_MAX + 2], *p;
    ngx_str_t   argv[11];

    argv[0].data = (u_char *) seg_key;
    argv[0].len = exam_key(seg_key, EXAM_KEY_SEG, l->seg.exam,
                           l->seg.student);
    argv[1].data = (u_char *) stored_key;
    argv[1].len = exam_key(stored_key, EXAM_KEY_STORED, l->seg.exam,
                           exam_str(""));
    argv[2].data = (u_char *) l->seg.student.data;
    argv[2].len = l->seg.student.len;
    argv[3].data = sid;
    argv[3].len = ngx_hex_dump(sid, l->seg.sid, EXAM_SID_LEN) - sid;
    argv[4].data = (u_char *) l->seg.kind_name.data;
    argv[4].len = l->seg.kind_name.len;
    argv[5].data = n;
    argv[5].len = ngx_sprintf(n, "%uD", l->seg.n) - n;
    ngx_str_set(&argv[6], "lost");
    ngx_str_set(&argv[7], "-");
    ngx_str_set(&argv[8], "-");
    ngx_str_set(&argv[9], "-");

    p = reason;
    *p++ = '-';

    if (l->seg.reason.len > 0) {
        *p++ = ' ';
        p = ngx_cpymem(p, l->seg.reason.data, l->seg.reason.len);
    }

    argv[10].data = reason;
    argv[10].len = p - reason;

    return ngx_http_exam_redis_eval(ngx_http_exam_redis, NULL,
                                    EXAM_SCRIPT_SETTLE, 11, argv,
                                    ngx_http_exam_lost_settled, l);
}


/* one row: the value that stands now, a space, and the new `stored` number */

static void
ngx_http_exam_lost_settled(void *data, redisReply *reply)
{
    ngx_http_exam_lost_t *l = data;

    char        *space;
    uint64_t     stored;
    redisReply  *row;

    if (!ngx_http_exam_redis_away(reply)
        && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1)
    {
        row = reply->element[0];

        space = (row->type == REDIS_REPLY_STRING) ? strrchr(row->str, ' ')
                                                  : NULL;

        if (space != NULL
            && exam_uint_parse((uint8_t *) space + 1, strlen(space + 1),
                               EXAM_SEGMENT_MAX, &stored))
        {
            ngx_http_exam_zone_stored(l->mcf->zone, l->seg.sid, l->seg.kind,
                                      (int32_t) stored);
        }
    }

    ngx_destroy_pool(l->pool);
}


/* from here on neither knows of the other; NULL: the request has ended */

static ngx_http_request_t *
ngx_http_exam_lost_detach(ngx_http_exam_lost_t *l)
{
    ngx_http_request_t  *r;

    r = l->r;

    if (r != NULL) {
        l->cln->handler = NULL;
        l->r = NULL;
    }

    return r;
}


/* the request ends before the journal has answered */

static void
ngx_http_exam_lost_cleanup(void *data)
{
    ngx_http_exam_lost_t *l = data;

    l->r = NULL;
}
