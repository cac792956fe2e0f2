
/*
 * A request for a resumable upload that there is nothing to go on with: it is
 * complete, gone, or unknown here (see ngx_http_exam_resume.c).  Runs on the
 * event loop; Redis is asked, not waited for.
 */


#include "ngx_http_exam_resume.h"


static void ngx_http_exam_resume_lookup(ngx_http_exam_upload_t *u);
static void ngx_http_exam_resume_looked(void *data, redisReply *reply);
static void ngx_http_exam_resume_entry(ngx_http_exam_upload_t *u,
    const exam_ledger_t *e);
static void ngx_http_exam_resume_found(ngx_http_exam_upload_t *u);
static exam_err_e ngx_http_exam_resume_again(ngx_http_exam_upload_t *u);


/* there is nothing to go on with */

void
ngx_http_exam_resume_refused(ngx_http_exam_upload_t *u, exam_err_e err)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    if (err == EXAM_OK && !u->gone && u->writer.finished) {
        ngx_http_exam_intake_whole(u->mcf, &u->writer.manifest);
    }

    if (err == EXAM_ERR_UPLOAD_GONE && u->writer.expired) {
        ngx_http_exam_intake_gone(u->mcf, &u->writer.manifest);
    }

    if ((err == EXAM_OK || err == EXAM_ERR_UPLOAD_GONE)
        && !ngx_http_exam_resume_own(u))
    {
        err = EXAM_ERR_UPLOAD_NOT_FOUND;
    }

    if (re->method == NGX_HTTP_POST && err != EXAM_ERR_UPLOAD_BUSY) {
        ngx_http_exam_resume_rival(u, err);
        return;
    }

    if (err == EXAM_ERR_UPLOAD_NOT_FOUND) {
        ngx_http_exam_resume_lookup(u);
        return;
    }

    if (err == EXAM_OK) {
        re->has_hash = !u->gone;
        ngx_http_exam_resume_found(u);
        return;
    }

    ngx_http_exam_resume_answer(u, err);
}


/*
 * No trace on this disk: a complete upload is in the ledger.  With Redis away
 * it cannot be told, and nobody shall believe that it is lost.
 */

static void
ngx_http_exam_resume_lookup(ngx_http_exam_upload_t *u)
{
    char                  key[EXAM_KEY_MAX];
    ngx_str_t             argv[2];
    ngx_http_exam_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);

    ngx_str_set(&argv[0], "HVALS");
    argv[1].data = (u_char *) key;
    argv[1].len = exam_key(key, EXAM_KEY_SEG, ctx->claims.exam,
                           ctx->claims.student);

    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, 2, argv,
                                    ngx_http_exam_resume_looked, u)
        != NGX_OK)
    {
        ngx_http_exam_resume_answer(u, EXAM_ERR_REDIS_UNAVAILABLE);
        ngx_http_exam_upload_release(u);
    }
}


static void
ngx_http_exam_resume_looked(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    ngx_uint_t         i;
    exam_ledger_t      e;
    ngx_connection_t  *c;

    if (u->r == NULL || ngx_http_exam_spool.exiting) {
        ngx_http_exam_upload_release(u);
        return;
    }

    c = u->r->connection;
    ngx_http_set_log_request(c->log, u->r);

    if (ngx_http_exam_redis_away(reply)) {
        ngx_http_exam_resume_answer(u, EXAM_ERR_REDIS_UNAVAILABLE);
        goto done;
    }

    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {

        if (ngx_http_exam_ledger_entry(reply, i, &e)
            && (e.state == EXAM_SEG_RECEIVED || e.state == EXAM_SEG_STORED)
            && e.has_sha256
            && exam_str_eq(e.upload, u->writer.manifest.id))
        {
            ngx_http_exam_resume_entry(u, &e);
            goto done;
        }
    }

    ngx_http_exam_resume_answer(u, EXAM_ERR_UPLOAD_NOT_FOUND);

done:

    ngx_http_run_posted_requests(c);
    ngx_http_exam_upload_release(u);
}


static void
ngx_http_exam_resume_entry(ngx_http_exam_upload_t *u, const exam_ledger_t *e)
{
    exam_manifest_t         *m;
    ngx_http_exam_ctx_t     *ctx;
    ngx_http_exam_resume_t  *re;

    re = u->data;
    m = &u->writer.manifest;
    ctx = ngx_http_get_module_ctx(u->r, ngx_http_exam_module);

    m->exam = ctx->claims.exam;
    m->student = ctx->claims.student;
    m->length = e->bytes;
    m->metadata = exam_str("");
    ngx_memcpy(m->sha256, e->sha256, EXAM_HASH_LEN);

    /* a tombstone is written with them, whether the request lives or not */

    if (ngx_http_exam_copy(u->pool, &m->exam) != NGX_OK
        || ngx_http_exam_copy(u->pool, &m->student) != NGX_OK)
    {
        ngx_http_exam_resume_answer(u, EXAM_ERR_INTERNAL);
        return;
    }

    re->has_hash = 1;

    ngx_http_exam_resume_found(u);
}


/* complete before this request: its recording stays, whatever is asked */

static void
ngx_http_exam_resume_found(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t  *re;

    re = u->data;

    re->found = 1;
    re->complete = 1;
    re->replay = 1;
    re->bytes = u->writer.manifest.length;

    if (re->method == NGX_HTTP_DELETE) {
        ngx_http_exam_upload_terminate(u, EXAM_GONE_DELETED);
        return;
    }

    ngx_http_exam_resume_answer(u, ngx_http_exam_resume_again(u));
}


/* to a complete upload */

static exam_err_e
ngx_http_exam_resume_again(ngx_http_exam_upload_t *u)
{
    ngx_http_exam_resume_t   *re;
    ngx_http_exam_uploads_t  *up;

    re = u->data;
    up = re->up;

    if (re->method != NGX_HTTP_PATCH) {
        return EXAM_OK;
    }

    if (re->dialect == NGX_HTTP_EXAM_TUS) {

        if (up->offset != re->bytes) {
            return EXAM_ERR_OFFSET_MISMATCH;
        }

        return up->content == 0 ? EXAM_OK : EXAM_ERR_TOO_LARGE;
    }

    /* the last part once more, whose answer was lost */

    return up->complete && up->length == re->bytes
           ? EXAM_OK : EXAM_ERR_UPLOAD_COMPLETED;
}
