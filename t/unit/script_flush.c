
/*
 * The scripts flush and settle against a real Redis, through the very
 * functions that format the rows and parse the answers (DESIGN 5).
 */


#include "private_redis.h"
#include "tap.h"

#include "exam_redis_row.h"


#define SID1  "11111111000000000000000000000001"
#define SID2  "11111111000000000000000000000002"
#define SID3  "11111111000000000000000000000003"

#define UP1   "n1-00000000000000000000000000000001"
#define UP2   "n1-00000000000000000000000000000002"


static void fresh(void);
static void row(const char *student, const char *sid, uint64_t gen,
    int64_t last, exam_ended_e ended, const char *recorder);
static const char *flush(void);
static bool answer(int i, exam_flush_answer_t *a);
static void expect(int i, uint64_t gen, exam_ended_e ended, const char *name);
static const char *settle(const char *n, const char *state,
    const char *upload);
static void is(const char *got, const char *want, const char *name);

static void test_exam(void);
static void test_new(void);
static void test_newer(void);
static void test_generations(void);
static void test_ended(void);
static void test_two_rows(void);
static void test_answer(void);
static void test_form(void);
static void test_full(void);
static void test_settle_states(void);
static void test_settle_refused(void);
static void test_settle_resend(void);
static void test_settle_reason(void);
static void test_settle_stored(void);
static void test_settle_rows(void);


static exam_kinds_t  kinds;
static char          rows[EXAM_FLUSH_ROWS * EXAM_FLUSH_ROW_MAX + 1];
static exam_buf_t    buf;
static char          reply[REDIS_TEXT];


int
main(void)
{
    kinds.n = 2;
    kinds.name[0] = exam_str("screen");
    kinds.name[1] = exam_str("camera");

    redis_start();

    test_exam();
    test_new();
    test_newer();
    test_generations();
    test_ended();
    test_two_rows();
    test_answer();
    test_form();
    test_full();
    test_settle_states();
    test_settle_refused();
    test_settle_resend();
    test_settle_reason();
    test_settle_stored();
    test_settle_rows();

    redis_stop();

    return tap_done();
}


static void
fresh(void)
{
    redis_do("FLUSHALL");
    redis_do("SET exam:loaded 1");
    redis_do("HSET exam:{30} state open starts_at 1000 ends_at 9000"
             " pause_ms 20 paused_at 3000 version 1700000000000");
    exam_buf_init(&buf, rows, sizeof(rows) - 1);
}


static void
row(const char *student, const char *sid, uint64_t gen, int64_t last,
    exam_ended_e ended, const char *recorder)
{
    uint8_t            id[EXAM_SID_LEN];
    exam_flush_row_t   r;
    exam_beat_state_t  state;

    if (!exam_sid_parse(exam_str_make(sid, strlen(sid)), id)) {
        tap_ok(false, "a session id of the test");
    }

    memset(&state, 0, sizeof(state));
    snprintf(state.recorder, sizeof(state.recorder), "%s",
             recorder ? recorder : "");

    r.student = exam_str_make(student, strlen(student));
    r.sid = id;
    r.gen = gen;
    r.login_at = 123;
    r.first_beat = last;
    r.last_beat = last;
    r.longest_gap = 30000;
    r.seq = EXAM_SEQ_MAX;
    r.ended = ended;
    r.state = recorder ? &state : NULL;

    exam_flush_row_format(&buf, &r, &kinds);
}


/* sends the rows gathered so far */

static const char *
flush(void)
{
    exam_buf_cstr(&buf);

    snprintf(reply, sizeof(reply), "%s",
             redis_script(EXAM_SCRIPT_FLUSH, "exam:loaded", "exam:{30}",
                          "exam:{30}:flags", "exam:{30}:sessions",
                          "exam:{30}:seen", "exam:{30}:state",
                          "exam:{30}:stored", "exam:{30}:changes",
                          "n1", "screen,camera", rows, NULL));

    exam_buf_init(&buf, rows, sizeof(rows) - 1);

    return reply;
}


/* the answer to row i of the last flush */

static bool
answer(int i, exam_flush_answer_t *a)
{
    exam_str_t  line, rest;

    rest = exam_str_make(reply, strlen(reply));

    for (i++; i >= 0; i--) {

        if (!exam_line_next(&rest, &line)) {
            return false;
        }
    }

    return exam_flush_answer_parse(line, &kinds, a);
}


static void
expect(int i, uint64_t gen, exam_ended_e ended, const char *name)
{
    exam_flush_answer_t  a;

    if (!tap_ok(answer(i, &a) && a.gen == gen && a.ended == ended, "%s", name))
    {
        printf("#   row %d of '%s'\n", i, reply);
    }
}


/* of S1, session 1, screen */

static const char *
settle(const char *n, const char *state, const char *upload)
{
    return redis_script(EXAM_SCRIPT_SETTLE, "exam:{30}:seg:S1",
                        "exam:{30}:stored", "S1", SID1, "screen", n, state,
                        "n1", upload, "-", "-", NULL);
}


static void
is(const char *got, const char *want, const char *name)
{
    tap_text(got, strlen(got), want, name);
}


static void
test_exam(void)
{
    exam_str_t         line, rest;
    exam_flush_exam_t  e;

    fresh();

    redis_do("DEL exam:loaded");
    row("S1", SID1, 5, 1, EXAM_ENDED_NO, NULL);
    is(flush(), "EMPTY", "no exam:loaded");

    redis_do("SET exam:loaded 1");
    redis_do("RENAME exam:{30} elsewhere");
    row("S1", SID1, 5, 1, EXAM_ENDED_NO, NULL);
    is(flush(), "GONE", "no such exam");
    is(redis_do("DBSIZE"), "2", "nothing is written");

    redis_do("RENAME elsewhere exam:{30}");
    flush();

    rest = exam_str_make(reply, strlen(reply));

    tap_ok(exam_line_next(&rest, &line) && rest.len == 0
           && exam_flush_exam_parse(line, &e),
           "without a row: the exam's line");
    tap_is(e.state, EXAM_STATE_OPEN, "state");
    tap_is(e.starts_at, 1000, "starts_at");
    tap_is(e.ends_at, 9000, "ends_at");
    tap_is(e.pause_ms, 20, "pause_ms");
    tap_is(e.paused_at, 3000, "paused_at");
    tap_is(e.version, 1700000000000, "version");

    redis_do("DEL exam:{30}");
    redis_do("HSET exam:{30} state draft");
    is(flush(), "draft\t0\t0\t0\t0\t0\n", "absent members are 0");
}


static void
test_new(void)
{
    fresh();

    row("S1", SID1, 1700000000005, 1700000001000, EXAM_ENDED_NO, "a");
    flush();
    expect(0, 1700000000005, EXAM_ENDED_NO, "a session unknown in Redis");

    is(redis_do("HGET exam:{30}:sessions S1"),
       "{\"sid\":\"" SID1 "\",\"gen\":1700000000005,\"node\":\"n1\","
       "\"ip\":\"\",\"login_at\":123,\"ended\":\"\"}",
       "is written from the row");
    is(redis_do("ZRANGE exam:{30}:seen 0 -1 WITHSCORES"),
       "S1|1700000001000", "with its last beat");
    tap_ok(strstr(redis_do("HGET exam:{30}:state S1"), "\"recorder\":\"a\"")
           != NULL, "and its state");
    is(redis_do("EXISTS exam:{30}:stored"), "0",
       "what is stored is not known");
    is(strchr(redis_do("XRANGE exam:{30}:changes - +"), '|') + 1,
       "type|session|student|S1|sid|" SID1
       "|gen|1700000000005|node|n1|ended|", "a visible change");

    row("S2", SID2, 5, 0, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 5, EXAM_ENDED_NO, "one that never beat");
    is(redis_do("ZSCORE exam:{30}:seen S2"), "~", "was not seen");
    is(redis_do("HGET exam:{30}:state S2"), "~", "and said nothing");
}


static void
test_newer(void)
{
    char  before[512];

    fresh();

    row("S1", SID1, 5, 2000, EXAM_ENDED_NO, "b");
    flush();
    snprintf(before, sizeof(before), "%s", redis_do("HGET exam:{30}:state S1"));

    row("S1", SID1, 5, 1500, EXAM_ENDED_NO, "a");
    row("S2", SID2, 5, 1500, EXAM_ENDED_NO, "a");
    flush();
    expect(0, 5, EXAM_ENDED_NO, "a row that comes late");
    is(redis_do("ZSCORE exam:{30}:seen S1"), "2000",
       "does not turn the clock back");
    is(redis_do("HGET exam:{30}:state S1"), before, "nor the state");
    is(redis_do("HEXISTS exam:{30}:state S2"), "1",
       "another row of that call counts");

    row("S1", SID1, 5, 2000, EXAM_ENDED_NO, "c");
    flush();
    tap_ok(strstr(redis_do("HGET exam:{30}:state S1"), "\"c\"") != NULL,
           "the same beat again may tell more");

    row("S1", SID1, 5, 2500, EXAM_ENDED_NO, NULL);
    flush();
    is(redis_do("ZSCORE exam:{30}:seen S1"), "2500", "a newer beat");
    tap_ok(strstr(redis_do("HGET exam:{30}:state S1"), "\"c\"") != NULL,
           "without a state leaves the last");
    is(redis_do("XLEN exam:{30}:changes"), "2",
       "beats of known sessions are no visible change");
}


static void
test_generations(void)
{
    fresh();

    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    flush();

    row("S1", SID2, 6, 5000, EXAM_ENDED_NO, "late");
    flush();
    expect(0, 7, EXAM_ENDED_REPLACED, "a lower generation was replaced");
    is(redis_do("ZSCORE exam:{30}:seen S1"), "1000",
       "its beat is not the student's");
    is(redis_do("HEXISTS exam:{30}:state S1"), "0", "nor its state");
    is(redis_do("XLEN exam:{30}:changes"), "1", "no change");

    row("S1", SID2, 6, 5000, EXAM_ENDED_LOGOUT, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_LOGOUT, "if it ended before, that stays");

    row("S1", SID3, 8, 2000, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 8, EXAM_ENDED_NO, "a higher generation takes over");
    tap_ok(strstr(redis_do("HGET exam:{30}:sessions S1"), SID3) != NULL,
           "it is written");
    tap_ok(strstr(redis_do("XRANGE exam:{30}:changes - +"),
                  SID1 "|gen|7|node|n1|ended|replaced") != NULL,
           "the old one is marked");

    row("S1", SID1, 7, 2000, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 8, EXAM_ENDED_REPLACED, "and told");

    fresh();
    row("S1", SID1, 7, 1, EXAM_ENDED_NO, NULL);
    flush();
    row("S1", SID2, 7, 1, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_NO, "of equal ones the higher id wins");

    row("S1", SID1, 7, 1, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_REPLACED, "in either order");
}


static void
test_ended(void)
{
    fresh();

    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    flush();
    row("S1", SID1, 7, 1000, EXAM_ENDED_LOGOUT, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_LOGOUT, "a session that ended");
    tap_ok(strstr(redis_do("HGET exam:{30}:sessions S1"),
                  "\"ended\":\"logout\"") != NULL, "is written as ended");
    is(redis_do("XLEN exam:{30}:changes"), "2", "a visible change");

    row("S1", SID1, 7, 1000, EXAM_ENDED_FORCED, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_LOGOUT, "what ended it first, stays");

    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_LOGOUT, "a node that did not know learns it");
    is(redis_do("XLEN exam:{30}:changes"), "2", "no further change");

    row("S1", SID2, 8, 1000, EXAM_ENDED_EXAM_OVER, NULL);
    flush();
    expect(0, 8, EXAM_ENDED_EXAM_OVER, "one that comes as ended");
    is(redis_do("XLEN exam:{30}:changes"), "3",
       "the one that had ended is not replaced");
}


/* a node may hold two sessions of a student */

static void
test_two_rows(void)
{
    fresh();
    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, "old");
    row("S1", SID2, 8, 2000, EXAM_ENDED_NO, "new");
    flush();
    expect(0, 7, EXAM_ENDED_NO, "old before new: the old one");
    expect(1, 8, EXAM_ENDED_NO, "and the new one");
    tap_ok(strstr(redis_do("HGET exam:{30}:sessions S1"), SID2) != NULL,
           "the new one stands");

    fresh();
    row("S1", SID2, 8, 2000, EXAM_ENDED_NO, "new");
    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, "old");
    flush();
    expect(0, 8, EXAM_ENDED_NO, "new before old: the new one");
    expect(1, 8, EXAM_ENDED_REPLACED, "and the old one");
    tap_ok(strstr(redis_do("HGET exam:{30}:sessions S1"), SID2) != NULL,
           "the new one stands again");

    row("S1", SID3, 9, 3000, EXAM_ENDED_NO, NULL);
    row("S1", SID2, 8, 3000, EXAM_ENDED_NO, NULL);
    flush();
    expect(1, 9, EXAM_ENDED_REPLACED,
           "replaced in this call, though Redis had it at its beginning");
    is(redis_do("ZSCORE exam:{30}:seen S1"), "3000", "seen");
}


static void
test_answer(void)
{
    exam_flush_answer_t  a;

    fresh();

    redis_do("HSET exam:{30}:flags"
             " S1 {\"suspended\":true,\"locked\":false,\"paused\":true,"
             "\"extra_s\":600,\"finish\":false}"
             " S2 {\"finish\":true,\"suspended\":null,\"extra_s\":null}"
             " S3 [");
    redis_do("HSET exam:{30}:stored S1:" SID1 ":screen 12"
             " S1:" SID1 ":camera -1 S2:" SID2 ":camera 999999"
             " S2:" SID2 ":resend camera:4,screen:0");

    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    row("S2", SID2, 7, 1000, EXAM_ENDED_NO, NULL);
    row("S3", SID3, 7, 1000, EXAM_ENDED_NO, NULL);
    row("S4", SID3, 7, 1000, EXAM_ENDED_NO, NULL);
    flush();

    tap_ok(answer(0, &a), "the first row's answer");
    tap_is(a.flags, EXAM_FLAG_SUSPENDED|EXAM_FLAG_PAUSED, "flags");
    tap_is(a.extra_s, 600, "extra_s");
    tap_is(a.stored[0], 12, "stored");
    tap_is(a.stored[1], -1, "nothing stored");
    tap_is(a.nresend, 0, "nothing wanted again");

    tap_ok(answer(1, &a), "the second row's answer");
    tap_is(a.flags, EXAM_FLAG_FINISH, "flags");
    tap_is(a.extra_s, 0, "extra_s of null");
    tap_is(a.stored[0], -2, "stored is not known");
    tap_is(a.stored[1], 999999, "the highest number");
    tap_ok(a.nresend == 2 && a.resend[0].kind == 1 && a.resend[0].n == 4
           && a.resend[1].kind == 0 && a.resend[1].n == 0,
           "two wanted again");

    tap_ok(answer(2, &a) && a.flags == 0 && a.extra_s == 0,
           "malformed flags are none");
    tap_ok(answer(3, &a) && a.flags == 0 && a.extra_s == 0,
           "and so are absent ones");
    tap_ok(!answer(4, &a), "no more lines");
}


static void
test_form(void)
{
    const char  *json = "{ \"gen\": 7, \"sid\": \"" SID1 "\" }";
    const char  *argv[] = { "HSET", "exam:{30}:sessions", "S1", json };

    fresh();

    redis_words(4, argv);
    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_NO, "a session in another form is the same");
    is(redis_do("HGET exam:{30}:sessions S1"), json, "and stays as it is");

    argv[3] = "?";
    redis_words(4, argv);
    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    flush();
    expect(0, 7, EXAM_ENDED_NO, "what is no session at all");
    tap_ok(strstr(redis_do("HGET exam:{30}:sessions S1"), SID1) != NULL,
           "is replaced");

    redis_do("DEL exam:{30}:sessions");
    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    exam_buf_lit(&buf, "S2\tx\t");
    is(flush(), "!ERR malformed row 2", "a malformed row");
    is(redis_do("EXISTS exam:{30}:sessions"), "0", "nothing is written");

    row("S1", SID1, 7, 1000, EXAM_ENDED_NO, NULL);
    buf.pos--;
    is(flush(), "!ERR malformed row 1", "a row without its end");
}


static void
test_full(void)
{
    int   i, right;
    char  student[16];

    exam_flush_answer_t  a;

    fresh();

    for (i = 0; i < EXAM_FLUSH_ROWS; i++) {
        snprintf(student, sizeof(student), "S%d", i);
        row(student, SID1, (uint64_t) i + 1, 1000 + i, EXAM_ENDED_NO, "a");
    }

    flush();

    for (i = 0, right = 0; i < EXAM_FLUSH_ROWS; i++) {
        right += answer(i, &a) && a.gen == (uint64_t) i + 1;
    }

    tap_is(right, EXAM_FLUSH_ROWS, "a full call is answered row by row");
    tap_ok(!answer(EXAM_FLUSH_ROWS, &a), "and no more");
    is(redis_do("ZCARD exam:{30}:seen"), "200", "all are seen");
    is(redis_do("HLEN exam:{30}:state"), "200", "all states are written");
    is(redis_do("ZSCORE exam:{30}:seen S199"), "1199", "each its own");
}


/* the state that is to stand after each pair of them */

static void
test_settle_states(void)
{
    int          i, k;
    char         want[128], name[64];
    const char  *state;

    static const char *const  states[] = {
        "receiving", "lost", "received", "stored"
    };

    fresh();

    for (i = 0; i < 4; i++) {
        for (k = 0; k < 4; k++) {
            redis_do("DEL exam:{30}:seg:S1 exam:{30}:stored");

            settle("5", states[i], UP1);

            state = states[i > k ? i : k];
            snprintf(want, sizeof(want), "%s n1 %s - - -", state,
                     k > i ? UP2 : UP1);
            snprintf(name, sizeof(name), "%s, then %s", states[i], states[k]);

            is(settle("5", states[k], UP2), want, name);

            want[strlen(want) - 2] = '\0';
            is(redis_do("HGET exam:{30}:seg:S1 " SID1 ":screen:5"), want,
               "so it stands");
        }
    }
}


static void
test_settle_refused(void)
{
    fresh();

    settle("0", "received", UP1);
    is(settle("0", "refused", UP1), "refused n1 " UP1 " - - -",
       "a damaged upload is refused");
    is(settle("0", "received", UP1), "refused n1 " UP1 " - - -",
       "its receipt told again changes nothing");
    is(settle("0", "receiving", UP2), "receiving n1 " UP2 " - - -",
       "another upload comes");
    is(settle("0", "refused", UP1), "receiving n1 " UP2 " - - -",
       "the refusal told again does not touch it");
    settle("0", "stored", UP2);
    is(settle("0", "refused", UP2), "stored n1 " UP2 " - - 0",
       "what is stored is never refused");

    is(settle("1", "refused", UP1), "refused n1 " UP1 " - - 0",
       "a refusal that nothing came before");
    settle("1", "lost", "-");
    tap_ok(strncmp(redis_do("HGET exam:{30}:seg:S1 " SID1 ":screen:1"),
                   "lost ", 5) == 0, "and then the client gives it up");
}


static void
test_settle_resend(void)
{
    int   i;
    char  n[16], want[512], upload[64];

    fresh();

    settle("3", "received", UP1);
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "~",
       "nothing is wanted again");
    settle("3", "refused", UP1);
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "screen:3",
       "a refused number is wanted again");
    settle("3", "refused", UP1);
    settle("3", "received", UP1);
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "screen:3",
       "once, whatever is told of that upload");
    settle("3", "received", UP2);
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "~",
       "until another upload brings it");
    settle("3", "refused", UP1);
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "~",
       "which the first one's refusal does not touch");

    settle("0", "refused", UP1);
    settle("0", "lost", "-");
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "~",
       "or the client gives it up");

    redis_script(EXAM_SCRIPT_SETTLE, "exam:{30}:seg:S1", "exam:{30}:stored",
                 "S1", SID1, "file", "0", "refused", "n1", UP1, "-", "-",
                 SID2, "camera", "9", "refused", "n1", UP1, "-", "-", NULL);
    is(redis_do("HGET exam:{30}:stored S1:" SID2 ":resend"), "camera:9",
       "each session has its own");
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "~",
       "an attachment has no number to repeat");

    /* 21 of them: the last one waits for its turn */

    want[0] = '\0';

    for (i = 30; i >= 10; i--) {
        snprintf(n, sizeof(n), "%d", i);
        snprintf(upload, sizeof(upload), "n1-%032d", i);
        settle(n, "refused", upload);
    }

    for (i = 10; i < 30; i++) {
        snprintf(want + strlen(want), sizeof(want) - strlen(want),
                 "%sscreen:%d", i > 10 ? "," : "", i);
    }

    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), want,
       "the twenty lowest of more");
    settle("10", "stored", UP2);
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend") + strlen(want)
       - sizeof("screen:10"), ",screen:30", "then the next one");
}


/* a reason stands behind the hash, and goes with its state */

static void
test_settle_reason(void)
{
    fresh();

    is(redis_script(EXAM_SCRIPT_SETTLE, "exam:{30}:seg:S1",
                    "exam:{30}:stored", "S1", SID1, "screen", "0", "lost",
                    "-", "-", "-", "- the disk  died, 7 days ago", NULL),
       "lost - - - - 0", "a reason is not in the answer");
    is(redis_do("HGET exam:{30}:seg:S1 " SID1 ":screen:0"),
       "lost - - - - the disk  died, 7 days ago", "it is in the ledger");
    is(settle("0", "lost", "-"), "lost - - - - 0", "told again without");

    settle("0", "received", UP1);
    is(settle("0", "refused", UP1), "lost n1 " UP1 " - - 0",
       "what stored covers is not wanted again: it is lost again");
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "~",
       "nobody is asked for it");
    is(settle("0", "stored", UP2), "stored n1 " UP2 " - - 0",
       "when it comes, it is stored");
}


static void
test_settle_stored(void)
{
    fresh();

    is(settle("1", "stored", UP1), "stored n1 " UP1 " - - -",
       "not known as long as 0 is missing");
    is(redis_do("EXISTS exam:{30}:stored"), "0", "and not written");

    redis_do("HSET exam:{30}:stored S1:" SID1 ":screen -1");
    is(settle("3", "stored", UP1), "stored n1 " UP1 " - - -1",
       "none, as long as 0 is missing");
    is(settle("0", "received", UP1), "received n1 " UP1 " - - -1",
       "received is not stored");
    is(settle("0", "stored", UP1), "stored n1 " UP1 " - - 1",
       "the run so far");
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":screen"), "1",
       "is written");
    is(settle("2", "lost", "-"), "lost n1 - - - 3",
       "lost closes a gap");
    is(settle("2", "received", UP2), "received n1 " UP2 " - - 3",
       "and stays counted when it comes after all");
    is(redis_do("HLEN exam:{30}:stored"), "1", "no other number is touched");

    redis_do("DEL exam:{30}:stored");
    is(settle("7", "received", UP1), "received n1 " UP1 " - - 1",
       "an emptied Redis: from the ledger alone");
}


static void
test_settle_rows(void)
{
    fresh();

    is(redis_script(EXAM_SCRIPT_SETTLE, "exam:{30}:seg:S1",
                    "exam:{30}:stored", "S1",
                    SID1, "screen", "1", "stored", "n1", UP1, "10", "aa",
                    SID1, "file", "0", "stored", "n1", UP1, "11", "bb",
                    SID1, "screen", "0", "stored", "n1", UP2, "12", "cc",
                    SID2, "camera", "0", "received", "n1", UP2, "13", "dd",
                    NULL),
       "stored n1 " UP1 " 10 aa 1|stored n1 " UP1 " 11 bb -|"
       "stored n1 " UP2 " 12 cc 1|received n1 " UP2 " 13 dd -",
       "each row is answered, with the number after all of them");
    is(redis_do("HGETALL exam:{30}:stored"),
       "S1:" SID1 ":file|1|S1:bytes|46|S1:" SID1 ":screen|1",
       "of attachments the next number stands there");
    is(redis_do("HLEN exam:{30}:seg:S1"), "4", "all stand in the ledger");

    redis_do("DEL exam:{30}:seg:S1");
    is(redis_script(EXAM_SCRIPT_SETTLE, "exam:{30}:seg:S1",
                    "exam:{30}:stored", "S1",
                    SID1, "screen", "1", "stored", "n1", UP1, "10", NULL),
       "!ERR wrong number of arguments", "a row that is cut off");
    is(settle("0", "eaten", UP1), "!ERR unknown state", "an unknown state");
    is(redis_do("EXISTS exam:{30}:seg:S1"), "0", "nothing is written");
}
