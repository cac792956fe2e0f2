
/*
 * A call of the script flush: rows are taken from the dirty queue of a shard,
 * sent, and what is answered enters the zone (DESIGN 5).
 *
 * Event loop of the process that holds the shard's flush lease.  A row is
 * `flushing` from being taken until it is answered, given back or gone.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_flush.h"
#include "ngx_http_exam_node.h"
#include "ngx_http_exam_presence.h"


#define NGX_HTTP_EXAM_FLUSH_CALLS     2     /* on the way, a process */
#define NGX_HTTP_EXAM_FLUSH_AHEAD     4     /* rows */
#define NGX_HTTP_EXAM_FLUSH_LOOK      (2 * EXAM_FLUSH_ROWS)
#define NGX_HTTP_EXAM_FLUSH_BUFFER    (EXAM_FLUSH_ROWS * EXAM_FLUSH_ROW_MAX)


/* what was taken from a node and comes back if the call is lost */

typedef struct {
    ngx_http_exam_session_t    *session;    /* as of then: see _row_locked */
    uint8_t                     sid[EXAM_SID_LEN];
    uint32_t                    changes;
    unsigned                    has_state:1;
    unsigned                    asks:1;     /* for the beat before */
    int64_t                     first_beat;
    int64_t                     longest_gap;
    int64_t                     before;     /* ms, -1 not told, 0 none */
} ngx_http_exam_flush_row_t;


typedef struct {
    ngx_http_exam_shard_t      *shard;
    ngx_uint_t                  resets;     /* of the shard */
    ngx_uint_t                  n;
    ngx_uint_t                  nasks;
    ngx_uint_t                  refs;       /* answers to come */
    ngx_http_exam_flush_row_t   rows[EXAM_FLUSH_ROWS];
} ngx_http_exam_flush_call_t;


static void ngx_http_exam_flush_collect_locked(
    ngx_http_exam_main_conf_t *mcf, ngx_http_exam_flush_call_t *call,
    exam_buf_t *rows, uint8_t *exam, size_t *exam_len);
static void ngx_http_exam_flush_take_locked(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_session_t *s, ngx_http_exam_flush_row_t *row,
    exam_buf_t *rows);
static ngx_http_exam_session_t *ngx_http_exam_flush_row_locked(
    const ngx_http_exam_flush_call_t *call, ngx_uint_t i);
static void ngx_http_exam_flush_fetch(const ngx_http_exam_session_t *s);
static ngx_int_t ngx_http_exam_flush_send(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_flush_call_t *call, exam_str_t exam, exam_buf_t *rows);
static void ngx_http_exam_flush_ask(ngx_http_exam_flush_call_t *call,
    exam_str_t exam, const exam_buf_t *rows);
static void ngx_http_exam_flush_before(void *data, redisReply *reply);
static void ngx_http_exam_flush_release(ngx_http_exam_flush_call_t *call);
static void ngx_http_exam_flush_answer(void *data, redisReply *reply);
static ngx_int_t ngx_http_exam_flush_learn(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_flush_call_t *call, redisReply *reply);
static ngx_int_t ngx_http_exam_flush_rows_learn(
    ngx_http_exam_main_conf_t *mcf, ngx_http_exam_flush_call_t *call,
    const exam_flush_exam_t *exam, exam_str_t *rest);
static void ngx_http_exam_flush_before_locked(
    const ngx_http_exam_flush_call_t *call, ngx_http_exam_session_t *s,
    const ngx_http_exam_flush_row_t *row);
static ngx_uint_t ngx_http_exam_flush_mine_locked(
    const ngx_http_exam_flush_call_t *call);
static void ngx_http_exam_flush_failed(ngx_http_exam_flush_call_t *call);
static void ngx_http_exam_flush_gone(ngx_http_exam_flush_call_t *call);


static ngx_uint_t  ngx_http_exam_flush_calls;
static u_char     *ngx_http_exam_flush_rows;


ngx_int_t
ngx_http_exam_flush_call_init(ngx_cycle_t *cycle)
{
    ngx_http_exam_flush_rows = ngx_alloc(NGX_HTTP_EXAM_FLUSH_BUFFER,
                                         cycle->log);
    if (ngx_http_exam_flush_rows == NULL) {
        return NGX_ERROR;
    }

    ngx_http_exam_flush_calls = 0;

    return NGX_OK;
}


void
ngx_http_exam_flush_call_exit(void)
{
    ngx_free(ngx_http_exam_flush_rows);
    ngx_http_exam_flush_rows = NULL;
}


ngx_uint_t
ngx_http_exam_flush_call_full(void)
{
    return ngx_http_exam_flush_calls >= NGX_HTTP_EXAM_FLUSH_CALLS;
}


/* NGX_OK: a call is on the way; NGX_DECLINED: nothing to do or no way */

ngx_int_t
ngx_http_exam_flush_shard(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard)
{
    size_t                       len;
    uint8_t                      exam[EXAM_EXAM_MAX];
    exam_buf_t                   rows;
    ngx_http_exam_flush_call_t  *call;

    if (shard->sh->dirty_head == NULL) {
        return NGX_DECLINED;
    }

    /* outlives this function; freed when answered, lost or declined */

    call = ngx_alloc(sizeof(ngx_http_exam_flush_call_t), ngx_cycle->log);
    if (call == NULL) {
        return NGX_DECLINED;
    }

    call->shard = shard;
    call->n = 0;
    call->nasks = 0;
    call->refs = 1;
    len = 0;

    exam_buf_init(&rows, ngx_http_exam_flush_rows, NGX_HTTP_EXAM_FLUSH_BUFFER);

    ngx_http_exam_shard_lock(shard);
    call->resets = shard->sh->resets;
    ngx_http_exam_flush_collect_locked(mcf, call, &rows, exam, &len);
    ngx_http_exam_mark_taken_locked(shard, call->n);
    ngx_http_exam_shard_unlock(shard);

    ngx_http_exam_presence_flush();

    if (call->n == 0) {
        ngx_free(call);
        return NGX_DECLINED;
    }

    if (call->nasks) {
        ngx_http_exam_flush_ask(call, exam_str_make(exam, len), &rows);
    }

    if (ngx_http_exam_flush_send(mcf, call, exam_str_make(exam, len), &rows)
        != NGX_OK)
    {
        ngx_http_exam_flush_failed(call);
        ngx_http_exam_flush_release(call);
        return NGX_DECLINED;
    }

    shard->due -= ngx_min(shard->due, call->n);

    ngx_http_exam_flush_calls++;

    return NGX_OK;
}


/*
 * The rows of one exam from the head of the queue; those of other exams that
 * are met on the way go to its end.
 */

static void
ngx_http_exam_flush_collect_locked(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_flush_call_t *call, exam_buf_t *rows, uint8_t *exam,
    size_t *exam_len)
{
    ngx_uint_t                 look, row;
    ngx_http_exam_exam_t      *e;
    ngx_http_exam_session_t   *s;
    ngx_http_exam_shard_sh_t  *sh;

    sh = call->shard->sh;
    s = sh->dirty_head;

    if (s == NULL) {
        return;
    }

    row = s->exam;
    e = &sh->exams[row];

    ngx_memcpy(exam, e->id, e->id_len);
    *exam_len = e->id_len;

    look = ngx_min(sh->ndirty, NGX_HTTP_EXAM_FLUSH_LOOK);

    while (look-- && call->n < EXAM_FLUSH_ROWS) {
        s = sh->dirty_head;

        sh->dirty_head = s->dirty_next;
        sh->ndirty--;

        if (sh->dirty_head == NULL) {
            sh->dirty_tail = &sh->dirty_head;
        }

        ngx_http_exam_flush_fetch(sh->dirty_head);

        if (s->exam != row) {
            ngx_http_exam_queue_locked(call->shard, s);
            continue;
        }

        if (s->ended) {
            (void) ngx_http_exam_presence_left_locked(call->shard, s);
        }

        ngx_http_exam_flush_take_locked(mcf, s, &call->rows[call->n], rows);
        call->nasks += call->rows[call->n++].asks;
    }
}


static void
ngx_http_exam_flush_take_locked(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_session_t *s, ngx_http_exam_flush_row_t *row,
    exam_buf_t *rows)
{
    exam_flush_row_t  out;

    row->session = s;
    ngx_memcpy(row->sid, s->sid, EXAM_SID_LEN);
    row->changes = s->changes;
    row->has_state = s->has_state;
    row->first_beat = s->first_beat;
    row->longest_gap = s->longest_gap;
    row->asks = s->cold && s->first_beat != 0;
    row->before = -1;

    out.student = exam_str_make(s->data, s->student_len);
    out.sid = s->sid;
    out.gen = s->gen;
    out.login_at = s->login_at;
    out.first_beat = s->first_beat;
    out.last_beat = s->last_beat;
    out.longest_gap = s->longest_gap;
    out.seq = s->seq;
    out.ended = s->ended;
    out.state = s->has_state ? &s->state : NULL;

    exam_flush_row_format(rows, &out, &mcf->kinds);

    s->flushing = 1;
    s->has_state = 0;
    s->first_beat = 0;
    s->longest_gap = 0;
}


/*
 * The session of a row that is answered: where it was, without a look into the
 * index.  A node that waits for its answer is dirty and so never dropped; one
 * that does not wait any more may be another's.  NULL: nothing waits.
 */

static ngx_http_exam_session_t *
ngx_http_exam_flush_row_locked(const ngx_http_exam_flush_call_t *call,
    ngx_uint_t i)
{
    ngx_http_exam_session_t          *s;
    const ngx_http_exam_flush_row_t  *row;

    if (call->resets != call->shard->sh->resets) {
        return NULL;
    }

    /* the nodes of a large zone are far away: ask for the next ones */

    if (i + NGX_HTTP_EXAM_FLUSH_AHEAD < call->n) {
        ngx_http_exam_flush_fetch(
                            call->rows[i + NGX_HTTP_EXAM_FLUSH_AHEAD].session);
    }

    row = &call->rows[i];
    s = row->session;

    if (!s->flushing || ngx_memcmp(s->sid, row->sid, EXAM_SID_LEN) != 0) {
        return NULL;
    }

    return s;
}


/* what a row is made of lies in the first half of a node */

static void
ngx_http_exam_flush_fetch(const ngx_http_exam_session_t *s)
{
    ngx_uint_t     i;
    const u_char  *node;

    if (s == NULL) {
        return;
    }

    node = (const u_char *) s;

    for (i = 0; i < NGX_HTTP_EXAM_NODE_SIZE / 2; i += NGX_HTTP_EXAM_LINE) {
        __builtin_prefetch(node + i);
    }
}


static ngx_int_t
ngx_http_exam_flush_send(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_flush_call_t *call, exam_str_t exam, exam_buf_t *rows)
{
    ngx_uint_t            i;
    ngx_http_exam_args_t  args;

    static const exam_key_e  keys[] = {
        EXAM_KEY_EXAM, EXAM_KEY_FLAGS, EXAM_KEY_SESSIONS, EXAM_KEY_SEEN,
        EXAM_KEY_STATE, EXAM_KEY_STORED, EXAM_KEY_CHANGES
    };

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, EXAM_KEY_LOADED);

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        ngx_http_exam_args_key(&args, keys[i], exam, exam_str(""));
    }

    ngx_http_exam_args_word(&args, mcf->node.data, mcf->node.len);
    ngx_http_exam_args_word(&args, mcf->kinds_csv.data, mcf->kinds_csv.len);
    ngx_http_exam_args_word(&args, rows->start, exam_buf_len(rows));

    ngx_http_exam_count(mcf, flush_rows_total, call->n);

    return ngx_http_exam_redis_eval(ngx_http_exam_redis, NULL,
                                    EXAM_SCRIPT_FLUSH, args.n, args.argv,
                                    ngx_http_exam_flush_answer, call);
}


/*
 * Sessions whose beats before are not known here: Redis is asked for them in
 * front of the call that overwrites them.  What is not answered is asked again.
 */

static void
ngx_http_exam_flush_ask(ngx_http_exam_flush_call_t *call, exam_str_t exam,
    const exam_buf_t *rows)
{
    size_t       len;
    ngx_uint_t   i, n;
    exam_str_t   rest, line;
    const void  *tab;

    char              key[EXAM_KEY_MAX];
    static ngx_str_t  argv[2 + EXAM_FLUSH_ROWS];

    len = exam_key(key, EXAM_KEY_SEEN, exam, exam_str(""));

    ngx_str_set(&argv[0], "ZMSCORE");
    argv[1].data = (u_char *) key;
    argv[1].len = len;
    n = 2;

    rest = exam_str_make(rows->start, exam_buf_len(rows));

    for (i = 0; i < call->n && exam_line_next(&rest, &line); i++) {

        tab = memchr(line.data, '\t', line.len);

        if (!call->rows[i].asks || tab == NULL) {
            continue;
        }

        argv[n].data = (u_char *) line.data;
        argv[n++].len = (const u_char *) tab - line.data;
    }

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, n, argv,
                                    ngx_http_exam_flush_before, call)
        == NGX_OK)
    {
        call->refs++;
    }
}


/* comes before the answer of the call itself */

static void
ngx_http_exam_flush_before(void *data, redisReply *reply)
{
    ngx_http_exam_flush_call_t *call = data;

    size_t       k;
    ngx_uint_t   i;
    redisReply  *score;

    if (ngx_http_exam_redis_away(reply) || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != call->nasks)
    {
        goto done;
    }

    k = 0;

    for (i = 0; i < call->n; i++) {

        if (!call->rows[i].asks) {
            continue;
        }

        score = reply->element[k++];

        call->rows[i].before = (score->type == REDIS_REPLY_STRING)
                               ? (int64_t) strtod(score->str, NULL) : 0;
    }

done:

    ngx_http_exam_flush_release(call);
}


static void
ngx_http_exam_flush_release(ngx_http_exam_flush_call_t *call)
{
    if (--call->refs == 0) {
        ngx_free(call);
    }
}


static void
ngx_http_exam_flush_answer(void *data, redisReply *reply)
{
    ngx_http_exam_flush_call_t *call = data;

    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    ngx_http_exam_flush_calls--;

    if (ngx_http_exam_redis_away(reply)
        || ngx_http_exam_flush_learn(mcf, call, reply) != NGX_OK)
    {
        ngx_http_exam_count(mcf, flush_errors_total, 1);
        ngx_http_exam_flush_failed(call);
        ngx_http_exam_flush_release(call);
        return;
    }

    ngx_http_exam_flush_release(call);

    ngx_http_exam_flush_more(mcf);
}


static ngx_int_t
ngx_http_exam_flush_learn(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_flush_call_t *call, redisReply *reply)
{
    ngx_int_t          rc;
    exam_str_t         rest, line;
    exam_flush_exam_t  exam;

    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "exam flush script gave an answer of type %d",
                      reply->type);
        return NGX_ERROR;
    }

    rest = exam_str_make(reply->str, reply->len);

    if (exam_str_eq(rest, exam_str("EMPTY"))) {
        ngx_http_exam_flush_emptied(mcf);
        return NGX_ERROR;
    }

    if (exam_str_eq(rest, exam_str("GONE"))) {
        ngx_http_exam_flush_gone(call);
        return NGX_OK;
    }

    if (!exam_line_next(&rest, &line) || !exam_flush_exam_parse(line, &exam)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "exam flush script gave a malformed answer");
        return NGX_ERROR;
    }

    rc = ngx_http_exam_flush_rows_learn(mcf, call, &exam, &rest);

    ngx_http_exam_presence_flush();

    return rc;
}


static ngx_int_t
ngx_http_exam_flush_rows_learn(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_flush_call_t *call, const exam_flush_exam_t *exam,
    exam_str_t *rest)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    exam_str_t                  line;
    exam_flush_answer_t         answer;
    ngx_http_exam_shard_t      *shard;
    ngx_http_exam_session_t    *s;
    ngx_http_exam_flush_row_t  *row;

    ngx_memzero(&answer, sizeof(exam_flush_answer_t));
    shard = call->shard;
    rc = NGX_OK;

    ngx_http_exam_shard_lock(shard);

    for (i = 0; i < call->n; i++) {
        row = &call->rows[i];

        if (!exam_line_next(rest, &line)
            || !exam_flush_answer_parse(line, &mcf->kinds, &answer))
        {
            rc = NGX_ERROR;
            break;
        }

        s = ngx_http_exam_flush_row_locked(call, i);

        if (s == NULL) {
            continue;
        }

        ngx_http_exam_learn_locked(shard, s, exam, &answer);
        ngx_http_exam_flush_before_locked(call, s, row);

        s->flushing = 0;

        if (s->changes == row->changes && !ngx_http_exam_awaits_locked(s)) {
            s->dirty = 0;

        } else {
            ngx_http_exam_queue_locked(shard, s);
        }
    }

    if (rc == NGX_OK) {
        shard->sh->emptied = 0;

        if (ngx_http_exam_flush_mine_locked(call)) {
            ngx_http_exam_mark_done_locked(shard, call->n, 0);
        }
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


/* a gap between the last beat of another node's, and ours */

static void
ngx_http_exam_flush_before_locked(const ngx_http_exam_flush_call_t *call,
    ngx_http_exam_session_t *s, const ngx_http_exam_flush_row_t *row)
{
    if (!row->asks || row->before < 0) {
        return;
    }

    if (row->before == 0
        || ngx_http_exam_presence_before_locked(call->shard, s, row->before,
                                                row->first_beat)
           == NGX_OK)
    {
        s->cold = 0;
    }
}


/* the shard is still this process's, and what it was when the call was made */

static ngx_uint_t
ngx_http_exam_flush_mine_locked(const ngx_http_exam_flush_call_t *call)
{
    return call->resets == call->shard->sh->resets
           && call->shard->sh->flusher == ngx_pid;
}


/* what was taken goes back, behind what has come since */

static void
ngx_http_exam_flush_failed(ngx_http_exam_flush_call_t *call)
{
    ngx_uint_t                  i;
    ngx_http_exam_session_t    *s;
    ngx_http_exam_flush_row_t  *row;

    ngx_http_exam_shard_lock(call->shard);

    for (i = 0; i < call->n; i++) {
        row = &call->rows[i];

        s = ngx_http_exam_flush_row_locked(call, i);

        if (s == NULL) {
            continue;
        }

        s->has_state |= row->has_state;
        s->longest_gap = ngx_max(s->longest_gap, row->longest_gap);

        if (row->first_beat) {
            s->first_beat = row->first_beat;
        }

        s->flushing = 0;
        ngx_http_exam_queue_locked(call->shard, s);
    }

    if (ngx_http_exam_flush_mine_locked(call)) {
        ngx_http_exam_mark_done_locked(call->shard, call->n, 1);
    }

    ngx_http_exam_shard_unlock(call->shard);
}


/* the exam is in Redis no more: its rows have nowhere to go */

static void
ngx_http_exam_flush_gone(ngx_http_exam_flush_call_t *call)
{
    ngx_uint_t                i;
    ngx_http_exam_session_t  *s;

    ngx_http_exam_shard_lock(call->shard);

    for (i = 0; i < call->n; i++) {
        s = ngx_http_exam_flush_row_locked(call, i);

        if (s != NULL) {
            s->flushing = 0;
            s->dirty = 0;
        }
    }

    if (ngx_http_exam_flush_mine_locked(call)) {
        ngx_http_exam_mark_done_locked(call->shard, call->n, 0);
    }

    ngx_http_exam_shard_unlock(call->shard);
}
