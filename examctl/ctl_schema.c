
/*
 * The migrations: schema/NNNN_name.sql, numbered from 0001 without a gap, and
 * what schema_migrations says of them.
 */


#include "ctl.h"
#include "exam_file.h"
#include "exam_sha256.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>


#define CTL_SCHEMA_FILE_MAX  (1024 * 1024)
#define CTL_SCHEMA_FIRST     "schema/0001_exams.sql"
#define CTL_SCHEMA_SYSTEM    "/usr/share/exam-monitor"


static ctl_rc_e ctl_schema_find(const ctl_t *ctl, char dir[EXAM_PATH_MAX]);
static bool ctl_schema_above(const char *program, char dir[EXAM_PATH_MAX]);
static ctl_rc_e ctl_schema_add(ctl_schema_t *schema, const char *name);
static int ctl_schema_filter(const struct dirent *entry);


ctl_rc_e
ctl_schema_read(const ctl_t *ctl, const char *dir, ctl_schema_t *schema)
{
    int              i, n;
    ctl_rc_e         rc;
    struct dirent  **names;

    memset(schema, 0, sizeof(ctl_schema_t));

    if (dir == NULL) {
        rc = ctl_schema_find(ctl, schema->dir);

        if (rc != CTL_OK) {
            return rc;
        }

    } else if (snprintf(schema->dir, sizeof(schema->dir), "%s", dir)
               >= (int) sizeof(schema->dir))
    {
        return ctl_fail(CTL_USAGE, "the path of --schema is too long");
    }

    n = scandir(schema->dir, &names, ctl_schema_filter, alphasort);

    if (n < 0) {
        return ctl_fail(CTL_FAILED, "cannot read \"%s\": %s", schema->dir,
                        strerror(errno));
    }

    rc = CTL_OK;

    for (i = 0; i < n; i++) {
        if (rc == CTL_OK) {
            rc = ctl_schema_add(schema, names[i]->d_name);
        }

        free(names[i]);
    }

    free(names);

    if (rc == CTL_OK && schema->n == 0) {
        rc = ctl_fail(CTL_FAILED, "no migrations in \"%s\"", schema->dir);
    }

    return rc;
}


static ctl_rc_e
ctl_schema_add(ctl_schema_t *schema, const char *name)
{
    char              path[EXAM_PATH_MAX + 256];
    exam_sha256_t     h;
    ctl_migration_t  *m;

    schema->items = ctl_alloc(schema->items, schema->n + 1,
                              sizeof(ctl_migration_t));
    m = &schema->items[schema->n];
    memset(m, 0, sizeof(ctl_migration_t));

    m->version = (unsigned) atoi(name);

    if (m->version != schema->n + 1 || strlen(name) >= sizeof(m->name)) {
        return ctl_fail(CTL_FAILED, "\"%s/%s\" is not migration %04zu",
                        schema->dir, name, schema->n + 1);
    }

    strcpy(m->name, name);
    (void) snprintf(path, sizeof(path), "%s/%s", schema->dir, name);

    if (exam_file_read(path, CTL_SCHEMA_FILE_MAX, &m->sql, &m->len) != 0) {
        return ctl_fail(CTL_FAILED, "cannot read \"%s\": %s", path,
                        strerror(errno));
    }

    exam_sha256_init(&h);
    exam_sha256_update(&h, m->sql, m->len);
    exam_sha256_final(&h, m->checksum);

    schema->n++;

    return CTL_OK;
}


static int
ctl_schema_filter(const struct dirent *entry)
{
    size_t       len;
    const char  *name;

    name = entry->d_name;
    len = strlen(name);

    return strspn(name, "0123456789") == 4 && name[4] == '_' && len > 9
           && strcmp(name + len - 4, ".sql") == 0;
}


/*
 * The nearest `schema` above the program, as it was called or as it is behind
 * links: var/bin and var/build/<flavour>/bin both lie below the tree's root.
 */

static ctl_rc_e
ctl_schema_find(const ctl_t *ctl, char dir[EXAM_PATH_MAX])
{
    if (strchr(ctl->program, '/') != NULL
        && ctl_schema_above(ctl->program, dir))
    {
        return CTL_OK;
    }

    if (ctl_schema_above("/proc/self/exe", dir)) {
        return CTL_OK;
    }

    (void) snprintf(dir, EXAM_PATH_MAX, "%s/schema", CTL_SCHEMA_SYSTEM);

    if (access(CTL_SCHEMA_SYSTEM "/" CTL_SCHEMA_FIRST, F_OK) == 0) {
        return CTL_OK;
    }

    return ctl_fail(CTL_FAILED, "no folder \"schema\" above \"%s\" nor in "
                    "\"%s\": give --schema DIR", ctl->program,
                    CTL_SCHEMA_SYSTEM);
}


static bool
ctl_schema_above(const char *program, char dir[EXAM_PATH_MAX])
{
    bool   found;
    char   path[EXAM_PATH_MAX + sizeof(CTL_SCHEMA_FIRST)], *real, *slash;

    real = realpath(program, NULL);

    if (real == NULL) {
        return false;
    }

    found = false;

    while (!found && (slash = strrchr(real, '/')) != NULL) {
        *slash = '\0';

        if (strlen(real) + sizeof(CTL_SCHEMA_FIRST) + 1 > EXAM_PATH_MAX) {
            continue;
        }

        (void) snprintf(path, sizeof(path), "%s/" CTL_SCHEMA_FIRST, real);

        found = access(path, F_OK) == 0;
    }

    if (found) {
        (void) snprintf(dir, EXAM_PATH_MAX, "%s/schema", real);
    }

    free(real);

    return found;
}


exam_db_e
ctl_schema_compare(ctl_t *ctl, ctl_schema_t *schema)
{
    int64_t           version;
    exam_db_e         rc;
    exam_str_t        checksum;
    exam_stmt_t       stmt;
    ctl_migration_t  *m;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT version, checksum "
                         "FROM schema_migrations ORDER BY version", NULL, 0);

    while (rc == EXAM_DB_OK) {
        version = exam_stmt_col_int(&stmt, 0);
        checksum = exam_stmt_col_str(&stmt, 1);

        if (version < 1 || (uint64_t) version > schema->n) {
            schema->unknown = (unsigned) version;

        } else {
            m = &schema->items[version - 1];
            m->applied = true;
            m->altered = !exam_str_eq(checksum, exam_str_make(m->checksum,
                                                             EXAM_HASH_LEN));
        }

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_END) ? EXAM_DB_OK : rc;
}


void
ctl_schema_free(ctl_schema_t *schema)
{
    size_t  i;

    for (i = 0; i < schema->n; i++) {
        free(schema->items[i].sql);
    }

    free(schema->items);
    memset(schema, 0, sizeof(ctl_schema_t));
}
