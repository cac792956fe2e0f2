
/*
 * Claiming: ready/<id>.info is renamed to work/<id>.info, and the manifest is
 * read from there.  From that moment the upload is in no scan of ready/ and in
 * no sweep of nginx; after a crash work/ is where it is found again.  Neither
 * the rename nor the later unlink is synced: a power loss undoes it whole, and
 * then the upload is simply done again.
 */


#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static int worker_claim_load(worker_t *w, const char *name,
    worker_item_t *item);
static bool worker_claim_parse(worker_item_t *item);


void
worker_claim(worker_t *w, worker_item_t *item)
{
    int   err;
    char  ready[EXAM_SPOOL_NAME_MAX], work[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(ready, EXAM_SPOOL_INFO,
                         exam_str_make(item->id, strlen(item->id)))
        || !exam_spool_name(work, EXAM_SPOOL_WORK,
                            exam_str_make(item->id, strlen(item->id))))
    {
        item->state = WORKER_DONE;
        return;
    }

    if (renameat(w->spool, ready, w->spool, work) == -1) {

        if (errno != ENOENT) {
            exam_log(EXAM_LOG_ERROR, "claim", errno, "cannot claim \"%s\"",
                     item->id);
            item->state = WORKER_FAILED;
            item->disk = true;
            return;
        }

        item->redo = true;
    }

    err = worker_claim_load(w, work, item);

    if (err == ENOENT) {
        item->state = WORKER_GONE;
        return;
    }

    if (err != 0) {
        exam_log(EXAM_LOG_ERROR, "claim", err, "cannot read \"%s\"", work);
        item->state = WORKER_FAILED;
        item->disk = true;
        return;
    }

    if (!worker_claim_parse(item)) {
        item->state = WORKER_BAD;
        return;
    }

    item->state = WORKER_CLAIMED;
}


bool
worker_claim_read(worker_t *w, exam_spool_e what, worker_item_t *item)
{
    char  name[EXAM_SPOOL_NAME_MAX];

    return exam_spool_name(name, what,
                           exam_str_make(item->id, strlen(item->id)))
           && worker_claim_load(w, name, item) == 0
           && worker_claim_parse(item);
}


/* 0 or errno; one byte more than a manifest may have is read, to tell */

static int
worker_claim_load(worker_t *w, const char *name, worker_item_t *item)
{
    return exam_file_load(w->spool, name, item->raw, sizeof(item->raw),
                          &item->raw_len) == 0 ? 0 : errno;
}


static bool
worker_claim_parse(worker_item_t *item)
{
    exam_err_e    err;
    exam_arena_t  arena;

    if (item->raw_len > EXAM_MANIFEST_MAX) {
        item->reason = "manifest_too_large";
        return false;
    }

    exam_arena_init(&arena, item->arena, sizeof(item->arena));

    err = exam_manifest_parse(exam_str_make(item->raw, item->raw_len), &arena,
                              &item->m);

    if (err != EXAM_OK) {
        exam_log(EXAM_LOG_ERROR, "claim", 0, "manifest of \"%s\": %s",
                 item->id, exam_err_info(err)->code);
        item->reason = "manifest_damaged";
        return false;
    }

    if (!exam_str_eq(item->m.id, exam_str_make(item->id, strlen(item->id)))) {
        item->reason = "manifest_of_another";
        return false;
    }

    item->parsed = true;

    if (!item->m.final || item->m.length < 0) {
        item->reason = "manifest_not_final";
        return false;
    }

    if (!worker_claim_names(item)) {
        item->reason = "manifest_names";
        return false;
    }

    item->whole = true;

    return true;
}


/* where the store has it: fixed by the manifest alone */

bool
worker_claim_names(worker_item_t *item)
{
    exam_buf_t  b;

    exam_buf_init(&b, item->path, sizeof(item->path));
    exam_store_name(&b, &item->m, false);

    if (!exam_buf_cstr(&b)) {
        return false;
    }

    exam_buf_init(&b, item->sidecar, sizeof(item->sidecar));
    exam_store_name(&b, &item->m, true);

    if (!exam_buf_cstr(&b)) {
        return false;
    }

    exam_buf_init(&b, item->sid, sizeof(item->sid));
    exam_buf_hex(&b, item->m.sid, EXAM_SID_LEN);

    if (!exam_buf_cstr(&b)) {
        return false;
    }

    exam_buf_init(&b, item->dir, sizeof(item->dir));
    exam_buf_put(&b, item->m.exam.data, item->m.exam.len);
    exam_buf_char(&b, '/');
    exam_buf_put(&b, item->m.student.data, item->m.student.len);

    return exam_buf_cstr(&b);
}


bool
worker_claim_release(worker_t *w, const worker_item_t *item)
{
    char  work[EXAM_SPOOL_NAME_MAX];

    if (!exam_spool_name(work, EXAM_SPOOL_WORK,
                         exam_str_make(item->id, strlen(item->id))))
    {
        return true;
    }

    if (unlinkat(w->spool, work, 0) == -1 && errno != ENOENT) {
        exam_log(EXAM_LOG_ERROR, "claim", errno, "cannot remove \"%s\"", work);
        return false;
    }

    return true;
}
