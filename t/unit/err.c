
/*
 * exam_err: the table is complete, codes are unique, and each way into it ends
 * at the right entry.
 */


#include "tap.h"

#include "exam_err.h"


static void test_table(void);
static void test_type(void);
static void test_by_code(void);
static void test_by_status(void);


int
main(void)
{
    test_table();
    test_type();
    test_by_code();
    test_by_status();

    return tap_done();
}


static void
test_table(void)
{
    int   i, k;
    bool  unique, sane;

    unique = true;
    sane = true;

    for (i = 0; i < EXAM_ERR_MAX; i++) {
        const exam_err_info_t  *e = exam_err_info((exam_err_e) i);

        if (e->status < 200 || e->status > 599 || e->code[0] == '\0'
            || e->title[0] == '\0')
        {
            sane = false;
        }

        for (k = 0; k < i; k++) {
            if (strcmp(e->code, exam_err_info((exam_err_e) k)->code) == 0) {
                unique = false;
            }
        }
    }

    tap_ok(sane, "each entry has a status, a code and a title");
    tap_ok(unique, "no code stands twice");

    tap_is(exam_err_info(EXAM_OK)->status, 200, "OK is 200");
    tap_is(exam_err_info(EXAM_ERR_QUOTA)->status, 507, "the last entry: 507");
    tap_text(exam_err_info(EXAM_ERR_SESSION_ENDED)->code, 13, "session_ended",
             "an entry in the middle has its own code");
    tap_is(exam_err_info(EXAM_ERR_MAX)->status, 500, "behind the end: 500");
    tap_is(exam_err_info((exam_err_e) -1)->status, 500, "before it: 500");
}


/* a reply has 512 bytes for type, title and what else there is */

static void
test_type(void)
{
    int   i, known;
    bool  small;

    tap_ok(strcmp(exam_err_type(EXAM_ERR_OFFSET_MISMATCH),
                  "https://iana.org/assignments/http-problem-types"
                  "#mismatching-upload-offset") == 0,
           "the registered type of a wrong offset");
    tap_ok(strcmp(exam_err_type(EXAM_ERR_UPLOAD_COMPLETED),
                  "https://iana.org/assignments/http-problem-types"
                  "#completed-upload") == 0,
           "of an upload that is complete");
    tap_ok(strcmp(exam_err_type(EXAM_ERR_UPLOAD_LENGTH),
                  "https://iana.org/assignments/http-problem-types"
                  "#inconsistent-upload-length") == 0,
           "of lengths that do not agree");

    small = true;

    for (i = 0, known = 0; i < EXAM_ERR_MAX; i++) {
        known += strcmp(exam_err_type((exam_err_e) i), "about:blank") != 0;
        small = small && strlen(exam_err_info((exam_err_e) i)->title) < 64;
    }

    tap_is(known, 3, "no other error has one");
    tap_ok(small, "titles are short");

    tap_is(exam_err_info(EXAM_ERR_CHECKSUM_MISMATCH)->status, 460,
           "a checksum that does not match is 460");
    tap_is(exam_err_info(EXAM_ERR_UPLOAD_BUSY)->status, 423, "busy is 423");
}


static void
test_by_code(void)
{
    int                     i;
    bool                    all;
    const exam_err_info_t  *e;

    all = true;

    for (i = EXAM_OK + 1; i < EXAM_ERR_MAX; i++) {
        e = exam_err_info((exam_err_e) i);

        if (exam_err_by_code(e->code, strlen(e->code)) != (exam_err_e) i) {
            all = false;
        }
    }

    tap_ok(all, "each code leads to its entry");
    tap_is(exam_err_by_code("exam_over_", 10), EXAM_ERR_INTERNAL,
           "a longer text is no code");
    tap_is(exam_err_by_code("exam_over", 8), EXAM_ERR_INTERNAL,
           "nor is a shorter one");
    tap_is(exam_err_by_code("ok", 2), EXAM_ERR_INTERNAL,
           "\"ok\" reported as an error is an internal error");
    tap_is(exam_err_by_code("", 0), EXAM_ERR_INTERNAL, "nor is an empty one");
}


static void
test_by_status(void)
{
    tap_is(exam_err_by_status(200), EXAM_OK, "200");
    tap_is(exam_err_by_status(404), EXAM_ERR_NOT_FOUND, "404");
    tap_is(exam_err_by_status(412), EXAM_ERR_BAD_VERSION, "412");
    tap_is(exam_err_by_status(413), EXAM_ERR_TOO_LARGE, "413");
    tap_is(exam_err_by_status(400), EXAM_ERR_BAD_REQUEST,
           "400: the first with that status");
    tap_is(exam_err_by_status(503), EXAM_ERR_UNAVAILABLE,
           "503: the first with that status");
    tap_is(exam_err_by_status(418), EXAM_ERR_BAD_REQUEST, "4xx by class");
    tap_is(exam_err_by_status(499), EXAM_ERR_BAD_REQUEST, "499 by class");
    tap_is(exam_err_by_status(599), EXAM_ERR_INTERNAL, "5xx by class");
    tap_is(exam_err_by_status(204), EXAM_OK, "2xx by class");
    tap_is(exam_err_by_status(302), EXAM_ERR_INTERNAL, "3xx is not ours");
}
