
/*
 * Request bodies of candidates (DESIGN 3.1): login, heartbeat, logout.  Each
 * has one parser on exam_json.h; the heartbeat has besides a fast path that
 * recognises the shape which our clients send and declines everything else, so
 * that both give the same result for every body it accepts.  Pure, any thread.
 */


#ifndef EXAM_BODY_H_INCLUDED
#define EXAM_BODY_H_INCLUDED


#include "exam_id.h"
#include "exam_json.h"


#define EXAM_BODY_JSON_MAX      16384   /* bytes */
#define EXAM_BODY_BEAT_MAX      32768
#define EXAM_BODY_ARENA         32768   /* enough, but for one escaped string */
                                        /* of over 16 KB: that is too_large */
#define EXAM_BEAT_MISSED_MAX    500
#define EXAM_BEAT_ARENA         (EXAM_BODY_ARENA + 4096)    /* and its times */
#define EXAM_BEAT_ACK_MAX       64
#define EXAM_BEAT_RECORDER_MAX  15
#define EXAM_REASON_MAX         255     /* bytes, why a segment is lost */
#define EXAM_SEQ_MAX            9007199254740991u    /* 2^53 - 1 */
#define EXAM_STATE_JSON_MAX     512


typedef struct {
    exam_str_t  exam;               /* in the arena; ids not yet checked */
    exam_str_t  student;
    exam_str_t  code;               /* as typed */
} exam_login_body_t;


/*
 * What a client says of its recorder, typed and bounded so that it fits a
 * session node.  -1 = not given.  recorded[] follows the order of `kinds`.
 */

typedef struct {
    char     recorder[EXAM_BEAT_RECORDER_MAX + 1];  /* [a-z_]*, "" = absent */
    int8_t   focus;                 /* 0, 1, -1 */
    int8_t   battery;               /* percent: 0..1 is scaled, 0..100 kept */
    int32_t  recorded[EXAM_KINDS_MAX];              /* highest n, -1 */
    int32_t  queued_segments;
    int32_t  oldest_unsent_s;
    int64_t  queued_bytes;
} exam_beat_state_t;


typedef struct {
    uint64_t           seq;
    int64_t            client_time; /* ms, -1 */
    bool               has_state;
    uint16_t           missed;      /* how many were listed */
    uint16_t           ntimes;      /* of them with a time */
    uint16_t           acks;
    const int64_t     *times;       /* ms of the client, in the arena */
    exam_beat_state_t  state;
    uint64_t           ack[EXAM_BEAT_ACK_MAX];  /* the first `acks` of them */
                                    /* are set; 0 = no id of ours */
} exam_beat_t;


typedef struct {
    size_t      n;
    exam_str_t  name[EXAM_KINDS_MAX];
} exam_kinds_t;


typedef struct {
    int32_t     recorded[EXAM_KINDS_MAX];           /* -1 = none or not given */
} exam_logout_body_t;


typedef struct {
    exam_str_t  reason;             /* in the arena, one line; may be empty */
} exam_lost_body_t;


/* the kind's place in the list, -1 */

int exam_kind_find(const exam_kinds_t *kinds, exam_str_t name);

EXAM_MUST_CHECK exam_err_e exam_login_parse(exam_str_t body,
    exam_arena_t *arena, exam_login_body_t *out);

/*
 * In all bodies a null is as if the member were not there, a member that
 * nobody knows is ignored, and one that stands twice counts as it stands last.
 *
 * `seq` is required, 0..2^53-1.  A value out of range is BAD_VALUE, a member of
 * a wrong type BAD_TYPE, more than 500 missed BAD_VALUE.
 */

EXAM_MUST_CHECK exam_err_e exam_beat_parse(exam_str_t body,
    const exam_kinds_t *kinds, exam_arena_t *arena, exam_beat_t *out);

/* false: not of the usual shape, says nothing about validity */

bool exam_beat_parse_fast(exam_str_t body, const exam_kinds_t *kinds,
    exam_beat_t *out);

/* the members that were given, as JSON; at most EXAM_STATE_JSON_MAX bytes */

void exam_beat_state_json(exam_buf_t *b, const exam_beat_state_t *state,
    const exam_kinds_t *kinds);

/* an empty body is a logout without numbers */

EXAM_MUST_CHECK exam_err_e exam_logout_parse(exam_str_t body,
    const exam_kinds_t *kinds, exam_arena_t *arena, exam_logout_body_t *out);


/* an empty body gives no reason; more than EXAM_REASON_MAX is BAD_VALUE */

EXAM_MUST_CHECK exam_err_e exam_lost_parse(exam_str_t body,
    exam_arena_t *arena, exam_lost_body_t *out);


#endif /* EXAM_BODY_H_INCLUDED */
