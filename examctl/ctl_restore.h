
/*
 * Reading a backup (ctl_backup.h): lines, their SHA-256, and what is in them.
 */


#ifndef CTL_RESTORE_H_INCLUDED
#define CTL_RESTORE_H_INCLUDED


#include "ctl_backup.h"
#include "exam_sha256.h"


#define CTL_RESTORE_LINE   (1024 * 1024)        /* bytes */
#define CTL_RESTORE_ARENA  (8 * CTL_RESTORE_LINE)


typedef enum {
    CTL_LINE_HEADER = 0,
    CTL_LINE_TABLE,
    CTL_LINE_ROW,
    CTL_LINE_KEYS,
    CTL_LINE_END
} ctl_line_e;


typedef struct {
    bool        null;
    bool        integer;
    int64_t     number;
    exam_str_t  text;
} ctl_value_t;


/* one line; strings lie in the arena that was given */

typedef struct {
    ctl_line_e   type;
    int64_t      version;           /* header */
    int64_t      schema;
    exam_str_t   table;
    exam_str_t   keys;
    size_t       n;                 /* columns or values */
    ctl_value_t  values[CTL_BACKUP_COLUMNS];
    int64_t      rows[CTL_BACKUP_TABLES];       /* end */
    unsigned     counted;           /* a bit for each of them */
    exam_str_t   sha256;
} ctl_line_t;


typedef struct {
    const char     *path;
    FILE           *file;
    char           *line;
    size_t          size;
    uint64_t        number;         /* of the line, from 1 */
    exam_sha256_t   hash;           /* of the lines before this one */
    exam_sha256_t   next;           /* and of this one */
    void           *memory;         /* yajl's */
} ctl_reader_t;


EXAM_MUST_CHECK ctl_rc_e ctl_reader_open(ctl_reader_t *r, const char *path);
EXAM_MUST_CHECK ctl_rc_e ctl_reader_rewind(ctl_reader_t *r);

/* what is no line of a backup is FAILED with a message */

EXAM_MUST_CHECK ctl_rc_e ctl_reader_next(ctl_reader_t *r, exam_str_t *line);

/* EXAM_ERR_TOO_LARGE: the arena is full */

EXAM_MUST_CHECK exam_err_e ctl_reader_parse(ctl_reader_t *r, exam_str_t text,
    exam_arena_t *arena, ctl_line_t *line);

/* is an end's hash that of all lines before it? */

bool ctl_reader_whole(const ctl_reader_t *r, const ctl_line_t *end);

ctl_rc_e ctl_reader_failed(const ctl_reader_t *r, const char *what);
void ctl_reader_close(ctl_reader_t *r);


#endif /* CTL_RESTORE_H_INCLUDED */
