
/*
 * The commands that change a roster.  An import is all or nothing: the file is
 * read whole, every line is checked, and only a file without an error begins a
 * transaction's writes.
 */


#include "ctl.h"
#include "exam_file.h"

#include <errno.h>
#include <stdlib.h>


#define CTL_ROSTER_FILE_MAX   (64 * 1024 * 1024)
#define CTL_ROSTER_COUNT_MAX  100000
#define CTL_ROSTER_SHOWN      100       /* errors printed as text */
#define CTL_NAME_CHARS        255
#define CTL_SEAT_CHARS        64


/* columns of the file; the order is the one of ctl_roster_names */

typedef enum {
    CTL_ROSTER_STUDENT = 0,
    CTL_ROSTER_NAME,
    CTL_ROSTER_CODE,
    CTL_ROSTER_SEAT,
    CTL_ROSTER_GROUP,
    CTL_ROSTER_COLUMNS
} ctl_roster_column_e;


typedef struct {
    unsigned     line;
    const char  *code;              /* stable, for programs */
    const char  *text;
} ctl_roster_error_t;


typedef struct {
    unsigned     line;
    exam_str_t   student;           /* all point into the file */
    exam_str_t   name;
    exam_str_t   seat;
    exam_str_t   group;
    bool         has_code;
    uint8_t      code[EXAM_CODE_LEN];
} ctl_roster_row_t;


typedef struct {
    const char          *file;
    int                  columns[CTL_ROSTER_COLUMNS];   /* -1: not there */
    size_t               ncolumns;
    ctl_roster_row_t    *rows;
    size_t               n;
    size_t               max;
    ctl_roster_error_t  *errors;
    size_t               nerrors;
    size_t               max_errors;

    uint64_t             count;     /* generate */
    const char          *prefix;

    ctl_people_t         people;
    ctl_codes_t          codes;
    size_t               added;
    size_t               updated;
} ctl_roster_t;


static ctl_rc_e ctl_roster_import(ctl_t *ctl);
static ctl_rc_e ctl_roster_generate(ctl_t *ctl);
static ctl_rc_e ctl_roster_run(ctl_t *ctl, ctl_roster_t *r,
    const char *action, ctl_change_pt body);
static void ctl_roster_report(ctl_t *ctl, ctl_roster_t *r);
static void ctl_roster_free(ctl_roster_t *r);
static void ctl_roster_read(ctl_roster_t *r, ctl_csv_t *csv);
static bool ctl_roster_header(ctl_roster_t *r, const ctl_csv_t *csv);
static void ctl_roster_line(ctl_roster_t *r, const ctl_csv_t *csv);
static exam_str_t ctl_roster_field(const ctl_roster_t *r,
    const ctl_csv_t *csv, ctl_roster_column_e column);
static void ctl_roster_bad(ctl_roster_t *r, unsigned line, const char *code,
    const char *text);
static int ctl_roster_order(const void *a, const void *b);
static exam_db_e ctl_roster_do_import(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static void ctl_roster_merge(ctl_roster_t *r, const ctl_roster_row_t *row,
    exam_str_t exam);
static exam_db_e ctl_roster_do_generate(ctl_t *ctl, exam_live_exam_t *e,
    void *data);
static exam_db_e ctl_roster_begin(ctl_t *ctl, const exam_live_exam_t *e,
    ctl_roster_t *r);
static exam_db_e ctl_roster_save(ctl_t *ctl, const exam_live_exam_t *e,
    ctl_roster_t *r);


static const char *const  ctl_roster_names[] = {
    "student", "name", "code", "seat", "group"
};

#define CTL_ROSTER_HEADER                                                     \
    "the first line is not student,name,code[,seat][,group]"


const ctl_command_t  ctl_roster_commands[] = {

    { "roster import", "ID FILE.csv", 2,
      { { "codes", "!OUT.csv" }, { "force", NULL }, { "json", NULL } },
      "Adds and changes students from a CSV file, all or nothing.",
      "The first line names the columns: student,name,code and, if wanted,"
      " seat and\ngroup.  A group is written as an id is; commands can be sent"
      " to it.  An empty\ncode: a student who is there already keeps the code,"
      " a new one gets a random\ncode.  Ids that differ only in case are"
      " refused.  Students that are not in the\nfile stay as they are.\n\n"
      "OUT.csv (mode 0600) gets student,name,code of everybody whose code is"
      " new: it\nis the only place where codes are shown.  It must not exist,"
      " or --force.\n\n"
      "Errors are printed as FILE:LINE: CODE: text; with --json as"
      "\n{\"added\",\"updated\",\"errors\":[{\"line\",\"code\"}]}.\n",
      ctl_roster_import },

    { "roster generate", "ID", 1,
      { { "count", "!N" }, { "prefix", "s" }, { "codes", "!OUT.csv" },
        { "force", NULL }, { "json", NULL } },
      "Makes N students with random codes: s001, s002, ...",
      "With --force, students that are there already get new codes, and an"
      " existing\nOUT.csv is replaced.\n",
      ctl_roster_generate },

    { .words = NULL }
};


static ctl_rc_e
ctl_roster_import(ctl_t *ctl)
{
    char          *text;
    size_t         len;
    ctl_rc_e       rc;
    ctl_csv_t      csv;
    exam_str_t     exam;
    ctl_roster_t   r;

    memset(&r, 0, sizeof(ctl_roster_t));

    rc = ctl_arg_exam(ctl, 0, &exam);

    if (rc == CTL_OK) {
        rc = ctl_codes_open(ctl, &r.codes);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    r.file = ctl->args[1];

    if (exam_file_read(r.file, CTL_ROSTER_FILE_MAX, &text, &len) != 0) {
        return ctl_fail(CTL_FAILED, "cannot read \"%s\": %s", r.file,
                        strerror(errno));
    }

    ctl_csv_init(&csv, text, len);
    ctl_roster_read(&r, &csv);
    ctl_csv_free(&csv);

    rc = ctl_roster_run(ctl, &r, "roster.import", ctl_roster_do_import);

    /* codes stood in it */

    explicit_bzero(text, len);
    free(text);

    return rc;
}


static ctl_rc_e
ctl_roster_generate(ctl_t *ctl)
{
    ctl_rc_e      rc;
    exam_str_t    exam;
    const char   *count;
    ctl_roster_t  r;

    memset(&r, 0, sizeof(ctl_roster_t));

    rc = ctl_arg_exam(ctl, 0, &exam);

    if (rc == CTL_OK) {
        rc = ctl_codes_open(ctl, &r.codes);
    }

    if (rc != CTL_OK) {
        return rc;
    }

    count = ctl_option(ctl, "count");
    r.prefix = ctl_option(ctl, "prefix");

    if (r.prefix == NULL) {
        r.prefix = "s";
    }

    if (!exam_uint_parse((const uint8_t *) count, strlen(count),
                         CTL_ROSTER_COUNT_MAX, &r.count)
        || r.count == 0)
    {
        return ctl_usage(ctl, "--count is 1 to %d", CTL_ROSTER_COUNT_MAX);
    }

    /* a number of up to six digits stands behind it */

    if ((r.prefix[0] != '\0' && !exam_id_student(ctl_str(r.prefix)))
        || strlen(r.prefix) + 6 > EXAM_STUDENT_MAX)
    {
        return ctl_usage(ctl, "bad --prefix: ids of students begin with it");
    }

    return ctl_roster_run(ctl, &r, "roster.generate", ctl_roster_do_generate);
}


static ctl_rc_e
ctl_roster_run(ctl_t *ctl, ctl_roster_t *r, const char *action,
    ctl_change_pt body)
{
    ctl_rc_e      rc, end;
    ctl_change_t  change;

    memset(&change, 0, sizeof(ctl_change_t));

    change.action = action;
    change.exam = ctl_str(ctl->args[0]);
    change.body = body;
    change.data = r;
    change.whole = true;

    rc = ctl_change(ctl, &change);
    end = ctl_codes_end(&r->codes, ctl->outcome);

    ctl_roster_report(ctl, r);
    ctl_roster_free(r);

    return (rc != CTL_OK) ? rc : end;
}


static void
ctl_roster_report(ctl_t *ctl, ctl_roster_t *r)
{
    size_t  i;

    if (ctl->outcome != CTL_COMMITTED) {
        r->added = 0;
        r->updated = 0;
    }

    if (r->nerrors != 0) {
        qsort(r->errors, r->nerrors, sizeof(ctl_roster_error_t),
              ctl_roster_order);
    }

    if (ctl->json) {
        printf("{\"added\":%zu,\"updated\":%zu,\"errors\":[", r->added,
               r->updated);

        for (i = 0; i < r->nerrors; i++) {
            printf("%s{\"line\":%u,\"code\":\"%s\"}", i == 0 ? "" : ",",
                   r->errors[i].line, r->errors[i].code);
        }

        printf("]}\n");

    } else if (ctl->outcome == CTL_COMMITTED) {
        printf("%zu added, %zu updated; new codes are in \"%s\"\n", r->added,
               r->updated, r->codes.path);
    }

    for (i = 0; i < r->nerrors && i < CTL_ROSTER_SHOWN; i++) {
        fprintf(stderr, "%s:%u: %s: %s\n", r->file, r->errors[i].line,
                r->errors[i].code, r->errors[i].text);
    }

    if (i < r->nerrors) {
        fprintf(stderr, "%s: %zu more errors\n", r->file, r->nerrors - i);
    }
}


static int
ctl_roster_order(const void *a, const void *b)
{
    const ctl_roster_error_t  *x, *y;

    x = a;
    y = b;

    return (x->line > y->line) - (x->line < y->line);
}


static void
ctl_roster_free(ctl_roster_t *r)
{
    ctl_people_free(&r->people);
    free(r->rows);
    free(r->errors);
}


/* the file into rows and errors; MySQL is not asked yet */

static void
ctl_roster_read(ctl_roster_t *r, ctl_csv_t *csv)
{
    ctl_csv_e  rc;

    rc = ctl_csv_next(csv);

    if (rc != CTL_CSV_RECORD) {
        ctl_roster_bad(r, csv->line != 0 ? csv->line : 1, "bad_header",
                       CTL_ROSTER_HEADER);
        return;
    }

    if (!ctl_roster_header(r, csv)) {
        return;
    }

    while ((rc = ctl_csv_next(csv)) != CTL_CSV_END) {

        if (rc == CTL_CSV_BAD) {
            ctl_roster_bad(r, csv->line, "bad_csv",
                           "a quote is not closed, or text stands behind it");
            continue;
        }

        ctl_roster_line(r, csv);
    }
}


static bool
ctl_roster_header(ctl_roster_t *r, const ctl_csv_t *csv)
{
    int     c;
    size_t  i;

    for (c = 0; c < CTL_ROSTER_COLUMNS; c++) {
        r->columns[c] = -1;
    }

    r->ncolumns = csv->n;

    for (i = 0; i < csv->n; i++) {

        for (c = 0; c < CTL_ROSTER_COLUMNS; c++) {
            if (exam_str_eq(ctl_trim(csv->fields[i]),
                            ctl_str(ctl_roster_names[c])))
            {
                break;
            }
        }

        if (c == CTL_ROSTER_COLUMNS || r->columns[c] != -1) {
            goto bad;
        }

        r->columns[c] = (int) i;
    }

    /* only seat and group may be left out */

    for (c = 0; c < CTL_ROSTER_SEAT; c++) {
        if (r->columns[c] == -1) {
            goto bad;
        }
    }

    return true;

bad:

    ctl_roster_bad(r, csv->line, "bad_header", CTL_ROSTER_HEADER);

    return false;
}


static void
ctl_roster_line(ctl_roster_t *r, const ctl_csv_t *csv)
{
    size_t             i;
    exam_str_t         code;
    ctl_roster_row_t  *row;

    if (csv->n != r->ncolumns) {
        ctl_roster_bad(r, csv->line, "bad_columns",
                       "another number of columns than the first line");
        return;
    }

    for (i = 0; i < csv->n; i++) {
        if (!exam_utf8_valid(csv->fields[i].data, csv->fields[i].len)) {
            ctl_roster_bad(r, csv->line, "bad_utf8",
                           "not UTF-8: save the file as CSV UTF-8");
            return;
        }
    }

    if (r->n == r->max) {
        r->max = r->max * 2 + 64;
        r->rows = ctl_alloc(r->rows, r->max, sizeof(ctl_roster_row_t));
    }

    row = &r->rows[r->n];
    memset(row, 0, sizeof(ctl_roster_row_t));

    row->line = csv->line;
    row->student = ctl_roster_field(r, csv, CTL_ROSTER_STUDENT);
    row->name = ctl_roster_field(r, csv, CTL_ROSTER_NAME);
    row->seat = ctl_roster_field(r, csv, CTL_ROSTER_SEAT);
    row->group = ctl_roster_field(r, csv, CTL_ROSTER_GROUP);
    code = ctl_roster_field(r, csv, CTL_ROSTER_CODE);
    row->has_code = code.len != 0;

    if (!exam_id_student(row->student)) {
        ctl_roster_bad(r, row->line, "bad_student", "1 to 64 of A-Z a-z 0-9 "
                       ". _ @ -, a letter or digit first, no \"..\"");
        return;
    }

    if (!ctl_text_valid(row->name, 1, CTL_NAME_CHARS)) {
        ctl_roster_bad(r, row->line, "bad_name", "1 to 255 characters, no "
                       "control characters");
        return;
    }

    if (!ctl_text_valid(row->seat, 0, CTL_SEAT_CHARS)) {
        ctl_roster_bad(r, row->line, "bad_seat", "at most 64 characters, no "
                       "control characters");
        return;
    }

    if (row->group.len != 0 && !exam_id_student(row->group)) {
        ctl_roster_bad(r, row->line, "bad_group", "at most 64 of A-Z a-z 0-9 "
                       ". _ @ -, a letter or digit first, no \"..\"");
        return;
    }

    if (row->has_code && !exam_code_normal(code, row->code)) {
        ctl_roster_bad(r, row->line, "bad_code", "16 of 0-9 A-Z without I L O "
                       "U, spaces and dashes do not count; or empty");
        return;
    }

    r->n++;
}


static exam_str_t
ctl_roster_field(const ctl_roster_t *r, const ctl_csv_t *csv,
    ctl_roster_column_e column)
{
    if (r->columns[column] == -1) {
        return exam_str_make("", 0);
    }

    return ctl_trim(csv->fields[r->columns[column]]);
}


static void
ctl_roster_bad(ctl_roster_t *r, unsigned line, const char *code,
    const char *text)
{
    ctl_roster_error_t  *e;

    if (r->nerrors == r->max_errors) {
        r->max_errors = r->max_errors * 2 + 16;
        r->errors = ctl_alloc(r->errors, r->max_errors,
                              sizeof(ctl_roster_error_t));
    }

    e = &r->errors[r->nerrors++];

    e->line = line;
    e->code = code;
    e->text = text;
}


static exam_db_e
ctl_roster_do_import(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    size_t         i;
    exam_db_e      rc;
    ctl_roster_t  *r;

    r = data;

    rc = ctl_roster_begin(ctl, e, r);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0; i < r->n; i++) {
        ctl_roster_merge(r, &r->rows[i], ctl_str(e->id));
    }

    if (r->nerrors != 0) {
        return ctl_refuse(ctl, CTL_FAILED, "\"%s\" has errors: nothing is "
                          "changed", r->file);
    }

    return ctl_roster_save(ctl, e, r);
}


static void
ctl_roster_merge(ctl_roster_t *r, const ctl_roster_row_t *row, exam_str_t exam)
{
    ctl_person_t  *person;

    person = ctl_people_find(&r->people, row->student);

    if (person != NULL && !exam_str_eq(ctl_str(person->student), row->student))
    {
        ctl_roster_bad(r, row->line, "case_duplicate", "an id that differs "
                       "only in case is there already");
        return;
    }

    if (person != NULL && person->change) {
        ctl_roster_bad(r, row->line, "duplicate_student", "the id stands in "
                       "the file twice");
        return;
    }

    if (person == NULL) {
        person = ctl_people_add(&r->people, row->student);
    }

    if (person->exists) {
        r->updated++;
    } else {
        r->added++;
    }

    person->change = true;

    free(person->name);
    person->name = ctl_dup(row->name);

    if (r->columns[CTL_ROSTER_SEAT] != -1) {
        free(person->seat);
        person->seat = ctl_dup(row->seat);
    }

    if (r->columns[CTL_ROSTER_GROUP] != -1) {
        memcpy(person->group, row->group.data, row->group.len);
        person->group[row->group.len] = '\0';
    }

    if (row->has_code || !person->exists) {
        ctl_person_code(person, exam, row->has_code ? row->code : NULL);
    }
}


static exam_db_e
ctl_roster_do_generate(ctl_t *ctl, exam_live_exam_t *e, void *data)
{
    int            width;
    char           student[EXAM_STUDENT_MAX + 1], name[32];
    uint64_t       i;
    exam_db_e      rc;
    ctl_person_t  *person;
    ctl_roster_t  *r;

    r = data;

    rc = ctl_roster_begin(ctl, e, r);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    width = snprintf(name, sizeof(name), "%llu",
                     (unsigned long long) r->count);
    width = (width < 3) ? 3 : width;

    for (i = 1; i <= r->count; i++) {
        (void) snprintf(student, sizeof(student), "%s%0*llu", r->prefix, width,
                        (unsigned long long) i);

        person = ctl_people_find(&r->people, ctl_str(student));

        if (person != NULL
            && (!r->codes.force || strcmp(person->student, student) != 0))
        {
            return ctl_refuse(ctl, CTL_CONFLICT, "student \"%s\" exists "
                              "already: another --prefix%s", person->student,
                              r->codes.force ? ""
                              : ", or --force for new codes");
        }

        if (person == NULL) {
            person = ctl_people_add(&r->people, ctl_str(student));

            (void) snprintf(name, sizeof(name), "Candidate %0*llu", width,
                            (unsigned long long) i);
            free(person->name);
            person->name = ctl_dup(ctl_str(name));
            r->added++;

        } else {
            r->updated++;
        }

        person->change = true;
        ctl_person_code(person, ctl_str(e->id), NULL);
    }

    return ctl_roster_save(ctl, e, r);
}


/* the roster as MySQL has it; again from the start when repeated */

static exam_db_e
ctl_roster_begin(ctl_t *ctl, const exam_live_exam_t *e, ctl_roster_t *r)
{
    if (e->state == EXAM_STATE_ARCHIVED) {
        return ctl_refuse(ctl, CTL_CONFLICT, "exam \"%s\" is archived", e->id);
    }

    ctl_people_free(&r->people);
    r->added = 0;
    r->updated = 0;

    return ctl_people_load(ctl, ctl_str(e->id), &r->people);
}


static exam_db_e
ctl_roster_save(ctl_t *ctl, const exam_live_exam_t *e, ctl_roster_t *r)
{
    ctl_rc_e  rc;

    rc = ctl_codes_write(&r->codes, &r->people);

    if (rc != CTL_OK) {
        ctl->refused = rc;
        return EXAM_DB_DATA;
    }

    return ctl_people_save(ctl, ctl_str(e->id), &r->people);
}
