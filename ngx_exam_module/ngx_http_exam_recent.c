
/*
 * Tables of recent requests and events; see the header.  Event loop only; under
 * the mutex of the first shard, which crash or reset may empty.
 *
 * An event is named by 128 bits of a SHA-256: that two of them meet by chance
 * or by intent is out of reach, so that what is found here was synced.
 */


#include "ngx_http_exam_recent.h"


#define NGX_HTTP_EXAM_RECENT_WAYS  4


static ngx_int_t ngx_http_exam_recent_rate(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_recent_e what,
    const ngx_http_exam_rate_t *rate);


void
ngx_http_exam_recent_hash(const uint8_t sid[EXAM_SID_LEN], exam_str_t id,
    uint64_t hash[2])
{
    uint8_t        digest[EXAM_HASH_LEN];
    exam_sha256_t  h;

    exam_sha256_init(&h);
    exam_sha256_update(&h, sid, EXAM_SID_LEN);
    exam_sha256_update(&h, id.data, id.len);
    exam_sha256_final(&h, digest);

    ngx_memcpy(hash, digest, 2 * sizeof(uint64_t));
}


ngx_uint_t
ngx_http_exam_recent_has(ngx_http_exam_zone_t *zone, const uint64_t hash[2])
{
    ngx_uint_t              found;
    ngx_http_exam_event_t  *e;

    e = &zone->shared->events[hash[0] % NGX_HTTP_EXAM_RECENT_IDS];

    ngx_http_exam_shard_lock(&zone->shards[0]);
    found = (e->hash[0] == hash[0] && e->hash[1] == hash[1]);
    ngx_http_exam_shard_unlock(&zone->shards[0]);

    return found;
}


void
ngx_http_exam_recent_keep(ngx_http_exam_zone_t *zone, const uint64_t hash[2])
{
    ngx_http_exam_event_t  *e;

    e = &zone->shared->events[hash[0] % NGX_HTTP_EXAM_RECENT_IDS];

    ngx_http_exam_shard_lock(&zone->shards[0]);
    e->hash[0] = hash[0];
    e->hash[1] = hash[1];
    ngx_http_exam_shard_unlock(&zone->shards[0]);
}


exam_err_e
ngx_http_exam_recent_admit(ngx_http_request_t *r, ngx_http_exam_recent_e what,
    const ngx_http_exam_rate_t *rate)
{
    exam_err_e                  err;
    ngx_http_exam_ctx_t        *ctx;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_exam_main_conf(r);

    ctx = ngx_http_exam_ctx(r);
    if (ctx == NULL) {
        return EXAM_ERR_INTERNAL;
    }

    err = ngx_http_exam_session(r, ctx, EXAM_ACTION_HEARTBEAT);
    if (err != EXAM_OK) {
        return err;
    }

    return ngx_http_exam_recent_rate(mcf->zone, ctx->claims.sid, what, rate)
           == NGX_OK ? EXAM_OK : EXAM_ERR_RATE_LIMITED;
}


/* counts a request; NGX_BUSY = over the limit */

static ngx_int_t
ngx_http_exam_recent_rate(ngx_http_exam_zone_t *zone,
    const uint8_t sid[EXAM_SID_LEN], ngx_http_exam_recent_e what,
    const ngx_http_exam_rate_t *rate)
{
    uint64_t                 key;
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_http_exam_recent_t  *row, *oldest;

    if (rate->rate == 0) {
        return NGX_OK;
    }

    /* the random half of the id, so that no two sessions share a limit */

    ngx_memcpy(&key, sid + EXAM_SID_LEN - sizeof(key), sizeof(key));
    key = key * 4 + what;

    row = &zone->shared->recent[key * 0x9e3779b97f4a7c15u
                                % (NGX_HTTP_EXAM_RECENT_RATES
                                   / NGX_HTTP_EXAM_RECENT_WAYS)
                                * NGX_HTTP_EXAM_RECENT_WAYS];

    ngx_http_exam_shard_lock(&zone->shards[0]);

    oldest = row;

    for (i = 0; i < NGX_HTTP_EXAM_RECENT_WAYS; i++) {

        if (row[i].key == key) {
            break;
        }

        if ((int32_t) (row[i].bucket.last - oldest->bucket.last) < 0) {
            oldest = &row[i];
        }
    }

    if (i == NGX_HTTP_EXAM_RECENT_WAYS) {
        oldest->key = key;
        oldest->bucket.excess = 0;
        oldest->bucket.last = (uint32_t) ngx_current_msec;

    } else {
        oldest = &row[i];
    }

    rc = ngx_http_exam_bucket(&oldest->bucket, rate);

    ngx_http_exam_shard_unlock(&zone->shards[0]);

    return rc;
}
