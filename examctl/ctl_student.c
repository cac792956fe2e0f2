
/*
 * Commands on students and their recordings.
 */


#include "ctl.h"
#include "exam_command.h"


typedef struct {
    exam_str_t  student;
    int         suspended;          /* 0, 1, -1 = not given */
    int64_t     extra_s;            /* -1 = not given */
} ctl_student_set_t;


static ctl_rc_e ctl_students(ctl_t *ctl);
static ctl_rc_e ctl_student_set(ctl_t *ctl);
static exam_db_e ctl_student_do_set(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static ctl_rc_e ctl_recordings(ctl_t *ctl);
static ctl_rc_e ctl_logout(ctl_t *ctl);
static void ctl_logout_audit(ctl_t *ctl, exam_str_t exam, exam_str_t student);
static ctl_rc_e ctl_student_exam(ctl_t *ctl, exam_str_t *exam);
static ctl_rc_e ctl_student_known(ctl_t *ctl, exam_str_t exam,
    const char *student);


static const ctl_column_t  ctl_student_columns[] = {
    { "id", CTL_TEXT, 16 },
    { "suspended", CTL_SWITCH, 9 },
    { "locked", CTL_SWITCH, 6 },
    { "paused", CTL_SWITCH, 6 },
    { "finish", CTL_SWITCH, 6 },
    { "extra_s", CTL_NUMBER, 7 },
    { "seat", CTL_TEXT, 8 },
    { "group", CTL_TEXT, 12 },
    { "name", CTL_TEXT, 20 },
    { .name = NULL }
};


static const ctl_column_t  ctl_recording_columns[] = {
    { "id", CTL_NUMBER, 8 },
    { "student", CTL_TEXT, 16 },
    { "session", CTL_TEXT, 32 },
    { "kind", CTL_TEXT, 8 },
    { "n", CTL_NUMBER, 6 },
    { "variant", CTL_NUMBER, 0 },
    { "bytes", CTL_NUMBER, 10 },
    { "media_ms", CTL_NUMBER, 8 },
    { "width", CTL_NUMBER, 5 },
    { "height", CTL_NUMBER, 6 },
    { "video_codec", CTL_TEXT, 11 },
    { "audio_codec", CTL_TEXT, 11 },
    { "playable", CTL_SWITCH, 8 },
    { "upload_id", CTL_TEXT, 0 },
    { "exam", CTL_TEXT, 0 },
    { "sha256", CTL_TEXT, 0 },
    { "content_type", CTL_TEXT, 0 },
    { "started_at", CTL_TIME, 0 },
    { "duration_ms", CTL_NUMBER, 0 },
    { "offset_ms", CTL_NUMBER, 0 },
    { "received_at", CTL_TIME, 0 },
    { "stored_at", CTL_TIME, 0 },
    { "node", CTL_TEXT, 0 },
    { "store", CTL_TEXT, 0 },
    { "container", CTL_TEXT, 0 },
    { "reason", CTL_TEXT, 0 },
    { "path", CTL_TEXT, 32 },
    { .name = NULL }
};


#define CTL_RECORDING_SELECT                                                  \
    "SELECT id, student, session, kind, n, variant, bytes, media_ms, width, " \
    "height, video_codec, audio_codec, playable, upload_id, exam, "           \
    "LOWER(HEX(sha256)), content_type, started_at, duration_ms, offset_ms, "  \
    "received_at, stored_at, node, store, container, reason, path "           \
    "FROM recordings WHERE exam = ? "

#define CTL_RECORDING_ORDER                                                   \
    "ORDER BY student, session, kind, n, variant"


const ctl_command_t  ctl_student_commands[] = {

    { "students", "ID", 1, { { "json", NULL } },
      "Lists the students of an exam.", "", ctl_students },

    { "student set", "ID STUDENT", 2,
      { { "suspended", "yes|no" }, { "extra", "SECONDS" } },
      "Changes one student; at least one option.",
      "--suspended yes: no new login, and a running session is locked.\n"
      "--extra: seconds that this student has more than the others, 0 to 7"
      " days.\n",
      ctl_student_set },

    { "recordings", "ID", 1, { { "student", "S" }, { "json", NULL } },
      "Lists the recordings of an exam or of one student.",
      "--json tells all columns; path is below the folder of recordings.\n",
      ctl_recordings },

    { "logout", "ID STUDENT", 2, { { NULL, NULL } },
      "Ends the student's session.",
      "The candidate may log in again, unless suspended.  Nodes learn it"
      " within\nseconds.\n",
      ctl_logout },

    { .words = NULL }
};


static ctl_rc_e
ctl_students(ctl_t *ctl)
{
    ctl_rc_e    rc;
    exam_str_t  exam;

    rc = ctl_student_exam(ctl, &exam);

    return (rc == CTL_OK)
           ? ctl_list_query(ctl, "students", ctl_student_columns,
                            "SELECT student, suspended, locked, paused, "
                            "finish, extra_s, seat, group_name, name "
                            "FROM students WHERE exam = ? ORDER BY student",
                            &exam, 1)
           : rc;
}


static ctl_rc_e
ctl_recordings(ctl_t *ctl)
{
    ctl_rc_e     rc;
    exam_str_t   args[2];
    const char  *student;

    student = ctl_option(ctl, "student");

    if (student != NULL && !exam_id_student(ctl_str(student))) {
        return ctl_usage(ctl, "bad student id");
    }

    rc = ctl_student_exam(ctl, &args[0]);

    if (rc != CTL_OK) {
        return rc;
    }

    if (student == NULL) {
        return ctl_list_query(ctl, "recordings", ctl_recording_columns,
                              CTL_RECORDING_SELECT CTL_RECORDING_ORDER, args,
                              1);
    }

    rc = ctl_student_known(ctl, args[0], student);

    if (rc != CTL_OK) {
        return rc;
    }

    args[1] = ctl_str(student);

    return ctl_list_query(ctl, "recordings", ctl_recording_columns,
                          CTL_RECORDING_SELECT "AND student = ? "
                          CTL_RECORDING_ORDER, args, 2);
}


/* the first argument is an exam that exists */

static ctl_rc_e
ctl_student_exam(ctl_t *ctl, exam_str_t *exam)
{
    ctl_rc_e          rc;
    exam_live_exam_t  e;

    rc = ctl_arg_exam(ctl, 0, exam);

    if (rc == CTL_OK) {
        rc = ctl_connect(ctl);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    switch (exam_live_read(&ctl->db, *exam, &e)) {

    case EXAM_LIVE_OK:
        return CTL_OK;

    case EXAM_LIVE_NOT_FOUND:
        return ctl_fail(CTL_NOT_FOUND, "no exam \"%s\"", ctl->args[0]);

    default:
        return ctl_db_failed(ctl);
    }
}


/* in the roster, or once was: recordings stay when a student is taken out */

static ctl_rc_e
ctl_student_known(ctl_t *ctl, exam_str_t exam, const char *student)
{
    exam_db_e    rc;
    exam_str_t   args[4];
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    args[0] = exam;
    args[1] = ctl_str(student);
    args[2] = args[0];
    args[3] = args[1];

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT 1 FROM students "
                         "WHERE exam = ? AND student = ? UNION "
                         "SELECT 1 FROM recordings "
                         "WHERE exam = ? AND student = ?", args, 4);
    exam_stmt_close(&stmt);

    switch (rc) {

    case EXAM_DB_OK:
        return CTL_OK;

    case EXAM_DB_END:
        return ctl_fail(CTL_NOT_FOUND, "no student \"%s\" in exam \"%s\"",
                        student, ctl->args[0]);

    default:
        return ctl_db_failed(ctl);
    }
}


static ctl_rc_e
ctl_student_set(ctl_t *ctl)
{
    char                detail[64];
    uint64_t            seconds;
    ctl_rc_e            rc;
    const char         *suspended, *extra;
    ctl_change_t        change;
    ctl_student_set_t   set;

    memset(&change, 0, sizeof(ctl_change_t));

    rc = ctl_arg_exam(ctl, 0, &change.exam);

    if (rc == CTL_OK) {
        rc = ctl_arg_student(ctl, 1, &change.student);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    suspended = ctl_option(ctl, "suspended");
    extra = ctl_option(ctl, "extra");

    if (suspended == NULL && extra == NULL) {
        return ctl_usage(ctl, "nothing to set");
    }

    set.student = change.student;
    set.suspended = -1;
    set.extra_s = -1;

    if (suspended != NULL) {
        if (strcmp(suspended, "yes") != 0 && strcmp(suspended, "no") != 0) {
            return ctl_usage(ctl, "--suspended is yes or no");
        }

        set.suspended = strcmp(suspended, "yes") == 0;
    }

    if (extra != NULL) {
        if (!exam_uint_parse((const uint8_t *) extra, strlen(extra),
                             EXAM_EXTRA_MAX, &seconds))
        {
            return ctl_usage(ctl, "--extra is 0 to %d seconds", EXAM_EXTRA_MAX);
        }

        set.extra_s = (int64_t) seconds;
    }

    (void) snprintf(detail, sizeof(detail), "suspended=%s extra_s=%s",
                    suspended != NULL ? suspended : "-",
                    extra != NULL ? extra : "-");

    change.action = "student.set";
    change.detail = detail;
    change.body = ctl_student_do_set;
    change.data = &set;

    return ctl_change(ctl, &change);
}


static exam_db_e
ctl_student_do_set(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    exam_db_e                 rc;
    exam_str_t                args[2];
    exam_stmt_t               stmt;
    const ctl_student_set_t  *set;

    set = data;

    if (e->state == EXAM_STATE_ARCHIVED) {
        return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" is archived", e->id);
    }

    memset(&stmt, 0, sizeof(exam_stmt_t));

    args[0] = ctl_str(e->id);
    args[1] = set->student;

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT 1 FROM students "
                         "WHERE exam = ? AND student = ?", args, 2);
    exam_stmt_close(&stmt);

    if (rc == EXAM_DB_END) {
        return ctl_refuse(ctl, CTL_NOT_FOUND, "no student \"%s\" in exam "
                          "\"%s\"", ctl->args[1], e->id);
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_stmt_prepare(&stmt, &ctl->db, "UPDATE students SET "
                               "suspended = COALESCE(?, suspended), "
                               "extra_s = COALESCE(?, extra_s) "
                               "WHERE exam = ? AND student = ?");
    }

    if (rc == EXAM_DB_OK) {
        exam_stmt_known(&stmt, 0, set->suspended, set->suspended != -1);
        exam_stmt_known(&stmt, 1, set->extra_s, set->extra_s != -1);
        exam_stmt_text(&stmt, 2, args[0]);
        exam_stmt_text(&stmt, 3, args[1]);

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}


static ctl_rc_e
ctl_logout(ctl_t *ctl)
{
    ctl_rc_e    rc;
    exam_str_t  exam, student;

    rc = ctl_arg_exam(ctl, 0, &exam);

    if (rc == CTL_OK) {
        rc = ctl_arg_student(ctl, 1, &student);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    /* the session lives in Redis: this works while MySQL is away */

    switch (exam_live_force_logout(&ctl->redis, &ctl->conf, exam, student)) {

    case EXAM_LIVE_OK:
        break;

    case EXAM_LIVE_NOT_FOUND:
        return ctl_fail(CTL_NOT_FOUND, "no active session of student \"%s\" "
                        "in exam \"%s\"", ctl->args[1], ctl->args[0]);

    case EXAM_LIVE_BUSY:
        return ctl_fail(CTL_CONFLICT, "the student logs in again and again; "
                        "suspend the student first");

    default:
        return ctl_redis_failed(ctl);
    }

    ctl_logout_audit(ctl, exam, student);

    return CTL_OK;
}


static void
ctl_logout_audit(ctl_t *ctl, exam_str_t exam, exam_str_t student)
{
    if (exam_mysql_connect(&ctl->db, true) != EXAM_DB_OK
        || ctl_audit(ctl, "student.logout", exam, student, NULL)
           != EXAM_DB_OK)
    {
        (void) ctl_fail(CTL_OK, "the session is ended; no audit row could be "
                        "written: %s", ctl->db.error);
    }
}
