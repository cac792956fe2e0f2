
/*
 * Commands on the installation: migrate here, keys and doctor in files of
 * their own.
 *
 * Migrations run one at a time under an advisory lock.  DDL cannot be rolled
 * back, so each is written to be run again after it broke off, and is recorded
 * only when all of it has run.
 */


#include "ctl.h"
#include "exam_time.h"

#include <mysqld_error.h>


#define CTL_MIGRATE_WAIT_S  60

#define CTL_MIGRATE_TABLE                                                     \
    "CREATE TABLE IF NOT EXISTS schema_migrations ("                          \
    "version INT UNSIGNED NOT NULL, "                                         \
    "name VARCHAR(64) NOT NULL, "                                             \
    "checksum BINARY(32) NOT NULL COMMENT 'SHA-256 of the file', "            \
    "applied_at BIGINT NOT NULL, "                                            \
    "PRIMARY KEY (version)"                                                   \
    ") ENGINE = InnoDB DEFAULT CHARSET = utf8mb4"


static ctl_rc_e ctl_migrate(ctl_t *ctl);
static ctl_rc_e ctl_migrate_connect(ctl_t *ctl);
static ctl_rc_e ctl_migrate_locked(ctl_t *ctl, ctl_schema_t *schema);
static exam_db_e ctl_migrate_one(ctl_t *ctl, const ctl_migration_t *m);


const ctl_command_t  ctl_node_commands[] = {

    { "migrate", "", 0, { { "schema", "DIR" } },
      "Creates the database and brings its schema up to date.",
      "Safe to run again and at the same time.  The migrations are in the"
      " nearest\nfolder schema above the program, or in --schema DIR.\n",
      ctl_migrate },

    { "keys rotate", "", 0, { { NULL, NULL } },
      "Makes the token keys, or puts a new one in front of each class.",
      "The new key signs from now on, the one before it still verifies, an"
      " older one\nis removed: tokens signed by it end.  nginx reads the file"
      " again when nginx_pid\nis configured and nginx runs; on other nodes copy"
      " the file first.\n",
      ctl_keys_rotate },

    { "doctor", "", 0, { { "json", NULL }, { "schema", "DIR" } },
      "Checks configuration, MySQL, Redis, folders, keys, clock and worker.",
      "A line each: ok, warn or fail, and what to do.  Exit code 1 when one"
      " fails.\n",
      ctl_doctor },

    { .words = NULL }
};


static ctl_rc_e
ctl_migrate(ctl_t *ctl)
{
    char          lock[80];
    ctl_rc_e      rc;
    ctl_schema_t  schema;

    rc = ctl_schema_read(ctl, ctl_option(ctl, "schema"), &schema);

    if (rc == CTL_OK) {
        rc = ctl_migrate_connect(ctl);
    }

    if (rc != CTL_OK) {
        goto done;
    }

    (void) snprintf(lock, sizeof(lock), "exam-migrate:%.40s",
                    ctl->conf.mysql.database);

    if (exam_mysql_lock(&ctl->db, lock, CTL_MIGRATE_WAIT_S) != EXAM_DB_OK) {
        rc = ctl_db_failed(ctl);
        goto done;
    }

    rc = ctl_migrate_locked(ctl, &schema);

    exam_mysql_unlock(&ctl->db, lock);

done:

    ctl_schema_free(&schema);

    return rc;
}


/* connects, and makes the database first where there is none */

static ctl_rc_e
ctl_migrate_connect(ctl_t *ctl)
{
    char  sql[EXAM_CONF_TEXT_MAX + 80];

    if (exam_mysql_connect(&ctl->db, true) == EXAM_DB_OK) {
        return CTL_OK;
    }

    if (ctl->db.code != ER_BAD_DB_ERROR) {
        return ctl_db_failed(ctl);
    }

    (void) snprintf(sql, sizeof(sql), "CREATE DATABASE IF NOT EXISTS `%s` "
                    "CHARACTER SET utf8mb4", ctl->conf.mysql.database);

    if (exam_mysql_connect(&ctl->db, false) != EXAM_DB_OK
        || exam_mysql_exec(&ctl->db, sql) != EXAM_DB_OK)
    {
        return ctl_fail(ctl->db.conn == NULL ? CTL_AWAY : CTL_FAILED,
                        "MySQL: %s", ctl->db.error);
    }

    exam_mysql_close(&ctl->db);

    return ctl_connect(ctl);
}


static ctl_rc_e
ctl_migrate_locked(ctl_t *ctl, ctl_schema_t *schema)
{
    size_t            i, done;
    int64_t           start;
    ctl_migration_t  *m;

    if (exam_mysql_exec(&ctl->db, CTL_MIGRATE_TABLE) != EXAM_DB_OK
        || ctl_schema_compare(ctl, schema) != EXAM_DB_OK)
    {
        return ctl_db_failed(ctl);
    }

    if (schema->unknown != 0) {
        return ctl_fail(CTL_CONFLICT, "the database has migration %04u, which "
                        "\"%s\" has not: it is newer than this program",
                        schema->unknown, schema->dir);
    }

    for (i = 0; i < schema->n; i++) {
        if (schema->items[i].altered) {
            return ctl_fail(CTL_CONFLICT, "\"%s\" was changed after it had run",
                            schema->items[i].name);
        }
    }

    done = 0;

    for (i = 0; i < schema->n; i++) {
        m = &schema->items[i];

        if (m->applied) {
            continue;
        }

        start = exam_mono_ms();

        if (ctl_migrate_one(ctl, m) != EXAM_DB_OK) {
            return ctl_fail(ctl->db.conn == NULL ? CTL_AWAY : CTL_FAILED,
                            "%s: %s", m->name, ctl->db.error);
        }

        printf("%s: %lld ms\n", m->name,
               (long long) (exam_mono_ms() - start));
        done++;
    }

    printf("schema version %zu%s\n", schema->n,
           done == 0 ? ", up to date" : "");

    return CTL_OK;
}


static exam_db_e
ctl_migrate_one(ctl_t *ctl, const ctl_migration_t *m)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_mysql_script(&ctl->db, m->sql, m->len);

    if (rc == EXAM_DB_OK) {
        rc = exam_stmt_prepare(&stmt, &ctl->db, "INSERT INTO schema_migrations "
                               "(version, name, checksum, applied_at) "
                               "VALUES (?, ?, ?, ?)");
    }

    if (rc == EXAM_DB_OK) {
        exam_stmt_int(&stmt, 0, m->version);
        exam_stmt_cstr(&stmt, 1, m->name);
        exam_stmt_blob(&stmt, 2, m->checksum, EXAM_HASH_LEN);
        exam_stmt_int(&stmt, 3, exam_now_ms());

        rc = exam_stmt_execute(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc;
}
