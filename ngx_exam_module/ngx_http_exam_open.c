
/*
 * Open uploads of a session in the zone (DESIGN 3.1): connections that bring a
 * segment, and incomplete resumable uploads, connected or not.  Called on the
 * event loop of any worker process; takes the mutex of the session's shard.
 *
 * Invariants: what a dead process left open or was about to make counts no
 * more; a resumable upload that lies on the disk counts until it is dropped or
 * has expired, whoever is connected.
 */


#include "ngx_http_exam_module.h"


static ngx_uint_t ngx_http_exam_open_count(ngx_http_exam_segs_t *segs,
    ngx_uint_t kind);
static off_t ngx_http_exam_open_bytes(ngx_http_exam_segs_t *segs,
    ngx_uint_t kind);
static ngx_int_t ngx_http_exam_held_add(ngx_http_exam_shard_t *shard,
    ngx_http_exam_segs_t *segs, const uint8_t sid[EXAM_SID_LEN],
    const ngx_http_exam_held_t *held);
static ngx_uint_t ngx_http_exam_held_over(const ngx_http_exam_held_t *held);
static ngx_http_exam_segs_t *ngx_http_exam_student_next(
    ngx_http_exam_shard_t *shard, const uint8_t sid[EXAM_SID_LEN],
    ngx_http_exam_session_t **s);
static ngx_http_exam_held_t *ngx_http_exam_held_by_id(
    ngx_http_exam_shard_t *shard, const uint8_t sid[EXAM_SID_LEN],
    const uint8_t id[16]);
static ngx_http_exam_held_t *ngx_http_exam_held_by_number(
    ngx_http_exam_shard_t *shard, const uint8_t sid[EXAM_SID_LEN],
    const ngx_http_exam_held_t *like);


ngx_int_t
ngx_http_exam_zone_upload_open(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, ngx_uint_t limit,
    ngx_uint_t *slot)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 1);

    if (segs == NULL) {
        rc = NGX_DECLINED;
        goto done;
    }

    rc = NGX_BUSY;

    if (ngx_http_exam_open_count(segs, kind) >= limit) {
        goto done;
    }

    for (i = 0; i < NGX_HTTP_EXAM_OPEN_MAX; i++) {
        if (segs->open[i] == 0) {
            segs->open[i] = ngx_pid;
            segs->open_kind[i] = (uint8_t) kind;

            *slot = i;
            rc = NGX_OK;
            break;
        }
    }

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


ngx_int_t
ngx_http_exam_zone_upload_kind(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t slot, ngx_uint_t kind,
    ngx_uint_t limit)
{
    ngx_int_t               rc;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    rc = NGX_OK;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 0);

    if (segs == NULL || segs->open[slot] != ngx_pid) {
        goto done;
    }

    if (ngx_http_exam_open_count(segs, kind) >= limit) {
        rc = NGX_BUSY;
        goto done;
    }

    segs->open_kind[slot] = (uint8_t) kind;

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


void
ngx_http_exam_zone_upload_close(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t slot)
{
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 0);

    /* after a reset of the shard the slot may be another process' */

    if (segs != NULL && segs->open[slot] == ngx_pid) {
        segs->open[slot] = 0;
    }

    ngx_http_exam_shard_unlock(shard);
}


ngx_int_t
ngx_http_exam_zone_upload_hold(ngx_http_exam_zone_t *zone,
    const uint8_t payer[EXAM_SID_LEN], const uint8_t sid[EXAM_SID_LEN],
    ngx_uint_t limit, off_t bytes, ngx_http_exam_held_t *held)
{
    ngx_int_t               rc;
    ngx_http_exam_held_t   *there;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    there = ngx_http_exam_held_by_number(shard, sid, held);

    if (there != NULL) {
        *held = *there;
        rc = NGX_AGAIN;
        goto done;
    }

    segs = ngx_http_exam_segs_locked(shard, payer, 1);

    if (segs == NULL) {
        rc = NGX_DECLINED;
        goto done;
    }

    rc = NGX_BUSY;

    if (ngx_http_exam_open_count(segs, held->kind) >= limit
        || (bytes > 0
            && ngx_http_exam_open_bytes(segs, held->kind)
               + ngx_max(held->length, 0) > bytes))
    {
        goto done;
    }

    held->pid = ngx_pid;

    rc = ngx_http_exam_held_add(shard, segs, sid, held);

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


ngx_int_t
ngx_http_exam_zone_upload_find(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_held_t *held)
{
    ngx_int_t               rc;
    ngx_http_exam_held_t   *there;
    ngx_http_exam_shard_t  *shard;

    rc = NGX_DECLINED;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    there = ngx_http_exam_held_by_number(shard, sid, held);

    if (there != NULL) {
        *held = *there;
        rc = NGX_OK;
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


ngx_uint_t
ngx_http_exam_zone_upload_list(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t pays, ngx_uint_t kind,
    ngx_http_exam_held_t *held, ngx_uint_t max, ngx_uint_t *others)
{
    ngx_uint_t                i, n, all;
    ngx_http_exam_held_t     *h;
    ngx_http_exam_segs_t     *segs;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    n = 0;
    all = 0;
    s = NULL;
    *others = 0;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    while ((segs = ngx_http_exam_student_next(shard, sid, &s)) != NULL) {

        if (pays && ngx_memcmp(s->sid, sid, EXAM_SID_LEN) != 0) {
            continue;
        }

        if (pays) {
            *others = ngx_http_exam_open_count(segs, kind);
        }

        for (h = segs->held; h != NULL; h = h->next) {

            if (h->kind != kind || ngx_http_exam_held_over(h)
                || (!pays && ngx_memcmp(h->session, sid + 4,
                                        sizeof(h->session))
                             != 0))
            {
                continue;
            }

            all++;

            for (i = n; i > 0 && held[i - 1].n > h->n; i--) {
                if (i < max) {
                    held[i] = held[i - 1];
                }
            }

            if (i < max) {
                held[i] = *h;
                n = ngx_min(n + 1, max);
            }
        }
    }

    ngx_http_exam_shard_unlock(shard);

    *others -= ngx_min(*others, all);

    return n;
}


void
ngx_http_exam_zone_upload_keep(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_held_t *held)
{
    ngx_http_exam_held_t   *there;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    there = ngx_http_exam_held_by_id(shard, sid, held->id);

    if (there != NULL) {
        there->pid = 0;
        there->n = held->n;         /* attachments have it by now */
        there->length = held->length;
        there->expires = held->expires;
    }

    ngx_http_exam_shard_unlock(shard);
}


void
ngx_http_exam_zone_upload_drop(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const uint8_t id[16])
{
    ngx_http_exam_held_t   *there;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    there = ngx_http_exam_held_by_id(shard, sid, id);

    if (there != NULL) {
        there->expires = 0;
    }

    ngx_http_exam_shard_unlock(shard);
}


void
ngx_http_exam_zone_upload_put(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_held_t *held)
{
    exam_ranges_t           received;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 1);

    if (segs == NULL) {
        goto done;
    }

    ngx_http_exam_received_of(segs, held->kind, &received);

    if (!exam_ranges_has(&received, held->n)
        && ngx_http_exam_held_by_id(shard, sid, held->id) == NULL)
    {
        (void) ngx_http_exam_held_add(shard, segs, sid, held);
    }

done:

    ngx_http_exam_shard_unlock(shard);
}


uint32_t
ngx_http_exam_zone_file(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], uint32_t least)
{
    uint32_t                n;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    n = least;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 1);

    if (segs != NULL) {
        n = ngx_max(n, segs->files);
        segs->files = n + 1;
    }

    ngx_http_exam_shard_unlock(shard);

    return ngx_min(n, EXAM_SEGMENT_MAX);
}


int64_t
ngx_http_exam_zone_student_bytes(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], int64_t *open)
{
    int64_t                   bytes;
    ngx_uint_t                i;
    ngx_http_exam_hash_t     *h;
    ngx_http_exam_segs_t     *segs;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    s = NULL;
    bytes = 0;
    *open = 0;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    while ((segs = ngx_http_exam_student_next(shard, sid, &s)) != NULL) {
        bytes += segs->bytes;

        for (i = 0; i < NGX_HTTP_EXAM_HASHES; i++) {
            h = &segs->hashes[i];

            if (h->state == EXAM_SEG_RECEIVING && !ngx_http_exam_dead(h->pid))
            {
                bytes += h->bytes;
            }
        }

        for (i = 0; i <= EXAM_KIND_FILE; i++) {
            *open += ngx_http_exam_open_bytes(segs, i);
        }
    }

    ngx_http_exam_shard_unlock(shard);

    return bytes;
}


void
ngx_http_exam_taken_locked(ngx_http_exam_segs_t *segs,
    const ngx_http_exam_hash_t *seg)
{
    segs->bytes += seg->bytes;

    if (seg->kind == EXAM_KIND_FILE) {
        segs->files = ngx_max(segs->files, seg->n + 1);
    }
}


ngx_uint_t
ngx_http_exam_open_busy(const ngx_http_exam_segs_t *segs)
{
    ngx_uint_t             i;
    ngx_http_exam_held_t  *held;

    for (i = 0; i < NGX_HTTP_EXAM_OPEN_MAX; i++) {
        if (segs->open[i] != 0 && !ngx_http_exam_dead(segs->open[i])) {
            return 1;
        }
    }

    for (held = segs->held; held != NULL; held = held->next) {
        if (held->pid != 0 && !ngx_http_exam_held_over(held)) {
            return 1;
        }
    }

    return 0;
}


/* open uploads of the kind */

static ngx_uint_t
ngx_http_exam_open_count(ngx_http_exam_segs_t *segs, ngx_uint_t kind)
{
    ngx_uint_t             i, n;
    ngx_http_exam_held_t  *held;

    n = 0;

    for (i = 0; i < NGX_HTTP_EXAM_OPEN_MAX; i++) {

        if (segs->open[i] != 0 && ngx_http_exam_dead(segs->open[i])) {
            segs->open[i] = 0;
        }

        if (segs->open[i] != 0 && segs->open_kind[i] == kind) {
            n++;
        }
    }

    for (held = segs->held; held != NULL; held = held->next) {
        if (held->kind == kind && !ngx_http_exam_held_over(held)) {
            n++;
        }
    }

    return n;
}


/* what they have said that they are to hold */

static off_t
ngx_http_exam_open_bytes(ngx_http_exam_segs_t *segs, ngx_uint_t kind)
{
    off_t                  bytes;
    ngx_http_exam_held_t  *held;

    bytes = 0;

    for (held = segs->held; held != NULL; held = held->next) {
        if (held->kind == kind && !ngx_http_exam_held_over(held)) {
            bytes += ngx_max(held->length, 0);
        }
    }

    return bytes;
}


/* NGX_DECLINED: no room.  What is over makes some. */

static ngx_int_t
ngx_http_exam_held_add(ngx_http_exam_shard_t *shard,
    ngx_http_exam_segs_t *segs, const uint8_t sid[EXAM_SID_LEN],
    const ngx_http_exam_held_t *held)
{
    ngx_http_exam_held_t  *new, **p;

    for (p = &segs->held; *p != NULL; /* void */ ) {
        new = *p;

        if (ngx_http_exam_held_over(new)) {
            *p = new->next;
            ngx_http_exam_object_put(&shard->sh->helds, new);

        } else {
            p = &new->next;
        }
    }

    new = ngx_http_exam_object_get(&shard->sh->helds);
    if (new == NULL) {
        return NGX_DECLINED;
    }

    *new = *held;
    ngx_memcpy(new->session, sid + 4, sizeof(new->session));

    new->next = segs->held;
    segs->held = new;

    return NGX_OK;
}


void
ngx_http_exam_held_free(ngx_http_exam_shard_t *shard,
    ngx_http_exam_segs_t *segs)
{
    ngx_http_exam_held_t  *held;

    while ((held = segs->held) != NULL) {
        segs->held = held->next;
        ngx_http_exam_object_put(&shard->sh->helds, held);
    }
}


static ngx_uint_t
ngx_http_exam_held_over(const ngx_http_exam_held_t *held)
{
    return held->expires <= (uint32_t) ngx_time()
           || (held->pid != 0 && ngx_http_exam_dead(held->pid));
}


/*
 * The student's sessions that have segments, one after the other; *s is NULL at
 * first.  They lie in one bucket, as their ids begin alike.
 */

static ngx_http_exam_segs_t *
ngx_http_exam_student_next(ngx_http_exam_shard_t *shard,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_session_t **s)
{
    ngx_http_exam_session_t   *next;
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;

    next = *s ? (*s)->next : sh->buckets[exam_sid_hash(sid) & sh->mask];

    for ( /* void */ ; next != NULL; next = next->next) {
        if (next->segs != NULL && ngx_memcmp(next->sid, sid, 4) == 0) {
            *s = next;
            return next->segs;
        }
    }

    return NULL;
}


static ngx_http_exam_held_t *
ngx_http_exam_held_by_id(ngx_http_exam_shard_t *shard,
    const uint8_t sid[EXAM_SID_LEN], const uint8_t id[16])
{
    ngx_http_exam_held_t     *held;
    ngx_http_exam_segs_t     *segs;
    ngx_http_exam_session_t  *s;

    s = NULL;

    while ((segs = ngx_http_exam_student_next(shard, sid, &s)) != NULL) {

        for (held = segs->held; held != NULL; held = held->next) {
            if (!ngx_http_exam_held_over(held)
                && ngx_memcmp(held->id, id, sizeof(held->id)) == 0)
            {
                return held;
            }
        }
    }

    return NULL;
}


/* attachments have no number that could be meant again */

static ngx_http_exam_held_t *
ngx_http_exam_held_by_number(ngx_http_exam_shard_t *shard,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_held_t *like)
{
    ngx_http_exam_held_t     *held;
    ngx_http_exam_segs_t     *segs;
    ngx_http_exam_session_t  *s;

    s = NULL;

    if (like->kind == EXAM_KIND_FILE) {
        return NULL;
    }

    while ((segs = ngx_http_exam_student_next(shard, sid, &s)) != NULL) {

        for (held = segs->held; held != NULL; held = held->next) {
            if (held->kind == like->kind && held->n == like->n
                && !ngx_http_exam_held_over(held)
                && ngx_memcmp(held->session, sid + 4, sizeof(held->session))
                   == 0)
            {
                return held;
            }
        }
    }

    return NULL;
}
