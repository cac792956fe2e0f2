
/*
 * Body of a lost segment (DESIGN 3.1): an optional text.  Called by the module
 * on its event loop.
 */


#include "exam_body.h"


static const exam_json_member_t  exam_lost_members[] = {
    EXAM_JSON_MEMBER(exam_lost_body_t, reason, EXAM_JSON_STRING,
                     0, EXAM_REASON_MAX, false)
};


exam_err_e
exam_lost_parse(exam_str_t body, exam_arena_t *arena, exam_lost_body_t *out)
{
    size_t       i;
    uint8_t     *text;
    uint32_t     given;
    exam_err_e   err;

    out->reason = exam_str("");

    if (body.len == 0) {
        return EXAM_OK;
    }

    err = exam_json_object(body, arena, exam_json_table(exam_lost_members),
                           out, &given);

    if (err != EXAM_OK || out->reason.len == 0) {
        return err;
    }

    /* a text of several lines is no reason to refuse it */

    text = exam_arena_alloc(arena, out->reason.len);

    if (text == NULL) {
        return EXAM_ERR_TOO_LARGE;
    }

    for (i = 0; i < out->reason.len; i++) {
        text[i] = out->reason.data[i];

        if (text[i] < ' ' || text[i] == 0x7f) {
            text[i] = ' ';
        }
    }

    out->reason.data = text;

    return EXAM_OK;
}
