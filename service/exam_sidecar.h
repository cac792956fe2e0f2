
/*
 * A stored recording: its side-car in the store and its row in `recordings`
 * (DESIGN 6 and 7).  The side-car is the manifest with what the worker found
 * and decided, one line of JSON beside the file; the row can be made of it
 * again, column by column.  exam-worker writes both, examctl rebuild-index
 * makes the row anew: the same functions for both, so that nothing differs.
 *
 * Pure but for exam_recording_bind(); no file is touched.  Any thread.
 */


#ifndef EXAM_SIDECAR_H_INCLUDED
#define EXAM_SIDECAR_H_INCLUDED


#include "exam_manifest.h"
#include "exam_mysql.h"


#define EXAM_SIDECAR_MAX       (EXAM_MANIFEST_MAX + 2048)  /* of the file */
#define EXAM_SIDECAR_ARENA     EXAM_MANIFEST_ARENA
#define EXAM_STORE_PATH_MAX    256      /* a path below the store + NUL */
#define EXAM_MEDIA_NAME_MAX    32       /* a codec's or container's name */
#define EXAM_MEDIA_REASON_MAX  64


/* what is in the file; passed between processes as it is */

typedef struct {
    char        container[EXAM_MEDIA_NAME_MAX];     /* "" = unknown */
    char        video_codec[EXAM_MEDIA_NAME_MAX];
    char        audio_codec[EXAM_MEDIA_NAME_MAX];
    char        reason[EXAM_MEDIA_REASON_MAX];      /* "" when playable */
    int64_t     media_ms;                           /* -1 unknown */
    int32_t     width;                              /* 0 unknown */
    int32_t     height;
    int32_t     playable;                           /* 1, 0, -1 not probed */
} exam_media_t;


typedef struct {
    exam_manifest_t  m;                 /* final; points into the arena */
    exam_media_t     media;
    int64_t          stored_at;         /* ms */
    uint32_t         variant;
    bool             has_variant;       /* older side-cars do not tell */
} exam_sidecar_t;


/* a row, by reference: all of it the caller's */

typedef struct {
    const exam_manifest_t  *m;
    const exam_media_t     *media;
    int64_t                 stored_at;
    uint32_t                variant;
    const char             *sid;        /* hex */
    const char             *path;       /* below the store */
} exam_recording_t;


void exam_media_none(exam_media_t *media);

/* a line with its newline; b->overflow above EXAM_SIDECAR_MAX only */

void exam_sidecar_format(exam_buf_t *b, const exam_recording_t *r);

/* as exam_manifest_parse(); BAD_VALUE also for a manifest that is not final */

EXAM_MUST_CHECK exam_err_e exam_sidecar_parse(exam_str_t file,
    exam_arena_t *arena, exam_sidecar_t *s);

/*
 * The upload id in a name of the store, <sid>-<kind>-<n>-<id>.<ext>[.json];
 * *sidecar tells which of the two it is.  False: the name of something else.
 */

bool exam_store_name_id(const char *name, char id[EXAM_UPLOAD_MAX + 1],
    bool *sidecar);


/* all columns but the surrogate id, in the order of the side-car's row */

#define EXAM_RECORDING_NCOLUMNS  26

#define EXAM_RECORDING_COLUMNS                                                \
    "upload_id, exam, student, session, kind, n, variant, bytes, sha256, "    \
    "content_type, started_at, duration_ms, offset_ms, received_at, "         \
    "stored_at, node, store, path, container, video_codec, audio_codec, "     \
    "width, height, media_ms, playable, reason"

#define EXAM_RECORDING_INSERT                                                 \
    "INSERT INTO recordings (" EXAM_RECORDING_COLUMNS ") VALUES "

#define EXAM_RECORDING_ROW                                                    \
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"

/* a row that is there stays as it is and counts as not affected */

#define EXAM_RECORDING_KEEP  " ON DUPLICATE KEY UPDATE upload_id = upload_id"

/* parameters first to first + 25; *r must live until the execution */

void exam_recording_bind(exam_stmt_t *s, unsigned first,
    const exam_recording_t *r);


#endif /* EXAM_SIDECAR_H_INCLUDED */
