
/*
 * Resumable uploads in zone and ledger: from their creation to their end, over
 * connections and processes (see ngx_http_exam_intake.h).
 *
 * Runs on the event loop.  Invariant: what was held or claimed for an upload
 * that did not come to be on the disk is taken back by ngx_http_exam_intake.c;
 * the entry of one that is gone names it by its id, so that a later upload's is
 * not touched.
 */


#include "ngx_http_exam_doorbell.h"
#include "ngx_http_exam_intake.h"
#include "ngx_http_exam_record.h"


#define NGX_HTTP_EXAM_INTAKE_FILES  4   /* of the largest, a session's open */
#define NGX_HTTP_EXAM_INTAKE_TOLD   4   /* of those that are in the way */
#define NGX_HTTP_EXAM_INTAKE_TEXT   192
#define NGX_HTTP_EXAM_INTAKE_MEMBER 160
#define NGX_HTTP_EXAM_INTAKE_LATER  29  /* s, before Retry-After's jitter */


static int64_t ngx_http_exam_intake_waiting(exam_buf_t *b,
    const ngx_http_exam_held_t *held, ngx_uint_t n, exam_str_t name,
    ngx_uint_t also);
static exam_str_t ngx_http_exam_intake_members(ngx_http_exam_upload_t *u,
    const ngx_http_exam_held_t *held, ngx_uint_t n, exam_str_t name);
static void ngx_http_exam_intake_answered(void *data, redisReply *reply);
static exam_err_e ngx_http_exam_intake_winner(ngx_http_exam_upload_t *u,
    redisReply *reply);
static void ngx_http_exam_intake_taken_back(void *data, redisReply *reply);
static void ngx_http_exam_intake_held(ngx_http_exam_upload_t *u,
    ngx_http_exam_held_t *held, int64_t expires_at);
static ngx_int_t ngx_http_exam_intake_random(exam_str_t id,
    uint8_t random[16]);


exam_err_e
ngx_http_exam_intake_hold(ngx_http_exam_upload_t *u, int64_t length,
    int64_t expires_at, ngx_uint_t *there)
{
    off_t                    bytes;
    u_char                  *id;
    exam_buf_t               b;
    ngx_http_exam_held_t     held;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    *there = 0;

    in->length = length;
    u->writer.manifest.length = length;
    ngx_http_exam_intake_held(u, &held, expires_at);

    /* attachments may be many, of which each has the room that it reserves */

    bytes = (in->seg.kind == EXAM_KIND_FILE)
            ? NGX_HTTP_EXAM_INTAKE_FILES * u->mcf->max_bytes : 0;

    switch (ngx_http_exam_zone_upload_hold(u->mcf->zone, in->payer,
                                           in->seg.sid,
                                           ngx_http_exam_intake_limit(u->mcf,
                                                               in->seg.kind),
                                           bytes, &held))
    {

    case NGX_OK:
        in->held = 1;
        break;

    case NGX_AGAIN:
        id = ngx_pnalloc(u->pool, EXAM_UPLOAD_MAX);
        if (id == NULL) {
            return EXAM_ERR_INTERNAL;
        }

        exam_buf_init(&b, id, EXAM_UPLOAD_MAX);
        ngx_http_exam_upload_id(&b, u->mcf, held.id);

        in->rival_id = exam_str_make(id, exam_buf_len(&b));
        in->rival_length = held.length;
        in->rival_coming = (held.pid != 0);
        *there = 1;
        break;

    case NGX_BUSY:
        return ngx_http_exam_intake_busy(u);

    default: /* NGX_DECLINED: the zone has no room to count */
        break;
    }

    return EXAM_OK;
}


/* a number that is there already needs no place to be answered */

exam_err_e
ngx_http_exam_intake_busy(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (in->seg.kind < u->mcf->kinds.n) {
        in->full = 1;
        return EXAM_OK;
    }

    return ngx_http_exam_intake_full(u, in->seg.kind, in->seg.kind_name);
}


/*
 * What nobody is connected to stays until it expires, as its bytes were
 * acknowledged: who has forgotten it is told which it is.
 */

exam_err_e
ngx_http_exam_intake_full(ngx_http_exam_upload_t *u, ngx_uint_t kind,
    exam_str_t name)
{
    u_char                   text[NGX_HTTP_EXAM_INTAKE_TEXT];
    int64_t                  left;
    ngx_uint_t               n, others;
    exam_buf_t               b;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_held_t     held[NGX_HTTP_EXAM_INTAKE_TOLD];
    ngx_http_exam_intake_t  *in;

    in = u->data;
    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);

    n = ngx_http_exam_zone_upload_list(u->mcf->zone, in->payer, 1, kind, held,
                                       NGX_HTTP_EXAM_INTAKE_TOLD, &others);

    exam_buf_init(&b, text, sizeof(text));

    if (others > 0) {
        exam_buf_uint(&b, others);
        exam_buf_lit(&b, " under way");
    }

    if (n > 0) {
        left = ngx_http_exam_intake_waiting(&b, held, n, name, others > 0);

        if (others == 0) {
            ctx->wait_s = ngx_min(left, NGX_HTTP_EXAM_INTAKE_LATER);
        }

        ctx->members = ngx_http_exam_intake_members(u, held, n, name);
    }

    return ngx_http_exam_tell(u->r, EXAM_ERR_TOO_MANY_UPLOADS, "%*s",
                              exam_buf_len(&b), text);
}


/* returns the seconds until the first of them expires */

static int64_t
ngx_http_exam_intake_waiting(exam_buf_t *b, const ngx_http_exam_held_t *held,
    ngx_uint_t n, exam_str_t name, ngx_uint_t also)
{
    int64_t     left;
    uint32_t    soonest;
    ngx_uint_t  i;

    soonest = NGX_MAX_UINT32_VALUE;

    if (also) {
        exam_buf_lit(b, ", ");
    }

    exam_buf_put(b, name.data, name.len);

    for (i = 0; i < n; i++) {

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_char(b, ' ');
        exam_buf_uint(b, held[i].n);
        soonest = ngx_min(soonest, held[i].expires);
    }

    if (n == 1) {
        exam_buf_lit(b, " waits for the rest: go on with it, or DELETE it");

    } else {
        exam_buf_lit(b, " wait for the rest: go on with them, or DELETE them");
    }

    if (soonest == NGX_MAX_UINT32_VALUE) {

        /* exam_upload_expire 0 */

        return NGX_HTTP_EXAM_INTAKE_LATER;
    }

    left = ngx_max((int64_t) soonest - ngx_time(), 1);

    exam_buf_lit(b, ", or wait ");
    exam_buf_int(b, left);
    exam_buf_lit(b, " s");

    return left;
}


/* the same for programs; none: out of memory */

static exam_str_t
ngx_http_exam_intake_members(ngx_http_exam_upload_t *u,
    const ngx_http_exam_held_t *held, ngx_uint_t n, exam_str_t name)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   i;
    exam_buf_t   b;

    size = sizeof(",\"open\":[]") + n * NGX_HTTP_EXAM_INTAKE_MEMBER;

    p = ngx_pnalloc(u->r->pool, size);
    if (p == NULL) {
        return exam_str("");
    }

    exam_buf_init(&b, p, size);
    exam_buf_lit(&b, ",\"open\":[");

    for (i = 0; i < n; i++) {

        if (i > 0) {
            exam_buf_char(&b, ',');
        }

        exam_buf_lit(&b, "{\"kind\":\"");
        exam_buf_put(&b, name.data, name.len);
        exam_buf_lit(&b, "\",\"n\":");
        exam_buf_uint(&b, held[i].n);
        exam_buf_lit(&b, ",\"id\":\"");
        ngx_http_exam_upload_id(&b, u->mcf, held[i].id);
        exam_buf_lit(&b, "\",\"expires_at\":");
        ngx_http_exam_time_json(&b, held[i].expires == NGX_MAX_UINT32_VALUE
                                    ? 0 : (int64_t) held[i].expires * 1000);
        exam_buf_char(&b, '}');
    }

    exam_buf_char(&b, ']');

    return exam_str_make(p, exam_buf_len(&b));
}


void
ngx_http_exam_intake_claim(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    in->other_state = EXAM_SEG_NONE;
    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_settle(&u->writer.manifest, "receiving",
                             ngx_http_exam_intake_answered, u)
        == NGX_OK)
    {
        in->claimed = 1;
        return;
    }

    /* Redis is away: zone and spool alone */

    in->handlers.claimed(u);

    ngx_http_exam_upload_release(u);
}


static void
ngx_http_exam_intake_answered(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    exam_err_e               err;
    ngx_connection_t        *c;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (u->r != NULL && !ngx_http_exam_spool.exiting) {

        c = u->r->connection;
        ngx_http_set_log_request(c->log, u->r);

        err = ngx_http_exam_intake_winner(u, reply);

        if (err != EXAM_OK) {
            ngx_http_exam_upload_fail(u, err);

        } else if (in->seg.kind == EXAM_KIND_FILE
                   && in->other_state != EXAM_SEG_NONE)
        {
            /* a number that was given twice: the next one */

            ngx_http_exam_intake_renumber(u);
            ngx_http_exam_intake_claim(u);

        } else {
            in->handlers.claimed(u);
        }

        ngx_http_run_posted_requests(c);
    }

    ngx_http_exam_upload_release(u);
}


void
ngx_http_exam_intake_renumber(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    ngx_http_exam_intake_number(u, EXAM_KIND_FILE, in->seg.kind_name,
                                ngx_http_exam_zone_file(u->mcf->zone,
                                                        in->seg.sid,
                                                        in->seg.n + 1));
}


/* the value that stands now is ours, or that of who came first */

static exam_err_e
ngx_http_exam_intake_winner(ngx_http_exam_upload_t *u, redisReply *reply)
{
    exam_str_t               value;
    exam_ledger_t            e;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    in->other_state = EXAM_SEG_NONE;

    if (ngx_http_exam_redis_away(reply)) {
        return EXAM_OK;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "exam settle answered with type %d", reply->type);
        return EXAM_OK;
    }

    /* behind the value stands a space and `stored` */

    value = exam_str_make(reply->element[0]->str, reply->element[0]->len);

    while (value.len > 0 && value.data[--value.len] != ' ') { /* void */ }

    if (!exam_ledger_parse(value, &e)
        || exam_str_eq(e.upload, u->writer.manifest.id))
    {
        return EXAM_OK;
    }

    if (e.state == EXAM_SEG_RECEIVING
        || (e.has_sha256 && (e.state == EXAM_SEG_RECEIVED
                             || e.state == EXAM_SEG_STORED)))
    {
        in->claimed = 0;

        return ngx_http_exam_intake_taken(u, &e);
    }

    return EXAM_OK;
}


void
ngx_http_exam_intake_keep(ngx_http_exam_upload_t *u, int64_t expires_at)
{
    ngx_http_exam_held_t     held;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    in->kept = 1;

    ngx_http_exam_intake_held(u, &held, expires_at);
    ngx_http_exam_zone_upload_keep(u->mcf->zone, in->seg.sid, &held);
}


static void
ngx_http_exam_intake_held(ngx_http_exam_upload_t *u,
    ngx_http_exam_held_t *held, int64_t expires_at)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    ngx_memzero(held, sizeof(ngx_http_exam_held_t));

    held->length = u->writer.manifest.length;
    held->expires = (uint32_t) (expires_at / 1000);
    held->kind = in->hash.kind;
    held->n = in->hash.n;
    ngx_memcpy(held->id, in->hash.upload, sizeof(held->id));
}


ngx_int_t
ngx_http_exam_intake_resume(ngx_http_exam_upload_t *u,
    const ngx_http_exam_intake_handlers_t *handlers)
{
    int                      kind;
    exam_manifest_t         *m;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    m = &u->writer.manifest;

    kind = ngx_http_exam_kind(u->mcf, m->kind);

    if (kind < 0
        || ngx_http_exam_intake_random(m->id, in->hash.upload) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_exam_intake_begin(u, handlers);

    in->seg.exam = m->exam;
    in->seg.student = m->student;
    in->seg.gen = m->gen;
    in->seg.kind = (ngx_uint_t) kind;
    in->seg.kind_name = m->kind;
    in->seg.n = m->n;
    in->seg.started_at = m->started_at;
    in->seg.duration_ms = m->duration_ms;
    in->seg.content_type = m->content_type;
    ngx_memcpy(in->seg.sid, m->sid, EXAM_SID_LEN);

    in->hash.kind = (uint8_t) kind;
    in->hash.n = m->n;

    in->held = 1;
    in->kept = 1;
    in->late = 1;
    in->numbered = 1;
    in->length = m->length;

    return NGX_OK;
}


void
ngx_http_exam_intake_gone(ngx_http_exam_main_conf_t *mcf,
    const exam_manifest_t *m)
{
    uint8_t  random[16];

    if (ngx_http_exam_intake_random(m->id, random) == NGX_OK) {
        ngx_http_exam_zone_upload_drop(mcf->zone, m->sid, random);
    }

    /* with Redis away it stands until another upload of the number is whole */

    (void) ngx_http_exam_settle(m, "gone", ngx_http_exam_intake_taken_back,
                                NULL);
}


void
ngx_http_exam_intake_whole(ngx_http_exam_main_conf_t *mcf,
    const exam_manifest_t *m)
{
    int                       kind;
    ngx_http_exam_held_t      held;
    ngx_http_exam_hash_t      hash, known;
    ngx_http_exam_segment_t   seg;

    ngx_memzero(&hash, sizeof(ngx_http_exam_hash_t));
    ngx_memzero(&seg, sizeof(ngx_http_exam_segment_t));

    kind = ngx_http_exam_kind(mcf, m->kind);

    if (kind < 0 || ngx_http_exam_intake_random(m->id, hash.upload) != NGX_OK) {
        return;
    }

    if (ngx_http_exam_zone_segment(mcf->zone, m->sid, (ngx_uint_t) kind, m->n,
                                   &known, NULL)
        == NGX_OK
        && known.state == EXAM_SEG_RECEIVED
        && ngx_memcmp(known.upload, hash.upload, sizeof(hash.upload)) == 0)
    {
        return;
    }

    hash.kind = (uint8_t) kind;
    hash.n = m->n;
    hash.bytes = m->length;
    ngx_memcpy(hash.sha256, m->sha256, EXAM_HASH_LEN);

    seg.kind = (ngx_uint_t) kind;
    seg.n = m->n;
    ngx_memcpy(seg.sid, m->sid, EXAM_SID_LEN);

    ngx_http_exam_zone_segment_commit(mcf->zone, m->sid, &hash);
    ngx_http_exam_zone_upload_drop(mcf->zone, m->sid, hash.upload);
    (void) ngx_http_exam_intake_free(mcf, &seg, &held);
    ngx_http_exam_look_wake(m->sid, (ngx_uint_t) kind, m->n);

    ngx_http_exam_count(mcf, uploads_total, 1);

    ngx_http_exam_record_receipt(m);
    ngx_http_exam_doorbell_found(mcf, m);
}


static void
ngx_http_exam_intake_taken_back(void *data, redisReply *reply)
{
    /* void */
}


int
ngx_http_exam_kind(ngx_http_exam_main_conf_t *mcf, exam_str_t name)
{
    return exam_str_eq(name, exam_str("file"))
           ? EXAM_KIND_FILE : exam_kind_find(&mcf->kinds, name);
}


static ngx_int_t
ngx_http_exam_intake_random(exam_str_t id, uint8_t random[16])
{
    if (id.len <= EXAM_SID_HEX
        || !exam_hex_decode(id.data + id.len - EXAM_SID_HEX, EXAM_SID_HEX,
                            random, 16))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
