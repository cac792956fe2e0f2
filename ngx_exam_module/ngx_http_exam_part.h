
/*
 * The disk side of an upload that can be resumed (DESIGN 6): created, taken
 * over, told, ended.  It is a writer whose part and manifest stay when the
 * connection goes.
 *
 * Who holds the OFD lock of the part file owns the upload; what is done to its
 * files is done under that lock.  The committed offset is the size of the part
 * while the boot that wrote it lasts and no append with a checksum is under
 * way, else the durable offset of the manifest.
 *
 * Everything here blocks and runs in a thread of the upload pool, one call at a
 * time for a writer.  No request, no nginx.
 */


#ifndef NGX_HTTP_EXAM_PART_H_INCLUDED
#define NGX_HTTP_EXAM_PART_H_INCLUDED


#include "../core/exam_gone.h"
#include "ngx_http_exam_writer.h"


typedef enum {
    NGX_HTTP_EXAM_PART_FAILED = -1,
    NGX_HTTP_EXAM_PART_OWNED = 0,
    NGX_HTTP_EXAM_PART_BUSY,        /* another one has the lock */
    NGX_HTTP_EXAM_PART_COMPLETE,    /* manifest: of ready/, work/, bad/ */
    NGX_HTTP_EXAM_PART_GONE,        /* manifest: what the tombstone has */
    NGX_HTTP_EXAM_PART_NONE         /* no trace */
} ngx_http_exam_part_e;


/*
 * The functions below return 0, or -1 with the writer's `error` and `call` set,
 * where not told otherwise.
 *
 * A new upload: part file, lock, room for manifest.length, manifest; names and
 * contents are durable.  After a failure ngx_http_exam_writer_remove().
 */

int ngx_http_exam_part_create(ngx_http_exam_writer_t *w);

/*
 * manifest.id, boot, expire and arena are set.  OWNED: manifest and offset are
 * read, the part has the committed size.  What a crash has left is finished or
 * removed on the way, what has expired becomes a tombstone.
 */

ngx_http_exam_part_e ngx_http_exam_part_acquire(ngx_http_exam_writer_t *w);

/* before the first byte of an append: its room, and how it is to be undone */

int ngx_http_exam_part_append(ngx_http_exam_writer_t *w);

/* part, then manifest are made durable with `offset` as durable_offset */

int ngx_http_exam_part_tell(ngx_http_exam_writer_t *w);

/* memory only: there is nothing to do for _tell */

int ngx_http_exam_part_told(const ngx_http_exam_writer_t *w);

/* back to where the append began, then as _tell */

int ngx_http_exam_part_rollback(ngx_http_exam_writer_t *w);

/*
 * No room, and the append is over: as _tell, of as much as leaves room for a
 * manifest.  1: of what the manifest has that there is.  Never less than was
 * told, nor all of an upload by tus: -1 where that is all that could be told.
 */

int ngx_http_exam_part_full(ngx_http_exam_writer_t *w);

/* the last call has failed for want of room */

int ngx_http_exam_part_no_room(const ngx_http_exam_writer_t *w);

/* the tombstone takes the place of the upload, durably; closes */

int ngx_http_exam_part_terminate(ngx_http_exam_writer_t *w, exam_gone_e state);

/* no append any more: what counts is made durable, what does not goes back */

int ngx_http_exam_part_settle(ngx_http_exam_writer_t *w);

/*
 * Lets go: what does not count is cut off first.  The descriptor is closed in
 * any case.
 */

int ngx_http_exam_part_close(ngx_http_exam_writer_t *w);

/* nothing to cut off: the lock may be dropped before _close */

int ngx_http_exam_part_clean(const ngx_http_exam_writer_t *w);


/* internal, for ngx_http_exam_part_find.c */

/* of a manifest's mode: its name is durable, on this boot */

#define NGX_HTTP_EXAM_PART_NAMED  S_ISVTX

int ngx_http_exam_part_cut(ngx_http_exam_writer_t *w, int64_t size);
int ngx_http_exam_part_dispose(ngx_http_exam_writer_t *w);


#endif /* NGX_HTTP_EXAM_PART_H_INCLUDED */
