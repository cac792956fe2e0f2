
/*
 * exam_token: forged, expired, truncated and re-spelled tokens; keyring.c has
 * the key file.  Tokens of foreign forms are made here by OpenSSL's HMAC, so
 * that a mistake in the pad states cannot hide.
 */


#include "tap.h"

#include "exam_token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


#define NOW     1763650000
#define KEY_C1  "000102030405060708090a0b0c0d0e0f"                            \
                "101112131415161718191a1b1c1d1e1f"
#define KEY_C2  "ff0102030405060708090a0b0c0d0e0f"                            \
                "101112131415161718191a1b1c1d1e1f"
#define KEY_S1  "aa0102030405060708090a0b0c0d0e0f"                            \
                "101112131415161718191a1b1c1d1e1f"
#define HEADER  "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"c1\"}"
#define HEADER_B64 "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImMxIn0."
#define PEEK    24      /* characters of a payload that peek looks at */
#define SID     "5ea034d70102030405060708090a0bff"
#define PAYLOAD "{\"sid\":\"" SID "\",\"gen\":7,\"iat\":1763650000,"          \
                "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"S001\"}"


typedef struct {
    size_t   len;
    uint8_t  data[1024];
} token_t;


static void ring_of(exam_keyring_t *ring, const char *file);
static void key_of(const char *hex, uint8_t key[32]);
static void base64url(token_t *t, const void *data, size_t len);
static void sign(token_t *t, const char *key, size_t len);
static token_t make(const char *key, const char *header, const char *payload);
static exam_err_e verify(const exam_keyring_t *ring, const token_t *t,
    int64_t now);
static const exam_key_t *peek(const exam_keyring_t *r, const uint8_t *p,
    size_t len, uint32_t *hash);
static void test_issue(void);
static void test_expiry(void);
static void test_headers(void);
static void test_payloads(void);
static void test_spelling(void);
static void test_ids(void);
static void test_theft(void);
static void test_classes(void);
static void test_rotation(void);
static void test_bits(void);
static void test_lengths(void);
static void test_peek(void);
static void test_peek_bytes(void);
static void test_mark(void);
static bool openssl_sid(const uint8_t *b64, char text[64]);


static exam_keyring_t  ring;


int
main(void)
{
    ring_of(&ring, "c1 candidate " KEY_C1 "\ns1 staff " KEY_S1 "\n");

    test_issue();
    test_expiry();
    test_headers();
    test_payloads();
    test_spelling();
    test_ids();
    test_theft();
    test_classes();
    test_rotation();
    test_bits();
    test_lengths();
    test_peek();
    test_peek_bytes();
    test_mark();

    return tap_done();
}


static void
ring_of(exam_keyring_t *r, const char *file)
{
    unsigned     line;
    const char  *what;

    if (exam_keyring_parse(r, exam_str_make(file, strlen(file)), &line, &what)
        != EXAM_OK)
    {
        printf("Bail out! line %u: %s\n", line, what);
        exit(1);
    }
}


static void
key_of(const char *hex, uint8_t key[32])
{
    if (!exam_hex_decode((const uint8_t *) hex, strlen(hex), key, 32)) {
        printf("Bail out! not a key\n");
        exit(1);
    }
}


static void
base64url(token_t *t, const void *data, size_t len)
{
    int   i, n;
    char  m[1024];

    n = EVP_EncodeBlock((unsigned char *) m, data, (int) len);

    for (i = 0; i < n && m[i] != '='; i++) {
        t->data[t->len++] = m[i] == '+' ? '-' : m[i] == '/' ? '_'
                                                            : (uint8_t) m[i];
    }
}


static token_t
make(const char *key, const char *header, const char *payload)
{
    token_t  t;

    t.len = 0;
    base64url(&t, header, strlen(header));
    t.data[t.len++] = '.';
    base64url(&t, payload, strlen(payload));
    sign(&t, key, t.len);

    return t;
}


/* a right MAC behind the first `len` bytes */

static void
sign(token_t *t, const char *key, size_t len)
{
    uint8_t   secret[32], mac[32];
    unsigned  n;

    key_of(key, secret);
    HMAC(EVP_sha256(), secret, 32, t->data, len, mac, &n);

    t->len = len;
    t->data[t->len++] = '.';
    base64url(t, mac, 32);
}


static exam_err_e
verify(const exam_keyring_t *r, const token_t *t, int64_t now)
{
    void           *p;
    exam_err_e      err;
    exam_claims_t   claims;

    p = tap_exact(t->data, t->len);
    err = exam_token_verify(r, EXAM_KEY_CANDIDATE, exam_str_make(p, t->len),
                            now, &claims);
    free(p);

    return err;
}


static const exam_key_t *
peek(const exam_keyring_t *r, const uint8_t *p, size_t len, uint32_t *hash)
{
    void              *copy;
    const exam_key_t  *key;

    copy = tap_exact(p, len);
    key = exam_token_peek(r, EXAM_KEY_CANDIDATE, exam_str_make(copy, len),
                          hash);
    free(copy);

    return key;
}


static void
test_issue(void)
{
    size_t          len, size;
    bool            small;
    token_t         want;
    uint8_t         t[EXAM_TOKEN_MAX];
    exam_claims_t   in, out;

    memset(&in, 0, sizeof(in));

    in.exam = exam_str("30");
    in.student = exam_str("S001");
    in.gen = 7;
    in.iat = NOW;
    in.exp = NOW + 1;
    (void) exam_sid_parse(exam_str(SID), in.sid);

    want = make(KEY_C1, HEADER, PAYLOAD);
    len = exam_token_issue(&ring, EXAM_KEY_CANDIDATE, &in, t, sizeof(t));

    tap_ok(len == want.len && memcmp(t, want.data, len) == 0,
           "issued as OpenSSL would make it");

    tap_is(exam_token_verify(&ring, EXAM_KEY_CANDIDATE, exam_str_make(t, len),
                             NOW, &out), EXAM_OK, "and verified");
    tap_ok(exam_str_eq(out.exam, in.exam)
           && exam_str_eq(out.student, in.student)
           && memcmp(out.sid, in.sid, EXAM_SID_LEN) == 0
           && out.gen == 7 && out.iat == NOW && out.exp == NOW + 1,
           "with all its claims");

    small = true;

    for (size = 0; size < len; size++) {
        uint8_t  *m = tap_exact(t, size);

        small = small && exam_token_issue(&ring, EXAM_KEY_CANDIDATE, &in, m,
                                          size) == 0;
        free(m);
    }

    tap_ok(small, "0 for each size that is too small");

    ring_of(&ring, "c1 candidate " KEY_C1 "\n");
    tap_is((int64_t) exam_token_issue(&ring, EXAM_KEY_STAFF, &in, t,
                                      sizeof(t)), 0,
           "0 without a key of the class");
    ring_of(&ring, "c1 candidate " KEY_C1 "\ns1 staff " KEY_S1 "\n");
}


static void
test_expiry(void)
{
    token_t        t;
    exam_err_e     err;
    exam_claims_t  claims;

    t = make(KEY_C1, HEADER, PAYLOAD);

    tap_is(verify(&ring, &t, NOW), EXAM_OK, "one second before exp");
    tap_is(verify(&ring, &t, NOW + 1), EXAM_ERR_TOKEN_EXPIRED, "at exp");
    tap_is(verify(&ring, &t, NOW + 2), EXAM_ERR_TOKEN_EXPIRED, "after exp");

    memset(&claims, 0, sizeof(claims));
    err = exam_token_verify(&ring, EXAM_KEY_CANDIDATE,
                            exam_str_make(t.data, t.len), NOW + 9, &claims);
    tap_ok(err == EXAM_ERR_TOKEN_EXPIRED
           && exam_str_eq(claims.student, exam_str("S001")),
           "an expired token still tells whose it was");

    t.data[t.len - 2] ^= 1;
    tap_is(verify(&ring, &t, NOW + 9), EXAM_ERR_TOKEN_INVALID,
           "expired and forged: invalid");
}


static void
test_headers(void)
{
    size_t   i;
    token_t  t;

    /* all with a right MAC of our key */

    static const char *const  bad[] = {
        "{\"alg\":\"none\",\"typ\":\"JWT\",\"kid\":\"c1\"}",
        "{\"alg\":\"hs256\",\"typ\":\"JWT\",\"kid\":\"c1\"}",
        "{\"alg\":\"HS512\",\"typ\":\"JWT\",\"kid\":\"c1\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"c2\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"s1\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"c1\" }",
        "{\"alg\":\"HS256\",\"kid\":\"c1\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"c1\",\"x\":1}",
        "{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"c1\"}",
        ""
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t = make(KEY_C1, bad[i], PAYLOAD);
        tap_ok(verify(&ring, &t, NOW) == EXAM_ERR_TOKEN_INVALID,
               "header %s is refused", bad[i]);
    }

    /* alg none as libraries took it: no MAC at all */

    t = make(KEY_C1, bad[0], PAYLOAD);
    t.len -= 43;
    tap_is(verify(&ring, &t, NOW), EXAM_ERR_TOKEN_INVALID,
           "alg none with an empty MAC");

    t = make(KEY_C1, HEADER, PAYLOAD);
    t.len -= 43;
    tap_is(verify(&ring, &t, NOW), EXAM_ERR_TOKEN_INVALID,
           "our header with an empty MAC");

    t.len -= 1;
    tap_is(verify(&ring, &t, NOW), EXAM_ERR_TOKEN_INVALID,
           "our header without a MAC");
}


/* all with a right MAC: whoever holds the key may not bend the form either */

static void
test_payloads(void)
{
    size_t   i;
    token_t  t;

#define HEAD  "{\"sid\":\"" SID "\",\"gen\":7,\"iat\":1763650000,"
#define TAIL  "\"exam\":\"30\",\"sub\":\"S001\"}"

    static const char *const  bad[] = {
        "",
        "{}",
        "null",
        HEAD "\"exp\":1763650001," TAIL " ",
        " " HEAD "\"exp\":1763650001," TAIL,
        HEAD "\"exp\":1763650001, " TAIL,
        HEAD "\"exp\": 1763650001," TAIL,
        HEAD "\"exp\":01763650001," TAIL,
        HEAD "\"exp\":+1763650001," TAIL,
        HEAD "\"exp\":-1763650001," TAIL,
        HEAD "\"exp\":1763650001.0," TAIL,
        HEAD "\"exp\":1.763650001e9," TAIL,
        HEAD "\"exp\":\"1763650001\"," TAIL,
        HEAD "\"exp\":," TAIL,
        HEAD "\"exp\":9223372036854775808," TAIL,
        HEAD "\"exp\":18446744073709551617," TAIL,
        HEAD TAIL,
        HEAD "\"exp\":1763650001,\"aud\":\"staff\"," TAIL,
        HEAD "\"exp\":1763650001," TAIL "x",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"S001\",\"x\":1}",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"S001\"",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"S001",
        HEAD "\"exp\":1763650001,\"sub\":\"S001\",\"exam\":\"30\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"../30\",\"sub\":\"S001\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"../S001\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"S0\\u0030\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"\",\"sub\":\"S001\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"S002\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"30\",\"sub\":\"s001\"}",
        HEAD "\"exp\":1763650001,\"exam\":\"31\",\"sub\":\"S001\"}",
        "{\"sid\":\"5EA034d70102030405060708090a0bff\",\"gen\":7,"
            "\"iat\":1763650000,\"exp\":1763650001," TAIL,
        "{\"sid\":\"5ea034d70102030405060708090a0bf\",\"gen\":7,"
            "\"iat\":1763650000,\"exp\":1763650001," TAIL,
        "{\"sid\":\"5ea034d70102030405060708090a0bfff\",\"gen\":7,"
            "\"iat\":1763650000,\"exp\":1763650001," TAIL,
        "{\"sid\":\"5ea034d80102030405060708090a0bff\",\"gen\":7,"
            "\"iat\":1763650000,\"exp\":1763650001," TAIL,
        "{\"sid\":\"" SID "\",\"gen\":18446744073709551616,"
            "\"iat\":1763650000,\"exp\":1763650001," TAIL,
        "{\"sid\":\"" SID "\",\"gen\":7,\"iat\":-1,\"exp\":1763650001," TAIL,
        "{\"gen\":7,\"sid\":\"" SID "\",\"iat\":1763650000,"
            "\"exp\":1763650001," TAIL
    };

    t = make(KEY_C1, HEADER, HEAD "\"exp\":1763650001," TAIL);
    tap_is(verify(&ring, &t, NOW), EXAM_OK, "our payload");

    t = make(KEY_C1, HEADER, "{\"sid\":\"" SID "\","
             "\"gen\":18446744073709551615,\"iat\":0,"
             "\"exp\":9223372036854775807," TAIL);
    tap_is(verify(&ring, &t, NOW), EXAM_OK, "the largest numbers");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t = make(KEY_C1, HEADER, bad[i]);
        tap_ok(verify(&ring, &t, NOW) == EXAM_ERR_TOKEN_INVALID,
               "payload %d is refused", (int) i);
    }

#undef HEAD
#undef TAIL
}


/* one text, one spelling: base64url as RFC 4648 section 3.5 wants it */

static void
test_spelling(void)
{
    int        gen;
    char      *p, m[256];
    bool       all;
    size_t     dot, rest;
    token_t    t, u;
    unsigned   n, seen;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    seen = 0;
    t = make(KEY_C1, HEADER, PAYLOAD);

    /* the last character of the MAC holds four bits: 3 other spellings */

    p = strchr(alphabet, t.data[t.len - 1]);
    all = (p != NULL) && (p - alphabet) % 4 == 0;

    for (n = 1; all && n < 4; n++) {
        u = t;
        u.data[u.len - 1] = (uint8_t) p[n];
        all = verify(&ring, &u, NOW) == EXAM_ERR_TOKEN_INVALID;
    }

    tap_ok(all, "bits behind the MAC are refused");

    u = t;
    u.data[u.len++] = '=';
    tap_is(verify(&ring, &u, NOW), EXAM_ERR_TOKEN_INVALID, "padding");

    u = t;
    u.data[u.len++] = '.';
    tap_is(verify(&ring, &u, NOW), EXAM_ERR_TOKEN_INVALID, "a fourth part");

    /* payloads with bits behind them, signed as they stand */

    for (gen = 7; gen < 1000; gen = gen * 10 + 7) {
        snprintf(m, sizeof(m), "{\"sid\":\"" SID "\",\"gen\":%d,"
                 "\"iat\":1763650000,\"exp\":1763650001,\"exam\":\"30\","
                 "\"sub\":\"S001\"}", gen);
        t = make(KEY_C1, HEADER, m);
        dot = t.len - 44;
        rest = (dot - strlen(HEADER_B64)) % 4;
        seen |= 1u << rest;

        tap_ok(verify(&ring, &t, NOW) == EXAM_OK,
               "a payload of whole quads and %d characters", (int) rest);

        if (rest == 0) {
            t.data[dot++] = 'A';

        } else {
            p = strchr(alphabet, t.data[dot - 1]);
            t.data[dot - 1] = (uint8_t) p[1];
        }

        sign(&t, KEY_C1, dot);
        tap_ok(verify(&ring, &t, NOW) == EXAM_ERR_TOKEN_INVALID,
               "%s, though signed", rest == 0 ? "one character too many"
                                              : "bits behind it");
    }

    tap_is(seen, 1 << 0 | 1 << 2 | 1 << 3, "each way a payload can end");

    /* the standard alphabet in place of the URL one, signed as it stands */

    t = make(KEY_C1, HEADER, PAYLOAD);
    dot = t.len - 44;
    t.data[dot - 6] = '+';
    sign(&t, KEY_C1, dot);
    tap_is(verify(&ring, &t, NOW), EXAM_ERR_TOKEN_INVALID, "a plus sign");
}


/* ids of a wrong form under a session id that fits them, signed */

static void
test_ids(void)
{
    char      m[512];
    size_t    i;
    token_t   t;
    uint32_t  hash;

    static const struct {
        const char  *exam;
        const char  *student;
        exam_err_e   err;
    } ids[] = {
        { "30", "S001", EXAM_OK },
        { "../30", "S001", EXAM_ERR_TOKEN_INVALID },
        { "30", "../S001", EXAM_ERR_TOKEN_INVALID },
        { "30", "S0..1", EXAM_ERR_TOKEN_INVALID },
        { "30", "S001%2f", EXAM_ERR_TOKEN_INVALID },
        { "", "S001", EXAM_ERR_TOKEN_INVALID },
        { "30", "", EXAM_ERR_TOKEN_INVALID },
        { "123456789012345678901234567890123", "S001",
          EXAM_ERR_TOKEN_INVALID },
        { "30", "1234567890123456789012345678901234567890"
                "1234567890123456789012345", EXAM_ERR_TOKEN_INVALID }
    };

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        hash = exam_id_hash(exam_str_make(ids[i].exam, strlen(ids[i].exam)),
                            exam_str_make(ids[i].student,
                                          strlen(ids[i].student)));
        snprintf(m, sizeof(m), "{\"sid\":\"%08x0102030405060708090a0bff\","
                 "\"gen\":7,\"iat\":1763650000,\"exp\":1763650001,"
                 "\"exam\":\"%s\",\"sub\":\"%s\"}", hash, ids[i].exam,
                 ids[i].student);
        t = make(KEY_C1, HEADER, m);
        tap_ok(verify(&ring, &t, NOW) == ids[i].err, "exam '%s', student '%s'",
               ids[i].exam, ids[i].student);
    }
}


static void
test_theft(void)
{
    token_t  mine, other;

    mine = make(KEY_C1, HEADER, PAYLOAD);
    other = make(KEY_C1, HEADER, "{\"sid\":\"85832a220102030405060708090a0bff\""
                 ",\"gen\":7,\"iat\":1763650000,\"exp\":1763650001,"
                 "\"exam\":\"30\",\"sub\":\"s001\"}");

    tap_is(verify(&ring, &mine, NOW), EXAM_OK, "my token");
    tap_is(verify(&ring, &other, NOW), EXAM_OK, "another's token");

    memcpy(other.data + other.len - 43, mine.data + mine.len - 43, 43);
    tap_is(verify(&ring, &other, NOW), EXAM_ERR_TOKEN_INVALID,
           "another's payload under my MAC");

    mine = make(KEY_C2, HEADER, PAYLOAD);
    tap_is(verify(&ring, &mine, NOW), EXAM_ERR_TOKEN_INVALID, "another key");
}


static void
test_classes(void)
{
    token_t        t;
    exam_claims_t  claims;

    /* the staff key's own token, and the staff key under our header */

    t = make(KEY_S1, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"s1\"}",
             PAYLOAD);

    tap_is(exam_token_verify(&ring, EXAM_KEY_STAFF,
                             exam_str_make(t.data, t.len), NOW, &claims),
           EXAM_OK, "a staff token for staff");
    tap_is(verify(&ring, &t, NOW), EXAM_ERR_TOKEN_INVALID,
           "a staff token for a candidate");

    t = make(KEY_S1, HEADER, PAYLOAD);
    tap_is(verify(&ring, &t, NOW), EXAM_ERR_TOKEN_INVALID,
           "the staff key under a candidate's kid");

    t = make(KEY_C1, HEADER, PAYLOAD);
    tap_is(exam_token_verify(&ring, EXAM_KEY_STAFF,
                             exam_str_make(t.data, t.len), NOW, &claims),
           EXAM_ERR_TOKEN_INVALID, "a candidate's token for staff");
}


static void
test_rotation(void)
{
    token_t         t;
    uint8_t         m[EXAM_TOKEN_MAX];
    exam_claims_t   in;
    exam_keyring_t  r;

    ring_of(&r, "c2 candidate " KEY_C2 "\nc1 candidate " KEY_C1 "\n");

    t = make(KEY_C1, HEADER, PAYLOAD);
    tap_is(verify(&r, &t, NOW), EXAM_OK, "the older key verifies");

    t = make(KEY_C2, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"c2\"}",
             PAYLOAD);
    tap_is(verify(&r, &t, NOW), EXAM_OK, "the newer key verifies");

    t = make(KEY_C1, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"c2\"}",
             PAYLOAD);
    tap_is(verify(&r, &t, NOW), EXAM_ERR_TOKEN_INVALID,
           "but each only its own");

    t = make(KEY_C2, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"c2\"}",
             PAYLOAD);
    memset(&in, 0, sizeof(in));
    in.exam = exam_str("30");
    in.student = exam_str("S001");
    in.gen = 7;
    in.iat = NOW;
    in.exp = NOW + 1;
    (void) exam_sid_parse(exam_str(SID), in.sid);

    tap_ok(exam_token_issue(&r, EXAM_KEY_CANDIDATE, &in, m, sizeof(m)) == t.len
           && memcmp(m, t.data, t.len) == 0, "the first one signs");
}


static void
test_bits(void)
{
    bool     all;
    size_t   i;
    token_t  t;

    t = make(KEY_C1, HEADER, PAYLOAD);
    all = true;

    for (i = 0; i < t.len * 8; i++) {
        t.data[i / 8] ^= (uint8_t) (1 << i % 8);
        all = all && verify(&ring, &t, NOW) == EXAM_ERR_TOKEN_INVALID;
        t.data[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    tap_ok(all, "no bit can be turned");
    tap_is(verify(&ring, &t, NOW), EXAM_OK, "and turned back it is good");
}


static void
test_lengths(void)
{
    bool      all;
    token_t   t, u;
    uint8_t  *p;

    t = make(KEY_C1, HEADER, PAYLOAD);
    all = true;

    for (u = t, u.len = 0; u.len < t.len; u.len++) {
        all = all && verify(&ring, &u, NOW) == EXAM_ERR_TOKEN_INVALID;
    }

    tap_ok(all, "truncated anywhere: invalid");

    u = t;
    memset(u.data + u.len, 'A', sizeof(u.data) - u.len);
    u.len = EXAM_TOKEN_MAX;
    tap_is(verify(&ring, &u, NOW), EXAM_ERR_TOKEN_INVALID, "longer: invalid");

    u.len = EXAM_TOKEN_MAX + 1;
    tap_is(verify(&ring, &u, NOW), EXAM_ERR_TOKEN_INVALID, "over the limit");

    /* the longest payload that a token may have, of rubbish, signed */

    p = malloc(EXAM_TOKEN_MAX + 1);
    memset(p, '{', EXAM_TOKEN_MAX);
    p[EXAM_TOKEN_MAX] = '\0';
    p[(EXAM_TOKEN_MAX - 44 - 52 - 1) / 4 * 3] = '\0';
    u = make(KEY_C1, HEADER, (char *) p);
    tap_ok(u.len <= EXAM_TOKEN_MAX && u.len > EXAM_TOKEN_MAX - 8
           && verify(&ring, &u, NOW) == EXAM_ERR_TOKEN_INVALID,
           "the longest payload, %d characters", (int) u.len);

    p[(EXAM_TOKEN_MAX - 44 - 52 - 1) / 4 * 3] = '{';
    u = make(KEY_C1, HEADER, (char *) p);
    tap_ok(u.len > EXAM_TOKEN_MAX
           && verify(&ring, &u, NOW) == EXAM_ERR_TOKEN_INVALID,
           "a longer one, %d characters", (int) u.len);
    free(p);

    u = t;
    sign(&u, KEY_C1, strlen(HEADER_B64) - 1);
    tap_is(verify(&ring, &u, NOW), EXAM_ERR_TOKEN_INVALID,
           "two parts, signed");
    sign(&u, KEY_C1, strlen(HEADER_B64));
    tap_is(verify(&ring, &u, NOW), EXAM_ERR_TOKEN_INVALID,
           "an empty payload, signed");
}


static void
test_peek(void)
{
    bool      all;
    size_t    i, head, need;
    token_t   t;
    uint32_t  hash;

    t = make(KEY_C1, HEADER, PAYLOAD);
    head = strlen(HEADER_B64);
    need = head + PEEK;

    tap_ok(peek(&ring, t.data, t.len, &hash) == &ring.keys[0]
           && hash == 0x5ea034d7,
           "key and hash of the session id without the MAC");
    tap_ok(peek(&ring, t.data, need, &hash) == &ring.keys[0],
           "it needs no more than that");

    all = true;

    for (i = 0; i < need; i++) {
        all = all && peek(&ring, t.data, i, &hash) == NULL;
    }

    tap_ok(all, "truncated before its end: nothing");

    t = make(KEY_S1, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"s1\"}",
             PAYLOAD);
    tap_ok(peek(&ring, t.data, t.len, &hash) == NULL,
           "a token of the other class");
}


/* the mark stands for kid and secret, in whatever place of the ring */

static void
test_mark(void)
{
    uint32_t        mark;
    exam_keyring_t  r;

    mark = ring.keys[0].mark;

    ring_of(&r, "c9 candidate " KEY_S1 "\nc1 candidate " KEY_C1 "\n");
    tap_ok(r.keys[1].mark == mark, "the same key at another place");
    tap_ok(r.keys[0].mark != mark, "another key at the same place");

    ring_of(&r, "c1 candidate " KEY_S1 "\nc9 candidate " KEY_C1 "\n");
    tap_ok(r.keys[0].mark != mark, "the same kid with another secret");
    tap_ok(r.keys[1].mark != mark, "the same secret with another kid");
}


/* each byte in each place of the part that is peeked at */

static void
test_peek_bytes(void)
{
    bool               all, good;
    char               text[64];
    size_t             i, head, need;
    token_t            t, u;
    uint32_t           hash;
    const exam_key_t  *key;

    t = make(KEY_C1, HEADER, PAYLOAD);
    head = strlen(HEADER_B64);
    need = head + PEEK;
    all = true;

    for (i = 0; i < need * 256 && all; i++) {
        u = t;
        u.data[i / 256] = (uint8_t) (i % 256);

        good = memcmp(u.data, t.data, head) == 0
               && openssl_sid(u.data + head, text);

        key = peek(&ring, u.data, need, &hash);
        all = (key != NULL) == good;

        if (good) {
            text[16] = '\0';
            all = all && hash == strtoul(text + 8, NULL, 16);
        }
    }

    tap_ok(all, "each byte in each place: strict, and as OpenSSL decodes it");
}


/* the first PEEK characters of a payload, decoded by OpenSSL: of our form? */

static bool
openssl_sid(const uint8_t *b64, char text[64])
{
    int   i;
    char  m[PEEK];

    for (i = 0; i < PEEK; i++) {
        if (b64[i] == '+' || b64[i] == '/' || b64[i] == '=' || b64[i] <= ' '
            || b64[i] >= 0x7f)
        {
            return false;
        }

        m[i] = b64[i] == '-' ? '+' : b64[i] == '_' ? '/' : (char) b64[i];
    }

    if (EVP_DecodeBlock((unsigned char *) text, (unsigned char *) m, PEEK)
        != PEEK / 4 * 3
        || memcmp(text, "{\"sid\":\"", 8) != 0)
    {
        return false;
    }

    for (i = 8; i < PEEK / 4 * 3; i++) {
        if (text[i] == '\0' || strchr("0123456789abcdef", text[i]) == NULL) {
            return false;
        }
    }

    return true;
}
