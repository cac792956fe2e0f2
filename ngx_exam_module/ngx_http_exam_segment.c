
/*
 * Segments of a session in the zone: received ranges and the last hashes; open
 * uploads are ngx_http_exam_open.c's.  Called by the upload engine on the event
 * loop of any worker process; takes the mutex of the session's shard.
 *
 * Invariants: a number is in `ranges` or RECEIVING in `hashes`, never both;
 * what a process that has died left RECEIVING counts no more.  Where the ranges
 * of a kind are used up, numbers are left out: the ledger has them.  Of
 * attachments there are hashes only.
 */


#include "ngx_http_exam_module.h"


#define NGX_HTTP_EXAM_AWAIT_S  15


static ngx_http_exam_hash_t *ngx_http_exam_hash_place(
    ngx_http_exam_segs_t *segs);


ngx_int_t
ngx_http_exam_zone_segment(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n,
    ngx_http_exam_hash_t *seg, int64_t *highest)
{
    ngx_int_t                 rc;
    exam_ranges_t             set;
    ngx_http_exam_segs_t     *segs;
    ngx_http_exam_hash_t     *h;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    rc = NGX_DECLINED;

    if (highest) {
        *highest = -2;
    }

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_find_locked(shard, sid);

    if (s == NULL) {
        goto done;
    }

    if (highest && kind != EXAM_KIND_FILE) {
        *highest = s->stored[kind];
    }

    segs = s->segs;

    if (segs == NULL) {
        goto done;
    }

    ngx_http_exam_received_of(segs, kind, &set);

    if (highest && set.n > 0) {
        *highest = ngx_max(*highest, exam_ranges_highest(&set));
    }

    h = ngx_http_exam_hash_of(segs, kind, n);

    if (h != NULL && h->state == EXAM_SEG_RECEIVING
        && ngx_http_exam_dead(h->pid))
    {
        h->state = EXAM_SEG_NONE;
        h = NULL;
    }

    if (h != NULL) {
        *seg = *h;
        rc = NGX_OK;

    } else if (exam_ranges_has(&set, n)) {
        rc = NGX_AGAIN;

    } else {
        ngx_http_exam_lost_of(segs, kind, &set);

        if (exam_ranges_has(&set, n)) {
            ngx_memzero(seg, sizeof(ngx_http_exam_hash_t));
            seg->state = EXAM_SEG_LOST;
            rc = NGX_OK;
        }
    }

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


ngx_int_t
ngx_http_exam_zone_segment_reserve(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_hash_t *seg)
{
    ngx_int_t               rc;
    ngx_http_exam_hash_t   *h;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 1);

    if (segs == NULL) {
        rc = NGX_DECLINED;
        goto done;
    }

    h = ngx_http_exam_hash_of(segs, seg->kind, seg->n);

    if (h != NULL && h->state == EXAM_SEG_RECEIVED) {
        *seg = *h;
        rc = NGX_ABORT;
        goto done;
    }

    if (h != NULL && !ngx_http_exam_dead(h->pid)) {
        rc = NGX_BUSY;
        goto done;
    }

    if (h == NULL) {
        h = ngx_http_exam_hash_place(segs);
    }

    if (h == NULL) {
        rc = NGX_DECLINED;
        goto done;
    }

    *h = *seg;
    h->state = EXAM_SEG_RECEIVING;
    h->pid = ngx_pid;

    rc = NGX_OK;

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


/* also for what was not reserved: a manifest found in the spool */

void
ngx_http_exam_zone_segment_commit(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_hash_t *seg)
{
    exam_ranges_t             set;
    ngx_http_exam_hash_t     *h;
    ngx_http_exam_segs_t     *segs;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_find_locked(shard, sid);
    segs = ngx_http_exam_segs_locked(shard, sid, 1);

    if (segs == NULL) {
        goto done;
    }

    /* the flush asks until it is stored, or for so long */

    s->awaits = (uint32_t) ngx_time() + NGX_HTTP_EXAM_AWAIT_S;
    ngx_http_exam_dirty_locked(shard, s);

    h = ngx_http_exam_hash_of(segs, seg->kind, seg->n);

    if (h == NULL) {
        h = ngx_http_exam_hash_place(segs);
    }

    if (h != NULL) {
        *h = *seg;
        h->state = EXAM_SEG_RECEIVED;
        h->pid = 0;
        h->at = ngx_current_msec;
    }

    ngx_http_exam_received_of(segs, seg->kind, &set);

    if (exam_ranges_add(&set, seg->n, seg->n)) {
        ngx_http_exam_received_keep(segs, seg->kind, &set);
    }

    ngx_http_exam_arrived_locked(segs, seg->kind, seg->n);
    ngx_http_exam_taken_locked(segs, seg);

done:

    ngx_http_exam_shard_unlock(shard);
}


void
ngx_http_exam_zone_segment_abort(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_hash_t *seg)
{
    ngx_http_exam_hash_t   *h;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 0);

    if (segs != NULL) {
        h = ngx_http_exam_hash_of(segs, seg->kind, seg->n);

        if (h != NULL && h->state == EXAM_SEG_RECEIVING && h->pid == ngx_pid) {
            h->state = EXAM_SEG_NONE;
        }
    }

    ngx_http_exam_shard_unlock(shard);
}


ngx_int_t
ngx_http_exam_zone_ranges(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, exam_ranges_t *received,
    exam_ranges_t *lost)
{
    ngx_int_t               rc;
    exam_ranges_t           set;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    rc = NGX_DECLINED;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 0);

    if (segs != NULL) {
        rc = NGX_OK;

        ngx_http_exam_received_of(segs, kind, &set);

        if (!exam_ranges_merge(received, &set)) {
            rc = NGX_ERROR;
        }

        ngx_http_exam_lost_of(segs, kind, &set);

        if (!exam_ranges_merge(lost, &set)) {
            rc = NGX_ERROR;
        }
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


void
ngx_http_exam_zone_stored(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, int32_t stored)
{
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_find_locked(shard, sid);

    if (s != NULL) {
        s->stored[kind] = ngx_max(s->stored[kind], stored);
    }

    ngx_http_exam_shard_unlock(shard);
}


ngx_http_exam_segs_t *
ngx_http_exam_segs_locked(ngx_http_exam_shard_t *shard,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t make)
{
    ngx_http_exam_session_t  *s;

    s = ngx_http_exam_find_locked(shard, sid);

    if (s == NULL) {
        return NULL;
    }

    if (s->segs == NULL && make) {
        s->segs = ngx_http_exam_object_get(&shard->sh->segs);
    }

    return s->segs;
}


void
ngx_http_exam_received_of(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    exam_ranges_t *set)
{
    if (kind == EXAM_KIND_FILE) {
        exam_ranges_init(set, NULL, 0);
        return;
    }

    exam_ranges_init(set, segs->ranges[kind], NGX_HTTP_EXAM_RANGES);
    set->n = segs->nranges[kind];
}


void
ngx_http_exam_received_keep(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    const exam_ranges_t *set)
{
    if (kind != EXAM_KIND_FILE) {
        segs->nranges[kind] = set->n;
    }
}


ngx_http_exam_hash_t *
ngx_http_exam_hash_of(ngx_http_exam_segs_t *segs, ngx_uint_t kind, uint32_t n)
{
    ngx_uint_t             i;
    ngx_http_exam_hash_t  *h;

    for (i = 0; i < NGX_HTTP_EXAM_HASHES; i++) {
        h = &segs->hashes[i];

        if (h->state != EXAM_SEG_NONE && h->kind == kind && h->n == n) {
            return h;
        }
    }

    return NULL;
}


/* a free place, else the oldest that nobody is finishing */

static ngx_http_exam_hash_t *
ngx_http_exam_hash_place(ngx_http_exam_segs_t *segs)
{
    ngx_uint_t             i;
    ngx_http_exam_hash_t  *h;

    for (i = 0; i < NGX_HTTP_EXAM_HASHES; i++) {
        h = &segs->hashes[(segs->next + i) % NGX_HTTP_EXAM_HASHES];

        if (h->state == EXAM_SEG_RECEIVING && !ngx_http_exam_dead(h->pid)) {
            continue;
        }

        segs->next = (segs->next + i + 1) % NGX_HTTP_EXAM_HASHES;

        return h;
    }

    return NULL;
}


ngx_uint_t
ngx_http_exam_segs_busy(const ngx_http_exam_segs_t *segs)
{
    ngx_uint_t  i;

    if (segs == NULL) {
        return 0;
    }

    if (ngx_http_exam_open_busy(segs)) {
        return 1;
    }

    for (i = 0; i < NGX_HTTP_EXAM_HASHES; i++) {
        if (segs->hashes[i].state == EXAM_SEG_RECEIVING
            && !ngx_http_exam_dead(segs->hashes[i].pid))
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_exam_awaits_locked(ngx_http_exam_session_t *s)
{
    ngx_uint_t     i;
    exam_ranges_t  set;

    if (s->segs == NULL || (int32_t) (s->awaits - (uint32_t) ngx_time()) <= 0)
    {
        return 0;
    }

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        ngx_http_exam_received_of(s->segs, i, &set);

        if (set.n > 0 && exam_ranges_highest(&set) > s->stored[i]) {
            return 1;
        }
    }

    return 0;
}
