
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


#define NGX_HTTP_EXAM_INTAKE_FILES  4   /* of the largest, a session's open */


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
        if (held.pid != 0) {
            return EXAM_ERR_UPLOAD_BUSY;    /* not yet on the disk */
        }

        id = ngx_pnalloc(u->pool, EXAM_UPLOAD_MAX);
        if (id == NULL) {
            return EXAM_ERR_INTERNAL;
        }

        exam_buf_init(&b, id, EXAM_UPLOAD_MAX);
        ngx_http_exam_upload_id(&b, u->mcf, held.id);

        in->rival_id = exam_str_make(id, exam_buf_len(&b));
        in->rival_length = held.length;
        *there = 1;
        break;

    case NGX_BUSY:
        return EXAM_ERR_TOO_MANY_UPLOADS;

    default: /* NGX_DECLINED: the zone has no room to count */
        break;
    }

    return EXAM_OK;
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
