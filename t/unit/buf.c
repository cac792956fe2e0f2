
/* exam_buf: writers at the edge of their memory, and the small decoders */


#include "tap.h"

#include "exam_buf.h"


static void test_limits(void);
static void test_numbers(void);
static void test_base64(void);
static void test_base64_decode(void);
static void test_json(void);
static void test_hex(void);
static void test_uint(void);
static void test_utf8(void);


int
main(void)
{
    test_limits();
    test_numbers();
    test_base64();
    test_base64_decode();
    test_json();
    test_hex();
    test_uint();
    test_utf8();

    return tap_done();
}


static void
test_limits(void)
{
    char        *m;
    exam_buf_t   b;

    m = tap_exact("........", 8);

    exam_buf_init(&b, m, 8);
    exam_buf_lit(&b, "12345678");
    tap_ok(!b.overflow && exam_buf_len(&b) == 8, "a full buffer is none over");

    exam_buf_put(&b, NULL, 0);
    tap_ok(!b.overflow, "nothing fits everywhere");

    exam_buf_char(&b, '9');
    tap_ok(b.overflow, "one byte more overflows");
    tap_text(m, 8, "12345678", "and is left out");

    exam_buf_init(&b, m, 8);
    exam_buf_lit(&b, "123456789");
    exam_buf_char(&b, 'x');
    tap_ok(b.overflow && exam_buf_len(&b) == 0,
           "nothing is written behind an overflow, though it would fit");

    exam_buf_init(&b, m, 8);
    exam_buf_lit(&b, "1234567");
    tap_ok(exam_buf_cstr(&b) && strcmp(m, "1234567") == 0,
           "a NUL in the last byte");
    tap_is((int64_t) exam_buf_len(&b), 7, "it is not a part of the text");

    exam_buf_char(&b, '8');
    tap_ok(!exam_buf_cstr(&b), "no room for the NUL");

    exam_buf_init(&b, m, 3);
    exam_buf_hex(&b, "\x01\x02", 2);
    tap_ok(b.overflow && exam_buf_len(&b) == 0, "hex that does not fit");

    exam_buf_init(&b, m, 7);
    exam_buf_base64(&b, "abcd", 4);
    tap_ok(b.overflow && exam_buf_len(&b) == 0, "base64 that does not fit");

    exam_buf_init(&b, m, 7);
    exam_buf_json(&b, exam_str("12\n45"));
    tap_ok(b.overflow, "JSON that does not fit");

    free(m);
}


static void
test_numbers(void)
{
    int         i;
    char        m[64], want[64];
    bool        all;
    uint64_t    n;
    exam_buf_t  b;

    exam_buf_init(&b, m, sizeof(m));
    exam_buf_int(&b, INT64_MIN);
    exam_buf_char(&b, ' ');
    exam_buf_int(&b, INT64_MAX);
    exam_buf_char(&b, ' ');
    exam_buf_int(&b, -1);
    tap_text(m, exam_buf_len(&b),
             "-9223372036854775808 9223372036854775807 -1", "int");

    exam_buf_init(&b, m, sizeof(m));
    exam_buf_uint(&b, UINT64_MAX);
    exam_buf_char(&b, ' ');
    exam_buf_uint(&b, 0);
    exam_buf_char(&b, ' ');
    exam_buf_uint(&b, 10);
    tap_text(m, exam_buf_len(&b), "18446744073709551615 0 10", "uint");

    /* all of three digits, then 20,000 of all lengths, as printf writes them */

    all = true;

    for (i = 0; i < 21000; i++) {
        n = (uint64_t) tap_random() << 32 | tap_random();
        n = i < 1000 ? (uint64_t) i : n >> tap_random() % 64;

        snprintf(want, sizeof(want), "%" PRIu64, n);
        exam_buf_init(&b, m, sizeof(m));
        exam_buf_uint(&b, n);
        all = all && exam_buf_len(&b) == strlen(want)
              && memcmp(m, want, strlen(want)) == 0;
    }

    tap_ok(all, "21,000 numbers");
}


static void
test_base64(void)
{
    char        m[64];
    size_t      i;
    exam_buf_t  b;

    /* RFC 4648 section 10 */

    static const char *const  known[][2] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" }, { "\xff\xef\xbe", "/+++" }
    };

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        exam_buf_init(&b, m, sizeof(m));
        exam_buf_base64(&b, known[i][0], strlen(known[i][0]));
        tap_text(m, exam_buf_len(&b), known[i][1], "base64");
    }

    exam_buf_init(&b, m, sizeof(m));
    exam_buf_hex(&b, "\x00\xff\x1a", 3);
    tap_text(m, exam_buf_len(&b), "00ff1a", "hex");
}


static void
test_base64_decode(void)
{
    bool      ok;
    char      text[512];
    size_t    i, k, n;
    uint8_t   in[256], out[256];
    exam_buf_t  b;

    static const char *const  bad[] = {
        "A", "AA", "AAA", "AAAAA", "A===", "====", "AA=A", "=AAA", "AAAA=",
        "AA-_", "AA A", "AAA\t", "AA==AAAA"
    };

    ok = true;

    for (i = 0; i <= sizeof(in); i++) {

        for (k = 0; k < i; k++) {
            in[k] = (uint8_t) tap_random();
        }

        exam_buf_init(&b, text, sizeof(text));
        exam_buf_base64(&b, in, i);
        memset(out, 0, sizeof(out));

        ok = ok && exam_base64_decode(exam_str_make(text, exam_buf_len(&b)),
                                      out, sizeof(out), &n)
             && n == i && memcmp(in, out, i) == 0;
    }

    tap_ok(ok, "base64 of any length, there and back");

    memset(out, 0xff, sizeof(out));
    tap_ok(exam_base64_decode(exam_str("AAAAAAAA"), out, 4, &n) && n == 6
           && out[3] == 0 && out[4] == 0xff,
           "no more is written than there is room for, and all counted");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tap_ok(!exam_base64_decode(exam_str_make(bad[i], strlen(bad[i])), out,
                                   sizeof(out), &n),
               "'%s' is no base64", bad[i]);
    }
}


static void
test_json(void)
{
    char        m[128];
    exam_buf_t  b;

    exam_buf_init(&b, m, sizeof(m));
    exam_buf_json(&b, exam_str_make("a\"\\\n\r\t\x01\x1f\x7f/\0z", 12));
    tap_text(m, exam_buf_len(&b),
             "\"a\\\"\\\\\\n\\r\\t\\u0001\\u001f\x7f/\\u0000z\"", "escapes");

    exam_buf_init(&b, m, sizeof(m));
    exam_buf_json(&b, exam_str("\xe5\xbc\xa0 \xf0\x9f\x8e\x93"));
    tap_text(m, exam_buf_len(&b), "\"\xe5\xbc\xa0 \xf0\x9f\x8e\x93\"",
             "UTF-8 stays as it is");

    exam_buf_init(&b, m, sizeof(m));
    exam_buf_json(&b, exam_str(""));
    tap_text(m, exam_buf_len(&b), "\"\"", "the empty string");
}


static void
test_hex(void)
{
    uint8_t  out[3];

    tap_ok(exam_hex_decode((const uint8_t *) "00fFa9", 6, out, 3)
           && memcmp(out, "\x00\xff\xa9", 3) == 0, "hex in both cases");
    tap_ok(!exam_hex_decode((const uint8_t *) "00fFa", 5, out, 3), "short");
    tap_ok(!exam_hex_decode((const uint8_t *) "00fFa9a", 7, out, 3), "long");
    tap_ok(!exam_hex_decode((const uint8_t *) "00fFag", 6, out, 3), "a g");
    tap_ok(!exam_hex_decode((const uint8_t *) "00f a9", 6, out, 3), "blank");
    tap_ok(!exam_hex_decode((const uint8_t *) "0/0:0@", 6, out, 3),
           "neighbours of the digits");
    tap_ok(!exam_hex_decode((const uint8_t *) "0`0G0\x10", 6, out, 3),
           "neighbours of the letters");
    tap_ok(!exam_hex_decode((const uint8_t *) "\x11""00000", 6, out, 3),
           "a control character that differs from a digit in one bit");
}


static void
test_uint(void)
{
    size_t    i;
    uint64_t  n;

    static const struct {
        const char  *text;
        uint64_t     max;
        bool         ok;
        uint64_t     n;
    } t[] = {
        { "0", 9, true, 0 },
        { "9", 9, true, 9 },
        { "10", 9, false, 0 },
        { "9", 8, false, 0 },
        { "00", 9, false, 0 },
        { "01", 9, false, 0 },
        { "", 9, false, 0 },
        { "-1", 9, false, 0 },
        { "+1", 9, false, 0 },
        { " 1", 9, false, 0 },
        { "1 ", 9, false, 0 },
        { "1a", 99, false, 0 },
        { "1/", 99, false, 0 },
        { "1:", 99, false, 0 },
        { "0", 0, true, 0 },
        { "1", 0, false, 0 },
        { "9007199254740991", 9007199254740991u, true, 9007199254740991u },
        { "9007199254740992", 9007199254740991u, false, 0 },
        { "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
        { "18446744073709551616", UINT64_MAX, false, 0 },
        { "28446744073709551615", UINT64_MAX, false, 0 },
        { "184467440737095516150", UINT64_MAX, false, 0 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        size_t    len = strlen(t[i].text);
        uint8_t  *p = tap_exact(t[i].text, len);

        n = 0;
        tap_ok(exam_uint_parse(p, len, t[i].max, &n) == t[i].ok
               && n == t[i].n, "uint '%s'", t[i].text);
        free(p);
    }
}


static void
test_utf8(void)
{
    size_t  i, k;

    static const struct {
        const char  *text;
        bool         ok;
    } t[] = {
        { "", true },
        { "ascii \x7f", true },
        { "\xc2\x80", true },                       /* U+0080 */
        { "\xdf\xbf", true },
        { "\xe0\xa0\x80", true },                   /* U+0800 */
        { "\xed\x9f\xbf", true },                   /* U+D7FF */
        { "\xee\x80\x80", true },                   /* U+E000 */
        { "\xef\xbf\xbf", true },
        { "\xf0\x90\x80\x80", true },               /* U+10000 */
        { "\xf4\x8f\xbf\xbf", true },               /* U+10FFFF */
        { "\x80", false },                          /* no first byte */
        { "\xbf", false },
        { "\xc0\x80", false },                      /* overlong */
        { "\xc1\xbf", false },
        { "\xe0\x9f\xbf", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xed\xa0\x80", false },                  /* surrogates */
        { "\xed\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false },              /* above U+10FFFF */
        { "\xf5\x80\x80\x80", false },
        { "\xff", false },
        { "\xc2", false },                          /* truncated */
        { "\xe1\x80", false },
        { "\xf1\x80\x80", false },
        { "\xc2\x41", false },                      /* wrong second, third... */
        { "\xe1\x80\x41", false },
        { "\xe1\x41\x80", false },
        { "\xf1\x80\x80\x41", false },
        { "\xf1\x80\xc0\x80", false }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        bool  same = true;

        /* at each place of the eight-byte step, and at the very end */

        for (k = 0; k < 17; k++) {
            size_t   len = k + strlen(t[i].text);
            uint8_t  m[64], *p;

            memset(m, 'x', sizeof(m));
            memcpy(m + k, t[i].text, strlen(t[i].text));

            p = tap_exact(m, len);
            same = same && exam_utf8_valid(p, len) == t[i].ok;
            free(p);

            /* with text behind it */

            if (strlen(t[i].text) != 0) {
                p = tap_exact(m, len + 20);
                same = same && exam_utf8_valid(p, len + 20) == t[i].ok;
                free(p);
            }
        }

        tap_ok(same, "UTF-8 case %d is %s", (int) i,
               t[i].ok ? "valid" : "refused");
    }
}
