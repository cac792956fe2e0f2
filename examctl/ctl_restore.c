
/*
 * examctl restore: reads a backup twice.  The first time it only looks whether
 * the file is whole; the second time everything goes in, in one transaction,
 * which is committed only if the file is still the same.  The key file is put
 * under a temporary name before the commit and to its own after it.
 */


#include "ctl_restore.h"
#include "exam_file.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>


#define CTL_RESTORE_ROWS     64         /* a statement */
#define CTL_RESTORE_SQL_MAX  4096

/*
 * Commands that were sent after the backup are known to clients, nodes and
 * journals by their ids: AUTO_INCREMENT goes on far behind them, and stays
 * there when the row is gone.
 */

#define CTL_RESTORE_SKIP_SQL                                                  \
    "INSERT INTO commands (id, exam, target, type, issued_by, issued_at, "    \
    "expires_at) SELECT COALESCE(MAX(id), 0) + 1000000, '', '', '', '', 0, "  \
    "0 FROM commands"

#define CTL_RESTORE_SKIPPED_SQL  "DELETE FROM commands WHERE exam = ''"


typedef struct {
    ctl_t                 *ctl;
    ctl_reader_t           reader;
    bool                   replace;
    bool                   write;   /* the second time */
    ctl_line_t             line;
    void                  *memory;
    exam_arena_t           arena;   /* of the rows that wait */

    unsigned               which;   /* table, +1; 0: none yet */
    ctl_backup_columns_t   columns; /* of the table, in the file's order */
    char                   head[CTL_RESTORE_SQL_MAX];
    char                   row[CTL_RESTORE_SQL_MAX];
    exam_stmt_t            many;
    exam_stmt_t            one;
    size_t                 n;       /* rows that wait */
    size_t                 width;
    ctl_value_t            values[CTL_RESTORE_ROWS][CTL_BACKUP_COLUMNS];

    int64_t                rows[CTL_BACKUP_TABLES];
    char                  *keys;    /* the file, owned */
    size_t                 nkeys;
    char                   tmp[EXAM_PATH_MAX + 16];     /* "" none written */
} ctl_restore_t;


static ctl_rc_e ctl_restore_all(ctl_restore_t *r);
static ctl_rc_e ctl_restore_allowed(ctl_restore_t *r);
static ctl_rc_e ctl_restore_empty(ctl_restore_t *r);
static ctl_rc_e ctl_restore_pass(ctl_restore_t *r);
static ctl_rc_e ctl_restore_line(ctl_restore_t *r, exam_str_t text);
static ctl_rc_e ctl_restore_header(ctl_restore_t *r);
static ctl_rc_e ctl_restore_table(ctl_restore_t *r);
static ctl_rc_e ctl_restore_prepare(ctl_restore_t *r);
static ctl_rc_e ctl_restore_row(ctl_restore_t *r);
static ctl_rc_e ctl_restore_flush(ctl_restore_t *r);
static exam_db_e ctl_restore_insert(ctl_restore_t *r, exam_stmt_t *s,
    size_t first, size_t n);
static ctl_rc_e ctl_restore_keys(ctl_restore_t *r);
static ctl_rc_e ctl_restore_end(ctl_restore_t *r);
static ctl_rc_e ctl_restore_keep(ctl_restore_t *r);
static ctl_rc_e ctl_restore_publish(ctl_restore_t *r);


ctl_rc_e
ctl_restore(ctl_t *ctl)
{
    ctl_rc_e        rc;
    ctl_restore_t  *r;

    r = ctl_alloc(NULL, 1, sizeof(ctl_restore_t));
    memset(r, 0, sizeof(ctl_restore_t));

    r->ctl = ctl;
    r->replace = ctl_option(ctl, "replace") != NULL;
    r->memory = ctl_alloc(NULL, CTL_RESTORE_ARENA, 1);

    rc = ctl_reader_open(&r->reader, ctl->args[0]);

    if (rc == CTL_OK) {
        rc = ctl_connect(ctl);
    }

    if (rc == CTL_OK) {
        rc = ctl_restore_all(r);
    }

    exam_mysql_rollback(&ctl->db);

    if (r->tmp[0] != '\0') {
        (void) unlink(r->tmp);
    }

    if (r->keys != NULL) {
        explicit_bzero(r->keys, r->nkeys);
    }

    explicit_bzero(r->memory, CTL_RESTORE_ARENA);

    exam_stmt_close(&r->many);
    exam_stmt_close(&r->one);
    ctl_reader_close(&r->reader);

    free(r->keys);
    free(r->memory);
    free(r);

    return rc;
}


static ctl_rc_e
ctl_restore_all(ctl_restore_t *r)
{
    ctl_rc_e  rc;

    rc = ctl_restore_pass(r);

    if (rc == CTL_OK) {
        rc = ctl_restore_allowed(r);
    }

    if (rc == CTL_OK) {
        rc = ctl_reader_rewind(&r->reader);
    }

    if (rc == CTL_OK && exam_mysql_begin(&r->ctl->db) != EXAM_DB_OK) {
        rc = ctl_db_failed(r->ctl);
    }

    if (rc == CTL_OK) {
        rc = ctl_restore_empty(r);
    }

    if (rc == CTL_OK) {
        r->write = true;
        rc = ctl_restore_pass(r);
    }

    if (rc == CTL_OK
        && (exam_mysql_exec(&r->ctl->db, CTL_RESTORE_SKIP_SQL) != EXAM_DB_OK
            || exam_mysql_exec(&r->ctl->db, CTL_RESTORE_SKIPPED_SQL)
               != EXAM_DB_OK))
    {
        rc = ctl_db_failed(r->ctl);
    }

    if (rc == CTL_OK) {
        rc = ctl_restore_keep(r);
    }

    if (rc == CTL_OK && exam_mysql_commit(&r->ctl->db) != EXAM_DB_OK) {
        rc = ctl_db_failed(r->ctl);
    }

    return rc == CTL_OK ? ctl_restore_publish(r) : rc;
}


/* before anything is changed; the transaction looks once more */

static ctl_rc_e
ctl_restore_allowed(ctl_restore_t *r)
{
    int64_t   schema;
    ctl_rc_e  rc;

    rc = ctl_backup_schema(r->ctl, &schema);

    if (rc == CTL_OK && r->line.schema > schema) {
        rc = ctl_fail(CTL_CONFLICT, "the backup has schema %lld, the database "
                      "%lld: run \"examctl migrate\" of a newer version",
                      (long long) r->line.schema, (long long) schema);
    }

    return rc;
}


static ctl_rc_e
ctl_restore_empty(ctl_restore_t *r)
{
    char         sql[128];
    size_t       i;
    exam_db_e    rc;
    exam_stmt_t  stmt;

    for (i = 0; i < CTL_BACKUP_TABLES; i++) {

        if (r->replace) {
            (void) snprintf(sql, sizeof(sql), "DELETE FROM `%s`",
                            ctl_backup_tables[i]);

            if (exam_mysql_exec(&r->ctl->db, sql) != EXAM_DB_OK) {
                return ctl_db_failed(r->ctl);
            }

            continue;
        }

        (void) snprintf(sql, sizeof(sql), "SELECT 1 FROM `%s` LIMIT 1",
                        ctl_backup_tables[i]);

        memset(&stmt, 0, sizeof(exam_stmt_t));
        rc = exam_stmt_query(&stmt, &r->ctl->db, sql, NULL, 0);
        exam_stmt_close(&stmt);

        if (rc == EXAM_DB_OK) {
            return ctl_fail(CTL_CONFLICT, "the database is not empty: table "
                            "\"%s\" has rows; --replace removes them",
                            ctl_backup_tables[i]);
        }

        if (rc != EXAM_DB_END) {
            return ctl_db_failed(r->ctl);
        }
    }

    return CTL_OK;
}


/* the whole file, up to its last line and not behind it */

static ctl_rc_e
ctl_restore_pass(ctl_restore_t *r)
{
    int64_t     schema;
    ctl_rc_e    rc;
    exam_str_t  text;

    memset(r->rows, 0, sizeof(r->rows));
    exam_arena_init(&r->arena, r->memory, CTL_RESTORE_ARENA);

    r->which = 0;
    schema = -1;

    do {
        rc = ctl_reader_next(&r->reader, &text);

        if (rc == CTL_OK) {
            rc = ctl_restore_line(r, text);
        }

        if (rc == CTL_OK && r->line.type == CTL_LINE_HEADER) {
            schema = r->line.schema;
        }
    } while (rc == CTL_OK && r->line.type != CTL_LINE_END);

    if (rc == CTL_OK && getc(r->reader.file) != EOF) {
        rc = ctl_reader_failed(&r->reader, "there is more behind its end");
    }

    r->line.schema = schema;

    return rc;
}


static ctl_rc_e
ctl_restore_line(ctl_restore_t *r, exam_str_t text)
{
    ctl_rc_e    rc;
    exam_err_e  err;

    err = ctl_reader_parse(&r->reader, text, &r->arena, &r->line);

    /* the rows that wait fill the memory: they go first */

    if (err == EXAM_ERR_TOO_LARGE) {
        rc = ctl_restore_flush(r);

        if (rc != CTL_OK) {
            return rc;
        }

        err = ctl_reader_parse(&r->reader, text, &r->arena, &r->line);
    }

    if (err != EXAM_OK) {
        return ctl_reader_failed(&r->reader, "is no line of a backup");
    }

    if ((r->reader.number == 1) != (r->line.type == CTL_LINE_HEADER)) {
        return ctl_reader_failed(&r->reader, "is no backup of exam-monitor");
    }

    switch (r->line.type) {

    case CTL_LINE_HEADER:
        return ctl_restore_header(r);

    case CTL_LINE_TABLE:
        return ctl_restore_table(r);

    case CTL_LINE_ROW:
        return ctl_restore_row(r);

    case CTL_LINE_KEYS:
        return ctl_restore_keys(r);

    case CTL_LINE_END:
        return ctl_restore_end(r);
    }

    return CTL_FAILED;
}


static ctl_rc_e
ctl_restore_header(ctl_restore_t *r)
{
    if (r->line.version > CTL_BACKUP_VERSION) {
        return ctl_fail(CTL_CONFLICT, "the backup is of a newer version of "
                        "examctl");
    }

    return r->line.schema > 0 ? CTL_OK
           : ctl_reader_failed(&r->reader, "has no schema version");
}


static ctl_rc_e
ctl_restore_table(ctl_restore_t *r)
{
    size_t    i;
    ctl_rc_e  rc;

    rc = ctl_restore_flush(r);

    if (rc != CTL_OK) {
        return rc;
    }

    for (i = 0; i < CTL_BACKUP_TABLES; i++) {
        if (exam_str_eq(r->line.table, ctl_str(ctl_backup_tables[i]))) {
            break;
        }
    }

    if (i == CTL_BACKUP_TABLES || r->line.n == 0) {
        return ctl_reader_failed(&r->reader, "is no table of a backup");
    }

    r->which = (unsigned) i + 1;
    r->width = r->line.n;

    return r->write ? ctl_restore_prepare(r) : CTL_OK;
}


/* only columns that the database has: an older backup may lack some */

static ctl_rc_e
ctl_restore_prepare(ctl_restore_t *r)
{
    size_t                 i, k, head, row;
    ctl_rc_e               rc;
    const char            *table;
    ctl_backup_columns_t   have;

    table = ctl_backup_tables[r->which - 1];
    rc = ctl_backup_columns(r->ctl, table, &have);

    if (rc != CTL_OK) {
        return rc;
    }

    head = (size_t) snprintf(r->head, sizeof(r->head), "INSERT INTO `%s` (",
                             table);
    row = (size_t) snprintf(r->row, sizeof(r->row), "(");

    for (i = 0; i < r->width; i++) {

        for (k = 0; k < have.n; k++) {
            if (exam_str_eq(r->line.values[i].text, ctl_str(have.names[k]))) {
                break;
            }
        }

        if (k == have.n) {
            return ctl_reader_failed(&r->reader, "has a column that the "
                                     "database has not");
        }

        r->columns.types[i] = have.types[k];

        head += (size_t) snprintf(r->head + head, sizeof(r->head) - head,
                                  "%s`%s`", i == 0 ? "" : ",", have.names[k]);
        row += (size_t) snprintf(r->row + row, sizeof(r->row) - row, "%s%s",
                                 i == 0 ? "" : ",",
                                 have.types[k] == CTL_BACKUP_BYTES
                                 ? "UNHEX(?)" : "?");
    }

    (void) snprintf(r->head + head, sizeof(r->head) - head, ") VALUES ");
    (void) snprintf(r->row + row, sizeof(r->row) - row, ")");

    exam_stmt_close(&r->many);
    exam_stmt_close(&r->one);

    return CTL_OK;
}


static ctl_rc_e
ctl_restore_row(ctl_restore_t *r)
{
    if (r->which == 0 || r->line.n != r->width) {
        return ctl_reader_failed(&r->reader, "is no row of its table");
    }

    r->rows[r->which - 1]++;

    memcpy(r->values[r->n++], r->line.values, sizeof(r->values[0]));

    return r->n == CTL_RESTORE_ROWS ? ctl_restore_flush(r) : CTL_OK;
}


static ctl_rc_e
ctl_restore_flush(ctl_restore_t *r)
{
    size_t     i;
    exam_db_e  rc;

    rc = EXAM_DB_OK;

    if (r->write && r->n == CTL_RESTORE_ROWS) {
        rc = ctl_restore_insert(r, &r->many, 0, CTL_RESTORE_ROWS);

    } else if (r->write) {
        for (i = 0; i < r->n && rc == EXAM_DB_OK; i++) {
            rc = ctl_restore_insert(r, &r->one, i, 1);
        }
    }

    r->n = 0;
    exam_arena_init(&r->arena, r->memory, CTL_RESTORE_ARENA);

    return rc == EXAM_DB_OK ? CTL_OK : ctl_db_failed(r->ctl);
}


static exam_db_e
ctl_restore_insert(ctl_restore_t *r, exam_stmt_t *s, size_t first, size_t n)
{
    size_t              i, k;
    unsigned            param;
    exam_db_e           rc;
    const ctl_value_t  *value;

    rc = exam_stmt_prepare_rows(s, &r->ctl->db, r->head, r->row, (unsigned) n,
                                "");
    if (rc != EXAM_DB_OK) {
        return rc;
    }

    param = 0;

    for (i = first; i < first + n; i++) {
        for (k = 0; k < r->width; k++) {
            value = &r->values[i][k];

            if (value->null) {
                exam_stmt_null(s, param++);

            } else if (value->integer) {
                exam_stmt_int(s, param++, value->number);

            } else {
                exam_stmt_text(s, param++, value->text);
            }
        }
    }

    return exam_stmt_execute(s);
}


static ctl_rc_e
ctl_restore_keys(ctl_restore_t *r)
{
    size_t  len;

    len = r->line.keys.len / 2;

    if (!r->write) {
        return CTL_OK;
    }

    free(r->keys);
    r->keys = ctl_alloc(NULL, len + 1, 1);
    r->nkeys = len;

    return exam_hex_decode(r->line.keys.data, r->line.keys.len,
                           (uint8_t *) r->keys, len)
           ? CTL_OK : ctl_reader_failed(&r->reader, "has no keys");
}


static ctl_rc_e
ctl_restore_end(ctl_restore_t *r)
{
    size_t  i;

    if (!ctl_reader_whole(&r->reader, &r->line)) {
        return ctl_fail(CTL_FAILED, "\"%s\" was altered: its SHA-256 is "
                        "another", r->reader.path);
    }

    for (i = 0; i < CTL_BACKUP_TABLES; i++) {
        if ((r->line.counted & (1u << i)) != 0
            && r->line.rows[i] != r->rows[i])
        {
            return ctl_reader_failed(&r->reader, "counts other rows than "
                                     "there are");
        }
    }

    return ctl_restore_flush(r);
}


/* the key file under a temporary name, if it is to be written */

static ctl_rc_e
ctl_restore_keep(ctl_restore_t *r)
{
    const char  *path;

    path = r->ctl->conf.keys;

    if (r->keys == NULL) {
        return CTL_OK;
    }

    if (!r->replace && access(path, F_OK) == 0) {
        printf("\"%s\" exists and stays as it is\n", path);
        return CTL_OK;
    }

    (void) snprintf(r->tmp, sizeof(r->tmp), "%s.restore", path);

    if (exam_file_replace(r->tmp, 0600, r->keys, r->nkeys, false) != 0) {
        return ctl_fail(CTL_FAILED, "cannot write \"%s\": %s", r->tmp,
                        strerror(errno));
    }

    return CTL_OK;
}


static ctl_rc_e
ctl_restore_publish(ctl_restore_t *r)
{
    char      path[EXAM_PATH_MAX];
    size_t    i;
    int64_t   rows;

    for (i = 0, rows = 0; i < CTL_BACKUP_TABLES; i++) {
        rows += r->rows[i];
    }

    printf("%lld rows restored\n", (long long) rows);

    if (r->tmp[0] == '\0') {
        return CTL_OK;
    }

    (void) snprintf(path, sizeof(path), "%s", r->ctl->conf.keys);

    if (rename(r->tmp, path) != 0 || exam_dir_sync(dirname(path)) != 0) {
        return ctl_fail(CTL_FAILED, "the rows are restored, the keys are not: "
                        "cannot write \"%s\": %s", r->ctl->conf.keys,
                        strerror(errno));
    }

    r->tmp[0] = '\0';
    printf("keys are in \"%s\"; reload nginx\n", r->ctl->conf.keys);

    return CTL_OK;
}
