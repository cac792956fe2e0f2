
/*
 * Clocks, times as text, random bytes.  No state; localtime of the process is
 * asked only where a user gave a time without a zone.
 */


#include "exam_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>


#define EXAM_TIME_MAX_MS  (253402300800000LL - 1)   /* end of the year 9999 */


static bool exam_time_relative(const char *p, int64_t now, int64_t *ms);
static bool exam_time_digits(const char **p, int n, int *out);
static bool exam_time_zone(const char *p, struct tm *tm, int64_t *s);


int64_t
exam_now_ms(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


int64_t
exam_mono_ms(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


void
exam_time_iso(char out[EXAM_TIME_ISO], int64_t ms)
{
    time_t     s;
    char       text[80];
    struct tm  tm;

    if (ms < 0) {
        ms = 0;
    }

    if (ms > EXAM_TIME_MAX_MS) {
        ms = EXAM_TIME_MAX_MS;
    }

    s = (time_t) (ms / 1000);
    (void) gmtime_r(&s, &tm);

    (void) snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                    tm.tm_min, tm.tm_sec, (int) (ms % 1000));

    memcpy(out, text, EXAM_TIME_ISO);
}


bool
exam_time_parse(const char *p, int64_t now, int64_t *ms)
{
    int        i, digit, frac;
    int64_t    s;
    struct tm  tm, check;

    if (strcmp(p, "now") == 0) {
        *ms = now;
        return true;
    }

    if (p[0] == '+') {
        return exam_time_relative(p + 1, now, ms);
    }

    memset(&tm, 0, sizeof(struct tm));

    if (!exam_time_digits(&p, 4, &tm.tm_year) || *p++ != '-'
        || !exam_time_digits(&p, 2, &tm.tm_mon) || *p++ != '-'
        || !exam_time_digits(&p, 2, &tm.tm_mday)
        || (*p != 'T' && *p != ' ')
        || (p++, !exam_time_digits(&p, 2, &tm.tm_hour)) || *p++ != ':'
        || !exam_time_digits(&p, 2, &tm.tm_min))
    {
        return false;
    }

    frac = 0;

    if (*p == ':') {
        p++;

        if (!exam_time_digits(&p, 2, &tm.tm_sec)) {
            return false;
        }

        if (*p == '.') {
            p++;

            for (i = 0; exam_time_digits(&p, 1, &digit); i++) {
                frac += digit * (i == 0 ? 100 : i == 1 ? 10 : i == 2 ? 1 : 0);
            }

            if (i == 0) {
                return false;
            }
        }
    }

    tm.tm_year -= 1900;
    tm.tm_mon -= 1;

    if (tm.tm_year < 70 || tm.tm_hour > 23 || tm.tm_min > 59
        || tm.tm_sec > 59)
    {
        return false;
    }

    /* timegm() would turn 30 February into March */

    check = tm;
    (void) timegm(&check);

    if (check.tm_mon != tm.tm_mon || check.tm_mday != tm.tm_mday) {
        return false;
    }

    if (!exam_time_zone(p, &tm, &s)) {
        return false;
    }

    *ms = s * 1000 + frac;

    return true;
}


static bool
exam_time_relative(const char *p, int64_t now, int64_t *ms)
{
    size_t      i, len;
    int64_t     n;

    static const struct {
        char     name;
        int64_t  ms;
    } units[] = {
        { 's', 1000 },
        { 'm', 60000 },
        { 'h', 3600000 },
        { 'd', 86400000 },
    };

    len = strspn(p, "0123456789");

    if (len == 0 || len > 9 || p[len] == '\0' || p[len + 1] != '\0') {
        return false;
    }

    n = atol(p);

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].name == p[len]) {
            *ms = now + n * units[i].ms;
            return *ms <= EXAM_TIME_MAX_MS;
        }
    }

    return false;
}


static bool
exam_time_digits(const char **p, int n, int *out)
{
    int  i, value;

    value = 0;

    for (i = 0; i < n; i++) {
        if ((*p)[i] < '0' || (*p)[i] > '9') {
            return false;
        }

        value = value * 10 + ((*p)[i] - '0');
    }

    *out = value;
    *p += n;

    return true;
}


/* what stands behind the time of day; the seconds since 1970 */

static bool
exam_time_zone(const char *p, struct tm *tm, int64_t *s)
{
    int  sign, hours, minutes;

    if (*p == '\0') {
        tm->tm_isdst = -1;
        *s = mktime(tm);
        return *s >= 0;
    }

    if (strcmp(p, "Z") == 0) {
        *s = timegm(tm);
        return true;
    }

    sign = (*p == '+') ? 1 : (*p == '-') ? -1 : 0;
    p++;

    if (sign == 0 || !exam_time_digits(&p, 2, &hours)) {
        return false;
    }

    if (*p == ':') {
        p++;
    }

    if (!exam_time_digits(&p, 2, &minutes) || *p != '\0'
        || hours > 14 || minutes > 59)
    {
        return false;
    }

    *s = timegm(tm) - sign * (hours * 3600 + minutes * 60);

    return *s >= 0;
}


void
exam_random(void *out, size_t len)
{
    ssize_t   n;
    uint8_t  *p;

    for (p = out; len > 0; p += n, len -= (size_t) n) {
        n = getrandom(p, len, 0);

        if (n < 0) {
            if (errno == EINTR) {
                n = 0;
                continue;
            }

            /* codes and keys from anything weaker would be worse */

            perror("getrandom");
            abort();
        }
    }
}
