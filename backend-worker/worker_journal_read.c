
/*
 * Bytes of a journal -> records.  A line whose CRC is wrong was never
 * acknowledged: it is counted and left behind.  One that is whole but not a
 * record that this program knows is evidence all the same: a copy goes to bad/.
 * What has no newline yet is waited for while its writer lives.
 */


#include "worker_journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


static ssize_t worker_journal_bytes(worker_journal_t *j,
    worker_journal_file_t *f);
static size_t worker_journal_lines(worker_journal_t *j,
    worker_journal_file_t *f, size_t len);
static bool worker_journal_line(worker_journal_t *j, exam_arena_t *arena,
    exam_str_t line, int64_t offset);
static void worker_journal_damaged(worker_journal_batch_t *b, int64_t offset);
static bool worker_journal_shrunk(worker_journal_t *j,
    worker_journal_file_t *f);
static int worker_journal_count_bad(worker_journal_t *j);


bool
worker_journal_read(worker_journal_t *j, worker_journal_file_t *f)
{
    bool                     writing;
    size_t                   used;
    ssize_t                  n;
    worker_journal_batch_t  *b;

    b = &j->batch;

    b->file = f;
    b->n = 0;
    b->damaged = 0;
    b->refused = 0;
    b->unknown = 0;
    b->next = f->position;

    if (f->size < f->position) {
        return worker_journal_shrunk(j, f);
    }

    if (f->size == f->position) {
        return false;
    }

    /* asked before the bytes are read: what comes later is seen later */

    writing = worker_journal_writing(f);

    if (f->size == f->waits && writing) {
        return false;
    }

    n = worker_journal_bytes(j, f);

    if (n <= 0) {
        return false;
    }

    used = worker_journal_lines(j, f, (size_t) n);

    if (used == 0) {

        if (writing) {
            f->waits = f->position + n;
            return false;
        }

        exam_log(EXAM_LOG_WARN, "journal", 0, "\"%s\" ends in a torn line: "
                 "%zd bytes at %lld left out", f->name, n,
                 (long long) f->position);
        used = (size_t) n;
    }

    b->next = f->position + (int64_t) used;

    return true;
}


static ssize_t
worker_journal_bytes(worker_journal_t *j, worker_journal_file_t *f)
{
    int      fd;
    char     path[EXAM_JOURNAL_NAME_MAX + sizeof(WORKER_JOURNAL)];
    ssize_t  n;

    snprintf(path, sizeof(path), WORKER_JOURNAL "/%s", f->name);

    fd = openat(j->w->spool, path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);

    if (fd == -1) {

        if (errno != ENOENT) {
            exam_log(EXAM_LOG_ERROR, "journal", errno, "cannot open \"%s\"",
                     path);
        }

        return -1;
    }

    do {
        n = pread(fd, j->buffer, WORKER_JOURNAL_BUFFER, f->position);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        exam_log(EXAM_LOG_ERROR, "journal", errno, "cannot read \"%s\"", path);
    }

    close(fd);

    return n;
}


/* bytes done with; 0: there is no whole line */

static size_t
worker_journal_lines(worker_journal_t *j, worker_journal_file_t *f,
    size_t len)
{
    uint8_t                 *p, *end, *newline;
    int64_t                  at;
    exam_arena_t             arena;
    worker_journal_batch_t  *b;

    b = &j->batch;
    p = j->buffer;
    end = p + len;

    exam_arena_init(&arena, j->arena, WORKER_JOURNAL_ARENA);

    while (p < end && b->n < WORKER_JOURNAL_BATCH) {
        at = f->position + (p - j->buffer);
        newline = memchr(p, '\n', (size_t) (end - p));

        if (newline == NULL) {

            if (end - p < EXAM_RECORD_MAX) {
                break;
            }

            /* no line of ours: up to its end all of it is damaged */

            worker_journal_damaged(b, at);
            p = end;
            break;
        }

        if (!worker_journal_line(j, &arena,
                                 exam_str_make(p, (size_t) (newline - p)), at))
        {
            break;
        }

        p = newline + 1;
    }

    return (size_t) (p - j->buffer);
}


/* false: for the next batch, the arena is used up */

static bool
worker_journal_line(worker_journal_t *j, exam_arena_t *arena, exam_str_t line,
    int64_t offset)
{
    exam_buf_t               sid;
    exam_err_e               err;
    worker_record_t         *r;
    worker_journal_batch_t  *b;

    b = &j->batch;
    r = &b->records[b->n];

    err = exam_record_parse(line, arena, &r->r);

    if (err == EXAM_ERR_TOO_LARGE && b->n != 0) {
        return false;
    }

    if (err == EXAM_ERR_BAD_REQUEST) {
        worker_journal_damaged(b, offset);
        return true;
    }

    if (err != EXAM_OK) {
        b->unknown++;
        worker_journal_refuse(j, b->file, offset, line,
                              exam_err_info(err)->code);
        return true;
    }

    r->line = line;
    r->offset = offset;
    r->refused = false;

    exam_buf_init(&sid, r->sid, sizeof(r->sid));
    exam_buf_hex(&sid, r->r.sid, EXAM_SID_LEN);
    (void) exam_buf_cstr(&sid);

    b->n++;

    return true;
}


static void
worker_journal_damaged(worker_journal_batch_t *b, int64_t offset)
{
    if (b->damaged++ == 0) {
        b->damaged_at = offset;
    }
}


/* what was taken over stays; the file has its end there */

static bool
worker_journal_shrunk(worker_journal_t *j, worker_journal_file_t *f)
{
    if (!f->shrunk) {
        f->shrunk = true;
        exam_log(EXAM_LOG_ALERT, "journal", 0, "\"%s\" has %lld bytes, %lld "
                 "were taken over", f->name, (long long) f->size,
                 (long long) f->position);
    }

    j->batch.next = f->size;

    return true;
}


void
worker_journal_refuse(worker_journal_t *j, const worker_journal_file_t *f,
    int64_t offset, exam_str_t line, const char *why)
{
    char   path[EXAM_PATH_MAX + EXAM_JOURNAL_NAME_MAX + 48];
    char  *text;

    j->batch.refused++;

    if (j->kept == -1) {
        j->kept = worker_journal_count_bad(j);
    }

    /* so many are a fault of ours: the journals and the counter tell it */

    if (j->kept >= WORKER_JOURNAL_BAD) {
        return;
    }

    exam_log(EXAM_LOG_ALERT, "journal", 0, "a record at %lld of \"%s\" is not "
             "taken: %s", (long long) offset, f->name, why);

    snprintf(path, sizeof(path), "%s/bad/journal-%.*s-%lld.line",
             j->w->conf.spool, (int) (strlen(f->name) - 4), f->name,
             (long long) offset);

    text = malloc(line.len + 1);

    if (text == NULL) {
        exam_log(EXAM_LOG_ALERT, "journal", 0, "no memory");
        return;
    }

    memcpy(text, line.data, line.len);
    text[line.len] = '\n';

    /* a copy: the journal has it too, for journal_days */

    if (exam_file_replace(path, 0640, text, line.len + 1, false) == -1) {
        exam_log(EXAM_LOG_ERROR, "journal", errno, "cannot write \"%s\"",
                 path);
    } else {
        j->kept++;
    }

    free(text);
}


static int
worker_journal_count_bad(worker_journal_t *j)
{
    DIR            *dir;
    int             fd, n;
    struct dirent  *entry;

    n = 0;
    fd = openat(j->w->spool, "bad", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    dir = fd == -1 ? NULL : fdopendir(fd);

    if (dir == NULL) {
        exam_log(EXAM_LOG_ERROR, "journal", errno, "cannot open \"bad\"");

        if (fd != -1) {
            close(fd);
        }

        return 0;
    }

    while ((entry = readdir(dir)) != NULL) {
        n += strncmp(entry->d_name, "journal-", 8) == 0;
    }

    closedir(dir);

    return n;
}
