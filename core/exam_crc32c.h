
/*
 * CRC32C (Castagnoli, RFC 3720 section 12.1): of journal records, and a
 * checksum algorithm of tus.  Pure, any thread.
 */


#ifndef EXAM_CRC32C_H_INCLUDED
#define EXAM_CRC32C_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


/* crc: of the bytes before these, 0 at the start */

uint32_t exam_crc32c(uint32_t crc, const void *data, size_t len);

/* the same without help of the processor's */

uint32_t exam_crc32c_bytes(uint32_t crc, const void *data, size_t len);


#endif /* EXAM_CRC32C_H_INCLUDED */
