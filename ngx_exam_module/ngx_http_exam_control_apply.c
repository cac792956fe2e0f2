
/*
 * Entries of a control stream applied to the zone (DESIGN 5): by the reader
 * (ngx_http_exam_control.c), in its process, shard by shard, one hold of the
 * mutex an entry.  An entry may be applied twice, and one that is malformed is
 * passed over.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_control.h"


#define NGX_HTTP_EXAM_CONTROL_SWEEP  1024   /* buckets a hold */


static const char *ngx_http_exam_control_parse(redisReply *reply,
    exam_entry_t *entry, ngx_http_exam_control_at_t *at);
static void ngx_http_exam_control_apply(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st, exam_entry_t *entry,
    const ngx_http_exam_control_at_t *at, ngx_uint_t again);
static ngx_int_t ngx_http_exam_control_shard(ngx_http_exam_shard_t *shard,
    ngx_http_exam_stream_t *st, const exam_entry_t *entry,
    const ngx_http_exam_control_at_t *at, ngx_uint_t again);
static ngx_int_t ngx_http_exam_control_entry_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_exam_t *e,
    const exam_entry_t *entry, const ngx_http_exam_control_at_t *at);
static void ngx_http_exam_control_again_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, const exam_entry_t *entry);
static void ngx_http_exam_control_students_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_exam_t *e,
    const exam_entry_t *entry);
static void ngx_http_exam_control_sweep(ngx_http_exam_shard_t *shard,
    exam_str_t id);


ngx_uint_t
ngx_http_exam_control_page(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st, redisReply *entries, ngx_uint_t again,
    ngx_http_exam_control_at_t *last)
{
    size_t                       i;
    const char                  *wrong;
    ngx_http_exam_control_at_t   at;

    static exam_entry_t  entry;

    if (entries->type != REDIS_REPLY_ARRAY) {
        return 0;
    }

    for (i = 0; i < entries->elements; i++) {

        wrong = ngx_http_exam_control_parse(entries->element[i], &entry, &at);

        if (wrong != NULL) {
            entry.op = EXAM_ENTRY_NONE;

            if (!again && ngx_http_exam_control_before(&st->bad, &at)) {
                st->bad = at;
                ngx_http_exam_count(mcf, control_bad_total, 1);
                ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                              "exam control entry %uL-%uL of exam \"%*s\" "
                              "is skipped: %s", at.ms, at.seq,
                              (size_t) st->id_len, st->id, wrong);
            }
        }

        ngx_http_exam_control_apply(mcf, st, &entry, &at, again);
        *last = at;
    }

    return entries->elements;
}


static const char *
ngx_http_exam_control_parse(redisReply *reply, exam_entry_t *entry,
    ngx_http_exam_control_at_t *at)
{
    size_t       i;
    redisReply  *fields;

    at->ms = 0;
    at->seq = 0;
    exam_entry_init(entry);

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || reply->element[1]->type != REDIS_REPLY_ARRAY
        || !exam_entry_id_parse(ngx_http_exam_reply_word(reply, 0), &at->ms,
                                &at->seq))
    {
        return "no entry";
    }

    fields = reply->element[1];

    for (i = 0; i + 1 < fields->elements; i += 2) {
        exam_entry_field(entry, ngx_http_exam_reply_word(fields, i),
                         ngx_http_exam_reply_word(fields, i + 1));
    }

    return exam_entry_check(entry);
}


/* each shard is told of its own students; to everybody: of none */

static void
ngx_http_exam_control_apply(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st, exam_entry_t *entry,
    const ngx_http_exam_control_at_t *at, ngx_uint_t again)
{
    size_t                   i;
    ngx_int_t                rc;
    ngx_uint_t               j, refused;
    exam_str_t               exam;
    ngx_http_exam_zone_t    *zone;
    ngx_http_exam_shard_t   *shard;

    static exam_entry_t            part;
    static ngx_http_exam_shard_t  *shards[EXAM_ENTRY_STUDENTS];

    zone = mcf->zone;
    exam = exam_str_make(st->id, st->id_len);

    for (i = 0; i < entry->n; i++) {
        shards[i] = ngx_http_exam_zone_shard_of(zone,
                                        exam_id_hash(exam,
                                                     entry->students[i]));
    }

    part = *entry;
    refused = 0;

    for (j = 0; j < zone->n; j++) {
        shard = &zone->shards[j];
        part.n = 0;

        for (i = 0; i < entry->n; i++) {
            if (shards[i] == shard) {
                part.students[part.n++] = entry->students[i];
            }
        }

        /* nobody of this shard is meant: it is passed over */

        part.op = (entry->n != 0 && part.n == 0) ? EXAM_ENTRY_NONE : entry->op;

        rc = ngx_http_exam_control_shard(shard, st, &part, at, again);

        if (rc == NGX_AGAIN) {
            ngx_http_exam_commands_reclaim(shard, ngx_http_exam_now());
            rc = ngx_http_exam_control_shard(shard, st, &part, at, again);
        }

        refused |= (rc != NGX_OK);
    }

    if (refused) {
        ngx_http_exam_count(mcf, commands_refused_total, 1);
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "exam command %uL of exam \"%*s\" is refused: there "
                      "is no room", entry->id, (size_t) st->id_len, st->id);
    }
}


/*
 * NGX_OK; NGX_AGAIN: nothing was done; NGX_BUSY: refused.  The row is told
 * under the same hold how far it is applied now.
 */

static ngx_int_t
ngx_http_exam_control_shard(ngx_http_exam_shard_t *shard,
    ngx_http_exam_stream_t *st, const exam_entry_t *entry,
    const ngx_http_exam_control_at_t *at, ngx_uint_t again)
{
    ngx_int_t                    rc;
    exam_str_t                   id;
    ngx_uint_t                   sweep;
    ngx_http_exam_exam_t        *e;
    ngx_http_exam_control_at_t   read;

    rc = NGX_OK;
    sweep = 0;
    id = exam_str_make(st->id, st->id_len);

    ngx_http_exam_shard_lock(shard);

    e = ngx_http_exam_exam_locked(shard, id);
    if (e == NULL) {
        goto done;
    }

    if (again) {
        ngx_http_exam_control_again_locked(shard, e, entry);
        goto done;
    }

    read.ms = e->read_ms;
    read.seq = e->read_seq;

    /* one that has it, or that begins anew and is not as far */

    if (!ngx_http_exam_control_before(&read, at)
        || ngx_http_exam_control_before(&read, &st->from))
    {
        goto done;
    }

    rc = ngx_http_exam_control_entry_locked(shard, e, entry, at);
    if (rc == NGX_AGAIN) {
        goto done;
    }

    if (entry->op == EXAM_ENTRY_END || entry->op == EXAM_ENTRY_EXAM
        || (entry->op == EXAM_ENTRY_SEND && exam_command_lasts(entry->type)))
    {
        st->dirtied = 1;
        sweep = (entry->n == 0);
        ngx_http_exam_control_students_locked(shard, e, entry);
    }

    e->read_ms = at->ms;
    e->read_seq = at->seq;

done:

    ngx_http_exam_shard_unlock(shard);

    if (sweep) {
        ngx_http_exam_control_sweep(shard, id);
    }

    return rc;
}


static ngx_int_t
ngx_http_exam_control_entry_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, const exam_entry_t *entry,
    const ngx_http_exam_control_at_t *at)
{
    size_t                    i;
    ngx_http_exam_command_t  *c;

    switch (entry->op) {

    case EXAM_ENTRY_SEND:
        return ngx_http_exam_command_send_locked(shard, e, entry, at->ms,
                                                 at->seq,
                                                 ngx_http_exam_now());

    case EXAM_ENTRY_CANCEL:
        ngx_http_exam_command_cancel_locked(e, entry->id);
        return NGX_OK;

    case EXAM_ENTRY_ACK:
        c = ngx_http_exam_command_locked(e, entry->id);

        for (i = 0; i < entry->n && c != NULL; i++) {
            ngx_http_exam_command_ack_locked(shard, e, c, entry->students[i]);
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/* in a round nothing is entered: what is over may have been removed */

static void
ngx_http_exam_control_again_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, const exam_entry_t *entry)
{
    size_t                    i;
    ngx_http_exam_command_t  *c;

    if (entry->op != EXAM_ENTRY_SEND && entry->op != EXAM_ENTRY_ACK) {
        return;
    }

    c = ngx_http_exam_command_locked(e, entry->id);
    if (c == NULL) {
        return;
    }

    if (entry->op == EXAM_ENTRY_SEND) {
        ngx_http_exam_command_due_locked(shard, e, c, entry);
        return;
    }

    for (i = 0; i < entry->n; i++) {
        ngx_http_exam_command_ack_locked(shard, e, c, entry->students[i]);
    }
}


/* the flush asks for their flags */

static void
ngx_http_exam_control_students_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, const exam_entry_t *entry)
{
    size_t                    i;
    ngx_http_exam_session_t  *s;

    for (i = 0; i < entry->n; i++) {

        for (s = ngx_http_exam_student_locked(shard, e, entry->students[i],
                                              NULL);
             s;
             s = ngx_http_exam_student_locked(shard, e, entry->students[i], s))
        {
            ngx_http_exam_dirty_locked(shard, s);
        }
    }
}


/* all sessions of an exam: ended ones, too, whose late deadline it may move */

static void
ngx_http_exam_control_sweep(ngx_http_exam_shard_t *shard, exam_str_t id)
{
    ngx_uint_t                 i, last, row;
    ngx_http_exam_exam_t      *e;
    ngx_http_exam_session_t   *s;
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;

    for (i = 0; i <= sh->mask; i = last) {
        last = ngx_min(i + NGX_HTTP_EXAM_CONTROL_SWEEP, sh->mask + 1);

        ngx_http_exam_shard_lock(shard);

        e = ngx_http_exam_exam_locked(shard, id);
        row = e ? (ngx_uint_t) (e - sh->exams) : NGX_HTTP_EXAM_EXAMS_MAX;

        for ( /* void */ ; i < last; i++) {
            for (s = sh->buckets[i]; s; s = s->next) {
                if (s->exam == row) {
                    ngx_http_exam_dirty_locked(shard, s);
                }
            }
        }

        ngx_http_exam_shard_unlock(shard);
    }
}
