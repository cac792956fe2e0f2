
/*
 * Recovery and sweep of the spool; see the header.
 *
 * A manifest only ever moves forward, part/ -> ready/ -> work/ (-> bad/), so
 * its places are looked at in this order: one that moves meanwhile is met.  The
 * file itself is decided upon only under its OFD lock.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "ngx_http_exam_part.h"
#include "ngx_http_exam_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>


typedef void (*ngx_http_exam_recovery_pt)(ngx_http_exam_recovery_t *rec,
    exam_str_t id, exam_str_t suffix);


static int ngx_http_exam_recovery_lock(ngx_http_exam_recovery_t *rec);
static int ngx_http_exam_recovery_walk(ngx_http_exam_recovery_t *rec,
    const char *dir, ngx_http_exam_recovery_pt handler);
static void ngx_http_exam_recovery_ready(ngx_http_exam_recovery_t *rec,
    exam_str_t id, exam_str_t suffix);
static int ngx_http_exam_recovery_mark(ngx_http_exam_recovery_t *rec,
    exam_str_t id);
static void ngx_http_exam_recovery_part(ngx_http_exam_recovery_t *rec,
    exam_str_t id, exam_str_t suffix);
static void ngx_http_exam_recovery_resumable(ngx_http_exam_recovery_t *rec,
    exam_str_t id);
static void ngx_http_exam_recovery_tell(ngx_http_exam_recovery_t *rec,
    const ngx_http_exam_writer_t *w, int ended);
static void ngx_http_exam_recovery_damaged(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id);
static int ngx_http_exam_recovery_old(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id, time_t age);
static time_t ngx_http_exam_recovery_touched(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id);
static int ngx_http_exam_recovery_place(ngx_http_exam_recovery_t *rec,
    char *dir, size_t size);
static int ngx_http_exam_recovery_final(ngx_http_exam_recovery_t *rec,
    exam_str_t id, ngx_http_exam_found_t *found);
static int ngx_http_exam_recovery_read(ngx_http_exam_recovery_t *rec,
    const char *name, ngx_http_exam_found_t *found);
static int ngx_http_exam_recovery_own(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id);
static int ngx_http_exam_recovery_has(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id);
static void ngx_http_exam_recovery_unlink(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id);
static DIR *ngx_http_exam_recovery_opendir(ngx_http_exam_recovery_t *rec,
    const char *dir);
static int ngx_http_exam_recovery_split(const char *name, exam_str_t *id,
    exam_str_t *suffix);
static void ngx_http_exam_recovery_failed(ngx_http_exam_recovery_t *rec,
    const char *call, const char *name);


ngx_http_exam_recovery_e
ngx_http_exam_recovery_run(ngx_http_exam_recovery_t *rec)
{
    char  dir[16];

    ngx_http_exam_writer_nice();

    rec->nfound = 0;
    rec->error = 0;

    if (rec->lock == -1) {
        rec->finished = 0;
        rec->removed = 0;
        rec->expired = 0;
        rec->damaged = 0;
        rec->place = 0;

        if (ngx_http_exam_recovery_lock(rec) != 0) {
            return rec->error ? NGX_HTTP_EXAM_RECOVERY_DONE
                              : NGX_HTTP_EXAM_RECOVERY_BUSY;
        }
    }

    for ( /* void */ ; rec->place < 1 + 256; rec->place++) {

        if (rec->place == 0) {
            (void) snprintf(dir, sizeof(dir), "ready");

        } else {
            (void) snprintf(dir, sizeof(dir), "part/%02x",
                            (rec->place - 1) & 0xff);
        }

        if (ngx_http_exam_recovery_walk(rec, dir,
                                        rec->place == 0
                                        ? ngx_http_exam_recovery_ready
                                        : ngx_http_exam_recovery_part))
        {
            return NGX_HTTP_EXAM_RECOVERY_MORE;
        }
    }

    ngx_http_exam_recovery_close(rec);

    return NGX_HTTP_EXAM_RECOVERY_DONE;
}


/* -1: another process has it, or `error` */

static int
ngx_http_exam_recovery_lock(ngx_http_exam_recovery_t *rec)
{
    int  fd;

    fd = openat(rec->spool, NGX_HTTP_EXAM_RECOVERY_LOCK,
                O_CREAT|O_RDWR|O_CLOEXEC, 0600);
    if (fd == -1) {
        ngx_http_exam_recovery_failed(rec, "openat()",
                                      NGX_HTTP_EXAM_RECOVERY_LOCK);
        return -1;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) != 0) {
        (void) close(fd);
        return -1;
    }

    rec->lock = fd;

    return 0;
}


/* 1: found[] is full, and the directory not at its end */

static int
ngx_http_exam_recovery_walk(ngx_http_exam_recovery_t *rec, const char *dir,
    ngx_http_exam_recovery_pt handler)
{
    exam_str_t      id, suffix;
    struct dirent  *de;

    if (rec->dir == NULL) {
        rec->dir = ngx_http_exam_recovery_opendir(rec, dir);
    }

    if (rec->dir == NULL) {
        return 0;
    }

    while (rec->nfound < NGX_HTTP_EXAM_RECOVERY_BATCH) {

        de = readdir(rec->dir);

        if (de == NULL) {
            (void) closedir(rec->dir);
            rec->dir = NULL;

            return 0;
        }

        if (ngx_http_exam_recovery_split(de->d_name, &id, &suffix)) {
            handler(rec, id, suffix);
        }
    }

    return 1;
}


/* ready/: a .rec whose commit mark is missing */

static void
ngx_http_exam_recovery_ready(ngx_http_exam_recovery_t *rec, exam_str_t id,
    exam_str_t suffix)
{
    int                     fd, final, part;
    ngx_http_exam_found_t  *found;

    if (!exam_str_eq(suffix, exam_str(".rec"))
        || ngx_http_exam_recovery_has(rec, EXAM_SPOOL_INFO, id))
    {
        return;
    }

    fd = ngx_http_exam_recovery_own(rec, EXAM_SPOOL_REC, id);
    if (fd == -1) {
        return;
    }

    found = &rec->found[rec->nfound];

    final = ngx_http_exam_recovery_final(rec, id, found);
    part = ngx_http_exam_recovery_has(rec, EXAM_SPOOL_PART_INFO, id);

    if (final == 1) {

        if (ngx_http_exam_recovery_mark(rec, id) == 0) {
            rec->finished++;
            found->waits = 1;
            rec->nfound++;
        }

    } else if (final == -1 && rec->error == EBADMSG) {
        ngx_http_exam_recovery_damaged(rec, EXAM_SPOOL_REC, id);

    } else if (final == 0
               && !ngx_http_exam_recovery_has(rec, EXAM_SPOOL_INFO, id)
               && !ngx_http_exam_recovery_has(rec, EXAM_SPOOL_WORK, id)
               && !ngx_http_exam_recovery_has(rec, EXAM_SPOOL_BAD_INFO, id))
    {
        if (part) {
            (void) close(fd);
            ngx_http_exam_recovery_resumable(rec, id);
            return;
        }

        ngx_http_exam_recovery_unlink(rec, EXAM_SPOOL_REC, id);
    }

    (void) close(fd);
}


/*
 * Nobody can tell whose it is, or go on with it: once nobody could expect that
 * any more exam-worker finds it complete, and puts it aside with the reason.
 */

static void
ngx_http_exam_recovery_damaged(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id)
{
    char    old[EXAM_SPOOL_NAME_MAX], new[EXAM_SPOOL_NAME_MAX];
    time_t  age;

    age = rec->expire ? rec->expire : rec->forget;

    if (!ngx_http_exam_recovery_old(rec, EXAM_SPOOL_PART_INFO, id, age)
        || !ngx_http_exam_recovery_old(rec, what, id, age)
        || !exam_spool_name(old, what, id)
        || !exam_spool_name(new, EXAM_SPOOL_REC, id))
    {
        return;
    }

    if (what != EXAM_SPOOL_REC
        && renameat(rec->spool, old, rec->spool, new) != 0)
    {
        ngx_http_exam_recovery_failed(rec, "renameat()", old);
        return;
    }

    if (ngx_http_exam_recovery_mark(rec, id) == 0) {
        rec->damaged++;
    }
}


/* the rest of the finish sequence */

static int
ngx_http_exam_recovery_mark(ngx_http_exam_recovery_t *rec, exam_str_t id)
{
    char  old[EXAM_SPOOL_NAME_MAX], new[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(old, EXAM_SPOOL_PART_INFO, id)
        || !exam_spool_name(new, EXAM_SPOOL_INFO, id))
    {
        return -1;
    }

    if (renameat(rec->spool, old, rec->spool, new) != 0) {
        ngx_http_exam_recovery_failed(rec, "renameat()", old);
        return -1;
    }

    if (fsync(rec->ready) != 0) {
        ngx_http_exam_recovery_failed(rec, "fsync()", "ready");
        return -1;
    }

    return 0;
}


/*
 * part/: the upload of a dead owner was never acknowledged.  One that can be
 * resumed stays with its manifest until it expires.
 */

static void
ngx_http_exam_recovery_part(ngx_http_exam_recovery_t *rec, exam_str_t id,
    exam_str_t suffix)
{
    int                    fd, rc;
    char                   name[EXAM_SPOOL_NAME_MAX];
    ngx_http_exam_found_t  found;

    if (exam_str_eq(suffix, exam_str(".part"))) {

        fd = ngx_http_exam_recovery_own(rec, EXAM_SPOOL_PART, id);
        if (fd == -1) {
            return;
        }

        if (!exam_spool_name(name, EXAM_SPOOL_PART_INFO, id)) {
            (void) close(fd);
            return;
        }

        rc = ngx_http_exam_recovery_read(rec, name, &found);

        if ((rc == 1 && found.manifest.protocol != EXAM_PROTOCOL_NONE)
            || (rc == 0
                && (ngx_http_exam_recovery_has(rec, EXAM_SPOOL_INFO, id)
                    || ngx_http_exam_recovery_has(rec, EXAM_SPOOL_WORK, id))))
        {
            (void) close(fd);
            ngx_http_exam_recovery_resumable(rec, id);
            return;
        }

        if (rc == -1 && rec->error == EBADMSG) {
            ngx_http_exam_recovery_damaged(rec, EXAM_SPOOL_PART, id);
        }

        if (rc == 0 || (rc == 1 && found.manifest.final)) {
            ngx_http_exam_recovery_unlink(rec, EXAM_SPOOL_PART_TMP, id);
            ngx_http_exam_recovery_unlink(rec, EXAM_SPOOL_PART_INFO, id);
            ngx_http_exam_recovery_unlink(rec, EXAM_SPOOL_PART, id);
        }

        (void) close(fd);
        return;
    }

    if (exam_str_eq(suffix, exam_str(".gone"))) {

        if (ngx_http_exam_recovery_old(rec, EXAM_SPOOL_PART_GONE, id,
                                       rec->forget))
        {
            ngx_http_exam_recovery_unlink(rec, EXAM_SPOOL_PART_GONE, id);
        }

        return;
    }

    /*
     * Left alone by a removal that did not come to its end; a tombstone may be
     * on its way (see ngx_http_exam_part_terminate()).
     */

    if (ngx_http_exam_recovery_has(rec, EXAM_SPOOL_PART, id)
        || ngx_http_exam_recovery_has(rec, EXAM_SPOOL_REC, id)
        || flock(dirfd(rec->dir), LOCK_EX|LOCK_NB) != 0)
    {
        return;
    }

    if (exam_str_eq(suffix, exam_str(".tmp"))) {
        ngx_http_exam_recovery_unlink(rec, EXAM_SPOOL_PART_TMP, id);

    } else if (exam_str_eq(suffix, exam_str(".info"))) {
        ngx_http_exam_recovery_unlink(rec, EXAM_SPOOL_PART_INFO, id);
    }

    (void) flock(dirfd(rec->dir), LOCK_UN);
}


/* what whoever takes it over would do, and then it is let go again */

static void
ngx_http_exam_recovery_resumable(ngx_http_exam_recovery_t *rec, exam_str_t id)
{
    ngx_http_exam_found_t   *found;
    ngx_http_exam_writer_t   w;

    found = &rec->found[rec->nfound];
    memcpy(found->id, id.data, id.len);

    ngx_http_exam_writer_init(&w);

    w.spool = rec->spool;
    w.ready = rec->ready;
    w.boot = rec->boot;
    w.expire = rec->expire;
    w.arena = found->arena;
    w.resumable = 1;
    w.manifest.id = exam_str_make(found->id, id.len);

    switch (ngx_http_exam_part_acquire(&w)) {

    case NGX_HTTP_EXAM_PART_OWNED:
        (void) ngx_http_exam_part_close(&w);
        break;

    case NGX_HTTP_EXAM_PART_COMPLETE:
        rec->finished++;
        found->waits = 1;
        ngx_http_exam_recovery_tell(rec, &w, w.finished);
        break;

    case NGX_HTTP_EXAM_PART_GONE:
        rec->expired++;
        found->waits = 0;
        ngx_http_exam_recovery_tell(rec, &w, w.expired);
        break;

    case NGX_HTTP_EXAM_PART_FAILED:
        errno = w.error;
        ngx_http_exam_recovery_failed(rec, w.call, "part");
        break;

    case NGX_HTTP_EXAM_PART_BUSY:
    case NGX_HTTP_EXAM_PART_NONE:
        break;
    }
}


static void
ngx_http_exam_recovery_tell(ngx_http_exam_recovery_t *rec,
    const ngx_http_exam_writer_t *w, int ended)
{
    if (ended) {
        rec->found[rec->nfound++].manifest = w->manifest;
    }
}


static int
ngx_http_exam_recovery_old(ngx_http_exam_recovery_t *rec, exam_spool_e what,
    exam_str_t id, time_t age)
{
    time_t  touched;

    touched = ngx_http_exam_recovery_touched(rec, what, id);

    return touched != 0 && time(NULL) - touched >= age;
}


/* 0: not known */

static time_t
ngx_http_exam_recovery_touched(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id)
{
    char         name[EXAM_SPOOL_NAME_MAX];
    struct stat  st;

    if (!exam_spool_name(name, what, id)
        || fstatat(rec->spool, name, &st, 0) != 0)
    {
        return 0;
    }

    return st.st_mtime;
}


/* part/.info: 1 final, 0 not there or not final, -1 not readable */

static int
ngx_http_exam_recovery_final(ngx_http_exam_recovery_t *rec, exam_str_t id,
    ngx_http_exam_found_t *found)
{
    int   rc;
    char  name[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(name, EXAM_SPOOL_PART_INFO, id)) {
        return -1;
    }

    rc = ngx_http_exam_recovery_read(rec, name, found);

    return (rc == 1) ? found->manifest.final : rc;
}


unsigned
ngx_http_exam_recovery_next(ngx_http_exam_recovery_t *rec)
{
    int                     n;
    char                    dir[16], name[EXAM_SPOOL_NAME_MAX];
    time_t                  part;
    exam_str_t              id, suffix;
    struct dirent          *de;
    ngx_http_exam_found_t  *found;

    ngx_http_exam_writer_nice();

    rec->nfound = 0;
    rec->error = 0;

    while (rec->nfound < NGX_HTTP_EXAM_RECOVERY_BATCH
           && ngx_http_exam_recovery_place(rec, dir, sizeof(dir)))
    {
        if (rec->dir == NULL) {
            rec->dir = ngx_http_exam_recovery_opendir(rec, dir);
        }

        de = rec->dir ? readdir(rec->dir) : NULL;

        if (de == NULL) {
            ngx_http_exam_recovery_close(rec);
            rec->place++;
            continue;
        }

        if (!ngx_http_exam_recovery_split(de->d_name, &id, &suffix)
            || !exam_str_eq(suffix, exam_str(".info")))
        {
            continue;
        }

        n = snprintf(name, sizeof(name), "%s/%s", dir, de->d_name);
        if (n >= (int) sizeof(name)) {
            continue;
        }

        found = &rec->found[rec->nfound];

        if (ngx_http_exam_recovery_read(rec, name, found) != 1) {
            continue;
        }

        found->waits = (dir[0] != 'p');

        if (found->waits) {
            rec->nfound += found->manifest.final;
            continue;
        }

        if (found->manifest.protocol == EXAM_PROTOCOL_NONE) {
            continue;
        }

        part = ngx_http_exam_recovery_touched(rec, EXAM_SPOOL_PART, id);

        /* or within the finish sequence */

        if (part == 0) {
            part = ngx_http_exam_recovery_touched(rec, EXAM_SPOOL_REC, id);
        }

        if (part != 0) {
            found->touched = ngx_http_exam_recovery_touched(
                                 rec, EXAM_SPOOL_PART_INFO, id);

            if (found->touched < part) {
                found->touched = part;
            }

            rec->nfound++;
        }
    }

    return rec->nfound;
}


/* part/ with its 256 directories, then ready/, work/; 0: no more */

static int
ngx_http_exam_recovery_place(ngx_http_exam_recovery_t *rec, char *dir,
    size_t size)
{
    static const char  *places[] = { "ready", "work" };

    if (rec->place < 256) {
        (void) snprintf(dir, size, "part/%02x", rec->place & 0xff);

    } else {
        (void) snprintf(dir, size, "%s", places[rec->place & 1]);
    }

    return rec->place < 256 + 2;
}


void
ngx_http_exam_recovery_close(ngx_http_exam_recovery_t *rec)
{
    if (rec->dir != NULL) {
        (void) closedir(rec->dir);
        rec->dir = NULL;
    }

    if (rec->lock != -1) {
        (void) close(rec->lock);
        rec->lock = -1;
    }
}


/* 1: read, 0: not there (any more), -1: failed */

static int
ngx_http_exam_recovery_read(ngx_http_exam_recovery_t *rec, const char *name,
    ngx_http_exam_found_t *found)
{
    int           fd;
    ssize_t       n;
    uint8_t       file[EXAM_MANIFEST_MAX];
    exam_arena_t  arena;

    fd = openat(rec->spool, name, O_RDONLY|O_CLOEXEC);

    if (fd == -1 && errno == ENOENT) {
        return 0;
    }

    if (fd == -1) {
        ngx_http_exam_recovery_failed(rec, "openat()", name);
        return -1;
    }

    n = read(fd, file, sizeof(file));

    if (n == -1) {
        ngx_http_exam_recovery_failed(rec, "read()", name);
        (void) close(fd);
        return -1;
    }

    (void) close(fd);

    exam_arena_init(&arena, found->arena, sizeof(found->arena));

    if (exam_manifest_parse(exam_str_make(file, (size_t) n), &arena,
                            &found->manifest)
        != EXAM_OK)
    {
        errno = EBADMSG;
        ngx_http_exam_recovery_failed(rec, "exam_manifest_parse()", name);
        return -1;
    }

    return 1;
}


/* the file under its lock, -1: gone, or its owner lives */

static int
ngx_http_exam_recovery_own(ngx_http_exam_recovery_t *rec, exam_spool_e what,
    exam_str_t id)
{
    int   fd;
    char  name[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(name, what, id)) {
        return -1;
    }

    fd = openat(rec->spool, name, O_WRONLY|O_CLOEXEC);

    if (fd == -1) {
        if (errno != ENOENT) {
            ngx_http_exam_recovery_failed(rec, "openat()", name);
        }

        return -1;
    }

    if (ngx_http_exam_writer_lock(fd, 0) != 0) {
        (void) close(fd);
        return -1;
    }

    return fd;
}


static int
ngx_http_exam_recovery_has(ngx_http_exam_recovery_t *rec, exam_spool_e what,
    exam_str_t id)
{
    char         name[EXAM_SPOOL_NAME_MAX];
    struct stat  st;

    if (!exam_spool_name(name, what, id)) {
        return 0;
    }

    if (fstatat(rec->spool, name, &st, 0) == 0) {
        return 1;
    }

    if (errno == ENOENT) {
        return 0;
    }

    /* not known: as if it were there, nothing is removed */

    ngx_http_exam_recovery_failed(rec, "fstatat()", name);

    return 1;
}


static void
ngx_http_exam_recovery_unlink(ngx_http_exam_recovery_t *rec,
    exam_spool_e what, exam_str_t id)
{
    char  name[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(name, what, id)) {
        return;
    }

    if (unlinkat(rec->spool, name, 0) == 0) {
        rec->removed++;

    } else if (errno != ENOENT) {
        ngx_http_exam_recovery_failed(rec, "unlinkat()", name);
    }
}


static DIR *
ngx_http_exam_recovery_opendir(ngx_http_exam_recovery_t *rec, const char *dir)
{
    int   fd;
    DIR  *d;

    fd = openat(rec->spool, dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    d = (fd == -1) ? NULL : fdopendir(fd);

    if (d == NULL) {
        ngx_http_exam_recovery_failed(rec, "opendir()", dir);

        if (fd != -1) {
            (void) close(fd);
        }
    }

    return d;
}


/* an upload id and the rest of the name; 0: not one of ours */

static int
ngx_http_exam_recovery_split(const char *name, exam_str_t *id,
    exam_str_t *suffix)
{
    const char  *dot;

    dot = strrchr(name, '.');
    if (dot == NULL) {
        return 0;
    }

    *id = exam_str_make(name, (size_t) (dot - name));
    *suffix = exam_str_make(dot, strlen(dot));

    return exam_id_upload(*id);
}


static void
ngx_http_exam_recovery_failed(ngx_http_exam_recovery_t *rec, const char *call,
    const char *name)
{
    rec->error = errno;
    rec->call = call;

    (void) snprintf(rec->name, sizeof(rec->name), "%s", name);
}
