
/*
 * examctl backup: all tables in one snapshot, streamed to a temporary name,
 * synced and renamed.  The format is in ctl_backup.h.  `recordings` is not in
 * it: rebuild-index makes it of the store.  A table that is in neither list
 * stops the backup, so that none is forgotten when the schema grows.
 */


#include "ctl_backup.h"
#include "exam_file.h"
#include "exam_sha256.h"
#include "exam_time.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>


#define CTL_BACKUP_SQL_MAX  (CTL_BACKUP_COLUMNS * (CTL_BACKUP_NAME_MAX + 20))


typedef struct {
    ctl_t          *ctl;
    FILE           *file;
    char            tmp[EXAM_PATH_MAX];
    exam_sha256_t   hash;
    uint64_t        rows[CTL_BACKUP_TABLES];
    char           *text;           /* for escaping */
    size_t          size;
} ctl_backup_t;


static ctl_rc_e ctl_backup_write(ctl_backup_t *b);
static ctl_rc_e ctl_backup_unknown(ctl_t *ctl);
static ctl_rc_e ctl_backup_table(ctl_backup_t *b, size_t which);
static ctl_rc_e ctl_backup_rows(ctl_backup_t *b, size_t which,
    const ctl_backup_columns_t *columns);
static void ctl_backup_row(ctl_backup_t *b, const exam_stmt_t *stmt,
    const ctl_backup_columns_t *columns);
static ctl_rc_e ctl_backup_keys(ctl_backup_t *b);
static void ctl_backup_end(ctl_backup_t *b);
static void ctl_backup_put(ctl_backup_t *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void ctl_backup_bytes(ctl_backup_t *b, const void *data, size_t len);
static void ctl_backup_text(ctl_backup_t *b, exam_str_t text);
static ctl_rc_e ctl_backup_create(ctl_backup_t *b, const char *path);
static ctl_rc_e ctl_backup_publish(ctl_backup_t *b, const char *path);


const char *const  ctl_backup_tables[CTL_BACKUP_TABLES] = {
    "exams", "students", "sessions", "presence", "events", "commands",
    "deliveries", "gaps", "outages", "lost_segments", "notes", "users",
    "audit_log", "journal_positions"
};

/* made by others: from the store, by migrate */

static const char *const  ctl_backup_others[] = {
    "recordings", "schema_migrations"
};


ctl_rc_e
ctl_backup(ctl_t *ctl)
{
    size_t        i;
    uint64_t      rows;
    ctl_rc_e      rc;
    const char   *path;
    ctl_backup_t  b;

    memset(&b, 0, sizeof(ctl_backup_t));
    b.ctl = ctl;
    path = ctl->args[0];

    if (access(path, F_OK) == 0 && ctl_option(ctl, "force") == NULL) {
        return ctl_fail(CTL_CONFLICT, "\"%s\" exists; --force replaces it",
                        path);
    }

    rc = ctl_connect(ctl);

    if (rc == CTL_OK) {
        rc = ctl_backup_create(&b, path);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    rc = ctl_backup_write(&b);

    if (rc == CTL_OK) {
        rc = ctl_backup_publish(&b, path);
    }

    if (b.file != NULL) {
        (void) fclose(b.file);
    }

    if (rc != CTL_OK) {
        (void) unlink(b.tmp);
    }

    free(b.text);

    if (rc == CTL_OK) {
        for (i = 0, rows = 0; i < CTL_BACKUP_TABLES; i++) {
            rows += b.rows[i];
        }

        printf("%llu rows of %d tables are in \"%s\"\n",
               (unsigned long long) rows, CTL_BACKUP_TABLES, path);
    }

    return rc;
}


static ctl_rc_e
ctl_backup_create(ctl_backup_t *b, const char *path)
{
    int  fd;

    if (snprintf(b->tmp, sizeof(b->tmp), "%s.%ld.tmp", path, (long) getpid())
        >= (int) sizeof(b->tmp))
    {
        return ctl_fail(CTL_USAGE, "the path is too long");
    }

    fd = open(b->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd == -1) {
        return ctl_fail(CTL_FAILED, "cannot make \"%s\": %s", b->tmp,
                        strerror(errno));
    }

    b->file = fdopen(fd, "w");

    if (b->file == NULL) {
        (void) close(fd);
        (void) unlink(b->tmp);
        return ctl_fail(CTL_FAILED, "out of memory");
    }

    exam_sha256_init(&b->hash);

    return CTL_OK;
}


static ctl_rc_e
ctl_backup_write(ctl_backup_t *b)
{
    size_t     i;
    int64_t    schema;
    ctl_rc_e   rc;

    rc = ctl_backup_schema(b->ctl, &schema);

    if (rc == CTL_OK) {
        rc = ctl_backup_unknown(b->ctl);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    if (exam_mysql_exec(&b->ctl->db, "SET SESSION TRANSACTION ISOLATION LEVEL "
                        "REPEATABLE READ")
        != EXAM_DB_OK
        || exam_mysql_exec(&b->ctl->db, "START TRANSACTION WITH CONSISTENT "
                           "SNAPSHOT")
           != EXAM_DB_OK)
    {
        return ctl_db_failed(b->ctl);
    }

    ctl_backup_put(b, "{\"exam_monitor_backup\":%d,\"schema\":%lld,"
                   "\"created_at\":%lld,\"node\":\"%s\"}\n",
                   CTL_BACKUP_VERSION, (long long) schema,
                   (long long) exam_now_ms(), b->ctl->conf.node);

    for (i = 0; i < CTL_BACKUP_TABLES && rc == CTL_OK; i++) {
        rc = ctl_backup_table(b, i);
    }

    exam_mysql_rollback(&b->ctl->db);

    if (rc == CTL_OK && ctl_option(b->ctl, "no-keys") == NULL) {
        rc = ctl_backup_keys(b);
    }

    if (rc == CTL_OK) {
        ctl_backup_end(b);
    }

    return rc;
}


ctl_rc_e
ctl_backup_schema(ctl_t *ctl, int64_t *version)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT MAX(version) FROM "
                         "schema_migrations", NULL, 0);

    if (rc == EXAM_DB_OK) {
        *version = exam_stmt_col_int(&stmt, 0);
    }

    exam_stmt_close(&stmt);

    return rc == EXAM_DB_OK ? CTL_OK : ctl_db_failed(ctl);
}


static ctl_rc_e
ctl_backup_unknown(ctl_t *ctl)
{
    bool         known;
    size_t       i;
    ctl_rc_e     result;
    exam_db_e    rc;
    exam_str_t   name;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));
    result = CTL_OK;

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT table_name FROM "
                         "information_schema.tables WHERE table_schema = "
                         "DATABASE() AND table_type = 'BASE TABLE'", NULL, 0);

    while (rc == EXAM_DB_OK && result == CTL_OK) {
        name = exam_stmt_col_str(&stmt, 0);
        known = false;

        for (i = 0; i < CTL_BACKUP_TABLES; i++) {
            known = known || exam_str_eq(name, ctl_str(ctl_backup_tables[i]));
        }

        for (i = 0; i < sizeof(ctl_backup_others)
                        / sizeof(ctl_backup_others[0]); i++)
        {
            known = known || exam_str_eq(name, ctl_str(ctl_backup_others[i]));
        }

        if (!known) {
            result = ctl_fail(CTL_FAILED, "nobody knows whether table "
                              "\"%.*s\" is to be saved", (int) name.len,
                              (const char *) name.data);
        }

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    if (result != CTL_OK) {
        return result;
    }

    return rc == EXAM_DB_END ? CTL_OK : ctl_db_failed(ctl);
}


ctl_rc_e
ctl_backup_columns(ctl_t *ctl, const char *table,
    ctl_backup_columns_t *columns)
{
    size_t       n;
    exam_db_e    rc;
    exam_str_t   arg, type;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));
    memset(columns, 0, sizeof(ctl_backup_columns_t));

    arg = ctl_str(table);

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT column_name, data_type FROM "
                         "information_schema.columns WHERE table_schema = "
                         "DATABASE() AND table_name = ? ORDER BY "
                         "ordinal_position", &arg, 1);

    while (rc == EXAM_DB_OK && columns->n < CTL_BACKUP_COLUMNS) {
        n = columns->n++;
        type = exam_stmt_col_str(&stmt, 1);

        exam_stmt_col_copy(&stmt, 0, columns->names[n],
                           sizeof(columns->names[n]));

        if (memmem(type.data, type.len, "int", 3) != NULL) {
            columns->types[n] = CTL_BACKUP_INTEGER;

        } else if (memmem(type.data, type.len, "binary", 6) != NULL
                   || memmem(type.data, type.len, "blob", 4) != NULL)
        {
            columns->types[n] = CTL_BACKUP_BYTES;
        }

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    if (rc == EXAM_DB_OK || (rc == EXAM_DB_END && columns->n == 0)) {
        return ctl_fail(CTL_FAILED, "table \"%s\" is not as it should be; run "
                        "\"examctl migrate\"", table);
    }

    return rc == EXAM_DB_END ? CTL_OK : ctl_db_failed(ctl);
}


static ctl_rc_e
ctl_backup_table(ctl_backup_t *b, size_t which)
{
    size_t                i;
    ctl_rc_e              rc;
    ctl_backup_columns_t  columns;

    rc = ctl_backup_columns(b->ctl, ctl_backup_tables[which], &columns);

    if (rc != CTL_OK) {
        return rc;
    }

    ctl_backup_put(b, "{\"table\":\"%s\",\"columns\":[",
                   ctl_backup_tables[which]);

    for (i = 0; i < columns.n; i++) {
        ctl_backup_put(b, "%s\"%s\"", i == 0 ? "" : ",", columns.names[i]);
    }

    ctl_backup_put(b, "]}\n");

    return ctl_backup_rows(b, which, &columns);
}


static ctl_rc_e
ctl_backup_rows(ctl_backup_t *b, size_t which,
    const ctl_backup_columns_t *columns)
{
    char         sql[CTL_BACKUP_SQL_MAX];
    size_t       i, len;
    exam_db_e    rc;
    exam_stmt_t  stmt;

    len = (size_t) snprintf(sql, sizeof(sql), "SELECT ");

    for (i = 0; i < columns->n; i++) {
        len += (size_t) snprintf(sql + len, sizeof(sql) - len,
                                 columns->types[i] == CTL_BACKUP_BYTES
                                 ? "%sLOWER(HEX(`%s`))" : "%s`%s`",
                                 i == 0 ? "" : ", ", columns->names[i]);
    }

    (void) snprintf(sql + len, sizeof(sql) - len, " FROM `%s`",
                    ctl_backup_tables[which]);

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &b->ctl->db, sql, NULL, 0);

    while (rc == EXAM_DB_OK && !ferror(b->file)) {
        ctl_backup_row(b, &stmt, columns);
        b->rows[which]++;

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    if (ferror(b->file)) {
        return ctl_fail(CTL_FAILED, "cannot write \"%s\": %s", b->tmp,
                        strerror(errno));
    }

    return rc == EXAM_DB_END ? CTL_OK : ctl_db_failed(b->ctl);
}


static void
ctl_backup_row(ctl_backup_t *b, const exam_stmt_t *stmt,
    const ctl_backup_columns_t *columns)
{
    unsigned  i;

    for (i = 0; i < columns->n; i++) {
        ctl_backup_bytes(b, i == 0 ? "[" : ",", 1);

        if (exam_stmt_col_null(stmt, i)) {
            ctl_backup_bytes(b, "null", 4);

        } else if (columns->types[i] == CTL_BACKUP_INTEGER) {
            ctl_backup_put(b, "%lld", (long long) exam_stmt_col_int(stmt, i));

        } else {
            ctl_backup_text(b, exam_stmt_col_str(stmt, i));
        }
    }

    ctl_backup_bytes(b, "]\n", 2);
}


/* no keys, no line */

static ctl_rc_e
ctl_backup_keys(ctl_backup_t *b)
{
    char    *text;
    size_t   i, len;

    if (exam_file_read(b->ctl->conf.keys, CTL_BACKUP_KEYS_MAX, &text, &len)
        != 0)
    {
        return errno == ENOENT
               ? CTL_OK
               : ctl_fail(CTL_FAILED, "cannot read \"%s\": %s",
                          b->ctl->conf.keys, strerror(errno));
    }

    ctl_backup_put(b, "{\"keys\":\"");

    for (i = 0; i < len; i++) {
        ctl_backup_put(b, "%02x", (unsigned char) text[i]);
    }

    ctl_backup_put(b, "\"}\n");

    explicit_bzero(text, len);
    free(text);

    return CTL_OK;
}


static void
ctl_backup_end(ctl_backup_t *b)
{
    size_t   i;
    uint8_t  sha256[EXAM_HASH_LEN];

    exam_sha256_final(&b->hash, sha256);

    for (i = 0; i < CTL_BACKUP_TABLES; i++) {
        fprintf(b->file, "%s\"%s\":%llu", i == 0 ? "{\"end\":{" : ",",
                ctl_backup_tables[i], (unsigned long long) b->rows[i]);
    }

    fprintf(b->file, "},\"sha256\":\"");

    for (i = 0; i < EXAM_HASH_LEN; i++) {
        fprintf(b->file, "%02x", sha256[i]);
    }

    fprintf(b->file, "\"}\n");
}


static void
ctl_backup_put(ctl_backup_t *b, const char *fmt, ...)
{
    int      n;
    char     text[256];
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    ctl_backup_bytes(b, text, (size_t) n);
}


static void
ctl_backup_bytes(ctl_backup_t *b, const void *data, size_t len)
{
    exam_sha256_update(&b->hash, data, len);
    (void) fwrite(data, 1, len, b->file);
}


static void
ctl_backup_text(ctl_backup_t *b, exam_str_t text)
{
    exam_buf_t  buf;

    /* every byte may become \u00XX */

    if (6 * text.len + 2 > b->size) {
        b->size = 2 * (6 * text.len + 2);
        b->text = ctl_alloc(b->text, b->size, 1);
    }

    exam_buf_init(&buf, b->text, b->size);
    exam_buf_json(&buf, text);

    ctl_backup_bytes(b, b->text, exam_buf_len(&buf));
}


static ctl_rc_e
ctl_backup_publish(ctl_backup_t *b, const char *path)
{
    int   rc;
    char  copy[EXAM_PATH_MAX];

    rc = fflush(b->file) == 0 && !ferror(b->file)
         && fsync(fileno(b->file)) == 0 ? 0 : -1;

    if (rc == 0 && ctl_option(b->ctl, "force") != NULL) {
        rc = rename(b->tmp, path);

    } else if (rc == 0) {

        /* rename() would replace what another has made since the check */

        rc = link(b->tmp, path);

        if (rc == 0) {
            (void) unlink(b->tmp);
        }
    }

    if (rc == 0) {
        (void) snprintf(copy, sizeof(copy), "%s", path);
        rc = exam_dir_sync(dirname(copy));
    }

    return rc == 0 ? CTL_OK
           : ctl_fail(CTL_FAILED, "cannot write \"%s\": %s", path,
                      strerror(errno));
}
