
/*
 * MySQL and MariaDB through the libmysqlclient C API (DESIGN 7): a connection,
 * prepared statements, and errors in four classes that say what to do next.
 * The few differences between the client libraries stay in exam_mysql.c.
 *
 * Never reconnects by itself: a lost connection is EXAM_DB_LOST, and the caller
 * repeats its whole transaction after exam_mysql_connect().  A connection and
 * its statements belong to one thread.  exam_mysql_library() comes first in
 * main(), before any thread.
 *
 * A result is streamed: until exam_stmt_fetch() said EXAM_DB_END, or
 * exam_stmt_reset(), no other statement may use the connection.
 */


#ifndef EXAM_MYSQL_H_INCLUDED
#define EXAM_MYSQL_H_INCLUDED


#include "exam_buf.h"
#include "exam_conf.h"
#include "exam_err.h"

#include <mysql.h>


#define EXAM_DB_ERROR_MAX     256
#define EXAM_DB_IDENTITY_MAX  256


typedef enum {
    EXAM_DB_OK = 0,
    EXAM_DB_END,                    /* no (more) row */
    EXAM_DB_LOST,                   /* connect anew, repeat the transaction */
    EXAM_DB_RETRY,                  /* deadlock, lock wait, full disk, missing
                                       table...: roll back, wait, repeat */
    EXAM_DB_DATA                    /* this statement or row: do not repeat */
} exam_db_e;


typedef struct {
    MYSQL              *conn;       /* NULL: not connected */
    exam_mysql_conf_t   conf;
    unsigned            timeout_s;  /* for who cannot wait long; 0: as below */
    unsigned            epoch;      /* rises with each connection */
    unsigned            code;       /* server's or client's number, 0 none */
    char                error[EXAM_DB_ERROR_MAX];   /* of the last failure */

    /*
     * @@server_uuid, or on MariaDB host, port and data folder: differs when a
     * reconnect has led to another server (DESIGN 7)
     */
    char                identity[EXAM_DB_IDENTITY_MAX];
} exam_mysql_t;


typedef struct {
    int64_t             latency_ms;
    int64_t             connections;
    int64_t             max_connections;
    int64_t             slow_queries;
} exam_mysql_health_t;


typedef struct exam_stmt_col_s  exam_stmt_col_t;

typedef struct {
    exam_mysql_t       *db;
    unsigned            epoch;      /* of the connection it was prepared on */
    MYSQL_STMT         *stmt;       /* NULL: not prepared */
    unsigned            nparams;
    MYSQL_BIND         *params;
    int64_t            *ints;       /* the values of bound integers */
    unsigned long      *lens;
    bool                misbound;   /* a parameter that does not exist */
    unsigned            ncols;
    MYSQL_BIND         *binds;
    exam_stmt_col_t    *cols;
    bool                rebind;     /* a column's buffer has grown */
} exam_stmt_t;


/*
 * What to do after error number `code` of the server or the client library;
 * sets db->code and db->error, and closes a connection that is lost.
 */

exam_db_e exam_mysql_fail(exam_mysql_t *db, unsigned code, const char *error);

/* 0, or -1 when the client library cannot be initialised */

EXAM_MUST_CHECK int exam_mysql_library(void);

void exam_mysql_init(exam_mysql_t *db, const exam_mysql_conf_t *conf);

/*
 * Connects (timeouts: 5 s to connect, 60 s to read or write), sets utf8mb4,
 * sql_mode TRADITIONAL, READ COMMITTED.  No-op when connected.  `database`
 * false: without choosing the database (migrate creates it).  Whatever fails,
 * a refused login too, is EXAM_DB_LOST.
 */

EXAM_MUST_CHECK exam_db_e exam_mysql_connect(exam_mysql_t *db, bool database);

void exam_mysql_close(exam_mysql_t *db);

/* is the server still there?  EXAM_DB_LOST also closes the connection */

EXAM_MUST_CHECK exam_db_e exam_mysql_ping(exam_mysql_t *db);

/* one statement without a result */

EXAM_MUST_CHECK exam_db_e exam_mysql_exec(exam_mysql_t *db, const char *sql);

/* several statements separated by `;` */

EXAM_MUST_CHECK exam_db_e exam_mysql_script(exam_mysql_t *db, const char *sql,
    size_t len);

EXAM_MUST_CHECK exam_db_e exam_mysql_begin(exam_mysql_t *db);
EXAM_MUST_CHECK exam_db_e exam_mysql_commit(exam_mysql_t *db);

/* keeps db->error of the failure that led here */

void exam_mysql_rollback(exam_mysql_t *db);

/*
 * GET_LOCK / RELEASE_LOCK: advisory, of this connection, freed with it.
 * EXAM_DB_RETRY when another holds it longer than wait_s.  Not case-sensitive.
 */

EXAM_MUST_CHECK exam_db_e exam_mysql_lock(exam_mysql_t *db, const char *name,
    unsigned wait_s);

void exam_mysql_unlock(exam_mysql_t *db, const char *name);

EXAM_MUST_CHECK exam_db_e exam_mysql_health(exam_mysql_t *db,
    exam_mysql_health_t *health);


/*
 * Statements.  exam_stmt_prepare() on a zeroed exam_stmt_t, and again at any
 * time: it does nothing while the statement is alive and prepares anew after a
 * reconnect.  `sql` is not kept.
 */

EXAM_MUST_CHECK exam_db_e exam_stmt_prepare(exam_stmt_t *s, exam_mysql_t *db,
    const char *sql);

/* `head` then `row` n times separated by commas, then `tail` */

EXAM_MUST_CHECK exam_db_e exam_stmt_prepare_rows(exam_stmt_t *s,
    exam_mysql_t *db, const char *head, const char *row, unsigned n,
    const char *tail);

/*
 * Parameters count from 0.  Integers are copied; bytes are not and must live
 * until exam_stmt_execute() has returned.  An index too high is ignored here
 * and makes exam_stmt_execute() fail with EXAM_DB_DATA.
 */

void exam_stmt_int(exam_stmt_t *s, unsigned i, int64_t value);
void exam_stmt_text(exam_stmt_t *s, unsigned i, exam_str_t value);
void exam_stmt_cstr(exam_stmt_t *s, unsigned i, const char *value);
void exam_stmt_blob(exam_stmt_t *s, unsigned i, const void *data, size_t len);
void exam_stmt_null(exam_stmt_t *s, unsigned i);

/* NULL unless it is known */

void exam_stmt_known(exam_stmt_t *s, unsigned i, int64_t value, bool known);

EXAM_MUST_CHECK exam_db_e exam_stmt_execute(exam_stmt_t *s);

/* rows changed by the last execution: 2 for an updated upsert, 0 same values */

uint64_t exam_stmt_affected(const exam_stmt_t *s);

/* the AUTO_INCREMENT that the last execution made; 0 none */

uint64_t exam_stmt_insert_id(const exam_stmt_t *s);

/* EXAM_DB_OK: a row is there; EXAM_DB_END: it was the last */

EXAM_MUST_CHECK exam_db_e exam_stmt_fetch(exam_stmt_t *s);

/* columns of the fetched row, valid until the next fetch; NULL is 0 or empty */

int64_t exam_stmt_col_int(const exam_stmt_t *s, unsigned i);
exam_str_t exam_stmt_col_str(const exam_stmt_t *s, unsigned i);
bool exam_stmt_col_null(const exam_stmt_t *s, unsigned i);

/* copies at most size - 1 bytes and a NUL */

void exam_stmt_col_copy(const exam_stmt_t *s, unsigned i, char *out,
    size_t size);

/*
 * Is column `col` of the fetched row, byte for byte, what is bound to parameter
 * `param` of another statement?
 */

bool exam_stmt_same(const exam_stmt_t *s, unsigned col,
    const exam_stmt_t *bound, unsigned param);

/* gives up the rest of a result */

void exam_stmt_reset(exam_stmt_t *s);

/* frees all and zeroes *s; before or after the connection was closed */

void exam_stmt_close(exam_stmt_t *s);

/*
 * Prepare (or reuse), execute and fetch the first row of a query whose
 * parameters are all text: the common look-up.  `s` as for exam_stmt_prepare().
 */

EXAM_MUST_CHECK exam_db_e exam_stmt_query(exam_stmt_t *s, exam_mysql_t *db,
    const char *sql, const exam_str_t *args, unsigned n);


/* runs body() in a transaction; RETRY is repeated up to five times */

typedef exam_db_e (*exam_mysql_body_pt)(exam_mysql_t *db, void *data);

EXAM_MUST_CHECK exam_db_e exam_mysql_transaction(exam_mysql_t *db,
    exam_mysql_body_pt body, void *data);


#endif /* EXAM_MYSQL_H_INCLUDED */
