
/*
 * Prepared statements: parameters bound by position, rows read by column.  An
 * exam_stmt_t owns its MYSQL_STMT and all buffers; it notices by db->epoch that
 * the connection it was prepared on is gone.
 *
 * Integer columns are fetched as 64 bits, all others as bytes into a buffer
 * that grows to the longest value seen.
 */


#include "exam_mysql.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>


#define EXAM_STMT_COL_SIZE  64      /* first size of a byte column */


#ifdef MARIADB_BASE_VERSION
typedef my_bool  exam_stmt_bool_t;
#else
typedef bool     exam_stmt_bool_t;  /* MySQL 8 has no my_bool any more */
#endif


struct exam_stmt_col_s {
    bool               integer;
    exam_stmt_bool_t   null;
    exam_stmt_bool_t   truncated;
    int64_t            value;
    char              *data;        /* size bytes */
    unsigned long      size;
    unsigned long      len;         /* may be above size: truncated */
};


static exam_db_e exam_stmt_fail(exam_stmt_t *s);
static exam_db_e exam_stmt_columns(exam_stmt_t *s);
static exam_db_e exam_stmt_grow(exam_stmt_t *s);
static bool exam_stmt_alive(const exam_stmt_t *s);
static MYSQL_BIND *exam_stmt_param(exam_stmt_t *s, unsigned i);
static bool exam_stmt_integer(const MYSQL_FIELD *field);


exam_db_e
exam_stmt_prepare(exam_stmt_t *s, exam_mysql_t *db, const char *sql)
{
    exam_db_e  rc;

    if (s->db == db && exam_stmt_alive(s)) {
        return EXAM_DB_OK;
    }

    exam_stmt_close(s);

    if (db->conn == NULL) {
        return EXAM_DB_LOST;
    }

    s->db = db;
    s->epoch = db->epoch;
    s->stmt = mysql_stmt_init(db->conn);

    if (s->stmt == NULL) {
        return exam_mysql_fail(db, CR_OUT_OF_MEMORY, "out of memory");
    }

    if (mysql_stmt_prepare(s->stmt, sql, strlen(sql)) != 0) {
        rc = exam_stmt_fail(s);
        goto failed;
    }

    s->nparams = (unsigned) mysql_stmt_param_count(s->stmt);

    if (s->nparams != 0) {
        s->params = calloc(s->nparams, sizeof(MYSQL_BIND));
        s->ints = calloc(s->nparams, sizeof(int64_t));
        s->lens = calloc(s->nparams, sizeof(unsigned long));

        if (s->params == NULL || s->ints == NULL || s->lens == NULL) {
            rc = exam_mysql_fail(db, CR_OUT_OF_MEMORY, "out of memory");
            goto failed;
        }
    }

    rc = exam_stmt_columns(s);

    if (rc == EXAM_DB_OK) {
        return rc;
    }

failed:

    exam_stmt_close(s);

    return rc;
}


exam_db_e
exam_stmt_prepare_rows(exam_stmt_t *s, exam_mysql_t *db, const char *head,
    const char *row, unsigned n, const char *tail)
{
    char       *sql, *p;
    size_t      head_len, row_len, tail_len;
    unsigned    i;
    exam_db_e   rc;

    if (s->db == db && exam_stmt_alive(s)) {
        return EXAM_DB_OK;
    }

    head_len = strlen(head);
    row_len = strlen(row);
    tail_len = strlen(tail);

    sql = malloc(head_len + n * (row_len + 1) + tail_len + 1);

    if (sql == NULL) {
        return exam_mysql_fail(db, CR_OUT_OF_MEMORY, "out of memory");
    }

    p = memcpy(sql, head, head_len);
    p += head_len;

    for (i = 0; i < n; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        memcpy(p, row, row_len);
        p += row_len;
    }

    memcpy(p, tail, tail_len + 1);

    rc = exam_stmt_prepare(s, db, sql);

    free(sql);

    return rc;
}


/* result columns and their buffers */

static exam_db_e
exam_stmt_columns(exam_stmt_t *s)
{
    unsigned          i;
    MYSQL_RES        *meta;
    MYSQL_BIND       *bind;
    MYSQL_FIELD      *fields;
    exam_stmt_col_t  *col;

    meta = mysql_stmt_result_metadata(s->stmt);

    if (meta == NULL) {
        return EXAM_DB_OK;
    }

    s->ncols = mysql_num_fields(meta);
    s->binds = calloc(s->ncols, sizeof(MYSQL_BIND));
    s->cols = calloc(s->ncols, sizeof(exam_stmt_col_t));

    if (s->binds == NULL || s->cols == NULL) {
        goto failed;
    }

    fields = mysql_fetch_fields(meta);

    for (i = 0; i < s->ncols; i++) {
        col = &s->cols[i];
        bind = &s->binds[i];

        bind->is_null = &col->null;
        bind->error = &col->truncated;
        bind->length = &col->len;

        col->integer = exam_stmt_integer(&fields[i]);

        if (col->integer) {
            bind->buffer_type = MYSQL_TYPE_LONGLONG;
            bind->buffer = &col->value;
            bind->buffer_length = sizeof(int64_t);
            bind->is_unsigned = (fields[i].flags & UNSIGNED_FLAG) != 0;
            continue;
        }

        col->size = EXAM_STMT_COL_SIZE;
        col->data = malloc(col->size);

        if (col->data == NULL) {
            goto failed;
        }

        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer = col->data;
        bind->buffer_length = col->size;
    }

    mysql_free_result(meta);

    if (mysql_stmt_bind_result(s->stmt, s->binds) != 0) {
        return exam_stmt_fail(s);
    }

    return EXAM_DB_OK;

failed:

    mysql_free_result(meta);

    return exam_mysql_fail(s->db, CR_OUT_OF_MEMORY, "out of memory");
}


static bool
exam_stmt_integer(const MYSQL_FIELD *field)
{
    switch (field->type) {

    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
        return true;

    default:
        return false;
    }
}


void
exam_stmt_int(exam_stmt_t *s, unsigned i, int64_t value)
{
    MYSQL_BIND  *bind;

    bind = exam_stmt_param(s, i);

    if (bind != NULL) {
        s->ints[i] = value;
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = &s->ints[i];
        bind->buffer_length = sizeof(int64_t);
    }
}


void
exam_stmt_text(exam_stmt_t *s, unsigned i, exam_str_t value)
{
    MYSQL_BIND  *bind;

    bind = exam_stmt_param(s, i);

    if (bind != NULL) {
        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer = (void *) (uintptr_t) value.data;
        bind->buffer_length = value.len;
        s->lens[i] = value.len;
        bind->length = &s->lens[i];
    }
}


void
exam_stmt_cstr(exam_stmt_t *s, unsigned i, const char *value)
{
    exam_stmt_text(s, i, exam_str_make(value, strlen(value)));
}


void
exam_stmt_blob(exam_stmt_t *s, unsigned i, const void *data, size_t len)
{
    exam_stmt_text(s, i, exam_str_make(data, len));

    if (i < s->nparams) {
        s->params[i].buffer_type = MYSQL_TYPE_BLOB;
    }
}


void
exam_stmt_null(exam_stmt_t *s, unsigned i)
{
    MYSQL_BIND  *bind;

    bind = exam_stmt_param(s, i);

    if (bind != NULL) {
        bind->buffer_type = MYSQL_TYPE_NULL;
    }
}


void
exam_stmt_known(exam_stmt_t *s, unsigned i, int64_t value, bool known)
{
    if (known) {
        exam_stmt_int(s, i, value);
        return;
    }

    exam_stmt_null(s, i);
}


static MYSQL_BIND *
exam_stmt_param(exam_stmt_t *s, unsigned i)
{
    if (i >= s->nparams) {
        s->misbound = true;
        return NULL;
    }

    memset(&s->params[i], 0, sizeof(MYSQL_BIND));

    return &s->params[i];
}


exam_db_e
exam_stmt_execute(exam_stmt_t *s)
{
    if (!exam_stmt_alive(s)) {
        return EXAM_DB_LOST;
    }

    if (s->misbound) {
        s->misbound = false;
        return exam_mysql_fail(s->db, ER_WRONG_ARGUMENTS,
                               "a parameter that the statement has not");
    }

    exam_stmt_reset(s);

    if (s->nparams != 0 && mysql_stmt_bind_param(s->stmt, s->params) != 0) {
        return exam_stmt_fail(s);
    }

    if (mysql_stmt_execute(s->stmt) != 0) {
        return exam_stmt_fail(s);
    }

    return EXAM_DB_OK;
}


uint64_t
exam_stmt_affected(const exam_stmt_t *s)
{
    return (s->stmt != NULL) ? mysql_stmt_affected_rows(s->stmt) : 0;
}


uint64_t
exam_stmt_insert_id(const exam_stmt_t *s)
{
    return (s->stmt != NULL) ? mysql_stmt_insert_id(s->stmt) : 0;
}


exam_db_e
exam_stmt_fetch(exam_stmt_t *s)
{
    if (!exam_stmt_alive(s)) {
        return EXAM_DB_LOST;
    }

    /*
     * The library has its own copy of the binds.  It is renewed here, not when
     * a buffer grows: MariaDB's up to 10.11.18 clears the lengths meanwhile.
     */

    if (s->rebind) {

        if (mysql_stmt_bind_result(s->stmt, s->binds) != 0) {
            return exam_stmt_fail(s);
        }

        s->rebind = false;
    }

    switch (mysql_stmt_fetch(s->stmt)) {

    case 0:
        return EXAM_DB_OK;

    case MYSQL_DATA_TRUNCATED:
        return exam_stmt_grow(s);

    case MYSQL_NO_DATA:
        exam_stmt_reset(s);
        return EXAM_DB_END;

    default:
        return exam_stmt_fail(s);
    }
}


/* values longer than their buffers are fetched again into larger ones */

static exam_db_e
exam_stmt_grow(exam_stmt_t *s)
{
    char             *data;
    unsigned          i;
    exam_stmt_col_t  *col;

    for (i = 0; i < s->ncols; i++) {
        col = &s->cols[i];

        if (col->integer || col->null || col->len <= col->size) {
            continue;
        }

        data = realloc(col->data, col->len);

        if (data == NULL) {
            return exam_mysql_fail(s->db, CR_OUT_OF_MEMORY, "out of memory");
        }

        col->data = data;
        col->size = col->len;

        s->binds[i].buffer = data;
        s->binds[i].buffer_length = col->size;

        if (mysql_stmt_fetch_column(s->stmt, &s->binds[i], i, 0) != 0) {
            return exam_stmt_fail(s);
        }

        s->rebind = true;
    }

    return EXAM_DB_OK;
}


int64_t
exam_stmt_col_int(const exam_stmt_t *s, unsigned i)
{
    char        text[24];
    exam_str_t  v;

    if (i >= s->ncols || s->cols[i].null) {
        return 0;
    }

    if (s->cols[i].integer) {
        return s->cols[i].value;
    }

    /* SUM() of integers is a decimal */

    v = exam_stmt_col_str(s, i);

    if (v.len >= sizeof(text)) {
        return 0;
    }

    memcpy(text, v.data, v.len);
    text[v.len] = '\0';

    return strtoll(text, NULL, 10);
}


exam_str_t
exam_stmt_col_str(const exam_stmt_t *s, unsigned i)
{
    if (i >= s->ncols || s->cols[i].null || s->cols[i].integer) {
        return exam_str_make("", 0);
    }

    return exam_str_make(s->cols[i].data, s->cols[i].len);
}


bool
exam_stmt_col_null(const exam_stmt_t *s, unsigned i)
{
    return i >= s->ncols || s->cols[i].null;
}


void
exam_stmt_col_copy(const exam_stmt_t *s, unsigned i, char *out, size_t size)
{
    exam_str_t  v;

    v = exam_stmt_col_str(s, i);

    if (v.len >= size) {
        v.len = size - 1;
    }

    memcpy(out, v.data, v.len);
    out[v.len] = '\0';
}


bool
exam_stmt_same(const exam_stmt_t *s, unsigned col, const exam_stmt_t *bound,
    unsigned param)
{
    exam_str_t         text;
    const MYSQL_BIND  *bind;

    if (col >= s->ncols || param >= bound->nparams) {
        return false;
    }

    bind = &bound->params[param];

    if (bind->buffer_type == MYSQL_TYPE_NULL || exam_stmt_col_null(s, col)) {
        return bind->buffer_type == MYSQL_TYPE_NULL
               && exam_stmt_col_null(s, col);
    }

    if (bind->buffer_type == MYSQL_TYPE_LONGLONG) {
        return s->cols[col].integer
               && exam_stmt_col_int(s, col) == bound->ints[param];
    }

    text = exam_str_make(bind->buffer, bind->buffer_length);

    return !s->cols[col].integer
           && exam_str_eq(exam_stmt_col_str(s, col), text);
}


void
exam_stmt_reset(exam_stmt_t *s)
{
    if (s->ncols != 0 && exam_stmt_alive(s)) {
        (void) mysql_stmt_free_result(s->stmt);
    }
}


void
exam_stmt_close(exam_stmt_t *s)
{
    unsigned  i;

    for (i = 0; s->cols != NULL && i < s->ncols; i++) {
        free(s->cols[i].data);
    }

    if (s->stmt != NULL) {

        /* a closed connection has detached its statements: no I/O then */

        (void) mysql_stmt_close(s->stmt);
    }

    free(s->cols);
    free(s->binds);
    free(s->params);
    free(s->ints);
    free(s->lens);

    memset(s, 0, sizeof(exam_stmt_t));
}


exam_db_e
exam_stmt_query(exam_stmt_t *s, exam_mysql_t *db, const char *sql,
    const exam_str_t *args, unsigned n)
{
    unsigned   i;
    exam_db_e  rc;

    rc = exam_stmt_prepare(s, db, sql);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        exam_stmt_text(s, i, args[i]);
    }

    rc = exam_stmt_execute(s);

    return (rc == EXAM_DB_OK) ? exam_stmt_fetch(s) : rc;
}


static bool
exam_stmt_alive(const exam_stmt_t *s)
{
    return s->stmt != NULL && s->db->conn != NULL && s->epoch == s->db->epoch;
}


static exam_db_e
exam_stmt_fail(exam_stmt_t *s)
{
    return exam_mysql_fail(s->db, mysql_stmt_errno(s->stmt),
                           mysql_stmt_error(s->stmt));
}
