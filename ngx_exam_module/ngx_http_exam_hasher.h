
/*
 * Hashing of what uploads have received, two uploads at a time where the CPU
 * gains by it (core/exam_sha256.h).
 *
 * As many threads hash at a time as there are processors; others wait for one
 * of them.  Whoever hashes looks for company at each piece of its job, first
 * among those that wait, then among jobs whose tasks wait for a thread, and
 * hashes the other's bytes beside its own, as long as it has any.  Nobody waits
 * for company: a job that is alone is hashed alone.
 *
 * Lock: a mutex of this process, held for a few instructions; the event loop
 * only tries it.  Invariants: a job is used by one thread at a time; it is on a
 * list only before its _run returns; a place among those that hash is never
 * kept for a job whose thread has not begun.
 */


#ifndef NGX_HTTP_EXAM_HASHER_H_INCLUDED
#define NGX_HTTP_EXAM_HASHER_H_INCLUDED


#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../core/exam_sha256.h"


#define NGX_HTTP_EXAM_HASHER_BLOCKS  4       /* of an upload at a time */


typedef struct ngx_http_exam_hasher_s  ngx_http_exam_hasher_t;


typedef struct {
    const uint8_t                   *data;
    size_t                           len;   /* bytes */
} ngx_http_exam_hasher_block_t;


struct ngx_http_exam_hasher_s {
    exam_sha256_t                        sha;
    ngx_http_exam_hasher_block_t         blocks[NGX_HTTP_EXAM_HASHER_BLOCKS];
    unsigned                             n;     /* of them */

    /* internal */

    unsigned                             i;     /* the block at hand */
    size_t                               at;    /* bytes of it that are done */
    int                                  state;
    int                                  begun; /* _run was called */
    TAILQ_ENTRY(ngx_http_exam_hasher_s)  link;
    sem_t                                turn;  /* _run may go on */
};


void ngx_http_exam_hasher_init(ngx_http_exam_hasher_t *job);

/* what is to be hashed next, at most _BLOCKS of them; nobody has the job */

void ngx_http_exam_hasher_open(ngx_http_exam_hasher_t *job);
void ngx_http_exam_hasher_add(ngx_http_exam_hasher_t *job, const uint8_t *data,
    size_t len);

/*
 * Event loop, after the task was posted that calls _run: others may hash it
 * until then.  Does not wait.  Without blocks there is nothing to offer, and
 * _run need not be called.
 */

void ngx_http_exam_hasher_offer(ngx_http_exam_hasher_t *job);

/* in a thread: afterwards the blocks are hashed, by whomever; their bytes */

size_t ngx_http_exam_hasher_run(ngx_http_exam_hasher_t *job);


#endif /* NGX_HTTP_EXAM_HASHER_H_INCLUDED */
