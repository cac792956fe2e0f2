
/*
 * The manifest of an upload (`.info`, DESIGN 6) and the names of the spool.
 * Written by the module, read by the worker; later the side-car of the store.
 * Pure: paths are built here, files are touched elsewhere.
 */


#ifndef EXAM_MANIFEST_H_INCLUDED
#define EXAM_MANIFEST_H_INCLUDED


#include "exam_id.h"
#include "exam_json.h"


#define EXAM_MANIFEST_VERSION   1
#define EXAM_METADATA_MAX       4096    /* bytes of Upload-Metadata in it */
#define EXAM_MANIFEST_MAX       (2048 + EXAM_METADATA_MAX)  /* of the file */
#define EXAM_MANIFEST_ARENA     16384   /* yajl's memory and the strings */
#define EXAM_TYPE_MAX           127     /* bytes of a content type */
#define EXAM_BOOT_MAX           36
#define EXAM_SPOOL_NAME_MAX     128     /* a path relative to the spool + NUL */
#define EXAM_SPOOL_LOCK         "worker.lock"   /* flock of its exam-worker */


typedef enum {
    EXAM_PROTOCOL_NONE = 0,         /* a PUT or a form: not resumed */
    EXAM_PROTOCOL_TUS,
    EXAM_PROTOCOL_IETF
} exam_protocol_e;


typedef struct {
    exam_str_t  id;                 /* strings point into the arena or are */
    exam_str_t  exam;               /* the caller's */
    exam_str_t  student;
    uint8_t     sid[EXAM_SID_LEN];
    uint64_t    gen;
    exam_str_t  kind;
    uint32_t    n;
    int64_t     length;             /* bytes, -1 not known yet */
    int64_t     durable_offset;     /* synced bytes */
    bool        final;              /* sha256 is set, length = durable_offset */
    uint8_t     sha256[EXAM_HASH_LEN];
    exam_str_t  content_type;
    int64_t     started_at;         /* ms, as the client sent it; -1 */
    int64_t     duration_ms;        /* -1 */
    int64_t     offset_ms;          /* client clock, see DESIGN 4 */
    bool        has_offset;
    int64_t     received_at;        /* ms, -1 */
    exam_str_t  node;
    exam_str_t  boot_id;

    /* of resumable uploads; zeroed: none of it, and none stands in the file */

    exam_protocol_e  protocol;
    exam_str_t  metadata;           /* Upload-Metadata as sent; empty: none */
    int64_t     created_at;         /* ms, 0 not told */
    bool        checked;            /* an append with a checksum is in */
                                    /* flight: only durable_offset counts */
    bool        expected;           /* the client has told the hash of the */
                                    /* whole (Repr-Digest) beforehand */
    uint8_t     expected_sha256[EXAM_HASH_LEN];
} exam_manifest_t;


typedef enum {
    EXAM_SPOOL_PART = 0,            /* part/<2 hex>/<id>.part */
    EXAM_SPOOL_PART_INFO,           /* part/<2 hex>/<id>.info */
    EXAM_SPOOL_PART_TMP,            /* part/<2 hex>/<id>.tmp, before rename */
    EXAM_SPOOL_REC,                 /* ready/<id>.rec */
    EXAM_SPOOL_INFO,                /* ready/<id>.info: the commit mark */
    EXAM_SPOOL_WORK,                /* work/<id>.info */
    EXAM_SPOOL_BAD_REC,             /* bad/<id>.rec */
    EXAM_SPOOL_BAD_INFO,            /* bad/<id>.info */
    EXAM_SPOOL_PART_GONE            /* part/<2 hex>/<id>.gone: a tombstone */
} exam_spool_e;


/* why an upload that could be resumed is no more: `state` of a tombstone */

typedef enum {
    EXAM_GONE_DELETED = 0,
    EXAM_GONE_EXPIRED,
    EXAM_GONE_REFUSED,              /* other content than its number has */
    EXAM_GONE_DOUBLE                /* the same content: it is complete */
} exam_gone_e;


/*
 * One line of JSON and a newline; b->overflow only for over-long strings.  The
 * metadata must be printable ASCII, EXAM_METADATA_MAX bytes with its quotes and
 * backslashes counted twice.
 */

void exam_manifest_format(exam_buf_t *b, const exam_manifest_t *m);

/*
 * Strict: all members present and of their types but those of resumable
 * uploads, ids by their alphabets, known version.  BAD_JSON, BAD_TYPE,
 * BAD_VALUE or MISSING_MEMBER; TOO_LARGE with an arena below
 * EXAM_MANIFEST_ARENA.
 */

EXAM_MUST_CHECK exam_err_e exam_manifest_parse(exam_str_t file,
    exam_arena_t *arena, exam_manifest_t *m);

/*
 * Relative to the spool, NUL-terminated; false for an id of a wrong form.  The
 * two hex digits are the first ones behind the id's dash.
 */

bool exam_spool_name(char out[EXAM_SPOOL_NAME_MAX], exam_spool_e what,
    exam_str_t id);

/*
 * The file of a content type: "webm", "mp4", "mkv", or "bin".  The parameters
 * behind `;` are not looked at, the comparison ignores case.
 */

const char *exam_type_extension(exam_str_t content_type);

/* is it one of the recording types of DESIGN 3.1? */

bool exam_type_recording(exam_str_t content_type);

/* what a manifest takes: printable ASCII, EXAM_TYPE_MAX bytes, empty = none */

bool exam_type_valid(exam_str_t content_type);

/*
 * One that an attachment may have: type/subtype and parameters (RFC 9110
 * section 8.3.1), exam_type_valid(); any other is to be replaced by
 * "application/octet-stream".
 */

bool exam_type_attachment(exam_str_t content_type);

/*
 * `<exam>/<student>/<sid>-<kind>-<n>-<id>.<ext>` below the store; the side-car
 * has ".json" behind that.
 */

void exam_store_name(exam_buf_t *b, const exam_manifest_t *m, bool sidecar);


#endif /* EXAM_MANIFEST_H_INCLUDED */
