
/*
 * SHA-256 as a plain structure that can be copied (libcrypto's low-level
 * interface: the EVP one allocates and cannot be kept as a pad state).  Used by
 * the token, the access codes and the writer threads.
 */


#ifndef EXAM_SHA256_H_INCLUDED
#define EXAM_SHA256_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


/* large enough and aligned for libcrypto's SHA256_CTX, checked statically */

typedef struct {
    uint64_t  opaque[14];
} exam_sha256_t;


void exam_sha256_init(exam_sha256_t *h);
void exam_sha256_update(exam_sha256_t *h, const void *data, size_t len);

/*
 * The same for two messages, `len` bytes of each: a good third faster than one
 * after the other where _two_pays tells so.
 */

void exam_sha256_update_two(exam_sha256_t *a, const void *da,
    exam_sha256_t *b, const void *db, size_t len);
int exam_sha256_two_pays(void);

void exam_sha256_final(exam_sha256_t *h, uint8_t out[32]);

/* all 32 bytes are looked at, whatever they are; 1 = equal */

int exam_equal_ct(const uint8_t *a, const uint8_t *b, size_t len);


#endif /* EXAM_SHA256_H_INCLUDED */
