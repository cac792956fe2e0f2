
/*
 * What the table and the store say: the rows of this node, whether the file of
 * each is there as the row tells it, and files that no row names.
 *
 * Rows are read a student at a time: the result of one is held while its files
 * are looked at, and MySQL never waits for a disk.
 */


#include "ctl_audit.h"
#include "exam_sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>


#define CTL_AUDIT_BUFFER  (256 * 1024)

#define CTL_AUDIT_STUDENTS_SQL                                                \
    "SELECT DISTINCT student FROM recordings WHERE exam = ? AND node = ?"

#define CTL_AUDIT_COLUMNS                                                     \
    "upload_id, session, kind, n, bytes, sha256, path, student, node"

#define CTL_AUDIT_ROWS_SQL                                                    \
    "SELECT " CTL_AUDIT_COLUMNS " FROM recordings "                           \
    "WHERE exam = ? AND student = ? AND node = ?"

#define CTL_AUDIT_FIND_HEAD                                                   \
    "SELECT " CTL_AUDIT_COLUMNS " FROM recordings WHERE upload_id IN ("

#define CTL_AUDIT_SAME_HEAD                                                   \
    "SELECT " CTL_AUDIT_COLUMNS " FROM recordings WHERE "

#define CTL_AUDIT_SAME_ROW                                                    \
    "exam = ? AND student = ? AND session = ? AND kind = ? AND n = ?"


typedef struct {
    uint32_t  item;
    int64_t   bytes;
    uint8_t   sha256[EXAM_HASH_LEN];
    char      path[EXAM_STORE_PATH_MAX];
} ctl_audit_row_t;


typedef struct {
    ctl_audit_row_t  *rows;
    size_t            n;
    size_t            max;
} ctl_audit_list_t;


typedef struct {
    ctl_audit_t  *a;
    unsigned      flag;
    exam_str_t    student;
} ctl_audit_walk_t;


static exam_db_e ctl_audit_student(ctl_audit_t *a, exam_str_t student,
    ctl_audit_list_t *list);
static exam_db_e ctl_audit_fetch(ctl_audit_t *a, exam_stmt_t *s,
    ctl_audit_list_t *list);
static bool ctl_audit_row(ctl_audit_t *a, const exam_stmt_t *s,
    ctl_audit_row_t *row);
static void ctl_audit_check(ctl_audit_t *a, ctl_audit_list_t *list);
static unsigned ctl_audit_file(const ctl_audit_t *a,
    const ctl_audit_row_t *row);
static bool ctl_audit_hashed(const ctl_audit_t *a, const ctl_audit_row_t *row);
static exam_db_e ctl_audit_ids(ctl_audit_t *a, const uint32_t *which,
    unsigned n);
static exam_db_e ctl_audit_doubles(ctl_audit_t *a, const uint32_t *which,
    unsigned n);
static void ctl_audit_double(ctl_audit_t *a, const exam_stmt_t *s,
    const uint32_t *which, unsigned n);
static ctl_rc_e ctl_audit_walk(void *data, int fd, const char *name);
static ctl_rc_e ctl_audit_name(void *data, int fd, const char *name);


exam_db_e
ctl_audit_rows(ctl_audit_t *a)
{
    uint32_t          i;
    exam_db_e         rc;
    exam_str_t        args[2];
    exam_stmt_t       stmt;
    ctl_names_t       names;
    ctl_audit_list_t  list;

    memset(&stmt, 0, sizeof(exam_stmt_t));
    memset(&names, 0, sizeof(ctl_names_t));
    memset(&list, 0, sizeof(ctl_audit_list_t));

    args[0] = a->exam;
    args[1] = ctl_str(a->ctl->conf.node);

    rc = exam_stmt_query(&stmt, &a->ctl->db, CTL_AUDIT_STUDENTS_SQL, args, 2);

    while (rc == EXAM_DB_OK) {
        (void) ctl_names_put(&names, exam_stmt_col_str(&stmt, 0));
        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    if (rc == EXAM_DB_END) {
        rc = EXAM_DB_OK;
    }

    for (i = 0; i < names.n && rc == EXAM_DB_OK; i++) {
        rc = ctl_audit_student(a, ctl_str(names.names[i]), &list);
    }

    ctl_names_free(&names);
    free(list.rows);

    return rc;
}


static exam_db_e
ctl_audit_student(ctl_audit_t *a, exam_str_t student, ctl_audit_list_t *list)
{
    exam_db_e     rc;
    exam_stmt_t  *s;

    s = &a->rows;

    rc = exam_stmt_prepare(s, &a->ctl->db, CTL_AUDIT_ROWS_SQL);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    exam_stmt_text(s, 0, a->exam);
    exam_stmt_text(s, 1, student);
    exam_stmt_cstr(s, 2, a->ctl->conf.node);

    rc = ctl_audit_fetch(a, s, list);

    if (rc == EXAM_DB_OK) {
        ctl_audit_check(a, list);
    }

    return rc;
}


static exam_db_e
ctl_audit_fetch(ctl_audit_t *a, exam_stmt_t *s, ctl_audit_list_t *list)
{
    exam_db_e  rc;

    list->n = 0;

    rc = exam_stmt_execute(s);

    while (rc == EXAM_DB_OK && (rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {

        if (list->n == list->max) {
            list->max = list->max == 0 ? 64 : list->max * 2;
            list->rows = ctl_alloc(list->rows, list->max,
                                   sizeof(ctl_audit_row_t));
        }

        if (ctl_audit_row(a, s, &list->rows[list->n])) {
            list->n++;
        }
    }

    return rc == EXAM_DB_END ? EXAM_DB_OK : rc;
}


/* a row that contradicts its receipt is not the row of that upload */

static bool
ctl_audit_row(ctl_audit_t *a, const exam_stmt_t *s, ctl_audit_row_t *row)
{
    bool               receipt;
    uint8_t            sid[EXAM_SID_LEN];
    exam_str_t         hash;
    ctl_audit_item_t  *item;

    item = ctl_audit_add(a, exam_stmt_col_str(s, 0));
    hash = exam_stmt_col_str(s, 5);

    if (item == NULL || hash.len != EXAM_HASH_LEN
        || !exam_sid_parse(exam_stmt_col_str(s, 1), sid))
    {
        return false;
    }

    row->item = (uint32_t) (item - a->items);
    row->bytes = exam_stmt_col_int(s, 4);

    memcpy(row->sha256, hash.data, EXAM_HASH_LEN);
    exam_stmt_col_copy(s, 6, row->path, sizeof(row->path));

    receipt = (item->flags & CTL_AUDIT_RECEIPT) != 0;

    if (receipt && (item->bytes != row->bytes
                    || memcmp(item->sha256, row->sha256,
                              sizeof(item->sha256)) != 0))
    {
        return false;
    }

    if (!receipt) {
        ctl_audit_segment(a, item, exam_stmt_col_str(s, 7), sid,
                          exam_stmt_col_str(s, 2),
                          (uint32_t) exam_stmt_col_int(s, 3));
        item->bytes = row->bytes;
        memcpy(item->sha256, row->sha256, sizeof(item->sha256));
    }

    return true;
}


static void
ctl_audit_check(ctl_audit_t *a, ctl_audit_list_t *list)
{
    size_t             i;
    ctl_audit_item_t  *item;

    for (i = 0; i < list->n; i++) {
        item = &a->items[list->rows[i].item];

        item->flags &= (uint16_t) ~(CTL_AUDIT_FILE | CTL_AUDIT_WRONG);
        item->flags |= (uint16_t) (CTL_AUDIT_ROW
                                   | ctl_audit_file(a, &list->rows[i]));
    }
}


/* FILE, WRONG or 0 */

static unsigned
ctl_audit_file(const ctl_audit_t *a, const ctl_audit_row_t *row)
{
    struct stat  st;

    if (fstatat(a->store, row->path, &st, AT_SYMLINK_NOFOLLOW) == -1) {
        return errno == ENOENT || errno == ENOTDIR ? 0 : CTL_AUDIT_WRONG;
    }

    if (!S_ISREG(st.st_mode) || st.st_size != row->bytes
        || (a->hash && !ctl_audit_hashed(a, row)))
    {
        return CTL_AUDIT_WRONG;
    }

    return CTL_AUDIT_FILE;
}


static bool
ctl_audit_hashed(const ctl_audit_t *a, const ctl_audit_row_t *row)
{
    int            fd;
    ssize_t        n;
    uint8_t        sha256[EXAM_HASH_LEN];
    exam_sha256_t  hash;

    static uint8_t  buffer[CTL_AUDIT_BUFFER];

    fd = openat(a->store, row->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd == -1) {
        return false;
    }

    exam_sha256_init(&hash);

    for ( ;; ) {
        n = read(fd, buffer, sizeof(buffer));

        if (n > 0) {
            exam_sha256_update(&hash, buffer, (size_t) n);

        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }

    (void) close(fd);

    exam_sha256_final(&hash, sha256);

    return n == 0 && memcmp(sha256, row->sha256, EXAM_HASH_LEN) == 0;
}


ctl_rc_e
ctl_audit_files(ctl_audit_t *a, unsigned flag)
{
    char              exam[EXAM_EXAM_MAX + 1];
    exam_buf_t        b;
    ctl_audit_walk_t  walk;

    walk.a = a;
    walk.flag = flag;

    exam_buf_init(&b, exam, sizeof(exam));
    exam_buf_put(&b, a->exam.data, a->exam.len);

    return exam_buf_cstr(&b) ? ctl_dir_each(a->store, exam, ctl_audit_walk,
                                            &walk)
                             : CTL_FAILED;
}


static ctl_rc_e
ctl_audit_walk(void *data, int fd, const char *name)
{
    ctl_audit_walk_t  *walk;

    walk = data;
    walk->student = ctl_str(name);

    return ctl_dir_each(fd, name, ctl_audit_name, walk);
}


static ctl_rc_e
ctl_audit_name(void *data, int fd, const char *name)
{
    bool               sidecar;
    char               id[EXAM_UPLOAD_MAX + 1];
    uint8_t            sid[EXAM_SID_LEN];
    ctl_audit_item_t  *item;
    ctl_audit_walk_t  *walk;

    (void) fd;

    walk = data;

    if (!exam_store_name_id(name, id, &sidecar) || sidecar
        || strlen(name) < EXAM_SID_HEX
        || !exam_sid_parse(exam_str_make(name, EXAM_SID_HEX), sid))
    {
        return CTL_OK;
    }

    item = ctl_audit_add(walk->a, ctl_str(id));

    if ((item->flags & (CTL_AUDIT_ROW | CTL_AUDIT_RECEIPT)) == 0) {
        ctl_audit_segment(walk->a, item, walk->student, sid, exam_str("-"),
                          0);
    }

    if ((item->flags & CTL_AUDIT_ROW) == 0) {
        item->flags |= (uint16_t) walk->flag;
    }

    return CTL_OK;
}


exam_db_e
ctl_audit_look(ctl_audit_t *a, const uint32_t *which, unsigned n)
{
    char               id[EXAM_UPLOAD_MAX + 1];
    unsigned           i, left;
    uint32_t           more[CTL_AUDIT_LOOK];
    exam_db_e          rc;
    ctl_audit_item_t  *item;

    left = 0;

    for (i = 0; i < n; i++) {
        item = &a->items[which[i]];
        ctl_audit_id(a, item, id);

        item->flags |= (uint16_t) ctl_audit_where(a, ctl_str(id));

        if ((item->flags & CTL_AUDIT_SPOOL) == 0) {
            more[left++] = which[i];
        }
    }

    if (left == 0) {
        return EXAM_DB_OK;
    }

    rc = ctl_audit_ids(a, more, left);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    n = left;
    left = 0;

    for (i = 0; i < n; i++) {
        item = &a->items[more[i]];

        if ((item->flags & CTL_AUDIT_RECEIPT) != 0
            && (item->flags & CTL_AUDIT_FILE) == 0)
        {
            more[left++] = more[i];
        }
    }

    return left == 0 ? EXAM_DB_OK : ctl_audit_doubles(a, more, left);
}


/* one statement for all numbers: the last one fills the rest */

static exam_db_e
ctl_audit_ids(ctl_audit_t *a, const uint32_t *which, unsigned n)
{
    char              ids[CTL_AUDIT_LOOK][EXAM_UPLOAD_MAX + 1];
    unsigned          i;
    exam_db_e         rc;
    ctl_audit_list_t  list;

    rc = exam_stmt_prepare_rows(&a->find, &a->ctl->db, CTL_AUDIT_FIND_HEAD,
                                "?", CTL_AUDIT_LOOK, ")");
    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0; i < CTL_AUDIT_LOOK; i++) {
        if (i < n) {
            ctl_audit_id(a, &a->items[which[i]], ids[i]);
        }

        exam_stmt_cstr(&a->find, i, ids[i < n ? i : n - 1]);
    }

    memset(&list, 0, sizeof(ctl_audit_list_t));

    rc = ctl_audit_fetch(a, &a->find, &list);

    if (rc == EXAM_DB_OK) {
        ctl_audit_check(a, &list);
    }

    free(list.rows);

    return rc;
}


static exam_db_e
ctl_audit_doubles(ctl_audit_t *a, const uint32_t *which, unsigned n)
{
    char               sids[CTL_AUDIT_LOOK][EXAM_SID_HEX + 1];
    char               sql[CTL_AUDIT_LOOK * (sizeof(CTL_AUDIT_SAME_ROW) + 8)
                           + sizeof(CTL_AUDIT_SAME_HEAD)];
    size_t             len;
    unsigned           i, k;
    exam_db_e          rc;
    exam_buf_t         b;
    exam_stmt_t       *s;
    ctl_audit_item_t  *item;

    s = &a->same;

    len = (size_t) snprintf(sql, sizeof(sql), "%s", CTL_AUDIT_SAME_HEAD);

    for (i = 0; i < CTL_AUDIT_LOOK; i++) {
        len += (size_t) snprintf(sql + len, sizeof(sql) - len, "%s(%s)",
                                 i == 0 ? "" : " OR ", CTL_AUDIT_SAME_ROW);
    }

    rc = exam_stmt_prepare(s, &a->ctl->db, sql);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0, k = 0; i < CTL_AUDIT_LOOK; i++) {
        item = &a->items[which[i < n ? i : n - 1]];

        exam_buf_init(&b, sids[i], sizeof(sids[i]));
        exam_buf_hex(&b, item->sid, EXAM_SID_LEN);
        (void) exam_buf_cstr(&b);

        exam_stmt_text(s, k++, a->exam);
        exam_stmt_cstr(s, k++, a->students.names[item->student]);
        exam_stmt_cstr(s, k++, sids[i]);
        exam_stmt_cstr(s, k++, a->kinds.names[item->kind]);
        exam_stmt_int(s, k++, item->n);
    }

    rc = exam_stmt_execute(s);

    while (rc == EXAM_DB_OK && (rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {
        ctl_audit_double(a, s, which, n);
    }

    return rc == EXAM_DB_END ? EXAM_DB_OK : rc;
}


/* another node's store cannot be seen from here: its row is believed */

static void
ctl_audit_double(ctl_audit_t *a, const exam_stmt_t *s, const uint32_t *which,
    unsigned n)
{
    char               id[EXAM_UPLOAD_MAX + 1];
    uint8_t            sid[EXAM_SID_LEN];
    unsigned           i;
    exam_str_t         hash;
    ctl_audit_row_t    row;
    ctl_audit_item_t  *item;

    hash = exam_stmt_col_str(s, 5);

    if (hash.len != EXAM_HASH_LEN
        || !exam_sid_parse(exam_stmt_col_str(s, 1), sid))
    {
        return;
    }

    row.bytes = exam_stmt_col_int(s, 4);
    memcpy(row.sha256, hash.data, EXAM_HASH_LEN);
    exam_stmt_col_copy(s, 6, row.path, sizeof(row.path));

    if (exam_str_eq(exam_stmt_col_str(s, 8), ctl_str(a->ctl->conf.node))
        && ctl_audit_file(a, &row) != CTL_AUDIT_FILE)
    {
        return;
    }

    for (i = 0; i < n; i++) {
        item = &a->items[which[i]];
        ctl_audit_id(a, item, id);

        if (!exam_str_eq(exam_stmt_col_str(s, 0), ctl_str(id))
            && item->bytes == row.bytes
            && memcmp(item->sha256, row.sha256, sizeof(item->sha256)) == 0
            && memcmp(item->sid, sid, EXAM_SID_LEN) == 0
            && item->n == (uint32_t) exam_stmt_col_int(s, 3)
            && exam_str_eq(ctl_str(a->kinds.names[item->kind]),
                           exam_stmt_col_str(s, 2)))
        {
            item->flags |= CTL_AUDIT_DOUBLE;
        }
    }
}
