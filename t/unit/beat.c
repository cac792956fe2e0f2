
/*
 * The fast path of the heartbeat against the parser that decides: whatever it
 * accepts, exam_beat_parse() accepts with a result equal in all bytes.  First
 * what it has to take (else it is of no use), then what it has to leave, then
 * bodies mutated at random, from a fixed seed.
 */


#include "tap.h"

#include "exam_body.h"


#define ROUNDS  60000


static bool both(const uint8_t *body, size_t len, bool *fast);
static void takes(const char *body);
static void leaves(const char *body);
static void test_takes(void);
static void test_leaves(void);
static void test_cut(void);
static void test_kinds(void);
static void test_battery(void);
static void test_mutations(void);
static size_t mutate(uint8_t *body, size_t len, size_t size);
static size_t replace(uint8_t *body, size_t len, size_t size, size_t at,
    size_t cut, const void *with, size_t n);


static _Alignas(max_align_t) uint8_t  memory[EXAM_BODY_ARENA];

static exam_kinds_t  kinds = { 2, { exam_str("screen"), exam_str("camera") } };

static const char  full[] =
    "{\"seq\":17,\"client_time\":1763650000000,\"state\":{"
    "\"recorder\":\"recording\",\"recorded\":{\"screen\":12,\"camera\":12},"
    "\"queued_segments\":0,\"queued_bytes\":0,\"oldest_unsent_s\":0,"
    "\"focus\":true,\"battery\":0.87},\"missed\":[],\"ack\":[]}";

/* what mutations are made of; the first ones are numbers */

static const char  bytes[] = "0123456789-+.eE\"\\{}[]:, tnfau_\n\x80\xff";

static const char *const  texts[] = {
    "0", "1", "-1", "17", "999999", "1000000", "2147483648",
    "9007199254740992", "18446744073709551616", "0.5", "0.05", "1.0",
    "1e2", "null", "true", "false", "\"\"", "\"x\"", "[]", "{}",
    "[1]", "[{\"seq\":3}]", "\"seq\":2,", "\"state\":{},", "\"x\":1,",
    "\"screen\":5,", "\"battery\":", "\"focus\":true,", " ", "  ", "00",
    "\\u0061", ",", "}", "]}"
};

#define NUMBERS  13

/* as many as may be, and one more */

#define ACKS_8   "1,2,3,4,5,6,7,8"
#define ACKS_64  ACKS_8 "," ACKS_8 "," ACKS_8 "," ACKS_8 "," ACKS_8 ","       \
                 ACKS_8 "," ACKS_8 "," ACKS_8

static const char  acks_64[] = "{\"seq\":1,\"ack\":[" ACKS_64 "]}";
static const char  acks_65[] = "{\"seq\":1,\"ack\":[" ACKS_64 ",9]}";

static const char  spaced[] =
    "{\"seq\": 17, \"client_time\": 1763650000000, \"state\": {"
    "\"recorder\": \"recording\", \"recorded\": {\"screen\": 12, "
    "\"camera\": -1}, \"queued_segments\": 3, \"queued_bytes\": 48000000, "
    "\"oldest_unsent_s\": 61, \"focus\": false, \"battery\": 100}, "
    "\"missed\": [], \"ack\": []}";


int
main(void)
{
    test_takes();
    test_leaves();
    test_cut();
    test_kinds();
    test_battery();
    test_mutations();

    return tap_done();
}


/* do they agree?  *fast: did the fast path accept it */

static bool
both(const uint8_t *body, size_t len, bool *fast)
{
    bool          agreed;
    uint8_t      *p;
    exam_err_e    err;
    exam_beat_t   a, b;
    exam_arena_t  arena;

    /* what either does not write differs */

    memset(&a, 0xaa, sizeof(a));
    memset(&b, 0x55, sizeof(b));

    p = tap_exact(body, len);

    *fast = exam_beat_parse_fast(exam_str_make(p, len), &kinds, &a);

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_beat_parse(exam_str_make(p, len), &kinds, &arena, &b);

    agreed = !*fast
             || (err == EXAM_OK
                 && memcmp(&a, &b, offsetof(exam_beat_t, ack)) == 0
                 && memcmp(a.ack, b.ack, a.acks * sizeof(a.ack[0])) == 0);

    free(p);

    return agreed;
}


static void
takes(const char *body)
{
    bool  fast;

    tap_ok(both((const uint8_t *) body, strlen(body), &fast) && fast,
           "takes %s", body);
}


static void
leaves(const char *body)
{
    bool  fast;

    tap_ok(both((const uint8_t *) body, strlen(body), &fast) && !fast,
           "leaves %s", body);
}


static void
test_takes(void)
{
    takes(full);
    takes(spaced);
    takes("{\"seq\":0}");
    takes("{\"seq\":9007199254740991}");
    takes("{\"seq\":1,\"client_time\":9007199254740991}");
    takes("{\"ack\":[],\"missed\":[],\"client_time\":1,\"seq\":1}");
    takes("{\"seq\":1,\"ack\":[1]}");
    takes("{\"seq\":1,\"ack\":[0, 12, 9007199254740991]}");
    takes(acks_64);
    takes("{\"state\":{\"battery\":1,\"focus\":true,\"recorder\":\"\"},"
          "\"seq\":1}");
    takes("{\"seq\":1,\"state\":{}}");
    takes("{\"seq\":1,\"state\":{\"recorded\":{}}}");
    takes("{\"seq\":1,\"state\":{\"recorded\":{\"camera\":999999}}}");
    takes("{\"seq\":1,\"state\":{\"recorder\":\"abcdefghijklmn_\"}}");
    takes("{\"seq\":1,\"state\":{\"queued_segments\":2147483647}}");
    takes("{\"seq\":1,\"state\":{\"oldest_unsent_s\":2147483647}}");
    takes("{\"seq\":1,\"state\":{\"queued_bytes\":9007199254740991}}");
}


static void
test_leaves(void)
{
    leaves("");
    leaves("{");
    leaves("}");
    leaves("{}");
    leaves("{\"seq\"}");
    leaves("{\"seq\":}");
    leaves("{\"seq\":1");
    leaves("{\"seq\":1,}");
    leaves("{\"seq\":1}}");
    leaves("{\"seq\":1} ");
    leaves("{\"seq\":1 }");
    leaves(" {\"seq\":1}");
    leaves("{ \"seq\":1}");
    leaves("{\"seq\" :1}");
    leaves("{\"seq\":  1}");
    leaves("{\"seq\":\t1}");
    leaves("{\"seq\":-1}");
    leaves("{\"seq\":+1}");
    leaves("{\"seq\":01}");
    leaves("{\"seq\":00}");
    leaves("{\"seq\":1.0}");
    leaves("{\"seq\":1e3}");
    leaves("{\"seq\":\"1\"}");
    leaves("{\"seq\":null}");
    leaves("{\"seq\":9007199254740992}");
    leaves("{\"seq\":99999999999999999}");
    leaves("{\"seq\":18446744073709551617}");
    leaves("{\"seq\":1,\"seq\":2}");
    leaves("{\"seq\":1;\"ack\":[]}");
    leaves("{\"client_time\":1}");
    leaves("{\"seq\":1,\"x\":1}");
    leaves("{\"seq\":1,\"s\\u0065q\":2}");
    leaves("{\"seq\":1,\"client_time\":null}");
    leaves("{\"seq\":1,\"missed\":[ ]}");
    leaves("{\"seq\":1,\"missed\":[{\"seq\":0}]}");
    leaves("{\"seq\":1,\"ack\":[1,]}");
    leaves("{\"seq\":1,\"ack\":[1 ]}");
    leaves("{\"seq\":1,\"ack\":[-1]}");
    leaves("{\"seq\":1,\"ack\":[\"1\"]}");
    leaves("{\"seq\":1,\"ack\":[1,[2]]}");
    leaves("{\"seq\":1,\"ack\":[9007199254740992]}");
    leaves(acks_65);
    leaves("{\"seq\":1,\"ack\":[],\"ack\":[]}");
    leaves("{\"seq\":1,\"state\":null}");
    leaves("{\"seq\":1,\"state\":{\"x\":1}}");
    leaves("{\"seq\":1,\"state\":{\"recorder\":\"On\"}}");
    leaves("{\"seq\":1,\"state\":{\"recorder\":\"o\\n\"}}");
    leaves("{\"seq\":1,\"state\":{\"recorder\":\"abcdefghijklmnop\"}}");
    leaves("{\"seq\":1,\"state\":{\"recorder\":recording}}");
    leaves("{\"seq\":1,\"state\":{\"recorder\":\"recording}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":-2}}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":-12}}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":-}}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":1000000}}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":1,"
           "\"screen\":-1}}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"cam\":1}}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"camera2\":1}}}");
    leaves("{\"seq\":1,\"state\":{\"queued_segments\":2147483648}}");
    leaves("{\"seq\":1,\"state\":{\"oldest_unsent_s\":1.5}}");
    leaves("{\"seq\":1,\"state\":{\"focus\":1}}");
    leaves("{\"seq\":1,\"state\":{\"focus\":trues}}");
    leaves("{\"seq\":1,\"state\":{\"focus\":null}}");
    leaves("{\"seq\":1,\"state\":{\"battery\":101}}");
    leaves("{\"seq\":1,\"state\":{\"battery\":0.}}");
    leaves("{\"seq\":1,\"state\":{\"battery\":.5}}");
    leaves("{\"seq\":1,\"state\":{\"battery\":0.875}}");
    leaves("{\"seq\":1,\"state\":{\"battery\":00.5}}");
    leaves("{\"seq\":1,\"state\":{\"battery\":1.0}}");
    leaves("{\"seq\":1,\"state\":{}");
    leaves("{\"seq\":1,\"state\":{\"battery\":1}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":1}}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":1}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":}");
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"}");
    leaves("{\"seq\":1,\"state\":}");
    leaves("\xef\xbb\xbf{\"seq\":1}");
}


/* each prefix, and each prefix with a bracket at its end */

static void
test_cut(void)
{
    bool     all, fast;
    size_t   i, k;
    uint8_t  m[512];

    static const char *const  bodies[] = { full, spaced };

    all = true;

    for (k = 0; k < 2; k++) {
        for (i = 0; i < strlen(bodies[k]) - 1; i++) {
            memcpy(m, bodies[k], i);
            all = all && both(m, i, &fast) && !fast;

            m[i] = '}';
            all = all && both(m, i + 1, &fast);
        }
    }

    tap_ok(all, "cut off anywhere, with and without a bracket");
}


static void
test_kinds(void)
{
    exam_kinds_t  before;

    before = kinds;

    kinds.n = 0;
    leaves("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":1}}}");

    /* a name that begins like another, in either order */

    kinds.n = 4;
    kinds.name[0] = exam_str("cam");
    kinds.name[1] = exam_str("cam2");
    kinds.name[2] = exam_str("screen2");
    kinds.name[3] = exam_str("screen");

    takes("{\"seq\":1,\"state\":{\"recorded\":{\"screen\":1,\"cam\":2,"
          "\"screen2\":3,\"cam2\":4}}}");

    kinds = before;
}


static void
test_battery(void)
{
    int   i;
    char  body[64];
    bool  all, fast;

    all = true;

    for (i = 0; i <= 100; i++) {
        snprintf(body, sizeof(body), "{\"seq\":1,\"state\":{\"battery\":%d}}",
                 i);
        all = all && both((uint8_t *) body, strlen(body), &fast) && fast;

        if (i == 100) {
            break;
        }

        snprintf(body, sizeof(body),
                 "{\"seq\":1,\"state\":{\"battery\":0.%02d}}", i);
        all = all && both((uint8_t *) body, strlen(body), &fast) && fast;

        if (i % 10 == 0) {
            snprintf(body, sizeof(body),
                     "{\"seq\":1,\"state\":{\"battery\":0.%d}}", i / 10);
            all = all && both((uint8_t *) body, strlen(body), &fast) && fast;
        }
    }

    tap_ok(all, "each percent is rounded alike");
}


static void
test_mutations(void)
{
    int      i;
    bool     agreed, fast;
    size_t   len;
    uint8_t  m[1024];
    unsigned accepted;

    accepted = 0;

    for (i = 0; i < ROUNDS; i++) {
        len = (i & 1) ? sizeof(full) - 1 : sizeof(spaced) - 1;
        memcpy(m, (i & 1) ? full : spaced, len);

        do {
            len = mutate(m, len, sizeof(m));
        } while (tap_random() % 3 == 0);

        agreed = both(m, len, &fast);
        accepted += fast;

        if (!agreed) {
            tap_ok(false, "round %d: they do not agree", i);
            printf("#   %.*s\n", (int) len, (char *) m);
            return;
        }
    }

    /* mutations that are nearly all refused would show nothing */

    tap_ok(accepted > ROUNDS / 20, "%d mutated bodies, %u of them taken fast",
           ROUNDS, accepted);
}


static size_t
mutate(uint8_t *body, size_t len, size_t size)
{
    size_t       at, n, from;
    uint8_t      piece[40];
    const char  *text;

    at = len == 0 ? 0 : tap_random() % len;
    text = texts[tap_random() % (sizeof(texts) / sizeof(texts[0]))];

    switch (tap_random() % 6) {

    case 0:                         /* another byte */
        if (len != 0) {
            body[at] = (uint8_t) bytes[tap_random() % (sizeof(bytes) - 1)];
        }

        return len;

    case 1:                         /* some bytes less */
        n = 1 + tap_random() % 4;
        return replace(body, len, size, at, n < len - at ? n : len - at, "",
                       0);

    case 2:                         /* a text more */
    case 3:
        return replace(body, len, size, at, 0, text, strlen(text));

    case 4:                         /* a number in place of a number */
        for (from = at; from < len; from++) {
            if (body[from] >= '0' && body[from] <= '9') {
                break;
            }
        }

        for (n = from; n < len && body[n] >= '0' && body[n] <= '9'; n++) {
            /* void */
        }

        text = texts[tap_random() % NUMBERS];
        return replace(body, len, size, from, n - from, text, strlen(text));

    default:                        /* a piece of it once more */
        from = len == 0 ? 0 : tap_random() % len;
        n = tap_random() % 40;
        n = n < len - from ? n : len - from;

        memcpy(piece, body + from, n);
        return replace(body, len, size, at, 0, piece, n);
    }
}


/* `cut` bytes at `at` by n others, if there is room; the new length */

static size_t
replace(uint8_t *body, size_t len, size_t size, size_t at, size_t cut,
    const void *with, size_t n)
{
    if (len - cut + n > size) {
        return len;
    }

    memmove(body + at + n, body + at + cut, len - at - cut);
    memcpy(body + at, with, n);

    return len - cut + n;
}
