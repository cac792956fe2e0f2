
/*
 * What the journal is told of presence (DESIGN 4, 6): gaps between beats, and
 * every minute or so how far a session has come.  Collected under a shard's
 * mutex, journaled after it is freed; event loop.
 *
 * No word of it waits for Redis: a gap is known to the node that answered the
 * beats on both sides of it.  Only a node whose memory began inside the gap has
 * to ask Redis for the beat before.
 */


#ifndef NGX_HTTP_EXAM_PRESENCE_H_INCLUDED
#define NGX_HTTP_EXAM_PRESENCE_H_INCLUDED


#include "ngx_http_exam_module.h"


/* a copy of what is to be told of one session */

typedef struct {
    unsigned       present:1;       /* last, gap_ms and seq are set */
    unsigned       gap:1;           /* from, to, cause and missed are set */
    uint8_t        exam_len;
    uint8_t        student_len;
    uint8_t        exam[EXAM_EXAM_MAX];
    uint8_t        student[EXAM_STUDENT_MAX];
    uint8_t        sid[EXAM_SID_LEN];
    uint64_t       gen;
    int64_t        last;            /* ms */
    int64_t        gap_ms;
    uint64_t       seq;
    int64_t        from;
    int64_t        to;
    exam_cause_e   cause;
    uint32_t       missed;
} ngx_http_exam_presence_t;


/* before a beat at `now` becomes the last one; fills *p */

void ngx_http_exam_presence_beat_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_beat_t *beat, int64_t now,
    ngx_http_exam_presence_t *p);

/*
 * A session that will not beat for a while: its last beat is told unless that
 * was.  Kept in this process until ngx_http_exam_presence_flush(); NGX_BUSY:
 * there is no room, try again after that.
 */

ngx_int_t ngx_http_exam_presence_left_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s);
void ngx_http_exam_presence_flush(void);

/*
 * The last beat that another node, or an earlier memory of this one, was told
 * of, and our first one, ms: a gap is kept as above.
 */

ngx_int_t ngx_http_exam_presence_before_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, int64_t before, int64_t first);

/* after the mutex is free; nothing when *p says nothing */

void ngx_http_exam_presence_journal(const ngx_http_exam_presence_t *p,
    int64_t now);


#endif /* NGX_HTTP_EXAM_PRESENCE_H_INCLUDED */
