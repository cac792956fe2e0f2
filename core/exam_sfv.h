
/*
 * Structured fields (RFC 9651) as far as requests for uploads use them: items
 * that are a Boolean, the parts of dictionaries, and Upload-Limit of the
 * resumable uploads of the IETF.  Pure, any thread.
 */


#ifndef EXAM_SFV_H_INCLUDED
#define EXAM_SFV_H_INCLUDED


#include "exam_buf.h"


#define EXAM_SFV_INT_MAX    999999999999999     /* 15 digits */


/* what is left of a field; the functions on it move `pos` */

typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
} exam_sfv_t;


/*
 * A whole field that is one item, parameters ignored.  False: it is not, which
 * is to be taken as if the field were not there.
 */

bool exam_sfv_boolean(exam_str_t field, bool *value);


/* parts of a field, for parsers of dictionaries; false: it is not there */

void exam_sfv_init(exam_sfv_t *f, exam_str_t field);

/* spaces and tabs, if any */

void exam_sfv_spaces(exam_sfv_t *f);

/* that very byte */

bool exam_sfv_skip(exam_sfv_t *f, uint8_t c);

bool exam_sfv_key(exam_sfv_t *f, exam_str_t *key);

/* the digits between the colons, of base64's alphabet; not decoded */

bool exam_sfv_bytes(exam_sfv_t *f, exam_str_t *base64);

/* all parameters of an item, of whatever value; none is fine */

bool exam_sfv_parameters(exam_sfv_t *f);

/*
 * Goes on to the next member of a dictionary.  False: what stands here is
 * neither the end nor a comma with a member behind it.
 */

bool exam_sfv_next(exam_sfv_t *f);


/*
 * The value of Upload-Limit; -1 leaves a member out, `min` is always there so
 * that it is never empty.  Above EXAM_SFV_INT_MAX a value is written as that.
 */

void exam_rufh_limit(exam_buf_t *b, int64_t min, int64_t max,
    int64_t max_append, int64_t max_age_s);


#endif /* EXAM_SFV_H_INCLUDED */
