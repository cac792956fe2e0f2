
/*
 * Content-Digest: an accepted hash, written as the only member, is the same; a
 * member more does not change it; a comma at the end is always an error.
 */


#include "fuzz.h"

#include "exam_digest.h"


#define FUZZ_MAX        4096


static exam_digest_e fuzz_with(exam_str_t field, const char *before,
    const char *behind, uint8_t sha256[EXAM_HASH_LEN]);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t        text[64], sha256[EXAM_HASH_LEN], again[EXAM_HASH_LEN];
    exam_buf_t     b;
    exam_str_t     field;
    exam_digest_e  found;

    if (size > FUZZ_MAX) {
        return 0;
    }

    field = exam_str_make(data, size);
    found = exam_digest_parse(field, sha256);

    if (found == EXAM_DIGEST_MALFORMED) {
        return 0;
    }

    fuzz_check(fuzz_with(field, " ", "\t", again) == found,
               "white space around a field means nothing");
    fuzz_check(fuzz_with(field, "", ",", again) == EXAM_DIGEST_MALFORMED,
               "a comma at the end is an error");
    fuzz_check(fuzz_with(field, "x", "", again) != EXAM_DIGEST_MALFORMED
               || size == 0 || data[0] == ' ' || data[0] == '\t'
               || data[0] == '*', "another key is one all the same");

    if (found == EXAM_DIGEST_NONE) {
        return 0;
    }

    fuzz_check(fuzz_with(field, "md5=::, ", ", z=:AA==:", again)
               == EXAM_DIGEST_SHA256
               && memcmp(sha256, again, EXAM_HASH_LEN) == 0,
               "other members change nothing");

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_lit(&b, "sha-256=:");
    exam_buf_base64(&b, sha256, EXAM_HASH_LEN);
    exam_buf_char(&b, ':');

    fuzz_check(exam_digest_parse(fuzz_written(&b), again)
               == EXAM_DIGEST_SHA256
               && memcmp(sha256, again, EXAM_HASH_LEN) == 0,
               "a hash that was written is read as the same");

    return 0;
}


static exam_digest_e
fuzz_with(exam_str_t field, const char *before, const char *behind,
    uint8_t sha256[EXAM_HASH_LEN])
{
    exam_buf_t     b;
    exam_str_t     copy;
    exam_digest_e  found;

    static uint8_t  text[FUZZ_MAX + 64];

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_put(&b, before, strlen(before));
    exam_buf_put(&b, field.data, field.len);
    exam_buf_put(&b, behind, strlen(behind));

    copy = fuzz_copy(fuzz_written(&b));
    found = exam_digest_parse(copy, sha256);
    fuzz_free(copy);

    return found;
}
