
/*
 * Changes of exams: see exam_change.h.  The version is raised in the
 * transaction of the change, so that whoever compares it with the one that
 * Redis shows finds every change that did not get there.
 */


#include "exam_change.h"
#include "exam_time.h"

#include <stdio.h>


typedef struct {
    const exam_change_t  *c;
    exam_live_exam_t      e;
    int64_t               before;   /* version */
    exam_change_e         refused;
} exam_change_state_t;


typedef struct {
    int64_t  now;
    int64_t  ends_at;               /* the last own end, 0 not known */
} exam_change_over_t;


static exam_change_e exam_change_locked(exam_mysql_t *db, exam_redis_t *redis,
    exam_change_state_t *s);
static exam_db_e exam_change_body(exam_mysql_t *db, void *data);
static exam_db_e exam_change_write(exam_mysql_t *db,
    const exam_live_exam_t *e, bool create);
static exam_db_e exam_change_do_over(exam_mysql_t *db, exam_live_exam_t *e,
    void *data);


exam_change_e
exam_change(exam_mysql_t *db, exam_redis_t *redis, const exam_change_t *c)
{
    exam_change_e        rc;
    exam_change_state_t  s;

    memset(&s, 0, sizeof(exam_change_state_t));
    s.c = c;

    switch (exam_live_lock(db, c->exam)) {

    case EXAM_LIVE_OK:
        break;

    case EXAM_LIVE_BUSY:
        return EXAM_CHANGE_BUSY;

    default:
        return EXAM_CHANGE_DB;
    }

    rc = exam_change_locked(db, redis, &s);

    exam_live_unlock(db, c->exam);

    return rc;
}


static exam_change_e
exam_change_locked(exam_mysql_t *db, exam_redis_t *redis,
    exam_change_state_t *s)
{
    exam_live_e  rc;

    if (exam_mysql_transaction(db, exam_change_body, s) != EXAM_DB_OK) {
        return s->refused != EXAM_CHANGE_OK ? s->refused : EXAM_CHANGE_DB;
    }

    rc = s->c->whole
         ? exam_live_load_locked(db, redis, s->c->exam)
         : exam_live_update(db, redis, s->c->exam, s->c->student, s->before);

    switch (rc) {

    case EXAM_LIVE_OK:
        return EXAM_CHANGE_OK;

    case EXAM_LIVE_REDIS:
        return EXAM_CHANGE_REDIS;

    default:
        return EXAM_CHANGE_UNREAD;
    }
}


static exam_db_e
exam_change_body(exam_mysql_t *db, void *data)
{
    exam_db_e             rc;
    const exam_change_t  *c;
    exam_change_state_t  *s;

    s = data;
    c = s->c;
    s->refused = EXAM_CHANGE_OK;

    switch (exam_live_read(db, c->exam, &s->e)) {

    case EXAM_LIVE_OK:
        if (c->create) {
            s->refused = EXAM_CHANGE_EXISTS;
            return EXAM_DB_END;
        }

        break;

    case EXAM_LIVE_NOT_FOUND:
        if (!c->create) {
            s->refused = EXAM_CHANGE_NOT_FOUND;
            return EXAM_DB_END;
        }

        memcpy(s->e.id, c->exam.data, c->exam.len);
        break;

    default:
        return (db->conn == NULL) ? EXAM_DB_LOST : EXAM_DB_DATA;
    }

    s->before = s->e.version;
    s->e.version = exam_now_ms();

    if (s->e.version <= s->before) {
        s->e.version = s->before + 1;
    }

    rc = c->body(db, &s->e, c->data);

    if (rc == EXAM_DB_END) {
        s->refused = EXAM_CHANGE_REFUSED;
        return rc;
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_change_write(db, &s->e, c->create);
    }

    return (rc == EXAM_DB_OK)
           ? exam_change_audit(db, c->actor, c->action, c->exam, c->student,
                               c->detail)
           : rc;
}


static exam_db_e
exam_change_write(exam_mysql_t *db, const exam_live_exam_t *e, bool create)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, create
                           ? "INSERT INTO exams (title, state, starts_at, "
                             "ends_at, pause_ms, paused_at, version, id, "
                             "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                           : "UPDATE exams SET title = ?, state = ?, "
                             "starts_at = ?, ends_at = ?, pause_ms = ?, "
                             "paused_at = ?, version = ? WHERE id = ?");

    if (rc == EXAM_DB_OK) {
        exam_stmt_cstr(&stmt, 0, e->title);
        exam_stmt_cstr(&stmt, 1, exam_state_name(e->state));
        exam_stmt_int(&stmt, 2, e->starts_at);
        exam_stmt_int(&stmt, 3, e->ends_at);
        exam_stmt_int(&stmt, 4, e->pause_ms);
        exam_stmt_int(&stmt, 5, e->paused_at);
        exam_stmt_int(&stmt, 6, e->version);
        exam_stmt_cstr(&stmt, 7, e->id);

        if (create) {
            exam_stmt_int(&stmt, 8, e->version);
        }

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}


exam_db_e
exam_change_audit(exam_mysql_t *db, const char *actor, const char *action,
    exam_str_t exam, exam_str_t student, const char *detail)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "INSERT INTO audit_log (at, actor, "
                           "action, exam, student, detail) "
                           "VALUES (?, ?, ?, ?, ?, ?)");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, exam_now_ms());
        exam_stmt_cstr(&stmt, 1, actor);
        exam_stmt_cstr(&stmt, 2, action);
        exam_stmt_text(&stmt, 3, exam);

        if (student.len != 0) {
            exam_stmt_text(&stmt, 4, student);
        }

        if (detail != NULL) {
            exam_stmt_cstr(&stmt, 5, detail);
        }

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}


int64_t
exam_change_clock(const exam_live_exam_t *e, int64_t now)
{
    int64_t  running;

    running = (e->paused_at != 0 && now > e->paused_at) ? now - e->paused_at
                                                        : 0;

    return now - e->pause_ms - running;
}


void
exam_change_end_pause(exam_live_exam_t *e, int64_t now)
{
    if (e->paused_at != 0 && now > e->paused_at) {
        e->pause_ms += now - e->paused_at;
    }

    e->paused_at = 0;
}


/* a pause that ran on would push the late deadline away for ever */

void
exam_change_close(exam_live_exam_t *e, int64_t now)
{
    exam_change_end_pause(e, now);
    e->state = EXAM_STATE_CLOSED;
}


exam_change_e
exam_change_over(exam_mysql_t *db, exam_redis_t *redis, const char *actor,
    exam_str_t exam, int64_t now, int64_t *ends_at)
{
    exam_change_e       rc;
    exam_change_t       c;
    exam_change_over_t  over;

    memset(&c, 0, sizeof(exam_change_t));
    memset(&over, 0, sizeof(exam_change_over_t));

    over.now = now;

    c.actor = actor;
    c.action = "exam.close";
    c.detail = "the last own end";
    c.exam = exam;
    c.body = exam_change_do_over;
    c.data = &over;

    rc = exam_change(db, redis, &c);

    *ends_at = over.ends_at;

    return rc;
}


static exam_db_e
exam_change_do_over(exam_mysql_t *db, exam_live_exam_t *e, void *data)
{
    bool                 paused;
    int64_t              extra_s;
    exam_db_e            rc;
    exam_str_t           exam;
    exam_stmt_t          stmt;
    exam_change_over_t  *over;

    over = data;
    over->ends_at = 0;

    /* an end of 0 is an exam without one */

    if (e->state != EXAM_STATE_OPEN || e->paused_at != 0 || e->ends_at == 0) {
        return EXAM_DB_END;
    }

    memset(&stmt, 0, sizeof(exam_stmt_t));
    exam = exam_str_make(e->id, strlen(e->id));
    extra_s = 0;

    paused = false;

    rc = exam_stmt_query(&stmt, db, "SELECT MAX(extra_s), "
                         "MAX(paused AND NOT finish) FROM students "
                         "WHERE exam = ?", &exam, 1);

    /* NULL, without students, is 0; the exam itself ends no earlier */

    if (rc == EXAM_DB_OK && exam_stmt_col_int(&stmt, 0) > 0) {
        extra_s = exam_stmt_col_int(&stmt, 0);
    }

    if (rc == EXAM_DB_OK) {
        paused = exam_stmt_col_int(&stmt, 1) != 0;
    }

    exam_stmt_close(&stmt);

    if (rc != EXAM_DB_OK) {
        return rc == EXAM_DB_END ? EXAM_DB_RETRY : rc;
    }

    /* the pause of one student becomes extra time when it is over */

    if (paused) {
        return EXAM_DB_END;
    }

    over->ends_at = e->ends_at + e->pause_ms + extra_s * 1000;

    if (over->now < over->ends_at) {
        return EXAM_DB_END;
    }

    exam_change_close(e, over->now);

    return EXAM_DB_OK;
}
