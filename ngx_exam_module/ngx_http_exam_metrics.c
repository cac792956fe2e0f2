
/*
 * GET /metrics: the counters and histograms of the zone as Prometheus' text
 * (version 0.0.4), generated from their list.
 */


#include "ngx_http_exam_status.h"


#define NGX_HTTP_EXAM_METRICS_REPLY  65536


static void ngx_http_exam_metric(exam_buf_t *b, const char *name,
    const char *type, const char *help, uint64_t value);
static void ngx_http_exam_metric_histogram(exam_buf_t *b, const char *name,
    const char *help, ngx_http_exam_histogram_t *h);


ngx_int_t
ngx_http_exam_metrics_handler(ngx_http_request_t *r)
{
    u_char                        *memory;
    ngx_int_t                      rc;
    exam_buf_t                     b;
    ngx_http_exam_stats_t         *st;
    ngx_http_exam_main_conf_t     *mcf;
    ngx_http_exam_zone_figures_t   f;

    static ngx_str_t  type = ngx_string("text/plain; version=0.0.4");

    rc = ngx_http_exam_operator(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    memory = ngx_palloc(r->pool, NGX_HTTP_EXAM_METRICS_REPLY);
    if (memory == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mcf = ngx_http_exam_main_conf(r);
    st = &mcf->zone->shared->stats;

    exam_buf_init(&b, memory, NGX_HTTP_EXAM_METRICS_REPLY);

#define NGX_HTTP_EXAM_METRIC(type, name, help)                                \
    ngx_http_exam_metric(&b, #name, #type, help, st->name);

    NGX_HTTP_EXAM_COUNTERS(NGX_HTTP_EXAM_METRIC)

#undef NGX_HTTP_EXAM_METRIC

    ngx_http_exam_zone_figures(mcf, &f);

    ngx_http_exam_metric(&b, "sessions", "gauge",
                         "sessions in the zone", f.sessions);
    ngx_http_exam_metric(&b, "online_students", "gauge",
                         "sessions with a recent heartbeat", f.online);

#define NGX_HTTP_EXAM_METRIC(name, help)                                      \
    ngx_http_exam_metric_histogram(&b, #name, help, &st->latency.name);

    NGX_HTTP_EXAM_HISTOGRAMS(NGX_HTTP_EXAM_METRIC)

#undef NGX_HTTP_EXAM_METRIC

    return ngx_http_exam_text(r, NGX_HTTP_OK, &type, &b);
}


static void
ngx_http_exam_metric(exam_buf_t *b, const char *name, const char *type,
    const char *help, uint64_t value)
{
    exam_buf_lit(b, "# HELP exam_");
    exam_buf_put(b, name, ngx_strlen(name));
    exam_buf_char(b, ' ');
    exam_buf_put(b, help, ngx_strlen(help));
    exam_buf_lit(b, "\n# TYPE exam_");
    exam_buf_put(b, name, ngx_strlen(name));
    exam_buf_char(b, ' ');
    exam_buf_put(b, type, ngx_strlen(type));
    exam_buf_lit(b, "\nexam_");
    exam_buf_put(b, name, ngx_strlen(name));
    exam_buf_char(b, ' ');
    exam_buf_uint(b, value);
    exam_buf_char(b, '\n');
}


/* cumulative buckets in seconds, as Prometheus wants them */

static void
ngx_http_exam_metric_histogram(exam_buf_t *b, const char *name,
    const char *help, ngx_http_exam_histogram_t *h)
{
    u_char      line[128], *last;
    uint64_t    sum;
    ngx_uint_t  i;

    sum = 0;

    last = ngx_snprintf(line, sizeof(line),
                        "# HELP exam_%s_seconds ", name);
    exam_buf_put(b, line, last - line);
    exam_buf_put(b, help, ngx_strlen(help));

    last = ngx_snprintf(line, sizeof(line),
                        "\n# TYPE exam_%s_seconds histogram\n", name);
    exam_buf_put(b, line, last - line);

    for (i = 0; i < NGX_HTTP_EXAM_BUCKETS; i++) {
        sum += h->buckets[i];

        if (i == NGX_HTTP_EXAM_BUCKETS - 1) {
            last = ngx_snprintf(line, sizeof(line),
                                "exam_%s_seconds_bucket{le=\"+Inf\"} %uL\n",
                                name, sum);

        } else {
            last = ngx_snprintf(line, sizeof(line),
                                "exam_%s_seconds_bucket{le=\"%uL.%06uL\"} "
                                "%uL\n", name,
                                ((uint64_t) 1 << i) / 1000000,
                                ((uint64_t) 1 << i) % 1000000, sum);
        }

        exam_buf_put(b, line, last - line);
    }

    last = ngx_snprintf(line, sizeof(line),
                        "exam_%s_seconds_sum %uA.%06uA\n"
                        "exam_%s_seconds_count %uL\n",
                        name, h->sum / 1000000, h->sum % 1000000, name, sum);
    exam_buf_put(b, line, last - line);
}
