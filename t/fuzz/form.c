
/*
 * Forms: the same body in pieces gives the same events and bytes as in one;
 * the file is what stands before the next delimiter.  The first byte chooses
 * how the body is cut, and where it is upper case, the first line is the
 * Content-Type.
 */


#include "fuzz.h"

#include "exam_form.h"


#define FUZZ_MAX        8192
#define FUZZ_TYPE       "multipart/form-data; boundary=b"


typedef struct {
    exam_err_e  err;
    exam_buf_t  events;
    exam_buf_t  data;
    size_t      begin;              /* of the file, in the body */
    bool        ended;
    uint8_t     text[FUZZ_MAX * 2];
    uint8_t     file[FUZZ_MAX + 1];
} fuzz_trace_t;


static void fuzz_run(fuzz_trace_t *t, exam_str_t type, exam_str_t body,
    uint32_t seed);
static void fuzz_event(fuzz_trace_t *t, const exam_form_t *f,
    exam_form_event_e what, const exam_form_event_t *e, exam_str_t piece);
static void fuzz_pair(exam_buf_t *b, exam_str_t name, exam_str_t value);
static void fuzz_file(const fuzz_trace_t *t, exam_str_t type,
    exam_str_t body);


static fuzz_trace_t  whole, pieces;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t      i;
    uint32_t    seed;
    exam_str_t  type, body;

    if (size == 0 || size > FUZZ_MAX) {
        return 0;
    }

    type = exam_str(FUZZ_TYPE);
    body = exam_str_make(data + 1, size - 1);

    if (data[0] >= 'A' && data[0] <= 'Z') {

        for (i = 0; i < body.len && body.data[i] != '\n'; i++) { /* void */ }

        type = exam_str_make(body.data, i);
        i += (i < body.len);
        body = exam_str_make(body.data + i, body.len - i);
    }

    type = fuzz_copy(type);

    fuzz_run(&whole, type, body, 0);

    if (whole.err == EXAM_OK) {
        fuzz_file(&whole, type, body);
    }

    for (seed = data[0]; seed < (uint32_t) data[0] + 3; seed++) {
        fuzz_run(&pieces, type, body, seed * 2654435761u + 1);

        fuzz_check(whole.err == pieces.err, "pieces end as the whole");
        fuzz_check(exam_str_eq(fuzz_written(&whole.events),
                               fuzz_written(&pieces.events)),
                   "pieces give the same events");
        fuzz_check(exam_str_eq(fuzz_written(&whole.data),
                               fuzz_written(&pieces.data)),
                   "pieces give the same file");
    }

    fuzz_free(type);

    return 0;
}


/* seed 0: in one piece; else pieces of 1 to 8 or up to 128 bytes */

static void
fuzz_run(fuzz_trace_t *t, exam_str_t type, exam_str_t body, uint32_t seed)
{
    size_t              n, done;
    exam_str_t          in, piece;
    exam_form_t         f;
    exam_form_event_e   what;
    exam_form_event_t   e;

    exam_buf_init(&t->events, t->text, sizeof(t->text));
    exam_buf_init(&t->data, t->file, sizeof(t->file));
    t->ended = false;

    t->err = exam_form_init(&f, type);

    fuzz_check(t->err == EXAM_OK || t->err == EXAM_ERR_BAD_FORM
               || t->err == EXAM_ERR_UNSUPPORTED_TYPE, "an error of a type");

    for (done = 0; t->err == EXAM_OK && done < body.len; done += n) {
        n = body.len - done;

        if (seed != 0) {
            seed = seed * 1664525 + 1013904223;
            n = 1 + (seed >> 24) % ((seed & 0x10000) ? 128 : 8);
            n = n < body.len - done ? n : body.len - done;
        }

        in = piece = fuzz_copy(exam_str_make(body.data + done, n));

        do {
            t->err = exam_form_next(&f, &in, &what, &e);

            fuzz_check(t->err == EXAM_OK || t->err == EXAM_ERR_BAD_FORM,
                       "an error of a form");
            fuzz_check(fuzz_within(in, piece), "what is left is of the input");

            if (t->err == EXAM_OK) {
                t->begin = what == EXAM_FORM_FILE_BEGIN
                           ? done + n - in.len : t->begin;
                fuzz_event(t, &f, what, &e, piece);
            }

        } while (t->err == EXAM_OK && what != EXAM_FORM_MORE);

        fuzz_check(t->err != EXAM_OK || in.len == 0, "all input is used up");
        fuzz_free(piece);
    }

    if (t->err == EXAM_OK) {
        t->err = exam_form_finished(&f);
        fuzz_check((t->err == EXAM_OK) == t->ended,
                   "a form is finished with its last event");
    }
}


static void
fuzz_event(fuzz_trace_t *t, const exam_form_t *f, exam_form_event_e what,
    const exam_form_event_t *e, exam_str_t piece)
{
    fuzz_check(!t->ended || what == EXAM_FORM_MORE, "nothing is behind an end");

    if (what == EXAM_FORM_MORE) {
        return;
    }

    if (what == EXAM_FORM_FILE_DATA) {
        fuzz_check(e->data.len > 0
                   && (fuzz_within(e->data, piece)
                       || fuzz_within(e->data,
                                      exam_str_make(f, sizeof(*f)))),
                   "data lie in the input or in the form");
        exam_buf_put(&t->data, e->data.data, e->data.len);
        return;
    }

    exam_buf_char(&t->events, (char) ('0' + (int) what));
    fuzz_pair(&t->events, e->name, e->value);
    fuzz_pair(&t->events, e->filename, e->type);

    if (what == EXAM_FORM_FIELD) {
        fuzz_check(e->name.len > 0 && e->value.len <= EXAM_FORM_VALUE_MAX,
                   "a field is within its bounds");
    }

    t->ended = (what == EXAM_FORM_END);
}


static void
fuzz_pair(exam_buf_t *b, exam_str_t name, exam_str_t value)
{
    exam_buf_uint(b, name.len);
    exam_buf_put(b, name.data, name.len);
    exam_buf_uint(b, value.len);
    exam_buf_put(b, value.data, value.len);
}


/* what has been accepted: the file ends at the first delimiter behind it */

static void
fuzz_file(const fuzz_trace_t *t, exam_str_t type, exam_str_t body)
{
    exam_str_t      data;
    exam_form_t     f;
    const uint8_t  *at;

    data = fuzz_written(&t->data);

    fuzz_check(exam_form_init(&f, type) == EXAM_OK, "the type is a form's");

    at = memmem(body.data + t->begin, body.len - t->begin, f.delimiter,
                f.delimiter_len);

    fuzz_check(at == body.data + t->begin + data.len,
               "the file ends at its delimiter");
    fuzz_check(exam_str_eq(data, exam_str_make(body.data + t->begin,
                                               data.len)),
               "and is what stands before it");
}
