
/*
 * Sending and cancelling of commands.  Everything behind the transaction may
 * fail; the worker makes up for it.
 */


#include "exam_command_part.h"
#include "exam_time.h"

#include <stdarg.h>
#include <stdio.h>


typedef struct {
    exam_command_result_t         *result;
    exam_command_e                 rc;
    uint64_t                       id;
    const char                    *actor;
    char                           exam[EXAM_EXAM_MAX + 1];
} exam_command_cancel_t;


static exam_command_e exam_command_lock(exam_mysql_t *db, exam_str_t exam,
    exam_command_result_t *result);
static exam_command_e exam_command_show(exam_command_t *c, exam_mysql_t *db,
    exam_redis_t *redis);
static exam_command_e exam_command_told(exam_mysql_t *db, exam_redis_t *redis,
    exam_live_e rc, exam_command_result_t *result);
static exam_db_e exam_command_cancel_exam(exam_mysql_t *db,
    exam_command_cancel_t *c);
static exam_db_e exam_command_cancel_body(exam_mysql_t *db, void *data);


static const char *const  exam_command_names[] = {
    "message", "lock", "unlock", "pause", "resume", "extra_time", "finish",
    "upload_now"
};


const char *
exam_command_name(exam_command_type_e type)
{
    return exam_command_names[type];
}


exam_command_type_e
exam_command_parse(exam_str_t name)
{
    size_t  i;

    for (i = 0; i < EXAM_COMMAND_TYPES; i++) {
        if (exam_str_eq(name, exam_str_make(exam_command_names[i],
                                            strlen(exam_command_names[i]))))
        {
            break;
        }
    }

    return (exam_command_type_e) i;
}


exam_command_e
exam_command_send(exam_mysql_t *db, exam_redis_t *redis,
    const exam_command_request_t *request, exam_command_result_t *result)
{
    exam_command_e  rc;
    exam_command_t  c;

    memset(&c, 0, sizeof(exam_command_t));
    memset(result, 0, sizeof(exam_command_result_t));

    c.request = request;
    c.result = result;

    rc = exam_command_check(&c);

    if (rc == EXAM_COMMAND_OK) {
        rc = exam_command_lock(db, request->exam, result);
    }

    if (rc != EXAM_COMMAND_OK) {
        return rc;
    }

    c.rc = EXAM_COMMAND_DB;

    if (exam_mysql_transaction(db, exam_command_body, &c) == EXAM_DB_OK) {
        rc = exam_command_show(&c, db, redis);

    } else {
        rc = c.rc;
    }

    exam_live_unlock(db, request->exam);

    return rc;
}


exam_command_e
exam_command_refuse(exam_command_result_t *result, exam_command_e rc,
    const char *code, const char *fmt, ...)
{
    va_list  args;

    result->code = code;

    va_start(args, fmt);
    (void) vsnprintf(result->text, sizeof(result->text), fmt, args);
    va_end(args);

    return rc;
}


static exam_command_e
exam_command_lock(exam_mysql_t *db, exam_str_t exam,
    exam_command_result_t *result)
{
    switch (exam_live_lock(db, exam)) {

    case EXAM_LIVE_OK:
        return EXAM_COMMAND_OK;

    case EXAM_LIVE_BUSY:
        return exam_command_refuse(result, EXAM_COMMAND_BUSY, "busy",
                                   "another program is changing this exam; "
                                   "try again");

    default:
        return EXAM_COMMAND_DB;
    }
}


/* what was committed: state first, so that it is there when a node is told */

static exam_command_e
exam_command_show(exam_command_t *c, exam_mysql_t *db, exam_redis_t *redis)
{
    bool         exam;
    exam_str_t   student;
    exam_live_e  rc;

    if (c->result->repeated && c->rc == EXAM_COMMAND_OK) {
        return EXAM_COMMAND_OK;
    }

    rc = EXAM_LIVE_OK;

    if (c->result->repeated) {

        /* who sent it first did not get here: nobody knows how far */

        rc = exam_live_load_locked(db, redis, c->request->exam);

    } else if (c->before != 0) {
        exam = c->to == EXAM_TO_ALL && (c->type == EXAM_COMMAND_PAUSE
                                        || c->type == EXAM_COMMAND_RESUME);
        student = (c->to == EXAM_TO_STUDENT) ? c->name : exam_str("");

        rc = (exam || c->to == EXAM_TO_STUDENT)
             ? exam_live_update(db, redis, c->request->exam, student,
                                c->before)
             : exam_live_update_all(db, redis, c->request->exam, c->before);
    }

    if (rc == EXAM_LIVE_OK) {
        rc = exam_command_announce(db, redis, c->result->id);
    }

    return exam_command_told(db, redis, rc, c->result);
}


static exam_command_e
exam_command_told(exam_mysql_t *db, exam_redis_t *redis, exam_live_e rc,
    exam_command_result_t *result)
{
    if (rc == EXAM_LIVE_OK) {
        return EXAM_COMMAND_OK;
    }

    (void) snprintf(result->text, EXAM_COMMAND_TEXT_MAX, "%s",
                    rc == EXAM_LIVE_REDIS ? redis->error : db->error);

    return EXAM_COMMAND_QUEUED;
}


exam_command_e
exam_command_cancel(exam_mysql_t *db, exam_redis_t *redis, uint64_t id,
    const char *actor, exam_command_result_t *result)
{
    exam_str_t             exam;
    exam_command_e         rc;
    exam_command_cancel_t  c;

    memset(&c, 0, sizeof(exam_command_cancel_t));
    memset(result, 0, sizeof(exam_command_result_t));

    c.result = result;
    c.rc = EXAM_COMMAND_DB;
    c.id = id;
    c.actor = actor;
    result->id = id;

    switch (exam_command_cancel_exam(db, &c)) {

    case EXAM_DB_OK:
        break;

    case EXAM_DB_END:
        return exam_command_refuse(result, EXAM_COMMAND_NOT_FOUND,
                                   "command_not_found", "no command %llu",
                                   (unsigned long long) id);

    default:
        return EXAM_COMMAND_DB;
    }

    exam = exam_str_make(c.exam, strlen(c.exam));
    rc = exam_command_lock(db, exam, result);

    if (rc != EXAM_COMMAND_OK) {
        return rc;
    }

    if (exam_mysql_transaction(db, exam_command_cancel_body, &c)
        == EXAM_DB_OK)
    {
        rc = exam_command_told(db, redis, exam_command_announce(db, redis, id),
                               result);

    } else {
        rc = c.rc;
    }

    exam_live_unlock(db, exam);

    return rc;
}


static exam_db_e
exam_command_cancel_exam(exam_mysql_t *db, exam_command_cancel_t *c)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "SELECT exam FROM commands "
                           "WHERE id = ?");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, (int64_t) c->id);
        rc = exam_stmt_execute(&stmt);
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_stmt_fetch(&stmt);
    }

    if (rc == EXAM_DB_OK) {
        exam_stmt_col_copy(&stmt, 0, c->exam, sizeof(c->exam));
    }

    exam_stmt_close(&stmt);

    return rc;
}


static exam_db_e
exam_command_cancel_body(exam_mysql_t *db, void *data)
{
    char                    detail[64];
    int64_t                 now;
    exam_db_e               rc;
    exam_stmt_t             stmt;
    exam_command_cancel_t  *c;

    c = data;
    now = exam_now_ms();

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, db, "UPDATE commands SET canceled_at = ?, "
                           "announced_at = NULL WHERE id = ? "
                           "AND canceled_at IS NULL AND expires_at > ?");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, now);
        exam_stmt_int(&stmt, 1, (int64_t) c->id);
        exam_stmt_int(&stmt, 2, now);

        rc = exam_stmt_execute(&stmt);
    }

    if (rc == EXAM_DB_OK && exam_stmt_affected(&stmt) == 0) {
        c->rc = exam_command_refuse(c->result, EXAM_COMMAND_CONFLICT,
                                    "command_over", "command %llu has expired "
                                    "or was cancelled already",
                                    (unsigned long long) c->id);
        rc = EXAM_DB_DATA;
    }

    exam_stmt_close(&stmt);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    (void) snprintf(detail, sizeof(detail), "command=%llu",
                    (unsigned long long) c->id);

    return exam_change_audit(db, c->actor, "command.cancel",
                             exam_str_make(c->exam, strlen(c->exam)),
                             exam_str(""), detail);
}
