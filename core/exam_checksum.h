
/*
 * A running checksum of one append, of the algorithms that tus clients name.
 * Plain structure, pure, any thread.
 */


#ifndef EXAM_CHECKSUM_H_INCLUDED
#define EXAM_CHECKSUM_H_INCLUDED


#include "exam_sha256.h"
#include "exam_tus.h"


typedef struct {
    exam_tus_alg_e     alg;
    union {
        exam_sha256_t  sha256;
        uint64_t       sha1[12];    /* large enough for libcrypto's SHA_CTX */
        uint32_t       crc32c;
    } u;
} exam_checksum_t;


void exam_checksum_init(exam_checksum_t *c, exam_tus_alg_e alg);
void exam_checksum_update(exam_checksum_t *c, const void *data, size_t len);

/* exam_tus_checksum_len(alg) bytes */

void exam_checksum_final(exam_checksum_t *c,
    uint8_t out[EXAM_TUS_CHECKSUM_MAX]);


#endif /* EXAM_CHECKSUM_H_INCLUDED */
