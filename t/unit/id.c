
/*
 * exam_id: alphabets at their edges.  What gets through here becomes a path, a
 * key or a SQL value, so that the bad ones matter more than the good ones.
 */


#include "tap.h"

#include "exam_id.h"


typedef bool (*check_pt)(exam_str_t id);


static void check(check_pt f, const char *what, const char *id, size_t len,
    bool want);
static void test_exam(void);
static void test_student(void);
static void test_node_and_kind(void);
static void test_upload(void);
static void test_segment(void);
static void test_every_byte(void);
static void test_sid(void);
static void test_code(void);


#define HEX32       "0123456789abcdef0123456789abcdef"
#define good(f, s)  check(f, #f, s, sizeof(s) - 1, true)
#define bad(f, s)   check(f, #f, s, sizeof(s) - 1, false)


int
main(void)
{
    test_exam();
    test_student();
    test_node_and_kind();
    test_upload();
    test_segment();
    test_every_byte();
    test_sid();
    test_code();

    return tap_done();
}


static void
check(check_pt f, const char *what, const char *id, size_t len, bool want)
{
    bool      got;
    size_t    i;
    uint8_t  *p;

    p = tap_exact(id, len);
    got = f(exam_str_make(p, len));

    /* names of tests are for people: no NUL, no line feed, not 300 bytes */

    for (i = 0; i < len; i++) {
        if (p[i] < 0x20 || p[i] > 0x7e || p[i] == '#') {
            p[i] = '?';
        }
    }

    tap_ok(got == want, "%s: '%.*s'%s is %s", what, (int) (len < 40 ? len : 40),
           (char *) p, len < 40 ? "" : "...", want ? "good" : "refused");
    free(p);
}


static void
test_exam(void)
{
    char  m[300];

    memset(m, 'a', sizeof(m));

    good(exam_id_exam, "30");
    good(exam_id_exam, "a");
    good(exam_id_exam, "Z-_9");
    check(exam_id_exam, "32 characters", m, 32, true);
    check(exam_id_exam, "33 characters", m, 33, false);
    check(exam_id_exam, "300 characters", m, 300, false);

    bad(exam_id_exam, "");
    bad(exam_id_exam, "-a");
    bad(exam_id_exam, "_a");
    bad(exam_id_exam, "a.b");
    bad(exam_id_exam, "..");
    bad(exam_id_exam, "../30");
    bad(exam_id_exam, "30/..");
    bad(exam_id_exam, "30%2f");
    bad(exam_id_exam, "30\0");
    bad(exam_id_exam, "\0");
    bad(exam_id_exam, "3 0");
    bad(exam_id_exam, "30\n");
    bad(exam_id_exam, "a@b");
    bad(exam_id_exam, "{30}");
    bad(exam_id_exam, "a:b");
    bad(exam_id_exam, "\xc3\xa4");
}


static void
test_student(void)
{
    char  m[300];

    memset(m, 'a', sizeof(m));

    good(exam_id_student, "S001");
    good(exam_id_student, "s001");
    good(exam_id_student, "1");
    good(exam_id_student, "zhang.san@example-school.edu");
    good(exam_id_student, "a.");
    good(exam_id_student, "a.b.c");
    check(exam_id_student, "64 characters", m, 64, true);
    check(exam_id_student, "65 characters", m, 65, false);
    check(exam_id_student, "300 characters", m, 300, false);

    bad(exam_id_student, "");
    bad(exam_id_student, ".a");
    bad(exam_id_student, "@a");
    bad(exam_id_student, "-a");
    bad(exam_id_student, "a..b");
    bad(exam_id_student, "a...");
    bad(exam_id_student, "..");
    bad(exam_id_student, "../S001");
    bad(exam_id_student, "S001/../S002");
    bad(exam_id_student, "S001/");
    bad(exam_id_student, "S001\\");
    bad(exam_id_student, "S001%2f");
    bad(exam_id_student, "S0\0" "01");
    bad(exam_id_student, "S001\t");
    bad(exam_id_student, "S|1");
    bad(exam_id_student, "S'1");
    bad(exam_id_student, "S:1");
    bad(exam_id_student, "S\xe5\xbc\xa0");
}


static void
test_node_and_kind(void)
{
    good(exam_id_node, "n1");
    good(exam_id_node, "0");
    good(exam_id_node, "abcdefghijklmno");
    bad(exam_id_node, "abcdefghijklmnop");
    bad(exam_id_node, "");
    bad(exam_id_node, "N1");
    bad(exam_id_node, "n-1");
    bad(exam_id_node, "n_1");
    bad(exam_id_node, "n.1");

    good(exam_id_kind, "screen");
    good(exam_id_kind, "cam2");
    good(exam_id_kind, "files");
    good(exam_id_kind, "abcdefghijklmno");
    bad(exam_id_kind, "abcdefghijklmnop");
    bad(exam_id_kind, "");
    bad(exam_id_kind, "2cam");
    bad(exam_id_kind, "Screen");
    bad(exam_id_kind, "screen ");
    bad(exam_id_kind, "file");
    bad(exam_id_kind, "resend");
    bad(exam_id_kind, "scr-een");
}


static void
test_upload(void)
{
    good(exam_id_upload, "n1-" HEX32);
    good(exam_id_upload, "abcdefghijklmno-" HEX32);
    bad(exam_id_upload, "abcdefghijklmnop-" HEX32);
    bad(exam_id_upload, "-" HEX32);
    bad(exam_id_upload, HEX32);
    bad(exam_id_upload, "n1" HEX32);
    bad(exam_id_upload, "n1-" HEX32 "0");
    bad(exam_id_upload, "n1-0123456789abcdef0123456789abcde");
    bad(exam_id_upload, "n1-0123456789ABCDEF0123456789abcdef");
    bad(exam_id_upload, "n1-0123456789abcdeg0123456789abcdef");
    bad(exam_id_upload, "N1-" HEX32);
    bad(exam_id_upload, "../-" HEX32);
    bad(exam_id_upload, "n1-../../../../../../../../../etc/pa");
    bad(exam_id_upload, "");
    bad(exam_id_upload, "-");
}


static void
test_segment(void)
{
    size_t    i;
    uint32_t  n;

    static const struct {
        const char  *text;
        bool         ok;
        uint32_t     n;
    } t[] = {
        { "0", true, 0 },
        { "1", true, 1 },
        { "10", true, 10 },
        { "999999", true, 999999 },
        { "1000000", false, 7 },
        { "00", false, 7 },
        { "01", false, 7 },
        { "", false, 7 },
        { "-1", false, 7 },
        { "1.0", false, 7 },
        { "1e3", false, 7 },
        { "0x1", false, 7 },
        { "4294967296", false, 7 },
        { "18446744073709551616", false, 7 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        n = 7;
        tap_ok(exam_id_segment(exam_str_make(t[i].text, strlen(t[i].text)), &n)
               == t[i].ok && n == t[i].n, "segment '%s'", t[i].text);
    }
}


/* each byte in second place, against the alphabets as DESIGN writes them */

static void
test_every_byte(void)
{
    int   c;
    char  m[2];
    bool  exam, student, node, kind, alnum;

    exam = student = node = kind = true;

    for (c = 0; c < 256; c++) {
        m[0] = 'a';
        m[1] = (char) c;

        alnum = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789", c);

        exam = exam && exam_id_exam(exam_str_make(m, 2))
                       == (alnum || c == '_' || c == '-');
        student = student && exam_id_student(exam_str_make(m, 2))
                             == (alnum || c == '_' || c == '-' || c == '.'
                                 || c == '@');
        node = node && exam_id_node(exam_str_make(m, 2))
                       == (alnum && !(c >= 'A' && c <= 'Z'));
        kind = kind && exam_id_kind(exam_str_make(m, 2))
                       == (alnum && !(c >= 'A' && c <= 'Z'));
    }

    tap_ok(exam, "all bytes: exam");
    tap_ok(student, "all bytes: student");
    tap_ok(node, "all bytes: node");
    tap_ok(kind, "all bytes: kind");
}


static void
test_sid(void)
{
    uint8_t  sid[EXAM_SID_LEN], again[EXAM_SID_LEN];

    static const uint8_t  random[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                         0xff };

    /* fixed for ever: sessions and shards of running exams hang on them */

    tap_is(exam_id_hash(exam_str("30"), exam_str("S001")), 0x5ea034d7,
           "the hash of 30, S001");
    tap_is(exam_id_hash(exam_str("30"), exam_str("s001")), 0x85832a22,
           "the hash of 30, s001");
    tap_is(exam_id_hash(exam_str("3"), exam_str("0S001")), 0x36b86964,
           "the border between exam and student counts");

    exam_sid_make(sid, exam_str("30"), exam_str("S001"), random);
    tap_is(exam_sid_hash(sid), 0x5ea034d7, "a session id begins with it");
    tap_ok(memcmp(sid + 4, random, 12) == 0, "random bytes follow");

    tap_ok(exam_sid_parse(exam_str("5ea034d70102030405060708090a0bff"), again)
           && memcmp(sid, again, EXAM_SID_LEN) == 0, "32 digits");
    tap_ok(!exam_sid_parse(exam_str("5EA034d70102030405060708090a0bff"), again),
           "capitals are refused");
    tap_ok(!exam_sid_parse(exam_str("5ea034d70102030405060708090a0bf"), again),
           "31 digits are refused");
    tap_ok(!exam_sid_parse(exam_str("5ea034d70102030405060708090a0bff0"),
                           again), "33 digits are refused");
    tap_ok(!exam_sid_parse(exam_str(""), again), "none are refused");
}


static void
test_code(void)
{
    int      i;
    char     shown[EXAM_CODE_SHOWN];
    bool     all;
    uint8_t  code[EXAM_CODE_LEN], hash[EXAM_HASH_LEN], random[10];

    static const uint8_t  known[EXAM_HASH_LEN] = {
        0x69, 0xd6, 0x74, 0xa6, 0x4f, 0x2d, 0x62, 0x5e,
        0x0e, 0x4b, 0xfb, 0xec, 0x6f, 0xda, 0x56, 0x76,
        0xdd, 0xb4, 0xbf, 0xec, 0xf6, 0x1a, 0xb7, 0xa4,
        0xf8, 0x88, 0x38, 0x11, 0x2e, 0xf6, 0xd1, 0x1d
    };

    tap_ok(exam_code_normal(exam_str("0123456789ABCDEF"), code)
           && memcmp(code, "0123456789ABCDEF", 16) == 0, "a plain code");
    tap_ok(exam_code_normal(exam_str(" ghjk-mnpq rstv--wxyz "), code)
           && memcmp(code, "GHJKMNPQRSTVWXYZ", 16) == 0,
           "small letters, blanks and dashes");

    tap_ok(!exam_code_normal(exam_str("0123456789ABCDE"), code), "15");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDEF0"), code), "17");
    tap_ok(!exam_code_normal(exam_str(""), code), "none");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDEI"), code), "an I");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDEL"), code), "an L");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDEO"), code), "an O");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDEu"), code), "a u");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDE\0"), code), "a NUL");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDE\t"), code), "a tab");
    tap_ok(!exam_code_normal(exam_str("0123456789ABCDE|"), code), "a bar");

    memset(random, 0, sizeof(random));
    exam_code_make(random, shown);
    tap_text(shown, sizeof(shown), "0000-0000-0000-0000", "all bits 0");

    memset(random, 0xff, sizeof(random));
    exam_code_make(random, shown);
    tap_text(shown, sizeof(shown), "ZZZZ-ZZZZ-ZZZZ-ZZZZ", "all bits 1");

    exam_code_make((const uint8_t *) "\x00\x44\x32\x14\xc7\x42\x54\xb6\x35\xcf",
                   shown);
    tap_text(shown, sizeof(shown), "0123-4567-89AB-CDEF", "five bits each");

    all = true;

    for (i = 0; i < 100; i++) {
        int  k;

        for (k = 0; k < 10; k++) {
            random[k] = (uint8_t) tap_random();
        }

        exam_code_make(random, shown);
        all = all && exam_code_normal(exam_str_make(shown, sizeof(shown)),
                                      code);
    }

    tap_ok(all, "what is made is accepted");

    (void) exam_code_normal(exam_str("0123-4567-89ab-cdef"), code);
    exam_code_hash(exam_str("30"), exam_str("S001"), code, hash);
    tap_ok(memcmp(hash, known, EXAM_HASH_LEN) == 0,
           "SHA-256 of 30|S001|0123456789ABCDEF");
}
