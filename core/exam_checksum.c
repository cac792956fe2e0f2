
/*
 * The checksum of an append; see the header.  SHA-1 as in exam_sha256.c by
 * libcrypto's low-level interface: no allocation, nothing to be released.
 */


#define OPENSSL_SUPPRESS_DEPRECATED

#include "exam_checksum.h"
#include "exam_crc32c.h"

#include <openssl/sha.h>


_Static_assert(sizeof(SHA_CTX) <= sizeof(((exam_checksum_t *) 0)->u),
               "exam_checksum_t is too small for SHA_CTX");


void
exam_checksum_init(exam_checksum_t *c, exam_tus_alg_e alg)
{
    c->alg = alg;

    switch (alg) {

    case EXAM_TUS_SHA1:
        (void) SHA1_Init((SHA_CTX *) (void *) &c->u);
        break;

    case EXAM_TUS_SHA256:
        exam_sha256_init(&c->u.sha256);
        break;

    case EXAM_TUS_CRC32C:
        c->u.crc32c = 0;
        break;
    }
}


void
exam_checksum_update(exam_checksum_t *c, const void *data, size_t len)
{
    switch (c->alg) {

    case EXAM_TUS_SHA1:
        (void) SHA1_Update((SHA_CTX *) (void *) &c->u, data, len);
        break;

    case EXAM_TUS_SHA256:
        exam_sha256_update(&c->u.sha256, data, len);
        break;

    case EXAM_TUS_CRC32C:
        c->u.crc32c = exam_crc32c(c->u.crc32c, data, len);
        break;
    }
}


void
exam_checksum_final(exam_checksum_t *c, uint8_t out[EXAM_TUS_CHECKSUM_MAX])
{
    switch (c->alg) {

    case EXAM_TUS_SHA1:
        (void) SHA1_Final(out, (SHA_CTX *) (void *) &c->u);
        break;

    case EXAM_TUS_SHA256:
        exam_sha256_final(&c->u.sha256, out);
        break;

    case EXAM_TUS_CRC32C:
        out[0] = (uint8_t) (c->u.crc32c >> 24);
        out[1] = (uint8_t) (c->u.crc32c >> 16);
        out[2] = (uint8_t) (c->u.crc32c >> 8);
        out[3] = (uint8_t) c->u.crc32c;
        break;
    }
}
