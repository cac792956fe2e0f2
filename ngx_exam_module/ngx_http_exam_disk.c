
/*
 * Watermarks of the spool's disk (see the header).
 *
 * A timer posts fstatvfs() to the pool of the uploads, one task at a time: a
 * disk that hangs leaves the last figures standing.  Where the file system
 * cannot reserve room, what running uploads have still to come counts as gone.
 */


#include "ngx_http_exam_disk.h"
#include "ngx_http_exam_journal.h"
#include "ngx_http_exam_peers.h"
#include "ngx_http_exam_spool.h"

#include "../core/exam_room.h"

#include <sys/statvfs.h>


#define NGX_HTTP_EXAM_DISK_INTERVAL  1000       /* ms */
#define NGX_HTTP_EXAM_DISK_INODES    1024       /* an upload needs three */

#define NGX_HTTP_EXAM_DISK_SURE      12         /* samples, a minute */
#define NGX_HTTP_EXAM_DISK_SOON      (60 * 60 * 1000)   /* ms */


typedef struct {
    int                            dir;
    int                            rc;      /* of the task */
    struct statvfs                 fs;
} ngx_http_exam_disk_look_t;


static void ngx_http_exam_disk_timer(ngx_event_t *ev);
static void ngx_http_exam_disk_thread(void *data, ngx_log_t *log);
static void ngx_http_exam_disk_done(ngx_event_t *ev);
static void ngx_http_exam_disk_forecast(ngx_http_exam_main_conf_t *mcf);
static void ngx_http_exam_disk_mark(ngx_http_exam_main_conf_t *mcf);


ngx_http_exam_disk_t       ngx_http_exam_disk;

static exam_room_t         ngx_http_exam_disk_room;
static ngx_event_t         ngx_http_exam_disk_event;
static ngx_connection_t    ngx_http_exam_disk_dummy;
static ngx_thread_task_t  *ngx_http_exam_disk_task;


ngx_int_t
ngx_http_exam_disk_init(ngx_cycle_t *cycle)
{
    ngx_event_t                *ev;
    ngx_thread_task_t          *task;
    ngx_http_exam_disk_look_t  *look;

    ngx_memzero(&ngx_http_exam_disk_room, sizeof(exam_room_t));

    ngx_http_exam_disk.free = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_disk.total = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_disk.inodes = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_disk.full_at = NGX_HTTP_EXAM_UNKNOWN;
    ngx_http_exam_disk.low = 0;
    ngx_http_exam_disk.soon = 0;

    if (ngx_http_exam_spool.dir == -1) {
        return NGX_OK;
    }

    task = ngx_thread_task_alloc(cycle->pool,
                                 sizeof(ngx_http_exam_disk_look_t));
    if (task == NULL) {
        return NGX_ERROR;
    }

    look = task->ctx;
    look->dir = ngx_http_exam_spool.dir;

    task->handler = ngx_http_exam_disk_thread;
    task->event.handler = ngx_http_exam_disk_done;
    task->event.data = look;
    task->event.log = cycle->log;

    ngx_http_exam_disk_task = task;
    ngx_http_exam_disk_dummy.fd = (ngx_socket_t) -1;

    ev = &ngx_http_exam_disk_event;

    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = ngx_http_exam_disk_timer;
    ev->data = &ngx_http_exam_disk_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, 1);

    return NGX_OK;
}


void
ngx_http_exam_disk_exit(ngx_cycle_t *cycle)
{
    if (ngx_http_exam_disk_event.timer_set) {
        ngx_del_timer(&ngx_http_exam_disk_event);
    }
}


exam_err_e
ngx_http_exam_disk_admit(ngx_http_exam_main_conf_t *mcf, int64_t length)
{
    int64_t                 need;
    ngx_http_exam_stats_t  *st;

    if (ngx_http_exam_disk.low || ngx_http_exam_journal_full()) {
        return EXAM_ERR_DISK_FULL;
    }

    if (ngx_http_exam_disk.free == NGX_HTTP_EXAM_UNKNOWN) {
        return EXAM_OK;
    }

    need = ngx_max(length, 0);

    if (mcf->zone->shared->unreserved) {
        st = &mcf->zone->shared->stats;
        need += ngx_max((int64_t) (st->upload_bytes_expected
                                   - st->upload_bytes_in_flight), 0);
    }

    return (need > ngx_http_exam_disk.free) ? EXAM_ERR_DISK_FULL : EXAM_OK;
}


static void
ngx_http_exam_disk_timer(ngx_event_t *ev)
{
    ngx_http_exam_main_conf_t  *mcf;

    if (ngx_exiting) {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);

    if (ngx_thread_task_post(mcf->thread_pool, ngx_http_exam_disk_task)
        != NGX_OK)
    {
        ngx_add_timer(ev, NGX_HTTP_EXAM_DISK_INTERVAL);
    }
}


static void
ngx_http_exam_disk_thread(void *data, ngx_log_t *log)
{
    ngx_http_exam_disk_look_t *look = data;

    look->rc = fstatvfs(look->dir, &look->fs);
}


static void
ngx_http_exam_disk_done(ngx_event_t *ev)
{
    ngx_http_exam_disk_look_t *look = ev->data;

    ngx_http_exam_disk_t       *disk;
    ngx_http_exam_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_exam_module);
    disk = &ngx_http_exam_disk;

    if (look->rc == 0) {
        disk->free = (int64_t) look->fs.f_bavail
                     * (int64_t) look->fs.f_frsize;
        disk->total = (int64_t) look->fs.f_blocks
                      * (int64_t) look->fs.f_frsize;
        disk->inodes = look->fs.f_files ? (int64_t) look->fs.f_favail
                                        : NGX_HTTP_EXAM_UNKNOWN;

        ngx_http_exam_disk_forecast(mcf);
        ngx_http_exam_disk_mark(mcf);

    } else {
        disk->free = NGX_HTTP_EXAM_UNKNOWN;
        disk->total = NGX_HTTP_EXAM_UNKNOWN;
        disk->inodes = NGX_HTTP_EXAM_UNKNOWN;
        disk->full_at = NGX_HTTP_EXAM_UNKNOWN;
    }

    if (!ngx_exiting) {
        ngx_add_timer(&ngx_http_exam_disk_event, NGX_HTTP_EXAM_DISK_INTERVAL);
    }
}


static void
ngx_http_exam_disk_forecast(ngx_http_exam_main_conf_t *mcf)
{
    int64_t                left;
    ngx_http_exam_disk_t  *disk;

    disk = &ngx_http_exam_disk;

    exam_room_add(&ngx_http_exam_disk_room, (int64_t) ngx_current_msec,
                  disk->free);

    left = exam_room_left(&ngx_http_exam_disk_room, mcf->spool_low);

    disk->full_at = (left < 0) ? NGX_HTTP_EXAM_UNKNOWN
                               : ngx_http_exam_now() + left;

    /* a single burst is no reason to wake somebody */

    disk->soon = disk->free < disk->total / 20
                 || (left >= 0 && left < NGX_HTTP_EXAM_DISK_SOON
                     && ngx_http_exam_disk_room.n >= NGX_HTTP_EXAM_DISK_SURE);
}


static void
ngx_http_exam_disk_mark(ngx_http_exam_main_conf_t *mcf)
{
    unsigned               low;
    ngx_http_exam_disk_t  *disk;

    disk = &ngx_http_exam_disk;

    low = exam_room_low(disk->low, disk->free, mcf->spool_low)
          || (disk->inodes != NGX_HTTP_EXAM_UNKNOWN
              && exam_room_low(disk->low, disk->inodes,
                               NGX_HTTP_EXAM_DISK_INODES));

    if (low && !disk->low) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "exam spool is nearly full, uploads are refused: %L "
                      "bytes and %L inodes are free",
                      disk->free, disk->inodes);

    } else if (!low && disk->low) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "exam spool has room for uploads again");
    }

    disk->low = low;
}
