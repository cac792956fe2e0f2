
/*
 * Body of a lost segment: the reason that is accepted is one line and within
 * its bounds; an empty body gives none.
 */


#include "fuzz.h"

#include "exam_body.h"


static _Alignas(max_align_t) uint8_t  memory[EXAM_BODY_ARENA];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            i;
    exam_err_e        err;
    exam_arena_t      arena;
    exam_lost_body_t  out;

    if (size > EXAM_BODY_JSON_MAX) {
        return 0;
    }

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_lost_parse(exam_str_make(data, size), &arena, &out);

    if (err != EXAM_OK) {
        fuzz_check(fuzz_json_error(err) && size != 0, "an error of a body");
        return 0;
    }

    fuzz_check(out.reason.len <= EXAM_REASON_MAX, "a reason too long");

    for (i = 0; i < out.reason.len; i++) {
        fuzz_check(out.reason.data[i] >= ' ' && out.reason.data[i] != 0x7f,
                   "a reason of several lines");
    }

    return 0;
}
