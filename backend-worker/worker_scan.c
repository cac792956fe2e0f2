
/*
 * The spool itself as the source of work (DESIGN 1, rule 2: the stream is only
 * the doorbell): first work/, what an earlier run left or could not finish,
 * then ready/.  A scan is spread over as many batches as it needs; what is
 * renamed away meanwhile may or may not still be seen, both are harmless.
 */


#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>


static bool worker_scan_name(const char *name, char id[EXAM_UPLOAD_MAX + 1]);
static DIR *worker_scan_open(worker_t *w, const char *folder);


/* "<id>.info" -> true and the id; anything else is not ours */

static bool
worker_scan_name(const char *name, char id[EXAM_UPLOAD_MAX + 1])
{
    size_t  len;

    len = strlen(name);

    if (len <= 5 || len - 5 > EXAM_UPLOAD_MAX
        || strcmp(name + len - 5, ".info") != 0
        || !exam_id_upload(exam_str_make(name, len - 5)))
    {
        return false;
    }

    memcpy(id, name, len - 5);
    id[len - 5] = '\0';

    return true;
}


static DIR *
worker_scan_open(worker_t *w, const char *folder)
{
    DIR  *dir;
    int   fd;

    fd = openat(w->spool, folder, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        exam_log(EXAM_LOG_ERROR, "scan", errno, "cannot open \"%s\"", folder);
        return NULL;
    }

    dir = fdopendir(fd);

    if (dir == NULL) {
        exam_log(EXAM_LOG_ERROR, "scan", errno, "cannot read \"%s\"", folder);
        close(fd);
    }

    return dir;
}


void
worker_scan_begin(worker_t *w)
{
    if (w->scan.phase != WORKER_SCAN_NONE) {
        return;
    }

    w->scan.phase = WORKER_SCAN_WORK;
    w->scan.dir = worker_scan_open(w, "work");
}


bool
worker_scan_fill(worker_t *w)
{
    char            id[EXAM_UPLOAD_MAX + 1];
    worker_scan_t  *scan;
    struct dirent  *entry;

    scan = &w->scan;

    while (scan->phase != WORKER_SCAN_NONE) {

        while (w->batch.n < WORKER_BATCH && scan->dir != NULL
               && (entry = readdir(scan->dir)) != NULL)
        {
            if (worker_scan_name(entry->d_name, id)) {
                (void) worker_batch_add(&w->batch,
                                        exam_str_make(id, strlen(id)));
            }
        }

        if (w->batch.n == WORKER_BATCH) {
            return true;
        }

        if (scan->dir != NULL) {
            closedir(scan->dir);
            scan->dir = NULL;
        }

        if (scan->phase == WORKER_SCAN_WORK) {
            scan->phase = WORKER_SCAN_READY;
            scan->dir = worker_scan_open(w, "ready");

        } else {
            scan->phase = WORKER_SCAN_NONE;
        }
    }

    return false;
}


void
worker_scan_close(worker_t *w)
{
    if (w->scan.dir != NULL) {
        closedir(w->scan.dir);
        w->scan.dir = NULL;
    }

    w->scan.phase = WORKER_SCAN_NONE;
}


int
worker_scan_each(worker_t *w, const char *folder, worker_scan_pt callback,
    void *data)
{
    DIR            *dir;
    char            id[EXAM_UPLOAD_MAX + 1];
    struct dirent  *entry;

    dir = worker_scan_open(w, folder);

    if (dir == NULL) {
        return -1;
    }

    while ((entry = readdir(dir)) != NULL) {

        if (worker_scan_name(entry->d_name, id) && !callback(data, id)) {
            closedir(dir);
            return -1;
        }
    }

    closedir(dir);

    return 0;
}
