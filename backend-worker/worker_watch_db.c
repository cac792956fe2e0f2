
/*
 * Views in MySQL, for who asks later and for the worker that takes over the
 * lease.  MySQL gets three seconds; when it is away the views wait in memory,
 * the last one of each session, and the watch goes on.
 */


#include "worker_watch.h"

#include <string.h>


#define WORKER_SAVE_MAX  (WORKER_WATCH_SAVE * 32)       /* rows a tick */

#define WORKER_SAVE_HEAD                                                      \
    "INSERT INTO presence (session, exam, student, first_beat, last_beat, "   \
    "view, view_at) VALUES "

#define WORKER_SAVE_ROW  "(?,?,?,?,?,?,?)"

/* of two watchers the later one; beats are the journal's */

#define WORKER_SAVE_TAIL                                                      \
    " ON DUPLICATE KEY UPDATE "                                               \
    "view = IF(COALESCE(view_at, 0) <= VALUES(view_at), VALUES(view), "       \
    "view), view_at = GREATEST(COALESCE(view_at, 0), VALUES(view_at))"

#define WORKER_VIEWS_SQL                                                      \
    "SELECT student, session, view, view_at, last_beat FROM presence "        \
    "WHERE exam = ? AND view <> 'online'"


static exam_db_e worker_view_rows(worker_watch_t *t, worker_exam_t *e,
    worker_seat_t **seats, size_t n);
static void worker_view_bind(exam_stmt_t *s, unsigned i,
    const worker_exam_t *e, const worker_seat_t *seat);
static void worker_view_one(worker_exam_t *e, const exam_stmt_t *s);


bool
worker_watch_db(worker_watch_t *t)
{
    if (exam_mono_ms() < t->db_at) {
        return false;
    }

    if (exam_mysql_connect(&t->mysql, true) != EXAM_DB_OK) {
        worker_watch_db_failed(t);
        return false;
    }

    return true;
}


/* said by the main thread, which needs it more */

void
worker_watch_db_failed(worker_watch_t *t)
{
    exam_mysql_close(&t->mysql);

    t->db_at = exam_mono_ms() + exam_backoff_next(&t->backoff,
                                                  (uint32_t) exam_now_ms());
}


void
worker_view_load(worker_watch_t *t, worker_exam_t *e)
{
    exam_db_e     rc;
    exam_stmt_t  *s;

    if (e->viewed || !worker_watch_db(t)) {
        return;
    }

    s = &t->views;

    rc = exam_stmt_prepare(s, &t->mysql, WORKER_VIEWS_SQL);

    if (rc == EXAM_DB_OK) {
        exam_stmt_cstr(s, 0, e->id);
        rc = exam_stmt_execute(s);
    }

    while (rc == EXAM_DB_OK) {
        rc = exam_stmt_fetch(s);

        if (rc == EXAM_DB_OK) {
            worker_view_one(e, s);
        }
    }

    if (rc != EXAM_DB_END) {
        exam_log(EXAM_LOG_WARN, "watch", 0, "cannot read views: %s",
                 t->mysql.error);
        worker_watch_db_failed(t);
        return;
    }

    exam_backoff_reset(&t->backoff);
    e->viewed = true;
}


/* what was declared here meanwhile is newer */

static void
worker_view_one(worker_exam_t *e, const exam_stmt_t *s)
{
    worker_seat_t  *seat;

    seat = worker_exam_find(e, exam_stmt_col_str(s, 0));

    if (seat == NULL || seat->view_at != 0
        || !exam_str_eq(exam_stmt_col_str(s, 1),
                        exam_str_make(seat->sid, strlen(seat->sid))))
    {
        return;
    }

    seat->view = exam_str_eq(exam_stmt_col_str(s, 2), exam_str("late"))
                 ? WORKER_VIEW_LATE : WORKER_VIEW_OFFLINE;
    seat->view_at = exam_stmt_col_int(s, 3);
    seat->declared = 0;
}


void
worker_view_save(worker_watch_t *t, worker_exam_t *e)
{
    size_t          i, n, saved;
    exam_db_e       rc;
    worker_seat_t  *seat, *seats[WORKER_WATCH_SAVE];

    rc = EXAM_DB_OK;
    n = 0;
    saved = 0;

    for (i = 0; i < e->nseats && saved < WORKER_SAVE_MAX; i++) {
        seat = &e->seats[i];

        /* who has never beaten has no row */

        if (!seat->unsaved || seat->seen == 0) {
            continue;
        }

        if (saved == 0 && !worker_watch_db(t)) {
            return;
        }

        seats[n++] = seat;
        saved++;

        if (n == WORKER_WATCH_SAVE) {
            rc = worker_view_rows(t, e, seats, n);
            n = 0;

            if (rc != EXAM_DB_OK) {
                break;
            }
        }
    }

    for (i = 0; i < n && rc == EXAM_DB_OK; i++) {
        rc = worker_view_rows(t, e, &seats[i], 1);
    }

    if (rc != EXAM_DB_OK) {
        exam_log(EXAM_LOG_WARN, "watch", 0, "cannot write views: %s",
                 t->mysql.error);
        worker_watch_db_failed(t);

    } else if (saved != 0) {
        exam_backoff_reset(&t->backoff);
    }
}


/* a row that MySQL refuses is not tried again */

static exam_db_e
worker_view_rows(worker_watch_t *t, worker_exam_t *e, worker_seat_t **seats,
    size_t n)
{
    size_t        i;
    exam_db_e     rc;
    exam_stmt_t  *s;

    s = n == 1 ? &t->save_one : &t->save;

    rc = exam_stmt_prepare_rows(s, &t->mysql, WORKER_SAVE_HEAD,
                                WORKER_SAVE_ROW, (unsigned) n,
                                WORKER_SAVE_TAIL);
    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        worker_view_bind(s, (unsigned) i * 7, e, seats[i]);
    }

    rc = exam_stmt_execute(s);

    if (rc == EXAM_DB_DATA) {
        exam_log(EXAM_LOG_ERROR, "watch", 0, "mysql refuses a view: error %u",
                 t->mysql.code);
        rc = EXAM_DB_OK;
    }

    for (i = 0; i < n && rc == EXAM_DB_OK; i++) {
        seats[i]->unsaved = false;
    }

    return rc;
}


static void
worker_view_bind(exam_stmt_t *s, unsigned i, const worker_exam_t *e,
    const worker_seat_t *seat)
{
    exam_stmt_cstr(s, i++, seat->sid);
    exam_stmt_cstr(s, i++, e->id);
    exam_stmt_cstr(s, i++, seat->student);
    exam_stmt_int(s, i++, seat->seen);
    exam_stmt_int(s, i++, seat->seen);
    exam_stmt_cstr(s, i++, worker_view_name(seat->view));
    exam_stmt_int(s, i++, seat->view_at);
}
