
/*
 * Request fields of tus 1.0.0: numbers, Upload-Metadata, Upload-Checksum
 * (DESIGN 3.1).  Pure, the caller's memory, any thread.
 */


#ifndef EXAM_TUS_H_INCLUDED
#define EXAM_TUS_H_INCLUDED


#include "exam_manifest.h"


#define EXAM_TUS_PAIRS_MAX      32      /* pairs in it */
#define EXAM_TUS_MEMORY         (EXAM_KIND_MAX + EXAM_TYPE_MAX)

/* for Tus-Checksum-Algorithm */

#define EXAM_TUS_CHECKSUMS      "sha1,sha256,crc32c"
#define EXAM_TUS_CHECKSUM_MAX   32      /* bytes of the longest digest */


/* the known keys; others are checked for their form and passed over */

typedef struct {
    exam_str_t  kind;               /* [a-z][a-z0-9]{0,14}, "file" too; */
                                    /* empty: not given */
    exam_str_t  filetype;           /* exam_type_valid(); empty: not given, */
                                    /* or nothing that can be one */
    bool        has_n;
    uint32_t    n;                  /* 0..EXAM_SEGMENT_MAX */
    int64_t     started_at;         /* ms, -1: not given */
    int64_t     duration_ms;        /* -1: not given */
    exam_str_t  wrong;              /* _BAD_METADATA: our name of the key, a */
                                    /* constant; empty: the form is */
} exam_tus_metadata_t;


typedef enum {
    EXAM_TUS_SHA1 = 0,              /* 20 bytes */
    EXAM_TUS_SHA256,                /* 32 */
    EXAM_TUS_CRC32C                 /* 4, big endian */
} exam_tus_alg_e;


typedef struct {
    exam_tus_alg_e  alg;
    size_t          len;            /* as sent; a digest of another length */
                                    /* than its algorithm's matches nothing */
    uint8_t         digest[EXAM_TUS_CHECKSUM_MAX];
} exam_tus_checksum_t;


/*
 * Upload-Offset, Upload-Length: digits only, at most INT64_MAX.  False: the
 * request is 400 bad_upload_header.
 */

bool exam_tus_number(exam_str_t v, int64_t *n);

/*
 * Upload-Metadata: pairs of `key SP base64`, separated by commas; keys are
 * printable ASCII without comma, unique; a value may be absent.  The strings of
 * *m point into `memory`, EXAM_TUS_MEMORY bytes of the caller's.  A field
 * without any pair is as if it were not there.
 *
 * `type`, as Uppy sends it, stands for `filetype` where that is missing.
 *
 * BAD_METADATA: not of that form, or kind, n, started_at or duration_ms with
 * something that cannot be one.  HEADERS_TOO_LARGE: over EXAM_METADATA_MAX
 * bytes (a quote or backslash counts twice, as in the manifest) or
 * EXAM_TUS_PAIRS_MAX pairs.
 */

EXAM_MUST_CHECK exam_err_e exam_tus_metadata(exam_str_t v, uint8_t *memory,
    exam_tus_metadata_t *m);

/*
 * Upload-Checksum: `alg SP base64`.  BAD_CHECKSUM: an algorithm that is not
 * offered, or broken base64.
 */

EXAM_MUST_CHECK exam_err_e exam_tus_checksum(exam_str_t v,
    exam_tus_checksum_t *sum);

/* bytes of a digest of that algorithm */

size_t exam_tus_checksum_len(exam_tus_alg_e alg);

/* `digest`: what has been computed, exam_tus_checksum_len() bytes */

bool exam_tus_checksum_eq(const exam_tus_checksum_t *sum,
    const uint8_t *digest);


#endif /* EXAM_TUS_H_INCLUDED */
