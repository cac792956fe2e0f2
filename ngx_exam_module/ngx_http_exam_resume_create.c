
/*
 * Creation of a resumable upload: which number it is for, its manifest, whether
 * anything stands against it.  Then ngx_http_exam_resume.c goes on.  Runs on
 * the event loop.
 */


#include "ngx_http_exam_resume.h"


#define NGX_HTTP_EXAM_RESUME_TRIES  4   /* others may be at the same number */
#define NGX_HTTP_EXAM_RESUME_WAIT   900 /* ms, for what others create */


static exam_err_e ngx_http_exam_resume_number(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
static exam_err_e ngx_http_exam_resume_type(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up, exam_str_t *type);
static void ngx_http_exam_resume_hold(ngx_http_exam_upload_t *u);
static exam_err_e ngx_http_exam_resume_manifest(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_there(ngx_http_exam_upload_t *u,
    exam_str_t id, int64_t length, ngx_uint_t coming);
static void ngx_http_exam_resume_afar(ngx_http_exam_upload_t *u, exam_str_t id,
    ngx_uint_t same);
static void ngx_http_exam_resume_node(void *data, redisReply *reply);
static void ngx_http_exam_resume_remote(ngx_http_exam_upload_t *u);


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
            (void) ngx_http_exam_recordings_kind(r, 1);
            return EXAM_ERR_BAD_METADATA;
        }

        up->seg.kind = (ngx_uint_t) i;
        up->seg.kind_name = mcf->kinds.name[i];
    }

    err = ngx_http_exam_resume_number(r, up);
    if (err != EXAM_OK) {
        return err;
    }

    err = ngx_http_exam_resume_type(r, up, &up->seg.content_type);
    if (err != EXAM_OK) {
        return err;
    }

    err = ngx_http_exam_intake_check(r, &up->seg, up->length);
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

    return n < 0 ? ngx_http_exam_tell(r, EXAM_ERR_BAD_METADATA,
                                      "n is missing")
                 : EXAM_OK;
}


/* of what is uploaded; a request of tus has one of its own */

static exam_err_e
ngx_http_exam_resume_type(ngx_http_request_t *r, ngx_http_exam_uploads_t *up,
    exam_str_t *type)
{
    u_char     *src, *dst;
    ngx_str_t   arg, *value;

    *type = up->meta.filetype;

    if (type->len > 0) {
        return EXAM_OK;
    }

    if (ngx_http_arg(r, (u_char *) "filetype", 8, &arg) == NGX_OK) {

        dst = ngx_pnalloc(r->pool, arg.len);
        if (dst == NULL) {
            return EXAM_ERR_INTERNAL;
        }

        *type = exam_str_make(dst, 0);
        src = arg.data;

        ngx_unescape_uri(&dst, &src, arg.len, 0);

        type->len = dst - type->data;

        return exam_type_valid(*type)
               ? EXAM_OK
               : ngx_http_exam_tell(r, EXAM_ERR_BAD_ARGUMENT,
                                    "filetype is a media type");
    }

    if (up->dialect == NGX_HTTP_EXAM_RUFH
        && r->headers_in.content_type != NULL)
    {
        value = &r->headers_in.content_type->value;
        *type = exam_str_make(value->data, value->len);
    }

    return EXAM_OK;
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

    if (up->tries == NGX_HTTP_EXAM_RESUME_TRIES
        || (up->since != 0
            && ngx_current_msec - up->since >= NGX_HTTP_EXAM_RESUME_WAIT))
    {
        ngx_http_exam_recordings_problem(r, EXAM_ERR_UPLOAD_BUSY);
        return;
    }

    u = ngx_http_exam_resume_new(r, up);

    if (u == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    re = u->data;
    re->created = 1;

    err = ngx_http_exam_resume_manifest(u);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    ngx_http_exam_resume_hold(u);
}


static void
ngx_http_exam_resume_hold(ngx_http_exam_upload_t *u)
{
    int64_t                   expires_at;
    exam_err_e                err;
    ngx_uint_t                there;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_uploads_t  *up;

    re = u->data;
    up = re->up;

    if (ngx_http_exam_intake_wait(u, ngx_http_exam_resume_hold) == NGX_AGAIN) {
        return;
    }

    /* still being looked for: a second upload would leave the first behind */

    if (ngx_http_exam_intake_cold(u)) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_UNAVAILABLE);
        return;
    }

    if (up->since == 0) {
        up->since = ngx_current_msec;
    }

    u->writer.info_time = ngx_time();
    expires_at = (int64_t) ngx_http_exam_resume_end(u) * 1000;

    err = ngx_http_exam_intake_hold(u, up->length, expires_at, &there);

    if (err != EXAM_OK) {
        ngx_http_exam_upload_fail(u, err);
        return;
    }

    re->there = (there != 0);

    /* also of what is there: its number may have come otherwise */

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


/* nothing that is received stands against it */

void
ngx_http_exam_resume_asked(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;
    ngx_http_exam_resume_t  *re;

    re = u->data;
    in = &re->intake;

    if (in->other_state != EXAM_SEG_NONE) {

        if (re->there) {
            ngx_http_exam_intake_end(u->mcf, &in->seg, in->rival_id,
                                     EXAM_GONE_REFUSED, NULL, NULL);
        }

        ngx_http_exam_upload_fail(u, EXAM_ERR_SEGMENT_CONFLICT);
        return;
    }

    if (re->there) {
        ngx_http_exam_resume_there(u, in->rival_id, in->rival_length,
                                   in->rival_coming);
        return;
    }

    ngx_http_exam_intake_claim(u);
}


void
ngx_http_exam_resume_claimed(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (in->other_state == EXAM_SEG_NONE) {
        ngx_http_exam_upload_begin(u);
        return;
    }

    if (in->other_state != EXAM_SEG_RECEIVING) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_SEGMENT_CONFLICT);
        return;
    }

    ngx_http_exam_resume_there(u, in->other_id, in->other.bytes, 0);
}


/*
 * The number has an incomplete upload.  With the same length it is the answer:
 * who asks has lost that of his first request, or asks twice at once.  With
 * another it is of no use.
 */

static void
ngx_http_exam_resume_there(ngx_http_exam_upload_t *u, exam_str_t id,
    int64_t length, ngx_uint_t coming)
{
    ngx_uint_t                same;
    ngx_http_request_t       *r;
    ngx_http_exam_upload_t   *rival;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_uploads_t  *up;

    r = u->r;
    re = u->data;
    up = re->up;
    same = (up->length == length);

    if (ngx_http_exam_copy(r->pool, &id) != NGX_OK) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_INTERNAL);
        return;
    }

    if (!ngx_http_exam_intake_here(u->mcf, id)) {
        ngx_http_exam_resume_afar(u, id, same);
        return;
    }

    rival = ngx_http_exam_resume_new(r, up);

    if (rival == NULL) {
        ngx_http_exam_upload_fail(u, EXAM_ERR_INTERNAL);
        return;
    }

    ngx_http_exam_upload_drop(u);

    re = rival->data;
    re->discard = !same;
    rival->coming = coming;

    ngx_http_exam_upload_acquire(rival, id);
}


/*
 * It lies on another node.  Of one that says nothing of itself any more nobody
 * can go on with it: then its number is free.  Should the node come back with
 * it, the first one that is complete counts, as ever.
 */

static void
ngx_http_exam_resume_afar(ngx_http_exam_upload_t *u, exam_str_t id,
    ngx_uint_t same)
{
    char                     key[EXAM_KEY_MAX];
    ngx_str_t                argv[2];
    ngx_http_exam_resume_t  *re;

    re = u->data;

    /* what this one has been given is its own's, not the other's */

    ngx_http_exam_intake_ended(u, 0);

    u->writer.manifest.id = id;
    re->elsewhere = 1;
    re->same = (same != 0);

    ngx_str_set(&argv[0], "EXISTS");
    argv[1].data = (u_char *) key;
    argv[1].len = exam_key_node(key, exam_str_make(id.data, id.len
                                                   - EXAM_SID_HEX - 1));

    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, 2, argv,
                                    ngx_http_exam_resume_node, u)
        != NGX_OK)
    {
        ngx_http_exam_resume_remote(u);
        ngx_http_exam_upload_release(u);
    }
}


static void
ngx_http_exam_resume_node(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    ngx_connection_t        *c;
    ngx_http_exam_resume_t  *re;

    if (u->r == NULL || ngx_http_exam_spool.exiting) {
        ngx_http_exam_upload_release(u);
        return;
    }

    re = u->data;
    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    if (!ngx_http_exam_redis_away(reply)
        && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0)
    {
        ngx_log_error(NGX_LOG_NOTICE, c->log, 0,
                      "exam upload \"%*s\" lies on a node that has gone, its "
                      "number is free", u->writer.manifest.id.len,
                      u->writer.manifest.id.data);

        re->elsewhere = 0;
        ngx_http_exam_resume_rival(u, EXAM_ERR_UPLOAD_NOT_FOUND);

    } else {
        ngx_http_exam_resume_remote(u);
    }

    ngx_http_run_posted_requests(c);
    ngx_http_exam_upload_release(u);
}


/* it can be found there, but not be discarded from here */

static void
ngx_http_exam_resume_remote(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    ngx_http_exam_resume_answer(u, re->same ? EXAM_OK
                                            : EXAM_ERR_SEGMENT_CONFLICT);
}


void
ngx_http_exam_resume_rival(ngx_http_exam_upload_t *u, exam_err_e err)
{
    exam_manifest_t           m;
    ngx_http_request_t       *r;
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_segment_t  *seg;
    ngx_http_exam_uploads_t  *up;

    r = u->r;
    re = u->data;
    up = re->up;
    seg = &up->seg;

    if (err != EXAM_ERR_UPLOAD_NOT_FOUND && err != EXAM_ERR_UPLOAD_GONE) {

        /* complete by now, or trouble with the disk */

        ngx_http_exam_resume_answer(u, err == EXAM_OK
                                       ? EXAM_ERR_SEGMENT_CONFLICT : err);
        return;
    }

    /* whoever began to create it may have found another one meanwhile */

    if (u->coming && err == EXAM_ERR_UPLOAD_NOT_FOUND) {
        ngx_http_exam_upload_leave(u);
        ngx_http_exam_resume_create(r, seg);
        return;
    }

    /* what zone or ledger took for an upload is none any more */

    up->tries++;

    ngx_memzero(&m, sizeof(exam_manifest_t));

    m.id = u->writer.manifest.id;
    m.exam = seg->exam;
    m.student = seg->student;
    m.kind = seg->kind_name;
    m.n = seg->n;
    m.node = u->mcf->node;
    ngx_memcpy(m.sid, seg->sid, EXAM_SID_LEN);

    ngx_http_exam_intake_gone(u->mcf, &m);
    ngx_http_exam_upload_leave(u);

    ngx_http_exam_resume_create(r, seg);
}
