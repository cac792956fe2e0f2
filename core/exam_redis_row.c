
/*
 * Redis keys, the values of the ledger, the rows of the flush and its answer
 * (DESIGN 5).  Called by the module, the worker and the tools; pure, no
 * allocation, any thread.
 *
 * Everything that is written here comes from checked ids and numbers, so no
 * member can hold the separators.  Everything that is parsed comes from Redis,
 * which others can write to: what has not the exact form is refused whole.
 */


#include "exam_redis_row.h"


#define EXAM_UINT53_MAX  9007199254740991u  /* what Lua holds exactly */


static size_t exam_key_join(char out[EXAM_KEY_MAX], exam_str_t prefix,
    exam_str_t node);
static bool exam_member_next(exam_str_t *rest, char separator,
    exam_str_t *member);
static bool exam_int_parse(exam_str_t s, int64_t *out);
static uint32_t exam_resend_parse(exam_str_t csv, const exam_kinds_t *kinds,
    exam_resend_t out[EXAM_RESEND_MAX]);
static bool exam_stored_one(exam_str_t s, int32_t *out);


static const char *const  exam_key_suffix[] = {
    "",                             /* EXAM_KEY_EXAM */
    ":flags",
    ":roster",
    ":roster:new",
    ":sessions",
    ":seen",
    ":state",
    ":seg:",
    ":stored",
    ":changes",
    ":control",
    ":watch"
};


static const char *const  exam_seg_names[] = {
    "",                             /* EXAM_SEG_NONE */
    "receiving",
    "lost",
    "received",
    "stored",
    "refused"
};


size_t
exam_key(char out[EXAM_KEY_MAX], exam_key_e key, exam_str_t exam,
    exam_str_t sub)
{
    exam_buf_t   b;
    const char  *suffix;

    suffix = exam_key_suffix[key];

    exam_buf_init(&b, out, EXAM_KEY_MAX);

    /* the braces are a part of the key: Redis' tag for one hash slot */

    exam_buf_lit(&b, "exam:{");
    exam_buf_put(&b, exam.data, exam.len);
    exam_buf_char(&b, '}');
    exam_buf_put(&b, suffix, strlen(suffix));
    exam_buf_put(&b, sub.data, sub.len);

    return exam_buf_cstr(&b) ? exam_buf_len(&b) : 0;
}


size_t
exam_key_recordings(char out[EXAM_KEY_MAX], exam_str_t node)
{
    return exam_key_join(out, exam_str("exam:recordings:"), node);
}


size_t
exam_key_worker(char out[EXAM_KEY_MAX], exam_str_t node)
{
    return exam_key_join(out, exam_str("exam:worker:"), node);
}


size_t
exam_key_node(char out[EXAM_KEY_MAX], exam_str_t node)
{
    return exam_key_join(out, exam_str("exam:node:"), node);
}


static size_t
exam_key_join(char out[EXAM_KEY_MAX], exam_str_t prefix, exam_str_t node)
{
    exam_buf_t  b;

    exam_buf_init(&b, out, EXAM_KEY_MAX);
    exam_buf_put(&b, prefix.data, prefix.len);
    exam_buf_put(&b, node.data, node.len);

    return exam_buf_cstr(&b) ? exam_buf_len(&b) : 0;
}


const char *
exam_seg_name(exam_seg_e state)
{
    return exam_seg_names[state];
}


exam_seg_e
exam_seg_parse(exam_str_t name)
{
    exam_seg_e  state;

    for (state = EXAM_SEG_RECEIVING; state <= EXAM_SEG_REFUSED; state++) {

        if (exam_str_eq(name, exam_str_make(exam_seg_names[state],
                                            strlen(exam_seg_names[state]))))
        {
            return state;
        }
    }

    return EXAM_SEG_NONE;
}


void
exam_ledger_field(exam_buf_t *b, const uint8_t sid[EXAM_SID_LEN],
    exam_str_t kind, uint32_t n)
{
    exam_buf_hex(b, sid, EXAM_SID_LEN);
    exam_buf_char(b, ':');
    exam_buf_put(b, kind.data, kind.len);
    exam_buf_char(b, ':');
    exam_buf_uint(b, n);
}


bool
exam_ledger_field_parse(exam_str_t field, uint8_t sid[EXAM_SID_LEN],
    exam_str_t *kind, uint32_t *n)
{
    exam_str_t  member, rest;

    rest = field;

    if (!exam_member_next(&rest, ':', &member)
        || !exam_sid_parse(member, sid)
        || !exam_member_next(&rest, ':', kind)
        || kind->len == 0
        || kind->len > EXAM_KIND_MAX)
    {
        return false;
    }

    /* attachments have numbers too, so the number's form is the only test */

    return exam_id_segment(rest, n);
}


bool
exam_ledger_parse(exam_str_t value, exam_ledger_t *e)
{
    uint64_t    bytes;
    exam_str_t  dash, rest, state, size, hash;

    dash = exam_str("-");
    rest = value;

    if (!exam_member_next(&rest, ' ', &state)
        || !exam_member_next(&rest, ' ', &e->node)
        || !exam_member_next(&rest, ' ', &e->upload)
        || !exam_member_next(&rest, ' ', &size))
    {
        return false;
    }

    e->state = exam_seg_parse(state);

    if (e->state == EXAM_SEG_NONE) {
        return false;
    }

    if (exam_str_eq(e->node, dash)) {
        e->node.len = 0;

    } else if (!exam_id_node(e->node)) {
        return false;
    }

    if (exam_str_eq(e->upload, dash)) {
        e->upload.len = 0;

    } else if (!exam_id_upload(e->upload)) {
        return false;
    }

    if (exam_str_eq(size, dash)) {
        e->bytes = -1;

    } else if (exam_uint_parse(size.data, size.len, INT64_MAX, &bytes)) {
        e->bytes = (int64_t) bytes;

    } else {
        return false;
    }

    /* a reason is a text of any characters: all that is behind the hash */

    if (!exam_member_next(&rest, ' ', &hash)) {
        hash = rest;
        e->reason = exam_str("");

    } else if (rest.len != 0
               && (e->state == EXAM_SEG_LOST || e->state == EXAM_SEG_REFUSED
                   || e->state == EXAM_SEG_RECEIVING))
    {
        e->reason = rest;

    } else {
        return false;
    }

    e->has_sha256 = !exam_str_eq(hash, dash);

    return !e->has_sha256
           || exam_hex_decode(hash.data, hash.len, e->sha256, EXAM_HASH_LEN);
}


void
exam_flush_row_format(exam_buf_t *b, const exam_flush_row_t *row,
    const exam_kinds_t *kinds)
{
    const char  *ended;

    exam_buf_put(b, row->student.data, row->student.len);
    exam_buf_char(b, '\t');
    exam_buf_hex(b, row->sid, EXAM_SID_LEN);
    exam_buf_char(b, '\t');
    exam_buf_uint(b, row->gen);
    exam_buf_char(b, '\t');
    exam_buf_int(b, row->login_at);
    exam_buf_char(b, '\t');
    exam_buf_int(b, row->first_beat);
    exam_buf_char(b, '\t');
    exam_buf_int(b, row->last_beat);
    exam_buf_char(b, '\t');
    exam_buf_int(b, row->longest_gap);
    exam_buf_char(b, '\t');
    exam_buf_uint(b, row->seq);
    exam_buf_char(b, '\t');

    ended = exam_ended_name(row->ended);
    exam_buf_put(b, ended, strlen(ended));
    exam_buf_char(b, '\t');

    if (row->state) {
        exam_beat_state_json(b, row->state, kinds);
    }

    exam_buf_char(b, '\n');
}


bool
exam_flush_exam_parse(exam_str_t line, exam_flush_exam_t *e)
{
    exam_str_t  rest, state, starts, ends, pause, paused;

    rest = line;

    if (!exam_member_next(&rest, '\t', &state)
        || !exam_member_next(&rest, '\t', &starts)
        || !exam_member_next(&rest, '\t', &ends)
        || !exam_member_next(&rest, '\t', &pause)
        || !exam_member_next(&rest, '\t', &paused))
    {
        return false;
    }

    e->state = exam_state_parse((const char *) state.data, state.len);

    return e->state != EXAM_STATE_UNKNOWN
           && exam_int_parse(starts, &e->starts_at)
           && exam_int_parse(ends, &e->ends_at)
           && exam_int_parse(pause, &e->pause_ms)
           && exam_int_parse(paused, &e->paused_at)
           && exam_int_parse(rest, &e->version);
}


bool
exam_flush_answer_parse(exam_str_t line, const exam_kinds_t *kinds,
    exam_flush_answer_t *a)
{
    uint64_t    flags;
    exam_str_t  rest, gen, ended, bits, extra, stored;

    rest = line;

    if (!exam_member_next(&rest, '\t', &gen)
        || !exam_member_next(&rest, '\t', &ended)
        || !exam_member_next(&rest, '\t', &bits)
        || !exam_member_next(&rest, '\t', &extra)
        || !exam_member_next(&rest, '\t', &stored))
    {
        return false;
    }

    if (!exam_uint_parse(gen.data, gen.len, EXAM_UINT53_MAX, &a->gen)
        || !exam_uint_parse(bits.data, bits.len, 0xff, &flags)
        || !exam_int_parse(extra, &a->extra_s))
    {
        return false;
    }

    /* a reason of a later version is one all the same: forced */

    a->ended = exam_ended_parse((const char *) ended.data, ended.len);
    a->flags = (unsigned) flags;
    a->nresend = exam_resend_parse(rest, kinds, a->resend);

    return exam_stored_parse(stored, kinds->n, a->stored);
}


/*
 * `kind:n,kind:n`: the number of entries.  A kind that is not in the list, what
 * is malformed and what is beyond EXAM_RESEND_MAX is left out.
 */

static uint32_t
exam_resend_parse(exam_str_t csv, const exam_kinds_t *kinds,
    exam_resend_t out[EXAM_RESEND_MAX])
{
    int         kind;
    uint32_t    n;
    exam_str_t  rest, one, name;

    n = 0;
    rest = csv;

    while (rest.len != 0 && n < EXAM_RESEND_MAX) {

        if (!exam_member_next(&rest, ',', &one)) {
            one = rest;
            rest.len = 0;
        }

        if (!exam_member_next(&one, ':', &name)
            || !exam_id_segment(one, &out[n].n))
        {
            continue;
        }

        kind = exam_kind_find(kinds, name);

        if (kind >= 0) {
            out[n].kind = (uint8_t) kind;
            n++;
        }
    }

    return n;
}


bool
exam_stored_parse(exam_str_t csv, size_t kinds, int32_t *stored)
{
    size_t      i;
    exam_str_t  rest, one;

    rest = csv;

    for (i = 0; i + 1 < kinds; i++) {

        if (!exam_member_next(&rest, ',', &one)
            || !exam_stored_one(one, &stored[i]))
        {
            return false;
        }
    }

    return kinds == 0 ? rest.len == 0 : exam_stored_one(rest, &stored[i]);
}


bool
exam_line_next(exam_str_t *rest, exam_str_t *line)
{
    if (rest->len == 0) {
        return false;
    }

    if (!exam_member_next(rest, '\n', line)) {
        *line = *rest;
        *rest = exam_str_make(rest->data + rest->len, 0);
    }

    return true;
}


/* cuts the member before the separator off; false: no separator */

static bool
exam_member_next(exam_str_t *rest, char separator, exam_str_t *member)
{
    size_t          len;
    const uint8_t  *p;

    p = rest->len ? memchr(rest->data, separator, rest->len) : NULL;

    if (p == NULL) {
        return false;
    }

    len = (size_t) (p - rest->data);

    *member = exam_str_make(rest->data, len);
    *rest = exam_str_make(p + 1, rest->len - len - 1);

    return true;
}


/* decimal within what Lua's numbers hold exactly */

static bool
exam_int_parse(exam_str_t s, int64_t *out)
{
    bool      negative;
    uint64_t  n;

    negative = s.len > 1 && s.data[0] == '-';

    if (negative) {
        s = exam_str_make(s.data + 1, s.len - 1);
    }

    if (!exam_uint_parse(s.data, s.len, EXAM_UINT53_MAX, &n)) {
        return false;
    }

    *out = negative ? - (int64_t) n : (int64_t) n;

    return true;
}


/* "-": null, -2 here; "-1": none yet; else a segment's number */

static bool
exam_stored_one(exam_str_t s, int32_t *out)
{
    uint32_t  n;

    if (exam_str_eq(s, exam_str("-"))) {
        *out = -2;
        return true;
    }

    if (exam_str_eq(s, exam_str("-1"))) {
        *out = -1;
        return true;
    }

    if (!exam_id_segment(s, &n)) {
        return false;
    }

    *out = (int32_t) n;

    return true;
}
