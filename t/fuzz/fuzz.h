
/*
 * What the fuzz targets share: a check that stops the run and leaves the input
 * behind, and copies of an exact size.  A target is one file with one
 * LLVMFuzzerTestOneInput(); libFuzzer brings main().  One thread, no state from
 * one input to the next.
 */


#ifndef FUZZ_H_INCLUDED
#define FUZZ_H_INCLUDED


#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exam_buf.h"
#include "exam_err.h"


#define fuzz_check(cond, what)                                                \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fuzz_failed(__FILE__, __LINE__, what);                            \
        }                                                                     \
    } while (0)


/*
 * libFuzzer calls it with a block of exactly that size.  A target that has
 * several things to try chooses by the input's first byte, a digit in the files
 * of the corpus: they stay readable.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static inline void fuzz_failed(const char *file, int line, const char *what)
    __attribute__((noreturn));


static inline void
fuzz_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    fflush(stderr);
    abort();
}


/*
 * Exactly these bytes, so that a read beside them is seen.  The caller frees
 * them.
 */

static inline exam_str_t
fuzz_copy(exam_str_t s)
{
    void  *p;

    p = malloc(s.len);

    if (p == NULL) {
        fuzz_check(s.len == 0, "there is memory");

    } else if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    return exam_str_make(p, s.len);
}


static inline void
fuzz_free(exam_str_t s)
{
    free((void *) (uintptr_t) s.data);
}


static inline bool
fuzz_has(exam_str_t s, uint8_t c)
{
    return s.len != 0 && memchr(s.data, c, s.len) != NULL;
}


/* does s stand in `in`?  What is empty stands everywhere. */

static inline bool
fuzz_within(exam_str_t s, exam_str_t in)
{
    return s.len == 0
           || (s.data >= in.data && s.data + s.len <= in.data + in.len);
}


/* what a writer has left in its buffer */

static inline exam_str_t
fuzz_written(const exam_buf_t *b)
{
    fuzz_check(b->start <= b->pos && b->pos <= b->end,
               "a buffer's position lies in it");

    return exam_str_make(b->start, exam_buf_len(b));
}


/* what a parser of a JSON body may answer */

static inline bool
fuzz_json_error(exam_err_e err)
{
    return err == EXAM_ERR_BAD_JSON || err == EXAM_ERR_BAD_UTF8
           || err == EXAM_ERR_TOO_DEEP || err == EXAM_ERR_TOO_LARGE
           || err == EXAM_ERR_BAD_TYPE || err == EXAM_ERR_BAD_VALUE
           || err == EXAM_ERR_MISSING_MEMBER;
}


#endif /* FUZZ_H_INCLUDED */
