
/*
 * What comes out of Redis, and what goes in.  The first byte chooses:
 *
 *   0  value of the ledger          3  line of the flush's answer
 *   1  field of the ledger          4  numbers of `stored`
 *   2  line of the exam             5  lines
 *   6  row of the flush, made of the bytes
 *
 * What is accepted, written again, parses to the same.
 */


#include "fuzz.h"

#include "exam_redis_row.h"


static void fuzz_value(exam_str_t s);
static void fuzz_field(exam_str_t s);
static void fuzz_exam(exam_str_t s);
static void fuzz_answer(exam_str_t s);
static void fuzz_stored(exam_str_t s);
static void fuzz_numbers(const int32_t *stored, size_t kinds);
static void fuzz_lines(exam_str_t s);
static void fuzz_row(exam_str_t s);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t      i;
    exam_str_t  rest;

    static void  (*const parts[])(exam_str_t s) = {
        fuzz_value, fuzz_field, fuzz_exam, fuzz_answer, fuzz_stored,
        fuzz_lines, fuzz_row
    };

    if (size == 0) {
        return 0;
    }

    rest = fuzz_copy(exam_str_make(data + 1, size - 1));
    i = (uint8_t) (data[0] - '0') % (sizeof(parts) / sizeof(parts[0]));

    parts[i](rest);

    fuzz_free(rest);

    return 0;
}


static void
fuzz_value(exam_str_t s)
{
    exam_ledger_t  e;

    if (!exam_ledger_parse(s, &e)) {
        return;
    }

    fuzz_check(e.state > EXAM_SEG_NONE && e.state <= EXAM_SEG_REFUSED,
               "a state that there is");
    fuzz_check(e.bytes >= -1, "a size, or none");
    fuzz_check(fuzz_within(e.node, s) && fuzz_within(e.upload, s)
               && fuzz_within(e.reason, s),
               "what is told stands in the value");
}


static void
fuzz_field(exam_str_t s)
{
    uint8_t     sid[EXAM_SID_LEN], text[EXAM_SID_HEX + EXAM_KIND_MAX + 16];
    uint32_t    n;
    exam_buf_t  b;
    exam_str_t  kind;

    if (!exam_ledger_field_parse(s, sid, &kind, &n)) {
        return;
    }

    exam_buf_init(&b, text, sizeof(text));
    exam_ledger_field(&b, sid, kind, n);

    fuzz_check(!b.overflow && exam_str_eq(s, fuzz_written(&b)),
               "a field has one spelling");
}


static void
fuzz_exam(exam_str_t s)
{
    exam_flush_exam_t  e;

    if (exam_flush_exam_parse(s, &e)) {
        fuzz_check(e.state > EXAM_STATE_UNKNOWN
                   && e.state <= EXAM_STATE_ARCHIVED,
                   "a state that there is");
        fuzz_check(!fuzz_has(s, '\n') && !fuzz_has(s, '\0'),
                   "numbers end with the line");
    }
}


static void
fuzz_answer(exam_str_t s)
{
    size_t               i, k;
    exam_kinds_t         kinds;
    exam_flush_answer_t  a;

    static const exam_kinds_t  all = {
        4, { exam_str("screen"), exam_str("camera"), exam_str("s"),
             exam_str("abcdefghijklmno") }
    };

    kinds = all;

    for (i = 0; i <= EXAM_KINDS_MAX; i++) {
        kinds.n = i;

        if (exam_flush_answer_parse(s, &kinds, &a)) {
            fuzz_check(a.nresend <= EXAM_RESEND_MAX, "not too many again");

            for (k = 0; k < a.nresend; k++) {
                fuzz_check(a.resend[k].kind < i
                           && a.resend[k].n <= EXAM_SEGMENT_MAX,
                           "a segment that there can be");
            }

            fuzz_check(a.gen <= EXAM_SEQ_MAX, "gen is exact in Lua");
            fuzz_check(a.ended <= EXAM_ENDED_EXAM_OVER && a.flags <= 0xff,
                       "ended and flags that there are");
            fuzz_numbers(a.stored, i);
        }
    }
}


static void
fuzz_stored(exam_str_t s)
{
    size_t      i, k, accepted;
    uint8_t     text[EXAM_KINDS_MAX * 12];
    int32_t     stored[EXAM_KINDS_MAX];
    exam_buf_t  b;

    accepted = 0;

    for (i = 0; i <= EXAM_KINDS_MAX; i++) {

        if (!exam_stored_parse(s, i, stored)) {
            continue;
        }

        accepted++;
        fuzz_numbers(stored, i);

        exam_buf_init(&b, text, sizeof(text));

        for (k = 0; k < i; k++) {
            if (k != 0) {
                exam_buf_char(&b, ',');
            }

            if (stored[k] == -2) {
                exam_buf_char(&b, '-');

            } else {
                exam_buf_int(&b, stored[k]);
            }
        }

        fuzz_check(exam_str_eq(s, fuzz_written(&b)),
                   "numbers have one spelling");
    }

    fuzz_check(accepted <= 1, "a list is of one number of kinds");
}


static void
fuzz_numbers(const int32_t *stored, size_t kinds)
{
    size_t  i;

    for (i = 0; i < kinds; i++) {
        fuzz_check(stored[i] >= -2 && stored[i] <= EXAM_SEGMENT_MAX,
                   "stored is null, -1 or a number");
    }
}


/* every byte comes out, in its order, but for the line feeds */

static void
fuzz_lines(exam_str_t s)
{
    exam_str_t      line, rest;
    const uint8_t  *at;

    at = s.data;
    rest = s;

    while (exam_line_next(&rest, &line)) {
        fuzz_check(line.data == at && !fuzz_has(line, '\n'),
                   "a line begins behind the last one");

        at += line.len;

        if (at < s.data + s.len) {
            fuzz_check(*at == '\n', "a line ends at a line feed");
            at++;
        }
    }

    fuzz_check(s.len == 0 || at == s.data + s.len, "no byte is left");
}


static void
fuzz_row(exam_str_t s)
{
    size_t             i, tabs;
    uint8_t            sid[EXAM_SID_LEN], text[EXAM_FLUSH_ROW_MAX];
    uint64_t           n[8];
    exam_buf_t         b;
    exam_str_t         line, rest;
    exam_flush_row_t   row;
    exam_beat_state_t  state;

    static const exam_kinds_t  kinds = {
        2, { exam_str("screen"), exam_str("camera") }
    };

    if (s.len < sizeof(n) + sizeof(sid)) {
        return;
    }

    memcpy(n, s.data, sizeof(n));
    memcpy(sid, s.data + sizeof(n), sizeof(sid));

    row.student = exam_str_make(s.data + sizeof(n) + sizeof(sid),
                                s.len - sizeof(n) - sizeof(sid));

    if (!exam_id_student(row.student)) {
        return;
    }

    memset(&state, 0, sizeof(state));
    memset(state.recorder, 'x', n[7] % (EXAM_BEAT_RECORDER_MAX + 1));
    state.focus = (int8_t) (n[7] % 3) - 1;
    state.battery = (int8_t) (n[7] % 102) - 1;
    state.recorded[0] = (int32_t) (n[7] % (EXAM_SEGMENT_MAX + 1));
    state.recorded[1] = (int32_t) (n[6] % (EXAM_SEGMENT_MAX + 1));
    state.queued_segments = (int32_t) (n[6] & INT32_MAX);
    state.queued_bytes = (int64_t) (n[6] & INT64_MAX);
    state.oldest_unsent_s = (int32_t) (n[5] & INT32_MAX);

    row.sid = sid;
    row.gen = n[0];
    row.login_at = (int64_t) n[1];
    row.first_beat = (int64_t) n[2];
    row.last_beat = (int64_t) n[3];
    row.longest_gap = (int64_t) n[4];
    row.seq = n[5];
    row.ended = (exam_ended_e) (n[6] % (EXAM_ENDED_EXAM_OVER + 1));
    row.state = (n[7] & 1) ? &state : NULL;

    exam_buf_init(&b, text, sizeof(text));
    exam_flush_row_format(&b, &row, &kinds);

    fuzz_check(!b.overflow, "a row fits EXAM_FLUSH_ROW_MAX");

    rest = fuzz_written(&b);

    fuzz_check(exam_line_next(&rest, &line) && rest.len == 0,
               "a row is one line");

    for (i = 0, tabs = 0; i < line.len; i++) {
        tabs += (line.data[i] == '\t');
    }

    fuzz_check(tabs == 9, "a row has ten members");
}
