
/*
 * exam_events: what is taken as it was sent, each member missing or wrong, the
 * limits, and hostile bodies.
 */


#include "tap.h"

#include "exam_events.h"


static exam_err_e parse(const char *body, size_t len);
static void refused(const char *event, exam_err_e want);
static void body_is(const char *body, exam_err_e want);
static void test_taken(void);
static void test_members(void);
static void test_bodies(void);
static void test_data(void);
static void test_limits(void);
static void test_hostile(void);


static _Alignas(max_align_t) uint8_t  memory[EXAM_EVENTS_ARENA(300000)];
static exam_events_t                  out;


int
main(void)
{
    test_taken();
    test_members();
    test_bodies();
    test_data();
    test_limits();
    test_hostile();

    return tap_done();
}


static exam_err_e
parse(const char *body, size_t len)
{
    void          *p;
    exam_err_e     err;
    exam_arena_t   arena;

    p = tap_exact(body, len);
    exam_arena_init(&arena, memory, EXAM_EVENTS_ARENA(len));
    memset(&out, 0xff, sizeof(exam_events_t));
    err = exam_events_parse(exam_str_make(p, len), &arena, &out);
    free(p);

    return err;
}


/* behind an event that is right */

static void
refused(const char *event, exam_err_e want)
{
    char  body[2048];

    sprintf(body, "{\"events\":[{\"id\":\"x\",\"type\":\"y\"},%s]}", event);
    tap_is(parse(body, strlen(body)), want, event);
}


static void
body_is(const char *body, exam_err_e want)
{
    tap_is(parse(body, strlen(body)), want, body);
}


static void
test_taken(void)
{
    static const char  body[] =
        "{\"more\":[{\"id\":7}],\"events\":[{\"id\":\"a.B_9-\","
        "\"type\":\"focus lost \xc3\xa4\",\"client_time\":1763650000000,"
        "\"data\":{ \"a\" : [ 1 ] },\"unknown\":{\"id\":\"z\"}} ,"
        "{\"type\":\"t\",\"id\":\"\\u0062\"}]}";

    tap_is(parse(body, sizeof(body) - 1), EXAM_OK, "two events");
    tap_is((int64_t) out.n, 2, "are two");
    tap_text(out.list[0].id.data, out.list[0].id.len, "a.B_9-", "id");
    tap_text(out.list[0].type.data, out.list[0].type.len,
             "focus lost \xc3\xa4", "type");
    tap_is(out.list[0].client_time, 1763650000000, "time");
    tap_text(out.list[0].data.data, out.list[0].data.len, "{\"a\":[1]}",
             "data without white space");
    tap_text(out.list[1].id.data, out.list[1].id.len, "b", "an escaped id");
    tap_is(out.list[1].client_time, -1, "no time");
    tap_is((int64_t) out.list[1].data.len, 0, "no data");
}


static void
test_members(void)
{
    refused("{\"type\":\"t\"}", EXAM_ERR_MISSING_MEMBER);
    refused("{\"id\":\"a\"}", EXAM_ERR_MISSING_MEMBER);
    refused("{\"id\":null,\"type\":\"t\"}", EXAM_ERR_MISSING_MEMBER);
    refused("{}", EXAM_ERR_MISSING_MEMBER);
    refused("{\"id\":1,\"type\":\"t\"}", EXAM_ERR_BAD_TYPE);
    refused("{\"id\":\"a\",\"type\":[\"t\"]}", EXAM_ERR_BAD_TYPE);
    refused("{\"id\":\"a\",\"type\":{}}", EXAM_ERR_BAD_TYPE);
    refused("{\"id\":\"\",\"type\":\"t\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a b\",\"type\":\"t\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a/b\",\"type\":\"t\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\\u0000\",\"type\":\"t\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"\xc3\xa4\",\"type\":\"t\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\",\"type\":\"\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\",\"type\":\"t\\n\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\",\"type\":\"t\\u007f\"}", EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\",\"type\":\"t\",\"client_time\":-1}",
            EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\",\"type\":\"t\",\"client_time\":1.5}",
            EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\",\"type\":\"t\",\"client_time\":9007199254740992}",
            EXAM_ERR_BAD_VALUE);
    refused("{\"id\":\"a\",\"type\":\"t\",\"client_time\":\"1\"}",
            EXAM_ERR_BAD_TYPE);
    refused("{\"id\":\"a\",\"type\":\"t\",\"client_time\":null}", EXAM_OK);
    refused("\"a\"", EXAM_ERR_BAD_TYPE);
    refused("[]", EXAM_ERR_BAD_TYPE);
    refused("null", EXAM_ERR_BAD_TYPE);
    refused("{\"id\":\"a\",\"type\":\"t\"", EXAM_ERR_BAD_JSON);
    refused("{\"id\":\"a\",\"type\":\"\xff\"}", EXAM_ERR_BAD_UTF8);
}


static void
test_bodies(void)
{
    body_is("{\"events\":[]}", EXAM_OK);
    tap_is((int64_t) out.n, 0, "none");
    body_is("{}", EXAM_ERR_MISSING_MEMBER);
    body_is("{\"events\":null}", EXAM_ERR_MISSING_MEMBER);
    body_is("{\"events\":{}}", EXAM_ERR_BAD_TYPE);
    body_is("{\"events\":1}", EXAM_ERR_BAD_TYPE);
    body_is("[]", EXAM_ERR_BAD_TYPE);
    body_is("", EXAM_ERR_BAD_JSON);
    body_is("{\"events\":[]}x", EXAM_ERR_BAD_JSON);
    body_is("{\"events\":[{\"id\":\"a\",\"type\":\"t\"}],"
            "\"events\":[{\"id\":\"b\",\"type\":\"t\"}]}", EXAM_OK);
    tap_is((int64_t) out.n, 1, "the last list counts");
    tap_text(out.list[0].id.data, out.list[0].id.len, "b", "its event");
    body_is("{\"other\":[1,[2]],\"events\":[],\"others\":[[3]]}", EXAM_OK);
}


static void
test_data(void)
{
    size_t  i;
    char    body[512], name[256];

    static const char *const  values[][2] = {
        { "true", "true" }, { " -1.50e+400 ", "-1.50e+400" },
        { "18446744073709551616", "18446744073709551616" },
        { "\"\\u0000 \\\" \\/\"", "\"\\u0000 \\\" \\/\"" },
        { "[ [ ] , { } ]", "[[],{}]" }, { "null", "" },
        { "1,\"data\":[2]", "[2]" }, { "[1],\"data\":2", "2" },
        { "[1],\"data\":null", "" }, { "[1],\"x\":[2],\"y\":{}", "[1]" },
        { "\"a\",\"x\":[2]", "\"a\"" },
        { "{\"data\":{\"id\":\"\",\"data\":1}}",
          "{\"data\":{\"id\":\"\",\"data\":1}}" },
        { "[[[[[1]]]]]", "[[[[[1]]]]]" }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        sprintf(body, "{\"events\":[{\"id\":\"a\",\"data\":%s,"
                "\"type\":\"t\"}]}", values[i][0]);
        sprintf(name, "data %s", values[i][0]);

        tap_is(parse(body, strlen(body)), EXAM_OK, name);
        tap_text(out.list[0].data.data, out.list[0].data.len, values[i][1],
                 "is kept");
    }

    body_is("{\"events\":[{\"id\":\"a\",\"type\":\"t\","
            "\"data\":[[[[[[1]]]]]]}]}", EXAM_ERR_TOO_DEEP);
    body_is("{\"events\":[{\"id\":\"a\",\"type\":\"t\",\"data\":[1}]}",
            EXAM_ERR_BAD_JSON);
}


static void
test_limits(void)
{
    int     i, n;
    char    body[EXAM_EVENTS_BODY_MAX], *p;

    /* 64 bytes of id and type */

    for (n = 64; n <= 65; n++) {
        p = body + sprintf(body, "{\"events\":[{\"id\":\"%0*d\","
                           "\"type\":\"t\"}]}", n, 0);
        tap_is(parse(body, (size_t) (p - body)),
               n == 64 ? EXAM_OK : EXAM_ERR_BAD_VALUE, "length of an id");

        p = body + sprintf(body, "{\"events\":[{\"id\":\"a\","
                           "\"type\":\"%0*d\"}]}", n, 0);
        tap_is(parse(body, (size_t) (p - body)),
               n == 64 ? EXAM_OK : EXAM_ERR_BAD_VALUE, "length of a type");
    }

    /* 4096 bytes of an event, with its white space */

    for (n = 4096; n <= 4097; n++) {
        p = body + sprintf(body, "{\"events\":[ {\"id\":\"a\","
                           "\"type\":\"t\",\"data\":\"%0*d\" } ]}",
                           n - 32, 0);
        tap_is(parse(body, (size_t) (p - body)),
               n == 4096 ? EXAM_OK : EXAM_ERR_TOO_LARGE, "size of an event");
    }

    /* 50 of them, as large as they may be */

    for (n = 50; n <= 51; n++) {
        p = body + sprintf(body, "{\"events\":[");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s{\"id\":\"e%02d\",\"type\":\"t\","
                         "\"data\":\"%0*d\"}", i ? "," : "", i, 4060, 0);
        }

        p += sprintf(p, "]}");
        tap_is(parse(body, (size_t) (p - body)),
               n == 50 ? EXAM_OK : EXAM_ERR_BAD_VALUE, "number of events");
    }
}


/* whatever is changed in a body: an answer, no read beyond its end */

static void
test_hostile(void)
{
    int       i, j, taken;
    char      body[256];
    size_t    len;
    uint32_t  e;

    static const char  right[] =
        "{\"events\":[{\"id\":\"a\",\"type\":\"t\",\"client_time\":1,"
        "\"data\":{\"x\":[1,\"y\\\"\"]}},{\"id\":\"b\",\"type\":\"u\"}]}";

    taken = 0;

    for (i = 0; i < 20000; i++) {
        memcpy(body, right, sizeof(right));
        len = sizeof(right) - 1;

        for (j = 0; j < 3; j++) {
            body[tap_random() % len] =
                "{}[]\":,\\ \0a1nt\xc3\x80"[tap_random() % 17];
        }

        if (tap_random() % 4 == 0) {
            len = tap_random() % len;
        }

        if (parse(body, len) != EXAM_OK) {
            continue;
        }

        taken++;

        for (e = 0; e < out.n; e++) {
            if (!exam_event_id(out.list[e].id)
                || out.list[e].data.len > EXAM_EVENTS_EVENT_MAX)
            {
                tap_ok(0, "what is taken is right");
            }
        }
    }

    tap_ok(taken > 0 && taken < 20000, "some of 20000 mutants are taken");
}
