
/*
 * The disk side of resumable uploads: created, told, taken over, continued, and
 * calls that fail.
 */


#include "private_spool.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>


static void test_created(void);
static void test_told(void);
static void test_owner(void);
static void test_boot(void);
static void test_checked(void);
static void test_rolled_back(void);
static void test_failures(void);
static void test_full(void);
static void test_full_append(void);
static void test_full_end(void);
static void test_full_other(void);
static void test_unaligned(void);


int
main(void)
{
    spool_start();

    test_created();
    test_told();
    test_owner();
    test_boot();
    test_checked();
    test_rolled_back();
    test_failures();
    test_full();
    test_full_append();
    test_full_end();
    test_full_other();
    test_unaligned();

    spool_stop();

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
    tap_is(syncs + dir_syncs, 0, "what the last one has synced");

    closed(&w);

    tap_ok(fchmodat(spool, DIR_ ID ".info", 0600, 0) == 0
           && acquire(&w, BOOT) == NGX_HTTP_EXAM_PART_OWNED
           && !ngx_http_exam_part_told(&w), "not known to be synced");
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

    /* what is settled need not be told by the next one */

    (void) acquire(&w, OTHER);
    w.has_check = 1;
    tap_is(append(&w, "xyz", 3), 0, "bytes with a checksum");
    tap_is(ngx_http_exam_part_settle(&w), 0, "given up");
    tap_ok(w.offset == 18 && size_of(DIR_ ID ".part") == 18
           && ngx_http_exam_part_told(&w), "go back, durably");
    closed(&w);

    (void) acquire(&w, OTHER);
    tap_ok(ngx_http_exam_part_told(&w), "the next one has nothing to do");
    sync_errno = EIO;
    tap_is(append(&w, "xy", 2), 0, "bytes without one");
    tap_is(ngx_http_exam_part_settle(&w), -1, "that cannot be synced");
    sync_errno = 0;
    tap_is(ngx_http_exam_part_settle(&w), 0, "are not tried again");
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 18, "but given up");
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


/* no room for a manifest: what was told stays, what was not makes some */

static void
test_full(void)
{
    static char  data[300000];

    char      text[1024];
    writer_t  w;

    begin(&w, 1000000);

    tap_is(append(&w, data, 200000), 0, "bytes that are not told");

    write_errno = ENOSPC;
    tap_is(ngx_http_exam_part_tell(&w), -1, "no room for a manifest");
    tap_ok(ngx_http_exam_part_no_room(&w), "is why");
    cuts_to_room = 1;
    tap_is(ngx_http_exam_part_full(&w), 0, "room kept behind the offset");
    tap_is(w.offset, 200000, "costs nothing");
    tap_is(w.manifest.durable_offset, 200000, "and all is told");
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_is(append(&w, data, 100000), 0, "more");
    write_errno = EDQUOT;
    cuts_to_room = 2;
    tap_is(ngx_http_exam_part_full(&w), 0, "the last bytes make room");
    tap_ok(w.offset > 200000 && w.offset < 300000 && w.offset % 4096 == 0,
           "not many, to the alignment");
    tap_is(size_of(DIR_ ID ".part"), w.offset, "so much is there");
    tap_is(w.manifest.durable_offset, w.offset, "and is told");
    tap_ok(ngx_http_exam_part_told(&w), "for good");
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_is(append(&w, data, 300000), 0, "more");
    write_errno = ENOSPC;
    dir_syncs = 0;
    tap_is(ngx_http_exam_part_full(&w), 0, "nothing makes room");
    tap_ok(w.offset == w.info_offset && w.offset > 200000,
           "what was told last is told again");
    tap_is(size_of(DIR_ ID ".part"), w.offset, "by the manifest there is");
    closed(&w);

    /* any boot, and any owner */

    tap_is(acquire(&w, OTHER), NGX_HTTP_EXAM_PART_OWNED, "another boot");
    tap_is(ngx_http_exam_part_tell(&w), -1, "whose id cannot be written");
    dir_syncs = 0;
    tap_is(ngx_http_exam_part_full(&w), 1, "tells the same");
    tap_is(w.manifest.durable_offset, w.offset, "offset");
    write_errno = 0;

    text_of(DIR_ ID ".info", text, sizeof(text));
    tap_ok(strstr(text, BOOT) != NULL, "by the old manifest");
    closed(&w);

}


/* what an append was doing when there was no more room */

static void
test_full_append(void)
{
    static char  data[100000];

    writer_t  w;

    (void) acquire(&w, BOOT);
    w.has_check = 1;
    w.check.alg = EXAM_TUS_CRC32C;
    w.check.len = 4;
    tap_is(append(&w, data, 100000), 0, "bytes with a checksum");
    write_errno = ENOSPC;
    tap_is(ngx_http_exam_part_full(&w), 1, "without room");
    write_errno = 0;
    tap_is(w.offset, w.start, "go back whole");
    tap_is(size_of(DIR_ ID ".part"), w.start, "from the disk too");
    tap_ok(ngx_http_exam_part_clean(&w), "with nothing left to undo");
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_is(append(&w, data, 100000), 0, "bytes");
    write_errno = ENOSPC;
    tap_is(put(&w, (uint8_t *) data, 4096), -1, "and some that are torn");
    cuts_to_room = 1;
    tap_is(ngx_http_exam_part_full(&w), 0, "those are the room");
    tap_is(w.offset, w.start + 100000, "the others are kept");
    tap_is(w.manifest.durable_offset, w.offset, "and told");
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_is(append(&w, data, 100000), 0, "bytes");
    write_errno = ENOSPC;
    cuts_to_room = 2;
    tap_is(ngx_http_exam_part_settle(&w), 0, "who is asked to let go");
    tap_ok(w.offset > w.start && ngx_http_exam_part_told(&w),
           "does the same");
    closed(&w);
}


/* the offset of a complete upload is its acknowledgement */

static void
test_full_end(void)
{
    static char  data[1000000];

    int64_t   told;
    writer_t  w;

    (void) acquire(&w, BOOT);
    told = w.offset;
    tap_is(append(&w, data, (size_t) (1000000 - told)), 0, "all of it");

    w.manifest.final = true;
    w.manifest.received_at = 1;
    w.manifest.durable_offset = w.offset;
    write_errno = ENOSPC;
    tap_is(ngx_http_exam_writer_finish(&w), -1, "no room for the end");
    cuts_to_room = 2;
    tap_is(ngx_http_exam_part_full(&w), 0, "is told");
    tap_ok(w.offset < 1000000 && w.offset >= 900000, "as less than all");
    tap_is(w.manifest.durable_offset, w.offset, "durably");
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_ok(!w.manifest.final && w.offset < 1000000, "it goes on from there");
    tap_is(append(&w, data, (size_t) (1000000 - w.offset)), 0, "to the end");
    tap_is(ngx_http_exam_part_tell(&w), 0, "which the manifest has");
    write_errno = ENOSPC;
    tap_is(ngx_http_exam_part_full(&w), -1, "then there is nothing to tell");
    write_errno = 0;
    tap_is(size_of(DIR_ ID ".part"), 1000000, "and nothing is given up");
    closed(&w);

    (void) acquire(&w, BOOT);
    w.manifest.final = true;
    w.manifest.received_at = 1;
    tap_is(ngx_http_exam_writer_finish(&w), 0, "the end, when there is room");
    (void) unlinkat(spool, "ready/" ID ".rec", 0);
    (void) unlinkat(spool, "ready/" ID ".info", 0);
}


/* syncs that want room, calls that fail otherwise */

static void
test_full_other(void)
{
    writer_t  w;

    begin(&w, -1);
    tap_is(append(&w, "hello", 5), 0, "five bytes");
    tap_is(ngx_http_exam_part_tell(&w), 0, "told");
    tap_is(append(&w, "world", 5), 0, "five more");

    sync_errno = EDQUOT;
    tap_is(ngx_http_exam_part_tell(&w), -1, "that cannot be synced");
    tap_is(ngx_http_exam_part_full(&w), 0, "over the quota");
    sync_errno = 0;
    tap_is(w.offset, 5, "are given up");
    tap_is(w.manifest.durable_offset, 5, "what was told is told");
    tap_ok(ngx_http_exam_part_clean(&w), "with nothing left to undo");
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_is(w.offset, 5, "by all who come");
    tap_is(append(&w, "world", 5), 0, "five bytes");
    write_errno = EIO;
    tap_is(ngx_http_exam_part_full(&w), -1, "a broken disk is not a full one");
    tap_is(size_of(DIR_ ID ".part"), 10, "nothing is given up for it");
    write_errno = 0;

    dir_errno = EIO;
    tap_is(ngx_http_exam_part_tell(&w), -1, "a name that may be lost");
    dir_errno = 0;
    write_errno = ENOSPC;
    tap_is(ngx_http_exam_part_full(&w), -1, "is not told without another");
    write_errno = 0;
    closed(&w);

    (void) acquire(&w, BOOT);
    tap_is(append(&w, "!", 1), 0, "one byte");
    write_errno = ENOSPC;
    cut_errno = EIO;
    tap_is(ngx_http_exam_part_full(&w), -1, "what cannot be cut off");
    cut_errno = write_errno = 0;
    closed(&w);
    tap_is(size_of(DIR_ ID ".part"), 11, "stays");

    (void) acquire(&w, BOOT);
    (void) ngx_http_exam_part_terminate(&w, EXAM_GONE_DELETED);
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

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) (i * 31 + i / 256);
    }

    begin(&w, (int64_t) sizeof(data));
    (void) append(&w, (char *) data, 4096 + 100);
    closed(&w);

    (void) acquire(&w, BOOT);
    (void) ngx_http_exam_part_append(&w);

    (void) put(&w, data + 4096 + 100, 4096 - 100);
    tap_ok(!w.direct, "up to the alignment by the page cache");

    (void) put(&w, data + 2 * 4096, 4096);
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
