
/*
 * JSON bodies on yajl's streaming callbacks (never its tree: CVE-2023-33460),
 * with memory from the caller's arena, a cap on depth (8, DESIGN 3) and on size
 * (the caller's).  The arena is a plain block: nothing is freed, a body that
 * needs more is refused.
 *
 * A parser is a callback that knows where it is by depth and key, and tables of
 * the scalar members it takes there.  What no table names is ignored.  A member
 * that stands twice counts as it stands last.
 */


#ifndef EXAM_JSON_H_INCLUDED
#define EXAM_JSON_H_INCLUDED


#include "exam_buf.h"
#include "exam_err.h"


#define EXAM_JSON_DEPTH  8


typedef struct {
    uint8_t     *pos;
    uint8_t     *end;
    exam_str_t   wrong;             /* the member that was refused, by our */
                                    /* own name for it; empty: none known */
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
                                    /* always UTF-8, NUL is possible */
    unsigned          depth;        /* 0 = the top value itself */
    exam_str_t        key;          /* of the member, empty in arrays and */
                                    /* at an end */
    exam_str_t        text;         /* where it stands in the body; of a */
                                    /* container the bracket */
} exam_json_value_t;


/* EXAM_OK to go on; anything else ends the parse and is its result */

typedef exam_err_e (*exam_json_pt)(void *data, const exam_json_value_t *v);


/*
 * Parses one whole value with nothing but white space behind it.  BAD_JSON,
 * BAD_UTF8, TOO_DEEP (a ninth container is opened), TOO_LARGE (arena used up)
 * or what the callback returned.
 */

EXAM_MUST_CHECK exam_err_e exam_json_parse(exam_str_t body,
    exam_arena_t *arena, exam_json_pt callback, void *data);


/*
 * A scalar member of an object.  INT goes to an int64_t, BOOL to an int64_t
 * that becomes 0 or 1, NUMBER to a double, STRING to an exam_str_t whose bytes
 * are copied to the arena.
 */

typedef struct {
    exam_str_t        name;
    exam_json_type_e  type;
    size_t            offset;       /* in the caller's structure */
    int64_t           min;          /* of the value; a string's length */
    int64_t           max;
    bool              nullable;     /* null counts as given, sets nothing */
} exam_json_member_t;


/*
 * Takes v if the table has its key, and sets the member's bit (by its place in
 * the table) in *given.  Any other null is as if the member were not there.
 * BAD_TYPE, BAD_VALUE (out of range, or not an integer), TOO_LARGE;
 * arena->wrong is the member then.
 */

EXAM_MUST_CHECK exam_err_e exam_json_take(const exam_json_member_t *table,
    size_t n, const exam_json_value_t *v, exam_arena_t *arena, void *out,
    uint32_t *given);

/* an entry of a table; the member is named as the field it is put in */

#define EXAM_JSON_MEMBER(structure, field, json, min, max, nullable)          \
    { { sizeof(#field) - 1, (const uint8_t *) #field }, json,                 \
      offsetof(structure, field), min, max, nullable }

/* a table and its length, the two arguments that go together */

#define exam_json_table(t)  t, sizeof(t) / sizeof((t)[0])


/*
 * Parses an object of which nothing but the table's members counts; *given is
 * all of them that stand there.  Results of parse and take, and of top.
 */

EXAM_MUST_CHECK exam_err_e exam_json_object(exam_str_t body,
    exam_arena_t *arena, const exam_json_member_t *table, size_t n, void *out,
    uint32_t *given);

/* for depth 0 of a callback whose body is an object: OK, else BAD_TYPE */

EXAM_MUST_CHECK exam_err_e exam_json_top(const exam_json_value_t *v);

/*
 * A value that has been parsed, without the white space between its parts: one
 * line, nothing else changed.
 */

void exam_json_compact(exam_buf_t *b, exam_str_t text);


#endif /* EXAM_JSON_H_INCLUDED */
