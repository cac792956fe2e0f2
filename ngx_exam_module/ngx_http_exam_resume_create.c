
/*
 * Creation of a resumable upload: which number it is for, its manifest, whether
 * anything stands against it.  Then ngx_http_exam_resume.c goes on.  Runs on
 * the event loop.
 */


#include "ngx_http_exam_resume.h"


static exam_err_e ngx_http_exam_resume_number(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
static exam_str_t ngx_http_exam_resume_type(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
static exam_err_e ngx_http_exam_resume_manifest(ngx_http_exam_upload_t *u);


/* which number it is for: by the metadata, or by arguments as those of PUT */

exam_err_e
ngx_http_exam_resume_segment(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up)
{
    int                         i;
    exam_err_e                  err;
    ngx_str_t                   arg;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    mcf = ngx_http_exam_main_conf(r);

    up->seg.exam = ctx->claims.exam;
    up->seg.student = ctx->claims.student;

    if (up->meta.kind.len == 0
        && ngx_http_arg(r, (u_char *) "kind", 4, &arg) == NGX_OK)
    {
        up->meta.kind = exam_str_make(arg.data, arg.len);
    }

    if (up->meta.kind.len == 0
        || exam_str_eq(up->meta.kind, exam_str("file")))
    {
        /* an attachment: its number is given later */

        up->seg.kind = EXAM_KIND_FILE;
        up->seg.kind_name = exam_str("file");

    } else {
        i = exam_kind_find(&mcf->kinds, up->meta.kind);

        if (i < 0) {
            return EXAM_ERR_BAD_METADATA;
        }

        up->seg.kind = (ngx_uint_t) i;
        up->seg.kind_name = mcf->kinds.name[i];
    }

    err = ngx_http_exam_resume_number(r, up);
    if (err != EXAM_OK) {
        return err;
    }

    up->seg.content_type = ngx_http_exam_resume_type(r, up);

    err = ngx_http_exam_intake_check(mcf, &up->seg, up->length);
    if (err != EXAM_OK) {
        return err;
    }

    return ngx_http_exam_recordings_session(r, ctx, &up->seg);
}


static exam_err_e
ngx_http_exam_resume_number(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up)
{
    int64_t     n;
    exam_err_e  err;

    static ngx_str_t  started_at = ngx_string("started_at");
    static ngx_str_t  duration_ms = ngx_string("duration_ms");
    static ngx_str_t  number = ngx_string("n");

    up->seg.started_at = up->meta.started_at;
    up->seg.duration_ms = up->meta.duration_ms;
    up->seg.n = up->meta.n;

    if (up->seg.started_at < 0) {
        err = ngx_http_exam_recordings_number(r, &started_at, EXAM_SEQ_MAX,
                                              &up->seg.started_at);
        if (err != EXAM_OK) {
            return err;
        }
    }

    if (up->seg.duration_ms < 0) {
        err = ngx_http_exam_recordings_number(r, &duration_ms, EXAM_SEQ_MAX,
                                              &up->seg.duration_ms);
        if (err != EXAM_OK) {
            return err;
        }
    }

    if (up->meta.has_n || up->seg.kind == EXAM_KIND_FILE) {
        return EXAM_OK;
    }

    err = ngx_http_exam_recordings_number(r, &number, EXAM_SEGMENT_MAX, &n);
    if (err != EXAM_OK) {
        return err;
    }

    up->seg.n = (uint32_t) n;

    return n < 0 ? EXAM_ERR_BAD_METADATA : EXAM_OK;
}


/* of what is uploaded; a request of tus has one of its own */

static exam_str_t
ngx_http_exam_resume_type(ngx_http_request_t *r, ngx_http_exam_uploads_t *up)
{
    exam_str_t  type;
    ngx_str_t  *value;

    type = up->meta.filetype;

    if (type.len == 0 && up->dialect == NGX_HTTP_EXAM_RUFH
        && r->headers_in.content_type != NULL)
    {
        value = &r->headers_in.content_type->value;
        type = exam_str_make(value->data, value->len);
    }

    if (up->seg.kind == EXAM_KIND_FILE && !exam_type_attachment(type)) {
        type = exam_str("application/octet-stream");
    }

    return type;
}


void
ngx_http_exam_resume_create(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg)
{
    exam_err_e                err;
    ngx_http_exam_upload_t   *u;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_uploads_t  *up;

    up = (ngx_http_exam_uploads_t *) seg;

    u = ngx_http_exam_resume_new(r, up);

    if (u == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    re = u->data;
    re->created = 1;

    err = ngx_http_exam_resume_manifest(u);

    if (err == EXAM_OK) {
        err = ngx_http_exam_intake_open(u);
    }

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_intake_ask(u);
}


static exam_err_e
ngx_http_exam_resume_manifest(ngx_http_exam_upload_t *u)
{
    exam_manifest_t          *m;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_uploads_t  *up;

    re = u->data;
    up = re->up;

    if (ngx_http_exam_intake_init(u, &up->seg, &ngx_http_exam_resume_intake)
        != NGX_OK)
    {
        return EXAM_ERR_INTERNAL;
    }

    m = &u->writer.manifest;

    m->protocol = (up->dialect == NGX_HTTP_EXAM_TUS) ? EXAM_PROTOCOL_TUS
                                                     : EXAM_PROTOCOL_IETF;
    m->created_at = ngx_http_exam_now();
    m->length = up->length;
    m->metadata = up->f.metadata;
    m->expected = up->has_digest;
    ngx_memcpy(m->expected_sha256, up->digest, EXAM_HASH_LEN);

    u->writer.length = up->length;

    return ngx_http_exam_copy(u->pool, &m->metadata) == NGX_OK
           ? EXAM_OK : EXAM_ERR_INTERNAL;
}


/* nothing stands against it */

void
ngx_http_exam_resume_asked(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (in->other_state != EXAM_SEG_NONE) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_SEGMENT_CONFLICT);
        return;
    }

    ngx_http_exam_upload_begin(u);
}
