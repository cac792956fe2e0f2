
/*
 * The zone: sessions of this node in shared memory (DESIGN 8).
 *
 * One slab zone a shard; a student's sessions all lie in one shard and one
 * bucket, because a session id begins with the hash of (exam, student).  Only
 * the slab mutex is used: the master frees it when its holder dies.  The slab
 * itself is asked for memory at init only: nodes come from fixed-size pools, so
 * that a shard can be emptied without walking what a crash may have torn.  The
 * holder of the mutex keeps `dirty` set; who finds it set after locking empties
 * the shard (`zone_resets_total`).  The zone is a cache: what it forgets comes
 * back from tokens and Redis.
 *
 * Functions named _locked expect the shard's mutex; all others take it.
 */


#ifndef NGX_HTTP_EXAM_ZONE_H_INCLUDED
#define NGX_HTTP_EXAM_ZONE_H_INCLUDED


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../core/exam_entry.h"
#include "../core/exam_redis_row.h"
#include "../core/exam_ranges.h"
#include "../core/exam_presence.h"
#include "../core/exam_state.h"
#include "../core/exam_token.h"
#include "ngx_http_exam_counters.h"


#define NGX_HTTP_EXAM_SHARDS_MAX    64
#define NGX_HTTP_EXAM_EXAMS_MAX     128     /* exams a shard knows at a time */
#define NGX_HTTP_EXAM_NODE_SIZE     512
#define NGX_HTTP_EXAM_LINE          64      /* of the processor's cache */
#define NGX_HTTP_EXAM_RANGES        8       /* ranges of received a kind */
#define NGX_HTTP_EXAM_LOST          4       /* ranges of lost a kind */
#define NGX_HTTP_EXAM_HASHES        8       /* last hashes a session */
#define NGX_HTTP_EXAM_OPEN_MAX      20      /* open connections a session */
#define NGX_HTTP_EXAM_BUCKETS       28      /* of a histogram: 2^n us */
#define NGX_HTTP_EXAM_RSS_MAX       256     /* worker processes */
#define NGX_HTTP_EXAM_ATTEMPTS      4096    /* login failure counters */
#define NGX_HTTP_EXAM_RECENT_RATES  2048    /* buckets of rare requests */
#define NGX_HTTP_EXAM_RECENT_IDS    4096    /* ids of events seen last */
#define NGX_HTTP_EXAM_COMMANDS      256     /* of an exam, at a time */
#define NGX_HTTP_EXAM_COMMAND_SIZE  128     /* a command, a piece of payload */

#define NGX_HTTP_EXAM_STORED_NULL   (-2)    /* not known now */


/* each session stands in one of these queues, the latest at the head */

typedef enum {
    NGX_HTTP_EXAM_ONLINE = 0,
    NGX_HTTP_EXAM_OFFLINE,                  /* no beat for offline_after */
    NGX_HTTP_EXAM_ENDED,
    NGX_HTTP_EXAM_PLACES
} ngx_http_exam_place_e;


/* a bit for each command of an exam */

typedef struct {
    uint64_t                      word[NGX_HTTP_EXAM_COMMANDS / 64];
} ngx_http_exam_bits_t;


typedef struct ngx_http_exam_piece_s     ngx_http_exam_piece_t;
typedef struct ngx_http_exam_command_s   ngx_http_exam_command_t;
typedef struct ngx_http_exam_delivery_s  ngx_http_exam_delivery_t;
typedef struct ngx_http_exam_segs_s      ngx_http_exam_segs_t;
typedef struct ngx_http_exam_session_s   ngx_http_exam_session_t;


struct ngx_http_exam_piece_s {
    ngx_http_exam_piece_t        *next;
    u_char                        data[NGX_HTTP_EXAM_COMMAND_SIZE
                                       - sizeof(void *)];
};


struct ngx_http_exam_command_s {
    ngx_http_exam_command_t      *next;     /* of its exam, ids rise */
    ngx_http_exam_piece_t        *payload;
    uint64_t                      id;
    int64_t                       expires_at;   /* ms */
    uint64_t                      entry_ms; /* its first send in the stream */
    uint64_t                      entry_seq;
    uint16_t                      payload_len;
    uint8_t                       bit;
    uint8_t                       unsure;   /* a cancel may follow: wait */
    uint8_t                       type_len;
    u_char                        type[EXAM_COMMAND_TYPE_MAX];
};


/* what the node knows of an exam; index = position in the shard's table */

typedef struct {
    uint8_t                       id_len;   /* 0 = free */
    uint8_t                       id[EXAM_EXAM_MAX];
    uint8_t                       state;    /* exam_state_e */
    uint32_t                      sessions; /* nodes that point here */
    int64_t                       starts_at;
    int64_t                       ends_at;  /* ms, 0 = not known */
    int64_t                       pause_ms;
    int64_t                       paused_at;
    int64_t                       version;

    /* ngx_http_exam_command.c */

    ngx_http_exam_command_t      *commands;
    ngx_http_exam_bits_t          live;     /* may stand in replies */
    ngx_http_exam_bits_t          all;      /* those to everybody */
    ngx_http_exam_bits_t          used;     /* of a command, or unclean */
    ngx_http_exam_bits_t          unclean;  /* of none, set in sessions */
    ngx_http_exam_bits_t          clearing; /* the walk clears these */
    uint32_t                      clear_at; /* its next delivery */

    /* ngx_http_exam_control.c: the stream has been applied up to here */

    uint64_t                      read_ms;
    uint64_t                      read_seq;
    uint32_t                      read_all; /* 1: up to its end */

    /* readings of it again, for sessions made since: begun, ended, wanted */

    uint32_t                      round;
    uint32_t                      done;
    uint32_t                      wanted;
} ngx_http_exam_exam_t;


/* 1/1000 requests a second, 0 = no limit; burst in requests */

typedef struct {
    ngx_uint_t                    rate;
    ngx_uint_t                    burst;
} ngx_http_exam_rate_t;


/* the last segments: NONE, RECEIVING (being finished), RECEIVED */

typedef struct {
    uint8_t                       state;
    uint8_t                       kind;
    uint16_t                      slot;
    uint32_t                      n;
    ngx_pid_t                     pid;      /* who is finishing it */
    ngx_msec_t                    at;       /* of the receipt */
    int64_t                       bytes;
    uint8_t                       sha256[EXAM_HASH_LEN];
    uint8_t                       upload[16];
} ngx_http_exam_hash_t;


/*
 * An incomplete resumable upload.  It stands with the session that pays for it,
 * which need not be the one that it is for.
 */

typedef struct ngx_http_exam_held_s  ngx_http_exam_held_t;

struct ngx_http_exam_held_s {
    ngx_http_exam_held_t         *next;     /* of the session */
    int64_t                       length;   /* -1: not known yet */
    uint32_t                      expires;  /* wall clock, s; 0 = over */
    ngx_pid_t                     pid;      /* who makes it; 0: on the disk */
    unsigned                      n:24;
    unsigned                      kind:8;
    uint8_t                       id[16];   /* the random part */
    uint8_t                       session[EXAM_SID_LEN - 4];
};


struct ngx_http_exam_segs_s {
    uint32_t                      next;     /* ring position in hashes */
    uint32_t                      files;    /* the next attachment's number */
    int64_t                       bytes;    /* received here */
    uint32_t                      nranges[EXAM_KINDS_MAX];
    exam_range_t                  ranges[EXAM_KINDS_MAX][NGX_HTTP_EXAM_RANGES];

    /* given up by the client, none of them received */
    uint32_t                      nlost[EXAM_KINDS_MAX];
    exam_range_t                  lost[EXAM_KINDS_MAX][NGX_HTTP_EXAM_LOST];

    uint32_t                      nresend;  /* as Redis told last */
    exam_resend_t                 resend[EXAM_RESEND_MAX];

    ngx_http_exam_hash_t          hashes[NGX_HTTP_EXAM_HASHES];

    ngx_pid_t                     open[NGX_HTTP_EXAM_OPEN_MAX]; /* 0 = free */
    uint8_t                       open_kind[NGX_HTTP_EXAM_OPEN_MAX];
    ngx_http_exam_held_t         *held;
};


/* what a session was given and has acknowledged; made with the first of it */

typedef enum {
    NGX_HTTP_EXAM_REPORT_SENT = 0,
    NGX_HTTP_EXAM_REPORT_ACK,
    NGX_HTTP_EXAM_REPORTS
} ngx_http_exam_report_e;


struct ngx_http_exam_delivery_s {
    ngx_http_exam_delivery_t     *next;     /* in the queue of reports */
    ngx_http_exam_session_t      *session;  /* NULL: not in use */
    ngx_http_exam_bits_t          due;      /* those by name */
    ngx_http_exam_bits_t          acked;
    ngx_http_exam_bits_t          sent;

    /* not yet told */

    ngx_http_exam_bits_t          journal[NGX_HTTP_EXAM_REPORTS];
    ngx_http_exam_bits_t          redis[NGX_HTTP_EXAM_REPORTS];

    unsigned                      queued:1;
    unsigned                      reporting:1;  /* a call is on the way */
    uint32_t                      queued_at;    /* s */
};


/* a token bucket in units of 1/1000 request, as limit_req counts */

typedef struct {
    uint32_t                      excess;
    uint32_t                      last;     /* low bits of ngx_current_msec */
} ngx_http_exam_bucket_t;


/*
 * In the order of a heartbeat's way through it, by lines of the cache.  The
 * first line tells the session of a token from others of its bucket, the third
 * is only read as a rule, the fourth is the flush's.
 */

struct ngx_http_exam_session_s {
    ngx_http_exam_session_t      *next;     /* chain of the bucket */
    uint8_t                       sid[EXAM_SID_LEN];
    uint32_t                      mark;     /* of the kept token's key */
    uint16_t                      token_len;    /* 0 = none kept */
    uint8_t                       student_len;
    uint8_t                       exam;     /* index in the shard's exams */
    uint8_t                       place;    /* ngx_http_exam_place_e */
    uint8_t                       ended;    /* exam_ended_e */
    uint8_t                       flags;    /* EXAM_FLAG_* */
    uint8_t                       dirty:1;  /* in the dirty queue */
    uint8_t                       flushing:1;   /* its row is on the way */
    uint8_t                       has_state:1;  /* state not yet flushed */
    uint8_t                       stated:1; /* has ever sent a state */
    uint8_t                       known:1;  /* Redis has answered for it */
    uint8_t                       beaten:1; /* has had a heartbeat */
    uint8_t                       cold:1;   /* beats before are not known */
    uint8_t                       tried:1;  /* told of attempts at the first */
    uint32_t                      changes;  /* bumped by each mutation */
    int64_t                       exp;      /* of the token seen last, s */
    int64_t                       last_beat;
    uint64_t                      seq;

    int64_t                       first_beat;   /* since the last flush */
    int64_t                       longest_gap;  /* since the last flush */
    exam_offset_t                 clock;    /* and what the journal has */
    ngx_http_exam_bucket_t        beats;
    int32_t                       stored[EXAM_KINDS_MAX];

    exam_beat_state_t             state;
    int32_t                       extra_s;
    uint32_t                      bumped;   /* when last moved to the head, s */

    ngx_http_exam_segs_t         *segs;     /* NULL until the first upload */
    ngx_http_exam_delivery_t     *delivery; /* NULL until the first command */
    ngx_http_exam_session_t      *dirty_next;
    ngx_queue_t                   queue;    /* in one of the places */
    uint64_t                      gen;
    int64_t                       login_at; /* ms */
    uint32_t                      awaits;   /* news of `stored`, till then */
    uint32_t                      fresh;    /* the round it waits for, or 0 */

    ngx_http_exam_bucket_t        polls;
    uint8_t                       data[1];  /* student, token behind header */
};


typedef struct {
    ngx_atomic_t                  buckets[NGX_HTTP_EXAM_BUCKETS];
    ngx_atomic_t                  sum;      /* us */
} ngx_http_exam_histogram_t;


#define NGX_HTTP_EXAM_FIELD(type, name, help)  ngx_atomic_t  name;
#define NGX_HTTP_EXAM_HIST(name, help)  ngx_http_exam_histogram_t  name;

typedef struct {
    NGX_HTTP_EXAM_COUNTERS(NGX_HTTP_EXAM_FIELD)
    struct {
        NGX_HTTP_EXAM_HISTOGRAMS(NGX_HTTP_EXAM_HIST)
    } latency;
} ngx_http_exam_stats_t;


/* failed logins of a key in the running minute; any loss only lets one in */

typedef struct {
    uint32_t                      hash;
    uint32_t                      minute;
    uint32_t                      count;
} ngx_http_exam_attempt_t;


/* requests of a session and kind: see ngx_http_exam_recent.h */

typedef struct {
    uint64_t                      key;
    ngx_http_exam_bucket_t        bucket;
} ngx_http_exam_recent_t;


/* an event that is in the journal: bits of a hash of session and id */

typedef struct {
    uint64_t                      hash[2];
} ngx_http_exam_event_t;


/* fixed-size objects; `used` is a watermark: fresh pages stay untouched */

typedef struct {
    u_char                       *start;
    size_t                        size;     /* of an object */
    ngx_uint_t                    max;
    ngx_uint_t                    used;
    void                         *free;     /* linked by their first word */
} ngx_http_exam_objects_t;


typedef struct {
    ngx_uint_t                    magic;    /* layout and version */
    volatile ngx_uint_t           dirty;    /* the mutex is held */
    ngx_uint_t                    resets;   /* what lay here before is gone */
    ngx_http_exam_session_t     **buckets;
    ngx_uint_t                    mask;
    ngx_http_exam_objects_t       sessions;
    ngx_http_exam_objects_t       segs;
    ngx_http_exam_objects_t       helds;
    ngx_http_exam_objects_t       deliveries;
    ngx_http_exam_objects_t       commands; /* and their payloads */
    ngx_queue_t                   places[NGX_HTTP_EXAM_PLACES];
    ngx_uint_t                    counts[NGX_HTTP_EXAM_PLACES];
    ngx_http_exam_session_t      *dirty_head;
    ngx_http_exam_session_t     **dirty_tail;
    ngx_uint_t                    ndirty;
    ngx_uint_t                    inflight; /* rows sent, not answered */

    /* see ngx_http_exam_node.h: wall clock ms, and rows */
    int64_t                       reset_at; /* the last reset, 0: none */
    int64_t                       flushed_at;
    int64_t                       mark_before;
    int64_t                       mark_at;
    ngx_uint_t                    mark_left;

    ngx_pid_t                     flusher;  /* who holds the flush lease */
    ngx_msec_t                    flusher_until;

    ngx_http_exam_delivery_t     *reports_head;
    ngx_http_exam_delivery_t    **reports_tail;
    ngx_uint_t                    ncommands;
    ngx_uint_t                    unclean;  /* some exam has such bits */

    /* EMPTY has made all sessions dirty, none was answered since */
    ngx_uint_t                    emptied;

    struct ngx_http_exam_shared_s  *shared; /* of shard 0, else NULL */

    ngx_http_exam_exam_t          exams[NGX_HTTP_EXAM_EXAMS_MAX];
} ngx_http_exam_shard_sh_t;


typedef struct {
    ngx_http_exam_shard_sh_t     *sh;
    ngx_slab_pool_t              *shpool;
    ngx_shm_zone_t               *shm_zone;
    ngx_uint_t                    index;
    ngx_uint_t                    due;      /* rows, to flush in this tick */
    struct ngx_http_exam_zone_s  *zone;
} ngx_http_exam_shard_t;


/* what a process has put into gauges: taken back when it was killed */

typedef struct {
    ngx_atomic_t                  uploads;
    ngx_atomic_t                  bytes;
    ngx_atomic_t                  expected;
} ngx_http_exam_gauges_t;


/* shared once, in the first shard's zone */

typedef struct ngx_http_exam_shared_s {
    ngx_http_exam_stats_t         stats;
    ngx_http_exam_gauges_t        gauges[NGX_MAX_PROCESSES];    /* by slot */
    ngx_http_exam_attempt_t       attempts[NGX_HTTP_EXAM_ATTEMPTS];
    ngx_http_exam_recent_t        recent[NGX_HTTP_EXAM_RECENT_RATES];
    ngx_http_exam_event_t         events[NGX_HTTP_EXAM_RECENT_IDS];
    ngx_atomic_t                  rss_anon_kb[NGX_HTTP_EXAM_RSS_MAX];
    ngx_uint_t                    loaded;   /* hash of exam:loaded, 0 = none */
    ngx_atomic_t                  journal_full;     /* no reserve */
    ngx_atomic_t                  journal_failed;   /* s, the last time */
    ngx_atomic_t                  unreserved;   /* no fallocate() */
    ngx_atomic_t                  filled;   /* from the spool: resets + 1 */
    ngx_atomic_t                  short_at;     /* s, none was free */
    ngx_atomic_t                  wanted;       /* places, since then */
    int64_t                       born;     /* ms, when this memory began */
    int64_t                       redis_down;   /* away since; 0: it is up */
    ngx_pid_t                     reader;   /* of the control streams: lease */
    ngx_msec_t                    reader_until;
} ngx_http_exam_shared_t;


typedef struct ngx_http_exam_zone_s {
    ngx_str_t                     name;
    size_t                        size;     /* of all shards together */
    ngx_uint_t                    n;
    ngx_http_exam_shard_t        *shards;
    ngx_http_exam_shared_t       *shared;

    ngx_msec_t                    late_upload;      /* copies of directives */
    ngx_msec_t                    offline_after;
    int64_t                       gap_limit;        /* ms between two beats */
} ngx_http_exam_zone_t;


/* what a handler needs to know of a session: a copy made under the mutex */

typedef struct {
    exam_view_t                   view;
    uint64_t                      gen;
    int64_t                       login_at;
    int64_t                       last_beat;
    int32_t                       stored[EXAM_KINDS_MAX];
    int64_t                       offset_ms;        /* of the client's clock */
    unsigned                      has_offset:1;
    unsigned                      known:1;
    unsigned                      cached:1; /* has a node in the zone */
} ngx_http_exam_snapshot_t;


/*
 * Finds or makes the node of a verified token and copies it.  NGX_DECLINED when
 * there is no room: the snapshot is then the one of a cold node.
 */

ngx_int_t ngx_http_exam_zone_touch(ngx_http_exam_zone_t *zone,
    const exam_claims_t *claims, ngx_http_exam_snapshot_t *snap);

/* the session, ended or not; NGX_DECLINED when the zone does not hold it */

ngx_int_t ngx_http_exam_zone_look(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_snapshot_t *snap);

/* marks it ended (the first reason stays) and dirty */

void ngx_http_exam_zone_end(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], exam_ended_e reason);

/* NGX_BUSY = over the limit */

ngx_int_t ngx_http_exam_zone_poll(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_rate_t *rate);

/* counts a failed login; NGX_BUSY: there were `limit` in this minute */

ngx_int_t ngx_http_exam_zone_attempt(ngx_http_exam_zone_t *zone,
    uint32_t hash, ngx_uint_t limit);

/*
 * Before a login: NGX_DECLINED when there is no room for a session; *newest is
 * the highest generation that this node knows of the student.
 */

ngx_int_t ngx_http_exam_zone_room(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], exam_str_t exam, exam_str_t student,
    uint64_t *newest);

/* after a login: the node, with what the script said */

ngx_int_t ngx_http_exam_zone_login(ngx_http_exam_zone_t *zone,
    const exam_claims_t *claims, int64_t now, const exam_flush_exam_t *exam,
    const exam_flush_answer_t *answer);

/* the snapshot of a session that the zone does not hold */

void ngx_http_exam_zone_cold(ngx_http_exam_zone_t *zone,
    ngx_http_exam_snapshot_t *snap);


/*
 * Segments.  `kind` is the index in exam_kinds.  The session's node is made by
 * the caller's zone_touch; all functions return NGX_DECLINED when it, or room
 * for its segments, is missing: the upload goes on without the zone's help.
 */

/*
 * ngx_http_exam_open.c.  A slot of a connection, PUT or form: NGX_OK and *slot,
 * NGX_BUSY: `limit` uploads of the kind are open.
 */

ngx_int_t ngx_http_exam_zone_upload_open(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, ngx_uint_t limit,
    ngx_uint_t *slot);

/* the slot's upload is of that kind, as it turns out; NGX_BUSY: one too many */

ngx_int_t ngx_http_exam_zone_upload_kind(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t slot, ngx_uint_t kind,
    ngx_uint_t limit);

void ngx_http_exam_zone_upload_close(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t slot);

/*
 * A resumable upload that `payer` is about to make for session `sid`, before
 * anything of it is on the disk.  NGX_AGAIN: the number has an incomplete one,
 * *held is a copy of it (its pid 0: it is on the disk); NGX_BUSY as above, or
 * more than `bytes` (0: any number) in open ones of the kind; else *held stands
 * in the zone, until _drop or its expiry.
 */

ngx_int_t ngx_http_exam_zone_upload_hold(ngx_http_exam_zone_t *zone,
    const uint8_t payer[EXAM_SID_LEN], const uint8_t sid[EXAM_SID_LEN],
    ngx_uint_t limit, off_t bytes, ngx_http_exam_held_t *held);

/*
 * Copies of at most max incomplete ones of the kind, the lowest numbers first:
 * those that session `sid` pays for, or (!pays) those that are for it.  Returns
 * how many; *others: those that a connection brings and it pays for.
 */

ngx_uint_t ngx_http_exam_zone_upload_list(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t pays, ngx_uint_t kind,
    ngx_http_exam_held_t *held, ngx_uint_t max, ngx_uint_t *others);

/* NGX_OK: held->kind and n of session `sid` have an incomplete one: a copy */

ngx_int_t ngx_http_exam_zone_upload_find(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_held_t *held);

/* is on the disk; may be called again for a later expiry or a length */

void ngx_http_exam_zone_upload_keep(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_held_t *held);

/* ended in any way: completed, terminated, expired */

void ngx_http_exam_zone_upload_drop(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const uint8_t id[16]);

/* found in the spool after the zone was emptied; sid's session pays */

void ngx_http_exam_zone_upload_put(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_held_t *held);

/*
 * Has all been put that the spool had when the zone was emptied?  Before, what
 * the zone does not know may be there.
 */

#define ngx_http_exam_zone_warm(zone)                                        \
    ((zone)->shared->filled == (zone)->shared->stats.zone_resets_total + 1)

/* the number of a new attachment, `least` or above */

uint32_t ngx_http_exam_zone_file(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], uint32_t least);

/*
 * Bytes that this node has received of the session's student, as it knows, with
 * those that are being finished; *open: what his incomplete resumable uploads
 * have said that they are to hold.
 */

int64_t ngx_http_exam_zone_student_bytes(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], int64_t *open);

/*
 * NGX_OK: *seg is a copy (state RECEIVING while somebody finishes it; of a LOST
 * one nothing but the state is set);
 * NGX_AGAIN: the number was received, its hash is no longer here;
 * NGX_DECLINED: nothing known of it.  *highest (may be NULL): the highest
 * number received or stored as far as the zone knows, -1 none, -2 not known.
 */

ngx_int_t ngx_http_exam_zone_segment(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n,
    ngx_http_exam_hash_t *seg, int64_t *highest);

/*
 * Before the finish sequence: the first one wins.  NGX_OK: ours, must be ended
 * by _commit or _abort; NGX_ABORT: received before, *seg tells with what hash;
 * NGX_BUSY: a living process finishes the same number now; NGX_DECLINED.
 */

ngx_int_t ngx_http_exam_zone_segment_reserve(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_hash_t *seg);

void ngx_http_exam_zone_segment_commit(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_hash_t *seg);

void ngx_http_exam_zone_segment_abort(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], const ngx_http_exam_hash_t *seg);

/* received and lost ranges of a kind, into memory for as many as there are */

ngx_int_t ngx_http_exam_zone_ranges(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, exam_ranges_t *received,
    exam_ranges_t *lost);

/* `stored` as settle answered it: raises the node's figure */

void ngx_http_exam_zone_stored(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, int32_t stored);


/*
 * ngx_http_exam_wanted.c.  The ledger calls this upload refused: its receipt
 * counts no more.  NGX_ABORT: the number has come by another upload, which
 * stands.
 */

ngx_int_t ngx_http_exam_zone_refused(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n,
    exam_str_t upload);

/* given up by the client; NGX_ABORT: it was received */

ngx_int_t ngx_http_exam_zone_lost(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n);


/* internal: for the zone's own files, heartbeat and flush */

/* makes the object where `make` is set; NULL: none */

ngx_http_exam_segs_t *ngx_http_exam_segs_locked(ngx_http_exam_shard_t *shard,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t make);

ngx_http_exam_hash_t *ngx_http_exam_hash_of(ngx_http_exam_segs_t *segs,
    ngx_uint_t kind, uint32_t n);

/*
 * One set of a kind as exam_ranges.h knows it; _keep() writes the number of its
 * ranges back after a change.
 */

void ngx_http_exam_received_of(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    exam_ranges_t *set);
void ngx_http_exam_received_keep(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    const exam_ranges_t *set);
void ngx_http_exam_lost_of(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    exam_ranges_t *set);

/* what the flush was answered: those numbers are no longer received here */

void ngx_http_exam_resend_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_flush_answer_t *answer);

/* the number has come: neither lost nor wanted any more */

void ngx_http_exam_arrived_locked(ngx_http_exam_segs_t *segs, ngx_uint_t kind,
    uint32_t n);

/* the number was received for the first time, as far as the zone knows */

void ngx_http_exam_taken_locked(ngx_http_exam_segs_t *segs,
    const ngx_http_exam_hash_t *seg);

/* the session's resumable uploads are forgotten */

void ngx_http_exam_held_free(ngx_http_exam_shard_t *shard,
    ngx_http_exam_segs_t *segs);

/* 1: a connection of a living process uploads, or makes an upload */

ngx_uint_t ngx_http_exam_open_busy(const ngx_http_exam_segs_t *segs);

/* 1: an upload is open or being finished; segs may be NULL */

ngx_uint_t ngx_http_exam_segs_busy(const ngx_http_exam_segs_t *segs);

/* 1: something was received lately that Redis does not call stored */

ngx_uint_t ngx_http_exam_awaits_locked(ngx_http_exam_session_t *s);

/* 1: there is no such process any more */

ngx_uint_t ngx_http_exam_dead(ngx_pid_t pid);

void *ngx_http_exam_object_get(ngx_http_exam_objects_t *o);
void ngx_http_exam_object_put(ngx_http_exam_objects_t *o, void *p);
ngx_http_exam_shard_t *ngx_http_exam_zone_shard(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN]);

/* the same by exam_sid_hash() */

ngx_http_exam_shard_t *ngx_http_exam_zone_shard_of(ngx_http_exam_zone_t *zone,
    uint32_t hash);

void ngx_http_exam_shard_lock(ngx_http_exam_shard_t *shard);
void ngx_http_exam_shard_unlock(ngx_http_exam_shard_t *shard);
ngx_http_exam_session_t *ngx_http_exam_find_locked(
    ngx_http_exam_shard_t *shard, const uint8_t sid[EXAM_SID_LEN]);
ngx_http_exam_session_t *ngx_http_exam_make_locked(
    ngx_http_exam_shard_t *shard, const exam_claims_t *claims);
void ngx_http_exam_end_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, exam_ended_e reason);
void ngx_http_exam_place_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, ngx_http_exam_place_e place);

/* online ones that have not beaten for offline_after become offline */

void ngx_http_exam_expire_locked(ngx_http_exam_shard_t *shard);

void ngx_http_exam_dirty_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s);
void ngx_http_exam_queue_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s);
void ngx_http_exam_learn_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const exam_flush_exam_t *exam,
    const exam_flush_answer_t *answer);
void ngx_http_exam_view_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, exam_view_t *view);
ngx_int_t ngx_http_exam_bucket(ngx_http_exam_bucket_t *b,
    const ngx_http_exam_rate_t *rate);


#endif /* NGX_HTTP_EXAM_ZONE_H_INCLUDED */
