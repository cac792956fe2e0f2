
/* exam_redis_row: keys, ledger, rows of the flush and its answer */


#include "tap.h"

#include "exam_redis_row.h"


#define HASH  "000102030405060708090a0b0c0d0e0f"                              \
              "101112131415161718191a1b1c1d1e1f"
#define UP    "n1-00112233445566778899aabbccddeeff"


static const uint8_t  sid[EXAM_SID_LEN] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
};


static exam_str_t str(const char *s);
static bool ledger(const char *value, exam_ledger_t *e);
static bool field(const char *text, uint32_t *n);
static bool exam_line(const char *line, exam_flush_exam_t *e);
static bool answer_line(const char *line, size_t n,
    exam_flush_answer_t *a);
static void test_keys(void);
static void test_states(void);
static void test_field(void);
static void test_ledger(void);
static void test_ledger_bad(void);
static void test_row(void);
static void test_row_longest(void);
static void test_exam_line(void);
static void test_answer_line(void);
static void test_resend(void);
static void test_lines(void);


int
main(void)
{
    test_keys();
    test_states();
    test_field();
    test_ledger();
    test_ledger_bad();
    test_row();
    test_row_longest();
    test_exam_line();
    test_answer_line();
    test_resend();
    test_lines();

    return tap_done();
}


static exam_str_t
str(const char *s)
{
    return exam_str_make(s, strlen(s));
}


/* the parsers get exact copies, for AddressSanitizer; nothing is kept */

static bool
ledger(const char *value, exam_ledger_t *e)
{
    bool   ok;
    void  *copy;

    copy = tap_exact(value, strlen(value));
    ok = exam_ledger_parse(exam_str_make(copy, strlen(value)), e);
    free(copy);

    return ok;
}


static bool
field(const char *text, uint32_t *n)
{
    bool        ok;
    void       *copy;
    uint8_t     id[EXAM_SID_LEN];
    exam_str_t  kind;

    copy = tap_exact(text, strlen(text));
    ok = exam_ledger_field_parse(exam_str_make(copy, strlen(text)), id, &kind,
                                 n);
    free(copy);

    return ok;
}


static bool
exam_line(const char *line, exam_flush_exam_t *e)
{
    bool   ok;
    void  *copy;

    copy = tap_exact(line, strlen(line));
    ok = exam_flush_exam_parse(exam_str_make(copy, strlen(line)), e);
    free(copy);

    return ok;
}


static bool
answer_line(const char *line, size_t n, exam_flush_answer_t *a)
{
    bool          ok;
    void         *copy;
    exam_kinds_t  kinds;

    kinds.n = n;
    kinds.name[0] = exam_str("screen");
    kinds.name[1] = exam_str("camera");
    kinds.name[2] = exam_str("audio");
    kinds.name[3] = exam_str("other");

    copy = tap_exact(line, strlen(line));
    ok = exam_flush_answer_parse(exam_str_make(copy, strlen(line)), &kinds, a);
    free(copy);

    return ok;
}


static void
test_keys(void)
{
    char        out[EXAM_KEY_MAX], longest[EXAM_KEY_MAX];
    size_t      i, len;
    exam_str_t  exam, none, student;

    static const char *const  keys[] = {
        "exam:{30}", "exam:{30}:flags", "exam:{30}:roster",
        "exam:{30}:roster:new", "exam:{30}:sessions", "exam:{30}:seen",
        "exam:{30}:state", "exam:{30}:seg:", "exam:{30}:stored",
        "exam:{30}:changes", "exam:{30}:control"
    };

    exam = exam_str("30");
    none = exam_str("");

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        len = exam_key(out, (exam_key_e) i, exam, none);
        tap_text(out, len, keys[i], keys[i]);
        tap_is(out[len], '\0', "terminated");
    }

    len = exam_key(out, EXAM_KEY_SEG, exam, exam_str("a@b.c"));
    tap_text(out, len, "exam:{30}:seg:a@b.c", "a student's ledger");

    len = exam_key_recordings(out, exam_str("n1"));
    tap_text(out, len, "exam:recordings:n1", "the doorbell");
    len = exam_key_worker(out, exam_str("n1"));
    tap_text(out, len, "exam:worker:n1", "the worker");
    len = exam_key_node(out, exam_str("n1"));
    tap_text(out, len, "exam:node:n1", "the node");

    memset(longest, 'x', sizeof(longest));
    exam = exam_str_make(longest, EXAM_EXAM_MAX);
    student = exam_str_make(longest, EXAM_STUDENT_MAX);

    tap_is((int64_t) exam_key(out, EXAM_KEY_SEG, exam, student),
           6 + EXAM_EXAM_MAX + 6 + EXAM_STUDENT_MAX, "the longest key fits");

    exam = exam_str_make(longest, EXAM_KEY_MAX);
    tap_is((int64_t) exam_key(out, EXAM_KEY_EXAM, exam, none), 0,
           "one that is too long is none");
}


static void
test_states(void)
{
    int  s;

    static const char *const  names[] = {
        "", "receiving", "lost", "received", "stored", "refused"
    };

    for (s = EXAM_SEG_RECEIVING; s <= EXAM_SEG_REFUSED; s++) {
        tap_text(exam_seg_name((exam_seg_e) s),
                 strlen(exam_seg_name((exam_seg_e) s)), names[s], names[s]);
        tap_is(exam_seg_parse(str(names[s])), s, "and back");
    }

    tap_is(exam_seg_parse(str("")), EXAM_SEG_NONE, "an empty name");
    tap_is(exam_seg_parse(str("store")), EXAM_SEG_NONE, "a part of a name");
    tap_is(exam_seg_parse(str("storedx")), EXAM_SEG_NONE, "more than a name");
}


static void
test_field(void)
{
    uint8_t     id[EXAM_SID_LEN];
    uint32_t    n;
    exam_buf_t  b;
    exam_str_t  kind;
    uint8_t     out[128];

    exam_buf_init(&b, out, sizeof(out));
    exam_ledger_field(&b, sid, exam_str("screen"), EXAM_SEGMENT_MAX);
    tap_text(out, exam_buf_len(&b),
             "000102030405060708090a0b0c0d0e0f:screen:999999", "a field");

    tap_ok(exam_ledger_field_parse(exam_str_make(out, exam_buf_len(&b)), id,
                                   &kind, &n)
           && memcmp(id, sid, EXAM_SID_LEN) == 0
           && exam_str_eq(kind, exam_str("screen"))
           && n == EXAM_SEGMENT_MAX, "and back");

#define SID  "000102030405060708090a0b0c0d0e0f"

    tap_ok(field(SID ":file:0", &n) && n == 0, "an attachment");
    tap_ok(field(SID ":abcdefghijklmno:1", &n), "the longest kind");
    tap_ok(!field(SID ":abcdefghijklmnop:1", &n), "a kind too long");
    tap_ok(!field(SID "::1", &n), "no kind");
    tap_ok(!field(SID ":screen:", &n), "no number");
    tap_ok(!field(SID ":screen:01", &n), "a leading zero");
    tap_ok(!field(SID ":screen:1000000", &n), "a number too large");
    tap_ok(!field(SID ":screen:1:2", &n), "one part more");
    tap_ok(!field(SID ":screen", &n), "one part less");
    tap_ok(!field(SID, &n), "a session alone");
    tap_ok(!field("", &n), "nothing");
    tap_ok(!field("0001:screen:1", &n), "a session too short");
}


static void
test_ledger(void)
{
    exam_ledger_t  e;

    tap_ok(exam_ledger_parse(str("stored n1 " UP " 9223372036854775807 " HASH),
                             &e)
           && e.state == EXAM_SEG_STORED && exam_str_eq(e.node, str("n1"))
           && exam_str_eq(e.upload, str(UP)) && e.bytes == INT64_MAX
           && e.has_sha256 && e.reason.len == 0,
           "a whole entry");

    tap_ok(e.sha256[0] == 0 && e.sha256[1] == 1
           && e.sha256[EXAM_HASH_LEN - 1] == EXAM_HASH_LEN - 1,
           "and its hash");

    tap_ok(exam_ledger_parse(str("lost - - - -"), &e)
           && e.state == EXAM_SEG_LOST && e.node.len == 0
           && e.upload.len == 0 && e.bytes == -1 && !e.has_sha256
           && e.reason.len == 0,
           "nothing known");

    tap_ok(exam_ledger_parse(str("lost - - - - the disk  died"), &e)
           && exam_str_eq(e.reason, str("the disk  died")),
           "with a reason");
}


static void
test_ledger_bad(void)
{
    size_t         i;
    exam_ledger_t  e;

    static const char *const  bad[] = {
        "", "stored", "stored n1", "stored n1 " UP, "stored n1 " UP " 5",
        "stored n1 " UP " 5 ", "stored n1 " UP " 5 " HASH " x",
        "stored n1 " UP " 5 " HASH "0", "stored n1 " UP " 5 00",
        "stored n1 " UP " -5 -", "stored n1 " UP " 05 -",
        "stored n1 " UP " 9223372036854775808 -", "stored n1 " UP "  -",
        "stored N1 - 5 -", "stored  - 5 -", "stored n1 n1-00 5 -",
        "stored n1  5 -", "Stored n1 - 5 -", " n1 - 5 -", "none n1 - 5 -",
        " stored n1 - 5 -", "lost - - - - ", "received - - - - x"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tap_ok(!ledger(bad[i], &e), "refused: '%s'", bad[i]);
    }
}


static void
test_row(void)
{
    uint8_t            out[EXAM_FLUSH_ROW_MAX];
    exam_buf_t         b;
    exam_kinds_t       kinds;
    exam_flush_row_t   r;
    exam_beat_state_t  state;

    memset(&kinds, 0, sizeof(kinds));
    kinds.n = 1;
    kinds.name[0] = exam_str("screen");

    memset(&r, 0, sizeof(r));
    r.student = exam_str("S1");
    r.sid = sid;
    r.gen = 1700000000001;
    r.login_at = 1;
    r.first_beat = 2;
    r.last_beat = 3;
    r.longest_gap = 4;
    r.seq = EXAM_SEQ_MAX;

    exam_buf_init(&b, out, sizeof(out));
    exam_flush_row_format(&b, &r, &kinds);
    tap_text(out, exam_buf_len(&b),
             "S1\t000102030405060708090a0b0c0d0e0f\t1700000000001\t1\t2\t3\t4"
             "\t9007199254740991\t\t\n", "a row without a state");

    memset(&state, 0, sizeof(state));
    state.focus = -1;
    state.battery = -1;
    state.recorded[0] = 5;
    state.queued_segments = -1;
    state.oldest_unsent_s = -1;
    state.queued_bytes = -1;

    r.ended = EXAM_ENDED_EXAM_OVER;
    r.state = &state;

    exam_buf_init(&b, out, sizeof(out));
    exam_flush_row_format(&b, &r, &kinds);
    tap_text(out, exam_buf_len(&b),
             "S1\t000102030405060708090a0b0c0d0e0f\t1700000000001\t1\t2\t3\t4"
             "\t9007199254740991\texam_over\t{\"recorded\":{\"screen\":5}}\n",
             "an ended one with a state");
}


static void
test_row_longest(void)
{
    int                i;
    char               student[EXAM_STUDENT_MAX];
    uint8_t            out[EXAM_FLUSH_ROW_MAX];
    exam_buf_t         b;
    exam_kinds_t       kinds;
    exam_flush_row_t   r;
    exam_beat_state_t  state;

    memset(student, 'x', sizeof(student));
    memset(&state, 0, sizeof(state));
    memset(state.recorder, 'x', EXAM_BEAT_RECORDER_MAX);

    kinds.n = EXAM_KINDS_MAX;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        kinds.name[i] = exam_str("abcdefghijklmno");
        state.recorded[i] = EXAM_SEGMENT_MAX;
    }

    state.focus = 1;
    state.battery = 100;
    state.queued_segments = INT32_MAX;
    state.oldest_unsent_s = INT32_MAX;
    state.queued_bytes = INT64_MAX;

    r.student = exam_str_make(student, sizeof(student));
    r.sid = sid;
    r.gen = UINT64_MAX;
    r.login_at = INT64_MAX;
    r.first_beat = INT64_MAX;
    r.last_beat = INT64_MAX;
    r.longest_gap = INT64_MIN;
    r.seq = EXAM_SEQ_MAX;
    r.ended = EXAM_ENDED_EXAM_OVER;
    r.state = &state;

    exam_buf_init(&b, out, sizeof(out));
    exam_flush_row_format(&b, &r, &kinds);
    tap_ok(!b.overflow, "the longest row fits EXAM_FLUSH_ROW_MAX");
}


static void
test_exam_line(void)
{
    size_t             i;
    exam_flush_exam_t  e;

    static const char *const  bad[] = {
        "", "open", "open\t1\t2\t3\t4", "open\t1\t2\t3\t4\t",
        "open\t1\t2\t3\t4\t5\t6", "odd\t1\t2\t3\t4\t5", "\t1\t2\t3\t4\t5",
        "open\tx\t2\t3\t4\t5", "open\t1\t\t3\t4\t5", "open\t1\t2\t3.5\t4\t5",
        "open\t1\t2\t3\t-\t5", "open\t1\t2\t3\t4\t9007199254740992",
        "open\t1\t2\t3\t4\t5\n", "open\t--1\t2\t3\t4\t5"
    };

    tap_ok(exam_line("closed\t1\t-2\t3\t4\t9007199254740991", &e),
           "the exam's line");
    tap_is(e.state, EXAM_STATE_CLOSED, "state");
    tap_is(e.starts_at, 1, "starts_at");
    tap_is(e.ends_at, -2, "ends_at");
    tap_is(e.pause_ms, 3, "pause_ms");
    tap_is(e.paused_at, 4, "paused_at");
    tap_is(e.version, 9007199254740991, "version");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tap_ok(!exam_line(bad[i], &e), "refused: exam's line %d", (int) i);
    }
}


static void
test_answer_line(void)
{
    size_t               i;
    exam_flush_answer_t  a;

    static const char *const  bad[] = {
        "", "5", "5\t\t0\t0", "5\t\t0\t0\t1,2", "5\t\t0\t0\t\t",
        "5\t\t0\t0\t1\t", "5\t\t0\t0\t1,\t", "5\t\t0\t0\t1,2,3\t",
        "5\t\t0\t0\t1,-2\t", "5\t\t0\t0\t1,x\t",
        "5\t\t0\t0\t1,1000000\t", "-5\t\t0\t0\t1,2\t",
        "\t\t0\t0\t1,2\t", "5\t\t256\t0\t1,2\t", "5\t\t\t0\t1,2\t",
        "5\t\t0\tx\t1,2\t", "9007199254740992\t\t0\t0\t1,2\t"
    };

    tap_ok(answer_line("1700000000001\treplaced\t5\t-60\t12,-1\t", 2, &a),
           "an answer");
    tap_is((int64_t) a.gen, 1700000000001, "gen");
    tap_is(a.ended, EXAM_ENDED_REPLACED, "ended");
    tap_is(a.flags, EXAM_FLAG_SUSPENDED|EXAM_FLAG_PAUSED, "flags");
    tap_is(a.extra_s, -60, "extra_s");
    tap_is(a.stored[0], 12, "stored");
    tap_is(a.stored[1], -1, "none stored");
    tap_is(a.nresend, 0, "nothing is wanted again");

    tap_ok(answer_line("5\t\t0\t0\t-\t", 1, &a), "one kind");
    tap_is(a.ended, EXAM_ENDED_NO, "not ended");
    tap_is(a.stored[0], -2, "not known");

    tap_ok(answer_line("5\tlater\t0\t0\t-\t", 1, &a), "an unknown reason");
    tap_is(a.ended, EXAM_ENDED_FORCED, "has ended it all the same");

    tap_ok(answer_line("5\t\t0\t0\t-,0,1,2\t", 4, &a) && a.stored[3] == 2,
           "four kinds");
    tap_ok(answer_line("5\t\t0\t0\t\t", 0, &a), "no kind");
    tap_ok(!answer_line("5\t\t0\t0\t1\t", 0, &a), "a number of no kind");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tap_ok(!answer_line(bad[i], 2, &a), "refused: answer %d", (int) i);
    }
}


static void
test_resend(void)
{
    char                 line[512];
    int                  i, len;
    exam_flush_answer_t  a;

    tap_ok(answer_line("5\t\t0\t0\t1,2\tcamera:0,screen:999999", 2, &a)
           && a.nresend == 2, "two are wanted again");
    tap_ok(a.resend[0].kind == 1 && a.resend[0].n == 0, "the first one");
    tap_ok(a.resend[1].kind == 0 && a.resend[1].n == 999999, "the second");

    tap_ok(answer_line("5\t\t0\t0\t1,2\tother:1,screen:7,screen,"
                       "screen:x,screen:1000000,:3,", 2, &a)
           && a.nresend == 1 && a.resend[0].n == 7,
           "unknown kinds and what is malformed are left out");

    len = snprintf(line, sizeof(line), "5\t\t0\t0\t1,2\t");

    for (i = 0; i < EXAM_RESEND_MAX + 1; i++) {
        len += snprintf(line + len, sizeof(line) - (size_t) len,
                        "%sscreen:%d", i ? "," : "", i);
    }

    tap_ok(answer_line(line, 2, &a) && a.nresend == EXAM_RESEND_MAX
           && a.resend[EXAM_RESEND_MAX - 1].n == EXAM_RESEND_MAX - 1,
           "more than the most are cut");
}


static void
test_lines(void)
{
    exam_str_t  line, rest;

    rest = str("a\n\nb");

    tap_ok(exam_line_next(&rest, &line) && exam_str_eq(line, str("a")),
           "the first line");
    tap_ok(exam_line_next(&rest, &line) && line.len == 0, "an empty line");
    tap_ok(exam_line_next(&rest, &line) && exam_str_eq(line, str("b")),
           "the last without its end");
    tap_ok(!exam_line_next(&rest, &line), "no more");

    rest = str("a\n");
    tap_ok(exam_line_next(&rest, &line) && exam_str_eq(line, str("a"))
           && !exam_line_next(&rest, &line), "an end begins no line");
}
