
/*
 * exam_sfv: items as the IETF's resumable uploads send them, and Upload-Limit
 * (protocol ids R01, R02, R15).  Parameters and dictionaries are seen through
 * exam_digest, in digest.c.
 */


#include "tap.h"

#include "exam_sfv.h"


static void boolean(const char *text, int want);
static void limit(int64_t min, int64_t max, int64_t append, int64_t age,
    const char *want);


int
main(void)
{
    boolean("?1", 1);
    boolean("?0", 0);
    boolean(" ?1 ", 1);
    boolean("?0;a;b=\"x\";c=?1", 0);
    boolean("", -1);
    boolean("?", -1);
    boolean("?2", -1);
    boolean("1", -1);
    boolean("true", -1);
    boolean("?1?", -1);
    boolean("?11", -1);
    boolean("?1 ?0", -1);
    boolean("?1, ?1", -1);
    boolean("?1;", -1);
    boolean("?1;A", -1);

    limit(0, 52428800, 52428800, 86400,
          "min-size=0, max-size=52428800, max-append-size=52428800, "
          "max-age=86400");
    limit(-1, -1, -1, -1, "min-size=0");
    limit(1, 2, -1, 0, "min-size=1, max-size=2, max-age=0");
    limit(INT64_MAX, INT64_MAX, -1, -1,
          "min-size=999999999999999, max-size=999999999999999");

    return tap_done();
}


static void
boolean(const char *text, int want)
{
    int    got;
    bool   value;
    void  *p;

    p = tap_exact(text, strlen(text));
    got = exam_sfv_boolean(exam_str_make(p, strlen(text)), &value)
          ? value : -1;
    free(p);

    tap_ok(got == want, "\"%s\" is %s", text,
           want == -1 ? "no boolean" : want == 1 ? "true" : "false");
}


static void
limit(int64_t min, int64_t max, int64_t append, int64_t age, const char *want)
{
    char        text[128];
    exam_buf_t  b;

    exam_buf_init(&b, text, sizeof(text));
    exam_rufh_limit(&b, min, max, append, age);

    tap_text(text, exam_buf_len(&b), want, want);
}
