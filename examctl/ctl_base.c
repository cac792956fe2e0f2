
/*
 * Messages, arguments and connections of examctl.  Messages name no code, no
 * name of a person and no password.
 */


#include "ctl.h"

#include <mysqld_error.h>
#include <stdarg.h>


static void ctl_message(const char *fmt, va_list args);
static bool ctl_blank(uint8_t c);


ctl_rc_e
ctl_fail(ctl_rc_e rc, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    ctl_message(fmt, args);
    va_end(args);

    return rc;
}


ctl_rc_e
ctl_usage(const ctl_t *ctl, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    ctl_message(fmt, args);
    va_end(args);

    fprintf(stderr, "try: examctl %s --help\n", ctl->command->words);

    return CTL_USAGE;
}


exam_db_e
ctl_refuse(ctl_t *ctl, ctl_rc_e rc, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    ctl_message(fmt, args);
    va_end(args);

    ctl->refused = rc;

    return EXAM_DB_DATA;
}


static void
ctl_message(const char *fmt, va_list args)
{
    (void) fflush(stdout);

    fprintf(stderr, "examctl: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
}


const char *
ctl_option(const ctl_t *ctl, const char *name)
{
    size_t               i;
    const ctl_option_t  *options;

    options = ctl->command->options;

    for (i = 0; i < CTL_OPTIONS_MAX && options[i].name != NULL; i++) {
        if (strcmp(options[i].name, name) == 0) {
            return ctl->values[i];
        }
    }

    return NULL;
}


ctl_rc_e
ctl_arg_exam(const ctl_t *ctl, unsigned i, exam_str_t *id)
{
    *id = ctl_str(ctl->args[i]);

    if (!exam_id_exam(*id)) {
        return ctl_usage(ctl, "bad exam id: 1 to %d of A-Z a-z 0-9 _ -, a "
                         "letter or digit first", EXAM_EXAM_MAX);
    }

    return CTL_OK;
}


ctl_rc_e
ctl_arg_student(const ctl_t *ctl, unsigned i, exam_str_t *id)
{
    *id = ctl_str(ctl->args[i]);

    if (!exam_id_student(*id)) {
        return ctl_usage(ctl, "bad student id: 1 to %d of A-Z a-z 0-9 . _ @ -, "
                         "a letter or digit first, no \"..\"",
                         EXAM_STUDENT_MAX);
    }

    return CTL_OK;
}


exam_str_t
ctl_str(const char *text)
{
    return exam_str_make(text, strlen(text));
}


exam_str_t
ctl_trim(exam_str_t text)
{
    while (text.len > 0 && ctl_blank(text.data[text.len - 1])) {
        text.len--;
    }

    while (text.len > 0 && ctl_blank(text.data[0])) {
        text.data++;
        text.len--;
    }

    return text;
}


static bool
ctl_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}


bool
ctl_text_valid(exam_str_t text, size_t min, size_t max)
{
    size_t  i, n;

    if (!exam_utf8_valid(text.data, text.len)) {
        return false;
    }

    n = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return false;
        }

        /* bytes that begin a character */

        n += (text.data[i] & 0xc0) != 0x80;
    }

    return n >= min && n <= max;
}


ctl_rc_e
ctl_connect(ctl_t *ctl)
{
    if (exam_mysql_connect(&ctl->db, true) != EXAM_DB_OK) {
        return ctl_db_failed(ctl);
    }

    return CTL_OK;
}


ctl_rc_e
ctl_db_failed(ctl_t *ctl)
{
    switch (ctl->db.code) {

    case ER_NO_SUCH_TABLE:
    case ER_BAD_FIELD_ERROR:
    case ER_BAD_DB_ERROR:
        return ctl_fail(CTL_AWAY, "MySQL: %s; run \"examctl migrate\"",
                        ctl->db.error);

    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_DEADLOCK:
        return ctl_fail(CTL_CONFLICT, "MySQL: %s; try again", ctl->db.error);

    default:
        return ctl_fail(ctl->db.conn == NULL ? CTL_AWAY : CTL_FAILED,
                        "MySQL: %s", ctl->db.error);
    }
}


ctl_rc_e
ctl_redis_failed(ctl_t *ctl)
{
    return ctl_fail(CTL_AWAY, "Redis: %s", ctl->redis.error);
}
