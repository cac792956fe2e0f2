
/*
 * The fields of RFC 9530.  Called by the module before the body of an upload is
 * read; pure, no allocation, any thread.
 *
 * As strict as RFC 9651: what is not a dictionary of the field's type is
 * malformed as a whole, so that a client's mistake is told and not passed over.
 * Of a key that stands twice the last one counts.
 */


#include "exam_digest.h"
#include "exam_sfv.h"


static bool exam_digest_decode(exam_str_t value, uint8_t out[EXAM_HASH_LEN]);


#define EXAM_DIGEST_DIGITS      44      /* of 32 bytes in base64 */


exam_digest_e
exam_digest_parse(exam_str_t field, uint8_t sha256[EXAM_HASH_LEN])
{
    exam_sfv_t     f;
    exam_str_t     key, value;
    exam_digest_e  found;

    found = EXAM_DIGEST_NONE;

    exam_sfv_init(&f, field);

    while (f.pos < f.end) {

        if (!exam_sfv_key(&f, &key)
            || !exam_sfv_skip(&f, '=')
            || !exam_sfv_bytes(&f, &value)
            || !exam_sfv_parameters(&f)
            || !exam_sfv_next(&f))
        {
            return EXAM_DIGEST_MALFORMED;
        }

        if (exam_str_eq(key, exam_str("sha-256"))) {

            if (!exam_digest_decode(value, sha256)) {
                return EXAM_DIGEST_MALFORMED;
            }

            found = EXAM_DIGEST_SHA256;
        }
    }

    return found;
}


/* the padding may be missing, as RFC 9651 leaves open */

static bool
exam_digest_decode(exam_str_t value, uint8_t out[EXAM_HASH_LEN])
{
    size_t   len;
    uint8_t  padded[EXAM_DIGEST_DIGITS];

    if (value.len == EXAM_DIGEST_DIGITS - 1) {
        memcpy(padded, value.data, value.len);
        padded[EXAM_DIGEST_DIGITS - 1] = '=';
        value = exam_str_make(padded, EXAM_DIGEST_DIGITS);
    }

    return value.len == EXAM_DIGEST_DIGITS
           && exam_base64_decode(value, out, EXAM_HASH_LEN, &len)
           && len == EXAM_HASH_LEN;
}
