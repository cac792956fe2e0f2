
/*
 * What becomes of an incomplete upload whose number has come otherwise, or will
 * never come (see ngx_http_exam_intake.h).
 *
 * Runs on the event loop but for _thread.  Its place is free at once; its files
 * give way to a tombstone in a thread.  Where that fails they stay until they
 * expire, and count for nothing: whoever goes on with them meets what the
 * number has.
 */


#include "ngx_http_exam_intake.h"
#include "ngx_http_exam_part.h"


#define NGX_HTTP_EXAM_END_RETRY  10     /* ms, another one is at it */
#define NGX_HTTP_EXAM_END_TRIES  100
#define NGX_HTTP_EXAM_END_LONG   60000  /* ms of a task, then a warning */


typedef struct {
    ngx_pool_t                    *pool;
    ngx_http_exam_main_conf_t     *mcf;
    ngx_thread_task_t             *task;
    ngx_event_t                    retry;
    ngx_uint_t                     tries;
    ngx_http_exam_yield_t          ask;
    exam_gone_e                    state;
    ngx_http_exam_part_e           found;
    ngx_http_exam_writer_t         writer;
    ngx_http_exam_intake_end_pt    handler;
    void                          *data;
} ngx_http_exam_end_t;


static ngx_int_t ngx_http_exam_end_id(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, exam_str_t *id,
    u_char memory[EXAM_UPLOAD_MAX]);
static ngx_http_exam_end_t *ngx_http_exam_end_create(
    ngx_http_exam_main_conf_t *mcf, exam_str_t id);
static ngx_int_t ngx_http_exam_end_post(ngx_http_exam_end_t *e);
static void ngx_http_exam_end_thread(void *data, ngx_log_t *log);
static void ngx_http_exam_end_done(ngx_event_t *ev);
static void ngx_http_exam_end_again(ngx_event_t *ev);
static void ngx_http_exam_end_finish(ngx_http_exam_end_t *e);


void
ngx_http_exam_intake_end(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, exam_str_t id, exam_gone_e state,
    ngx_http_exam_intake_end_pt handler, void *data)
{
    u_char                memory[EXAM_UPLOAD_MAX];
    ngx_http_exam_end_t  *e;

    e = NULL;

    if (ngx_http_exam_end_id(mcf, seg, &id, memory) == NGX_OK) {
        e = ngx_http_exam_end_create(mcf, id);
    }

    if (e == NULL) {

        if (handler != NULL) {
            handler(data);
        }

        return;
    }

    e->state = state;
    e->handler = handler;
    e->data = data;

    if (ngx_http_exam_end_post(e) != NGX_OK) {
        ngx_http_exam_end_finish(e);
    }
}


/* the zone's, whose place is given back, or the ledger's, if it is of here */

static ngx_int_t
ngx_http_exam_end_id(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, exam_str_t *id,
    u_char memory[EXAM_UPLOAD_MAX])
{
    exam_buf_t            b;
    ngx_http_exam_held_t  held;

    if (ngx_http_exam_intake_free(mcf, seg, &held) != NGX_OK) {
        return id->len > 0 && ngx_http_exam_intake_here(mcf, *id)
               ? NGX_OK : NGX_DECLINED;
    }

    exam_buf_init(&b, memory, EXAM_UPLOAD_MAX);
    ngx_http_exam_upload_id(&b, mcf, held.id);
    *id = exam_str_make(memory, exam_buf_len(&b));

    return NGX_OK;
}


ngx_int_t
ngx_http_exam_intake_free(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, ngx_http_exam_held_t *held)
{
    ngx_memzero(held, sizeof(ngx_http_exam_held_t));

    held->kind = (unsigned) seg->kind & 0xff;
    held->n = seg->n & 0xffffff;

    /* one that is being made just now is not on the disk yet */

    if (ngx_http_exam_zone_upload_find(mcf->zone, seg->sid, held) != NGX_OK
        || held->pid != 0)
    {
        return NGX_DECLINED;
    }

    ngx_http_exam_zone_upload_drop(mcf->zone, seg->sid, held->id);

    return NGX_OK;
}


ngx_uint_t
ngx_http_exam_intake_here(ngx_http_exam_main_conf_t *mcf, exam_str_t id)
{
    return exam_id_upload(id) && id.len > mcf->node.len
           && id.data[mcf->node.len] == '-'
           && ngx_memcmp(id.data, mcf->node.data, mcf->node.len) == 0;
}


static ngx_http_exam_end_t *
ngx_http_exam_end_create(ngx_http_exam_main_conf_t *mcf, exam_str_t id)
{
    ngx_pool_t           *pool;
    ngx_http_exam_end_t  *e;

    if (ngx_http_exam_spool.dir == -1 || ngx_http_exam_spool.ready == -1) {
        return NULL;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    e = ngx_pcalloc(pool, sizeof(ngx_http_exam_end_t));
    if (e == NULL) {
        goto failed;
    }

    ngx_http_exam_writer_init(&e->writer);

    e->writer.spool = ngx_http_exam_spool.dir;
    e->writer.ready = ngx_http_exam_spool.ready;
    e->writer.resumable = 1;
    e->writer.boot = ngx_http_exam_spool.boot_id;
    e->writer.expire = mcf->upload_expire / 1000;
    e->writer.arena = ngx_palloc(pool, EXAM_MANIFEST_ARENA);
    e->task = ngx_thread_task_alloc(pool, 0);

    if (e->writer.arena == NULL || e->task == NULL
        || ngx_http_exam_copy(pool, &id) != NGX_OK
        || !exam_hex_decode(id.data + id.len - 2 * sizeof(e->ask.id),
                            2 * sizeof(e->ask.id), e->ask.id,
                            sizeof(e->ask.id)))
    {
        goto failed;
    }

    e->pool = pool;
    e->mcf = mcf;
    e->writer.manifest.id = id;
    e->ask.since = ngx_http_exam_writer_clock_us();

    e->task->ctx = e;
    e->task->handler = ngx_http_exam_end_thread;
    e->task->event.data = e;
    e->task->event.handler = ngx_http_exam_end_done;
    e->task->event.log = ngx_cycle->log;

    e->retry.data = e;
    e->retry.handler = ngx_http_exam_end_again;
    e->retry.log = ngx_cycle->log;

    return e;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


static ngx_int_t
ngx_http_exam_end_post(ngx_http_exam_end_t *e)
{
    if (ngx_http_exam_spool.exiting
        || ngx_thread_task_post(e->mcf->thread_pool, e->task) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* not cancelable: the process stays until the task is done */

    ngx_add_timer(&e->task->event, NGX_HTTP_EXAM_END_LONG);

    return NGX_OK;
}


/* in a pool thread */

static void
ngx_http_exam_end_thread(void *data, ngx_log_t *log)
{
    ngx_http_exam_end_t *e = data;

    e->found = ngx_http_exam_part_acquire(&e->writer);

    if (e->found == NGX_HTTP_EXAM_PART_OWNED
        && ngx_http_exam_part_terminate(&e->writer, e->state) != 0)
    {
        e->found = NGX_HTTP_EXAM_PART_FAILED;
    }

    if (e->found == NGX_HTTP_EXAM_PART_BUSY && e->handler != NULL) {
        ngx_http_exam_yield_ask(e->writer.spool, &e->ask);
    }
}


static void
ngx_http_exam_end_done(ngx_event_t *ev)
{
    ngx_http_exam_end_t *e = ev->data;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                      "exam upload's end waits long for the disk");
        ngx_add_timer(ev, NGX_HTTP_EXAM_END_LONG);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (e->found == NGX_HTTP_EXAM_PART_FAILED) {
        ngx_log_error(NGX_LOG_ERR, ev->log, e->writer.error,
                      "exam %s for upload \"%*s\" failed", e->writer.call,
                      e->writer.manifest.id.len, e->writer.manifest.id.data);
    }

    if (e->found == NGX_HTTP_EXAM_PART_COMPLETE && e->writer.finished) {
        ngx_http_exam_intake_whole(e->mcf, &e->writer.manifest);
    }

    /* nobody waits: who is at it comes to its end and finds the number taken */

    if (e->found == NGX_HTTP_EXAM_PART_BUSY && e->handler != NULL
        && e->tries++ < NGX_HTTP_EXAM_END_TRIES)
    {
        ngx_http_exam_upload_yield(&e->ask);
        ngx_add_timer(&e->retry, NGX_HTTP_EXAM_END_RETRY);
        return;
    }

    ngx_http_exam_end_finish(e);
}


static void
ngx_http_exam_end_again(ngx_event_t *ev)
{
    ngx_http_exam_end_t *e = ev->data;

    if (ngx_http_exam_end_post(e) != NGX_OK) {
        ngx_http_exam_end_finish(e);
    }
}


static void
ngx_http_exam_end_finish(ngx_http_exam_end_t *e)
{
    void                         *data;
    ngx_http_exam_intake_end_pt   handler;

    data = e->data;
    handler = e->handler;

    ngx_destroy_pool(e->pool);

    if (handler != NULL) {
        handler(data);
    }
}
