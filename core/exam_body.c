
/*
 * Bodies of login, heartbeat and logout on exam_json.h: the parsers that decide
 * what is valid.  Called by the module on its event loop; the fast path of the
 * heartbeat stands in exam_beat.c and declines to these.
 *
 * A null is as if the member were not there, everywhere.
 */


#include "exam_body.h"


#define EXAM_INT_MAX        ((int64_t) EXAM_SEQ_MAX)    /* exact in a double */


/* where in the body a value of depth 2 and more stands */

typedef enum {
    EXAM_BODY_ELSEWHERE = 0,        /* in a member that nobody asked for */
    EXAM_BODY_STATE,
    EXAM_BODY_RECORDED,
    EXAM_BODY_MISSED,
    EXAM_BODY_ACK
} exam_body_place_e;


typedef struct {
    int64_t               seq;
    int64_t               client_time;
    exam_str_t            recorder;
    int64_t               focus;
    double                battery;
    int64_t               queued_segments;
    int64_t               queued_bytes;
    int64_t               oldest_unsent_s;
} exam_beat_raw_t;


typedef struct {
    exam_arena_t         *arena;
    const exam_kinds_t   *kinds;
    exam_beat_t          *out;
    exam_body_place_e     place;
    uint32_t              given;
    uint32_t              state_given;
    exam_beat_raw_t       raw;
    int64_t              *times;
} exam_beat_parse_t;


typedef struct {
    exam_arena_t         *arena;
    const exam_kinds_t   *kinds;
    exam_logout_body_t   *out;
    exam_body_place_e     place;
} exam_logout_parse_t;


static exam_err_e exam_beat_value(void *data, const exam_json_value_t *v);
static exam_err_e exam_beat_member(exam_beat_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e exam_beat_state(exam_beat_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e exam_beat_missed(exam_beat_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e exam_beat_time(exam_beat_parse_t *p, int64_t client_time);
static exam_err_e exam_beat_ack(exam_beat_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e exam_beat_finish(exam_beat_parse_t *p);
static exam_err_e exam_beat_recorder(exam_beat_parse_t *p);
static exam_err_e exam_logout_value(void *data, const exam_json_value_t *v);
static exam_err_e exam_recorded_value(const exam_kinds_t *kinds,
    const exam_json_value_t *v, int32_t *recorded);
static void exam_recorded_init(int32_t *recorded);
static exam_err_e exam_body_refused(exam_arena_t *arena,
    exam_body_place_e place, exam_err_e err);
static exam_err_e exam_body_given(exam_arena_t *arena,
    const exam_json_member_t *members, size_t n, uint32_t given);
static bool exam_key_is(const exam_json_value_t *v, exam_str_t name);
static inline void exam_state_member(exam_buf_t *b, exam_str_t name, int64_t n);


static const exam_json_member_t  exam_login_members[] = {
    EXAM_JSON_MEMBER(exam_login_body_t, exam, EXAM_JSON_STRING,
                     0, EXAM_BODY_JSON_MAX, false),
    EXAM_JSON_MEMBER(exam_login_body_t, student, EXAM_JSON_STRING,
                     0, EXAM_BODY_JSON_MAX, false),
    EXAM_JSON_MEMBER(exam_login_body_t, code, EXAM_JSON_STRING,
                     0, EXAM_BODY_JSON_MAX, false)
};


/* an entry of `missed` has the same two members as the top */

static const exam_json_member_t  exam_beat_members[] = {
    EXAM_JSON_MEMBER(exam_beat_raw_t, seq, EXAM_JSON_INT,
                     0, EXAM_INT_MAX, false),
    EXAM_JSON_MEMBER(exam_beat_raw_t, client_time, EXAM_JSON_INT,
                     0, EXAM_INT_MAX, false)
};

#define EXAM_BEAT_TIME      0x02


static const exam_json_member_t  exam_state_members[] = {
    EXAM_JSON_MEMBER(exam_beat_raw_t, recorder, EXAM_JSON_STRING,
                     0, EXAM_BEAT_RECORDER_MAX, false),
    EXAM_JSON_MEMBER(exam_beat_raw_t, focus, EXAM_JSON_BOOL, 0, 1, false),
    EXAM_JSON_MEMBER(exam_beat_raw_t, battery, EXAM_JSON_NUMBER,
                     0, 100, false),
    EXAM_JSON_MEMBER(exam_beat_raw_t, queued_segments, EXAM_JSON_INT,
                     0, INT32_MAX, false),
    EXAM_JSON_MEMBER(exam_beat_raw_t, queued_bytes, EXAM_JSON_INT,
                     0, EXAM_INT_MAX, false),
    EXAM_JSON_MEMBER(exam_beat_raw_t, oldest_unsent_s, EXAM_JSON_INT,
                     0, INT32_MAX, false)
};

#define EXAM_STATE_RECORDER 0x01
#define EXAM_STATE_FOCUS    0x02
#define EXAM_STATE_BATTERY  0x04
#define EXAM_STATE_SEGMENTS 0x08
#define EXAM_STATE_BYTES    0x10
#define EXAM_STATE_OLDEST   0x20


int
exam_kind_find(const exam_kinds_t *kinds, exam_str_t name)
{
    size_t  i;

    for (i = 0; i < kinds->n; i++) {
        if (exam_str_eq(kinds->name[i], name)) {
            return (int) i;
        }
    }

    return -1;
}


exam_err_e
exam_login_parse(exam_str_t body, exam_arena_t *arena, exam_login_body_t *out)
{
    uint32_t    given;
    exam_err_e  err;

    memset(out, 0, sizeof(exam_login_body_t));

    err = exam_json_object(body, arena, exam_json_table(exam_login_members),
                           out, &given);

    if (err != EXAM_OK) {
        return err;
    }

    return exam_body_given(arena, exam_json_table(exam_login_members), given);
}


exam_err_e
exam_beat_parse(exam_str_t body, const exam_kinds_t *kinds,
    exam_arena_t *arena, exam_beat_t *out)
{
    exam_err_e         err;
    exam_beat_parse_t  p;

    /* padding too: the fast path's result has to be equal in all bytes */

    memset(out, 0, offsetof(exam_beat_t, ack));
    memset(&p, 0, sizeof(exam_beat_parse_t));

    exam_recorded_init(out->state.recorded);

    p.arena = arena;
    p.kinds = kinds;
    p.out = out;

    err = exam_json_parse(body, arena, exam_beat_value, &p);

    return err == EXAM_OK ? exam_beat_finish(&p) : err;
}


static exam_err_e
exam_beat_value(void *data, const exam_json_value_t *v)
{
    exam_err_e          err;
    exam_beat_parse_t  *p;

    p = data;

    if (v->depth == 0) {
        return exam_json_top(v);
    }

    if (v->depth == 1) {
        err = exam_beat_member(p, v);
        return exam_body_refused(p->arena, p->place, err);
    }

    switch (p->place) {

    case EXAM_BODY_STATE:
    case EXAM_BODY_RECORDED:
        err = exam_beat_state(p, v);
        break;

    case EXAM_BODY_MISSED:
        err = exam_beat_missed(p, v);
        break;

    case EXAM_BODY_ACK:
        err = exam_beat_ack(p, v);
        break;

    default:
        err = EXAM_OK;
        break;
    }

    return exam_body_refused(p->arena, p->place, err);
}


static exam_err_e
exam_beat_member(exam_beat_parse_t *p, const exam_json_value_t *v)
{
    p->place = EXAM_BODY_ELSEWHERE;

    if (v->type == EXAM_JSON_NULL || v->type == EXAM_JSON_END_OBJECT
        || v->type == EXAM_JSON_END_ARRAY)
    {
        return EXAM_OK;
    }

    if (exam_key_is(v, exam_str("state"))) {
        p->place = EXAM_BODY_STATE;
        p->out->has_state = true;

        return v->type == EXAM_JSON_BEGIN_OBJECT ? EXAM_OK
                                                 : EXAM_ERR_BAD_TYPE;
    }

    if (exam_key_is(v, exam_str("missed"))) {
        p->place = EXAM_BODY_MISSED;
        p->out->missed = 0;
        p->out->ntimes = 0;

        return v->type == EXAM_JSON_BEGIN_ARRAY ? EXAM_OK
                                                : EXAM_ERR_BAD_TYPE;
    }

    if (exam_key_is(v, exam_str("ack"))) {
        p->place = EXAM_BODY_ACK;
        p->out->acks = 0;

        return v->type == EXAM_JSON_BEGIN_ARRAY ? EXAM_OK
                                                : EXAM_ERR_BAD_TYPE;
    }

    return exam_json_take(exam_json_table(exam_beat_members), v, p->arena,
                          &p->raw, &p->given);
}


static exam_err_e
exam_beat_state(exam_beat_parse_t *p, const exam_json_value_t *v)
{
    if (v->depth == 2) {
        p->place = EXAM_BODY_STATE;

        if (exam_key_is(v, exam_str("recorded"))) {

            if (v->type == EXAM_JSON_NULL) {
                return EXAM_OK;
            }

            p->place = EXAM_BODY_RECORDED;

            return v->type == EXAM_JSON_BEGIN_OBJECT ? EXAM_OK
                                                     : EXAM_ERR_BAD_TYPE;
        }

        return exam_json_take(exam_json_table(exam_state_members), v, p->arena,
                              &p->raw, &p->state_given);
    }

    if (v->depth == 3 && p->place == EXAM_BODY_RECORDED) {
        return exam_recorded_value(p->kinds, v, p->out->state.recorded);
    }

    return EXAM_OK;
}


static exam_err_e
exam_beat_missed(exam_beat_parse_t *p, const exam_json_value_t *v)
{
    uint32_t         given;
    exam_err_e       err;
    exam_beat_raw_t  entry;

    if (v->depth == 2) {

        if (v->type == EXAM_JSON_END_OBJECT) {
            return EXAM_OK;
        }

        if (v->type != EXAM_JSON_BEGIN_OBJECT) {
            return EXAM_ERR_BAD_TYPE;
        }

        if (p->out->missed == EXAM_BEAT_MISSED_MAX) {
            return EXAM_ERR_BAD_VALUE;
        }

        p->out->missed++;

        return EXAM_OK;
    }

    if (v->depth > 3) {
        return EXAM_OK;
    }

    given = 0;

    err = exam_json_take(exam_json_table(exam_beat_members), v, p->arena,
                         &entry, &given);

    if (err != EXAM_OK || !(given & EXAM_BEAT_TIME)) {
        return err;
    }

    return exam_beat_time(p, entry.client_time);
}


/* an entry that names its time twice has two: the list stays bounded */

static exam_err_e
exam_beat_time(exam_beat_parse_t *p, int64_t client_time)
{
    if (p->times == NULL) {
        p->times = exam_arena_alloc(p->arena, EXAM_BEAT_MISSED_MAX
                                              * sizeof(int64_t));
        if (p->times == NULL) {
            return EXAM_ERR_TOO_LARGE;
        }

        p->out->times = p->times;
    }

    if (p->out->ntimes < EXAM_BEAT_MISSED_MAX) {
        p->times[p->out->ntimes++] = client_time;
    }

    return EXAM_OK;
}


static exam_err_e
exam_beat_ack(exam_beat_parse_t *p, const exam_json_value_t *v)
{
    uint64_t  id;

    if (v->type != EXAM_JSON_STRING && v->type != EXAM_JSON_INT) {
        return EXAM_ERR_BAD_TYPE;
    }

    if (p->out->acks == EXAM_BEAT_ACK_MAX) {
        return EXAM_ERR_BAD_VALUE;
    }

    /* ids are numbers; as text they are known, too */

    id = 0;

    if (v->type == EXAM_JSON_STRING) {
        if (!exam_uint_parse(v->string.data, v->string.len, EXAM_SEQ_MAX, &id))
        {
            id = 0;
        }

    } else if (v->integer > 0 && v->integer <= EXAM_INT_MAX) {
        id = (uint64_t) v->integer;
    }

    p->out->ack[p->out->acks++] = id;

    return EXAM_OK;
}


static exam_err_e
exam_beat_finish(exam_beat_parse_t *p)
{
    double              percent;
    uint32_t            given;
    exam_beat_state_t  *s;

    if (exam_body_given(p->arena, exam_beat_members, 1, p->given) != EXAM_OK) {
        return EXAM_ERR_MISSING_MEMBER;
    }

    p->out->seq = (uint64_t) p->raw.seq;
    p->out->client_time = (p->given & EXAM_BEAT_TIME) ? p->raw.client_time
                                                      : -1;

    s = &p->out->state;
    given = p->state_given;

    s->focus = (given & EXAM_STATE_FOCUS) ? (int8_t) p->raw.focus : -1;
    s->battery = -1;
    s->queued_segments = (given & EXAM_STATE_SEGMENTS)
                         ? (int32_t) p->raw.queued_segments : -1;
    s->queued_bytes = (given & EXAM_STATE_BYTES) ? p->raw.queued_bytes : -1;
    s->oldest_unsent_s = (given & EXAM_STATE_OLDEST)
                         ? (int32_t) p->raw.oldest_unsent_s : -1;

    if (given & EXAM_STATE_BATTERY) {
        percent = p->raw.battery <= 1 ? p->raw.battery * 100 : p->raw.battery;
        s->battery = (int8_t) (percent + 0.5);
    }

    return (given & EXAM_STATE_RECORDER) ? exam_beat_recorder(p) : EXAM_OK;
}


static exam_err_e
exam_beat_recorder(exam_beat_parse_t *p)
{
    size_t      i;
    exam_str_t  name;

    name = p->raw.recorder;

    for (i = 0; i < name.len; i++) {
        if ((name.data[i] < 'a' || name.data[i] > 'z') && name.data[i] != '_')
        {
            p->arena->wrong = exam_str("recorder");
            return EXAM_ERR_BAD_VALUE;
        }

        p->out->state.recorder[i] = (char) name.data[i];
    }

    return EXAM_OK;
}


exam_err_e
exam_logout_parse(exam_str_t body, const exam_kinds_t *kinds,
    exam_arena_t *arena, exam_logout_body_t *out)
{
    exam_logout_parse_t  p;

    exam_recorded_init(out->recorded);

    if (body.len == 0) {
        return EXAM_OK;
    }

    p.arena = arena;
    p.kinds = kinds;
    p.out = out;
    p.place = EXAM_BODY_ELSEWHERE;

    return exam_json_parse(body, arena, exam_logout_value, &p);
}


static exam_err_e
exam_logout_value(void *data, const exam_json_value_t *v)
{
    exam_err_e            err;
    exam_logout_parse_t  *p;

    p = data;

    switch (v->depth) {

    case 0:
        return exam_json_top(v);

    case 1:
        p->place = EXAM_BODY_ELSEWHERE;

        if (v->type == EXAM_JSON_NULL || !exam_key_is(v, exam_str("recorded")))
        {
            return EXAM_OK;
        }

        p->place = EXAM_BODY_RECORDED;

        err = v->type == EXAM_JSON_BEGIN_OBJECT ? EXAM_OK : EXAM_ERR_BAD_TYPE;

        return exam_body_refused(p->arena, p->place, err);

    case 2:
        err = (p->place == EXAM_BODY_RECORDED)
              ? exam_recorded_value(p->kinds, v, p->out->recorded) : EXAM_OK;

        return exam_body_refused(p->arena, p->place, err);

    default:
        return EXAM_OK;
    }
}


/* a member of `recorded`; a kind that this node does not have is ignored */

static exam_err_e
exam_recorded_value(const exam_kinds_t *kinds, const exam_json_value_t *v,
    int32_t *recorded)
{
    int  i;

    i = exam_kind_find(kinds, v->key);

    if (i < 0 || v->type == EXAM_JSON_NULL) {
        return EXAM_OK;
    }

    if (v->type == EXAM_JSON_NUMBER) {
        return EXAM_ERR_BAD_VALUE;
    }

    if (v->type != EXAM_JSON_INT) {
        return EXAM_ERR_BAD_TYPE;
    }

    if (v->integer < -1 || v->integer > EXAM_SEGMENT_MAX) {
        return EXAM_ERR_BAD_VALUE;
    }

    recorded[i] = (int32_t) v->integer;

    return EXAM_OK;
}


/* names what was refused: the member of a table, or the list it stands in */

static exam_err_e
exam_body_refused(exam_arena_t *arena, exam_body_place_e place,
    exam_err_e err)
{
    static const exam_str_t  names[] = {
        { 0, NULL },                /* EXAM_BODY_ELSEWHERE */
        { 5, (const uint8_t *) "state" },
        { 8, (const uint8_t *) "recorded" },
        { 6, (const uint8_t *) "missed" },
        { 3, (const uint8_t *) "ack" }
    };

    if (err != EXAM_OK
        && (arena->wrong.len == 0 || place == EXAM_BODY_MISSED))
    {
        arena->wrong = names[place];
    }

    return err;
}


/* the first n of the table are required */

static exam_err_e
exam_body_given(exam_arena_t *arena, const exam_json_member_t *members,
    size_t n, uint32_t given)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (!(given & (uint32_t) 1 << i)) {
            arena->wrong = members[i].name;
            return EXAM_ERR_MISSING_MEMBER;
        }
    }

    return EXAM_OK;
}


static void
exam_recorded_init(int32_t *recorded)
{
    size_t  i;

    for (i = 0; i < EXAM_KINDS_MAX; i++) {
        recorded[i] = -1;
    }
}


static bool
exam_key_is(const exam_json_value_t *v, exam_str_t name)
{
    return exam_str_eq(v->key, name);
}


void
exam_beat_state_json(exam_buf_t *b, const exam_beat_state_t *state,
    const exam_kinds_t *kinds)
{
    size_t  i, given;

    exam_buf_char(b, '{');

    /* neither a recorder's state nor a kind has a character to be escaped */

    if (state->recorder[0] != '\0') {
        exam_buf_lit(b, "\"recorder\":\"");
        exam_buf_put(b, state->recorder, strlen(state->recorder));
        exam_buf_lit(b, "\",");
    }

    given = 0;

    for (i = 0; i < kinds->n; i++) {
        if (state->recorded[i] < 0) {
            continue;
        }

        if (given++ == 0) {
            exam_buf_lit(b, "\"recorded\":{\"");

        } else {
            exam_buf_lit(b, ",\"");
        }

        exam_buf_put(b, kinds->name[i].data, kinds->name[i].len);
        exam_buf_lit(b, "\":");
        exam_buf_int(b, state->recorded[i]);
    }

    if (given != 0) {
        exam_buf_lit(b, "},");
    }

    exam_state_member(b, exam_str("\"queued_segments\":"),
                      state->queued_segments);
    exam_state_member(b, exam_str("\"queued_bytes\":"), state->queued_bytes);
    exam_state_member(b, exam_str("\"oldest_unsent_s\":"),
                      state->oldest_unsent_s);

    if (state->focus >= 0) {
        if (state->focus) {
            exam_buf_lit(b, "\"focus\":true,");

        } else {
            exam_buf_lit(b, "\"focus\":false,");
        }
    }

    exam_state_member(b, exam_str("\"battery\":"), state->battery);

    /* the last comma, if there is one */

    if (b->pos > b->start && b->pos[-1] == ',') {
        b->pos--;
    }

    exam_buf_char(b, '}');
}


static inline void
exam_state_member(exam_buf_t *b, exam_str_t name, int64_t n)
{
    if (n < 0) {
        return;
    }

    exam_buf_put(b, name.data, name.len);
    exam_buf_int(b, n);
    exam_buf_char(b, ',');
}
