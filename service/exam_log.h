
/*
 * The log of a daemon: one line a message,
 *
 *     2026-11-20T15:40:09.123Z warn redis cannot connect to "r.sock" (2: No.)
 *
 * UTC, level, component, text, and errno with its text when `err` is not 0.
 * Control characters are escaped, so a message is always one line, written by
 * one write().  The same message again within a minute is counted, and the
 * count is written with the next line of another text or once the minute is
 * over.  No body, token, code, name or other personal data belongs in a line.
 *
 * One log a process; any thread may write (a mutex of its own).
 */


#ifndef EXAM_LOG_H_INCLUDED
#define EXAM_LOG_H_INCLUDED


#include "exam_err.h"


typedef enum {
    EXAM_LOG_ALERT = 0,             /* a broken invariant */
    EXAM_LOG_ERROR,                 /* lost or refused work */
    EXAM_LOG_WARN,                  /* degraded, entered once */
    EXAM_LOG_NOTICE,                /* start, connect, recovery */
    EXAM_LOG_INFO,
    EXAM_LOG_DEBUG
} exam_log_level_e;


/*
 * Appends to the file, or writes to standard error for NULL and "".  Lines
 * above `level` are left out.  Before the first call, and when the file cannot
 * be opened (-1, errno), the log is standard error at EXAM_LOG_NOTICE.
 */

EXAM_MUST_CHECK int exam_log_open(const char *path, exam_log_level_e level);

/* after log rotation; keeps the old file when the new one cannot be opened */

EXAM_MUST_CHECK int exam_log_reopen(void);

/* writes a pending count whose minute is over; for the daemon's own tick */

void exam_log_tick(void);

/* writes a pending count and closes the file */

void exam_log_close(void);

/* not async-signal-safe; keeps errno */

void exam_log(exam_log_level_e level, const char *component, int err,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));


#endif /* EXAM_LOG_H_INCLUDED */
