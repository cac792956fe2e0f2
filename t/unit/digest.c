
/*
 * exam_digest: Content-Digest as RFC 9530 and RFC 8941 write it.  What is
 * malformed is told to the client, so good and bad forms matter alike; the
 * requests themselves are in t/300-put.t and t/310-put-refused.t.
 */


#include "tap.h"

#include "exam_digest.h"


#define ZERO        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SHA         "sha-256=:" ZERO "=:"
#define ONES        "sha-256=://////////////////////////////////////////8=:"


static exam_digest_e parse(const char *field, uint8_t sha256[EXAM_HASH_LEN]);
static void gives(const char *field, exam_digest_e want);
static void test_forms(void);
static void test_malformed(void);
static void test_value(void);
static void test_cut(void);


int
main(void)
{
    test_forms();
    test_malformed();
    test_value();
    test_cut();

    return tap_done();
}


static exam_digest_e
parse(const char *field, uint8_t sha256[EXAM_HASH_LEN])
{
    void           *p;
    size_t          len;
    exam_digest_e   found;

    len = strlen(field);
    p = tap_exact(field, len);

    found = exam_digest_parse(exam_str_make(p, len), sha256);

    free(p);

    return found;
}


static void
gives(const char *field, exam_digest_e want)
{
    uint8_t  sha256[EXAM_HASH_LEN];

    tap_ok(parse(field, sha256) == want, "\"%s\" is %s", field,
           want == EXAM_DIGEST_SHA256 ? "a hash"
           : want == EXAM_DIGEST_NONE ? "no hash of ours" : "malformed");
}


static void
test_forms(void)
{
    gives(SHA, EXAM_DIGEST_SHA256);
    gives("sha-256=:" ZERO ":", EXAM_DIGEST_SHA256);
    gives(" \t" SHA " ", EXAM_DIGEST_SHA256);
    gives("md5=:AAAA:, " SHA, EXAM_DIGEST_SHA256);
    gives(SHA "\t,\tmd5=:AAAA:", EXAM_DIGEST_SHA256);
    gives("*x.y-z_1=::, " SHA, EXAM_DIGEST_SHA256);
    gives(SHA ";a;  b=1;c=\"q\\\"\";d=:AA==:;e=?1;f=t/x", EXAM_DIGEST_SHA256);

    gives("", EXAM_DIGEST_NONE);
    gives(" ", EXAM_DIGEST_NONE);
    gives("md5=:AAAA:", EXAM_DIGEST_NONE);
    gives("sha-512=::", EXAM_DIGEST_NONE);
}


static void
test_malformed(void)
{
    gives("sha-256", EXAM_DIGEST_MALFORMED);
    gives("sha-256=", EXAM_DIGEST_MALFORMED);
    gives("sha-256=abc", EXAM_DIGEST_MALFORMED);
    gives("sha-256=:abc:", EXAM_DIGEST_MALFORMED);
    gives("sha-256=:" ZERO "==:", EXAM_DIGEST_MALFORMED);
    gives("sha-256=:" ZERO, EXAM_DIGEST_MALFORMED);
    gives("SHA-256=:" ZERO "=:", EXAM_DIGEST_MALFORMED);
    gives(SHA ",", EXAM_DIGEST_MALFORMED);
    gives(SHA ", ", EXAM_DIGEST_MALFORMED);
    gives(SHA " x", EXAM_DIGEST_MALFORMED);
    gives(SHA ";", EXAM_DIGEST_MALFORMED);
    gives(SHA ";a=", EXAM_DIGEST_MALFORMED);
    gives(SHA ";a=\"b", EXAM_DIGEST_MALFORMED);
    gives(SHA ";a=\"b\\", EXAM_DIGEST_MALFORMED);
    gives(", " SHA, EXAM_DIGEST_MALFORMED);
    gives("1a=::", EXAM_DIGEST_MALFORMED);
}


static void
test_value(void)
{
    size_t   i, same;
    uint8_t  sha256[EXAM_HASH_LEN];

    tap_is(parse("sha-256=:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:",
                 sha256),
           EXAM_DIGEST_SHA256, "the bytes 0 to 31");

    for (i = 0, same = 0; i < EXAM_HASH_LEN; i++) {
        same += (sha256[i] == i);
    }

    tap_is((int64_t) same, EXAM_HASH_LEN, "all of them come out");

    tap_is(parse(SHA ", " ONES, sha256), EXAM_DIGEST_SHA256,
           "a key that stands twice");
    tap_is(sha256[0], 0xff, "counts as it stands last");
    tap_is(sha256[31], 0xff, "to its last byte");
}


/* no beginning of a field makes the parser read behind it */

static void
test_cut(void)
{
    char     field[256];
    size_t   i, len, bad;
    uint8_t  sha256[EXAM_HASH_LEN];

    static const char  whole[] =
        "md5=:AA==:;a=\"x\\\"\";b=?0, " SHA ";c=:AA==:";

    len = sizeof(whole) - 1;
    bad = 0;

    for (i = 0; i < len; i++) {
        memcpy(field, whole, i);
        field[i] = '\0';

        bad += (parse(field, sha256) == EXAM_DIGEST_MALFORMED);
    }

    tap_ok(bad > len / 2, "a field that is cut is malformed nearly anywhere");
    gives(whole, EXAM_DIGEST_SHA256);
}
