
/*
 * Commands in the zone (see the header): slots and bits; what a heartbeat
 * does with them is in ngx_http_exam_command_beat.c.
 *
 * Called by the holder of the reader's lease (ngx_http_exam_control.c) and by
 * heartbeats of every worker process; all under the shard's mutex.  Invariants:
 * a bit of `used` belongs to exactly one command of the list, or to none and
 * then stands in `unclean` or `clearing`; no session has a bit set, in any of
 * its maps, that is not in `used`.
 */


#include "ngx_http_exam_command.h"


#define NGX_HTTP_EXAM_COMMAND_KEPT   3600000    /* ms after its end */
#define NGX_HTTP_EXAM_CLEAR          1024       /* deliveries a hold */
#define NGX_HTTP_EXAM_CLEAR_HOLDS    8          /* a tick */


static ngx_int_t ngx_http_exam_command_make_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_exam_t *e,
    const exam_entry_t *entry, int64_t now, ngx_http_exam_command_t **made);
static ngx_int_t ngx_http_exam_command_pieces_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_command_t *c,
    exam_str_t payload);
static void ngx_http_exam_command_free_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_command_t *c);
static ngx_int_t ngx_http_exam_command_wait_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_exam_t *e, int64_t now);
static void ngx_http_exam_commands_remove_locked(ngx_http_exam_shard_t *shard,
    int64_t now, int64_t kept);
static ngx_int_t ngx_http_exam_commands_clear(ngx_http_exam_shard_t *shard);
static ngx_int_t ngx_http_exam_commands_walk_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_exam_t *e);
static void ngx_http_exam_delivery_clear(ngx_http_exam_delivery_t *d,
    const ngx_http_exam_bits_t *bits);


ngx_http_exam_exam_t *
ngx_http_exam_exam_locked(ngx_http_exam_shard_t *shard, exam_str_t id)
{
    ngx_uint_t             i;
    ngx_http_exam_exam_t  *e;

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        e = &shard->sh->exams[i];

        if (e->sessions && e->id_len == id.len
            && ngx_memcmp(e->id, id.data, id.len) == 0)
        {
            return e;
        }
    }

    return NULL;
}


ngx_http_exam_command_t *
ngx_http_exam_command_locked(const ngx_http_exam_exam_t *e, uint64_t id)
{
    ngx_http_exam_command_t  *c;

    for (c = e->commands; c && c->id <= id; c = c->next) {
        if (c->id == id) {
            return c;
        }
    }

    return NULL;
}


ngx_http_exam_session_t *
ngx_http_exam_student_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, exam_str_t student, ngx_http_exam_session_t *s)
{
    uint32_t                   hash;
    ngx_uint_t                 row;
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;
    row = e - sh->exams;

    if (s == NULL) {
        hash = exam_id_hash(exam_str_make(e->id, e->id_len), student);
        s = sh->buckets[hash & sh->mask];

    } else {
        s = s->next;
    }

    for ( /* void */ ; s; s = s->next) {
        if (s->exam == row && s->student_len == student.len
            && ngx_memcmp(s->data, student.data, student.len) == 0)
        {
            return s;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_exam_command_send_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, const exam_entry_t *entry, uint64_t ms,
    uint64_t seq, int64_t now)
{
    ngx_int_t                  rc;
    ngx_http_exam_command_t   *c, **p;

    c = ngx_http_exam_command_locked(e, entry->id);

    if (c == NULL) {

        /* read late: over, though nothing of it was here */

        if (entry->expires_at <= now) {
            return NGX_OK;
        }

        rc = ngx_http_exam_command_make_locked(shard, e, entry, now, &c);
        if (rc != NGX_OK) {
            return rc;
        }

        c->entry_ms = ms;
        c->entry_seq = seq;

        for (p = &e->commands; *p && (*p)->id < c->id; p = &(*p)->next) {
            /* void */
        }

        c->next = *p;
        *p = c;

        shard->sh->ncommands++;
    }

    ngx_http_exam_command_due_locked(shard, e, c, entry);

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_command_make_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, const exam_entry_t *entry, int64_t now,
    ngx_http_exam_command_t **made)
{
    ngx_uint_t                bit;
    ngx_http_exam_command_t  *c;

    for (bit = 0; bit < NGX_HTTP_EXAM_COMMANDS; bit++) {
        if (!ngx_http_exam_bit(&e->used, bit)) {
            break;
        }
    }

    if (bit == NGX_HTTP_EXAM_COMMANDS) {
        return ngx_http_exam_command_wait_locked(shard, e, now);
    }

    c = ngx_http_exam_object_get(&shard->sh->commands);

    if (c == NULL) {
        return ngx_http_exam_command_wait_locked(shard, NULL, now);
    }

    if (ngx_http_exam_command_pieces_locked(shard, c, entry->payload)
        != NGX_OK)
    {
        ngx_http_exam_command_free_locked(shard, c);
        return ngx_http_exam_command_wait_locked(shard, NULL, now);
    }

    c->id = entry->id;
    c->expires_at = entry->expires_at;
    c->bit = (uint8_t) bit;
    c->unsure = !e->read_all;
    c->type_len = (uint8_t) entry->type.len;
    ngx_memcpy(c->type, entry->type.data, entry->type.len);

    ngx_http_exam_bit_set(&e->used, bit);
    ngx_http_exam_bit_set(&e->live, bit);

    if (entry->all) {
        ngx_http_exam_bit_set(&e->all, bit);
    }

    *made = c;

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_command_pieces_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_command_t *c, exam_str_t payload)
{
    size_t                   len;
    ngx_http_exam_piece_t   *piece, **last;

    last = &c->payload;

    while (payload.len != 0) {

        piece = ngx_http_exam_object_get(&shard->sh->commands);
        if (piece == NULL) {
            return NGX_ERROR;
        }

        len = ngx_min(payload.len, sizeof(piece->data));
        ngx_memcpy(piece->data, payload.data, len);

        *last = piece;
        last = &piece->next;

        c->payload_len += (uint16_t) len;
        payload = exam_str_make(payload.data + len, payload.len - len);
    }

    return NGX_OK;
}


static void
ngx_http_exam_command_free_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_command_t *c)
{
    ngx_http_exam_piece_t  *piece, *next;

    for (piece = c->payload; piece; piece = next) {
        next = piece->next;
        ngx_http_exam_object_put(&shard->sh->commands, piece);
    }

    ngx_http_exam_object_put(&shard->sh->commands, c);
}


/* no bit in e, or (NULL) no memory: is there something that can make way? */

static ngx_int_t
ngx_http_exam_command_wait_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, int64_t now)
{
    ngx_uint_t                i;
    ngx_http_exam_exam_t     *row;
    ngx_http_exam_command_t  *c;

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        row = &shard->sh->exams[i];

        if (e != NULL && row != e) {
            continue;
        }

        if (e != NULL && (ngx_http_exam_bits_any(&row->unclean)
                          || ngx_http_exam_bits_any(&row->clearing)))
        {
            return NGX_AGAIN;
        }

        for (c = row->commands; c; c = c->next) {
            if (ngx_http_exam_command_over(row, c, now)) {
                return NGX_AGAIN;
            }
        }
    }

    return NGX_BUSY;
}


ngx_uint_t
ngx_http_exam_command_over(const ngx_http_exam_exam_t *e,
    const ngx_http_exam_command_t *c, int64_t now)
{
    return c->expires_at <= now || !ngx_http_exam_bit(&e->live, c->bit);
}


void
ngx_http_exam_command_due_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, ngx_http_exam_command_t *c,
    const exam_entry_t *entry)
{
    size_t                     i;
    ngx_http_exam_session_t   *s;
    ngx_http_exam_delivery_t  *d;

    for (i = 0; i < entry->n; i++) {

        for (s = ngx_http_exam_student_locked(shard, e, entry->students[i],
                                              NULL);
             s;
             s = ngx_http_exam_student_locked(shard, e, entry->students[i], s))
        {
            d = ngx_http_exam_delivery_locked(shard, s);

            if (d != NULL) {
                ngx_http_exam_bit_set(&d->due, c->bit);
            }
        }
    }
}


ngx_http_exam_delivery_t *
ngx_http_exam_delivery_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s)
{
    if (s->delivery == NULL) {
        s->delivery = ngx_http_exam_object_get(&shard->sh->deliveries);

        if (s->delivery != NULL) {
            s->delivery->session = s;
        }
    }

    return s->delivery;
}


void
ngx_http_exam_delivery_copy_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const ngx_http_exam_session_t *other)
{
    ngx_http_exam_delivery_t    *d;
    const ngx_http_exam_bits_t  *clearing;

    if (other->delivery == NULL) {
        return;
    }

    d = ngx_http_exam_delivery_locked(shard, s);

    if (d != NULL) {
        ngx_http_exam_bits_add(&d->due, &other->delivery->due);
        ngx_http_exam_bits_add(&d->acked, &other->delivery->acked);

        /* the walk may have passed this delivery, but not yet the other one */

        clearing = &shard->sh->exams[s->exam].clearing;

        ngx_http_exam_bits_remove(&d->due, clearing);
        ngx_http_exam_bits_remove(&d->acked, clearing);
    }
}


void
ngx_http_exam_command_cancel_locked(ngx_http_exam_exam_t *e, uint64_t id)
{
    ngx_http_exam_command_t  *c;

    c = ngx_http_exam_command_locked(e, id);

    if (c != NULL) {
        ngx_http_exam_bit_clear(&e->live, c->bit);
    }
}


void
ngx_http_exam_command_ack_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, ngx_http_exam_command_t *c, exam_str_t student)
{
    ngx_http_exam_session_t   *s;
    ngx_http_exam_delivery_t  *d;

    for (s = ngx_http_exam_student_locked(shard, e, student, NULL);
         s;
         s = ngx_http_exam_student_locked(shard, e, student, s))
    {
        d = ngx_http_exam_delivery_locked(shard, s);

        if (d != NULL) {
            ngx_http_exam_bit_set(&d->acked, c->bit);
        }
    }
}


void
ngx_http_exam_commands_reclaim(ngx_http_exam_shard_t *shard, int64_t now)
{
    ngx_http_exam_shard_lock(shard);
    ngx_http_exam_commands_remove_locked(shard, now, 0);
    ngx_http_exam_shard_unlock(shard);

    while (ngx_http_exam_commands_clear(shard) == NGX_AGAIN) { /* void */ }
}


void
ngx_http_exam_commands_tidy(ngx_http_exam_shard_t *shard, int64_t now)
{
    ngx_uint_t  i;

    if (shard->sh->ncommands) {
        ngx_http_exam_shard_lock(shard);
        ngx_http_exam_commands_remove_locked(shard, now,
                                             NGX_HTTP_EXAM_COMMAND_KEPT);
        ngx_http_exam_shard_unlock(shard);
    }

    for (i = 0; i < NGX_HTTP_EXAM_CLEAR_HOLDS; i++) {
        if (ngx_http_exam_commands_clear(shard) != NGX_AGAIN) {
            break;
        }
    }
}


/*
 * What has expired is no longer live; what is over, and has been for `kept` ms
 * if it was not cancelled, is removed.  A cancelled one stays until it would
 * have been removed without that.
 */

static void
ngx_http_exam_commands_remove_locked(ngx_http_exam_shard_t *shard,
    int64_t now, int64_t kept)
{
    ngx_uint_t                 i;
    ngx_http_exam_exam_t      *e;
    ngx_http_exam_command_t   *c, **p;
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        e = &sh->exams[i];
        p = &e->commands;

        while (*p) {
            c = *p;

            if (c->expires_at <= now) {
                ngx_http_exam_bit_clear(&e->live, c->bit);
            }

            if (ngx_http_exam_bit(&e->live, c->bit)
                || (kept && c->expires_at + kept > now))
            {
                p = &c->next;
                continue;
            }

            *p = c->next;

            ngx_http_exam_bit_clear(&e->all, c->bit);
            ngx_http_exam_bit_set(&e->unclean, c->bit);
            ngx_http_exam_command_free_locked(shard, c);

            sh->ncommands--;
            sh->unclean = 1;
        }
    }
}


/* one hold of the mutex; NGX_AGAIN: there is more to clear */

static ngx_int_t
ngx_http_exam_commands_clear(ngx_http_exam_shard_t *shard)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_exam_exam_t  *e;

    if (!shard->sh->unclean) {
        return NGX_OK;
    }

    rc = NGX_OK;

    ngx_http_exam_shard_lock(shard);

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        e = &shard->sh->exams[i];

        if (ngx_http_exam_bits_any(&e->clearing)
            || ngx_http_exam_bits_any(&e->unclean))
        {
            rc = ngx_http_exam_commands_walk_locked(shard, e);
            break;
        }
    }

    if (i == NGX_HTTP_EXAM_EXAMS_MAX) {
        shard->sh->unclean = 0;
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


static ngx_int_t
ngx_http_exam_commands_walk_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e)
{
    ngx_uint_t                 last, row;
    ngx_http_exam_objects_t   *o;
    ngx_http_exam_delivery_t  *d;

    o = &shard->sh->deliveries;
    row = e - shard->sh->exams;

    if (!ngx_http_exam_bits_any(&e->clearing)) {
        e->clearing = e->unclean;
        e->clear_at = 0;
        ngx_memzero(&e->unclean, sizeof(ngx_http_exam_bits_t));
    }

    last = ngx_min(e->clear_at + NGX_HTTP_EXAM_CLEAR, o->used);

    while (e->clear_at < last) {
        d = (ngx_http_exam_delivery_t *) (o->start + o->size * e->clear_at);

        if (d->session != NULL && d->session->exam == row) {
            ngx_http_exam_delivery_clear(d, &e->clearing);
        }

        e->clear_at++;
    }

    if (e->clear_at < o->used) {
        return NGX_AGAIN;
    }

    ngx_http_exam_bits_remove(&e->used, &e->clearing);
    ngx_memzero(&e->clearing, sizeof(ngx_http_exam_bits_t));

    return NGX_AGAIN;
}


static void
ngx_http_exam_delivery_clear(ngx_http_exam_delivery_t *d,
    const ngx_http_exam_bits_t *bits)
{
    ngx_uint_t  i;

    ngx_http_exam_bits_remove(&d->due, bits);
    ngx_http_exam_bits_remove(&d->acked, bits);
    ngx_http_exam_bits_remove(&d->sent, bits);

    for (i = 0; i < NGX_HTTP_EXAM_REPORTS; i++) {
        ngx_http_exam_bits_remove(&d->journal[i], bits);
        ngx_http_exam_bits_remove(&d->redis[i], bits);
    }
}


void
ngx_http_exam_commands_drop_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e)
{
    ngx_http_exam_command_t  *c, *next;

    for (c = e->commands; c; c = next) {
        next = c->next;
        ngx_http_exam_command_free_locked(shard, c);
        shard->sh->ncommands--;
    }

    e->commands = NULL;
}


ngx_uint_t
ngx_http_exam_delivery_busy(const ngx_http_exam_session_t *s)
{
    return s->delivery != NULL
           && (s->delivery->queued || s->delivery->reporting);
}
