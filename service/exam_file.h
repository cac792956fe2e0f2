
/*
 * Small files: read whole, and replaced so that a crash leaves the old one or
 * the new one (temporary name, fsync, rename, fsync of the folder).  Blocking:
 * for the daemons and tools, never for nginx.  Errors are errno.
 */


#ifndef EXAM_FILE_H_INCLUDED
#define EXAM_FILE_H_INCLUDED


#include "exam_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>


/*
 * Allocates *data (the caller frees it) with a NUL behind the last byte.  EFBIG
 * when the file is longer than `max`.  0 or -1.
 */

EXAM_MUST_CHECK int exam_file_read(const char *path, size_t max, char **data,
    size_t *len);

/*
 * The first bytes of a file below the folder `dir`, at most size; a link is not
 * followed.  0 or -1.
 */

EXAM_MUST_CHECK int exam_file_load(int dir, const char *name, void *data,
    size_t size, size_t *len);

/*
 * Writes data under a temporary name in the same folder and renames it to
 * `path`.  With `exclusive` an existing `path` is EEXIST and stays as it is.
 */

EXAM_MUST_CHECK int exam_file_replace(const char *path, mode_t mode,
    const void *data, size_t len, bool exclusive);

/* all of it, restarted after signals */

EXAM_MUST_CHECK int exam_file_write(int fd, const void *data, size_t len);

EXAM_MUST_CHECK int exam_dir_sync(const char *path);

/* makes the folder and its parents */

EXAM_MUST_CHECK int exam_dir_make(const char *path, mode_t mode);


#endif /* EXAM_FILE_H_INCLUDED */
