
/*
 * examctl rebuild-index: the table `recordings` from the store.  Each side-car
 * is a row; what stands in no side-car cannot be made again, and what has a row
 * but no file is told and left, since a row is evidence, too.
 *
 * An upload whose manifest is in work/ belongs to the exam-worker that has the
 * spool.  When none has it, the spool is locked against one, and its side-car
 * is as good as any other.
 */


#include "ctl_rebuild.h"
#include "exam_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>


#define CTL_REBUILD_ROWS_SQL                                                  \
    "SELECT upload_id, path FROM recordings WHERE node = ?"

#define CTL_REBUILD_EXAM_SQL  CTL_REBUILD_ROWS_SQL " AND exam = ?"


static ctl_rc_e ctl_rebuild_open(ctl_rebuild_t *r, int *lock);
static ctl_rc_e ctl_rebuild_all(ctl_rebuild_t *r);
static ctl_rc_e ctl_rebuild_exam(void *data, int fd, const char *name);
static ctl_rc_e ctl_rebuild_student(void *data, int fd, const char *name);
static ctl_rc_e ctl_rebuild_file(void *data, int fd, const char *name);
static bool ctl_rebuild_sidecar(ctl_rebuild_t *r, int fd, const char *name,
    const char *id);
static bool ctl_rebuild_keep(ctl_rebuild_t *r, const exam_sidecar_t *s);
static char *ctl_rebuild_copy(char *to, exam_str_t *s);
static void ctl_rebuild_settle(ctl_rebuild_t *r);
static void ctl_rebuild_bare(ctl_rebuild_t *r);
static bool ctl_rebuild_there(const ctl_rebuild_t *r, const char *path,
    const char *suffix);
static bool ctl_rebuild_working(const ctl_rebuild_t *r, exam_str_t id);
static void ctl_rebuild_reset(ctl_rebuild_t *r);
static ctl_rc_e ctl_rebuild_stale(ctl_rebuild_t *r);
static ctl_rc_e ctl_rebuild_end(const ctl_rebuild_t *r);


ctl_rc_e
ctl_rebuild(ctl_t *ctl)
{
    int            lock;
    ctl_rc_e       rc;
    exam_str_t     id;
    ctl_rebuild_t  r;

    memset(&r, 0, sizeof(ctl_rebuild_t));

    r.ctl = ctl;
    r.dry = ctl_option(ctl, "dry-run") != NULL;
    r.spool = -1;
    r.store = -1;
    lock = -1;

    if (ctl->args[0] != NULL) {
        rc = ctl_arg_exam(ctl, 0, &id);

        if (rc != CTL_OK) {
            return rc;
        }
    }

    rc = ctl_rebuild_open(&r, &lock);

    if (rc == CTL_OK) {
        rc = ctl_rebuild_all(&r);
    }

    if (rc == CTL_OK) {
        rc = ctl_rebuild_stale(&r);
    }

    if (rc == CTL_OK) {
        rc = ctl_rebuild_end(&r);
    }

    ctl_rebuild_reset(&r);
    free(r.recs);

    exam_stmt_close(&r.slots);
    exam_stmt_close(&r.rows);
    exam_stmt_close(&r.insert);
    exam_stmt_close(&r.remove);

    if (r.spool != -1) {
        (void) close(r.spool);
    }

    if (r.store != -1) {
        (void) close(r.store);
    }

    if (lock != -1) {
        (void) close(lock);
    }

    return rc;
}


static ctl_rc_e
ctl_rebuild_open(ctl_rebuild_t *r, int *lock)
{
    const exam_conf_t  *conf;

    conf = &r->ctl->conf;

    r->spool = open(conf->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r->store = open(conf->recordings, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (r->spool == -1 || r->store == -1) {
        return ctl_fail(CTL_FAILED, "cannot open \"%s\": %s",
                        r->spool == -1 ? conf->spool : conf->recordings,
                        strerror(errno));
    }

    *lock = openat(r->spool, EXAM_SPOOL_LOCK, O_RDWR | O_CREAT | O_CLOEXEC,
                   0640);

    if (*lock == -1) {
        return ctl_fail(CTL_FAILED, "cannot open \"%s/%s\": %s", conf->spool,
                        EXAM_SPOOL_LOCK, strerror(errno));
    }

    r->alone = flock(*lock, LOCK_EX | LOCK_NB) == 0;

    return ctl_connect(r->ctl);
}


static ctl_rc_e
ctl_rebuild_all(ctl_rebuild_t *r)
{
    if (r->ctl->args[0] != NULL) {
        return ctl_rebuild_exam(r, r->store, r->ctl->args[0]);
    }

    return ctl_dir_each(r->store, ".", ctl_rebuild_exam, r);
}


static ctl_rc_e
ctl_rebuild_exam(void *data, int fd, const char *name)
{
    ctl_rebuild_t  *r;

    r = data;
    r->exam = ctl_str(name);

    return exam_id_exam(r->exam) ? ctl_dir_each(fd, name, ctl_rebuild_student,
                                                r)
                                 : CTL_OK;
}


static ctl_rc_e
ctl_rebuild_student(void *data, int fd, const char *name)
{
    ctl_rc_e        rc;
    ctl_rebuild_t  *r;

    r = data;
    r->student = ctl_str(name);

    if (!exam_id_student(r->student)) {
        return CTL_OK;
    }

    ctl_rebuild_reset(r);

    rc = ctl_dir_each(fd, name, ctl_rebuild_file, r);

    if (rc == CTL_OK) {
        ctl_rebuild_settle(r);
        ctl_rebuild_bare(r);
        rc = ctl_rebuild_rows(r);
    }

    return rc;
}


static ctl_rc_e
ctl_rebuild_file(void *data, int fd, const char *name)
{
    bool            sidecar;
    char            id[EXAM_UPLOAD_MAX + 1];
    ctl_rebuild_t  *r;

    r = data;

    if (!exam_store_name_id(name, id, &sidecar)) {
        return CTL_OK;
    }

    if (!sidecar) {
        (void) ctl_names_put(&r->files, ctl_str(name));
        return CTL_OK;
    }

    r->sidecars++;
    (void) ctl_names_put(&r->told, exam_str_make(name, strlen(name) - 5));

    /* it may be gone with the second file of a double */

    if (!ctl_rebuild_sidecar(r, fd, name, id)
        && faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
    {
        printf("unusable side-car  %.*s/%.*s/%s\n", (int) r->exam.len,
               (const char *) r->exam.data, (int) r->student.len,
               (const char *) r->student.data, name);
        r->unusable++;
    }

    return CTL_OK;
}


/* its names must be those of the place where it stands */

static bool
ctl_rebuild_sidecar(ctl_rebuild_t *r, int fd, const char *name, const char *id)
{
    char            text[EXAM_SIDECAR_MAX];
    size_t          len;
    exam_arena_t    arena;
    exam_sidecar_t  s;

    static _Alignas(max_align_t) uint8_t  memory[EXAM_SIDECAR_ARENA];

    if (exam_file_load(fd, name, text, sizeof(text), &len) != 0) {
        return false;
    }

    exam_arena_init(&arena, memory, sizeof(memory));

    return exam_sidecar_parse(exam_str_make(text, len), &arena, &s)
           == EXAM_OK
           && exam_str_eq(s.m.id, ctl_str(id))
           && exam_str_eq(s.m.exam, r->exam)
           && exam_str_eq(s.m.student, r->student)
           && ctl_rebuild_keep(r, &s);
}


static bool
ctl_rebuild_keep(ctl_rebuild_t *r, const exam_sidecar_t *s)
{
    char               *p;
    exam_buf_t          b;
    exam_manifest_t    *m;
    ctl_rebuild_rec_t  *rec;

    if (r->n == r->max) {
        r->max = r->max == 0 ? 64 : r->max * 2;
        r->recs = ctl_alloc(r->recs, r->max, sizeof(ctl_rebuild_rec_t));
    }

    rec = &r->recs[r->n];
    memset(rec, 0, sizeof(ctl_rebuild_rec_t));

    rec->s = *s;

    exam_buf_init(&b, rec->sid, sizeof(rec->sid));
    exam_buf_hex(&b, s->m.sid, EXAM_SID_LEN);

    if (!exam_buf_cstr(&b)) {
        return false;
    }

    exam_buf_init(&b, rec->path, sizeof(rec->path));
    exam_store_name(&b, &s->m, false);

    if (!exam_buf_cstr(&b)) {
        return false;
    }

    m = &rec->s.m;

    rec->memory = ctl_alloc(NULL, m->id.len + m->exam.len + m->student.len
                            + m->kind.len + m->content_type.len + m->node.len
                            + m->boot_id.len, 1);

    p = ctl_rebuild_copy(rec->memory, &m->id);
    p = ctl_rebuild_copy(p, &m->exam);
    p = ctl_rebuild_copy(p, &m->student);
    p = ctl_rebuild_copy(p, &m->kind);
    p = ctl_rebuild_copy(p, &m->content_type);
    p = ctl_rebuild_copy(p, &m->node);
    (void) ctl_rebuild_copy(p, &m->boot_id);

    r->n++;

    return true;
}


static char *
ctl_rebuild_copy(char *to, exam_str_t *s)
{
    if (s->len != 0) {
        memcpy(to, s->data, s->len);
    }

    s->data = (const uint8_t *) to;

    return to + s->len;
}


/*
 * The worker removes the second file of a double before its manifest leaves
 * work/: what is not in work/ and is still there afterwards is decided.
 */

static void
ctl_rebuild_settle(ctl_rebuild_t *r)
{
    size_t              i;
    ctl_rebuild_rec_t  *rec;

    for (i = 0; i < r->n; i++) {
        rec = &r->recs[i];

        rec->working = ctl_rebuild_working(r, rec->s.m.id);
        rec->left = rec->working && !r->alone;

        if (ctl_rebuild_there(r, rec->path, "")) {
            r->left += rec->left;
            continue;
        }

        rec->left = true;

        if (!rec->working && ctl_rebuild_there(r, rec->path, ".json")) {
            printf("side-car without file  %s\n", rec->path);
            r->missing++;
        }
    }
}


/* files of which no side-car was seen, nor is one there by now */

static void
ctl_rebuild_bare(ctl_rebuild_t *r)
{
    bool         sidecar;
    char         id[EXAM_UPLOAD_MAX + 1], path[EXAM_STORE_PATH_MAX];
    uint32_t     i;
    const char  *name;

    for (i = 0; i < r->files.n; i++) {
        name = r->files.names[i];

        if (ctl_names_has(&r->told, ctl_str(name))
            || !exam_store_name_id(name, id, &sidecar)
            || ctl_rebuild_working(r, ctl_str(id)))
        {
            continue;
        }

        (void) snprintf(path, sizeof(path), "%.*s/%.*s/%s",
                        (int) r->exam.len, (const char *) r->exam.data,
                        (int) r->student.len,
                        (const char *) r->student.data, name);

        if (ctl_rebuild_there(r, path, "")
            && !ctl_rebuild_there(r, path, ".json"))
        {
            printf("file without side-car  %s\n", path);
            r->bare++;
        }
    }
}


static bool
ctl_rebuild_there(const ctl_rebuild_t *r, const char *path,
    const char *suffix)
{
    char         name[EXAM_STORE_PATH_MAX + 8];
    struct stat  st;

    (void) snprintf(name, sizeof(name), "%s%s", path, suffix);

    return fstatat(r->store, name, &st, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(st.st_mode);
}


static bool
ctl_rebuild_working(const ctl_rebuild_t *r, exam_str_t id)
{
    char  name[EXAM_SPOOL_NAME_MAX];

    return (exam_spool_name(name, EXAM_SPOOL_INFO, id)
            && faccessat(r->spool, name, F_OK, 0) == 0)
           || (exam_spool_name(name, EXAM_SPOOL_WORK, id)
               && faccessat(r->spool, name, F_OK, 0) == 0);
}


static void
ctl_rebuild_reset(ctl_rebuild_t *r)
{
    size_t  i;

    for (i = 0; i < r->n; i++) {
        free(r->recs[i].memory);
    }

    r->n = 0;
    ctl_names_free(&r->files);
    ctl_names_free(&r->told);
}


/* rows of this node; another node's store cannot be seen from here */

static ctl_rc_e
ctl_rebuild_stale(ctl_rebuild_t *r)
{
    char         path[EXAM_STORE_PATH_MAX];
    exam_db_e    rc;
    exam_str_t   id, args[2];
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    args[0] = ctl_str(r->ctl->conf.node);

    if (r->ctl->args[0] != NULL) {
        args[1] = ctl_str(r->ctl->args[0]);
        rc = exam_stmt_query(&stmt, &r->ctl->db, CTL_REBUILD_EXAM_SQL, args,
                             2);

    } else {
        rc = exam_stmt_query(&stmt, &r->ctl->db, CTL_REBUILD_ROWS_SQL, args,
                             1);
    }

    while (rc == EXAM_DB_OK) {
        exam_stmt_col_copy(&stmt, 1, path, sizeof(path));

        if (!ctl_rebuild_there(r, path, "")) {
            id = exam_stmt_col_str(&stmt, 0);
            printf("row without file  %.*s\n", (int) id.len,
                   (const char *) id.data);
            r->stale++;
        }

        rc = exam_stmt_fetch(&stmt);
    }

    exam_stmt_close(&stmt);

    return rc == EXAM_DB_END ? CTL_OK : ctl_db_failed(r->ctl);
}


static ctl_rc_e
ctl_rebuild_end(const ctl_rebuild_t *r)
{
    printf("side-cars %llu: rows right %llu, %s %llu, %s %llu, refused %llu, "
           "left to exam-worker %llu;\nunusable side-cars %llu, files without "
           "side-car %llu, side-cars without file %llu, rows without file "
           "%llu\n",
           (unsigned long long) r->sidecars, (unsigned long long) r->right,
           r->dry ? "to add" : "added", (unsigned long long) r->added,
           r->dry ? "to repair" : "repaired",
           (unsigned long long) r->repaired, (unsigned long long) r->refused,
           (unsigned long long) r->left, (unsigned long long) r->unusable,
           (unsigned long long) r->bare, (unsigned long long) r->missing,
           (unsigned long long) r->stale);

    return r->refused == 0 && r->unusable == 0 && r->bare == 0
           && r->missing == 0 && r->stale == 0
           ? CTL_OK : CTL_FAILED;
}
