
/*
 * Directives, configuration, start and end of processes.
 *
 * Configuration is parsed in the master; init_process and exit_process run in
 * each worker process.  Nothing here touches a request.
 */


#include "ngx_http_exam_module.h"
#include "../core/exam_events.h"
#include "ngx_http_exam_disk.h"
#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_peers.h"
#include "ngx_http_exam_spool.h"


#define NGX_HTTP_EXAM_POOL  "exam_upload"


static void *ngx_http_exam_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_exam_init_main_conf(ngx_conf_t *cf, void *conf);
static void ngx_http_exam_limits(ngx_http_exam_main_conf_t *mcf);
static char *ngx_http_exam_missing(ngx_http_exam_main_conf_t *mcf);
static void *ngx_http_exam_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_exam_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_exam_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_exam_check_bytes(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_exam_check_buffers(ngx_conf_t *cf, void *post,
    void *data);
static ngx_int_t ngx_http_exam_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_exam_init_process(ngx_cycle_t *cycle);
static void ngx_http_exam_exit_process(ngx_cycle_t *cycle);


typedef struct {
    ngx_str_t                 name;
    ngx_http_handler_pt       handler;
    size_t                    body;     /* its limit, 0: not by nginx */
} ngx_http_exam_endpoint_t;


/* in the order of ngx_http_exam_endpoint_e, from NGX_HTTP_EXAM_LOGIN on */

static ngx_http_exam_endpoint_t  ngx_http_exam_endpoints[] = {
    { ngx_string("login"), ngx_http_exam_login_handler,
      EXAM_BODY_JSON_MAX },
    { ngx_string("heartbeat"), ngx_http_exam_heartbeat_handler,
      EXAM_BODY_BEAT_MAX },
    { ngx_string("recordings"), ngx_http_exam_recordings_handler, 0 },
    { ngx_string("uploads"), ngx_http_exam_uploads_handler, 0 },
    { ngx_string("me"), ngx_http_exam_me_handler, EXAM_BODY_JSON_MAX },
    { ngx_string("logout"), ngx_http_exam_logout_handler,
      EXAM_BODY_JSON_MAX },
    { ngx_string("events"), ngx_http_exam_events_handler,
      EXAM_EVENTS_BODY_MAX },
    { ngx_string("preflight"), ngx_http_exam_preflight_handler, 0 },
    { ngx_string("health"), ngx_http_exam_health_handler,
      EXAM_BODY_JSON_MAX },
    { ngx_string("ready"), ngx_http_exam_ready_handler, EXAM_BODY_JSON_MAX },
    { ngx_string("status"), ngx_http_exam_status_handler,
      EXAM_BODY_JSON_MAX },
    { ngx_string("metrics"), ngx_http_exam_metrics_handler,
      EXAM_BODY_JSON_MAX },
    { ngx_string("problem"), ngx_http_exam_problem_handler, 0 },
    { ngx_string("none"), ngx_http_exam_none_handler, EXAM_BODY_JSON_MAX },
    { ngx_null_string, NULL, 0 }
};


static ngx_conf_enum_t  ngx_http_exam_takeovers[] = {
    { ngx_string("takeover"), NGX_HTTP_EXAM_TAKEOVER },
    { ngx_string("deny"), NGX_HTTP_EXAM_DENY },
    { ngx_null_string, 0 }
};


/* ms: what would keep a process busy, or be 0 in a reply that tells seconds */

static ngx_conf_num_bounds_t  ngx_http_exam_tick_bounds = {
    ngx_conf_check_num_bounds, 10, 24 * 60 * 60 * 1000
};

static ngx_conf_num_bounds_t  ngx_http_exam_seconds_bounds = {
    ngx_conf_check_num_bounds, 1000, 24 * 60 * 60 * 1000
};

static ngx_conf_post_t  ngx_http_exam_bytes_bounds = {
    ngx_http_exam_check_bytes
};

static ngx_conf_post_t  ngx_http_exam_buffers_bounds = {
    ngx_http_exam_check_buffers
};

static ngx_conf_num_bounds_t  ngx_http_exam_segments_bounds = {
    ngx_conf_check_num_bounds, 1, EXAM_SEGMENT_MAX + 1
};

static ngx_conf_num_bounds_t  ngx_http_exam_window_bounds = {
    ngx_conf_check_num_bounds, 1, 1000
};

static ngx_conf_num_bounds_t  ngx_http_exam_uploads_bounds = {
    ngx_conf_check_num_bounds, 1,
    NGX_HTTP_EXAM_OPEN_MAX / (EXAM_KINDS_MAX + 1)
};


static ngx_command_t  ngx_http_exam_commands[] = {

    { ngx_string("exam"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_exam_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_exam_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_exam_conf_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_redis_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, redis_timeout),
      &ngx_http_exam_tick_bounds },

    { ngx_string("exam_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_exam_conf_key_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_node"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_exam_conf_node,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_spool"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_exam_conf_spool,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_thread_pool"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, pool_name),
      NULL },

    { ngx_string("exam_kinds"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_exam_conf_kinds,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_flush_interval"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, flush_interval),
      &ngx_http_exam_tick_bounds },

    { ngx_string("exam_login_early"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, login_early),
      NULL },

    { ngx_string("exam_late_upload"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, late_upload),
      NULL },

    { ngx_string("exam_upload_expire"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, upload_expire),
      NULL },

    { ngx_string("exam_cors_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_exam_conf_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_public_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_exam_conf_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exam_offline_after"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, offline_after),
      &ngx_http_exam_seconds_bounds },

    { ngx_string("exam_heartbeat_interval"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, heartbeat_interval),
      &ngx_http_exam_seconds_bounds },

    { ngx_string("exam_segment_length"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, segment_length),
      &ngx_http_exam_seconds_bounds },

    { ngx_string("exam_takeover"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, takeover),
      &ngx_http_exam_takeovers },

    { ngx_string("exam_max_bytes"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, max_bytes),
      &ngx_http_exam_bytes_bounds },

    { ngx_string("exam_student_quota"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_exam_conf_quota,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, student_quota),
      &ngx_http_exam_bytes_bounds },

    { ngx_string("exam_journal_reserve"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, journal_reserve),
      NULL },

    { ngx_string("exam_spool_low"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, spool_low),
      NULL },

    { ngx_string("exam_upload_max_active"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, upload_max_active),
      NULL },

    { ngx_string("exam_upload_min_rate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, upload_min_rate),
      NULL },

    { ngx_string("exam_upload_buffers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, upload_buffers),
      &ngx_http_exam_buffers_bounds },

    { ngx_string("exam_max_segments"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, max_segments),
      &ngx_http_exam_segments_bounds },

    { ngx_string("exam_segment_window"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, segment_window),
      &ngx_http_exam_window_bounds },

    { ngx_string("exam_kind_uploads"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, kind_uploads),
      &ngx_http_exam_uploads_bounds },

    { ngx_string("exam_file_uploads"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, file_uploads),
      &ngx_http_exam_window_bounds },

    { ngx_string("exam_heartbeat_rate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_exam_conf_rate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, heartbeat_rate),
      NULL },

    { ngx_string("exam_poll_rate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_exam_conf_rate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, poll_rate),
      NULL },

    { ngx_string("exam_events_rate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_exam_conf_rate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_exam_main_conf_t, events_rate),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_exam_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_exam_create_main_conf,        /* create main configuration */
    ngx_http_exam_init_main_conf,          /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_exam_create_loc_conf,         /* create location configuration */
    ngx_http_exam_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_http_exam_module = {
    NGX_MODULE_V1,
    &ngx_http_exam_module_ctx,             /* module context */
    ngx_http_exam_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_exam_init_module,             /* init module */
    ngx_http_exam_init_process,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_exam_exit_process,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_http_exam_redis_t  *ngx_http_exam_redis;


static void *
ngx_http_exam_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_exam_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mcf->zone, redis, keys, thread_pool = NULL;
     *     mcf->node, key_file, spool, pool_name, kinds = empty;
     */

    mcf->redis_timeout = NGX_CONF_UNSET_MSEC;
    mcf->flush_interval = NGX_CONF_UNSET_MSEC;
    mcf->login_early = NGX_CONF_UNSET_MSEC;
    mcf->late_upload = NGX_CONF_UNSET_MSEC;
    mcf->upload_expire = NGX_CONF_UNSET_MSEC;
    mcf->offline_after = NGX_CONF_UNSET_MSEC;
    mcf->heartbeat_interval = NGX_CONF_UNSET_MSEC;
    mcf->segment_length = NGX_CONF_UNSET_MSEC;
    mcf->takeover = NGX_CONF_UNSET_UINT;
    mcf->max_bytes = NGX_CONF_UNSET;
    mcf->student_quota = NGX_CONF_UNSET;
    mcf->journal_reserve = NGX_CONF_UNSET;
    mcf->spool_low = NGX_CONF_UNSET;
    mcf->upload_max_active = NGX_CONF_UNSET;
    mcf->upload_min_rate = NGX_CONF_UNSET_SIZE;
    mcf->upload_buffers = NGX_CONF_UNSET;
    mcf->max_segments = NGX_CONF_UNSET;
    mcf->segment_window = NGX_CONF_UNSET;
    mcf->kind_uploads = NGX_CONF_UNSET;
    mcf->file_uploads = NGX_CONF_UNSET;
    mcf->heartbeat_rate.rate = NGX_CONF_UNSET_UINT;
    mcf->poll_rate.rate = NGX_CONF_UNSET_UINT;
    mcf->events_rate.rate = NGX_CONF_UNSET_UINT;

    return mcf;
}


static char *
ngx_http_exam_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_exam_main_conf_t  *mcf = conf;

    char  *missing;

    static exam_str_t  screen = { 6, (const uint8_t *) "screen" };
    static exam_str_t  camera = { 6, (const uint8_t *) "camera" };

    ngx_conf_init_msec_value(mcf->redis_timeout, 500);
    ngx_conf_init_msec_value(mcf->flush_interval, 1000);
    ngx_conf_init_msec_value(mcf->login_early, 30 * 60 * 1000);
    ngx_conf_init_msec_value(mcf->late_upload, 24 * 60 * 60 * 1000);
    ngx_conf_init_msec_value(mcf->upload_expire, 24 * 60 * 60 * 1000);
    ngx_conf_init_msec_value(mcf->offline_after, 90 * 1000);
    ngx_conf_init_msec_value(mcf->heartbeat_interval, 30 * 1000);
    ngx_conf_init_msec_value(mcf->segment_length, 120 * 1000);
    ngx_conf_init_uint_value(mcf->takeover, NGX_HTTP_EXAM_TAKEOVER);
    ngx_conf_init_value(mcf->max_segments, 2000);
    ngx_conf_init_value(mcf->segment_window, 100);
    ngx_conf_init_value(mcf->kind_uploads, 2);
    ngx_conf_init_value(mcf->file_uploads, 500);
    ngx_conf_init_value(mcf->upload_max_active, 4096);
    ngx_conf_init_size_value(mcf->upload_min_rate, 0);

    ngx_http_exam_limits(mcf);

    if (mcf->kinds.n == 0) {
        mcf->kinds.n = 2;
        mcf->kinds.name[0] = screen;
        mcf->kinds.name[1] = camera;
        ngx_str_set(&mcf->kinds_csv, "screen,camera");
    }

    if (mcf->zone == NULL) {
        return NGX_CONF_OK;
    }

    missing = ngx_http_exam_missing(mcf);
    if (missing != NULL) {
        return missing;
    }

    if (mcf->pool_name.len == 0) {
        ngx_str_set(&mcf->pool_name, NGX_HTTP_EXAM_POOL);
    }

    mcf->thread_pool = ngx_thread_pool_add(cf, &mcf->pool_name);
    if (mcf->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->redis->timeout = mcf->redis_timeout;
    mcf->zone->late_upload = mcf->late_upload;
    mcf->zone->offline_after = mcf->offline_after;
    mcf->zone->gap_limit = exam_gap_limit((int64_t) mcf->heartbeat_interval);

    return NGX_CONF_OK;
}


/* defaults that nginx has no macro for: sizes of 64 bits, and rates */

static void
ngx_http_exam_limits(ngx_http_exam_main_conf_t *mcf)
{
    if (mcf->max_bytes == NGX_CONF_UNSET) {
        mcf->max_bytes = 50 * 1024 * 1024;
    }

    if (mcf->student_quota == NGX_CONF_UNSET) {
        mcf->student_quota = 0;
    }

    if (mcf->journal_reserve == NGX_CONF_UNSET) {
        mcf->journal_reserve = 64 * 1024 * 1024;
    }

    if (mcf->upload_buffers == NGX_CONF_UNSET) {
        mcf->upload_buffers = 512 * 1024 * 1024;
    }

    if (mcf->spool_low == NGX_CONF_UNSET) {
        mcf->spool_low = 256 * 1024 * 1024;
    }

    if (mcf->heartbeat_rate.rate == NGX_CONF_UNSET_UINT) {
        mcf->heartbeat_rate.rate = 2000;
        mcf->heartbeat_rate.burst = 20;
    }

    if (mcf->poll_rate.rate == NGX_CONF_UNSET_UINT) {
        mcf->poll_rate.rate = 1000;
        mcf->poll_rate.burst = 20;
    }

    /* 60 a minute, whenever in it they come */

    if (mcf->events_rate.rate == NGX_CONF_UNSET_UINT) {
        mcf->events_rate.rate = 1000;
        mcf->events_rate.burst = 59;
    }
}


/* what "exam_zone" cannot be without; NULL: nothing is missing */

static char *
ngx_http_exam_missing(ngx_http_exam_main_conf_t *mcf)
{
    if (mcf->redis == NULL) {
        return "needs \"exam_redis\" beside \"exam_zone\"";
    }

    if (mcf->keys == NULL) {
        return "needs \"exam_key_file\" beside \"exam_zone\"";
    }

    if (mcf->spool.len == 0) {
        return "needs \"exam_spool\" beside \"exam_zone\"";
    }

    if (mcf->node.len == 0) {
        return "needs \"exam_node\" beside \"exam_zone\"";
    }

    return NULL;
}


static void *
ngx_http_exam_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_exam_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_exam_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->endpoint = NGX_HTTP_EXAM_OFF;   (not inherited)
     *     lcf->public_url = empty;
     */

    lcf->cors = NGX_CONF_UNSET_PTR;

    return lcf;
}


/*
 * The limits of bodies are part of the contract, not of the configuration: they
 * are put over what client_max_body_size says, and the buffer is made large
 * enough that no body of these goes to a file.
 */

static char *
ngx_http_exam_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_exam_loc_conf_t *prev = parent;
    ngx_http_exam_loc_conf_t *conf = child;

    size_t                      limit;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_exam_main_conf_t  *mcf;

    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);
    ngx_conf_merge_str_value(conf->public_url, prev->public_url, "");

    if (conf->endpoint == NGX_HTTP_EXAM_OFF) {
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_exam_module);

    if (mcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"exam\" needs \"exam_zone\" at the http level");
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    limit = ngx_http_exam_endpoints[conf->endpoint - 1].body;

    clcf->client_max_body_size = (off_t) limit;

    if (clcf->client_body_buffer_size < limit) {
        clcf->client_body_buffer_size = limit;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_exam_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_loc_conf_t  *lcf = conf;

    ngx_str_t                 *value, *name;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->endpoint != NGX_HTTP_EXAM_OFF) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; ngx_http_exam_endpoints[i].name.len; i++) {
        name = &ngx_http_exam_endpoints[i].name;

        if (name->len == value[1].len
            && ngx_strncmp(name->data, value[1].data, name->len) == 0)
        {
            clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
            clcf->handler = ngx_http_exam_endpoints[i].handler;

            lcf->endpoint = i + 1;

            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid endpoint \"%V\"",
                       &value[1]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_exam_check_bytes(ngx_conf_t *cf, void *post, void *data)
{
    off_t *bytes = data;

    if (*bytes > 0) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "value must be greater than 0");

    return NGX_CONF_ERROR;
}


/* less than a few uploads hold would make them wait for each other */

static char *
ngx_http_exam_check_buffers(ngx_conf_t *cf, void *post, void *data)
{
    off_t *bytes = data;

    if (*bytes >= 4 * 1024 * 1024) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "value must be at least 4m");

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_exam_init_module(ngx_cycle_t *cycle)
{
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    if (mcf == NULL || mcf->zone == NULL || ngx_test_config) {
        return NGX_OK;
    }

    return ngx_http_exam_spool_create(cycle);
}


/*
 * Never NGX_ERROR for what can be degraded: a worker process that fails here is
 * not started again.
 */

static ngx_int_t
ngx_http_exam_init_process(ngx_cycle_t *cycle)
{
    ngx_http_exam_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    if (mcf == NULL || mcf->zone == NULL) {
        return NGX_OK;
    }

    ngx_http_exam_redis = ngx_http_exam_redis_create(cycle, mcf->redis);
    if (ngx_http_exam_redis == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_exam_spool_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_exam_disk_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_exam_journal_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_exam_peers_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exam_flush_init(cycle);
}


static void
ngx_http_exam_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_exam_redis == NULL) {
        return;
    }

    ngx_http_exam_flush_exit(cycle);
    ngx_http_exam_peers_exit(cycle);
    ngx_http_exam_journal_exit(cycle);
    ngx_http_exam_disk_exit(cycle);
    ngx_http_exam_spool_exit(cycle);

    ngx_http_exam_redis_destroy(ngx_http_exam_redis);
    ngx_http_exam_redis = NULL;
}
