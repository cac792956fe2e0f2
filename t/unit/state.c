
/*
 * exam_state: DESIGN 4's table, cell by cell, and the clock at its borders.
 * An answer is written as a letter: see `answer`.
 */


#include "tap.h"

#include "exam_state.h"


#define END   1000000
#define LATE  5000


static char answer(exam_err_e err);
static void row(const exam_view_t *v, int64_t now, const char *want,
    const char *name);
static void test_table(void);
static void test_ended(void);
static void test_clock(void);
static void test_status(void);
static void test_names(void);


int
main(void)
{
    test_table();
    test_ended();
    test_clock();
    test_status();
    test_names();

    return tap_done();
}


static char
answer(exam_err_e err)
{
    switch (err) {

    case EXAM_OK:
        return '+';

    case EXAM_ERR_EXAM_NOT_OPEN:
        return 'N';

    case EXAM_ERR_EXAM_OVER:
        return 'O';

    case EXAM_ERR_SESSION_ENDED:
        return 'S';

    case EXAM_ERR_UPLOAD_CLOSED:
        return 'U';

    default:
        return '?';
    }
}


/* heartbeat, upload, look, logout */

static void
row(const exam_view_t *v, int64_t now, const char *want, const char *name)
{
    int   i;
    char  got[4];

    for (i = 0; i < 4; i++) {
        got[i] = answer(exam_state_check(v, (exam_action_e) i, now));
    }

    tap_text(got, 4, want, name);
}


static void
test_table(void)
{
    exam_view_t  v = { EXAM_STATE_OPEN, EXAM_ENDED_NO, 0, END, 0, LATE,
                      true };

    row(&v, END - 1, "++++", "open, before own end");
    row(&v, END, "++++", "open, at own end");
    row(&v, END + LATE - 1, "++++", "open, before the late deadline");
    row(&v, END + LATE, "OUOO", "open, at the late deadline");

    v.state = EXAM_STATE_CLOSED;
    row(&v, END - 1, "++++", "closed early: to the late deadline all the same");
    row(&v, END + LATE - 1, "++++", "closed, before the late deadline");
    row(&v, END + LATE, "OUOO", "closed, at the late deadline");

    v.own_end = 0;
    row(&v, INT64_MAX, "++++", "closed, own end not known");

    v.state = EXAM_STATE_ARCHIVED;
    v.own_end = END;
    row(&v, 1, "OUOO", "archived");

    v.state = EXAM_STATE_DRAFT;
    row(&v, 1, "NNNN", "draft");

    v.state = EXAM_STATE_UNKNOWN;
    v.own_end = 0;
    row(&v, INT64_MAX, "++++", "a cold node knows nothing: all is allowed");

    v.own_end = END;
    row(&v, END + LATE, "OUOO", "unless it knows the end");

    v.state = EXAM_STATE_OPEN;
    v.own_end = END;
    v.flags = EXAM_FLAG_SUSPENDED | EXAM_FLAG_LOCKED | EXAM_FLAG_PAUSED
              | EXAM_FLAG_FINISH;
    row(&v, 1, "++++", "suspended, locked, paused, finish: goes on");
}


static void
test_ended(void)
{
    int          i;
    char         name[64];
    exam_view_t  v = { EXAM_STATE_OPEN, EXAM_ENDED_NO, 0, END, 0, LATE,
                      true };

    for (i = EXAM_ENDED_LOGOUT; i <= EXAM_ENDED_FORCED; i++) {
        v.ended = (exam_ended_e) i;

        v.state = EXAM_STATE_OPEN;
        snprintf(name, sizeof(name), "ended(%s)", exam_ended_name(v.ended));
        row(&v, 1, "S++S", name);

        row(&v, END + LATE - 1, "S++S", "before the late deadline");
        row(&v, END + LATE, "OUOS", "at the late deadline");

        v.state = EXAM_STATE_CLOSED;
        row(&v, 1, "S++S", "closed");

        v.state = EXAM_STATE_ARCHIVED;
        row(&v, 1, "OUOO", "archived");

        v.state = EXAM_STATE_UNKNOWN;
        row(&v, 1, "S++S", "state not known");
    }

    v.state = EXAM_STATE_OPEN;
    v.ended = EXAM_ENDED_EXAM_OVER;
    row(&v, 1, "O++S", "ended(exam_over), the end was moved since");
    row(&v, END + LATE, "OUOS", "ended(exam_over) at the late deadline");
}


static void
test_clock(void)
{
    exam_view_t  v = { EXAM_STATE_OPEN, EXAM_ENDED_NO, 0, END, 0, LATE,
                      true };

    tap_is(exam_state_own_end(&v, 1), END, "own end");
    tap_is(exam_state_deadline(&v, 1), END + LATE, "late deadline");

    v.paused_at = 500;
    tap_is(exam_state_own_end(&v, 700), END + 200, "a running pause is added");
    tap_is(exam_state_deadline(&v, 700), END + 200 + LATE,
           "to the deadline too");
    tap_is(exam_state_own_end(&v, 400), END, "not one of the future");

    row(&v, END + LATE + 499, "++++", "a paused exam is not over");

    v.own_end = 0;
    tap_is(exam_state_own_end(&v, 700), 0, "own end is not known");
    tap_is(exam_state_deadline(&v, 700), 0, "nor is the deadline");
}


static void
test_status(void)
{
    size_t         i;
    exam_view_t    v;
    exam_status_t  s;

    static const struct {
        const char    *name;
        exam_state_e   state;
        unsigned       flags;
        int64_t        own_end;
        int64_t        paused_at;
        int64_t        now;
        const char    *want;        /* l, p, c */
    } t[] = {
        { "open", EXAM_STATE_OPEN, 0, END, 0, 1, "" },
        { "locked", EXAM_STATE_OPEN, EXAM_FLAG_LOCKED, END, 0, 1, "l" },
        { "suspended", EXAM_STATE_OPEN, EXAM_FLAG_SUSPENDED, END, 0, 1, "l" },
        { "paused", EXAM_STATE_OPEN, EXAM_FLAG_PAUSED, END, 0, 1, "p" },
        { "exam paused", EXAM_STATE_OPEN, 0, END, 1, 2, "p" },
        { "finish", EXAM_STATE_OPEN, EXAM_FLAG_FINISH, END, 0, 1, "c" },
        { "closed", EXAM_STATE_CLOSED, 0, END, 0, 1, "c" },
        { "archived", EXAM_STATE_ARCHIVED, 0, END, 0, 1, "c" },
        { "draft", EXAM_STATE_DRAFT, 0, END, 0, 1, "" },
        { "cold", EXAM_STATE_UNKNOWN, 0, 0, 0, END, "" },
        { "before own end", EXAM_STATE_OPEN, 0, END, 0, END - 1, "" },
        { "at own end", EXAM_STATE_OPEN, 0, END, 0, END, "c" },
        { "the same, paused", EXAM_STATE_OPEN, 0, END, END - 1, END, "p" },
        { "all at once", EXAM_STATE_CLOSED, 15, END, 1, END, "lpc" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char  got[4] = "";

        memset(&v, 0, sizeof(v));
        v.state = t[i].state;
        v.flags = t[i].flags;
        v.own_end = t[i].own_end;
        v.paused_at = t[i].paused_at;

        s = exam_state_status(&v, t[i].now);

        strcat(got, s.locked ? "l" : "");
        strcat(got, s.paused ? "p" : "");
        strcat(got, s.closed ? "c" : "");

        tap_text(got, strlen(got), t[i].want, t[i].name);
    }
}


static void
test_names(void)
{
    int          i;
    bool         all;
    const char  *name;

    all = true;

    for (i = EXAM_STATE_UNKNOWN; i <= EXAM_STATE_ARCHIVED; i++) {
        name = exam_state_name((exam_state_e) i);
        all = all && exam_state_parse(name, strlen(name)) == (exam_state_e) i;
    }

    for (i = EXAM_ENDED_NO; i <= EXAM_ENDED_EXAM_OVER; i++) {
        name = exam_ended_name((exam_ended_e) i);
        all = all && exam_ended_parse(name, strlen(name)) == (exam_ended_e) i;
    }

    tap_ok(all, "each name leads back");
    tap_text(exam_state_name(EXAM_STATE_CLOSED), 6, "closed", "closed");
    tap_text(exam_ended_name(EXAM_ENDED_REPLACED), 8, "replaced", "replaced");

    tap_is(exam_state_parse("opened", 6), EXAM_STATE_UNKNOWN,
           "an unknown state");
    tap_is(exam_state_parse("open", 3), EXAM_STATE_UNKNOWN, "a cut one");
    tap_is(exam_ended_parse(NULL, 0), EXAM_ENDED_NO, "no reason: goes on");
    tap_is(exam_ended_parse("kicked", 6), EXAM_ENDED_FORCED,
           "an unknown reason has ended it");
    tap_text(exam_state_name((exam_state_e) 99), 7, "unknown", "state 99");
    tap_text(exam_ended_name((exam_ended_e) 99), 6, "forced", "reason 99");
}
