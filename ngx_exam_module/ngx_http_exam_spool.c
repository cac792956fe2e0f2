
/*
 * The spool: directories at start, recovery and sweep in a pool thread, what
 * waits for the worker into the zone.
 *
 * _create runs in the master, the rest on the event loop of a worker process;
 * the disk is touched by ngx_http_exam_recovery.c in a thread, one task at a
 * time.  The first worker process fills the zone, before anything else and
 * again after a reset: creations wait for that.  It repeats the sweep for
 * owners that die while nobody is started anew.
 */


#include "ngx_http_exam_intake.h"
#include "ngx_http_exam_recovery.h"


#define NGX_HTTP_EXAM_SPOOL_SWEEP  60000    /* ms */
#define NGX_HTTP_EXAM_SPOOL_RETRY  1000     /* Redis, the lock, the zone */
#define NGX_HTTP_EXAM_SPOOL_LONG   60000    /* a task; told, and waited for */


typedef struct {
    ngx_http_exam_main_conf_t     *mcf;
    ngx_thread_task_t             *task;
    ngx_event_t                    timer;
    ngx_connection_t               dummy;   /* what debug logs look at */
    ngx_uint_t                     fill;    /* manifests are being read */
    ngx_http_exam_recovery_e       rc;
    ngx_msec_t                     next;    /* sweep */
    ngx_atomic_uint_t              resets;  /* of the zone, at the last fill */
    ngx_http_exam_recovery_t       rec;
} ngx_http_exam_spool_job_t;


static ngx_int_t ngx_http_exam_spool_mkdir(ngx_cycle_t *cycle, char *path);
static ngx_int_t ngx_http_exam_spool_sync(ngx_cycle_t *cycle, char *path);
static int ngx_http_exam_spool_open(ngx_cycle_t *cycle, ngx_str_t *spool,
    const char *dir);
static void ngx_http_exam_spool_boot(ngx_cycle_t *cycle);
static void ngx_http_exam_spool_timer(ngx_event_t *ev);
static void ngx_http_exam_spool_post(ngx_http_exam_spool_job_t *job);
static void ngx_http_exam_spool_thread(void *data, ngx_log_t *log);
static void ngx_http_exam_spool_done(ngx_event_t *ev);
static void ngx_http_exam_spool_count(ngx_http_exam_spool_job_t *job,
    ngx_log_t *log);
static void ngx_http_exam_spool_received(ngx_http_exam_spool_job_t *job,
    const exam_manifest_t *m, const ngx_http_exam_hash_t *seg);
static void ngx_http_exam_spool_tell(ngx_http_exam_spool_job_t *job,
    const ngx_http_exam_found_t *found);
static void ngx_http_exam_spool_fill(ngx_http_exam_spool_job_t *job,
    const ngx_http_exam_found_t *found);


static u_char  ngx_http_exam_spool_boot_id[EXAM_BOOT_MAX];

ngx_http_exam_spool_t  ngx_http_exam_spool = { -1, -1, { 0, NULL }, 0 };

static ngx_http_exam_spool_job_t  *ngx_http_exam_spool_job;


ngx_int_t
ngx_http_exam_spool_create(ngx_cycle_t *cycle)
{
    char                        path[NGX_MAX_PATH];
    u_char                     *p, *last;
    ngx_str_t                  *spool;
    ngx_uint_t                  i;
    ngx_http_exam_main_conf_t  *mcf;

    static const char  *dirs[] = { "", "part", "ready", "work", "bad",
                                   "journal", NGX_HTTP_EXAM_YIELD_DIR };

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    if (ngx_test_config || mcf == NULL || mcf->zone == NULL) {
        return NGX_OK;
    }

    spool = &mcf->spool;
    last = (u_char *) path + sizeof(path) - 1;

    for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        p = ngx_slprintf((u_char *) path, last, "%V/%s", spool, dirs[i]);
        *p = '\0';

        if (ngx_http_exam_spool_mkdir(cycle, path) != NGX_OK) {
            goto failed;
        }
    }

    for (i = 0; i < 256; i++) {
        p = ngx_slprintf((u_char *) path, last, "%V/part/%02xi", spool, i);
        *p = '\0';

        if (ngx_http_exam_spool_mkdir(cycle, path) != NGX_OK) {
            goto failed;
        }
    }

    /* the names must be there after a power cut, or the files are not either */

    p = ngx_slprintf((u_char *) path, last, "%V/part", spool);
    *p = '\0';

    if (ngx_http_exam_spool_sync(cycle, path) != NGX_OK) {
        goto failed;
    }

    p = ngx_slprintf((u_char *) path, last, "%V", spool);
    *p = '\0';

    if (ngx_http_exam_spool_sync(cycle, path) != NGX_OK) {
        goto failed;
    }

    p = ngx_slprintf((u_char *) path, last, "%V/..", spool);
    *p = '\0';

    if (ngx_http_exam_spool_sync(cycle, path) != NGX_OK) {
        goto failed;
    }

    return NGX_OK;

failed:

    /* an error at a reload would end the master: uploads get 503 instead */

    return ngx_is_init_cycle(cycle->old_cycle) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_exam_spool_mkdir(ngx_cycle_t *cycle, char *path)
{
    ngx_core_conf_t  *ccf;
    ngx_file_info_t   fi;

    if (mkdir(path, 0700) == -1 && ngx_errno != NGX_EEXIST) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "exam mkdir() \"%s\" failed", path);
        return NGX_ERROR;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ccf->user == (ngx_uid_t) NGX_CONF_UNSET_UINT || geteuid() != 0) {
        return NGX_OK;
    }

    if (ngx_file_info((u_char *) path, &fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "exam stat() \"%s\" failed", path);
        return NGX_ERROR;
    }

    if (fi.st_uid != ccf->user && chown(path, ccf->user, (gid_t) -1) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "exam chown() \"%s\" failed", path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_spool_sync(ngx_cycle_t *cycle, char *path)
{
    int        fd;
    ngx_int_t  rc;

    rc = NGX_OK;
    fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    /* EINVAL: a file system without directory sync needs none */

    if (fd == -1 || (fsync(fd) == -1 && ngx_errno != NGX_EINVAL)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "exam sync of \"%s\" failed", path);
        rc = NGX_ERROR;
    }

    if (fd != -1) {
        (void) close(fd);
    }

    return rc;
}


/* never fails for the disk's sake: then there would be no process at all */

ngx_int_t
ngx_http_exam_spool_init(ngx_cycle_t *cycle)
{
    ngx_event_t                *ev;
    ngx_http_exam_main_conf_t  *mcf;
    ngx_http_exam_spool_job_t  *job;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exam_module);

    ngx_http_exam_spool.exiting = 0;
    ngx_http_exam_spool.dir = ngx_http_exam_spool_open(cycle, &mcf->spool, "");
    ngx_http_exam_spool.ready = ngx_http_exam_spool_open(cycle, &mcf->spool,
                                                         "/ready");
    ngx_http_exam_spool_boot(cycle);
    ngx_http_exam_upload_init(mcf);

    if (ngx_http_exam_spool.dir != -1) {
        ngx_http_exam_yield_init(cycle, ngx_http_exam_spool.dir);
    }

    if (ngx_http_exam_spool.dir == -1 || ngx_http_exam_spool.ready == -1) {
        return NGX_OK;
    }

    job = ngx_pcalloc(cycle->pool, sizeof(ngx_http_exam_spool_job_t));
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->task = ngx_thread_task_alloc(cycle->pool, 0);
    if (job->task == NULL) {
        return NGX_ERROR;
    }

    job->mcf = mcf;
    job->rec.spool = ngx_http_exam_spool.dir;
    job->rec.ready = ngx_http_exam_spool.ready;
    job->rec.lock = -1;
    job->rec.boot = ngx_http_exam_spool.boot_id;
    job->rec.expire = mcf->upload_expire / 1000;
    job->rec.forget = mcf->late_upload / 1000;
    job->dummy.fd = (ngx_socket_t) -1;

    job->fill = (ngx_worker == 0);
    job->resets = mcf->zone->shared->stats.zone_resets_total;

    job->task->ctx = job;
    job->task->handler = ngx_http_exam_spool_thread;
    job->task->event.data = job;
    job->task->event.handler = ngx_http_exam_spool_done;
    job->task->event.log = cycle->log;

    ev = &job->timer;
    ev->data = &job->dummy;
    ev->handler = ngx_http_exam_spool_timer;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_http_exam_spool_job = job;

    ngx_add_timer(ev, job->fill ? 1 : NGX_HTTP_EXAM_SPOOL_RETRY);

    return NGX_OK;
}


void
ngx_http_exam_spool_exit(ngx_cycle_t *cycle)
{
    ngx_http_exam_spool_job_t  *job;

    /* the threads are gone by now */

    ngx_http_exam_spool.exiting = 1;

    job = ngx_http_exam_spool_job;

    if (job != NULL) {
        ngx_http_exam_recovery_close(&job->rec);

        if (job->timer.timer_set) {
            ngx_del_timer(&job->timer);
        }

        ngx_http_exam_spool_job = NULL;
    }

    ngx_http_exam_yield_exit();
    ngx_http_exam_buffers_exit();

    if (ngx_http_exam_spool.ready != -1) {
        (void) close(ngx_http_exam_spool.ready);
        ngx_http_exam_spool.ready = -1;
    }

    if (ngx_http_exam_spool.dir != -1) {
        (void) close(ngx_http_exam_spool.dir);
        ngx_http_exam_spool.dir = -1;
    }
}


static int
ngx_http_exam_spool_open(ngx_cycle_t *cycle, ngx_str_t *spool, const char *dir)
{
    int     fd;
    u_char  path[NGX_MAX_PATH], *p;

    p = ngx_slprintf(path, path + sizeof(path) - 1, "%V%s", spool, dir);
    *p = '\0';

    fd = open((char *) path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "exam open() \"%s\" failed, no uploads", path);
    }

    return fd;
}


/* manifests of another boot are checked again by the worker */

static void
ngx_http_exam_spool_boot(ngx_cycle_t *cycle)
{
    int      fd;
    ssize_t  n;

    n = 0;
    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY|O_CLOEXEC);

    if (fd != -1) {
        n = read(fd, ngx_http_exam_spool_boot_id, EXAM_BOOT_MAX);
        (void) close(fd);
    }

    if (n != EXAM_BOOT_MAX) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "exam boot id is not known");

        /* no boot has this one: the worker looks at each hash */

        n = sizeof("unknown") - 1;
        ngx_memcpy(ngx_http_exam_spool_boot_id, "unknown", n);
    }

    ngx_http_exam_spool.boot_id.data = ngx_http_exam_spool_boot_id;
    ngx_http_exam_spool.boot_id.len = (size_t) n;
}


/* the sweep, a reset of the zone which is to be filled again, or neither */

static void
ngx_http_exam_spool_timer(ngx_event_t *ev)
{
    ngx_atomic_uint_t           resets;
    ngx_http_exam_spool_job_t  *job;

    job = ngx_http_exam_spool_job;

    if (ngx_exiting) {
        return;
    }

    resets = job->mcf->zone->shared->stats.zone_resets_total;

    if (ngx_worker == 0 && resets != job->resets) {
        job->fill = 1;
        job->resets = resets;
        job->rec.place = 0;

    } else if (!job->fill
               && (ngx_msec_int_t) (job->next - ngx_current_msec) > 0)
    {
        ngx_add_timer(ev, NGX_HTTP_EXAM_SPOOL_RETRY);
        return;
    }

    ngx_http_exam_spool_post(job);
}


static void
ngx_http_exam_spool_post(ngx_http_exam_spool_job_t *job)
{
    if (ngx_thread_task_post(job->mcf->thread_pool, job->task) != NGX_OK) {
        ngx_add_timer(&job->timer, NGX_HTTP_EXAM_SPOOL_RETRY);
        return;
    }

    /* not cancelable: the process stays until the task is done */

    ngx_add_timer(&job->task->event, NGX_HTTP_EXAM_SPOOL_LONG);
}


static void
ngx_http_exam_spool_thread(void *data, ngx_log_t *log)
{
    ngx_http_exam_spool_job_t *job = data;

    ngx_http_exam_yield_t  nobody;

    if (job->fill) {
        (void) ngx_http_exam_recovery_next(&job->rec);

    } else {
        job->rc = ngx_http_exam_recovery_run(&job->rec);

        if (job->rc == NGX_HTTP_EXAM_RECOVERY_MORE) {
            return;
        }

        /* sockets of dead processes go */

        ngx_memzero(&nobody, sizeof(nobody));
        ngx_http_exam_yield_ask(job->rec.spool, &nobody);
    }
}


static void
ngx_http_exam_spool_done(ngx_event_t *ev)
{
    unsigned                    i;
    ngx_http_exam_spool_job_t  *job = ev->data;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                      "exam scan of the spool takes long");
        ngx_add_timer(ev, NGX_HTTP_EXAM_SPOOL_LONG);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (job->rec.error) {
        ngx_log_error(NGX_LOG_ERR, ev->log, job->rec.error,
                      "exam %s of \"%s\" in the spool failed",
                      job->rec.call, job->rec.name);
    }

    if (job->fill) {
        for (i = 0; i < job->rec.nfound; i++) {
            ngx_http_exam_spool_fill(job, &job->rec.found[i]);
        }

        if (job->rec.nfound > 0 && !ngx_exiting) {
            ngx_http_exam_spool_post(job);
            return;
        }

        ngx_http_exam_recovery_close(&job->rec);

        job->fill = 0;

        if (ngx_exiting) {
            return;
        }

        job->mcf->zone->shared->filled = job->resets + 1;

        /* nobody waits for the rest, and Redis is to be told of it */

        ngx_add_timer(&job->timer, NGX_HTTP_EXAM_SPOOL_RETRY);
        return;

    } else if (job->rc == NGX_HTTP_EXAM_RECOVERY_BUSY) {
        ngx_add_timer(&job->timer, NGX_HTTP_EXAM_SPOOL_RETRY);
        return;

    } else {
        for (i = 0; i < job->rec.nfound; i++) {
            ngx_http_exam_spool_tell(job, &job->rec.found[i]);
        }

        if (job->rc == NGX_HTTP_EXAM_RECOVERY_MORE && !ngx_exiting) {
            ngx_http_exam_spool_post(job);
            return;
        }

        ngx_http_exam_recovery_close(&job->rec);

        ngx_http_exam_spool_count(job, ev->log);

        job->next = ngx_current_msec + NGX_HTTP_EXAM_SPOOL_SWEEP;
    }

    if (ngx_worker == 0 && !ngx_exiting) {
        ngx_add_timer(&job->timer, NGX_HTTP_EXAM_SPOOL_RETRY);
    }
}


static void
ngx_http_exam_spool_count(ngx_http_exam_spool_job_t *job, ngx_log_t *log)
{
    ngx_http_exam_count(job->mcf, uploads_expired_total,
                        job->rec.expired);

    if (job->rec.finished || job->rec.removed || job->rec.expired) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "exam spool: %ui uploads finished, %ui files of "
                      "unacknowledged ones removed, %ui uploads expired",
                      (ngx_uint_t) job->rec.finished,
                      (ngx_uint_t) job->rec.removed,
                      (ngx_uint_t) job->rec.expired);
    }

    if (job->rec.damaged) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "exam spool: %ui uploads with a damaged manifest "
                      "are given to the worker, who puts them aside",
                      (ngx_uint_t) job->rec.damaged);
    }
}


/* what the run has brought to its end, of this or of another process */

static void
ngx_http_exam_spool_tell(ngx_http_exam_spool_job_t *job,
    const ngx_http_exam_found_t *found)
{
    if (!found->waits) {
        ngx_http_exam_intake_gone(job->mcf, &found->manifest);
        return;
    }

    ngx_http_exam_intake_whole(job->mcf, &found->manifest);
    ngx_http_exam_spool_fill(job, found);
}


/* an incomplete one of the number, this or another, has no place any more */

static void
ngx_http_exam_spool_received(ngx_http_exam_spool_job_t *job,
    const exam_manifest_t *m, const ngx_http_exam_hash_t *seg)
{
    ngx_http_exam_held_t     held;
    ngx_http_exam_segment_t  number;

    ngx_http_exam_zone_segment_commit(job->mcf->zone, m->sid, seg);
    ngx_http_exam_zone_upload_drop(job->mcf->zone, m->sid, seg->upload);

    ngx_memzero(&number, sizeof(ngx_http_exam_segment_t));

    number.kind = seg->kind;
    number.n = seg->n;
    ngx_memcpy(number.sid, m->sid, EXAM_SID_LEN);

    (void) ngx_http_exam_intake_free(job->mcf, &number, &held);
}


static void
ngx_http_exam_spool_fill(ngx_http_exam_spool_job_t *job,
    const ngx_http_exam_found_t *found)
{
    int                        kind;
    int64_t                    at;
    exam_claims_t              claims;
    const exam_manifest_t     *m;
    ngx_http_exam_hash_t       seg;
    ngx_http_exam_held_t       held;
    ngx_http_exam_snapshot_t   snap;

    m = &found->manifest;
    kind = ngx_http_exam_kind(job->mcf, m->kind);

    /* 0: a left-over that came by another session, whose gen is not here */

    if (kind < 0 || m->gen == 0) {
        return;
    }

    at = m->final ? m->received_at : m->created_at;

    ngx_memzero(&claims, sizeof(exam_claims_t));

    claims.exam = m->exam;
    claims.student = m->student;
    claims.gen = m->gen;
    claims.iat = at / 1000;
    ngx_memcpy(claims.sid, m->sid, EXAM_SID_LEN);

    if (ngx_http_exam_zone_touch(job->mcf->zone, &claims, &snap) != NGX_OK) {
        return;
    }

    ngx_memzero(&seg, sizeof(ngx_http_exam_hash_t));
    ngx_memzero(&held, sizeof(ngx_http_exam_held_t));

    if (!exam_hex_decode(m->id.data + m->id.len - 32, 32, seg.upload, 16)) {
        return;
    }

    if (found->waits) {
        seg.kind = (uint8_t) kind;
        seg.n = m->n;
        seg.bytes = m->length;
        ngx_memcpy(seg.sha256, m->sha256, EXAM_HASH_LEN);

        ngx_http_exam_spool_received(job, m, &seg);
        return;
    }

    held.kind = (uint8_t) kind;
    held.n = m->n;
    held.length = m->length;
    held.expires = job->rec.expire
                   ? (uint32_t) (found->touched + job->rec.expire)
                   : NGX_MAX_UINT32_VALUE;
    ngx_memcpy(held.id, seg.upload, sizeof(held.id));

    ngx_http_exam_zone_upload_put(job->mcf->zone, m->sid, &held);
}
