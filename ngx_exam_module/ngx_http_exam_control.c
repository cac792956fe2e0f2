
/*
 * The reader of the control streams (DESIGN 5): commands, their acks, and what
 * else was changed from outside enters the zone.
 *
 * One process a zone, the holder of the reader's lease, in the tick of the
 * flush; XREAD without BLOCK, so that the connection stays free.  Each row of
 * an exam, in each shard, keeps how far it was applied: a shard that was
 * emptied, or an exam that is new there, begins anew without the others.  An
 * entry may be applied twice.
 *
 * A session that was made since, by a login or by a token, does not know what
 * its student has acknowledged elsewhere.  It gets no commands until a round
 * has read once more what stands in the stream since the oldest live command:
 * `fresh` is the round it waits for.
 *
 * What an entry does is in ngx_http_exam_control_apply.c.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_control.h"
#include "ngx_http_exam_flush.h"


#define NGX_HTTP_EXAM_CONTROL_LEASE  5      /* intervals of the flush */
#define NGX_HTTP_EXAM_CONTROL_CALLS  10     /* a stream and tick */
#define NGX_HTTP_EXAM_CONTROL_ID     (2 * NGX_INT64_LEN + 1)


static ngx_int_t ngx_http_exam_control_lease(ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_control_gather(ngx_http_exam_main_conf_t *mcf);
static ngx_http_exam_stream_t *ngx_http_exam_control_stream(exam_str_t id);
static void ngx_http_exam_control_read(ngx_http_exam_stream_t *st);
static void ngx_http_exam_control_answer(void *data, redisReply *reply);
static void ngx_http_exam_control_end(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st, ngx_uint_t all);
static void ngx_http_exam_control_begin(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st);
static void ngx_http_exam_control_again(ngx_http_exam_stream_t *st);
static void ngx_http_exam_control_again_answer(void *data,
    redisReply *reply);
static void ngx_http_exam_control_round(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st);


static ngx_http_exam_stream_t
    ngx_http_exam_streams[NGX_HTTP_EXAM_EXAMS_MAX];


void
ngx_http_exam_control_tick(ngx_http_exam_main_conf_t *mcf)
{
    int64_t                         now;
    ngx_uint_t                      i;
    ngx_http_exam_stream_t         *st;
    ngx_http_exam_redis_figures_t   redis;

    if (ngx_http_exam_control_lease(mcf) != NGX_OK) {
        return;
    }

    now = ngx_http_exam_now();

    for (i = 0; i < mcf->zone->n; i++) {
        ngx_http_exam_commands_tidy(&mcf->zone->shards[i], now);
    }

    ngx_http_exam_redis_figures(ngx_http_exam_redis, &redis);

    if (!redis.up) {
        return;
    }

    ngx_http_exam_control_gather(mcf);

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        st = &ngx_http_exam_streams[i];

        if (st->id_len == 0) {
            continue;
        }

        st->calls = NGX_HTTP_EXAM_CONTROL_CALLS;
        st->round_calls = NGX_HTTP_EXAM_CONTROL_CALLS;

        ngx_http_exam_control_read(st);
        ngx_http_exam_control_again(st);
    }

    ngx_http_exam_report_tick(mcf);
}


void
ngx_http_exam_control_exit(ngx_http_exam_main_conf_t *mcf)
{
    ngx_http_exam_shard_lock(&mcf->zone->shards[0]);

    if (mcf->zone->shared->reader == ngx_pid) {
        mcf->zone->shared->reader = 0;
    }

    ngx_http_exam_shard_unlock(&mcf->zone->shards[0]);
}


/* as the lease of the flush, under the mutex of the first shard */

static ngx_int_t
ngx_http_exam_control_lease(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t               ours, taken;
    ngx_http_exam_shared_t  *shared;

    shared = mcf->zone->shared;
    taken = 0;

    ngx_http_exam_shard_lock(&mcf->zone->shards[0]);

    if (shared->reader != ngx_pid && !ngx_exiting
        && (shared->reader == 0 || ngx_http_exam_dead(shared->reader)
            || (ngx_msec_int_t) (ngx_current_msec - shared->reader_until) > 0))
    {
        shared->reader = ngx_pid;
        taken = 1;
    }

    ours = (shared->reader == ngx_pid);

    if (ours && ngx_exiting) {
        shared->reader = 0;
        ours = 0;
    }

    if (ours) {
        shared->reader_until = ngx_current_msec
                               + NGX_HTTP_EXAM_CONTROL_LEASE
                                 * mcf->flush_interval;
    }

    ngx_http_exam_shard_unlock(&mcf->zone->shards[0]);

    if (taken) {
        ngx_http_exam_report_begin(mcf);
    }

    return ours ? NGX_OK : NGX_DECLINED;
}


/* the exams of all shards; from where each is to be read, by the one behind */

static void
ngx_http_exam_control_gather(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t                   i, j;
    ngx_http_exam_exam_t        *e;
    ngx_http_exam_shard_t       *shard;
    ngx_http_exam_stream_t      *st;
    ngx_http_exam_control_at_t   at;

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        ngx_http_exam_streams[i].seen = 0;
    }

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        ngx_http_exam_shard_lock(shard);

        for (j = 0; j < NGX_HTTP_EXAM_EXAMS_MAX; j++) {
            e = &shard->sh->exams[j];

            /* nobody to be read for: it falls behind */

            if (e->sessions == 0) {
                e->read_all = 0;
                continue;
            }

            st = ngx_http_exam_control_stream(exam_str_make(e->id, e->id_len));
            if (st == NULL) {
                continue;
            }

            at.ms = e->read_ms;
            at.seq = e->read_seq;

            if (!st->reading
                && (!st->seen || ngx_http_exam_control_before(&at, &st->from)))
            {
                st->from = at;
            }

            st->seen = 1;
        }

        ngx_http_exam_shard_unlock(shard);
    }

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        st = &ngx_http_exam_streams[i];

        if (!st->seen && !st->reading && !st->again) {
            st->id_len = 0;
        }
    }
}


static ngx_http_exam_stream_t *
ngx_http_exam_control_stream(exam_str_t id)
{
    ngx_uint_t               i;
    ngx_http_exam_stream_t  *st, *free;

    free = NULL;

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        st = &ngx_http_exam_streams[i];

        if (st->id_len == id.len && ngx_memcmp(st->id, id.data, id.len) == 0) {
            return st;
        }

        if (free == NULL && st->id_len == 0) {
            free = st;
        }
    }

    if (free != NULL) {
        ngx_memzero(free, sizeof(ngx_http_exam_stream_t));
        free->id_len = (uint8_t) id.len;
        ngx_memcpy(free->id, id.data, id.len);
    }

    return free;
}


static void
ngx_http_exam_control_read(ngx_http_exam_stream_t *st)
{
    u_char                *last;
    ngx_http_exam_args_t   args;

    u_char  from[NGX_HTTP_EXAM_CONTROL_ID];

    if (st->reading || st->calls == 0) {
        return;
    }

    last = ngx_sprintf(from, "%uL-%uL", st->from.ms, st->from.seq);

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "XREAD");
    ngx_http_exam_args_lit(&args, "COUNT");
    ngx_http_exam_args_number(&args, NGX_HTTP_EXAM_CONTROL_COUNT);
    ngx_http_exam_args_lit(&args, "STREAMS");
    ngx_http_exam_args_key(&args, EXAM_KEY_CONTROL,
                           exam_str_make(st->id, st->id_len), exam_str(""));
    ngx_http_exam_args_word(&args, from, last - from);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                    args.argv, ngx_http_exam_control_answer,
                                    st)
        == NGX_OK)
    {
        st->reading = 1;
        st->calls--;
    }
}


static void
ngx_http_exam_control_answer(void *data, redisReply *reply)
{
    ngx_http_exam_stream_t *st = data;

    ngx_uint_t                   n;
    redisReply                  *stream;
    ngx_http_exam_main_conf_t   *mcf;
    ngx_http_exam_control_at_t   last;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    st->reading = 0;

    if (ngx_http_exam_redis_away(reply)
        || mcf->zone->shared->reader != ngx_pid)
    {
        return;
    }

    n = 0;
    last = st->from;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1) {
        stream = reply->element[0];

        if (stream->type == REDIS_REPLY_ARRAY && stream->elements == 2) {

            if (stream->element[1]->elements == NGX_HTTP_EXAM_CONTROL_COUNT) {
                ngx_http_exam_control_end(mcf, st, 0);
            }

            n = ngx_http_exam_control_page(mcf, st, stream->element[1], 0,
                                           &last);
        }

    } else if (reply->type != REDIS_REPLY_NIL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "exam control stream of \"%*s\" cannot be read",
                      (size_t) st->id_len, st->id);
        return;
    }

    if (n == NGX_HTTP_EXAM_CONTROL_COUNT) {
        st->from = last;
        ngx_http_exam_control_read(st);

    } else {
        ngx_http_exam_control_end(mcf, st, 1);
        ngx_http_exam_control_begin(mcf, st);
        ngx_http_exam_control_again(st);
    }

    if (st->dirtied) {
        st->dirtied = 0;
        ngx_http_exam_flush_now(mcf);
    }
}


/*
 * Is the end reached?  A command that was entered before it may be cancelled or
 * acknowledged behind, and waits.
 */

static void
ngx_http_exam_control_end(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st, ngx_uint_t all)
{
    ngx_uint_t                   i;
    ngx_http_exam_exam_t        *e;
    ngx_http_exam_shard_t       *shard;
    ngx_http_exam_command_t     *c;
    ngx_http_exam_control_at_t   at;

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        ngx_http_exam_shard_lock(shard);

        e = ngx_http_exam_exam_locked(shard, exam_str_make(st->id,
                                                           st->id_len));
        if (e == NULL || e->read_all == all) {
            ngx_http_exam_shard_unlock(shard);
            continue;
        }

        at.ms = e->read_ms;
        at.seq = e->read_seq;

        /* one that begins anew is read from elsewhere */

        if (!ngx_http_exam_control_before(&at, &st->from)) {
            e->read_all = all;

            for (c = all ? e->commands : NULL; c; c = c->next) {
                c->unsure = 0;
            }
        }

        ngx_http_exam_shard_unlock(shard);
    }
}


/* a round, when sessions wait for one and none is under way */

static void
ngx_http_exam_control_begin(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st)
{
    ngx_uint_t                   i, live, wanted;
    ngx_http_exam_exam_t        *e;
    ngx_http_exam_shard_t       *shard;
    ngx_http_exam_command_t     *c;
    ngx_http_exam_control_at_t   at;

    if (st->round) {
        return;
    }

    live = 0;
    wanted = 0;

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];
        st->rounds[i] = 0;

        ngx_http_exam_shard_lock(shard);

        e = ngx_http_exam_exam_locked(shard, exam_str_make(st->id,
                                                           st->id_len));
        if (e == NULL || !e->read_all || (int32_t) (e->wanted - e->done) <= 0)
        {
            ngx_http_exam_shard_unlock(shard);
            continue;
        }

        wanted = 1;
        st->rounds[i] = ++e->round;

        for (c = e->commands; c; c = c->next) {
            at.ms = c->entry_ms;
            at.seq = c->entry_seq;

            if (!live || ngx_http_exam_control_before(&at, &st->next)) {
                st->next = at;
                live = 1;
            }
        }

        ngx_http_exam_shard_unlock(shard);
    }

    if (live) {
        st->round = 1;

    } else if (wanted) {
        ngx_http_exam_control_round(mcf, st);
    }
}


static void
ngx_http_exam_control_again(ngx_http_exam_stream_t *st)
{
    u_char                *last;
    ngx_http_exam_args_t   args;

    u_char  next[NGX_HTTP_EXAM_CONTROL_ID];

    if (!st->round || st->again || st->round_calls == 0) {
        return;
    }

    last = ngx_sprintf(next, "%uL-%uL", st->next.ms, st->next.seq);

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "XRANGE");
    ngx_http_exam_args_key(&args, EXAM_KEY_CONTROL,
                           exam_str_make(st->id, st->id_len), exam_str(""));
    ngx_http_exam_args_word(&args, next, last - next);
    ngx_http_exam_args_lit(&args, "+");
    ngx_http_exam_args_lit(&args, "COUNT");
    ngx_http_exam_args_number(&args, NGX_HTTP_EXAM_CONTROL_COUNT);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                    args.argv,
                                    ngx_http_exam_control_again_answer, st)
        == NGX_OK)
    {
        st->again = 1;
        st->round_calls--;
    }
}


static void
ngx_http_exam_control_again_answer(void *data, redisReply *reply)
{
    ngx_http_exam_stream_t *st = data;

    ngx_uint_t                   n;
    ngx_http_exam_main_conf_t   *mcf;
    ngx_http_exam_control_at_t   last;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    st->again = 0;

    if (ngx_http_exam_redis_away(reply) || reply->type != REDIS_REPLY_ARRAY
        || mcf->zone->shared->reader != ngx_pid)
    {
        /* begins anew, by whoever reads then */

        st->round = 0;
        return;
    }

    n = ngx_http_exam_control_page(mcf, st, reply, 1, &last);

    if (n == NGX_HTTP_EXAM_CONTROL_COUNT) {
        st->next.seq = last.seq + 1;
        st->next.ms = last.ms + (st->next.seq == 0);
        ngx_http_exam_control_again(st);
        return;
    }

    ngx_http_exam_control_round(mcf, st);
}


/* it has ended: the sessions that waited for it are as the others */

static void
ngx_http_exam_control_round(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_stream_t *st)
{
    ngx_uint_t              i;
    ngx_http_exam_exam_t   *e;
    ngx_http_exam_shard_t  *shard;

    st->round = 0;

    for (i = 0; i < mcf->zone->n; i++) {

        if (st->rounds[i] == 0) {
            continue;
        }

        shard = &mcf->zone->shards[i];

        ngx_http_exam_shard_lock(shard);

        e = ngx_http_exam_exam_locked(shard, exam_str_make(st->id,
                                                           st->id_len));

        /* a row that was made anew has not come as far */

        if (e != NULL && e->read_all
            && (int32_t) (e->round - st->rounds[i]) >= 0
            && (int32_t) (st->rounds[i] - e->done) > 0)
        {
            e->done = st->rounds[i];
        }

        ngx_http_exam_shard_unlock(shard);
    }
}


void
ngx_http_exam_control_restart_locked(ngx_http_exam_shard_t *shard)
{
    ngx_uint_t             i;
    ngx_http_exam_exam_t  *e;

    for (i = 0; i < NGX_HTTP_EXAM_EXAMS_MAX; i++) {
        e = &shard->sh->exams[i];

        e->read_ms = 0;
        e->read_seq = 0;
        e->read_all = 0;
    }
}
