
/*
 * Tombstones: what stays of an upload that could be resumed and is no more
 * (part/<2 hex>/<id>.gone), so that its URL can tell why for a while.  Pure,
 * any thread.
 */


#ifndef EXAM_GONE_H_INCLUDED
#define EXAM_GONE_H_INCLUDED


#include "exam_manifest.h"


#define EXAM_GONE_VERSION  1
#define EXAM_GONE_MAX      512      /* bytes of the file */


typedef struct {
    exam_str_t   id;                /* strings as in exam_manifest_t */
    exam_str_t   exam;
    exam_str_t   student;
    exam_gone_e  state;
    int64_t      length;            /* of the whole, -1 not known */
    int64_t      at;                /* ms */
} exam_gone_t;


/* one line of JSON and a newline; b->overflow only for over-long strings */

void exam_gone_format(exam_buf_t *b, const exam_gone_t *g);

/* strict, as exam_manifest_parse(); an arena of EXAM_MANIFEST_ARENA */

EXAM_MUST_CHECK exam_err_e exam_gone_parse(exam_str_t file,
    exam_arena_t *arena, exam_gone_t *g);


#endif /* EXAM_GONE_H_INCLUDED */
