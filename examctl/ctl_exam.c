
/*
 * Commands on exams: create, the states of DESIGN 4, show and list.  Each
 * change is a ctl_change_t whose body checks the state and sets the members.
 */


#include "ctl.h"
#include "exam_change.h"
#include "exam_time.h"


#define CTL_TITLE_CHARS  255
#define CTL_EXAM_END     "+3h"


typedef struct {
    int64_t      now;
    int64_t      starts_at;
    int64_t      ends_at;           /* 0: not given */
    const char  *title;
} ctl_exam_times_t;


static ctl_rc_e ctl_exam_create(ctl_t *ctl);
static ctl_rc_e ctl_exam_open(ctl_t *ctl);
static ctl_rc_e ctl_exam_pause(ctl_t *ctl);
static ctl_rc_e ctl_exam_resume(ctl_t *ctl);
static ctl_rc_e ctl_exam_close(ctl_t *ctl);
static ctl_rc_e ctl_exam_archive(ctl_t *ctl);
static ctl_rc_e ctl_exam_show(ctl_t *ctl);
static ctl_rc_e ctl_exam_list(ctl_t *ctl);
static ctl_rc_e ctl_exam_simple(ctl_t *ctl, const char *action,
    ctl_change_pt body);
static exam_db_e ctl_exam_do_create(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static exam_db_e ctl_exam_do_open(ctl_t *ctl, exam_live_exam_t *e, void *data);
static exam_db_e ctl_exam_do_pause(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static exam_db_e ctl_exam_do_resume(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static exam_db_e ctl_exam_do_close(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static exam_db_e ctl_exam_do_archive(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static ctl_rc_e ctl_exam_time(const ctl_t *ctl, const char *name,
    const char *value, int64_t from, int64_t *ms);
static exam_db_e ctl_exam_new_end(ctl_t *ctl, exam_live_exam_t *e,
    const ctl_exam_times_t *times);
static exam_db_e ctl_exam_state(ctl_t *ctl, const exam_live_exam_t *e,
    const char *what);


static const ctl_column_t  ctl_exam_columns[] = {
    { "id", CTL_TEXT, 16 },
    { "state", CTL_TEXT, 8 },
    { "starts_at", CTL_TIME, 24 },
    { "ends_at", CTL_TIME, 24 },
    { "pause_ms", CTL_NUMBER, 8 },
    { "paused_at", CTL_TIME, 24 },
    { "version", CTL_NUMBER, 0 },
    { "created_at", CTL_TIME, 0 },
    { "students", CTL_NUMBER, 8 },
    { "recordings", CTL_NUMBER, 10 },
    { "title", CTL_TEXT, 20 },
    { .name = NULL }
};

#define CTL_EXAM_SELECT                                                       \
    "SELECT id, state, starts_at, ends_at, pause_ms, paused_at, version, "    \
    "created_at, "                                                            \
    "(SELECT COUNT(*) FROM students s WHERE s.exam = e.id), "                 \
    "(SELECT COUNT(*) FROM recordings r WHERE r.exam = e.id), "               \
    "title FROM exams e "


const ctl_command_t  ctl_exam_commands[] = {

    { "exam create", "ID", 1,
      { { "title", "!T" }, { "starts", "now|ISO" }, { "ends", "+3h|ISO" } },
      "Creates an exam in state draft.",
      "ID is 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit first.  --starts"
      " is\nnow by default, --ends +3h; an end that begins with + counts from"
      " the start.\nTimes: now, +90m, +3h, +2d, or ISO 8601 (2026-11-20T09:00,"
      " local time unless\nZ or +08:00 stands behind it).\n",
      ctl_exam_create },

    { "exam open", "ID", 1,
      { { "ends", "+3h|ISO" } },
      "Opens an exam, or opens a closed one again.",
      "Returns when Redis has the roster.  --ends sets a new end, + counting"
      " from\nnow; it is needed when the end has passed.  A new end is the"
      " end: pauses until\nnow are no longer added to it.  An open exam stays"
      " open and is loaded again.\n",
      ctl_exam_open },

    { "exam pause", "ID", 1, { { NULL, NULL } },
      "Pauses an open exam for all candidates.",
      "The time until resume is added to every candidate's end.\n",
      ctl_exam_pause },

    { "exam resume", "ID", 1, { { NULL, NULL } },
      "Ends the pause.", "", ctl_exam_resume },

    { "exam close", "ID", 1, { { NULL, NULL } },
      "Closes an open exam: no login any more.",
      "Uploads and heartbeats go on until the late deadline.\n",
      ctl_exam_close },

    { "exam archive", "ID", 1, { { NULL, NULL } },
      "Archives a draft or closed exam: nothing is accepted any more.",
      "", ctl_exam_archive },

    { "exam show", "ID", 1, { { "json", NULL } },
      "Shows one exam.", "", ctl_exam_show },

    { "exam list", "", 0, { { "json", NULL } },
      "Lists all exams.", "", ctl_exam_list },

    { .words = NULL }
};


static ctl_rc_e
ctl_exam_create(ctl_t *ctl)
{
    ctl_rc_e           rc;
    const char        *starts, *ends;
    ctl_change_t       change;
    ctl_exam_times_t   times;

    memset(&change, 0, sizeof(ctl_change_t));

    rc = ctl_arg_exam(ctl, 0, &change.exam);

    if (rc != CTL_OK) {
        return rc;
    }

    times.now = exam_now_ms();
    times.title = ctl_option(ctl, "title");

    if (!ctl_text_valid(ctl_str(times.title), 1, CTL_TITLE_CHARS)) {
        return ctl_usage(ctl, "--title is 1 to %d characters of UTF-8",
                         CTL_TITLE_CHARS);
    }

    starts = ctl_option(ctl, "starts");
    ends = ctl_option(ctl, "ends");

    rc = ctl_exam_time(ctl, "starts", starts != NULL ? starts : "now",
                       times.now, &times.starts_at);

    if (rc == CTL_OK) {
        rc = ctl_exam_time(ctl, "ends", ends != NULL ? ends : CTL_EXAM_END,
                           times.starts_at, &times.ends_at);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    if (times.ends_at <= times.starts_at) {
        return ctl_usage(ctl, "the exam ends before it starts");
    }

    if (times.ends_at <= times.now) {
        return ctl_usage(ctl, "the end of the exam has passed already");
    }

    change.action = "exam.create";
    change.body = ctl_exam_do_create;
    change.data = &times;
    change.create = true;
    change.whole = true;

    return ctl_change(ctl, &change);
}


static exam_db_e
ctl_exam_do_create(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    const ctl_exam_times_t  *times;

    (void) ctl;

    times = data;

    /* its length was checked in characters; the member holds 4 bytes each */

    (void) snprintf(e->title, sizeof(e->title), "%s", times->title);

    e->state = EXAM_STATE_DRAFT;
    e->starts_at = times->starts_at;
    e->ends_at = times->ends_at;

    return EXAM_DB_OK;
}


static ctl_rc_e
ctl_exam_open(ctl_t *ctl)
{
    ctl_rc_e           rc;
    const char        *ends;
    ctl_change_t       change;
    ctl_exam_times_t   times;

    memset(&change, 0, sizeof(ctl_change_t));
    memset(&times, 0, sizeof(ctl_exam_times_t));

    rc = ctl_arg_exam(ctl, 0, &change.exam);

    if (rc != CTL_OK) {
        return rc;
    }

    ends = ctl_option(ctl, "ends");
    times.now = exam_now_ms();

    if (ends != NULL) {
        rc = ctl_exam_time(ctl, "ends", ends, times.now, &times.ends_at);

        if (rc != CTL_OK) {
            return rc;
        }

        if (times.ends_at <= times.now) {
            return ctl_usage(ctl, "the new end has passed");
        }
    }

    change.action = "exam.open";
    change.detail = ends;
    change.body = ctl_exam_do_open;
    change.data = &times;
    change.whole = true;

    return ctl_change(ctl, &change);
}


static exam_db_e
ctl_exam_do_open(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    exam_db_e                rc;
    exam_view_t              view;
    const ctl_exam_times_t  *times;

    times = data;

    if (e->state == EXAM_STATE_ARCHIVED) {
        return ctl_exam_state(ctl, e, "opened");
    }

    if (times->ends_at != 0) {
        if (times->ends_at <= e->starts_at) {
            return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" would end "
                              "before it starts", e->id);
        }

        rc = ctl_exam_new_end(ctl, e, times);

        if (rc != EXAM_DB_OK) {
            return rc;
        }
    }

    memset(&view, 0, sizeof(exam_view_t));
    view.own_end = e->ends_at + e->pause_ms;
    view.paused_at = e->paused_at;

    if (exam_state_own_end(&view, times->now) <= times->now) {
        return ctl_refuse(ctl, CTL_CONFLICT, "the end of exam \"%s\" has "
                          "passed: give a new one, --ends +3h", e->id);
    }

    e->state = EXAM_STATE_OPEN;

    return EXAM_DB_OK;
}


/* pauses until now, of single students too, are no longer added */

static exam_db_e
ctl_exam_new_end(ctl_t *ctl, exam_live_exam_t *e,
    const ctl_exam_times_t *times)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    e->ends_at = times->ends_at;
    e->pause_ms = 0;

    if (e->paused_at != 0) {
        e->paused_at = times->now;
    }

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_prepare(&stmt, &ctl->db, "UPDATE students "
                           "SET paused_from = ? "
                           "WHERE exam = ? AND paused_from <> 0");

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, exam_change_clock(e, times->now));
        exam_stmt_cstr(&stmt, 1, e->id);

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}


static ctl_rc_e
ctl_exam_pause(ctl_t *ctl)
{
    return ctl_exam_simple(ctl, "exam.pause", ctl_exam_do_pause);
}


static exam_db_e
ctl_exam_do_pause(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    const int64_t  *now;

    now = data;

    if (e->state != EXAM_STATE_OPEN) {
        return ctl_exam_state(ctl, e, "paused");
    }

    if (e->paused_at != 0) {
        return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" is paused already",
                          e->id);
    }

    e->paused_at = *now;

    return EXAM_DB_OK;
}


static ctl_rc_e
ctl_exam_resume(ctl_t *ctl)
{
    return ctl_exam_simple(ctl, "exam.resume", ctl_exam_do_resume);
}


static exam_db_e
ctl_exam_do_resume(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    const int64_t  *now;

    now = data;

    if (e->paused_at == 0) {
        return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" is not paused",
                          e->id);
    }

    exam_change_end_pause(e, *now);

    return EXAM_DB_OK;
}


static ctl_rc_e
ctl_exam_close(ctl_t *ctl)
{
    return ctl_exam_simple(ctl, "exam.close", ctl_exam_do_close);
}


static exam_db_e
ctl_exam_do_close(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    const int64_t  *now;

    now = data;

    if (e->state != EXAM_STATE_OPEN) {
        return ctl_exam_state(ctl, e, "closed");
    }

    exam_change_close(e, *now);

    return EXAM_DB_OK;
}


static ctl_rc_e
ctl_exam_archive(ctl_t *ctl)
{
    return ctl_exam_simple(ctl, "exam.archive", ctl_exam_do_archive);
}


static exam_db_e
ctl_exam_do_archive(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    (void) data;

    if (e->state != EXAM_STATE_DRAFT && e->state != EXAM_STATE_CLOSED) {
        return ctl_exam_state(ctl, e, "archived");
    }

    e->state = EXAM_STATE_ARCHIVED;

    return EXAM_DB_OK;
}


/* a change of the exam alone, without options; its body gets the time */

static ctl_rc_e
ctl_exam_simple(ctl_t *ctl, const char *action, ctl_change_pt body)
{
    int64_t       now;
    ctl_rc_e      rc;
    ctl_change_t  change;

    memset(&change, 0, sizeof(ctl_change_t));

    rc = ctl_arg_exam(ctl, 0, &change.exam);

    if (rc != CTL_OK) {
        return rc;
    }

    now = exam_now_ms();

    change.action = action;
    change.body = body;
    change.data = &now;

    return ctl_change(ctl, &change);
}


/* the value of --name; "+3h" counts from `from` */

static ctl_rc_e
ctl_exam_time(const ctl_t *ctl, const char *name, const char *value,
    int64_t from, int64_t *ms)
{
    if (!exam_time_parse(value, from, ms)) {
        return ctl_usage(ctl, "bad time \"%s\" of --%s: it is now, +90m, +3h, "
                         "+2d, or a date with a time of day, as "
                         "2026-11-20T09:00", value, name);
    }

    return CTL_OK;
}


static exam_db_e
ctl_exam_state(ctl_t *ctl, const exam_live_exam_t *e, const char *what)
{
    const char  *state;

    state = exam_state_name(e->state);

    if (strcmp(state, what) == 0) {
        return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" is %s already",
                          e->id, state);
    }

    return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" is %s and cannot be %s",
                      e->id, state, what);
}


static ctl_rc_e
ctl_exam_show(ctl_t *ctl)
{
    unsigned     i;
    ctl_rc_e     rc;
    exam_db_e    db;
    ctl_cell_t   cells[CTL_COLUMNS_MAX];
    exam_str_t   exam;
    exam_stmt_t  stmt;

    rc = ctl_arg_exam(ctl, 0, &exam);

    if (rc == CTL_OK) {
        rc = ctl_connect(ctl);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    memset(&stmt, 0, sizeof(exam_stmt_t));

    db = exam_stmt_query(&stmt, &ctl->db, CTL_EXAM_SELECT "WHERE id = ?",
                         &exam, 1);

    if (db == EXAM_DB_OK) {
        for (i = 0; ctl_exam_columns[i].name != NULL; i++) {
            cells[i] = ctl_cell_col(&stmt, i);
        }

        ctl_object(ctl, ctl_exam_columns, cells);
    }

    exam_stmt_close(&stmt);

    switch (db) {

    case EXAM_DB_OK:
        return CTL_OK;

    case EXAM_DB_END:
        return ctl_fail(CTL_NOT_FOUND, "no exam \"%s\"", ctl->args[0]);

    default:
        return ctl_db_failed(ctl);
    }
}


static ctl_rc_e
ctl_exam_list(ctl_t *ctl)
{
    ctl_rc_e  rc;

    rc = ctl_connect(ctl);

    return (rc == CTL_OK)
           ? ctl_list_query(ctl, "exams", ctl_exam_columns,
                            CTL_EXAM_SELECT "ORDER BY starts_at, id", NULL, 0)
           : rc;
}
