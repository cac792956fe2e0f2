
/*
 * The log of a daemon.  All state is behind one mutex; a line is built on the
 * stack and leaves by one write() to a file opened with O_APPEND, so that lines
 * of several threads and of the probe child never mix.
 */


#include "exam_log.h"
#include "exam_file.h"
#include "exam_time.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


#define EXAM_LOG_LINE_MAX   2048
#define EXAM_LOG_REPEAT_MS  60000


static size_t exam_log_escape(char *out, size_t size, const char *text);
static void exam_log_write(exam_log_level_e level, const char *component,
    const char *text);
static void exam_log_repeated(void);


static struct {
    pthread_mutex_t   lock;
    int               fd;
    exam_log_level_e  level;
    char              path[PATH_MAX];

    /* the last message, for counting repetitions */

    char              text[EXAM_LOG_LINE_MAX];
    char              component[32];
    exam_log_level_e  last;
    unsigned          repeated;
    int64_t           since;        /* monotonic ms of its first line */
} exam_log_state = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .fd = STDERR_FILENO,
    .level = EXAM_LOG_NOTICE
};


static const char *const  exam_log_levels[] = {
    "alert", "error", "warn", "notice", "info", "debug"
};


int
exam_log_open(const char *path, exam_log_level_e level)
{
    int  rc;

    (void) pthread_mutex_lock(&exam_log_state.lock);

    exam_log_state.level = level;
    exam_log_state.path[0] = '\0';
    rc = 0;

    if (path != NULL && strlen(path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        rc = -1;

    } else if (path != NULL) {
        strcpy(exam_log_state.path, path);
    }

    (void) pthread_mutex_unlock(&exam_log_state.lock);

    return (rc == 0) ? exam_log_reopen() : rc;
}


int
exam_log_reopen(void)
{
    int  fd, rc;

    (void) pthread_mutex_lock(&exam_log_state.lock);

    rc = 0;

    if (exam_log_state.path[0] != '\0') {
        fd = open(exam_log_state.path,
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

        if (fd < 0) {
            rc = -1;

        } else {
            if (exam_log_state.fd != STDERR_FILENO) {
                (void) close(exam_log_state.fd);
            }

            exam_log_state.fd = fd;
        }
    }

    (void) pthread_mutex_unlock(&exam_log_state.lock);

    return rc;
}


void
exam_log_tick(void)
{
    (void) pthread_mutex_lock(&exam_log_state.lock);

    if (exam_mono_ms() - exam_log_state.since >= EXAM_LOG_REPEAT_MS) {
        exam_log_repeated();
    }

    (void) pthread_mutex_unlock(&exam_log_state.lock);
}


void
exam_log_close(void)
{
    (void) pthread_mutex_lock(&exam_log_state.lock);

    exam_log_repeated();

    if (exam_log_state.fd != STDERR_FILENO) {
        (void) close(exam_log_state.fd);
        exam_log_state.fd = STDERR_FILENO;
    }

    exam_log_state.path[0] = '\0';

    (void) pthread_mutex_unlock(&exam_log_state.lock);
}


void
exam_log(exam_log_level_e level, const char *component, int err,
    const char *fmt, ...)
{
    int      saved;
    char     raw[EXAM_LOG_LINE_MAX / 2], text[EXAM_LOG_LINE_MAX];
    size_t   n;
    va_list  args;

    saved = errno;

    (void) pthread_mutex_lock(&exam_log_state.lock);

    if (level > exam_log_state.level) {
        goto done;
    }

    va_start(args, fmt);
    (void) vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);

    n = exam_log_escape(text, sizeof(text) - 128, raw);

    if (err != 0) {
        (void) snprintf(text + n, sizeof(text) - n, " (%d: %s)", err,
                        strerror(err));
    }

    if (exam_log_state.since != 0
        && level == exam_log_state.last
        && strcmp(component, exam_log_state.component) == 0
        && strcmp(text, exam_log_state.text) == 0)
    {
        exam_log_state.repeated++;

        if (exam_mono_ms() - exam_log_state.since >= EXAM_LOG_REPEAT_MS) {
            exam_log_repeated();
        }

        goto done;
    }

    exam_log_repeated();
    exam_log_write(level, component, text);

    strcpy(exam_log_state.text, text);
    (void) snprintf(exam_log_state.component,
                    sizeof(exam_log_state.component), "%s", component);
    exam_log_state.last = level;
    exam_log_state.since = exam_mono_ms();

done:

    (void) pthread_mutex_unlock(&exam_log_state.lock);

    errno = saved;
}


/* under the lock */

static void
exam_log_repeated(void)
{
    char  text[64];

    if (exam_log_state.repeated == 0) {
        return;
    }

    (void) snprintf(text, sizeof(text), "last message repeated: %u",
                    exam_log_state.repeated);

    exam_log_write(exam_log_state.last, exam_log_state.component, text);

    exam_log_state.repeated = 0;
    exam_log_state.since = exam_mono_ms();
}


/* under the lock; a log that cannot be written has nobody to tell */

static void
exam_log_write(exam_log_level_e level, const char *component, const char *text)
{
    int   n;
    char  line[EXAM_LOG_LINE_MAX + 128], time[EXAM_TIME_ISO];

    exam_time_iso(time, exam_now_ms());

    n = snprintf(line, sizeof(line), "%s %s %.31s %s\n", time,
                 exam_log_levels[level], component, text);

    (void) !exam_file_write(exam_log_state.fd, line, (size_t) n);
}


/* control characters as \xNN; returns the length */

static size_t
exam_log_escape(char *out, size_t size, const char *text)
{
    size_t         n;
    unsigned char  c;

    for (n = 0; *text != '\0' && n + 5 < size; text++) {
        c = (unsigned char) *text;

        if (c < 0x20 || c == 0x7f) {
            n += (size_t) snprintf(out + n, 5, "\\x%02x", c);

        } else {
            out[n++] = (char) c;
        }
    }

    out[n] = '\0';

    return n;
}
