
/*
 * The heartbeat's fast path: one pass over the bytes of the body that our
 * clients send, on nginx's event loop, for every heartbeat.
 *
 * Invariant: what is accepted here, exam_beat_parse() accepts with a result
 * equal in all bytes.  So everything out of the ordinary is declined: escapes,
 * white space but one blank behind `:` and `,`, members that are not known or
 * stand twice, fractions, exponents, null, entries in `missed`, texts in `ack`.
 *
 * The last byte is known to be "}" before the pass begins.  It is no digit, no
 * letter and no blank, so loops over those need no test for the end; and as
 * long as it has not been consumed, a byte may be looked at.
 */


#include "exam_body.h"


#define EXAM_BEAT_HAS_SEQ       0x0001
#define EXAM_BEAT_HAS_TIME      0x0002
#define EXAM_BEAT_HAS_STATE     0x0004
#define EXAM_BEAT_HAS_MISSED    0x0008
#define EXAM_BEAT_HAS_ACK       0x0010
#define EXAM_BEAT_HAS_RECORDER  0x0020
#define EXAM_BEAT_HAS_RECORDED  0x0040
#define EXAM_BEAT_HAS_SEGMENTS  0x0080
#define EXAM_BEAT_HAS_BYTES     0x0100
#define EXAM_BEAT_HAS_OLDEST    0x0200
#define EXAM_BEAT_HAS_FOCUS     0x0400
#define EXAM_BEAT_HAS_BATTERY   0x0800

#define EXAM_BEAT_DIGITS        16      /* always fit uint64_t */


typedef struct {
    const uint8_t       *p;         /* next byte */
    const uint8_t       *end;       /* first byte after the body */
    const exam_kinds_t  *kinds;
    exam_beat_t         *out;
    unsigned             seen;      /* EXAM_BEAT_HAS_* */
} exam_fast_t;


static bool exam_fast_member(exam_fast_t *f);
static bool exam_fast_ack(exam_fast_t *f);
static bool exam_fast_state(exam_fast_t *f);
static bool exam_fast_state_member(exam_fast_t *f);
static bool exam_fast_recorder(exam_fast_t *f);
static bool exam_fast_recorded(exam_fast_t *f);
static bool exam_fast_focus(exam_fast_t *f);
static bool exam_fast_battery(exam_fast_t *f);


/* consumes the text, or nothing; never the last byte of the body */

#define exam_fast_lit(f, s)                                                   \
    ((size_t) ((f)->end - (f)->p) > sizeof(s) - 1                             \
     && memcmp((f)->p, s, sizeof(s) - 1) == 0                                 \
     && ((f)->p += sizeof(s) - 1, true))

/*
 * A member that has not been there, with its colon and a blank.  One that was
 * there is not looked for again: in the usual order of members each is found by
 * the first comparison.
 */

#define exam_fast_key(f, member, name)                                        \
    (!((f)->seen & (member)) && exam_fast_lit(f, "\"" name "\":")             \
     && exam_fast_once(f, member))


static inline bool
exam_fast_once(exam_fast_t *f, unsigned member)
{
    f->seen |= member;

    if (*f->p == ' ') {
        f->p++;
    }

    return true;
}


/* behind a value: true and the comma consumed, or false */

static inline bool
exam_fast_comma(exam_fast_t *f)
{
    if (*f->p != ',') {
        return false;
    }

    f->p++;

    if (*f->p == ' ') {
        f->p++;
    }

    return true;
}


static inline bool
exam_fast_uint(exam_fast_t *f, uint64_t max, uint64_t *out)
{
    size_t          len;
    uint64_t        n;
    const uint8_t  *p;

    n = 0;

    for (p = f->p; *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (uint64_t) (*p - '0');
    }

    len = (size_t) (p - f->p);

    /* a number that goes on (`.`, `e`) meets no comma or bracket behind it */

    if (len == 0 || len > EXAM_BEAT_DIGITS || (*f->p == '0' && len > 1)
        || n > max)
    {
        return false;
    }

    f->p = p;
    *out = n;

    return true;
}


bool
exam_beat_parse_fast(exam_str_t body, const exam_kinds_t *kinds,
    exam_beat_t *out)
{
    size_t       i;
    exam_fast_t  f;

    if (body.len < 2 || body.len > EXAM_BODY_BEAT_MAX
        || body.data[0] != '{' || body.data[body.len - 1] != '}')
    {
        return false;
    }

    memset(out, 0, offsetof(exam_beat_t, ack));

    out->client_time = -1;
    out->state.focus = -1;
    out->state.battery = -1;
    out->state.queued_segments = -1;
    out->state.queued_bytes = -1;
    out->state.oldest_unsent_s = -1;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        out->state.recorded[i] = -1;
    }

    f.p = body.data + 1;
    f.end = body.data + body.len;
    f.kinds = kinds;
    f.out = out;
    f.seen = 0;

    do {
        if (!exam_fast_member(&f)) {
            return false;
        }
    } while (exam_fast_comma(&f));

    return f.p == f.end - 1 && (f.seen & EXAM_BEAT_HAS_SEQ);
}


static bool
exam_fast_member(exam_fast_t *f)
{
    uint64_t  n;

    if (exam_fast_key(f, EXAM_BEAT_HAS_SEQ, "seq")) {
        return exam_fast_uint(f, EXAM_SEQ_MAX, &f->out->seq);
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_TIME, "client_time")) {
        if (!exam_fast_uint(f, EXAM_SEQ_MAX, &n)) {
            return false;
        }

        f->out->client_time = (int64_t) n;
        return true;
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_STATE, "state")) {
        return exam_fast_state(f);
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_MISSED, "missed")) {
        return exam_fast_lit(f, "[]");
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_ACK, "ack")) {
        return exam_fast_lit(f, "[]") || exam_fast_ack(f);
    }

    return false;
}


/* ids as numbers, at least one */

static bool
exam_fast_ack(exam_fast_t *f)
{
    exam_beat_t  *out;

    if (!exam_fast_lit(f, "[")) {
        return false;
    }

    out = f->out;

    do {
        if (out->acks == EXAM_BEAT_ACK_MAX
            || !exam_fast_uint(f, EXAM_SEQ_MAX, &out->ack[out->acks]))
        {
            return false;
        }

        out->acks++;

    } while (exam_fast_comma(f));

    return exam_fast_lit(f, "]");
}


static bool
exam_fast_state(exam_fast_t *f)
{
    f->out->has_state = true;

    if (exam_fast_lit(f, "{}")) {
        return true;
    }

    if (!exam_fast_lit(f, "{")) {
        return false;
    }

    do {
        if (!exam_fast_state_member(f)) {
            return false;
        }
    } while (exam_fast_comma(f));

    return exam_fast_lit(f, "}");
}


static bool
exam_fast_state_member(exam_fast_t *f)
{
    uint64_t            n;
    exam_beat_state_t  *s;

    s = &f->out->state;

    if (exam_fast_key(f, EXAM_BEAT_HAS_RECORDER, "recorder")) {
        return exam_fast_recorder(f);
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_RECORDED, "recorded")) {
        return exam_fast_recorded(f);
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_SEGMENTS, "queued_segments")) {
        if (!exam_fast_uint(f, INT32_MAX, &n)) {
            return false;
        }

        s->queued_segments = (int32_t) n;
        return true;
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_BYTES, "queued_bytes")) {
        if (!exam_fast_uint(f, EXAM_SEQ_MAX, &n)) {
            return false;
        }

        s->queued_bytes = (int64_t) n;
        return true;
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_OLDEST, "oldest_unsent_s")) {
        if (!exam_fast_uint(f, INT32_MAX, &n)) {
            return false;
        }

        s->oldest_unsent_s = (int32_t) n;
        return true;
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_FOCUS, "focus")) {
        return exam_fast_focus(f);
    }

    if (exam_fast_key(f, EXAM_BEAT_HAS_BATTERY, "battery")) {
        return exam_fast_battery(f);
    }

    return false;
}


static bool
exam_fast_recorder(exam_fast_t *f)
{
    size_t          len;
    const uint8_t  *p;

    if (*f->p != '"') {
        return false;
    }

    f->p++;

    for (p = f->p; (*p >= 'a' && *p <= 'z') || *p == '_'; p++) { /* void */ }

    len = (size_t) (p - f->p);

    if (*p != '"' || len > EXAM_BEAT_RECORDER_MAX) {
        return false;
    }

    memcpy(f->out->state.recorder, f->p, len);
    f->p = p + 1;

    return true;
}


static bool
exam_fast_recorded(exam_fast_t *f)
{
    size_t      i, len;
    int32_t    *recorded;
    uint64_t    n;
    exam_str_t  name;

    recorded = f->out->state.recorded;

    if (exam_fast_lit(f, "{}")) {
        return true;
    }

    if (!exam_fast_lit(f, "{")) {
        return false;
    }

    do {
        if (*f->p != '"') {
            return false;
        }

        f->p++;
        len = (size_t) (f->end - f->p);

        for (i = 0; i < f->kinds->n; i++) {
            name = f->kinds->name[i];

            if (len > name.len + 2
                && memcmp(f->p, name.data, name.len) == 0
                && f->p[name.len] == '"' && f->p[name.len + 1] == ':')
            {
                break;
            }
        }

        /* a kind that stands twice; after a -1 the last one counts anyway */

        if (i == f->kinds->n || recorded[i] >= 0) {
            return false;
        }

        f->p += name.len + 2;

        if (*f->p == ' ') {
            f->p++;
        }

        if (*f->p == '-') {
            f->p++;

            if (*f->p != '1') {
                return false;
            }

            f->p++;

        } else if (exam_fast_uint(f, EXAM_SEGMENT_MAX, &n)) {
            recorded[i] = (int32_t) n;

        } else {
            return false;
        }
    } while (exam_fast_comma(f));

    return exam_fast_lit(f, "}");
}


static bool
exam_fast_focus(exam_fast_t *f)
{
    if (exam_fast_lit(f, "true")) {
        f->out->state.focus = 1;
        return true;
    }

    if (exam_fast_lit(f, "false")) {
        f->out->state.focus = 0;
        return true;
    }

    return false;
}


/* 0, 1, up to two decimals below 1, or whole percents; the rest is rare */

static bool
exam_fast_battery(exam_fast_t *f)
{
    uint64_t  n;

    if (!exam_fast_uint(f, 100, &n)) {
        return false;
    }

    if (*f->p != '.') {
        f->out->state.battery = (int8_t) (n == 1 ? 100 : n);
        return true;
    }

    if (n != 0) {
        return false;
    }

    f->p++;

    if (*f->p < '0' || *f->p > '9') {
        return false;
    }

    n = (uint64_t) (*f->p++ - '0') * 10;

    if (*f->p >= '0' && *f->p <= '9') {
        n += (uint64_t) (*f->p++ - '0');
    }

    f->out->state.battery = (int8_t) n;

    return true;
}
