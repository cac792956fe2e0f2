
/*
 * The disk side of resumable uploads: their ends, and names of which a crash
 * has kept some.
 */


#include "private_spool.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>


static void test_finished(void);
static void test_not_finished(void);
static void test_gone(void);
static void test_lost_names(void);
static void test_left_names(void);
static void test_marks_elsewhere(void);
static void test_sync_killed(void);
static void test_damaged(void);
static void test_two_ends(void);
static void *ender(void *data);
static void finished(writer_t *w, char *old);
static void moved(const char *from, const char *to);
static void spew(const char *name, const char *text);
static void sweep(ngx_http_exam_recovery_t *rec);
static void emptied(void);


int
main(void)
{
    spool_start();

    test_finished();
    test_not_finished();
    test_gone();
    test_lost_names();
    test_left_names();
    test_marks_elsewhere();
    test_sync_killed();
    test_damaged();
    test_two_ends();

    spool_stop();

    return tap_done();
}


static void
test_finished(void)
{
    writer_t  w, v;

    begin(&w, 5);
    tap_is(append(&w, "hello", 5), 0, "a whole upload");
    tap_ok(memcmp(w.sha256, "\x2c\xf2\x4d\xba", 4) == 0, "is hashed");
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_is(append(&w, "", 0), 0, "nothing behind it");
    tap_ok(memcmp(w.sha256, "\x2c\xf2\x4d\xba", 4) == 0,
           "hashes what others have sent");

    w.manifest.final = true;
    w.manifest.durable_offset = w.offset;
    memcpy(w.manifest.sha256, w.sha256, EXAM_HASH_LEN);

    /* killed between the manifest and the names */

    (void) ngx_http_exam_writer_info(&w);
    (void) ngx_http_exam_writer_rename(&w, EXAM_SPOOL_PART_TMP,
                                       EXAM_SPOOL_PART_INFO);
    (void) close(w.fd);

    dir_syncs = 0;
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_COMPLETE,
           "a final manifest: who looks finishes it");
    tap_is(dir_syncs, 1, "durably");
    tap_ok(has("ready/" ID ".rec") && has("ready/" ID ".info")
           && !has(DIR_ ID ".part") && !has(DIR_ ID ".info"),
           "the worker can have it");

    /* killed before the commit mark */

    (void) renameat(spool, "ready/" ID ".info", spool, DIR_ ID ".info");
    w.fd = openat(spool, "ready/" ID ".rec", O_WRONLY);
    (void) ngx_http_exam_writer_lock(w.fd, 0);
    tap_is(acquire(&v, BOOT), NGX_HTTP_EXAM_PART_BUSY,
           "while it is finished it is busy");
    (void) close(w.fd);
    tap_is(acquire(&v, BOOT), NGX_HTTP_EXAM_PART_COMPLETE,
           "its owner dead: who looks sets the mark");
    tap_ok(has("ready/" ID ".info"), "there it is");
    tap_is(v.manifest.length, 5, "with its length");

    (void) renameat(spool, "ready/" ID ".info", spool, "work/" ID ".info");
    tap_is(acquire(&v, BOOT), NGX_HTTP_EXAM_PART_COMPLETE, "claimed");
    (void) unlinkat(spool, "work/" ID ".info", 0);
    (void) unlinkat(spool, "ready/" ID ".rec", 0);
    tap_is(acquire(&v, BOOT), NGX_HTTP_EXAM_PART_NONE, "stored: no trace");

    /* a PUT's: not to be had, and removed when its owner is dead */

    w.fd = openat(spool, DIR_ ID ".part", O_CREAT|O_WRONLY, 0600);
    (void) ngx_http_exam_writer_lock(w.fd, 0);
    tap_is(acquire(&v, BOOT), NGX_HTTP_EXAM_PART_NONE, "a PUT is not found");
    tap_ok(has(DIR_ ID ".part"), "and left alone");
    (void) close(w.fd);
}


/* a checked append that ends the upload, and a disk that takes no name */

static void
test_not_finished(void)
{
    writer_t  w;

    (void) unlinkat(spool, DIR_ ID ".part", 0);

    begin(&w, 5);
    w.has_check = 1;
    (void) append(&w, "hello", 5);
    w.manifest.final = true;
    w.manifest.durable_offset = w.offset;

    (void) mkdirat(spool, "ready/" ID ".rec", 0700);
    tap_is(ngx_http_exam_writer_finish(&w), -1, "no name in ready/");
    (void) unlinkat(spool, "ready/" ID ".rec", AT_REMOVEDIR);
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 5, "what a final manifest counts stays");

    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_COMPLETE, "finished later");

    dir_errno = EIO;
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_FAILED,
           "complete is told only when its name is durable");
    dir_errno = 0;

    (void) unlinkat(spool, "ready/" ID ".info", 0);
    (void) unlinkat(spool, "ready/" ID ".rec", 0);
}


static void
test_gone(void)
{
    char      text[512];
    writer_t  w;

    (void) unlinkat(spool, DIR_ ID ".part", 0);

    begin(&w, 5);
    dir_syncs = 0;
    tap_is(ngx_http_exam_part_terminate(&w, EXAM_GONE_DELETED), 0, "deleted");
    tap_ok(dir_syncs >= 1, "durably");
    tap_ok(!has(DIR_ ID ".part") && !has(DIR_ ID ".info"), "nothing stays");

    text_of(DIR_ ID ".gone", text, sizeof(text));
    tap_ok(strstr(text, "\"state\":\"deleted\"")
           && strstr(text, "\"student\":\"anna\""), "but a tombstone");

    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_GONE, "which is found");
    tap_ok(exam_str_eq(w.manifest.student, exam_str("anna"))
           && w.gone == EXAM_GONE_DELETED, "with whose it was");
    (void) unlinkat(spool, DIR_ ID ".gone", 0);

    begin(&w, 5);
    (void) append(&w, "hello", 5);
    tap_is(ngx_http_exam_part_terminate(&w, EXAM_GONE_DOUBLE), 0, "a double");
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_GONE, "is a tombstone, too");
    tap_ok(w.gone == EXAM_GONE_DOUBLE && w.manifest.length == 5,
           "with its length");

    /* killed on the way */

    w.fd = openat(spool, DIR_ ID ".part", O_CREAT|O_WRONLY, 0600);
    (void) close(w.fd);
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_GONE, "what it left");
    tap_ok(!has(DIR_ ID ".part"), "is removed");
    (void) unlinkat(spool, DIR_ ID ".gone", 0);

    begin(&w, 5);
    closed(&w);
    age(DIR_ ID ".info", 90000);
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_OWNED,
           "an old manifest, but a part that is not");
    closed(&w);
    age(DIR_ ID ".part", 90000);
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_GONE, "both: expired");
    tap_ok(w.gone == EXAM_GONE_EXPIRED && !has(DIR_ ID ".part"), "and gone");
    (void) unlinkat(spool, DIR_ ID ".gone", 0);

    /* a disk that has lost what was told */

    begin(&w, 5);
    (void) append(&w, "hell", 4);
    (void) ngx_http_exam_part_tell(&w);
    tap_is(ftruncate(w.fd, 2), 0, "a disk that forgets");
    closed(&w);
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_GONE,
           "less than was told: not gone on with");
    (void) unlinkat(spool, DIR_ ID ".gone", 0);
}


/*
 * A power loss in the finish sequence, where the file system keeps any of its
 * renames without those before: the file's, the mark, or both.
 */

static void
test_lost_names(void)
{
    char                      old[1024];
    writer_t                  w;
    ngx_http_exam_recovery_t  rec;

    finished(&w, old);
    moved("ready/" ID ".info", DIR_ ID ".tmp");
    spew(DIR_ ID ".info", old);

    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_OWNED,
           "the file's name alone: it goes on");
    tap_is(w.offset, 3, "from where it was told");
    tap_ok(has(DIR_ ID ".part") && !has("ready/" ID ".rec"),
           "under its old name");
    dir_syncs = 0;
    tap_is(ngx_http_exam_part_tell(&w), 0, "told");
    tap_is(dir_syncs, 1, "once that is durable");
    closed(&w);
    emptied();

    finished(&w, old);
    moved("ready/" ID ".info", DIR_ ID ".tmp");
    spew(DIR_ ID ".info", old);
    sweep(&rec);
    tap_ok(has(DIR_ ID ".part") && !has("ready/" ID ".rec"),
           "the same by recovery");
    emptied();

    finished(&w, old);
    moved("ready/" ID ".rec", DIR_ ID ".part");
    spew(DIR_ ID ".info", old);
    dir_syncs = 0;
    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_COMPLETE,
           "the mark alone: complete");
    tap_ok(has("ready/" ID ".rec") && !has(DIR_ ID ".part"),
           "the file gets its name");
    tap_is(dir_syncs, 1, "durably");
    tap_is(w.manifest.length, 5, "the mark tells its length");
    emptied();

    finished(&w, old);
    moved("ready/" ID ".rec", DIR_ ID ".part");
    spew(DIR_ ID ".info", old);
    sweep(&rec);
    tap_ok(has("ready/" ID ".rec") && !has(DIR_ ID ".part"),
           "the same by recovery");
    tap_is(rec.finished, 1, "which counts it");
    emptied();

    /* the last manifest of part/ was renamed, too */

    finished(&w, old);
    moved("ready/" ID ".rec", DIR_ ID ".part");
    sweep(&rec);
    tap_ok(has("ready/" ID ".rec") && has("ready/" ID ".info"),
           "the mark and no other manifest");
    emptied();

    finished(&w, old);
    moved("ready/" ID ".rec", DIR_ ID ".part");
    moved("ready/" ID ".info", "work/" ID ".info");
    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_COMPLETE,
           "a mark that is claimed already");
    tap_ok(has("ready/" ID ".rec"), "the file gets its name");
    emptied();
}


/* nothing is lost but the order in which names were changed */

static void
test_left_names(void)
{
    char                      old[1024];
    writer_t                  w;
    ngx_http_exam_recovery_t  rec;

    /* the old manifest is left over, all else is as it should be */

    finished(&w, old);
    spew(DIR_ ID ".info", old);
    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_COMPLETE,
           "both names, and the old manifest");
    sweep(&rec);
    tap_ok(has("ready/" ID ".rec") && has("ready/" ID ".info"),
           "nothing goes back");
    moved("ready/" ID ".info", "work/" ID ".info");
    sweep(&rec);
    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_COMPLETE, "nor when claimed");
    tap_ok(has("ready/" ID ".rec"), "the worker has its file");
    emptied();

    /* somebody is at it */

    finished(&w, old);
    moved("ready/" ID ".info", DIR_ ID ".tmp");
    spew(DIR_ ID ".info", old);
    w.fd = openat(spool, "ready/" ID ".rec", O_WRONLY);
    (void) ngx_http_exam_writer_lock(w.fd, 0);
    sweep(&rec);
    tap_ok(has("ready/" ID ".rec"), "not while another one has the lock");
    (void) close(w.fd);
    emptied();
}


/* claimed before its owner has synced the mark */

static void
test_marks_elsewhere(void)
{
    char      old[1024];
    writer_t  w;

    finished(&w, old);
    moved("ready/" ID ".info", "work/" ID ".info");
    dir_errno = EIO;
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_FAILED,
           "complete is told of a claimed one when its name is durable");
    dir_errno = 0;
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_COMPLETE, "then it is");
    emptied();

    /* as exam-worker puts a manifest aside that says nothing */

    spew("bad/" ID ".info", "{\"id\":\"" ID "\",\"manifest_base64\":\"\"}\n");
    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_NONE,
           "a note of a damaged manifest is no upload");
    emptied();
}


/*
 * The kernel tells of bytes it could not write once, to who synced: whoever
 * comes next is told that all is well.
 */

static void
test_sync_killed(void)
{
    writer_t  w;

    begin(&w, 100);
    (void) append(&w, "hello", 5);
    (void) ngx_http_exam_part_tell(&w);
    (void) append(&w, " world", 6);
    sync_errno = EIO;
    tap_is(ngx_http_exam_part_tell(&w), -1, "a sync that fails");
    sync_errno = 0;
    (void) close(w.fd);

    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_OWNED, "killed at once");
    tap_is(w.offset, 5, "what was not told does not count");
    tap_is(size_of(DIR_ ID ".part"), 5, "it is cut off");

    (void) append(&w, " again", 6);
    (void) close(w.fd);
    (void) acquire(&w, BOOT);
    tap_is(w.offset, 11, "then the size counts again");
    tap_is(ngx_http_exam_part_tell(&w), 0, "told");
    (void) append(&w, "!", 1);
    (void) close(w.fd);
    (void) acquire(&w, BOOT);
    tap_is(w.offset, 12, "and after a sync that did not fail, too");

    w.has_check = 1;
    sync_errno = EIO;
    tap_is(append(&w, "sum", 3), -1, "one before a checksum");
    sync_errno = 0;
    (void) close(w.fd);
    (void) acquire(&w, BOOT);
    tap_is(w.offset, 11, "the same");
    closed(&w);

    (void) acquire(&w, BOOT);
    (void) append(&w, "?", 1);
    w.manifest.final = true;
    sync_errno = EIO;
    tap_is(ngx_http_exam_writer_finish(&w), -1, "one at the end");
    sync_errno = 0;
    (void) close(w.fd);
    (void) acquire(&w, BOOT);
    tap_is(w.offset, 11, "the same");
    closed(&w);
    emptied();
}


/* a manifest in part/ that cannot be understood: exam-worker puts it aside */

static void
test_damaged(void)
{
    char                      old[1024], text[64];
    writer_t                  w;
    ngx_http_exam_recovery_t  rec;

    begin(&w, 5);
    (void) append(&w, "hell", 4);
    closed(&w);
    spew(DIR_ ID ".info", "{\"version\":");

    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_FAILED, "not understood");
    sweep(&rec);
    tap_ok(has(DIR_ ID ".part") && has(DIR_ ID ".info"),
           "kept while it is young");
    age(DIR_ ID ".info", 90000);
    sweep(&rec);
    tap_ok(has(DIR_ ID ".part"), "also when the part is");
    age(DIR_ ID ".part", 90000);
    sweep(&rec);
    tap_ok(!has(DIR_ ID ".part") && !has(DIR_ ID ".info"),
           "then nothing of it stays in part/");
    text_of("ready/" ID ".info", text, sizeof(text));
    tap_ok(strcmp(text, "{\"version\":") == 0
           && size_of("ready/" ID ".rec") == 4,
           "the worker has it as it is");
    tap_is(rec.damaged, 1, "counted");
    emptied();

    /* empty, as a disk leaves it; killed before the mark */

    finished(&w, old);
    moved("ready/" ID ".info", DIR_ ID ".info");
    spew(DIR_ ID ".info", "");
    age(DIR_ ID ".info", 90000);
    sweep(&rec);
    tap_ok(has("ready/" ID ".rec") && !has("ready/" ID ".info"),
           "a file with its name, and a young one");
    age("ready/" ID ".rec", 90000);
    sweep(&rec);
    tap_ok(has("ready/" ID ".rec") && has("ready/" ID ".info")
           && !has(DIR_ ID ".info"), "goes the same way");
    emptied();
}


/* a complete upload that two delete at once, while it is swept */

static void
test_two_ends(void)
{
    char                      old[1024];
    int                       i, failed[2];
    pthread_t                 threads[2];
    writer_t                  w;
    ngx_http_exam_recovery_t  rec;

    memset(failed, 0, sizeof(failed));

    for (i = 0; i < 200; i++) {
        finished(&w, old);
        (void) unlinkat(spool, "ready/" ID ".rec", 0);
        (void) unlinkat(spool, "ready/" ID ".info", 0);

        (void) pthread_create(&threads[0], NULL, ender, &failed[0]);
        (void) pthread_create(&threads[1], NULL, ender, &failed[1]);
        sweep(&rec);
        (void) pthread_join(threads[0], NULL);
        (void) pthread_join(threads[1], NULL);

        failed[0] += !has(DIR_ ID ".gone") || has(DIR_ ID ".tmp");
        emptied();
    }

    tap_is(failed[0] + failed[1], 0, "two that delete a complete upload");
}


static void *
ender(void *data)
{
    int  *failed = data;

    writer_t  w;

    ngx_http_exam_writer_init(&w);

    w.spool = spool;
    w.ready = ready;
    w.resumable = 1;
    w.manifest.id = exam_str(ID);
    w.manifest.exam = exam_str("math");
    w.manifest.student = exam_str("anna");
    w.manifest.length = 5;

    *failed += (ngx_http_exam_part_terminate(&w, EXAM_GONE_DELETED) != 0);

    return NULL;
}


/* five bytes, three of them told before; the manifest that said so */

static void
finished(writer_t *w, char *old)
{
    begin(w, 5);
    (void) append(w, "hel", 3);
    (void) ngx_http_exam_part_tell(w);
    text_of(DIR_ ID ".info", old, 1024);
    (void) append(w, "lo", 2);

    w->manifest.final = true;
    w->manifest.durable_offset = w->offset;
    memcpy(w->manifest.sha256, w->sha256, EXAM_HASH_LEN);

    if (ngx_http_exam_writer_finish(w) != 0) {
        printf("# %s: %s\n", w->call, strerror(w->error));
    }
}


static void
moved(const char *from, const char *to)
{
    if (renameat(spool, from, spool, to) != 0) {
        printf("Bail out! no \"%s\"\n", from);
        exit(1);
    }
}


static void
spew(const char *name, const char *text)
{
    int  fd;

    fd = openat(spool, name, O_CREAT|O_TRUNC|O_WRONLY, 0600);

    if (fd == -1 || write(fd, text, strlen(text)) != (ssize_t) strlen(text)) {
        printf("Bail out! cannot write \"%s\"\n", name);
        exit(1);
    }

    (void) close(fd);
}


static void
sweep(ngx_http_exam_recovery_t *rec)
{
    memset(rec, 0, sizeof(ngx_http_exam_recovery_t));

    rec->spool = spool;
    rec->ready = ready;
    rec->boot = exam_str(OTHER);
    rec->expire = 86400;
    rec->forget = 86400;

    rec->lock = -1;

    while (ngx_http_exam_recovery_run(rec) == NGX_HTTP_EXAM_RECOVERY_MORE) {
        /* void */
    }
}


static void
emptied(void)
{
    size_t  i;

    static const char  *names[] = {
        DIR_ ID ".part", DIR_ ID ".info", DIR_ ID ".tmp", DIR_ ID ".gone",
        "ready/" ID ".rec", "ready/" ID ".info", "work/" ID ".info",
        "bad/" ID ".rec", "bad/" ID ".info"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) unlinkat(spool, names[i], 0);
    }
}
