
/*
 * Entries of the control stream (see the header).  Called by the module on its
 * event loop; whoever can write into Redis decides what stands in an entry, so
 * everything is checked before it is used.
 */


#include "exam_entry.h"
#include "exam_body.h"


static const char *exam_entry_send(exam_entry_t *e);
static const char *exam_entry_command(exam_entry_t *e);
static const char *exam_entry_students(exam_entry_t *e);
static const char *exam_entry_student(exam_entry_t *e);
static bool exam_entry_type(exam_str_t type);
static bool exam_entry_object(exam_str_t text);
static exam_err_e exam_entry_value(void *data, const exam_json_value_t *v);


static const struct {
    exam_str_t    name;
    exam_entry_e  op;
} exam_entry_ops[] = {
    { { 4, (const uint8_t *) "send" },   EXAM_ENTRY_SEND },
    { { 6, (const uint8_t *) "cancel" }, EXAM_ENTRY_CANCEL },
    { { 4, (const uint8_t *) "sent" },   EXAM_ENTRY_SENT },
    { { 3, (const uint8_t *) "ack" },    EXAM_ENTRY_ACK },
    { { 3, (const uint8_t *) "end" },    EXAM_ENTRY_END },
    { { 4, (const uint8_t *) "exam" },   EXAM_ENTRY_EXAM },
    { { 6, (const uint8_t *) "roster" }, EXAM_ENTRY_ROSTER }
};

#define exam_entry_n(t)  (sizeof(t) / sizeof((t)[0]))


void
exam_entry_init(exam_entry_t *e)
{
    memset(e, 0, sizeof(exam_entry_t));
}


void
exam_entry_field(exam_entry_t *e, exam_str_t name, exam_str_t value)
{
    size_t  i;

    const struct {
        exam_str_t   name;
        exam_str_t  *value;
    } fields[] = {
        { exam_str("op"),         &e->raw_op },
        { exam_str("id"),         &e->raw_id },
        { exam_str("type"),       &e->type },
        { exam_str("payload"),    &e->payload },
        { exam_str("expires_at"), &e->raw_expires },
        { exam_str("to"),         &e->raw_to },
        { exam_str("students"),   &e->raw_students },
        { exam_str("student"),    &e->raw_student }
    };

    for (i = 0; i < exam_entry_n(fields); i++) {
        if (exam_str_eq(fields[i].name, name)) {
            *fields[i].value = value;
            return;
        }
    }
}


const char *
exam_entry_check(exam_entry_t *e)
{
    size_t       i;
    const char  *wrong;

    for (i = 0; i < exam_entry_n(exam_entry_ops); i++) {
        if (exam_str_eq(exam_entry_ops[i].name, e->raw_op)) {
            e->op = exam_entry_ops[i].op;
        }
    }

    switch (e->op) {

    case EXAM_ENTRY_SEND:
        return exam_entry_send(e);

    case EXAM_ENTRY_CANCEL:
        return exam_entry_command(e);

    case EXAM_ENTRY_SENT:
    case EXAM_ENTRY_ACK:
        wrong = exam_entry_command(e);
        return wrong ? wrong : exam_entry_students(e);

    case EXAM_ENTRY_END:
        return exam_entry_student(e);

    case EXAM_ENTRY_EXAM:
        return e->raw_student.len == 0 ? NULL : exam_entry_student(e);

    case EXAM_ENTRY_ROSTER:
        return NULL;

    default:
        return "unknown op";
    }
}


static const char *
exam_entry_send(exam_entry_t *e)
{
    uint64_t     expires;
    const char  *wrong;

    wrong = exam_entry_command(e);
    if (wrong != NULL) {
        return wrong;
    }

    if (!exam_entry_type(e->type)) {
        return "no type";
    }

    if (!exam_uint_parse(e->raw_expires.data, e->raw_expires.len,
                         EXAM_COMMAND_ID_MAX, &expires)
        || expires == 0)
    {
        return "no expires_at";
    }

    e->expires_at = (int64_t) expires;

    if (e->payload.len > EXAM_COMMAND_PAYLOAD_MAX) {
        return "payload too long";
    }

    if (!exam_entry_object(e->payload)) {
        return "payload is no JSON object";
    }

    if (exam_str_eq(e->raw_to, exam_str("all"))) {
        e->all = true;
        return NULL;
    }

    if (!exam_str_eq(e->raw_to, exam_str("list"))) {
        return "no to";
    }

    return exam_entry_students(e);
}


static const char *
exam_entry_command(exam_entry_t *e)
{
    if (!exam_uint_parse(e->raw_id.data, e->raw_id.len, EXAM_COMMAND_ID_MAX,
                         &e->id)
        || e->id == 0)
    {
        return "no id";
    }

    return NULL;
}


/* separated by single blanks */

static const char *
exam_entry_students(exam_entry_t *e)
{
    size_t      len;
    exam_str_t  rest;

    rest = e->raw_students;

    while (rest.len != 0) {

        for (len = 0; len < rest.len && rest.data[len] != ' '; len++) {
            /* void */
        }

        if (e->n == EXAM_ENTRY_STUDENTS) {
            return "too many students";
        }

        e->students[e->n] = exam_str_make(rest.data, len);

        if (!exam_id_student(e->students[e->n])) {
            return "malformed student";
        }

        e->n++;

        if (len == rest.len) {
            return NULL;
        }

        rest = exam_str_make(rest.data + len + 1, rest.len - len - 1);
    }

    return e->n == 0 ? "no students" : "malformed student";
}


static const char *
exam_entry_student(exam_entry_t *e)
{
    if (!exam_id_student(e->raw_student)) {
        return "no student";
    }

    e->students[0] = e->raw_student;
    e->n = 1;

    return NULL;
}


static bool
exam_entry_type(exam_str_t type)
{
    size_t  i;

    for (i = 0; i < type.len; i++) {
        if ((type.data[i] < 'a' || type.data[i] > 'z') && type.data[i] != '_')
        {
            return false;
        }
    }

    return type.len != 0 && type.len <= EXAM_COMMAND_TYPE_MAX;
}


/* it stands in replies as it is: UTF-8, an object, nothing behind it */

static bool
exam_entry_object(exam_str_t text)
{
    exam_arena_t  arena;

    _Alignas(max_align_t) uint8_t  memory[EXAM_BODY_ARENA];

    exam_arena_init(&arena, memory, sizeof(memory));

    return exam_json_parse(text, &arena, exam_entry_value, NULL) == EXAM_OK;
}


static exam_err_e
exam_entry_value(void *data, const exam_json_value_t *v)
{
    (void) data;

    return v->depth == 0 ? exam_json_top(v) : EXAM_OK;
}


bool
exam_command_lasts(exam_str_t type)
{
    size_t  i;

    static const exam_str_t  lasting[] = {
        { 4,  (const uint8_t *) "lock" },
        { 6,  (const uint8_t *) "unlock" },
        { 5,  (const uint8_t *) "pause" },
        { 6,  (const uint8_t *) "resume" },
        { 10, (const uint8_t *) "extra_time" },
        { 6,  (const uint8_t *) "finish" }
    };

    for (i = 0; i < exam_entry_n(lasting); i++) {
        if (exam_str_eq(lasting[i], type)) {
            return true;
        }
    }

    return false;
}


bool
exam_entry_id_parse(exam_str_t text, uint64_t *ms, uint64_t *seq)
{
    size_t  len;

    for (len = 0; len < text.len && text.data[len] != '-'; len++) {
        /* void */
    }

    return len < text.len
           && exam_uint_parse(text.data, len, UINT64_MAX, ms)
           && exam_uint_parse(text.data + len + 1, text.len - len - 1,
                              UINT64_MAX, seq);
}
