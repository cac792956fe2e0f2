
/*
 * The node's own hash and its outages; see the header.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_node.h"


#define NGX_HTTP_EXAM_NODE_MS   2000    /* between two writes of the hash */
#define NGX_HTTP_EXAM_NODE_TTL  15      /* s */


static void ngx_http_exam_node_outage(int64_t from, int64_t to);
static void ngx_http_exam_node_hash(ngx_http_exam_main_conf_t *mcf,
    int64_t now);


static int64_t  ngx_http_exam_node_told;    /* ms, of the last hash */


void
ngx_http_exam_node_tick(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_redis_figures_t *redis)
{
    int64_t                  now;
    ngx_http_exam_shared_t  *shared;

    now = ngx_http_exam_now();
    shared = mcf->zone->shared;

    /*
     * In the zone: a reload in the middle of an outage hides none of it.  A
     * process that has only begun to connect knows of none.
     */

    if (!redis->up) {
        if (redis->away && shared->redis_down == 0) {
            shared->redis_down = now;
        }

        return;
    }

    if (shared->redis_down != 0) {
        ngx_http_exam_node_outage(shared->redis_down, now);
        shared->redis_down = 0;
        ngx_http_exam_node_told = 0;
    }

    if (now - ngx_http_exam_node_told >= NGX_HTTP_EXAM_NODE_MS
        || now < ngx_http_exam_node_told)
    {
        ngx_http_exam_node_told = now;
        ngx_http_exam_node_hash(mcf, now);
    }
}


static void
ngx_http_exam_node_outage(int64_t from, int64_t to)
{
    exam_record_t  r;

    ngx_memzero(&r, sizeof(exam_record_t));

    r.type = EXAM_RECORD_OUTAGE;
    r.at = to;
    r.what = exam_str("redis");
    r.from = from;
    r.to = to;

    (void) ngx_http_exam_journal(&r, NULL, NULL);
}


static void
ngx_http_exam_node_hash(ngx_http_exam_main_conf_t *mcf, int64_t now)
{
    size_t                     len;
    int64_t                    flushed;
    ngx_uint_t                 i, j, sessions, online;
    ngx_http_exam_args_t       args;
    ngx_http_exam_shard_sh_t  *sh;

    char  key[EXAM_KEY_MAX];

    flushed = now;
    sessions = 0;
    online = 0;

    for (i = 0; i < mcf->zone->n; i++) {
        sh = mcf->zone->shards[i].sh;

        flushed = ngx_min(flushed, sh->flushed_at);
        online += sh->counts[NGX_HTTP_EXAM_ONLINE];

        for (j = 0; j < NGX_HTTP_EXAM_PLACES; j++) {
            sessions += sh->counts[j];
        }
    }

    len = exam_key_node(key, mcf->node);

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "HSET");
    ngx_http_exam_args_word(&args, key, len);
    ngx_http_exam_args_lit(&args, "started_at");
    ngx_http_exam_args_number(&args, mcf->zone->shared->born);
    ngx_http_exam_args_lit(&args, "now");
    ngx_http_exam_args_number(&args, now);
    ngx_http_exam_args_lit(&args, "flushed_at");
    ngx_http_exam_args_number(&args, flushed);
    ngx_http_exam_args_lit(&args, "sessions");
    ngx_http_exam_args_number(&args, sessions);
    ngx_http_exam_args_lit(&args, "online");
    ngx_http_exam_args_number(&args, online);
    ngx_http_exam_args_lit(&args, "version");
    ngx_http_exam_args_lit(&args, NGINX_VERSION);

    /* a lost word is said again in two seconds */

    (void) ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                       args.argv, NULL, NULL);

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "EXPIRE");
    ngx_http_exam_args_word(&args, key, len);
    ngx_http_exam_args_number(&args, NGX_HTTP_EXAM_NODE_TTL);

    (void) ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                       args.argv, NULL, NULL);
}


void
ngx_http_exam_mark_tick_locked(ngx_http_exam_shard_t *shard, int64_t now)
{
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;

    if (sh->mark_left != 0) {
        return;
    }

    /* what a reset has taken was never told: until its sessions beat again */

    if (sh->reset_at != 0 && now - sh->reset_at <= shard->zone->gap_limit) {
        return;
    }

    if (sh->ndirty + sh->inflight == 0) {
        sh->flushed_at = now;
        sh->mark_before = now;
        sh->mark_at = now;
        return;
    }

    sh->flushed_at = sh->mark_before;
    sh->mark_before = sh->mark_at;
    sh->mark_at = now;
    sh->mark_left = sh->ndirty + sh->inflight;
}


void
ngx_http_exam_mark_taken_locked(ngx_http_exam_shard_t *shard, ngx_uint_t rows)
{
    shard->sh->inflight += rows;
}


void
ngx_http_exam_mark_done_locked(ngx_http_exam_shard_t *shard, ngx_uint_t rows,
    ngx_uint_t failed)
{
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;
    sh->inflight -= ngx_min(sh->inflight, rows);

    if (failed) {
        sh->mark_left = sh->ndirty + sh->inflight;

    } else {
        sh->mark_left -= ngx_min(sh->mark_left, rows);
    }
}
