
/*
 * Heartbeats in an open loop: so many a second, each counted from the moment
 * it was due.  One that has to wait for a connection or for the server waits
 * on the clock; what has no answer at the end counts with its age.
 *
 * With a FIFO priority where that is allowed: otherwise it would measure its
 * neighbours on the core.
 */


#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>


#define LOAD_PROBE_CONNS    4096        /* opened as they are needed */
#define LOAD_PROBE_REPLY    4096
#define LOAD_PROBE_TIMER    UINT64_MAX
#define LOAD_PROBE_FIFO     50


typedef struct {
    int                    fd;
    uint64_t               due;         /* us, 0: idle */
    size_t                 have;
    char                   in[LOAD_PROBE_REPLY];
} load_probe_conn_t;


typedef struct {
    const load_options_t  *o;
    int                    epoll;
    char                 **tokens;
    load_probe_conn_t     *conns;
    long                   nconns;
    long                   idle[LOAD_PROBE_CONNS];
    long                   nidle;
    uint32_t              *us;         /* of each beat */
    long                   due;        /* beats */
    long                   answered;
    int                    fifo;
} load_probe_t;


static void load_probe_priority(load_probe_t *p);
static void load_probe_open(load_probe_t *p);
static void load_probe_beat(load_probe_t *p, uint64_t due, long seq);
static void load_probe_read(load_probe_t *p, load_probe_conn_t *c, long i);
static void load_probe_loop(load_probe_t *p);
static int load_probe_compare(const void *one, const void *two);


void
load_probe(const load_options_t *o)
{
    long          i, most;
    load_probe_t  p;

    memset(&p, 0, sizeof(p));
    p.o = o;

    if (o->rate < 1 || o->count < 1) {
        load_die("rate= and count= are needed");
    }

    most = o->count;

    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    p.tokens = calloc((size_t) o->clients, sizeof(char *));
    p.conns = calloc(LOAD_PROBE_CONNS, sizeof(load_probe_conn_t));
    p.us = calloc((size_t) most, sizeof(uint32_t));

    if (p.epoll == -1 || p.tokens == NULL || p.conns == NULL || p.us == NULL) {
        load_die("no memory");
    }

    for (i = 0; i < o->clients; i++) {
        p.tokens[i] = load_token(o, o->first + i);
    }

    for (i = 0; i < 16; i++) {
        load_probe_open(&p);
    }

    load_probe_priority(&p);
    load_probe_loop(&p);

    qsort(p.us, (size_t) most, sizeof(uint32_t), load_probe_compare);

    printf("{\"beats\": %ld, \"unanswered\": %ld, \"p50_us\": %u,"
           " \"p99_us\": %u, \"max_us\": %u, \"fifo\": %s}\n",
           most, most - p.answered, p.us[most / 2], p.us[most * 99 / 100],
           p.us[most - 1], p.fifo ? "true" : "false");
}


static void
load_probe_priority(load_probe_t *p)
{
    struct sched_param  param;

    memset(&param, 0, sizeof(param));
    param.sched_priority = LOAD_PROBE_FIFO;

    p->fifo = (sched_setscheduler(0, SCHED_FIFO, &param) == 0);
    errno = 0;
}


static void
load_probe_open(load_probe_t *p)
{
    p->conns[p->nconns].fd = load_connect(p->o, p->epoll, EPOLLIN,
                                          (uint64_t) p->nconns);
    p->idle[p->nidle++] = p->nconns++;
}


static void
load_probe_beat(load_probe_t *p, uint64_t due, long seq)
{
    int                 len, body;
    char                request[2048], json[64];
    load_probe_conn_t  *c;

    if (p->nidle == 0) {

        if (p->nconns == LOAD_PROBE_CONNS) {
            errno = 0;
            load_die("too many heartbeats without an answer");
        }

        load_probe_open(p);
    }

    c = &p->conns[p->idle[--p->nidle]];

    body = snprintf(json, sizeof(json), "{\"seq\":%ld}", seq + 1);
    len = snprintf(request, sizeof(request),
                   "POST /api/v1/heartbeat HTTP/1.1\r\n"
                   "Host: exam\r\n"
                   "Content-Type: application/json\r\n"
                   "Authorization: Bearer %s\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   p->tokens[seq % p->o->clients], body, json);

    if (len >= (int) sizeof(request)
        || send(c->fd, request, (size_t) len, MSG_NOSIGNAL) != len)
    {
        load_die("cannot send a heartbeat");
    }

    c->due = due;
    c->have = 0;
}


static void
load_probe_read(load_probe_t *p, load_probe_conn_t *c, long i)
{
    int       status;
    size_t    used;
    ssize_t   n;
    uint64_t  us;

    n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);

    if (n <= 0) {
        if (n == -1 && errno == EAGAIN) {
            return;
        }

        load_die("a connection was closed");
    }

    c->have += (size_t) n;

    status = load_answer(c->in, c->have, &used);
    if (status == 0) {
        return;
    }

    if (status != 200 || c->due == 0) {
        load_refused(c->in, c->have);
    }

    us = load_clock(CLOCK_MONOTONIC) - c->due;
    p->us[p->answered++] = us < UINT32_MAX ? (uint32_t) us : UINT32_MAX;

    c->due = 0;
    p->idle[p->nidle++] = i;
}


static void
load_probe_loop(load_probe_t *p)
{
    int                 i, n, timer;
    long                k, most, step;
    uint64_t            start, now;
    struct itimerspec   its;
    struct epoll_event  ev, events[LOAD_EVENTS];

    step = 1000000 / p->o->rate;
    most = p->o->count;
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);
    start = load_clock(CLOCK_MONOTONIC) + (uint64_t) step;

    memset(&its, 0, sizeof(its));
    its.it_value.tv_sec = (time_t) (start / 1000000);
    its.it_value.tv_nsec = (long) (start % 1000000) * 1000;
    its.it_interval.tv_sec = step / 1000000;
    its.it_interval.tv_nsec = step % 1000000 * 1000;

    ev.events = EPOLLIN;
    ev.data.u64 = LOAD_PROBE_TIMER;

    if (timer == -1
        || timerfd_settime(timer, TFD_TIMER_ABSTIME, &its, NULL) == -1
        || epoll_ctl(p->epoll, EPOLL_CTL_ADD, timer, &ev) == -1)
    {
        load_die("no timer");
    }

    for ( ;; ) {
        n = epoll_wait(p->epoll, events, LOAD_EVENTS, 1000);
        now = load_clock(CLOCK_MONOTONIC);

        for (i = 0; i < n; i++) {

            if (events[i].data.u64 != LOAD_PROBE_TIMER) {
                k = (long) events[i].data.u64;
                load_probe_read(p, &p->conns[k], k);
                continue;
            }

            (void) !read(timer, &(uint64_t) { 0 }, sizeof(uint64_t));
        }

        while (p->due < most && start + (uint64_t) (p->due * step) <= now) {
            load_probe_beat(p, start + (uint64_t) (p->due * step), p->due);
            p->due++;
        }

        /* a second for the last answers */

        if (p->due == most
            && (p->answered == most
                || now >= start + (uint64_t) (most * step) + 1000000))
        {
            break;
        }
    }

    /* what was never answered counts with its age */

    for (k = 0, i = (int) p->answered; k < p->nconns; k++) {
        if (p->conns[k].due != 0) {
            p->us[i++] = (uint32_t) (now - p->conns[k].due);
        }
    }
}


static int
load_probe_compare(const void *one, const void *two)
{
    uint32_t  a, b;

    a = *(const uint32_t *) one;
    b = *(const uint32_t *) two;

    return a < b ? -1 : a > b;
}
