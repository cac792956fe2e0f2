
/*
 * What the files of exam_command.h share and nobody else sees.
 *
 *   exam_command.c          sending and cancelling, from lock to Redis
 *   exam_command_check.c    the request         exam_command_body.c  MySQL
 *   exam_command_announce.c the control stream, deliveries that expire
 */


#ifndef EXAM_COMMAND_PART_H_INCLUDED
#define EXAM_COMMAND_PART_H_INCLUDED


#include "exam_command.h"


typedef enum {
    EXAM_TO_ALL = 0,
    EXAM_TO_GROUP,
    EXAM_TO_STUDENT
} exam_command_to_e;


typedef struct {
    const exam_command_request_t  *request;
    exam_command_result_t         *result;
    exam_command_e                 rc;      /* why the body gave up */

    exam_command_type_e            type;
    exam_command_to_e              to;
    exam_str_t                     name;    /* of the group or student */
    exam_str_t                     payload;
    int64_t                        seconds; /* of extra_time */

    exam_live_exam_t               e;
    int64_t                        now;
    int64_t                        before;  /* version; 0: nothing lasting */
} exam_command_t;


/* sets result->code and ->text; returns rc */

exam_command_e exam_command_refuse(exam_command_result_t *result,
    exam_command_e rc, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* what can be said without MySQL; sets type, to, name, payload, seconds */

exam_command_e exam_command_check(exam_command_t *c);

/* of the transaction; may run more than once */

exam_db_e exam_command_body(exam_mysql_t *db, void *data);


#endif /* EXAM_COMMAND_PART_H_INCLUDED */
