
/*
 * Entries of the control stream exam:{E}:control (DESIGN 5) as the nodes read
 * them: field by field, then judged as a whole.  Written by service/, sent and
 * ack by the nodes themselves.  Pure, any thread.
 *
 *   send    id type payload expires_at to=all|list [students]
 *   cancel  id
 *   sent    id node students
 *   ack     id node students
 *   end     student session reason
 *   exam    [student]
 *   roster
 */


#ifndef EXAM_ENTRY_H_INCLUDED
#define EXAM_ENTRY_H_INCLUDED


#include "exam_id.h"


#define EXAM_COMMAND_TYPE_MAX     15        /* bytes, [a-z_] */
#define EXAM_COMMAND_PAYLOAD_MAX  2048      /* bytes of a JSON object */
#define EXAM_COMMAND_ID_MAX       9007199254740991u     /* 2^53 - 1 */
#define EXAM_ENTRY_STUDENTS       200


typedef enum {
    EXAM_ENTRY_NONE = 0,
    EXAM_ENTRY_SEND,
    EXAM_ENTRY_CANCEL,
    EXAM_ENTRY_SENT,
    EXAM_ENTRY_ACK,
    EXAM_ENTRY_END,
    EXAM_ENTRY_EXAM,
    EXAM_ENTRY_ROSTER
} exam_entry_e;


/* the strings point into what was given */

typedef struct {
    exam_entry_e  op;
    uint64_t      id;               /* 0 = not given */
    exam_str_t    type;
    exam_str_t    payload;
    int64_t       expires_at;       /* ms, 0 = not given */
    bool          all;
    size_t        n;                /* students: `students`, or `student` */
    exam_str_t    students[EXAM_ENTRY_STUDENTS];

    exam_str_t    raw_op;           /* as given, until they are judged */
    exam_str_t    raw_to;
    exam_str_t    raw_id;
    exam_str_t    raw_expires;
    exam_str_t    raw_students;
    exam_str_t    raw_student;
} exam_entry_t;


void exam_entry_init(exam_entry_t *e);

/* a field that nobody knows is ignored, one that stands twice is the last */

void exam_entry_field(exam_entry_t *e, exam_str_t name, exam_str_t value);

/* NULL: the entry is whole and sound; else what is wrong with it, for a log */

const char *exam_entry_check(exam_entry_t *e);

/* 1: such a command changes flags or the exam (DESIGN 4, lasting effects) */

bool exam_command_lasts(exam_str_t type);

/* a stream's entry id `ms-seq`; false: it is none */

bool exam_entry_id_parse(exam_str_t text, uint64_t *ms, uint64_t *seq);


#endif /* EXAM_ENTRY_H_INCLUDED */
