
/*
 * exam_journal and exam_crc32c: the vectors of RFC 3720, each type there and
 * back, each member missing or wrong in turn, lines that are torn, changed, too
 * long or written by something else, and the names of files.
 */


#include "tap.h"

#include "exam_crc32c.h"
#include "exam_journal.h"


#define HEX32  "0123456789abcdef0123456789abcdef"
#define SHA    HEX32 HEX32

#define WHO                                                                   \
    "\"node\":\"n1\",\"exam\":\"30\",\"student\":\"S001\","                    \
    "\"session\":\"" HEX32 "\",\"gen\":1763650000000"


static exam_err_e parse(const char *line, size_t len, exam_record_t *r);
static size_t line_of(char *line, const char *json);
static exam_err_e parse_json(const char *json, exam_record_t *r);
static void example(exam_record_t *r, exam_record_e type);
static void cut(const char *json, const char *name, exam_err_e want);
static void test_crc(void);
static void test_there_and_back(void);
static void test_missing(void);
static void test_values(void);
static void test_torn(void);
static void test_hostile(void);
static void test_data(void);
static void test_length(void);
static void test_names(void);


static _Alignas(max_align_t) uint8_t  memory[65536];


/* in the order of exam_record_e: what example() makes */

static const char *const  lines[] = {
    "{\"type\":\"login\",\"at\":1763650000001," WHO ","
    "\"ip\":\"192.0.2.7\",\"login_at\":1763650000000}",
    "{\"type\":\"end\",\"at\":1763650000001," WHO ","
    "\"login_at\":1763650000000,\"ended\":\"replaced\"}",
    "{\"type\":\"presence\",\"at\":1763650000001," WHO ","
    "\"from\":1763650000100,\"to\":1763650090100,\"gap_ms\":60000,"
    "\"seq\":9007199254740991}",
    "{\"type\":\"gap\",\"at\":1763650000001," WHO ","
    "\"from\":1763650000100,\"to\":1763650090100,\"cause\":\"client\","
    "\"missed\":2}",
    "{\"type\":\"outage\",\"at\":1763650000001,\"node\":\"n1\","
    "\"what\":\"redis\",\"from\":1763650000100,\"to\":1763650090100}",
    "{\"type\":\"sent\",\"at\":1763650000001," WHO ",\"command\":17}",
    "{\"type\":\"ack\",\"at\":1763650000001," WHO ",\"command\":17}",
    "{\"type\":\"event\",\"at\":1763650000001," WHO ",\"id\":\"e-1\","
    "\"name\":\"tab \\\"hidden\\\"\",\"client_time\":1763650000002,"
    "\"offset_ms\":-35,\"data\":{\"a\":[1,{\"b\":\"}\"}],\"data\":null}}",
    "{\"type\":\"receipt\",\"at\":1763650000001," WHO ","
    "\"upload\":\"n1-" HEX32 "\",\"kind\":\"screen\",\"n\":999999,"
    "\"bytes\":20000000,\"sha256\":\"" SHA "\"}",
    "{\"type\":\"lost\",\"at\":1763650000001," WHO ",\"kind\":\"camera\","
    "\"n\":0,\"reason\":\"disk \\\\ full\\n\\u0001\"}"
};


int
main(void)
{
    test_crc();
    test_there_and_back();
    test_missing();
    test_values();
    test_torn();
    test_hostile();
    test_data();
    test_length();
    test_names();

    return tap_done();
}


static exam_err_e
parse(const char *line, size_t len, exam_record_t *r)
{
    void          *p;
    exam_err_e     err;
    exam_arena_t   arena;

    p = tap_exact(line, len);
    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_record_parse(exam_str_make(p, len), &arena, r);
    free(p);

    return err;
}


/* with a right CRC */

static size_t
line_of(char *line, const char *json)
{
    return (size_t) sprintf(line, "%08x %s",
                            exam_crc32c(0, json, strlen(json)), json);
}


static exam_err_e
parse_json(const char *json, exam_record_t *r)
{
    char    line[16384];
    size_t  len;

    len = line_of(line, json);

    return parse(line, len, r);
}


static void
example(exam_record_t *r, exam_record_e type)
{
    memset(r, 0, sizeof(exam_record_t));

    r->type = type;
    r->at = 1763650000001;
    r->node = exam_str("n1");
    r->exam = exam_str("30");
    r->student = exam_str("S001");
    exam_hex_decode((const uint8_t *) HEX32, 32, r->sid, EXAM_SID_LEN);
    r->gen = 1763650000000;
    r->ip = exam_str("192.0.2.7");
    r->login_at = 1763650000000;
    r->ended = EXAM_ENDED_REPLACED;
    r->from = 1763650000100;
    r->to = 1763650090100;
    r->gap_ms = 60000;
    r->seq = 9007199254740991u;
    r->cause = EXAM_CAUSE_CLIENT;
    r->missed = 2;
    r->what = exam_str("redis");
    r->command = 17;
    r->event = exam_str("e-1");
    r->name = exam_str("tab \"hidden\"");
    r->client_time = 1763650000002;
    r->offset_ms = -35;
    r->has_offset = true;
    r->data = exam_str("{\"a\":[1,{\"b\":\"}\"}],\"data\":null}");
    r->upload = exam_str("n1-" HEX32);
    r->kind = exam_str("screen");
    r->n = 999999;
    r->bytes = 20000000;
    exam_hex_decode((const uint8_t *) SHA, 64, r->sha256, EXAM_HASH_LEN);

    if (type == EXAM_RECORD_LOST) {
        r->kind = exam_str("camera");
        r->n = 0;
        r->reason = exam_str("disk \\ full\n\001");
    }
}


static void
test_crc(void)
{
    size_t    i;
    uint8_t   data[64];
    uint32_t  crc, table;

    /* RFC 3720 appendix B.4, bytes of the CRC in the order of a number */

    static const uint8_t  command[48] = {
        0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
        0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0
    };

    memset(data, 0, 32);
    tap_is(exam_crc32c(0, data, 32), 0x8a9136aa, "32 bytes of zeros");

    memset(data, 0xff, 32);
    tap_is(exam_crc32c(0, data, 32), 0x62a8ab43, "32 bytes of ones");

    for (i = 0; i < 32; i++) {
        data[i] = (uint8_t) i;
    }

    tap_is(exam_crc32c(0, data, 32), 0x46dd794e, "32 bytes incrementing");
    tap_is(exam_crc32c(exam_crc32c(0, data, 13), data + 13, 19), 0x46dd794e,
           "the same in two pieces");

    for (i = 0; i < 32; i++) {
        data[i] = (uint8_t) (31 - i);
    }

    tap_is(exam_crc32c(0, data, 32), 0x113fdb5c, "32 bytes decrementing");
    tap_is(exam_crc32c(0, command, 48), 0xd9963a56, "an iSCSI read command");
    tap_is(exam_crc32c(0, "123456789", 9), 0xe3069283, "the usual check");
    tap_is(exam_crc32c(7, NULL, 0), 7, "nothing changes nothing");

    /* each entry of the table, through a byte that selects it */

    for (i = 0; i < 256; i++) {
        data[0] = (uint8_t) i;
        table = (uint32_t) i ^ 0xff;

        for (crc = 0; crc < 8; crc++) {
            table = (table >> 1) ^ ((table & 1) ? 0x82f63b78u : 0);
        }

        if (exam_crc32c(0, data, 1) != ~(table ^ 0x00ffffffu)
            || exam_crc32c_bytes(0, data, 1) != ~(table ^ 0x00ffffffu))
        {
            break;
        }
    }

    tap_is((int64_t) i, 256, "each byte alone");

    /* the instruction takes eight at a time, from anywhere */

    for (i = 0; i < 512; i++) {
        data[i % 64] = (uint8_t) (i * 151 + i / 7);

        if (exam_crc32c((uint32_t) i, data + i % 9, i % 55)
            != exam_crc32c_bytes((uint32_t) i, data + i % 9, i % 55))
        {
            break;
        }
    }

    tap_is((int64_t) i, 512, "with the processor's help and without");
}


static void
test_there_and_back(void)
{
    int            type;
    char           want[16384], line[EXAM_RECORD_MAX], name[64];
    size_t         len, before;
    exam_buf_t     b;
    exam_record_t  r, back;

    for (type = 0; type < EXAM_RECORD_TYPES; type++) {
        sprintf(name, "%s is written", exam_record_name((exam_record_e) type));

        len = line_of(want, lines[type]);
        example(&r, (exam_record_e) type);

        exam_buf_init(&b, line, sizeof(line));
        exam_record_format(&b, &r);

        strcpy(want + len, "\n");
        tap_text(b.start, exam_buf_len(&b), want, name);

        sprintf(name, "%s is read", exam_record_name((exam_record_e) type));
        tap_is(parse(want, len, &back), EXAM_OK, name);

        sprintf(name, "%s is the same again",
                exam_record_name((exam_record_e) type));

        /* `data` points into the line, which parse() has freed */

        if (type == EXAM_RECORD_EVENT) {
            tap_is((int64_t) back.data.len, (int64_t) r.data.len,
                   "data has its length");
            back.data = r.data;
        }

        exam_buf_init(&b, line, sizeof(line));
        exam_record_format(&b, &back);
        tap_text(b.start, exam_buf_len(&b), want, name);

        /* at the end of a buffer: the whole line or nothing */

        for (before = 0; before <= len; before++) {
            exam_buf_init(&b, line, before);
            exam_record_format(&b, &r);

            if (!b.overflow || exam_buf_len(&b) != 0) {
                break;
            }
        }

        tap_is((int64_t) before, (int64_t) len + 1, "no part of a line");
    }

    /* what need not be there */

    example(&r, EXAM_RECORD_EVENT);
    r.client_time = -1;
    r.has_offset = false;
    r.data = exam_str("");

    exam_buf_init(&b, line, sizeof(line));
    exam_record_format(&b, &r);
    line[exam_buf_len(&b)] = '\0';

    tap_ok(strstr(line, "\"name\":\"tab \\\"hidden\\\"\"}") != NULL,
           "an event without time, offset and data");
    tap_is(parse(line, exam_buf_len(&b) - 1, &back), EXAM_OK, "is read");
    tap_is(back.client_time, -1, "no time");
    tap_ok(!back.has_offset, "no offset");
    tap_is((int64_t) back.data.len, 0, "no data");
}


/* the JSON without that member */

static void
cut(const char *json, const char *name, exam_err_e want)
{
    char           text[1024], what[128], *p, *end;
    exam_record_t  r;

    strcpy(text, json);
    sprintf(what, "\"%s\":", name);

    p = strstr(text, what);
    end = p + strlen(what);
    end += (*end == '"') ? strcspn(end + 1, "\"") + 2 : strcspn(end, ",}");

    if (*end == ',') {
        end++;

    } else {
        p--;
    }

    memmove(p, end, strlen(end) + 1);

    sprintf(what, "%.24s... without %s", json, name);
    tap_is(parse_json(text, &r), want, what);
}


static void
test_missing(void)
{
    int     type, i;
    char    key[32];

    static const char *const  keys[] = {
        "type", "at", "node", "exam", "student", "session", "gen", "ip",
        "login_at", "ended", "from", "to", "gap_ms", "seq", "cause", "missed",
        "what", "command", "id", "name", "upload", "kind", "n", "bytes",
        "sha256", "reason"
    };

    for (type = 0; type < EXAM_RECORD_TYPES; type++) {

        if (type == EXAM_RECORD_EVENT) {
            continue;               /* its strings hold quotes: below */
        }

        for (i = 0; i < (int) (sizeof(keys) / sizeof(keys[0])); i++) {
            sprintf(key, "\"%s\":", keys[i]);

            if (strstr(lines[type], key) != NULL) {
                cut(lines[type], keys[i], EXAM_ERR_MISSING_MEMBER);
            }
        }
    }

    cut("{\"type\":\"event\",\"at\":1," WHO ",\"id\":\"a\",\"name\":\"b\"}",
        "id", EXAM_ERR_MISSING_MEMBER);
    cut("{\"type\":\"event\",\"at\":1," WHO ",\"id\":\"a\",\"name\":\"b\"}",
        "name", EXAM_ERR_MISSING_MEMBER);
}


static void
test_values(void)
{
    size_t         i;
    char           json[4096], name[128], *p;
    exam_record_t  r;

    static const struct {
        exam_record_e  type;
        const char    *from;
        const char    *to;
        exam_err_e     err;
    } changed[] = {
        { EXAM_RECORD_LOGIN, "\"login\"", "\"logon\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOGIN, "\"login\"", "1", EXAM_ERR_BAD_TYPE },
        { EXAM_RECORD_LOGIN, "\"n1\"", "\"N1\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOGIN, "\"30\"", "\"../30\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOGIN, "\"S001\"", "\"S..1\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOGIN, HEX32, "0123456789abcdef0123456789abcdeg",
          EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOGIN, "\"gen\":1763650000000", "\"gen\":-1",
          EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOGIN, "\"gen\":1763650000000", "\"gen\":1.5",
          EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOGIN, "\"ip\":\"192.0.2.7\"", "\"ip\":7",
          EXAM_ERR_BAD_TYPE },
        { EXAM_RECORD_LOGIN, "\"ip\":\"192.0.2.7\"", "\"ip\":\"\"", EXAM_OK },
        { EXAM_RECORD_LOGIN, "\"ip\":\"192.0.2.7\"", "\"ip\":[]",
          EXAM_ERR_BAD_TYPE },
        { EXAM_RECORD_LOGIN, "\"ip\"", "\"later\":true,\"ip\"", EXAM_OK },
        { EXAM_RECORD_LOGIN, "\"ip\"", "\"later\":{\"ip\":1},\"ip\"",
          EXAM_ERR_BAD_TYPE },
        { EXAM_RECORD_END, "\"replaced\"", "\"\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_END, "\"replaced\"", "\"unheard\"", EXAM_OK },
        { EXAM_RECORD_PRESENCE, "60000", "-1", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_GAP, "\"client\"", "\"nobody\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_GAP, "\"missed\":2", "\"missed\":4294967296",
          EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_OUTAGE, "\"redis\"", "\"mysql\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_OUTAGE, "\"redis\"", "\"node\"", EXAM_OK },
        { EXAM_RECORD_ACK, "\"command\":17", "\"command\":0",
          EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_ACK, "\"command\":17",
          "\"command\":9007199254740993", EXAM_OK },
        { EXAM_RECORD_EVENT, "-35", "-9223372036854775807", EXAM_OK },
        { EXAM_RECORD_EVENT, "\"e-1\"", "\"\"", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_RECEIPT, "n1-0", "n1_0", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_RECEIPT, "\"screen\"", "\"Screen\"",
          EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_RECEIPT, "\"screen\"", "\"file\"", EXAM_OK },
        { EXAM_RECORD_RECEIPT, "999999", "1000000", EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_RECEIPT, SHA, HEX32 "0123456789abcdef0123456789abcdeg",
          EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_RECEIPT, SHA, HEX32, EXAM_ERR_BAD_VALUE },
        { EXAM_RECORD_LOST, "\"camera\"", "\"\"", EXAM_ERR_BAD_VALUE }
    };

    for (i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        p = strstr(lines[changed[i].type], changed[i].from);

        sprintf(json, "%.*s%s%s", (int) (p - lines[changed[i].type]),
                lines[changed[i].type], changed[i].to,
                p + strlen(changed[i].from));
        sprintf(name, "%s: %.40s for %.40s",
                exam_record_name(changed[i].type), changed[i].to,
                changed[i].from);

        tap_is(parse_json(json, &r), changed[i].err, name);
    }

    sprintf(json, "{\"type\":\"end\",\"at\":1," WHO ",\"login_at\":0,"
            "\"ended\":\"unheard\"}");
    (void) parse_json(json, &r);
    tap_is(r.ended, EXAM_ENDED_FORCED, "an unknown reason is an end");

    tap_is(parse_json("[]", &r), EXAM_ERR_BAD_TYPE, "a list is no record");
    tap_is(parse_json("{}", &r), EXAM_ERR_MISSING_MEMBER, "an empty object");
    tap_is(parse_json("{\"type\":", &r), EXAM_ERR_BAD_JSON, "half an object");
    tap_is(parse_json("", &r), EXAM_ERR_BAD_REQUEST, "nothing");
    tap_text(exam_record_name(EXAM_RECORD_TYPES), 0, "", "no such type");
    tap_text(exam_cause_name((exam_cause_e) 3), 0, "", "no such cause");
}


/* cut anywhere, or with any bit turned, a line is not a record */

static void
test_torn(void)
{
    char           line[1024];
    size_t         i, len, taken;
    unsigned       bit;
    exam_record_t  r;

    len = line_of(line, lines[EXAM_RECORD_EVENT]);
    taken = 0;

    for (i = 0; i < len; i++) {
        taken += parse(line, i, &r) != EXAM_ERR_BAD_REQUEST;
    }

    tap_is((int64_t) taken, 0, "no prefix of a line is taken");

    for (i = 1; i < len; i++) {
        taken += parse(line + i, len - i, &r) != EXAM_ERR_BAD_REQUEST;
    }

    tap_is((int64_t) taken, 0, "no end of a line is taken");

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {
            line[i] = (char) (line[i] ^ 1 << bit);
            taken += parse(line, len, &r) != EXAM_ERR_BAD_REQUEST;
            line[i] = (char) (line[i] ^ 1 << bit);
        }
    }

    tap_is((int64_t) taken, 0, "no line with a bit turned is taken");

    /* zeros: what a file system may leave of a torn write */

    memset(line + 100, 0, len - 100);
    tap_is(parse(line, len, &r), EXAM_ERR_BAD_REQUEST, "zeros in a line");

    len = line_of(line, "{\"a\":5}");
    tap_is(parse(line, len, &r), EXAM_ERR_MISSING_MEMBER, "a small line");

    for (i = 0; i < 8; i++) {
        if (line[i] >= 'a') {
            line[i] = (char) (line[i] - 0x20);
        }
    }

    tap_is(parse(line, len, &r), EXAM_ERR_BAD_REQUEST,
           "the CRC in upper case");
}


/* whatever a string holds, the record is one line and comes back */

static void
test_hostile(void)
{
    char           line[EXAM_RECORD_MAX], text[EXAM_RECORD_TEXT_MAX];
    size_t         i, j, bad;
    exam_buf_t     b;
    exam_record_t  r, back;

    bad = 0;

    for (i = 0; i < 2000; i++) {
        example(&r, EXAM_RECORD_LOST);

        for (j = 0; j < sizeof(text); j++) {
            text[j] = (char) (tap_random() % (i % 2 ? 0x80 : 0x23));
        }

        r.reason = exam_str_make(text, tap_random() % sizeof(text));

        exam_buf_init(&b, line, sizeof(line));
        exam_record_format(&b, &r);

        if (b.overflow
            || memchr(line, '\n', exam_buf_len(&b))
               != line + exam_buf_len(&b) - 1
            || parse(line, exam_buf_len(&b) - 1, &back) != EXAM_OK
            || !exam_str_eq(back.reason, r.reason))
        {
            bad++;
        }
    }

    tap_is((int64_t) bad, 0, "2000 random reasons come back");

    /* random bytes behind a right CRC do no harm */

    for (i = 0; i < 5000; i++) {
        strcpy(text, "{\"type\":\"lost\",\"at\":1,\"data\":[\"x\"]}");
        text[tap_random() % 36] = "{}[]\",:\\0 \001"[tap_random() % 11];
        text[tap_random() % 36] = "{}[]\",:\\0 \001"[tap_random() % 11];
        bad += parse_json(text, &r) == EXAM_OK;
    }

    tap_is((int64_t) bad, 0, "none of 5000 mutants is a record");
}


static void
test_data(void)
{
    size_t         i;
    char           json[1024], text[1024], name[128];
    exam_str_t     line;
    exam_arena_t   arena;
    exam_record_t  r;

    static const char *const  values[] = {
        "null", "true", "1", "-1.50e+400", "\"\"", "\"a\\\"}\\u0000\"", "[]",
        "{}", "[[[[[[1]]]]]]", "{\"data\":{\"data\":[\"data\"]}}",
        "\"\\\"data\\\":\"", "18446744073709551616"
    };

    static const struct {
        const char  *text;
        exam_err_e   err;
    } wrong[] = {
        { "\"data\":1,\"data\":2", EXAM_ERR_BAD_VALUE },
        { "\"data\":[1],\"more\":2", EXAM_ERR_BAD_VALUE },
        { "\"data\":[1],\"more\":[]", EXAM_ERR_BAD_VALUE },
        { "\"data\":", EXAM_ERR_BAD_JSON },
        { "\"data\":[[[[[[[[1]]]]]]]]", EXAM_ERR_TOO_DEEP }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        sprintf(json, "{\"type\":\"event\",\"at\":1," WHO ",\"id\":\"a\","
                "\"name\":\"b\",\"data\":%s}", values[i]);
        line = exam_str_make(text, line_of(text, json));

        exam_arena_init(&arena, memory, sizeof(memory));
        sprintf(name, "data %s", values[i]);

        tap_is(exam_record_parse(line, &arena, &r), EXAM_OK, name);
        tap_text(r.data.data, r.data.len, values[i], "as it stands there");
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        sprintf(json, "{\"type\":\"event\",\"at\":1," WHO ",\"id\":\"a\","
                "\"name\":\"b\",%s}", wrong[i].text);
        tap_is(parse_json(json, &r), wrong[i].err, wrong[i].text);
    }
}


static void
test_length(void)
{
    int            pad;
    char           line[2 * EXAM_RECORD_MAX], json[2 * EXAM_RECORD_MAX];
    char           text[EXAM_RECORD_MAX];
    size_t         i, len;
    exam_buf_t     b;
    exam_record_t  r, back;

    /* the longest that may be */

    example(&r, EXAM_RECORD_EVENT);

    memset(text, 1, sizeof(text));
    text[0] = text[EXAM_EVENT_DATA_MAX - 1] = '"';
    memset(text + 1, 'x', EXAM_EVENT_DATA_MAX - 2);

    r.data = exam_str_make(text, EXAM_EVENT_DATA_MAX);
    r.name = exam_str_make(text + EXAM_EVENT_DATA_MAX, EXAM_EVENT_TYPE_MAX);

    exam_buf_init(&b, line, sizeof(line));
    exam_record_format(&b, &r);
    tap_ok(!b.overflow, "4096 bytes of data fit a line");
    tap_is(parse(line, exam_buf_len(&b) - 1, &back), EXAM_OK, "and are read");
    tap_is((int64_t) back.data.len, EXAM_EVENT_DATA_MAX, "all of them");

    r.data.len = EXAM_RECORD_MAX - 200;
    exam_buf_init(&b, line, sizeof(line));
    exam_buf_lit(&b, "before");
    exam_record_format(&b, &r);
    tap_ok(b.overflow, "a longer line is refused");
    tap_is((int64_t) exam_buf_len(&b), 6, "and nothing of it stands there");

    /* 8191 bytes, to which the newline comes */

    for (i = 0; i < 2; i++) {
        pad = (int) (EXAM_RECORD_MAX - 1 + i - 9 - 7)
              - (int) strlen(lines[EXAM_RECORD_OUTAGE]);
        sprintf(json, "{\"p\":\"%0*d\",%s", pad, 0,
                lines[EXAM_RECORD_OUTAGE] + 1);
        len = line_of(line, json);

        tap_is((int64_t) len, (int64_t) (EXAM_RECORD_MAX - 1 + i), "a line");
        tap_is(parse(line, len, &r), i ? EXAM_ERR_BAD_REQUEST : EXAM_OK,
               i ? "one byte too long" : "as long as it may be");
    }
}


static void
test_names(void)
{
    char        name[EXAM_JOURNAL_NAME_MAX];
    size_t      i;
    uint64_t    pid, n;
    exam_str_t  boot;

    static const char *const  uuid = "2f1c8e9a-5b7d-4c3e-9f10-123456789abc";

    static const char *const  wrong[] = {
        "", ".log", "-1-1.log", "a-1.log", "a-1-1", "a-1-1.LOG", "a-1-.log",
        "a--1.log", "a-01-1.log", "a-1-01.log", "a-x-1.log", "a-1-+1.log",
        "A-1-1.log", "../a-1-1.log", "a/b-1-1.log", "a-1-1.log.tmp",
        "a-1-99999999999999999999.log", "reserve",
        "2f1c8e9a-5b7d-4c3e-9f10-123456789abcd-1-1.log"
    };

    tap_ok(exam_journal_name(name, exam_str_make(uuid, strlen(uuid)),
                             UINT64_MAX, UINT64_MAX), "the longest name");
    tap_text(name, strlen(name), "2f1c8e9a-5b7d-4c3e-9f10-123456789abc-"
             "18446744073709551615-18446744073709551615.log", "is this");
    tap_ok(exam_journal_name_parse(exam_str_make(name, strlen(name)), &boot,
                                   &pid, &n), "and is read");
    tap_text(boot.data, boot.len, uuid, "boot");
    tap_ok(pid == UINT64_MAX && n == UINT64_MAX, "numbers");

    tap_ok(exam_journal_name(name, exam_str("unknown"), 7, 0), "no boot id");
    tap_text(name, strlen(name), "unknown-7-0.log", "its name");

    tap_ok(!exam_journal_name(name, exam_str(""), 1, 1), "an empty boot");
    tap_ok(!exam_journal_name(name, exam_str("a/b"), 1, 1), "a path in it");
    tap_ok(!exam_journal_name(name, exam_str("2f1c8e9a-5b7d-4c3e-9f10-"
                              "123456789abcd"), 1, 1), "a boot too long");

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        tap_ok(!exam_journal_name_parse(exam_str_make(wrong[i],
                                                      strlen(wrong[i])),
                                        &boot, &pid, &n),
               "\"%s\" is no journal", wrong[i]);
    }
}
