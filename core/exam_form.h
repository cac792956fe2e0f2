
/*
 * Bodies of multipart/form-data (RFC 7578, RFC 2046) that arrive in pieces of
 * any size.  One part named `file` is handed on as it comes, by reference; all
 * others are short fields.  Pure: no allocation, no copy of the file's bytes,
 * one object a body, any thread.
 */


#ifndef EXAM_FORM_H_INCLUDED
#define EXAM_FORM_H_INCLUDED


#include "exam_buf.h"
#include "exam_err.h"


#define EXAM_FORM_BOUNDARY_MAX  70      /* bytes, RFC 2046 */
#define EXAM_FORM_HEAD_MAX      2048    /* bytes of a part's headers */
#define EXAM_FORM_HEADERS_MAX   8       /* headers of a part */
#define EXAM_FORM_PARTS_MAX     16
#define EXAM_FORM_VALUE_MAX     256     /* bytes of a field */


typedef enum {
    EXAM_FORM_MORE = 0,             /* the input is used up: the next piece */
    EXAM_FORM_FIELD,                /* name, value */
    EXAM_FORM_FILE_BEGIN,           /* filename, type */
    EXAM_FORM_FILE_DATA,            /* data, never empty */
    EXAM_FORM_FILE_END,
    EXAM_FORM_END                   /* all parts are done; what may follow */
                                    /* is ignored, as MORE */
} exam_form_event_e;


typedef struct {
    exam_str_t  name;               /* 1 byte at least, as sent */
    exam_str_t  value;              /* any bytes */
    exam_str_t  filename;           /* any bytes but controls, as sent, never */
                                    /* to be used in a path; empty: none */
    exam_str_t  type;               /* Content-Type, as sent; empty: none */
    exam_str_t  data;               /* in the caller's input, or in the form */
                                    /* (what looked like a delimiter) */
} exam_form_event_t;


/* private but for `fileless` */

typedef struct {
    unsigned    state;
    unsigned    parts;              /* begun */
    bool        fileless;           /* failed: it has ended without a file */
    bool        file;               /* the part named so has been met */
    bool        in_file;            /* and is the one we are in */
    size_t      delimiter_len;
    size_t      matched;            /* bytes of it that stand at the end of */
                                    /* what has been read */
    size_t      head_len;
    size_t      value_len;
    exam_str_t  name;               /* in head */
    uint8_t     delimiter[EXAM_FORM_BOUNDARY_MAX + 4];
    uint8_t     head[EXAM_FORM_HEAD_MAX];
    uint8_t     value[EXAM_FORM_VALUE_MAX];
} exam_form_t;


/*
 * `content_type`: the request's field, copied as far as needed.
 * UNSUPPORTED_TYPE: not multipart/form-data.  BAD_FORM: no boundary in it, or
 * one that cannot be.
 */

EXAM_MUST_CHECK exam_err_e exam_form_init(exam_form_t *f,
    exam_str_t content_type);

/*
 * The next event; *in is moved behind what has been read.  To be called until
 * it answers MORE, then again with more input.  What *e refers to is good until
 * the next call.
 *
 * BAD_FORM, and for ever from then on: the body is not of the form above, a
 * limit is passed, there is a second file, or the form ends without one.
 */

EXAM_MUST_CHECK exam_err_e exam_form_next(exam_form_t *f, exam_str_t *in,
    exam_form_event_e *what, exam_form_event_t *e);

/* at the end of the body: BAD_FORM unless END has been told */

EXAM_MUST_CHECK exam_err_e exam_form_finished(const exam_form_t *f);


#endif /* EXAM_FORM_H_INCLUDED */
