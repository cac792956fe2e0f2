
/*
 * The connection to MySQL or MariaDB: options, error classes, transactions and
 * advisory locks.  Statements are in exam_mysql_stmt.c.  Text queries are used
 * here only for fixed SQL and for lock names made of checked ids.
 *
 * Invariant: db->conn is either NULL or a connection whose last exchange has
 * ended; a time-out or a broken exchange closes it at once.
 */


#include "exam_mysql.h"
#include "exam_backoff.h"
#include "exam_time.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>


#define EXAM_DB_CONNECT_S  5
#define EXAM_DB_IO_S       60
#define EXAM_DB_TRIES      5


/* known by number: MySQL's header has no names of MariaDB's, and vice versa */

#define EXAM_DB_DISK_FULL       1021    /* MariaDB */
#define EXAM_DB_KILLED          1927    /* MariaDB: connection was killed */
#define EXAM_DB_NO_TABLE        1932    /* MariaDB: not in the engine */
#define EXAM_DB_TIMEOUT         1969    /* MariaDB: max_statement_time */
#define EXAM_DB_MAX_TIME        3024    /* MySQL: max_execution_time */
#define EXAM_DB_SESSION_KILLED  3169
#define EXAM_DB_NOWAIT          3572
#define EXAM_DB_IDLE            4031    /* MySQL: disconnected when idle */


typedef exam_db_e (*exam_mysql_row_pt)(void *data, MYSQL_ROW row,
    unsigned n);


static bool exam_mysql_lost(unsigned code);
static bool exam_mysql_trouble(unsigned code);
static bool exam_mysql_conflict(unsigned code);
static void exam_mysql_options(MYSQL *conn, unsigned timeout_s);
static exam_db_e exam_mysql_setup(exam_mysql_t *db, bool database);
static exam_db_e exam_mysql_identify(exam_mysql_t *db);
static exam_db_e exam_mysql_rows(exam_mysql_t *db, const char *sql,
    exam_mysql_row_pt handler, void *data);
static exam_db_e exam_mysql_row_copy(void *data, MYSQL_ROW row, unsigned n);
static exam_db_e exam_mysql_row_health(void *data, MYSQL_ROW row, unsigned n);


int
exam_mysql_library(void)
{
    return mysql_library_init(0, NULL, NULL) == 0 ? 0 : -1;
}


void
exam_mysql_init(exam_mysql_t *db, const exam_mysql_conf_t *conf)
{
    memset(db, 0, sizeof(exam_mysql_t));
    db->conf = *conf;
}


exam_db_e
exam_mysql_fail(exam_mysql_t *db, unsigned code, const char *error)
{
    db->code = code;
    (void) snprintf(db->error, sizeof(db->error), "%s (%u)", error, code);

    if (exam_mysql_lost(code)) {
        exam_mysql_close(db);
        return EXAM_DB_LOST;
    }

    if (exam_mysql_conflict(code) || exam_mysql_trouble(code)) {
        return EXAM_DB_RETRY;
    }

    return EXAM_DB_DATA;
}


static bool
exam_mysql_lost(unsigned code)
{
    if (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) {
        return true;
    }

    switch (code) {

    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_SERVER_SHUTDOWN:
    case ER_ABORTING_CONNECTION:
    case ER_NET_READ_ERROR:
    case ER_NET_READ_INTERRUPTED:
    case ER_NET_ERROR_ON_WRITE:
    case ER_NET_WRITE_INTERRUPTED:
    case EXAM_DB_KILLED:
    case EXAM_DB_SESSION_KILLED:
    case EXAM_DB_IDLE:
        return true;

    default:
        return false;
    }
}


/* another transaction was in the way: the same one will pass soon */

static bool
exam_mysql_conflict(unsigned code)
{
    switch (code) {

    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_DEADLOCK:
    case ER_TABLE_DEF_CHANGED:
    case ER_NEED_REPREPARE:
    case EXAM_DB_NOWAIT:
        return true;

    default:
        return false;
    }
}


/* the server or its schema, not the row: somebody has to mend it first */

static bool
exam_mysql_trouble(unsigned code)
{
    switch (code) {

    case EXAM_DB_DISK_FULL:
    case ER_ERROR_ON_READ:
    case ER_ERROR_ON_WRITE:
    case ER_GET_ERRNO:
    case ER_OUTOFMEMORY:
    case ER_OUT_OF_SORTMEMORY:
    case ER_OUT_OF_RESOURCES:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_ERROR:
    case ER_NO_DB_ERROR:
    case ER_BAD_DB_ERROR:
    case ER_BAD_FIELD_ERROR:
    case ER_NO_SUCH_TABLE:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case ER_RECORD_FILE_FULL:
    case ER_CANT_CREATE_THREAD:
    case ER_ERROR_DURING_COMMIT:
    case ER_LOCK_TABLE_FULL:
    case ER_CANT_UPDATE_WITH_READLOCK:
    case ER_OPTION_PREVENTS_STATEMENT:
    case ER_QUERY_INTERRUPTED:
    case ER_MAX_PREPARED_STMT_COUNT_REACHED:
    case ER_UNKNOWN_STMT_HANDLER:
    case ER_UNKNOWN_COM_ERROR:      /* Galera: not a part of its cluster */
    case ER_READ_ONLY_MODE:
    case ER_INNODB_READ_ONLY:
    case ER_TOO_MANY_CONCURRENT_TRXS:
    case ER_NOT_KEYFILE:
    case ER_CRASHED_ON_USAGE:
    case ER_INDEX_CORRUPT:
    case ER_TABLESPACE_MISSING:
    case ER_TABLESPACE_DISCARDED:
    case EXAM_DB_NO_TABLE:
    case EXAM_DB_TIMEOUT:
    case EXAM_DB_MAX_TIME:
        return true;

    default:
        return false;
    }
}


exam_db_e
exam_mysql_connect(exam_mysql_t *db, bool database)
{
    unsigned                  code;
    const char               *host, *socket;
    const exam_mysql_conf_t  *conf;

    if (db->conn != NULL) {
        return EXAM_DB_OK;
    }

    conf = &db->conf;
    db->conn = mysql_init(NULL);

    if (db->conn == NULL) {
        return exam_mysql_fail(db, CR_OUT_OF_MEMORY, "out of memory");
    }

    exam_mysql_options(db->conn, db->timeout_s);

    socket = (conf->socket[0] != '\0') ? conf->socket : NULL;
    host = (socket != NULL) ? "localhost" : conf->host;

    if (mysql_real_connect(db->conn, host, conf->user, conf->password,
                           database ? conf->database : NULL, conf->port,
                           socket, 0)
        == NULL)
    {
        code = mysql_errno(db->conn);
        (void) exam_mysql_fail(db, code, mysql_error(db->conn));
        exam_mysql_close(db);

        return EXAM_DB_LOST;
    }

    db->epoch++;

    if (exam_mysql_setup(db, database) != EXAM_DB_OK) {
        exam_mysql_close(db);
        return EXAM_DB_LOST;
    }

    db->code = 0;
    db->error[0] = '\0';

    return EXAM_DB_OK;
}


static void
exam_mysql_options(MYSQL *conn, unsigned timeout_s)
{
    unsigned int  connect, io;

    connect = timeout_s != 0 ? timeout_s : EXAM_DB_CONNECT_S;
    io = timeout_s != 0 ? timeout_s : EXAM_DB_IO_S;

    /*
     * mysql_options() fails for unknown options only.  Reconnecting is off by
     * default everywhere; the option itself is deprecated and stays unnamed.
     */

    (void) mysql_options(conn, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
    (void) mysql_options(conn, MYSQL_OPT_READ_TIMEOUT, &io);
    (void) mysql_options(conn, MYSQL_OPT_WRITE_TIMEOUT, &io);
    (void) mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
}


static exam_db_e
exam_mysql_setup(exam_mysql_t *db, bool database)
{
    exam_db_e  rc;

    rc = exam_mysql_exec(db, "SET SESSION sql_mode = 'TRADITIONAL'");

    if (rc == EXAM_DB_OK) {
        rc = exam_mysql_exec(db, "SET SESSION TRANSACTION ISOLATION LEVEL "
                             "READ COMMITTED");
    }

    if (rc == EXAM_DB_OK && database) {
        rc = exam_mysql_identify(db);
    }

    return rc;
}


static exam_db_e
exam_mysql_identify(exam_mysql_t *db)
{
    exam_db_e  rc;

    rc = exam_mysql_rows(db, "SELECT @@server_uuid", exam_mysql_row_copy,
                         db->identity);

    if (rc == EXAM_DB_DATA && db->code == ER_UNKNOWN_SYSTEM_VARIABLE) {

        /* MariaDB */

        rc = exam_mysql_rows(db, "SELECT CONCAT_WS(':', @@hostname, @@port, "
                             "@@datadir)", exam_mysql_row_copy, db->identity);
    }

    return rc;
}


static exam_db_e
exam_mysql_row_copy(void *data, MYSQL_ROW row, unsigned n)
{
    (void) n;
    (void) snprintf(data, EXAM_DB_IDENTITY_MAX, "%s",
                    row[0] != NULL ? row[0] : "");

    return EXAM_DB_OK;
}


void
exam_mysql_close(exam_mysql_t *db)
{
    if (db->conn != NULL) {
        mysql_close(db->conn);
        db->conn = NULL;
    }
}


exam_db_e
exam_mysql_ping(exam_mysql_t *db)
{
    if (db->conn == NULL) {
        return EXAM_DB_LOST;
    }

    if (mysql_ping(db->conn) != 0) {
        (void) exam_mysql_fail(db, mysql_errno(db->conn),
                               mysql_error(db->conn));
        exam_mysql_close(db);

        return EXAM_DB_LOST;
    }

    return EXAM_DB_OK;
}


exam_db_e
exam_mysql_exec(exam_mysql_t *db, const char *sql)
{
    return exam_mysql_rows(db, sql, NULL, NULL);
}


/* a text query, its whole result fetched */

static exam_db_e
exam_mysql_rows(exam_mysql_t *db, const char *sql, exam_mysql_row_pt handler,
    void *data)
{
    exam_db_e   rc;
    MYSQL_RES  *result;
    MYSQL_ROW   row;

    if (db->conn == NULL) {
        return EXAM_DB_LOST;
    }

    if (mysql_query(db->conn, sql) != 0) {
        return exam_mysql_fail(db, mysql_errno(db->conn),
                               mysql_error(db->conn));
    }

    result = mysql_store_result(db->conn);

    if (result == NULL) {
        return (mysql_errno(db->conn) == 0) ? EXAM_DB_OK
               : exam_mysql_fail(db, mysql_errno(db->conn),
                                 mysql_error(db->conn));
    }

    rc = EXAM_DB_OK;

    while (handler != NULL && rc == EXAM_DB_OK
           && (row = mysql_fetch_row(result)) != NULL)
    {
        rc = handler(data, row, mysql_num_fields(result));
    }

    mysql_free_result(result);

    return rc;
}


exam_db_e
exam_mysql_script(exam_mysql_t *db, const char *sql, size_t len)
{
    int         more;
    exam_db_e   rc;
    MYSQL_RES  *result;

    if (db->conn == NULL) {
        return EXAM_DB_LOST;
    }

    if (mysql_set_server_option(db->conn, MYSQL_OPTION_MULTI_STATEMENTS_ON)
        != 0)
    {
        return exam_mysql_fail(db, mysql_errno(db->conn),
                               mysql_error(db->conn));
    }

    rc = EXAM_DB_OK;
    more = mysql_real_query(db->conn, sql, len);

    while (more == 0) {
        result = mysql_store_result(db->conn);

        if (result != NULL) {
            mysql_free_result(result);
        }

        /* 0: another one, -1: it was the last, else the next one failed */

        more = mysql_next_result(db->conn);
    }

    if (more > 0) {
        rc = exam_mysql_fail(db, mysql_errno(db->conn),
                             mysql_error(db->conn));
    }

    if (db->conn != NULL
        && mysql_set_server_option(db->conn,
                                   MYSQL_OPTION_MULTI_STATEMENTS_OFF)
           != 0
        && rc == EXAM_DB_OK)
    {
        rc = exam_mysql_fail(db, mysql_errno(db->conn),
                             mysql_error(db->conn));
    }

    return rc;
}


exam_db_e
exam_mysql_begin(exam_mysql_t *db)
{
    return exam_mysql_exec(db, "START TRANSACTION");
}


exam_db_e
exam_mysql_commit(exam_mysql_t *db)
{
    return exam_mysql_exec(db, "COMMIT");
}


void
exam_mysql_rollback(exam_mysql_t *db)
{
    if (db->conn != NULL && mysql_rollback(db->conn) != 0) {

        /* whatever state it is in, the server forgets it with the connection */

        exam_mysql_close(db);
    }
}


exam_db_e
exam_mysql_lock(exam_mysql_t *db, const char *name, unsigned wait_s)
{
    char       sql[160], got[EXAM_DB_IDENTITY_MAX];
    exam_db_e  rc;

    got[0] = '\0';

    (void) snprintf(sql, sizeof(sql), "SELECT GET_LOCK('%.64s', %u)", name,
                    wait_s);

    rc = exam_mysql_rows(db, sql, exam_mysql_row_copy, got);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    if (strcmp(got, "1") != 0) {
        return exam_mysql_fail(db, ER_LOCK_WAIT_TIMEOUT,
                               "another program holds the lock");
    }

    return EXAM_DB_OK;
}


void
exam_mysql_unlock(exam_mysql_t *db, const char *name)
{
    char      sql[160], error[EXAM_DB_ERROR_MAX];
    unsigned  code;

    if (db->conn == NULL) {
        return;
    }

    /* called behind failures too: their text is the one to be shown */

    code = db->code;
    memcpy(error, db->error, sizeof(error));

    (void) snprintf(sql, sizeof(sql), "DO RELEASE_LOCK('%.64s')", name);

    if (exam_mysql_exec(db, sql) != EXAM_DB_OK) {
        exam_mysql_close(db);
    }

    db->code = code;
    memcpy(db->error, error, sizeof(error));
}


exam_db_e
exam_mysql_health(exam_mysql_t *db, exam_mysql_health_t *health)
{
    int64_t    start;
    exam_db_e  rc;

    memset(health, 0, sizeof(exam_mysql_health_t));

    start = exam_mono_ms();
    rc = exam_mysql_exec(db, "DO 1");
    health->latency_ms = exam_mono_ms() - start;

    if (rc == EXAM_DB_OK) {
        rc = exam_mysql_rows(db, "SHOW GLOBAL STATUS WHERE Variable_name IN "
                             "('Threads_connected', 'Slow_queries')",
                             exam_mysql_row_health, health);
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_mysql_rows(db, "SHOW GLOBAL VARIABLES WHERE Variable_name = "
                             "'max_connections'", exam_mysql_row_health,
                             health);
    }

    return rc;
}


static exam_db_e
exam_mysql_row_health(void *data, MYSQL_ROW row, unsigned n)
{
    int64_t               value;
    exam_mysql_health_t  *health;

    if (n < 2 || row[0] == NULL || row[1] == NULL) {
        return EXAM_DB_OK;
    }

    health = data;
    value = strtoll(row[1], NULL, 10);

    if (strcasecmp(row[0], "Threads_connected") == 0) {
        health->connections = value;

    } else if (strcasecmp(row[0], "Slow_queries") == 0) {
        health->slow_queries = value;

    } else {
        health->max_connections = value;
    }

    return EXAM_DB_OK;
}


exam_db_e
exam_mysql_transaction(exam_mysql_t *db, exam_mysql_body_pt body, void *data)
{
    unsigned         i;
    uint32_t         random;
    exam_db_e        rc;
    exam_backoff_t   backoff;
    struct timespec  ts;

    exam_backoff_init(&backoff, 10, 500);

    for (i = 0; /* void */ ; i++) {

        rc = exam_mysql_begin(db);

        if (rc == EXAM_DB_OK) {
            rc = body(db, data);
        }

        if (rc == EXAM_DB_OK) {
            rc = exam_mysql_commit(db);
        }

        if (rc == EXAM_DB_OK) {
            return rc;
        }

        exam_mysql_rollback(db);

        if (rc != EXAM_DB_RETRY || !exam_mysql_conflict(db->code)
            || i + 1 == EXAM_DB_TRIES)
        {
            return rc;
        }

        exam_random(&random, sizeof(random));

        ts.tv_sec = 0;
        ts.tv_nsec = (long) exam_backoff_next(&backoff, random) * 1000000;
        (void) nanosleep(&ts, NULL);
    }
}
