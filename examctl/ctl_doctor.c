
/*
 * doctor: looks at everything an exam needs and says in one line each what is
 * wrong and what to do.  Changes nothing but for probe files that it removes.
 */


#include "ctl.h"
#include "exam_file.h"
#include "exam_time.h"
#include "exam_token.h"

#include <errno.h>
#include <fcntl.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>


#define CTL_SKEW_WARN_MS   500      /* DESIGN 4: alert over this */
#define CTL_SKEW_FAIL_MS   5000
#define CTL_KEYS_FILE_MAX  65536


typedef struct {
    ctl_t       *ctl;
    ctl_list_t   list;
    unsigned     failed;
} ctl_doctor_t;


static void ctl_say(ctl_doctor_t *d, const char *check, const char *result,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void ctl_doctor_keys(ctl_doctor_t *d);
static void ctl_doctor_folders(ctl_doctor_t *d);
static bool ctl_doctor_writable(ctl_doctor_t *d, const char *check,
    const char *dir, struct stat *st);
static void ctl_doctor_mysql(ctl_doctor_t *d);
static void ctl_doctor_schema(ctl_doctor_t *d);
static void ctl_doctor_flush(ctl_doctor_t *d);
static void ctl_doctor_redis(ctl_doctor_t *d);
static void ctl_doctor_config(ctl_doctor_t *d, const char *name,
    const char *want, const char *why);
static void ctl_doctor_loaded(ctl_doctor_t *d);
static void ctl_doctor_clock(ctl_doctor_t *d);
static void ctl_doctor_worker(ctl_doctor_t *d);


static const ctl_column_t  ctl_doctor_columns[] = {
    { "result", CTL_TEXT, 6 },
    { "check", CTL_TEXT, 10 },
    { "text", CTL_TEXT, 40 },
    { .name = NULL }
};


ctl_rc_e
ctl_doctor(ctl_t *ctl)
{
    ctl_doctor_t  d;

    memset(&d, 0, sizeof(ctl_doctor_t));
    d.ctl = ctl;

    ctl_list_begin(&d.list, ctl, "checks", ctl_doctor_columns);

    ctl_say(&d, "config", "ok", "node \"%s\", \"%s\"", ctl->conf.node,
            ctl->conf.file);

    ctl_doctor_keys(&d);
    ctl_doctor_folders(&d);
    ctl_doctor_mysql(&d);
    ctl_doctor_redis(&d);

    ctl_list_end(&d.list);

    return (d.failed == 0) ? CTL_OK : CTL_FAILED;
}


static void
ctl_say(ctl_doctor_t *d, const char *check, const char *result,
    const char *fmt, ...)
{
    char        text[EXAM_CONF_ERROR_MAX];
    va_list     args;
    ctl_cell_t  cells[3];

    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    memset(cells, 0, sizeof(cells));

    cells[0].text = ctl_str(result);
    cells[1].text = ctl_str(check);
    cells[2].text = ctl_str(text);

    ctl_list_row(&d->list, cells);

    d->failed += strcmp(result, "fail") == 0;
}


static void
ctl_doctor_keys(ctl_doctor_t *d)
{
    char            *text;
    size_t           i, len;
    unsigned         line, classes;
    const char      *what, *path;
    struct stat      st;
    exam_err_e       rc;
    exam_keyring_t   ring;

    path = d->ctl->conf.keys;

    if (stat(path, &st) != 0
        || exam_file_read(path, CTL_KEYS_FILE_MAX, &text, &len) != 0)
    {
        ctl_say(d, "keys", "fail", "cannot read \"%s\": %s; run \"examctl keys "
                "rotate\" on one node, copy the file to the others", path,
                strerror(errno));
        return;
    }

    rc = exam_keyring_parse(&ring, exam_str_make(text, len), &line, &what);

    explicit_bzero(text, len);
    free(text);

    if (rc != EXAM_OK) {
        ctl_say(d, "keys", "fail", "%s:%u: %s", path, line, what);
        return;
    }

    for (i = 0, classes = 0; i < ring.n; i++) {
        classes |= 1u << ring.keys[i].class;
    }

    explicit_bzero(&ring, sizeof(ring));

    if (classes != 3) {
        ctl_say(d, "keys", "fail", "\"%s\" has no key of class %s; run "
                "\"examctl keys rotate\"", path,
                (classes & 1) ? "staff" : "candidate");

    } else if ((st.st_mode & 077) != 0) {
        ctl_say(d, "keys", "fail", "\"%s\" can be read by others (mode %03o): "
                "chmod 600, then \"examctl keys rotate\" twice", path,
                (unsigned) st.st_mode & 0777);

    } else {
        ctl_say(d, "keys", "ok", "\"%s\"", path);
    }
}


static void
ctl_doctor_folders(ctl_doctor_t *d)
{
    bool                spool, recordings;
    struct stat         a, b;
    const exam_conf_t  *conf;

    conf = &d->ctl->conf;

    spool = ctl_doctor_writable(d, "spool", conf->spool, &a);
    recordings = ctl_doctor_writable(d, "recordings", conf->recordings, &b);

    if (spool && recordings && a.st_dev != b.st_dev) {
        ctl_say(d, "recordings", "warn", "spool and recordings are on "
                "different filesystems: each recording is copied");
    }
}


static bool
ctl_doctor_writable(ctl_doctor_t *d, const char *check, const char *dir,
    struct stat *st)
{
    int   fd;
    char  path[EXAM_PATH_MAX + 16];

    if (stat(dir, st) != 0 || !S_ISDIR(st->st_mode)) {
        ctl_say(d, check, "fail", "no folder \"%s\": make it, owned by who "
                "runs nginx and exam-worker", dir);
        return false;
    }

    (void) snprintf(path, sizeof(path), "%s/.doctor.%ld", dir,
                    (long) getpid());

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        ctl_say(d, check, "fail", "cannot write to \"%s\": %s", dir,
                strerror(errno));
        return false;
    }

    (void) close(fd);
    (void) unlink(path);

    ctl_say(d, check, "ok", "\"%s\"", dir);

    return true;
}


static void
ctl_doctor_mysql(ctl_doctor_t *d)
{
    int64_t                   start;
    exam_mysql_t             *db;
    const exam_mysql_conf_t  *conf;

    db = &d->ctl->db;
    conf = &db->conf;
    start = exam_mono_ms();

    if (exam_mysql_connect(db, true) == EXAM_DB_OK) {
        ctl_say(d, "mysql", "ok", "%s, connected in %lld ms",
                mysql_get_server_info(db->conn),
                (long long) (exam_mono_ms() - start));

        ctl_doctor_flush(d);
        ctl_doctor_schema(d);

        return;
    }

    if (db->code == ER_BAD_DB_ERROR) {
        ctl_say(d, "mysql", "fail", "no database \"%s\": run \"examctl "
                "migrate\"", conf->database);

    } else if (conf->socket[0] != '\0') {
        ctl_say(d, "mysql", "fail", "\"%s\": %s", conf->socket, db->error);

    } else {
        ctl_say(d, "mysql", "fail", "%s:%u: %s", conf->host, conf->port,
                db->error);
    }
}


static void
ctl_doctor_flush(ctl_doctor_t *d)
{
    int64_t      value;
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &d->ctl->db,
                         "SELECT @@innodb_flush_log_at_trx_commit", NULL, 0);
    value = exam_stmt_col_int(&stmt, 0);

    exam_stmt_close(&stmt);

    if (rc == EXAM_DB_OK && value != 1) {
        ctl_say(d, "mysql", "warn", "innodb_flush_log_at_trx_commit is %lld: "
                "rows can be lost with the power, 1 is safe",
                (long long) value);
    }
}


static void
ctl_doctor_schema(ctl_doctor_t *d)
{
    size_t        i, missing;
    ctl_schema_t  schema;

    if (ctl_schema_read(d->ctl, ctl_option(d->ctl, "schema"), &schema)
        != CTL_OK)
    {
        ctl_say(d, "schema", "fail", "the migrations cannot be read");
        goto done;
    }

    if (ctl_schema_compare(d->ctl, &schema) != EXAM_DB_OK) {
        ctl_say(d, "schema", "fail", "%s; run \"examctl migrate\"",
                d->ctl->db.error);
        goto done;
    }

    for (i = 0, missing = 0; i < schema.n; i++) {
        missing += !schema.items[i].applied;

        if (schema.items[i].altered) {
            ctl_say(d, "schema", "fail", "\"%s\" was changed after it had run",
                    schema.items[i].name);
            goto done;
        }
    }

    if (missing != 0) {
        ctl_say(d, "schema", "fail", "%zu migrations are missing: run "
                "\"examctl migrate\"", missing);

    } else if (schema.unknown != 0) {
        ctl_say(d, "schema", "fail", "the database has migration %04u: it is "
                "newer than this program", schema.unknown);

    } else {
        ctl_say(d, "schema", "ok", "version %zu", schema.n);
    }

done:

    ctl_schema_free(&schema);
}


static void
ctl_doctor_redis(ctl_doctor_t *d)
{
    exam_redis_t             *redis;
    const exam_redis_conf_t  *conf;

    redis = &d->ctl->redis;
    conf = &redis->conf;

    if (exam_redis_connect(redis) != EXAM_REDIS_OK) {
        if (conf->socket[0] != '\0') {
            ctl_say(d, "redis", "fail", "\"%s\": %s", conf->socket,
                    redis->error);
        } else {
            ctl_say(d, "redis", "fail", "%s:%u: %s", conf->host, conf->port,
                    redis->error);
        }

        return;
    }

    ctl_say(d, "redis", "ok", "connected, scripts loaded");

    ctl_doctor_config(d, "maxmemory-policy", "noeviction",
                      "else Redis drops live data when memory is short");
    ctl_doctor_config(d, "appendonly", "yes",
                      "else a restart of Redis begins empty and is refilled");
    ctl_doctor_clock(d);
    ctl_doctor_loaded(d);
    ctl_doctor_worker(d);
}


static void
ctl_doctor_config(ctl_doctor_t *d, const char *name, const char *want,
    const char *why)
{
    exam_str_t     value;
    redisReply    *reply;
    exam_redis_e   rc;

    rc = exam_redis_command(&d->ctl->redis, &reply, "CONFIG GET %s", name);

    if (rc != EXAM_REDIS_OK) {

        /* managed servers refuse CONFIG */

        ctl_say(d, "redis", "warn", "%s cannot be read: %s", name,
                d->ctl->redis.error);
        return;
    }

    value = exam_redis_str(exam_redis_item(reply, 1));

    if (exam_str_eq(value, ctl_str(want))) {
        ctl_say(d, "redis", "ok", "%s %s", name, want);

    } else {
        ctl_say(d, "redis", strcmp(name, "appendonly") == 0 ? "warn" : "fail",
                "%s is \"%.*s\": set it to %s, %s", name, (int) value.len,
                (const char *) value.data, want, why);
    }

    freeReplyObject(reply);
}


static void
ctl_doctor_clock(ctl_doctor_t *d)
{
    int64_t      skew, redis, before, after;
    const char  *result;

    before = exam_now_ms();

    if (exam_redis_time(&d->ctl->redis, &redis) != EXAM_REDIS_OK) {
        ctl_say(d, "clock", "fail", "Redis: %s", d->ctl->redis.error);
        return;
    }

    after = exam_now_ms();
    skew = (before + after) / 2 - redis;

    result = (llabs(skew) > CTL_SKEW_FAIL_MS) ? "fail"
             : (llabs(skew) > CTL_SKEW_WARN_MS) ? "warn" : "ok";

    ctl_say(d, "clock", result, "%lld ms from Redis's clock%s",
            (long long) skew,
            strcmp(result, "ok") == 0 ? "" : ": run NTP on all machines");
}


static void
ctl_doctor_loaded(ctl_doctor_t *d)
{
    char  value[EXAM_LOADED_MAX];

    if (exam_live_loaded(&d->ctl->redis, value) != EXAM_LIVE_OK) {
        ctl_say(d, "loaded", "fail", "Redis: %s", d->ctl->redis.error);

    } else if (value[0] == '\0') {
        ctl_say(d, "loaded", "fail", "Redis is empty and nobody can log in: "
                "exam-worker fills it, does it run?");

    } else {
        ctl_say(d, "loaded", "ok", "Redis was filled by \"%s\"", value);
    }
}


static void
ctl_doctor_worker(ctl_doctor_t *d)
{
    char                key[EXAM_KEY_MAX];
    exam_str_t          state, lag;
    redisReply         *reply;
    const exam_conf_t  *conf;

    conf = &d->ctl->conf;

    (void) exam_key_worker(key, ctl_str(conf->node));

    if (exam_redis_command(&d->ctl->redis, &reply, "HMGET %s state lag_s",
                           key)
        != EXAM_REDIS_OK)
    {
        ctl_say(d, "worker", "fail", "Redis: %s", d->ctl->redis.error);
        return;
    }

    state = exam_redis_str(exam_redis_item(reply, 0));
    lag = exam_redis_str(exam_redis_item(reply, 1));

    if (state.len == 0) {
        ctl_say(d, "worker", "fail", "no exam-worker of node \"%s\" has "
                "reported for 15 s: start it", conf->node);

    } else if (!exam_str_eq(state, exam_str("running"))) {
        ctl_say(d, "worker", "warn", "exam-worker is %.*s", (int) state.len,
                (const char *) state.data);

    } else {
        ctl_say(d, "worker", "ok", "running, lag %.*s s", (int) lag.len,
                (const char *) lag.data);
    }

    freeReplyObject(reply);
}
