
/*
 * What lies in bad/ is wanted again: told to the ledger as `refused`, with the
 * reason of its note, at each start and whenever Redis was away or refilled.
 * The script lets it stand only where nothing else is known of the number, so
 * that telling it again, even years later, does no harm.  Exams that are not
 * active any more are left alone: their ledger is not in Redis.
 *
 * Called by the main thread, from worker_live.c.
 */


#include "worker.h"

#include <string.h>


typedef struct {
    exam_str_t     reason;
} worker_note_t;


static bool worker_refused_active(const worker_refused_t *r, exam_str_t exam);


static const exam_json_member_t  worker_note_members[] = {
    EXAM_JSON_MEMBER(worker_note_t, reason, EXAM_JSON_STRING,
                     1, EXAM_REASON_MAX, false)
};


exam_redis_e
worker_refused_begin(worker_refused_t *r, exam_redis_t *redis)
{
    r->active = NULL;

    return exam_redis_command(redis, &r->active, "SMEMBERS " EXAM_KEY_ACTIVE);
}


void
worker_refused_end(worker_refused_t *r)
{
    if (r->active != NULL) {
        freeReplyObject(r->active);
        r->active = NULL;
    }
}


exam_redis_e
worker_refused_append(const worker_refused_t *r, exam_redis_t *redis,
    const worker_item_t *item, bool *appended)
{
    uint8_t        memory[WORKER_ARENA];
    uint32_t       given;
    exam_err_e     err;
    exam_arena_t   arena;
    worker_note_t  note;

    *appended = worker_refused_active(r, item->m.exam);

    if (!*appended) {
        return EXAM_REDIS_OK;
    }

    exam_arena_init(&arena, memory, sizeof(memory));

    note.reason = exam_str("");

    err = exam_json_object(exam_str_make(item->raw, item->raw_len), &arena,
                           exam_json_table(worker_note_members), &note,
                           &given);

    if (err != EXAM_OK) {

        /* a note without a reason is one all the same */

        exam_log(EXAM_LOG_WARN, "refused", 0, "no reason in the note of \"%s\"",
                 item->id);
        note.reason = exam_str("");
    }

    return worker_ledger_append(redis, &item->m, EXAM_SEG_REFUSED,
                                item->m.node, item->m.id, note.reason);
}


static bool
worker_refused_active(const worker_refused_t *r, exam_str_t exam)
{
    size_t  i;

    if (r->active->type != REDIS_REPLY_ARRAY) {
        return false;
    }

    for (i = 0; i < r->active->elements; i++) {
        if (exam_str_eq(exam_redis_str(r->active->element[i]), exam)) {
            return true;
        }
    }

    return false;
}
