
/*
 * The upload engine: a request body from the connection to the spool (DESIGN
 * 8).  It knows bytes, buffers, threads and the life of the request; what an
 * upload means is its owner's, told through a table of handlers.
 *
 * Event loop only.  The object has its own pool and outlives the request: `r`
 * is NULL once that is gone.  At most one task of an upload is in flight, and
 * only that task touches `writer` meanwhile.
 */


#ifndef NGX_HTTP_EXAM_UPLOAD_H_INCLUDED
#define NGX_HTTP_EXAM_UPLOAD_H_INCLUDED


#include "ngx_http_exam_buffers.h"
#include "ngx_http_exam_spool.h"
#include "ngx_http_exam_writer.h"
#include "ngx_http_exam_yield.h"


/* an upload may hold so many buffers, and so many bytes in them */

#define NGX_HTTP_EXAM_UPLOAD_RING  NGX_HTTP_EXAM_HASHER_BLOCKS
#define NGX_HTTP_EXAM_UPLOAD_HELD  (2 * NGX_HTTP_EXAM_BUFFER_LARGE)

/* over HTTP/2, whose window is a buffer of nginx's own: 512k as shipped */

#define NGX_HTTP_EXAM_UPLOAD_HELD_2                                           \
    (NGX_HTTP_EXAM_BUFFER_LARGE                                               \
     + (NGX_HTTP_EXAM_UPLOAD_RING - 1) * NGX_HTTP_EXAM_BUFFER_SMALL)

#define NGX_HTTP_EXAM_UPLOAD_FAST  1024     /* bytes a ms: gets large ones */


typedef enum {
    NGX_HTTP_EXAM_UPLOAD_NEW = 0,
    NGX_HTTP_EXAM_UPLOAD_OPENING,
    NGX_HTTP_EXAM_UPLOAD_OPENED,        /* resumable: the owner decides */
    NGX_HTTP_EXAM_UPLOAD_RECEIVING,
    NGX_HTTP_EXAM_UPLOAD_RECEIVED,      /* the owner decides */
    NGX_HTTP_EXAM_UPLOAD_TELLING,       /* also rolls back, terminates */
    NGX_HTTP_EXAM_UPLOAD_TOLD,          /* the owner decides */
    NGX_HTTP_EXAM_UPLOAD_REFUSED,       /* the owner answers */
    NGX_HTTP_EXAM_UPLOAD_FINISHING,
    NGX_HTTP_EXAM_UPLOAD_ENDED          /* the owner has been told */
} ngx_http_exam_upload_state_e;


typedef struct ngx_http_exam_upload_s  ngx_http_exam_upload_t;

/* those of resumable uploads may be NULL where an owner has none */

typedef struct {

    /*
     * Resumable: created, or acquired.  writer.manifest and writer.offset, the
     * committed one, are set.  The owner calls _append, _tell, _finish (of what
     * an _append has received), _terminate, _leave or _fail, now or later.
     */

    void (*opened)(ngx_http_exam_upload_t *u);

    /*
     * All bytes of the body are written (received; writer.offset).  Where they
     * make the upload whole (manifest.length, or writer.whole), or it cannot be
     * resumed, writer.sha256 is that of the whole.  With a checksum,
     * writer.check_ok tells whether it was right.  The owner calls _finish,
     * _tell, _rollback, _terminate, _leave or _fail, now or later.
     */

    void (*received)(ngx_http_exam_upload_t *u);

    /*
     * Resumable: writer.manifest.durable_offset == writer.offset is durable, or
     * (gone) the upload is no more.  The owner calls _leave and then answers,
     * or after creation _append.  no_room: for want of it what the owner has
     * called for was not done, and the offset may be less than before.
     */

    void (*told)(ngx_http_exam_upload_t *u);

    /* durable and named.  The owner answers r; NULL: that is gone. */

    void (*finished)(ngx_http_exam_upload_t *u, ngx_http_request_t *r);

    /* once, before any answer: what the owner holds elsewhere is released */

    void (*ended)(ngx_http_exam_upload_t *u, ngx_uint_t durable);

    /*
     * What _acquire has found instead of an upload to go on with.  The owner
     * calls _leave and answers, now or later.
     *
     * EXAM_OK: it is complete; writer.manifest is that of ready/, work/ or
     * bad/, or of a tombstone: then (gone) only id, exam, student, length.
     * UPLOAD_GONE: a tombstone, the same members.  UPLOAD_NOT_FOUND: no trace
     * on this disk.  UPLOAD_BUSY: not in time; of a request that brings no
     * bytes in any state after _acquire: what was begun goes on without it.
     * Others: trouble with the disk.
     */

    void (*refused)(ngx_http_exam_upload_t *u, exam_err_e err);

    /*
     * While receiving: manifest.durable_offset has advanced, see tell_every.
     * Not to end u.
     */

    void (*progress)(ngx_http_exam_upload_t *u);

} ngx_http_exam_upload_handlers_t;


/*
 * Moves *in behind what has been read and tells what of it is to be kept: in
 * the input or in the owner's memory, good until the next call; perhaps none,
 * when all of the input is read.  An error ends the upload with it.
 */

typedef exam_err_e (*ngx_http_exam_upload_filter_pt)(
    ngx_http_exam_upload_t *u, exam_str_t *in, exam_str_t *out);


struct ngx_http_exam_upload_s {
    ngx_pool_t                       *pool;
    ngx_uint_t                        refs;
    ngx_http_request_t               *r;    /* NULL: gone */
    ngx_http_cleanup_t               *cln;  /* of r */
    ngx_http_exam_main_conf_t        *mcf;

    ngx_http_exam_upload_handlers_t   handlers;
    void                             *data; /* the owner's */

    ngx_http_exam_upload_state_e      state;
    off_t                             limit;    /* bytes allowed */
    off_t                             received; /* of this body */
    off_t                             expected; /* declared, not yet come */
    off_t                             tell_every;   /* bytes, 0: never */
    exam_err_e                        refusal;  /* beyond the limit; OK: */
                                                /* received, and overrun */

    ngx_http_exam_upload_filter_pt    filter;   /* NULL: all is kept */
    exam_str_t                        piece;    /* to go into the ring */

    ngx_http_exam_buffer_t           *current;  /* being filled */
    ngx_http_exam_buffer_t           *full;     /* oldest first */
    ngx_http_exam_buffer_t          **last;
    ngx_http_exam_buffer_t           *writing;  /* the task's */
    ngx_uint_t                        held;     /* buffers in all three */
    size_t                            held_bytes;
    ngx_msec_t                        filling;  /* since then, `current` */
    ngx_http_exam_buffer_wait_t       wait;     /* for one, when all are out */
    ngx_buf_t                         saved;    /* rb->buf as nginx made it */

    ngx_thread_task_t                *task;
    ngx_uint_t                        op;   /* ngx_http_exam_upload_op_e */
    ngx_uint_t                        final;    /* the write is the last one */
    int                               rc;       /* of the task */
    uint64_t                          eof_us;   /* last byte, monotonic */
    uint64_t                          end_us;   /* of the finish sequence */

    ngx_http_exam_writer_t            writer;

    /* of resumable uploads */

    off_t                             base; /* where the append began */
    uint64_t                          since;    /* us, its request came */
    uint8_t                           raw[16];  /* of the id */
    ngx_queue_t                       queue;    /* of those owned here */
    ngx_event_t                       retry;    /* another one has it */
    ngx_event_t                       deadline; /* of a takeover */
    ngx_uint_t                        tries;
    int                               found;    /* ngx_http_exam_part_e */
    exam_gone_e                       tombstone;    /* to be set */
    off_t                             wanted;   /* to be told; -1: none */

    /* of those that receive */

    ngx_queue_t                       active;
    ngx_msec_t                        window;   /* of the rate, since then */
    off_t                             before;   /* received then */

    unsigned                          busy:1;   /* a task is in flight */
    unsigned                          eof:1;
    unsigned                          fast:1;   /* as of the last buffer */
    unsigned                          in_place:1;   /* recv into the ring */
    unsigned                          swapped:1;    /* rb->buf is changed */
    unsigned                          counted:1;    /* in active_uploads */
    unsigned                          resumable:1;
    unsigned                          gone:1;   /* a tombstone */
    unsigned                          listed:1;
    unsigned                          progressed:1;
    unsigned                          scrap:1;  /* not created in full */
    unsigned                          overrun:1;    /* the body did */
    unsigned                          coming:1; /* another creates it */
    unsigned                          settle:1; /* somebody waits for it */
    unsigned                          no_room:1;    /* for what was asked */
};


/* a process that starts takes back what a killed one in its place counted */

void ngx_http_exam_upload_init(ngx_http_exam_main_conf_t *mcf);

/*
 * Tied to r, which holds the first reference; data has `size` zero bytes.
 * NULL: out of memory.
 */

ngx_http_exam_upload_t *ngx_http_exam_upload_create(ngx_http_request_t *r,
    const ngx_http_exam_upload_handlers_t *handlers, size_t size);

void ngx_http_exam_upload_hold(ngx_http_exam_upload_t *u);
void ngx_http_exam_upload_release(ngx_http_exam_upload_t *u);

/*
 * Opens the part file, then asks for the body and takes it.  writer.manifest,
 * writer.length and limit are set.  From here on the engine answers what goes
 * wrong; r->main->count was raised by the caller for it.
 */

void ngx_http_exam_upload_start(ngx_http_exam_upload_t *u);

/*
 * Creates a resumable upload of writer.manifest: opened.  The manifest is
 * durable with its name then.  Count as for _start; what goes wrong is answered
 * by the engine and leaves nothing behind.
 */

void ngx_http_exam_upload_begin(ngx_http_exam_upload_t *u);

/*
 * Takes a resumable upload over from whoever has it: opened or refused.  The id
 * is copied.  Count as for _start.  Access rights are the owner's to check in
 * opened, by writer.manifest: a _leave there changes nothing.
 */

void ngx_http_exam_upload_acquire(ngx_http_exam_upload_t *u, exam_str_t id);

/*
 * Asks for the body, which goes behind writer.offset: received.  limit is set
 * and, where known, writer.length; writer.has_check and writer.check for an
 * append that counts whole or not at all.  A request without a body is received
 * with no bytes: so a part that has all of them is hashed and can be finished.
 *
 * What goes wrong with client or disk keeps the prefix (with a checksum: goes
 * back), calls ended(u, 0) and is answered by the engine.
 */

void ngx_http_exam_upload_append(ngx_http_exam_upload_t *u);

/* in OPENED, RECEIVED: offset and manifest are made durable: told */

void ngx_http_exam_upload_tell(ngx_http_exam_upload_t *u);

/* in RECEIVED: back to where this append began: told */

void ngx_http_exam_upload_rollback(ngx_http_exam_upload_t *u);

/*
 * In OPENED, RECEIVED, TOLD: a tombstone takes the place of the upload: told,
 * with gone set.
 */

void ngx_http_exam_upload_terminate(ngx_http_exam_upload_t *u,
    exam_gone_e state);

/*
 * Lets go of the part, which stays: ended(u, 0), and r is the caller's again.
 * Without another reference u is gone afterwards.  An append with a checksum
 * that was not told goes back.  What is being finished or removed will be, and
 * ends then.
 */

void ngx_http_exam_upload_leave(ngx_http_exam_upload_t *u);

/* in RECEIVED: the manifest is complete */

void ngx_http_exam_upload_finish(ngx_http_exam_upload_t *u);

/*
 * Ends it in any state but FINISHING and TELLING and answers the error; a
 * resumable one stays on disk, as with _leave.  Without another reference u is
 * gone afterwards.
 */

void ngx_http_exam_upload_fail(ngx_http_exam_upload_t *u, exam_err_e err);

/* the same without an answer: the request is the caller's again */

void ngx_http_exam_upload_drop(ngx_http_exam_upload_t *u);


/* asked for by a newcomer: let go, unless it is about to end anyway */

void ngx_http_exam_upload_yield(const ngx_http_exam_yield_t *ask);


/* internal: between ngx_http_exam_upload*.c */

typedef enum {
    NGX_HTTP_EXAM_UPLOAD_OPEN = 0,
    NGX_HTTP_EXAM_UPLOAD_WRITE,
    NGX_HTTP_EXAM_UPLOAD_HASH,
    NGX_HTTP_EXAM_UPLOAD_FINISH,
    NGX_HTTP_EXAM_UPLOAD_REMOVE,
    NGX_HTTP_EXAM_UPLOAD_CREATE,
    NGX_HTTP_EXAM_UPLOAD_ACQUIRE,
    NGX_HTTP_EXAM_UPLOAD_APPEND,
    NGX_HTTP_EXAM_UPLOAD_TELL,
    NGX_HTTP_EXAM_UPLOAD_ROLLBACK,
    NGX_HTTP_EXAM_UPLOAD_FULL,
    NGX_HTTP_EXAM_UPLOAD_TERMINATE,
    NGX_HTTP_EXAM_UPLOAD_SETTLE,
    NGX_HTTP_EXAM_UPLOAD_CLOSE
} ngx_http_exam_upload_op_e;


ngx_int_t ngx_http_exam_upload_post(ngx_http_exam_upload_t *u,
    ngx_http_exam_upload_op_e op);

/* the same, and where no thread can be had that is the end: 503 */

void ngx_http_exam_upload_task(ngx_http_exam_upload_t *u,
    ngx_http_exam_upload_op_e op);

/* resumable uploads: the task itself, and what comes after it */

void ngx_http_exam_upload_part_thread(ngx_http_exam_upload_t *u);
void ngx_http_exam_upload_part_next(ngx_http_exam_upload_t *u);

void ngx_http_exam_upload_refuse(ngx_http_exam_upload_t *u, exam_err_e err);

/* there is no room: the append is over, what stays of it is told */

void ngx_http_exam_upload_full(ngx_http_exam_upload_t *u);

/* an ENDED one with no task in flight; _later: once more, by a timer */

void ngx_http_exam_upload_let_go(ngx_http_exam_upload_t *u);
void ngx_http_exam_upload_remove(ngx_http_exam_upload_t *u);
void ngx_http_exam_upload_later(ngx_http_exam_upload_t *u);

/* asks for the body; return code of ngx_http_read_client_request_body() */

ngx_int_t ngx_http_exam_upload_receive(ngx_http_exam_upload_t *u);

/* from the connection into the ring, until one of them has no more */

void ngx_http_exam_upload_pump(ngx_http_exam_upload_t *u);

/* a buffer is free that was waited for */

void ngx_http_exam_upload_refill(ngx_event_t *ev);

/* hands full buffers to a thread, if none is at work; at the end the hash */

ngx_int_t ngx_http_exam_upload_write(ngx_http_exam_upload_t *u);

/*
 * r is about to end before its body does.  nginx would send the reset of an
 * HTTP/2 stream with the connection's next frame, whenever that comes, if other
 * streams are under way: here it is sent in this turn of the event loop.
 */

void ngx_http_exam_upload_post_stream(ngx_http_request_t *r);

/* nginx's buffer as it was: nothing may be received into what we pass on */

void ngx_http_exam_upload_restore(ngx_http_exam_upload_t *u);

void ngx_http_exam_upload_put(ngx_http_exam_upload_t *u,
    ngx_http_exam_buffer_t *b);

/*
 * ngx_http_exam_admit.c: a place among the uploads that receive, given back by
 * _exit.  EXAM_ERR_OVERLOADED: all are taken.
 */

exam_err_e ngx_http_exam_upload_enter(ngx_http_exam_upload_t *u);
void ngx_http_exam_upload_exit(ngx_http_exam_upload_t *u);

/* n bytes of the body have come */

void ngx_http_exam_upload_came(ngx_http_exam_upload_t *u, size_t n);


#endif /* NGX_HTTP_EXAM_UPLOAD_H_INCLUDED */
