
/*
 * POST /api/v1/recordings, multipart/form-data: the segment is the part `file`,
 * beside it `kind, n, started_at, duration_ms, session` (DESIGN 3.1).  Without
 * a kind, or with `file`, it is an attachment.
 *
 * Runs on the event loop.  The body goes through a parser on its way into the
 * ring; fields may come behind the file, so an upload has no number before its
 * end.  What is known earlier is refused earlier.  Invariant: until the number
 * is known the upload is nothing but a part file.
 */


#include "ngx_http_exam_intake.h"

#include "../core/exam_form.h"
#include "../core/exam_sha256.h"


#define NGX_HTTP_EXAM_FORM_MORE   65536     /* of a body, beside the file */


typedef struct {
    ngx_http_exam_intake_t   in;            /* stands first */

    exam_form_t              form;
    int                      kind;          /* -1: not given */
    uint32_t                 n;
    off_t                    read;          /* bytes of the body */
    exam_sha256_t            hash;          /* of them, with a digest */

    unsigned                 has_n:1;
    unsigned                 has_file:1;
    unsigned                 counted:1;     /* as one of its kind */
    unsigned                 digested:1;    /* Content-Digest, of the body */
} ngx_http_exam_form_t;


static exam_err_e ngx_http_exam_form_check(ngx_http_request_t *r,
    ngx_http_exam_form_t *form);
static ngx_http_exam_upload_t *ngx_http_exam_form_create(
    ngx_http_request_t *r, const ngx_http_exam_form_t *from);
static void ngx_http_exam_form_start(ngx_http_exam_upload_t *u);
static exam_err_e ngx_http_exam_form_filter(ngx_http_exam_upload_t *u,
    exam_str_t *in, exam_str_t *out);
static exam_err_e ngx_http_exam_form_next(ngx_http_exam_upload_t *u,
    exam_str_t *in, exam_str_t *out);
static exam_err_e ngx_http_exam_form_field(ngx_http_exam_upload_t *u,
    const exam_form_event_t *e);
static exam_err_e ngx_http_exam_form_time(ngx_http_exam_upload_t *u,
    const exam_form_event_t *e, const char *name, int64_t *to);
static exam_err_e ngx_http_exam_form_file(ngx_http_exam_upload_t *u,
    exam_str_t type);
static exam_err_e ngx_http_exam_form_number(ngx_http_exam_upload_t *u);
static void ngx_http_exam_form_received(ngx_http_exam_upload_t *u);
static exam_err_e ngx_http_exam_form_whole(ngx_http_exam_upload_t *u);
static exam_err_e ngx_http_exam_form_session(ngx_http_exam_upload_t *u);


static const ngx_http_exam_upload_handlers_t  ngx_http_exam_form_handlers = {
    NULL,
    ngx_http_exam_form_received,
    NULL,
    ngx_http_exam_intake_finished,
    ngx_http_exam_intake_ended,
    NULL,
    NULL
};


ngx_int_t
ngx_http_exam_form_handler(ngx_http_request_t *r)
{
    exam_err_e               err;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_form_t    *form;
    ngx_http_exam_upload_t  *u;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_exam_not_allowed(r, "POST");
    }

    ctx = ngx_http_exam_ctx(r);
    form = ngx_pcalloc(r->pool, sizeof(ngx_http_exam_form_t));

    if (ctx == NULL || form == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    err = ngx_http_exam_session(r, ctx, EXAM_ACTION_UPLOAD);

    if (err == EXAM_OK) {
        err = ngx_http_exam_form_check(r, form);
    }

    if (err != EXAM_OK) {
        return ngx_http_exam_problem(r, err, NULL);
    }

    u = ngx_http_exam_form_create(r, form);

    if (u == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;

    err = ngx_http_exam_intake_open(u);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);

    } else {
        ngx_http_exam_intake_spent(u, ngx_http_exam_form_start);
    }

    return NGX_DONE;
}


/* what the header alone decides */

static exam_err_e
ngx_http_exam_form_check(ngx_http_request_t *r, ngx_http_exam_form_t *form)
{
    ngx_str_t                  *type;
    exam_err_e                  err;
    ngx_uint_t                  has;
    ngx_http_exam_main_conf_t  *mcf;

    static ngx_str_t  none = ngx_null_string;

    mcf = ngx_http_exam_main_conf(r);

    err = ngx_http_exam_intake_fields(r);

    if (err != EXAM_OK) {
        return err;
    }

    type = &none;

    if (r->headers_in.content_type != NULL) {
        type = &r->headers_in.content_type->value;
    }

    err = exam_form_init(&form->form, exam_str_make(type->data, type->len));

    if (err == EXAM_ERR_UNSUPPORTED_TYPE) {
        return ngx_http_exam_tell(r, err,
                                  "Content-Type is multipart/form-data");
    }

    if (err != EXAM_OK) {
        return err;
    }

    if (r->headers_in.content_length_n
        > mcf->max_bytes + NGX_HTTP_EXAM_FORM_MORE)
    {
        return ngx_http_exam_tell(r, EXAM_ERR_TOO_LARGE, "at most %O bytes",
                                  mcf->max_bytes);
    }

    err = ngx_http_exam_digest_whole(r, form->in.digest, &has);
    form->digested = has;

    return err;
}


static ngx_http_exam_upload_t *
ngx_http_exam_form_create(ngx_http_request_t *r,
    const ngx_http_exam_form_t *from)
{
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_form_t     *form;
    ngx_http_exam_upload_t   *u;
    ngx_http_exam_segment_t   seg;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);

    ngx_memzero(&seg, sizeof(ngx_http_exam_segment_t));

    seg.exam = ctx->claims.exam;
    seg.student = ctx->claims.student;
    seg.gen = ctx->claims.gen;
    seg.kind = NGX_HTTP_EXAM_KIND_FORM;
    seg.started_at = -1;
    seg.duration_ms = -1;
    seg.own = 1;
    ngx_memcpy(seg.sid, ctx->claims.sid, EXAM_SID_LEN);

    u = ngx_http_exam_upload_create(r, &ngx_http_exam_form_handlers,
                                    sizeof(ngx_http_exam_form_t));
    if (u == NULL) {
        return NULL;
    }

    form = u->data;
    *form = *from;

    form->kind = -1;
    exam_sha256_init(&form->hash);

    if (ngx_http_exam_intake_init(u, &seg, NULL) != NGX_OK) {
        ngx_http_exam_upload_drop(u);
        return NULL;
    }

    form->in.late = 1;
    u->filter = ngx_http_exam_form_filter;

    if (!r->headers_in.chunked) {
        u->writer.length = ngx_min(r->headers_in.content_length_n,
                                   u->mcf->max_bytes);

        /* what is surely the file's */

        form->in.length = ngx_max(r->headers_in.content_length_n
                                  - NGX_HTTP_EXAM_FORM_MORE, 0);
    }

    return u;
}


/* the quota is known, or not to be known */

static void
ngx_http_exam_form_start(ngx_http_exam_upload_t *u)
{
    exam_err_e             err;
    ngx_http_exam_form_t  *form;

    form = u->data;

    err = ngx_http_exam_intake_quota(u);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    form->in.started = 1;

    ngx_http_exam_upload_start(u);
}


static exam_err_e
ngx_http_exam_form_filter(ngx_http_exam_upload_t *u, exam_str_t *in,
    exam_str_t *out)
{
    exam_err_e             err;
    exam_str_t             read;
    ngx_http_exam_form_t  *form;

    form = u->data;
    read = *in;

    err = ngx_http_exam_form_next(u, in, out);

    read.len -= in->len;
    form->read += read.len;

    /* 45 us for a full buffer; only for who sends a digest of the whole */

    if (form->digested) {
        exam_sha256_update(&form->hash, read.data, read.len);
    }

    if (err == EXAM_OK
        && form->read > u->mcf->max_bytes + NGX_HTTP_EXAM_FORM_MORE)
    {
        return ngx_http_exam_tell(u->r, EXAM_ERR_TOO_LARGE, "at most %O bytes",
                                  u->mcf->max_bytes);
    }

    return err;
}


static exam_err_e
ngx_http_exam_form_next(ngx_http_exam_upload_t *u, exam_str_t *in,
    exam_str_t *out)
{
    exam_err_e             err;
    exam_form_event_t      e;
    exam_form_event_e      what;
    ngx_http_exam_form_t  *form;

    form = u->data;

    for ( ;; ) {
        err = exam_form_next(&form->form, in, &what, &e);

        if (err != EXAM_OK) {
            return form->form.fileless
                   ? ngx_http_exam_tell(u->r, EXAM_ERR_MISSING_MEMBER, "file")
                   : err;
        }

        switch (what) {

        case EXAM_FORM_FIELD:
            err = ngx_http_exam_form_field(u, &e);
            break;

        case EXAM_FORM_FILE_BEGIN:
            form->has_file = 1;
            err = ngx_http_exam_form_file(u, e.type);
            break;

        case EXAM_FORM_FILE_DATA:
            *out = e.data;
            return EXAM_OK;

        case EXAM_FORM_MORE:
            return EXAM_OK;

        default: /* EXAM_FORM_FILE_END, EXAM_FORM_END */
            break;
        }

        if (err != EXAM_OK) {
            return err;
        }
    }
}


/* fields that nobody knows are ignored, of one that stands twice the last */

static exam_err_e
ngx_http_exam_form_field(ngx_http_exam_upload_t *u,
    const exam_form_event_t *e)
{
    ngx_http_exam_form_t  *form;

    form = u->data;

    if (exam_str_eq(e->name, exam_str("kind"))) {
        form->kind = exam_kind_find(&u->mcf->kinds, e->value);

        /* as without a kind */

        return form->kind >= 0 || exam_str_eq(e->value, exam_str("file"))
               ? EXAM_OK : ngx_http_exam_recordings_kind(u->r, 1);
    }

    if (exam_str_eq(e->name, exam_str("n"))) {
        form->has_n = 1;

        return exam_id_segment(e->value, &form->n)
               ? EXAM_OK
               : ngx_http_exam_tell(u->r, EXAM_ERR_NOT_FOUND,
                                    NGX_HTTP_EXAM_TELL_N);
    }

    if (exam_str_eq(e->name, exam_str("started_at"))) {
        return ngx_http_exam_form_time(u, e, "started_at",
                                       &form->in.seg.started_at);
    }

    if (exam_str_eq(e->name, exam_str("duration_ms"))) {
        return ngx_http_exam_form_time(u, e, "duration_ms",
                                       &form->in.seg.duration_ms);
    }

    if (exam_str_eq(e->name, exam_str("session"))
        && !exam_sid_parse(e->value, form->in.seg.sid))
    {
        return ngx_http_exam_tell(u->r, EXAM_ERR_BAD_VALUE,
                                  NGX_HTTP_EXAM_TELL_SESSION);
    }

    return EXAM_OK;
}


static exam_err_e
ngx_http_exam_form_time(ngx_http_exam_upload_t *u,
    const exam_form_event_t *e, const char *name, int64_t *to)
{
    uint64_t  value;

    if (!exam_uint_parse(e->value.data, e->value.len, EXAM_SEQ_MAX, &value)) {
        return ngx_http_exam_tell(u->r, EXAM_ERR_BAD_VALUE,
                                  NGX_HTTP_EXAM_TELL_NUMBER, name,
                                  (uint64_t) EXAM_SEQ_MAX);
    }

    *to = (int64_t) value;

    return EXAM_OK;
}


static exam_err_e
ngx_http_exam_form_file(ngx_http_exam_upload_t *u, exam_str_t type)
{
    exam_err_e             err;
    ngx_http_exam_form_t  *form;

    form = u->data;

    err = ngx_http_exam_intake_type(u, type);

    if (err != EXAM_OK || form->kind < 0 || !form->has_n) {
        return err;
    }

    return ngx_http_exam_form_number(u);
}


/* kind and number are known: what they refuse, and their place in the count */

static exam_err_e
ngx_http_exam_form_number(ngx_http_exam_upload_t *u)
{
    exam_str_t             name;
    ngx_uint_t             kind;
    exam_err_e             err;
    ngx_http_exam_form_t  *form;

    form = u->data;

    kind = EXAM_KIND_FILE;
    name = exam_str("file");

    if (form->kind >= 0) {
        kind = (ngx_uint_t) form->kind;
        name = u->mcf->kinds.name[kind];
    }

    ngx_http_exam_intake_number(u, kind, name, form->n);

    err = ngx_http_exam_intake_check(u->r, &form->in.seg, -1);

    if (err != EXAM_OK) {
        return err;
    }

    if (form->in.has_slot && !form->counted
        && ngx_http_exam_zone_upload_kind(u->mcf->zone, form->in.payer,
                                          form->in.slot, kind,
                                          ngx_http_exam_intake_limit(u->mcf,
                                                                     kind))
           != NGX_OK)
    {
        return ngx_http_exam_intake_full(u, kind, name);
    }

    form->counted = 1;

    return EXAM_OK;
}


static void
ngx_http_exam_form_received(ngx_http_exam_upload_t *u)
{
    exam_err_e                err;
    ngx_http_exam_ctx_t      *ctx;
    ngx_http_exam_form_t     *form;
    ngx_http_exam_segment_t  *seg;

    form = u->data;

    err = ngx_http_exam_form_whole(u);

    if (err == EXAM_OK) {
        err = ngx_http_exam_form_session(u);
    }

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    if (form->in.seg.own) {
        ngx_http_exam_intake_received(u);
        return;
    }

    /* whose session it is, is asked as for a PUT; then _form_go() */

    seg = ngx_palloc(u->r->pool, sizeof(ngx_http_exam_segment_t));

    if (seg == NULL) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_INTERNAL);
        return;
    }

    *seg = form->in.seg;
    seg->form = u;

    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);
    ctx->data = seg;

    ngx_http_exam_recordings_start(u->r);
}


void
ngx_http_exam_form_go(ngx_http_request_t *r, ngx_http_exam_segment_t *seg)
{
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_form_t    *form;
    ngx_http_exam_upload_t  *u;

    u = seg->form;
    form = u->data;

    form->in.seg.gen = seg->gen;
    u->writer.manifest.gen = seg->gen;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exam_module);
    ctx->data = u;

    ngx_http_exam_intake_received(u);
}


/* all parts have come: do they make a segment? */

static exam_err_e
ngx_http_exam_form_whole(ngx_http_exam_upload_t *u)
{
    uint8_t                digest[EXAM_HASH_LEN];
    exam_err_e             err;
    ngx_http_exam_form_t  *form;

    form = u->data;

    err = exam_form_finished(&form->form);

    if (err != EXAM_OK) {
        return err;
    }

    if (form->kind >= 0 && !form->has_n) {
        return ngx_http_exam_tell(u->r, EXAM_ERR_MISSING_MEMBER, "n");
    }

    if (form->digested) {
        exam_sha256_final(&form->hash, digest);

        if (ngx_memcmp(form->in.digest, digest, EXAM_HASH_LEN) != 0) {
            return EXAM_ERR_DIGEST_MISMATCH;
        }
    }

    err = ngx_http_exam_form_number(u);

    if (err == EXAM_OK) {

        /* once more: now it is known whether it is an attachment */

        err = ngx_http_exam_intake_type(u, form->in.seg.content_type);
    }

    u->writer.manifest.started_at = form->in.seg.started_at;
    u->writer.manifest.duration_ms = form->in.seg.duration_ms;

    return err;
}


static exam_err_e
ngx_http_exam_form_session(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_form_t     *form;
    ngx_http_exam_segment_t  *seg;

    form = u->data;
    seg = &form->in.seg;

    if (ngx_memcmp(seg->sid, form->in.payer, EXAM_SID_LEN) == 0) {
        return EXAM_OK;
    }

    if (exam_sid_hash(seg->sid) != exam_id_hash(seg->exam, seg->student)) {
        return EXAM_ERR_NOT_FOUND;
    }

    seg->own = 0;
    seg->gen = 0;
    ngx_memcpy(u->writer.manifest.sid, seg->sid, EXAM_SID_LEN);

    return EXAM_OK;
}
