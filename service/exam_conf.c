
/*
 * Reads exam.ini: sections and keys come from one table, values are checked as
 * they are read, so that an error can name its line.  Called once in main() of
 * each program, before any thread.
 *
 * A comment starts with ";" or "#" at the start of a line or after white space.
 */


#include "exam_conf.h"
#include "exam_file.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>


#define EXAM_CONF_SIZE_MAX  65536
#define EXAM_CONF_HOUR      3600        /* s */
#define EXAM_CONF_SYSTEM    "/etc/exam-monitor/exam.ini"

#define exam_conf_field(f)  offsetof(exam_conf_t, f),                         \
                            sizeof(((exam_conf_t *) NULL)->f)


typedef enum {
    EXAM_CONF_TEXT = 0,             /* not empty */
    EXAM_CONF_PATH,                 /* not empty, made absolute */
    EXAM_CONF_PATH_OPTIONAL,
    EXAM_CONF_SOCKET,
    EXAM_CONF_PORT,
    EXAM_CONF_NUMBER,
    EXAM_CONF_SECONDS,              /* 1 to an hour */
    EXAM_CONF_THREADS,
    EXAM_CONF_NODE,
    EXAM_CONF_KINDS,
    EXAM_CONF_SWITCH,
    EXAM_CONF_VERIFY,
    EXAM_CONF_DATABASE,
    EXAM_CONF_PASSWORD
} exam_conf_type_e;


typedef struct {
    const char        *section;
    const char        *name;
    exam_conf_type_e   type;
    size_t             offset;
    size_t             size;
} exam_conf_key_t;


typedef struct {
    exam_conf_t  *conf;
    char         *error;
    unsigned      line;
    uint64_t      seen;             /* a bit a key of the table */
} exam_conf_parse_t;


static int exam_conf_beside(char path[EXAM_PATH_MAX], const char *program);
static void exam_conf_defaults(exam_conf_t *conf);
static int exam_conf_parse(exam_conf_parse_t *p, char *text);
static int exam_conf_assign(exam_conf_parse_t *p, const char *section,
    const char *name, const char *value);
static int exam_conf_set(exam_conf_parse_t *p, const exam_conf_key_t *key,
    const char *value);
static int exam_conf_set_number(exam_conf_parse_t *p,
    const exam_conf_key_t *key, const char *value, unsigned min, unsigned max);
static int exam_conf_set_kinds(exam_conf_parse_t *p, const char *value);
static int exam_conf_set_path(exam_conf_parse_t *p, const exam_conf_key_t *key,
    const char *value);
static int exam_conf_set_choice(exam_conf_parse_t *p,
    const exam_conf_key_t *key, const char *value, const char *yes,
    const char *no, bool *out);
static int exam_conf_set_password(exam_conf_parse_t *p, const char *value,
    char *out);
static int exam_conf_check(exam_conf_parse_t *p);
static bool exam_conf_given(const exam_conf_parse_t *p, const char *section,
    const char *name);
static int exam_conf_absolute(char out[EXAM_PATH_MAX], const char *file,
    const char *value);
static char *exam_conf_trim(char *text);
static void exam_conf_uncomment(char *text);
static int exam_conf_fail(exam_conf_parse_t *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


static const exam_conf_key_t  exam_conf_keys[] = {

    { "node", "name", EXAM_CONF_NODE, exam_conf_field(node) },
    { "node", "spool", EXAM_CONF_PATH, exam_conf_field(spool) },
    { "node", "recordings", EXAM_CONF_PATH, exam_conf_field(recordings) },
    { "node", "keys", EXAM_CONF_PATH, exam_conf_field(keys) },
    { "node", "kinds", EXAM_CONF_KINDS, exam_conf_field(kinds) },
    { "node", "nginx_pid", EXAM_CONF_PATH_OPTIONAL,
      exam_conf_field(nginx_pid) },

    { "redis", "socket", EXAM_CONF_SOCKET, exam_conf_field(redis.socket) },
    { "redis", "host", EXAM_CONF_TEXT, exam_conf_field(redis.host) },
    { "redis", "port", EXAM_CONF_PORT, exam_conf_field(redis.port) },
    { "redis", "password_file", EXAM_CONF_PASSWORD,
      exam_conf_field(redis.password) },
    { "redis", "db", EXAM_CONF_NUMBER, exam_conf_field(redis.db) },

    { "mysql", "socket", EXAM_CONF_SOCKET, exam_conf_field(mysql.socket) },
    { "mysql", "host", EXAM_CONF_TEXT, exam_conf_field(mysql.host) },
    { "mysql", "port", EXAM_CONF_PORT, exam_conf_field(mysql.port) },
    { "mysql", "user", EXAM_CONF_TEXT, exam_conf_field(mysql.user) },
    { "mysql", "password_file", EXAM_CONF_PASSWORD,
      exam_conf_field(mysql.password) },
    { "mysql", "database", EXAM_CONF_DATABASE,
      exam_conf_field(mysql.database) },

    { "worker", "probe", EXAM_CONF_SWITCH, exam_conf_field(probe) },
    { "worker", "verify", EXAM_CONF_VERIFY, exam_conf_field(verify) },
    { "worker", "threads", EXAM_CONF_THREADS, exam_conf_field(threads) },
    { "worker", "log", EXAM_CONF_PATH_OPTIONAL, exam_conf_field(log) },
    { "worker", "pid", EXAM_CONF_PATH_OPTIONAL, exam_conf_field(pid) },
    { "worker", "journal_days", EXAM_CONF_NUMBER,
      exam_conf_field(journal_days) },
    { "worker", "heartbeat_s", EXAM_CONF_SECONDS,
      exam_conf_field(heartbeat_s) },
    { "worker", "offline_s", EXAM_CONF_SECONDS, exam_conf_field(offline_s) },
};

#define EXAM_CONF_NKEYS  (sizeof(exam_conf_keys) / sizeof(exam_conf_keys[0]))


int
exam_conf_find(char path[EXAM_PATH_MAX], const char *option, const char *argv0,
    char error[EXAM_CONF_ERROR_MAX])
{
    int          n;
    const char  *named;

    named = (option != NULL) ? option : getenv("EXAM_CONFIG");

    if (named != NULL && named[0] != '\0') {
        n = snprintf(path, EXAM_PATH_MAX, "%s", named);

        if (n >= EXAM_PATH_MAX) {
            (void) snprintf(error, EXAM_CONF_ERROR_MAX,
                            "the configuration's path is too long");
            return -1;
        }

        return 0;
    }

    if (strchr(argv0, '/') != NULL && exam_conf_beside(path, argv0) == 0) {
        return 0;
    }

    if (exam_conf_beside(path, NULL) == 0) {
        return 0;
    }

    (void) snprintf(path, EXAM_PATH_MAX, "%s", EXAM_CONF_SYSTEM);

    if (access(path, F_OK) == 0) {
        return 0;
    }

    (void) snprintf(error, EXAM_CONF_ERROR_MAX,
                    "no configuration: neither --config, nor $EXAM_CONFIG, "
                    "nor ../exam.ini beside the program, nor \"%s\"", path);
    return -1;
}


/* ../exam.ini of the program's folder; NULL: of /proc/self/exe */

static int
exam_conf_beside(char path[EXAM_PATH_MAX], const char *program)
{
    int      n;
    char     exe[EXAM_PATH_MAX], *slash;
    ssize_t  len;

    if (program == NULL) {
        len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

        if (len < 0) {
            return -1;
        }

        exe[len] = '\0';

    } else {
        n = snprintf(exe, sizeof(exe), "%s", program);

        if (n >= (int) sizeof(exe)) {
            return -1;
        }
    }

    slash = strrchr(exe, '/');

    if (slash == NULL) {
        return -1;
    }

    *slash = '\0';

    n = snprintf(path, EXAM_PATH_MAX, "%s/../exam.ini", exe);

    if (n >= EXAM_PATH_MAX) {
        return -1;
    }

    return access(path, F_OK);
}


int
exam_conf_load(exam_conf_t *conf, const char *path,
    char error[EXAM_CONF_ERROR_MAX])
{
    int                rc;
    char              *text, resolved[PATH_MAX];
    size_t             len;
    exam_conf_parse_t  p;

    memset(conf, 0, sizeof(exam_conf_t));
    memset(&p, 0, sizeof(exam_conf_parse_t));

    p.conf = conf;
    p.error = error;

    if (realpath(path, resolved) == NULL
        || exam_file_read(resolved, EXAM_CONF_SIZE_MAX, &text, &len) != 0)
    {
        (void) snprintf(error, EXAM_CONF_ERROR_MAX, "cannot read \"%s\": %s",
                        path, strerror(errno));
        return -1;
    }

    if ((size_t) snprintf(conf->file, EXAM_PATH_MAX, "%s", resolved)
        >= EXAM_PATH_MAX)
    {
        (void) snprintf(error, EXAM_CONF_ERROR_MAX,
                        "the configuration's path is too long");
        free(text);
        return -1;
    }

    exam_conf_defaults(conf);

    rc = (strlen(text) == len) ? exam_conf_parse(&p, text)
                               : exam_conf_fail(&p, "a NUL byte in the file");

    free(text);

    return (rc == 0) ? exam_conf_check(&p) : rc;
}


static void
exam_conf_defaults(exam_conf_t *conf)
{
    strcpy(conf->node, "n1");
    strcpy(conf->redis.host, "127.0.0.1");
    strcpy(conf->mysql.host, "127.0.0.1");
    strcpy(conf->mysql.user, "root");
    strcpy(conf->mysql.database, "exam");
    strcpy(conf->kinds[0], "screen");
    strcpy(conf->kinds[1], "camera");

    conf->nkinds = 2;
    conf->redis.port = 6379;
    conf->mysql.port = 3306;
    conf->probe = true;
    conf->verify = EXAM_VERIFY_SAMPLE;
    conf->threads = 8;
    conf->journal_days = 30;
    conf->heartbeat_s = 30;
    conf->offline_s = 90;

    /* too long: left empty, exam_conf_check() finds it */

    (void) exam_conf_absolute(conf->spool, conf->file, "spool");
    (void) exam_conf_absolute(conf->recordings, conf->file, "recordings");
    (void) exam_conf_absolute(conf->keys, conf->file, "keys");
}


static int
exam_conf_parse(exam_conf_parse_t *p, char *text)
{
    char  *line, *next, *end, *value, section[32];

    section[0] = '\0';

    for (line = text; line != NULL; line = next) {
        next = strchr(line, '\n');

        if (next != NULL) {
            *next++ = '\0';
        }

        p->line++;

        exam_conf_uncomment(line);
        line = exam_conf_trim(line);

        if (line[0] == '\0') {
            continue;
        }

        if (line[0] == '[') {
            end = strchr(line, ']');

            if (end == NULL || end[1] != '\0'
                || (size_t) (end - line) > sizeof(section))
            {
                return exam_conf_fail(p, "bad section \"%.64s\"", line);
            }

            *end = '\0';
            strcpy(section, line + 1);
            continue;
        }

        value = strchr(line, '=');

        if (value == NULL) {
            return exam_conf_fail(p, "neither \"[section]\" nor "
                                  "\"key = value\": \"%.64s\"", line);
        }

        *value++ = '\0';

        if (exam_conf_assign(p, section, exam_conf_trim(line),
                             exam_conf_trim(value))
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
exam_conf_assign(exam_conf_parse_t *p, const char *section, const char *name,
    const char *value)
{
    bool    known;
    size_t  i;

    known = false;

    for (i = 0; i < EXAM_CONF_NKEYS; i++) {

        if (strcmp(exam_conf_keys[i].section, section) != 0) {
            continue;
        }

        known = true;

        if (strcmp(exam_conf_keys[i].name, name) != 0) {
            continue;
        }

        if (p->seen & ((uint64_t) 1 << i)) {
            return exam_conf_fail(p, "\"%s\" is given twice in [%s]", name,
                                  section);
        }

        p->seen |= (uint64_t) 1 << i;

        return exam_conf_set(p, &exam_conf_keys[i], value);
    }

    if (section[0] == '\0') {
        return exam_conf_fail(p, "\"%.64s\" stands before any [section]", name);
    }

    if (!known) {
        return exam_conf_fail(p, "unknown section [%s]", section);
    }

    return exam_conf_fail(p, "unknown key \"%.64s\" in [%s]", name, section);
}


static int
exam_conf_set(exam_conf_parse_t *p, const exam_conf_key_t *key,
    const char *value)
{
    bool         all;
    char        *out;
    exam_str_t   s;

    out = (char *) p->conf + key->offset;
    s = exam_str_make(value, strlen(value));
    all = false;

    switch (key->type) {

    case EXAM_CONF_PASSWORD:
        return exam_conf_set_password(p, value, out);

    case EXAM_CONF_PATH:
    case EXAM_CONF_PATH_OPTIONAL:
    case EXAM_CONF_SOCKET:
        return exam_conf_set_path(p, key, value);

    case EXAM_CONF_KINDS:
        return exam_conf_set_kinds(p, value);

    case EXAM_CONF_NUMBER:
        return exam_conf_set_number(p, key, value, 0, INT_MAX);

    case EXAM_CONF_PORT:
        return exam_conf_set_number(p, key, value, 1, 65535);

    case EXAM_CONF_SECONDS:
        return exam_conf_set_number(p, key, value, 1, EXAM_CONF_HOUR);

    case EXAM_CONF_THREADS:
        return exam_conf_set_number(p, key, value, 1, EXAM_THREADS_MAX);

    case EXAM_CONF_SWITCH:
        return exam_conf_set_choice(p, key, value, "on", "off", (bool *) out);

    case EXAM_CONF_VERIFY:
        if (exam_conf_set_choice(p, key, value, "all", "sample", &all) != 0) {
            return -1;
        }

        p->conf->verify = all ? EXAM_VERIFY_ALL : EXAM_VERIFY_SAMPLE;
        return 0;

    case EXAM_CONF_NODE:
        if (!exam_id_node(s)) {
            return exam_conf_fail(p, "bad node name \"%.64s\": 1 to 15 of "
                                  "a-z and 0-9", value);
        }

        break;

    case EXAM_CONF_DATABASE:
        if (s.len > 64
            || s.len != strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        {
            return exam_conf_fail(p, "bad database name \"%.80s\"", value);
        }

        /* fall through */

    case EXAM_CONF_TEXT:
        break;
    }

    if (s.len == 0) {
        return exam_conf_fail(p, "\"%s\" is empty", key->name);
    }

    if (s.len >= key->size) {
        return exam_conf_fail(p, "\"%s\" is too long", key->name);
    }

    memcpy(out, value, s.len + 1);

    return 0;
}


static int
exam_conf_set_number(exam_conf_parse_t *p, const exam_conf_key_t *key,
    const char *value, unsigned min, unsigned max)
{
    uint64_t  n;

    if (!exam_uint_parse((const uint8_t *) value, strlen(value), max, &n)
        || n < min)
    {
        return exam_conf_fail(p, "bad %s \"%.64s\"", key->name, value);
    }

    *(unsigned *) (void *) ((char *) p->conf + key->offset) = (unsigned) n;

    return 0;
}


static int
exam_conf_set_kinds(exam_conf_parse_t *p, const char *value)
{
    size_t        i, n, len;
    exam_conf_t  *conf;

    conf = p->conf;
    n = 0;

    for ( ;; ) {
        value += strspn(value, " \t");
        len = strcspn(value, " \t");

        if (len == 0) {
            break;
        }

        if (!exam_id_kind(exam_str_make(value, len))) {
            return exam_conf_fail(p, "bad kind \"%.*s\"",
                                  (int) (len < 64 ? len : 64), value);
        }

        if (n == EXAM_KINDS_MAX) {
            return exam_conf_fail(p, "more than %d kinds", EXAM_KINDS_MAX);
        }

        memcpy(conf->kinds[n], value, len);
        conf->kinds[n][len] = '\0';

        for (i = 0; i < n; i++) {
            if (strcmp(conf->kinds[i], conf->kinds[n]) == 0) {
                return exam_conf_fail(p, "kind \"%s\" is given twice",
                                      conf->kinds[n]);
            }
        }

        n++;
        value += len;
    }

    if (n == 0) {
        return exam_conf_fail(p, "\"kinds\" is empty");
    }

    conf->nkinds = n;

    return 0;
}


static int
exam_conf_set_path(exam_conf_parse_t *p, const exam_conf_key_t *key,
    const char *value)
{
    char    *out;
    size_t   max;

    out = (char *) p->conf + key->offset;

    if (value[0] == '\0') {
        if (key->type == EXAM_CONF_PATH) {
            return exam_conf_fail(p, "\"%s\" is empty", key->name);
        }

        out[0] = '\0';
        return 0;
    }

    if (exam_conf_absolute(out, p->conf->file, value) != 0) {
        return exam_conf_fail(p, "the path of \"%s\" is too long", key->name);
    }

    max = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1;

    if (key->type == EXAM_CONF_SOCKET && strlen(out) > max) {
        return exam_conf_fail(p, "the path of the socket is longer than "
                              "%zu bytes", max);
    }

    return 0;
}


static int
exam_conf_set_choice(exam_conf_parse_t *p, const exam_conf_key_t *key,
    const char *value, const char *yes, const char *no, bool *out)
{
    if (strcmp(value, yes) != 0 && strcmp(value, no) != 0) {
        return exam_conf_fail(p, "\"%s\" is \"%s\" or \"%s\", not \"%.64s\"",
                              key->name, yes, no, value);
    }

    *out = (strcmp(value, yes) == 0);

    return 0;
}


static int
exam_conf_set_password(exam_conf_parse_t *p, const char *value, char *out)
{
    int      rc;
    char     path[EXAM_PATH_MAX], *text;
    size_t   len;

    if (value[0] == '\0') {
        return 0;
    }

    if (exam_conf_absolute(path, p->conf->file, value) != 0) {
        return exam_conf_fail(p, "the path of \"password_file\" is too long");
    }

    if (exam_file_read(path, EXAM_CONF_TEXT_MAX, &text, &len) != 0) {
        return exam_conf_fail(p, "cannot read \"%s\": %s", path,
                              strerror(errno));
    }

    text[strcspn(text, "\r\n")] = '\0';

    rc = 0;

    if (strlen(text) >= EXAM_CONF_TEXT_MAX) {
        rc = exam_conf_fail(p, "the password in \"%s\" is too long", path);

    } else {
        strcpy(out, text);
    }

    explicit_bzero(text, len);
    free(text);

    return rc;
}


/* what no single line can tell */

static int
exam_conf_check(exam_conf_parse_t *p)
{
    size_t  i;

    static const char *const  sections[] = { "redis", "mysql" };

    p->line = 0;

    for (i = 0; i < 2; i++) {
        if (exam_conf_given(p, sections[i], "socket")
            && (exam_conf_given(p, sections[i], "host")
                || exam_conf_given(p, sections[i], "port")))
        {
            return exam_conf_fail(p, "[%s] has a socket and a host or port: "
                                  "only one way can be taken", sections[i]);
        }
    }

    if (p->conf->spool[0] == '\0' || p->conf->recordings[0] == '\0'
        || p->conf->keys[0] == '\0')
    {
        return exam_conf_fail(p, "the folder's path is too long");
    }

    /* who is late is not offline yet */

    if (2 * p->conf->offline_s <= 3 * p->conf->heartbeat_s) {
        return exam_conf_fail(p, "offline_s is not more than one and a half "
                              "of heartbeat_s");
    }

    return 0;
}


static bool
exam_conf_given(const exam_conf_parse_t *p, const char *section,
    const char *name)
{
    size_t  i;

    for (i = 0; i < EXAM_CONF_NKEYS; i++) {
        if (strcmp(exam_conf_keys[i].section, section) == 0
            && strcmp(exam_conf_keys[i].name, name) == 0)
        {
            return (p->seen >> i) & 1;
        }
    }

    return false;
}


/* `value` seen from the folder of the file; empty and -1 when too long */

static int
exam_conf_absolute(char out[EXAM_PATH_MAX], const char *file,
    const char *value)
{
    int  n;

    if (value[0] == '/') {
        n = snprintf(out, EXAM_PATH_MAX, "%s", value);

    } else {
        n = snprintf(out, EXAM_PATH_MAX, "%.*s/%s",
                     (int) (strrchr(file, '/') - file), file, value);
    }

    if (n >= EXAM_PATH_MAX) {
        out[0] = '\0';
        return -1;
    }

    return 0;
}


static char *
exam_conf_trim(char *text)
{
    size_t  len;

    text += strspn(text, " \t\r");
    len = strlen(text);

    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL) {
        len--;
    }

    text[len] = '\0';

    return text;
}


static void
exam_conf_uncomment(char *text)
{
    char  *p;

    for (p = text; *p != '\0'; p++) {
        if ((*p == ';' || *p == '#')
            && (p == text || p[-1] == ' ' || p[-1] == '\t'))
        {
            *p = '\0';
            return;
        }
    }
}


static int
exam_conf_fail(exam_conf_parse_t *p, const char *fmt, ...)
{
    int      n;
    va_list  args;

    n = (p->line != 0)
        ? snprintf(p->error, EXAM_CONF_ERROR_MAX, "%s:%u: ", p->conf->file,
                   p->line)
        : snprintf(p->error, EXAM_CONF_ERROR_MAX, "%s: ", p->conf->file);

    va_start(args, fmt);
    (void) vsnprintf(p->error + n, EXAM_CONF_ERROR_MAX - (size_t) n, fmt,
                     args);
    va_end(args);

    return -1;
}
