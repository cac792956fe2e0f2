
/*
 * The backup of what store and spool cannot give back: a text file, a line of
 * JSON each.
 *
 *     {"exam_monitor_backup":1,"schema":5,"created_at":MS,"node":"n1"}
 *     {"table":"exams","columns":["id","title",...]}
 *     ["30","Title",...]                    a row, in the order of the columns
 *     {"table":"students",...}              and so on, all of ctl_backup_tables
 *     {"keys":"HEX"}                        the key file, byte for byte, if any
 *     {"end":{"exams":1,...},"sha256":"HEX"}
 *
 * Integers are numbers, NULL is null, text is UTF-8; columns of bytes are hex.
 * The last line counts the rows of each table and has the SHA-256 of all bytes
 * before that line: what is torn or altered is refused.
 */


#ifndef CTL_BACKUP_H_INCLUDED
#define CTL_BACKUP_H_INCLUDED


#include "ctl.h"


#define CTL_BACKUP_VERSION   1
#define CTL_BACKUP_TABLES    14
#define CTL_BACKUP_COLUMNS   32
#define CTL_BACKUP_NAME_MAX  64
#define CTL_BACKUP_KEYS_MAX  65536      /* bytes of a key file */


extern const char *const  ctl_backup_tables[CTL_BACKUP_TABLES];


typedef enum {
    CTL_BACKUP_TEXT = 0,
    CTL_BACKUP_INTEGER,
    CTL_BACKUP_BYTES
} ctl_backup_type_e;

typedef struct {
    size_t             n;
    char               names[CTL_BACKUP_COLUMNS][CTL_BACKUP_NAME_MAX + 1];
    ctl_backup_type_e  types[CTL_BACKUP_COLUMNS];
} ctl_backup_columns_t;


/* of a table as the database has it */

EXAM_MUST_CHECK ctl_rc_e ctl_backup_columns(ctl_t *ctl, const char *table,
    ctl_backup_columns_t *columns);

/* the last migration that was applied */

EXAM_MUST_CHECK ctl_rc_e ctl_backup_schema(ctl_t *ctl, int64_t *version);


#endif /* CTL_BACKUP_H_INCLUDED */
