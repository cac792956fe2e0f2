
/*
 * The configuration that exam-worker, examctl and later exam-api share: one INI
 * file, read once at the start.  Strict: an unknown section or key, a key given
 * twice and a bad value are errors that name file and line.  Relative paths are
 * relative to the folder of the file; all paths of exam_conf_t are absolute.
 *
 * Plain data without owners: may be copied, only read after loading, and then
 * by any thread.
 */


#ifndef EXAM_CONF_H_INCLUDED
#define EXAM_CONF_H_INCLUDED


#include "exam_body.h"

#include <stdint.h>


#define EXAM_PATH_MAX        1024   /* bytes of a path with its NUL */
#define EXAM_CONF_TEXT_MAX   256    /* host, user, password, database */
#define EXAM_THREADS_MAX     32     /* that work on files */
#define EXAM_CONF_ERROR_MAX  (EXAM_PATH_MAX + 256)


typedef enum {
    EXAM_VERIFY_SAMPLE = 0,
    EXAM_VERIFY_ALL
} exam_verify_e;


typedef struct {
    char           socket[EXAM_PATH_MAX];       /* "" = host and port */
    char           host[EXAM_CONF_TEXT_MAX];
    unsigned       port;
    char           password[EXAM_CONF_TEXT_MAX];    /* of password_file */
    unsigned       db;
} exam_redis_conf_t;


typedef struct {
    char           socket[EXAM_PATH_MAX];       /* "" = host and port */
    char           host[EXAM_CONF_TEXT_MAX];
    unsigned       port;
    char           user[EXAM_CONF_TEXT_MAX];
    char           password[EXAM_CONF_TEXT_MAX];    /* of password_file */
    char           database[EXAM_CONF_TEXT_MAX];    /* [A-Za-z0-9_]{1,64} */
} exam_mysql_conf_t;


typedef struct {
    char               file[EXAM_PATH_MAX];     /* the INI file itself */

    /* [node] */

    char               node[EXAM_NODE_MAX + 1];
    char               spool[EXAM_PATH_MAX];
    char               recordings[EXAM_PATH_MAX];
    char               keys[EXAM_PATH_MAX];
    char               nginx_pid[EXAM_PATH_MAX];    /* "" = not configured */
    size_t             nkinds;
    char               kinds[EXAM_KINDS_MAX][EXAM_KIND_MAX + 1];

    exam_redis_conf_t  redis;
    exam_mysql_conf_t  mysql;

    /* [worker] */

    bool               probe;
    exam_verify_e      verify;
    unsigned           threads;             /* 1..EXAM_THREADS_MAX */
    char               log[EXAM_PATH_MAX];      /* "" = standard error */
    char               pid[EXAM_PATH_MAX];      /* "" = no pid file */
    unsigned           journal_days;            /* 0 = kept for ever */
    unsigned           heartbeat_s;
    unsigned           offline_s;
} exam_conf_t;


/*
 * Which file: `option` (--config) when not NULL, else $EXAM_CONFIG, else
 * ../exam.ini seen from the folder of the executable as it was called, then as
 * it is after links, else /etc/exam-monitor/exam.ini.  A file that was named is
 * taken whether it exists or not.  0, or -1 with a text in error.
 */

EXAM_MUST_CHECK int exam_conf_find(char path[EXAM_PATH_MAX],
    const char *option, const char *argv0, char error[EXAM_CONF_ERROR_MAX]);

/* 0, or -1 with `file:line: what` in error; *conf is then not to be used */

EXAM_MUST_CHECK int exam_conf_load(exam_conf_t *conf, const char *path,
    char error[EXAM_CONF_ERROR_MAX]);


#endif /* EXAM_CONF_H_INCLUDED */
