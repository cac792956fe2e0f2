
/*
 * The words of a call to Redis: keys and numbers written into the caller's
 * memory, which must live until the call was made (the adapter copies).  And
 * the words of a script's answer.
 */


#ifndef NGX_HTTP_EXAM_ARGS_H_INCLUDED
#define NGX_HTTP_EXAM_ARGS_H_INCLUDED


#include <ngx_config.h>
#include <ngx_core.h>

#include <hiredis/hiredis.h>

#include "../core/exam_redis_row.h"


#define NGX_HTTP_EXAM_ARGS_MAX  24


typedef struct {
    ngx_uint_t   n;
    ngx_str_t    argv[NGX_HTTP_EXAM_ARGS_MAX];
    u_char      *pos;
    u_char       memory[NGX_HTTP_EXAM_ARGS_MAX * EXAM_KEY_MAX];
} ngx_http_exam_args_t;


void ngx_http_exam_args_init(ngx_http_exam_args_t *a);

/* a word that lives long enough by itself */

void ngx_http_exam_args_word(ngx_http_exam_args_t *a, const void *data,
    size_t len);

#define ngx_http_exam_args_lit(a, s)                                          \
    ngx_http_exam_args_word(a, s, sizeof(s) - 1)

void ngx_http_exam_args_number(ngx_http_exam_args_t *a, uint64_t n);

void ngx_http_exam_args_hex(ngx_http_exam_args_t *a, const void *data,
    size_t len);

/* sub: the student for EXAM_KEY_SEG, not looked at for the others */

void ngx_http_exam_args_key(ngx_http_exam_args_t *a, exam_key_e key,
    exam_str_t exam, exam_str_t sub);


/*
 * Element i of an array that a script answered, which has it: "" and 0 for what
 * is of another type.
 */

exam_str_t ngx_http_exam_reply_word(redisReply *reply, size_t i);
int64_t ngx_http_exam_reply_number(redisReply *reply, size_t i);


#endif /* NGX_HTTP_EXAM_ARGS_H_INCLUDED */
