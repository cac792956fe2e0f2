
/*
 * A synchronous Redis client on hiredis for the daemons and tools: connection
 * with timeouts and back-off, commands, pipelining, and the scripts of
 * exam_script.h by EVALSHA.  "Away" is one class for all that passes by
 * itself: no connection, time-out, -OOM, -LOADING, -READONLY, -MASTERDOWN,
 * -CLUSTERDOWN, -NOAUTH (DESIGN 5).
 *
 * A client belongs to one thread.  Everything may be called while Redis is
 * away: it answers EXAM_REDIS_AWAY at once until the back-off allows a try.
 * The program must ignore SIGPIPE: hiredis writes with write().
 */


#ifndef EXAM_REDIS_H_INCLUDED
#define EXAM_REDIS_H_INCLUDED


#include "exam_backoff.h"
#include "exam_buf.h"
#include "exam_conf.h"
#include "exam_err.h"
#include "exam_script.h"

#include <hiredis/hiredis.h>


#define EXAM_REDIS_ERROR_MAX  160


typedef enum {
    EXAM_REDIS_OK = 0,
    EXAM_REDIS_AWAY,
    EXAM_REDIS_ERROR                /* an error reply; text in r->error */
} exam_redis_e;


typedef struct {
    redisContext       *conn;       /* NULL: not connected */
    exam_redis_conf_t   conf;
    unsigned            timeout_ms; /* of a command; may be set at any time */
    exam_backoff_t      backoff;
    int64_t             retry_at;   /* monotonic ms */
    unsigned            connects;   /* successful ones */
    size_t              pending;    /* pipelined commands without an answer */
    size_t              gathered;   /* bytes of them since the last write */
    char                sha[EXAM_SCRIPT_MAX][41];
    char                error[EXAM_REDIS_ERROR_MAX];
} exam_redis_t;


/* tries at once, then waits 100 ms to 5 s between failures */

void exam_redis_init(exam_redis_t *r, const exam_redis_conf_t *conf);

/* no-op when connected; loads the scripts */

EXAM_MUST_CHECK exam_redis_e exam_redis_connect(exam_redis_t *r);

/* drops the connection with everything pending; the next call connects */

void exam_redis_close(exam_redis_t *r);

/*
 * One command and its reply, which the caller frees with freeReplyObject().
 * *reply is NULL unless EXAM_REDIS_OK.  The format is hiredis's: %b with a
 * pointer and a size_t for all foreign bytes.  Not with pipelined commands
 * pending.
 */

EXAM_MUST_CHECK exam_redis_e exam_redis_command(exam_redis_t *r,
    redisReply **reply, const char *fmt, ...);

EXAM_MUST_CHECK exam_redis_e exam_redis_argv(exam_redis_t *r,
    redisReply **reply, size_t n, const exam_str_t *args);

/* as above, for whom the reply says nothing */

EXAM_MUST_CHECK exam_redis_e exam_redis_do(exam_redis_t *r, const char *fmt,
    ...);

/*
 * Pipelining: append, then take the replies in order.  Commands are sent when
 * 16 KB have gathered, or by exam_redis_replies(), which should come every few
 * thousand commands: until then the answers fill Redis's memory.
 */

EXAM_MUST_CHECK exam_redis_e exam_redis_append(exam_redis_t *r, size_t n,
    const exam_str_t *args);

/* called for each reply, error replies too; owns nothing */

typedef void (*exam_redis_reply_pt)(void *data, size_t i,
    const redisReply *reply);

/*
 * Reads all pending replies; `handler` may be NULL.  EXAM_REDIS_ERROR when at
 * least one was an error (the first one's text in r->error); after a NOSCRIPT
 * the scripts are loaded again, so that the caller may simply repeat.
 */

EXAM_MUST_CHECK exam_redis_e exam_redis_replies(exam_redis_t *r,
    exam_redis_reply_pt handler, void *data);

/*
 * A script: `args` holds its keys first (as many as the script's table entry
 * says), then its arguments.  NOSCRIPT is loaded again and repeated once.
 */

EXAM_MUST_CHECK exam_redis_e exam_redis_eval(exam_redis_t *r,
    exam_script_e which, redisReply **reply, size_t n, const exam_str_t *args);

/* the pipelined form */

EXAM_MUST_CHECK exam_redis_e exam_redis_append_eval(exam_redis_t *r,
    exam_script_e which, size_t n, const exam_str_t *args);

/* a string, status or error reply as a view; empty for anything else */

exam_str_t exam_redis_str(const redisReply *reply);

/* an element of an array reply, NULL when there is none */

const redisReply *exam_redis_item(const redisReply *reply, size_t i);

/* such an element as a number from 0 on; none: not there, or no number */

int64_t exam_redis_number(const redisReply *reply, size_t i, int64_t none);

/* Redis's own clock, ms: also the cheapest proof that it answers */

EXAM_MUST_CHECK exam_redis_e exam_redis_time(exam_redis_t *r, int64_t *ms);


#endif /* EXAM_REDIS_H_INCLUDED */
