
/*
 * Part file, hash and finish sequence of one upload; see the header.
 *
 * Order of the finish sequence (DESIGN 6): data synced, manifest synced under a
 * temporary name, then three renames of which the last, ready/.info, is the
 * commit mark, then the directory.  Whatever a crash leaves is told apart by
 * the recovery in ngx_http_exam_spool.c.  The OFD lock is held until the end,
 * so that a recovery in another process keeps its hands off.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "ngx_http_exam_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


#define NGX_HTTP_EXAM_WRITER_NICE  19
#define NGX_HTTP_EXAM_WRITER_READ  (128 * 1024)     /* bytes, a buffer */


static int ngx_http_exam_writer_block(ngx_http_exam_writer_t *w,
    const ngx_http_exam_hasher_block_t *block);
static int ngx_http_exam_writer_rehash(ngx_http_exam_writer_t *w);
static int ngx_http_exam_writer_align(ngx_http_exam_writer_t *w, size_t len);
static int ngx_http_exam_writer_put(int fd, const uint8_t *data, size_t len,
    int64_t offset, int *direct);
static int ngx_http_exam_writer_buffered(int fd, int *direct);


void
ngx_http_exam_writer_init(ngx_http_exam_writer_t *w)
{
    memset(w, 0, sizeof(ngx_http_exam_writer_t));

    w->spool = -1;
    w->ready = -1;
    w->fd = -1;
    w->length = -1;

    ngx_http_exam_hasher_init(&w->hash);
}


int
ngx_http_exam_writer_open(ngx_http_exam_writer_t *w)
{
    ngx_http_exam_writer_nice();

    if (ngx_http_exam_writer_create(w) != 0) {
        return -1;
    }

    return ngx_http_exam_writer_reserve(w, w->length);
}


/* behind the offset; the size stays that of what was written: KEEP_SIZE */

int
ngx_http_exam_writer_reserve(ngx_http_exam_writer_t *w, int64_t length)
{
    if (length <= 0
        || fallocate(w->fd, FALLOC_FL_KEEP_SIZE, w->offset, length) == 0)
    {
        return 0;
    }

    if (errno != EOPNOTSUPP) {
        return ngx_http_exam_writer_failed(w, "fallocate()");
    }

    w->unreserved = 1;

    return 0;
}


/*
 * A sweep may meet the file before it is locked and remove it: then it has no
 * name any more and is made anew.
 */

int
ngx_http_exam_writer_create(ngx_http_exam_writer_t *w)
{
    int          flags;
    char         name[EXAM_SPOOL_NAME_MAX];
    struct stat  st;

    if (!exam_spool_name(name, EXAM_SPOOL_PART, w->manifest.id)) {
        errno = EINVAL;
        return ngx_http_exam_writer_failed(w, "exam_spool_name()");
    }

    flags = O_CREAT|O_EXCL|O_WRONLY|O_CLOEXEC;

    for ( ;; ) {
        w->fd = openat(w->spool, name, flags|O_DIRECT,
                       NGX_HTTP_EXAM_WRITER_MODE);
        w->direct = (w->fd != -1);

        if (w->fd == -1 && errno == EINVAL) {

            /* some file systems create the file and then refuse the flag */

            (void) unlinkat(w->spool, name, 0);
            w->fd = openat(w->spool, name, flags,
                           NGX_HTTP_EXAM_WRITER_MODE);
        }

        if (w->fd == -1) {
            return ngx_http_exam_writer_failed(w, "openat()");
        }

        w->want_direct = w->direct;
        w->stage = NGX_HTTP_EXAM_WRITER_PART;

        if (ngx_http_exam_writer_lock(w->fd, 1) != 0) {
            return ngx_http_exam_writer_failed(w, "fcntl(F_OFD_SETLKW)");
        }

        if (fstat(w->fd, &st) != 0) {
            return ngx_http_exam_writer_failed(w, "fstat()");
        }

        if (st.st_nlink > 0) {
            return 0;
        }

        (void) close(w->fd);
        w->fd = -1;
    }
}


int
ngx_http_exam_writer_write(ngx_http_exam_writer_t *w)
{
    unsigned                           i;
    const ngx_http_exam_hasher_block_t  *block;

    w->nwrites = 0;

    /* what is behind a prefix that is not hashed yet is read again by _last */

    if (w->hashed == w->offset) {
        w->hashed += (int64_t) ngx_http_exam_hasher_run(&w->hash);
    }

    for (i = 0; i < w->hash.n; i++) {
        block = &w->hash.blocks[i];

        if (w->summing) {
            exam_checksum_update(&w->sum, block->data, block->len);
        }

        if (ngx_http_exam_writer_block(w, block) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
ngx_http_exam_writer_block(ngx_http_exam_writer_t *w,
    const ngx_http_exam_hasher_block_t *block)
{
    int       direct;
    uint64_t  start;

    start = ngx_http_exam_writer_clock_us();

    if (ngx_http_exam_writer_align(w, block->len) != 0) {
        return ngx_http_exam_writer_failed(w, "fcntl(F_SETFL)");
    }

    direct = w->direct;

    if (ngx_http_exam_writer_put(w->fd, block->data, block->len, w->offset,
                                 &w->direct)
        != 0)
    {
        w->torn = 1;
        return ngx_http_exam_writer_failed(w, "pwrite()");
    }

    w->offset += (int64_t) block->len;

    /* a file system that has refused it is asked no more */

    if (w->direct != direct) {
        w->want_direct = 0;
    }

    /* early write back, so that the final sync has little left to do */

    if (!w->direct && w->offset - w->flushed >= NGX_HTTP_EXAM_WRITER_SYNC) {
        (void) sync_file_range(w->fd, w->flushed, w->offset - w->flushed,
                               SYNC_FILE_RANGE_WRITE);
        w->flushed = w->offset;
    }

    w->write_us[w->nwrites++] = ngx_http_exam_writer_clock_us() - start;

    return 0;
}


/*
 * A tail, and what follows a prefix that ends within a block, goes through the
 * page cache; then O_DIRECT is set again.
 */

static int
ngx_http_exam_writer_align(ngx_http_exam_writer_t *w, size_t len)
{
    int  flags;

    if (len % NGX_HTTP_EXAM_WRITER_ALIGN != 0
        || w->offset % NGX_HTTP_EXAM_WRITER_ALIGN != 0)
    {
        return w->direct ? ngx_http_exam_writer_buffered(w->fd, &w->direct) : 0;
    }

    if (w->direct || !w->want_direct) {
        return 0;
    }

    flags = fcntl(w->fd, F_GETFL);

    if (flags == -1) {
        return -1;
    }

    w->direct = (fcntl(w->fd, F_SETFL, flags | O_DIRECT) != -1);
    w->want_direct = w->direct;

    return 0;
}


int
ngx_http_exam_writer_last(ngx_http_exam_writer_t *w)
{
    int            rc;
    uint8_t        sum[EXAM_TUS_CHECKSUM_MAX];
    exam_sha256_t  hash;

    if (w->summing) {
        exam_checksum_final(&w->sum, sum);
        w->check_ok = exam_tus_checksum_eq(&w->check, sum);
        w->summing = 0;
    }

    if (w->resumable && !w->whole && w->manifest.length != w->offset) {
        return 0;
    }

    if (w->hashed < w->offset) {
        rc = ngx_http_exam_writer_rehash(w);

        if (rc != 0 || w->hashed < w->offset) {
            return (rc != 0) ? rc : 1;
        }
    }

    hash = w->hash.sha;
    exam_sha256_final(&hash, w->sha256);

    return 0;
}


/* the next slice of what was not hashed as it came, from the file */

static int
ngx_http_exam_writer_rehash(ngx_http_exam_writer_t *w)
{
    int       fd;
    char      name[EXAM_SPOOL_NAME_MAX];
    size_t    size;
    int64_t   end;
    ssize_t   n;
    uint8_t  *data;

    if (!exam_spool_name(name, EXAM_SPOOL_PART, w->manifest.id)) {
        errno = EINVAL;
        return ngx_http_exam_writer_failed(w, "exam_spool_name()");
    }

    fd = openat(w->spool, name, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return ngx_http_exam_writer_failed(w, "openat()");
    }

    size = NGX_HTTP_EXAM_WRITER_READ;
    data = malloc(size);
    if (data == NULL) {
        (void) ngx_http_exam_writer_failed(w, "malloc()");
        goto failed;
    }

    end = w->hashed + NGX_HTTP_EXAM_WRITER_SLICE;

    if (end > w->offset) {
        end = w->offset;
    }

    while (w->hashed < end) {

        if ((int64_t) size > end - w->hashed) {
            size = (size_t) (end - w->hashed);
        }

        n = pread(fd, data, size, w->hashed);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            errno = (n == 0) ? EIO : errno;
            (void) ngx_http_exam_writer_failed(w, "pread()");
            goto failed;
        }

        exam_sha256_update(&w->hash.sha, data, (size_t) n);
        w->hashed += n;
    }

    free(data);
    (void) close(fd);

    return 0;

failed:

    free(data);
    (void) close(fd);

    return -1;
}


/*
 * The kernel tells whoever syncs first of bytes that it could not write, and
 * takes them for written from then on: a failed sync is never tried again and
 * believed.  Of a part that stays, the mode says so to the next owner, should
 * this process be killed before it has cut them off.
 */

int
ngx_http_exam_writer_sync(ngx_http_exam_writer_t *w)
{
    uint64_t  start;

    if (w->resumable
        && fchmod(w->fd, NGX_HTTP_EXAM_WRITER_MODE
                         | NGX_HTTP_EXAM_WRITER_UNSURE)
           != 0)
    {
        return ngx_http_exam_writer_failed(w, "fchmod()");
    }

    start = ngx_http_exam_writer_clock_us();

    if (fdatasync(w->fd) != 0) {
        w->lost = 1;
        return ngx_http_exam_writer_failed(w, "fdatasync()");
    }

    w->sync_us = ngx_http_exam_writer_clock_us() - start;

    if (w->resumable && fchmod(w->fd, NGX_HTTP_EXAM_WRITER_MODE) != 0) {
        return ngx_http_exam_writer_failed(w, "fchmod()");
    }

    return 0;
}


int
ngx_http_exam_writer_finish(ngx_http_exam_writer_t *w)
{
    ngx_http_exam_writer_nice();

    if (ngx_http_exam_writer_sync(w) != 0
        || ngx_http_exam_writer_info(w) != 0)
    {
        return -1;
    }

    if (ngx_http_exam_writer_rename(w, EXAM_SPOOL_PART_TMP,
                                    EXAM_SPOOL_PART_INFO)
        != 0)
    {
        return -1;
    }

    w->stage = NGX_HTTP_EXAM_WRITER_INFO;

    /* the manifest is final: nothing it counts may be cut off any more */

    w->atomic = 0;
    w->sealed = 1;

    if (ngx_http_exam_writer_rename(w, EXAM_SPOOL_PART, EXAM_SPOOL_REC) != 0) {
        return -1;
    }

    w->stage = NGX_HTTP_EXAM_WRITER_REC;

    if (ngx_http_exam_writer_rename(w, EXAM_SPOOL_PART_INFO, EXAM_SPOOL_INFO)
        != 0)
    {
        return -1;
    }

    w->stage = NGX_HTTP_EXAM_WRITER_MARKED;

    if (fsync(w->ready) != 0) {
        return ngx_http_exam_writer_failed(w, "fsync()");
    }

    (void) close(w->fd);
    w->fd = -1;

    return 0;
}


/* the manifest's own file, synced, under its temporary name */

int
ngx_http_exam_writer_info(ngx_http_exam_writer_t *w)
{
    uint8_t     memory[EXAM_MANIFEST_MAX];
    exam_buf_t  b;

    exam_buf_init(&b, memory, sizeof(memory));
    exam_manifest_format(&b, &w->manifest);

    if (b.overflow) {
        errno = ENAMETOOLONG;
        return ngx_http_exam_writer_failed(w, "exam_manifest_format()");
    }

    return ngx_http_exam_writer_file(w, memory, exam_buf_len(&b));
}


int
ngx_http_exam_writer_file(ngx_http_exam_writer_t *w, const uint8_t *data,
    size_t len)
{
    int   fd, direct;
    char  name[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(name, EXAM_SPOOL_PART_TMP, w->manifest.id)) {
        errno = EINVAL;
        return ngx_http_exam_writer_failed(w, "exam_spool_name()");
    }

    fd = openat(w->spool, name, O_CREAT|O_TRUNC|O_WRONLY|O_CLOEXEC, 0600);
    if (fd == -1) {
        return ngx_http_exam_writer_failed(w, "openat()");
    }

    direct = 0;

    if (ngx_http_exam_writer_put(fd, data, len, 0, &direct) != 0) {
        (void) ngx_http_exam_writer_failed(w, "pwrite()");
        goto failed;
    }

    if (fdatasync(fd) != 0) {
        (void) ngx_http_exam_writer_failed(w, "fdatasync()");
        goto failed;
    }

    if (close(fd) != 0) {
        return ngx_http_exam_writer_failed(w, "close()");
    }

    return 0;

failed:

    (void) close(fd);

    return -1;
}


int
ngx_http_exam_writer_remove(ngx_http_exam_writer_t *w)
{
    int  rc;

    ngx_http_exam_writer_nice();

    rc = 0;
    w->error = 0;

    /* the manifest goes first: a file without one is removed by any sweep */

    switch (w->stage) {

    case NGX_HTTP_EXAM_WRITER_REC:
        rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART_INFO);
        rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_REC);
        break;

    case NGX_HTTP_EXAM_WRITER_INFO:
        rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART_INFO);
        rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART);
        break;

    case NGX_HTTP_EXAM_WRITER_PART:
        rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART_TMP);
        rc |= ngx_http_exam_writer_unlink(w, EXAM_SPOOL_PART);
        break;

    case NGX_HTTP_EXAM_WRITER_MARKED:
    case NGX_HTTP_EXAM_WRITER_NONE:
        break;
    }

    if (w->fd != -1) {
        (void) close(w->fd);
        w->fd = -1;
    }

    return rc;
}


int
ngx_http_exam_writer_lock(int fd, int wait)
{
    struct flock  fl;

    memset(&fl, 0, sizeof(fl));

    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;

    for ( ;; ) {
        if (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl) == 0) {
            return 0;
        }

        if (errno != EINTR) {
            return -1;
        }
    }
}


int
ngx_http_exam_writer_unlock(int fd)
{
    struct flock  fl;

    memset(&fl, 0, sizeof(fl));

    fl.l_type = F_UNLCK;
    fl.l_whence = SEEK_SET;

    return fcntl(fd, F_OFD_SETLK, &fl);
}


uint64_t
ngx_http_exam_writer_clock_us(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


/* of the calling thread alone, as Linux has it; a failure costs latency only */

void
ngx_http_exam_writer_nice(void)
{
    static __thread int  done;

    if (!done) {
        done = 1;
        (void) setpriority(PRIO_PROCESS, 0, NGX_HTTP_EXAM_WRITER_NICE);
    }
}


int
ngx_http_exam_writer_rename(ngx_http_exam_writer_t *w, exam_spool_e from,
    exam_spool_e to)
{
    char  old[EXAM_SPOOL_NAME_MAX], new[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(old, from, w->manifest.id)
        || !exam_spool_name(new, to, w->manifest.id))
    {
        errno = EINVAL;
        return ngx_http_exam_writer_failed(w, "exam_spool_name()");
    }

    if (renameat(w->spool, old, w->spool, new) != 0) {
        return ngx_http_exam_writer_failed(w, "renameat()");
    }

    return 0;
}


int
ngx_http_exam_writer_unlink(ngx_http_exam_writer_t *w, exam_spool_e what)
{
    char  name[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(name, what, w->manifest.id)) {
        errno = EINVAL;
        return ngx_http_exam_writer_failed(w, "exam_spool_name()");
    }

    if (unlinkat(w->spool, name, 0) != 0 && errno != ENOENT) {
        return ngx_http_exam_writer_failed(w, "unlinkat()");
    }

    return 0;
}


static int
ngx_http_exam_writer_put(int fd, const uint8_t *data, size_t len,
    int64_t offset, int *direct)
{
    ssize_t  n;

    while (len > 0) {
        n = pwrite(fd, data, len, offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1 && errno == EINVAL && *direct) {
            if (ngx_http_exam_writer_buffered(fd, direct) != 0) {
                return -1;
            }

            continue;
        }

        if (n == -1) {
            return -1;
        }

        if (n == 0) {
            errno = EIO;
            return -1;
        }

        data += n;
        len -= (size_t) n;
        offset += n;

        /* a short write leaves an offset that O_DIRECT may not take */

        if (len > 0 && *direct
            && ngx_http_exam_writer_buffered(fd, direct) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
ngx_http_exam_writer_buffered(int fd, int *direct)
{
    int  flags;

    flags = fcntl(fd, F_GETFL);

    if (flags == -1 || fcntl(fd, F_SETFL, flags & ~O_DIRECT) == -1) {
        return -1;
    }

    *direct = 0;

    return 0;
}


int
ngx_http_exam_writer_failed(ngx_http_exam_writer_t *w, const char *call)
{
    w->error = errno;
    w->call = call;

    return -1;
}
