
/*
 * Presence for the journal; see the header.
 */


#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_presence.h"


#define NGX_HTTP_EXAM_TELL_MS     60000     /* how far a session has come */
#define NGX_HTTP_EXAM_TELL_UNIT   4096      /* ms of s->clock.told */
#define NGX_HTTP_EXAM_TELL_LEFT   UINT16_MAX    /* the last beat was told */
#define NGX_HTTP_EXAM_LEFT_MAX    256


static int64_t ngx_http_exam_presence_born(const ngx_http_exam_shard_t *shard);
static uint16_t ngx_http_exam_presence_told(int64_t now);
static ngx_uint_t ngx_http_exam_presence_due(ngx_http_exam_session_t *s,
    int64_t now);
static ngx_http_exam_presence_t *ngx_http_exam_presence_keep_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_session_t *s);
static void ngx_http_exam_presence_copy_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_presence_t *p);


static ngx_http_exam_presence_t  ngx_http_exam_left[NGX_HTTP_EXAM_LEFT_MAX];
static ngx_uint_t                ngx_http_exam_nleft;


void
ngx_http_exam_presence_beat_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_beat_t *beat, int64_t now,
    ngx_http_exam_presence_t *p)
{
    int64_t  gap, offset;

    p->present = 0;
    p->gap = 0;

    if (beat->client_time >= 0) {
        exam_offset_add(&s->clock, now, beat->client_time);
    }

    if (s->last_beat == 0) {
        s->tried |= (beat->missed != 0);
        gap = 0;

    } else {
        gap = now - s->last_beat;
    }

    if (gap > 100 * (int64_t) s->clock.gap_ds) {
        s->clock.gap_ds = (uint16_t) ngx_min(gap / 100, UINT16_MAX);
    }

    if (gap > shard->zone->gap_limit) {
        offset = (beat->client_time >= 0) ? now - beat->client_time : 0;

        p->gap = 1;
        p->from = s->last_beat;
        p->to = now;
        p->missed = exam_gap_missed(beat->times, beat->ntimes, offset,
                                    p->from, p->to);
        p->cause = exam_gap_cause(p->from, p->to,
                                  ngx_http_exam_presence_born(shard),
                                  p->missed);
    }

    if (p->gap || ngx_http_exam_presence_due(s, now)) {
        ngx_http_exam_presence_copy_locked(shard, s, p);

        p->present = 1;
        p->last = now;
        p->seq = ngx_max(s->seq, beat->seq);
        s->clock.told = ngx_http_exam_presence_told(now);
    }
}


/* ms, when the memory of its sessions began */

static int64_t
ngx_http_exam_presence_born(const ngx_http_exam_shard_t *shard)
{
    return ngx_max(shard->zone->shared->born, shard->sh->reset_at);
}


/* 0 is a session that nothing was told of */

static uint16_t
ngx_http_exam_presence_told(int64_t now)
{
    uint16_t  told;

    told = (uint16_t) (now / NGX_HTTP_EXAM_TELL_UNIT);

    return (told == 0 || told == NGX_HTTP_EXAM_TELL_LEFT) ? 1 : told;
}


static ngx_uint_t
ngx_http_exam_presence_due(ngx_http_exam_session_t *s, int64_t now)
{
    uint16_t  ago;

    if (s->clock.told == 0 || s->clock.told == NGX_HTTP_EXAM_TELL_LEFT) {
        return 1;
    }

    ago = (uint16_t) (ngx_http_exam_presence_told(now) - s->clock.told);

    return ago >= NGX_HTTP_EXAM_TELL_MS / NGX_HTTP_EXAM_TELL_UNIT;
}


ngx_int_t
ngx_http_exam_presence_left_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s)
{
    if (s->last_beat == 0 || s->clock.told == NGX_HTTP_EXAM_TELL_LEFT) {
        return NGX_OK;
    }

    if (ngx_http_exam_presence_keep_locked(shard, s) == NULL) {
        return NGX_BUSY;
    }

    s->clock.told = NGX_HTTP_EXAM_TELL_LEFT;

    return NGX_OK;
}


void
ngx_http_exam_presence_flush(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_exam_nleft; i++) {
        ngx_http_exam_presence_journal(&ngx_http_exam_left[i],
                                       ngx_http_exam_now());
    }

    ngx_http_exam_nleft = 0;
}


ngx_int_t
ngx_http_exam_presence_before_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, int64_t before, int64_t first)
{
    ngx_http_exam_presence_t  *p;

    /* an older beat than the generation is another session's */

    if (before < (int64_t) s->gen || first - before <= shard->zone->gap_limit)
    {
        return NGX_OK;
    }

    p = ngx_http_exam_presence_keep_locked(shard, s);

    if (p == NULL) {
        return NGX_BUSY;
    }

    p->gap = 1;
    p->from = before;
    p->to = first;
    p->missed = s->tried;
    p->cause = exam_gap_cause(before, first,
                              ngx_http_exam_presence_born(shard), p->missed);

    return NGX_OK;
}


static ngx_http_exam_presence_t *
ngx_http_exam_presence_keep_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s)
{
    ngx_http_exam_presence_t  *p;

    if (ngx_http_exam_nleft == NGX_HTTP_EXAM_LEFT_MAX) {
        return NULL;
    }

    p = &ngx_http_exam_left[ngx_http_exam_nleft++];

    ngx_http_exam_presence_copy_locked(shard, s, p);

    p->present = 1;
    p->gap = 0;
    p->last = s->last_beat;
    p->seq = s->seq;

    return p;
}


static void
ngx_http_exam_presence_copy_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_presence_t *p)
{
    ngx_http_exam_exam_t  *e;

    e = &shard->sh->exams[s->exam];

    p->exam_len = e->id_len;
    ngx_memcpy(p->exam, e->id, e->id_len);

    p->student_len = s->student_len;
    ngx_memcpy(p->student, s->data, s->student_len);

    ngx_memcpy(p->sid, s->sid, EXAM_SID_LEN);
    p->gen = s->gen;

    p->gap_ms = 100 * (int64_t) s->clock.gap_ds;
    s->clock.gap_ds = 0;
}


void
ngx_http_exam_presence_journal(const ngx_http_exam_presence_t *p, int64_t now)
{
    exam_record_t  r;

    if (!p->present && !p->gap) {
        return;
    }

    ngx_memzero(&r, sizeof(exam_record_t));

    r.at = now;
    r.exam = exam_str_make(p->exam, p->exam_len);
    r.student = exam_str_make(p->student, p->student_len);
    ngx_memcpy(r.sid, p->sid, EXAM_SID_LEN);
    r.gen = p->gen;

    /* what does not fit is counted by the journal and told again by others */

    if (p->gap) {
        r.type = EXAM_RECORD_GAP;
        r.from = p->from;
        r.to = p->to;
        r.cause = p->cause;
        r.missed = p->missed;

        (void) ngx_http_exam_journal(&r, NULL, NULL);
    }

    if (p->present) {
        r.type = EXAM_RECORD_PRESENCE;
        r.from = p->last;
        r.to = p->last;
        r.gap_ms = p->gap_ms;
        r.seq = p->seq;

        (void) ngx_http_exam_journal(&r, NULL, NULL);
    }
}
