
/* exam_token: the key file, good and bad, with the line that is to blame */


#include "tap.h"

#include "exam_token.h"


#define KEY_C1  "000102030405060708090a0b0c0d0e0f"                            \
                "101112131415161718191a1b1c1d1e1f"
#define KEY_C2  "ff0102030405060708090a0b0c0d0e0f"                            \
                "101112131415161718191a1b1c1d1e1f"
#define KEY_S1  "aa0102030405060708090a0b0c0d0e0f"                            \
                "101112131415161718191a1b1c1d1e1f"


int
main(void)
{
    void            *p;
    size_t           i, len;
    unsigned         line;
    exam_err_e       err;
    const char      *what;
    exam_keyring_t   r;

    static const struct {
        const char  *file;
        unsigned     line;          /* 0: good */
    } t[] = {
        { "c1 candidate " KEY_C1, 0 },
        { "# c\n\n \t\n  c1\tcandidate  " KEY_C1 " \n\t# d\n", 0 },
        { "c1 candidate " KEY_C1 "\nc2 candidate " KEY_C2 "\n"
          "s1 staff " KEY_C1 "\ns2 staff " KEY_C2 "\n", 0 },
        { "0123456789abcd_- candidate " KEY_C1, 0 },
        { "", 1 },
        { "# nothing\n", 2 },
        { "s1 staff " KEY_S1 "\n", 2 },
        { "c1 candidate\n", 1 },
        { "c1 candidate " KEY_C1 " x\n", 1 },
        { "c1 candidate " KEY_C1 " # c\n", 1 },
        { "\nc1 root " KEY_C1 "\n", 2 },
        { "c1 Candidate " KEY_C1 "\n", 1 },
        { "c1 candidate " KEY_C1 "00\n", 1 },
        { "c1 candidate 00\n", 1 },
        { "c1 candidate " KEY_C1 "\r\n", 1 },
        { "0123456789abcd_-x candidate " KEY_C1, 1 },
        { "c\"1 candidate " KEY_C1, 1 },
        { "c.1 candidate " KEY_C1, 1 },
        { "c1 candidate " KEY_C1 "\nc1 candidate " KEY_C2 "\n", 2 },
        { "c1 candidate " KEY_C1 "\nc1 staff " KEY_C2 "\n", 2 },
        { "c1 candidate " KEY_C1 "\nc2 candidate " KEY_C2 "\n#\n"
          "c3 candidate " KEY_C1 "\n", 4 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        len = strlen(t[i].file);
        p = tap_exact(t[i].file, len);
        line = 0;
        what = NULL;
        err = exam_keyring_parse(&r, exam_str_make(p, len), &line, &what);
        free(p);

        if (t[i].line == 0) {
            tap_ok(err == EXAM_OK, "key file %d is good: %s", (int) i,
                   what == NULL ? "" : what);
            continue;
        }

        tap_ok(err == EXAM_ERR_BAD_VALUE && line == t[i].line && what != NULL,
               "key file %d is refused in line %u: %s", (int) i, line,
               what == NULL ? "" : what);
    }

    len = strlen("c1 candidate " KEY_C1) + 1;
    p = tap_exact("c1 candidate " KEY_C1, len);
    err = exam_keyring_parse(&r, exam_str_make(p, len), &line, &what);
    tap_is(err, EXAM_ERR_BAD_VALUE, "a NUL is no blank");
    free(p);

    return tap_done();
}
