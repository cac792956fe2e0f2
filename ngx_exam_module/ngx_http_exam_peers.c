
/*
 * The background look at Redis, exam-worker and the machine (see the header).
 *
 * One timer a worker process; Redis is asked through the adapter, files of
 * /proc and the spool's file system are read in the thread pool, one task at a
 * time: a hung disk delays the figures, nothing else.
 */


#include "ngx_http_exam_args.h"
#include "ngx_http_exam_peers.h"

#include <sys/sysmacros.h>


#define NGX_HTTP_EXAM_PEERS_INTERVAL  5000
#define NGX_HTTP_EXAM_PROC_MAX        16384


/* filled in the thread, taken over on the event loop */

typedef struct {
    char       spool[NGX_MAX_PATH];
    int64_t    memory_total_kb;
    int64_t    memory_available_kb;
    int64_t    rss_anon_kb;
    int64_t    cpu_busy;            /* ticks since boot */
    int64_t    cpu_all;
    int64_t    disk_ms;             /* time with I/O since boot */
} ngx_http_exam_machine_t;


static void ngx_http_exam_peers_timer(ngx_event_t *ev);
static void ngx_http_exam_peers_ask(ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_peers_worker(void *data, redisReply *reply);
static void ngx_http_exam_peers_info(void *data, redisReply *reply);
static void ngx_http_exam_peers_time(void *data, redisReply *reply);
static void ngx_http_exam_peers_forget(void);
static int64_t ngx_http_exam_peers_number(const char *p, size_t len);
static void ngx_http_exam_machine_post(ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_machine_thread(void *data, ngx_log_t *log);
static void ngx_http_exam_machine_done(ngx_event_t *ev);
static void ngx_http_exam_machine_cpu(ngx_http_exam_machine_t *m, char *buf);
static void ngx_http_exam_machine_disk(ngx_http_exam_machine_t *m, char *buf);
static ngx_int_t ngx_http_exam_proc(const char *name, char *buf);
static int64_t ngx_http_exam_proc_member(const char *text, const char *name);
static void ngx_http_exam_peers_requests(ngx_http_exam_main_conf_t *mcf);


ngx_http_exam_peers_t            ngx_http_exam_peers;

static ngx_event_t               ngx_http_exam_peers_event;
static ngx_connection_t          ngx_http_exam_peers_dummy;
static ngx_thread_task_t        *ngx_http_exam_machine_task;
static ngx_http_exam_machine_t   ngx_http_exam_machine_last;


ngx_int_t
ngx_http_exam_peers_init(ngx_cycle_t *cycle)
{
    ngx_event_t                *ev;
    ngx_http_exam_machine_t    *m;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    ngx_http_exam_peers_forget();
    ngx_memset(&ngx_http_exam_machine_last, 0xff,
               sizeof(ngx_http_exam_machine_t));

    ngx_http_exam_peers.memory_total_kb = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_peers.memory_available_kb = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_peers.cpu_busy = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_peers.disk_busy = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_peers.requests_per_s = NGX_HTTP_EXAM_UNKNOWN;

    ngx_http_exam_machine_task = ngx_thread_task_alloc(cycle->pool,
                                            sizeof(ngx_http_exam_machine_t));
    if (ngx_http_exam_machine_task == NULL) {
        return NGX_ERROR;
    }

    m = ngx_http_exam_machine_task->ctx;

    ngx_cpystrn((u_char *) m->spool, mcf->spool.data,
                ngx_min(mcf->spool.len + 1, sizeof(m->spool)));

    ngx_http_exam_machine_task->handler = ngx_http_exam_machine_thread;
    ngx_http_exam_machine_task->event.handler = ngx_http_exam_machine_done;
    ngx_http_exam_machine_task->event.data = m;
    ngx_http_exam_machine_task->event.log = cycle->log;

    ev = &ngx_http_exam_peers_event;

    ngx_memzero(ev, sizeof(ngx_event_t));

    ngx_http_exam_peers_dummy.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_exam_peers_timer;
    ev->data = &ngx_http_exam_peers_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    /* the first look at once: a restarted process knows little else */

    ngx_add_timer(ev, 50);

    return NGX_OK;
}


void
ngx_http_exam_peers_exit(ngx_cycle_t *cycle)
{
    if (ngx_http_exam_peers_event.timer_set) {
        ngx_del_timer(&ngx_http_exam_peers_event);
    }
}


static void
ngx_http_exam_peers_timer(ngx_event_t *ev)
{
    ngx_http_exam_main_conf_t  *mcf;

    if (ngx_exiting) {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    ngx_http_exam_flush_watch();
    ngx_http_exam_peers_ask(mcf);
    ngx_http_exam_peers_requests(mcf);
    ngx_http_exam_machine_post(mcf);

    ngx_add_timer(ev, NGX_HTTP_EXAM_PEERS_INTERVAL);
}


static void
ngx_http_exam_peers_ask(ngx_http_exam_main_conf_t *mcf)
{
    size_t                len;
    ngx_http_exam_args_t  args;

    char  key[EXAM_KEY_MAX];

    len = exam_key_worker(key, mcf->node);

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "HGETALL");
    ngx_http_exam_args_word(&args, key, len);

    if (ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                    args.argv, ngx_http_exam_peers_worker,
                                    NULL)
        != NGX_OK)
    {
        ngx_http_exam_peers_forget();
        return;
    }

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "INFO");

    (void) ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                       args.argv, ngx_http_exam_peers_info,
                                       NULL);

    ngx_http_exam_args_init(&args);
    ngx_http_exam_args_lit(&args, "TIME");

    (void) ngx_http_exam_redis_command(ngx_http_exam_redis, NULL, args.n,
                                       args.argv, ngx_http_exam_peers_time,
                                       NULL);
}


static void
ngx_http_exam_peers_worker(void *data, redisReply *reply)
{
    size_t                  i, j;
    redisReply             *name, *value;
    ngx_http_exam_peers_t  *peers;

    static const struct {
        const char  *name;
        size_t       offset;
    } numbers[] = {
        { "lag_s", offsetof(ngx_http_exam_peers_t, worker_lag_s) },
        { "processing_ms",
          offsetof(ngx_http_exam_peers_t, worker_processing_ms) },
        { "stored_total",
          offsetof(ngx_http_exam_peers_t, worker_stored_total) },
        { "failed_total",
          offsetof(ngx_http_exam_peers_t, worker_failed_total) },
        { "ready", offsetof(ngx_http_exam_peers_t, worker_ready) },
        { "journal_lag_bytes",
          offsetof(ngx_http_exam_peers_t, journal_lag_bytes) },
        { "journal_refused_total",
          offsetof(ngx_http_exam_peers_t, journal_refused_total) },
        { "mysql_latency_ms",
          offsetof(ngx_http_exam_peers_t, mysql_latency_ms) },
        { "mysql_connections",
          offsetof(ngx_http_exam_peers_t, mysql_connections) },
        { "mysql_max_connections",
          offsetof(ngx_http_exam_peers_t, mysql_max_connections) },
        { "mysql_slow_queries",
          offsetof(ngx_http_exam_peers_t, mysql_slow_queries) }
    };

    peers = &ngx_http_exam_peers;

    ngx_http_exam_peers_forget();

    if (ngx_http_exam_redis_away(reply) || reply->type != REDIS_REPLY_ARRAY) {
        return;
    }

    for (i = 0; i + 1 < reply->elements; i += 2) {
        name = reply->element[i];
        value = reply->element[i + 1];

        if (name->type != REDIS_REPLY_STRING
            || value->type != REDIS_REPLY_STRING)
        {
            continue;
        }

        if (ngx_strcmp(name->str, "state") == 0) {
            ngx_cpystrn((u_char *) peers->worker_state, (u_char *) value->str,
                        sizeof(peers->worker_state));

        } else if (ngx_strcmp(name->str, "mysql_state") == 0) {
            ngx_cpystrn((u_char *) peers->mysql_state, (u_char *) value->str,
                        sizeof(peers->mysql_state));
        }

        for (j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++) {
            if (ngx_strcmp(name->str, numbers[j].name) == 0) {
                *(int64_t *) ((char *) peers + numbers[j].offset) =
                          ngx_http_exam_peers_number(value->str, value->len);
            }
        }
    }
}


static void
ngx_http_exam_peers_info(void *data, redisReply *reply)
{
    ngx_http_exam_peers_t  *peers;

    if (ngx_http_exam_redis_away(reply) || reply->type != REDIS_REPLY_STRING) {
        return;
    }

    peers = &ngx_http_exam_peers;

    peers->redis_memory_used = ngx_http_exam_proc_member(reply->str,
                                                         "\nused_memory:");
    peers->redis_memory_max = ngx_http_exam_proc_member(reply->str,
                                                        "\nmaxmemory:");
    peers->redis_clients = ngx_http_exam_proc_member(reply->str,
                                                     "\nconnected_clients:");
    peers->redis_maxclients = ngx_http_exam_proc_member(reply->str,
                                                        "\nmaxclients:");
}


static void
ngx_http_exam_peers_time(void *data, redisReply *reply)
{
    int64_t  s, us;

    if (ngx_http_exam_redis_away(reply) || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[1]->type != REDIS_REPLY_STRING)
    {
        return;
    }

    s = ngx_http_exam_peers_number(reply->element[0]->str,
                                   reply->element[0]->len);
    us = ngx_http_exam_peers_number(reply->element[1]->str,
                                    reply->element[1]->len);

    ngx_http_exam_peers.clock_skew_ms = ngx_http_exam_now()
                                        - (s * 1000 + us / 1000);
    ngx_http_exam_peers.skew_known = 1;
}


static void
ngx_http_exam_peers_forget(void)
{
    ngx_http_exam_peers_t  *peers;

    peers = &ngx_http_exam_peers;

    peers->redis_memory_used = NGX_HTTP_EXAM_UNKNOWN;
    peers->redis_memory_max = NGX_HTTP_EXAM_UNKNOWN;
    peers->redis_clients = NGX_HTTP_EXAM_UNKNOWN;
    peers->redis_maxclients = NGX_HTTP_EXAM_UNKNOWN;
    peers->skew_known = 0;

    peers->worker_state[0] = '\0';
    peers->mysql_state[0] = '\0';
    peers->worker_lag_s = NGX_HTTP_EXAM_UNKNOWN;
    peers->worker_processing_ms = NGX_HTTP_EXAM_UNKNOWN;
    peers->worker_stored_total = NGX_HTTP_EXAM_UNKNOWN;
    peers->worker_failed_total = NGX_HTTP_EXAM_UNKNOWN;
    peers->worker_ready = NGX_HTTP_EXAM_UNKNOWN;
    peers->journal_lag_bytes = NGX_HTTP_EXAM_UNKNOWN;
    peers->journal_refused_total = NGX_HTTP_EXAM_UNKNOWN;
    peers->mysql_latency_ms = NGX_HTTP_EXAM_UNKNOWN;
    peers->mysql_connections = NGX_HTTP_EXAM_UNKNOWN;
    peers->mysql_max_connections = NGX_HTTP_EXAM_UNKNOWN;
    peers->mysql_slow_queries = NGX_HTTP_EXAM_UNKNOWN;
}


static int64_t
ngx_http_exam_peers_number(const char *p, size_t len)
{
    uint64_t  n;

    return exam_uint_parse((const uint8_t *) p, len, INT64_MAX, &n)
           ? (int64_t) n : NGX_HTTP_EXAM_UNKNOWN;
}


/* requests of all worker processes, as each of them sees it */

static void
ngx_http_exam_peers_requests(ngx_http_exam_main_conf_t *mcf)
{
    ngx_msec_t                  ms;
    ngx_atomic_uint_t           now;

    static ngx_msec_t           at;
    static ngx_atomic_uint_t    last;

    now = mcf->zone->shared->stats.requests_total;
    ms = ngx_current_msec - at;

    if (at != 0 && ms > 0) {
        ngx_http_exam_peers.requests_per_s =
                                      (int64_t) ((now - last) * 1000 / ms);
    }

    at = ngx_current_msec;
    last = now;
}


static void
ngx_http_exam_machine_post(ngx_http_exam_main_conf_t *mcf)
{
    if (ngx_http_exam_machine_task->event.active) {
        return;
    }

    (void) ngx_thread_task_post(mcf->thread_pool, ngx_http_exam_machine_task);
}


static void
ngx_http_exam_machine_thread(void *data, ngx_log_t *log)
{
    ngx_http_exam_machine_t *m = data;

    char  buf[NGX_HTTP_EXAM_PROC_MAX];

    m->memory_total_kb = NGX_HTTP_EXAM_UNKNOWN;
    m->memory_available_kb = NGX_HTTP_EXAM_UNKNOWN;
    m->rss_anon_kb = NGX_HTTP_EXAM_UNKNOWN;
    m->cpu_all = NGX_HTTP_EXAM_UNKNOWN;
    m->disk_ms = NGX_HTTP_EXAM_UNKNOWN;

    if (ngx_http_exam_proc("/proc/meminfo", buf) == NGX_OK) {
        m->memory_total_kb = ngx_http_exam_proc_member(buf, "MemTotal:");
        m->memory_available_kb = ngx_http_exam_proc_member(buf,
                                                           "MemAvailable:");
    }

    if (ngx_http_exam_proc("/proc/self/status", buf) == NGX_OK) {
        m->rss_anon_kb = ngx_http_exam_proc_member(buf, "RssAnon:");
    }

    ngx_http_exam_machine_cpu(m, buf);
    ngx_http_exam_machine_disk(m, buf);
}


static void
ngx_http_exam_machine_cpu(ngx_http_exam_machine_t *m, char *buf)
{
    int        i;
    char      *p;
    int64_t    ticks;

    if (ngx_http_exam_proc("/proc/stat", buf) != NGX_OK
        || ngx_strncmp(buf, "cpu ", 4) != 0)
    {
        return;
    }

    m->cpu_all = 0;
    m->cpu_busy = 0;
    p = buf + 4;

    /* user nice system idle iowait irq softirq steal */

    for (i = 0; i < 8; i++) {
        ticks = strtoll(p, &p, 10);
        m->cpu_all += ticks;

        if (i != 3 && i != 4) {
            m->cpu_busy += ticks;
        }
    }
}


/* the tenth figure of the spool's device: ms with I/O under way */

static void
ngx_http_exam_machine_disk(ngx_http_exam_machine_t *m, char *buf)
{
    int          i;
    char        *p, *line;
    unsigned     major, minor;
    struct stat  st;

    if (stat(m->spool, &st) == -1
        || ngx_http_exam_proc("/proc/diskstats", buf) != NGX_OK)
    {
        return;
    }

    for (line = buf; line && *line; line = p ? p + 1 : NULL) {
        p = strchr(line, '\n');

        major = (unsigned) strtoul(line, &line, 10);
        minor = (unsigned) strtoul(line, &line, 10);

        if (major != major(st.st_dev) || minor != minor(st.st_dev)) {
            continue;
        }

        line += strspn(line, " ");
        line += strcspn(line, " ");

        for (i = 0; i < 10; i++) {
            m->disk_ms = strtoll(line, &line, 10);
        }

        return;
    }
}


static void
ngx_http_exam_machine_done(ngx_event_t *ev)
{
    ngx_http_exam_machine_t *m = ev->data;

    int64_t                     all;
    ngx_http_exam_peers_t      *peers;
    ngx_http_exam_machine_t    *last;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    peers = &ngx_http_exam_peers;
    last = &ngx_http_exam_machine_last;

    peers->memory_total_kb = m->memory_total_kb;
    peers->memory_available_kb = m->memory_available_kb;
    peers->rss_anon_kb = m->rss_anon_kb;

    if (m->rss_anon_kb >= 0 && ngx_worker < NGX_HTTP_EXAM_RSS_MAX) {
        mcf->zone->shared->rss_anon_kb[ngx_worker] =
                                        (ngx_atomic_uint_t) m->rss_anon_kb;
    }

    all = m->cpu_all - last->cpu_all;

    if (last->cpu_all > 0 && all > 0) {
        peers->cpu_busy = (m->cpu_busy - last->cpu_busy) * 100 / all;
    }

    if (last->disk_ms >= 0 && m->disk_ms >= last->disk_ms) {
        peers->disk_busy = ngx_min(100, (m->disk_ms - last->disk_ms) * 100
                                        / NGX_HTTP_EXAM_PEERS_INTERVAL);
    }

    *last = *m;
}


static ngx_int_t
ngx_http_exam_proc(const char *name, char *buf)
{
    int      fd;
    ssize_t  n;

    fd = open(name, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    n = read(fd, buf, NGX_HTTP_EXAM_PROC_MAX - 1);

    (void) close(fd);

    if (n <= 0) {
        return NGX_ERROR;
    }

    buf[n] = '\0';

    return NGX_OK;
}


/* the number behind `name` */

static int64_t
ngx_http_exam_proc_member(const char *text, const char *name)
{
    const char  *p;

    p = strstr(text, name);

    return p ? strtoll(p + strlen(name), NULL, 10) : NGX_HTTP_EXAM_UNKNOWN;
}
