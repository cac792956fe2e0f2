
/*
 * Tokens and the key file.  The first byte chooses:
 *
 *   0  the rest as a token
 *   1  the rest as a payload that is signed here, so that the claims are read
 *   2  claims made of the rest, issued and verified
 *   3  the rest as a key file
 *
 * What is accepted is in all bytes what exam_token_issue() writes, and no
 * change of any bit of it is accepted.
 */


#include "fuzz.h"

#include "exam_token.h"


#define FUZZ_NOW        1763650000


static void fuzz_ring(void);
static void fuzz_token(exam_str_t token);
static void fuzz_accepted(exam_str_t token, const exam_claims_t *claims);
static void fuzz_signed(exam_str_t payload);
static size_t fuzz_base64url(uint8_t *out, const uint8_t *src, size_t len);
static void fuzz_issued(exam_str_t text);
static void fuzz_keys(exam_str_t file);


static exam_keyring_t  ring;
static unsigned        seed;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exam_str_t  rest;

    if (size == 0) {
        return 0;
    }

    fuzz_ring();

    rest = fuzz_copy(exam_str_make(data + 1, size - 1));
    seed = (unsigned) size * 2654435761u + data[size - 1];

    switch (data[0] % 4) {

    case 0:
        fuzz_token(rest);
        break;

    case 1:
        fuzz_signed(rest);
        break;

    case 2:
        fuzz_issued(rest);
        break;

    case 3:
        fuzz_keys(rest);
        break;
    }

    fuzz_free(rest);

    return 0;
}


static void
fuzz_ring(void)
{
    unsigned     line;
    const char  *what;

    static const char  keys[] =
        "c1 candidate "
        "1111111111111111111111111111111111111111111111111111111111111111\n"
        "c2 candidate "
        "3333333333333333333333333333333333333333333333333333333333333333\n"
        "s1 staff "
        "2222222222222222222222222222222222222222222222222222222222222222\n";

    if (ring.n == 0) {
        fuzz_check(exam_keyring_parse(&ring,
                                      exam_str_make(keys, sizeof(keys) - 1),
                                      &line, &what)
                   == EXAM_OK, "the key file is valid");
    }
}


static void
fuzz_token(exam_str_t token)
{
    uint32_t       hash;
    exam_err_e     err;
    exam_claims_t  claims;

    (void) exam_token_peek(&ring, EXAM_KEY_STAFF, token, &hash);

    err = exam_token_verify(&ring, EXAM_KEY_CANDIDATE, token, FUZZ_NOW,
                            &claims);

    if (err == EXAM_OK || err == EXAM_ERR_TOKEN_EXPIRED) {
        fuzz_check((err == EXAM_OK) == (FUZZ_NOW < claims.exp),
                   "a token is valid until exp");
        fuzz_accepted(token, &claims);
        return;
    }

    fuzz_check(err == EXAM_ERR_TOKEN_INVALID, "an error of a token");
    (void) exam_token_peek(&ring, EXAM_KEY_CANDIDATE, token, &hash);
}


static void
fuzz_accepted(exam_str_t token, const exam_claims_t *claims)
{
    uint8_t            again[EXAM_TOKEN_MAX], *changed;
    size_t             bit;
    uint32_t           hash;
    exam_str_t         copy;
    exam_claims_t      out;
    const exam_key_t  *key;

    fuzz_check(exam_id_exam(claims->exam) && exam_id_student(claims->student),
               "accepted ids have their alphabets");

    key = exam_token_peek(&ring, EXAM_KEY_CANDIDATE, token, &hash);

    fuzz_check(key != NULL && hash == exam_sid_hash(claims->sid),
               "a valid token shows its hash unverified");

    if (key == &ring.keys[0]) {
        bit = exam_token_issue(&ring, EXAM_KEY_CANDIDATE, claims, again,
                               sizeof(again));
        fuzz_check(exam_str_eq(token, exam_str_make(again, bit)),
                   "a valid token has one spelling");
    }

    fuzz_check(exam_token_verify(&ring, EXAM_KEY_STAFF, token, 0, &out)
               == EXAM_ERR_TOKEN_INVALID,
               "a candidate's token is not valid for staff");

    copy = fuzz_copy(token);
    changed = (uint8_t *) (uintptr_t) copy.data;
    bit = seed % (token.len * 8);
    changed[bit / 8] ^= (uint8_t) (1u << bit % 8);

    fuzz_check(exam_token_verify(&ring, EXAM_KEY_CANDIDATE, copy, 0, &out)
               == EXAM_ERR_TOKEN_INVALID, "a changed token is not valid");

    fuzz_free(copy);

    copy = fuzz_copy(exam_str_make(token.data, seed % token.len));

    fuzz_check(exam_token_verify(&ring, EXAM_KEY_CANDIDATE, copy, 0, &out)
               == EXAM_ERR_TOKEN_INVALID, "a cut token is not valid");

    fuzz_free(copy);
}


static void
fuzz_signed(exam_str_t payload)
{
    size_t             len;
    uint8_t            text[2 * EXAM_TOKEN_MAX], mac[EXAM_HASH_LEN];
    exam_str_t         token;
    exam_sha256_t      h;
    const exam_key_t  *key;

    if (payload.len > EXAM_TOKEN_MAX) {
        return;
    }

    key = &ring.keys[seed >> 16 & 1];
    len = key->header_len;

    memcpy(text, key->header, len);
    len += fuzz_base64url(text + len, payload.data, payload.len);

    h = key->inner;
    exam_sha256_update(&h, text, len);
    exam_sha256_final(&h, mac);
    h = key->outer;
    exam_sha256_update(&h, mac, sizeof(mac));
    exam_sha256_final(&h, mac);

    text[len++] = '.';
    len += fuzz_base64url(text + len, mac, sizeof(mac));

    token = fuzz_copy(exam_str_make(text, len));
    fuzz_token(token);
    fuzz_free(token);
}


static size_t
fuzz_base64url(uint8_t *out, const uint8_t *src, size_t len)
{
    size_t    i, n;
    unsigned  acc, bits;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    acc = 0;
    bits = 0;

    for (i = 0, n = 0; i < len; i++) {
        acc = (acc << 8 | src[i]) & 0xffff;

        for (bits += 8; bits >= 6; bits -= 6) {
            out[n++] = (uint8_t) alphabet[acc >> (bits - 6) & 0x3f];
        }
    }

    if (bits != 0) {
        out[n++] = (uint8_t) alphabet[acc << (6 - bits) & 0x3f];
    }

    return n;
}


/* gen, iat, exp, then `exam student`: if these are ids, the token is valid */

static void
fuzz_issued(exam_str_t text)
{
    size_t         len;
    uint8_t        out[EXAM_TOKEN_MAX], numbers[24], random[12];
    exam_str_t     token;
    exam_claims_t  claims;
    const uint8_t  *space;

    if (text.len < sizeof(numbers)) {
        return;
    }

    memcpy(numbers, text.data, sizeof(numbers));
    text.data += sizeof(numbers);
    text.len -= sizeof(numbers);

    space = text.len ? memchr(text.data, ' ', text.len) : NULL;

    if (space == NULL) {
        return;
    }

    claims.exam = exam_str_make(text.data, (size_t) (space - text.data));
    claims.student = exam_str_make(space + 1,
                                   text.len - claims.exam.len - 1);

    if (!exam_id_exam(claims.exam) || !exam_id_student(claims.student)) {
        return;
    }

    memcpy(&claims.gen, numbers, 8);
    memcpy(&claims.iat, numbers + 8, 8);
    memcpy(&claims.exp, numbers + 16, 8);
    claims.iat &= INT64_MAX;
    claims.exp &= INT64_MAX;

    memcpy(random, numbers, sizeof(random));
    exam_sid_make(claims.sid, claims.exam, claims.student, random);

    len = exam_token_issue(&ring, EXAM_KEY_CANDIDATE, &claims, out,
                           sizeof(out));
    fuzz_check(len != 0, "a token fits EXAM_TOKEN_MAX");

    token = fuzz_copy(exam_str_make(out, len));

    fuzz_check(exam_token_verify(&ring, EXAM_KEY_CANDIDATE, token, 0, &claims)
               == (claims.exp > 0 ? EXAM_OK : EXAM_ERR_TOKEN_EXPIRED),
               "an issued token is valid");

    fuzz_token(token);
    fuzz_free(token);
}


static void
fuzz_keys(exam_str_t file)
{
    size_t          i, n[2];
    unsigned        line;
    const char     *what;
    exam_keyring_t  keys;

    line = 0;

    if (exam_keyring_parse(&keys, file, &line, &what) != EXAM_OK) {
        fuzz_check(what != NULL && line >= 1,
                   "a wrong key file is told with its line");
        return;
    }

    fuzz_check(keys.n >= 1 && keys.n <= EXAM_KEYS_MAX, "a few keys");

    n[EXAM_KEY_CANDIDATE] = 0;
    n[EXAM_KEY_STAFF] = 0;

    for (i = 0; i < keys.n; i++) {
        fuzz_check(keys.keys[i].header_len <= sizeof(keys.keys[i].header),
                   "a header fits its place");
        n[keys.keys[i].class]++;
    }

    fuzz_check(n[EXAM_KEY_CANDIDATE] >= 1 && n[EXAM_KEY_CANDIDATE] <= 2
               && n[EXAM_KEY_STAFF] <= 2, "at most two keys a class");
}
