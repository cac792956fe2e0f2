
/*
 * Commands to candidates (DESIGN 5, control): the one way to send, cancel and
 * announce them, for examctl, exam-api and exam-worker.
 *
 * MySQL first, in one transaction under the exam's lock (exam_live_lock): the
 * row of commands, a row of deliveries for each student, the lasting effect in
 * students or exams, the audit row.  Then Redis: flags and settings, then the
 * entry `send` of the control stream, then commands.announced_at.  Whoever dies
 * between two of these leaves announced_at NULL and the worker goes on there;
 * an entry that stands in the stream twice is harmless.
 *
 * A cancelled command that has not been announced as such has announced_at NULL
 * again: what is to be announced is always said by that column.
 */


#ifndef EXAM_COMMAND_H_INCLUDED
#define EXAM_COMMAND_H_INCLUDED


#include "exam_change.h"
#include "exam_entry.h"
#include "exam_live.h"


#define EXAM_COMMAND_REASON_MAX   255           /* bytes */
#define EXAM_COMMAND_KEY_MAX      64
#define EXAM_COMMAND_TEXT_MAX     256
#define EXAM_COMMAND_EXPIRES_MIN  1000          /* ms */
#define EXAM_COMMAND_EXPIRES      (5 * 60 * 1000)
#define EXAM_COMMAND_EXPIRES_MAX  (24 * 60 * 60 * 1000)
#define EXAM_COMMAND_MESSAGE_MAX  1000          /* characters */
#define EXAM_COMMAND_EXTRA_MAX    86400         /* seconds, either way */

/* of a student altogether, by examctl and by commands */

#define EXAM_EXTRA_MAX            (7 * 24 * 3600)


typedef enum {
    EXAM_COMMAND_MESSAGE = 0,
    EXAM_COMMAND_LOCK,
    EXAM_COMMAND_UNLOCK,
    EXAM_COMMAND_PAUSE,
    EXAM_COMMAND_RESUME,
    EXAM_COMMAND_EXTRA_TIME,
    EXAM_COMMAND_FINISH,
    EXAM_COMMAND_UPLOAD_NOW,
    EXAM_COMMAND_TYPES
} exam_command_type_e;


typedef enum {
    EXAM_COMMAND_OK = 0,
    EXAM_COMMAND_QUEUED,            /* in MySQL; exam-worker announces it */
    EXAM_COMMAND_INVALID,           /* the request itself */
    EXAM_COMMAND_NOT_FOUND,         /* exam, student, members, command */
    EXAM_COMMAND_CONFLICT,          /* not in this state */
    EXAM_COMMAND_BUSY,              /* the exam is locked by another program */
    EXAM_COMMAND_DB                 /* db->error; with db->conn NULL nobody
                                       knows whether it was committed */
} exam_command_e;


/* all strings are the caller's and live through the call */

typedef struct {
    exam_str_t  exam;
    exam_str_t  to;                 /* all, group:G, S or student:S */
    exam_str_t  type;
    exam_str_t  payload;            /* JSON object; empty: {} */
    exam_str_t  reason;             /* for staff; may be empty */
    exam_str_t  key;                /* idempotency; empty: none */
    const char *actor;              /* for the audit row */
    int64_t     expires_ms;         /* from now */
} exam_command_request_t;


typedef struct {
    uint64_t    id;
    uint64_t    students;           /* whom it went to */
    bool        repeated;           /* the key was known: nothing was done */
    const char *code;               /* stable, of INVALID to BUSY; else NULL */
    char        text[EXAM_COMMAND_TEXT_MAX];    /* the same for people, and
                                                   why it is only QUEUED */
} exam_command_result_t;


const char *exam_command_name(exam_command_type_e type);

/* EXAM_COMMAND_TYPES: no such type */

exam_command_type_e exam_command_parse(exam_str_t name);

/*
 * Sends a command.  A key that the exam knows already gives the first
 * command's id, and only announces it, if that is still to be done; type,
 * target and payload must be those of the first.
 */

EXAM_MUST_CHECK exam_command_e exam_command_send(exam_mysql_t *db,
    exam_redis_t *redis, const exam_command_request_t *request,
    exam_command_result_t *result);

/*
 * No student is given the command from now on; its lasting effect stays.
 */

EXAM_MUST_CHECK exam_command_e exam_command_cancel(exam_mysql_t *db,
    exam_redis_t *redis, uint64_t id, const char *actor,
    exam_command_result_t *result);


/*
 * exam_command_announce.c
 *
 * Announces what the row says: `send`, or `cancel` for a cancelled one; then
 * sets announced_at.  For who holds the exam's lock.
 */

EXAM_MUST_CHECK exam_live_e exam_command_announce(exam_mysql_t *db,
    exam_redis_t *redis, uint64_t id);

/*
 * Announces all unexpired commands that are not announced yet; call it when
 * Redis shows what MySQL has (exam_live_sync).  *n counts them.  An exam that
 * another program holds is left for the next time.
 */

EXAM_MUST_CHECK exam_live_e exam_command_announce_all(exam_mysql_t *db,
    exam_redis_t *redis, unsigned *n);

/*
 * What was announced since then is to be announced again: Redis may have
 * forgotten it.  Twice in the stream is harmless.
 */

EXAM_MUST_CHECK exam_db_e exam_command_forget(exam_mysql_t *db, int64_t since);

/*
 * For the refill: all unexpired commands of an exam by rising id, each followed
 * by the acks of those who have confirmed it.  Takes the exam's lock.
 */

EXAM_MUST_CHECK exam_live_e exam_command_refill(exam_mysql_t *db,
    exam_redis_t *redis, exam_str_t exam, exam_str_t node);

/*
 * Deliveries, queued or sent, of commands that have expired between `since` and
 * now become expired.  *n counts them.
 */

EXAM_MUST_CHECK exam_db_e exam_command_expire(exam_mysql_t *db, int64_t since,
    int64_t now, uint64_t *n);


#endif /* EXAM_COMMAND_H_INCLUDED */
