
/*
 * The intake: what may be uploaded, and once (DESIGN 3.1, 5).  PUT, forms, tus
 * and the IETF draft all go through it; they add what a client says and is
 * told.
 *
 *   check -> init -> open -> ask -> `asked` -> the engine -> received
 *         -> `known` | the finish sequence -> finished
 *
 * Event loop only.  Its structure is the head of the owner's data, u->data.
 * Invariants: the slot is closed and the reservation ended in _ended(),
 * whatever happens; nothing after the commit mark can turn an upload into a
 * failed one.
 */


#ifndef NGX_HTTP_EXAM_INTAKE_H_INCLUDED
#define NGX_HTTP_EXAM_INTAKE_H_INCLUDED


#include "ngx_http_exam_recordings.h"
#include "ngx_http_exam_upload.h"


/* an upload whose kind is not known yet, where slots are counted */

#define NGX_HTTP_EXAM_KIND_FORM  (EXAM_KIND_FILE + 1)


typedef struct {

    /*
     * Nothing refuses the upload; other_state tells what the number has by
     * now.  u->r lives.  NULL: _start().
     */

    void (*asked)(ngx_http_exam_upload_t *u);

    /*
     * What was sent is what the number has (same), or it has another content.
     * The owner ends u.  NULL: 200 with what there is, or 409.
     */

    void (*known)(ngx_http_exam_upload_t *u, ngx_uint_t same);

    /*
     * After _claim(): the number is ours (other_state NONE), has an incomplete
     * upload that came first (RECEIVING, other_id; other.bytes its length, -1
     * not known), or is received by now (other_state, other).  u->r lives.
     */

    void (*claimed)(ngx_http_exam_upload_t *u);

} ngx_http_exam_intake_handlers_t;


typedef struct {
    ngx_http_exam_segment_t        seg;     /* strings in the upload's pool */
    ngx_http_exam_hash_t           hash;    /* of this upload */

    ngx_http_exam_hash_t           other;   /* what the number has already */
    exam_str_t                     other_id;    /* empty: other.upload */
    exam_seg_e                     other_state; /* NONE: nothing */

    off_t                          length;  /* of the content, -1 not known */
    int64_t                        spent;   /* of the quota, by Redis; -1 */
    int64_t                        used;    /* as of then, by the zone */

    exam_str_t                     rival_id;    /* incomplete, by the ledger */
    int64_t                        rival_length;    /* -1: not known */
    ngx_uint_t                     rival_coming;    /* not yet on the disk */

    uint8_t                        digest[EXAM_HASH_LEN];
    uint8_t                        payer[EXAM_SID_LEN]; /* the token's sid */
    ngx_uint_t                     slot;
    ngx_event_t                    timer;
    ngx_uint_t                     waited;  /* ms */
    void                         (*ready)(ngx_http_exam_upload_t *u);

    ngx_http_exam_intake_handlers_t  handlers;
    void                         (*told)(ngx_http_exam_upload_t *u);

    unsigned                       has_digest:1;    /* of the content */
    unsigned                       has_slot:1;
    unsigned                       full:1;  /* there was none */
    unsigned                       beyond:1;    /* of the window, it seems */
    unsigned                       reserved:1;
    unsigned                       started:1;
    unsigned                       repeated:1;  /* answered from the other */
    unsigned                       late:1;  /* ask when all is received */
    unsigned                       held:1;  /* in the zone, by _hold() */
    unsigned                       claimed:1;   /* in the ledger */
    unsigned                       kept:1;  /* on the disk */
    unsigned                       numbered:1;  /* an attachment has its n */
} ngx_http_exam_intake_t;


/* what is refused without a look at anything: type, length (-1), number */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_intake_check(ngx_http_request_t *r,
    const ngx_http_exam_segment_t *seg, off_t length);

/* of an upload in one request: it is whole, and as it is to be stored */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_intake_fields(ngx_http_request_t *r);

/*
 * A new id, and the manifest of seg with copies of all its strings; u->data is
 * zero but for what the owner has behind the intake.  NGX_ERROR: out of memory.
 * The owner sets in->length afterwards where it is known.
 */

ngx_int_t ngx_http_exam_intake_init(ngx_http_exam_upload_t *u,
    const ngx_http_exam_segment_t *seg,
    const ngx_http_exam_intake_handlers_t *handlers);

/* open uploads a session may have of a kind */

ngx_uint_t ngx_http_exam_intake_limit(ngx_http_exam_main_conf_t *mcf,
    ngx_uint_t kind);

/* no place: EXAM_OK, the number is asked for first; or as below */

exam_err_e ngx_http_exam_intake_busy(ngx_http_exam_upload_t *u);

/* TOO_MANY_UPLOADS, which tells what has the places of the kind */

exam_err_e ngx_http_exam_intake_full(ngx_http_exam_upload_t *u,
    ngx_uint_t kind, exam_str_t name);

/* a slot of the session that asks; none is told by _ask, or here */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_intake_open(ngx_http_exam_upload_t *u);

/*
 * NGX_AGAIN: the zone is being filled from the spool, and may know more soon:
 * `ready` is called in a moment, and asks again.  NGX_OK: it is not, or that
 * takes too long.
 */

ngx_int_t ngx_http_exam_intake_wait(ngx_http_exam_upload_t *u,
    void (*ready)(ngx_http_exam_upload_t *u));

/* so long, and it still is */

ngx_uint_t ngx_http_exam_intake_cold(ngx_http_exam_upload_t *u);

/*
 * Zone, ledger and quota: then `asked`, or the upload fails.  An attachment is
 * given its number.
 */

void ngx_http_exam_intake_ask(ngx_http_exam_upload_t *u);

/* the body is asked for, unless its digest tells a double */

void ngx_http_exam_intake_start(ngx_http_exam_upload_t *u);

/* of the engine's handlers: these are called by the owner's, or are them */

void ngx_http_exam_intake_received(ngx_http_exam_upload_t *u);
void ngx_http_exam_intake_ended(ngx_http_exam_upload_t *u, ngx_uint_t durable);

/* counts, answers 201, tells the rest of the system */

void ngx_http_exam_intake_finished(ngx_http_exam_upload_t *u,
    ngx_http_request_t *r);

/* its last part alone: receipt, ledger and doorbell */

void ngx_http_exam_intake_told(ngx_http_exam_upload_t *u);

/* the id of what the number has, in the caller's memory */

exam_str_t ngx_http_exam_intake_other(ngx_http_exam_upload_t *u,
    u_char id[EXAM_UPLOAD_MAX]);

/*
 * The kind and number of an upload that did not have them when it began; the
 * strings are the owner's.
 */

void ngx_http_exam_intake_number(ngx_http_exam_upload_t *u, ngx_uint_t kind,
    exam_str_t name, uint32_t n);

/* what an upload of that type is filed as, copied into its pool */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_intake_type(ngx_http_exam_upload_t *u,
    exam_str_t type);

/* how much of the quota is used: then `told` in a later turn, or at once */

void ngx_http_exam_intake_spent(ngx_http_exam_upload_t *u,
    void (*told)(ngx_http_exam_upload_t *u));

/* EXAM_OK, u->limit lowered to what is left; or QUOTA */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_intake_quota(
    ngx_http_exam_upload_t *u);

/*
 * 201 or 200 with id, bytes, sha256, state and Repr-Digest, of an attachment
 * kind and n; ends r.
 */

void ngx_http_exam_intake_answer(ngx_http_request_t *r, ngx_uint_t status,
    exam_str_t id, int64_t bytes, const uint8_t sha256[EXAM_HASH_LEN],
    exam_seg_e state, const ngx_http_exam_segment_t *seg);


/*
 * ngx_http_exam_intake_hold.c: of resumable uploads, which last longer than a
 * connection.  Times are wall clock ms.
 *
 *   check -> init -> hold -> ask -> `asked` -> claim -> `claimed` -> the engine
 *         -> keep ...                         resume -> the engine -> received
 *
 * What was held and claimed and not kept is taken back in _ended().
 */

/*
 * EXAM_OK: a slot until the upload ends or expires; or *there: the number has
 * an incomplete upload, rival_id and the like tell of it, and nothing is held.
 * That there is none is told by _ask, or here: TOO_MANY_UPLOADS.
 */

EXAM_MUST_CHECK exam_err_e ngx_http_exam_intake_hold(ngx_http_exam_upload_t *u,
    int64_t length, int64_t expires_at, ngx_uint_t *there);

/* the first writer wins; with Redis away it is ours */

void ngx_http_exam_intake_claim(ngx_http_exam_upload_t *u);

/* it is on the disk, or its length or expiry has changed */

void ngx_http_exam_intake_keep(ngx_http_exam_upload_t *u, int64_t expires_at);

/*
 * For a request that goes on with an upload: fills the intake from
 * writer.manifest, whose strings must live as long as u.
 */

ngx_int_t ngx_http_exam_intake_resume(ngx_http_exam_upload_t *u,
    const ngx_http_exam_intake_handlers_t *handlers);

/*
 * An upload of this node that will never be complete: terminated, expired,
 * refused, or not to be found.  Of the manifest exam, student, sid, kind, n,
 * node and id are read.  Its slot and its entry in the ledger go.
 */

void ngx_http_exam_intake_gone(ngx_http_exam_main_conf_t *mcf,
    const exam_manifest_t *m);


/*
 * An upload of this node that somebody has brought to its end who could not
 * tell: a process that was killed, or whose disk failed in the finish sequence.
 * The zone and the rest of the system are told; not twice.
 */

void ngx_http_exam_intake_whole(ngx_http_exam_main_conf_t *mcf,
    const exam_manifest_t *m);


/*
 * ngx_http_exam_intake_end.c.  The number has come otherwise: NGX_OK, its
 * incomplete upload (*held, zeroed before) has no place any more.  It may go on
 * to its end, and is a double then or in conflict.
 */

ngx_int_t ngx_http_exam_intake_free(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, ngx_http_exam_held_t *held);

/*
 * The same, and it ends: its URL tells `state` soon after.  id is what the
 * ledger calls it, or empty.  With a handler, which is called at once or later,
 * whoever is connected to it has to let go; without one he goes on.
 */

typedef void (*ngx_http_exam_intake_end_pt)(void *data);

void ngx_http_exam_intake_end(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_segment_t *seg, exam_str_t id, exam_gone_e state,
    ngx_http_exam_intake_end_pt handler, void *data);

/* an upload of this node: ids begin with it */

ngx_uint_t ngx_http_exam_intake_here(ngx_http_exam_main_conf_t *mcf,
    exam_str_t id);


/* internal: of ngx_http_exam_intake.c and ngx_http_exam_intake_ask.c */

void ngx_http_exam_intake_begin(ngx_http_exam_upload_t *u,
    const ngx_http_exam_intake_handlers_t *handlers);
void ngx_http_exam_intake_renumber(ngx_http_exam_upload_t *u);
void ngx_http_exam_intake_decide(ngx_http_exam_upload_t *u);

EXAM_MUST_CHECK exam_err_e ngx_http_exam_intake_taken(
    ngx_http_exam_upload_t *u, const exam_ledger_t *e);

/* index in exam_kinds, EXAM_KIND_FILE, or -1 */

int ngx_http_exam_kind(ngx_http_exam_main_conf_t *mcf, exam_str_t name);

/* the number is taken: by the content of that hash, or by another */

void ngx_http_exam_intake_known(ngx_http_exam_upload_t *u,
    const uint8_t sha256[EXAM_HASH_LEN]);


#endif /* NGX_HTTP_EXAM_INTAKE_H_INCLUDED */
