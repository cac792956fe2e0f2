
/*
 * Is the file what its manifest says?  The size always, SHA-256 for all or one
 * of WORKER_SAMPLE, and always after a reboot: the manifest's hash was made of
 * the bytes as they were written, so only what happened to them since can be
 * wrong.  What is wrong goes to bad/ with the reason; the file first, then the
 * manifest, so that no moment leaves a file that nothing speaks of.
 */


#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


static int worker_verify_open(worker_t *w, worker_item_t *item);
static int worker_verify_unnamed(worker_t *w, exam_str_t id,
    const char *rec);
static bool worker_verify_hashed(const worker_t *w, const worker_item_t *item);
static int worker_verify_hash(int fd, uint8_t *buffer, int64_t *bytes,
    uint8_t sha256[EXAM_HASH_LEN]);
static void worker_verify_failed(worker_item_t *item, int err,
    const char *what);
static int worker_bad_move(worker_t *w, worker_item_t *item);
static int worker_bad_note(worker_t *w, const worker_item_t *item);


void
worker_verify(void *data, size_t i, uint8_t *buffer)
{
    worker_t       *w;
    struct stat     st;
    worker_item_t  *item;

    w = data;
    item = &w->batch.items[i];

    if (item->state != WORKER_CLAIMED) {
        return;
    }

    item->fd = worker_verify_open(w, item);

    if (item->fd == -1) {

        if (errno == ENOENT) {
            item->state = WORKER_MISSING;

        } else if (errno == ELOOP) {
            item->reason = "not_a_file";
            item->state = WORKER_BAD;

        } else {
            worker_verify_failed(item, errno, "cannot open the file of");
        }

        return;
    }

    if (fstat(item->fd, &st) == -1) {
        worker_verify_failed(item, errno, "cannot look at the file of");
        goto done;
    }

    item->found_bytes = st.st_size;

    if (!S_ISREG(st.st_mode)) {
        item->reason = "not_a_file";
        item->state = WORKER_BAD;
        goto done;
    }

    if (st.st_size != item->m.length) {
        item->reason = "wrong_size";
        item->state = WORKER_BAD;
        goto done;
    }

    if (worker_verify_hashed(w, item)) {

        if (worker_verify_hash(item->fd, buffer, &item->found_bytes,
                           item->found_sha256)
            == -1)
        {
            worker_verify_failed(item, errno, "cannot read the file of");
            goto done;
        }

        item->found_hash = true;

        if (memcmp(item->found_sha256, item->m.sha256, EXAM_HASH_LEN) != 0) {
            item->reason = "wrong_sha256";
            item->state = WORKER_BAD;
            goto done;
        }
    }

    item->state = WORKER_VERIFIED;

done:

    if (item->state != WORKER_VERIFIED || !w->conf.probe
        || exam_str_eq(item->m.kind, exam_str("file")))
    {
        close(item->fd);
        item->fd = -1;
    }
}


/* where a finished step of an earlier run may have left it */

static int
worker_verify_open(worker_t *w, worker_item_t *item)
{
    int   fd;
    char  rec[EXAM_SPOOL_NAME_MAX], bad[EXAM_SPOOL_NAME_MAX];

    const int         flags = O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK;
    const exam_str_t  id = item->m.id;

    if (!exam_spool_name(rec, EXAM_SPOOL_REC, id)
        || !exam_spool_name(bad, EXAM_SPOOL_BAD_REC, id))
    {
        errno = EINVAL;
        return -1;
    }

    item->place = WORKER_AT_READY;

    fd = openat(w->spool, rec, flags);

    if (fd != -1 || errno != ENOENT) {
        return fd;
    }

    item->place = WORKER_AT_STORE;

    fd = openat(w->store, item->path, flags);

    if (fd != -1 || errno != ENOENT) {
        return fd;
    }

    item->place = WORKER_AT_BAD;

    fd = openat(w->spool, bad, flags);

    if (fd != -1 || errno != ENOENT) {
        return fd;
    }

    item->place = WORKER_AT_READY;

    if (worker_verify_unnamed(w, id, rec) == -1) {
        return -1;
    }

    return openat(w->spool, rec, flags);
}


/*
 * A power loss may keep the mark and lose the name of the file, where a file
 * system does not keep renames in their order.  nginx does the same, and may be
 * faster: that the file is not in part/ says nothing.
 */

static int
worker_verify_unnamed(worker_t *w, exam_str_t id, const char *rec)
{
    char  part[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(part, EXAM_SPOOL_PART, id)) {
        errno = EINVAL;
        return -1;
    }

    if (renameat(w->spool, part, w->spool, rec) == -1 && errno != ENOENT) {
        return -1;
    }

    return 0;
}


static bool
worker_verify_hashed(const worker_t *w, const worker_item_t *item)
{
    const uint8_t  *last;

    if (w->conf.verify == EXAM_VERIFY_ALL || item->place == WORKER_AT_BAD
        || !exam_str_eq(item->m.boot_id,
                        exam_str_make(w->boot_id, strlen(w->boot_id))))
    {
        return true;
    }

    /* ids end in random digits: '0' is one of 16 */

    last = item->m.id.data + item->m.id.len - 1;

    return *last == '0';
}


static int
worker_verify_hash(int fd, uint8_t *buffer, int64_t *bytes,
    uint8_t sha256[EXAM_HASH_LEN])
{
    ssize_t        n;
    exam_sha256_t  hash;

    exam_sha256_init(&hash);
    *bytes = 0;

    for ( ;; ) {
        n = pread(fd, buffer, WORKER_BUFFER, *bytes);

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
        *bytes += n;
    }

    exam_sha256_final(&hash, sha256);

    return 0;
}


static void
worker_verify_failed(worker_item_t *item, int err, const char *what)
{
    exam_log(EXAM_LOG_ERROR, "verify", err, "%s \"%s\"", what, item->id);

    item->disk = true;
    item->state = WORKER_FAILED;
}


void
worker_bad(worker_t *w, worker_item_t *item)
{
    item->state = WORKER_FAILED;

    if (worker_bad_move(w, item) == -1 || worker_bad_note(w, item) == -1) {
        exam_log(EXAM_LOG_ERROR, "verify", errno,
                 "cannot put \"%s\" aside (%s)", item->id, item->reason);
        item->disk = true;
        return;
    }

    if (!worker_claim_release(w, item)) {
        return;
    }

    exam_log(EXAM_LOG_ERROR, "verify", 0,
             "\"%s\" is damaged (%s): kept in bad/", item->id, item->reason);

    atomic_fetch_add(&w->figures.failed, 1);

    /* a manifest that says nothing names no number to ask for */

    item->state = item->whole ? WORKER_REFUSED : WORKER_DONE;
}


/* a file that is in bad/ already, or nowhere, is no error */

static int
worker_bad_move(worker_t *w, worker_item_t *item)
{
    char  rec[EXAM_SPOOL_NAME_MAX], bad[EXAM_SPOOL_NAME_MAX];

    const exam_str_t  id = exam_str_make(item->id, strlen(item->id));

    if (!exam_spool_name(rec, EXAM_SPOOL_REC, id)
        || !exam_spool_name(bad, EXAM_SPOOL_BAD_REC, id))
    {
        errno = EINVAL;
        return -1;
    }

    if (item->place == WORKER_AT_STORE) {


        /* from another filesystem: the damaged file stays where it is */

        if (renameat(w->store, item->path, w->spool, bad) == -1
            && errno != EXDEV && errno != ENOENT)
        {
            return -1;
        }

        (void) unlinkat(w->store, item->sidecar, 0);

        return 0;
    }

    if (renameat(w->spool, rec, w->spool, bad) == -1 && errno != ENOENT) {
        return -1;
    }

    return 0;
}


/* the manifest with the reason; a damaged one goes in as it is, in base64 */

static int
worker_bad_note(worker_t *w, const worker_item_t *item)
{
    char        path[EXAM_PATH_MAX + EXAM_SPOOL_NAME_MAX];
    char        name[EXAM_SPOOL_NAME_MAX];
    uint8_t     text[EXAM_MANIFEST_MAX * 2];
    exam_buf_t  b;

    const exam_str_t  id = exam_str_make(item->id, strlen(item->id));

    exam_buf_init(&b, text, sizeof(text));

    if (item->parsed) {
        exam_manifest_format(&b, &item->m);

        /* "}\n" makes room for more members */

        b.pos -= 2;

    } else {
        exam_buf_lit(&b, "{\"id\":");
        exam_buf_json(&b, id);
        exam_buf_lit(&b, ",\"manifest_base64\":\"");
        exam_buf_base64(&b, item->raw, item->raw_len);
        exam_buf_lit(&b, "\"");
    }

    exam_buf_lit(&b, ",\"reason\":");
    exam_buf_json(&b, exam_str_make(item->reason, strlen(item->reason)));

    if (item->found_bytes >= 0) {
        exam_buf_lit(&b, ",\"found_bytes\":");
        exam_buf_int(&b, item->found_bytes);
    }

    if (item->found_hash) {
        exam_buf_lit(&b, ",\"found_sha256\":\"");
        exam_buf_hex(&b, item->found_sha256, EXAM_HASH_LEN);
        exam_buf_lit(&b, "\"");
    }

    exam_buf_lit(&b, ",\"bad_at\":");
    exam_buf_int(&b, exam_now_ms());
    exam_buf_lit(&b, "}\n");

    if (b.overflow || !exam_spool_name(name, EXAM_SPOOL_BAD_INFO, id)) {
        errno = EINVAL;
        return -1;
    }

    snprintf(path, sizeof(path), "%s/%s", w->conf.spool, name);

    /* the same sync of bad/ makes the file's rename durable */

    return exam_file_replace(path, 0640, text, exam_buf_len(&b), false);
}
