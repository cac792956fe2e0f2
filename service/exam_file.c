
/*
 * Small files, read whole and replaced durably.  Used by the configuration, the
 * key file, the code lists and the side-cars of recordings.  No state.
 */


#include "exam_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


#define EXAM_FILE_STEP  65536


static int exam_file_rest(int fd, size_t max, char **data, size_t *len);
static int exam_file_create(const char *path, mode_t mode, const void *data,
    size_t len);
static int exam_file_folder(const char *path, char out[PATH_MAX]);


int
exam_file_read(const char *path, size_t max, char **data, size_t *len)
{
    int          fd, rc, err;
    struct stat  st;

    *data = NULL;

    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }

    rc = fstat(fd, &st);

    if (rc == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        rc = -1;
    }

    if (rc == 0) {
        rc = exam_file_rest(fd, max, data, len);
    }

    err = errno;

    if (rc != 0) {
        free(*data);
        *data = NULL;
    }

    (void) close(fd);
    errno = err;

    return rc;
}


/* the size is no promise: a pipe has none, a file may grow meanwhile */

static int
exam_file_rest(int fd, size_t max, char **data, size_t *len)
{
    char     *more;
    size_t    got, size;
    ssize_t   n;

    got = 0;
    size = 0;

    for ( ;; ) {
        if (got == size) {
            size += EXAM_FILE_STEP;
            more = realloc(*data, size + 1);

            if (more == NULL) {
                return -1;
            }

            *data = more;
        }

        n = read(fd, *data + got, size - got);

        if (n < 0 && errno == EINTR) {
            continue;
        }

        if (n < 0) {
            return -1;
        }

        got += (size_t) n;

        if (got > max) {
            errno = EFBIG;
            return -1;
        }

        if (n == 0) {
            (*data)[got] = '\0';
            *len = got;

            return 0;
        }
    }
}


int
exam_file_load(int dir, const char *name, void *data, size_t size, size_t *len)
{
    int      fd, err;
    ssize_t  n;

    fd = openat(dir, name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);

    if (fd == -1) {
        return -1;
    }

    do {
        n = read(fd, data, size);
    } while (n == -1 && errno == EINTR);

    err = errno;
    (void) close(fd);
    errno = err;

    *len = n == -1 ? 0 : (size_t) n;

    return n == -1 ? -1 : 0;
}


int
exam_file_replace(const char *path, mode_t mode, const void *data, size_t len,
    bool exclusive)
{
    int   n, err;
    char  tmp[PATH_MAX], folder[PATH_MAX];

    n = snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", path, (long) getpid());

    if (n >= (int) sizeof(tmp) || exam_file_folder(path, folder) != 0) {
        errno = ENAMETOOLONG;
        return -1;
    }

    if (exam_file_create(tmp, mode, data, len) != 0) {
        return -1;
    }

    if (exclusive) {

        /* rename() would replace what another has made since a check */

        if (link(tmp, path) != 0) {
            goto failed;
        }

        (void) unlink(tmp);

    } else if (rename(tmp, path) != 0) {
        goto failed;
    }

    return exam_dir_sync(folder);

failed:

    err = errno;
    (void) unlink(tmp);
    errno = err;

    return -1;
}


/* a new file with its data synced; removed again when that fails */

static int
exam_file_create(const char *path, mode_t mode, const void *data, size_t len)
{
    int  fd, err;

    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    if (fd < 0) {
        return -1;
    }

    /* the mode of a left-over of the same name may be another */

    if (fchmod(fd, mode) != 0
        || exam_file_write(fd, data, len) != 0
        || fsync(fd) != 0)
    {
        err = errno;
        (void) close(fd);
        goto failed;
    }

    if (close(fd) != 0) {
        err = errno;
        goto failed;
    }

    return 0;

failed:

    (void) unlink(path);
    errno = err;

    return -1;
}


int
exam_file_write(int fd, const void *data, size_t len)
{
    ssize_t         n;
    const uint8_t  *p;

    for (p = data; len > 0; p += n, len -= (size_t) n) {
        n = write(fd, p, len);

        if (n < 0) {
            if (errno != EINTR) {
                return -1;
            }

            n = 0;
        }
    }

    return 0;
}


int
exam_dir_sync(const char *path)
{
    int  fd, rc, err;

    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }

    rc = fsync(fd);
    err = errno;

    (void) close(fd);

    errno = err;

    return rc;
}


int
exam_dir_make(const char *path, mode_t mode)
{
    char         dir[PATH_MAX], *p;
    size_t       len;
    struct stat  st;

    len = strlen(path);

    if (len == 0 || len >= sizeof(dir)) {
        errno = (len == 0) ? ENOENT : ENAMETOOLONG;
        return -1;
    }

    memcpy(dir, path, len + 1);

    for (p = dir + 1; ; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }

        if (*p == '\0') {
            break;
        }

        *p = '\0';

        if (mkdir(dir, mode) != 0 && errno != EEXIST) {
            return -1;
        }

        *p = '/';
    }

    if (mkdir(dir, mode) == 0) {
        return 0;
    }

    if (errno != EEXIST || stat(dir, &st) != 0) {
        return -1;
    }

    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }

    return 0;
}


static int
exam_file_folder(const char *path, char out[PATH_MAX])
{
    size_t       len;
    const char  *slash;

    slash = strrchr(path, '/');

    if (slash == NULL) {
        strcpy(out, ".");
        return 0;
    }

    len = (slash == path) ? 1 : (size_t) (slash - path);

    if (len >= PATH_MAX) {
        return -1;
    }

    memcpy(out, path, len);
    out[len] = '\0';

    return 0;
}
