
/*
 * Commands to candidates in the zone (DESIGN 5, Control): the commands of an
 * exam, what each session was given of them and has acknowledged, and what of
 * that is still to be told to journal and Redis.
 *
 * A command lies once a shard, its payload in pieces of a fixed size; sessions
 * have a bit for it.  All under the shard's mutex.  A bit is given to another
 * command only after a walk has cleared it in all sessions; the walk goes on
 * where it stands, whoever died in the middle of it.
 *
 * An expired or cancelled command stays for a while, until its memory is wanted
 * or an hour is over: who ran it may say so late.
 */


#ifndef NGX_HTTP_EXAM_COMMAND_H_INCLUDED
#define NGX_HTTP_EXAM_COMMAND_H_INCLUDED


#include "ngx_http_exam_module.h"


#define NGX_HTTP_EXAM_REPLY_COMMANDS  16        /* a reply */
#define NGX_HTTP_EXAM_REPLY_BYTES     20480
#define NGX_HTTP_EXAM_RECORDS         (EXAM_BEAT_ACK_MAX                      \
                                       + NGX_HTTP_EXAM_REPLY_COMMANDS)


/* to be written into the journal */

typedef struct {
    uint64_t                      id;
    ngx_http_exam_report_e        report;
} ngx_http_exam_command_record_t;


/* what a heartbeat does with commands: a copy for outside of the mutex */

typedef struct {
    size_t                           len;       /* of text */
    u_char                           text[NGX_HTTP_EXAM_REPLY_BYTES];

    ngx_uint_t                       n;
    ngx_http_exam_command_record_t   records[NGX_HTTP_EXAM_RECORDS];
    ngx_http_exam_shard_t           *shard;
    uint64_t                         gen;
    uint8_t                          sid[EXAM_SID_LEN];
    uint8_t                          exam_len;
    uint8_t                          exam[EXAM_EXAM_MAX];
    uint8_t                          student_len;
    uint8_t                          student[EXAM_STUDENT_MAX];
} ngx_http_exam_command_beat_t;


static ngx_inline ngx_uint_t
ngx_http_exam_bit(const ngx_http_exam_bits_t *b, ngx_uint_t i)
{
    return b->word[i / 64] >> (i % 64) & 1;
}


static ngx_inline void
ngx_http_exam_bit_set(ngx_http_exam_bits_t *b, ngx_uint_t i)
{
    b->word[i / 64] |= (uint64_t) 1 << (i % 64);
}


static ngx_inline void
ngx_http_exam_bit_clear(ngx_http_exam_bits_t *b, ngx_uint_t i)
{
    b->word[i / 64] &= ~((uint64_t) 1 << (i % 64));
}


static ngx_inline ngx_uint_t
ngx_http_exam_bits_any(const ngx_http_exam_bits_t *b)
{
    return (b->word[0] | b->word[1] | b->word[2] | b->word[3]) != 0;
}


static ngx_inline void
ngx_http_exam_bits_add(ngx_http_exam_bits_t *b,
    const ngx_http_exam_bits_t *other)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_EXAM_COMMANDS / 64; i++) {
        b->word[i] |= other->word[i];
    }
}


static ngx_inline void
ngx_http_exam_bits_remove(ngx_http_exam_bits_t *b,
    const ngx_http_exam_bits_t *other)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_EXAM_COMMANDS / 64; i++) {
        b->word[i] &= ~other->word[i];
    }
}


/* the row of an exam that has sessions here; NULL: none */

ngx_http_exam_exam_t *ngx_http_exam_exam_locked(ngx_http_exam_shard_t *shard,
    exam_str_t id);

/* NULL: not here, or no longer */

ngx_http_exam_command_t *ngx_http_exam_command_locked(
    const ngx_http_exam_exam_t *e, uint64_t id);

/*
 * Enters the command, if it is not there, and makes it due.  NGX_AGAIN: not
 * yet, room is made by ngx_http_exam_commands_reclaim(); NGX_BUSY: there is
 * none, the command is refused.
 */

ngx_int_t ngx_http_exam_command_send_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, const exam_entry_t *entry, uint64_t ms,
    uint64_t seq, int64_t now);

/* the students of the entry that have sessions in this shard are to get it */

void ngx_http_exam_command_due_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, ngx_http_exam_command_t *c,
    const exam_entry_t *entry);

void ngx_http_exam_command_cancel_locked(ngx_http_exam_exam_t *e, uint64_t id);

/* 1: cancelled, or expired */

ngx_uint_t ngx_http_exam_command_over(const ngx_http_exam_exam_t *e,
    const ngx_http_exam_command_t *c, int64_t now);

/* the student has run it, in whatever session */

void ngx_http_exam_command_ack_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e, ngx_http_exam_command_t *c, exam_str_t student);

/* what is over goes, all of it, and its bits are free; takes the mutex */

void ngx_http_exam_commands_reclaim(ngx_http_exam_shard_t *shard, int64_t now);

/* the same a tick, for what is over for an hour, a bounded part of the walk */

void ngx_http_exam_commands_tidy(ngx_http_exam_shard_t *shard, int64_t now);

/* before the row of an exam without sessions is given to another one */

void ngx_http_exam_commands_drop_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_exam_t *e);

/* made when there is none; NULL: no memory, which there is for each session */

ngx_http_exam_delivery_t *ngx_http_exam_delivery_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_session_t *s);

/* what another session of the student was to get and has run, s has, too */

void ngx_http_exam_delivery_copy_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_session_t *s, const ngx_http_exam_session_t *other);

/* 1: something of this session is to be told to Redis */

ngx_uint_t ngx_http_exam_delivery_busy(const ngx_http_exam_session_t *s);

/* a session of the student in its bucket, after s (NULL: the first) */

ngx_http_exam_session_t *ngx_http_exam_student_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_exam_t *e, exam_str_t student,
    ngx_http_exam_session_t *s);

/*
 * ngx_http_exam_command_beat.c: a heartbeat in an exam that has commands.  Its
 * acks are taken, what is due is given.  The answer is the process's own; NULL:
 * there is nothing to tell anybody.
 */

ngx_http_exam_command_beat_t *ngx_http_exam_command_beat_locked(
    ngx_http_exam_shard_t *shard, ngx_http_exam_session_t *s,
    const exam_beat_t *beat, int64_t now);


/* ngx_http_exam_report.c: to the journal, after the mutex was released */

void ngx_http_exam_report_journal(const ngx_http_exam_command_beat_t *beat);

/* into the queue of what is to be told to Redis */

void ngx_http_exam_report_queue_locked(ngx_http_exam_shard_t *shard,
    ngx_http_exam_delivery_t *d);

/* by the holder of the reader's lease, a tick; a new holder begins anew */

void ngx_http_exam_report_tick(ngx_http_exam_main_conf_t *mcf);
void ngx_http_exam_report_begin(ngx_http_exam_main_conf_t *mcf);

/* Redis was emptied: it is told once more what was acknowledged */

void ngx_http_exam_report_again_locked(ngx_http_exam_shard_t *shard);


/* ngx_http_exam_control.c: the reader's tick */

void ngx_http_exam_control_tick(ngx_http_exam_main_conf_t *mcf);
void ngx_http_exam_control_exit(ngx_http_exam_main_conf_t *mcf);

/* all streams from their beginning */

void ngx_http_exam_control_restart_locked(ngx_http_exam_shard_t *shard);


#endif /* NGX_HTTP_EXAM_COMMAND_H_INCLUDED */
