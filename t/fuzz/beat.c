
/*
 * Heartbeat: what the fast path accepts, the parser accepts with a result equal
 * in all bytes, whatever kinds the node has.  The state that is kept, written
 * as JSON, is read back as the same state.
 */


#include "fuzz.h"

#include "exam_body.h"


static void fuzz_beat(exam_str_t body, const exam_kinds_t *kinds);
static void fuzz_state(const exam_beat_t *in, const exam_kinds_t *kinds);


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
    size_t  i;

    if (size > EXAM_BODY_BEAT_MAX + 1) {
        return 0;
    }

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fuzz_beat(exam_str_make(data, size), &kinds[i]);
    }

    return 0;
}


static void
fuzz_beat(exam_str_t body, const exam_kinds_t *kinds)
{
    bool          accepted;
    size_t        i;
    exam_err_e    err;
    exam_beat_t   fast, full;
    exam_arena_t  arena;

    /* a byte that either does not write differs */

    memset(&fast, 0xaa, sizeof(exam_beat_t));
    memset(&full, 0x55, sizeof(exam_beat_t));

    accepted = exam_beat_parse_fast(body, kinds, &fast);

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_beat_parse(body, kinds, &arena, &full);

    if (accepted) {
        fuzz_check(err == EXAM_OK,
                   "what the fast path accepts is accepted by the parser");
        fuzz_check(memcmp(&fast, &full, offsetof(exam_beat_t, ack)) == 0
                   && memcmp(fast.ack, full.ack,
                             full.acks * sizeof(full.ack[0])) == 0,
                   "fast path and parser have the same result");
    }

    if (err != EXAM_OK) {
        fuzz_check(fuzz_json_error(err), "an error of a body");
        return;
    }

    fuzz_check(full.seq <= EXAM_SEQ_MAX, "seq is within its range");
    fuzz_check(full.client_time >= -1, "client_time is a time or -1");
    fuzz_check(full.missed <= EXAM_BEAT_MISSED_MAX, "not too many missed");
    fuzz_check(full.acks <= EXAM_BEAT_ACK_MAX, "not too many acks");

    for (i = 0; i < full.acks; i++) {
        fuzz_check(full.ack[i] <= EXAM_SEQ_MAX, "an id is within its range");
    }

    fuzz_state(&full, kinds);
}


static void
fuzz_state(const exam_beat_t *in, const exam_kinds_t *kinds)
{
    uint8_t       text[EXAM_STATE_JSON_MAX + 32], json[EXAM_STATE_JSON_MAX];
    exam_buf_t    b;
    exam_str_t    state, body;
    exam_beat_t   out;
    exam_arena_t  arena;

    exam_buf_init(&b, json, sizeof(json));
    exam_beat_state_json(&b, &in->state, kinds);

    fuzz_check(!b.overflow, "a state fits its buffer");
    state = fuzz_written(&b);

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_lit(&b, "{\"seq\":1,\"state\":");
    exam_buf_put(&b, state.data, state.len);
    exam_buf_char(&b, '}');

    exam_arena_init(&arena, memory, sizeof(memory));
    body = fuzz_copy(fuzz_written(&b));

    fuzz_check(exam_beat_parse(body, kinds, &arena, &out) == EXAM_OK,
               "a state that was written is a valid one");

    /* written as percents: 1 would be taken for the whole */

    if (in->state.battery == 1) {
        out.state.battery = 1;
    }

    fuzz_check(memcmp(&out.state, &in->state, sizeof(exam_beat_state_t)) == 0,
               "a state that was written is read as the same");

    fuzz_free(body);
}
