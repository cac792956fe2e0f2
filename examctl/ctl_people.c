
/*
 * A roster in memory: what MySQL has of it and what is to be written.  A hash
 * table over the lower-cased ids finds those that differ only in case.  Memory
 * that cannot be had ends the program: nothing has been changed by then.
 */


#include "ctl.h"
#include "exam_time.h"

#include <stdlib.h>


#define CTL_PEOPLE_BATCH    200     /* rows an INSERT */
#define CTL_PEOPLE_COLUMNS  7

#define CTL_PEOPLE_HEAD                                                       \
    "INSERT INTO students (exam, student, name, seat, group_name, "           \
    "code_sha256, created_at) VALUES "
#define CTL_PEOPLE_ROW  "(?, ?, ?, ?, ?, ?, ?)"
#define CTL_PEOPLE_TAIL                                                       \
    " ON DUPLICATE KEY UPDATE name = VALUES(name), seat = VALUES(seat), "     \
    "group_name = VALUES(group_name), code_sha256 = VALUES(code_sha256)"


static size_t ctl_people_slot(const ctl_people_t *p, exam_str_t student);
static bool ctl_people_same(const ctl_person_t *person, exam_str_t student);
static void ctl_people_grow(ctl_people_t *p);
static uint8_t ctl_people_lower(uint8_t c);
static exam_db_e ctl_people_batch(ctl_t *ctl, exam_stmt_t *stmt,
    exam_str_t exam, const ctl_person_t *const *batch, unsigned n);


ctl_person_t *
ctl_people_find(const ctl_people_t *p, exam_str_t student)
{
    size_t  i;

    if (p->slots == 0) {
        return NULL;
    }

    i = ctl_people_slot(p, student);

    return (p->index[i] != 0) ? &p->people[p->index[i] - 1] : NULL;
}


ctl_person_t *
ctl_people_add(ctl_people_t *p, exam_str_t student)
{
    ctl_person_t  *person;

    if (2 * (p->n + 1) > p->slots) {
        ctl_people_grow(p);
    }

    if (p->n == p->max) {
        p->max = p->max * 2 + 64;
        p->people = ctl_alloc(p->people, p->max, sizeof(ctl_person_t));
    }

    person = &p->people[p->n];
    memset(person, 0, sizeof(ctl_person_t));

    memcpy(person->student, student.data, student.len);
    person->name = ctl_dup(exam_str(""));
    person->seat = ctl_dup(exam_str(""));

    p->n++;
    p->index[ctl_people_slot(p, student)] = (uint32_t) p->n;

    return person;
}


void
ctl_people_free(ctl_people_t *p)
{
    size_t  i;

    for (i = 0; i < p->n; i++) {
        free(p->people[i].name);
        free(p->people[i].seat);
        explicit_bzero(p->people[i].code, EXAM_CODE_SHOWN);
    }

    free(p->people);
    free(p->index);

    memset(p, 0, sizeof(ctl_people_t));
}


/* where the student is, or the free slot where it belongs */

static size_t
ctl_people_slot(const ctl_people_t *p, exam_str_t student)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261u;

    for (i = 0; i < student.len; i++) {
        hash = (hash ^ ctl_people_lower(student.data[i])) * 16777619u;
    }

    i = hash & (p->slots - 1);

    while (p->index[i] != 0
           && !ctl_people_same(&p->people[p->index[i] - 1], student))
    {
        i = (i + 1) & (p->slots - 1);
    }

    return i;
}


static bool
ctl_people_same(const ctl_person_t *person, exam_str_t student)
{
    size_t  i;

    if (strlen(person->student) != student.len) {
        return false;
    }

    for (i = 0; i < student.len; i++) {
        if (ctl_people_lower((uint8_t) person->student[i])
            != ctl_people_lower(student.data[i]))
        {
            return false;
        }
    }

    return true;
}


static uint8_t
ctl_people_lower(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') ? (uint8_t) (c | 0x20) : c;
}


static void
ctl_people_grow(ctl_people_t *p)
{
    size_t  i;

    p->slots = (p->slots == 0) ? 1024 : 2 * p->slots;
    p->index = ctl_alloc(p->index, p->slots, sizeof(uint32_t));

    memset(p->index, 0, p->slots * sizeof(uint32_t));

    for (i = 0; i < p->n; i++) {
        p->index[ctl_people_slot(p, ctl_str(p->people[i].student))]
            = (uint32_t) (i + 1);
    }
}


exam_db_e
ctl_people_load(ctl_t *ctl, exam_str_t exam, ctl_people_t *p)
{
    exam_db_e      rc;
    exam_str_t     hash;
    exam_stmt_t    stmt;
    ctl_person_t  *person;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &ctl->db, "SELECT student, name, seat, "
                         "group_name, code_sha256 FROM students "
                         "WHERE exam = ?", &exam, 1);

    while (rc == EXAM_DB_OK) {
        person = ctl_people_add(p, exam_stmt_col_str(&stmt, 0));
        person->exists = true;

        free(person->name);
        free(person->seat);

        person->name = ctl_dup(exam_stmt_col_str(&stmt, 1));
        person->seat = ctl_dup(exam_stmt_col_str(&stmt, 2));

        exam_stmt_col_copy(&stmt, 3, person->group, sizeof(person->group));

        hash = exam_stmt_col_str(&stmt, 4);

        if (hash.len == EXAM_HASH_LEN) {
            memcpy(person->hash, hash.data, EXAM_HASH_LEN);
        }

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    return (rc == EXAM_DB_END) ? EXAM_DB_OK : rc;
}


exam_db_e
ctl_people_save(ctl_t *ctl, exam_str_t exam, const ctl_people_t *p)
{
    size_t               i;
    unsigned             n;
    exam_db_e            rc;
    exam_stmt_t          full, rest;
    const ctl_person_t  *batch[CTL_PEOPLE_BATCH];

    memset(&full, 0, sizeof(exam_stmt_t));
    memset(&rest, 0, sizeof(exam_stmt_t));

    rc = EXAM_DB_OK;
    n = 0;

    for (i = 0; rc == EXAM_DB_OK && i < p->n; i++) {
        if (!p->people[i].change) {
            continue;
        }

        batch[n++] = &p->people[i];

        if (n == CTL_PEOPLE_BATCH) {
            rc = ctl_people_batch(ctl, &full, exam, batch, n);
            n = 0;
        }
    }

    if (rc == EXAM_DB_OK && n != 0) {
        rc = ctl_people_batch(ctl, &rest, exam, batch, n);
    }

    exam_stmt_close(&full);
    exam_stmt_close(&rest);

    return rc;
}


static exam_db_e
ctl_people_batch(ctl_t *ctl, exam_stmt_t *stmt, exam_str_t exam,
    const ctl_person_t *const *batch, unsigned n)
{
    int64_t    now;
    unsigned   i, j;
    exam_db_e  rc;

    rc = exam_stmt_prepare_rows(stmt, &ctl->db, CTL_PEOPLE_HEAD,
                                CTL_PEOPLE_ROW, n, CTL_PEOPLE_TAIL);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    now = exam_now_ms();

    for (i = 0; i < n; i++) {
        j = i * CTL_PEOPLE_COLUMNS;

        exam_stmt_text(stmt, j, exam);
        exam_stmt_cstr(stmt, j + 1, batch[i]->student);
        exam_stmt_cstr(stmt, j + 2, batch[i]->name);
        exam_stmt_cstr(stmt, j + 3, batch[i]->seat);
        exam_stmt_cstr(stmt, j + 4, batch[i]->group);
        exam_stmt_blob(stmt, j + 5, batch[i]->hash, EXAM_HASH_LEN);
        exam_stmt_int(stmt, j + 6, now);
    }

    return exam_stmt_execute(stmt);
}


void
ctl_person_code(ctl_person_t *person, exam_str_t exam, const uint8_t *code)
{
    size_t   i, n;
    uint8_t  random[10], made[EXAM_CODE_LEN];

    if (code == NULL) {
        exam_random(random, sizeof(random));
        exam_code_make(random, person->code);

        if (!exam_code_normal(exam_str_make(person->code, EXAM_CODE_SHOWN),
                              made))
        {
            abort();
        }

        code = made;

    } else {
        for (i = 0, n = 0; i < EXAM_CODE_LEN; i++) {
            if (i != 0 && i % 4 == 0) {
                person->code[n++] = '-';
            }

            person->code[n++] = (char) code[i];
        }
    }

    exam_code_hash(exam, ctl_str(person->student), code, person->hash);

    person->coded = true;
}


char *
ctl_dup(exam_str_t text)
{
    char  *copy;

    copy = ctl_alloc(NULL, text.len + 1, 1);

    if (text.len != 0) {
        memcpy(copy, text.data, text.len);
    }

    copy[text.len] = '\0';

    return copy;
}


void *
ctl_alloc(void *old, size_t n, size_t size)
{
    void  *p;

    p = reallocarray(old, n, size);

    if (p == NULL) {
        perror("examctl");
        exit(CTL_FAILED);
    }

    return p;
}
