
/*
 * The zone's memory: shards, pools, the lock and the reset after a crash (see
 * the header).  What lies in it: ngx_http_exam_session.c (sessions, index,
 * eviction), ngx_http_exam_segment.c (uploads) and ngx_http_exam_command.c.
 *
 * Init functions run in the master before the fork; lock, unlock and the pools
 * in every worker process, the pools under the shard's mutex.
 */


#include "ngx_http_exam_module.h"
#include "ngx_http_exam_record.h"


#define NGX_HTTP_EXAM_ZONE_MAGIC   0x45584d33      /* "EXM3" */
#define NGX_HTTP_EXAM_ZONE_MIN     (1024 * 1024)   /* a shard */

/* of a shard's memory, for commands and their payloads; objects at most */

#define NGX_HTTP_EXAM_COMMANDS_SHARE  16
#define NGX_HTTP_EXAM_COMMANDS_MAX    8192


static ngx_http_exam_zone_t *ngx_http_exam_zone_add(ngx_conf_t *cf,
    ngx_str_t *name, size_t size, ngx_uint_t n);
static ngx_int_t ngx_http_exam_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_http_exam_shard_create(ngx_http_exam_shard_t *shard);
static ngx_int_t ngx_http_exam_objects_create(ngx_slab_pool_t *shpool,
    ngx_http_exam_objects_t *o, size_t size, ngx_uint_t max);
static void ngx_http_exam_shard_lists(ngx_http_exam_shard_sh_t *sh);
static void ngx_http_exam_shard_reset(ngx_http_exam_shard_t *shard);


char *
ngx_http_exam_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_main_conf_t  *mcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_int_t   n;
    ngx_str_t  *value, name, s;

    if (mcf->zone != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    p = (u_char *) ngx_strchr(value[1].data, ':');
    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone \"%V\", "
                           "expected \"name:size\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    name.data = value[1].data;
    name.len = p - value[1].data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);
    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone size \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    n = 1;

    if (cf->args->nelts == 3) {
        if (value[2].len <= 7 || ngx_strncmp(value[2].data, "shards=", 7) != 0
            || (n = ngx_atoi(value[2].data + 7, value[2].len - 7)) == NGX_ERROR
            || n < 1 || n > NGX_HTTP_EXAM_SHARDS_MAX)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter "
                               "\"%V\", expected \"shards=1..%d\"",
                               &value[2], NGX_HTTP_EXAM_SHARDS_MAX);
            return NGX_CONF_ERROR;
        }
    }

    if (size / n < NGX_HTTP_EXAM_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small, "
                           "a shard needs at least 1m", &value[1]);
        return NGX_CONF_ERROR;
    }

    mcf->zone = ngx_http_exam_zone_add(cf, &name, size, n);

    return mcf->zone ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* a zone of shared memory a shard: each has the slab mutex of its own */

static ngx_http_exam_zone_t *
ngx_http_exam_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    ngx_uint_t n)
{
    ngx_str_t               s;
    ngx_uint_t              i;
    ngx_http_exam_zone_t   *zone;
    ngx_http_exam_shard_t  *shard;

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_exam_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zone->name = *name;
    zone->size = size;
    zone->n = n;

    zone->shards = ngx_pcalloc(cf->pool, n * sizeof(ngx_http_exam_shard_t));
    if (zone->shards == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        shard = &zone->shards[i];
        shard->index = i;
        shard->zone = zone;

        s.data = ngx_pnalloc(cf->pool, name->len + NGX_INT_T_LEN + 1);
        if (s.data == NULL) {
            return NULL;
        }

        s.len = ngx_sprintf(s.data, "%V:%ui", name, i) - s.data;

        shard->shm_zone = ngx_shared_memory_add(cf, &s, size / n,
                                                &ngx_http_exam_module);
        if (shard->shm_zone == NULL) {
            return NULL;
        }

        shard->shm_zone->init = ngx_http_exam_zone_init;
        shard->shm_zone->data = shard;
    }

    return zone;
}


/*
 * Runs before the new configuration is accepted: an existing zone is taken over
 * as it is, nothing in it is changed.
 */

static ngx_int_t
ngx_http_exam_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_exam_shard_t *old = data;

    ngx_http_exam_shard_t  *shard;

    shard = shm_zone->data;

    if (old && old->zone->n != shard->zone->n) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "exam_zone \"%V\" had previously %ui shards, a change "
                      "needs a restart", &shard->zone->name, old->zone->n);
        return NGX_ERROR;
    }

    shard->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old || shm_zone->shm.exists) {
        shard->sh = shard->shpool->data;

        if (shard->sh == NULL || shard->sh->magic != NGX_HTTP_EXAM_ZONE_MAGIC
            || shard->sh->sessions.size != NGX_HTTP_EXAM_NODE_SIZE
            || shard->sh->segs.size != sizeof(ngx_http_exam_segs_t)
            || shard->sh->deliveries.size != sizeof(ngx_http_exam_delivery_t))
        {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "exam_zone \"%V\" has another layout, a change "
                          "needs a restart", &shard->zone->name);
            return NGX_ERROR;
        }

    } else if (ngx_http_exam_shard_create(shard) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "exam_zone \"%V\" is too small", &shard->zone->name);
        return NGX_ERROR;
    }

    if (shard->index == 0) {
        shard->zone->shared = shard->sh->shared;
    }

    return NGX_OK;
}


/*
 * The memory is divided once: for each session a node, room for its segments,
 * for a resumable upload on the average, and a bucket.  Pages of nodes that
 * were never used are never touched.
 */

static ngx_int_t
ngx_http_exam_shard_create(ngx_http_exam_shard_t *shard)
{
    size_t                     free;
    ngx_uint_t                 n, each, buckets, commands;
    ngx_slab_pool_t           *shpool;
    ngx_http_exam_shard_sh_t  *sh;

    shpool = shard->shpool;

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_exam_shard_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (shard->index == 0) {
        sh->shared = ngx_slab_calloc(shpool, sizeof(ngx_http_exam_shared_t));
        if (sh->shared == NULL) {
            return NGX_ERROR;
        }

        sh->shared->born = ngx_http_exam_now();
    }

    /* what rounding to pages may cost is left aside */

    free = shpool->pfree * ngx_pagesize;
    if (free < 16 * ngx_pagesize) {
        return NGX_ERROR;
    }

    free -= 8 * ngx_pagesize;

    commands = ngx_min(free / NGX_HTTP_EXAM_COMMANDS_SHARE
                       / NGX_HTTP_EXAM_COMMAND_SIZE,
                       NGX_HTTP_EXAM_COMMANDS_MAX);
    free -= commands * NGX_HTTP_EXAM_COMMAND_SIZE;

    each = NGX_HTTP_EXAM_NODE_SIZE + sizeof(ngx_http_exam_segs_t)
           + sizeof(ngx_http_exam_held_t) + sizeof(ngx_http_exam_delivery_t)
           + 3 * sizeof(void *);
    n = free / each;

    /* up to three buckets a session: most are the first in theirs */

    for (buckets = 1; buckets * 2 <= 3 * n; buckets *= 2) { /* void */ }

    sh->mask = buckets - 1;
    sh->buckets = ngx_slab_calloc(shpool, buckets * sizeof(void *));
    if (sh->buckets == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_exam_objects_create(shpool, &sh->sessions,
                                     NGX_HTTP_EXAM_NODE_SIZE, n)
        != NGX_OK
        || ngx_http_exam_objects_create(shpool, &sh->segs,
                                        sizeof(ngx_http_exam_segs_t), n)
           != NGX_OK
        || ngx_http_exam_objects_create(shpool, &sh->helds,
                                        sizeof(ngx_http_exam_held_t), n)
           != NGX_OK
        || ngx_http_exam_objects_create(shpool, &sh->deliveries,
                                        sizeof(ngx_http_exam_delivery_t), n)
           != NGX_OK
        || ngx_http_exam_objects_create(shpool, &sh->commands,
                                        NGX_HTTP_EXAM_COMMAND_SIZE, commands)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_exam_shard_lists(sh);

    sh->magic = NGX_HTTP_EXAM_ZONE_MAGIC;

    shard->sh = sh;
    shpool->data = sh;

    return NGX_OK;
}


/* nobody in any list */

static void
ngx_http_exam_shard_lists(ngx_http_exam_shard_sh_t *sh)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_EXAM_PLACES; i++) {
        ngx_queue_init(&sh->places[i]);
        sh->counts[i] = 0;
    }

    sh->dirty_head = NULL;
    sh->dirty_tail = &sh->dirty_head;
    sh->ndirty = 0;
    sh->inflight = 0;
    sh->mark_left = 0;
    sh->reports_head = NULL;
    sh->reports_tail = &sh->reports_head;
}


static ngx_int_t
ngx_http_exam_objects_create(ngx_slab_pool_t *shpool,
    ngx_http_exam_objects_t *o, size_t size, ngx_uint_t max)
{
    o->start = ngx_slab_alloc(shpool, size * max);
    if (o->start == NULL) {
        return NGX_ERROR;
    }

    o->size = size;
    o->max = max;

    return NGX_OK;
}


void *
ngx_http_exam_object_get(ngx_http_exam_objects_t *o)
{
    void  *p;

    p = o->free;

    if (p != NULL) {
        o->free = *(void **) p;

    } else if (o->used < o->max) {
        p = o->start + o->size * o->used++;

    } else {
        return NULL;
    }

    ngx_memzero(p, o->size);

    return p;
}


void
ngx_http_exam_object_put(ngx_http_exam_objects_t *o, void *p)
{
    *(void **) p = o->free;
    o->free = p;
}


/* what a crash under the mutex may have torn is dropped, not looked at */

static void
ngx_http_exam_shard_reset(ngx_http_exam_shard_t *shard)
{
    ngx_http_exam_shard_sh_t  *sh;

    sh = shard->sh;
    sh->resets++;
    sh->reset_at = ngx_http_exam_now();

    ngx_memzero(sh->buckets, (sh->mask + 1) * sizeof(void *));
    ngx_memzero(sh->exams, sizeof(sh->exams));

    sh->sessions.used = 0;
    sh->sessions.free = NULL;
    sh->segs.used = 0;
    sh->segs.free = NULL;
    sh->helds.used = 0;
    sh->helds.free = NULL;
    sh->deliveries.used = 0;
    sh->deliveries.free = NULL;
    sh->commands.used = 0;
    sh->commands.free = NULL;

    ngx_http_exam_shard_lists(sh);
    sh->ncommands = 0;
    sh->unclean = 0;
    sh->flusher = 0;

    (void) ngx_atomic_fetch_add(
                        &shard->zone->shared->stats.zone_resets_total, 1);
}


ngx_http_exam_shard_t *
ngx_http_exam_zone_shard(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN])
{
    return ngx_http_exam_zone_shard_of(zone, exam_sid_hash(sid));
}


ngx_http_exam_shard_t *
ngx_http_exam_zone_shard_of(ngx_http_exam_zone_t *zone, uint32_t hash)
{
    /* the low bits choose the bucket, so the shard takes the highest */

    return &zone->shards[(uint64_t) hash * zone->n >> 32];
}


void
ngx_http_exam_shard_lock(ngx_http_exam_shard_t *shard)
{
    ngx_shmtx_lock(&shard->shpool->mutex);

    if (shard->sh->dirty) {
        ngx_http_exam_shard_reset(shard);
    }

    shard->sh->dirty = 1;
    ngx_memory_barrier();
}


void
ngx_http_exam_shard_unlock(ngx_http_exam_shard_t *shard)
{
    ngx_memory_barrier();
    shard->sh->dirty = 0;

    ngx_shmtx_unlock(&shard->shpool->mutex);

    if (ngx_http_exam_record_ends) {
        ngx_http_exam_record_ended();
    }
}


/*
 * A pid may be given again to a stranger; then what the dead process left
 * counts until the stranger ends: refused uploads, nothing lost.
 */

ngx_uint_t
ngx_http_exam_dead(ngx_pid_t pid)
{
    return pid != ngx_pid && kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH;
}
