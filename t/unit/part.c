
/*
 * The disk side of resumable uploads, as nginx has it: the files of the module
 * that know no nginx are made part of this program, with calls that can be made
 * to fail.
 */


#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>


static int  test_fdatasync(int fd);
static int  test_fsync(int fd);
static int  test_ftruncate(int fd, off_t size);
static ssize_t  test_pwrite(int fd, const void *data, size_t len, off_t at);

#define fdatasync   test_fdatasync
#define fsync       test_fsync
#define ftruncate   test_ftruncate
#define pwrite      test_pwrite

#include "../../ngx_exam_module/ngx_http_exam_writer.c"
#include "../../ngx_exam_module/ngx_http_exam_part.c"
#include "../../ngx_exam_module/ngx_http_exam_part_find.c"

#undef fdatasync
#undef fsync
#undef ftruncate
#undef pwrite


#define ID   "n1-0123456789abcdef0123456789abcdef"
#define DIR_ "part/01/"

#define BOOT   "11111111-2222-3333-4444-555555555555"
#define OTHER  "99999999-2222-3333-4444-555555555555"


typedef ngx_http_exam_writer_t  writer_t;


static void make_spool(void);
static void begin(writer_t *w, int64_t length);
static int acquire(writer_t *w, const char *boot);
static int append(writer_t *w, const char *data, size_t len);
static void closed(writer_t *w);
static int has(const char *name);
static int64_t size_of(const char *name);
static void text_of(const char *name, char *out, size_t size);
static void age(const char *name, time_t seconds);

static void test_created(void);
static void test_told(void);
static void test_owner(void);
static void test_boot(void);
static void test_checked(void);
static void test_rolled_back(void);
static void test_failures(void);
static void test_finished(void);
static void test_not_finished(void);
static void test_gone(void);
static void test_unaligned(void);


static char     spool_path[] = "/tmp/exam-part-XXXXXX";
static int      spool, ready;
static uint8_t  arena[2][EXAM_MANIFEST_ARENA];

/* how many calls there were, and the errno of the next ones */

static int  syncs, dir_syncs;
static int  sync_errno, dir_errno, cut_errno, write_errno;
static int64_t  size_at_sync;


int
main(void)
{
    char  command[64];

    make_spool();

    test_created();
    test_told();
    test_owner();
    test_boot();
    test_checked();
    test_rolled_back();
    test_failures();
    test_finished();
    test_not_finished();
    test_gone();
    test_unaligned();

    (void) snprintf(command, sizeof(command), "rm -rf %s", spool_path);
    tap_is(system(command), 0, "the spool is removed");

    return tap_done();
}


static void
test_created(void)
{
    char      text[1024];
    writer_t  w;

    dir_syncs = 0;
    begin(&w, 100000);

    tap_ok(has(DIR_ ID ".part") && has(DIR_ ID ".info")
           && !has(DIR_ ID ".tmp"), "a creation has part and manifest");
    tap_is(dir_syncs, 1, "and their directory is synced");
    tap_is(size_of(DIR_ ID ".part"), 0, "the part is empty");

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, "\"durable_offset\":0") && strstr(text, BOOT)
           && strstr(text, "\"sha256\":null"),
           "the manifest is not final, of this boot, at 0");

    closed(&w);

    dir_errno = EIO;
    w.manifest.id = exam_str("n1-01ffffffffffffffffffffffffffffff");
    tap_is(ngx_http_exam_part_create(&w), -1,
           "no creation whose names are not durable");
    dir_errno = 0;
    (void) ngx_http_exam_writer_remove(&w);
    tap_ok(!has(DIR_ "n1-01ffffffffffffffffffffffffffffff.info")
           && !has(DIR_ "n1-01ffffffffffffffffffffffffffffff.part"),
           "and nothing of it stays");
}


static void
test_told(void)
{
    char      text[1024];
    writer_t  w;

    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_OWNED, "taken over");
    tap_is(append(&w, "hello", 5), 0, "five bytes");
    tap_is(w.offset, 5, "the offset has them");

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, "\"durable_offset\":0"), "the manifest not yet");

    syncs = dir_syncs = 0;
    tap_is(ngx_http_exam_part_tell(&w), 0, "told");
    tap_is(syncs, 2, "part and manifest are synced");
    tap_is(size_at_sync, 5, "the part first, with all its bytes");
    tap_is(dir_syncs, 1, "and the directory of the manifest");
    tap_is(w.manifest.durable_offset, 5, "the offset to be told");

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, "\"durable_offset\":5"), "the manifest has it");

    syncs = dir_syncs = 0;
    tap_is(ngx_http_exam_part_tell(&w), 0, "told once more");
    tap_is(syncs + dir_syncs, 0, "with nothing to sync");

    closed(&w);

    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_OWNED, "taken over again");
    tap_is(w.offset, 5, "five bytes are there");

    syncs = dir_syncs = 0;
    tap_is(ngx_http_exam_part_tell(&w), 0, "told by the new owner");
    tap_is(syncs, 0, "what the manifest says was synced before it");
    tap_is(dir_syncs, 1, "its name perhaps not");

    w.manifest.length = 200000;
    tap_is(ngx_http_exam_part_tell(&w), 0, "another length");
    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, "\"length\":200000"), "is recorded");

    closed(&w);
}


static void
test_owner(void)
{
    writer_t  w, v;

    tap_is(acquire(&w, BOOT), NGX_HTTP_EXAM_PART_OWNED, "one owner");
    v.arena = arena[1];
    tap_is(acquire(&v, BOOT), NGX_HTTP_EXAM_PART_BUSY, "no second one");
    tap_ok(v.fd == -1, "who holds nothing");

    tap_is(append(&w, "1234", 4), 0, "four bytes that are not told");
    tap_ok(ngx_http_exam_part_clean(&w), "nothing to cut off");
    (void) ngx_http_exam_writer_unlock(w.fd);

    tap_is(acquire(&v, BOOT), NGX_HTTP_EXAM_PART_OWNED,
           "the second one has it when the first lets go");
    tap_is(v.offset, 9, "with all bytes, told or not");

    closed(&w);
    closed(&v);
}


static void
test_boot(void)
{
    char      text[1024];
    writer_t  w;

    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_OWNED, "after a power cut");
    tap_is(w.offset, 5, "only what was synced counts");
    tap_is(size_of(DIR_ ID ".part"), 5, "the rest is cut off");

    tap_is(append(&w, "67", 2), 0, "two bytes more");
    closed(&w);

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, OTHER) && strstr(text, "\"durable_offset\":5"),
           "the append is of the new boot");

    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_OWNED, "in the same boot");
    tap_is(w.offset, 7, "they count");
    closed(&w);
}


static void
test_checked(void)
{
    char      text[1024];
    writer_t  w;

    (void) acquire(&w, OTHER);

    w.has_check = 1;
    w.check.alg = EXAM_TUS_CRC32C;
    w.check.len = 4;
    memcpy(w.check.digest, "\xe3\x06\x92\x83", 4);

    tap_is(append(&w, "123456789", 9), 0, "an append with a checksum");
    tap_is(w.check_ok, 1, "which is right");

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, "\"checked\":true")
           && strstr(text, "\"durable_offset\":7"),
           "the manifest tells where it began");

    /* the process is killed */

    (void) close(w.fd);

    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_OWNED, "killed then");
    tap_is(w.offset, 7, "it has not been");

    w.has_check = 1;
    w.check.alg = EXAM_TUS_CRC32C;
    w.check.len = 4;
    memcpy(w.check.digest, "\xe3\x06\x92\x83", 4);
    tap_is(append(&w, "123456789", 9), 0, "once more");
    tap_is(ngx_http_exam_part_tell(&w), 0, "and told");
    closed(&w);

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, "\"checked\"") == NULL
           && strstr(text, "\"durable_offset\":16"), "now it counts");

    (void) acquire(&w, OTHER);
    w.has_check = 1;
    w.check.alg = EXAM_TUS_CRC32C;
    w.check.len = 4;
    memset(w.check.digest, 0, 4);
    tap_is(append(&w, "123456789", 9), 0, "one with a wrong checksum");
    tap_is(w.check_ok, 0, "is found out");
    tap_ok(!ngx_http_exam_part_clean(&w), "it is to be undone");
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 16, "by who lets go");

    (void) acquire(&w, OTHER);
    tap_is(append(&w, "ab", 2), 0, "an append without one");
    (void) close(w.fd);
    (void) acquire(&w, OTHER);
    tap_is(w.offset, 18, "stays, killed or not");
    closed(&w);
}


static void
test_rolled_back(void)
{
    char      text[1024];
    writer_t  w;

    (void) acquire(&w, OTHER);

    w.has_check = 1;
    w.check.alg = EXAM_TUS_SHA1;
    w.check.len = 20;
    memset(w.check.digest, 0, 20);

    syncs = 0;
    tap_is(append(&w, "xyz", 3), 0, "bytes with a checksum");
    tap_ok(syncs >= 2, "those before them are synced first");

    tap_is(ngx_http_exam_part_rollback(&w), 0, "taken back");
    tap_is(w.offset, 18, "the offset is as it was");
    tap_is(size_of(DIR_ ID ".part"), 18, "so is the part");

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, "\"checked\"") == NULL
           && strstr(text, "\"durable_offset\":18"), "and the manifest");
    tap_ok(ngx_http_exam_part_clean(&w), "nothing is left to undo");
    closed(&w);
}


static void
test_failures(void)
{
    writer_t  w;

    (void) acquire(&w, OTHER);

    write_errno = ENOSPC;
    tap_is(append(&w, "more", 4), -1, "a full disk");
    tap_is(w.error, ENOSPC, "is told");
    write_errno = 0;
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 18, "the prefix is kept");

    (void) acquire(&w, OTHER);
    tap_is(append(&w, "more", 4), 0, "it goes on later");

    sync_errno = EIO;
    tap_is(ngx_http_exam_part_tell(&w), -1, "a sync that fails");
    sync_errno = 0;
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 18, "what was not told is given up");

    (void) acquire(&w, OTHER);
    tap_is(append(&w, "more", 4), 0, "sent again");
    dir_errno = EIO;
    tap_is(ngx_http_exam_part_tell(&w), -1, "a directory that is not synced");
    dir_errno = 0;
    syncs = 0;
    tap_is(ngx_http_exam_part_tell(&w), 0, "told later");
    tap_ok(syncs == 2, "with a manifest of its own");
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 22, "nothing is lost");

    (void) acquire(&w, OTHER);
    w.has_check = 1;
    w.check.alg = EXAM_TUS_CRC32C;
    w.check.len = 4;
    tap_is(append(&w, "sum", 3), 0, "the same with a checksum");
    dir_errno = EIO;
    tap_is(ngx_http_exam_part_tell(&w), -1, "when it is not synced");
    dir_errno = 0;
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 25, "what the manifest counts is kept");

    (void) acquire(&w, OTHER);
    tap_is(append(&w, "more", 4), 0, "and more");
    sync_errno = cut_errno = EIO;
    tap_is(ngx_http_exam_part_tell(&w), -1, "a disk that fails");
    sync_errno = 0;
    (void) ngx_http_exam_part_close(&w);
    cut_errno = 0;
    tap_ok(w.fd == -1 && has(DIR_ ID ".gone") && !has(DIR_ ID ".part")
           && !has(DIR_ ID ".info"),
           "an upload whose end is not known is given up");
    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_GONE, "and says so");
    tap_is(w.gone, EXAM_GONE_REFUSED, "refused");

    (void) unlinkat(spool, DIR_ ID ".gone", 0);
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


/* O_DIRECT before, within and behind an end that is not aligned */

static void
test_unaligned(void)
{
    static _Alignas(4096) uint8_t  data[3 * 4096];

    int              direct;
    size_t           i;
    uint8_t          want[32], got[3 * 4096];
    writer_t         w;
    exam_sha256_t    h;
    ngx_http_exam_writer_block_t  block;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) (i * 31 + i / 256);
    }

    begin(&w, (int64_t) sizeof(data));
    (void) append(&w, (char *) data, 4096 + 100);
    closed(&w);

    (void) acquire(&w, BOOT);
    (void) ngx_http_exam_part_append(&w);

    block.data = data + 4096 + 100;
    block.len = 4096 - 100;
    (void) ngx_http_exam_writer_write(&w, &block);
    tap_ok(!w.direct, "up to the alignment by the page cache");

    block.data = data + 2 * 4096;
    block.len = 4096;
    (void) ngx_http_exam_writer_write(&w, &block);
    direct = w.want_direct;
    tap_ok(w.direct == direct, "then directly, where there is such a thing");

    tap_is(ngx_http_exam_writer_last(&w), 0, "the end");

    exam_sha256_init(&h);
    exam_sha256_update(&h, data, sizeof(data));
    exam_sha256_final(&h, want);
    tap_ok(memcmp(w.sha256, want, 32) == 0, "the hash of the whole");

    closed(&w);

    w.fd = openat(spool, DIR_ ID ".part", O_RDONLY);
    tap_ok(read(w.fd, got, sizeof(got)) == (ssize_t) sizeof(got)
           && memcmp(got, data, sizeof(got)) == 0, "the bytes as sent");
    (void) close(w.fd);
}


static void
make_spool(void)
{
    const char  *root;

    root = mkdtemp(spool_path);
    spool = (root == NULL) ? -1 : open(root, O_RDONLY|O_DIRECTORY);

    if (spool == -1
        || mkdirat(spool, "part", 0700) != 0
        || mkdirat(spool, "part/01", 0700) != 0
        || mkdirat(spool, "ready", 0700) != 0
        || mkdirat(spool, "work", 0700) != 0
        || mkdirat(spool, "bad", 0700) != 0)
    {
        printf("Bail out! no spool\n");
        exit(1);
    }

    ready = openat(spool, "ready", O_RDONLY|O_DIRECTORY);
}


static void
begin(writer_t *w, int64_t length)
{
    exam_manifest_t  *m;

    ngx_http_exam_writer_init(w);

    w->spool = spool;
    w->ready = ready;
    w->resumable = 1;
    w->boot = exam_str(BOOT);
    w->expire = 86400;
    w->arena = arena[0];

    m = &w->manifest;
    m->id = exam_str(ID);
    m->exam = exam_str("math");
    m->student = exam_str("anna");
    m->kind = exam_str("screen");
    m->length = length;
    m->content_type = exam_str("video/webm");
    m->started_at = m->duration_ms = m->received_at = -1;
    m->node = exam_str("n1");
    m->protocol = EXAM_PROTOCOL_TUS;
    m->created_at = 1;

    if (ngx_http_exam_part_create(w) != 0) {
        printf("# %s: %s\n", w->call, strerror(w->error));
    }
}


static int
acquire(writer_t *w, const char *boot)
{
    static unsigned  n;

    ngx_http_exam_writer_init(w);

    w->spool = spool;
    w->ready = ready;
    w->resumable = 1;
    w->boot = exam_str_make(boot, strlen(boot));
    w->expire = 86400;
    w->arena = arena[n++ % 2];
    w->manifest.id = exam_str(ID);

    return (int) ngx_http_exam_part_acquire(w);
}


static int
append(writer_t *w, const char *data, size_t len)
{
    int                           rc;
    ngx_http_exam_writer_block_t  block;

    w->length = (int64_t) len;

    if (ngx_http_exam_part_append(w) != 0) {
        return -1;
    }

    block.data = (const uint8_t *) data;
    block.len = len;

    if (len > 0 && ngx_http_exam_writer_write(w, &block) != 0) {
        return -1;
    }

    do {
        rc = ngx_http_exam_writer_last(w);
    } while (rc == 1);

    return rc;
}


static void
closed(writer_t *w)
{
    tap_ok(ngx_http_exam_part_close(w) == 0 && w->fd == -1, "let go");
}


static int
has(const char *name)
{
    return faccessat(spool, name, F_OK, 0) == 0;
}


static int64_t
size_of(const char *name)
{
    struct stat  st;

    return fstatat(spool, name, &st, 0) == 0 ? st.st_size : -1;
}


static void
text_of(const char *name, char *out, size_t size)
{
    int      fd;
    ssize_t  n;

    fd = openat(spool, name, O_RDONLY);
    n = (fd == -1) ? 0 : read(fd, out, size - 1);

    out[n > 0 ? n : 0] = '\0';
    (void) close(fd);
}


static void
age(const char *name, time_t seconds)
{
    struct timespec  times[2];

    times[0].tv_sec = times[1].tv_sec = time(NULL) - seconds;
    times[0].tv_nsec = times[1].tv_nsec = 0;

    (void) utimensat(spool, name, times, 0);
}


static int
test_fdatasync(int fd)
{
    struct stat  st;

    if (sync_errno) {
        errno = sync_errno;
        return -1;
    }

    if (syncs++ == 0 && fstat(fd, &st) == 0) {
        size_at_sync = st.st_size;
    }

    return fdatasync(fd);
}


static int
test_fsync(int fd)
{
    if (dir_errno) {
        errno = dir_errno;
        return -1;
    }

    dir_syncs++;

    return fsync(fd);
}


static int
test_ftruncate(int fd, off_t size)
{
    if (cut_errno) {
        errno = cut_errno;
        return -1;
    }

    return ftruncate(fd, size);
}


static ssize_t
test_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (write_errno) {
        errno = write_errno;
        return -1;
    }

    return pwrite(fd, data, len, at);
}
