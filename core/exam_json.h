
/*
 * JSON bodies on yajl's streaming callbacks (never its tree: CVE-2023-33460),
 * with memory from the caller's arena, a cap on depth (8, DESIGN 3) and on size
 * (the caller's).  The arena is a plain block: nothing is freed, a body that
 * needs more is refused.
 *
 * A parser is a table of members: path in, typed sink out.  Unknown members are
 * ignored, wrong types and bad values are errors that name the member.
 */


#ifndef EXAM_JSON_H_INCLUDED
#define EXAM_JSON_H_INCLUDED


#include "exam_buf.h"
#include "exam_err.h"


#define EXAM_JSON_DEPTH  8


typedef struct {
    uint8_t     *pos;
    uint8_t     *end;
} exam_arena_t;


void exam_arena_init(exam_arena_t *a, void *memory, size_t size);

/* NULL when it does not fit; aligned for any type */

void *exam_arena_alloc(exam_arena_t *a, size_t size);


typedef enum {
    EXAM_JSON_NULL = 0,
    EXAM_JSON_BOOL,
    EXAM_JSON_INT,                  /* fits int64_t */
    EXAM_JSON_NUMBER,               /* fraction, exponent, or too large */
    EXAM_JSON_STRING,
    EXAM_JSON_BEGIN_OBJECT,
    EXAM_JSON_END_OBJECT,
    EXAM_JSON_BEGIN_ARRAY,
    EXAM_JSON_END_ARRAY
} exam_json_type_e;


typedef struct {
    exam_json_type_e  type;
    bool              boolean;
    int64_t           integer;
    double            number;       /* set for INT and NUMBER */
    exam_str_t        string;       /* unescaped; valid during the call only */
    unsigned          depth;        /* 0 = the top value itself */
    exam_str_t        key;          /* of the member, empty in arrays */
} exam_json_value_t;


/* EXAM_OK to go on; anything else ends the parse and is its result */

typedef exam_err_e (*exam_json_pt)(void *data, const exam_json_value_t *v);


/*
 * Parses one whole value with nothing but white space behind it.  BAD_JSON,
 * BAD_UTF8, TOO_DEEP, TOO_LARGE (arena used up) or what the callback returned.
 */

EXAM_MUST_CHECK exam_err_e exam_json_parse(exam_str_t body,
    exam_arena_t *arena, exam_json_pt callback, void *data);


#endif /* EXAM_JSON_H_INCLUDED */
