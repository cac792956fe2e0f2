
/*
 * One request for a resumable upload, whichever protocol it is spoken in: what
 * ngx_http_exam_resume.c does with it, and what the two protocols answer.
 * Event loop only.
 */


#ifndef NGX_HTTP_EXAM_RESUME_H_INCLUDED
#define NGX_HTTP_EXAM_RESUME_H_INCLUDED


#include "ngx_http_exam_uploads.h"


/* is u->data; outlives the request */

typedef struct {
    ngx_http_exam_intake_t    intake;   /* stands first */
    ngx_http_exam_uploads_t  *up;       /* gone with u->r */

    ngx_http_exam_dialect_e   dialect;
    ngx_uint_t                method;   /* that is meant */
    int64_t                   begin;    /* offset before this body */
    int64_t                   told;     /* the offset last told by 104 */
    int64_t                   bytes;    /* of a complete upload */
    exam_err_e                err;      /* to be answered once told */

    unsigned                  created:1;    /* by this request */
    unsigned                  there:1;  /* its number has one, by the zone */
    unsigned                  discard:1;    /* to make room for another */
    unsigned                  has_body:1;
    unsigned                  whole:1;  /* this body is the last one */
    unsigned                  complete:1;
    unsigned                  elsewhere:1;  /* on another node */
    unsigned                  same:1;   /* ... with the same length */
    unsigned                  found:1;  /* complete, by the engine */
    unsigned                  replay:1; /* complete before this request */
    unsigned                  has_hash:1;   /* manifest.sha256 is that */
} ngx_http_exam_resume_t;


/* each sends a response and returns the content handler's return code */

typedef ngx_int_t (*ngx_http_exam_answer_pt)(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);

typedef struct {
    ngx_http_exam_answer_pt   created;  /* POST; complete, or to go on */
    ngx_http_exam_answer_pt   offset;   /* HEAD */
    ngx_http_exam_answer_pt   appended; /* PATCH; complete, or to go on */
    ngx_http_exam_answer_pt   mismatch; /* PATCH, at another offset */
    ngx_http_exam_answer_pt   fields;   /* of an error: NGX_OK, no response */
} ngx_http_exam_answers_t;


extern const ngx_http_exam_answers_t  ngx_http_exam_tus_answers;
extern const ngx_http_exam_answers_t  ngx_http_exam_rufh_answers;


extern const ngx_http_exam_intake_handlers_t  ngx_http_exam_resume_intake;

/* tied to r, with what the request says; NULL: out of memory */

ngx_http_exam_upload_t *ngx_http_exam_resume_new(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);

/* ngx_http_exam_resume_create.c: up->seg of a creation */

exam_err_e ngx_http_exam_resume_segment(ngx_http_request_t *r,
    ngx_http_exam_uploads_t *up);

/* seg is that of the request; ends it */

void ngx_http_exam_resume_create(ngx_http_request_t *r,
    ngx_http_exam_segment_t *seg);

/* what zone and ledger have said */

void ngx_http_exam_resume_asked(ngx_http_exam_upload_t *u);
void ngx_http_exam_resume_claimed(ngx_http_exam_upload_t *u);

/* the one that the number had is not there, or complete: by err */

void ngx_http_exam_resume_rival(ngx_http_exam_upload_t *u, exam_err_e err);

/* the manifest's candidate is the one that asks */

ngx_uint_t ngx_http_exam_resume_own(ngx_http_exam_upload_t *u);

/* ngx_http_exam_resume_found.c: the engine's handler */

void ngx_http_exam_resume_refused(ngx_http_exam_upload_t *u, exam_err_e err);

/* lets go of the upload, then answers */

void ngx_http_exam_resume_answer(ngx_http_exam_upload_t *u, exam_err_e err);

/* of any answer about an upload: `Upload-Offset` and so on */

ngx_int_t ngx_http_exam_resume_offset(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
time_t ngx_http_exam_resume_end(ngx_http_exam_upload_t *u);
ngx_int_t ngx_http_exam_resume_expires(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);
ngx_int_t ngx_http_exam_resume_digest(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);

/* an error with the offset that is right */

ngx_int_t ngx_http_exam_resume_mismatch(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u);

/* ngx_http_exam_rufh.c: 104 with `Location`, or with an offset (-1: none) */

void ngx_http_exam_rufh_interim(ngx_http_request_t *r,
    ngx_http_exam_upload_t *u, int64_t offset);


#endif /* NGX_HTTP_EXAM_RESUME_H_INCLUDED */
