
/*
 * Body of events: what is accepted is within the limits, and written again it
 * parses to the same.
 */


#include "fuzz.h"

#include "exam_events.h"


#define FUZZ_MAX        16384


static void fuzz_again(const exam_events_t *in);


static _Alignas(max_align_t) uint8_t  memory[EXAM_EVENTS_ARENA(FUZZ_MAX)];
static _Alignas(max_align_t) uint8_t  other[EXAM_EVENTS_ARENA(8 * FUZZ_MAX)];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         i;
    exam_err_e     err;
    exam_arena_t   arena;
    exam_event_t  *e;

    static exam_events_t  in;

    if (size > FUZZ_MAX) {
        return 0;
    }

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_events_parse(exam_str_make(data, size), &arena, &in);

    if (err != EXAM_OK) {
        fuzz_check(fuzz_json_error(err), "an error of a body");
        return 0;
    }

    fuzz_check(in.n <= EXAM_EVENTS_MAX, "not too many events");

    for (i = 0; i < in.n; i++) {
        e = &in.list[i];

        fuzz_check(exam_event_id(e->id), "an event has an id");
        fuzz_check(e->type.len >= 1 && e->type.len <= 64
                   && exam_utf8_valid(e->type.data, e->type.len),
                   "an event has a type");
        fuzz_check(e->client_time >= -1, "client_time is a time or -1");
        fuzz_check(e->data.len <= EXAM_EVENTS_EVENT_MAX
                   && !fuzz_has(e->data, '\n'),
                   "data is one line and has its limit");
    }

    fuzz_again(&in);

    return 0;
}


static void
fuzz_again(const exam_events_t *in)
{
    size_t               i;
    exam_err_e           err;
    exam_buf_t           b;
    exam_str_t           body;
    exam_arena_t         arena;
    const exam_event_t  *a;

    static uint8_t        text[8 * FUZZ_MAX];
    static exam_events_t  out;

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_lit(&b, "{\"events\":[");

    for (i = 0; i < in->n; i++) {
        a = &in->list[i];

        if (i != 0) {
            exam_buf_char(&b, ',');
        }

        exam_buf_lit(&b, "{\"id\":");
        exam_buf_json(&b, a->id);
        exam_buf_lit(&b, ",\"type\":");
        exam_buf_json(&b, a->type);

        if (a->client_time >= 0) {
            exam_buf_lit(&b, ",\"client_time\":");
            exam_buf_int(&b, a->client_time);
        }

        if (a->data.len != 0) {
            exam_buf_lit(&b, ",\"data\":");
            exam_buf_put(&b, a->data.data, a->data.len);
        }

        exam_buf_char(&b, '}');
    }

    exam_buf_lit(&b, "]}");

    body = fuzz_copy(fuzz_written(&b));
    exam_arena_init(&arena, other, sizeof(other));
    err = exam_events_parse(body, &arena, &out);

    /* an event that was just small enough may have become longer */

    fuzz_check(err == EXAM_OK || err == EXAM_ERR_TOO_LARGE,
               "what was accepted is accepted when written again");

    if (err == EXAM_OK) {
        fuzz_check(in->n == out.n, "as many events");

        for (i = 0; i < in->n; i++) {
            a = &in->list[i];

            fuzz_check(exam_str_eq(a->id, out.list[i].id)
                       && exam_str_eq(a->type, out.list[i].type)
                       && exam_str_eq(a->data, out.list[i].data)
                       && a->client_time == out.list[i].client_time,
                       "the same event");
        }
    }

    fuzz_free(body);
}
