
/*
 * Entries of the control stream.  The first byte chooses:
 *
 *   0  the rest as lines `name value`, the fields of one entry
 *   1  the rest as the id of an entry
 *
 * What is sound has ids of their alphabets, and a payload that can stand in a
 * reply as it is.
 */


#include "fuzz.h"

#include "exam_entry.h"
#include "exam_json.h"


#define FUZZ_MAX        20000


static void fuzz_entry(exam_str_t s);
static bool fuzz_next(exam_str_t *rest, uint8_t separator, exam_str_t *member);
static void fuzz_sound(const exam_entry_t *e, exam_str_t in);
static exam_err_e fuzz_value(void *data, const exam_json_value_t *v);
static void fuzz_id(exam_str_t s);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exam_str_t  rest;

    if (size == 0 || size > FUZZ_MAX) {
        return 0;
    }

    rest = fuzz_copy(exam_str_make(data + 1, size - 1));

    if (data[0] & 1) {
        fuzz_id(rest);

    } else {
        fuzz_entry(rest);
    }

    fuzz_free(rest);

    return 0;
}


static void
fuzz_entry(exam_str_t s)
{
    exam_str_t    line, name, rest;
    exam_entry_t  e;

    exam_entry_init(&e);

    rest = s;

    while (rest.len != 0) {
        (void) fuzz_next(&rest, '\n', &line);

        if (fuzz_next(&line, ' ', &name)) {
            exam_entry_field(&e, name, line);
        }
    }

    if (exam_entry_check(&e) == NULL) {
        fuzz_sound(&e, s);
    }
}


/* what stands before the separator, or all; *rest: what stands behind it */

static bool
fuzz_next(exam_str_t *rest, uint8_t separator, exam_str_t *member)
{
    const uint8_t  *p;

    p = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    *member = *rest;

    if (p == NULL) {
        rest->len = 0;
        return false;
    }

    member->len = (size_t) (p - rest->data);
    rest->data = p + 1;
    rest->len -= member->len + 1;

    return true;
}


static void
fuzz_sound(const exam_entry_t *e, exam_str_t in)
{
    size_t        i;
    exam_arena_t  arena;

    static _Alignas(max_align_t) uint8_t  memory[65536];

    fuzz_check(e->op > EXAM_ENTRY_NONE && e->op <= EXAM_ENTRY_ROSTER,
               "an op that there is");
    fuzz_check(e->n <= EXAM_ENTRY_STUDENTS, "not too many students");

    for (i = 0; i < e->n; i++) {
        fuzz_check(exam_id_student(e->students[i])
                   && fuzz_within(e->students[i], in), "students are ids");
    }

    fuzz_check((e->id == 0) == (e->op >= EXAM_ENTRY_END),
               "entries of a command have its id");
    fuzz_check(e->id <= EXAM_COMMAND_ID_MAX, "an id is exact in Lua");

    if (e->op != EXAM_ENTRY_SEND) {
        fuzz_check(e->op == EXAM_ENTRY_CANCEL || e->op >= EXAM_ENTRY_EXAM
                   || e->n != 0, "an entry is of somebody");
        return;
    }

    fuzz_check(e->expires_at > 0 && e->all == (e->n == 0),
               "a command expires, and is for somebody");
    fuzz_check(e->type.len != 0 && e->type.len <= EXAM_COMMAND_TYPE_MAX
               && !fuzz_has(e->type, '"') && !fuzz_has(e->type, '\\'),
               "a type can stand in a reply");

    exam_arena_init(&arena, memory, sizeof(memory));

    fuzz_check(e->payload.len <= EXAM_COMMAND_PAYLOAD_MAX
               && exam_json_parse(e->payload, &arena, fuzz_value, NULL)
                  == EXAM_OK,
               "a payload can stand in a reply");

    (void) exam_command_lasts(e->type);
}


static exam_err_e
fuzz_value(void *data, const exam_json_value_t *v)
{
    (void) data;

    fuzz_check(v->depth != 0 || v->type == EXAM_JSON_BEGIN_OBJECT
               || v->type == EXAM_JSON_END_OBJECT, "a payload is an object");

    return EXAM_OK;
}


static void
fuzz_id(exam_str_t s)
{
    uint8_t     text[48];
    uint64_t    ms, seq;
    exam_buf_t  b;

    if (!exam_entry_id_parse(s, &ms, &seq)) {
        return;
    }

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_uint(&b, ms);
    exam_buf_char(&b, '-');
    exam_buf_uint(&b, seq);

    fuzz_check(exam_str_eq(s, fuzz_written(&b)), "an id has one spelling");
}
