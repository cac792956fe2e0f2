
/*
 * Body of a login.  What is accepted is UTF-8, and written as JSON again it
 * parses to the same; with less memory the answer is too_large or the same.
 */


#include "fuzz.h"

#include "exam_body.h"


static void fuzz_same(const exam_login_body_t *a, const exam_login_body_t *b);
static void fuzz_again(const exam_login_body_t *in);
static void fuzz_member(exam_buf_t *b, const char *name, exam_str_t s);


static _Alignas(max_align_t) uint8_t  memory[EXAM_BODY_ARENA];
static _Alignas(max_align_t) uint8_t  other[EXAM_BODY_ARENA];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             less;
    exam_err_e         err, again;
    exam_str_t         body;
    exam_arena_t       arena;
    exam_login_body_t  in, out;

    if (size > EXAM_BODY_JSON_MAX) {
        return 0;
    }

    body = exam_str_make(data, size);

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_login_parse(body, &arena, &in);

    if (err == EXAM_OK) {
        fuzz_check(exam_utf8_valid(in.exam.data, in.exam.len)
                   && exam_utf8_valid(in.student.data, in.student.len)
                   && exam_utf8_valid(in.code.data, in.code.len),
                   "accepted strings are UTF-8");
        fuzz_again(&in);

    } else {
        fuzz_check(fuzz_json_error(err), "an error of a body");
    }

    less = size * 37 % sizeof(other);

    exam_arena_init(&arena, other, less);
    again = exam_login_parse(body, &arena, &out);

    fuzz_check(again == err || again == EXAM_ERR_TOO_LARGE,
               "less memory changes nothing but too_large");

    if (again == EXAM_OK) {
        fuzz_same(&in, &out);
    }

    return 0;
}


static void
fuzz_same(const exam_login_body_t *a, const exam_login_body_t *b)
{
    fuzz_check(exam_str_eq(a->exam, b->exam), "the same exam");
    fuzz_check(exam_str_eq(a->student, b->student), "the same student");
    fuzz_check(exam_str_eq(a->code, b->code), "the same code");
}


static void
fuzz_again(const exam_login_body_t *in)
{
    exam_buf_t         b;
    exam_str_t         body;
    exam_arena_t       arena;
    exam_login_body_t  out;

    /* a control character becomes six bytes */

    static uint8_t  text[6 * EXAM_BODY_JSON_MAX + 64];

    exam_buf_init(&b, text, sizeof(text));

    fuzz_member(&b, "{\"exam\":", in->exam);
    fuzz_member(&b, ",\"student\":", in->student);
    fuzz_member(&b, ",\"code\":", in->code);
    exam_buf_char(&b, '}');

    fuzz_check(!b.overflow, "what came in fits when written again");

    exam_arena_init(&arena, other, sizeof(other));
    body = fuzz_copy(fuzz_written(&b));

    switch (exam_login_parse(body, &arena, &out)) {

    case EXAM_OK:
        fuzz_same(in, &out);
        break;

    case EXAM_ERR_TOO_LARGE:        /* more escapes than the client wrote */
        break;

    default:
        fuzz_check(false, "what was accepted is accepted when written again");
    }

    fuzz_free(body);
}


static void
fuzz_member(exam_buf_t *b, const char *name, exam_str_t s)
{
    exam_buf_put(b, name, strlen(name));
    exam_buf_json(b, s);
}
