
/*
 * Commands to candidates: send, cancel, list, and show what became of them.
 * What may be sent and how is decided in service/exam_command.h; here are the
 * command line and the output.
 */


#include "ctl.h"
#include "exam_command.h"
#include "exam_time.h"

#include <stdlib.h>


typedef struct {
    uint64_t  *ids;
    size_t     n;
    size_t     max;
} ctl_command_ids_t;


static ctl_rc_e ctl_command_send(ctl_t *ctl);
static ctl_rc_e ctl_command_cancel(ctl_t *ctl);
static ctl_rc_e ctl_command_list(ctl_t *ctl);
static ctl_rc_e ctl_command_show(ctl_t *ctl);
static ctl_rc_e ctl_command_expires(const ctl_t *ctl, int64_t *ms);
static ctl_rc_e ctl_command_result(ctl_t *ctl, exam_command_e rc,
    const exam_command_result_t *result);
static ctl_rc_e ctl_command_one(ctl_t *ctl, uint64_t id);
static ctl_rc_e ctl_command_of_exam(ctl_t *ctl, exam_str_t exam);
static exam_db_e ctl_command_ids(ctl_t *ctl, exam_str_t exam,
    ctl_command_ids_t *list);
static exam_db_e ctl_command_head(ctl_t *ctl, uint64_t id);
static void ctl_command_head_json(const exam_stmt_t *stmt);
static exam_db_e ctl_command_students(ctl_t *ctl, uint64_t id);
static exam_db_e ctl_command_exam(ctl_t *ctl, exam_str_t exam);
static exam_db_e ctl_command_query(ctl_t *ctl, exam_stmt_t *stmt,
    const char *sql, uint64_t id);
static bool ctl_command_number(exam_str_t text, uint64_t *id);


static const ctl_column_t  ctl_command_columns[] = {
    { "id", CTL_NUMBER, 8 },
    { "exam", CTL_TEXT, 12 },
    { "type", CTL_TEXT, 10 },
    { "target", CTL_JSON, 20 },
    { "queued", CTL_NUMBER, 6 },
    { "sent", CTL_NUMBER, 6 },
    { "confirmed", CTL_NUMBER, 9 },
    { "expired", CTL_NUMBER, 7 },
    { "issued_at", CTL_TIME, 24 },
    { "expires_at", CTL_TIME, 24 },
    { "canceled_at", CTL_TIME, 24 },
    { "announced_at", CTL_TIME, 24 },
    { "issued_by", CTL_TEXT, 16 },
    { "reason", CTL_TEXT, 20 },
    { "payload", CTL_JSON, 20 },
    { .name = NULL }
};

#define CTL_COMMAND_SELECT                                                    \
    "SELECT c.id, c.exam, c.type, c.target, "                                 \
    "COALESCE(SUM(d.state = 'queued'), 0), "                                  \
    "COALESCE(SUM(d.state = 'sent'), 0), "                                    \
    "COALESCE(SUM(d.state = 'confirmed'), 0), "                               \
    "COALESCE(SUM(d.state = 'expired'), 0), "                                 \
    "c.issued_at, c.expires_at, c.canceled_at, c.announced_at, "              \
    "c.issued_by, c.reason, c.payload "                                       \
    "FROM commands c LEFT JOIN deliveries d ON d.command = c.id "


static const ctl_column_t  ctl_delivery_columns[] = {
    { "student", CTL_TEXT, 16 },
    { "state", CTL_TEXT, 9 },
    { "sent_at", CTL_TIME, 24 },
    { "confirmed_at", CTL_TIME, 24 },
    { "session", CTL_TEXT, 32 },
    { .name = NULL }
};


const ctl_command_t  ctl_command_commands[] = {

    { "command send", "ID", 1,
      { { "to", "!S|group:G|all" }, { "type", "!T" }, { "payload", "JSON" },
        { "expires", "5m" }, { "reason", "R" }, { "key", "K" },
        { "json", NULL } },
      "Sends a command to candidates of exam ID.",
      "Types and payloads:\n"
      "  message     {\"text\":\"1 to 1000 characters\"}\n"
      "  extra_time  {\"seconds\":N}, -86400 to 86400, not 0\n"
      "  lock unlock pause resume finish upload_now    none, or any object\n"
      "\n"
      "lock, unlock, pause, resume, extra_time and finish change the student"
      " for good:\na reload, a new login or an expired command does not undo"
      " them.  pause and\nresume to all are exam pause and exam resume; a"
      " student's own pause is added to\nthis student's end by resume.\n"
      "\n"
      "--to: the id of a student (student:S for one whose id is \"all\"), a"
      " group of the\nroster, or everybody.  --expires: 1s to 24h, after that"
      " nobody is given it.\n--reason: for staff.  --key: the same key again"
      " gives the first command's id,\nand is refused for another command.\n"
      "\n"
      "While Redis is away the command is kept in MySQL (exit code 5) and"
      " announced by\nexam-worker.  What is refused is told with a code:"
      " bad_type, bad_payload,\nbad_target, bad_expires, bad_reason, bad_key;"
      " exam_not_found,\nstudent_not_found, group_empty, exam_empty;"
      " exam_archived, exam_not_open,\nexam_paused, exam_not_paused,"
      " extra_limit, key_reused, busy.\n",
      ctl_command_send },

    { "command show", "EXAM-or-COMMAND", 1, { { "json", NULL } },
      "Shows one command, or all of an exam, student by student.",
      "A number is a command, and where there is none an exam;"
      " exam:ID is always an\nexam.  A delivery is queued, sent (it stood in a"
      " reply), confirmed (the client\nhas run it), or expired.\n",
      ctl_command_show },

    { "command cancel", "ID", 1, { { "json", NULL } },
      "Cancels command ID: nobody is given it from now on.",
      "What it has changed for good stays: send the opposite.\n",
      ctl_command_cancel },

    { "command list", "EXAM", 1, { { "json", NULL } },
      "Lists the commands of an exam with their counts.", "",
      ctl_command_list },

    { .words = NULL }
};


static ctl_rc_e
ctl_command_send(ctl_t *ctl)
{
    char                    actor[EXAM_ACTOR_MAX];
    ctl_rc_e                rc;
    exam_command_e          sent;
    exam_command_result_t   result;
    exam_command_request_t  r;

    memset(&r, 0, sizeof(exam_command_request_t));

    rc = ctl_arg_exam(ctl, 0, &r.exam);

    if (rc == CTL_OK) {
        rc = ctl_command_expires(ctl, &r.expires_ms);
    }

    if (rc == CTL_OK) {
        rc = ctl_connect(ctl);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    r.actor = ctl_actor(actor);
    r.to = ctl_str(ctl_option(ctl, "to"));
    r.type = ctl_str(ctl_option(ctl, "type"));

    if (ctl_option(ctl, "payload") != NULL) {
        r.payload = ctl_str(ctl_option(ctl, "payload"));
    }

    if (ctl_option(ctl, "reason") != NULL) {
        r.reason = ctl_str(ctl_option(ctl, "reason"));
    }

    if (ctl_option(ctl, "key") != NULL) {
        r.key = ctl_str(ctl_option(ctl, "key"));
    }

    sent = exam_command_send(&ctl->db, &ctl->redis, &r, &result);

    if (sent == EXAM_COMMAND_OK || sent == EXAM_COMMAND_QUEUED) {

        if (ctl->json) {
            printf("{\"id\":%llu,\"students\":%llu,\"repeated\":%s,"
                   "\"announced\":%s}\n", (unsigned long long) result.id,
                   (unsigned long long) result.students,
                   result.repeated ? "true" : "false",
                   sent == EXAM_COMMAND_OK ? "true" : "false");

        } else {
            printf("command %llu, %llu students\n",
                   (unsigned long long) result.id,
                   (unsigned long long) result.students);
        }
    }

    return ctl_command_result(ctl, sent, &result);
}


/* "5m" as in other options of time, "+5m" */

static ctl_rc_e
ctl_command_expires(const ctl_t *ctl, int64_t *ms)
{
    char         text[32];
    const char  *value;

    value = ctl_option(ctl, "expires");

    if (value == NULL) {
        *ms = EXAM_COMMAND_EXPIRES;
        return CTL_OK;
    }

    if (value[0] >= '0' && value[0] <= '9' && strlen(value) < sizeof(text) - 1)
    {
        (void) snprintf(text, sizeof(text), "+%s", value);

        if (exam_time_parse(text, 0, ms) && *ms >= EXAM_COMMAND_EXPIRES_MIN
            && *ms <= EXAM_COMMAND_EXPIRES_MAX)
        {
            return CTL_OK;
        }
    }

    return ctl_usage(ctl, "bad_expires: --expires is 1s to 24h, as 90s, 5m, "
                     "2h");
}


static ctl_rc_e
ctl_command_result(ctl_t *ctl, exam_command_e rc,
    const exam_command_result_t *result)
{
    switch (rc) {

    case EXAM_COMMAND_OK:
        return CTL_OK;

    case EXAM_COMMAND_QUEUED:
        return ctl_fail(CTL_AWAY, "command %llu is in MySQL, but Redis does "
                        "not have it (%s): queued, exam-worker will announce "
                        "it", (unsigned long long) result->id, result->text);

    case EXAM_COMMAND_INVALID:
        return ctl_usage(ctl, "%s: %s", result->code, result->text);

    case EXAM_COMMAND_NOT_FOUND:
        return ctl_fail(CTL_NOT_FOUND, "%s: %s", result->code, result->text);

    case EXAM_COMMAND_CONFLICT:
    case EXAM_COMMAND_BUSY:
        return ctl_fail(CTL_CONFLICT, "%s: %s", result->code, result->text);

    default:
        return ctl_db_failed(ctl);
    }
}


static ctl_rc_e
ctl_command_cancel(ctl_t *ctl)
{
    char                   actor[EXAM_ACTOR_MAX];
    uint64_t               id;
    ctl_rc_e               rc;
    exam_command_e         canceled;
    exam_command_result_t  result;

    if (!ctl_command_number(ctl_str(ctl->args[0]), &id)) {
        return ctl_usage(ctl, "a command's id is a number");
    }

    rc = ctl_connect(ctl);

    if (rc != CTL_OK) {
        return rc;
    }

    canceled = exam_command_cancel(&ctl->db, &ctl->redis, id, ctl_actor(actor),
                                   &result);

    if (ctl->json && (canceled == EXAM_COMMAND_OK
                      || canceled == EXAM_COMMAND_QUEUED))
    {
        printf("{\"id\":%llu,\"announced\":%s}\n", (unsigned long long) id,
               canceled == EXAM_COMMAND_OK ? "true" : "false");
    }

    return ctl_command_result(ctl, canceled, &result);
}


static ctl_rc_e
ctl_command_list(ctl_t *ctl)
{
    ctl_rc_e    rc;
    exam_db_e   db;
    exam_str_t  exam;

    rc = ctl_arg_exam(ctl, 0, &exam);

    if (rc == CTL_OK) {
        rc = ctl_connect(ctl);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    db = ctl_command_exam(ctl, exam);

    if (db == EXAM_DB_END) {
        return ctl_fail(CTL_NOT_FOUND, "exam_not_found: no exam \"%s\"",
                        ctl->args[0]);
    }

    return (db == EXAM_DB_OK)
           ? ctl_list_query(ctl, "commands", ctl_command_columns,
                            CTL_COMMAND_SELECT "WHERE c.exam = ? "
                            "GROUP BY c.id ORDER BY c.id", &exam, 1)
           : ctl_db_failed(ctl);
}


static ctl_rc_e
ctl_command_show(ctl_t *ctl)
{
    uint64_t     id;
    ctl_rc_e     rc;
    exam_db_e    db;
    exam_str_t   arg;
    exam_stmt_t  stmt;

    arg = ctl_str(ctl->args[0]);

    if (strncmp(ctl->args[0], "exam:", 5) == 0) {
        arg = ctl_str(ctl->args[0] + 5);
        id = 0;

    } else if (!ctl_command_number(arg, &id)) {
        id = 0;
    }

    if (id == 0 && !exam_id_exam(arg)) {
        return ctl_usage(ctl, "neither an exam nor the number of a command");
    }

    rc = ctl_connect(ctl);

    if (rc != CTL_OK) {
        return rc;
    }

    if (id != 0) {
        memset(&stmt, 0, sizeof(exam_stmt_t));

        db = ctl_command_query(ctl, &stmt, "SELECT 1 FROM commands "
                               "WHERE id = ?", id);
        exam_stmt_close(&stmt);

        if (db == EXAM_DB_OK) {
            return ctl_command_one(ctl, id);
        }

        if (db != EXAM_DB_END) {
            return ctl_db_failed(ctl);
        }

        if (!exam_id_exam(arg)) {
            return ctl_fail(CTL_NOT_FOUND, "command_not_found: no command "
                            "%s", ctl->args[0]);
        }
    }

    switch (ctl_command_exam(ctl, arg)) {

    case EXAM_DB_OK:
        return ctl_command_of_exam(ctl, arg);

    case EXAM_DB_END:
        return (id != 0)
               ? ctl_fail(CTL_NOT_FOUND, "command_not_found: no command and "
                          "no exam %s", ctl->args[0])
               : ctl_fail(CTL_NOT_FOUND, "exam_not_found: no exam \"%.*s\"",
                          (int) arg.len, (const char *) arg.data);

    default:
        return ctl_db_failed(ctl);
    }
}


static ctl_rc_e
ctl_command_one(ctl_t *ctl, uint64_t id)
{
    exam_db_e  rc;

    rc = ctl_command_head(ctl, id);

    if (rc == EXAM_DB_OK) {
        rc = ctl_command_students(ctl, id);
    }

    if (ctl->json && rc == EXAM_DB_OK) {
        printf("\n");
    }

    return (rc == EXAM_DB_OK) ? CTL_OK : ctl_db_failed(ctl);
}


static ctl_rc_e
ctl_command_of_exam(ctl_t *ctl, exam_str_t exam)
{
    size_t             i;
    exam_db_e          rc;
    ctl_command_ids_t  list;

    memset(&list, 0, sizeof(ctl_command_ids_t));

    rc = ctl_command_ids(ctl, exam, &list);

    if (ctl->json) {
        printf("{\"commands\":[");
    }

    for (i = 0; rc == EXAM_DB_OK && i < list.n; i++) {

        if (i != 0) {
            printf(ctl->json ? ",\n" : "\n");
        }

        rc = ctl_command_head(ctl, list.ids[i]);

        if (rc == EXAM_DB_OK) {
            rc = ctl_command_students(ctl, list.ids[i]);
        }
    }

    if (ctl->json) {
        printf("]}\n");
    }

    free(list.ids);

    return (rc == EXAM_DB_OK) ? CTL_OK : ctl_db_failed(ctl);
}


static exam_db_e
ctl_command_ids(ctl_t *ctl, exam_str_t exam, ctl_command_ids_t *list)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT id FROM commands "
                         "WHERE exam = ? ORDER BY id", &exam, 1);

    while (rc == EXAM_DB_OK) {

        if (list->n == list->max) {
            list->max = list->max * 2 + 16;
            list->ids = ctl_alloc(list->ids, list->max, sizeof(uint64_t));
        }

        list->ids[list->n++] = (uint64_t) exam_stmt_col_int(&stmt, 0);

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_END) ? EXAM_DB_OK : rc;
}


/* all of a command but its students */

static exam_db_e
ctl_command_head(ctl_t *ctl, uint64_t id)
{
    unsigned     i;
    exam_db_e    rc;
    ctl_cell_t   cells[CTL_COLUMNS_MAX];
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = ctl_command_query(ctl, &stmt, CTL_COMMAND_SELECT "WHERE c.id = ? "
                           "GROUP BY c.id", id);

    if (rc == EXAM_DB_OK && ctl->json) {
        ctl_command_head_json(&stmt);

    } else if (rc == EXAM_DB_OK) {
        for (i = 0; ctl_command_columns[i].name != NULL; i++) {
            cells[i] = ctl_cell_col(&stmt, i);
        }

        ctl_object(ctl, ctl_command_columns, cells);
    }

    exam_stmt_close(&stmt);

    return rc;
}


/* left open for the students */

static void
ctl_command_head_json(const exam_stmt_t *stmt)
{
    unsigned    i;
    ctl_cell_t  cell;

    for (i = 0; ctl_command_columns[i].name != NULL; i++) {
        cell = ctl_cell_col(stmt, i);

        printf(i == 0 ? "{" : ",");
        ctl_cell_json(&ctl_command_columns[i], &cell);
    }
}


static exam_db_e
ctl_command_students(ctl_t *ctl, uint64_t id)
{
    unsigned     i;
    exam_db_e    rc;
    ctl_cell_t   cells[CTL_COLUMNS_MAX];
    ctl_list_t   list;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = ctl_command_query(ctl, &stmt, "SELECT student, state, sent_at, "
                           "confirmed_at, session FROM deliveries "
                           "WHERE command = ? ORDER BY student", id);

    if (ctl->json) {
        printf(",\"students\":[");
        list.columns = ctl_delivery_columns;
        list.json = true;
        list.rows = 0;

    } else {
        ctl_list_begin(&list, ctl, "students", ctl_delivery_columns);
    }

    while (rc == EXAM_DB_OK) {
        for (i = 0; ctl_delivery_columns[i].name != NULL; i++) {
            cells[i] = ctl_cell_col(&stmt, i);
        }

        ctl_list_row(&list, cells);

        rc = exam_stmt_fetch(&stmt);
    }

    if (ctl->json) {
        printf("]}");
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_END) ? EXAM_DB_OK : rc;
}


/* is it there? */

static exam_db_e
ctl_command_exam(ctl_t *ctl, exam_str_t exam)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT 1 FROM exams WHERE id = ?",
                         &exam, 1);
    exam_stmt_close(&stmt);

    return rc;
}


/* a query by a command's id, and its first row */

static exam_db_e
ctl_command_query(ctl_t *ctl, exam_stmt_t *stmt, const char *sql, uint64_t id)
{
    exam_db_e  rc;

    rc = exam_stmt_prepare(stmt, &ctl->db, sql);

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(stmt, 0, (int64_t) id);
        rc = exam_stmt_execute(stmt);
    }

    return (rc == EXAM_DB_OK) ? exam_stmt_fetch(stmt) : rc;
}


static bool
ctl_command_number(exam_str_t text, uint64_t *id)
{
    return exam_uint_parse(text.data, text.len, EXAM_COMMAND_ID_MAX, id)
           && *id != 0;
}
