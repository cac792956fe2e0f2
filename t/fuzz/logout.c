
/*
 * Body of a logout: what is accepted, written again, parses to the same; an
 * empty body is a logout without numbers.
 */


#include "fuzz.h"

#include "exam_body.h"


static void fuzz_again(const exam_logout_body_t *in,
    const exam_kinds_t *kinds);


static _Alignas(max_align_t) uint8_t  memory[EXAM_BODY_ARENA];

static const exam_kinds_t  kinds[] = {
    { 2, { exam_str("screen"), exam_str("camera") } },
    { 4, { exam_str("s"), exam_str("sc"), exam_str("screen"),
           exam_str("abcdefghijklmno") } },
    { 0, { { 0, NULL } } }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t              i, k;
    exam_err_e          err;
    exam_arena_t        arena;
    exam_logout_body_t  out;

    if (size > EXAM_BODY_JSON_MAX) {
        return 0;
    }

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        memset(&out, 0xaa, sizeof(exam_logout_body_t));

        exam_arena_init(&arena, memory, sizeof(memory));
        err = exam_logout_parse(exam_str_make(data, size), &kinds[i], &arena,
                                &out);

        if (err != EXAM_OK) {
            fuzz_check(fuzz_json_error(err) && size != 0,
                       "an error of a body");
            continue;
        }

        for (k = 0; k < EXAM_KINDS_MAX; k++) {
            fuzz_check(out.recorded[k] >= -1
                       && out.recorded[k] <= EXAM_SEGMENT_MAX,
                       "a number of a segment, or -1");
            fuzz_check(k < kinds[i].n || out.recorded[k] == -1,
                       "a kind that there is not has no number");
        }

        fuzz_again(&out, &kinds[i]);
    }

    return 0;
}


static void
fuzz_again(const exam_logout_body_t *in, const exam_kinds_t *kinds)
{
    size_t              i;
    uint8_t             text[256];
    exam_buf_t          b;
    exam_str_t          body;
    exam_arena_t        arena;
    exam_logout_body_t  out;

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_lit(&b, "{\"recorded\":{");

    for (i = 0; i < kinds->n; i++) {
        if (i != 0) {
            exam_buf_char(&b, ',');
        }

        exam_buf_json(&b, kinds->name[i]);
        exam_buf_char(&b, ':');
        exam_buf_int(&b, in->recorded[i]);
    }

    exam_buf_lit(&b, "}}");

    exam_arena_init(&arena, memory, sizeof(memory));
    body = fuzz_copy(fuzz_written(&b));

    fuzz_check(exam_logout_parse(body, kinds, &arena, &out) == EXAM_OK,
               "what was accepted is accepted when written again");
    fuzz_check(memcmp(in->recorded, out.recorded, sizeof(out.recorded)) == 0,
               "it has the same numbers then");

    fuzz_free(body);
}
