
/*
 * The store: recordings/<exam>/<student>/<sid>-<kind>-<n>-<id>.<ext> and the
 * side-car beside it.  On one filesystem the file is renamed, else it is copied
 * under a temporary name, hashed on the way, synced, renamed, and its source is
 * removed once the folder is synced.  The name is fixed by the manifest, so a
 * file that is at its target already is a step that was done.
 *
 * One sync of each touched folder covers all renames of the batch.  syncfs()
 * would be fewer calls, but it waits for everything that uploads are writing.
 */


#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


#define WORKER_DIRS      (WORKER_BATCH * 2 + 1)
#define WORKER_TMP_MAX   (WORKER_PATH_MAX + 4)


typedef struct {
    char             name[WORKER_PATH_MAX];
    int              err;
} worker_dir_t;


typedef struct {
    int              store;
    size_t           n;
    size_t           first;      /* of a run */
    worker_dir_t     dirs[WORKER_DIRS];
} worker_dirs_t;


static int worker_store_file(worker_t *w, worker_item_t *item,
    uint8_t *buffer);
static int worker_store_folder(worker_t *w, worker_item_t *item);
static int worker_store_copy(worker_t *w, worker_item_t *item,
    const char *from, uint8_t *buffer);
static int worker_store_bytes(worker_item_t *item, int in, int out,
    uint8_t *buffer);
static int worker_store_sidecar(worker_t *w, worker_item_t *item);
static void worker_store_touch(worker_dirs_t *dirs, const char *name);
static void worker_store_sync_one(void *data, size_t i, uint8_t *buffer);
static int worker_store_sync_dir(int store, const char *name);
static bool worker_store_synced(const worker_dirs_t *dirs, const char *name);


void
worker_store(void *data, size_t i, uint8_t *buffer)
{
    worker_t       *w;
    worker_item_t  *item;

    w = data;
    item = &w->batch.items[i];

    if (item->state != WORKER_VERIFIED) {
        return;
    }

    item->stored_at = exam_now_ms();

    if (item->place == WORKER_AT_STORE
        && worker_sidecar_kept(item, w->store))
    {
        item->state = WORKER_FILED;
        return;
    }

    if (worker_store_file(w, item, buffer) == -1
        || worker_store_sidecar(w, item) == -1)
    {
        if (item->reason != NULL) {
            item->state = WORKER_BAD;
            return;
        }

        exam_log(EXAM_LOG_ERROR, "store", errno, "cannot store \"%s\"",
                 item->id);

        item->disk = true;
        item->state = WORKER_FAILED;
        return;
    }

    item->state = WORKER_FILED;
}


static int
worker_store_file(worker_t *w, worker_item_t *item, uint8_t *buffer)
{
    char          from[EXAM_SPOOL_NAME_MAX];
    unsigned      tries;
    exam_spool_e  what;

    if (item->place == WORKER_AT_STORE) {
        return 0;
    }

    what = item->place == WORKER_AT_READY ? EXAM_SPOOL_REC
                                          : EXAM_SPOOL_BAD_REC;

    if (!exam_spool_name(from, what, item->m.id)) {
        errno = EINVAL;
        return -1;
    }

    for (tries = 0; tries < 2; tries++) {

        if (renameat(w->spool, from, w->store, item->path) == 0) {
            return 0;
        }

        if (errno == EXDEV) {
            return worker_store_copy(w, item, from, buffer);
        }

        /* the student's first file */

        if (errno != ENOENT || worker_store_folder(w, item) == -1) {
            return -1;
        }
    }

    return -1;
}


static int
worker_store_folder(worker_t *w, worker_item_t *item)
{
    char  exam[EXAM_EXAM_MAX + 1];

    memcpy(exam, item->m.exam.data, item->m.exam.len);
    exam[item->m.exam.len] = '\0';

    if (mkdirat(w->store, exam, 0750) == -1 && errno != EEXIST) {
        return -1;
    }

    if (mkdirat(w->store, item->dir, 0750) == -1 && errno != EEXIST) {
        return -1;
    }

    item->made_dir = true;

    return 0;
}


static int
worker_store_copy(worker_t *w, worker_item_t *item, const char *from,
    uint8_t *buffer)
{
    int   in, out, err;
    char  tmp[WORKER_TMP_MAX];

    snprintf(tmp, sizeof(tmp), "%s.tmp", item->path);

    out = -1;
    in = openat(w->spool, from, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);

    if (in == -1) {
        return -1;
    }

    /* rename() says EXDEV before it looks for the folder */

    if (worker_store_folder(w, item) == -1) {
        goto failed;
    }

    out = openat(w->store, tmp, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC|O_NOFOLLOW,
                 0640);

    if (out == -1 || worker_store_bytes(item, in, out, buffer) == -1
        || fsync(out) == -1)
    {
        goto failed;
    }

    err = close(out);
    out = -1;

    if (err == -1 || renameat(w->store, tmp, w->store, item->path) == -1) {
        goto failed;
    }

    close(in);
    item->copied = true;

    return 0;

failed:

    err = errno;

    if (out != -1) {
        close(out);
    }

    (void) unlinkat(w->store, tmp, 0);
    close(in);

    errno = err;

    return -1;
}


static int
worker_store_bytes(worker_item_t *item, int in, int out, uint8_t *buffer)
{
    int64_t        total;
    ssize_t        n;
    exam_sha256_t  hash;

    exam_sha256_init(&hash);
    total = 0;

    for ( ;; ) {
        n = read(in, buffer, WORKER_BUFFER);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return -1;
        }

        if (n == 0) {
            break;
        }

        exam_sha256_update(&hash, buffer, (size_t) n);
        total += n;

        if (exam_file_write(out, buffer, (size_t) n) == -1) {
            return -1;
        }
    }

    exam_sha256_final(&hash, item->found_sha256);
    item->found_bytes = total;
    item->found_hash = true;

    if (total != item->m.length
        || memcmp(item->found_sha256, item->m.sha256, EXAM_HASH_LEN) != 0)
    {
        item->reason = "wrong_sha256";
        errno = EIO;
        return -1;
    }

    return 0;
}


static int
worker_store_sidecar(worker_t *w, worker_item_t *item)
{
    int               fd, err;
    char              tmp[WORKER_TMP_MAX];
    uint8_t           text[EXAM_SIDECAR_MAX];
    exam_buf_t        b;
    exam_recording_t  r;

    worker_sidecar_row(item, &r);

    exam_buf_init(&b, text, sizeof(text));
    exam_sidecar_format(&b, &r);

    if (b.overflow) {
        errno = EOVERFLOW;
        return -1;
    }

    snprintf(tmp, sizeof(tmp), "%s.tmp", item->sidecar);

    fd = openat(w->store, tmp, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC|O_NOFOLLOW,
                0640);

    if (fd == -1) {
        return -1;
    }

    if (exam_file_write(fd, text, exam_buf_len(&b)) == -1
        || fdatasync(fd) == -1)
    {
        err = errno;
        close(fd);
        (void) unlinkat(w->store, tmp, 0);
        errno = err;
        return -1;
    }

    if (close(fd) == -1) {
        return -1;
    }

    return renameat(w->store, tmp, w->store, item->sidecar);
}


int
worker_store_note(worker_t *w, worker_item_t *item)
{
    if (worker_store_sidecar(w, item) == -1
        || worker_store_sync_dir(w->store, item->dir) == -1)
    {
        exam_log(EXAM_LOG_ERROR, "store", errno,
                 "cannot note the variant of \"%s\"", item->id);
        return -1;
    }

    item->noted = item->variant;

    return 0;
}


void
worker_store_sync(worker_t *w)
{
    char            exam[EXAM_EXAM_MAX + 1], rec[EXAM_SPOOL_NAME_MAX];
    size_t          i, n;
    worker_item_t  *item;

    static worker_dirs_t  dirs;     /* main thread only */

    dirs.store = w->store;
    dirs.n = 0;
    dirs.first = 0;

    /* an earlier run may have made the folders and synced nothing */

    for (i = 0; i < w->batch.n; i++) {
        item = &w->batch.items[i];

        if (item->state == WORKER_FILED && (item->made_dir || item->redo)) {
            n = item->m.exam.len;
            memcpy(exam, item->m.exam.data, n);
            exam[n] = '\0';

            worker_store_touch(&dirs, exam);
            worker_store_touch(&dirs, ".");
        }
    }

    /* a file must not be saved into a folder that has no name yet */

    worker_pool_run(&w->pool, worker_store_sync_one, &dirs, dirs.n);

    dirs.first = dirs.n;

    for (i = 0; i < w->batch.n; i++) {
        item = &w->batch.items[i];

        if (item->state == WORKER_FILED) {
            worker_store_touch(&dirs, item->dir);
        }
    }

    worker_pool_run(&w->pool, worker_store_sync_one, &dirs,
                    dirs.n - dirs.first);

    for (i = 0; i < w->batch.n; i++) {
        item = &w->batch.items[i];

        if (item->state != WORKER_FILED) {
            continue;
        }

        if (!worker_store_synced(&dirs, item->dir)) {
            item->disk = true;
            item->state = WORKER_FAILED;
            continue;
        }

        if (item->copied && exam_spool_name(rec, EXAM_SPOOL_REC, item->m.id)
            && unlinkat(w->spool, rec, 0) == -1 && errno != ENOENT)
        {
            exam_log(EXAM_LOG_ERROR, "store", errno, "cannot remove \"%s\"",
                     rec);
        }
    }
}


/* once each: items of one student stand together more often than not */

static void
worker_store_touch(worker_dirs_t *dirs, const char *name)
{
    size_t  i;

    for (i = dirs->n; i > 0; i--) {
        if (strcmp(dirs->dirs[i - 1].name, name) == 0) {
            return;
        }
    }

    snprintf(dirs->dirs[dirs->n].name, WORKER_PATH_MAX, "%s", name);
    dirs->dirs[dirs->n].err = 0;
    dirs->n++;
}


static void
worker_store_sync_one(void *data, size_t i, uint8_t *buffer)
{
    worker_dir_t   *dir;
    worker_dirs_t  *dirs;

    (void) buffer;

    dirs = data;
    dir = &dirs->dirs[dirs->first + i];

    if (worker_store_sync_dir(dirs->store, dir->name) == -1) {
        dir->err = errno;
        exam_log(EXAM_LOG_ERROR, "store", dir->err, "cannot sync \"%s\"",
                 dir->name);
    }
}


static int
worker_store_sync_dir(int store, const char *name)
{
    int  fd, rc, err;

    fd = openat(store, name, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    rc = fsync(fd);
    err = errno;
    close(fd);
    errno = err;

    return rc;
}


/* a parent that failed takes everybody along: rare, and safe */

static bool
worker_store_synced(const worker_dirs_t *dirs, const char *name)
{
    size_t  i;

    for (i = 0; i < dirs->n; i++) {

        if (dirs->dirs[i].err == 0) {
            continue;
        }

        if (strchr(dirs->dirs[i].name, '/') == NULL
            || strcmp(dirs->dirs[i].name, name) == 0)
        {
            return false;
        }
    }

    return true;
}


/*
 * The row under which the content is kept names another file.  Once the
 * manifest is gone nothing would remove this one, which a power loss could
 * bring back: so its end is synced first.
 */

int
worker_store_remove(worker_t *w, const worker_item_t *item)
{
    int  i;

    const char  *names[] = { item->sidecar, item->path };

    for (i = 0; i < 2; i++) {

        if (unlinkat(w->store, names[i], 0) == -1 && errno != ENOENT) {
            exam_log(EXAM_LOG_ERROR, "store", errno, "cannot remove \"%s\"",
                     names[i]);
            return -1;
        }
    }

    /* ENOENT: the folder was never made */

    if (worker_store_sync_dir(w->store, item->dir) == -1 && errno != ENOENT) {
        exam_log(EXAM_LOG_ERROR, "store", errno, "cannot sync \"%s\"",
                 item->dir);
        return -1;
    }

    return 0;
}
