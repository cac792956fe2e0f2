
/*
 * The words of a call to Redis and of its answer (see the header).  No call has
 * more of them, or longer ones, than the memory was made for; one that had
 * would be cut at the last word that fits and refused by the script.
 */


#include "ngx_http_exam_args.h"


static size_t ngx_http_exam_args_room(ngx_http_exam_args_t *a);


void
ngx_http_exam_args_init(ngx_http_exam_args_t *a)
{
    a->n = 0;
    a->pos = a->memory;
}


void
ngx_http_exam_args_word(ngx_http_exam_args_t *a, const void *data, size_t len)
{
    if (a->n == NGX_HTTP_EXAM_ARGS_MAX) {
        return;
    }

    a->argv[a->n].data = (u_char *) data;
    a->argv[a->n++].len = len;
}


void
ngx_http_exam_args_number(ngx_http_exam_args_t *a, uint64_t n)
{
    u_char  *last;

    if (ngx_http_exam_args_room(a) < NGX_INT64_LEN) {
        return;
    }

    last = ngx_sprintf(a->pos, "%uL", n);

    ngx_http_exam_args_word(a, a->pos, last - a->pos);
    a->pos = last;
}


void
ngx_http_exam_args_hex(ngx_http_exam_args_t *a, const void *data, size_t len)
{
    u_char  *last;

    if (ngx_http_exam_args_room(a) < 2 * len) {
        return;
    }

    last = ngx_hex_dump(a->pos, (u_char *) data, len);

    ngx_http_exam_args_word(a, a->pos, last - a->pos);
    a->pos = last;
}


void
ngx_http_exam_args_key(ngx_http_exam_args_t *a, exam_key_e key,
    exam_str_t exam, exam_str_t sub)
{
    size_t  len;

    if (ngx_http_exam_args_room(a) < EXAM_KEY_MAX) {
        return;
    }

    if (key != EXAM_KEY_SEG) {
        sub.len = 0;
    }

    len = exam_key((char *) a->pos, key, exam, sub);

    ngx_http_exam_args_word(a, a->pos, len);
    a->pos += len + 1;
}


static size_t
ngx_http_exam_args_room(ngx_http_exam_args_t *a)
{
    return a->memory + sizeof(a->memory) - a->pos;
}


exam_str_t
ngx_http_exam_reply_word(redisReply *reply, size_t i)
{
    redisReply  *word;

    word = reply->element[i];

    if (word->type != REDIS_REPLY_STRING && word->type != REDIS_REPLY_STATUS) {
        return exam_str("");
    }

    return exam_str_make(word->str, word->len);
}


int64_t
ngx_http_exam_reply_number(redisReply *reply, size_t i)
{
    uint64_t    n;
    exam_str_t  word;

    word = ngx_http_exam_reply_word(reply, i);

    if (word.len > 0 && word.data[0] == '-') {
        return exam_uint_parse(word.data + 1, word.len - 1, INT64_MAX, &n)
               ? -(int64_t) n : 0;
    }

    return exam_uint_parse(word.data, word.len, INT64_MAX, &n)
           ? (int64_t) n : 0;
}
