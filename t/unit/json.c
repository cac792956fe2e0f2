
/*
 * exam_json: what yajl is given and what it lets pass, the arena at its end,
 * depth, numbers, UTF-8 behind escapes, and tables of members.
 */


#include "tap.h"

#include "exam_json.h"

#include <math.h>


#define MEMORY  8192


typedef struct {
    exam_buf_t   b;                 /* the values as text */
    exam_err_e   stop;              /* answered to a string "stop" */
    double       number;
} trace_t;


static exam_err_e trace(void *data, const exam_json_value_t *v);
static exam_err_e parse(const char *body, size_t len, size_t memory,
    trace_t *t, char *out, size_t size);
static void events(const char *body, const char *want);
static void refused(const char *body, size_t len, exam_err_e want);
static void test_events(void);
static void test_errors(void);
static void test_depth(void);
static void test_utf8(void);
static void test_numbers(void);
static void test_keys(void);
static void test_arena(void);
static void test_memory(void);
static void test_stop(void);
static void test_take(void);
static exam_err_e spans(void *data, const exam_json_value_t *v);
static void test_text(void);
static void test_compact(void);


#define bad(s, e)  refused(s, sizeof(s) - 1, e)


int
main(void)
{
    test_events();
    test_errors();
    test_depth();
    test_utf8();
    test_numbers();
    test_keys();
    test_arena();
    test_memory();
    test_stop();
    test_take();
    test_text();
    test_compact();

    return tap_done();
}


static exam_err_e
trace(void *data, const exam_json_value_t *v)
{
    trace_t  *t = data;

    static const char  letters[] = "zbinso/a/";

    exam_buf_int(&t->b, v->depth);
    exam_buf_char(&t->b, letters[v->type]);

    if (v->type == EXAM_JSON_END_OBJECT) {
        exam_buf_char(&t->b, '}');

    } else if (v->type == EXAM_JSON_END_ARRAY) {
        exam_buf_char(&t->b, ']');
    }

    if (v->key.len != 0) {
        exam_buf_put(&t->b, v->key.data, v->key.len);
        exam_buf_char(&t->b, '=');
    }

    switch (v->type) {

    case EXAM_JSON_BOOL:
        exam_buf_int(&t->b, v->boolean);
        break;

    case EXAM_JSON_INT:
        exam_buf_int(&t->b, v->integer);
        t->number = v->number;
        break;

    case EXAM_JSON_NUMBER:
        t->number = v->number;
        break;

    case EXAM_JSON_STRING:
        exam_buf_put(&t->b, v->string.data, v->string.len);

        if (exam_str_eq(v->string, exam_str("stop"))) {
            return t->stop;
        }

        break;

    default:
        break;
    }

    exam_buf_char(&t->b, ' ');

    return EXAM_OK;
}


static exam_err_e
parse(const char *body, size_t len, size_t memory, trace_t *t, char *out,
    size_t size)
{
    void          *m, *copy;
    exam_err_e     err;
    exam_arena_t   arena;

    m = malloc(memory == 0 ? 1 : memory);
    copy = tap_exact(body, len);

    t->stop = EXAM_OK;
    t->number = -1;
    exam_buf_init(&t->b, out, size);
    exam_arena_init(&arena, m, memory);

    err = exam_json_parse(exam_str_make(copy, len), &arena, trace, t);

    free(m);
    free(copy);

    return err;
}


static void
events(const char *body, const char *want)
{
    char        out[512];
    trace_t     t;
    exam_err_e  err;

    err = parse(body, strlen(body), MEMORY, &t, out, sizeof(out));

    if (err != EXAM_OK) {
        tap_ok(false, "%s: %s", body, exam_err_info(err)->code);
        return;
    }

    tap_text(out, exam_buf_len(&t.b), want, body);
}


static void
refused(const char *body, size_t len, exam_err_e want)
{
    char        out[4096];
    size_t      i;
    trace_t     t;
    exam_err_e  err;

    err = parse(body, len, MEMORY, &t, out, sizeof(out));

    for (i = 0; i < len && i < 60; i++) {
        out[i] = (body[i] < 0x20 || body[i] > 0x7e || body[i] == '#')
                 ? '?' : body[i];
    }

    tap_ok(err == want, "%.*s: %s", (int) i, out, exam_err_info(err)->code);
}


static void
test_events(void)
{
    events("17", "0i17 ");
    events(" \"a\" ", "0sa ");
    events("null", "0z ");
    events("{}", "0o 0/} ");
    events("[]", "0a 0/] ");
    events("{\"a\":1,\"b\":[true,false,null,\"x\"],\"c\":{\"d\":\"\"}}",
           "0o 1ia=1 1ab= 2b1 2b0 2z 2sx 1/] 1oc= 2sd= 1/} 0/} ");
    events("\t\r\n{ \"a\" :\n1 , \"a\" : 2 } ", "0o 1ia=1 1ia=2 0/} ");
    events("{\"\":1}", "0o 1i1 0/} ");
    events("[\"\\u0041\\n\\\"\\\\\\/\\b\\f\\t\\r\"]",
           "0a 1sA\n\"\\/\b\f\t\r 0/] ");
    events("[\"\\u5f20 \\ud83c\\udf93 \xe5\xbc\xa0\"]",
           "0a 1s\xe5\xbc\xa0 \xf0\x9f\x8e\x93 \xe5\xbc\xa0 0/] ");
}


static void
test_errors(void)
{
    bad("", EXAM_ERR_BAD_JSON);
    bad(" ", EXAM_ERR_BAD_JSON);
    bad("{", EXAM_ERR_BAD_JSON);
    bad("}", EXAM_ERR_BAD_JSON);
    bad("{\"a\"", EXAM_ERR_BAD_JSON);
    bad("{\"a\":", EXAM_ERR_BAD_JSON);
    bad("{\"a\":1", EXAM_ERR_BAD_JSON);
    bad("{\"a\":1,", EXAM_ERR_BAD_JSON);
    bad("{\"a\":1,}", EXAM_ERR_BAD_JSON);
    bad("{,}", EXAM_ERR_BAD_JSON);
    bad("[1,]", EXAM_ERR_BAD_JSON);
    bad("[1 2]", EXAM_ERR_BAD_JSON);
    bad("[1}", EXAM_ERR_BAD_JSON);
    bad("{1:2}", EXAM_ERR_BAD_JSON);
    bad("{'a':1}", EXAM_ERR_BAD_JSON);
    bad("{a:1}", EXAM_ERR_BAD_JSON);
    bad("{\"a\" 1}", EXAM_ERR_BAD_JSON);
    bad("{} {}", EXAM_ERR_BAD_JSON);
    bad("{}x", EXAM_ERR_BAD_JSON);
    bad("{}\0", EXAM_ERR_BAD_JSON);
    bad("1 2", EXAM_ERR_BAD_JSON);
    bad("tru", EXAM_ERR_BAD_JSON);
    bad("True", EXAM_ERR_BAD_JSON);
    bad("nul", EXAM_ERR_BAD_JSON);
    bad("NaN", EXAM_ERR_BAD_JSON);
    bad("Infinity", EXAM_ERR_BAD_JSON);
    bad("01", EXAM_ERR_BAD_JSON);
    bad("-", EXAM_ERR_BAD_JSON);
    bad("+1", EXAM_ERR_BAD_JSON);
    bad(".5", EXAM_ERR_BAD_JSON);
    bad("1.", EXAM_ERR_BAD_JSON);
    bad("1e", EXAM_ERR_BAD_JSON);
    bad("0x10", EXAM_ERR_BAD_JSON);
    bad("\"a", EXAM_ERR_BAD_JSON);
    bad("\"a\n\"", EXAM_ERR_BAD_JSON);
    bad("\"\0\"", EXAM_ERR_BAD_JSON);
    bad("\"\\x41\"", EXAM_ERR_BAD_JSON);
    bad("\"\\u12g4\"", EXAM_ERR_BAD_JSON);
    bad("\"\\u12", EXAM_ERR_BAD_JSON);
    bad("\"\\", EXAM_ERR_BAD_JSON);
    bad("{} // c", EXAM_ERR_BAD_JSON);
    bad("/* c */ {}", EXAM_ERR_BAD_JSON);
    bad("\xef\xbb\xbf{}", EXAM_ERR_BAD_JSON);
    bad("\0", EXAM_ERR_BAD_JSON);
}


static void
test_depth(void)
{
    int      i;
    char     m[5000], out[4096];
    trace_t  t;

    events("[[[[[[[[1]]]]]]]]",
           "0a 1a 2a 3a 4a 5a 6a 7a 8i1 "
           "7/] 6/] 5/] 4/] 3/] 2/] 1/] 0/] ");
    bad("[[[[[[[[[]]]]]]]]]", EXAM_ERR_TOO_DEEP);
    bad("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}",
        EXAM_ERR_TOO_DEEP);
    bad("[[[[[[[[{", EXAM_ERR_TOO_DEEP);

    /* breadth is no depth */

    events("[[[]],[[]],[[]],[[]],[[]]]",
           "0a 1a 2a 2/] 1/] 1a 2a 2/] 1/] 1a 2a 2/] 1/] 1a 2a 2/] 1/] "
           "1a 2a 2/] 1/] 0/] ");

    for (i = 0; i < 5000; i++) {
        m[i] = '[';
    }

    tap_is(parse(m, sizeof(m), MEMORY, &t, out, sizeof(out)),
           EXAM_ERR_TOO_DEEP, "five thousand brackets");
}


static void
test_utf8(void)
{
    bad("\"\xff\"", EXAM_ERR_BAD_UTF8);
    bad("\"\xc0\x80\"", EXAM_ERR_BAD_UTF8);
    bad("\"\xed\xa0\x80\"", EXAM_ERR_BAD_UTF8);
    bad("{\"\xe4\":1}", EXAM_ERR_BAD_UTF8);
    bad("{} \xe4", EXAM_ERR_BAD_UTF8);
    bad("\xff\xfe{\0}\0", EXAM_ERR_BAD_UTF8);

    /* half a pair: the low one is refused, for the high one stands a "?" */

    bad("\"\\udc00\"", EXAM_ERR_BAD_UTF8);
    bad("{\"\\udfff\":1}", EXAM_ERR_BAD_UTF8);
    events("[\"\\ud800\"]", "0a 1s? 0/] ");
    events("[\"\\ud800x\"]", "0a 1s?x 0/] ");
}


static void
test_numbers(void)
{
    char     out[64];
    size_t   i;
    trace_t  t;

    static const struct {
        const char  *text;
        const char  *want;          /* as an event; 0n: not an integer */
        double       number;
    } n[] = {
        { "0", "0i0 ", 0 },
        { "-0", "0i0 ", 0 },
        { "-1", "0i-1 ", -1 },
        { "9007199254740991", "0i9007199254740991 ", 9007199254740991.0 },
        { "9223372036854775807", "0i9223372036854775807 ",
          9223372036854775807.0 },
        { "-9223372036854775807", "0i-9223372036854775807 ",
          -9223372036854775807.0 },
        { "9223372036854775808", "0n ", 9223372036854775808.0 },
        { "1.0", "0n ", 1 },
        { "0.87", "0n ", 0.87 },
        { "-0.5", "0n ", -0.5 },
        { "1e3", "0n ", 1000 },
        { "1E+3", "0n ", 1000 },
        { "25e-2", "0n ", 0.25 },
        { "0.000001", "0n ", 0.000001 },
        { "123456789.125", "0n ", 123456789.125 },
        { "1e22", "0n ", 1e22 },
        { "1e23", "0n ", 1e23 },
        { "1e-23", "0n ", 1e-23 },
        { "0e999999999999", "0n ", 0 },
        { "0.0", "0n ", 0 },
        { "1e-999", "0n ", 0 },
        { "100000000000000000000000000000", "0n ", 1e29 },
        { "0.10000000000000000000000000000", "0n ", 0.1 },
        { "3.1415926535897932384626433832795", "0n ", 3.14159265358979323846 }
    };

    for (i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
        bool  ok = parse(n[i].text, strlen(n[i].text), MEMORY, &t, out,
                         sizeof(out)) == EXAM_OK
                   && exam_buf_len(&t.b) == strlen(n[i].want)
                   && memcmp(out, n[i].want, strlen(n[i].want)) == 0;

        tap_ok(ok && fabs(t.number - n[i].number)
                     <= fabs(n[i].number) * 1e-15, "number %s", n[i].text);
    }

    tap_ok(parse("1e400", 5, MEMORY, &t, out, sizeof(out)) == EXAM_OK
           && isinf(t.number) && t.number > 0, "number 1e400 is infinite");
    tap_ok(parse("-1e99999999", 11, MEMORY, &t, out, sizeof(out)) == EXAM_OK
           && isinf(t.number) && t.number < 0,
           "number -1e99999999 is infinite");
}


/* yajl has one buffer for what it unescapes: key and value must not meet */

static void
test_keys(void)
{
    char         body[256], out[512], want[256];
    trace_t      t;
    exam_err_e   err;

    events("{\"k\\u0061\":\"v\\u0061\"}", "0o 1ska=va 0/} ");
    events("{\"k\\u0061\":{\"x\\u0061\":\"v\\u0061\"}}",
           "0o 1oka= 2sxa=va 1/} 0/} ");
    events("{\"a\":{\"b\":1},\"c\":[{\"d\":2}]}",
           "0o 1oa= 2ib=1 1/} 1ac= 2o 3id=2 2/} 1/] 0/} ");

    /* 70 characters, one of them escaped, and 70 without */

    snprintf(body, sizeof(body), "{\"\\u006b%069d\":1,\"k%069d\":2}", 0, 0);
    snprintf(want, sizeof(want), "0o 1ik%063d=1 1ik%069d=2 0/} ", 0, 0);

    err = parse(body, strlen(body), MEMORY, &t, out, sizeof(out));
    tap_is(err, EXAM_OK, "long keys are no error");
    tap_text(out, exam_buf_len(&t.b), want, "an escaped one is cut");
}


static void
test_arena(void)
{
    size_t         i;
    uint8_t       *m, *p;
    exam_arena_t   a;

    m = malloc(100);
    exam_arena_init(&a, m, 100);

    p = exam_arena_alloc(&a, 1);
    tap_ok(p != NULL && (uintptr_t) p % _Alignof(max_align_t) == 0,
           "aligned");
    p = exam_arena_alloc(&a, 1);
    tap_ok(p != NULL && (uintptr_t) p % _Alignof(max_align_t) == 0,
           "aligned again");

    i = (size_t) (a.end - a.pos);
    tap_ok(exam_arena_alloc(&a, i + 1) == NULL, "more than there is");
    tap_ok(exam_arena_alloc(&a, SIZE_MAX) == NULL, "much more");

    /* the gap before the next aligned byte is a part of the price */

    i = (size_t) (a.end - a.pos) & ~(_Alignof(max_align_t) - 1);
    p = exam_arena_alloc(&a, (size_t) (a.end - (p + _Alignof(max_align_t))));
    tap_ok(p != NULL && a.pos == a.end, "all that is left");
    tap_ok(exam_arena_alloc(&a, 1) == NULL, "one byte more");

    exam_arena_init(&a, m + 1, 3);
    tap_ok(exam_arena_alloc(&a, 1) == NULL, "the gap does not fit");
    tap_ok(exam_arena_alloc(&a, 0) == NULL, "not even for nothing");

    free(m);
}


/* a body that needs more than the arena has is refused, wherever it ends */

static void
test_memory(void)
{
    char     body[3000], out[4096];
    bool     all, some;
    size_t   i;
    trace_t  t;

    memset(body, 'x', sizeof(body));
    memcpy(body, "[\"\\n", 4);
    memcpy(body + sizeof(body) - 2, "\"]", 2);

    all = true;
    some = false;

    for (i = 0; i < MEMORY; i += 7) {
        exam_err_e  err = parse(body, sizeof(body), i, &t, out, sizeof(out));

        all = all && (err == EXAM_OK || err == EXAM_ERR_TOO_LARGE);
        all = all && !(some && err != EXAM_OK);
        some = some || err == EXAM_OK;
    }

    tap_ok(all && some, "any size of the arena: too_large, or parsed");

    /* yajl: about 0.5 KB; 2 KB, then 4 KB in the same place; 2 KB at the end */

    tap_is(parse(body, sizeof(body), 7 * 1024, &t, out, sizeof(out)),
           EXAM_OK, "the buffer that grows is not kept twice");

    /* an unfinished string goes to the lexer's buffer */

    tap_is(parse(body, sizeof(body) - 2, 2048, &t, out, sizeof(out)),
           EXAM_ERR_TOO_LARGE, "an unfinished string, little memory");
    tap_is(parse(body, sizeof(body) - 2, MEMORY, &t, out, sizeof(out)),
           EXAM_ERR_BAD_JSON, "an unfinished string");
}


static void
test_stop(void)
{
    char          out[64];
    uint8_t       m[MEMORY];
    trace_t       t;
    exam_arena_t  arena;

    memset(&t, 0, sizeof(t));
    exam_buf_init(&t.b, out, sizeof(out));
    exam_arena_init(&arena, m, sizeof(m));
    t.stop = EXAM_ERR_QUOTA;

    tap_is(exam_json_parse(exam_str("[1,\"stop\",2]"), &arena, trace, &t),
           EXAM_ERR_QUOTA, "the callback's error is the result");
    tap_text(out, exam_buf_len(&t.b), "0a 1i1 1sstop",
             "and nothing comes after it");
}


static void
test_take(void)
{
    uint32_t       given;
    exam_arena_t   arena;
    _Alignas(max_align_t) uint8_t  m[64];

    struct {
        int64_t     i;
        int64_t     b;
        double      n;
        exam_str_t  s;
    } out;

    const exam_json_member_t  table[] = {
        { exam_str("i"), EXAM_JSON_INT, 0, -5, 5, false },
        { exam_str("b"), EXAM_JSON_BOOL, 8, 0, 1, true },
        { exam_str("n"), EXAM_JSON_NUMBER, 16, 0, 100, false },
        { exam_str("s"), EXAM_JSON_STRING, 24, 1, 40, false }
    };

#define take(...)                                                             \
    exam_json_take(table, 4, &(exam_json_value_t) { __VA_ARGS__ }, &arena,    \
                   &out, &given)
#define I(k, v)  .type = EXAM_JSON_INT, .key = exam_str(k), .integer = v,     \
                 .number = v
#define N(k, v)  .type = EXAM_JSON_NUMBER, .key = exam_str(k), .number = v
#define S(k, v)  .type = EXAM_JSON_STRING, .key = exam_str(k),                \
                 .string = exam_str(v)
#define B(k, v)  .type = EXAM_JSON_BOOL, .key = exam_str(k), .boolean = v
#define Z(k)     .type = EXAM_JSON_NULL, .key = exam_str(k)
#define O(k)     .type = EXAM_JSON_BEGIN_OBJECT, .key = exam_str(k)

    memset(&out, 0, sizeof(out));
    exam_arena_init(&arena, m, sizeof(m));
    given = 0;

    tap_is(take(I("x", 1)), EXAM_OK, "an unknown member");
    tap_is(take(O("x")), EXAM_OK, "an unknown object");
    tap_is(take(Z("i")), EXAM_OK, "null");
    tap_is(given, 0, "none of them counts");

    tap_ok(take(I("i", 5)) == EXAM_OK && out.i == 5 && given == 1, "max");
    tap_ok(take(I("i", -5)) == EXAM_OK && out.i == -5, "min");
    tap_is(take(I("i", 6)), EXAM_ERR_BAD_VALUE, "over max");
    tap_is(take(I("i", -6)), EXAM_ERR_BAD_VALUE, "below min");
    tap_is(take(N("i", 1.5)), EXAM_ERR_BAD_VALUE, "a fraction for an integer");
    tap_is(take(S("i", "1")), EXAM_ERR_BAD_TYPE, "a string for an integer");
    tap_is(take(B("i", true)), EXAM_ERR_BAD_TYPE, "a boolean for an integer");
    tap_is(take(O("i")), EXAM_ERR_BAD_TYPE, "an object for an integer");

    given = 0;
    tap_ok(take(Z("b")) == EXAM_OK && given == 2,
           "null where it may stand is given");
    tap_ok(take(B("b", true)) == EXAM_OK && out.b == 1, "true");
    tap_ok(take(B("b", false)) == EXAM_OK && out.b == 0, "false");
    tap_is(take(I("b", 1)), EXAM_ERR_BAD_TYPE, "1 is not true");

    tap_ok(take(N("n", 0.25)) == EXAM_OK && out.n == 0.25, "a number");
    tap_ok(take(I("n", 100)) == EXAM_OK && out.n == 100, "an integer is one");
    tap_is(take(I("n", 101)), EXAM_ERR_BAD_VALUE, "over max");
    tap_is(take(N("n", -0.01)), EXAM_ERR_BAD_VALUE, "below min");
    tap_is(take(N("n", HUGE_VAL)), EXAM_ERR_BAD_VALUE, "infinite");

    tap_ok(take(S("s", "ab")) == EXAM_OK
           && exam_str_eq(out.s, exam_str("ab"))
           && out.s.data == m, "a string lies in the arena");
    tap_is(take(S("s", "")), EXAM_ERR_BAD_VALUE, "too short");
    tap_is(take(S("s", "12345678901234567890123456789012345678901")),
           EXAM_ERR_BAD_VALUE, "too long");
    tap_is(take(S("s", "1234567890123456789012345678901234567890")),
           EXAM_OK, "as long as it may be");
    tap_is(take(S("s", "1234567890")), EXAM_ERR_TOO_LARGE,
           "the arena is used up");

#undef take
#undef I
#undef N
#undef S
#undef B
#undef Z
#undef O
}


static exam_err_e
spans(void *data, const exam_json_value_t *v)
{
    exam_buf_t  *b = data;

    exam_buf_put(b, v->text.data, v->text.len);
    exam_buf_char(b, ' ');

    return EXAM_OK;
}


static void
test_text(void)
{
    char          out[256];
    void         *body;
    size_t        i;
    exam_buf_t    b;
    exam_arena_t  arena;

    static _Alignas(max_align_t) uint8_t  memory[MEMORY];

    static const struct {
        const char  *body;
        const char  *want;
    } bodies[] = {
        { " { \"a\" : 1.50e+1 ,\t\"\\u0062\":\"x\\n, :\"}\n",
          "{ 1.50e+1 \"x\\n, :\" } " },
        { "[ [ ] ,{\"a\":{}},true , false\v,null]",
          "[ [ ] { { } } true false null ] " },
        { "  -17", "-17 " },
        { "0", "0 " },
        { " \"\\\"\" ", "\"\\\"\" " }
    };

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        exam_arena_init(&arena, memory, sizeof(memory));
        exam_buf_init(&b, out, sizeof(out));

        body = tap_exact(bodies[i].body, strlen(bodies[i].body));
        tap_is(exam_json_parse(exam_str_make(body, strlen(bodies[i].body)),
                               &arena, spans, &b),
               EXAM_OK, "a body");
        free(body);

        tap_text(b.start, exam_buf_len(&b), bodies[i].want,
                 "where its values stand");
    }
}


static void
test_compact(void)
{
    char        out[256];
    size_t      i;
    exam_buf_t  b;

    static const char *const  texts[][2] = {
        { "{ \"a b\" : [ 1 , \"\\\" \\\\\" ] ,\r\n\t\"c\":{ } }",
          "{\"a b\":[1,\"\\\" \\\\\"],\"c\":{}}" },
        { "1.0", "1.0" },
        { " null ", "null" },
        { "\"\\\\\"  ", "\"\\\\\"" },
        { "", "" }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        exam_buf_init(&b, out, sizeof(out));
        exam_json_compact(&b, exam_str_make(texts[i][0],
                                            strlen(texts[i][0])));
        tap_text(b.start, exam_buf_len(&b), texts[i][1], "without white space");
    }
}
