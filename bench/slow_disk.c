
/*
 * For LD_PRELOAD: a disk that takes EXAM_DISK_MS for each write to a file and
 * each sync, whichever thread asks for it, and lets none of them begin while
 * somebody has the file EXAM_DISK_GATE locked.  Sockets and logs are left
 * alone: these are written with other calls.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>


ssize_t pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset);
ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t offset);
int fsync(int fd);
int fdatasync(int fd);

static void slow_disk_init(void) __attribute__ ((constructor));
static void slow_disk_wait(void);
static void slow_disk_pass(void);


static char            *slow_disk_gate;
static struct timespec  slow_disk_time;

static ssize_t (*slow_disk_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*slow_disk_pwritev)(int, const struct iovec *, int, off_t);
static int (*slow_disk_fsync)(int);
static int (*slow_disk_fdatasync)(int);


/* at the very start: nginx clears its environment */

static void
slow_disk_init(void)
{
    long         ms;
    const char  *text;

    text = getenv("EXAM_DISK_MS");
    ms = text ? strtol(text, NULL, 10) : 0;

    slow_disk_time.tv_sec = ms / 1000;
    slow_disk_time.tv_nsec = ms % 1000 * 1000000;

    text = getenv("EXAM_DISK_GATE");
    slow_disk_gate = text ? strdup(text) : NULL;

    *(void **) &slow_disk_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **) &slow_disk_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    *(void **) &slow_disk_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **) &slow_disk_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}


static void
slow_disk_wait(void)
{
    struct timespec  left;

    left = slow_disk_time;

    while (nanosleep(&left, &left) != 0) { /* a signal */ }

    slow_disk_pass();
}


static void
slow_disk_pass(void)
{
    int  fd;

    if (slow_disk_gate == NULL) {
        return;
    }

    fd = open(slow_disk_gate, O_RDONLY|O_CLOEXEC);

    if (fd != -1) {
        while (flock(fd, LOCK_SH) != 0) { /* a signal */ }

        (void) close(fd);
    }
}


ssize_t
pwrite(int fd, const void *data, size_t len, off_t offset)
{
    slow_disk_wait();

    return slow_disk_pwrite(fd, data, len, offset);
}


ssize_t
pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    slow_disk_wait();

    return slow_disk_pwrite(fd, data, len, offset);
}


ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
    slow_disk_wait();

    return slow_disk_pwritev(fd, iov, n, offset);
}


ssize_t
pwritev64(int fd, const struct iovec *iov, int n, off_t offset)
{
    slow_disk_wait();

    return slow_disk_pwritev(fd, iov, n, offset);
}


int
fsync(int fd)
{
    slow_disk_wait();

    return slow_disk_fsync(fd);
}


int
fdatasync(int fd)
{
    slow_disk_wait();

    return slow_disk_fdatasync(fd);
}
