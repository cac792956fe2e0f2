
/*
 * Resumable uploads on disk; see the header.
 *
 * The manifest is replaced, never overwritten: temporary name, fdatasync,
 * rename, and a sync of the directory before its offset is told.  The data are
 * synced before a manifest that counts them.  The rename alone makes what is to
 * hold for this boot: that an append is under way that counts whole or not.  A
 * manifest whose name is durable is marked: who comes next need not sync again.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "ngx_http_exam_part.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


#define NGX_HTTP_EXAM_PART_GIVE  (64 * 1024)    /* bytes, for a manifest */


static int ngx_http_exam_part_info(ngx_http_exam_writer_t *w, int64_t durable,
    int checked);
static int ngx_http_exam_part_counted(const ngx_http_exam_writer_t *w);
static int ngx_http_exam_part_sync(ngx_http_exam_writer_t *w);
static int ngx_http_exam_part_stamp(ngx_http_exam_writer_t *w);
static int ngx_http_exam_part_dir(ngx_http_exam_writer_t *w);
static int ngx_http_exam_part_back(ngx_http_exam_writer_t *w, int64_t size);
static int ngx_http_exam_part_whole(const ngx_http_exam_writer_t *w);
static int ngx_http_exam_part_bury(ngx_http_exam_writer_t *w,
    exam_gone_e state);
static int ngx_http_exam_part_turn(ngx_http_exam_writer_t *w, int *there);


int
ngx_http_exam_part_create(ngx_http_exam_writer_t *w)
{
    ngx_http_exam_writer_nice();

    if (ngx_http_exam_writer_create(w) != 0
        || ngx_http_exam_writer_reserve(w, w->manifest.length) != 0
        || ngx_http_exam_part_info(w, 0, 0) != 0)
    {
        return -1;
    }

    w->stage = NGX_HTTP_EXAM_WRITER_INFO;

    return ngx_http_exam_part_sync(w);
}


static int
ngx_http_exam_part_info(ngx_http_exam_writer_t *w, int64_t durable,
    int checked)
{
    time_t            now;
    exam_manifest_t  *m;

    m = &w->manifest;
    now = time(NULL);

    m->durable_offset = durable;
    m->checked = (checked != 0);
    m->boot_id = w->boot;
    m->final = false;

    if (ngx_http_exam_writer_info(w) != 0
        || ngx_http_exam_writer_rename(w, EXAM_SPOOL_PART_TMP,
                                       EXAM_SPOOL_PART_INFO)
           != 0)
    {
        m->durable_offset = w->info_offset;
        m->checked = (w->info_checked != 0);

        return -1;
    }

    w->info_time = now;
    w->info_offset = durable;
    w->info_length = m->length;
    w->info_checked = checked;
    w->info_boot = 1;
    w->synced = 0;
    w->unnamed = 0;

    return 0;
}


/* the directory of the part's names */

static int
ngx_http_exam_part_sync(ngx_http_exam_writer_t *w)
{
    int  fd, rc;

    if (w->synced) {
        return 0;
    }

    fd = ngx_http_exam_part_dir(w);
    if (fd == -1) {
        return -1;
    }

    rc = fsync(fd);

    if (rc != 0) {
        (void) ngx_http_exam_writer_failed(w, "fsync()");
    }

    (void) close(fd);

    w->synced = (rc == 0);

    if (w->synced && w->stage == NGX_HTTP_EXAM_WRITER_INFO) {
        return ngx_http_exam_part_stamp(w);
    }

    return rc;
}


static int
ngx_http_exam_part_dir(ngx_http_exam_writer_t *w)
{
    int   fd;
    char  name[EXAM_SPOOL_NAME_MAX], *slash;

    if (!exam_spool_name(name, EXAM_SPOOL_PART, w->manifest.id)) {
        errno = EINVAL;
        return ngx_http_exam_writer_failed(w, "exam_spool_name()");
    }

    slash = strrchr(name, '/');
    *slash = '\0';

    fd = openat(w->spool, name, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    return (fd == -1) ? ngx_http_exam_writer_failed(w, "openat()") : fd;
}


static int
ngx_http_exam_part_stamp(ngx_http_exam_writer_t *w)
{
    char  name[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(name, EXAM_SPOOL_PART_INFO, w->manifest.id)) {
        errno = EINVAL;
        return ngx_http_exam_writer_failed(w, "exam_spool_name()");
    }

    if (fchmodat(w->spool, name, 0600|NGX_HTTP_EXAM_PART_NAMED, 0) != 0) {
        return ngx_http_exam_writer_failed(w, "fchmodat()");
    }

    return 0;
}


int
ngx_http_exam_part_append(ngx_http_exam_writer_t *w)
{
    ngx_http_exam_writer_nice();

    w->start = w->offset;
    w->summing = 0;

    if (ngx_http_exam_writer_reserve(w, w->length) != 0) {
        return -1;
    }

    if (w->has_check) {

        /* what is before the append must not go back with it */

        if (w->info_offset != w->offset
            && ngx_http_exam_writer_sync(w) != 0)
        {
            return -1;
        }

        if (ngx_http_exam_part_info(w, w->offset, 1) != 0) {
            return -1;
        }

        w->atomic = 1;
        w->summing = 1;
        exam_checksum_init(&w->sum, w->check.alg);

        return 0;
    }

    /* from here on the size counts */

    if (w->info_checked || !w->info_boot) {
        return ngx_http_exam_part_info(w, w->info_offset, 0);
    }

    return 0;
}


int
ngx_http_exam_part_told(const ngx_http_exam_writer_t *w)
{
    return ngx_http_exam_part_counted(w) && w->synced && !w->atomic;
}


/* the manifest says what is to be told */

static int
ngx_http_exam_part_counted(const ngx_http_exam_writer_t *w)
{
    return w->info_offset == w->offset && w->info_length == w->manifest.length
           && !w->info_checked && w->info_boot;
}


int
ngx_http_exam_part_tell(ngx_http_exam_writer_t *w)
{
    ngx_http_exam_writer_nice();

    if (!ngx_http_exam_part_counted(w)) {
        if (ngx_http_exam_writer_sync(w) != 0
            || ngx_http_exam_part_info(w, w->offset, 0) != 0)
        {
            return -1;
        }
    }

    /* the manifest counts all of it by now: it must not be cut off any more */

    w->atomic = 0;

    if (ngx_http_exam_part_sync(w) != 0) {

        /* this rename may be lost: the next one tells anew */

        w->info_boot = 0;
        w->unnamed = 1;
        return -1;
    }

    return 0;
}


/*
 * What was told is in the manifest that there is; the rest may be given back.
 * Little of it makes room for another manifest: what is reserved behind the
 * offset, which is taken again, then the last bytes.  Where that does not help
 * (no inode) the manifest that there is says what is told.
 */

int
ngx_http_exam_part_full(ngx_http_exam_writer_t *w)
{
    int      i;
    int64_t  size;

    ngx_http_exam_writer_nice();

    if (w->sealed) {
        return -1;
    }

    w->manifest.received_at = -1;

    size = w->lost ? w->info_offset : w->atomic ? w->start : w->offset;

    for (i = 0; /* void */ ; i++) {

        if ((i > 0 || !ngx_http_exam_part_clean(w))
            && ngx_http_exam_part_back(w, size) != 0)
        {
            return -1;
        }

        if (!ngx_http_exam_part_whole(w)) {

            if (ngx_http_exam_part_tell(w) == 0) {
                (void) ngx_http_exam_writer_reserve(w, w->manifest.length
                                                       - w->offset);
                return 0;
            }

            if (!ngx_http_exam_part_no_room(w)) {
                return -1;
            }
        }

        if (i > 0 && w->offset == w->info_offset) {
            break;
        }

        size = w->offset;

        if (i > 0) {
            size -= 1 + NGX_HTTP_EXAM_PART_GIVE;
            size -= size % NGX_HTTP_EXAM_WRITER_ALIGN;
        }

        if (i > 1 || w->lost || size < w->info_offset) {
            size = w->info_offset;
        }
    }

    w->manifest.length = w->info_length;
    w->manifest.durable_offset = w->info_offset;

    if (w->unnamed || ngx_http_exam_part_whole(w)) {
        return -1;
    }

    return (ngx_http_exam_part_sync(w) == 0) ? 1 : -1;
}


int
ngx_http_exam_part_no_room(const ngx_http_exam_writer_t *w)
{
    return w->error == ENOSPC || w->error == EDQUOT;
}


/* also where that is the size: what is reserved behind it is given back */

static int
ngx_http_exam_part_back(ngx_http_exam_writer_t *w, int64_t size)
{
    if (ngx_http_exam_part_cut(w, size) != 0) {
        return -1;
    }

    if (w->lost && fchmod(w->fd, NGX_HTTP_EXAM_WRITER_MODE) != 0) {
        return ngx_http_exam_writer_failed(w, "fchmod()");
    }

    w->lost = 0;
    w->atomic = 0;

    return 0;
}


/* an offset that would be taken for the acknowledgement of all */

static int
ngx_http_exam_part_whole(const ngx_http_exam_writer_t *w)
{
    return w->manifest.protocol == EXAM_PROTOCOL_TUS
           && w->manifest.length == w->offset;
}


int
ngx_http_exam_part_rollback(ngx_http_exam_writer_t *w)
{
    ngx_http_exam_writer_nice();

    if (ngx_http_exam_part_cut(w, w->start) != 0) {
        return -1;
    }

    return ngx_http_exam_part_tell(w);
}


/* O_DIRECT has nothing left in the cache that a cut could leave behind */

int
ngx_http_exam_part_cut(ngx_http_exam_writer_t *w, int64_t size)
{
    if (ftruncate(w->fd, size) != 0) {
        return ngx_http_exam_writer_failed(w, "ftruncate()");
    }

    w->offset = size;
    w->torn = 0;

    if (w->hashed > size) {
        exam_sha256_init(&w->hash.sha);
        w->hashed = 0;
    }

    return 0;
}


int
ngx_http_exam_part_settle(ngx_http_exam_writer_t *w)
{
    int  rc;

    if (w->lost || w->torn) {
        return 0;
    }

    rc = w->atomic ? ngx_http_exam_part_rollback(w)
                   : ngx_http_exam_part_tell(w);

    if (rc != 0 && ngx_http_exam_part_no_room(w)) {
        rc = ngx_http_exam_part_full(w);
    }

    return rc;
}


int
ngx_http_exam_part_clean(const ngx_http_exam_writer_t *w)
{
    return !w->lost && !w->atomic && !w->torn;
}


int
ngx_http_exam_part_close(ngx_http_exam_writer_t *w)
{
    int      rc;
    int64_t  size;

    rc = 0;

    if (w->fd == -1) {
        return 0;
    }

    if (!ngx_http_exam_part_clean(w)
        && w->stage == NGX_HTTP_EXAM_WRITER_INFO)
    {
        size = w->lost ? w->info_offset : w->atomic ? w->start : w->offset;

        /* an upload whose end cannot be told from what is there is none */

        rc = ngx_http_exam_part_cut(w, size);

        if (rc != 0) {
            return ngx_http_exam_part_terminate(w, EXAM_GONE_REFUSED);
        }
    }

    (void) close(w->fd);
    w->fd = -1;

    return rc;
}


int
ngx_http_exam_part_terminate(ngx_http_exam_writer_t *w, exam_gone_e state)
{
    int  rc, turn, there;

    ngx_http_exam_writer_nice();

    turn = -1;
    there = 0;

    /* who has no part has no lock of its own */

    if (w->fd == -1) {
        turn = ngx_http_exam_part_turn(w, &there);

        if (turn == -1) {
            return -1;
        }
    }

    rc = there ? 0 : ngx_http_exam_part_bury(w, state);

    if (rc == 0) {
        w->gone = state;
        w->error = 0;
        rc = ngx_http_exam_part_dispose(w);
    }

    if (turn != -1) {
        (void) close(turn);
    }

    if (w->fd != -1) {
        (void) close(w->fd);
        w->fd = -1;
    }

    return rc;
}


/* the tombstone's file and name */

static int
ngx_http_exam_part_bury(ngx_http_exam_writer_t *w, exam_gone_e state)
{
    int          rc;
    uint8_t      memory[EXAM_GONE_MAX];
    exam_buf_t   b;
    exam_gone_t  gone;

    gone.id = w->manifest.id;
    gone.exam = w->manifest.exam;
    gone.student = w->manifest.student;
    gone.state = state;
    gone.length = (state == EXAM_GONE_DOUBLE) ? w->offset : w->manifest.length;
    gone.at = (int64_t) time(NULL) * 1000;

    exam_buf_init(&b, memory, sizeof(memory));
    exam_gone_format(&b, &gone);

    rc = ngx_http_exam_writer_file(w, memory, exam_buf_len(&b));

    if (rc != 0 && ngx_http_exam_part_no_room(w)) {

        /* its own room is enough: it is given up anyway */

        (void) ngx_http_exam_part_cut(w, 0);
        rc = ngx_http_exam_writer_file(w, memory, exam_buf_len(&b));
    }

    if (rc == 0) {
        rc = ngx_http_exam_writer_rename(w, EXAM_SPOOL_PART_TMP,
                                         EXAM_SPOOL_PART_GONE);
    }

    return rc;
}


/*
 * Two that end the same complete upload, and the sweep, have one temporary name
 * and no part to lock: they take turns by the directory.  Returns what holds
 * it, or -1; there: the other one has done it.
 */

static int
ngx_http_exam_part_turn(ngx_http_exam_writer_t *w, int *there)
{
    int          fd;
    char         name[EXAM_SPOOL_NAME_MAX];
    struct stat  st;

    fd = ngx_http_exam_part_dir(w);

    if (fd == -1) {
        return -1;
    }

    while (flock(fd, LOCK_EX) != 0) {

        if (errno != EINTR) {
            (void) ngx_http_exam_writer_failed(w, "flock()");
            (void) close(fd);
            return -1;
        }
    }

    *there = exam_spool_name(name, EXAM_SPOOL_PART_GONE, w->manifest.id)
             && fstatat(w->spool, name, &st, 0) == 0;

    return fd;
}


/* the manifest goes first: a file without one is removed by any sweep */

int
ngx_http_exam_part_dispose(ngx_http_exam_writer_t *w)
{
    int  rc;

    rc = ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART_INFO);
    rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART_TMP);
    rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART);

    w->stage = NGX_HTTP_EXAM_WRITER_NONE;
    w->synced = 0;

    return rc | ngx_http_exam_part_sync(w);
}
