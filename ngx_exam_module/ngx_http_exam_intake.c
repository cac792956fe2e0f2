
/*
 * Checks, manifest, reservation, answer (see the header).  What zone and ledger
 * say of the number: ngx_http_exam_intake_ask.c; the bytes are moved by
 * ngx_http_exam_upload.c.
 *
 * Runs on the event loop.
 */


#include "ngx_http_exam_doorbell.h"
#include "ngx_http_exam_intake.h"
#include "ngx_http_exam_record.h"

#include <sys/random.h>


#define NGX_HTTP_EXAM_INTAKE_RETRY  10      /* ms, another one is finishing */
#define NGX_HTTP_EXAM_INTAKE_WAIT   5000    /* ms altogether */


static ngx_int_t ngx_http_exam_intake_manifest(ngx_http_exam_upload_t *u);
static void ngx_http_exam_intake_reserve(ngx_http_exam_upload_t *u);
static void ngx_http_exam_intake_again(ngx_event_t *ev);
static void ngx_http_exam_intake_repeat(ngx_http_exam_upload_t *u);


exam_err_e
ngx_http_exam_intake_check(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg, off_t length)
{
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    /* attachments: any type, number and length but the limit's */

    if (seg->kind != EXAM_KIND_FILE
        && !exam_type_recording(seg->content_type))
    {
        return ngx_http_exam_tell(r, EXAM_ERR_UNSUPPORTED_TYPE,
                                  "%s is one of video/webm, video/mp4,"
                                  " video/x-matroska",
                                  r->method == NGX_HTTP_PUT ? "Content-Type"
                                  : "the type of the recording");
    }

    if (length > mcf->max_bytes) {
        return ngx_http_exam_tell(r, EXAM_ERR_TOO_LARGE, "at most %O bytes",
                                  mcf->max_bytes);
    }

    if (seg->kind == EXAM_KIND_FILE) {
        return EXAM_OK;
    }

    if (length == 0) {
        return EXAM_ERR_EMPTY_SEGMENT;
    }

    if (seg->n >= (uint32_t) mcf->max_segments) {
        return ngx_http_exam_tell(r, EXAM_ERR_SEGMENT_NUMBER,
                                  "n is below %i", mcf->max_segments);
    }

    return EXAM_OK;
}


/* RFC 9110, 14.5 and 8.4: neither may be passed over */

exam_err_e
ngx_http_exam_intake_fields(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  coding = ngx_string("Content-Encoding");
    static ngx_str_t  identity = ngx_string("identity");

    if (r->headers_in.content_range != NULL) {
        return ngx_http_exam_tell(r, EXAM_ERR_BAD_REQUEST,
                                  "Content-Range is for no upload, parts go to"
                                  " /api/v1/uploads");
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != coding.len
                || ngx_strncasecmp(h[i].key.data, coding.data, coding.len) != 0
                || (h[i].value.len == identity.len
                    && ngx_strncasecmp(h[i].value.data, identity.data,
                                       identity.len)
                       == 0))
            {
                continue;
            }

            if (ngx_http_exam_header(r, "Accept-Encoding", &identity)
                != NGX_OK)
            {
                return EXAM_ERR_INTERNAL;
            }

            return ngx_http_exam_tell(r, EXAM_ERR_UNSUPPORTED_TYPE,
                                      "Content-Encoding is none, or identity");
        }
    }

    return EXAM_OK;
}


ngx_int_t
ngx_http_exam_intake_init(ngx_http_exam_upload_t *u,
    const ngx_http_exam_segment_t *seg,
    const ngx_http_exam_intake_handlers_t *handlers)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    ngx_http_exam_intake_begin(u, handlers);

    in->seg = *seg;
    in->hash.kind = (uint8_t) seg->kind;
    in->hash.n = seg->n;

    in->length = -1;
    u->limit = u->mcf->max_bytes;

    if (getrandom(in->hash.upload, sizeof(in->hash.upload), 0)
        != (ssize_t) sizeof(in->hash.upload))
    {
        return NGX_ERROR;
    }

    return ngx_http_exam_intake_manifest(u);
}


void
ngx_http_exam_intake_begin(ngx_http_exam_upload_t *u,
    const ngx_http_exam_intake_handlers_t *handlers)
{
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);

    ngx_memcpy(in->payer, ctx->claims.sid, EXAM_SID_LEN);

    if (handlers != NULL) {
        in->handlers = *handlers;
    }

    in->timer.data = u;
    in->timer.handler = ngx_http_exam_intake_again;
    in->timer.log = ngx_cycle->log;
}


/* all strings are copied: the manifest is written when r may be gone */

static ngx_int_t
ngx_http_exam_intake_manifest(ngx_http_exam_upload_t *u)
{
    u_char                  *id;
    exam_buf_t               b;
    exam_manifest_t         *m;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    m = &u->writer.manifest;

    id = ngx_pnalloc(u->pool, EXAM_UPLOAD_MAX);
    if (id == NULL) {
        return NGX_ERROR;
    }

    exam_buf_init(&b, id, EXAM_UPLOAD_MAX);
    ngx_http_exam_upload_id(&b, u->mcf, in->hash.upload);

    m->id = exam_str_make(id, exam_buf_len(&b));

    if (ngx_http_exam_copy(u->pool, &in->seg.exam) != NGX_OK
        || ngx_http_exam_copy(u->pool, &in->seg.student) != NGX_OK
        || ngx_http_exam_intake_type(u, in->seg.content_type) != EXAM_OK)
    {
        return NGX_ERROR;
    }

    m->exam = in->seg.exam;
    m->student = in->seg.student;
    ngx_memcpy(m->sid, in->seg.sid, EXAM_SID_LEN);
    m->gen = in->seg.gen;
    m->kind = in->seg.kind_name;
    m->n = in->seg.n;
    m->started_at = in->seg.started_at;
    m->duration_ms = in->seg.duration_ms;
    m->received_at = -1;
    m->node = u->mcf->node;
    m->boot_id = ngx_http_exam_spool.boot_id;

    return NGX_OK;
}


/* parameters that a manifest cannot hold are left out */

exam_err_e
ngx_http_exam_intake_type(ngx_http_exam_upload_t *u, exam_str_t type)
{
    size_t                   i;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (!exam_type_valid(type)) {

        for (i = 0; i < type.len && type.data[i] != ';'; i++) { /* void */ }

        type.len = i;

        while (type.len > 0 && type.data[type.len - 1] == ' ') {
            type.len--;
        }
    }

    if (in->seg.kind == EXAM_KIND_FILE && !exam_type_attachment(type)) {
        type = exam_str("application/octet-stream");
    }

    if (ngx_http_exam_copy(u->pool, &type) != NGX_OK) {
        return EXAM_ERR_INTERNAL;
    }

    in->seg.content_type = type;
    u->writer.manifest.content_type = type;

    return EXAM_OK;
}


void
ngx_http_exam_intake_number(ngx_http_exam_upload_t *u, ngx_uint_t kind,
    exam_str_t name, uint32_t n)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    in->seg.kind = kind;
    in->seg.kind_name = name;
    in->seg.n = n;

    in->hash.kind = (uint8_t) kind;
    in->hash.n = n;

    u->writer.manifest.kind = name;
    u->writer.manifest.n = n;
}


ngx_uint_t
ngx_http_exam_intake_limit(ngx_http_exam_main_conf_t *mcf, ngx_uint_t kind)
{
    return (kind == EXAM_KIND_FILE) ? mcf->file_uploads : mcf->kind_uploads;
}


exam_err_e
ngx_http_exam_intake_open(ngx_http_exam_upload_t *u)
{
    ngx_uint_t               limit;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    limit = ngx_http_exam_intake_limit(u->mcf, in->seg.kind);

    /* one of any kind may be on the way in each of its slots */

    if (in->seg.kind == NGX_HTTP_EXAM_KIND_FORM) {
        limit *= u->mcf->kinds.n + 1;
    }

    /* whatever session it is for: the one that asks has a node, and pays */

    switch (ngx_http_exam_zone_upload_open(u->mcf->zone, in->payer,
                                           in->seg.kind, limit, &in->slot))
    {

    case NGX_OK:
        in->has_slot = 1;
        break;

    case NGX_BUSY:
        return ngx_http_exam_intake_busy(u);

    default: /* NGX_DECLINED: the zone has no room to count */
        break;
    }

    return EXAM_OK;
}


/* with a digest a double is told before its body is asked for */

void
ngx_http_exam_intake_start(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (in->other_state != EXAM_SEG_NONE && in->has_digest) {
        ngx_http_exam_intake_known(u, in->digest);
        return;
    }

    in->started = 1;

    ngx_http_exam_upload_start(u);
}


void
ngx_http_exam_intake_received(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (u->writer.offset == 0 && in->seg.kind != EXAM_KIND_FILE) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_EMPTY_SEGMENT);
        return;
    }

    if (in->has_digest
        && ngx_memcmp(in->digest, u->writer.sha256, EXAM_HASH_LEN) != 0)
    {
        ngx_http_exam_upload_fail(u, EXAM_ERR_DIGEST_MISMATCH);
        return;
    }

    if (in->late) {
        ngx_http_exam_intake_ask(u);
        return;
    }

    ngx_http_exam_intake_decide(u);
}


void
ngx_http_exam_intake_decide(ngx_http_exam_upload_t *u)
{
    exam_err_e               err;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (in->other_state != EXAM_SEG_NONE) {
        ngx_http_exam_intake_known(u, u->writer.sha256);
        return;
    }

    /* once more: it was not the only one that there was room for */

    in->length = u->writer.offset;
    err = ngx_http_exam_intake_quota(u);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_intake_reserve(u);
}


/* of two that arrive at once the first complete one wins */

static void
ngx_http_exam_intake_reserve(ngx_http_exam_upload_t *u)
{
    ngx_int_t                rc;
    exam_manifest_t         *m;
    ngx_http_exam_hash_t     hash;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    in->hash.bytes = u->writer.offset;
    ngx_memcpy(in->hash.sha256, u->writer.sha256, EXAM_HASH_LEN);

    hash = in->hash;

    rc = ngx_http_exam_zone_segment_reserve(u->mcf->zone, in->seg.sid, &hash);

    if (rc == NGX_ABORT && in->seg.kind == EXAM_KIND_FILE) {

        /* a number that was given twice: the next one */

        if (in->held) {
            ngx_http_exam_intake_gone(u->mcf, &u->writer.manifest);
        }

        ngx_http_exam_intake_renumber(u);
        ngx_http_exam_intake_reserve(u);
        return;
    }

    if (rc == NGX_ABORT) {
        in->other = hash;
        in->other_state = EXAM_SEG_RECEIVED;
        ngx_http_exam_intake_known(u, u->writer.sha256);
        return;
    }

    if (rc == NGX_BUSY) {

        if (in->waited >= NGX_HTTP_EXAM_INTAKE_WAIT) {
            ngx_http_exam_upload_fail(u, EXAM_ERR_OVERLOADED);
            return;
        }

        in->waited += NGX_HTTP_EXAM_INTAKE_RETRY;
        ngx_add_timer(&in->timer, NGX_HTTP_EXAM_INTAKE_RETRY);
        return;
    }

    in->reserved = (rc == NGX_OK);

    m = &u->writer.manifest;

    m->length = u->writer.offset;
    m->durable_offset = u->writer.offset;
    m->final = true;
    m->received_at = ngx_http_exam_now();
    ngx_memcpy(m->sha256, u->writer.sha256, EXAM_HASH_LEN);

    ngx_http_exam_upload_finish(u);
}


static void
ngx_http_exam_intake_again(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_exam_intake_t  *in;
    ngx_http_exam_upload_t  *u = ev->data;

    void                   (*ready)(ngx_http_exam_upload_t *u);

    in = u->data;
    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    ready = in->ready;
    in->ready = NULL;

    if (ready != NULL) {
        ready(u);

    } else {
        ngx_http_exam_intake_reserve(u);
    }

    ngx_http_run_posted_requests(c);
}


ngx_int_t
ngx_http_exam_intake_wait(ngx_http_exam_upload_t *u,
    void (*ready)(ngx_http_exam_upload_t *u))
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (in->waited >= NGX_HTTP_EXAM_INTAKE_WAIT
        || !ngx_http_exam_intake_cold(u))
    {
        return NGX_OK;
    }

    in->ready = ready;
    in->waited += NGX_HTTP_EXAM_INTAKE_RETRY;
    ngx_add_timer(&in->timer, NGX_HTTP_EXAM_INTAKE_RETRY);

    return NGX_AGAIN;
}


/* without a spool there is nothing to wait for */

ngx_uint_t
ngx_http_exam_intake_cold(ngx_http_exam_upload_t *u)
{
    return !ngx_http_exam_zone_warm(u->mcf->zone)
           && ngx_http_exam_spool.dir != -1 && ngx_http_exam_spool.ready != -1;
}


/* the number is taken: by the same content or by another */

void
ngx_http_exam_intake_known(ngx_http_exam_upload_t *u,
    const uint8_t sha256[EXAM_HASH_LEN])
{
    u_char                   hex[2 * EXAM_HASH_LEN];
    exam_err_e               err;
    ngx_uint_t               same;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    same = (ngx_memcmp(in->other.sha256, sha256, EXAM_HASH_LEN) == 0);

    if (in->handlers.known != NULL) {
        in->handlers.known(u, same);
        return;
    }

    if (!same) {
        (void) ngx_hex_dump(hex, in->other.sha256, EXAM_HASH_LEN);

        err = ngx_http_exam_tell(u->r, EXAM_ERR_SEGMENT_CONFLICT,
                                 "%*s %uD is %s, its sha256 is %*s",
                                 in->seg.kind_name.len, in->seg.kind_name.data,
                                 in->seg.n, exam_seg_name(in->other_state),
                                 sizeof(hex), hex);
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_intake_repeat(u);
}


/* 200 with what the number has */

static void
ngx_http_exam_intake_repeat(ngx_http_exam_upload_t *u)
{
    u_char                    id[EXAM_UPLOAD_MAX];
    exam_str_t                name;
    ngx_http_request_t       *r;
    ngx_http_exam_intake_t    in;

    r = u->r;

    ((ngx_http_exam_intake_t *) u->data)->repeated = 1;

    in = *(ngx_http_exam_intake_t *) u->data;
    name = ngx_http_exam_intake_other(u, id);

    ngx_http_exam_upload_drop(u);

    ngx_http_exam_intake_answer(r, NGX_HTTP_OK, name, in.other.bytes,
                                in.other.sha256, in.other_state, &in.seg);
}


exam_str_t
ngx_http_exam_intake_other(ngx_http_exam_upload_t *u,
    u_char id[EXAM_UPLOAD_MAX])
{
    exam_buf_t               b;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    exam_buf_init(&b, id, EXAM_UPLOAD_MAX);

    if (in->other_id.len > 0 && in->other_id.len <= EXAM_UPLOAD_MAX) {
        exam_buf_put(&b, in->other_id.data, in->other_id.len);

    } else {
        ngx_http_exam_upload_id(&b, u->mcf, in->other.upload);
    }

    return exam_str_make(id, exam_buf_len(&b));
}


void
ngx_http_exam_intake_ended(ngx_http_exam_upload_t *u, ngx_uint_t durable)
{
    ngx_http_exam_held_t     held;
    ngx_http_exam_zone_t    *zone;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    zone = u->mcf->zone;

    if (in->timer.timer_set) {
        ngx_del_timer(&in->timer);
    }

    if (durable) {
        ngx_http_exam_zone_segment_commit(zone, in->seg.sid, &in->hash);
        ngx_http_exam_look_wake(in->seg.sid, in->seg.kind, in->seg.n);

    } else if (in->reserved) {
        ngx_http_exam_zone_segment_abort(zone, in->seg.sid, &in->hash);
    }

    in->reserved = 0;

    if (in->has_slot) {
        ngx_http_exam_zone_upload_close(zone, in->payer, in->slot);
        in->has_slot = 0;
    }

    if (in->held && durable) {
        ngx_http_exam_zone_upload_drop(zone, in->seg.sid, in->hash.upload);

    } else if ((in->held || in->claimed) && !in->kept) {
        ngx_http_exam_intake_gone(u->mcf, &u->writer.manifest);
    }

    if (durable && !in->held) {
        (void) ngx_http_exam_intake_free(u->mcf, &in->seg, &held);
    }

    in->held = 0;
    in->claimed = 0;

    if (!durable && in->started && !in->repeated) {
        ngx_http_exam_count(u->mcf, uploads_failed_total, 1);
    }
}


void
ngx_http_exam_intake_finished(ngx_http_exam_upload_t *u, ngx_http_request_t *r)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    ngx_http_exam_count(u->mcf, uploads_total, 1);
    ngx_http_exam_count(u->mcf, upload_bytes_total, u->received);

    if (r != NULL) {
        ngx_http_exam_observe(u->mcf, upload, ngx_http_exam_elapsed(r));

        ngx_http_exam_intake_answer(r, NGX_HTTP_CREATED,
                                    u->writer.manifest.id, u->received,
                                    u->writer.sha256, EXAM_SEG_RECEIVED,
                                    &in->seg);
    }

    ngx_http_exam_intake_told(u);
}


void
ngx_http_exam_intake_told(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_record_receipt(&u->writer.manifest);
    ngx_http_exam_doorbell(u);
}


void
ngx_http_exam_intake_answer(ngx_http_request_t *r, ngx_uint_t status,
    exam_str_t id, int64_t bytes, const uint8_t sha256[EXAM_HASH_LEN],
    exam_seg_e state, const ngx_http_exam_segment_t *seg)
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
    exam_buf_char(&b, '"');

    if (seg->kind == EXAM_KIND_FILE) {
        exam_buf_lit(&b, ",\"kind\":\"file\",\"n\":");
        exam_buf_uint(&b, seg->n);
    }

    exam_buf_lit(&b, "}\n");

    rc = ngx_http_exam_json(r, status, &b);

done:

    ngx_http_finalize_request(r, rc);
}
