
/*
 * PUT /api/v1/recordings/{kind}/{n}: what may be uploaded, and once (DESIGN
 * 3.1, 5).
 *
 *   checks -> slot -> zone, ledger -> engine -> hash compared -> reserved
 *          -> finish sequence -> 201 -> ledger and doorbell in the background
 *
 * Runs on the event loop; ngx_http_exam_upload.c moves the bytes.  Invariants:
 * the slot is closed and the reservation ended in `ended`, whatever happens;
 * nothing after the commit mark can turn an upload into a failed one.
 */


#include "ngx_http_exam_doorbell.h"
#include "ngx_http_exam_record.h"

#include <sys/random.h>


#define NGX_HTTP_EXAM_PUT_RETRY  10     /* ms, another one is finishing it */
#define NGX_HTTP_EXAM_PUT_WAIT   5000   /* ms altogether */


typedef struct {
    ngx_http_exam_segment_t        seg;     /* strings in the upload's pool */
    ngx_http_exam_hash_t           hash;    /* of this upload */

    ngx_http_exam_hash_t           other;   /* what the number has already */
    exam_str_t                     other_id;
    exam_seg_e                     other_state; /* NONE: nothing */

    uint8_t                        digest[EXAM_HASH_LEN];
    uint8_t                        payer[EXAM_SID_LEN]; /* the token's sid */
    ngx_uint_t                     slot;
    ngx_event_t                    timer;
    ngx_uint_t                     waited;  /* ms */

    unsigned                       has_digest:1;
    unsigned                       has_slot:1;
    unsigned                       beyond:1;    /* of the window, it seems */
    unsigned                       reserved:1;
    unsigned                       started:1;
    unsigned                       repeated:1;   /* answered from the other */
} ngx_http_exam_put_t;


static exam_err_e ngx_http_exam_put_check(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg);
static ngx_http_exam_upload_t *ngx_http_exam_put_create(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg);
static ngx_int_t ngx_http_exam_put_manifest(ngx_http_exam_upload_t *u);
static exam_str_t ngx_http_exam_put_type(ngx_http_request_t *r);
static void ngx_http_exam_put_zone(ngx_http_exam_upload_t *u);
static void ngx_http_exam_put_ledger(void *data, redisReply *reply);
static exam_err_e ngx_http_exam_put_entries(ngx_http_exam_upload_t *u,
    redisReply *reply);
static exam_err_e ngx_http_exam_put_known(ngx_http_exam_upload_t *u,
    const exam_ledger_t *e);
static void ngx_http_exam_put_refused(ngx_http_exam_upload_t *u,
    const exam_ledger_t *e);
static void ngx_http_exam_put_begin(ngx_http_exam_upload_t *u);
static void ngx_http_exam_put_received(ngx_http_exam_upload_t *u);
static void ngx_http_exam_put_reserve(ngx_http_exam_upload_t *u);
static void ngx_http_exam_put_again(ngx_event_t *ev);
static void ngx_http_exam_put_compare(ngx_http_exam_upload_t *u,
    const uint8_t sha256[EXAM_HASH_LEN]);
static void ngx_http_exam_put_ended(ngx_http_exam_upload_t *u,
    ngx_uint_t durable);
static void ngx_http_exam_put_finished(ngx_http_exam_upload_t *u,
    ngx_http_request_t *r);
static void ngx_http_exam_put_answer(ngx_http_request_t *r, ngx_uint_t status,
    exam_str_t id, int64_t bytes, const uint8_t sha256[EXAM_HASH_LEN],
    exam_seg_e state);


static const ngx_http_exam_upload_handlers_t  ngx_http_exam_put_handlers = {
    ngx_http_exam_put_received,
    ngx_http_exam_put_finished,
    ngx_http_exam_put_ended
};


void
ngx_http_exam_put(ngx_http_request_t *r, const ngx_http_exam_segment_t *seg)
{
    exam_err_e               err;
    ngx_http_exam_put_t     *put;
    ngx_http_exam_upload_t  *u;

    err = ngx_http_exam_put_check(r, seg);

    if (err != EXAM_OK) {
        ngx_http_finalize_request(r, ngx_http_exam_problem(r, err, NULL));
        return;
    }

    u = ngx_http_exam_put_create(r, seg);

    if (u == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    put = u->data;

    /* whatever session it is for: the one that asks has a node, and pays */

    switch (ngx_http_exam_zone_upload_open(u->mcf->zone, put->payer, seg->kind,
                                           u->mcf->kind_uploads, &put->slot))
    {

    case NGX_OK:
        put->has_slot = 1;
        break;

    case NGX_BUSY:
        ngx_http_exam_upload_fail(u, EXAM_ERR_TOO_MANY_UPLOADS);
        return;

    default: /* NGX_DECLINED: the zone has no room to count */
        break;
    }

    ngx_http_exam_put_zone(u);
}


/* what the header alone decides */

static exam_err_e
ngx_http_exam_put_check(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg)
{
    uint8_t                     digest[EXAM_HASH_LEN];
    ngx_str_t                  *type;
    ngx_uint_t                  has;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    if (r->headers_in.content_type == NULL) {
        return EXAM_ERR_UNSUPPORTED_TYPE;
    }

    type = &r->headers_in.content_type->value;

    if (!exam_type_recording(exam_str_make(type->data, type->len))) {
        return EXAM_ERR_UNSUPPORTED_TYPE;
    }

    if (r->headers_in.content_length_n > mcf->max_bytes) {
        return EXAM_ERR_TOO_LARGE;
    }

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return EXAM_ERR_EMPTY_SEGMENT;
    }

    if (seg->n >= (uint32_t) mcf->max_segments) {
        return EXAM_ERR_SEGMENT_NUMBER;
    }

    return ngx_http_exam_digest(r, digest, &has);
}


static ngx_http_exam_upload_t *
ngx_http_exam_put_create(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg)
{
    ngx_uint_t               has;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_put_t     *put;
    ngx_http_exam_upload_t  *u;

    u = ngx_http_exam_upload_create(r, &ngx_http_exam_put_handlers,
                                    sizeof(ngx_http_exam_put_t));
    if (u == NULL) {
        return NULL;
    }

    put = u->data;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    put->seg = *seg;
    ngx_memcpy(put->payer, ctx->claims.sid, EXAM_SID_LEN);
    put->hash.kind = (uint8_t) seg->kind;
    put->hash.n = seg->n;

    u->limit = u->mcf->max_bytes;

    if (!r->headers_in.chunked) {
        u->writer.length = r->headers_in.content_length_n;
    }

    if (ngx_http_exam_digest(r, put->digest, &has) != EXAM_OK
        || getrandom(put->hash.upload, sizeof(put->hash.upload), 0)
           != (ssize_t) sizeof(put->hash.upload)
        || ngx_http_exam_put_manifest(u) != NGX_OK)
    {
        ngx_http_exam_upload_drop(u);
        return NULL;
    }

    put->has_digest = has;

    put->timer.data = u;
    put->timer.handler = ngx_http_exam_put_again;
    put->timer.log = ngx_cycle->log;

    return u;
}


/* all strings are copied: the manifest is written when r may be gone */

static ngx_int_t
ngx_http_exam_put_manifest(ngx_http_exam_upload_t *u)
{
    u_char               *id;
    exam_buf_t            b;
    exam_manifest_t      *m;
    ngx_http_exam_put_t  *put;

    put = u->data;
    m = &u->writer.manifest;

    id = ngx_pnalloc(u->pool, EXAM_UPLOAD_MAX);
    if (id == NULL) {
        return NGX_ERROR;
    }

    exam_buf_init(&b, id, EXAM_UPLOAD_MAX);
    ngx_http_exam_upload_id(&b, u->mcf, put->hash.upload);

    m->id = exam_str_make(id, exam_buf_len(&b));
    m->content_type = ngx_http_exam_put_type(u->r);

    if (ngx_http_exam_copy(u->pool, &put->seg.exam) != NGX_OK
        || ngx_http_exam_copy(u->pool, &put->seg.student) != NGX_OK
        || ngx_http_exam_copy(u->pool, &m->content_type) != NGX_OK)
    {
        return NGX_ERROR;
    }

    m->exam = put->seg.exam;
    m->student = put->seg.student;
    ngx_memcpy(m->sid, put->seg.sid, EXAM_SID_LEN);
    m->gen = put->seg.gen;
    m->kind = put->seg.kind_name;
    m->n = put->seg.n;
    m->started_at = put->seg.started_at;
    m->duration_ms = put->seg.duration_ms;
    m->received_at = -1;
    m->node = u->mcf->node;
    m->boot_id = ngx_http_exam_spool.boot_id;

    return NGX_OK;
}


/* parameters that a manifest cannot hold are left out */

static exam_str_t
ngx_http_exam_put_type(ngx_http_request_t *r)
{
    size_t      i;
    exam_str_t  type;
    ngx_str_t  *value;

    value = &r->headers_in.content_type->value;
    type = exam_str_make(value->data, value->len);

    if (!exam_type_valid(type)) {

        for (i = 0; i < type.len && type.data[i] != ';'; i++) { /* void */ }

        type.len = i;

        while (type.len > 0 && type.data[type.len - 1] == ' ') {
            type.len--;
        }
    }

    return type;
}


/* does the node know the number, and how far the session has come? */

static void
ngx_http_exam_put_zone(ngx_http_exam_upload_t *u)
{
    int64_t               highest;
    ngx_int_t             rc;
    ngx_uint_t            before;
    ngx_http_exam_put_t  *put;

    put = u->data;

    rc = ngx_http_exam_zone_segment(u->mcf->zone, put->seg.sid, put->seg.kind,
                                    put->seg.n, &put->other, &highest);

    before = 0;

    if (rc == NGX_OK && put->other.state == EXAM_SEG_RECEIVED) {
        ngx_http_exam_count(u->mcf, ledger_hits_total, 1);
        put->other_state = EXAM_SEG_RECEIVED;

    } else {
        ngx_http_exam_count(u->mcf, ledger_misses_total, 1);
    }

    if (put->other_state == EXAM_SEG_NONE && highest >= -1
        && (int64_t) put->seg.n > highest + u->mcf->segment_window)
    {
        put->beyond = 1;
        before = u->mcf->segment_window;
    }

    /* also of what was received here: it may have been refused since */

    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_ledger_ask(&put->seg, before, NULL,
                                 ngx_http_exam_put_ledger, u)
        != NGX_OK)
    {
        /* Redis is away: what the zone does not know is new (DESIGN 4) */

        ngx_http_exam_put_begin(u);
        ngx_http_exam_upload_release(u);
    }
}


static void
ngx_http_exam_put_ledger(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    exam_err_e         err;
    ngx_connection_t  *c;

    if (u->r != NULL && !ngx_http_exam_spool.exiting) {

        c = u->r->connection;
        ngx_http_set_log_request(c->log, u->r);

        err = ngx_http_exam_put_entries(u, reply);

        if (err != EXAM_OK) {
            ngx_http_exam_upload_fail(u, err);

        } else {
            ngx_http_exam_put_begin(u);
        }

        ngx_http_run_posted_requests(c);
    }

    ngx_http_exam_upload_release(u);
}


/*
 * Only what was received or stored stands against this upload; a number beyond
 * the window of the zone is in order when the ledger has one closer to it.
 */

static exam_err_e
ngx_http_exam_put_entries(ngx_http_exam_upload_t *u, redisReply *reply)
{
    ngx_uint_t            i;
    exam_ledger_t         e;
    ngx_http_exam_put_t  *put;

    put = u->data;

    if (ngx_http_exam_redis_away(reply)) {
        return EXAM_OK;
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "exam ledger answered with type %d", reply->type);
        return EXAM_OK;
    }

    if (ngx_http_exam_ledger_entry(reply, 0, &e)) {

        if (e.state == EXAM_SEG_REFUSED) {
            ngx_http_exam_put_refused(u, &e);

            return EXAM_OK;
        }

        if (put->other_state == EXAM_SEG_NONE
            && (e.state == EXAM_SEG_RECEIVED || e.state == EXAM_SEG_STORED)
            && e.has_sha256)
        {
            return ngx_http_exam_put_known(u, &e);
        }

        put->beyond = 0;
    }

    for (i = 1; put->beyond && i < reply->elements; i++) {
        if (ngx_http_exam_ledger_entry(reply, i, &e)) {
            put->beyond = 0;
        }
    }

    return put->beyond ? EXAM_ERR_SEGMENT_NUMBER : EXAM_OK;
}


/* what the number has by the ledger, which may be another node's */

static exam_err_e
ngx_http_exam_put_known(ngx_http_exam_upload_t *u, const exam_ledger_t *e)
{
    u_char               *id;
    ngx_http_exam_put_t  *put;

    put = u->data;

    id = ngx_pnalloc(u->pool, e->upload.len + 1);
    if (id == NULL) {
        return EXAM_ERR_INTERNAL;
    }

    ngx_memcpy(id, e->upload.data, e->upload.len);

    put->other_id = exam_str_make(id, e->upload.len);
    put->other_state = e->state;
    put->other.bytes = e->bytes;
    ngx_memcpy(put->other.sha256, e->sha256, EXAM_HASH_LEN);

    return EXAM_OK;
}


/* wanted again: a receipt of the refused upload stands against no other one */

static void
ngx_http_exam_put_refused(ngx_http_exam_upload_t *u, const exam_ledger_t *e)
{
    ngx_http_exam_put_t  *put;

    put = u->data;

    if (ngx_http_exam_zone_refused(u->mcf->zone, put->seg.sid, put->seg.kind,
                                   put->seg.n, e->upload)
        == NGX_OK)
    {
        put->other_state = EXAM_SEG_NONE;
    }
}


/* with a digest a double is told before its body is asked for */

static void
ngx_http_exam_put_begin(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_put_t  *put;

    put = u->data;

    if (put->other_state != EXAM_SEG_NONE && put->has_digest) {
        ngx_http_exam_put_compare(u, put->digest);
        return;
    }

    put->started = 1;

    ngx_http_exam_upload_start(u);
}


static void
ngx_http_exam_put_received(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_put_t  *put;

    put = u->data;

    if (u->received == 0) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_EMPTY_SEGMENT);
        return;
    }

    if (put->has_digest
        && ngx_memcmp(put->digest, u->writer.sha256, EXAM_HASH_LEN) != 0)
    {
        ngx_http_exam_upload_fail(u, EXAM_ERR_DIGEST_MISMATCH);
        return;
    }

    if (put->other_state != EXAM_SEG_NONE) {
        ngx_http_exam_put_compare(u, u->writer.sha256);
        return;
    }

    ngx_http_exam_put_reserve(u);
}


/* of two that arrive at once the first complete one wins */

static void
ngx_http_exam_put_reserve(ngx_http_exam_upload_t *u)
{
    ngx_int_t              rc;
    exam_manifest_t       *m;
    ngx_http_exam_put_t   *put;
    ngx_http_exam_hash_t   hash;

    put = u->data;

    put->hash.bytes = u->received;
    ngx_memcpy(put->hash.sha256, u->writer.sha256, EXAM_HASH_LEN);

    hash = put->hash;

    rc = ngx_http_exam_zone_segment_reserve(u->mcf->zone, put->seg.sid, &hash);

    if (rc == NGX_ABORT) {
        put->other = hash;
        put->other_state = EXAM_SEG_RECEIVED;
        ngx_http_exam_put_compare(u, u->writer.sha256);
        return;
    }

    if (rc == NGX_BUSY) {

        if (put->waited >= NGX_HTTP_EXAM_PUT_WAIT) {
            ngx_http_exam_upload_fail(u, EXAM_ERR_OVERLOADED);
            return;
        }

        put->waited += NGX_HTTP_EXAM_PUT_RETRY;
        ngx_add_timer(&put->timer, NGX_HTTP_EXAM_PUT_RETRY);
        return;
    }

    put->reserved = (rc == NGX_OK);

    m = &u->writer.manifest;

    m->length = u->received;
    m->durable_offset = u->received;
    m->final = true;
    m->received_at = ngx_http_exam_now();
    ngx_memcpy(m->sha256, u->writer.sha256, EXAM_HASH_LEN);

    ngx_http_exam_upload_finish(u);
}


static void
ngx_http_exam_put_again(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_exam_upload_t  *u = ev->data;

    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    ngx_http_exam_put_reserve(u);

    ngx_http_run_posted_requests(c);
}


/* the number is taken: by the same content (200) or by another (409) */

static void
ngx_http_exam_put_compare(ngx_http_exam_upload_t *u,
    const uint8_t sha256[EXAM_HASH_LEN])
{
    u_char                id[EXAM_UPLOAD_MAX];
    exam_str_t            name;
    exam_buf_t            b;
    ngx_http_request_t   *r;
    ngx_http_exam_put_t   put;

    r = u->r;
    put = *(ngx_http_exam_put_t *) u->data;

    if (ngx_memcmp(put.other.sha256, sha256, EXAM_HASH_LEN) != 0) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_SEGMENT_CONFLICT);
        return;
    }

    exam_buf_init(&b, id, sizeof(id));

    if (put.other_id.len > 0 && put.other_id.len <= sizeof(id)) {
        exam_buf_put(&b, put.other_id.data, put.other_id.len);

    } else {
        ngx_http_exam_upload_id(&b, u->mcf, put.other.upload);
    }

    name = exam_str_make(id, exam_buf_len(&b));

    ((ngx_http_exam_put_t *) u->data)->repeated = 1;
    ngx_http_exam_upload_drop(u);

    ngx_http_exam_put_answer(r, NGX_HTTP_OK, name, put.other.bytes,
                             put.other.sha256, put.other_state);
}


static void
ngx_http_exam_put_ended(ngx_http_exam_upload_t *u, ngx_uint_t durable)
{
    ngx_http_exam_put_t   *put;
    ngx_http_exam_zone_t  *zone;

    put = u->data;
    zone = u->mcf->zone;

    if (put->timer.timer_set) {
        ngx_del_timer(&put->timer);
    }

    if (durable) {
        ngx_http_exam_zone_segment_commit(zone, put->seg.sid, &put->hash);
        ngx_http_exam_look_wake(put->seg.sid, put->seg.kind, put->seg.n);

    } else if (put->reserved) {
        ngx_http_exam_zone_segment_abort(zone, put->seg.sid, &put->hash);
    }

    put->reserved = 0;

    if (put->has_slot) {
        ngx_http_exam_zone_upload_close(zone, put->payer, put->slot);
        put->has_slot = 0;
    }

    if (!durable && put->started && !put->repeated) {
        ngx_http_exam_count(u->mcf, uploads_failed_total, 1);
    }
}


static void
ngx_http_exam_put_finished(ngx_http_exam_upload_t *u, ngx_http_request_t *r)
{
    ngx_http_exam_put_t  *put;

    put = u->data;

    ngx_http_exam_count(u->mcf, uploads_total, 1);
    ngx_http_exam_count(u->mcf, upload_bytes_total, u->received);

    if (r != NULL) {
        ngx_http_exam_observe(u->mcf, upload, ngx_http_exam_elapsed(r));

        ngx_http_exam_put_answer(r, NGX_HTTP_CREATED, u->writer.manifest.id,
                                 u->received, u->writer.sha256,
                                 EXAM_SEG_RECEIVED);
    }

    ngx_http_exam_record_receipt(&u->writer.manifest);
    ngx_http_exam_doorbell(u, &put->seg);
}


static void
ngx_http_exam_put_answer(ngx_http_request_t *r, ngx_uint_t status,
    exam_str_t id, int64_t bytes, const uint8_t sha256[EXAM_HASH_LEN],
    exam_seg_e state)
{
    u_char       *data;
    u_char        memory[NGX_HTTP_EXAM_JSON_MAX];
    ngx_int_t     rc;
    ngx_str_t     digest;
    exam_buf_t    b;
    const char   *name;

    rc = ngx_http_exam_drop_body(r);
    if (rc != NGX_OK) {
        goto done;
    }

    data = ngx_pnalloc(r->pool, sizeof("sha-256=::") + 44);
    if (data == NULL) {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        goto done;
    }

    exam_buf_init(&b, data, sizeof("sha-256=::") + 44);
    exam_buf_lit(&b, "sha-256=:");
    exam_buf_base64(&b, sha256, EXAM_HASH_LEN);
    exam_buf_char(&b, ':');

    digest.data = data;
    digest.len = exam_buf_len(&b);

    if (ngx_http_exam_header(r, "Repr-Digest", &digest) != NGX_OK) {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        goto done;
    }

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_lit(&b, "{\"id\":");
    exam_buf_json(&b, id);
    exam_buf_lit(&b, ",\"bytes\":");
    exam_buf_int(&b, bytes);
    exam_buf_lit(&b, ",\"sha256\":\"");
    exam_buf_hex(&b, sha256, EXAM_HASH_LEN);
    exam_buf_lit(&b, "\",\"state\":\"");
    name = exam_seg_name(state);
    exam_buf_put(&b, name, ngx_strlen(name));
    exam_buf_lit(&b, "\"}\n");

    rc = ngx_http_exam_json(r, status, &b);

done:

    ngx_http_finalize_request(r, rc);
}
