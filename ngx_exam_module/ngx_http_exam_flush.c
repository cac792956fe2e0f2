
/*
 * The flush: what heartbeats left dirty in the zone goes to Redis, and the
 * answers come back into the zone (DESIGN 5).
 *
 * Each worker process has one timer.  A shard is flushed by the holder of its
 * lease; the lease of a process that died passes on when it expires, and the
 * new holder queues all dirty sessions again, since what the dead one had on
 * the way is not known.  A row stays dirty until it is answered; sending it
 * twice is harmless.
 *
 * Here: timer, leases, queues; the calls are in ngx_http_exam_flush_call.c.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_command.h"
#include "ngx_http_exam_flush.h"
#include "ngx_http_exam_node.h"
#include "ngx_http_exam_presence.h"


#define NGX_HTTP_EXAM_FLUSH_LEASE  5    /* intervals */


static void ngx_http_exam_flush_timer(ngx_event_t *ev);
static void ngx_http_exam_flush_all(ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_flush_watched(void *data, redisReply *reply);
static ngx_int_t ngx_http_exam_flush_lease(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard);
static void ngx_http_exam_flush_requeue_locked(ngx_http_exam_shard_t *shard,
    ngx_uint_t all);


static ngx_event_t       ngx_http_exam_flush_event;
static ngx_connection_t  ngx_http_exam_flush_dummy;
static ngx_uint_t        ngx_http_exam_flush_turn;
static ngx_uint_t        ngx_http_exam_flush_connects;


ngx_int_t
ngx_http_exam_flush_init(ngx_cycle_t *cycle)
{
    ngx_event_t                *ev;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    if (ngx_http_exam_flush_call_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_exam_flush_connects = 0;

    ev = &ngx_http_exam_flush_event;

    ngx_memzero(ev, sizeof(ngx_event_t));

    ngx_http_exam_flush_dummy.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_exam_flush_timer;
    ev->data = &ngx_http_exam_flush_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, mcf->flush_interval);

    return NGX_OK;
}


void
ngx_http_exam_flush_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_exam_shard_t      *shard;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        ngx_http_exam_shard_lock(shard);

        if (shard->sh->flusher == ngx_pid) {
            shard->sh->flusher = 0;
        }

        ngx_http_exam_shard_unlock(shard);
    }

    ngx_http_exam_control_exit(mcf);

    /* of sessions that left since the last tick; the journal goes after us */

    ngx_http_exam_presence_flush();

    if (ngx_http_exam_flush_event.timer_set) {
        ngx_del_timer(&ngx_http_exam_flush_event);
    }

    ngx_http_exam_flush_call_exit();
}


static void
ngx_http_exam_flush_timer(ngx_event_t *ev)
{
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    ngx_http_exam_flush_all(mcf);
    ngx_http_exam_presence_flush();
    ngx_http_exam_control_tick(mcf);

    if (!ngx_exiting) {
        ngx_add_timer(ev, mcf->flush_interval);
    }
}


static void
ngx_http_exam_flush_all(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t                      i, again;
    ngx_http_exam_shard_t          *shard;
    ngx_http_exam_redis_figures_t   redis;

    ngx_http_exam_redis_figures(ngx_http_exam_redis, &redis);

    /* after a reconnect Redis may be another one, or an emptied one */

    again = (redis.reconnects != ngx_http_exam_flush_connects);

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        shard->due = 0;

        if (ngx_http_exam_flush_lease(mcf, shard) != NGX_OK) {
            continue;
        }

        if (i == 0) {
            ngx_http_exam_node_tick(mcf, &redis);
        }

        if (!redis.up) {
            continue;
        }

        ngx_http_exam_shard_lock(shard);

        if (again) {
            ngx_http_exam_flush_requeue_locked(shard, 1);
        }

        ngx_http_exam_mark_tick_locked(shard, ngx_http_exam_now());
        shard->due = shard->sh->ndirty;
        ngx_http_exam_shard_unlock(shard);
    }

    ngx_http_exam_flush_more(mcf);

    if (redis.up) {
        ngx_http_exam_flush_connects = redis.reconnects;
    }
}


/*
 * Redis may be emptied and filled again between two calls, without a word to
 * anybody: `exam:loaded` then has another value.
 */

void
ngx_http_exam_flush_watch(void)
{
    ngx_http_exam_args_t  args;

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "GET");
    ngx_http_exam_args_lit(&args, EXAM_KEY_LOADED);

    (void) ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                       args.argv, ngx_http_exam_flush_watched,
                                       NULL);
}


static void
ngx_http_exam_flush_watched(void *data, redisReply *reply)
{
    ngx_uint_t                  i, was, loaded;
    ngx_http_exam_shard_t      *shard;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    if (ngx_http_exam_redis_away(reply)) {
        return;
    }

    if (reply->type != REDIS_REPLY_STRING) {
        ngx_http_exam_flush_emptied(mcf);
        return;
    }

    loaded = ngx_crc32_long((u_char *) reply->str, reply->len);
    was = mcf->zone->shared->loaded;
    mcf->zone->shared->loaded = loaded;

    if (was == 0 || was == loaded) {
        return;
    }

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        ngx_http_exam_shard_lock(shard);
        ngx_http_exam_flush_requeue_locked(shard, 1);
        ngx_http_exam_report_again_locked(shard);
        ngx_http_exam_shard_unlock(shard);
    }
}


/*
 * What was due at the tick, call by call, the shards in turn; what has become
 * dirty since waits for the next tick, or a busy session would be sent without
 * end.
 */

void
ngx_http_exam_flush_more(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t              idle;
    ngx_http_exam_shard_t  *shard;

    idle = 0;

    while (idle < mcf->zone->n
           && !ngx_http_exam_flush_call_full())
    {
        shard = &mcf->zone->shards[ngx_http_exam_flush_turn++ % mcf->zone->n];

        if (shard->due && ngx_http_exam_flush_shard(mcf, shard) == NGX_OK) {
            idle = 0;

        } else {
            idle++;
        }
    }
}


void
ngx_http_exam_flush_now(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t              i;
    ngx_http_exam_shard_t  *shard;

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        if (shard->sh->flusher == ngx_pid) {
            shard->due = shard->sh->ndirty;
        }
    }

    ngx_http_exam_flush_more(mcf);
}


/* the lease is kept while the process lives, and told anew at each tick */

static ngx_int_t
ngx_http_exam_flush_lease(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_shard_t *shard)
{
    ngx_int_t                  rc;
    ngx_http_exam_shard_sh_t  *sh;

    rc = NGX_DECLINED;

    ngx_http_exam_shard_lock(shard);

    sh = shard->sh;

    if (sh->flusher != ngx_pid && !ngx_exiting
        && (sh->flusher == 0 || ngx_http_exam_dead(sh->flusher)
            || (ngx_msec_int_t) (ngx_current_msec - sh->flusher_until) > 0))
    {
        sh->flusher = ngx_pid;
        sh->inflight = 0;
        ngx_http_exam_flush_requeue_locked(shard, 0);
    }

    if (sh->flusher == ngx_pid) {
        ngx_http_exam_expire_locked(shard);

        sh->flusher_until = ngx_current_msec
                            + NGX_HTTP_EXAM_FLUSH_LEASE * mcf->flush_interval;
        rc = NGX_OK;
    }

    /* a process that leaves hands over, whatever it has on the way */

    if (rc == NGX_OK && ngx_exiting) {
        sh->flusher = 0;
        rc = NGX_DECLINED;
    }

    ngx_http_exam_shard_unlock(shard);

    return rc;
}


/*
 * The dirty queue built anew.  all: sessions that are clean become dirty, too,
 * and the control streams are read from their beginning.
 */

static void
ngx_http_exam_flush_requeue_locked(ngx_http_exam_shard_t *shard,
    ngx_uint_t all)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q, *queue;
    ngx_http_exam_session_t   *s;
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;

    if (all) {
        ngx_http_exam_control_restart_locked(shard);
    }

    sh->dirty_head = NULL;
    sh->dirty_tail = &sh->dirty_head;
    sh->ndirty = 0;

    for (i = 0; i < NGX_HTTP_EXAM_PLACES; i++) {
        queue = &sh->places[i];

        for (q = ngx_queue_head(queue);
             q != ngx_queue_sentinel(queue);
             q = ngx_queue_next(q))
        {
            s = ngx_queue_data(q, ngx_http_exam_session_t, queue);

            /* a row on the way comes back by itself, unless its process died */

            if (s->flushing) {
                if (all) {
                    continue;
                }

                s->flushing = 0;
                s->has_state = s->stated;
            }

            if (all && !s->dirty) {
                s->dirty = 1;
                s->changes++;
                s->has_state = s->stated;
            }

            if (s->dirty) {
                ngx_http_exam_queue_locked(shard, s);
            }
        }
    }

    sh->mark_left = sh->ndirty + sh->inflight;
}


/*
 * Redis has lost its data: all sessions are to be told anew, those of the
 * shards too that have nothing to tell now.  Once; they stay dirty until it has
 * been filled again.
 */

void
ngx_http_exam_flush_emptied(ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t              i;
    ngx_http_exam_shard_t  *shard;

    for (i = 0; i < mcf->zone->n; i++) {
        shard = &mcf->zone->shards[i];

        ngx_http_exam_shard_lock(shard);

        if (!shard->sh->emptied) {
            shard->sh->emptied = 1;
            ngx_http_exam_flush_requeue_locked(shard, 1);
            ngx_http_exam_report_again_locked(shard);
        }

        ngx_http_exam_shard_unlock(shard);
    }
}
