
/*
 * The control stream's entries: names and order of their fields stand here and
 * nowhere else outside the module.
 */


#include "exam_control.h"

#include <stdio.h>


#define EXAM_CONTROL_FIELDS  16


/* XADD with its fields; `n` counts names and values */

static exam_redis_e exam_control_add(exam_redis_t *redis, exam_str_t exam,
    size_t n, const exam_str_t *fields);
static exam_str_t exam_control_number(char out[24], uint64_t n);


exam_redis_e
exam_control_exam(exam_redis_t *redis, exam_str_t exam)
{
    exam_str_t  fields[] = { exam_str("op"), exam_str("exam") };

    return exam_control_add(redis, exam, 2, fields);
}


exam_redis_e
exam_control_roster(exam_redis_t *redis, exam_str_t exam)
{
    exam_str_t  fields[] = { exam_str("op"), exam_str("roster") };

    return exam_control_add(redis, exam, 2, fields);
}


exam_redis_e
exam_control_end(exam_redis_t *redis, exam_str_t exam, exam_str_t student,
    exam_str_t sid, exam_str_t reason)
{
    exam_str_t  fields[] = {
        exam_str("op"), exam_str("end"),
        exam_str("student"), student,
        exam_str("session"), sid,
        exam_str("reason"), reason
    };

    return exam_control_add(redis, exam, 8, fields);
}


exam_redis_e
exam_control_send(exam_redis_t *redis, const exam_control_send_t *c,
    exam_str_t students)
{
    char  id[24], expires[24];

    exam_str_t  fields[] = {
        exam_str("op"), exam_str("send"),
        exam_str("id"), exam_control_number(id, c->id),
        exam_str("type"), c->type,
        exam_str("payload"), c->payload,
        exam_str("expires_at"),
        exam_control_number(expires, (uint64_t) c->expires_at),
        exam_str("to"), students.len != 0 ? exam_str("list") : exam_str("all"),
        exam_str("students"), students
    };

    return exam_control_add(redis, c->exam, students.len != 0 ? 14 : 12,
                            fields);
}


exam_redis_e
exam_control_cancel(exam_redis_t *redis, exam_str_t exam, uint64_t id)
{
    char  number[24];

    exam_str_t  fields[] = {
        exam_str("op"), exam_str("cancel"),
        exam_str("id"), exam_control_number(number, id)
    };

    return exam_control_add(redis, exam, 4, fields);
}


exam_redis_e
exam_control_ack(exam_redis_t *redis, exam_str_t exam, uint64_t id,
    exam_str_t node, exam_str_t students)
{
    char  number[24];

    exam_str_t  fields[] = {
        exam_str("op"), exam_str("ack"),
        exam_str("id"), exam_control_number(number, id),
        exam_str("node"), node,
        exam_str("students"), students
    };

    return exam_control_add(redis, exam, 8, fields);
}


static exam_redis_e
exam_control_add(exam_redis_t *redis, exam_str_t exam, size_t n,
    const exam_str_t *fields)
{
    char        key[EXAM_KEY_MAX];
    exam_str_t  args[3 + EXAM_CONTROL_FIELDS];

    args[0] = exam_str("XADD");
    args[1] = exam_str_make(key, exam_key(key, EXAM_KEY_CONTROL, exam,
                                          exam_str("")));
    args[2] = exam_str("*");

    memcpy(args + 3, fields, n * sizeof(exam_str_t));

    return exam_redis_append(redis, 3 + n, args);
}


static exam_str_t
exam_control_number(char out[24], uint64_t n)
{
    return exam_str_make(out, (size_t) snprintf(out, 24, "%llu",
                                                (unsigned long long) n));
}
