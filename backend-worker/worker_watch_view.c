
/*
 * Who has become late or offline, or is back.  A view gets worse only by what a
 * node has told since the last doubt, or when the node itself has fallen silent
 * (cause node); it gets better only by a beat that came since it was declared.
 * Told by one script, which looks at the lease in the same moment.
 */


#include "worker_watch.h"

#include <string.h>


#define WORKER_VIEW_HEAD  7             /* what stands before the rows */


/* what one call of the script tells */

typedef struct {
    size_t           n;
    worker_seat_t   *seats[WORKER_WATCH_ROWS];
} worker_told_t;


static bool worker_view_next(const worker_watch_t *t, const worker_exam_t *e,
    worker_seat_t *seat);
static bool worker_view_back(const worker_watch_t *t, worker_seat_t *seat,
    int64_t silence);
static bool worker_view_tell(worker_watch_t *t, worker_exam_t *e,
    worker_told_t *told, int64_t now);


/* KEYS watch changes; ARGV token at, then a row: student sid state cause */

static const char  worker_view_script[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "for i = 3, #ARGV, 4 do\n"
    "  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*',\n"
    "             'type', 'presence', 'student', ARGV[i],\n"
    "             'sid', ARGV[i + 1], 'state', ARGV[i + 2],\n"
    "             'at', ARGV[2], 'cause', ARGV[i + 3])\n"
    "end\n"
    "return 1\n";


const char *
worker_view_name(worker_view_e view)
{
    static const char *const  names[] = { "online", "late", "offline" };

    return names[view];
}


bool
worker_view_tick(worker_watch_t *t, worker_exam_t *e)
{
    size_t          i;
    int64_t         now;
    worker_seat_t  *seat;
    worker_told_t   told;

    now = exam_now_ms();
    told.n = 0;

    for (i = 0; i < e->nseats; i++) {
        seat = &e->seats[i];

        if (!seat->active || !worker_view_next(t, e, seat)) {
            continue;
        }

        told.seats[told.n++] = seat;

        if (told.n == WORKER_WATCH_ROWS
            && !worker_view_tell(t, e, &told, now))
        {
            return false;
        }
    }

    return told.n == 0 || worker_view_tell(t, e, &told, now);
}


/* true: seat->next is another view than it has */

static bool
worker_view_next(const worker_watch_t *t, const worker_exam_t *e,
    worker_seat_t *seat)
{
    int64_t               last, silence;
    worker_view_e         next;
    const worker_node_t  *node;

    node = &t->nodes[seat->node];
    last = seat->seen > seat->login_at ? seat->seen : seat->login_at;

    if (worker_node_ready(t, e, node)) {
        silence = worker_node_told(node) - (last > node->up ? last : node->up);
        next = silence > t->offline_ms ? WORKER_VIEW_OFFLINE
               : silence > t->late_ms ? WORKER_VIEW_LATE
               : WORKER_VIEW_ONLINE;
        seat->by_node = false;

    } else {
        silence = exam_now_ms() - last;
        next = worker_node_silent(t, node) && silence > t->offline_ms
               ? WORKER_VIEW_OFFLINE : WORKER_VIEW_ONLINE;
        seat->by_node = true;
    }

    if (next <= seat->view) {
        return worker_view_back(t, seat, silence);
    }

    seat->next = next;

    return true;
}


static bool
worker_view_back(const worker_watch_t *t, worker_seat_t *seat,
    int64_t silence)
{
    if (seat->view == WORKER_VIEW_ONLINE || seat->seen <= seat->declared
        || silence > t->late_ms)
    {
        return false;
    }

    seat->next = WORKER_VIEW_ONLINE;
    seat->by_node = false;

    return true;
}


static bool
worker_view_tell(worker_watch_t *t, worker_exam_t *e, worker_told_t *told,
    int64_t now)
{
    bool            ours;
    char            keys[2][EXAM_KEY_MAX], at[24];
    size_t          i, n;
    exam_str_t      exam, args[WORKER_VIEW_HEAD + 4 * WORKER_WATCH_ROWS];
    redisReply     *reply;
    const char     *state, *cause;
    worker_seat_t  *seat;

    exam = exam_str_make(e->id, strlen(e->id));
    snprintf(at, sizeof(at), "%lld", (long long) now);

    args[0] = exam_str("EVAL");
    args[1] = exam_str(worker_view_script);
    args[2] = exam_str("2");
    args[3] = exam_str_make(keys[0], exam_key(keys[0], EXAM_KEY_WATCH, exam,
                                              exam_str("")));
    args[4] = exam_str_make(keys[1], exam_key(keys[1], EXAM_KEY_CHANGES, exam,
                                              exam_str("")));
    args[5] = exam_str_make(t->token, strlen(t->token));
    args[6] = exam_str_make(at, strlen(at));
    n = WORKER_VIEW_HEAD;

    for (i = 0; i < told->n; i++) {
        seat = told->seats[i];
        state = worker_view_name(seat->next);
        cause = seat->by_node ? "node" : "candidate";

        args[n++] = exam_str_make(seat->student, strlen(seat->student));
        args[n++] = exam_str_make(seat->sid, EXAM_SID_HEX);
        args[n++] = exam_str_make(state, strlen(state));
        args[n++] = exam_str_make(cause, strlen(cause));
    }

    if (exam_redis_argv(&t->redis, &reply, n, args) != EXAM_REDIS_OK) {
        return false;
    }

    ours = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);

    if (!ours) {
        snprintf(t->redis.error, sizeof(t->redis.error), "the lease is gone");
        return false;
    }

    for (i = 0; i < told->n; i++) {
        seat = told->seats[i];

        seat->view = seat->next;
        seat->declared = seat->seen;
        seat->view_at = now;
        seat->unsaved = true;
    }

    told->n = 0;

    return true;
}
