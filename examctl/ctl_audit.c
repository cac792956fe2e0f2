
/*
 * examctl audit: receipts against the spool, the table and the store, while
 * they change.  See ctl_audit.h for why the order of reading makes it exact.
 */


#include "ctl_audit.h"
#include "exam_time.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


#define CTL_AUDIT_EVERY     1000        /* ms between two passes */


static ctl_rc_e ctl_audit_open(ctl_audit_t *a, ctl_t *ctl);
static void ctl_audit_close(ctl_audit_t *a);
static ctl_rc_e ctl_audit_pass(ctl_audit_t *a, ctl_audit_figures_t *f);
static exam_db_e ctl_audit_again(ctl_audit_t *a, bool *loose);
static bool ctl_audit_open_question(const ctl_audit_item_t *item);
static exam_db_e ctl_audit_lost(ctl_audit_t *a, uint64_t *lost);
static void ctl_audit_count(const ctl_audit_t *a, ctl_audit_figures_t *f);
static bool ctl_audit_unexplained(const ctl_audit_item_t *item);
static ctl_rc_e ctl_audit_known(ctl_audit_t *a);
static ctl_rc_e ctl_audit_follow(ctl_audit_t *a);
static void ctl_audit_wait(int64_t until);
static void ctl_audit_stop(int sig);
static void ctl_audit_print(const ctl_audit_t *a,
    const ctl_audit_figures_t *f);
static void ctl_audit_list(const ctl_audit_t *a);
static const char *ctl_audit_why(const ctl_audit_item_t *item);


static volatile sig_atomic_t  ctl_audit_stopped;


ctl_rc_e
ctl_audit_exam(ctl_t *ctl)
{
    ctl_rc_e             rc;
    ctl_audit_t          a;
    ctl_audit_figures_t  f;

    memset(&a, 0, sizeof(ctl_audit_t));

    rc = ctl_arg_exam(ctl, 0, &a.exam);

    if (rc != CTL_OK) {
        return rc;
    }

    rc = ctl_audit_open(&a, ctl);

    if (rc == CTL_OK && ctl_option(ctl, "follow") != NULL) {
        rc = ctl_audit_follow(&a);

    } else if (rc == CTL_OK) {
        rc = ctl_audit_pass(&a, &f);

        if (rc == CTL_OK && a.n == 0) {
            rc = ctl_audit_known(&a);
        }

        if (rc == CTL_OK) {
            ctl_audit_print(&a, &f);
            rc = f.unexplained == 0 ? CTL_OK : CTL_FAILED;
        }
    }

    ctl_audit_close(&a);

    return rc;
}


static ctl_rc_e
ctl_audit_open(ctl_audit_t *a, ctl_t *ctl)
{
    a->ctl = ctl;
    a->hash = ctl_option(ctl, "hash") != NULL;
    a->store = -1;

    ctl_audit_table_init(a);

    a->spool = open(ctl->conf.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (a->spool == -1) {
        return ctl_fail(CTL_FAILED, "cannot open \"%s\": %s", ctl->conf.spool,
                        strerror(errno));
    }

    a->store = open(ctl->conf.recordings, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (a->store == -1) {
        return ctl_fail(CTL_FAILED, "cannot open \"%s\": %s",
                        ctl->conf.recordings, strerror(errno));
    }

    return ctl_connect(ctl);
}


static void
ctl_audit_close(ctl_audit_t *a)
{
    exam_stmt_close(&a->rows);
    exam_stmt_close(&a->find);
    exam_stmt_close(&a->same);

    if (a->spool != -1) {
        (void) close(a->spool);
    }

    if (a->store != -1) {
        (void) close(a->store);
    }

    free(a->journals);
    ctl_audit_table_free(a);
}


static ctl_rc_e
ctl_audit_pass(ctl_audit_t *a, ctl_audit_figures_t *f)
{
    bool       loose;
    uint32_t   i;
    ctl_rc_e   rc;

    memset(f, 0, sizeof(ctl_audit_figures_t));

    for (i = 0; i < a->n; i++) {
        a->items[i].flags &= CTL_AUDIT_RECEIPT;
    }

    rc = ctl_connect(a->ctl);

    if (rc == CTL_OK) {
        rc = ctl_audit_journals(a);
    }

    if (rc == CTL_OK) {
        rc = ctl_audit_spool(a);
    }

    if (rc == CTL_OK && ctl_audit_rows(a) != EXAM_DB_OK) {
        rc = ctl_db_failed(a->ctl);
    }

    if (rc == CTL_OK) {
        rc = ctl_audit_files(a, CTL_AUDIT_LOOSE);
    }

    /* receipts of rows that came meanwhile; the second look has the others */

    if (rc == CTL_OK) {
        rc = ctl_audit_journals(a);
    }

    loose = false;

    if (rc == CTL_OK && (ctl_audit_again(a, &loose) != EXAM_DB_OK
                         || ctl_audit_lost(a, &f->lost) != EXAM_DB_OK))
    {
        rc = ctl_db_failed(a->ctl);
    }

    /* the second file of a double is removed */

    if (rc == CTL_OK && loose) {
        rc = ctl_audit_files(a, CTL_AUDIT_AGAIN);
    }

    if (rc == CTL_OK) {
        ctl_audit_count(a, f);
    }

    return rc;
}


/* the second look at all that seems wrong */

static exam_db_e
ctl_audit_again(ctl_audit_t *a, bool *loose)
{
    uint32_t   i, which[CTL_AUDIT_LOOK];
    unsigned   n;
    exam_db_e  rc;

    n = 0;
    rc = EXAM_DB_OK;

    for (i = 0; i < a->n && rc == EXAM_DB_OK; i++) {

        if (!ctl_audit_open_question(&a->items[i])) {
            continue;
        }

        *loose = *loose || (a->items[i].flags & CTL_AUDIT_LOOSE) != 0;
        which[n++] = i;

        if (n == CTL_AUDIT_LOOK) {
            rc = ctl_audit_look(a, which, n);
            n = 0;
        }
    }

    return (rc == EXAM_DB_OK && n != 0) ? ctl_audit_look(a, which, n) : rc;
}


static bool
ctl_audit_open_question(const ctl_audit_item_t *item)
{
    if ((item->flags & (CTL_AUDIT_SPOOL | CTL_AUDIT_BAD)) != 0) {
        return false;
    }

    return ctl_audit_unexplained(item)
           || (item->flags & (CTL_AUDIT_LOOSE | CTL_AUDIT_ROW))
              == CTL_AUDIT_LOOSE;
}


static exam_db_e
ctl_audit_lost(ctl_audit_t *a, uint64_t *lost)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &a->ctl->db, "SELECT COUNT(*) FROM "
                         "lost_segments WHERE exam = ?", &a->exam, 1);

    if (rc == EXAM_DB_OK) {
        *lost = (uint64_t) exam_stmt_col_int(&stmt, 0);
    }

    exam_stmt_close(&stmt);

    return rc;
}


/* each upload falls into one class, the best that was seen of it */

static void
ctl_audit_count(const ctl_audit_t *a, ctl_audit_figures_t *f)
{
    bool                     stored;
    uint32_t                 i;
    unsigned                 flags;
    const ctl_audit_item_t  *item;

    f->damaged = a->damaged;

    for (i = 0; i < a->n; i++) {
        item = &a->items[i];
        flags = item->flags;
        stored = (flags & CTL_AUDIT_ROW) != 0 && (flags & CTL_AUDIT_FILE) != 0;

        if ((flags & CTL_AUDIT_ROW) != 0) {
            f->unreceipted += (flags & CTL_AUDIT_RECEIPT) == 0;
            f->wrong += (flags & CTL_AUDIT_WRONG) != 0;
            f->missing += (flags & (CTL_AUDIT_FILE | CTL_AUDIT_WRONG)) == 0;
        }

        f->refused += (flags & CTL_AUDIT_BAD) != 0;

        f->loose += (flags & CTL_AUDIT_LOOSE) != 0
                    && (flags & CTL_AUDIT_AGAIN) != 0
                    && (flags & (CTL_AUDIT_ROW | CTL_AUDIT_SPOOL
                                 | CTL_AUDIT_BAD)) == 0;

        if (ctl_audit_unexplained(item)) {
            f->acknowledged++;
            f->bytes += (uint64_t) item->bytes;
            f->unexplained++;
            continue;
        }

        if ((flags & CTL_AUDIT_RECEIPT) == 0) {
            continue;
        }

        f->acknowledged++;
        f->bytes += (uint64_t) item->bytes;

        if (stored) {
            f->stored++;

        } else if ((flags & CTL_AUDIT_SPOOL) != 0) {
            f->spool++;

        } else if ((flags & CTL_AUDIT_BAD) != 0) {
            f->bad++;

        } else {
            f->stored++;
            f->doubles++;
        }
    }
}


/* a row without a receipt speaks for itself: its file is missed as well */

static bool
ctl_audit_unexplained(const ctl_audit_item_t *item)
{
    if ((item->flags & (CTL_AUDIT_RECEIPT | CTL_AUDIT_ROW)) == 0
        || (item->flags & (CTL_AUDIT_SPOOL | CTL_AUDIT_BAD
                           | CTL_AUDIT_DOUBLE)) != 0)
    {
        return false;
    }

    return (item->flags & CTL_AUDIT_ROW) == 0
           || (item->flags & CTL_AUDIT_FILE) == 0;
}


static ctl_rc_e
ctl_audit_known(ctl_audit_t *a)
{
    exam_db_e    rc;
    exam_stmt_t  stmt;

    memset(&stmt, 0, sizeof(exam_stmt_t));

    rc = exam_stmt_query(&stmt, &a->ctl->db, "SELECT id FROM exams WHERE "
                         "id = ?", &a->exam, 1);

    exam_stmt_close(&stmt);

    if (rc == EXAM_DB_END) {
        return ctl_fail(CTL_NOT_FOUND, "no such exam \"%s\"",
                        a->ctl->args[0]);
    }

    return rc == EXAM_DB_OK ? CTL_OK : ctl_db_failed(a->ctl);
}


/* MySQL away is told and waited for; the line comes when it has changed */

static ctl_rc_e
ctl_audit_follow(ctl_audit_t *a)
{
    bool                 said;
    int64_t              start;
    ctl_rc_e             rc;
    struct sigaction     sa;
    ctl_audit_figures_t  f, last;

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = ctl_audit_stop;

    if (sigaction(SIGINT, &sa, NULL) != 0 || sigaction(SIGTERM, &sa, NULL) != 0)
    {
        return ctl_fail(CTL_FAILED, "sigaction: %s", strerror(errno));
    }

    memset(&last, 0, sizeof(ctl_audit_figures_t));
    said = false;
    rc = CTL_OK;

    while (!ctl_audit_stopped && !ferror(stdout)) {
        start = exam_mono_ms();

        rc = ctl_audit_pass(a, &f);

        if (rc != CTL_OK && rc != CTL_AWAY && rc != CTL_CONFLICT) {
            return rc;
        }

        if (rc == CTL_OK && (!said || memcmp(&f, &last, sizeof(f)) != 0)) {
            ctl_audit_print(a, &f);
            (void) fflush(stdout);

            last = f;
            said = true;
        }

        ctl_audit_wait(start + CTL_AUDIT_EVERY);
    }

    if (rc == CTL_OK && last.unexplained != 0) {
        rc = CTL_FAILED;
    }

    return rc;
}


static void
ctl_audit_wait(int64_t until)
{
    int64_t          rest;
    struct timespec  ts;

    rest = until - exam_mono_ms();

    if (rest > 0 && !ctl_audit_stopped) {
        ts.tv_sec = rest / 1000;
        ts.tv_nsec = (long) (rest % 1000) * 1000000;
        (void) nanosleep(&ts, NULL);
    }
}


static void
ctl_audit_stop(int sig)
{
    (void) sig;

    ctl_audit_stopped = 1;
}


static void
ctl_audit_print(const ctl_audit_t *a, const ctl_audit_figures_t *f)
{
    size_t  i;

    const struct {
        const char  *name;
        const char  *member;
        uint64_t     value;
    } figures[] = {
        { "bytes", "bytes", f->bytes },
        { "doubles", "doubles", f->doubles },
        { "rows without receipt", "rows_without_receipt", f->unreceipted },
        { "rows without file", "rows_without_file", f->missing },
        { "wrong files", "wrong_files", f->wrong },
        { "files without row", "files_without_row", f->loose },
        { "refused", "refused", f->refused },
        { "lost", "lost", f->lost },
        { "damaged lines", "damaged_lines", f->damaged }
    };

    printf(a->ctl->json
           ? "{\"acknowledged\":%llu,\"stored\":%llu,\"in_spool\":%llu,"
             "\"bad\":%llu,\"unexplained\":%llu"
           : "acknowledged %llu = stored %llu + in spool %llu + bad %llu, "
             "unexplained %llu",
           (unsigned long long) f->acknowledged, (unsigned long long) f->stored,
           (unsigned long long) f->spool, (unsigned long long) f->bad,
           (unsigned long long) f->unexplained);

    for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {

        if (a->ctl->json) {
            printf(",\"%s\":%llu", figures[i].member,
                   (unsigned long long) figures[i].value);

        } else {
            printf("%s %s %llu", i == 0 ? ";" : ",", figures[i].name,
                   (unsigned long long) figures[i].value);
        }
    }

    if (a->ctl->json) {
        printf(",\"exam\":\"%s\",\"node\":\"%s\",\"at\":%lld", a->ctl->args[0],
               a->ctl->conf.node, (long long) exam_now_ms());
    }

    if (ctl_option(a->ctl, "list") != NULL) {
        ctl_audit_list(a);

    } else {
        printf(a->ctl->json ? "}\n" : "\n");
    }
}


/* ends the line, too */

static void
ctl_audit_list(const ctl_audit_t *a)
{
    char                     id[EXAM_UPLOAD_MAX + 1];
    char                     sid[EXAM_SID_HEX + 1];
    uint32_t                 i;
    exam_buf_t               b;
    const char              *comma;
    const ctl_audit_item_t  *item;

    comma = "";
    printf(a->ctl->json ? ",\"list\":[" : "\n");

    for (i = 0; i < a->n; i++) {
        item = &a->items[i];

        if (!ctl_audit_unexplained(item)) {
            continue;
        }

        ctl_audit_id(a, item, id);

        exam_buf_init(&b, sid, sizeof(sid));
        exam_buf_hex(&b, item->sid, EXAM_SID_LEN);
        (void) exam_buf_cstr(&b);

        /* all of it are ids and words of our own: nothing to be escaped */

        if (a->ctl->json) {
            printf("%s\n{\"id\":\"%s\",\"student\":\"%s\",\"session\":\"%s\","
                   "\"kind\":\"%s\",\"n\":%u,\"bytes\":%lld,\"why\":\"%s\"}",
                   comma, id, a->students.names[item->student], sid,
                   a->kinds.names[item->kind], item->n,
                   (long long) item->bytes, ctl_audit_why(item));

        } else {
            printf("  %s  %s  %s  %s %u  %lld bytes: %s\n", id,
                   a->students.names[item->student], sid,
                   a->kinds.names[item->kind], item->n,
                   (long long) item->bytes, ctl_audit_why(item));
        }

        comma = ",";
    }

    printf(a->ctl->json ? "]}\n" : "");
}


static const char *
ctl_audit_why(const ctl_audit_item_t *item)
{
    if ((item->flags & CTL_AUDIT_WRONG) != 0) {
        return "its file is not what its row says";
    }

    if ((item->flags & CTL_AUDIT_ROW) != 0) {
        return "it has a row, but no file";
    }

    if ((item->flags & CTL_AUDIT_LOOSE) != 0) {
        return "it has a file in the store, but no row";
    }

    return "it is nowhere";
}
