
/*
 * Records of the journal (DESIGN 6): one line each,
 *
 *     <crc32c, 8 lower-case hex> <JSON object>\n
 *
 * where the CRC (Castagnoli, RFC 3720 appendix B.4) is of the JSON's bytes.
 * Written by the module, read by the worker and examctl.  Pure, any thread.
 *
 * Every record may come twice and in any order: what it does to MySQL is an
 * upsert by a key that it carries.  A line that is torn or has a wrong CRC was
 * never acknowledged to anybody.
 */


#ifndef EXAM_JOURNAL_H_INCLUDED
#define EXAM_JOURNAL_H_INCLUDED


#include "exam_id.h"
#include "exam_json.h"
#include "exam_state.h"


#define EXAM_RECORD_TEXT_MAX  255       /* bytes of a reason, an address */
#define EXAM_EVENT_ID_MAX     64
#define EXAM_EVENT_TYPE_MAX   64
#define EXAM_EVENT_DATA_MAX   4096      /* bytes of an event's data */
#define EXAM_RECORD_MAX       8192      /* bytes of a line with its newline */
#define EXAM_JOURNAL_NAME_MAX 96        /* of a file in journal/, with NUL */


/* name in the JSON, member `type` */

#define EXAM_RECORD_MAP(X)                                                    \
    X(LOGIN,    "login")        /* a session begins */                        \
    X(END,      "end")          /* it has ended: reason */                    \
    X(PRESENCE, "presence")     /* first, last, gap_ms, seq */                \
    X(GAP,      "gap")          /* from, to, cause, missed */                 \
    X(OUTAGE,   "outage")       /* what, from, to; of the node */             \
    X(SENT,     "sent")         /* a command stood in a reply: command */     \
    X(ACK,      "ack")          /* the client has run it: command */          \
    X(EVENT,    "event")        /* id, name, client_time, offset_ms, data */  \
    X(RECEIPT,  "receipt")      /* upload, kind, n, bytes, sha256 */          \
    X(LOST,     "lost")         /* kind, n, reason */


#define EXAM_RECORD_ENUM(name, text)  EXAM_RECORD_##name,

typedef enum {
    EXAM_RECORD_MAP(EXAM_RECORD_ENUM)
    EXAM_RECORD_TYPES
} exam_record_e;

#undef EXAM_RECORD_ENUM


/* whose side a gap is on: gaps.cause */

typedef enum {
    EXAM_CAUSE_CANDIDATE = 0,       /* tried, did not get through */
    EXAM_CAUSE_CLIENT,              /* was silent */
    EXAM_CAUSE_NODE                 /* nobody could answer */
} exam_cause_e;


/*
 * What a type does not use is left out of the line and is zero or empty after
 * parsing.  All strings are the caller's; after parsing they lie in the arena.
 */

typedef struct {
    exam_record_e  type;
    int64_t        at;              /* ms, when the node saw it */
    exam_str_t     node;
    exam_str_t     exam;            /* empty for outage */
    exam_str_t     student;
    uint8_t        sid[EXAM_SID_LEN];
    uint64_t       gen;

    exam_str_t     ip;              /* login */
    int64_t        login_at;        /* login, end; ms, 0 unknown */
    exam_ended_e   ended;           /* end */

    int64_t        from;            /* presence: first; gap, outage: ms */
    int64_t        to;              /* presence: last */
    int64_t        gap_ms;          /* presence: the longest */
    uint64_t       seq;             /* presence: the highest */
    exam_cause_e   cause;           /* gap */
    uint32_t       missed;          /* gap */
    exam_str_t     what;            /* outage: "redis", "node" */

    uint64_t       command;         /* sent, ack */

    exam_str_t     event;           /* event: the client's id */
    exam_str_t     name;            /* event: its type */
    int64_t        client_time;     /* event: ms, -1 not given */
    int64_t        offset_ms;       /* event: of the client's clock */
    bool           has_offset;
    exam_str_t     data;            /* event: one JSON value, compact; empty */

    exam_str_t     upload;          /* receipt */
    exam_str_t     kind;            /* receipt, lost */
    uint32_t       n;
    int64_t        bytes;           /* receipt */
    uint8_t        sha256[EXAM_HASH_LEN];   /* receipt */
    exam_str_t     reason;          /* lost: text of the client */
} exam_record_t;


const char *exam_record_name(exam_record_e type);
const char *exam_cause_name(exam_cause_e cause);

/* a whole line, at most EXAM_RECORD_MAX bytes; else b->overflow */

void exam_record_format(exam_buf_t *b, const exam_record_t *r);

/*
 * One line, without its newline.  BAD_REQUEST: no CRC or a wrong one;
 * BAD_JSON, BAD_TYPE, BAD_VALUE, MISSING_MEMBER: written by something else.
 * `data` of an event is given as its bytes in the line.
 */

EXAM_MUST_CHECK exam_err_e exam_record_parse(exam_str_t line,
    exam_arena_t *arena, exam_record_t *r);

/* `<boot>-<pid>-<n>.log`, NUL-terminated; false: boot is no boot id */

bool exam_journal_name(char out[EXAM_JOURNAL_NAME_MAX], exam_str_t boot,
    uint64_t pid, uint64_t n);

/* false: not the name of a journal */

bool exam_journal_name_parse(exam_str_t name, exam_str_t *boot, uint64_t *pid,
    uint64_t *n);


#endif /* EXAM_JOURNAL_H_INCLUDED */
