
/*
 * Tombstones of uploads; see the header.
 */


#include "exam_gone.h"


typedef struct {
    int64_t     version;
    exam_str_t  id;
    exam_str_t  exam;
    exam_str_t  student;
    exam_str_t  state;
    int64_t     length;
    int64_t     at;
} exam_gone_raw_t;


#define EXAM_GONE_STRING(name, max)                                           \
    EXAM_JSON_MEMBER(exam_gone_raw_t, name, EXAM_JSON_STRING, 1, max, false)
#define EXAM_GONE_INT(name, min, max, nullable)                               \
    EXAM_JSON_MEMBER(exam_gone_raw_t, name, EXAM_JSON_INT, min, max, nullable)

static const exam_json_member_t  exam_gone_members[] = {
    EXAM_GONE_INT(version, EXAM_GONE_VERSION, EXAM_GONE_VERSION, false),
    EXAM_GONE_STRING(id, EXAM_UPLOAD_MAX),
    EXAM_GONE_STRING(exam, EXAM_EXAM_MAX),
    EXAM_GONE_STRING(student, EXAM_STUDENT_MAX),
    EXAM_GONE_STRING(state, 16),
    EXAM_GONE_INT(length, 0, INT64_MAX, true),
    EXAM_GONE_INT(at, 0, INT64_MAX, false)
};

#define EXAM_GONE_MEMBERS                                                     \
    (sizeof(exam_gone_members) / sizeof(exam_gone_members[0]))
#define EXAM_GONE_ALL  (((uint32_t) 1 << EXAM_GONE_MEMBERS) - 1)


/* in the order of exam_gone_e */

static const char  *exam_gone_names[] = {
    "deleted", "expired", "refused", "double"
};

#define EXAM_GONE_NAMES                                                       \
    (sizeof(exam_gone_names) / sizeof(exam_gone_names[0]))


void
exam_gone_format(exam_buf_t *b, const exam_gone_t *g)
{
    const char  *state;

    state = exam_gone_names[(unsigned) g->state % EXAM_GONE_NAMES];

    exam_buf_lit(b, "{\"version\":");
    exam_buf_int(b, EXAM_GONE_VERSION);
    exam_buf_lit(b, ",\"id\":");
    exam_buf_json(b, g->id);
    exam_buf_lit(b, ",\"exam\":");
    exam_buf_json(b, g->exam);
    exam_buf_lit(b, ",\"student\":");
    exam_buf_json(b, g->student);
    exam_buf_lit(b, ",\"state\":\"");
    exam_buf_put(b, state, strlen(state));
    exam_buf_lit(b, "\",\"length\":");

    if (g->length >= 0) {
        exam_buf_int(b, g->length);

    } else {
        exam_buf_lit(b, "null");
    }

    exam_buf_lit(b, ",\"at\":");
    exam_buf_int(b, g->at);
    exam_buf_lit(b, "}\n");
}


exam_err_e
exam_gone_parse(exam_str_t file, exam_arena_t *arena, exam_gone_t *g)
{
    size_t           i;
    uint32_t         given;
    exam_err_e       err;
    exam_gone_raw_t  raw;

    memset(&raw, 0, sizeof(exam_gone_raw_t));
    raw.length = -1;

    err = exam_json_object(file, arena, exam_json_table(exam_gone_members),
                           &raw, &given);

    if (err != EXAM_OK) {
        return err;
    }

    if (given != EXAM_GONE_ALL) {
        return EXAM_ERR_MISSING_MEMBER;
    }

    if (!exam_id_upload(raw.id)
        || !exam_id_exam(raw.exam)
        || !exam_id_student(raw.student))
    {
        return EXAM_ERR_BAD_VALUE;
    }

    for (i = 0; i < EXAM_GONE_NAMES; i++) {

        if (exam_str_eq(raw.state, exam_str_make(exam_gone_names[i],
                                                 strlen(exam_gone_names[i]))))
        {
            g->id = raw.id;
            g->exam = raw.exam;
            g->student = raw.student;
            g->state = (exam_gone_e) i;
            g->length = raw.length;
            g->at = raw.at;

            return EXAM_OK;
        }
    }

    return EXAM_ERR_BAD_VALUE;
}
