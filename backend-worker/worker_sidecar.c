
/*
 * Items and side-cars (service/exam_sidecar.h).  A side-car that stands in the
 * store is what the row was made of, or will be: a step done again takes its
 * time of storing and what the probe found from there, so that the table and
 * the store never tell two stories.
 */


#include "worker.h"

#include <string.h>


static exam_err_e worker_sidecar_read(worker_item_t *item, int fd,
    const char *name, exam_arena_t *arena, exam_sidecar_t *s);
static void worker_sidecar_take(worker_item_t *item, const exam_sidecar_t *s);


void
worker_sidecar_row(const worker_item_t *item, exam_recording_t *r)
{
    r->m = &item->m;
    r->media = &item->media;
    r->stored_at = item->stored_at;
    r->variant = item->variant;
    r->sid = item->sid;
    r->path = item->path;
}


bool
worker_sidecar_load(worker_item_t *item, int fd, const char *name)
{
    exam_arena_t    arena;
    exam_sidecar_t  s;

    exam_arena_init(&arena, item->arena, sizeof(item->arena));

    if (worker_sidecar_read(item, fd, name, &arena, &s) != EXAM_OK) {
        return false;
    }

    item->m = s.m;

    if (!worker_claim_names(item)) {
        return false;
    }

    worker_sidecar_take(item, &s);
    item->parsed = true;

    return true;
}


bool
worker_sidecar_kept(worker_item_t *item, int fd)
{
    uint8_t         memory[WORKER_ARENA];
    exam_arena_t    arena;
    exam_sidecar_t  s;

    exam_arena_init(&arena, memory, sizeof(memory));

    if (worker_sidecar_read(item, fd, item->sidecar, &arena, &s) != EXAM_OK
        || s.m.length != item->m.length
        || memcmp(s.m.sha256, item->m.sha256, EXAM_HASH_LEN) != 0)
    {
        return false;
    }

    worker_sidecar_take(item, &s);

    return true;
}


static exam_err_e
worker_sidecar_read(worker_item_t *item, int fd, const char *name,
    exam_arena_t *arena, exam_sidecar_t *s)
{
    char        text[EXAM_SIDECAR_MAX];
    size_t      len;
    exam_err_e  err;

    if (exam_file_load(fd, name, text, sizeof(text), &len) != 0) {
        return EXAM_ERR_NOT_FOUND;
    }

    err = exam_sidecar_parse(exam_str_make(text, len), arena, s);

    if (err != EXAM_OK) {
        return err;
    }

    return exam_str_eq(s->m.id, exam_str_make(item->id, strlen(item->id)))
           ? EXAM_OK : EXAM_ERR_BAD_VALUE;
}


static void
worker_sidecar_take(worker_item_t *item, const exam_sidecar_t *s)
{
    item->media = s->media;
    item->stored_at = s->stored_at;
    item->noted = s->variant;
    item->variant = s->variant;
}
