
/*
 * File and reserve of the journal; see the header.
 *
 * After a failed write or sync nobody knows what of the bytes is on the disk (a
 * second fdatasync() would succeed whatever happened), so that the file is left
 * as it is and the same bytes are written to a new one: whoever reads both sees
 * records twice, which they allow for.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "ngx_http_exam_journal_file.h"
#include "ngx_http_exam_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>


#define NGX_HTTP_EXAM_JOURNAL_RESERVE      "reserve"
#define NGX_HTTP_EXAM_JOURNAL_RESERVE_NEW  "reserve.new"


static int ngx_http_exam_journal_file_put(ngx_http_exam_journal_file_t *f,
    const uint8_t *data, size_t len);
static int ngx_http_exam_journal_file_gone(
    const ngx_http_exam_journal_file_t *f);
static int ngx_http_exam_journal_file_open(ngx_http_exam_journal_file_t *f);
static int ngx_http_exam_journal_file_release(
    ngx_http_exam_journal_file_t *f);
static int ngx_http_exam_journal_file_failed(ngx_http_exam_journal_file_t *f,
    const char *call);
static int ngx_http_exam_journal_reserve_make(
    ngx_http_exam_journal_reserve_t *r, int dir);
static int ngx_http_exam_journal_reserve_room(
    ngx_http_exam_journal_reserve_t *r, int dir, int64_t bytes);
static int ngx_http_exam_journal_reserve_failed(
    ngx_http_exam_journal_reserve_t *r, const char *call);


int
ngx_http_exam_journal_file_write(ngx_http_exam_journal_file_t *f,
    const void *data, size_t len)
{
    ngx_http_exam_writer_nice();

    f->error = 0;
    f->released = 0;

    if (f->size >= NGX_HTTP_EXAM_JOURNAL_ROTATE
        || ngx_http_exam_journal_file_gone(f))
    {
        ngx_http_exam_journal_file_close(f);
    }

    for ( ;; ) {
        if (ngx_http_exam_journal_file_put(f, data, len) == 0) {
            return 0;
        }

        if ((f->error != ENOSPC && f->error != EDQUOT) || f->released) {
            return -1;
        }

        f->released = f->error;
        f->error = 0;

        if (ngx_http_exam_journal_file_release(f) != 0) {
            return -1;
        }
    }
}


static int
ngx_http_exam_journal_file_put(ngx_http_exam_journal_file_t *f,
    const uint8_t *data, size_t len)
{
    size_t    done;
    ssize_t   n;
    uint64_t  start;

    if (f->fd == -1 && ngx_http_exam_journal_file_open(f) != 0) {
        return -1;
    }

    for (done = 0; done < len; done += (size_t) n) {
        n = write(f->fd, data + done, len - done);

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        if (n == 0) {
            errno = EIO;
            n = -1;
        }

        if (n == -1) {
            (void) ngx_http_exam_journal_file_failed(f, "write()");

            /* a file with nothing in it is as good as a new one */

            if (done > 0 || f->size > 0) {
                ngx_http_exam_journal_file_close(f);
            }

            return -1;
        }
    }

    start = ngx_http_exam_writer_clock_us();

    if (fdatasync(f->fd) != 0) {
        (void) ngx_http_exam_journal_file_failed(f, "fdatasync()");
        ngx_http_exam_journal_file_close(f);
        return -1;
    }

    f->sync_us = ngx_http_exam_writer_clock_us() - start;
    f->size += (int64_t) len;

    return 0;
}


/*
 * Without a name nobody would read what is acknowledged: who removes old
 * journals may not see this process.
 */

static int
ngx_http_exam_journal_file_gone(const ngx_http_exam_journal_file_t *f)
{
    struct stat  st;

    return f->fd != -1 && fstat(f->fd, &st) == 0 && st.st_nlink == 0;
}


static int
ngx_http_exam_journal_file_open(ngx_http_exam_journal_file_t *f)
{
    char  name[EXAM_JOURNAL_NAME_MAX];

    if (f->dir == -1) {
        f->dir = open(f->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        if (f->dir == -1) {
            return ngx_http_exam_journal_file_failed(f, "open()");
        }
    }

    /* a process of the same number may have been here before */

    do {
        if (!exam_journal_name(name, f->boot, f->pid, f->next++)) {
            errno = EINVAL;
            return ngx_http_exam_journal_file_failed(f, "exam_journal_name()");
        }

        f->fd = openat(f->dir, name,
                       O_WRONLY|O_APPEND|O_CREAT|O_EXCL|O_CLOEXEC, 0640);

    } while (f->fd == -1 && errno == EEXIST);

    f->size = 0;

    if (f->fd == -1) {
        f->next--;
        (void) ngx_http_exam_journal_file_failed(f, "openat()");

        if (f->error == ENOENT) {

            /* another directory may have its name by now */

            (void) close(f->dir);
            f->dir = -1;
        }

        return -1;
    }

    if (fsync(f->dir) != 0) {
        (void) ngx_http_exam_journal_file_failed(f, "fsync()");
        ngx_http_exam_journal_file_close(f);
        return -1;
    }

    return 0;
}


void
ngx_http_exam_journal_file_close(ngx_http_exam_journal_file_t *f)
{
    if (f->fd != -1) {
        (void) close(f->fd);
        f->fd = -1;
    }

    f->size = 0;
}


static int
ngx_http_exam_journal_file_release(ngx_http_exam_journal_file_t *f)
{
    if (f->dir == -1
        || unlinkat(f->dir, NGX_HTTP_EXAM_JOURNAL_RESERVE, 0) == 0
        || errno == ENOENT)
    {
        return 0;
    }

    return ngx_http_exam_journal_file_failed(f, "unlinkat()");
}


static int
ngx_http_exam_journal_file_failed(ngx_http_exam_journal_file_t *f,
    const char *call)
{
    f->error = errno;
    f->call = call;

    return -1;
}


int
ngx_http_exam_journal_reserve_check(ngx_http_exam_journal_reserve_t *r)
{
    int          dir, rc;
    struct stat  st;

    ngx_http_exam_writer_nice();

    r->error = 0;

    dir = open(r->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (dir == -1) {
        return ngx_http_exam_journal_reserve_failed(r, "open()");
    }

    rc = 0;

    if (fstatat(dir, NGX_HTTP_EXAM_JOURNAL_RESERVE, &st, AT_SYMLINK_NOFOLLOW)
        != 0)
    {
        if (errno != ENOENT) {
            rc = ngx_http_exam_journal_reserve_failed(r, "fstatat()");

        } else if (r->size > 0) {
            rc = ngx_http_exam_journal_reserve_make(r, dir);
        }

    } else if (st.st_size != r->size) {

        /* another configuration's: its room may be what the new one needs */

        if (unlinkat(dir, NGX_HTTP_EXAM_JOURNAL_RESERVE, 0) != 0
            && errno != ENOENT)
        {
            rc = ngx_http_exam_journal_reserve_failed(r, "unlinkat()");

        } else if (r->size > 0) {
            rc = ngx_http_exam_journal_reserve_make(r, dir);
        }
    }

    (void) close(dir);

    return rc;
}


/*
 * Two processes may do this at a time (a reload, an upgrade): both fill the
 * same file, and who is late with the rename finds it done.
 */

static int
ngx_http_exam_journal_reserve_make(ngx_http_exam_journal_reserve_t *r, int dir)
{
    int  fd;

    if (r->counted) {
        return ngx_http_exam_journal_reserve_room(r, dir, r->size);
    }

    if (r->missing
        && ngx_http_exam_journal_reserve_room(r, dir, r->size + r->size / 4)
           != 0)
    {
        return -1;
    }

    fd = openat(dir, NGX_HTTP_EXAM_JOURNAL_RESERVE_NEW,
                O_WRONLY|O_CREAT|O_CLOEXEC, 0600);
    if (fd == -1) {
        return ngx_http_exam_journal_reserve_failed(r, "openat()");
    }

    if (ftruncate(fd, r->size) != 0 || fallocate(fd, 0, 0, r->size) != 0) {
        (void) ngx_http_exam_journal_reserve_failed(r, "fallocate()");
        (void) close(fd);
        (void) unlinkat(dir, NGX_HTTP_EXAM_JOURNAL_RESERVE_NEW, 0);

        if (r->error != EOPNOTSUPP) {
            return -1;
        }

        r->counted = 1;
        r->error = 0;

        return ngx_http_exam_journal_reserve_room(r, dir, r->size);
    }

    (void) close(fd);

    if (renameat(dir, NGX_HTTP_EXAM_JOURNAL_RESERVE_NEW, dir,
                 NGX_HTTP_EXAM_JOURNAL_RESERVE)
        != 0
        && errno != ENOENT)
    {
        return ngx_http_exam_journal_reserve_failed(r, "renameat()");
    }

    return 0;
}


static int
ngx_http_exam_journal_reserve_room(ngx_http_exam_journal_reserve_t *r, int dir,
    int64_t bytes)
{
    struct statvfs  st;

    if (fstatvfs(dir, &st) != 0) {
        return ngx_http_exam_journal_reserve_failed(r, "fstatvfs()");
    }

    if ((int64_t) st.f_bavail * (int64_t) st.f_frsize < bytes) {
        errno = ENOSPC;
        return ngx_http_exam_journal_reserve_failed(r, "fstatvfs()");
    }

    return 0;
}


static int
ngx_http_exam_journal_reserve_failed(ngx_http_exam_journal_reserve_t *r,
    const char *call)
{
    r->error = errno;
    r->call = call;

    return -1;
}
