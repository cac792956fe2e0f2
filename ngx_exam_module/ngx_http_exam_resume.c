
/*
 * A request for a resumable upload, from the checked header to the answer:
 *
 *   POST    intake -> begin -> opened [-> append -> received] -> told
 *   HEAD    acquire -> opened -> told
 *   PATCH   acquire -> opened -> append -> received -> told | finished
 *   DELETE  acquire -> opened -> told (gone)
 *
 * Runs on the event loop.  Invariants: an offset is named in an answer only
 * after `told`; an upload is shown as complete only after `finished`, or where
 * the engine has found it so; each path ends in one answer, the engine's or one
 * from here.
 */


#include "ngx_http_exam_record.h"
#include "ngx_http_exam_resume.h"


#define NGX_HTTP_EXAM_RESUME_TELL  (4 * 1024 * 1024)   /* bytes a 104 */


static void ngx_http_exam_resume_opened(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_patch(ngx_http_exam_upload_t *u);
static exam_err_e ngx_http_exam_resume_length(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_append(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_received(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_known(ngx_http_exam_upload_t *u,
    ngx_uint_t same);
static void ngx_http_exam_resume_told(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_keep(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_finished(ngx_http_exam_upload_t *u,
    ngx_http_request_t *r);
static void ngx_http_exam_resume_ended(ngx_http_exam_upload_t *u,
    ngx_uint_t durable);
static void ngx_http_exam_resume_progress(ngx_http_exam_upload_t *u);
static ngx_int_t ngx_http_exam_resume_send(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u, exam_err_e err);


static const ngx_http_exam_upload_handlers_t  ngx_http_exam_resume_handlers = {
    ngx_http_exam_resume_opened,
    ngx_http_exam_resume_received,
    ngx_http_exam_resume_told,
    ngx_http_exam_resume_finished,
    ngx_http_exam_resume_ended,
    ngx_http_exam_resume_refused,
    ngx_http_exam_resume_progress
};

const ngx_http_exam_intake_handlers_t  ngx_http_exam_resume_intake = {
    ngx_http_exam_resume_asked,
    ngx_http_exam_resume_known,
    ngx_http_exam_resume_claimed
};


ngx_int_t
ngx_http_exam_resume(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    exam_err_e               err;
    ngx_http_exam_upload_t  *u;

    if (up->method == NGX_HTTP_POST) {
        err = ngx_http_exam_resume_segment(r, up);

        if (err != EXAM_OK) {
            return ngx_http_exam_problem(r, err, NULL);
        }

        up->seg.go = ngx_http_exam_resume_create;

        r->main->count++;
        ngx_http_exam_recordings_start(r);

        return NGX_DONE;
    }

    u = ngx_http_exam_resume_new(r, up);

    if (u == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;
    ngx_http_exam_upload_acquire(u, up->id);

    return NGX_DONE;
}


ngx_http_exam_upload_t *
ngx_http_exam_resume_new(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    ngx_http_exam_resume_t  *re;
    ngx_http_exam_upload_t  *u;

    u = ngx_http_exam_upload_create(r, &ngx_http_exam_resume_handlers,
                                    sizeof(ngx_http_exam_resume_t));
    if (u == NULL) {
        return NULL;
    }

    re = u->data;

    re->up = up;
    re->dialect = up->dialect;
    re->method = up->method;
    re->has_body = up->has_body;
    re->told = -1;

    return u;
}


static void
ngx_http_exam_resume_opened(ngx_http_exam_upload_t *u)
{
    exam_manifest_t         *m;
    ngx_http_exam_resume_t  *re;

    re = u->data;
    m = &u->writer.manifest;

    re->begin = u->writer.offset;

    if (re->created) {
        ngx_http_exam_count(u->mcf, uploads_created_total, 1);
        ngx_http_exam_resume_keep(u);

        if (re->dialect == NGX_HTTP_EXAM_RUFH && re->up->interop
            && re->has_body)
        {
            ngx_http_exam_rufh_interim(u->r, u, -1);
        }

        if (re->has_body || m->length == 0 || re->up->complete) {
            ngx_http_exam_resume_append(u);

        } else {
            ngx_http_exam_upload_tell(u);
        }

        return;
    }

    if (!ngx_http_exam_resume_own(u)) {
        ngx_http_exam_resume_answer(u, EXAM_ERR_UPLOAD_NOT_FOUND);
        return;
    }

    if (ngx_http_exam_intake_resume(u, &ngx_http_exam_resume_intake)
        != NGX_OK)
    {
        ngx_http_exam_upload_fail(u, EXAM_ERR_INTERNAL);
        return;
    }

    if (re->discard) {
        ngx_http_exam_upload_terminate(u, EXAM_GONE_DELETED);
        return;
    }

    switch (re->method) {

    case NGX_HTTP_PATCH:
        ngx_http_exam_resume_patch(u);
        return;

    case NGX_HTTP_DELETE:
        ngx_http_exam_upload_terminate(u, EXAM_GONE_DELETED);
        return;

    default: /* HEAD, or a POST for what is there already */

        /*
         * All bytes are there, but their end was interrupted: an offset equal
         * to the length would be taken for an acknowledgement.
         */

        if (m->protocol == EXAM_PROTOCOL_TUS && m->length == u->writer.offset)
        {
            ngx_http_exam_resume_append(u);
            return;
        }

        ngx_http_exam_upload_tell(u);
        return;
    }
}


static void
ngx_http_exam_resume_patch(ngx_http_exam_upload_t *u)
{
    exam_err_e               err;
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (re->up->offset != u->writer.offset) {
        re->err = EXAM_ERR_OFFSET_MISMATCH;
        ngx_http_exam_upload_tell(u);
        return;
    }

    err = ngx_http_exam_resume_length(u);

    if (err == EXAM_ERR_UPLOAD_LENGTH && re->dialect == NGX_HTTP_EXAM_RUFH) {

        /* the draft: such an upload is of no use any more */

        re->err = err;
        ngx_http_exam_upload_terminate(u, EXAM_GONE_REFUSED);
        return;
    }

    if (err != EXAM_OK) {
        ngx_http_exam_resume_answer(u, err);
        return;
    }

    ngx_http_exam_count(u->mcf, uploads_resumed_total, re->begin > 0);

    ngx_http_exam_resume_append(u);
}


/* does what the client says of the length agree with what is known? */

static exam_err_e
ngx_http_exam_resume_length(ngx_http_exam_upload_t *u)
{
    exam_manifest_t          *m;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_uploads_t  *up;

    re = u->data;
    up = re->up;
    m = &u->writer.manifest;

    if (up->length >= 0) {

        if (m->length >= 0 && m->length != up->length) {
            return EXAM_ERR_UPLOAD_LENGTH;
        }

        m->length = up->length;
    }

    if (m->length >= 0 && up->content > m->length - u->writer.offset) {
        return re->dialect == NGX_HTTP_EXAM_TUS ? EXAM_ERR_TOO_LARGE
                                                : EXAM_ERR_UPLOAD_LENGTH;
    }

    if (up->content > u->mcf->max_bytes - u->writer.offset) {
        return EXAM_ERR_TOO_LARGE;
    }

    if (up->has_digest) {
        m->expected = true;
        ngx_memcpy(m->expected_sha256, up->digest, EXAM_HASH_LEN);
    }

    return EXAM_OK;
}


static void
ngx_http_exam_resume_append(ngx_http_exam_upload_t *u)
{
    exam_manifest_t          *m;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_uploads_t  *up;

    re = u->data;
    up = re->up;
    m = &u->writer.manifest;

    u->limit = (m->length >= 0 ? m->length : u->mcf->max_bytes)
               - u->writer.offset;

    if (re->method == NGX_HTTP_HEAD) {
        u->limit = 0;

    } else {
        u->writer.length = up->content;
        u->writer.has_check = up->has_check;
        u->writer.check = up->check;
        u->writer.whole = up->complete;
    }

    if (re->dialect == NGX_HTTP_EXAM_RUFH) {

        if (m->length >= 0) {
            u->refusal = EXAM_OK;
        }

        if (up->interop) {
            u->tell_every = NGX_HTTP_EXAM_RESUME_TELL;
        }
    }

    re->intake.started = 1;

    ngx_http_exam_upload_append(u);
}


/* the body is over: is it the upload's end, too? */

static void
ngx_http_exam_resume_received(ngx_http_exam_upload_t *u)
{
    exam_err_e               err;
    exam_manifest_t         *m;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_resume_t  *re;

    re = u->data;
    m = &u->writer.manifest;

    if (u->writer.has_check && !u->writer.check_ok) {
        re->err = re->up->f.checksum.data != NULL
                  && re->dialect == NGX_HTTP_EXAM_TUS
                  ? EXAM_ERR_CHECKSUM_MISMATCH : EXAM_ERR_DIGEST_MISMATCH;

        /* nobody knows the name of what this request has created */

        if (re->created) {
            ngx_http_exam_upload_terminate(u, EXAM_GONE_REFUSED);

        } else {
            ngx_http_exam_upload_rollback(u);
        }

        return;
    }

    re->whole = (re->dialect == NGX_HTTP_EXAM_TUS
                 || re->method == NGX_HTTP_HEAD)
                ? m->length == u->writer.offset : re->up->complete;

    if (u->overrun
        || (re->whole && m->length >= 0 && m->length != u->writer.offset))
    {
        /* the draft: more than was declared, or a last part that is not it */

        re->err = EXAM_ERR_UPLOAD_LENGTH;
        ngx_http_exam_upload_terminate(u, EXAM_GONE_REFUSED);
        return;
    }

    if (!re->whole) {
        ngx_http_exam_upload_tell(u);
        return;
    }

    if (m->expected && ngx_memcmp(m->expected_sha256, u->writer.sha256,
                                  EXAM_HASH_LEN) != 0)
    {
        re->err = EXAM_ERR_DIGEST_MISMATCH;
        ngx_http_exam_upload_terminate(u, EXAM_GONE_REFUSED);
        return;
    }

    /* what was allowed when it began may be so no more */

    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);
    ctx->now = ngx_http_exam_now();

    err = ngx_http_exam_session(u->r, ctx, EXAM_ACTION_UPLOAD);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_intake_received(u);
}


/* the number has its content by now: this upload is of no use */

static void
ngx_http_exam_resume_known(ngx_http_exam_upload_t *u, ngx_uint_t same)
{
    exam_manifest_t         *m;
    ngx_http_exam_resume_t  *re;

    re = u->data;
    m = &u->writer.manifest;

    m->length = u->writer.offset;

    if (!same) {
        re->err = EXAM_ERR_SEGMENT_CONFLICT;
        ngx_http_exam_upload_terminate(u, EXAM_GONE_REFUSED);
        return;
    }

    re->complete = 1;
    re->replay = 1;
    re->has_hash = 1;
    re->bytes = m->length;
    re->intake.repeated = 1;
    ngx_memcpy(m->sha256, u->writer.sha256, EXAM_HASH_LEN);

    ngx_http_exam_upload_terminate(u, EXAM_GONE_DOUBLE);
}


static void
ngx_http_exam_resume_told(ngx_http_exam_upload_t *u)
{
    ngx_http_request_t       *r;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_segment_t  *seg;

    re = u->data;
    r = u->r;

    /* the request has done what it could: no failure */

    if (!u->no_room || re->err != EXAM_OK || re->method == NGX_HTTP_HEAD) {
        re->intake.started = 0;

    } else if (re->intake.started) {
        re->err = EXAM_ERR_DISK_FULL;
    }

    if (re->found) {

        /* its URL alone is gone */

    } else if (u->gone) {
        ngx_http_exam_intake_gone(u->mcf, &u->writer.manifest);

    } else {
        ngx_http_exam_resume_keep(u);
    }

    if (re->discard && r != NULL) {

        /* its own deed: as long as that takes, but not again and again */

        re->up->since = 0;
        re->up->tries++;

        seg = &re->up->seg;
        ngx_http_exam_upload_leave(u);
        ngx_http_exam_resume_create(r, seg);
        return;
    }

    ngx_http_exam_resume_answer(u, re->err);
}


static void
ngx_http_exam_resume_keep(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_keep(u, (int64_t) ngx_http_exam_resume_end(u) * 1000);
}


static void
ngx_http_exam_resume_finished(ngx_http_exam_upload_t *u, ngx_http_request_t *r)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    re->complete = 1;
    re->has_hash = 1;
    re->bytes = u->writer.manifest.length;

    ngx_http_exam_count(u->mcf, uploads_total, 1);
    ngx_http_exam_count(u->mcf, upload_bytes_total, re->bytes);

    if (r != NULL) {
        ngx_http_exam_observe(u->mcf, upload, ngx_http_exam_elapsed(r));
        ngx_http_finalize_request(r, ngx_http_exam_resume_send(r, u, EXAM_OK));
    }

    ngx_http_exam_intake_told(u);
}


static void
ngx_http_exam_resume_ended(ngx_http_exam_upload_t *u, ngx_uint_t durable)
{
    ngx_http_exam_intake_ended(u, durable);
}


/* while the body is received */

static void
ngx_http_exam_resume_progress(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (u->r == NULL || u->writer.manifest.durable_offset <= re->told) {
        return;
    }

    re->told = u->writer.manifest.durable_offset;

    ngx_http_exam_rufh_interim(u->r, u, re->told);
}


ngx_uint_t
ngx_http_exam_resume_own(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);

    return exam_str_eq(u->writer.manifest.exam, ctx->claims.exam)
           && exam_str_eq(u->writer.manifest.student, ctx->claims.student);
}


void
ngx_http_exam_resume_answer(ngx_http_exam_upload_t *u, exam_err_e err)
{
    ngx_http_request_t  *r;

    r = u->r;

    ngx_http_exam_upload_hold(u);
    ngx_http_exam_upload_leave(u);

    if (r != NULL) {

        if (u->no_room) {
            ngx_http_exam_upload_post_stream(r);
        }

        ngx_http_finalize_request(r, ngx_http_exam_resume_send(r, u, err));
    }

    ngx_http_exam_upload_release(u);
}


static ngx_int_t
ngx_http_exam_resume_send(ngx_http_request_t *r, ngx_http_exam_upload_t *u,
    exam_err_e err)
{
    ngx_http_exam_resume_t         *re;
    const ngx_http_exam_answers_t  *answers;

    re = u->data;

    answers = (re->dialect == NGX_HTTP_EXAM_TUS) ? &ngx_http_exam_tus_answers
                                                 : &ngx_http_exam_rufh_answers;

    if (err == EXAM_ERR_OFFSET_MISMATCH) {
        return answers->mismatch(r, u);
    }

    if (err == EXAM_ERR_DISK_FULL && u->no_room
        && answers->fields(r, u) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    if (ngx_http_exam_uploads_link(r, &u->writer.manifest) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (re->method) {

    case NGX_HTTP_POST:
        return answers->created(r, u);

    case NGX_HTTP_PATCH:
        return answers->appended(r, u);

    case NGX_HTTP_DELETE:
        return ngx_http_exam_empty(r, NGX_HTTP_NO_CONTENT);

    default: /* HEAD */
        return answers->offset(r, u);
    }
}


ngx_int_t
ngx_http_exam_resume_offset(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (re->elsewhere) {
        return NGX_OK;
    }

    return ngx_http_exam_uploads_number(r, "Upload-Offset",
                           re->complete ? re->bytes
                                        : u->writer.manifest.durable_offset);
}


ngx_int_t
ngx_http_exam_resume_expires(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    /* what is complete does not expire */

    if (re->complete || re->elsewhere || u->mcf->upload_expire == 0) {
        return NGX_OK;
    }

    return ngx_http_exam_uploads_time(r, "Upload-Expires",
                                      ngx_http_exam_resume_end(u));
}


/* to be asked for does not put it off: never before, the sweep goes by this */

time_t
ngx_http_exam_resume_end(ngx_http_exam_upload_t *u)
{
    return u->mcf->upload_expire == 0
           ? (time_t) NGX_MAX_UINT32_VALUE
           : u->writer.info_time + (time_t) (u->mcf->upload_expire / 1000);
}


/* of what is complete */

ngx_int_t
ngx_http_exam_resume_digest(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    u_char                   memory[sizeof("sha-256=::") + 44];
    ngx_str_t                value;
    exam_buf_t               b;
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (!re->complete || !re->has_hash) {
        return NGX_OK;
    }

    exam_buf_init(&b, memory, sizeof(memory));
    exam_buf_lit(&b, "sha-256=:");
    exam_buf_base64(&b, u->writer.manifest.sha256, EXAM_HASH_LEN);
    exam_buf_char(&b, ':');

    value.data = memory;
    value.len = exam_buf_len(&b);

    return ngx_http_exam_uploads_value(r, "Repr-Digest", &value);
}


ngx_int_t
ngx_http_exam_resume_mismatch(ngx_http_request_t *r, ngx_http_exam_upload_t *u)
{
    u_char                  *p;
    int64_t                  offset;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_resume_t  *re;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    re = u->data;
    offset = re->complete ? re->bytes : u->writer.manifest.durable_offset;

    p = ngx_pnalloc(r->pool, sizeof(",\"expected-offset\":"
                                    ",\"provided-offset\":")
                             + 2 * NGX_INT64_LEN);

    if (p == NULL || ngx_http_exam_resume_offset(r, u) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->members.data = p;
    ctx->members.len = ngx_sprintf(p, ",\"expected-offset\":%L"
                                   ",\"provided-offset\":%L",
                                   offset, re->up->offset) - p;

    return ngx_http_exam_problem(r, EXAM_ERR_OFFSET_MISMATCH, NULL);
}
