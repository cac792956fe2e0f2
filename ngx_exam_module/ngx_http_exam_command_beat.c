
/*
 * A heartbeat in an exam that has commands: its acks, what it is given, and
 * what the journal is to be told of both (DESIGN 3.1, 5).
 *
 * Called by the heartbeats of any worker process, under the shard's mutex, with
 * memory of the process for what leaves it.  What is to be told stands in the
 * session first: a process that is killed before it has, leaves it to the
 * session's next beat.
 */


#include "ngx_http_exam_command.h"


/* a command in a reply, without type and payload */

#define NGX_HTTP_EXAM_COMMAND_JSON   (sizeof("{\"id\":,\"type\":\"\","        \
                                             "\"payload\":,"                  \
                                             "\"expires_at\":},") - 1         \
                                      + 2 * NGX_INT64_LEN)


static void ngx_http_exam_beat_acks_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_beat_t *beat);
static void ngx_http_exam_beat_give_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, int64_t now,
    ngx_http_exam_command_beat_t *out);
static void ngx_http_exam_command_json(exam_buf_t *b,
    const ngx_http_exam_command_t *c);
static void ngx_http_exam_beat_records_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_command_beat_t *out);


/* of this worker process: one heartbeat is answered at a time */

static ngx_http_exam_command_beat_t  ngx_http_exam_command_beat;


ngx_http_exam_command_beat_t *
ngx_http_exam_command_beat_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_beat_t *beat, int64_t now)
{
    ngx_http_exam_exam_t          *e;
    ngx_http_exam_command_beat_t  *out;

    e = &shard->sh->exams[s->exam];
    out = &ngx_http_exam_command_beat;

    out->len = 0;
    out->n = 0;

    if (beat->acks) {
        ngx_http_exam_beat_acks_locked(shard, s, beat);
    }

    if (s->fresh && (int32_t) (e->done - s->fresh) >= 0) {
        s->fresh = 0;
    }

    if (!s->fresh) {
        ngx_http_exam_beat_give_locked(shard, s, now, out);
    }

    if (s->delivery != NULL) {
        ngx_http_exam_beat_records_locked(shard, s, out);
    }

    return out->len || out->n ? out : NULL;
}


/* an id that nobody knows is none of ours, or over for long */

static void
ngx_http_exam_beat_acks_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_beat_t *beat)
{
    ngx_uint_t                 i;
    exam_str_t                 student;
    ngx_http_exam_exam_t      *e;
    ngx_http_exam_command_t   *c;
    ngx_http_exam_delivery_t  *d;

    e = &shard->sh->exams[s->exam];
    d = ngx_http_exam_delivery_locked(shard, s);
    student = exam_str_make(s->data, s->student_len);

    for (i = 0; i < beat->acks && d != NULL; i++) {
        c = ngx_http_exam_command_locked(e, beat->ack[i]);

        if (c == NULL || ngx_http_exam_bit(&d->acked, c->bit)
            || !(ngx_http_exam_bit(&e->all, c->bit)
                 || ngx_http_exam_bit(&d->due, c->bit)))
        {
            continue;
        }

        ngx_http_exam_command_ack_locked(shard, e, c, student);

        ngx_http_exam_bit_set(&d->journal[NGX_HTTP_EXAM_REPORT_ACK], c->bit);
        ngx_http_exam_bit_set(&d->redis[NGX_HTTP_EXAM_REPORT_ACK], c->bit);
        ngx_http_exam_report_queue_locked(shard, d);

        (void) ngx_atomic_fetch_add(
                       &shard->zone->shared->stats.commands_acked_total, 1);
    }
}


static void
ngx_http_exam_beat_give_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, int64_t now, ngx_http_exam_command_beat_t *out)
{
    exam_buf_t                 b;
    ngx_uint_t                 n;
    ngx_http_exam_bits_t       due;
    ngx_http_exam_exam_t      *e;
    ngx_http_exam_command_t   *c;
    ngx_http_exam_delivery_t  *d;

    e = &shard->sh->exams[s->exam];
    due = e->all;

    if (s->delivery != NULL) {
        ngx_http_exam_bits_add(&due, &s->delivery->due);
        ngx_http_exam_bits_remove(&due, &s->delivery->acked);
    }

    if (!ngx_http_exam_bits_any(&due)) {
        return;
    }

    d = ngx_http_exam_delivery_locked(shard, s);
    if (d == NULL) {
        return;
    }

    exam_buf_init(&b, out->text, sizeof(out->text));
    n = 0;

    for (c = e->commands; c && n < NGX_HTTP_EXAM_REPLY_COMMANDS; c = c->next) {

        if (!ngx_http_exam_bit(&due, c->bit)
            || (c->unsure && !e->read_all)
            || ngx_http_exam_command_over(e, c, now))
        {
            continue;
        }

        if ((size_t) (b.end - b.pos) < NGX_HTTP_EXAM_COMMAND_JSON
                                       + c->type_len + c->payload_len)
        {
            break;
        }

        if (n++) {
            exam_buf_char(&b, ',');
        }

        ngx_http_exam_command_json(&b, c);

        if (ngx_http_exam_bit(&d->sent, c->bit)) {
            continue;
        }

        ngx_http_exam_bit_set(&d->sent, c->bit);
        ngx_http_exam_bit_set(&d->journal[NGX_HTTP_EXAM_REPORT_SENT], c->bit);
        ngx_http_exam_bit_set(&d->redis[NGX_HTTP_EXAM_REPORT_SENT], c->bit);
        ngx_http_exam_report_queue_locked(shard, d);

        (void) ngx_atomic_fetch_add(
                        &shard->zone->shared->stats.commands_sent_total, 1);
    }

    out->len = exam_buf_len(&b);
}


/* there is room: it was looked for */

static void
ngx_http_exam_command_json(exam_buf_t *b, const ngx_http_exam_command_t *c)
{
    size_t                  len, left;
    ngx_http_exam_piece_t  *piece;

    exam_buf_lit(b, "{\"id\":");
    exam_buf_uint(b, c->id);
    exam_buf_lit(b, ",\"type\":\"");
    exam_buf_put(b, c->type, c->type_len);
    exam_buf_lit(b, "\",\"payload\":");

    left = c->payload_len;

    for (piece = c->payload; piece; piece = piece->next) {
        len = ngx_min(left, sizeof(piece->data));
        exam_buf_put(b, piece->data, len);
        left -= len;
    }

    exam_buf_lit(b, ",\"expires_at\":");
    exam_buf_int(b, c->expires_at);
    exam_buf_char(b, '}');
}


/* what this beat has changed, and what a killed process left unwritten */

static void
ngx_http_exam_beat_records_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_command_beat_t *out)
{
    ngx_uint_t                       report;
    ngx_http_exam_exam_t            *e;
    ngx_http_exam_command_t         *c;
    ngx_http_exam_delivery_t        *d;
    ngx_http_exam_command_record_t  *record;

    d = s->delivery;

    if (!ngx_http_exam_bits_any(&d->journal[NGX_HTTP_EXAM_REPORT_SENT])
        && !ngx_http_exam_bits_any(&d->journal[NGX_HTTP_EXAM_REPORT_ACK]))
    {
        return;
    }

    e = &shard->sh->exams[s->exam];

    for (c = e->commands; c; c = c->next) {

        for (report = 0; report < NGX_HTTP_EXAM_REPORTS; report++) {

            if (ngx_http_exam_bit(&d->journal[report], c->bit)
                && out->n < NGX_HTTP_EXAM_RECORDS)
            {
                record = &out->records[out->n++];
                record->id = c->id;
                record->report = report;
            }
        }
    }

    out->shard = shard;
    out->gen = s->gen;
    ngx_memcpy(out->sid, s->sid, EXAM_SID_LEN);
    out->exam_len = e->id_len;
    ngx_memcpy(out->exam, e->id, e->id_len);
    out->student_len = s->student_len;
    ngx_memcpy(out->student, s->data, s->student_len);
}
