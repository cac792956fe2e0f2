
/*
 * examctl's side of exam_change(): every change of an exam, its roster or its
 * students goes through here, and what became of it is told in words.
 */


#include "ctl.h"
#include "exam_change.h"

#include <pwd.h>
#include <unistd.h>


typedef struct {
    ctl_t               *ctl;
    const ctl_change_t  *c;
} ctl_change_state_t;


static ctl_rc_e ctl_change_result(ctl_t *ctl, const ctl_change_t *c,
    exam_change_e rc);
static exam_db_e ctl_change_body(exam_mysql_t *db, exam_live_exam_t *e,
    void *data);


ctl_rc_e
ctl_change(ctl_t *ctl, const ctl_change_t *c)
{
    char                actor[EXAM_ACTOR_MAX];
    ctl_rc_e            rc;
    exam_change_t       change;
    ctl_change_state_t  s;

    memset(&change, 0, sizeof(exam_change_t));

    s.ctl = ctl;
    s.c = c;
    ctl->outcome = CTL_UNCHANGED;

    rc = ctl_connect(ctl);

    if (rc != CTL_OK) {
        return rc;
    }

    change.actor = ctl_actor(actor);
    change.action = c->action;
    change.detail = c->detail;
    change.exam = c->exam;
    change.student = c->student;
    change.body = ctl_change_body;
    change.data = &s;
    change.create = c->create;
    change.whole = c->whole;

    ctl->refused = CTL_OK;

    return ctl_change_result(ctl, c, exam_change(&ctl->db, &ctl->redis,
                                                 &change));
}


static ctl_rc_e
ctl_change_result(ctl_t *ctl, const ctl_change_t *c, exam_change_e rc)
{
    switch (rc) {

    case EXAM_CHANGE_OK:
        ctl->outcome = CTL_COMMITTED;
        return CTL_OK;

    case EXAM_CHANGE_BUSY:
        return ctl_fail(CTL_CONFLICT, "another program is changing this exam; "
                        "try again");

    case EXAM_CHANGE_NOT_FOUND:
        return ctl_fail(CTL_NOT_FOUND, "no exam \"%.*s\"", (int) c->exam.len,
                        (const char *) c->exam.data);

    case EXAM_CHANGE_EXISTS:
        return ctl_fail(CTL_CONFLICT, "exam \"%.*s\" exists already",
                        (int) c->exam.len, (const char *) c->exam.data);

    case EXAM_CHANGE_REDIS:
        ctl->outcome = CTL_COMMITTED;
        return ctl_fail(CTL_AWAY, "the change is in MySQL, but Redis is away "
                        "(%s): exam-worker will load it", ctl->redis.error);

    case EXAM_CHANGE_UNREAD:
        ctl->outcome = CTL_COMMITTED;
        return ctl_fail(CTL_AWAY, "the change is in MySQL, but could not be "
                        "read again (%s): exam-worker will load it",
                        ctl->db.error);

    default:
        break;
    }

    /* the body said why; of what MySQL refused it knows nothing */

    if (ctl->refused != CTL_OK) {
        return ctl->refused;
    }

    if (ctl->db.conn == NULL) {
        ctl->outcome = CTL_UNKNOWN;
    }

    return ctl_db_failed(ctl);
}


static exam_db_e
ctl_change_body(exam_mysql_t *db, exam_live_exam_t *e, void *data)
{
    ctl_change_state_t  *s;

    (void) db;

    s = data;

    return s->c->body(s->ctl, e, s->c->data);
}


exam_db_e
ctl_audit(ctl_t *ctl, const char *action, exam_str_t exam, exam_str_t student,
    const char *detail)
{
    char  actor[EXAM_ACTOR_MAX];

    return exam_change_audit(&ctl->db, ctl_actor(actor), action, exam, student,
                             detail);
}


const char *
ctl_actor(char actor[EXAM_ACTOR_MAX])
{
    struct passwd  *pw;

    pw = getpwuid(getuid());

    (void) snprintf(actor, EXAM_ACTOR_MAX, "examctl:%.60s",
                    pw != NULL ? pw->pw_name : "?");
    return actor;
}
