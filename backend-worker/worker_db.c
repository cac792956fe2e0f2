
/*
 * MySQL as the index: what a batch asks of the table, and what happens when
 * there is no answer.  Trouble with the server is waited out with the batch in
 * hand (all of it is in work/ and in the store): nothing is dropped, nothing
 * else is claimed meanwhile.  Only an order to leave ends the wait.
 */


#include "worker.h"

#include <string.h>


#define WORKER_FIND_HEAD                                                      \
    "SELECT id, upload_id, exam, student, session, kind, n, bytes, sha256, "  \
    "node, stored_at FROM recordings WHERE upload_id IN ("


static bool worker_db_any(const worker_batch_t *b, worker_state_e state);
static exam_db_e worker_db_try(worker_t *w, worker_batch_t *b);
static exam_db_e worker_db_lookup(worker_t *w, worker_batch_t *b);
static void worker_db_found(worker_item_t *item, const exam_stmt_t *s);
static void worker_db_commit(worker_t *w, worker_batch_t *b);
static void worker_db_identify(worker_t *w);


bool
worker_db_batch(worker_t *w, worker_batch_t *b)
{
    exam_db_e  rc;

    if (!worker_db_any(b, WORKER_FILED) && !worker_db_any(b, WORKER_MISSING)
        && !worker_db_any(b, WORKER_GONE))
    {
        return true;
    }

    for ( ;; ) {

        if (worker_db_up(w)) {
            rc = worker_db_try(w, b);

            if (rc == EXAM_DB_OK) {
                break;
            }

            (void) worker_db_trouble(w, rc);
        }

        atomic_store(&w->figures.mode, WORKER_WAITING);

        if (!worker_pause(w, exam_backoff_next(&w->db.backoff,
                                               (uint32_t) exam_now_ms())))
        {
            return false;
        }
    }

    exam_backoff_reset(&w->db.backoff);
    atomic_store(&w->figures.mode, WORKER_RUNNING);

    worker_db_commit(w, b);

    return true;
}


static bool
worker_db_any(const worker_batch_t *b, worker_state_e state)
{
    size_t  i;

    for (i = 0; i < b->n; i++) {
        if (b->items[i].state == state) {
            return true;
        }
    }

    return false;
}


static exam_db_e
worker_db_try(worker_t *w, worker_batch_t *b)
{
    exam_db_e  rc;

    rc = worker_db_rows(w, b);

    return rc == EXAM_DB_OK ? worker_db_lookup(w, b) : rc;
}


/* the transaction; everything that fails in it is rolled back */

exam_db_e
worker_db_rows(worker_t *w, worker_batch_t *b)
{
    exam_db_e  rc;

    if (!worker_db_any(b, WORKER_FILED)) {
        return EXAM_DB_OK;
    }

    rc = exam_mysql_begin(&w->mysql);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    rc = worker_insert_batch(w, b);

    if (rc != EXAM_DB_OK) {
        exam_mysql_rollback(&w->mysql);
        return rc;
    }

    return exam_mysql_commit(&w->mysql);
}


/*
 * Manifests whose file is nowhere, and doorbells whose manifest is: done by an
 * earlier run, as the row says, or not.
 */

static exam_db_e
worker_db_lookup(worker_t *w, worker_batch_t *b)
{
    size_t          i;
    uint32_t        next;
    exam_db_e       rc;
    worker_item_t  *item;

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];
        item->wanted = item->state == WORKER_MISSING
                       || item->state == WORKER_GONE;
    }

    rc = worker_db_find(w, b);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];

        if (item->state != WORKER_MISSING && item->state != WORKER_GONE) {
            continue;
        }

        if (!item->wanted) {
            item->outcome = WORKER_STORED;
            continue;
        }

        if (item->state == WORKER_GONE) {
            item->outcome = WORKER_DONE;
            continue;
        }

        item->outcome = WORKER_BAD;

        rc = worker_insert_same(w, item, &next);

        if (rc != EXAM_DB_OK) {
            return rc;
        }
    }

    return EXAM_DB_OK;
}


exam_db_e
worker_db_find(worker_t *w, worker_batch_t *b)
{
    unsigned        i, n;
    exam_db_e       rc;
    exam_str_t      id;
    exam_stmt_t    *s;
    worker_item_t  *item, *items[WORKER_BATCH];

    n = 0;

    for (i = 0; i < b->n; i++) {
        if (b->items[i].wanted) {
            items[n++] = &b->items[i];
        }
    }

    if (n == 0) {
        return EXAM_DB_OK;
    }

    s = &w->db.find;

    rc = exam_stmt_prepare_rows(s, &w->mysql, WORKER_FIND_HEAD, "?",
                                WORKER_BATCH, ")");
    if (rc != EXAM_DB_OK) {
        return rc;
    }

    /* one statement for all numbers: the last id fills the rest */

    for (i = 0; i < WORKER_BATCH; i++) {
        exam_stmt_cstr(s, i, items[i < n ? i : n - 1]->id);
    }

    rc = exam_stmt_execute(s);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    while ((rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {
        id = exam_stmt_col_str(s, 1);

        for (i = 0; i < n; i++) {
            item = items[i];

            if (item->wanted
                && exam_str_eq(exam_str_make(item->id, strlen(item->id)), id))
            {
                worker_db_found(item, s);
                break;
            }
        }
    }

    return rc == EXAM_DB_END ? EXAM_DB_OK : rc;
}


static void
worker_db_found(worker_item_t *item, const exam_stmt_t *s)
{
    exam_buf_t  b;

    item->wanted = false;

    exam_stmt_col_copy(s, 1, item->kept_id, sizeof(item->kept_id));
    exam_stmt_col_copy(s, 9, item->kept_node, sizeof(item->kept_node));

    if (item->parsed) {
        return;
    }

    /* a doorbell without manifest: what to settle stands in the row */

    if (!worker_row_manifest(s, &item->m)) {
        item->wanted = true;
        return;
    }

    exam_buf_init(&b, item->arena, sizeof(item->arena));

    exam_buf_put(&b, item->m.exam.data, item->m.exam.len);
    item->m.exam.data = item->arena;

    exam_buf_put(&b, item->m.student.data, item->m.student.len);
    item->m.student.data = b.pos - item->m.student.len;

    exam_buf_put(&b, item->m.kind.data, item->m.kind.len);
    item->m.kind.data = b.pos - item->m.kind.len;
}


/* columns 1 to 8 as all look-ups select them; strings live with the row */

bool
worker_row_manifest(const exam_stmt_t *s, exam_manifest_t *m)
{
    exam_str_t  hash;

    memset(m, 0, sizeof(exam_manifest_t));

    m->id = exam_stmt_col_str(s, 1);
    m->exam = exam_stmt_col_str(s, 2);
    m->student = exam_stmt_col_str(s, 3);
    m->kind = exam_stmt_col_str(s, 5);
    m->n = (uint32_t) exam_stmt_col_int(s, 6);
    m->length = exam_stmt_col_int(s, 7);
    hash = exam_stmt_col_str(s, 8);

    if (hash.len != EXAM_HASH_LEN || m->exam.len > EXAM_EXAM_MAX
        || m->student.len > EXAM_STUDENT_MAX || m->kind.len > EXAM_KIND_MAX
        || !exam_sid_parse(exam_stmt_col_str(s, 4), m->sid))
    {
        exam_log(EXAM_LOG_ALERT, "mysql", 0, "malformed row of \"%.*s\"",
                 (int) m->id.len, (const char *) m->id.data);
        return false;
    }

    memcpy(m->sha256, hash.data, EXAM_HASH_LEN);

    return true;
}


static void
worker_db_commit(worker_t *w, worker_batch_t *b)
{
    size_t          i;
    worker_item_t  *item;

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];

        if (item->state == WORKER_FILED && item->outcome == WORKER_STORED) {
            atomic_fetch_add(&w->figures.stored, 1);

            if (item->variant != 0) {
                exam_log(EXAM_LOG_WARN, "mysql", 0, "\"%s\" has other content "
                         "than its segment: variant %u", item->id,
                         item->variant);
            }
        }

        if (item->state == WORKER_FILED && item->outcome == WORKER_FAILED) {
            atomic_fetch_add(&w->figures.failed, 1);
        }

        if (item->state == WORKER_MISSING && item->outcome == WORKER_BAD) {
            item->reason = "file_missing";
        }

        if (item->state == WORKER_FILED || item->state == WORKER_MISSING
            || item->state == WORKER_GONE)
        {
            item->state = item->outcome;
        }
    }
}


bool
worker_db_up(worker_t *w)
{
    exam_db_e  rc;

    rc = exam_mysql_connect(&w->mysql, true);

    if (rc != EXAM_DB_OK) {
        return worker_db_trouble(w, rc);
    }

    if (w->db.away) {
        exam_log(EXAM_LOG_NOTICE, "mysql", 0, "connected again");
        w->db.away = false;
    }

    if (w->db.epoch != w->mysql.epoch) {
        w->db.epoch = w->mysql.epoch;
        worker_db_identify(w);
    }

    return true;
}


/*
 * The server may have changed with the connection: a replica that was promoted
 * may lack the last commits.  The first connection of a run counts as a change,
 * nobody knows which server the run before spoke to.
 */

static void
worker_db_identify(worker_t *w)
{
    if (strcmp(w->db.identity, w->mysql.identity) == 0) {
        return;
    }

    if (w->db.identity[0] != '\0') {
        exam_log(EXAM_LOG_WARN, "mysql", 0, "another server than before: "
                 "\"%s\", it was \"%s\"", w->mysql.identity, w->db.identity);
    }

    memcpy(w->db.identity, w->mysql.identity, sizeof(w->db.identity));
    w->db.recheck = true;
}


/* always false, for the caller to return */

bool
worker_db_trouble(worker_t *w, exam_db_e rc)
{
    if (!w->db.away) {
        exam_log(EXAM_LOG_WARN, "mysql", 0, "waiting for mysql (%u: %s)",
                 w->mysql.code, w->mysql.error);
        w->db.away = true;
    }

    if (rc == EXAM_DB_LOST) {
        exam_mysql_close(&w->mysql);
    }

    return false;
}


void
worker_db_close(worker_t *w)
{
    size_t  i;

    for (i = 0; i < sizeof(w->db.insert) / sizeof(w->db.insert[0]); i++) {
        exam_stmt_close(&w->db.insert[i]);
    }

    exam_stmt_close(&w->db.find);
    exam_stmt_close(&w->db.same);
    exam_stmt_close(&w->db.since);

    exam_mysql_close(&w->mysql);
}
