
/*
 * The one way in which examctl changes an exam, its roster or its students:
 *
 *     lock of the exam -> transaction: read, body, exams row with a higher
 *     version, audit row -> Redis -> unlock
 *
 * When Redis is away the change stands in MySQL, the exit code says so, and the
 * worker loads it: the version in Redis is then not the one of MySQL.
 */


#include "ctl.h"
#include "exam_time.h"

#include <pwd.h>
#include <unistd.h>


typedef struct {
    ctl_t               *ctl;
    const ctl_change_t  *c;
    exam_live_exam_t     e;
    int64_t              before;    /* version */
} ctl_change_state_t;


static ctl_rc_e ctl_change_locked(ctl_change_state_t *s);
static exam_db_e ctl_change_body(exam_mysql_t *db, void *data);
static exam_db_e ctl_change_write(ctl_t *ctl, const exam_live_exam_t *e,
    bool create);


ctl_rc_e
ctl_change(ctl_t *ctl, const ctl_change_t *c)
{
    ctl_rc_e            rc;
    ctl_change_state_t  s;

    memset(&s, 0, sizeof(ctl_change_state_t));

    s.ctl = ctl;
    s.c = c;
    ctl->outcome = CTL_UNCHANGED;

    rc = ctl_connect(ctl);

    if (rc != CTL_OK) {
        return rc;
    }

    switch (exam_live_lock(&ctl->db, c->exam)) {

    case EXAM_LIVE_OK:
        break;

    case EXAM_LIVE_BUSY:
        return ctl_fail(CTL_CONFLICT, "another program is changing this exam; "
                        "try again");

    default:
        return ctl_db_failed(ctl);
    }

    rc = ctl_change_locked(&s);

    exam_live_unlock(&ctl->db, c->exam);

    return rc;
}


static ctl_rc_e
ctl_change_locked(ctl_change_state_t *s)
{
    ctl_t        *ctl;
    exam_live_e   rc;

    ctl = s->ctl;
    ctl->refused = CTL_OK;

    if (exam_mysql_transaction(&ctl->db, ctl_change_body, s) != EXAM_DB_OK) {

        if (ctl->refused != CTL_OK) {
            return ctl->refused;
        }

        if (ctl->db.conn == NULL) {
            ctl->outcome = CTL_UNKNOWN;
        }

        return ctl_db_failed(ctl);
    }

    ctl->outcome = CTL_COMMITTED;

    rc = s->c->whole
         ? exam_live_load_locked(&ctl->db, &ctl->redis, s->c->exam)
         : exam_live_update(&ctl->db, &ctl->redis, s->c->exam, s->c->student,
                            s->before);

    switch (rc) {

    case EXAM_LIVE_OK:
        return CTL_OK;

    case EXAM_LIVE_REDIS:
        return ctl_fail(CTL_AWAY, "the change is in MySQL, but Redis is away "
                        "(%s): exam-worker will load it", ctl->redis.error);

    default:
        return ctl_fail(CTL_AWAY, "the change is in MySQL, but could not be "
                        "read again (%s): exam-worker will load it",
                        ctl->db.error);
    }
}


static exam_db_e
ctl_change_body(exam_mysql_t *db, void *data)
{
    ctl_t               *ctl;
    exam_db_e            rc;
    const ctl_change_t  *c;
    ctl_change_state_t  *s;

    s = data;
    c = s->c;
    ctl = s->ctl;

    switch (exam_live_read(db, c->exam, &s->e)) {

    case EXAM_LIVE_OK:
        if (c->create) {
            return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" exists already",
                              s->e.id);
        }

        break;

    case EXAM_LIVE_NOT_FOUND:
        if (!c->create) {
            return ctl_refuse(ctl, CTL_NOT_FOUND, "no exam \"%.*s\"",
                              (int) c->exam.len, (const char *) c->exam.data);
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

    rc = c->body(ctl, &s->e, c->data);

    if (rc == EXAM_DB_OK) {
        rc = ctl_change_write(ctl, &s->e, c->create);
    }

    return (rc == EXAM_DB_OK)
           ? ctl_audit(ctl, c->action, c->exam, c->student, c->detail) : rc;
}


static exam_db_e
ctl_change_write(ctl_t *ctl, const exam_live_exam_t *e, bool create)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, &ctl->db, create
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
ctl_audit(ctl_t *ctl, const char *action, exam_str_t exam, exam_str_t student,
    const char *detail)
{
    char            actor[80];
    exam_db_e       rc;
    exam_stmt_t     stmt;
    struct passwd  *pw;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    pw = getpwuid(getuid());

    (void) snprintf(actor, sizeof(actor), "examctl:%.60s",
                    pw != NULL ? pw->pw_name : "?");

    rc = exam_stmt_prepare(&stmt, &ctl->db, "INSERT INTO audit_log (at, actor, "
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
