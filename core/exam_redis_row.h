
/*
 * What stands in Redis (DESIGN 5): keys, the rows of the flush, the values of
 * the ledger, and the answers of the scripts.  One place for all programs, so
 * that module, worker and tools cannot disagree.  Pure.
 */


#ifndef EXAM_REDIS_ROW_H_INCLUDED
#define EXAM_REDIS_ROW_H_INCLUDED


#include "exam_body.h"
#include "exam_state.h"


#define EXAM_KEY_MAX        160     /* bytes of the longest key + NUL */
#define EXAM_FLUSH_ROWS     200     /* rows a flush call */
#define EXAM_FLUSH_ROW_MAX  (256 + EXAM_STUDENT_MAX + EXAM_STATE_JSON_MAX)
#define EXAM_RESEND_MAX     20      /* numbers a heartbeat asks for again */


typedef enum {
    EXAM_KEY_EXAM = 0,              /* exam:{E} */
    EXAM_KEY_FLAGS,                 /* exam:{E}:flags */
    EXAM_KEY_ROSTER,
    EXAM_KEY_ROSTER_NEW,            /* exam:{E}:roster:new */
    EXAM_KEY_SESSIONS,
    EXAM_KEY_SEEN,
    EXAM_KEY_STATE,
    EXAM_KEY_SEG,                   /* exam:{E}:seg:<student> */
    EXAM_KEY_STORED,
    EXAM_KEY_CHANGES,
    EXAM_KEY_CONTROL,
    EXAM_KEY_WATCH
} exam_key_e;

#define EXAM_KEY_LOADED      "exam:loaded"
#define EXAM_KEY_ACTIVE      "exam:active"
#define EXAM_KEY_REBUILD     "exam:rebuild"

/* `sub` is the student for EXAM_KEY_SEG, else empty; NUL-terminated */

size_t exam_key(char out[EXAM_KEY_MAX], exam_key_e key, exam_str_t exam,
    exam_str_t sub);

/* exam:recordings:<node>, exam:worker:<node>, exam:node:<node> */

size_t exam_key_recordings(char out[EXAM_KEY_MAX], exam_str_t node);
size_t exam_key_worker(char out[EXAM_KEY_MAX], exam_str_t node);
size_t exam_key_node(char out[EXAM_KEY_MAX], exam_str_t node);


/* states of the ledger, in rising order (DESIGN 5, seg) */

typedef enum {
    EXAM_SEG_NONE = 0,
    EXAM_SEG_RECEIVING,
    EXAM_SEG_LOST,
    EXAM_SEG_RECEIVED,
    EXAM_SEG_STORED,
    EXAM_SEG_REFUSED                /* written with `resend` only */
} exam_seg_e;


typedef struct {
    exam_seg_e  state;
    exam_str_t  node;
    exam_str_t  upload;
    int64_t     bytes;              /* -1 unknown */
    bool        has_sha256;
    uint8_t     sha256[EXAM_HASH_LEN];
    exam_str_t  reason;             /* of lost and refused; empty */
} exam_ledger_t;


const char *exam_seg_name(exam_seg_e state);
exam_seg_e exam_seg_parse(exam_str_t name);

/* field `sid:kind:n` */

void exam_ledger_field(exam_buf_t *b, const uint8_t sid[EXAM_SID_LEN],
    exam_str_t kind, uint32_t n);

bool exam_ledger_field_parse(exam_str_t field, uint8_t sid[EXAM_SID_LEN],
    exam_str_t *kind, uint32_t *n);

/*
 * Value `state node upload bytes sha256 [reason]`, `-` for what is not known.
 * The strings point into value; false: malformed.
 */

bool exam_ledger_parse(exam_str_t value, exam_ledger_t *e);


/*
 * One row of the flush call; rows are lines, members are separated by tabs:
 * student sid gen login_at first last gap seq ended state
 */

typedef struct {
    exam_str_t               student;
    const uint8_t           *sid;   /* EXAM_SID_LEN */
    uint64_t                 gen;
    int64_t                  login_at;      /* ms */
    int64_t                  first_beat;    /* ms, since the last flush */
    int64_t                  last_beat;
    int64_t                  longest_gap;   /* ms */
    uint64_t                 seq;
    exam_ended_e             ended;
    const exam_beat_state_t *state;         /* NULL: not newer */
} exam_flush_row_t;


/* the first line of the flush answer: the exam */

typedef struct {
    exam_state_e  state;
    int64_t       starts_at;
    int64_t       ends_at;
    int64_t       pause_ms;
    int64_t       paused_at;
    int64_t       version;
} exam_flush_exam_t;


/* a segment that is wanted again; kind = index in exam_kinds */

typedef struct {
    uint8_t       kind;
    uint32_t      n;
} exam_resend_t;


/* a line of the answer a row, in the order of the rows */

typedef struct {
    uint64_t      gen;              /* the student's current generation */
    exam_ended_e  ended;            /* of this row's session */
    unsigned      flags;            /* EXAM_FLAG_* */
    int64_t       extra_s;
    int32_t       stored[EXAM_KINDS_MAX];   /* -2 = null */
    uint32_t      nresend;
    exam_resend_t resend[EXAM_RESEND_MAX];
} exam_flush_answer_t;


void exam_flush_row_format(exam_buf_t *b, const exam_flush_row_t *row,
    const exam_kinds_t *kinds);

/* state \t starts_at \t ends_at \t pause_ms \t paused_at \t version */

bool exam_flush_exam_parse(exam_str_t line, exam_flush_exam_t *e);

/* gen \t ended \t flags \t extra_s \t stored,stored,... \t resend */

bool exam_flush_answer_parse(exam_str_t line, const exam_kinds_t *kinds,
    exam_flush_answer_t *a);

/* `n,n,...`, one a kind: -1 none yet, "-" is null (-2) */

bool exam_stored_parse(exam_str_t csv, size_t kinds, int32_t *stored);

/* cuts the next line off *rest (without "\n"); false at the end */

bool exam_line_next(exam_str_t *rest, exam_str_t *line);


#endif /* EXAM_REDIS_ROW_H_INCLUDED */
