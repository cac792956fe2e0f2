
/*
 * Sessions in the zone: index, eviction, end, the copies that handlers get.
 *
 * Runs in every worker process; functions named _locked under the mutex of the
 * session's shard.  Invariants: a session hangs in exactly one bucket, stands
 * in exactly one place (online, offline, ended), in the dirty queue at most
 * once; `sessions` of an exam row counts the nodes that point to it.
 */


#include "ngx_http_exam_command.h"
#include "ngx_http_exam_presence.h"
#include "ngx_http_exam_record.h"


#define NGX_HTTP_EXAM_EVICT_TRIES  32
#define NGX_HTTP_EXAM_EXPIRE       1000     /* at a time */


static ngx_int_t ngx_http_exam_same_student(const ngx_http_exam_session_t *a,
    const ngx_http_exam_session_t *b);
static ngx_uint_t ngx_http_exam_evict_locked(ngx_http_exam_shard_t *shard);
static ngx_http_exam_session_t *ngx_http_exam_victim_locked(
    ngx_http_exam_shard_t *shard);
static void ngx_http_exam_drop_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s);
static ngx_int_t ngx_http_exam_row_locked(ngx_http_exam_shard_t *shard,
    exam_str_t id, ngx_uint_t *index);
static void ngx_http_exam_snapshot_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_snapshot_t *snap);


ngx_http_exam_session_t *
ngx_http_exam_find_locked(ngx_http_exam_shard_t *shard,
    const uint8_t sid[EXAM_SID_LEN])
{
    ngx_http_exam_session_t   *s;
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;

    for (s = sh->buckets[exam_sid_hash(sid) & sh->mask]; s; s = s->next) {
        if (ngx_memcmp(s->sid, sid, EXAM_SID_LEN) == 0) {
            return s;
        }
    }

    return NULL;
}


/*
 * The node of a verified token, made when there is none.  A generation that the
 * node knows to be overtaken enters as replaced.  NULL: no room.
 */

ngx_http_exam_session_t *
ngx_http_exam_make_locked(ngx_http_exam_shard_t *shard,
    const exam_claims_t *claims)
{
    ngx_uint_t                 i, row;
    ngx_http_exam_session_t   *s, *other, **bucket;
    ngx_http_exam_shard_sh_t  *sh;

    s = ngx_http_exam_find_locked(shard, claims->sid);
    if (s != NULL) {
        return s;
    }

    sh = shard->sh;

    if (ngx_http_exam_row_locked(shard, claims->exam, &row) != NGX_OK) {
        return NULL;
    }

    s = ngx_http_exam_object_get(&sh->sessions);

    if (s == NULL) {
        (void) ngx_http_exam_evict_locked(shard);
        s = ngx_http_exam_object_get(&sh->sessions);
    }

    if (s == NULL) {
        (void) ngx_atomic_fetch_add(
                           &shard->zone->shared->stats.zone_full_total, 1);
        return NULL;
    }

    ngx_memcpy(s->sid, claims->sid, EXAM_SID_LEN);
    s->gen = claims->gen;
    s->login_at = claims->iat * 1000;
    s->cold = 1;
    s->exam = (uint8_t) row;
    s->student_len = (uint8_t) claims->student.len;
    ngx_memcpy(s->data, claims->student.data, claims->student.len);

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        s->stored[i] = NGX_HTTP_EXAM_STORED_NULL;
    }

    bucket = &sh->buckets[exam_sid_hash(s->sid) & sh->mask];

    for (other = *bucket; other; other = other->next) {
        if (!ngx_http_exam_same_student(other, s)) {
            continue;
        }

        ngx_http_exam_delivery_copy_locked(shard, s, other);

        if (other->gen > s->gen
            || (other->gen == s->gen
                && ngx_memcmp(other->sid, s->sid, EXAM_SID_LEN) > 0))
        {
            s->ended = EXAM_ENDED_REPLACED;

        } else if (other->ended == EXAM_ENDED_NO) {
            ngx_http_exam_end_locked(shard, other, EXAM_ENDED_REPLACED);
        }
    }

    s->next = *bucket;
    *bucket = s;

    sh->exams[row].sessions++;

    /* what the student has acknowledged elsewhere is to be read first */

    s->fresh = sh->exams[row].round + 1;
    sh->exams[row].wanted = s->fresh;

    s->place = s->ended ? NGX_HTTP_EXAM_ENDED : NGX_HTTP_EXAM_ONLINE;
    sh->counts[s->place]++;
    ngx_queue_insert_head(&sh->places[s->place], &s->queue);

    return s;
}


/* the bucket is shared by all sessions of a student and by chance by others */

static ngx_int_t
ngx_http_exam_same_student(const ngx_http_exam_session_t *a,
    const ngx_http_exam_session_t *b)
{
    return a->exam == b->exam && a->student_len == b->student_len
           && ngx_memcmp(a->data, b->data, a->student_len) == 0;
}


/*
 * Ended ones first, then clean ones that are offline; never a live or dirty
 * one.  The row of its exam if that was the last session of it, else
 * NGX_HTTP_EXAM_EXAMS_MAX.
 */

static ngx_uint_t
ngx_http_exam_evict_locked(ngx_http_exam_shard_t *shard)
{
    ngx_uint_t                row;
    ngx_http_exam_session_t  *s;

    s = ngx_http_exam_victim_locked(shard);
    if (s == NULL) {
        return NGX_HTTP_EXAM_EXAMS_MAX;
    }

    row = s->exam;

    ngx_http_exam_drop_locked(shard, s);

    (void) ngx_atomic_fetch_add(
                     &shard->zone->shared->stats.zone_evictions_total, 1);

    return shard->sh->exams[row].sessions ? NGX_HTTP_EXAM_EXAMS_MAX : row;
}


static ngx_http_exam_session_t *
ngx_http_exam_victim_locked(ngx_http_exam_shard_t *shard)
{
    ngx_uint_t                 i, tries;
    ngx_queue_t               *q, *queue;
    ngx_http_exam_session_t   *s;

    static const ngx_http_exam_place_e  order[] = {
        NGX_HTTP_EXAM_ENDED, NGX_HTTP_EXAM_OFFLINE
    };

    ngx_http_exam_expire_locked(shard);

    for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        queue = &shard->sh->places[order[i]];
        tries = NGX_HTTP_EXAM_EVICT_TRIES;

        for (q = ngx_queue_last(queue);
             q != ngx_queue_sentinel(queue) && tries--;
             q = ngx_queue_prev(q))
        {
            s = ngx_queue_data(q, ngx_http_exam_session_t, queue);

            if (!s->dirty && !ngx_http_exam_segs_busy(s->segs)
                && !ngx_http_exam_delivery_busy(s))
            {
                return s;
            }
        }
    }

    return NULL;
}


void
ngx_http_exam_expire_locked(ngx_http_exam_shard_t *shard)
{
    int64_t                   oldest;
    ngx_uint_t                tries;
    ngx_queue_t              *online;
    ngx_http_exam_session_t  *s;

    online = &shard->sh->places[NGX_HTTP_EXAM_ONLINE];
    oldest = ngx_http_exam_now() - (int64_t) shard->zone->offline_after;

    for (tries = NGX_HTTP_EXAM_EXPIRE; tries; tries--) {

        if (ngx_queue_empty(online)) {
            return;
        }

        s = ngx_queue_data(ngx_queue_last(online), ngx_http_exam_session_t,
                           queue);

        if (ngx_max(s->last_beat, s->login_at) >= oldest) {
            return;
        }

        if (ngx_http_exam_presence_left_locked(shard, s) != NGX_OK) {
            return;
        }

        ngx_http_exam_place_locked(shard, s, NGX_HTTP_EXAM_OFFLINE);
    }
}


/* to the head of the place, from wherever it stands */

void
ngx_http_exam_place_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_place_e place)
{
    ngx_queue_remove(&s->queue);
    shard->sh->counts[s->place]--;

    s->place = (uint8_t) place;

    ngx_queue_insert_head(&shard->sh->places[place], &s->queue);
    shard->sh->counts[place]++;
}


static void
ngx_http_exam_drop_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s)
{
    ngx_http_exam_session_t   **p;
    ngx_http_exam_shard_sh_t   *sh;

    sh = shard->sh;

    for (p = &sh->buckets[exam_sid_hash(s->sid) & sh->mask];
         *p != s;
         p = &(*p)->next)
    {
        /* void */
    }

    *p = s->next;

    ngx_queue_remove(&s->queue);

    sh->counts[s->place]--;
    sh->exams[s->exam].sessions--;

    if (s->segs) {
        ngx_http_exam_held_free(shard, s->segs);
        ngx_http_exam_object_put(&sh->segs, s->segs);
    }

    if (s->delivery) {
        s->delivery->session = NULL;
        ngx_http_exam_object_put(&sh->deliveries, s->delivery);
    }

    ngx_http_exam_object_put(&sh->sessions, s);
}


/*
 * The row of an exam, made when there is none.  A row without sessions is free;
 * when there is no such, the oldest sessions of exams long over make way.
 */

static ngx_int_t
ngx_http_exam_row_locked(ngx_http_exam_shard_t *shard, exam_str_t id,
    ngx_uint_t *index)
{
    ngx_uint_t             i, free, tries;
    ngx_http_exam_exam_t  *e;

    free = NGX_HTTP_EXAM_EXAMS_MAX;

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        e = &shard->sh->exams[i];

        if (e->id_len == id.len && ngx_memcmp(e->id, id.data, id.len) == 0) {
            *index = i;
            return NGX_OK;
        }

        if (free == NGX_HTTP_EXAM_EXAMS_MAX && e->sessions == 0) {
            free = i;
        }
    }

    for (tries = NGX_HTTP_EXAM_EXPIRE;
         free == NGX_HTTP_EXAM_EXAMS_MAX && tries;
         tries--)
    {
        free = ngx_http_exam_evict_locked(shard);
    }

    if (free == NGX_HTTP_EXAM_EXAMS_MAX) {
        return NGX_DECLINED;
    }

    e = &shard->sh->exams[free];

    ngx_http_exam_commands_drop_locked(shard, e);
    ngx_memzero(e, sizeof(ngx_http_exam_exam_t));
    e->id_len = (uint8_t) id.len;
    ngx_memcpy(e->id, id.data, id.len);

    *index = free;

    return NGX_OK;
}


void
ngx_http_exam_end_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, exam_ended_e reason)
{
    if (s->ended != EXAM_ENDED_NO || reason == EXAM_ENDED_NO) {
        return;
    }

    s->ended = (uint8_t) reason;

    ngx_http_exam_record_end_locked(shard, s);
    ngx_http_exam_place_locked(shard, s, NGX_HTTP_EXAM_ENDED);
}


/* into the dirty queue, if its row is not in it or on the way already */

void
ngx_http_exam_dirty_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s)
{
    s->changes++;

    if (!s->dirty) {
        s->dirty = 1;
        ngx_http_exam_queue_locked(shard, s);
    }
}


void
ngx_http_exam_queue_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s)
{
    s->dirty_next = NULL;

    *shard->sh->dirty_tail = s;
    shard->sh->dirty_tail = &s->dirty_next;
    shard->sh->ndirty++;
}


void
ngx_http_exam_view_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, exam_view_t *view)
{
    ngx_http_exam_exam_t  *e;

    e = &shard->sh->exams[s->exam];

    view->state = e->state;
    view->ended = s->ended;
    view->flags = s->flags;
    view->known = s->known;
    view->paused_at = e->paused_at;
    view->late_ms = (int64_t) shard->zone->late_upload;
    view->own_end = 0;

    /* without his extra time the end would be too early, and be for ever */

    if (s->known && e->ends_at) {
        view->own_end = e->ends_at + e->pause_ms + (int64_t) s->extra_s * 1000;
    }
}


static void
ngx_http_exam_snapshot_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_snapshot_t *snap)
{
    ngx_http_exam_view_locked(shard, s, &snap->view);

    snap->gen = s->gen;
    snap->login_at = s->login_at;
    snap->last_beat = s->last_beat;
    snap->known = s->known;
    snap->cached = 1;
    snap->has_offset = exam_offset_get(&s->clock, &snap->offset_ms);
    ngx_memcpy(snap->stored, s->stored, sizeof(s->stored));
}


void
ngx_http_exam_zone_cold(ngx_http_exam_zone_t *zone,
    ngx_http_exam_snapshot_t *snap)
{
    ngx_uint_t  i;

    ngx_memzero(snap, sizeof(ngx_http_exam_snapshot_t));

    snap->view.late_ms = (int64_t) zone->late_upload;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        snap->stored[i] = NGX_HTTP_EXAM_STORED_NULL;
    }
}


ngx_int_t
ngx_http_exam_zone_touch(ngx_http_exam_zone_t *zone,
    const exam_claims_t *claims, ngx_http_exam_snapshot_t *snap)
{
    ngx_int_t                 rc;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    ngx_http_exam_zone_cold(zone, snap);
    snap->gen = claims->gen;

    rc = NGX_DECLINED;
    shard = ngx_http_exam_zone_shard(zone, claims->sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_make_locked(shard, claims);

    if (s != NULL) {
        if (!s->known) {
            ngx_http_exam_dirty_locked(shard, s);
        }

        ngx_http_exam_snapshot_locked(shard, s, snap);
        rc = NGX_OK;
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


ngx_int_t
ngx_http_exam_zone_look(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_snapshot_t *snap)
{
    ngx_int_t                 rc;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    ngx_http_exam_zone_cold(zone, snap);

    rc = NGX_DECLINED;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_find_locked(shard, sid);

    if (s != NULL) {
        ngx_http_exam_snapshot_locked(shard, s, snap);
        rc = NGX_OK;
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


/*
 * A login that Redis has accepted: what the script answered enters the node,
 * the older sessions of the student are replaced.
 */

ngx_int_t
ngx_http_exam_zone_login(ngx_http_exam_zone_t *zone,
    const exam_claims_t *claims, int64_t now, const exam_flush_exam_t *exam,
    const exam_flush_answer_t *answer)
{
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    shard = ngx_http_exam_zone_shard(zone, claims->sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_make_locked(shard, claims);

    if (s != NULL) {
        s->login_at = now;
        s->cold = 0;
        ngx_http_exam_learn_locked(shard, s, exam, answer);
    }

    ngx_http_exam_shard_unlock(shard);

    return s ? NGX_OK : NGX_DECLINED;
}


/* what Redis says of exam and session; the session stays where it is */

void
ngx_http_exam_learn_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_flush_exam_t *exam,
    const exam_flush_answer_t *answer)
{
    ngx_uint_t             i;
    ngx_http_exam_exam_t  *e;

    e = &shard->sh->exams[s->exam];

    /* answers may arrive out of order: an older version changes nothing */

    if (exam->version >= e->version) {
        e->state = (uint8_t) exam->state;
        e->starts_at = exam->starts_at;
        e->ends_at = exam->ends_at;
        e->pause_ms = exam->pause_ms;
        e->paused_at = exam->paused_at;
        e->version = exam->version;
    }

    s->known = 1;
    s->flags = (uint8_t) answer->flags;
    s->extra_s = (int32_t) answer->extra_s;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        s->stored[i] = ngx_max(s->stored[i], answer->stored[i]);
    }

    ngx_http_exam_resend_locked(shard, s, answer);

    if (answer->gen > s->gen) {
        ngx_http_exam_end_locked(shard, s, EXAM_ENDED_REPLACED);

    } else {
        ngx_http_exam_end_locked(shard, s, answer->ended);
    }
}


/* is there room for one more, and the generation to go beyond */

ngx_int_t
ngx_http_exam_zone_room(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], exam_str_t exam, exam_str_t student,
    uint64_t *newest)
{
    ngx_int_t                  rc;
    ngx_uint_t                 row;
    ngx_http_exam_shard_t     *shard;
    ngx_http_exam_session_t   *s;
    ngx_http_exam_shard_sh_t  *sh;

    *newest = 0;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    sh = shard->sh;

    rc = ngx_http_exam_row_locked(shard, exam, &row);

    if (rc == NGX_OK && sh->sessions.free == NULL
        && sh->sessions.used == sh->sessions.max
        && ngx_http_exam_victim_locked(shard) == NULL)
    {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        for (s = sh->buckets[exam_sid_hash(sid) & sh->mask];
             s;
             s = s->next)
        {
            if (s->exam == row && s->student_len == student.len
                && ngx_memcmp(s->data, student.data, student.len) == 0)
            {
                *newest = ngx_max(*newest, s->gen);
            }
        }
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


void
ngx_http_exam_zone_end(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], exam_ended_e reason)
{
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_find_locked(shard, sid);

    if (s != NULL && s->ended == EXAM_ENDED_NO) {
        ngx_http_exam_end_locked(shard, s, reason);
        ngx_http_exam_dirty_locked(shard, s);
    }

    ngx_http_exam_shard_unlock(shard);
}


ngx_int_t
ngx_http_exam_zone_poll(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_rate_t *rate)
{
    ngx_int_t                 rc;
    ngx_http_exam_shard_t    *shard;
    ngx_http_exam_session_t  *s;

    if (rate->rate == 0) {
        return NGX_OK;
    }

    rc = NGX_OK;
    shard = ngx_http_exam_zone_shard(zone, sid);

    ngx_http_exam_shard_lock(shard);

    s = ngx_http_exam_find_locked(shard, sid);

    if (s != NULL) {
        rc = ngx_http_exam_bucket(&s->polls, rate);
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


/*
 * The leaky bucket of limit_req: excess drains with the rate, a request adds
 * one; over the burst it is refused and adds nothing.
 */

ngx_int_t
ngx_http_exam_bucket(ngx_http_exam_bucket_t *b,
    const ngx_http_exam_rate_t *rate)
{
    uint32_t   now;
    ngx_int_t  excess, ms;

    now = (uint32_t) ngx_current_msec;
    ms = (ngx_int_t) (int32_t) (now - b->last);

    /* another process' clock may be a turn of its event loop ahead */

    ms = ngx_min(ngx_max(ms, 0), 3600000);

    excess = (ngx_int_t) b->excess - (ngx_int_t) rate->rate * ms / 1000;
    excess = ngx_max(excess, 0) + 1000;

    if (excess > (ngx_int_t) (rate->burst + 1) * 1000) {
        return NGX_BUSY;
    }

    b->excess = (uint32_t) excess;
    b->last = now;

    return NGX_OK;
}


/*
 * Counts a failed login of the key and tells whether it is over the limit.  A
 * fixed table: two keys that fall on one place push each other out, which can
 * only let an attempt in.
 */

ngx_int_t
ngx_http_exam_zone_attempt(ngx_http_exam_zone_t *zone, uint32_t hash,
    ngx_uint_t limit)
{
    uint32_t                  minute;
    ngx_int_t                 rc;
    ngx_http_exam_attempt_t  *a;

    minute = (uint32_t) (ngx_time() / 60);
    a = &zone->shared->attempts[hash % NGX_HTTP_EXAM_ATTEMPTS];

    ngx_http_exam_shard_lock(&zone->shards[0]);

    if (a->hash != hash || a->minute != minute) {
        a->hash = hash;
        a->minute = minute;
        a->count = 0;
    }

    rc = (a->count >= limit) ? NGX_BUSY : NGX_OK;
    a->count++;

    ngx_http_exam_shard_unlock(&zone->shards[0]);

    return rc;
}
