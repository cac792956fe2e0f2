
/*
 * What the parts of the endpoint `exam uploads` share: the fields of a request
 * for a resumable upload, and which of the two protocols speaks (DESIGN 3.1).
 * Event loop only.
 */


#ifndef NGX_HTTP_EXAM_UPLOADS_H_INCLUDED
#define NGX_HTTP_EXAM_UPLOADS_H_INCLUDED


#include "ngx_http_exam_intake.h"
#include "../core/exam_sfv.h"
#include "../core/exam_tus.h"


#define NGX_HTTP_EXAM_UPLOADS_PATH  "/api/v1/uploads"
#define NGX_HTTP_EXAM_TUS_VERSION   "1.0.0"
#define NGX_HTTP_EXAM_RUFH_VERSION  "8"
#define NGX_HTTP_EXAM_LIMIT_MAX     192     /* bytes of Upload-Limit */


typedef enum {
    NGX_HTTP_EXAM_TUS = 0,
    NGX_HTTP_EXAM_RUFH              /* the draft of the IETF */
} ngx_http_exam_dialect_e;


/* data NULL: it is not there */

typedef struct {
    exam_str_t  resumable;          /* Tus-Resumable */
    exam_str_t  override;           /* X-HTTP-Method-Override */
    exam_str_t  offset;             /* Upload-Offset */
    exam_str_t  length;             /* Upload-Length */
    exam_str_t  defer;              /* Upload-Defer-Length */
    exam_str_t  metadata;           /* Upload-Metadata */
    exam_str_t  checksum;           /* Upload-Checksum */
    exam_str_t  concat;             /* Upload-Concat */
    exam_str_t  complete;           /* Upload-Complete */
    exam_str_t  interop;            /* Upload-Draft-Interop-Version */
    exam_str_t  twice;              /* the first that stands there twice */
} ngx_http_exam_uploads_fields_t;


/* a request; in r->pool, is ctx->data */

typedef struct {
    ngx_http_exam_segment_t         seg;    /* of a creation; stands first */
    ngx_http_exam_uploads_fields_t  f;
    ngx_http_exam_dialect_e         dialect;
    ngx_uint_t                      method; /* that is meant */
    exam_str_t                      id;     /* empty: a creation */

    int64_t                         offset; /* -1: not told */
    int64_t                         length; /* of the upload; -1 */
    int64_t                         content;    /* of this body; -1 */
    exam_tus_checksum_t             check;
    exam_tus_metadata_t             meta;
    uint8_t                         memory[EXAM_TUS_MEMORY];    /* of meta */
    uint8_t                         digest[EXAM_HASH_LEN];  /* of the whole */

    ngx_uint_t                      tries;  /* of a creation */
    ngx_msec_t                      since;  /* waiting for others */

    unsigned                        has_body:1;
    unsigned                        has_check:1;
    unsigned                        has_digest:1;
    unsigned                        complete:1; /* the draft's ?1 */
    unsigned                        interop:1;  /* 104 is understood */
} ngx_http_exam_uploads_t;


/* fills *f, which is zeroed first */

void ngx_http_exam_uploads_fields(ngx_http_request_t *r,
    ngx_http_exam_uploads_fields_t *f);

ngx_http_exam_dialect_e ngx_http_exam_uploads_dialect(
    const ngx_http_exam_uploads_fields_t *f);

/*
 * Any response to a request below the path gets the fields that its protocol
 * wants on all of them; called for those of the module and for nginx's own.
 */

ngx_int_t ngx_http_exam_uploads_headers(ngx_http_request_t *r,
    ngx_uint_t status);

/*
 * A client of tus takes any trouble at a HEAD for the end of the upload, but
 * 423: what is ours to mend is told by that.
 */

exam_err_e ngx_http_exam_uploads_error(ngx_http_request_t *r, exam_err_e err);

/* of OPTIONS */

ngx_int_t ngx_http_exam_uploads_options(ngx_http_request_t *r);

/* a field with a copy of the value, a number, or a time as HTTP writes it */

ngx_int_t ngx_http_exam_uploads_value(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
ngx_int_t ngx_http_exam_uploads_number(ngx_http_request_t *r,
    const char *name, int64_t n);
ngx_int_t ngx_http_exam_uploads_time(ngx_http_request_t *r, const char *name,
    time_t t);

/* absolute, in r->pool; and as `Location` */

ngx_int_t ngx_http_exam_uploads_url(ngx_http_request_t *r, exam_str_t id,
    ngx_str_t *url);
ngx_int_t ngx_http_exam_uploads_location(ngx_http_request_t *r,
    exam_str_t id);

/* `Link` to where its recording can be asked for, if the manifest says that */

ngx_int_t ngx_http_exam_uploads_link(ngx_http_request_t *r,
    const exam_manifest_t *m);

/*
 * `Upload-Limit`; age: s that are left, -1 of any upload; memory is the
 * caller's, NGX_HTTP_EXAM_LIMIT_MAX bytes
 */

ngx_str_t ngx_http_exam_uploads_limit(ngx_http_request_t *r, u_char *memory,
    int64_t age);


/* up->meta, of a creation */

exam_err_e ngx_http_exam_uploads_metadata(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);


/* ngx_http_exam_tus.c, ngx_http_exam_rufh.c: of POST and PATCH */

exam_err_e ngx_http_exam_tus_check(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);
exam_err_e ngx_http_exam_rufh_check(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);

/*
 * ngx_http_exam_resume.c: a request that nothing in its header refuses.
 * Returns what the content handler is to return.
 */

ngx_int_t ngx_http_exam_resume(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);


#endif /* NGX_HTTP_EXAM_UPLOADS_H_INCLUDED */
