
/*
 * The store against the table (DESIGN 7): after a start, or a reconnect to
 * another server, the last commits may be missing there, because a replica was
 * promoted before it had them.  Every side-car of the last hour whose upload id
 * has no row gets one.  Nothing is removed here, whatever the table says.
 *
 * Folders that have not changed for an hour are skipped unread, so the walk
 * costs one look at each student.
 */


#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


typedef struct {
    worker_t        *w;
    worker_batch_t  *batch;
    time_t           since;
    unsigned         seen;
    unsigned         added;
    bool             failed;            /* of MySQL: to be done again */
} worker_recheck_t;


typedef void (*worker_walk_pt)(worker_recheck_t *r, int fd, const char *name);


static void worker_recheck_walk(worker_recheck_t *r, int at, const char *name,
    worker_walk_pt each);
static void worker_recheck_exam(worker_recheck_t *r, int fd,
    const char *name);
static void worker_recheck_student(worker_recheck_t *r, int fd,
    const char *name);
static void worker_recheck_file(worker_recheck_t *r, int fd,
    const char *name);
static void worker_recheck_flush(worker_recheck_t *r);


void
worker_recheck(worker_t *w)
{
    worker_recheck_t  r;

    if (!w->db.recheck || !worker_db_up(w)) {
        return;
    }

    memset(&r, 0, sizeof(worker_recheck_t));

    r.w = w;
    r.since = (time_t) ((exam_now_ms() - WORKER_RECHECK) / 1000);
    r.batch = malloc(sizeof(worker_batch_t));

    if (r.batch == NULL) {
        exam_log(EXAM_LOG_ALERT, "recheck", 0, "no memory");
        return;
    }

    worker_batch_reset(r.batch);

    worker_recheck_walk(&r, w->store, ".", worker_recheck_exam);
    worker_recheck_flush(&r);

    free(r.batch);

    if (r.failed || worker_quit != 0) {
        return;
    }

    exam_log(EXAM_LOG_NOTICE, "recheck", 0,
             "%u side-cars of the last hour compared with mysql, %u rows "
             "added", r.seen, r.added);

    w->db.recheck = false;
}


static void
worker_recheck_walk(worker_recheck_t *r, int at, const char *name,
    worker_walk_pt each)
{
    DIR            *dir;
    int             fd;
    struct dirent  *entry;

    fd = openat(at, name, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

    if (fd == -1) {

        if (errno != ENOTDIR) {
            exam_log(EXAM_LOG_ERROR, "recheck", errno, "cannot open \"%s\"",
                     name);
        }

        return;
    }

    dir = fdopendir(fd);

    if (dir == NULL) {
        close(fd);
        return;
    }

    while (!r->failed && worker_quit == 0 && (entry = readdir(dir)) != NULL) {

        if (entry->d_name[0] != '.') {
            each(r, fd, entry->d_name);
        }
    }

    closedir(dir);
}


static void
worker_recheck_exam(worker_recheck_t *r, int fd, const char *name)
{
    worker_recheck_walk(r, fd, name, worker_recheck_student);
}


static void
worker_recheck_student(worker_recheck_t *r, int fd, const char *name)
{
    struct stat  st;

    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
        && S_ISDIR(st.st_mode) && st.st_mtime >= r->since)
    {
        worker_recheck_walk(r, fd, name, worker_recheck_file);
    }
}


static void
worker_recheck_file(worker_recheck_t *r, int fd, const char *name)
{
    bool            sidecar;
    char            id[EXAM_UPLOAD_MAX + 1];
    struct stat     st;
    worker_item_t  *item;

    if (!exam_store_name_id(name, id, &sidecar) || !sidecar
        || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1
        || st.st_mtime < r->since)
    {
        return;
    }

    if (r->batch->n == WORKER_BATCH) {
        worker_recheck_flush(r);

        if (r->failed) {
            return;
        }
    }

    item = worker_batch_add(r->batch, exam_str_make(id, strlen(id)));

    if (item == NULL || item->state != WORKER_NEW) {
        return;
    }

    r->seen++;

    if (!worker_sidecar_load(item, fd, name)) {
        exam_log(EXAM_LOG_ERROR, "recheck", 0, "side-car \"%s\" is unusable",
                 name);
        item->state = WORKER_DONE;
        return;
    }

    item->state = WORKER_FILED;
}


/* most have their row: only the others are inserted */

static void
worker_recheck_flush(worker_recheck_t *r)
{
    size_t           i;
    worker_t        *w;
    exam_db_e        rc;
    worker_item_t   *item;
    worker_batch_t  *b;

    w = r->w;
    b = r->batch;

    for (i = 0; i < b->n; i++) {
        b->items[i].wanted = b->items[i].state == WORKER_FILED;
    }

    rc = worker_db_find(w, b);

    for (i = 0; i < b->n; i++) {

        if (b->items[i].state == WORKER_FILED && !b->items[i].wanted) {
            b->items[i].state = WORKER_DONE;
        }
    }

    if (rc == EXAM_DB_OK) {
        rc = worker_db_rows(w, b);
    }

    if (rc != EXAM_DB_OK) {
        (void) worker_db_trouble(w, rc);
        r->failed = true;
        return;
    }

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];

        if (item->state == WORKER_FILED && item->outcome == WORKER_STORED) {
            exam_log(EXAM_LOG_WARN, "recheck", 0,
                     "\"%s\" had no row, it has one now", item->id);
            r->added++;
        }
    }

    worker_batch_reset(b);
}
