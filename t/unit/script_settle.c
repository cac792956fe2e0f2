
/*
 * The script settle against a real Redis: resumable uploads, attachments and
 * the bytes of a student.  Its states: script_flush.c.
 */


#include "private_redis.h"
#include "tap.h"

#include "exam_redis_row.h"


#define SID1   "11111111000000000000000000000001"

#define UP1    "n1-00000000000000000000000000000001"
#define UP2    "n2-00000000000000000000000000000002"

#define FIELD  "HGET exam:{30}:seg:S1 " SID1 ":screen:5"
#define BYTES  "HGET exam:{30}:stored S1:bytes"
#define FILES  "HGET exam:{30}:stored S1:" SID1 ":file"


static const char *settle(const char *kind, const char *n, const char *state,
    const char *upload, const char *bytes);
static void is(const char *got, const char *want, const char *name);

static void test_gone(void);
static void test_gone_refused(void);
static void test_bytes(void);
static void test_files(void);


int
main(void)
{
    redis_start();

    test_gone();
    test_gone_refused();
    test_bytes();
    test_files();

    redis_stop();

    return tap_done();
}


static const char *
settle(const char *kind, const char *n, const char *state, const char *upload,
    const char *bytes)
{
    return redis_script(EXAM_SCRIPT_SETTLE, "exam:{30}:seg:S1",
                        "exam:{30}:stored", "S1", SID1, kind, n, state,
                        "n1", upload, bytes, "-", NULL);
}


static void
is(const char *got, const char *want, const char *name)
{
    tap_text(got, strlen(got), want, name);
}


static void
test_gone(void)
{
    redis_do("FLUSHALL");

    is(settle("screen", "5", "receiving", UP1, "100"),
       "receiving n1 " UP1 " 100 - -", "the first upload of a number");
    is(settle("screen", "5", "receiving", UP2, "200"),
       "receiving n1 " UP1 " 100 - -", "the second is told of the first");
    is(settle("screen", "5", "gone", UP2, "-"),
       "receiving n1 " UP1 " 100 - -", "the second goes: the first stays");
    is(settle("screen", "5", "gone", UP1, "-"), "none - - - - -",
       "the first goes");
    is(redis_do(FIELD), "~", "nothing is left of it");
    is(settle("screen", "5", "gone", UP1, "-"), "none - - - - -",
       "told twice it is the same");

    settle("screen", "5", "receiving", UP1, "100");
    settle("screen", "5", "received", UP1, "100");
    is(settle("screen", "5", "gone", UP1, "-"), "received n1 " UP1 " 100 - -",
       "what is received does not go");

    is(settle("screen", "6", "none", UP1, "-"), "!ERR unknown state",
       "another state is none");
}


static void
test_gone_refused(void)
{
    exam_ledger_t  e;
    const char    *value;

    redis_do("FLUSHALL");

    settle("screen", "5", "received", UP1, "100");
    settle("screen", "5", "refused", UP1, "-");
    settle("screen", "5", "receiving", UP2, "200");

    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "~",
       "a refused number that comes again is not asked for");

    value = redis_do(FIELD);
    tap_ok(exam_ledger_parse(exam_str_make(value, strlen(value)), &e)
           && e.state == EXAM_SEG_RECEIVING && e.bytes == 200,
           "its value can be read");

    is(settle("screen", "5", "gone", UP2, "-"), "refused n1 " UP2 " - - -",
       "when its upload goes it is refused again");
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":resend"), "screen:5",
       "and asked for");
    is(settle("screen", "5", "receiving", UP1, "-"),
       "receiving n1 " UP1 " - - -", "a third one may come");
}


static void
test_bytes(void)
{
    redis_do("FLUSHALL");

    settle("screen", "5", "receiving", UP1, "100");
    is(redis_do(BYTES), "~", "what is incomplete does not count");
    settle("screen", "5", "received", UP1, "100");
    is(redis_do(BYTES), "100", "what is received does");
    settle("screen", "5", "received", UP1, "100");
    settle("screen", "5", "stored", UP1, "100");
    is(redis_do(BYTES), "100", "once");
    settle("camera", "5", "stored", UP2, "11");
    is(redis_do(BYTES), "111", "an emptied Redis is told of stored ones");
    settle("camera", "6", "received", UP2, "1000");
    settle("camera", "6", "refused", UP2, "-");
    is(redis_do(BYTES), "111", "what is refused counts no more");
    settle("camera", "6", "received", UP1, "2000");
    is(redis_do(BYTES), "2111", "and its next upload does");
    settle("camera", "7", "lost", "-", "-");
    is(redis_do(BYTES), "2111", "what is lost weighs nothing");
}


static void
test_files(void)
{
    redis_do("FLUSHALL");

    is(redis_do("HINCRBY exam:{30}:stored S1:" SID1 ":file 1"), "1",
       "a node takes a number");
    settle("file", "0", "received", UP1, "0");
    is(redis_do(FILES), "1", "its attachment has come");
    settle("file", "7", "stored", UP2, "10");
    is(redis_do(FILES), "8", "one that Redis has forgotten");
    settle("file", "3", "stored", UP2, "10");
    is(redis_do(FILES), "8", "the next number is above all");
    is(settle("file", "3", "refused", UP2, "-"), "stored n1 " UP2 " 10 - -",
       "an attachment has no prefix that is stored");
}
