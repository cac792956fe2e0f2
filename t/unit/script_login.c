
/*
 * The scripts login and logout against a real Redis: each branch, and the
 * order of the checks (DESIGN 5).
 */


#include "private_redis.h"
#include "tap.h"


#define CODE    "c0de"
#define SID1    "11111111000000000000000000000001"
#define SID2    "11111111000000000000000000000002"
#define SID3    "11111111000000000000000000000003"

#define MINUTE  60000


static void exam(const char *state, int64_t starts, int64_t ends,
    int64_t pause_ms, int64_t paused_at);
static const char *login(const char *student, const char *code,
    const char *sid, const char *min_gen, const char *policy);
static const char *logout(const char *student, const char *sid,
    const char *gen, const char *reason);
static void is(const char *got, const char *want, const char *name);
static void has(const char *part, const char *name);
static void keep(char *copy, const char *member);
static void session(const char *student, const char *json);
static void fresh(void);

static void test_order(void);
static void test_window(void);
static void test_own_end(void);
static void test_success(void);
static void test_generations(void);
static void test_deny(void);
static void test_odd_values(void);
static void test_logout(void);
static void test_logout_generations(void);
static void test_logout_ledger(void);


int
main(void)
{
    redis_start();

    test_order();
    test_window();
    test_own_end();
    test_success();
    test_generations();
    test_deny();
    test_odd_values();
    test_logout();
    test_logout_generations();
    test_logout_ledger();

    redis_stop();

    return tap_done();
}


/* starts and ends relative to now; paused_at as it is */

static void
exam(const char *state, int64_t starts, int64_t ends, int64_t pause_ms,
    int64_t paused_at)
{
    int64_t  now;

    now = redis_now();

    redis_do("HSET exam:{30} title T state %s starts_at %" PRId64
             " ends_at %" PRId64 " pause_ms %" PRId64 " paused_at %" PRId64
             " version 77", state, now + starts, ends ? now + ends : 0,
             pause_ms, paused_at);
}


/* a fresh Redis with an open exam and two students */

static void
fresh(void)
{
    redis_do("FLUSHALL");
    redis_do("SET exam:loaded 1");
    exam("open", -MINUTE, 60 * MINUTE, 0, 0);
    redis_do("HSET exam:{30}:roster _v 5"
             " S1 {\"name\":\"N\",\"seat\":\"A1\",\"code\":\"" CODE "\"}"
             " S2 {\"name\":\"M\",\"code\":\"" CODE "\",\"seat\":null}");
}


static const char *
login(const char *student, const char *code, const char *sid,
    const char *min_gen, const char *policy)
{
    return redis_script(EXAM_SCRIPT_LOGIN, "exam:loaded", "exam:{30}",
                        "exam:{30}:flags", "exam:{30}:roster",
                        "exam:{30}:sessions", "exam:{30}:stored",
                        "exam:{30}:seen", "exam:{30}:changes",
                        student, code, sid, "n1", "::1", min_gen, policy,
                        "90000", "1800000", "screen,camera", NULL);
}


static const char *
logout(const char *student, const char *sid, const char *gen,
    const char *reason)
{
    char  seg[64];

    snprintf(seg, sizeof(seg), "exam:{30}:seg:%s", student);

    return redis_script(EXAM_SCRIPT_LOGOUT, "exam:loaded", "exam:{30}",
                        "exam:{30}:sessions", seg, "exam:{30}:stored",
                        "exam:{30}:flags", "exam:{30}:changes",
                        student, sid, gen, "n2", reason, "screen,camera",
                        NULL);
}


static void
is(const char *got, const char *want, const char *name)
{
    tap_text(got, strlen(got), want, name);
}


/* the student's session in Redis holds this text */

static void
has(const char *part, const char *name)
{
    const char  *json;

    json = redis_do("HGET exam:{30}:sessions S1");

    if (!tap_ok(strstr(json, part) != NULL, "%s", name)) {
        printf("#   no '%s' in '%s'\n", part, json);
    }
}


static void
keep(char *copy, const char *member)
{
    snprintf(copy, 64, "%s", member);
}


static void
session(const char *student, const char *json)
{
    const char  *argv[] = { "HSET", "exam:{30}:sessions", student, json };

    redis_words(4, argv);
}


/* each step removes what the one before was refused for */

static void
test_order(void)
{
    redis_do("FLUSHALL");

    is(login("S1", "bad", SID1, "0", "deny"), "err|roster_loading",
       "no exam:loaded");

    redis_do("SET exam:loaded 1");

    is(login("S1", "bad", SID1, "0", "deny"), "err|invalid_credentials",
       "no such exam");

    exam("draft", -MINUTE, MINUTE, 0, 0);
    is(login("S1", "bad", SID1, "0", "deny"), "err|exam_not_open", "draft");

    exam("closed", -MINUTE, MINUTE, 0, 0);
    is(login("S1", "bad", SID1, "0", "deny"), "err|exam_over", "closed");

    exam("archived", -MINUTE, MINUTE, 0, 0);
    is(login("S1", "bad", SID1, "0", "deny"), "err|exam_over", "archived");

    exam("open", -MINUTE, MINUTE, 0, 0);
    is(login("S1", "bad", SID1, "0", "deny"), "err|roster_loading",
       "no _v in the roster");

    redis_do("HSET exam:{30}:roster _v 5");
    redis_do("HSET exam:{30}:flags S1 {\"suspended\":true}");
    session("S1", "{\"sid\":\"" SID2 "\",\"gen\":5,\"login_at\":9e15,"
            "\"ended\":\"\"}");

    is(login("S1", "bad", SID1, "0", "deny"), "err|invalid_credentials",
       "no such student");

    redis_do("HSET exam:{30}:roster S1 {\"name\":\"N\",\"code\":\"" CODE "\"}");

    is(login("S1", "bad", SID1, "0", "deny"), "err|invalid_credentials",
       "wrong code, though suspended");
    is(login("S1", CODE, SID1, "0", "deny"), "err|student_suspended",
       "suspended, though logged in elsewhere");

    redis_do("HSET exam:{30}:flags S1 {\"suspended\":false}");

    is(login("S1", CODE, SID1, "0", "deny"), "err|already_logged_in",
       "logged in elsewhere");

    is(redis_do("EXISTS exam:{30}:changes exam:{30}:stored"), "0",
       "a refused login leaves nothing");

    login("S1", CODE, SID1, "0", "takeover");
    is(redis_member(0), "ok", "and under takeover is let in");
}


static void
test_window(void)
{
    fresh();

    exam("open", 31 * MINUTE, 60 * MINUTE, 0, 0);
    is(login("S1", CODE, SID1, "0", "deny"), "err|exam_not_open",
       "31 minutes before the start");

    exam("open", 29 * MINUTE, 60 * MINUTE, 0, 0);
    login("S1", CODE, SID1, "0", "deny");
    is(redis_member(0), "ok", "29 minutes before the start");
}


static void
test_own_end(void)
{
    int64_t  now;

    fresh();

    exam("open", -60 * MINUTE, -MINUTE, 0, 0);
    is(login("S1", CODE, SID1, "0", "takeover"), "err|exam_over",
       "a minute past the end");
    is(login("S1", "bad", SID1, "0", "takeover"), "err|exam_over",
       "whatever the code");

    exam("open", -60 * MINUTE, -MINUTE, 2 * MINUTE, 0);
    login("S1", CODE, SID1, "0", "takeover");
    is(redis_member(0), "ok", "past pauses are added");
    is(redis_member(8), "120000", "and told");

    now = redis_now();
    exam("open", -60 * MINUTE, -MINUTE, 0, now - 2 * MINUTE);
    login("S1", CODE, SID1, "0", "takeover");
    is(redis_member(0), "ok", "the running pause is added");

    exam("open", -60 * MINUTE, -3 * MINUTE, 0, now - 2 * MINUTE);
    is(login("S1", CODE, SID1, "0", "takeover"), "err|exam_over",
       "not more than it lasts");

    redis_do("HSET exam:{30}:flags S1 {\"extra_s\":120}");

    exam("open", -60 * MINUTE, -MINUTE, 0, 0);
    login("S1", CODE, SID1, "0", "takeover");
    is(redis_member(0), "ok", "extra time is added");
    is(redis_member(11), "120", "and told");
    is(login("S2", CODE, SID1, "0", "takeover"), "err|exam_over",
       "for nobody else");

    exam("open", -60 * MINUTE, 0, 0, 0);
    login("S2", CODE, SID2, "0", "takeover");
    is(redis_member(0), "ok", "without an end it is never over");
}


static void
test_success(void)
{
    char     gen[64], want[256];
    int64_t  before, after;

    fresh();

    redis_do("HSET exam:{30}:flags S1 {\"locked\":true,\"paused\":true,"
             "\"finish\":true,\"extra_s\":60}");

    before = redis_now();
    login("S1", CODE, SID1, "0", "takeover");
    keep(gen, redis_member(1));

    tap_ok(strtoll(gen, NULL, 10) >= before, "gen is Redis' time or later");
    is(redis_member(2), "N", "name");
    is(redis_member(3), "A1", "seat");
    is(redis_member(4), "T", "title");
    is(redis_member(5), "open", "state");
    tap_ok(strtoll(redis_member(6), NULL, 10) < before, "starts_at");
    tap_ok(strtoll(redis_member(7), NULL, 10) > before, "ends_at");
    is(redis_member(8), "0", "pause_ms");
    is(redis_member(9), "0", "paused_at");
    is(redis_member(10), "77", "version");
    is(redis_member(11), "60", "extra_s");
    is(redis_member(12), "14", "flags: locked, paused, finish");
    is(redis_member(13), "", "nobody was replaced");
    is(redis_member(14), gen, "now");
    is(redis_member(15), "-1,-1", "stored");
    is(redis_member(16), "", "no more");

    after = redis_now();
    tap_ok(strtoll(gen, NULL, 10) <= after, "gen is not of the future");

    snprintf(want, sizeof(want), "{\"sid\":\"" SID1 "\",\"gen\":%s,"
             "\"node\":\"n1\",\"ip\":\"::1\",\"login_at\":%s,\"ended\":\"\"}",
             gen, gen);
    is(redis_do("HGET exam:{30}:sessions S1"), want, "the session");

    is(redis_do("HMGET exam:{30}:stored S1:" SID1 ":screen S1:" SID1 ":camera"),
       "-1|-1", "stored is -1 for each kind");
    is(redis_do("HLEN exam:{30}:stored"), "2", "and nothing else");

    snprintf(want, sizeof(want), "type|session|student|S1|sid|" SID1
             "|gen|%s|node|n1|ended|", gen);
    is(strchr(redis_do("XRANGE exam:{30}:changes - +"), '|') + 1, want,
       "one change, the session");
    is(redis_do("EXISTS exam:{30}:seen exam:{30}:state"), "0",
       "a login is no heartbeat");

    login("S2", CODE, SID3, "0", "takeover");
    is(redis_member(3), "", "a seat of null");
    is(redis_member(12), "0", "no flags");
}


static void
test_generations(void)
{
    char  gen[64], want[128];

    fresh();

    login("S1", CODE, SID1, "0", "takeover");
    keep(gen, redis_member(1));

    login("S1", CODE, SID2, "0", "takeover");
    is(redis_member(13), SID1, "the replaced session is told");
    tap_ok(strtoll(redis_member(1), NULL, 10) > strtoll(gen, NULL, 10),
           "a higher generation");

    is(redis_do("XLEN exam:{30}:changes"), "3",
       "changes: new, replaced, new");
    snprintf(want, sizeof(want), "sid|" SID1 "|gen|%s|node|n1|ended|replaced",
             gen);
    tap_ok(strstr(redis_do("XRANGE exam:{30}:changes - +"), want) != NULL,
           "the replaced one is marked");
    is(redis_do("HGET exam:{30}:stored S1:" SID1 ":screen"), "-1",
       "numbers of the replaced session stay");

    login("S1", CODE, SID3, "8000000000000", "takeover");
    is(redis_member(1), "8000000000000", "what the node knows is higher");

    login("S1", CODE, SID1, "0", "takeover");
    is(redis_member(1), "8000000000001", "the last generation + 1 is higher");

    login("S1", CODE, SID2, "8000000000001", "takeover");
    is(redis_member(1), "8000000000002", "the highest of all");
}


static void
test_deny(void)
{
    char     json[256];
    int64_t  now;

    fresh();

    login("S1", CODE, SID1, "0", "deny");
    is(redis_member(0), "ok", "the first login");
    is(login("S1", CODE, SID2, "0", "deny"), "err|already_logged_in",
       "it never beat, its login is young");

    now = redis_now();

    /* not in the form that the scripts write */

    snprintf(json, sizeof(json), "{ \"gen\": 17, \"ended\": \"\", "
             "\"login_at\": %" PRId64 ", \"sid\": \"" SID1 "\" }",
             now - 100000);

    session("S1", json);
    redis_do("ZADD exam:{30}:seen %" PRId64 " S1", now - 1000);
    is(login("S1", CODE, SID2, "0", "deny"), "err|already_logged_in",
       "an old login, a young beat");

    redis_do("ZADD exam:{30}:seen %" PRId64 " S1", now - 95000);
    login("S1", CODE, SID2, "0", "deny");
    is(redis_member(0), "ok", "an old login, an old beat");
    is(redis_member(13), SID1, "replaced all the same");

    is(login("S1", CODE, SID3, "0", "deny"), "err|already_logged_in",
       "the beat of an earlier session does not count");

    session("S1", json);
    redis_do("DEL exam:{30}:seen");
    login("S1", CODE, SID2, "0", "deny");
    is(redis_member(0), "ok", "an old login that never beat");

    logout("S1", SID2, redis_member(1), "logout");
    login("S1", CODE, SID3, "0", "deny");
    is(redis_member(0), "ok", "an ended session denies nothing");
    is(redis_member(13), "", "and is not replaced");
}


static void
test_odd_values(void)
{
    fresh();

    session("S1", "not json");
    redis_do("HSET exam:{30}:flags S1 [");

    login("S1", CODE, SID1, "0", "deny");
    is(redis_member(0), "ok", "malformed session and flags are no obstacle");
    has("\"sid\":\"" SID1 "\"", "the session is replaced");

    session("S2", "{\"sid\":7,\"gen\":5}");
    login("S2", CODE, SID2, "0", "deny");
    is(redis_member(0), "ok", "nor is a wrong type of sid");
    is(redis_member(13), "", "which replaces nobody");

    session("S2", "{\"sid\":\"" SID1 "\",\"gen\":\"x\"}");
    login("S2", CODE, SID2, "0", "deny");
    is(redis_member(0), "ok", "nor a wrong type of gen");

    redis_do("HSET exam:{30}:roster S1 {");
    tap_ok(login("S1", CODE, SID1, "0", "takeover")[0] == '!',
           "a malformed roster entry is an error, not a wrong code");
}


static void
test_logout(void)
{
    char  gen[64], want[256];

    redis_do("FLUSHALL");
    is(logout("S1", SID1, "5", "logout"), "err|roster_loading",
       "logout without exam:loaded");

    redis_do("SET exam:loaded 1");
    is(logout("S1", SID1, "5", "logout"), "err|not_found",
       "logout without an exam");

    fresh();
    redis_do("HSET exam:{30}:flags S1 {\"locked\":true,\"extra_s\":30}");
    login("S1", CODE, SID1, "0", "deny");
    keep(gen, redis_member(1));

    logout("S1", SID1, gen, "logout");
    is(redis_member(0), "ok", "logout");
    is(redis_member(1), "logout", "ended");
    is(redis_member(2), "open", "state");
    is(redis_member(5), "0", "pause_ms");
    is(redis_member(6), "0", "paused_at");
    is(redis_member(7), "30", "extra_s");
    is(redis_member(8), "2", "flags");
    is(redis_member(9), "-1,-1", "stored");
    is(redis_member(10), "", "an empty ledger");

    snprintf(want, sizeof(want), "{\"sid\":\"" SID1 "\",\"gen\":%s,"
             "\"node\":\"n1\",\"ip\":\"::1\",\"login_at\":%s,"
             "\"ended\":\"logout\"}", gen, gen);
    is(redis_do("HGET exam:{30}:sessions S1"), want,
       "the rest of the session stays");
    is(redis_do("XLEN exam:{30}:changes"), "2", "a visible change");

    logout("S1", SID1, gen, "forced");
    is(redis_member(1), "logout", "what ended it first, stays");
    is(redis_do("XLEN exam:{30}:changes"), "2", "no change");
}


static void
test_logout_generations(void)
{
    char  gen1[64], gen2[64];

    fresh();

    login("S1", CODE, SID1, "0", "deny");
    keep(gen1, redis_member(1));
    login("S1", CODE, SID2, "0", "takeover");
    keep(gen2, redis_member(1));

    logout("S1", SID1, gen1, "logout");
    is(redis_member(1), "replaced", "a replaced session was replaced");
    has(SID2, "the new session stands");
    has("\"ended\":\"\"", "and is not ended");

    logout("S1", SID3, "8000000000000", "exam_over");
    is(redis_member(1), "exam_over", "one that Redis never heard of");
    has("{\"sid\":\"" SID3 "\",\"gen\":8000000000000,\"node\":\"n2\","
        "\"ip\":\"\",\"login_at\":0,\"ended\":\"exam_over\"}", "is written");
    is(redis_do("XLEN exam:{30}:changes"), "5",
       "with the one it replaces: two changes");

    logout("S1", SID2, gen2, "logout");
    is(redis_member(1), "replaced", "the higher generation wins");
}


static void
test_logout_ledger(void)
{
    fresh();

    redis_do("HSET exam:{30}:stored S1:" SID1 ":screen 1");
    redis_do("HSET exam:{30}:seg:S1 "
             SID1 ":screen:0 a " SID1 ":screen:1 b " SID1 ":screen:2 c "
             SID1 ":camera:0 d " SID2 ":screen:5 e " SID1 ":file:7 f");

    logout("S1", SID1, "5", "logout");
    is(redis_member(9), "1,-", "stored, null for the unknown");
    is(redis_member(10), SID1 ":screen:2", "above stored");
    is(redis_member(11), "c", "its value");
    is(redis_member(12), SID1 ":camera:0", "all where stored is unknown");
    is(redis_member(13), "d", "its value");
    is(redis_member(14), "",
       "no other session's, no attachments, nothing stored");
}
