
/*
 * The folder spool/journal: which files there are, how far each has grown, and
 * which may go.  A look costs one stat() a file, and there is one file for each
 * process of nginx of the last `journal_days`.
 */


#include "worker_journal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


#define WORKER_JOURNAL_DAY  86400000    /* ms */

#define WORKER_POSITIONS_SQL                                                  \
    "SELECT journal, position FROM journal_positions WHERE node = ?"

#define WORKER_FORGET_SQL                                                     \
    "DELETE FROM journal_positions WHERE node = ? AND journal = ?"


static void worker_journal_entry(worker_journal_t *j, int fd,
    const char *name);
static worker_journal_file_t *worker_journal_find(worker_journal_t *j,
    const char *name);
static worker_journal_file_t *worker_journal_add(worker_journal_t *j,
    const char *name);
static int worker_journal_older(const void *a, const void *b);
static bool worker_journal_alive(const worker_journal_file_t *f);
static exam_db_e worker_journal_forget(worker_journal_t *j,
    worker_journal_file_t *f);


void
worker_journal_look(worker_journal_t *j)
{
    DIR            *dir;
    int             fd;
    size_t          i, n;
    struct dirent  *entry;

    if (exam_mono_ms() < j->look_at) {
        return;
    }

    j->look_at = exam_mono_ms() + WORKER_JOURNAL_LOOK;

    fd = openat(j->w->spool, WORKER_JOURNAL, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    dir = fd == -1 ? NULL : fdopendir(fd);

    if (dir == NULL) {
        exam_log(EXAM_LOG_ERROR, "journal", errno, "cannot open \"%s\"",
                 WORKER_JOURNAL);

        if (fd != -1) {
            close(fd);
        }

        return;
    }

    for (i = 0; i < j->nfiles; i++) {
        j->files[i].seen = false;
    }

    while ((entry = readdir(dir)) != NULL) {

        if (entry->d_name[0] != '.') {
            worker_journal_entry(j, fd, entry->d_name);
        }
    }

    closedir(dir);

    n = 0;

    for (i = 0; i < j->nfiles; i++) {

        if (j->files[i].seen) {
            j->files[n++] = j->files[i];
        }
    }

    j->nfiles = n;

    /* without any file there is no array either */

    if (n != 0) {
        qsort(j->files, n, sizeof(worker_journal_file_t),
              worker_journal_older);
    }
}


static void
worker_journal_entry(worker_journal_t *j, int fd, const char *name)
{
    struct stat             st;
    worker_journal_file_t  *f;

    f = worker_journal_find(j, name);

    if (f == NULL) {
        f = worker_journal_add(j, name);
    }

    if (f == NULL || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1
        || !S_ISREG(st.st_mode))
    {
        return;
    }

    f->seen = true;
    f->size = st.st_size;
    f->mtime = (int64_t) st.st_mtim.tv_sec * 1000
               + st.st_mtim.tv_nsec / 1000000;

    if (f->size >= f->position) {
        f->shrunk = false;
    }
}


static worker_journal_file_t *
worker_journal_find(worker_journal_t *j, const char *name)
{
    size_t  i;

    for (i = 0; i < j->nfiles; i++) {
        if (strcmp(j->files[i].name, name) == 0) {
            return &j->files[i];
        }
    }

    return NULL;
}


/* NULL: not the name of a journal */

static worker_journal_file_t *
worker_journal_add(worker_journal_t *j, const char *name)
{
    void                   *more;
    size_t                  max;
    uint64_t                pid, n;
    exam_str_t              boot;
    worker_journal_file_t  *f;

    if (strlen(name) >= EXAM_JOURNAL_NAME_MAX
        || !exam_journal_name_parse(exam_str_make(name, strlen(name)), &boot,
                                    &pid, &n))
    {
        return NULL;
    }

    if (j->nfiles == j->maxfiles) {
        max = j->maxfiles * 2 + 16;
        more = realloc(j->files, max * sizeof(worker_journal_file_t));

        if (more == NULL) {
            exam_log(EXAM_LOG_ALERT, "journal", 0, "no memory");
            return NULL;
        }

        j->files = more;
        j->maxfiles = max;
    }

    f = &j->files[j->nfiles++];
    memset(f, 0, sizeof(worker_journal_file_t));

    memcpy(f->name, name, strlen(name) + 1);

    f->pid = pid <= INT32_MAX ? (pid_t) pid : 0;
    f->boot = exam_str_eq(boot, exam_str_make(j->w->boot_id,
                                              strlen(j->w->boot_id)));
    f->waits = -1;
    j->unknown = true;

    return f;
}


static int
worker_journal_older(const void *a, const void *b)
{
    const worker_journal_file_t  *one, *two;

    one = a;
    two = b;

    if (one->mtime != two->mtime) {
        return one->mtime < two->mtime ? -1 : 1;
    }

    return strcmp(one->name, two->name);
}


exam_db_e
worker_journal_positions(worker_journal_t *j)
{
    char                    name[EXAM_JOURNAL_NAME_MAX];
    size_t                  i;
    exam_db_e               rc;
    exam_stmt_t            *s;
    worker_journal_file_t  *f;

    s = &j->positions;

    rc = exam_stmt_prepare(s, &j->mysql, WORKER_POSITIONS_SQL);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    exam_stmt_text(s, 0, j->w->node);

    rc = exam_stmt_execute(s);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    for (i = 0; i < j->nfiles; i++) {
        j->files[i].position = 0;
        j->files[i].waits = -1;
    }

    while ((rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {
        exam_stmt_col_copy(s, 0, name, sizeof(name));
        f = worker_journal_find(j, name);

        if (f != NULL) {
            f->position = exam_stmt_col_int(s, 1);
        }
    }

    return rc == EXAM_DB_END ? EXAM_DB_OK : rc;
}


/*
 * May the process that writes it still be there?  One with the same number is
 * not worth a mistake: it is waited for.
 */

static bool
worker_journal_alive(const worker_journal_file_t *f)
{
    return f->boot && f->pid > 0
           && (kill(f->pid, 0) == 0 || errno != ESRCH);
}


bool
worker_journal_writing(const worker_journal_file_t *f)
{
    return worker_journal_alive(f)
           || (f->boot && exam_now_ms() - f->mtime < WORKER_JOURNAL_TORN);
}


exam_db_e
worker_journal_retire(worker_journal_t *j)
{
    size_t                  i;
    int64_t                 before;
    exam_db_e               rc;
    worker_journal_file_t  *f;

    if (j->w->conf.journal_days == 0) {
        return EXAM_DB_OK;
    }

    before = exam_now_ms() - j->w->conf.journal_days
                             * (int64_t) WORKER_JOURNAL_DAY;

    for (i = 0; i < j->nfiles; i++) {
        f = &j->files[i];

        if (f->mtime >= before || f->position < f->size
            || worker_journal_alive(f))
        {
            continue;
        }

        rc = worker_journal_forget(j, f);

        if (rc != EXAM_DB_OK) {
            return rc;
        }
    }

    return EXAM_DB_OK;
}


/* a row that a crash leaves behind names a file that is not there: harmless */

static exam_db_e
worker_journal_forget(worker_journal_t *j, worker_journal_file_t *f)
{
    char          path[EXAM_JOURNAL_NAME_MAX + sizeof(WORKER_JOURNAL)];
    exam_db_e     rc;
    exam_stmt_t  *s;

    s = &j->forget;

    snprintf(path, sizeof(path), WORKER_JOURNAL "/%s", f->name);

    if (unlinkat(j->w->spool, path, 0) == -1 && errno != ENOENT) {
        exam_log(EXAM_LOG_ERROR, "journal", errno, "cannot remove \"%s\"",
                 path);
        return EXAM_DB_OK;
    }

    rc = exam_stmt_prepare(s, &j->mysql, WORKER_FORGET_SQL);

    if (rc == EXAM_DB_OK) {
        exam_stmt_text(s, 0, j->w->node);
        exam_stmt_cstr(s, 1, f->name);

        rc = exam_stmt_execute(s);
    }

    /* so that it is off the list before it is looked at again */

    j->look_at = 0;

    if (rc == EXAM_DB_OK) {
        exam_log(EXAM_LOG_NOTICE, "journal", 0, "\"%s\" is older than %u "
                 "days: removed", f->name, j->w->conf.journal_days);
    }

    return rc;
}
