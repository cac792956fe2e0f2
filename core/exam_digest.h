
/*
 * Fields of RFC 9530, structured dictionaries (RFC 9651) of byte sequences:
 * Content-Digest and Repr-Digest.  Pure, any thread.
 */


#ifndef EXAM_DIGEST_H_INCLUDED
#define EXAM_DIGEST_H_INCLUDED


#include "exam_id.h"


typedef enum {
    EXAM_DIGEST_NONE = 0,           /* well-formed, but no sha-256 in it */
    EXAM_DIGEST_SHA256,
    EXAM_DIGEST_MALFORMED           /* to be answered by bad_digest */
} exam_digest_e;


/*
 * Content-Digest, Repr-Digest: unknown algorithms are ignored; sha256 is set
 * with _SHA256 only.
 */

exam_digest_e exam_digest_parse(exam_str_t field,
    uint8_t sha256[EXAM_HASH_LEN]);


#endif /* EXAM_DIGEST_H_INCLUDED */
