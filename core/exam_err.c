
/*
 * The table behind the error codes: generated from the list in exam_err.h,
 * constant, used by every process and thread.
 */


#include "exam_err.h"

#include <string.h>


#define EXAM_ERR_IANA  "https://iana.org/assignments/http-problem-types#"

#define EXAM_ERR_INFO(name, status, code, title)  { status, code, title },

static const exam_err_info_t  exam_err_table[] = {
    EXAM_ERR_MAP(EXAM_ERR_INFO)
};

#undef EXAM_ERR_INFO


const exam_err_info_t *
exam_err_info(exam_err_e err)
{
    /* the enum may be unsigned: one comparison covers negative values too */

    if ((unsigned) err >= EXAM_ERR_MAX) {
        err = EXAM_ERR_INTERNAL;
    }

    return &exam_err_table[err];
}


/* problem types of the resumable uploads of the IETF */

const char *
exam_err_type(exam_err_e err)
{
    switch (err) {

    case EXAM_ERR_OFFSET_MISMATCH:
        return EXAM_ERR_IANA "mismatching-upload-offset";

    case EXAM_ERR_UPLOAD_COMPLETED:
        return EXAM_ERR_IANA "completed-upload";

    case EXAM_ERR_UPLOAD_LENGTH:
        return EXAM_ERR_IANA "inconsistent-upload-length";

    default:
        return "about:blank";
    }
}


exam_err_e
exam_err_by_code(const char *code, size_t len)
{
    int          i;
    const char  *known;

    /* "ok" is no error: a script that reports it as one is broken */

    for (i = EXAM_OK + 1; i < EXAM_ERR_MAX; i++) {
        known = exam_err_table[i].code;

        if (strlen(known) == len && memcmp(known, code, len) == 0) {
            return (exam_err_e) i;
        }
    }

    return EXAM_ERR_INTERNAL;
}


exam_err_e
exam_err_by_status(int status)
{
    int  i;

    for (i = 0; i < EXAM_ERR_MAX; i++) {
        if (exam_err_table[i].status == status) {
            return (exam_err_e) i;
        }
    }

    if (status >= 400 && status < 500) {
        return EXAM_ERR_BAD_REQUEST;
    }

    if (status >= 200 && status < 300) {
        return EXAM_OK;
    }

    return EXAM_ERR_INTERNAL;
}
