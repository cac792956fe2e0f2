
/*
 * What operators ask: /health, /ready, /status; and the replies for paths and
 * errors that belong to no endpoint.  /metrics: ngx_http_exam_metrics.c.
 *
 * All of it is answered at once from the zone's counters and from what
 * ngx_http_exam_peers.c has seen last.
 */


#include "ngx_http_exam_disk.h"
#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_peers.h"
#include "ngx_http_exam_spool.h"
#include "ngx_http_exam_status.h"
#include "ngx_http_exam_uploads.h"


#define NGX_HTTP_EXAM_STATUS_REPLY   8192
#define NGX_HTTP_EXAM_SKEW_ALERT     500        /* ms */
#define NGX_HTTP_EXAM_JOURNAL_ILL    10         /* s, after a failed commit */
#define NGX_HTTP_EXAM_JOURNAL_LAG    (16 * 1024 * 1024)


typedef struct {
    const char  *name;
    int64_t      value;
} ngx_http_exam_figure_t;


static void ngx_http_exam_figures_json(exam_buf_t *b,
    const ngx_http_exam_figure_t *figures, ngx_uint_t n);
static void ngx_http_exam_thousandths_json(exam_buf_t *b, uint64_t n);
static void ngx_http_exam_text_json(exam_buf_t *b, const char *name,
    const char *value);
static void ngx_http_exam_degraded_json(exam_buf_t *b,
    ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_alerts_json(exam_buf_t *b,
    ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_list_json(exam_buf_t *b, ngx_uint_t *n,
    const char *name);
static int64_t ngx_http_exam_memory_mb(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_zone_figures_t *f);
static void ngx_http_exam_status_load(ngx_http_exam_main_conf_t *mcf,
    exam_buf_t *b);
static void ngx_http_exam_status_machine(ngx_http_exam_main_conf_t *mcf,
    exam_buf_t *b);
static void ngx_http_exam_status_redis(exam_buf_t *b);
static void ngx_http_exam_status_peers(exam_buf_t *b);
static void ngx_http_exam_status_latency(ngx_http_exam_main_conf_t *mcf,
    exam_buf_t *b);
static void ngx_http_exam_latency_json(exam_buf_t *b, const char *name,
    ngx_http_exam_histogram_t *h);
static int64_t ngx_http_exam_quantile(ngx_http_exam_histogram_t *h,
    uint64_t total, ngx_uint_t percent);



ngx_int_t
ngx_http_exam_health_handler(ngx_http_request_t *r)
{
    ngx_int_t   rc;
    exam_buf_t  b;

    u_char  memory[64];

    rc = ngx_http_exam_operator(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    exam_buf_init(&b, memory, sizeof(memory));
    exam_buf_lit(&b, "{\"status\":\"ok\"}\n");

    return ngx_http_exam_json(r, NGX_HTTP_OK, &b);
}


/*
 * 503 only while this node cannot serve heartbeats: a balancer would take all
 * nodes out at once for a database that they share.
 */

ngx_int_t
ngx_http_exam_ready_handler(ngx_http_request_t *r)
{
    ngx_int_t   rc;
    exam_buf_t  b;

    u_char  memory[NGX_HTTP_EXAM_JSON_MAX];

    rc = ngx_http_exam_operator(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_exiting || ngx_terminate) {
        return ngx_http_exam_problem(r, EXAM_ERR_UNAVAILABLE,
                                     "this process is draining");
    }

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_lit(&b, "{\"ready\":true,");
    ngx_http_exam_degraded_json(&b, ngx_http_exam_main_conf(r));
    exam_buf_lit(&b, "}\n");

    return ngx_http_exam_json(r, NGX_HTTP_OK, &b);
}


ngx_int_t
ngx_http_exam_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    exam_buf_t                  b;
    ngx_http_exam_main_conf_t  *mcf;

    u_char  memory[NGX_HTTP_EXAM_STATUS_REPLY];

    rc = ngx_http_exam_operator(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    mcf = ngx_http_exam_main_conf(r);

    exam_buf_init(&b, memory, sizeof(memory));

    exam_buf_lit(&b, "{");
    ngx_http_exam_status_load(mcf, &b);
    exam_buf_lit(&b, ",");
    ngx_http_exam_status_machine(mcf, &b);
    exam_buf_lit(&b, ",");
    ngx_http_exam_status_latency(mcf, &b);
    exam_buf_lit(&b, ",");
    ngx_http_exam_status_redis(&b);
    exam_buf_lit(&b, ",");
    ngx_http_exam_status_peers(&b);
    exam_buf_lit(&b, ",");
    ngx_http_exam_degraded_json(&b, mcf);
    exam_buf_lit(&b, ",");
    ngx_http_exam_alerts_json(&b, mcf);
    exam_buf_lit(&b, "}\n");

    return ngx_http_exam_json(r, NGX_HTTP_OK, &b);
}


/* nginx's own errors, brought here by error_page */

ngx_int_t
ngx_http_exam_problem_handler(ngx_http_request_t *r)
{
    exam_err_e  err;

    if (r->err_status == 0) {
        return ngx_http_exam_problem(r, EXAM_ERR_NOT_FOUND, NULL);
    }

    err = exam_err_by_status((int) r->err_status);
    err = ngx_http_exam_uploads_error(r, err);

    r->err_status = exam_err_info(err)->status;

    return ngx_http_exam_problem(r, err, NULL);
}


ngx_int_t
ngx_http_exam_none_handler(ngx_http_request_t *r)
{
    return ngx_http_exam_problem(r, EXAM_ERR_NOT_FOUND, NULL);
}


ngx_int_t
ngx_http_exam_operator(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_exam_not_allowed(r, "GET, HEAD");
    }

    rc = ngx_http_discard_request_body(r);

    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


/* `"name":n,...`, null for what is not known */

static void
ngx_http_exam_figures_json(exam_buf_t *b,
    const ngx_http_exam_figure_t *figures, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_char(b, '"');
        exam_buf_put(b, figures[i].name, ngx_strlen(figures[i].name));
        exam_buf_lit(b, "\":");

        if (figures[i].value == NGX_HTTP_EXAM_UNKNOWN) {
            exam_buf_lit(b, "null");

        } else {
            exam_buf_int(b, figures[i].value);
        }
    }
}


/* 1234 as 1.234: us as ms, a rate in thousandths as a fraction */

static void
ngx_http_exam_thousandths_json(exam_buf_t *b, uint64_t n)
{
    exam_buf_uint(b, n / 1000);
    exam_buf_char(b, '.');
    exam_buf_char(b, (char) ('0' + n / 100 % 10));
    exam_buf_char(b, (char) ('0' + n / 10 % 10));
    exam_buf_char(b, (char) ('0' + n % 10));
}


static void
ngx_http_exam_text_json(exam_buf_t *b, const char *name, const char *value)
{
    exam_buf_char(b, '"');
    exam_buf_put(b, name, ngx_strlen(name));
    exam_buf_lit(b, "\":");

    if (value[0] == '\0') {
        exam_buf_lit(b, "null");

    } else {
        exam_buf_json(b, exam_str_make(value, ngx_strlen(value)));
    }
}


static void
ngx_http_exam_list_json(exam_buf_t *b, ngx_uint_t *n, const char *name)
{
    if ((*n)++) {
        exam_buf_char(b, ',');
    }

    exam_buf_char(b, '"');
    exam_buf_put(b, name, ngx_strlen(name));
    exam_buf_char(b, '"');
}


static void
ngx_http_exam_degraded_json(exam_buf_t *b, ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t                      n;
    ngx_http_exam_redis_figures_t   redis;

    ngx_http_exam_redis_figures(ngx_http_exam_redis, &redis);

    n = 0;
    exam_buf_lit(b, "\"degraded\":[");

    if (!redis.up) {
        ngx_http_exam_list_json(b, &n, "redis");

    } else if (ngx_http_exam_peers.worker_state[0] == '\0') {
        ngx_http_exam_list_json(b, &n, "worker");

    } else if (ngx_strcmp(ngx_http_exam_peers.mysql_state, "up") != 0) {
        ngx_http_exam_list_json(b, &n, "mysql");
    }

    if (ngx_http_exam_spool.dir == -1 || ngx_http_exam_disk.low) {
        ngx_http_exam_list_json(b, &n, "spool");
    }

    if (ngx_http_exam_journal_full()
        || ngx_time() - (time_t) mcf->zone->shared->journal_failed
           < NGX_HTTP_EXAM_JOURNAL_ILL)
    {
        ngx_http_exam_list_json(b, &n, "journal");
    }

    exam_buf_lit(b, "]");
}


static void
ngx_http_exam_alerts_json(exam_buf_t *b, ngx_http_exam_main_conf_t *mcf)
{
    ngx_uint_t              n;
    ngx_http_exam_peers_t  *p;

    p = &ngx_http_exam_peers;
    n = 0;

    exam_buf_lit(b, "\"alerts\":[");

    if (p->skew_known && (p->clock_skew_ms > NGX_HTTP_EXAM_SKEW_ALERT
                          || p->clock_skew_ms < -NGX_HTTP_EXAM_SKEW_ALERT))
    {
        ngx_http_exam_list_json(b, &n, "clock_skew");
    }

    if (p->redis_memory_max > 0
        && p->redis_memory_used > p->redis_memory_max / 10 * 9)
    {
        ngx_http_exam_list_json(b, &n, "redis_memory");
    }

    if (ngx_http_exam_disk.low || ngx_http_exam_disk.soon) {
        ngx_http_exam_list_json(b, &n, "spool_low");
    }

    if (ngx_http_exam_journal_full()) {
        ngx_http_exam_list_json(b, &n, "journal_full");
    }

    if (mcf->zone->shared->stats.journal_errors_total
        || mcf->zone->shared->stats.journal_dropped_total)
    {
        ngx_http_exam_list_json(b, &n, "journal_errors");
    }

    /* records that MySQL does not take lie in the spool, in bad/ */

    if (p->journal_refused_total > 0) {
        ngx_http_exam_list_json(b, &n, "journal_refused");
    }

    if (p->journal_lag_bytes > NGX_HTTP_EXAM_JOURNAL_LAG) {
        ngx_http_exam_list_json(b, &n, "journal_lag");
    }

    if (mcf->zone->shared->stats.zone_full_total) {
        ngx_http_exam_list_json(b, &n, "zone_full");
    }

    if (mcf->zone->shared->stats.zone_resets_total) {
        ngx_http_exam_list_json(b, &n, "zone_reset");
    }

    exam_buf_lit(b, "]");
}


void
ngx_http_exam_zone_figures(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_zone_figures_t *f)
{
    ngx_uint_t                 i;
    ngx_http_exam_shard_sh_t  *sh;

    ngx_memzero(f, sizeof(ngx_http_exam_zone_figures_t));

    for (i = 0; i < mcf->zone->n; i++) {
        sh = mcf->zone->shards[i].sh;

        /* single words, each true at its moment: no lock */

        f->online += sh->counts[NGX_HTTP_EXAM_ONLINE];
        f->sessions += sh->counts[NGX_HTTP_EXAM_ONLINE]
                       + sh->counts[NGX_HTTP_EXAM_OFFLINE]
                       + sh->counts[NGX_HTTP_EXAM_ENDED];
        f->used += sh->sessions.used * sh->sessions.size
                   + sh->segs.used * sh->segs.size
                   + sh->helds.used * sh->helds.size;
    }
}


static int64_t
ngx_http_exam_memory_mb(ngx_http_exam_main_conf_t *mcf,
    ngx_http_exam_zone_figures_t *f)
{
    int64_t           kb;
    ngx_uint_t        i, n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    n = ngx_min((ngx_uint_t) ngx_max(ccf->worker_processes, 1),
                NGX_HTTP_EXAM_RSS_MAX);
    kb = 0;

    for (i = 0; i < n; i++) {
        kb += (int64_t) mcf->zone->shared->rss_anon_kb[i];
    }

    return kb / 1024 + (int64_t) (f->used >> 20);
}


static void
ngx_http_exam_status_load(ngx_http_exam_main_conf_t *mcf, exam_buf_t *b)
{
    int64_t                        connections, requests, workers;
    ngx_core_conf_t               *ccf;
    ngx_http_exam_stats_t         *st;
    ngx_http_exam_peers_t         *p;
    ngx_http_exam_zone_figures_t   f;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    st = &mcf->zone->shared->stats;
    p = &ngx_http_exam_peers;
    workers = ngx_max(ccf->worker_processes, 1);

    ngx_http_exam_zone_figures(mcf, &f);

#if (NGX_STAT_STUB)
    connections = (int64_t) *ngx_stat_active;
    requests = (int64_t) *ngx_stat_requests;
#else
    connections = (int64_t) (ngx_cycle->connection_n
                             - ngx_cycle->free_connection_n);
    requests = (int64_t) st->requests_total;
#endif

    {
        ngx_http_exam_figure_t  figures[] = {
            { "current_connections", connections },
            { "max_connections",
              (int64_t) ngx_cycle->connection_n * workers },
            { "memory_usage_mb", ngx_http_exam_memory_mb(mcf, &f) },
            { "memory_limit_mb",
              p->memory_total_kb > 0 ? p->memory_total_kb / 1024
                                     : NGX_HTTP_EXAM_UNKNOWN },
            { "total_requests", requests },
            { "error_count", (int64_t) st->errors_total },
            { "requests_per_s", p->requests_per_s },
            { "online_students", (int64_t) f.online },
            { "sessions", (int64_t) f.sessions },
            { "active_uploads", (int64_t) st->active_uploads },
            { "upload_bytes_in_flight",
              (int64_t) st->upload_bytes_in_flight },
            { "heartbeats_total", (int64_t) st->heartbeats_total },
            { "shed_total", (int64_t) st->shed_total }
        };

        ngx_http_exam_figures_json(b, figures,
                                   sizeof(figures) / sizeof(figures[0]));
    }
}


static void
ngx_http_exam_status_machine(ngx_http_exam_main_conf_t *mcf, exam_buf_t *b)
{
    uint64_t                looked;
    ngx_http_exam_stats_t  *st;
    ngx_http_exam_peers_t  *p;

    st = &mcf->zone->shared->stats;
    p = &ngx_http_exam_peers;
    looked = st->ledger_hits_total + st->ledger_misses_total;

    {
        ngx_http_exam_figure_t  cache[] = {
            { "hits", (int64_t) st->ledger_hits_total },
            { "misses", (int64_t) st->ledger_misses_total }
        };

        ngx_http_exam_figure_t  load[] = {
            { "cpu", p->cpu_busy },
            { "mem", p->memory_total_kb > 0
                     ? 100 - p->memory_available_kb * 100 / p->memory_total_kb
                     : NGX_HTTP_EXAM_UNKNOWN },
            { "disk_io", p->disk_busy }
        };

        exam_buf_lit(b, "\"cache\":{");
        ngx_http_exam_figures_json(b, cache, 2);
        exam_buf_lit(b, ",\"hit_rate\":");

        if (looked == 0) {
            exam_buf_lit(b, "null");

        } else {
            ngx_http_exam_thousandths_json(b, st->ledger_hits_total * 1000
                                              / looked);
        }

        exam_buf_lit(b, "},\"load\":{");
        ngx_http_exam_figures_json(b, load, 3);
        exam_buf_char(b, '}');
    }
}


static void
ngx_http_exam_status_redis(exam_buf_t *b)
{
    ngx_http_exam_peers_t          *p;
    ngx_http_exam_redis_figures_t   redis;

    p = &ngx_http_exam_peers;

    ngx_http_exam_redis_figures(ngx_http_exam_redis, &redis);

    {
        ngx_http_exam_figure_t  figures[] = {
            { "pending", (int64_t) redis.pending },
            { "reconnects", (int64_t) redis.reconnects },
            { "memory_used", p->redis_memory_used },
            { "memory_max", p->redis_memory_max },
            { "clients", p->redis_clients },
            { "maxclients", p->redis_maxclients }
        };

        exam_buf_lit(b, "\"redis\":{");
        ngx_http_exam_text_json(b, "state", redis.up ? "up" : "down");
        exam_buf_lit(b, ",\"latency_ms\":");

        if (redis.latency_us < 0) {
            exam_buf_lit(b, "null");

        } else {
            ngx_http_exam_thousandths_json(b, (uint64_t) redis.latency_us);
        }

        exam_buf_char(b, ',');
        ngx_http_exam_figures_json(b, figures,
                                   sizeof(figures) / sizeof(figures[0]));
        exam_buf_char(b, '}');
    }
}


static void
ngx_http_exam_status_peers(exam_buf_t *b)
{
    ngx_http_exam_peers_t  *p;

    p = &ngx_http_exam_peers;

    {
        ngx_http_exam_figure_t  mysql[] = {
            { "latency_ms", p->mysql_latency_ms },
            { "connections", p->mysql_connections },
            { "max_connections", p->mysql_max_connections },
            { "slow_queries", p->mysql_slow_queries }
        };

        ngx_http_exam_figure_t  spool[] = {
            { "free_bytes", ngx_http_exam_disk.free },
            { "ready", p->worker_ready },
            { "oldest_ready_s", p->worker_lag_s },
            { "full_at", ngx_http_exam_disk.full_at }
        };

        ngx_http_exam_figure_t  worker[] = {
            { "lag_s", p->worker_lag_s },
            { "processing_ms", p->worker_processing_ms },
            { "stored_total", p->worker_stored_total },
            { "failed_total", p->worker_failed_total }
        };

        exam_buf_lit(b, "\"mysql\":{");
        ngx_http_exam_text_json(b, "state", p->mysql_state);
        exam_buf_char(b, ',');
        ngx_http_exam_figures_json(b, mysql, 4);
        exam_buf_lit(b, "},\"spool\":{");
        ngx_http_exam_figures_json(b, spool, 4);
        exam_buf_lit(b, "},\"worker\":{");
        ngx_http_exam_text_json(b, "state", p->worker_state);
        exam_buf_char(b, ',');
        ngx_http_exam_figures_json(b, worker, 4);
        exam_buf_lit(b, "},\"clock_skew_ms\":");
    }

    if (p->skew_known) {
        exam_buf_int(b, p->clock_skew_ms);

    } else {
        exam_buf_lit(b, "null");
    }
}


static void
ngx_http_exam_status_latency(ngx_http_exam_main_conf_t *mcf, exam_buf_t *b)
{
    ngx_http_exam_stats_t  *st;

    st = &mcf->zone->shared->stats;

    exam_buf_lit(b, "\"latency_ms\":{");
    ngx_http_exam_latency_json(b, "heartbeat", &st->latency.heartbeat);
    exam_buf_char(b, ',');
    ngx_http_exam_latency_json(b, "login", &st->latency.login);
    exam_buf_char(b, ',');
    ngx_http_exam_latency_json(b, "upload", &st->latency.upload);
    exam_buf_char(b, '}');
}


static void
ngx_http_exam_latency_json(exam_buf_t *b, const char *name,
    ngx_http_exam_histogram_t *h)
{
    int64_t     us;
    uint64_t    total;
    ngx_uint_t  i;

    static const struct {
        const char  *name;
        ngx_uint_t   percent;
    } quantiles[] = {
        { "\"p50\":", 50 }, { ",\"p95\":", 95 }, { ",\"p99\":", 99 }
    };

    total = 0;

    for (i = 0; i < NGX_HTTP_EXAM_BUCKETS; i++) {
        total += h->buckets[i];
    }

    exam_buf_char(b, '"');
    exam_buf_put(b, name, ngx_strlen(name));
    exam_buf_lit(b, "\":{");

    for (i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        exam_buf_put(b, quantiles[i].name, ngx_strlen(quantiles[i].name));

        us = ngx_http_exam_quantile(h, total, quantiles[i].percent);

        if (us < 0) {
            exam_buf_lit(b, "null");

        } else {
            ngx_http_exam_thousandths_json(b, (uint64_t) us);
        }
    }

    exam_buf_char(b, '}');
}


/* the upper bound of the bucket that holds it, us; -1 without samples */

static int64_t
ngx_http_exam_quantile(ngx_http_exam_histogram_t *h, uint64_t total,
    ngx_uint_t percent)
{
    uint64_t    sum;
    ngx_uint_t  i;

    if (total == 0) {
        return -1;
    }

    sum = 0;

    for (i = 0; i < NGX_HTTP_EXAM_BUCKETS - 1; i++) {
        sum += h->buckets[i];

        if (sum * 100 >= total * percent) {
            break;
        }
    }

    return (int64_t) 1 << i;
}
