
/*
 * examctl: what its files share.  One process runs one command: ctl_t holds the
 * parsed command line and the connections, which are opened at first use.
 * Single-threaded.
 *
 * Every change goes through ctl_change(): MySQL first, in one transaction with
 * its audit row, then Redis, all under the exam's lock (service/exam_live.h).
 */


#ifndef CTL_H_INCLUDED
#define CTL_H_INCLUDED


#include "exam_change.h"
#include "exam_conf.h"
#include "exam_live.h"
#include "exam_mysql.h"
#include "exam_redis.h"

#include <stdio.h>


/* exit codes, for scripts; shown by --help */

typedef enum {
    CTL_OK = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_NOT_FOUND = 3,
    CTL_CONFLICT = 4,               /* exists already, or a wrong state */
    CTL_AWAY = 5                    /* MySQL or Redis is unavailable */
} ctl_rc_e;


#define CTL_OPTIONS_MAX  8
#define CTL_ARGS_MAX     2


typedef struct ctl_s  ctl_t;


typedef struct {
    const char  *name;              /* without dashes; NULL ends the list */
    const char  *value;             /* its value in help, "!" in front: must
                                       be given; NULL: it has none */
} ctl_option_t;


typedef struct {
    const char    *words;           /* "exam create" */
    const char    *args;            /* "ID STUDENT", "" none; "[ID]": one that
                                       may be missing, the last */
    unsigned       nargs;
    ctl_option_t   options[CTL_OPTIONS_MAX];
    const char    *summary;         /* one line */
    const char    *help;            /* paragraphs below it */
    ctl_rc_e     (*run)(ctl_t *ctl);
} ctl_command_t;


/* what became of a change */

typedef enum {
    CTL_UNCHANGED = 0,
    CTL_COMMITTED,                  /* in MySQL; Redis is another question */
    CTL_UNKNOWN                     /* the connection broke meanwhile */
} ctl_outcome_e;


struct ctl_s {
    const char           *program;  /* argv[0] */
    const ctl_command_t  *command;
    const char           *args[CTL_ARGS_MAX];
    const char           *values[CTL_OPTIONS_MAX];  /* "" for a bare option */
    const char           *config;   /* --config */
    bool                  json;

    exam_conf_t           conf;
    exam_mysql_t          db;
    exam_redis_t          redis;
    ctl_rc_e              refused;  /* why a transaction's body gave up */
    ctl_outcome_e         outcome;  /* of the last ctl_change() */
};


/* lists of commands, one a file; each ends with words == NULL */

extern const ctl_command_t  ctl_exam_commands[];
extern const ctl_command_t  ctl_roster_commands[];
extern const ctl_command_t  ctl_student_commands[];
extern const ctl_command_t  ctl_command_commands[];
extern const ctl_command_t  ctl_node_commands[];
extern const ctl_command_t  ctl_evidence_commands[];


/* ctl_base.c */

/* "examctl: text" on standard error; returns rc */

ctl_rc_e ctl_fail(ctl_rc_e rc, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* a usage error: points to --help of the command */

ctl_rc_e ctl_usage(const ctl_t *ctl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* for a transaction's body: keeps rc for who began it */

exam_db_e ctl_refuse(ctl_t *ctl, ctl_rc_e rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* the option's value, NULL when it was not given */

const char *ctl_option(const ctl_t *ctl, const char *name);

/* argument i as an exam or student id; a usage error else */

EXAM_MUST_CHECK ctl_rc_e ctl_arg_exam(const ctl_t *ctl, unsigned i,
    exam_str_t *id);
EXAM_MUST_CHECK ctl_rc_e ctl_arg_student(const ctl_t *ctl, unsigned i,
    exam_str_t *id);

exam_str_t ctl_str(const char *text);

/* without blanks around it */

exam_str_t ctl_trim(exam_str_t text);

/* 1 to `max` characters of UTF-8 without control characters? */

bool ctl_text_valid(exam_str_t text, size_t min, size_t max);

EXAM_MUST_CHECK ctl_rc_e ctl_connect(ctl_t *ctl);

/* tells what MySQL answered and gives the exit code */

ctl_rc_e ctl_db_failed(ctl_t *ctl);
ctl_rc_e ctl_redis_failed(ctl_t *ctl);


/* ctl_change.c */

/*
 * Checks *e (the exam as it stands), changes its members and whatever else in
 * the same transaction; a refusal by ctl_refuse().  May run more than once.
 */

typedef exam_db_e (*ctl_change_pt)(ctl_t *ctl, exam_live_exam_t *e,
    void *data);

typedef struct {
    const char     *action;         /* of the audit row: "exam.open" */
    exam_str_t      exam;
    exam_str_t      student;        /* empty: not of one student */
    const char     *detail;         /* of the audit row; may be NULL */
    ctl_change_pt   body;
    void           *data;
    bool            create;         /* the exam must not exist, *e is zeroed */
    bool            whole;          /* roster too: load all into Redis */
} ctl_change_t;

EXAM_MUST_CHECK ctl_rc_e ctl_change(ctl_t *ctl, const ctl_change_t *c);

/* a row of audit_log, in the caller's transaction */

EXAM_MUST_CHECK exam_db_e ctl_audit(ctl_t *ctl, const char *action,
    exam_str_t exam, exam_str_t student, const char *detail);

/* examctl:<system user> */

const char *ctl_actor(char actor[EXAM_ACTOR_MAX]);


/* ctl_out.c: listings as text columns or as JSON, row by row */

typedef enum {
    CTL_TEXT = 0,
    CTL_NUMBER,
    CTL_SWITCH,                     /* yes or no; true or false */
    CTL_TIME,                       /* ISO 8601; a number in JSON, 0 = null */
    CTL_JSON                        /* a JSON value as it stands */
} ctl_column_e;

typedef struct {
    const char    *name;            /* member and heading; NULL ends the list */
    ctl_column_e   type;
    int            width;           /* of the text column; 0: JSON only */
} ctl_column_t;

typedef struct {
    bool           null;
    int64_t        number;          /* for all types but CTL_TEXT */
    exam_str_t     text;
} ctl_cell_t;

#define CTL_COLUMNS_MAX  32

typedef struct {
    const ctl_column_t  *columns;
    bool                 json;
    size_t               rows;
} ctl_list_t;

/* `name`: the member that holds the rows */

void ctl_list_begin(ctl_list_t *list, const ctl_t *ctl, const char *name,
    const ctl_column_t *columns);
void ctl_list_row(ctl_list_t *list, const ctl_cell_t *cells);
void ctl_list_end(ctl_list_t *list);

/* a listing of all rows of a query whose columns are those of the list */

EXAM_MUST_CHECK ctl_rc_e ctl_list_query(ctl_t *ctl, const char *name,
    const ctl_column_t *columns, const char *sql, const exam_str_t *args,
    unsigned n);

/* one object: lines of name and value, or a JSON object */

void ctl_object(const ctl_t *ctl, const ctl_column_t *columns,
    const ctl_cell_t *cells);

/* "name":value */

void ctl_cell_json(const ctl_column_t *column, const ctl_cell_t *cell);

/* column i of the fetched row */

ctl_cell_t ctl_cell_col(const exam_stmt_t *stmt, unsigned i);


/* ctl_csv.c */

typedef struct {
    const char   *text;             /* the whole file */
    size_t        len;
    size_t        pos;
    unsigned      line;             /* where the record begins, from 1 */
    unsigned      next;             /* line of pos */
    exam_str_t   *fields;           /* of the record; point into text */
    size_t        n;
    size_t        max;
} ctl_csv_t;

typedef enum {
    CTL_CSV_RECORD = 0,
    CTL_CSV_END,
    CTL_CSV_BAD                     /* a quote that is not closed, or text
                                       behind a closing one */
} ctl_csv_e;

/* `text` is changed while it is read; a BOM is skipped */

void ctl_csv_init(ctl_csv_t *csv, char *text, size_t len);

/* the next record that is not an empty line; goes on behind a bad one */

EXAM_MUST_CHECK ctl_csv_e ctl_csv_next(ctl_csv_t *csv);

void ctl_csv_free(ctl_csv_t *csv);

void ctl_csv_write(FILE *out, exam_str_t field);


/* ctl_people.c: a roster in memory */

typedef struct {
    char      student[EXAM_STUDENT_MAX + 1];
    char     *name;                 /* owned */
    char     *seat;                 /* owned */
    char      group[EXAM_STUDENT_MAX + 1];      /* "" none */
    unsigned  line;                 /* of the file, 0: from MySQL only */
    bool      exists;               /* in MySQL */
    bool      change;               /* to be written */
    bool      coded;                /* `code` is known and is to be shown */
    char      code[EXAM_CODE_SHOWN];
    uint8_t   hash[EXAM_HASH_LEN];
} ctl_person_t;

typedef struct {
    ctl_person_t  *people;
    size_t         n;
    size_t         max;
    uint32_t      *index;           /* hash table: position + 1, 0 = free */
    size_t         slots;           /* a power of two */
} ctl_people_t;

/* ids that differ only in case are the same here; NULL: not there */

ctl_person_t *ctl_people_find(const ctl_people_t *p, exam_str_t student);

/* a new one with empty name, seat and group; the id must not be there yet */

ctl_person_t *ctl_people_add(ctl_people_t *p, exam_str_t student);

void ctl_people_free(ctl_people_t *p);

EXAM_MUST_CHECK exam_db_e ctl_people_load(ctl_t *ctl, exam_str_t exam,
    ctl_people_t *p);

/* writes who has `change` set, in batches; the caller's transaction */

EXAM_MUST_CHECK exam_db_e ctl_people_save(ctl_t *ctl, exam_str_t exam,
    const ctl_people_t *p);

/* a new random code, or the given one (normalised) */

void ctl_person_code(ctl_person_t *person, exam_str_t exam,
    const uint8_t *code);

/* memory that cannot be had ends the program */

char *ctl_dup(exam_str_t text);
void *ctl_alloc(void *old, size_t n, size_t size);


/* ctl_codes.c: OUT.csv, the only place where codes are shown */

typedef struct {
    const char  *path;
    char         tmp[EXAM_PATH_MAX];
    bool         force;             /* an existing file is replaced */
} ctl_codes_t;

/* checks --codes and --force before anything is changed */

EXAM_MUST_CHECK ctl_rc_e ctl_codes_open(const ctl_t *ctl, ctl_codes_t *codes);

/* everything on disk under a temporary name, 0600 */

EXAM_MUST_CHECK ctl_rc_e ctl_codes_write(ctl_codes_t *codes,
    const ctl_people_t *p);

/* after the change: to its name, away, or kept under the temporary one */

EXAM_MUST_CHECK ctl_rc_e ctl_codes_end(const ctl_codes_t *codes,
    ctl_outcome_e outcome);


/* ctl_schema.c */

typedef struct {
    unsigned  version;
    char      name[64];             /* NNNN_name.sql */
    char     *sql;                  /* owned */
    size_t    len;
    uint8_t   checksum[EXAM_HASH_LEN];
    bool      applied;
    bool      altered;              /* differs from what was applied */
} ctl_migration_t;

typedef struct {
    char              dir[EXAM_PATH_MAX];
    ctl_migration_t  *items;        /* by version, 1 to n */
    size_t            n;
    unsigned          unknown;      /* highest version applied, but not here */
} ctl_schema_t;

/* the folder's files; `dir` NULL: the nearest `schema` above the program */

EXAM_MUST_CHECK ctl_rc_e ctl_schema_read(const ctl_t *ctl, const char *dir,
    ctl_schema_t *schema);

/* marks what the database has; RETRY when it has no schema_migrations */

EXAM_MUST_CHECK exam_db_e ctl_schema_compare(ctl_t *ctl,
    ctl_schema_t *schema);

void ctl_schema_free(ctl_schema_t *schema);


/* commands of other files of ctl_node_commands */

ctl_rc_e ctl_keys_rotate(ctl_t *ctl);
ctl_rc_e ctl_doctor(ctl_t *ctl);


/* commands of ctl_evidence_commands, a file each */

ctl_rc_e ctl_audit_exam(ctl_t *ctl);
ctl_rc_e ctl_rebuild(ctl_t *ctl);
ctl_rc_e ctl_backup(ctl_t *ctl);
ctl_rc_e ctl_restore(ctl_t *ctl);


#endif /* CTL_H_INCLUDED */
