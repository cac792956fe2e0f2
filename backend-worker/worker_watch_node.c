
/*
 * What the nodes say of themselves in exam:node:<node>: how far they have told
 * Redis of beats (flushed_at).  Their clocks are compared with themselves only,
 * but for `since`, where a clock that is clearly off is allowed for.
 */


#include "worker_watch.h"

#include <stdlib.h>
#include <string.h>


#define WORKER_NODE_STALE  20000        /* ms a hash may be old: over its TTL */
#define WORKER_NODE_GAP    10000        /* ms without a word: it stood still */


typedef struct {
    worker_watch_t  *t;
    int64_t          mono;
} worker_nodes_t;


static void worker_node_reply(void *data, size_t i, const redisReply *reply);


int
worker_node_place(worker_watch_t *t, exam_str_t name)
{
    void           *more;
    size_t          i, max;
    worker_node_t  *n;

    for (i = 0; i < t->nnodes; i++) {
        if (exam_str_eq(exam_str_make(t->nodes[i].name,
                                      strlen(t->nodes[i].name)), name))
        {
            return (int) i;
        }
    }

    if (t->nnodes == UINT16_MAX) {
        return -1;
    }

    if (t->nnodes == t->maxnodes) {
        max = t->maxnodes * 2 + 8;
        more = realloc(t->nodes, max * sizeof(worker_node_t));

        if (more == NULL) {
            exam_log(EXAM_LOG_ALERT, "watch", 0, "no memory");
            return -1;
        }

        t->nodes = more;
        t->maxnodes = max;
    }

    n = &t->nodes[t->nnodes];
    memset(n, 0, sizeof(worker_node_t));

    memcpy(n->name, name.data, name.len);
    n->heard = exam_mono_ms();

    return (int) t->nnodes++;
}


bool
worker_node_read(worker_watch_t *t)
{
    char            key[EXAM_KEY_MAX];
    size_t          i;
    exam_str_t      args[5];
    exam_redis_e    rc;
    worker_nodes_t  nodes;

    args[0] = exam_str("HMGET");
    args[2] = exam_str("now");
    args[3] = exam_str("flushed_at");
    args[4] = exam_str("started_at");

    rc = EXAM_REDIS_OK;

    for (i = 0; i < t->nnodes && rc == EXAM_REDIS_OK; i++) {
        args[1] = exam_str_make(key, exam_key_node(key,
                                    exam_str_make(t->nodes[i].name,
                                                  strlen(t->nodes[i].name))));
        rc = exam_redis_append(&t->redis, 5, args);
    }

    nodes.t = t;
    nodes.mono = exam_mono_ms();

    if (rc == EXAM_REDIS_OK && t->nnodes != 0) {
        rc = exam_redis_replies(&t->redis, worker_node_reply, &nodes);
    }

    return rc == EXAM_REDIS_OK;
}


static void
worker_node_reply(void *data, size_t i, const redisReply *reply)
{
    int64_t          now, flushed_at, started_at;
    worker_node_t   *n;
    worker_nodes_t  *nodes;

    nodes = data;
    n = &nodes->t->nodes[i];

    now = exam_redis_number(reply, 0, -1);
    flushed_at = exam_redis_number(reply, 1, -1);
    started_at = exam_redis_number(reply, 2, -1);

    n->present = now > 0 && flushed_at > 0;

    if (!n->present) {
        return;
    }

    /* nobody could speak to a node that did not run or stood still */

    if (started_at > n->up) {
        n->up = started_at;
    }

    if (now != n->now || flushed_at != n->flushed_at) {

        if (nodes->mono - n->heard > WORKER_NODE_GAP) {
            n->up = now;
        }

        n->now = now;
        n->flushed_at = flushed_at;
        n->heard = nodes->mono;
    }
}


int64_t
worker_node_told(const worker_node_t *n)
{
    return n->flushed_at < n->now ? n->flushed_at : n->now;
}


bool
worker_node_ready(const worker_watch_t *t, const worker_exam_t *e,
    const worker_node_t *n)
{
    int64_t  since, skew;

    if (!n->present) {
        return false;
    }

    since = t->since > e->since ? t->since : e->since;
    skew = n->now - exam_now_ms();

    /* more than the age of its hash: its clock is another */

    if (skew > WORKER_NODE_STALE || skew < -WORKER_NODE_STALE) {
        since += skew + WORKER_NODE_STALE;
    }

    return n->flushed_at >= since;
}


bool
worker_node_silent(const worker_watch_t *t, const worker_node_t *n)
{
    return exam_mono_ms() - n->heard >= t->offline_ms;
}
