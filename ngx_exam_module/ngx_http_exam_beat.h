
/*
 * What the two halves of a heartbeat share: ngx_http_exam_heartbeat.c (token,
 * body, session) and ngx_http_exam_beat_reply.c (JSON and sending).
 */


#ifndef NGX_HTTP_EXAM_BEAT_H_INCLUDED
#define NGX_HTTP_EXAM_BEAT_H_INCLUDED


#include "ngx_http_exam_command.h"
#include "ngx_http_exam_presence.h"


/* what the reply tells, copied under the mutex */

typedef struct {
    exam_view_t    view;
    exam_err_e     err;
    int64_t        exp;             /* of the token that was sent, s */
    uint32_t       slot;            /* from the session id */
    int32_t        stored[EXAM_KINDS_MAX];
    uint32_t       nresend;
    exam_resend_t  resend[EXAM_RESEND_MAX];

    ngx_http_exam_presence_t  presence;     /* for the journal */

    const ngx_http_exam_command_beat_t  *commands;  /* NULL: none */
} ngx_http_exam_beat_reply_t;


/*
 * Status line and header in a buffer with room for the body; NULL: the reply
 * goes the normal way.  Nothing of it depends on the session.
 */

ngx_buf_t *ngx_http_exam_beat_head(ngx_http_request_t *r);

/*
 * 200; head is what ngx_http_exam_beat_head() gave.  Returns the content
 * handler's return code.
 */

ngx_int_t ngx_http_exam_beat_reply(ngx_http_request_t *r, ngx_buf_t *head,
    const ngx_http_exam_beat_reply_t *reply, int64_t now);


#endif /* NGX_HTTP_EXAM_BEAT_H_INCLUDED */
