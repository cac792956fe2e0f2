
/*
 * How the owner of an upload is asked to let it go: each worker process has a
 * datagram socket in spool/part/.yield/, so that all of a node are reached, of
 * an older generation too (reload, binary upgrade).
 */


#ifndef NGX_HTTP_EXAM_YIELD_H_INCLUDED
#define NGX_HTTP_EXAM_YIELD_H_INCLUDED


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_EXAM_YIELD_DIR  "part/.yield"      /* in the spool */


/* a datagram; the clock is the machine's */

typedef struct {
    uint8_t   id[16];               /* the random part of the upload's */
    uint64_t  since;                /* when its newcomer came, us, monotonic */
} ngx_http_exam_yield_t;


/* event loop; without a socket uploads of other processes are waited for */

void ngx_http_exam_yield_init(ngx_cycle_t *cycle, int spool);
void ngx_http_exam_yield_exit(void);

/* any thread, never waits: to all processes; sockets of dead ones go */

void ngx_http_exam_yield_ask(int spool, const ngx_http_exam_yield_t *ask);


#endif /* NGX_HTTP_EXAM_YIELD_H_INCLUDED */
