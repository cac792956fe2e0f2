
/*
 * The synchronous Redis client.  Invariant: r->conn is NULL or a healthy
 * connection whose next reply belongs to the oldest of r->pending commands; any
 * doubt about that closes it.
 */


#include "exam_redis.h"
#include "exam_time.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>


#define EXAM_REDIS_CONNECT_MS  1000
#define EXAM_REDIS_TIMEOUT_MS  5000
#define EXAM_REDIS_OUT_MAX     16384    /* gathered bytes before a write */


static exam_redis_e exam_redis_fail(exam_redis_t *r, const char *error);
static exam_redis_e exam_redis_enter(exam_redis_t *r);
static exam_redis_e exam_redis_first(exam_redis_t *r,
    const exam_str_t args[2]);
static exam_redis_e exam_redis_scripts(exam_redis_t *r);
static exam_redis_e exam_redis_script(exam_redis_t *r, exam_script_e which);
static exam_redis_e exam_redis_ready(exam_redis_t *r);
static exam_redis_e exam_redis_vcommand(exam_redis_t *r, redisReply **reply,
    const char *fmt, va_list args);
static exam_redis_e exam_redis_queue(exam_redis_t *r, size_t nhead,
    const exam_str_t *head, size_t n, const exam_str_t *args);
static exam_redis_e exam_redis_take(exam_redis_t *r, redisReply **reply);
static exam_redis_e exam_redis_class(exam_redis_t *r, const char *error);
static bool exam_redis_noscript(const char *error);
static struct timeval exam_redis_timeval(unsigned ms);


void
exam_redis_init(exam_redis_t *r, const exam_redis_conf_t *conf)
{
    memset(r, 0, sizeof(exam_redis_t));

    r->conf = *conf;
    r->timeout_ms = EXAM_REDIS_TIMEOUT_MS;

    exam_backoff_init(&r->backoff, 100, 5000);
}


exam_redis_e
exam_redis_connect(exam_redis_t *r)
{
    exam_redis_e    rc;
    redisContext   *conn;
    struct timeval  tv;

    if (r->conn != NULL) {
        return EXAM_REDIS_OK;
    }

    if (exam_mono_ms() < r->retry_at) {
        return EXAM_REDIS_AWAY;
    }

    tv = exam_redis_timeval(EXAM_REDIS_CONNECT_MS);

    conn = (r->conf.socket[0] != '\0')
           ? redisConnectUnixWithTimeout(r->conf.socket, tv)
           : redisConnectWithTimeout(r->conf.host, (int) r->conf.port, tv);

    if (conn == NULL) {
        return exam_redis_fail(r, "out of memory");
    }

    r->conn = conn;

    if (conn->err != 0) {
        return exam_redis_fail(r, conn->errstr);
    }

    tv = exam_redis_timeval(r->timeout_ms);

    if (redisSetTimeout(conn, tv) != REDIS_OK) {
        return exam_redis_fail(r, conn->errstr);
    }

    rc = exam_redis_enter(r);

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_scripts(r);
    }

    if (rc != EXAM_REDIS_OK) {

        /* a script that Redis refuses is an error that waiting may mend */

        return (r->conn != NULL) ? exam_redis_fail(r, r->error)
                                 : EXAM_REDIS_AWAY;
    }

    exam_backoff_reset(&r->backoff);
    r->connects++;
    r->error[0] = '\0';

    return EXAM_REDIS_OK;
}


void
exam_redis_close(exam_redis_t *r)
{
    if (r->conn != NULL) {
        redisFree(r->conn);
        r->conn = NULL;
    }

    r->pending = 0;
    r->gathered = 0;
    r->retry_at = 0;
}


/* closes and starts the wait before the next try */

static exam_redis_e
exam_redis_fail(exam_redis_t *r, const char *error)
{
    uint32_t  random;

    /* `error` may lie in the connection, or be r->error itself */

    if (error != r->error) {
        (void) snprintf(r->error, sizeof(r->error), "%s",
                        error[0] != '\0' ? error : "connection closed");
    }

    exam_redis_close(r);

    exam_random(&random, sizeof(random));
    r->retry_at = exam_mono_ms() + exam_backoff_next(&r->backoff, random);

    return EXAM_REDIS_AWAY;
}


/* AUTH and SELECT, where the configuration asks for them */

static exam_redis_e
exam_redis_enter(exam_redis_t *r)
{
    char          db[16];
    exam_str_t    args[2];
    exam_redis_e  rc;

    rc = EXAM_REDIS_OK;

    if (r->conf.password[0] != '\0') {
        args[0] = exam_str("AUTH");
        args[1] = exam_str_make(r->conf.password, strlen(r->conf.password));
        rc = exam_redis_first(r, args);
    }

    if (rc == EXAM_REDIS_OK && r->conf.db != 0) {
        (void) snprintf(db, sizeof(db), "%u", r->conf.db);

        args[0] = exam_str("SELECT");
        args[1] = exam_str_make(db, strlen(db));
        rc = exam_redis_first(r, args);
    }

    return rc;
}


static exam_redis_e
exam_redis_first(exam_redis_t *r, const exam_str_t args[2])
{
    redisReply    *reply;
    exam_redis_e   rc;

    rc = exam_redis_queue(r, 0, NULL, 2, args);

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_take(r, &reply);
    }

    if (rc == EXAM_REDIS_OK) {
        freeReplyObject(reply);
    }

    return rc;
}


static exam_redis_e
exam_redis_scripts(exam_redis_t *r)
{
    unsigned      i;
    exam_redis_e  rc;

    for (i = 0; i < EXAM_SCRIPT_MAX; i++) {
        rc = exam_redis_script(r, (exam_script_e) i);

        if (rc != EXAM_REDIS_OK) {
            return rc;
        }
    }

    return EXAM_REDIS_OK;
}


static exam_redis_e
exam_redis_script(exam_redis_t *r, exam_script_e which)
{
    redisReply    *reply;
    exam_str_t     sha, args[3];
    exam_redis_e   rc;
    const char    *source;

    source = exam_script(which)->source;

    args[0] = exam_str("SCRIPT");
    args[1] = exam_str("LOAD");
    args[2] = exam_str_make(source, strlen(source));

    rc = exam_redis_queue(r, 0, NULL, 3, args);

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_take(r, &reply);
    }

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    sha = exam_redis_str(reply);

    if (sha.len != sizeof(r->sha[0]) - 1) {
        freeReplyObject(reply);
        return exam_redis_fail(r, "SCRIPT LOAD answered no SHA-1");
    }

    memcpy(r->sha[which], sha.data, sha.len);
    r->sha[which][sha.len] = '\0';

    freeReplyObject(reply);

    return EXAM_REDIS_OK;
}


exam_redis_e
exam_redis_command(exam_redis_t *r, redisReply **reply, const char *fmt, ...)
{
    va_list       args;
    exam_redis_e  rc;

    va_start(args, fmt);
    rc = exam_redis_vcommand(r, reply, fmt, args);
    va_end(args);

    return rc;
}


exam_redis_e
exam_redis_do(exam_redis_t *r, const char *fmt, ...)
{
    va_list        args;
    redisReply    *reply;
    exam_redis_e   rc;

    va_start(args, fmt);
    rc = exam_redis_vcommand(r, &reply, fmt, args);
    va_end(args);

    if (rc == EXAM_REDIS_OK) {
        freeReplyObject(reply);
    }

    return rc;
}


static exam_redis_e
exam_redis_vcommand(exam_redis_t *r, redisReply **reply, const char *fmt,
    va_list args)
{
    exam_redis_e  rc;

    *reply = NULL;

    rc = exam_redis_ready(r);

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    if (redisvAppendCommand(r->conn, fmt, args) != REDIS_OK) {
        return exam_redis_fail(r, r->conn->errstr);
    }

    r->pending++;

    return exam_redis_take(r, reply);
}


exam_redis_e
exam_redis_argv(exam_redis_t *r, redisReply **reply, size_t n,
    const exam_str_t *args)
{
    exam_redis_e  rc;

    *reply = NULL;

    rc = exam_redis_ready(r);

    if (rc == EXAM_REDIS_OK) {
        rc = exam_redis_queue(r, 0, NULL, n, args);
    }

    return (rc == EXAM_REDIS_OK) ? exam_redis_take(r, reply) : rc;
}


exam_redis_e
exam_redis_append(exam_redis_t *r, size_t n, const exam_str_t *args)
{
    exam_redis_e  rc;

    rc = exam_redis_connect(r);

    return (rc == EXAM_REDIS_OK) ? exam_redis_queue(r, 0, NULL, n, args) : rc;
}


exam_redis_e
exam_redis_append_eval(exam_redis_t *r, exam_script_e which, size_t n,
    const exam_str_t *args)
{
    char          keys[16];
    exam_str_t    head[3];
    exam_redis_e  rc;

    rc = exam_redis_connect(r);

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    (void) snprintf(keys, sizeof(keys), "%u", exam_script(which)->keys);

    head[0] = exam_str("EVALSHA");
    head[1] = exam_str_make(r->sha[which], strlen(r->sha[which]));
    head[2] = exam_str_make(keys, strlen(keys));

    return exam_redis_queue(r, 3, head, n, args);
}


exam_redis_e
exam_redis_eval(exam_redis_t *r, exam_script_e which, redisReply **reply,
    size_t n, const exam_str_t *args)
{
    unsigned      tries;
    exam_redis_e  rc;

    *reply = NULL;

    rc = exam_redis_ready(r);

    for (tries = 0; rc == EXAM_REDIS_OK; tries++) {

        rc = exam_redis_append_eval(r, which, n, args);

        if (rc == EXAM_REDIS_OK) {
            rc = exam_redis_take(r, reply);
        }

        if (rc != EXAM_REDIS_ERROR || tries != 0
            || !exam_redis_noscript(r->error))
        {
            break;
        }

        rc = exam_redis_scripts(r);
    }

    return rc;
}


exam_redis_e
exam_redis_replies(exam_redis_t *r, exam_redis_reply_pt handler, void *data)
{
    bool          noscript;
    char          first[EXAM_REDIS_ERROR_MAX];
    void         *reply;
    size_t        i, n;
    exam_redis_e  rc, result;

    if (r->pending == 0) {
        return EXAM_REDIS_OK;
    }

    noscript = false;
    result = EXAM_REDIS_OK;
    n = r->pending;

    for (i = 0; i < n; i++) {

        if (redisGetReply(r->conn, &reply) != REDIS_OK || reply == NULL) {
            return exam_redis_fail(r, r->conn->errstr);
        }

        r->pending--;

        if (handler != NULL) {
            handler(data, i, reply);
        }

        if (((redisReply *) reply)->type == REDIS_REPLY_ERROR) {
            noscript |= exam_redis_noscript(((redisReply *) reply)->str);
            rc = exam_redis_class(r, ((redisReply *) reply)->str);

            if (rc == EXAM_REDIS_AWAY) {
                freeReplyObject(reply);
                return exam_redis_fail(r, r->error);
            }

            if (result == EXAM_REDIS_OK) {
                memcpy(first, r->error, sizeof(first));
                result = rc;
            }
        }

        freeReplyObject(reply);
    }

    if (noscript) {
        rc = exam_redis_scripts(r);

        if (rc == EXAM_REDIS_AWAY) {
            return rc;
        }
    }

    if (result != EXAM_REDIS_OK) {
        memcpy(r->error, first, sizeof(first));
    }

    return result;
}


/* connected, and nothing pipelined that would get our reply */

static exam_redis_e
exam_redis_ready(exam_redis_t *r)
{
    if (r->pending != 0) {
        (void) snprintf(r->error, sizeof(r->error),
                        "%zu pipelined commands have not been answered",
                        r->pending);
        return EXAM_REDIS_ERROR;
    }

    return exam_redis_connect(r);
}


/* head and args as one command into the output buffer */

static exam_redis_e
exam_redis_queue(exam_redis_t *r, size_t nhead, const exam_str_t *head,
    size_t n, const exam_str_t *args)
{
    int           rc, done;
    size_t        i, size, *lens;
    exam_str_t    s;
    const char  **argv;

    argv = malloc((nhead + n) * (sizeof(char *) + sizeof(size_t)));

    if (argv == NULL) {
        return exam_redis_fail(r, "out of memory");
    }

    lens = (size_t *) (void *) (argv + nhead + n);
    size = 0;

    for (i = 0; i < nhead + n; i++) {
        s = (i < nhead) ? head[i] : args[i - nhead];
        argv[i] = (s.len != 0) ? (const char *) s.data : "";
        lens[i] = s.len;
        size += s.len;
    }

    rc = redisAppendCommandArgv(r->conn, (int) (nhead + n), argv, lens);

    free(argv);

    if (rc != REDIS_OK) {
        return exam_redis_fail(r, r->conn->errstr);
    }

    r->pending++;
    r->gathered += size;

    if (r->gathered < EXAM_REDIS_OUT_MAX) {
        return EXAM_REDIS_OK;
    }

    r->gathered = 0;

    do {
        if (redisBufferWrite(r->conn, &done) != REDIS_OK) {
            return exam_redis_fail(r, r->conn->errstr);
        }

    } while (!done);

    return EXAM_REDIS_OK;
}


/* the reply of the only pending command */

static exam_redis_e
exam_redis_take(exam_redis_t *r, redisReply **reply)
{
    void          *got;
    exam_redis_e   rc;

    *reply = NULL;

    if (redisGetReply(r->conn, &got) != REDIS_OK || got == NULL) {
        return exam_redis_fail(r, r->conn->errstr);
    }

    r->pending--;

    if (((redisReply *) got)->type != REDIS_REPLY_ERROR) {
        *reply = got;
        return EXAM_REDIS_OK;
    }

    rc = exam_redis_class(r, ((redisReply *) got)->str);

    freeReplyObject(got);

    return (rc == EXAM_REDIS_AWAY) ? exam_redis_fail(r, r->error) : rc;
}


/* keeps the text of an error reply and says whether it passes by itself */

static exam_redis_e
exam_redis_class(exam_redis_t *r, const char *error)
{
    size_t  i;

    static const char *const  away[] = {
        "OOM ", "LOADING ", "READONLY ", "MASTERDOWN ", "CLUSTERDOWN ",
        "NOAUTH ", "MISCONF ", "BUSY ", "NOREPLICAS "
    };

    (void) snprintf(r->error, sizeof(r->error), "%s", error);

    for (i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
        if (strncmp(error, away[i], strlen(away[i])) == 0) {
            return EXAM_REDIS_AWAY;
        }
    }

    /* Redis 6 wraps what a script met */

    if (strstr(error, "-OOM ") != NULL || strstr(error, "-READONLY ") != NULL
        || strstr(error, "-MISCONF ") != NULL)
    {
        return EXAM_REDIS_AWAY;
    }

    return EXAM_REDIS_ERROR;
}


static bool
exam_redis_noscript(const char *error)
{
    return strncmp(error, "NOSCRIPT", sizeof("NOSCRIPT") - 1) == 0;
}


exam_str_t
exam_redis_str(const redisReply *reply)
{
    if (reply == NULL
        || (reply->type != REDIS_REPLY_STRING
            && reply->type != REDIS_REPLY_STATUS
            && reply->type != REDIS_REPLY_ERROR))
    {
        return exam_str_make("", 0);
    }

    return exam_str_make(reply->str, reply->len);
}


const redisReply *
exam_redis_item(const redisReply *reply, size_t i)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || i >= reply->elements)
    {
        return NULL;
    }

    return reply->element[i];
}


int64_t
exam_redis_number(const redisReply *reply, size_t i, int64_t none)
{
    uint64_t    value;
    exam_str_t  s;

    s = exam_redis_str(exam_redis_item(reply, i));

    return exam_uint_parse(s.data, s.len, INT64_MAX, &value)
           ? (int64_t) value : none;
}


exam_redis_e
exam_redis_time(exam_redis_t *r, int64_t *ms)
{
    uint64_t       s, us;
    exam_str_t     v;
    redisReply    *reply;
    exam_redis_e   rc;

    rc = exam_redis_command(r, &reply, "TIME");

    if (rc != EXAM_REDIS_OK) {
        return rc;
    }

    v = exam_redis_str(exam_redis_item(reply, 0));

    if (!exam_uint_parse(v.data, v.len, INT64_MAX / 2000, &s)) {
        goto failed;
    }

    v = exam_redis_str(exam_redis_item(reply, 1));

    if (!exam_uint_parse(v.data, v.len, 999999, &us)) {
        goto failed;
    }

    *ms = (int64_t) (s * 1000 + us / 1000);

    freeReplyObject(reply);

    return EXAM_REDIS_OK;

failed:

    freeReplyObject(reply);

    (void) snprintf(r->error, sizeof(r->error), "TIME answered no time");

    return EXAM_REDIS_ERROR;
}


static struct timeval
exam_redis_timeval(unsigned ms)
{
    struct timeval  tv;

    tv.tv_sec = ms / 1000;
    tv.tv_usec = (suseconds_t) (ms % 1000) * 1000;

    return tv;
}
