
/*
 * exam_tus: the request fields of tus 1.0.0, good and bad forms (protocol ids
 * T05, T23, T41 of the checklist).
 */


#include "tap.h"

#include "exam_tus.h"


/* base64 of the values used below */

#define SCREEN  "c2NyZWVu"                      /* screen */
#define WEBM    "dmlkZW8vd2VibQ=="              /* video/webm */
#define MP4     "dmlkZW8vbXA0"                  /* video/mp4 */
#define TWELVE  "MTI="                          /* 12 */
#define BEGAN   "MTc2MzY1MDAwMDAwMA=="          /* 1763650000000 */
#define LASTED  "MTIwMDAw"                      /* 120000 */


static exam_err_e metadata(const char *field, exam_tus_metadata_t *m);
static void refused(const char *field, exam_err_e want);
static void number(const char *text, int64_t want);
static void not_a_number(const char *text);
static exam_err_e checksum(const char *field, exam_tus_checksum_t *sum);
static void test_numbers(void);
static void test_known(void);
static void test_forms(void);
static void test_bad_forms(void);
static void test_bad_values(void);
static void test_types(void);
static void test_bounds(void);
static void test_checksum(void);
static void test_bad_checksum(void);


static uint8_t  memory[EXAM_TUS_MEMORY];


int
main(void)
{
    test_numbers();
    test_known();
    test_forms();
    test_bad_forms();
    test_bad_values();
    test_types();
    test_bounds();
    test_checksum();
    test_bad_checksum();

    return tap_done();
}


static void
number(const char *text, int64_t want)
{
    void     *p;
    bool      ok;
    int64_t   n;

    n = -1;
    p = tap_exact(text, strlen(text));
    ok = exam_tus_number(exam_str_make(p, strlen(text)), &n);
    free(p);

    tap_ok(ok && n == want, "\"%s\" is a number", text);
}


static void
not_a_number(const char *text)
{
    void     *p;
    bool      ok;
    int64_t   n;

    p = tap_exact(text, strlen(text));
    ok = exam_tus_number(exam_str_make(p, strlen(text)), &n);
    free(p);

    tap_ok(!ok, "\"%s\" is no number", text);
}


static void
test_numbers(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "", " ", "-1", "-0", "+5", "1e3", "5 6", " 5", "5 ", "5,5", "0x10",
        "1.0", "five", "9223372036854775808", "18446744073709551616",
        "99999999999999999999", "340282366920938463463374607431768211456"
    };

    number("0", 0);
    number("1", 1);
    number("20971520", 20971520);
    number("9223372036854775807", INT64_MAX);
    number("000", 0);
    number("00000000000000000000000012", 12);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        not_a_number(bad[i]);
    }
}


static exam_err_e
metadata(const char *field, exam_tus_metadata_t *m)
{
    void        *p;
    exam_err_e   err;

    p = tap_exact(field, strlen(field));
    err = exam_tus_metadata(exam_str_make(p, strlen(field)), memory, m);
    free(p);

    return err;
}


static void
refused(const char *field, exam_err_e want)
{
    exam_tus_metadata_t  m;

    tap_ok(metadata(field, &m) == want, "\"%.60s\": %s", field,
           exam_err_info(want)->code);
}


static void
test_known(void)
{
    exam_tus_metadata_t  m;

    tap_is(metadata("kind " SCREEN ",n " TWELVE ",started_at " BEGAN
                    ",duration_ms " LASTED ",filetype " WEBM
                    ",filename eC53ZWJt", &m),
           EXAM_OK, "all that we know");

    tap_text(m.kind.data, m.kind.len, "screen", "kind");
    tap_ok(m.has_n && m.n == 12, "n");
    tap_is(m.started_at, 1763650000000, "started_at");
    tap_is(m.duration_ms, 120000, "duration_ms");
    tap_text(m.filetype.data, m.filetype.len, "video/webm", "filetype");

    tap_is(metadata("", &m), EXAM_OK, "no pair at all");
    tap_ok(m.kind.len == 0 && !m.has_n && m.started_at == -1
           && m.duration_ms == -1 && m.filetype.len == 0, "tells nothing");

    tap_is(metadata("kind ZmlsZQ==", &m), EXAM_OK, "an attachment's kind");
    tap_text(m.kind.data, m.kind.len, "file", "is \"file\"");

    tap_is(metadata("a YQ==,n QQ==", &m), EXAM_ERR_BAD_METADATA, "a bad n");
    tap_text(m.wrong.data, m.wrong.len, "n", "is named");
    tap_is(metadata("b A,n " TWELVE, &m), EXAM_ERR_BAD_METADATA, "bad base64");
    tap_ok(m.wrong.len == 0, "of another's key names nothing");
}


/* what clients and proxies make of the field */

static void
test_forms(void)
{
    size_t               i;
    exam_tus_metadata_t  m;

    static const char *const  good[] = {
        "n " TWELVE ",is_confidential",
        "is_confidential,n " TWELVE,
        "is_confidential ,n " TWELVE,
        "n " TWELVE ", empty ",
        " n " TWELVE " \t,\t key QUFB ",
        "a.b-c_d!\"\\/=~;: QUFB,n " TWELVE,
        "N QUFB,n " TWELVE
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        tap_ok(metadata(good[i], &m) == EXAM_OK && m.has_n && m.n == 12,
               "\"%s\"", good[i]);
    }
}


static void
test_bad_forms(void)
{
    size_t  i;

    static const char *const  bad[] = {
        ",", "n " TWELVE ",", ",n " TWELVE, "n " TWELVE ",,a QUFB",
        "n  " TWELVE, "n " TWELVE " " TWELVE, "n\t" TWELVE,
        "n " TWELVE ",n " TWELVE, "x,x", "x QUFB,y QUFB,x",
        "x QUFB=", "x QUF", "x Q===", "x QU=F", "x ====", "x QU-_",
        "x QUFB;", "k\x80y QUFB", "k\x01y QUFB", "k\x7fy QUFB"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refused(bad[i], EXAM_ERR_BAD_METADATA);
    }
}


static void
test_bad_values(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "n", "n ", "n MDE=", "n LTE=", "n MTAwMDAwMA==", "n eA==",
        "n IDEy", "kind", "kind Li4vLi4=", "kind U0NSRUVO",
        "kind YWJjZGVmZ2hpamtsbW5vcA==", "kind cmVzZW5k",
        "started_at", "started_at LTE=", "started_at MS41",
        "duration_ms", "duration_ms MWUz",
        "duration_ms OTIyMzM3MjAzNjg1NDc3NTgwOA=="
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refused(bad[i], EXAM_ERR_BAD_METADATA);
    }
}


static void
test_types(void)
{
    exam_tus_metadata_t  m;

    tap_is(metadata("type " MP4, &m), EXAM_OK, "type, as Uppy sends it");
    tap_text(m.filetype.data, m.filetype.len, "video/mp4", "is the type");

    tap_is(metadata("type " MP4 ",filetype " WEBM, &m), EXAM_OK,
           "and filetype");
    tap_text(m.filetype.data, m.filetype.len, "video/webm", "comes before it");

    tap_is(metadata("filetype " WEBM ",type " MP4, &m), EXAM_OK, "either way");
    tap_text(m.filetype.data, m.filetype.len, "video/webm", "round");

    tap_is(metadata("filetype ,type " MP4, &m), EXAM_OK,
           "a filetype without value");
    tap_is((int64_t) m.filetype.len, 0, "is one, and nobody's type");

    tap_is(metadata("filetype dmlkZW8vd2VibQ0K", &m), EXAM_OK,
           "a type with a line end");
    tap_is((int64_t) m.filetype.len, 0, "is none");
}


static void
test_bounds(void)
{
    char                 field[EXAM_METADATA_MAX + 64];
    size_t               i, len;
    exam_buf_t           b;
    exam_tus_metadata_t  m;

    /* a value of exactly as many bytes as the field may have */

    len = EXAM_METADATA_MAX - 4 - strlen(",n " TWELVE);
    memset(field, 'A', sizeof(field));
    memcpy(field, "x ", 2);
    strcpy(field + 2 + len / 4 * 4, ",n " TWELVE);

    tap_ok(metadata(field, &m) == EXAM_OK && m.n == 12, "%d bytes",
           (int) strlen(field));

    memset(field, ' ', sizeof(field));
    memcpy(field, "n " TWELVE, 6);
    field[EXAM_METADATA_MAX] = '\0';
    tap_is(metadata(field, &m), EXAM_OK, "the last byte that fits");

    field[EXAM_METADATA_MAX] = ' ';
    field[EXAM_METADATA_MAX + 1] = '\0';
    refused(field, EXAM_ERR_HEADERS_TOO_LARGE);

    memset(field, '"', EXAM_METADATA_MAX / 2);
    field[EXAM_METADATA_MAX / 2] = '\0';
    tap_is(metadata(field, &m), EXAM_OK, "half of it of quotes");

    memset(field, '"', EXAM_METADATA_MAX / 2 + 1);
    field[EXAM_METADATA_MAX / 2 + 1] = '\0';
    refused(field, EXAM_ERR_HEADERS_TOO_LARGE);

    memset(field, '\\', EXAM_METADATA_MAX / 2 + 1);
    field[EXAM_METADATA_MAX / 2 + 1] = '\0';
    refused(field, EXAM_ERR_HEADERS_TOO_LARGE);

    exam_buf_init(&b, field, sizeof(field));

    for (i = 0; i < EXAM_TUS_PAIRS_MAX; i++) {
        exam_buf_lit(&b, ",k");
        exam_buf_uint(&b, i);
    }

    (void) exam_buf_cstr(&b);
    tap_is(metadata(field + 1, &m), EXAM_OK, "32 pairs");

    exam_buf_lit(&b, ",k");
    (void) exam_buf_cstr(&b);
    refused(field + 1, EXAM_ERR_HEADERS_TOO_LARGE);
}


static exam_err_e
checksum(const char *field, exam_tus_checksum_t *sum)
{
    void        *p;
    exam_err_e   err;

    p = tap_exact(field, strlen(field));
    err = exam_tus_checksum(exam_str_make(p, strlen(field)), sum);
    free(p);

    return err;
}


static void
test_checksum(void)
{
    uint8_t              digest[EXAM_TUS_CHECKSUM_MAX];
    exam_tus_checksum_t  sum;

    /* of "hello world" */

    (void) exam_hex_decode((const uint8_t *)
                           "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed", 40,
                           digest, 20);

    tap_is(checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", &sum), EXAM_OK,
           "sha1");
    tap_is(sum.alg, EXAM_TUS_SHA1, "is that");
    tap_is((int64_t) sum.len, 20, "20 bytes");
    tap_ok(exam_tus_checksum_eq(&sum, digest), "the same");
    digest[19] ^= 1;
    tap_ok(!exam_tus_checksum_eq(&sum, digest), "another one");

    tap_is(checksum("sha256 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                    &sum),
           EXAM_OK, "sha256");
    tap_ok(sum.alg == EXAM_TUS_SHA256
           && sum.len == exam_tus_checksum_len(EXAM_TUS_SHA256)
           && sum.digest[31] == 31, "all 32 bytes");

    tap_is(checksum("crc32c yZRlaQ==", &sum), EXAM_OK, "crc32c");
    tap_ok(sum.alg == EXAM_TUS_CRC32C
           && exam_tus_checksum_eq(&sum, (const uint8_t *) "\xc9\x94\x65\x69"),
           "four bytes, the highest first");

    /* well-formed, so it is a mismatch and no bad request */

    tap_is(checksum("sha1 AAAA", &sum), EXAM_OK, "a short digest");
    memset(digest, 0, sizeof(digest));
    tap_ok(!exam_tus_checksum_eq(&sum, digest), "matches nothing");

    tap_is(checksum("crc32c AAAAAAA=", &sum), EXAM_OK, "a long one");
    tap_ok(!exam_tus_checksum_eq(&sum, digest), "nor does that");

    tap_is(checksum("sha256 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                    "AAAAAAAAAAAAAAAAAAAAAAAA", &sum),
           EXAM_OK, "one beyond all");
    tap_is((int64_t) sum.len, 51, "is as long as it was sent");
    tap_ok(!exam_tus_checksum_eq(&sum, digest), "and matches nothing");
}


static void
test_bad_checksum(void)
{
    size_t               i;
    exam_tus_checksum_t  sum;

    static const char *const  bad[] = {
        "", " ", "sha1", "sha1 ", "sha1AAAA", "md5 AAAA", "SHA1 AAAA",
        "sha-256 AAAA", "sha2 AAAA", "sha10 AAAA", " sha1 AAAA",
        "sha1  AAAA", "sha1 AAA", "sha1 AAAAA", "sha1 AA-_", "sha1 AAAA ",
        "sha1 A===", "sha1 AA=A", "sha1 AAAA,sha256 AAAA", "sha1\tAAAA"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tap_ok(checksum(bad[i], &sum) == EXAM_ERR_BAD_CHECKSUM,
               "\"%s\" is no checksum", bad[i]);
    }

    tap_text(EXAM_TUS_CHECKSUMS, strlen(EXAM_TUS_CHECKSUMS),
             "sha1,sha256,crc32c", "what is offered");
}
