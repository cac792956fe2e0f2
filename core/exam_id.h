
/*
 * Identifiers: alphabets, session ids, access codes (DESIGN 3).  Everything
 * that becomes a part of a path, a Redis key or a SQL value passes here first.
 * Pure, any thread.
 */


#ifndef EXAM_ID_H_INCLUDED
#define EXAM_ID_H_INCLUDED


#include "exam_buf.h"
#include "exam_err.h"


#define EXAM_EXAM_MAX       32      /* bytes of an exam id */
#define EXAM_STUDENT_MAX    64
#define EXAM_NODE_MAX       15
#define EXAM_KIND_MAX       15      /* bytes of a kind's name */
#define EXAM_KINDS_MAX      4       /* kinds a node may be configured with */
#define EXAM_KIND_FILE      EXAM_KINDS_MAX  /* index of attachments, "file" */
#define EXAM_SID_LEN        16      /* a session id, binary */
#define EXAM_SID_HEX        32
#define EXAM_UPLOAD_MAX     (EXAM_NODE_MAX + 1 + 32)
#define EXAM_SEGMENT_MAX    999999  /* `0|[1-9][0-9]{0,5}` */
#define EXAM_CODE_LEN       16
#define EXAM_CODE_SHOWN     19      /* XXXX-XXXX-XXXX-XXXX */
#define EXAM_HASH_LEN       32      /* SHA-256 */


bool exam_id_exam(exam_str_t id);
bool exam_id_student(exam_str_t id);
bool exam_id_node(exam_str_t id);

/* a configured kind: `[a-z][a-z0-9]{0,14}`, but neither "file" nor "resend" */

bool exam_id_kind(exam_str_t id);

/* `<node>-<32 lower-case hex>` */

bool exam_id_upload(exam_str_t id);

/* a segment number as it stands in a path; false: not of that form */

bool exam_id_segment(exam_str_t s, uint32_t *n);

/*
 * The hash that places a student in shards and buckets.  Fixed for ever: it is
 * the first four bytes, big endian, of every session id of that student.
 */

uint32_t exam_id_hash(exam_str_t exam, exam_str_t student);

/* `random`: 12 bytes of the caller's */

void exam_sid_make(uint8_t sid[EXAM_SID_LEN], exam_str_t exam,
    exam_str_t student, const uint8_t random[12]);

uint32_t exam_sid_hash(const uint8_t sid[EXAM_SID_LEN]);

/* 32 lower-case hex digits; false if not */

bool exam_sid_parse(exam_str_t hex, uint8_t sid[EXAM_SID_LEN]);

/*
 * Access code, Crockford base32: upper-cased, spaces and dashes dropped.  False
 * unless 16 characters of the alphabet 0-9A-Z without I, L, O, U remain.
 */

bool exam_code_normal(exam_str_t typed, uint8_t code[EXAM_CODE_LEN]);

/* `random`: 10 bytes; out: grouped by four, EXAM_CODE_SHOWN bytes, no NUL */

void exam_code_make(const uint8_t random[10], char shown[EXAM_CODE_SHOWN]);

/* SHA-256 of `exam|student|code` with the normalised code */

void exam_code_hash(exam_str_t exam, exam_str_t student,
    const uint8_t code[EXAM_CODE_LEN], uint8_t hash[EXAM_HASH_LEN]);


#endif /* EXAM_ID_H_INCLUDED */
