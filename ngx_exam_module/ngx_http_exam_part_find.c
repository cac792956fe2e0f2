
/*
 * Taking a resumable upload over: whose it is, how much of it counts, where it
 * has gone (see ngx_http_exam_part.h).
 *
 * What is found is decided upon only under the lock of the file, and only while
 * that has its name; what a crash has left is brought to its end here, for
 * whoever looks the id up.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "ngx_http_exam_part.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


#define NGX_HTTP_EXAM_PART_TRIES  3     /* names that move while looked at */

#define NGX_HTTP_EXAM_PART_MARKS  2     /* of the places: a complete upload's */
#define NGX_HTTP_EXAM_PART_ALL    3


static ngx_http_exam_part_e ngx_http_exam_part_open(ngx_http_exam_writer_t *w,
    exam_spool_e what);
static ngx_http_exam_part_e ngx_http_exam_part_take(
    ngx_http_exam_writer_t *w);
static ngx_http_exam_part_e ngx_http_exam_part_committed(
    ngx_http_exam_writer_t *w, const struct stat *st);
static ngx_http_exam_part_e ngx_http_exam_part_elsewhere(
    ngx_http_exam_writer_t *w);
static ngx_http_exam_part_e ngx_http_exam_part_left(
    ngx_http_exam_writer_t *w);
static ngx_http_exam_part_e ngx_http_exam_part_named(
    ngx_http_exam_writer_t *w, int marked);
static ngx_http_exam_part_e ngx_http_exam_part_mark(
    ngx_http_exam_writer_t *w);
static int ngx_http_exam_part_marked(ngx_http_exam_writer_t *w, unsigned n);
static ngx_http_exam_part_e ngx_http_exam_part_synced(
    ngx_http_exam_writer_t *w);
static ngx_http_exam_part_e ngx_http_exam_part_moved(
    ngx_http_exam_writer_t *w);
static ngx_http_exam_part_e ngx_http_exam_part_remove(
    ngx_http_exam_writer_t *w, ngx_http_exam_part_e found);
static ngx_http_exam_part_e ngx_http_exam_part_done(
    ngx_http_exam_writer_t *w, ngx_http_exam_part_e found);
static int ngx_http_exam_part_expired(const ngx_http_exam_writer_t *w,
    const struct stat *st);
static int ngx_http_exam_part_manifest(ngx_http_exam_writer_t *w,
    exam_spool_e what);
static int ngx_http_exam_part_tombstone(ngx_http_exam_writer_t *w);
static ssize_t ngx_http_exam_part_read(ngx_http_exam_writer_t *w,
    exam_spool_e what, uint8_t *data, size_t size);
static int ngx_http_exam_part_stat(ngx_http_exam_writer_t *w,
    exam_spool_e what, struct stat *st);


/* a manifest only moves forward: looked for in this order, it is met */

static const exam_spool_e  ngx_http_exam_part_places[] = {
    EXAM_SPOOL_INFO, EXAM_SPOOL_WORK, EXAM_SPOOL_BAD_INFO
};


ngx_http_exam_part_e
ngx_http_exam_part_acquire(ngx_http_exam_writer_t *w)
{
    unsigned              i;
    ngx_http_exam_part_e  found;

    ngx_http_exam_writer_nice();

    found = NGX_HTTP_EXAM_PART_NONE;

    for (i = 0; i < NGX_HTTP_EXAM_PART_TRIES; i++) {
        w->error = 0;

        found = ngx_http_exam_part_open(w, EXAM_SPOOL_PART);

        if (found == NGX_HTTP_EXAM_PART_OWNED) {
            found = ngx_http_exam_part_take(w);

        } else if (found == NGX_HTTP_EXAM_PART_NONE) {
            found = ngx_http_exam_part_elsewhere(w);
        }

        if (found != NGX_HTTP_EXAM_PART_NONE) {
            return found;
        }
    }

    return found;
}


/*
 * The file under its lock, which counts only while the file has its name: its
 * last owner may have finished or removed it.  A part without a manifest is a
 * PUT's, which nobody takes over.
 */

static ngx_http_exam_part_e
ngx_http_exam_part_open(ngx_http_exam_writer_t *w, exam_spool_e what)
{
    char                  name[EXAM_SPOOL_NAME_MAX];
    struct stat           st, named;
    ngx_http_exam_part_e  rc;

    if (!exam_spool_name(name, what, w->manifest.id)) {
        return NGX_HTTP_EXAM_PART_NONE;
    }

    w->fd = openat(w->spool, name, O_WRONLY|O_CLOEXEC);

    if (w->fd == -1 && errno == ENOENT) {
        return NGX_HTTP_EXAM_PART_NONE;
    }

    if (w->fd == -1) {
        (void) ngx_http_exam_writer_failed(w, "openat()");
        return NGX_HTTP_EXAM_PART_FAILED;
    }

    if (ngx_http_exam_writer_lock(w->fd, 0) != 0) {

        if (errno != EAGAIN && errno != EACCES) {
            (void) ngx_http_exam_writer_failed(w, "fcntl(F_OFD_SETLK)");
            return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_FAILED);
        }

        rc = (ngx_http_exam_part_stat(w, EXAM_SPOOL_PART_INFO, &st) == 0)
             ? NGX_HTTP_EXAM_PART_NONE : NGX_HTTP_EXAM_PART_BUSY;

        return ngx_http_exam_part_done(w, rc);
    }

    if (fstat(w->fd, &st) != 0) {
        (void) ngx_http_exam_writer_failed(w, "fstat()");
        return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_FAILED);
    }

    rc = NGX_HTTP_EXAM_PART_NONE;

    switch (ngx_http_exam_part_stat(w, what, &named)) {

    case 1:
        if (named.st_ino == st.st_ino && named.st_dev == st.st_dev) {
            return NGX_HTTP_EXAM_PART_OWNED;
        }

        break;

    case -1:
        rc = NGX_HTTP_EXAM_PART_FAILED;
        break;
    }

    return ngx_http_exam_part_done(w, rc);
}


/* under the lock: what there is decides */

static ngx_http_exam_part_e
ngx_http_exam_part_take(ngx_http_exam_writer_t *w)
{
    int          rc;
    struct stat  st, info;

    rc = ngx_http_exam_part_tombstone(w);

    if (rc == 1) {
        return ngx_http_exam_part_remove(w, NGX_HTTP_EXAM_PART_GONE);
    }

    if (rc == 0) {
        rc = ngx_http_exam_part_marked(w, NGX_HTTP_EXAM_PART_MARKS);
    }

    /*
     * A file system that does not keep renames in their order has kept the mark
     * and lost the name of the file, whose data were synced before both.
     */

    if (rc == 1) {
        return ngx_http_exam_part_named(w, 1);
    }

    if (rc == 0) {
        rc = ngx_http_exam_part_manifest(w, EXAM_SPOOL_PART_INFO);
    }

    if (rc == -1) {
        return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_FAILED);
    }

    /* a PUT's whose owner is dead, a creation that was not told: as a sweep */

    if (rc == 0 || w->manifest.protocol == EXAM_PROTOCOL_NONE) {
        return ngx_http_exam_part_remove(w, NGX_HTTP_EXAM_PART_NONE);
    }

    w->stage = NGX_HTTP_EXAM_WRITER_INFO;

    if (w->manifest.final) {
        return ngx_http_exam_part_named(w, 0);
    }

    if (ngx_http_exam_part_stat(w, EXAM_SPOOL_PART_INFO, &info) != 1) {
        return ngx_http_exam_part_moved(w);
    }

    if (fstat(w->fd, &st) != 0) {
        (void) ngx_http_exam_writer_failed(w, "fstat()");
        return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_FAILED);
    }

    w->info_time = info.st_mtime;
    w->synced = (info.st_mode & NGX_HTTP_EXAM_PART_NAMED) != 0;
    w->info_offset = w->manifest.durable_offset;
    w->info_length = w->manifest.length;
    w->info_checked = w->manifest.checked;
    w->info_boot = exam_str_eq(w->manifest.boot_id, w->boot);
    w->offset = st.st_size;

    if (ngx_http_exam_part_expired(w, &st)) {
        rc = ngx_http_exam_part_terminate(w, EXAM_GONE_EXPIRED);
        w->expired = (rc == 0);

        return (rc == 0) ? NGX_HTTP_EXAM_PART_GONE : NGX_HTTP_EXAM_PART_FAILED;
    }

    return ngx_http_exam_part_committed(w, &st);
}


static ngx_http_exam_part_e
ngx_http_exam_part_committed(ngx_http_exam_writer_t *w, const struct stat *st)
{
    int      unsure;
    int64_t  size;

    size = w->manifest.durable_offset;
    unsure = (st->st_mode & NGX_HTTP_EXAM_WRITER_UNSURE) != 0;

    if (st->st_size < size) {

        /* told bytes are missing: the client must not go on behind them */

        errno = EIO;
        (void) ngx_http_exam_writer_failed(w, "size of a part that is short");

        if (ngx_http_exam_part_terminate(w, EXAM_GONE_REFUSED) != 0) {
            return NGX_HTTP_EXAM_PART_FAILED;
        }

        return NGX_HTTP_EXAM_PART_GONE;
    }

    if (w->info_boot && !w->info_checked && !unsure) {
        size = st->st_size;
    }

    if (size != st->st_size && ngx_http_exam_part_cut(w, size) != 0) {
        return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_FAILED);
    }

    if (unsure && fchmod(w->fd, NGX_HTTP_EXAM_WRITER_MODE) != 0) {
        (void) ngx_http_exam_writer_failed(w, "fchmod()");
        return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_FAILED);
    }

    exam_sha256_init(&w->hash.sha);

    w->offset = size;
    w->hashed = 0;
    w->flushed = size;
    w->want_direct = 1;

    return NGX_HTTP_EXAM_PART_OWNED;
}


/*
 * By the later one of part and manifest; what was told goes by the manifest,
 * whose time a power loss cannot set back, and by whole seconds.
 */

static int
ngx_http_exam_part_expired(const ngx_http_exam_writer_t *w,
    const struct stat *st)
{
    time_t  last;

    last = (st->st_mtime > w->info_time) ? st->st_mtime : w->info_time;

    return w->expire != 0 && time(NULL) - last > w->expire;
}


/* no part: a tombstone, or complete */

static ngx_http_exam_part_e
ngx_http_exam_part_elsewhere(ngx_http_exam_writer_t *w)
{
    int                   rc;
    ngx_http_exam_part_e  found;

    rc = ngx_http_exam_part_tombstone(w);

    if (rc != 0) {
        return (rc == 1) ? NGX_HTTP_EXAM_PART_GONE : NGX_HTTP_EXAM_PART_FAILED;
    }

    /* a finish sequence that has not come to its end */

    rc = ngx_http_exam_part_manifest(w, EXAM_SPOOL_PART_INFO);

    if (rc == -1) {
        return NGX_HTTP_EXAM_PART_FAILED;
    }

    if (rc == 1) {
        found = ngx_http_exam_part_open(w, EXAM_SPOOL_REC);

        if (found == NGX_HTTP_EXAM_PART_OWNED) {
            found = ngx_http_exam_part_left(w);
        }

        if (found != NGX_HTTP_EXAM_PART_NONE) {
            return found;
        }
    }

    rc = ngx_http_exam_part_marked(w, NGX_HTTP_EXAM_PART_ALL);

    if (rc != 1) {
        return (rc == 0) ? NGX_HTTP_EXAM_PART_NONE : NGX_HTTP_EXAM_PART_FAILED;
    }

    /*
     * Its owner may not have come to that yet, or have failed there, and the
     * worker claims what is marked without it.
     */

    return ngx_http_exam_part_synced(w);
}


/* ready/.rec and a manifest in part/, under the lock of the file */

static ngx_http_exam_part_e
ngx_http_exam_part_left(ngx_http_exam_writer_t *w)
{
    int  rc;

    rc = ngx_http_exam_part_marked(w, NGX_HTTP_EXAM_PART_ALL);

    if (rc == 0) {
        rc = ngx_http_exam_part_manifest(w, EXAM_SPOOL_PART_INFO);

        if (rc == 1 && w->manifest.final) {
            return ngx_http_exam_part_mark(w);
        }

        /*
         * The name of the file was kept, the end of its manifest lost: so much
         * was told, and it goes on from there.  As above.
         */

        if (rc == 1 && ngx_http_exam_writer_rename(w, EXAM_SPOOL_REC,
                                                   EXAM_SPOOL_PART)
                       != 0)
        {
            return ngx_http_exam_part_moved(w);
        }
    }

    return ngx_http_exam_part_done(w, (rc == -1) ? NGX_HTTP_EXAM_PART_FAILED
                                                 : NGX_HTTP_EXAM_PART_NONE);
}


/* 1: complete, its manifest is read; 0: not; -1: failed */

static int
ngx_http_exam_part_marked(ngx_http_exam_writer_t *w, unsigned n)
{
    int       rc;
    unsigned  i;

    rc = 0;

    for (i = 0; i < n && rc == 0; i++) {
        rc = ngx_http_exam_part_manifest(w, ngx_http_exam_part_places[i]);

        w->finished = (rc == 1
                       && ngx_http_exam_part_places[i] == EXAM_SPOOL_INFO);

        /* what the worker has put aside may be a manifest that says nothing */

        if (rc == -1 && w->error == EBADMSG
            && ngx_http_exam_part_places[i] == EXAM_SPOOL_BAD_INFO)
        {
            rc = 0;
            w->error = 0;
        }
    }

    return rc;
}


/* the rest of the finish sequence, under the lock of the file */

static ngx_http_exam_part_e
ngx_http_exam_part_named(ngx_http_exam_writer_t *w, int marked)
{
    if (ngx_http_exam_writer_rename(w, EXAM_SPOOL_PART, EXAM_SPOOL_REC) != 0) {
        return ngx_http_exam_part_moved(w);
    }

    return marked ? ngx_http_exam_part_synced(w) : ngx_http_exam_part_mark(w);
}


static ngx_http_exam_part_e
ngx_http_exam_part_mark(ngx_http_exam_writer_t *w)
{
    if (ngx_http_exam_writer_rename(w, EXAM_SPOOL_PART_INFO, EXAM_SPOOL_INFO)
        != 0)
    {
        return ngx_http_exam_part_moved(w);
    }

    w->stage = NGX_HTTP_EXAM_WRITER_MARKED;
    w->finished = 1;

    return ngx_http_exam_part_synced(w);
}


/* complete once its names are durable */

static ngx_http_exam_part_e
ngx_http_exam_part_synced(ngx_http_exam_writer_t *w)
{
    if (fsync(w->ready) != 0) {
        (void) ngx_http_exam_writer_failed(w, "fsync()");
        return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_FAILED);
    }

    return ngx_http_exam_part_done(w, NGX_HTTP_EXAM_PART_COMPLETE);
}


/* a call on a name has failed; ENOENT: another one was faster */

static ngx_http_exam_part_e
ngx_http_exam_part_moved(ngx_http_exam_writer_t *w)
{
    return ngx_http_exam_part_done(w, (w->error == 0 || w->error == ENOENT)
                                      ? NGX_HTTP_EXAM_PART_NONE
                                      : NGX_HTTP_EXAM_PART_FAILED);
}


/* all but a tombstone; closes */

static ngx_http_exam_part_e
ngx_http_exam_part_remove(ngx_http_exam_writer_t *w,
    ngx_http_exam_part_e found)
{
    int  rc;

    rc = ngx_http_exam_part_dispose(w);

    return ngx_http_exam_part_done(w, rc ? NGX_HTTP_EXAM_PART_FAILED : found);
}


static ngx_http_exam_part_e
ngx_http_exam_part_done(ngx_http_exam_writer_t *w, ngx_http_exam_part_e found)
{
    if (w->fd != -1) {
        (void) close(w->fd);
        w->fd = -1;
    }

    return found;
}


/* 1: read into `manifest`, 0: not there, -1: failed */

static int
ngx_http_exam_part_manifest(ngx_http_exam_writer_t *w, exam_spool_e what)
{
    ssize_t          n;
    uint8_t          file[EXAM_MANIFEST_MAX];
    exam_str_t       id;
    exam_arena_t     arena;
    exam_manifest_t  m;

    n = ngx_http_exam_part_read(w, what, file, sizeof(file));

    if (n <= 0) {
        return (int) n;
    }

    exam_arena_init(&arena, w->arena, EXAM_MANIFEST_ARENA);

    id = w->manifest.id;

    if (exam_manifest_parse(exam_str_make(file, (size_t) n), &arena, &m)
        != EXAM_OK
        || !exam_str_eq(m.id, id))
    {
        errno = EBADMSG;
        return ngx_http_exam_writer_failed(w, "exam_manifest_parse()");
    }

    w->manifest = m;
    w->manifest.id = id;

    return 1;
}


/* 1: its members are in `manifest`, state in `gone`; 0: none; -1: failed */

static int
ngx_http_exam_part_tombstone(ngx_http_exam_writer_t *w)
{
    ssize_t       n;
    uint8_t       file[EXAM_GONE_MAX];
    exam_str_t    id;
    exam_gone_t   gone;
    exam_arena_t  arena;

    n = ngx_http_exam_part_read(w, EXAM_SPOOL_PART_GONE, file, sizeof(file));

    if (n <= 0) {
        return (int) n;
    }

    exam_arena_init(&arena, w->arena, EXAM_MANIFEST_ARENA);

    id = w->manifest.id;

    if (exam_gone_parse(exam_str_make(file, (size_t) n), &arena, &gone)
        != EXAM_OK
        || !exam_str_eq(gone.id, id))
    {
        errno = EBADMSG;
        return ngx_http_exam_writer_failed(w, "exam_gone_parse()");
    }

    memset(&w->manifest, 0, sizeof(exam_manifest_t));

    w->manifest.id = id;
    w->manifest.exam = gone.exam;
    w->manifest.student = gone.student;
    w->manifest.length = gone.length;
    w->gone = gone.state;

    return 1;
}


/* bytes, 0: not there, -1: failed */

static ssize_t
ngx_http_exam_part_read(ngx_http_exam_writer_t *w, exam_spool_e what,
    uint8_t *data, size_t size)
{
    int      fd;
    char     name[EXAM_SPOOL_NAME_MAX];
    ssize_t  n;

    if (!exam_spool_name(name, what, w->manifest.id)) {
        return 0;
    }

    fd = openat(w->spool, name, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return (errno == ENOENT) ? 0
                                 : ngx_http_exam_writer_failed(w, "openat()");
    }

    n = read(fd, data, size);

    if (n == -1) {
        (void) ngx_http_exam_writer_failed(w, "read()");

    } else if (n == 0) {
        errno = EBADMSG;
        n = ngx_http_exam_writer_failed(w, "read()");
    }

    (void) close(fd);

    return n;
}


/* 1: there, 0: not, -1: not known */

static int
ngx_http_exam_part_stat(ngx_http_exam_writer_t *w, exam_spool_e what,
    struct stat *st)
{
    char  name[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(name, what, w->manifest.id)) {
        return 0;
    }

    if (fstatat(w->spool, name, st, 0) == 0) {
        return 1;
    }

    if (errno == ENOENT) {
        return 0;
    }

    return ngx_http_exam_writer_failed(w, "fstatat()");
}
