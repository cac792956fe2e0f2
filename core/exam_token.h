
/*
 * Tokens: JWT HS256 (RFC 7515, 7519) exactly as we issue them (DESIGN 3).
 *
 *   header   {"alg":"HS256","typ":"JWT","kid":"<kid>"}      compared as bytes
 *   payload  {"sid":"<32 hex>","gen":N,"iat":S,"exp":S,"exam":"E","sub":"S"}
 *
 * The payload is written in this order only, so that the session id stands at
 * a fixed place and its hash can be peeked at before the MAC is computed.  A
 * payload of any other form is invalid, whoever signed it.  The MAC is computed
 * from two SHA-256 pad states kept per key and compared in constant time.
 *
 * A key ring is filled once (at configuration) and only read afterwards.
 */


#ifndef EXAM_TOKEN_H_INCLUDED
#define EXAM_TOKEN_H_INCLUDED


#include "exam_id.h"
#include "exam_sha256.h"


#define EXAM_KID_MAX     16
#define EXAM_KEYS_MAX    4      /* two of each class */
#define EXAM_TOKEN_MAX   512    /* bytes; longer ones are invalid unread */


typedef enum {
    EXAM_KEY_CANDIDATE = 0,
    EXAM_KEY_STAFF
} exam_key_class_e;


typedef struct {
    exam_key_class_e  class;
    char              kid[EXAM_KID_MAX + 1];
    uint8_t           header[96];   /* base64url of the header and a dot */
    size_t            header_len;
    uint32_t          mark;         /* of kid and secret, for comparing */
    exam_sha256_t     inner;        /* after key ^ ipad */
    exam_sha256_t     outer;        /* after key ^ opad */
} exam_key_t;


typedef struct {
    size_t            n;
    exam_key_t        keys[EXAM_KEYS_MAX];  /* in file order */
} exam_keyring_t;


typedef struct {
    exam_str_t        exam;
    exam_str_t        student;
    uint8_t           sid[EXAM_SID_LEN];
    uint64_t          gen;
    int64_t           iat;          /* seconds */
    int64_t           exp;          /* seconds */
    uint8_t           storage[EXAM_EXAM_MAX + EXAM_STUDENT_MAX];
} exam_claims_t;


/*
 * Parses a key file: lines `kid class hex` (32 bytes), `#` comments, at most
 * two keys a class, no kid twice.  On error *line is the offending line (from
 * 1) and *what a static description; the ring is then not to be used.
 */

EXAM_MUST_CHECK exam_err_e exam_keyring_parse(exam_keyring_t *ring,
    exam_str_t file, unsigned *line, const char **what);

/*
 * The first key of the class signs.  Returns the token's length, 0 when the
 * ring has no such key or `size` is too small (EXAM_TOKEN_MAX always does).
 */

size_t exam_token_issue(const exam_keyring_t *ring, exam_key_class_e class,
    const exam_claims_t *claims, uint8_t *out, size_t size);

/*
 * Verifies header, MAC and form, then `exp` against now (seconds).  The claims
 * point into claims->storage.  EXAM_ERR_TOKEN_INVALID or _EXPIRED; the claims
 * are filled for an expired one too.
 */

EXAM_MUST_CHECK exam_err_e exam_token_verify(const exam_keyring_t *ring,
    exam_key_class_e class, exam_str_t token, int64_t now,
    exam_claims_t *claims);

/*
 * The key whose header an *unverified* token has, and the hash
 * (exam_sid_hash()) of the session id that it names: for finding the node that
 * holds the same token verified before, never for more.  NULL: none of ours.
 */

const exam_key_t *exam_token_peek(const exam_keyring_t *ring,
    exam_key_class_e class, exam_str_t token, uint32_t *hash);


#endif /* EXAM_TOKEN_H_INCLUDED */
