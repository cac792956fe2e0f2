
/*
 * exam_body: login, heartbeat and logout as candidates may send them, and as
 * they should not.  The heartbeat here is the one of yajl; t/unit/beat.c holds
 * the fast path against it.
 */


#include "tap.h"

#include "exam_body.h"


static exam_err_e login(const char *body, size_t len, exam_login_body_t *out);
static exam_err_e beat(const char *body, size_t len, exam_beat_t *out);
static exam_err_e logout(const char *body, size_t len,
    exam_logout_body_t *out);
static void test_kinds(void);
static void test_login(void);
static void test_login_long(void);
static bool all_of(exam_str_t s, char c, size_t len);
static void test_beat(void);
static void test_beat_absent(void);
static void test_beat_refused(void);
static void test_lost(void);
static exam_err_e lost(const char *body, exam_arena_t *arena,
    exam_lost_body_t *out);
static void test_beat_unknown(void);
static void test_beat_twice(void);
static void test_beat_lists(void);
static void test_beat_large(void);
static void test_battery(void);
static void test_state_json(void);
static void test_logout(void);


static _Alignas(max_align_t) uint8_t  memory[EXAM_BODY_ARENA];

static const exam_kinds_t  kinds = {
    2, { exam_str("screen"), exam_str("camera") }
};


int
main(void)
{
    test_kinds();
    test_login();
    test_login_long();
    test_beat();
    test_beat_absent();
    test_beat_refused();
    test_lost();
    test_beat_unknown();
    test_beat_twice();
    test_beat_lists();
    test_beat_large();
    test_battery();
    test_state_json();
    test_logout();

    return tap_done();
}


static exam_err_e
login(const char *body, size_t len, exam_login_body_t *out)
{
    void          *p;
    exam_err_e     err;
    exam_arena_t   arena;

    p = tap_exact(body, len);
    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_login_parse(exam_str_make(p, len), &arena, out);
    free(p);

    return err;
}


static exam_err_e
beat(const char *body, size_t len, exam_beat_t *out)
{
    void          *p;
    exam_err_e     err;
    exam_arena_t   arena;

    p = tap_exact(body, len);
    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_beat_parse(exam_str_make(p, len), &kinds, &arena, out);
    free(p);

    return err;
}


static exam_err_e
logout(const char *body, size_t len, exam_logout_body_t *out)
{
    void          *p;
    exam_err_e     err;
    exam_arena_t   arena;

    p = tap_exact(body, len);
    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_logout_parse(exam_str_make(p, len), &kinds, &arena, out);
    free(p);

    return err;
}


static void
test_kinds(void)
{
    tap_is(exam_kind_find(&kinds, exam_str("screen")), 0, "screen");
    tap_is(exam_kind_find(&kinds, exam_str("camera")), 1, "camera");
    tap_is(exam_kind_find(&kinds, exam_str("cam")), -1, "cam");
    tap_is(exam_kind_find(&kinds, exam_str("")), -1, "nothing");
    tap_is(exam_kind_find(&kinds, exam_str("file")), -1, "file");
}


static void
test_login(void)
{
    size_t              i;
    exam_login_body_t   out;

    static const struct {
        const char  *body;
        exam_err_e   err;
    } t[] = {
        { "{\"exam\":\"30\",\"student\":\"S001\"}", EXAM_ERR_MISSING_MEMBER },
        { "{\"exam\":\"30\",\"code\":\"x\"}", EXAM_ERR_MISSING_MEMBER },
        { "{\"student\":\"S001\",\"code\":\"x\"}", EXAM_ERR_MISSING_MEMBER },
        { "{\"exam\":null,\"student\":\"S001\",\"code\":\"x\"}",
          EXAM_ERR_MISSING_MEMBER },
        { "{}", EXAM_ERR_MISSING_MEMBER },
        { "{\"exam\":30,\"student\":\"S001\",\"code\":\"x\"}",
          EXAM_ERR_BAD_TYPE },
        { "{\"exam\":\"30\",\"student\":[\"S001\"],\"code\":\"x\"}",
          EXAM_ERR_BAD_TYPE },
        { "{\"exam\":\"30\",\"student\":\"S001\",\"code\":{}}",
          EXAM_ERR_BAD_TYPE },
        { "[]", EXAM_ERR_BAD_TYPE },
        { "null", EXAM_ERR_BAD_TYPE },
        { "\"exam\"", EXAM_ERR_BAD_TYPE },
        { "", EXAM_ERR_BAD_JSON },
        { "{\"exam\":\"30\"", EXAM_ERR_BAD_JSON },
        { "{\"exam\":\"\xff\"}", EXAM_ERR_BAD_UTF8 },
        { "{\"x\":[[[[[[[[]]]]]]]]}", EXAM_ERR_TOO_DEEP },
        { "{\"x\":{\"exam\":\"30\",\"student\":\"S001\",\"code\":\"x\"}}",
          EXAM_ERR_MISSING_MEMBER },
        { "[{\"exam\":\"30\",\"student\":\"S001\",\"code\":\"x\"}]",
          EXAM_ERR_BAD_TYPE },
        { "{\"x\":{\"exam\":1},\"exam\":\"30\",\"student\":\"S001\","
          "\"code\":\"x\",\"y\":[1,{\"code\":2}]}", EXAM_OK }
    };

    static const char  good[] = "{\"code\":\"ab\\u0063d\","
                                "\"student\":\"S001\",\"exam\":\"30\"}";
    static const char  odd[] = "{\"code\":\"\",\"student\":\"S\\u00001\","
                               "\"exam\":\"../\"}";

    tap_ok(login(good, sizeof(good) - 1, &out) == EXAM_OK
           && exam_str_eq(out.exam, exam_str("30"))
           && exam_str_eq(out.student, exam_str("S001"))
           && exam_str_eq(out.code, exam_str("abcd")), "a login");

    tap_ok(login(odd, sizeof(odd) - 1, &out) == EXAM_OK
           && out.code.len == 0
           && exam_str_eq(out.student, exam_str("S\0" "1"))
           && exam_str_eq(out.exam, exam_str("../")),
           "alphabets are looked at later, a NUL gets that far");

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        tap_ok(login(t[i].body, strlen(t[i].body), &out) == t[i].err,
               "login %d is %s", (int) i, exam_err_info(t[i].err)->code);
    }
}


/*
 * Unescaped strings of some kilobytes and copies of them share the arena:
 * buffers grow where they are, or move, and nothing is written over.
 */

static void
test_login_long(void)
{
    char               *body, *p;
    exam_login_body_t   out;

    body = malloc(EXAM_BODY_JSON_MAX);

    p = body + sprintf(body, "{\"exam\":\"\\u0061\",\"student\":\"ssss\\u0073");
    memset(p, 's', 3000);
    p += 3000;
    p += sprintf(p, "\",\"code\":\"cccc\\u0063");
    memset(p, 'c', 6000);
    p += 6000;
    p += sprintf(p, "\"}");

    tap_ok(login(body, (size_t) (p - body), &out) == EXAM_OK
           && all_of(out.exam, 'a', 1) && all_of(out.student, 's', 3005)
           && all_of(out.code, 'c', 6005), "a buffer that moves");

    p = body + sprintf(body, "{\"student\":\"\\u0073");
    memset(p, 's', 3000);
    p += 3000;
    p += sprintf(p, "\",\"exam\":\"a\",\"code\":\"\\u0063");
    memset(p, 'c', 3500);
    p += 3500;
    p += sprintf(p, "\"}");

    tap_ok(login(body, (size_t) (p - body), &out) == EXAM_OK
           && all_of(out.exam, 'a', 1) && all_of(out.student, 's', 3001)
           && all_of(out.code, 'c', 3501), "a buffer that grows");

    free(body);
}


static bool
all_of(exam_str_t s, char c, size_t len)
{
    size_t  i;

    for (i = 0; i < s.len && s.data[i] == (uint8_t) c; i++) { /* void */ }

    return i == len && s.len == len;
}


static void
test_beat(void)
{
    size_t       i;
    bool         all;
    exam_beat_t  out;

    static const char  body[] =
        "{\"seq\":17,\"client_time\":1763650000000,\"state\":{"
        "\"recorder\":\"recording\",\"recorded\":{\"screen\":12,"
        "\"camera\":-1},\"queued_segments\":3,\"queued_bytes\":5000000000,"
        "\"oldest_unsent_s\":61,\"focus\":true,\"battery\":0.87},"
        "\"missed\":[{\"seq\":15,\"client_time\":1},{\"seq\":16}],"
        "\"ack\":[\"1763650000000-0\",7]}";

    tap_is(beat(body, sizeof(body) - 1, &out), EXAM_OK, "a heartbeat");
    tap_is((int64_t) out.seq, 17, "seq");
    tap_is(out.client_time, 1763650000000, "client_time");
    tap_ok(out.has_state, "it has a state");
    tap_text(out.state.recorder, strlen(out.state.recorder), "recording",
             "recorder");
    tap_is(out.state.recorded[0], 12, "recorded screen");
    tap_is(out.state.recorded[1], -1, "recorded camera");
    tap_is(out.state.recorded[2], -1, "no third kind");
    tap_is(out.state.queued_segments, 3, "queued_segments");
    tap_is(out.state.queued_bytes, 5000000000, "queued_bytes");
    tap_is(out.state.oldest_unsent_s, 61, "oldest_unsent_s");
    tap_is(out.state.focus, 1, "focus");
    tap_is(out.state.battery, 87, "battery");
    tap_is(out.missed, 2, "missed");
    tap_ok(out.acks == 2 && out.ack[0] == 0 && out.ack[1] == 7,
           "ack: ids, and what is none");

    all = true;

    for (i = 0; i < sizeof(body) - 1; i++) {
        all = all && beat(body, i, &out) == EXAM_ERR_BAD_JSON;
    }

    tap_ok(all, "cut off anywhere: bad_json");
}


static void
test_beat_absent(void)
{
    size_t       i;
    exam_beat_t  out;

    static const char *const  bodies[] = {
        "{\"seq\":0}",
        "{\"seq\":0,\"client_time\":null,\"state\":null,\"missed\":null,"
        "\"ack\":null}",
        "{\"seq\":0,\"missed\":[],\"ack\":[]}",
        "{\"seq\":0,\"state\":{}}",
        "{\"seq\":0,\"state\":{\"recorder\":null,\"recorded\":null,"
        "\"queued_segments\":null,\"queued_bytes\":null,"
        "\"oldest_unsent_s\":null,\"focus\":null,\"battery\":null}}",
        "{\"seq\":0,\"state\":{\"recorder\":\"\",\"recorded\":{"
        "\"screen\":null,\"camera\":-1,\"x\":null}}}"
    };

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        if (beat(bodies[i], strlen(bodies[i]), &out) != EXAM_OK) {
            tap_ok(false, "%s is refused", bodies[i]);
            continue;
        }

        tap_ok(out.seq == 0 && out.client_time == -1 && out.missed == 0
               && out.acks == 0 && out.has_state == (i > 2)
               && out.state.recorder[0] == '\0'
               && out.state.recorded[0] == -1 && out.state.recorded[1] == -1
               && out.state.queued_segments == -1
               && out.state.queued_bytes == -1
               && out.state.oldest_unsent_s == -1
               && out.state.focus == -1 && out.state.battery == -1,
               "nothing given: %s", bodies[i]);
    }
}


static const struct {
    const char  *text;          /* behind the brace */
    exam_err_e   err;
}  refused[] = {
    { "}", EXAM_ERR_MISSING_MEMBER },
    { "\"seq\":null}", EXAM_ERR_MISSING_MEMBER },
    { "\"state\":{\"seq\":1}}", EXAM_ERR_MISSING_MEMBER },
    { "\"missed\":[{\"seq\":1}]}", EXAM_ERR_MISSING_MEMBER },
    { "\"Seq\":1}", EXAM_ERR_MISSING_MEMBER },
    { "\"seq\":\"1\"}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":true}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":[1]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":{}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":-1}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1.5}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":9007199254740991}", EXAM_OK },
    { "\"seq\":9007199254740992}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":18446744073709551617}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1e400}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":01}", EXAM_ERR_BAD_JSON },
    { "\"seq\":1,\"client_time\":\"now\"}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"client_time\":-1}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"client_time\":9007199254740992}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":[]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":\"x\"}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":1}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"recorder\":1}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"recorder\":\"abcdefghijklmno\"}}", EXAM_OK },
    { "\"seq\":1,\"state\":{\"recorder\":\"abcdefghijklmnop\"}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorder\":\"on_\"}}", EXAM_OK },
    { "\"seq\":1,\"state\":{\"recorder\":\"On\"}}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorder\":\"o n\"}}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorder\":\"on\\u0000\"}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorder\":\"on2\"}}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorder\":\"\xc3\xa4\"}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorded\":[]}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"recorded\":1}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"recorded\":{\"screen\":\"1\"}}}",
      EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"recorded\":{\"screen\":-2}}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorded\":{\"screen\":1.5}}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"recorded\":{\"camera\":999999}}}", EXAM_OK },
    { "\"seq\":1,\"state\":{\"recorded\":{\"camera\":1000000}}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"queued_segments\":-1}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"queued_segments\":2147483647}}", EXAM_OK },
    { "\"seq\":1,\"state\":{\"queued_segments\":2147483648}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"queued_segments\":\"3\"}}",
      EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"queued_bytes\":-1}}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"queued_bytes\":9007199254740992}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"oldest_unsent_s\":-1}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"oldest_unsent_s\":2147483648}}",
      EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"focus\":1}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"focus\":\"true\"}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"battery\":true}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"state\":{\"battery\":-0.1}}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"state\":{\"battery\":100.1}}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"missed\":{}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"missed\":7}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"missed\":[7]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"missed\":[null]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"missed\":[[]]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"missed\":[{\"seq\":\"1\"}]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"missed\":[{\"seq\":-1}]}", EXAM_ERR_BAD_VALUE },
    { "\"seq\":1,\"missed\":[{\"client_time\":true}]}",
      EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"ack\":{}}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"ack\":\"1\"}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"ack\":[{}]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"ack\":[null]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"ack\":[1.5]}", EXAM_ERR_BAD_TYPE },
    { "\"seq\":1,\"x\":\"\xff\"}", EXAM_ERR_BAD_UTF8 },
    { "\"seq\":1,\"x\":[[[[[[[[]]]]]]]]}", EXAM_ERR_TOO_DEEP },
    { "\"seq\":1}}", EXAM_ERR_BAD_JSON },
    { "\"seq\":1} x", EXAM_ERR_BAD_JSON }
};


static void
test_beat_refused(void)
{
    char         body[256];
    size_t       i;
    exam_err_e   err;
    exam_beat_t  out;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        snprintf(body, sizeof(body), "{%s", refused[i].text);
        err = beat(body, strlen(body), &out);
        tap_ok(err == refused[i].err, "%s: %s", body,
               exam_err_info(err)->code);
    }

    tap_is(beat("[]", 2, &out), EXAM_ERR_BAD_TYPE, "an array");
    tap_is(beat("17", 2, &out), EXAM_ERR_BAD_TYPE, "a number");
    tap_is(beat("", 0, &out), EXAM_ERR_BAD_JSON, "nothing");
}


static exam_err_e
lost(const char *body, exam_arena_t *arena, exam_lost_body_t *out)
{
    return exam_lost_parse(exam_str_make(body, strlen(body)), arena, out);
}


static void
test_lost(void)
{
    char              body[2048];
    uint8_t           memory[EXAM_BODY_ARENA];
    exam_arena_t      arena;
    exam_lost_body_t  out;

    exam_arena_init(&arena, memory, sizeof(memory));
    tap_is(lost("", &arena, &out), EXAM_OK, "no body");
    tap_is((int64_t) out.reason.len, 0, "gives no reason");

    exam_arena_init(&arena, memory, sizeof(memory));
    tap_is(lost("{\"reason\":\"tab\\tand\\nline\\u007f\"}", &arena, &out),
           EXAM_OK, "a reason");
    tap_text(out.reason.data, out.reason.len, "tab and line ",
             "becomes one line");

    exam_arena_init(&arena, memory, sizeof(memory));
    snprintf(body, sizeof(body), "{\"reason\":\"%0*d\"}", EXAM_REASON_MAX, 1);
    tap_is(lost(body, &arena, &out), EXAM_OK, "the longest");
    tap_is((int64_t) out.reason.len, EXAM_REASON_MAX, "reason");

    exam_arena_init(&arena, memory, sizeof(memory));
    snprintf(body, sizeof(body), "{\"reason\":\"%0*d\"}",
             EXAM_REASON_MAX + 1, 1);
    tap_is(lost(body, &arena, &out), EXAM_ERR_BAD_VALUE, "one byte more");
    tap_text(arena.wrong.data, arena.wrong.len, "reason", "is named");
    tap_is(lost("null", &arena, &out), EXAM_ERR_BAD_TYPE, "no object");
}


/* members of later versions, at each level, with our names inside them */

static void
test_beat_unknown(void)
{
    exam_beat_t  out;

    static const char  body[] =
        "{\"x\":{\"seq\":\"a\",\"state\":1},\"seq\":5,\"y\":[{\"seq\":\"b\"}],"
        "\"state\":{\"x\":{\"recorder\":1,\"recorded\":2},\"battery\":50,"
        "\"y\":[[{\"screen\":\"c\"}]],\"recorded\":{\"x\":{\"screen\":\"d\"},"
        "\"microphone\":\"e\",\"screen\":4,\"y\":[1,2]},\"z\":{\"screen\":9}},"
        "\"missed\":[{\"seq\":1,\"x\":{\"seq\":\"f\"},\"y\":[\"seq\"]}],"
        "\"ack\":[\"1-0\"],\"z\":[null,true,1.5,\"\"]}";

    tap_is(beat(body, sizeof(body) - 1, &out), EXAM_OK, "unknown members");
    tap_ok(out.seq == 5 && out.state.battery == 50
           && out.state.recorded[0] == 4 && out.state.recorded[1] == -1
           && out.state.recorder[0] == '\0' && out.missed == 1
           && out.acks == 1, "are ignored, and what is in them too");
}


static void
test_beat_twice(void)
{
    exam_beat_t  out;

    static const char  body[] =
        "{\"seq\":1,\"missed\":[{},{}],\"ack\":[1,2,3],"
        "\"state\":{\"battery\":1,\"focus\":true},"
        "\"seq\":2,\"missed\":[{}],\"ack\":[],"
        "\"state\":{\"battery\":50,\"recorded\":{\"screen\":1},"
        "\"recorded\":{\"screen\":2}}}";

    tap_is(beat(body, sizeof(body) - 1, &out), EXAM_OK, "members twice");
    tap_ok(out.seq == 2 && out.missed == 1 && out.acks == 0
           && out.state.battery == 50 && out.state.recorded[0] == 2,
           "the last one counts");
}


static void
test_beat_lists(void)
{
    char         *body, *p;
    int           i, n;
    exam_err_e    err;
    exam_beat_t   out;

    body = malloc(EXAM_BODY_BEAT_MAX);

    for (n = 499; n <= 501; n++) {
        p = body + sprintf(body, "{\"seq\":1,\"missed\":[");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s{\"seq\":%d,\"client_time\":1763650000000}",
                         i ? "," : "", i);
        }

        p += sprintf(p, "]}");

        err = beat(body, (size_t) (p - body), &out);
        tap_ok(n <= 500 ? err == EXAM_OK && out.missed == n
                        : err == EXAM_ERR_BAD_VALUE, "%d missed: %s", n,
               exam_err_info(err)->code);
    }

    for (n = 64; n <= 65; n++) {
        p = body + sprintf(body, "{\"seq\":1,\"ack\":[");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s\"%d-0\"", i ? "," : "", i);
        }

        p += sprintf(p, "]}");

        err = beat(body, (size_t) (p - body), &out);
        tap_ok(n <= 64 ? err == EXAM_OK && out.acks == n
                       : err == EXAM_ERR_BAD_VALUE, "%d acks: %s", n,
               exam_err_info(err)->code);
    }

    free(body);
}


/* as large as a body may be: the arena is enough, or says that it is not */

static void
test_beat_large(void)
{
    char         *body;
    exam_beat_t   out;

    body = malloc(EXAM_BODY_BEAT_MAX);

    memset(body, ' ', EXAM_BODY_BEAT_MAX);
    memcpy(body, "{\"seq\":1", 8);
    body[EXAM_BODY_BEAT_MAX - 1] = '}';
    tap_is(beat(body, EXAM_BODY_BEAT_MAX, &out), EXAM_OK, "white space");

    memset(body, 'x', EXAM_BODY_BEAT_MAX);
    memcpy(body, "{\"seq\":1,\"x\":\"", 14);
    memcpy(body + EXAM_BODY_BEAT_MAX - 2, "\"}", 2);
    tap_is(beat(body, EXAM_BODY_BEAT_MAX, &out), EXAM_OK, "a long string");

    memcpy(body + 20, "\\n", 2);
    tap_is(beat(body, EXAM_BODY_BEAT_MAX, &out), EXAM_ERR_TOO_LARGE,
           "a long string with an escape");

    body[16000] = '"';
    body[16001] = '}';
    tap_is(beat(body, 16002, &out), EXAM_OK, "one of half that length");

    memset(body, '[', EXAM_BODY_BEAT_MAX);
    memcpy(body, "{\"x\":", 5);
    tap_is(beat(body, EXAM_BODY_BEAT_MAX, &out), EXAM_ERR_TOO_DEEP,
           "brackets");

    free(body);
}


static void
test_battery(void)
{
    char         body[128];
    size_t       i;
    exam_beat_t  out;

    static const struct {
        const char  *text;
        int          percent;
    } t[] = {
        { "0", 0 }, { "0.0", 0 }, { "0.004", 0 }, { "0.005", 1 },
        { "0.01", 1 }, { "0.29", 29 }, { "0.57", 57 }, { "0.58", 58 },
        { "0.875", 88 }, { "0.999", 100 }, { "1", 100 }, { "1.0", 100 },
        { "1e0", 100 }, { "87e-2", 87 }, { "1.4", 1 }, { "2", 2 },
        { "99.5", 100 }, { "100", 100 }, { "1e2", 100 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        snprintf(body, sizeof(body), "{\"seq\":1,\"state\":{\"battery\":%s}}",
                 t[i].text);
        tap_ok(beat(body, strlen(body), &out) == EXAM_OK
               && out.state.battery == t[i].percent, "battery %s is %d %%",
               t[i].text, t[i].percent);
    }
}


static void
test_state_json(void)
{
    char               m[EXAM_STATE_JSON_MAX], body[EXAM_STATE_JSON_MAX + 32];
    size_t             i;
    exam_buf_t         b;
    exam_beat_t        out, again;
    exam_kinds_t       four;
    exam_beat_state_t  longest;

    static const char *const  states[] = {
        "{}",
        "{\"recorder\":\"paused\"}",
        "{\"recorded\":{\"camera\":0}}",
        "{\"focus\":false}",
        "{\"battery\":5}",
        "{\"recorder\":\"recording\",\"recorded\":{\"screen\":12,"
        "\"camera\":13},\"queued_segments\":1,\"queued_bytes\":2,"
        "\"oldest_unsent_s\":3,\"focus\":true,\"battery\":100}"
    };

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        snprintf(body, sizeof(body), "{\"seq\":1,\"state\":%s}", states[i]);

        if (beat(body, strlen(body), &out) != EXAM_OK) {
            tap_ok(false, "%s is refused", body);
            continue;
        }

        exam_buf_init(&b, m, sizeof(m));
        exam_beat_state_json(&b, &out.state, &kinds);
        tap_text(m, exam_buf_len(&b), states[i], "a state, there and back");

        snprintf(body, sizeof(body), "{\"seq\":1,\"state\":%.*s}",
                 (int) exam_buf_len(&b), m);
        tap_ok(beat(body, strlen(body), &again) == EXAM_OK
               && memcmp(&again, &out, offsetof(exam_beat_t, ack)) == 0,
               "and there again");
    }

    four.n = EXAM_KINDS_MAX;
    memset(&longest, 0, sizeof(longest));
    memset(longest.recorder, 'z', EXAM_BEAT_RECORDER_MAX);
    longest.battery = 100;
    longest.queued_segments = longest.oldest_unsent_s = INT32_MAX;
    longest.queued_bytes = INT64_MAX;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        four.name[i] = exam_str("abcdefghijklmno");
        longest.recorded[i] = EXAM_SEGMENT_MAX;
    }

    exam_buf_init(&b, m, sizeof(m));
    exam_beat_state_json(&b, &longest, &four);
    tap_ok(!b.overflow, "the longest one has %d bytes",
           (int) exam_buf_len(&b));

    exam_buf_init(&b, m, 40);
    exam_beat_state_json(&b, &longest, &four);
    tap_ok(b.overflow, "a small buffer overflows");
}


static void
test_logout(void)
{
    size_t               i;
    exam_err_e           err;
    exam_logout_body_t   out;

    static const struct {
        const char  *body;
        exam_err_e   err;
        int          screen;
        int          camera;
    } t[] = {
        { "", EXAM_OK, -1, -1 },
        { "{}", EXAM_OK, -1, -1 },
        { "{\"recorded\":null}", EXAM_OK, -1, -1 },
        { "{\"recorded\":{}}", EXAM_OK, -1, -1 },
        { "{\"recorded\":{\"screen\":14,\"camera\":-1}}", EXAM_OK, 14, -1 },
        { "{\"recorded\":{\"camera\":3,\"x\":{\"screen\":9}},"
          "\"y\":{\"screen\":8}}", EXAM_OK, -1, 3 },
        { "{\"x\":{\"recorded\":{\"screen\":1}}}", EXAM_OK, -1, -1 },
        { "{\"recorded\":{\"screen\":1},\"y\":{\"screen\":\"a\"}}", EXAM_OK,
          1, -1 },
        { "{\"recorded\":[]}", EXAM_ERR_BAD_TYPE, -1, -1 },
        { "{\"recorded\":3}", EXAM_ERR_BAD_TYPE, -1, -1 },
        { "{\"recorded\":{\"screen\":\"3\"}}", EXAM_ERR_BAD_TYPE, -1, -1 },
        { "{\"recorded\":{\"screen\":{}}}", EXAM_ERR_BAD_TYPE, -1, -1 },
        { "{\"recorded\":{\"screen\":-2}}", EXAM_ERR_BAD_VALUE, -1, -1 },
        { "{\"recorded\":{\"screen\":1000000}}", EXAM_ERR_BAD_VALUE, -1, -1 },
        { "{\"recorded\":{\"screen\":0.5}}", EXAM_ERR_BAD_VALUE, -1, -1 },
        { "[]", EXAM_ERR_BAD_TYPE, -1, -1 },
        { "1", EXAM_ERR_BAD_TYPE, -1, -1 },
        { " ", EXAM_ERR_BAD_JSON, -1, -1 },
        { "{", EXAM_ERR_BAD_JSON, -1, -1 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        err = logout(t[i].body, strlen(t[i].body), &out);
        tap_ok(err == t[i].err
               && out.recorded[0] == t[i].screen
               && out.recorded[1] == t[i].camera
               && out.recorded[2] == -1, "logout '%s': %s", t[i].body,
               exam_err_info(err)->code);
    }
}
