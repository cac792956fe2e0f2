
/*
 * The spool of a unit test; see the header.
 */


#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>


static int  test_fdatasync(int fd);
static int  test_fsync(int fd);
static int  test_ftruncate(int fd, off_t size);
static ssize_t  test_pwrite(int fd, const void *data, size_t len, off_t at);

#define fdatasync   test_fdatasync
#define fsync       test_fsync
#define ftruncate   test_ftruncate
#define pwrite      test_pwrite

#include "../../ngx_exam_module/ngx_http_exam_hasher.c"
#include "../../ngx_exam_module/ngx_http_exam_writer.c"
#include "../../ngx_exam_module/ngx_http_exam_part.c"
#include "../../ngx_exam_module/ngx_http_exam_part_find.c"
#include "../../ngx_exam_module/ngx_http_exam_recovery.c"

#undef fdatasync
#undef fsync
#undef ftruncate
#undef pwrite

#include "private_spool.h"


int      spool, ready;
int      syncs, dir_syncs;
int      sync_errno, dir_errno, cut_errno, write_errno;
int64_t  size_at_sync;
int      cuts_to_room;
uint8_t  arena[2][EXAM_MANIFEST_ARENA];

static char  spool_path[] = "/tmp/exam-spool-XXXXXX";


void
spool_start(void)
{
    const char  *root;

    root = mkdtemp(spool_path);
    spool = (root == NULL) ? -1 : open(root, O_RDONLY|O_DIRECTORY);

    if (spool == -1
        || mkdirat(spool, "part", 0700) != 0
        || mkdirat(spool, "part/01", 0700) != 0
        || mkdirat(spool, "ready", 0700) != 0
        || mkdirat(spool, "work", 0700) != 0
        || mkdirat(spool, "bad", 0700) != 0)
    {
        printf("Bail out! no spool\n");
        exit(1);
    }

    ready = openat(spool, "ready", O_RDONLY|O_DIRECTORY);
}


void
spool_stop(void)
{
    char  command[64];

    (void) snprintf(command, sizeof(command), "rm -rf %s", spool_path);
    tap_is(system(command), 0, "the spool is removed");
}


void
begin(writer_t *w, int64_t length)
{
    exam_manifest_t  *m;

    ngx_http_exam_writer_init(w);

    w->spool = spool;
    w->ready = ready;
    w->resumable = 1;
    w->boot = exam_str(BOOT);
    w->expire = 86400;
    w->arena = arena[0];

    m = &w->manifest;
    m->id = exam_str(ID);
    m->exam = exam_str("math");
    m->student = exam_str("anna");
    m->kind = exam_str("screen");
    m->length = length;
    m->content_type = exam_str("video/webm");
    m->started_at = m->duration_ms = m->received_at = -1;
    m->node = exam_str("n1");
    m->protocol = EXAM_PROTOCOL_TUS;
    m->created_at = 1;

    if (ngx_http_exam_part_create(w) != 0) {
        printf("# %s: %s\n", w->call, strerror(w->error));
    }
}


int
acquire(writer_t *w, const char *boot)
{
    static unsigned  n;

    ngx_http_exam_writer_init(w);

    w->spool = spool;
    w->ready = ready;
    w->resumable = 1;
    w->boot = exam_str_make(boot, strlen(boot));
    w->expire = 86400;
    w->arena = arena[n++ % 2];
    w->manifest.id = exam_str(ID);

    return (int) ngx_http_exam_part_acquire(w);
}


int
append(writer_t *w, const char *data, size_t len)
{
    int  rc;

    w->length = (int64_t) len;

    if (ngx_http_exam_part_append(w) != 0) {
        return -1;
    }

    if (len > 0 && put(w, (const uint8_t *) data, len) != 0) {
        return -1;
    }

    do {
        rc = ngx_http_exam_writer_last(w);
    } while (rc == 1);

    return rc;
}


int
put(writer_t *w, const uint8_t *data, size_t len)
{
    ngx_http_exam_hasher_open(&w->hash);
    ngx_http_exam_hasher_add(&w->hash, data, len);

    return ngx_http_exam_writer_write(w);
}


void
closed(writer_t *w)
{
    tap_ok(ngx_http_exam_part_close(w) == 0 && w->fd == -1, "let go");
}


int
has(const char *name)
{
    return faccessat(spool, name, F_OK, 0) == 0;
}


int64_t
size_of(const char *name)
{
    struct stat  st;

    return fstatat(spool, name, &st, 0) == 0 ? st.st_size : -1;
}


void
text_of(const char *name, char *out, size_t size)
{
    int      fd;
    ssize_t  n;

    fd = openat(spool, name, O_RDONLY);
    n = (fd == -1) ? 0 : read(fd, out, size - 1);

    out[n > 0 ? n : 0] = '\0';
    (void) close(fd);
}


void
age(const char *name, time_t seconds)
{
    struct timespec  times[2];

    times[0].tv_sec = times[1].tv_sec = time(NULL) - seconds;
    times[0].tv_nsec = times[1].tv_nsec = 0;

    (void) utimensat(spool, name, times, 0);
}


static int
test_fdatasync(int fd)
{
    struct stat  st;

    if (sync_errno) {
        errno = sync_errno;
        return -1;
    }

    if (syncs++ == 0 && fstat(fd, &st) == 0) {
        size_at_sync = st.st_size;
    }

    return fdatasync(fd);
}


static int
test_fsync(int fd)
{
    if (dir_errno) {
        errno = dir_errno;
        return -1;
    }

    dir_syncs++;

    return fsync(fd);
}


static int
test_ftruncate(int fd, off_t size)
{
    if (cut_errno) {
        errno = cut_errno;
        return -1;
    }

    if (cuts_to_room > 0 && --cuts_to_room == 0) {
        write_errno = 0;
    }

    return ftruncate(fd, size);
}


static ssize_t
test_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (write_errno) {
        errno = write_errno;
        return -1;
    }

    return pwrite(fd, data, len, at);
}
