
/*
 * A bounded output buffer on the caller's memory and the string view that core
 * passes around.  Writers never write past `end`: what does not fit sets
 * `overflow` and is left out, so that a chain of calls needs one test at its
 * end.  Pure, no allocation, any thread.
 */


#ifndef EXAM_BUF_H_INCLUDED
#define EXAM_BUF_H_INCLUDED


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>


typedef struct {
    size_t          len;
    const uint8_t  *data;       /* not terminated */
} exam_str_t;


typedef struct {
    uint8_t  *start;
    uint8_t  *pos;              /* next byte to write */
    uint8_t  *end;              /* first byte after the memory */
    bool      overflow;
} exam_buf_t;


#define exam_str(s)         ((exam_str_t) { sizeof(s) - 1,                    \
                                            (const uint8_t *) (s) })
#define exam_buf_lit(b, s)  exam_buf_put(b, s, sizeof(s) - 1)
#define exam_buf_len(b)     ((size_t) ((b)->pos - (b)->start))


static inline exam_str_t
exam_str_make(const void *data, size_t len)
{
    exam_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


static inline bool
exam_str_eq(exam_str_t a, exam_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


/*
 * The writers that every reply consists of stand here, so that a literal costs
 * a test and a few moves.
 */

static inline void
exam_buf_init(exam_buf_t *b, void *memory, size_t size)
{
    b->start = memory;
    b->pos = b->start;
    b->end = b->start + size;
    b->overflow = false;
}


/* room for len bytes, to be written by the caller; NULL: overflow */

static inline uint8_t *
exam_buf_reserve(exam_buf_t *b, size_t len)
{
    uint8_t  *p;

    if (b->overflow || len > (size_t) (b->end - b->pos)) {
        b->overflow = true;
        return NULL;
    }

    p = b->pos;
    b->pos += len;

    return p;
}


static inline void
exam_buf_put(exam_buf_t *b, const void *data, size_t len)
{
    uint8_t  *p;

    p = exam_buf_reserve(b, len);

    if (p != NULL && len != 0) {
        memcpy(p, data, len);
    }
}


static inline void
exam_buf_char(exam_buf_t *b, char c)
{
    uint8_t  *p;

    p = exam_buf_reserve(b, 1);

    if (p != NULL) {
        *p = (uint8_t) c;
    }
}


void exam_buf_int(exam_buf_t *b, int64_t n);
void exam_buf_uint(exam_buf_t *b, uint64_t n);

/* lower-case hex of `len` bytes */

void exam_buf_hex(exam_buf_t *b, const void *data, size_t len);

/* standard base64 with padding (RFC 4648 section 4) */

void exam_buf_base64(exam_buf_t *b, const void *data, size_t len);

/*
 * a JSON string with its quotes (RFC 8259 section 7); the input must be UTF-8,
 * control characters, quote and backslash are escaped
 */

void exam_buf_json(exam_buf_t *b, exam_str_t s);

/* terminates with NUL for C callers; false when the buffer has overflowed */

bool exam_buf_cstr(exam_buf_t *b);

/* exactly 2 * `len` hex digits, lower or upper case, into out; false if not */

bool exam_hex_decode(const uint8_t *hex, size_t hex_len, uint8_t *out,
    size_t len);

/*
 * Standard base64, strictly with its padding (RFC 4648 section 4).  *len is how
 * many bytes that are, of which out gets as many as it has room for; false if
 * not base64.
 */

bool exam_base64_decode(exam_str_t s, uint8_t *out, size_t size,
    size_t *len);

/* the value of a digit of base64, -1 if it is none */

int exam_base64_digit(uint8_t c);

/* decimal digits only, no sign, no leading zeros but "0"; false above `max` */

bool exam_uint_parse(const uint8_t *p, size_t len, uint64_t max,
    uint64_t *out);

/* valid UTF-8 (RFC 3629: no surrogates, no overlong forms)? */

bool exam_utf8_valid(const uint8_t *p, size_t len);


#endif /* EXAM_BUF_H_INCLUDED */
