
/*
 * What zone and ledger say of a number before its upload begins, the number of
 * an attachment, and the quota (see ngx_http_exam_intake.h).  Runs on the event
 * loop; Redis is asked, not waited for: away, the zone alone decides.
 */


#include "ngx_http_exam_intake.h"


static void ngx_http_exam_intake_ledger(void *data, redisReply *reply);
static exam_err_e ngx_http_exam_intake_entries(ngx_http_exam_upload_t *u,
    redisReply *reply);
static ngx_int_t ngx_http_exam_intake_rival(ngx_http_exam_upload_t *u,
    const exam_ledger_t *e);
static void ngx_http_exam_intake_refused(ngx_http_exam_upload_t *u,
    const exam_ledger_t *e);
static void ngx_http_exam_intake_file(ngx_http_exam_upload_t *u);
static void ngx_http_exam_intake_filed(void *data, redisReply *reply);
static void ngx_http_exam_intake_next(ngx_http_exam_upload_t *u,
    uint32_t least);
static void ngx_http_exam_intake_sum(void *data, redisReply *reply);
static void ngx_http_exam_intake_asked(ngx_http_exam_upload_t *u);


/* does the node know the number, and how far the session has come? */

void
ngx_http_exam_intake_ask(ngx_http_exam_upload_t *u)
{
    int64_t                  highest;
    ngx_int_t                rc;
    ngx_uint_t               before;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (ngx_http_exam_intake_wait(u, ngx_http_exam_intake_ask) == NGX_AGAIN) {
        return;
    }

    if (in->seg.kind == EXAM_KIND_FILE) {
        ngx_http_exam_intake_file(u);
        return;
    }

    rc = ngx_http_exam_zone_segment(u->mcf->zone, in->seg.sid, in->seg.kind,
                                    in->seg.n, &in->other, &highest);

    before = 0;

    if (rc == NGX_OK && in->other.state == EXAM_SEG_RECEIVED) {
        ngx_http_exam_count(u->mcf, ledger_hits_total, 1);
        in->other_state = EXAM_SEG_RECEIVED;

    } else {
        ngx_http_exam_count(u->mcf, ledger_misses_total, 1);
    }

    if (in->other_state == EXAM_SEG_NONE && highest >= -1
        && (int64_t) in->seg.n > highest + u->mcf->segment_window)
    {
        in->beyond = 1;
        before = u->mcf->segment_window;
    }

    /* its answer comes before the ledger's */

    ngx_http_exam_intake_spent(u, NULL);

    /* also of what was received here: it may have been refused since */

    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_ledger_ask(&in->seg, before, NULL,
                                 ngx_http_exam_intake_ledger, u)
        != NGX_OK)
    {
        /* Redis is away: what the zone does not know is new (DESIGN 4) */

        ngx_http_exam_intake_asked(u);
        ngx_http_exam_upload_release(u);
    }
}


static void
ngx_http_exam_intake_ledger(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    exam_err_e         err;
    ngx_connection_t  *c;

    if (u->r != NULL && !ngx_http_exam_spool.exiting) {

        c = u->r->connection;
        ngx_http_set_log_request(c->log, u->r);

        err = ngx_http_exam_intake_entries(u, reply);

        if (err != EXAM_OK) {
            ngx_http_exam_upload_fail(u, err);

        } else {
            ngx_http_exam_intake_asked(u);
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
ngx_http_exam_intake_entries(ngx_http_exam_upload_t *u, redisReply *reply)
{
    ngx_uint_t               i;
    exam_ledger_t            e;
    ngx_http_exam_intake_t  *in;

    in = u->data;

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
            ngx_http_exam_intake_refused(u, &e);

            return EXAM_OK;
        }

        if (in->other_state == EXAM_SEG_NONE
            && (e.state == EXAM_SEG_RECEIVED || e.state == EXAM_SEG_STORED)
            && e.has_sha256)
        {
            return ngx_http_exam_intake_taken(u, &e);
        }

        if (e.state == EXAM_SEG_RECEIVING && in->rival_id.len == 0
            && ngx_http_exam_intake_rival(u, &e) != NGX_OK)
        {
            return EXAM_ERR_INTERNAL;
        }

        in->beyond = 0;
    }

    for (i = 1; in->beyond && i < reply->elements; i++) {
        if (ngx_http_exam_ledger_entry(reply, i, &e)) {
            in->beyond = 0;
        }
    }

    if (!in->beyond) {
        return EXAM_OK;
    }

    return ngx_http_exam_tell(u->r, EXAM_ERR_SEGMENT_NUMBER,
                              "n is at most %i above the highest received one",
                              u->mcf->segment_window);
}


/* what the number has by the ledger, which may be another node's */

exam_err_e
ngx_http_exam_intake_taken(ngx_http_exam_upload_t *u, const exam_ledger_t *e)
{
    u_char                  *id;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    id = ngx_pnalloc(u->pool, e->upload.len + 1);
    if (id == NULL) {
        return EXAM_ERR_INTERNAL;
    }

    ngx_memcpy(id, e->upload.data, e->upload.len);

    in->other_id = exam_str_make(id, e->upload.len);
    in->other_state = e->state;
    in->other.bytes = e->bytes;
    ngx_memcpy(in->other.sha256, e->sha256, EXAM_HASH_LEN);

    return EXAM_OK;
}


/* an incomplete upload that came first; it may be this one */

static ngx_int_t
ngx_http_exam_intake_rival(ngx_http_exam_upload_t *u, const exam_ledger_t *e)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    in->rival_id = e->upload;
    in->rival_length = e->bytes;

    return ngx_http_exam_copy(u->pool, &in->rival_id);
}


/* wanted again: a receipt of the refused upload stands against no other one */

static void
ngx_http_exam_intake_refused(ngx_http_exam_upload_t *u, const exam_ledger_t *e)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (ngx_http_exam_zone_refused(u->mcf->zone, in->seg.sid, in->seg.kind,
                                   in->seg.n, e->upload)
        == NGX_OK)
    {
        in->other_state = EXAM_SEG_NONE;
    }
}


/*
 * The next number of the session's attachments.  Two nodes that did not see
 * each other may give one twice: then both are kept, as variants.
 */

static void
ngx_http_exam_intake_file(ngx_http_exam_upload_t *u)
{
    char                     key[EXAM_KEY_MAX];
    u_char                   field[EXAM_STUDENT_MAX + EXAM_SID_HEX + 8];
    ngx_str_t                argv[4];
    exam_buf_t               b;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    ngx_http_exam_intake_spent(u, NULL);

    if (in->numbered) {
        ngx_http_exam_intake_asked(u);
        return;
    }

    exam_buf_init(&b, field, sizeof(field));
    exam_buf_put(&b, in->seg.student.data, in->seg.student.len);
    exam_buf_char(&b, ':');
    exam_buf_hex(&b, in->seg.sid, EXAM_SID_LEN);
    exam_buf_lit(&b, ":file");

    ngx_str_set(&argv[0], "HINCRBY");
    argv[1].data = (u_char *) key;
    argv[1].len = exam_key(key, EXAM_KEY_STORED, in->seg.exam, exam_str(""));
    argv[2].data = field;
    argv[2].len = exam_buf_len(&b);
    ngx_str_set(&argv[3], "1");

    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, 4, argv,
                                    ngx_http_exam_intake_filed, u)
        != NGX_OK)
    {
        ngx_http_exam_intake_next(u, 0);
        ngx_http_exam_upload_release(u);
    }
}


static void
ngx_http_exam_intake_filed(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    uint32_t           least;
    ngx_connection_t  *c;

    if (u->r != NULL && !ngx_http_exam_spool.exiting) {

        c = u->r->connection;
        ngx_http_set_log_request(c->log, u->r);

        least = 0;

        if (!ngx_http_exam_redis_away(reply)
            && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0)
        {
            least = (uint32_t) ngx_min(reply->integer - 1, EXAM_SEGMENT_MAX);
        }

        ngx_http_exam_intake_next(u, least);

        ngx_http_run_posted_requests(c);
    }

    ngx_http_exam_upload_release(u);
}


static void
ngx_http_exam_intake_next(ngx_http_exam_upload_t *u, uint32_t least)
{
    ngx_http_exam_intake_t  *in;

    in = u->data;
    in->numbered = 1;

    ngx_http_exam_intake_number(u, EXAM_KIND_FILE, in->seg.kind_name,
                                ngx_http_exam_zone_file(u->mcf->zone,
                                                        in->seg.sid, least));
    ngx_http_exam_intake_asked(u);
}


/* all sessions of the student together */

void
ngx_http_exam_intake_spent(ngx_http_exam_upload_t *u,
    void (*told)(ngx_http_exam_upload_t *u))
{
    char                     key[EXAM_KEY_MAX];
    u_char                   field[EXAM_STUDENT_MAX + 8];
    ngx_str_t                argv[3];
    exam_buf_t               b;
    ngx_http_exam_intake_t  *in;

    in = u->data;
    in->told = told;
    in->spent = -1;

    if (u->mcf->student_quota == 0) {
        goto done;
    }

    exam_buf_init(&b, field, sizeof(field));
    exam_buf_put(&b, in->seg.student.data, in->seg.student.len);
    exam_buf_lit(&b, ":bytes");

    ngx_str_set(&argv[0], "HGET");
    argv[1].data = (u_char *) key;
    argv[1].len = exam_key(key, EXAM_KEY_STORED, in->seg.exam, exam_str(""));
    argv[2].data = field;
    argv[2].len = exam_buf_len(&b);

    ngx_http_exam_upload_hold(u);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, 3, argv,
                                    ngx_http_exam_intake_sum, u)
        == NGX_OK)
    {
        return;
    }

    ngx_http_exam_upload_release(u);

done:

    if (told != NULL) {
        told(u);
    }
}


static void
ngx_http_exam_intake_sum(void *data, redisReply *reply)
{
    ngx_http_exam_upload_t *u = data;

    int64_t                  open;
    uint64_t                 sum;
    ngx_connection_t        *c;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (!ngx_http_exam_redis_away(reply) && reply->type == REDIS_REPLY_STRING
        && exam_uint_parse((uint8_t *) reply->str, reply->len, INT64_MAX,
                           &sum))
    {
        in->spent = (int64_t) sum;
        in->used = ngx_http_exam_zone_student_bytes(u->mcf->zone, in->seg.sid,
                                                    &open);
    }

    if (in->told != NULL && u->r != NULL && !ngx_http_exam_spool.exiting) {

        c = u->r->connection;
        ngx_http_set_log_request(c->log, u->r);

        in->told(u);

        ngx_http_run_posted_requests(c);
    }

    ngx_http_exam_upload_release(u);
}


exam_err_e
ngx_http_exam_intake_quota(ngx_http_exam_upload_t *u)
{
    int64_t                  left, used, open;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (u->mcf->student_quota == 0) {
        return EXAM_OK;
    }

    /*
     * With Redis away, what this node has received since it began; else what
     * Redis has told, and what has come here since: others may be quicker.
     */

    used = ngx_http_exam_zone_student_bytes(u->mcf->zone, in->seg.sid, &open);

    if (in->spent >= 0) {
        used = ngx_max(used, in->spent + ngx_max(used - in->used, 0));
    }

    left = (int64_t) u->mcf->student_quota - used;

    /* a resumable upload, and its room on the disk, is one of those to come */

    if (in->held && !in->kept) {
        left -= ngx_max(open - ngx_max(in->length, 0), 0);
    }

    if (left < 0 || in->length > left) {
        return EXAM_ERR_QUOTA;
    }

    if (left < u->limit) {
        u->limit = left;
        u->refusal = EXAM_ERR_QUOTA;
    }

    return EXAM_OK;
}


static void
ngx_http_exam_intake_asked(ngx_http_exam_upload_t *u)
{
    exam_err_e               err;
    ngx_http_exam_intake_t  *in;

    in = u->data;

    if (u->state == NGX_HTTP_EXAM_UPLOAD_RECEIVED) {
        ngx_http_exam_intake_decide(u);
        return;
    }

    /* with its digest a PUT is told of a double before its body comes */

    if (in->full
        && (in->other_state == EXAM_SEG_NONE
            || (in->handlers.asked == NULL && !in->has_digest)))
    {
        err = ngx_http_exam_intake_full(u, in->seg.kind, in->seg.kind_name);

        ngx_http_exam_upload_fail(u, err);
        return;
    }

    if (in->other_state == EXAM_SEG_NONE) {
        err = ngx_http_exam_intake_quota(u);

        if (err != EXAM_OK) {
            ngx_http_exam_upload_fail(u, err);
            return;
        }
    }

    if (in->handlers.asked != NULL) {
        in->handlers.asked(u);
        return;
    }

    ngx_http_exam_intake_start(u);
}
