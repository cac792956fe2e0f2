
/*
 * The transaction that sends a command: row, deliveries, lasting effect, audit
 * row (DESIGN 4 and 5).  Under the exam's lock, so that roster and exam stand
 * still meanwhile.
 */


#include "exam_command_part.h"
#include "exam_time.h"

#include <stdarg.h>
#include <stdio.h>


#define EXAM_COMMAND_TARGET  (EXAM_STUDENT_MAX + 32)
#define EXAM_COMMAND_SQL     512


static exam_db_e exam_command_stop(exam_command_t *c, exam_command_e rc,
    const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static exam_db_e exam_command_exam(exam_command_t *c, exam_mysql_t *db);
static exam_db_e exam_command_known(exam_command_t *c, exam_mysql_t *db);
static void exam_command_target(const exam_command_t *c, exam_buf_t *b);
static exam_db_e exam_command_insert(exam_command_t *c, exam_mysql_t *db);
static exam_db_e exam_command_deliveries(exam_command_t *c, exam_mysql_t *db);
static exam_db_e exam_command_effect(exam_command_t *c, exam_mysql_t *db);
static exam_db_e exam_command_pause(exam_command_t *c);
static exam_db_e exam_command_version(exam_command_t *c, exam_mysql_t *db);
static exam_db_e exam_command_students(exam_command_t *c, exam_mysql_t *db,
    const char *head, const char *more, uint64_t *n);
static exam_db_e exam_command_audit(exam_command_t *c, exam_mysql_t *db);


/* may run more than once: nothing of an earlier run counts */

exam_db_e
exam_command_body(exam_mysql_t *db, void *data)
{
    exam_db_e        rc;
    exam_command_t  *c;

    c = data;

    c->rc = EXAM_COMMAND_DB;
    c->before = 0;
    c->now = exam_now_ms();

    rc = exam_command_exam(c, db);

    if (rc == EXAM_DB_OK && c->request->key.len != 0) {
        rc = exam_command_known(c, db);

        if (rc == EXAM_DB_OK && c->result->repeated) {
            return rc;
        }
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_command_insert(c, db);
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_command_deliveries(c, db);
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_command_effect(c, db);
    }

    return (rc == EXAM_DB_OK) ? exam_command_audit(c, db) : rc;
}


/* the same for the body of a transaction */

static exam_db_e
exam_command_stop(exam_command_t *c, exam_command_e rc, const char *code,
    const char *fmt, ...)
{
    va_list  args;

    c->rc = rc;
    c->result->code = code;

    va_start(args, fmt);
    (void) vsnprintf(c->result->text, sizeof(c->result->text), fmt, args);
    va_end(args);

    return EXAM_DB_DATA;
}


static exam_db_e
exam_command_exam(exam_command_t *c, exam_mysql_t *db)
{
    exam_str_t  exam;

    exam = c->request->exam;

    switch (exam_live_read(db, exam, &c->e)) {

    case EXAM_LIVE_OK:
        break;

    case EXAM_LIVE_NOT_FOUND:
        return exam_command_stop(c, EXAM_COMMAND_NOT_FOUND, "exam_not_found",
                                 "no exam \"%.*s\"", (int) exam.len,
                                 (const char *) exam.data);

    default:
        return (db->conn == NULL) ? EXAM_DB_LOST : EXAM_DB_DATA;
    }

    if (c->e.state == EXAM_STATE_ARCHIVED) {
        return exam_command_stop(c, EXAM_COMMAND_CONFLICT, "exam_archived",
                                 "exam \"%s\" is archived", c->e.id);
    }

    return EXAM_DB_OK;
}


static exam_db_e
exam_command_known(exam_command_t *c, exam_mysql_t *db)
{
    bool         same;
    uint8_t      memory[EXAM_COMMAND_TARGET];
    exam_db_e    rc;
    exam_buf_t   target;
    exam_str_t   args[2];
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    same = true;
    args[0] = c->request->exam;
    args[1] = c->request->key;

    rc = exam_stmt_query(&stmt, db, "SELECT id, announced_at IS NOT NULL, "
                         "(SELECT COUNT(*) FROM deliveries WHERE command = "
                         "id), type, target, payload FROM commands "
                         "WHERE exam = ? AND idempotency_key = ?", args, 2);

    if (rc == EXAM_DB_OK) {
        exam_buf_init(&target, memory, sizeof(memory));
        exam_command_target(c, &target);

        c->result->id = (uint64_t) exam_stmt_col_int(&stmt, 0);
        c->result->students = (uint64_t) exam_stmt_col_int(&stmt, 2);
        c->rc = exam_stmt_col_int(&stmt, 1) != 0 ? EXAM_COMMAND_OK
                                                 : EXAM_COMMAND_QUEUED;

        same = exam_str_eq(exam_stmt_col_str(&stmt, 3), c->request->type)
               && exam_str_eq(exam_stmt_col_str(&stmt, 4),
                              exam_str_make(target.start,
                                            exam_buf_len(&target)))
               && exam_str_eq(exam_stmt_col_str(&stmt, 5), c->payload);

        c->result->repeated = same;
    }

    exam_stmt_close(&stmt);

    if (!same) {
        return exam_command_stop(c, EXAM_COMMAND_CONFLICT, "key_reused",
                                 "the key is that of command %llu, which is "
                                 "another", (unsigned long long) c->result->id);
    }

    return (rc == EXAM_DB_END) ? EXAM_DB_OK : rc;
}


static void
exam_command_target(const exam_command_t *c, exam_buf_t *b)
{
    if (c->to == EXAM_TO_ALL) {
        exam_buf_lit(b, "{\"all\":true}");
        return;
    }

    exam_buf_lit(b, "{\"");
    exam_buf_put(b, c->to == EXAM_TO_GROUP ? "group" : "student",
                 c->to == EXAM_TO_GROUP ? 5 : 7);
    exam_buf_lit(b, "\":");
    exam_buf_json(b, c->name);
    exam_buf_lit(b, "}");
}


static exam_db_e
exam_command_insert(exam_command_t *c, exam_mysql_t *db)
{
    uint8_t                        memory[EXAM_COMMAND_TARGET];
    exam_db_e                      rc;
    exam_buf_t                     target;
    exam_stmt_t                    stmt;
    const exam_command_request_t  *r;

    r = c->request;

    exam_buf_init(&target, memory, sizeof(memory));
    exam_command_target(c, &target);

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "INSERT INTO commands (exam, target, "
                           "type, payload, reason, issued_by, issued_at, "
                           "expires_at, idempotency_key) "
                           "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");

    if (rc == EXAM_DB_OK) {
        exam_stmt_text(&stmt, 0, r->exam);
        exam_stmt_text(&stmt, 1, exam_str_make(target.start,
                                               exam_buf_len(&target)));
        exam_stmt_text(&stmt, 2, r->type);
        exam_stmt_text(&stmt, 3, c->payload);
        exam_stmt_text(&stmt, 4, r->reason.len != 0 ? r->reason
                                                    : exam_str(""));
        exam_stmt_cstr(&stmt, 5, r->actor);
        exam_stmt_int(&stmt, 6, c->now);
        exam_stmt_int(&stmt, 7, c->now + r->expires_ms);

        if (r->key.len != 0) {
            exam_stmt_text(&stmt, 8, r->key);
        }

        rc = exam_stmt_execute(&stmt);
        c->result->id = exam_stmt_insert_id(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}


static exam_db_e
exam_command_deliveries(exam_command_t *c, exam_mysql_t *db)
{
    char       head[EXAM_COMMAND_SQL];
    exam_db_e  rc;

    (void) snprintf(head, sizeof(head), "INSERT INTO deliveries (command, "
                    "student) SELECT %llu, student FROM students",
                    (unsigned long long) c->result->id);

    rc = exam_command_students(c, db, head, "", &c->result->students);

    if (rc != EXAM_DB_OK || c->result->students != 0) {
        return rc;
    }

    switch (c->to) {

    case EXAM_TO_GROUP:
        return exam_command_stop(c, EXAM_COMMAND_NOT_FOUND, "group_empty",
                                 "nobody in exam \"%s\" has group \"%.*s\"",
                                 c->e.id, (int) c->name.len,
                                 (const char *) c->name.data);

    case EXAM_TO_STUDENT:
        return exam_command_stop(c, EXAM_COMMAND_NOT_FOUND,
                                 "student_not_found", "no student \"%.*s\" in "
                                 "exam \"%s\"", (int) c->name.len,
                                 (const char *) c->name.data, c->e.id);

    default:
        return exam_command_stop(c, EXAM_COMMAND_NOT_FOUND, "exam_empty",
                                 "exam \"%s\" has no students", c->e.id);
    }
}


/* what outlasts the command: state that a reload or a login does not escape */

static exam_db_e
exam_command_effect(exam_command_t *c, exam_mysql_t *db)
{
    char       head[EXAM_COMMAND_SQL], more[64];
    uint64_t   n;
    exam_db_e  rc;

    head[0] = '\0';
    more[0] = '\0';
    rc = EXAM_DB_OK;

    switch (c->type) {

    case EXAM_COMMAND_MESSAGE:
    case EXAM_COMMAND_UPLOAD_NOW:
    case EXAM_COMMAND_TYPES:
        return EXAM_DB_OK;

    case EXAM_COMMAND_LOCK:
    case EXAM_COMMAND_UNLOCK:
        (void) snprintf(head, sizeof(head), "UPDATE students SET locked = %d",
                        c->type == EXAM_COMMAND_LOCK);
        break;

    case EXAM_COMMAND_FINISH:
        (void) snprintf(head, sizeof(head), "UPDATE students SET finish = 1");
        break;

    case EXAM_COMMAND_EXTRA_TIME:
        (void) snprintf(head, sizeof(head), "UPDATE students "
                        "SET extra_s = extra_s + (%lld)",
                        (long long) c->seconds);
        (void) snprintf(more, sizeof(more), " AND ABS(extra_s + (%lld)) <= %d",
                        (long long) c->seconds, EXAM_EXTRA_MAX);
        break;

    case EXAM_COMMAND_PAUSE:
    case EXAM_COMMAND_RESUME:
        if (c->to == EXAM_TO_ALL) {
            rc = exam_command_pause(c);
            break;
        }

        /*
         * Assigned from left to right.  The pause is added to the end when it
         * is over, what was paused for all meanwhile is in that end already.
         */

        (void) snprintf(head, sizeof(head), c->type == EXAM_COMMAND_PAUSE
                        ? "UPDATE students SET "
                          "paused_from = IF(paused, paused_from, %lld), "
                          "paused = 1"
                        : "UPDATE students SET extra_s = extra_s "
                          "+ IF(paused AND paused_from <> 0, "
                          "GREATEST(%lld - paused_from + 999, 0) DIV 1000, 0), "
                          "paused_from = 0, paused = 0",
                        (long long) exam_change_clock(&c->e, c->now));
        break;
    }

    if (rc == EXAM_DB_OK && head[0] != '\0') {
        rc = exam_command_students(c, db, head, more, &n);

        if (rc == EXAM_DB_OK && more[0] != '\0' && n != c->result->students) {
            return exam_command_stop(c, EXAM_COMMAND_CONFLICT, "extra_limit",
                                     "more than %d s of extra time",
                                     EXAM_EXTRA_MAX);
        }
    }

    return (rc == EXAM_DB_OK) ? exam_command_version(c, db) : rc;
}


/* to all is the exam's own pause */

static exam_db_e
exam_command_pause(exam_command_t *c)
{
    if (c->type == EXAM_COMMAND_RESUME) {

        if (c->e.paused_at == 0) {
            return exam_command_stop(c, EXAM_COMMAND_CONFLICT,
                                     "exam_not_paused", "exam \"%s\" is not "
                                     "paused", c->e.id);
        }

        exam_change_end_pause(&c->e, c->now);

        return EXAM_DB_OK;
    }

    if (c->e.state != EXAM_STATE_OPEN) {
        return exam_command_stop(c, EXAM_COMMAND_CONFLICT, "exam_not_open",
                                 "exam \"%s\" is %s and cannot be paused",
                                 c->e.id, exam_state_name(c->e.state));
    }

    if (c->e.paused_at != 0) {
        return exam_command_stop(c, EXAM_COMMAND_CONFLICT, "exam_paused",
                                 "exam \"%s\" is paused already", c->e.id);
    }

    c->e.paused_at = c->now;

    return EXAM_DB_OK;
}


static exam_db_e
exam_command_version(exam_command_t *c, exam_mysql_t *db)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    c->before = c->e.version;
    c->e.version = (c->now > c->before) ? c->now : c->before + 1;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "UPDATE exams SET pause_ms = ?, "
                           "paused_at = ?, version = ? WHERE id = ?");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, c->e.pause_ms);
        exam_stmt_int(&stmt, 1, c->e.paused_at);
        exam_stmt_int(&stmt, 2, c->e.version);
        exam_stmt_text(&stmt, 3, c->request->exam);

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}


/* the reason stands in the command's row */

static exam_db_e
exam_command_audit(exam_command_t *c, exam_mysql_t *db)
{
    char  detail[160];

    (void) snprintf(detail, sizeof(detail), "command=%llu type=%s to=%.*s",
                    (unsigned long long) c->result->id,
                    exam_command_name(c->type), (int) c->request->to.len,
                    (const char *) c->request->to.data);

    return exam_change_audit(db, c->request->actor, "command.send",
                             c->request->exam,
                             c->to == EXAM_TO_STUDENT ? c->name : exam_str(""),
                             detail);
}


/* a statement on the rows of `students` that are meant; *n: rows changed */

static exam_db_e
exam_command_students(exam_command_t *c, exam_mysql_t *db, const char *head,
    const char *more, uint64_t *n)
{
    char         sql[EXAM_COMMAND_SQL + 128];
    exam_db_e    rc;
    exam_stmt_t  stmt;

    static const char *const  tails[] = {
        "", " AND group_name = ?", " AND student = ?"
    };

    memset(&stmt, 0, sizeof(exam_stmt_t));

    (void) snprintf(sql, sizeof(sql), "%s WHERE exam = ?%s%s", head,
                    tails[c->to], more);

    rc = exam_stmt_prepare(&stmt, db, sql);

    if (rc == EXAM_DB_OK) {
        exam_stmt_text(&stmt, 0, c->request->exam);

        if (c->to != EXAM_TO_ALL) {
            exam_stmt_text(&stmt, 1, c->name);
        }

        rc = exam_stmt_execute(&stmt);
        *n = exam_stmt_affected(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}
