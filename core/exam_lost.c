
/*
 * Body of a lost segment (DESIGN 3.1): an optional text.  Called by the module
 * on its event loop.
 */


#include "exam_body.h"


typedef struct {
    exam_arena_t      *arena;
    exam_lost_body_t  *out;
    uint32_t           given;
} exam_lost_parse_t;


static exam_err_e exam_lost_value(void *data, const exam_json_value_t *v);


static const exam_json_member_t  exam_lost_reason = {
    { 6, (const uint8_t *) "reason" }, EXAM_JSON_STRING,
    offsetof(exam_lost_body_t, reason), 0, EXAM_REASON_MAX, false
};


exam_err_e
exam_lost_parse(exam_str_t body, exam_arena_t *arena, exam_lost_body_t *out)
{
    size_t              i;
    uint8_t            *text;
    exam_err_e          err;
    exam_lost_parse_t   p;

    out->reason = exam_str("");

    if (body.len == 0) {
        return EXAM_OK;
    }

    p.arena = arena;
    p.out = out;
    p.given = 0;

    err = exam_json_parse(body, arena, exam_lost_value, &p);

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


static exam_err_e
exam_lost_value(void *data, const exam_json_value_t *v)
{
    exam_lost_parse_t  *p;

    p = data;

    if (v->depth == 0) {
        return (v->type == EXAM_JSON_BEGIN_OBJECT
                || v->type == EXAM_JSON_END_OBJECT)
               ? EXAM_OK : EXAM_ERR_BAD_TYPE;
    }

    if (v->depth > 1) {
        return EXAM_OK;
    }

    return exam_json_take(&exam_lost_reason, 1, v, p->arena, p->out,
                          &p->given);
}
