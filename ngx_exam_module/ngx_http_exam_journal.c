
/*
 * The journal of a worker process: buffers, commits, the reserve's state; see
 * the header.  The disk is touched in ngx_http_exam_journal_file.c, in a thread
 * of the upload pool, or at the very end by the process itself.
 *
 * Two buffers: records are added to `filling`; `writing` belongs to the task
 * while one is in flight.  A failed commit answers the handlers in `writing`,
 * takes their records out (nobody was told that they count) and leaves the
 * others there for the next one, ahead of what came meanwhile.
 */


#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_journal_file.h"
#include "ngx_http_exam_spool.h"


#define NGX_HTTP_EXAM_JOURNAL_WAIT     50       /* ms, for company */
#define NGX_HTTP_EXAM_JOURNAL_RETRY    1000
#define NGX_HTTP_EXAM_JOURNAL_LONG     60000    /* a task; told, waited for */
#define NGX_HTTP_EXAM_JOURNAL_RESERVE  2000     /* between two looks */
#define NGX_HTTP_EXAM_JOURNAL_WAITERS  4096     /* handlers a buffer */


typedef struct {
    ngx_http_exam_journal_pt          handler;
    void                             *data;
    size_t                            start;    /* of its record */
    size_t                            end;
} ngx_http_exam_journal_waiter_t;


typedef struct {
    u_char                           *start;
    size_t                            len;
    ngx_uint_t                        records;
    ngx_uint_t                        nwaiters;
    ngx_http_exam_journal_waiter_t   *waiters;  /* in the order of records */
} ngx_http_exam_journal_buf_t;


typedef struct {
    ngx_connection_t                  dummy;    /* what debug logs look at */
    ngx_http_exam_main_conf_t        *mcf;
    ngx_log_t                        *log;

    ngx_http_exam_journal_buf_t      *filling;
    ngx_http_exam_journal_buf_t      *writing;
    ngx_http_exam_journal_buf_t       bufs[2];

    ngx_event_t                       soon;     /* behind this turn's events */
    ngx_event_t                       timer;    /* company, or a retry */
    ngx_thread_task_t                *task;
    ngx_uint_t                        busy;     /* the task is in flight */
    ngx_http_exam_journal_file_t      file;

    ngx_event_t                       look;
    ngx_thread_task_t                *reserve_task;
    ngx_http_exam_journal_reserve_t   reserve;
    int                               held;     /* what the task found */
} ngx_http_exam_journal_t;


static ngx_int_t ngx_http_exam_journal_memory(ngx_cycle_t *cycle,
    ngx_http_exam_journal_t *j);
static char *ngx_http_exam_journal_path(ngx_cycle_t *cycle, ngx_str_t *spool);
static void ngx_http_exam_journal_soon(ngx_event_t *ev);
static void ngx_http_exam_journal_timer(ngx_event_t *ev);
static void ngx_http_exam_journal_commit(ngx_http_exam_journal_t *j);
static ngx_uint_t ngx_http_exam_journal_take(ngx_http_exam_journal_t *j);
static void ngx_http_exam_journal_wait(ngx_http_exam_journal_t *j,
    ngx_msec_t delay, unsigned cancelable);
static void ngx_http_exam_journal_thread(void *data, ngx_log_t *log);
static void ngx_http_exam_journal_done(ngx_event_t *ev);
static void ngx_http_exam_journal_written(ngx_http_exam_journal_t *j);
static void ngx_http_exam_journal_failed(ngx_http_exam_journal_t *j);
static void ngx_http_exam_journal_drop(ngx_http_exam_journal_buf_t *b);
static void ngx_http_exam_journal_report(ngx_http_exam_journal_t *j,
    int error, const char *call);
static void ngx_http_exam_journal_look(ngx_event_t *ev);
static void ngx_http_exam_journal_reserve_thread(void *data, ngx_log_t *log);
static void ngx_http_exam_journal_reserve_done(ngx_event_t *ev);


static ngx_http_exam_journal_t  *ngx_http_exam_journal_this;


/* never fails for the disk's sake */

ngx_int_t
ngx_http_exam_journal_init(ngx_cycle_t *cycle)
{
    ngx_http_exam_main_conf_t  *mcf;
    ngx_http_exam_journal_t    *j;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    j = ngx_pcalloc(cycle->pool, sizeof(ngx_http_exam_journal_t));
    if (j == NULL || ngx_http_exam_journal_memory(cycle, j) != NGX_OK) {
        return NGX_ERROR;
    }

    j->dummy.fd = (ngx_socket_t) -1;
    j->mcf = mcf;
    j->log = cycle->log;

    j->file.path = ngx_http_exam_journal_path(cycle, &mcf->spool);
    if (j->file.path == NULL) {
        return NGX_ERROR;
    }

    j->file.boot = ngx_http_exam_spool.boot_id;
    j->file.pid = (uint64_t) ngx_pid;
    j->file.dir = -1;
    j->file.fd = -1;

    j->reserve.path = j->file.path;
    j->reserve.size = (int64_t) mcf->journal_reserve;

    j->soon.data = j;
    j->soon.handler = ngx_http_exam_journal_soon;
    j->soon.log = cycle->log;

    j->timer.data = j;
    j->timer.handler = ngx_http_exam_journal_timer;
    j->timer.log = cycle->log;

    j->task->ctx = j;
    j->task->handler = ngx_http_exam_journal_thread;
    j->task->event.data = j;
    j->task->event.handler = ngx_http_exam_journal_done;
    j->task->event.log = cycle->log;

    j->reserve_task->ctx = j;
    j->reserve_task->handler = ngx_http_exam_journal_reserve_thread;
    j->reserve_task->event.data = j;
    j->reserve_task->event.handler = ngx_http_exam_journal_reserve_done;
    j->reserve_task->event.log = cycle->log;

    j->look.data = j;
    j->look.handler = ngx_http_exam_journal_look;
    j->look.log = cycle->log;
    j->look.cancelable = 1;

    ngx_http_exam_journal_this = j;

    /* one process looks after the reserve */

    if (ngx_worker == 0) {
        ngx_add_timer(&j->look, 1);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_journal_memory(ngx_cycle_t *cycle, ngx_http_exam_journal_t *j)
{
    ngx_uint_t                    i;
    ngx_http_exam_journal_buf_t  *b;

    for (i = 0; i < 2; i++) {
        b = &j->bufs[i];

        /* pages that no record touches take no memory */

        b->start = ngx_palloc(cycle->pool, NGX_HTTP_EXAM_JOURNAL_BUFFER);
        b->waiters = ngx_palloc(cycle->pool,
                                NGX_HTTP_EXAM_JOURNAL_WAITERS
                                * sizeof(ngx_http_exam_journal_waiter_t));

        if (b->start == NULL || b->waiters == NULL) {
            return NGX_ERROR;
        }
    }

    j->filling = &j->bufs[0];
    j->writing = &j->bufs[1];

    j->task = ngx_thread_task_alloc(cycle->pool, 0);
    j->reserve_task = ngx_thread_task_alloc(cycle->pool, 0);

    return (j->task == NULL || j->reserve_task == NULL) ? NGX_ERROR : NGX_OK;
}


static char *
ngx_http_exam_journal_path(ngx_cycle_t *cycle, ngx_str_t *spool)
{
    u_char  *path, *p;

    path = ngx_pnalloc(cycle->pool, spool->len + sizeof("/journal"));

    if (path != NULL) {
        p = ngx_cpymem(path, spool->data, spool->len);
        ngx_memcpy(p, "/journal", sizeof("/journal"));
    }

    return (char *) path;
}


/*
 * The threads are gone by now, and a task that was in flight has run to its
 * end.  What is left is written here: nobody is kept waiting any more.
 */

void
ngx_http_exam_journal_exit(ngx_cycle_t *cycle)
{
    ngx_http_exam_journal_t  *j;

    j = ngx_http_exam_journal_this;

    if (j == NULL) {
        return;
    }

    if (j->busy && j->file.error == 0) {
        j->writing->len = 0;
    }

    while (ngx_http_exam_journal_take(j)) {

        if (ngx_http_exam_journal_file_write(&j->file, j->writing->start,
                                             j->writing->len)
            != 0)
        {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, j->file.error,
                          "exam %s in the journal failed at the end, "
                          "%uz bytes lost", j->file.call,
                          j->writing->len + j->filling->len);
            break;
        }

        j->writing->len = 0;
    }

    if (j->timer.timer_set) {
        ngx_del_timer(&j->timer);
    }

    if (j->look.timer_set) {
        ngx_del_timer(&j->look);
    }

    if (j->soon.posted) {
        ngx_delete_posted_event(&j->soon);
    }

    ngx_http_exam_journal_file_close(&j->file);

    if (j->file.dir != -1) {
        (void) close(j->file.dir);
    }

    ngx_http_exam_journal_this = NULL;
}


ngx_int_t
ngx_http_exam_journal(const exam_record_t *r, ngx_http_exam_journal_pt handler,
    void *data)
{
    exam_buf_t                       b;
    exam_record_t                    record;
    ngx_http_exam_journal_t         *j;
    ngx_http_exam_journal_buf_t     *buf;
    ngx_http_exam_journal_waiter_t  *w;

    j = ngx_http_exam_journal_this;

    if (j == NULL) {
        return NGX_BUSY;
    }

    buf = j->filling;

    record = *r;
    record.node = j->mcf->node;

    exam_buf_init(&b, buf->start + buf->len,
                  NGX_HTTP_EXAM_JOURNAL_BUFFER - buf->len);
    exam_record_format(&b, &record);

    if (b.overflow
        || (handler != NULL && buf->nwaiters == NGX_HTTP_EXAM_JOURNAL_WAITERS))
    {
        if (handler == NULL) {
            ngx_http_exam_count(j->mcf, journal_dropped_total, 1);
        }

        return NGX_BUSY;
    }

    if (handler != NULL) {
        w = &buf->waiters[buf->nwaiters++];
        w->handler = handler;
        w->data = data;
        w->start = buf->len;
        w->end = buf->len + exam_buf_len(&b);

    }

    buf->len += exam_buf_len(&b);
    buf->records++;

    if (j->busy) {
        return NGX_OK;
    }

    /* all that this turn of the event loop brings shares the commit */

    if (handler != NULL
        || (j->writing->len == 0
            && buf->len > NGX_HTTP_EXAM_JOURNAL_BUFFER / 2))
    {
        ngx_post_event(&j->soon, &ngx_posted_events);

    } else if (!j->timer.timer_set) {
        ngx_http_exam_journal_wait(j, NGX_HTTP_EXAM_JOURNAL_WAIT, 0);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_exam_journal_full(void)
{
    ngx_http_exam_journal_t  *j;

    j = ngx_http_exam_journal_this;

    return j != NULL && j->mcf->zone->shared->journal_full;
}


static void
ngx_http_exam_journal_soon(ngx_event_t *ev)
{
    ngx_http_exam_journal_commit(ev->data);
}


static void
ngx_http_exam_journal_timer(ngx_event_t *ev)
{
    ngx_http_exam_journal_commit(ev->data);
}


static void
ngx_http_exam_journal_commit(ngx_http_exam_journal_t *j)
{
    if (j->busy || !ngx_http_exam_journal_take(j)) {
        return;
    }

    if (j->timer.timer_set) {
        ngx_del_timer(&j->timer);
    }

    if (ngx_thread_task_post(j->mcf->thread_pool, j->task) != NGX_OK) {

        /* its queue is full: uploads are being written as fast as can be */

        ngx_http_exam_journal_wait(j, NGX_HTTP_EXAM_JOURNAL_WAIT, 0);
        return;
    }

    j->busy = 1;

    /* not cancelable: the process stays until the task is done */

    ngx_add_timer(&j->task->event, NGX_HTTP_EXAM_JOURNAL_LONG);
}


/* what is to be written now into `writing`; 0: there is nothing */

static ngx_uint_t
ngx_http_exam_journal_take(ngx_http_exam_journal_t *j)
{
    ngx_uint_t                    i;
    ngx_http_exam_journal_buf_t  *w, *f;

    w = j->writing;
    f = j->filling;

    if (w->len == 0) {
        j->writing = f;
        j->filling = w;

        w->records = 0;
        w->nwaiters = 0;

        return f->len > 0;
    }

    /* left by a failed commit: goes first, and with the others if they fit */

    if (f->len > NGX_HTTP_EXAM_JOURNAL_BUFFER - w->len
        || f->nwaiters > NGX_HTTP_EXAM_JOURNAL_WAITERS - w->nwaiters)
    {
        return 1;
    }

    ngx_memcpy(w->start + w->len, f->start, f->len);

    for (i = 0; i < f->nwaiters; i++) {
        w->waiters[w->nwaiters] = f->waiters[i];
        w->waiters[w->nwaiters].start += w->len;
        w->waiters[w->nwaiters++].end += w->len;
    }

    w->len += f->len;
    w->records += f->records;

    f->len = 0;
    f->records = 0;
    f->nwaiters = 0;

    return 1;
}


static void
ngx_http_exam_journal_wait(ngx_http_exam_journal_t *j, ngx_msec_t delay,
    unsigned cancelable)
{
    if (j->timer.timer_set) {
        ngx_del_timer(&j->timer);
    }

    j->timer.cancelable = cancelable;

    ngx_add_timer(&j->timer, delay);
}


static void
ngx_http_exam_journal_thread(void *data, ngx_log_t *log)
{
    ngx_http_exam_journal_t *j = data;

    (void) ngx_http_exam_journal_file_write(&j->file, j->writing->start,
                                            j->writing->len);
}


static void
ngx_http_exam_journal_done(ngx_event_t *ev)
{
    ngx_http_exam_journal_t *j = ev->data;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                      "exam write of the journal takes long");
        ngx_add_timer(ev, NGX_HTTP_EXAM_JOURNAL_LONG);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    j->busy = 0;

    if (j->file.released && !j->mcf->zone->shared->journal_full) {
        j->mcf->zone->shared->journal_full = 1;
        ngx_log_error(NGX_LOG_ALERT, j->log, j->file.released,
                      "exam spool is full, the journal's reserve is in use");
    }

    if (j->file.error == 0) {
        ngx_http_exam_journal_written(j);

        if (j->filling->nwaiters > 0) {
            ngx_http_exam_journal_commit(j);

        } else if (j->filling->len > 0) {
            ngx_http_exam_journal_wait(j, NGX_HTTP_EXAM_JOURNAL_WAIT, 0);
        }

        return;
    }

    ngx_http_exam_journal_report(j, j->file.error, j->file.call);
    ngx_http_exam_journal_failed(j);

    /* who waits is told at once whether the next try is any better */

    if (j->filling->nwaiters > 0) {
        ngx_http_exam_journal_commit(j);

    } else if (j->writing->len > 0 || j->filling->len > 0) {
        ngx_http_exam_journal_wait(j, NGX_HTTP_EXAM_JOURNAL_RETRY, 1);
    }
}


static void
ngx_http_exam_journal_written(ngx_http_exam_journal_t *j)
{
    ngx_uint_t                    i;
    ngx_http_exam_journal_buf_t  *b;

    b = j->writing;

    ngx_http_exam_count(j->mcf, journal_records_total, b->records);
    ngx_http_exam_count(j->mcf, journal_bytes_total, b->len);
    ngx_http_exam_observe(j->mcf, journal_sync, j->file.sync_us);

    b->len = 0;
    b->records = 0;

    /* a handler may add records: to the other buffer */

    for (i = 0; i < b->nwaiters; i++) {
        b->waiters[i].handler(b->waiters[i].data, NGX_OK);
    }

    b->nwaiters = 0;
}


static void
ngx_http_exam_journal_failed(ngx_http_exam_journal_t *j)
{
    ngx_int_t                     rc;
    ngx_uint_t                    i, n;
    ngx_http_exam_journal_buf_t  *b;

    b = j->writing;
    n = b->nwaiters;
    rc = (j->file.error == NGX_ENOSPC || j->file.error == EDQUOT)
         ? NGX_ABORT : NGX_ERROR;

    ngx_http_exam_journal_drop(b);

    for (i = 0; i < n; i++) {
        b->waiters[i].handler(b->waiters[i].data, rc);
    }
}


/* takes out the records of those who are told that they do not count */

static void
ngx_http_exam_journal_drop(ngx_http_exam_journal_buf_t *b)
{
    size_t      to, next;
    ngx_uint_t  i;

    to = b->nwaiters ? b->waiters[0].start : b->len;

    for (i = 0; i < b->nwaiters; i++) {
        next = (i + 1 < b->nwaiters) ? b->waiters[i + 1].start : b->len;

        ngx_memmove(b->start + to, b->start + b->waiters[i].end,
                    next - b->waiters[i].end);
        to += next - b->waiters[i].end;
    }

    b->len = to;
    b->records -= b->nwaiters;
    b->nwaiters = 0;
}


/* once in ten seconds: it is tried again and again */

static void
ngx_http_exam_journal_report(ngx_http_exam_journal_t *j, int error,
    const char *call)
{
    ngx_http_exam_shared_t  *sh;

    static time_t  told;

    sh = j->mcf->zone->shared;

    ngx_http_exam_count(j->mcf, journal_errors_total, 1);
    sh->journal_failed = (ngx_atomic_uint_t) ngx_time();

    if (ngx_time() - told < 10) {
        return;
    }

    told = ngx_time();

    ngx_log_error(NGX_LOG_ALERT, j->log, error,
                  "exam %s in the journal failed", call);
}


static void
ngx_http_exam_journal_look(ngx_event_t *ev)
{
    ngx_http_exam_journal_t *j = ev->data;

    if (ngx_exiting) {
        return;
    }

    j->reserve.missing = (j->mcf->zone->shared->journal_full != 0);

    if (ngx_thread_task_post(j->mcf->thread_pool, j->reserve_task) != NGX_OK) {
        ngx_add_timer(&j->look, NGX_HTTP_EXAM_JOURNAL_RESERVE);
        return;
    }

    ngx_add_timer(&j->reserve_task->event, NGX_HTTP_EXAM_JOURNAL_LONG);
}


static void
ngx_http_exam_journal_reserve_thread(void *data, ngx_log_t *log)
{
    ngx_http_exam_journal_t *j = data;

    j->held = (ngx_http_exam_journal_reserve_check(&j->reserve) == 0);
}


static void
ngx_http_exam_journal_reserve_done(ngx_event_t *ev)
{
    ngx_http_exam_shared_t   *sh;
    ngx_http_exam_journal_t  *j = ev->data;

    static ngx_uint_t  counted;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_add_timer(ev, NGX_HTTP_EXAM_JOURNAL_LONG);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    sh = j->mcf->zone->shared;

    if (j->reserve.counted && !counted) {
        counted = 1;
        sh->unreserved = 1;
        ngx_log_error(NGX_LOG_WARN, j->log, 0,
                      "exam spool's file system has no fallocate(): the "
                      "journal's reserve is only compared with what is free");
    }

    if (j->held && sh->journal_full) {
        sh->journal_full = 0;
        ngx_log_error(NGX_LOG_NOTICE, j->log, 0,
                      "exam journal has its reserve again");

    } else if (!j->held && j->reserve.error != NGX_ENOSPC
               && j->reserve.error != EDQUOT)
    {
        /* that says nothing of room: uploads and events are tried */

        ngx_http_exam_journal_report(j, j->reserve.error, j->reserve.call);

    } else if (!j->held && !sh->journal_full) {
        sh->journal_full = 1;
        ngx_log_error(NGX_LOG_ALERT, j->log, j->reserve.error,
                      "exam %s of the journal's reserve failed, events are "
                      "refused", j->reserve.call);
    }

    if (!ngx_exiting) {
        ngx_add_timer(&j->look, NGX_HTTP_EXAM_JOURNAL_RESERVE);
    }
}
