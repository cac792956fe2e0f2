
/*
 * What the spool says: receipts of the journals, and manifests of uploads on
 * their way (part, ready, work) or put aside (bad).
 *
 * A manifest counts only together with its file, which the worker may be moving
 * to the store at the same moment: the file is looked for in the order in which
 * it moves, too.
 */


#include "ctl_audit.h"
#include "exam_file.h"
#include "exam_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>


#define CTL_JOURNAL_CHUNK  (256 * 1024)
#define CTL_JOURNAL_ARENA  32768


typedef struct {
    ctl_audit_t  *a;
    unsigned      flag;
    bool          part;
} ctl_spool_t;


static ctl_rc_e ctl_journal_name(void *data, int fd, const char *name);
static ctl_rc_e ctl_journal_file(ctl_audit_t *a, int dir, ctl_journal_t *j);
static size_t ctl_journal_lines(ctl_audit_t *a, ctl_journal_t *j,
    const uint8_t *text, size_t len, bool full);
static void ctl_journal_line(ctl_audit_t *a, exam_str_t line);
static ctl_rc_e ctl_spool_part(void *data, int fd, const char *name);
static ctl_rc_e ctl_spool_info(void *data, int fd, const char *name);
static bool ctl_spool_name(const char *name, exam_str_t *id);
static bool ctl_spool_file(ctl_audit_t *a, exam_str_t id,
    const exam_manifest_t *m, bool bad);
static bool ctl_spool_is(int fd, const char *name);
static bool ctl_spool_manifest(int fd, const char *name, exam_arena_t *arena,
    exam_manifest_t *m);


ctl_rc_e
ctl_dir_each(int at, const char *name, ctl_dir_pt each, void *data)
{
    DIR            *dir;
    int             fd;
    ctl_rc_e        rc;
    struct dirent  *entry;

    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd == -1) {
        return errno == ENOENT || errno == ENOTDIR
               ? CTL_OK
               : ctl_fail(CTL_FAILED, "cannot open \"%s\": %s", name,
                          strerror(errno));
    }

    dir = fdopendir(fd);

    if (dir == NULL) {
        (void) close(fd);
        return ctl_fail(CTL_FAILED, "out of memory");
    }

    rc = CTL_OK;

    for ( ;; ) {
        errno = 0;
        entry = readdir(dir);

        if (entry == NULL) {
            break;
        }

        if (entry->d_name[0] != '.') {
            rc = each(data, fd, entry->d_name);

            if (rc != CTL_OK) {
                break;
            }
        }
    }

    if (rc == CTL_OK && errno != 0) {
        rc = ctl_fail(CTL_FAILED, "cannot read \"%s\": %s", name,
                      strerror(errno));
    }

    (void) closedir(dir);

    return rc;
}


ctl_rc_e
ctl_audit_journals(ctl_audit_t *a)
{
    int       dir;
    size_t    i;
    ctl_rc_e  rc;

    rc = ctl_dir_each(a->spool, "journal", ctl_journal_name, a);

    if (rc != CTL_OK || a->njournals == 0) {
        return rc;
    }

    dir = openat(a->spool, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir == -1) {
        return ctl_fail(CTL_FAILED, "cannot open \"journal\": %s",
                        strerror(errno));
    }

    for (i = 0; i < a->njournals && rc == CTL_OK; i++) {
        rc = ctl_journal_file(a, dir, &a->journals[i]);
    }

    (void) close(dir);

    return rc;
}


static ctl_rc_e
ctl_journal_name(void *data, int fd, const char *name)
{
    size_t          i;
    uint64_t        pid, n;
    exam_str_t      boot;
    ctl_audit_t    *a;
    ctl_journal_t  *j;

    (void) fd;

    a = data;

    if (!exam_journal_name_parse(ctl_str(name), &boot, &pid, &n)) {
        return CTL_OK;
    }

    for (i = 0; i < a->njournals; i++) {
        if (strcmp(a->journals[i].name, name) == 0) {
            return CTL_OK;
        }
    }

    a->journals = ctl_alloc(a->journals, a->njournals + 1,
                            sizeof(ctl_journal_t));
    j = &a->journals[a->njournals++];

    memset(j, 0, sizeof(ctl_journal_t));
    (void) snprintf(j->name, sizeof(j->name), "%s", name);

    return CTL_OK;
}


/* a file that is gone was read before, or is older than journals are kept */

static ctl_rc_e
ctl_journal_file(ctl_audit_t *a, int dir, ctl_journal_t *j)
{
    int      fd;
    size_t   have, used;
    ssize_t  n;

    static uint8_t  chunk[CTL_JOURNAL_CHUNK];

    fd = openat(dir, j->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd == -1 && errno == ENOENT) {
        return CTL_OK;
    }

    if (fd == -1) {
        return ctl_fail(CTL_FAILED, "cannot open \"%s\": %s", j->name,
                        strerror(errno));
    }

    have = 0;

    for ( ;; ) {
        n = pread(fd, chunk + have, sizeof(chunk) - have,
                  j->offset + (off_t) have);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            break;
        }

        have += (size_t) n;
        used = ctl_journal_lines(a, j, chunk, have, have == sizeof(chunk));

        memmove(chunk, chunk + used, have - used);
        have -= used;
        j->offset += (off_t) used;
    }

    (void) close(fd);

    return n == 0 ? CTL_OK
           : ctl_fail(CTL_FAILED, "cannot read \"%s\": %s", j->name,
                      strerror(errno));
}


/* the bytes taken; a line without its end is torn, or not written yet */

static size_t
ctl_journal_lines(ctl_audit_t *a, ctl_journal_t *j, const uint8_t *text,
    size_t len, bool full)
{
    size_t          used;
    const uint8_t  *end;

    used = 0;

    while ((end = memchr(text + used, '\n', len - used)) != NULL) {

        if (!j->skip) {
            ctl_journal_line(a, exam_str_make(text + used,
                                             (size_t) (end - text) - used));
        }

        j->skip = false;
        used = (size_t) (end - text) + 1;
    }

    if (full && used == 0) {
        a->damaged += !j->skip;
        j->skip = true;
        used = len;
    }

    return used;
}


static void
ctl_journal_line(ctl_audit_t *a, exam_str_t line)
{
    exam_err_e         err;
    exam_arena_t       arena;
    exam_record_t      r;
    ctl_audit_item_t  *item;

    static _Alignas(max_align_t) uint8_t  memory[CTL_JOURNAL_ARENA];

    exam_arena_init(&arena, memory, sizeof(memory));

    err = exam_record_parse(line, &arena, &r);

    if (err != EXAM_OK) {
        a->damaged++;
        return;
    }

    if (r.type != EXAM_RECORD_RECEIPT || !exam_str_eq(r.exam, a->exam)) {
        return;
    }

    item = ctl_audit_add(a, r.upload);

    if (item == NULL) {
        a->damaged++;
        return;
    }

    /* a record may come twice */

    ctl_audit_segment(a, item, r.student, r.sid, r.kind, r.n);

    item->bytes = r.bytes;
    item->flags |= CTL_AUDIT_RECEIPT;

    memcpy(item->sha256, r.sha256, sizeof(item->sha256));
}


ctl_rc_e
ctl_audit_spool(ctl_audit_t *a)
{
    ctl_rc_e     rc;
    ctl_spool_t  s;

    s.a = a;
    s.flag = CTL_AUDIT_SPOOL;
    s.part = true;

    rc = ctl_dir_each(a->spool, "part", ctl_spool_part, &s);

    s.part = false;

    if (rc == CTL_OK) {
        rc = ctl_dir_each(a->spool, "ready", ctl_spool_info, &s);
    }

    if (rc == CTL_OK) {
        rc = ctl_dir_each(a->spool, "work", ctl_spool_info, &s);
    }

    s.flag = CTL_AUDIT_BAD;

    return rc == CTL_OK ? ctl_dir_each(a->spool, "bad", ctl_spool_info, &s)
                        : rc;
}


static ctl_rc_e
ctl_spool_part(void *data, int fd, const char *name)
{
    return ctl_dir_each(fd, name, ctl_spool_info, data);
}


/*
 * Of an upload that has a receipt nothing more is asked than that its file is
 * there; the manifest of another one tells its exam.
 */

static ctl_rc_e
ctl_spool_info(void *data, int fd, const char *name)
{
    bool               known;
    exam_str_t         id;
    ctl_audit_t       *a;
    ctl_spool_t       *s;
    exam_arena_t       arena;
    exam_manifest_t    m;
    ctl_audit_item_t  *item;

    static _Alignas(max_align_t) uint8_t  memory[EXAM_SIDECAR_ARENA];

    s = data;
    a = s->a;

    if (!ctl_spool_name(name, &id)) {
        return CTL_OK;
    }

    item = ctl_audit_find(a, id);
    known = item != NULL && (item->flags & CTL_AUDIT_RECEIPT) != 0;

    if (known && !s->part && ctl_spool_file(a, id, NULL,
                                            s->flag == CTL_AUDIT_BAD))
    {
        item->flags |= s->flag;
        return CTL_OK;
    }

    exam_arena_init(&arena, memory, sizeof(memory));

    if (!ctl_spool_manifest(fd, name, &arena, &m)
        || !exam_str_eq(m.exam, a->exam) || !m.final
        || !ctl_spool_file(a, id, &m, s->flag == CTL_AUDIT_BAD))
    {
        return CTL_OK;
    }

    item = ctl_audit_add(a, id);

    if (!known) {
        ctl_audit_segment(a, item, m.student, m.sid, m.kind, m.n);
        item->bytes = m.length;
        memcpy(item->sha256, m.sha256, sizeof(item->sha256));
    }

    item->flags |= s->flag;

    return CTL_OK;
}


static bool
ctl_spool_name(const char *name, exam_str_t *id)
{
    size_t  len;

    len = strlen(name);

    if (len <= 5 || strcmp(name + len - 5, ".info") != 0) {
        return false;
    }

    *id = exam_str_make(name, len - 5);

    return exam_id_upload(*id);
}


/* the file of a manifest; without `m` only where the id alone tells */

static bool
ctl_spool_file(ctl_audit_t *a, exam_str_t id, const exam_manifest_t *m,
    bool bad)
{
    size_t      i;
    char        name[EXAM_SPOOL_NAME_MAX], path[EXAM_STORE_PATH_MAX];
    exam_buf_t  b;

    static const exam_spool_e  places[] = { EXAM_SPOOL_PART, EXAM_SPOOL_REC };

    for (i = 0; !bad && i < 2; i++) {
        if (exam_spool_name(name, places[i], id)
            && ctl_spool_is(a->spool, name))
        {
            return true;
        }
    }

    if (m != NULL) {
        exam_buf_init(&b, path, sizeof(path));
        exam_store_name(&b, m, false);

        if (exam_buf_cstr(&b) && ctl_spool_is(a->store, path)) {
            return true;
        }
    }

    return exam_spool_name(name, EXAM_SPOOL_BAD_REC, id)
           && ctl_spool_is(a->spool, name);
}


static bool
ctl_spool_is(int fd, const char *name)
{
    struct stat  st;

    return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(st.st_mode);
}


unsigned
ctl_audit_where(ctl_audit_t *a, exam_str_t id)
{
    bool             bad;
    char             name[EXAM_SPOOL_NAME_MAX];
    size_t           i;
    exam_arena_t     arena;
    exam_manifest_t  m;

    static _Alignas(max_align_t) uint8_t  memory[EXAM_SIDECAR_ARENA];

    static const exam_spool_e  places[] = {
        EXAM_SPOOL_PART_INFO, EXAM_SPOOL_INFO, EXAM_SPOOL_WORK,
        EXAM_SPOOL_BAD_INFO
    };

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {

        if (!exam_spool_name(name, places[i], id)
            || !ctl_spool_is(a->spool, name))
        {
            continue;
        }

        bad = places[i] == EXAM_SPOOL_BAD_INFO;
        exam_arena_init(&arena, memory, sizeof(memory));

        /* what is damaged, the worker will tell; it is gone: it has moved on */

        if (!ctl_spool_manifest(a->spool, name, &arena, &m)) {

            if (ctl_spool_file(a, id, NULL, bad)) {
                return bad ? CTL_AUDIT_BAD : CTL_AUDIT_SPOOL;
            }

            continue;
        }

        if (m.final && ctl_spool_file(a, id, &m, bad)) {
            return bad ? CTL_AUDIT_BAD : CTL_AUDIT_SPOOL;
        }
    }

    return 0;
}


/* reads a manifest below `fd`; false: not there, or damaged */

static bool
ctl_spool_manifest(int fd, const char *name, exam_arena_t *arena,
    exam_manifest_t *m)
{
    size_t   len;
    uint8_t  text[EXAM_MANIFEST_MAX * 2];

    return exam_file_load(fd, name, text, sizeof(text), &len) == 0
           && exam_manifest_parse(exam_str_make(text, len), arena, m)
              == EXAM_OK;
}
