
/*
 * Events of a client: a list of objects whose `data` may be anything.  Called
 * by the module on its event loop.
 *
 * `data` is kept as it was sent but for white space: numbers keep their digits,
 * strings their escapes.
 */


#include "exam_events.h"


#define EXAM_EVENTS_TIME_MAX  9007199254740991  /* 2^53 - 1 */


typedef struct {
    exam_str_t      id;
    exam_str_t      type;
    int64_t         client_time;
} exam_event_raw_t;


typedef struct {
    exam_arena_t      *arena;
    exam_events_t     *out;
    bool               given;       /* `events` */
    bool               inside;      /* its list is open */
    uint32_t           members;     /* of the event that is open */
    exam_event_raw_t   raw;
    const uint8_t     *start;       /* its first byte */
    const uint8_t     *data;        /* of its data's value, NULL */
    size_t             data_len;
} exam_events_run_t;


static exam_err_e exam_events_value(void *data, const exam_json_value_t *v);
static exam_err_e exam_events_list(exam_events_run_t *run,
    const exam_json_value_t *v);
static exam_err_e exam_events_element(exam_events_run_t *run,
    const exam_json_value_t *v);
static exam_err_e exam_events_member(exam_events_run_t *run,
    const exam_json_value_t *v);
static exam_err_e exam_events_end(exam_events_run_t *run,
    const exam_json_value_t *v);
static exam_err_e exam_events_wrong(exam_events_run_t *run, exam_str_t name,
    exam_err_e err);
static bool exam_event_type(exam_str_t type);


static const exam_json_member_t  exam_events_members[] = {
    EXAM_JSON_MEMBER(exam_event_raw_t, id, EXAM_JSON_STRING,
                     1, EXAM_EVENT_ID_MAX, false),
    EXAM_JSON_MEMBER(exam_event_raw_t, type, EXAM_JSON_STRING,
                     1, EXAM_EVENT_TYPE_MAX, false),
    EXAM_JSON_MEMBER(exam_event_raw_t, client_time, EXAM_JSON_INT,
                     0, EXAM_EVENTS_TIME_MAX, false)
};

#define EXAM_EVENTS_MUST  0x03          /* id, type */


exam_err_e
exam_events_parse(exam_str_t body, exam_arena_t *arena, exam_events_t *out)
{
    exam_err_e         err;
    exam_events_run_t  run;

    memset(&run, 0, sizeof(exam_events_run_t));

    run.arena = arena;
    run.out = out;
    out->n = 0;

    err = exam_json_parse(body, arena, exam_events_value, &run);

    if (err != EXAM_OK) {
        return err;
    }

    return run.given ? EXAM_OK
                     : exam_events_wrong(&run, exam_str("events"),
                                         EXAM_ERR_MISSING_MEMBER);
}


/* names the member that is refused */

static exam_err_e
exam_events_wrong(exam_events_run_t *run, exam_str_t name, exam_err_e err)
{
    run->arena->wrong = name;

    return err;
}


static exam_err_e
exam_events_value(void *data, const exam_json_value_t *v)
{
    exam_events_run_t  *run;

    run = data;

    switch (v->depth) {

    case 0:
        return exam_json_top(v);

    case 1:
        return exam_events_list(run, v);

    case 2:
        return run->inside ? exam_events_element(run, v) : EXAM_OK;

    case 3:
        return run->inside ? exam_events_member(run, v) : EXAM_OK;

    default:
        return EXAM_OK;
    }
}


static exam_err_e
exam_events_list(exam_events_run_t *run, const exam_json_value_t *v)
{
    if (v->type == EXAM_JSON_END_ARRAY || v->type == EXAM_JSON_END_OBJECT) {
        run->inside = false;
        return EXAM_OK;
    }

    if (!exam_str_eq(v->key, exam_str("events"))
        || v->type == EXAM_JSON_NULL)
    {
        return EXAM_OK;
    }

    if (v->type != EXAM_JSON_BEGIN_ARRAY) {
        return exam_events_wrong(run, exam_str("events"), EXAM_ERR_BAD_TYPE);
    }

    /* a list that stands twice counts as it stands last */

    run->given = true;
    run->inside = true;
    run->out->n = 0;

    return EXAM_OK;
}


static exam_err_e
exam_events_element(exam_events_run_t *run, const exam_json_value_t *v)
{
    if (v->type == EXAM_JSON_END_OBJECT) {
        return exam_events_end(run, v);
    }

    if (v->type != EXAM_JSON_BEGIN_OBJECT) {
        return exam_events_wrong(run, exam_str("events"), EXAM_ERR_BAD_TYPE);
    }

    if (run->out->n == EXAM_EVENTS_MAX) {
        return exam_events_wrong(run, exam_str("events"), EXAM_ERR_BAD_VALUE);
    }

    run->start = v->text.data;
    run->members = 0;
    run->data = NULL;
    run->raw.client_time = -1;

    return EXAM_OK;
}


static exam_err_e
exam_events_member(exam_events_run_t *run, const exam_json_value_t *v)
{
    /* an end has no key: it is that of `data`, or of what nobody knows */

    if (v->type == EXAM_JSON_END_ARRAY || v->type == EXAM_JSON_END_OBJECT) {

        if (run->data != NULL && run->data_len == 0) {
            run->data_len = (size_t) (v->text.data + 1 - run->data);
        }

        return EXAM_OK;
    }

    if (!exam_str_eq(v->key, exam_str("data"))) {
        return exam_json_take(exam_json_table(exam_events_members), v,
                              run->arena, &run->raw, &run->members);
    }

    run->data = (v->type == EXAM_JSON_NULL) ? NULL : v->text.data;
    run->data_len = v->text.len;

    if (v->type == EXAM_JSON_BEGIN_ARRAY || v->type == EXAM_JSON_BEGIN_OBJECT) {
        run->data_len = 0;
    }

    return EXAM_OK;
}


static exam_err_e
exam_events_end(exam_events_run_t *run, const exam_json_value_t *v)
{
    uint8_t       *memory;
    exam_buf_t     b;
    exam_event_t  *event;

    if (v->text.data + 1 - run->start > EXAM_EVENTS_EVENT_MAX) {
        return EXAM_ERR_TOO_LARGE;
    }

    if ((run->members & EXAM_EVENTS_MUST) != EXAM_EVENTS_MUST) {
        return exam_events_wrong(run,
                                 exam_events_members[run->members & 1].name,
                                 EXAM_ERR_MISSING_MEMBER);
    }

    if (!exam_event_id(run->raw.id)) {
        return exam_events_wrong(run, exam_str("id"), EXAM_ERR_BAD_VALUE);
    }

    if (!exam_event_type(run->raw.type)) {
        return exam_events_wrong(run, exam_str("type"), EXAM_ERR_BAD_VALUE);
    }

    event = &run->out->list[run->out->n];

    event->id = run->raw.id;
    event->type = run->raw.type;
    event->client_time = run->raw.client_time;
    event->data = exam_str("");

    if (run->data != NULL) {
        memory = exam_arena_alloc(run->arena, run->data_len);

        if (memory == NULL) {
            return EXAM_ERR_TOO_LARGE;
        }

        exam_buf_init(&b, memory, run->data_len);
        exam_json_compact(&b, exam_str_make(run->data, run->data_len));

        event->data = exam_str_make(memory, exam_buf_len(&b));
    }

    run->out->n++;

    return EXAM_OK;
}


bool
exam_event_id(exam_str_t id)
{
    size_t   i;
    uint8_t  c;

    for (i = 0; i < id.len; i++) {
        c = id.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
        {
            return false;
        }
    }

    return id.len >= 1 && id.len <= EXAM_EVENT_ID_MAX;
}


static bool
exam_event_type(exam_str_t type)
{
    size_t  i;

    for (i = 0; i < type.len; i++) {
        if (type.data[i] < 0x20 || type.data[i] == 0x7f) {
            return false;
        }
    }

    return type.len > 0;
}
