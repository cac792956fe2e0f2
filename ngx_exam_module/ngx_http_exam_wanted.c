
/*
 * Numbers of a session that are wanted again, and those that its client gave
 * up: what the zone forgets of a refused upload, and keeps of a lost one
 * (DESIGN 3.1, resend and lost).  Called on the event loop of any worker
 * process; takes the mutex of the session's shard unless named _locked.
 *
 * Invariants: a number is received or lost here, never both; one that stands in
 * `resend` is neither.  Where ranges are used up numbers are left out: the
 * ledger has them.
 */


#include "ngx_http_exam_module.h"


/* ms: a refusal told that soon may be older than the receipt */

#define NGX_HTTP_EXAM_WANTED_FRESH  3000


static void ngx_http_exam_forget_locked(ngx_http_exam_segs_t *segs,
    ngx_uint_t kind, uint32_t n);
static void ngx_http_exam_lost_keep(ngx_http_exam_segs_t *segs,
    ngx_uint_t kind, const exam_ranges_t *set);


void
ngx_http_exam_resend_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_flush_answer_t *answer)
{
    ngx_uint_t              i;
    ngx_http_exam_hash_t   *h;
    ngx_http_exam_segs_t   *segs;
    const exam_resend_t    *e;

    if (s->segs == NULL && answer->nresend == 0) {
        return;
    }

    segs = ngx_http_exam_segs_locked(shard, s->sid, 1);

    if (segs == NULL) {
        return;
    }

    segs->nresend = 0;

    for (i = 0; i < answer->nresend; i++) {
        e = &answer->resend[i];
        h = ngx_http_exam_hash_of(segs, e->kind, e->n);

        /* it is coming, or has just come: the next answers will know */

        if (h != NULL
            && ((h->state == EXAM_SEG_RECEIVING
                 && !ngx_http_exam_dead(h->pid))
                || (h->state == EXAM_SEG_RECEIVED
                    && ngx_current_msec - h->at < NGX_HTTP_EXAM_WANTED_FRESH)))
        {
            continue;
        }

        ngx_http_exam_forget_locked(segs, e->kind, e->n);
        segs->resend[segs->nresend++] = *e;
    }
}


/* as if the number had never been heard of */

static void
ngx_http_exam_forget_locked(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    uint32_t n)
{
    exam_ranges_t          set;
    ngx_http_exam_hash_t  *h;

    h = ngx_http_exam_hash_of(segs, kind, n);

    if (h != NULL) {
        h->state = EXAM_SEG_NONE;
    }

    /* without room for both halves, numbers below are left out: see above */

    ngx_http_exam_received_of(segs, kind, &set);
    (void) exam_ranges_remove(&set, n);
    ngx_http_exam_received_keep(segs, kind, &set);
}


ngx_int_t
ngx_http_exam_zone_refused(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n,
    exam_str_t upload)
{
    uint8_t                 random[16];
    ngx_int_t               rc;
    ngx_uint_t              named;
    ngx_http_exam_hash_t   *h;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    rc = NGX_OK;
    shard = ngx_http_exam_zone_shard(zone, sid);

    /* an id ends in its random part, whatever node gave it */

    named = upload.len > EXAM_SID_HEX
            && exam_hex_decode(upload.data + upload.len - EXAM_SID_HEX,
                               EXAM_SID_HEX, random, sizeof(random));

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 0);

    if (segs == NULL) {
        goto done;
    }

    h = ngx_http_exam_hash_of(segs, kind, n);

    if (h != NULL
        && (!named || ngx_memcmp(h->upload, random, sizeof(random)) != 0))
    {
        rc = NGX_ABORT;
        goto done;
    }

    ngx_http_exam_forget_locked(segs, kind, n);

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


ngx_int_t
ngx_http_exam_zone_lost(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n)
{
    ngx_int_t               rc;
    exam_ranges_t           set;
    ngx_http_exam_segs_t   *segs;
    ngx_http_exam_shard_t  *shard;

    rc = NGX_OK;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    segs = ngx_http_exam_segs_locked(shard, sid, 1);

    if (segs == NULL) {
        rc = NGX_DECLINED;
        goto done;
    }

    ngx_http_exam_received_of(segs, kind, &set);

    if (exam_ranges_has(&set, n)) {
        rc = NGX_ABORT;
        goto done;
    }

    ngx_http_exam_arrived_locked(segs, kind, n);

    ngx_http_exam_lost_of(segs, kind, &set);

    if (exam_ranges_add(&set, n, n)) {
        ngx_http_exam_lost_keep(segs, kind, &set);
    }

done:

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


void
ngx_http_exam_arrived_locked(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    uint32_t n)
{
    ngx_uint_t      i;
    exam_ranges_t   set;
    exam_resend_t  *e;

    ngx_http_exam_lost_of(segs, kind, &set);
    (void) exam_ranges_remove(&set, n);
    ngx_http_exam_lost_keep(segs, kind, &set);

    for (i = 0; i < segs->nresend; i++) {
        e = &segs->resend[i];

        if (e->kind == kind && e->n == n) {
            segs->nresend--;
            ngx_memmove(e, e + 1,
                        (segs->nresend - i) * sizeof(exam_resend_t));
            break;
        }
    }
}


void
ngx_http_exam_lost_of(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    exam_ranges_t *set)
{
    if (kind == EXAM_KIND_FILE) {
        exam_ranges_init(set, NULL, 0);
        return;
    }

    exam_ranges_init(set, segs->lost[kind], NGX_HTTP_EXAM_LOST);
    set->n = segs->nlost[kind];
}


static void
ngx_http_exam_lost_keep(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    const exam_ranges_t *set)
{
    if (kind != EXAM_KIND_FILE) {
        segs->nlost[kind] = set->n;
    }
}
