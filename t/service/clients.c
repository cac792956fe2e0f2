
/*
 * The clients of MySQL and Redis against real servers, the log, and small
 * files: for 020-clients.t, which starts the servers.
 */


#include "exam_file.h"
#include "exam_log.h"
#include "exam_mysql.h"
#include "exam_redis.h"
#include "exam_time.h"
#include "tap.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>


static void test_statements(exam_mysql_t *db);
static void test_rows(exam_mysql_t *db);
static void test_classes(exam_mysql_t *db);
static void test_lost(exam_mysql_t *db);
static void test_transaction(exam_mysql_t *db);
static exam_db_e conflict(exam_mysql_t *db, void *data);
static exam_db_e insert_and_fail(exam_mysql_t *db, void *data);
static void test_redis(exam_redis_t *r);
static void count(void *data, size_t i, const redisReply *reply);
static void test_redis_scripts(exam_redis_t *r);
static void test_redis_away(exam_redis_t *r, const exam_conf_t *conf);
static void test_log(const char *dir);
static void test_files(const char *dir);
static char *path(const char *dir, const char *name);


int
main(int argc, char **argv)
{
    char                 error[EXAM_CONF_ERROR_MAX];
    exam_conf_t          conf;
    exam_mysql_t         db;
    exam_redis_t         redis;
    exam_mysql_health_t  health;

    (void) signal(SIGPIPE, SIG_IGN);

    if (argc != 3 || exam_conf_load(&conf, argv[1], error) != 0
        || exam_mysql_library() != 0)
    {
        return 1;
    }

    exam_mysql_init(&db, &conf.mysql);
    tap_is(exam_mysql_connect(&db, true), EXAM_DB_OK, "mysql connects");
    tap_is(exam_mysql_connect(&db, true), EXAM_DB_OK, "twice is harmless");
    tap_is(db.epoch, 1, "one connection");
    tap_ok(db.identity[0] != '\0', "the server has an identity");
    tap_is(exam_mysql_ping(&db), EXAM_DB_OK, "it answers");

    tap_is(exam_mysql_health(&db, &health), EXAM_DB_OK, "its health");
    tap_is(health.max_connections, 50, "as it was started");
    tap_ok(health.connections >= 1 && health.slow_queries >= 0
           && health.latency_ms < 10000, "and figures");

    test_statements(&db);
    test_rows(&db);
    test_classes(&db);
    test_lost(&db);
    test_transaction(&db);
    exam_mysql_close(&db);

    exam_redis_init(&redis, &conf.redis);
    test_redis(&redis);
    test_redis_scripts(&redis);
    test_redis_away(&redis, &conf);

    test_log(argv[2]);
    test_files(argv[2]);

    mysql_library_end();

    return tap_done();
}


static void
test_statements(exam_mysql_t *db)
{
    char          out[8], *big;
    exam_str_t    s;
    exam_stmt_t   st;

    memset(&st, 0, sizeof(exam_stmt_t));

    big = malloc(100000);
    memset(big, 'y', 100000);

    tap_is(exam_mysql_exec(db, "CREATE TABLE t (id INT UNSIGNED PRIMARY KEY, "
                           "b BIGINT, v LONGTEXT, h BINARY(4), d DECIMAL(20))"),
           EXAM_DB_OK, "a table");

    tap_is(exam_stmt_prepare(&st, db, "INSERT INTO t VALUES (?, ?, ?, ?, ?)"),
           EXAM_DB_OK, "prepare");
    exam_stmt_int(&st, 0, 4000000000);
    exam_stmt_int(&st, 1, INT64_MIN);
    exam_stmt_text(&st, 2, exam_str_make(big, 100000));
    exam_stmt_blob(&st, 3, "\x00\xff\x80'", 4);
    exam_stmt_cstr(&st, 4, "12345678901234567");
    tap_is(exam_stmt_execute(&st), EXAM_DB_OK, "execute");
    tap_is((int64_t) exam_stmt_affected(&st), 1, "one row");

    exam_stmt_int(&st, 0, 1);
    exam_stmt_null(&st, 1);
    exam_stmt_cstr(&st, 2, "");
    exam_stmt_null(&st, 3);
    exam_stmt_null(&st, 4);
    tap_is(exam_stmt_execute(&st), EXAM_DB_OK, "execute again");

    exam_stmt_int(&st, 5, 1);
    tap_is(exam_stmt_execute(&st), EXAM_DB_DATA, "a sixth parameter");
    exam_stmt_close(&st);

    tap_is(exam_stmt_query(&st, db, "SELECT id, b, v, h, d FROM t ORDER BY id",
                           NULL, 0), EXAM_DB_OK, "query");
    tap_ok(exam_stmt_col_null(&st, 1) && exam_stmt_col_int(&st, 1) == 0,
           "NULL of a number");
    tap_ok(!exam_stmt_col_null(&st, 2) && exam_stmt_col_str(&st, 2).len == 0,
           "empty is not NULL");
    tap_ok(exam_stmt_col_null(&st, 3) && exam_stmt_col_str(&st, 3).len == 0,
           "NULL of bytes");
    tap_ok(exam_stmt_col_null(&st, 9), "a column that is not there");

    tap_is(exam_stmt_fetch(&st), EXAM_DB_OK, "the next row");
    tap_is(exam_stmt_col_int(&st, 0), 4000000000, "an unsigned number");
    tap_is(exam_stmt_col_int(&st, 1), INT64_MIN, "a negative one");
    tap_is(exam_stmt_col_int(&st, 4), 12345678901234567, "a decimal");

    s = exam_stmt_col_str(&st, 2);
    tap_ok(s.len == 100000 && memcmp(s.data, big, s.len) == 0, "a long value");
    exam_stmt_col_copy(&st, 2, out, sizeof(out));
    tap_text(out, strlen(out), "yyyyyyy", "a copy is cut");

    s = exam_stmt_col_str(&st, 3);
    tap_ok(s.len == 4 && memcmp(s.data, "\x00\xff\x80'", 4) == 0, "any bytes");

    tap_is(exam_stmt_fetch(&st), EXAM_DB_END, "the end");

    /* a result that is given up does not block the connection */

    tap_is(exam_stmt_execute(&st), EXAM_DB_OK, "the query again");
    exam_stmt_reset(&st);
    tap_is(exam_mysql_exec(db, "DO 1"), EXAM_DB_OK, "reset frees it");

    exam_stmt_close(&st);
    exam_stmt_close(&st);
    free(big);
}


static void
test_rows(exam_mysql_t *db)
{
    unsigned      i;
    exam_stmt_t   st;

    memset(&st, 0, sizeof(exam_stmt_t));

    tap_is(exam_stmt_prepare_rows(&st, db, "INSERT INTO t (id, b) VALUES ",
                                  "(?, ?)", 300, " ON DUPLICATE KEY UPDATE "
                                  "b = VALUES(b)"), EXAM_DB_OK, "many rows");

    for (i = 0; i < 300; i++) {
        exam_stmt_int(&st, 2 * i, 100 + i);
        exam_stmt_int(&st, 2 * i + 1, i);
    }

    tap_is(exam_stmt_execute(&st), EXAM_DB_OK, "at once");
    tap_is((int64_t) exam_stmt_affected(&st), 300, "all of them");
    tap_is(exam_stmt_execute(&st), EXAM_DB_OK, "and again");
    tap_is((int64_t) exam_stmt_affected(&st), 0, "nothing changes");

    exam_stmt_close(&st);
}


static void
test_classes(exam_mysql_t *db)
{
    exam_mysql_t  other;

    static const char  good[] = "DO 1; DO 2;\n-- x; y\nSELECT 1; DO 3";
    static const char  bad[] = "DO 1; NONSENSE; DO 2";

    tap_is(exam_mysql_exec(db, "INSERT INTO t (id) VALUES (1)"), EXAM_DB_DATA,
           "a duplicate is the row's fault");
    tap_is(db->code, 1062, "its number");
    tap_is(exam_mysql_exec(db, "INSERT INTO t (id, h) VALUES (2, '12345')"),
           EXAM_DB_DATA, "a value too long is refused, not cut");
    tap_is(exam_mysql_exec(db, "INSERT INTO t (id) VALUES (-1)"),
           EXAM_DB_DATA, "one out of range too");
    tap_is(exam_mysql_exec(db, "NONSENSE"), EXAM_DB_DATA, "nonsense");
    tap_is(exam_mysql_exec(db, "INSERT INTO none VALUES (1)"), EXAM_DB_RETRY,
           "a missing table is not the row's fault");
    tap_is(exam_mysql_exec(db, "SELECT none FROM t"), EXAM_DB_RETRY,
           "nor is a missing column");

    tap_is(exam_mysql_script(db, good, strlen(good)), EXAM_DB_OK, "a script");
    tap_is(exam_mysql_script(db, bad, strlen(bad)), EXAM_DB_DATA,
           "a script with an error");
    tap_is(exam_mysql_exec(db, "DO 1; DO 2"), EXAM_DB_DATA,
           "several statements only in scripts");

    exam_mysql_init(&other, &db->conf);
    tap_is(exam_mysql_connect(&other, true), EXAM_DB_OK, "a second one");
    tap_is(exam_mysql_lock(db, "x", 0), EXAM_DB_OK, "a lock");
    tap_is(exam_mysql_lock(&other, "x", 0), EXAM_DB_RETRY, "is exclusive");
    tap_is(exam_mysql_lock(&other, "y", 0), EXAM_DB_OK, "another one is free");
    exam_mysql_unlock(db, "x");
    tap_is(exam_mysql_lock(&other, "x", 0), EXAM_DB_OK, "given back");
    exam_mysql_close(&other);
    tap_is(exam_mysql_lock(db, "x", 5), EXAM_DB_OK, "freed with its holder");
    exam_mysql_unlock(db, "x");
}


static void
test_lost(exam_mysql_t *db)
{
    char           identity[EXAM_DB_IDENTITY_MAX];
    exam_stmt_t    st, kept;
    exam_mysql_t   none;

    memset(&st, 0, sizeof(exam_stmt_t));
    memset(&kept, 0, sizeof(exam_stmt_t));
    strcpy(identity, db->identity);

    tap_is(exam_stmt_prepare(&st, db, "SELECT 7"), EXAM_DB_OK, "prepare");
    tap_is(exam_stmt_prepare(&kept, db, "SELECT 8"), EXAM_DB_OK, "another");

    (void) !exam_mysql_exec(db, "KILL CONNECTION_ID()");

    tap_is(exam_stmt_execute(&st), EXAM_DB_LOST, "a killed connection");
    tap_ok(db->conn == NULL, "is closed");
    tap_is(exam_stmt_fetch(&st), EXAM_DB_LOST, "its statements too");
    tap_is(exam_stmt_prepare(&st, db, "SELECT 7"), EXAM_DB_LOST, "until");
    tap_is(exam_mysql_exec(db, "DO 1"), EXAM_DB_LOST, "somebody connects");
    tap_is(exam_mysql_ping(db), EXAM_DB_LOST, "anew");

    tap_is(exam_mysql_connect(db, true), EXAM_DB_OK, "connected again");
    tap_text(db->identity, strlen(db->identity), identity, "the same server");
    tap_is(exam_stmt_execute(&st), EXAM_DB_LOST, "an old statement is dead");
    tap_is(exam_stmt_prepare(&st, db, "SELECT 7"), EXAM_DB_OK, "until");
    tap_is(exam_stmt_execute(&st), EXAM_DB_OK, "it is prepared again");
    tap_is(exam_stmt_fetch(&st), EXAM_DB_OK, "a row");
    tap_is(exam_stmt_col_int(&st, 0), 7, "as before");
    exam_stmt_reset(&st);

    tap_is(exam_stmt_query(&kept, db, "SELECT 8", NULL, 0), EXAM_DB_OK,
           "one of the old connection is noticed");
    tap_is(exam_stmt_col_int(&kept, 0), 8, "and prepared again");
    exam_stmt_close(&kept);

    exam_mysql_close(db);
    exam_stmt_close(&st);
    tap_is(exam_mysql_connect(db, true), EXAM_DB_OK,
           "a statement may outlive its connection");

    exam_mysql_init(&none, &db->conf);
    strcpy(none.conf.socket, "/nonexistent");
    tap_is(exam_mysql_connect(&none, true), EXAM_DB_LOST, "no server");
    tap_ok(none.code >= 2000 && none.error[0] != '\0', "with its reason");

    none.conf = db->conf;
    strcpy(none.conf.database, "nonexistent");
    tap_is(exam_mysql_connect(&none, true), EXAM_DB_LOST, "no database");
    tap_is(none.code, 1049, "with its number");
    tap_is(exam_mysql_connect(&none, false), EXAM_DB_OK, "not asked for it");
    exam_mysql_close(&none);
}


static void
test_transaction(exam_mysql_t *db)
{
    unsigned      calls;
    exam_stmt_t   st;

    memset(&st, 0, sizeof(exam_stmt_t));

    calls = 0;
    tap_is(exam_mysql_transaction(db, conflict, &calls), EXAM_DB_OK,
           "two conflicts, then success");
    tap_is(calls, 3, "three tries");

    calls = 100;
    tap_is(exam_mysql_transaction(db, insert_and_fail, &calls), EXAM_DB_DATA,
           "a data error");
    tap_is(calls, 101, "is not repeated");

    tap_is(exam_stmt_query(&st, db, "SELECT GROUP_CONCAT(id ORDER BY id) "
                           "FROM t WHERE id BETWEEN 900 AND 999", NULL, 0),
           EXAM_DB_OK, "what is left");
    tap_text(exam_stmt_col_str(&st, 0).data, exam_stmt_col_str(&st, 0).len,
             "902", "only what was committed");
    exam_stmt_close(&st);
}


static exam_db_e
conflict(exam_mysql_t *db, void *data)
{
    char       sql[64];
    unsigned  *calls;

    calls = data;

    (void) snprintf(sql, sizeof(sql), "INSERT INTO t (id) VALUES (%u)",
                    900 + *calls);

    if (exam_mysql_exec(db, sql) != EXAM_DB_OK) {
        return EXAM_DB_DATA;
    }

    if ((*calls)++ < 2) {
        return exam_mysql_fail(db, 1213, "deadlock");
    }

    return EXAM_DB_OK;
}


static exam_db_e
insert_and_fail(exam_mysql_t *db, void *data)
{
    exam_db_e  rc;

    (*(unsigned *) data)++;

    rc = exam_mysql_exec(db, "INSERT INTO t (id) VALUES (950)");

    return (rc == EXAM_DB_OK) ? exam_mysql_fail(db, 1062, "duplicate") : rc;
}


static void
test_redis(exam_redis_t *r)
{
    char          value[64];
    size_t        i, n;
    int64_t       ms;
    exam_str_t    args[3];
    redisReply   *reply;

    tap_is(exam_redis_command(r, &reply, "SET %b %b", "a\0b", (size_t) 3,
                              "c\r\nd", (size_t) 4), EXAM_REDIS_OK, "SET");
    freeReplyObject(reply);
    tap_is(r->connects, 1, "it has connected");

    args[0] = exam_str("GET");
    args[1] = exam_str_make("a\0b", 3);
    tap_is(exam_redis_argv(r, &reply, 2, args), EXAM_REDIS_OK, "GET");
    tap_text(exam_redis_str(reply).data, exam_redis_str(reply).len, "c\r\nd",
             "any bytes");
    freeReplyObject(reply);

    tap_is(exam_redis_do(r, "HGET %b x", "a\0b", (size_t) 3),
           EXAM_REDIS_ERROR, "an error reply");
    tap_ok(strncmp(r->error, "WRONGTYPE", 9) == 0, "its text");
    tap_ok(r->conn != NULL, "the connection stays");
    tap_is(exam_redis_do(r, "GET none"), EXAM_REDIS_OK, "nil is no error");

    tap_is(exam_redis_time(r, &ms), EXAM_REDIS_OK, "TIME");
    tap_ok(ms > exam_now_ms() - 5000 && ms < exam_now_ms() + 5000, "in ms");

    tap_ok(exam_redis_item(NULL, 0) == NULL && exam_redis_str(NULL).len == 0,
           "views of nothing are empty");

    /* more than one output buffer, one error among the replies */

    args[0] = exam_str("RPUSH");
    args[1] = exam_str("list");
    memset(value, 'v', sizeof(value));
    args[2] = exam_str_make(value, sizeof(value));

    for (i = 0; i < 2000; i++) {
        args[1] = (i == 1000) ? exam_str_make("a\0b", 3) : exam_str("list");

        if (exam_redis_append(r, 3, args) != EXAM_REDIS_OK) {
            break;
        }
    }

    tap_is((int64_t) i, 2000, "2,000 pipelined commands");
    tap_is(exam_redis_do(r, "GET x"), EXAM_REDIS_ERROR,
           "no other command in between");

    n = 0;
    tap_is(exam_redis_replies(r, count, &n), EXAM_REDIS_ERROR, "one failed");
    tap_is((int64_t) n, 2000, "all replies came");
    tap_ok(strncmp(r->error, "WRONGTYPE", 9) == 0, "the text of that one");
    tap_is(exam_redis_replies(r, count, &n), EXAM_REDIS_OK, "none are left");

    tap_is(exam_redis_command(r, &reply, "LLEN list"), EXAM_REDIS_OK, "LLEN");
    tap_is(reply->integer, 1999, "the others passed");
    freeReplyObject(reply);
}


static void
count(void *data, size_t i, const redisReply *reply)
{
    size_t  *n;

    n = data;

    if (i == *n && (reply->type == REDIS_REPLY_ERROR) == (i == 1000)) {
        (*n)++;
    }
}


static void
test_redis_scripts(exam_redis_t *r)
{
    unsigned      loaded;
    exam_str_t    args[11];
    redisReply   *reply;

    args[0] = exam_str("seg");
    args[1] = exam_str("stored");
    args[2] = exam_str("s1");
    args[3] = exam_str("00000000000000000000000000000001");
    args[4] = exam_str("screen");
    args[5] = exam_str("0");
    args[6] = exam_str("stored");
    args[7] = exam_str("n1");
    args[8] = exam_str("-");
    args[9] = exam_str("1");
    args[10] = exam_str("-");

    for (loaded = 0; loaded < 2; loaded++) {
        tap_is(exam_redis_eval(r, EXAM_SCRIPT_SETTLE, &reply, 11, args),
               EXAM_REDIS_OK, loaded ? "a script that was flushed"
                                     : "a script");
        tap_text(exam_redis_str(exam_redis_item(reply, 0)).data,
                 exam_redis_str(exam_redis_item(reply, 0)).len,
                 "stored n1 - 1 - 0", "answers");
        freeReplyObject(reply);

        tap_is(exam_redis_do(r, "SCRIPT FLUSH"), EXAM_REDIS_OK, "flushed");
    }

    tap_is(exam_redis_append_eval(r, EXAM_SCRIPT_SETTLE, 11, args),
           EXAM_REDIS_OK, "pipelined");
    tap_is(exam_redis_replies(r, NULL, NULL), EXAM_REDIS_ERROR,
           "fails when it was flushed");
    tap_is(exam_redis_append_eval(r, EXAM_SCRIPT_SETTLE, 11, args),
           EXAM_REDIS_OK, "pipelined again");
    tap_is(exam_redis_replies(r, NULL, NULL), EXAM_REDIS_OK,
           "passes when repeated");

    args[6] = exam_str("nonsense");
    tap_is(exam_redis_eval(r, EXAM_SCRIPT_SETTLE, &reply, 11, args),
           EXAM_REDIS_ERROR, "a script's own error");
    tap_ok(reply == NULL, "leaves no reply");
}


static void
test_redis_away(exam_redis_t *r, const exam_conf_t *conf)
{
    int64_t             start;
    redisReply         *reply;
    exam_redis_t        none;
    exam_redis_conf_t   at;

    tap_is(exam_redis_do(r, "CONFIG SET maxmemory 1"), EXAM_REDIS_OK, "full");
    tap_is(exam_redis_do(r, "SET x y"), EXAM_REDIS_AWAY, "-OOM is away");
    tap_ok(strstr(r->error, "OOM") != NULL, "with its text");
    exam_redis_close(r);
    tap_is(exam_redis_do(r, "CONFIG SET maxmemory 0"), EXAM_REDIS_OK,
           "close allows a try at once");

    (void) !exam_redis_do(r, "CLIENT KILL TYPE normal SKIPME no");
    tap_is(exam_redis_command(r, &reply, "PING"), EXAM_REDIS_AWAY,
           "a closed connection");
    tap_ok(reply == NULL && r->conn == NULL && r->error[0] != '\0', "is gone");

    start = exam_mono_ms();
    tap_is(exam_redis_do(r, "PING"), EXAM_REDIS_AWAY, "while waiting");
    tap_ok(exam_mono_ms() - start < 40, "no try is made");

    r->retry_at = 0;
    tap_is(exam_redis_do(r, "PING"), EXAM_REDIS_OK, "then it connects");
    tap_is(r->backoff.tries, 0, "and the back-off begins anew");

    r->timeout_ms = 50;
    exam_redis_close(r);
    tap_is(exam_redis_do(r, "BLPOP nothing 5"), EXAM_REDIS_AWAY, "a time-out");
    exam_redis_close(r);

    at = conf->redis;
    strcpy(at.socket, "/nonexistent");
    exam_redis_init(&none, &at);
    tap_is(exam_redis_connect(&none), EXAM_REDIS_AWAY, "no server");
    tap_is(exam_redis_append(&none, 0, NULL), EXAM_REDIS_AWAY, "for all");
    tap_is(exam_redis_eval(&none, EXAM_SCRIPT_SETTLE, &reply, 0, NULL),
           EXAM_REDIS_AWAY, "of them");
    tap_ok(none.backoff.tries == 1 && none.retry_at > exam_mono_ms(),
           "one try was made");
}


static void
test_log(const char *dir)
{
    char    *file, *old, *text;
    size_t   len;

    file = path(dir, "test.log");
    old = path(dir, "old.log");

    tap_is(exam_log_open(file, EXAM_LOG_INFO), 0, "a log");

    exam_log(EXAM_LOG_INFO, "part", 0, "one \"%d\"", 1);
    exam_log(EXAM_LOG_DEBUG, "part", 0, "not shown");

    errno = EINTR;
    exam_log(EXAM_LOG_ERROR, "part", ENOENT, "two\nlines\x01");
    tap_is(errno, EINTR, "errno is kept");

    exam_log(EXAM_LOG_WARN, "part", 0, "again %d", 1);
    exam_log(EXAM_LOG_WARN, "part", 0, "again %d", 1);
    exam_log(EXAM_LOG_WARN, "part", 0, "again %d", 1);
    exam_log(EXAM_LOG_WARN, "other", 0, "again %d", 1);
    exam_log_tick();
    exam_log(EXAM_LOG_NOTICE, "other", 0, "again %d", 1);
    exam_log(EXAM_LOG_NOTICE, "other", 0, "again %d", 1);

    tap_is(rename(file, old), 0, "rotated");
    tap_is(exam_log_reopen(), 0, "reopen");
    exam_log(EXAM_LOG_ALERT, "part", 0, "new");
    exam_log_close();

    tap_is(exam_file_read(old, 65536, &text, &len), 0, "the old file");
    tap_ok(strlen(text) == len && text[4] == '-' && text[10] == 'T'
           && text[23] == 'Z' && text[24] == ' ', "a time in front");

    tap_ok(strstr(text, "Z info part one \"1\"\n") != NULL,
           "level, part, text");
    tap_ok(strstr(text, "not shown") == NULL, "a level above is left out");
    tap_ok(strstr(text, "Z error part two\\x0alines\\x01 "
                  "(2: No such file or directory)\n") != NULL,
           "one line, with errno");
    tap_ok(strstr(text, "Z warn part again 1\n") != NULL
           && strstr(strstr(text, "Z warn part again 1\n") + 1,
                     "Z warn part again 1\n") == NULL,
           "a repetition is not written");
    tap_ok(strstr(text, "Z warn part last message repeated: 2\n") != NULL,
           "but counted");
    tap_ok(strstr(text, "Z warn other again 1\n") != NULL
           && strstr(text, "Z notice other again 1\n") != NULL,
           "another part or level is no repetition");
    free(text);

    tap_is(exam_file_read(file, 65536, &text, &len), 0, "the new file");
    tap_ok(strstr(text, "Z notice other last message repeated: 1\n")
           != NULL, "the count goes to the file of its time");
    tap_ok(strstr(text, "Z alert part new\n") != NULL, "as do new lines");
    free(text);

    tap_is(exam_log_open("/nonexistent/x", EXAM_LOG_INFO), -1, "no folder");
    exam_log_close();

    free(file);
    free(old);
}


static void
test_files(const char *dir)
{
    char         *file, *text, *deep;
    size_t        len;
    struct stat   st;

    file = path(dir, "file");
    deep = path(dir, "a/b/c");

    tap_is(exam_file_replace(file, 0640, "one\0two", 7, true), 0, "written");
    tap_is(exam_file_replace(file, 0600, "x", 1, true), -1, "exclusive");
    tap_is(errno, EEXIST, "it is there");
    tap_is(exam_file_read(file, 7, &text, &len), 0, "read");
    tap_ok(len == 7 && memcmp(text, "one\0two", 8) == 0, "with a NUL behind");
    free(text);

    tap_is(stat(file, &st), 0, "stat");
    tap_is(st.st_mode & 0777, 0640, "its mode");

    tap_is(exam_file_replace(file, 0600, "three", 5, false), 0, "replaced");
    tap_is(stat(file, &st), 0, "stat");
    tap_is(st.st_mode & 0777, 0600, "the new mode");
    tap_is(st.st_size, 5, "the new content");

    tap_is(exam_file_read(file, 4, &text, &len), -1, "too long");
    tap_ok(errno == EFBIG && text == NULL, "is said");
    tap_is(exam_file_read(dir, 4, &text, &len), -1, "a folder");
    tap_is(errno, EISDIR, "is no file");
    tap_is(exam_file_replace("/nonexistent/x", 0600, "", 0, false), -1,
           "no folder");

    tap_is(exam_dir_make(deep, 0700), 0, "folders");
    tap_is(exam_dir_make(deep, 0700), 0, "that are there");
    tap_is(stat(deep, &st), 0, "stat");
    tap_ok(S_ISDIR(st.st_mode), "all of them");
    tap_is(exam_dir_make(file, 0700), -1, "a file in the way");
    tap_is(exam_dir_sync(deep), 0, "synced");

    free(file);
    free(deep);
}


static char *
path(const char *dir, const char *name)
{
    char    *out;
    size_t   size;

    size = strlen(dir) + strlen(name) + 2;
    out = malloc(size);
    (void) snprintf(out, size, "%s/%s", dir, name);

    return out;
}
