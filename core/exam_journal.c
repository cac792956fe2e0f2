
/*
 * Records of the journal (DESIGN 6); see the header.  The module formats on its
 * event loop, worker and examctl parse what they read from files.
 *
 * `data` stands last in its line.  It is the only member that may be a
 * container, and its bytes are given as they stand there.
 */


#include "exam_journal.h"
#include "exam_crc32c.h"
#include "exam_manifest.h"


#define EXAM_RECORD_CRC       8         /* hex digits, a space behind them */


typedef struct {
    exam_str_t     type;
    int64_t        at;
    exam_str_t     node;
    exam_str_t     exam;
    exam_str_t     student;
    exam_str_t     session;
    int64_t        gen;
    exam_str_t     ip;
    int64_t        login_at;
    exam_str_t     ended;
    int64_t        from;
    int64_t        to;
    int64_t        gap_ms;
    int64_t        seq;
    exam_str_t     cause;
    int64_t        missed;
    exam_str_t     what;
    int64_t        command;
    exam_str_t     id;
    exam_str_t     name;
    int64_t        client_time;
    int64_t        offset_ms;
    exam_str_t     upload;
    exam_str_t     kind;
    int64_t        n;
    int64_t        bytes;
    exam_str_t     sha256;
    exam_str_t     reason;
} exam_record_raw_t;


typedef struct {
    exam_arena_t       *arena;
    exam_record_raw_t   raw;
    uint32_t            given;
    exam_str_t          data;
    bool                has_data;
    bool                whole;          /* `data` has ended */
} exam_record_parse_t;


static void exam_record_members(exam_buf_t *b, const exam_record_t *r);
static void exam_record_session(exam_buf_t *b, const exam_record_t *r);
static void exam_record_span(exam_buf_t *b, const exam_record_t *r);
static void exam_record_event(exam_buf_t *b, const exam_record_t *r);
static void exam_record_receipt(exam_buf_t *b, const exam_record_t *r);
static void exam_record_int(exam_buf_t *b, const char *name, int64_t n);
static void exam_record_uint(exam_buf_t *b, const char *name, uint64_t n);
static void exam_record_string(exam_buf_t *b, const char *name,
    exam_str_t s);
static void exam_record_crc(char hex[EXAM_RECORD_CRC], exam_str_t json);
static exam_err_e exam_record_value(void *data, const exam_json_value_t *v);
static exam_err_e exam_record_data(exam_record_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e exam_record_check(const exam_record_parse_t *p,
    exam_record_t *r);
static exam_err_e exam_record_ids(const exam_record_raw_t *raw,
    exam_record_t *r);
static exam_err_e exam_record_type(const exam_record_parse_t *p,
    exam_record_t *r);
static exam_err_e exam_record_time(const exam_record_raw_t *raw,
    exam_record_t *r);
static exam_err_e exam_record_segment(const exam_record_raw_t *raw,
    exam_record_t *r);
static int exam_record_find(const char *const *names, size_t n,
    exam_str_t name);
static bool exam_journal_boot(exam_str_t boot);


#define EXAM_RECORD_TEXT(name, text)  text,

static const char *const  exam_record_names[] = {
    EXAM_RECORD_MAP(EXAM_RECORD_TEXT)
};

#undef EXAM_RECORD_TEXT

static const char *const  exam_cause_names[] = {
    "candidate", "client", "node"
};

#define exam_record_n(t)      (sizeof(t) / sizeof((t)[0]))


/* field, type, least value or length, greatest */

#define EXAM_RECORD_MEMBERS(X)                                                \
    X(type, EXAM_JSON_STRING, 1, 15)                                          \
    X(at, EXAM_JSON_INT, 0, INT64_MAX)                                        \
    X(node, EXAM_JSON_STRING, 1, EXAM_NODE_MAX)                               \
    X(exam, EXAM_JSON_STRING, 1, EXAM_EXAM_MAX)                               \
    X(student, EXAM_JSON_STRING, 1, EXAM_STUDENT_MAX)                         \
    X(session, EXAM_JSON_STRING, EXAM_SID_HEX, EXAM_SID_HEX)                  \
    X(gen, EXAM_JSON_INT, 0, INT64_MAX)                                       \
    X(ip, EXAM_JSON_STRING, 0, EXAM_RECORD_TEXT_MAX)                          \
    X(login_at, EXAM_JSON_INT, 0, INT64_MAX)                                  \
    X(ended, EXAM_JSON_STRING, 1, 15)                                         \
    X(from, EXAM_JSON_INT, 0, INT64_MAX)                                      \
    X(to, EXAM_JSON_INT, 0, INT64_MAX)                                        \
    X(gap_ms, EXAM_JSON_INT, 0, INT64_MAX)                                    \
    X(seq, EXAM_JSON_INT, 0, INT64_MAX)                                       \
    X(cause, EXAM_JSON_STRING, 1, 15)                                         \
    X(missed, EXAM_JSON_INT, 0, UINT32_MAX)                                   \
    X(what, EXAM_JSON_STRING, 1, 15)                                          \
    X(command, EXAM_JSON_INT, 1, INT64_MAX)                                   \
    X(id, EXAM_JSON_STRING, 1, EXAM_EVENT_ID_MAX)                             \
    X(name, EXAM_JSON_STRING, 1, EXAM_EVENT_TYPE_MAX)                         \
    X(client_time, EXAM_JSON_INT, 0, INT64_MAX)                               \
    X(offset_ms, EXAM_JSON_INT, INT64_MIN, INT64_MAX)                         \
    X(upload, EXAM_JSON_STRING, 1, EXAM_UPLOAD_MAX)                           \
    X(kind, EXAM_JSON_STRING, 1, EXAM_KIND_MAX)                               \
    X(n, EXAM_JSON_INT, 0, EXAM_SEGMENT_MAX)                                  \
    X(bytes, EXAM_JSON_INT, 0, INT64_MAX)                                     \
    X(sha256, EXAM_JSON_STRING, 2 * EXAM_HASH_LEN, 2 * EXAM_HASH_LEN)         \
    X(reason, EXAM_JSON_STRING, 0, EXAM_RECORD_TEXT_MAX)

#define EXAM_RECORD_MEMBER(name, json, min, max)                              \
    EXAM_JSON_MEMBER(exam_record_raw_t, name, json, min, max, false),
#define EXAM_RECORD_PLACE(name, json, min, max)  EXAM_HAS_##name,

static const exam_json_member_t  exam_record_table[] = {
    EXAM_RECORD_MEMBERS(EXAM_RECORD_MEMBER)
};

/* a member's place in the table, and its bit in `given` */

enum {
    EXAM_RECORD_MEMBERS(EXAM_RECORD_PLACE)
    EXAM_HAS_ALL
};

#define EXAM_BIT(name)        ((uint32_t) 1 << EXAM_HAS_##name)

#define EXAM_RECORD_ANY       (EXAM_BIT(type) | EXAM_BIT(at) | EXAM_BIT(node))
#define EXAM_RECORD_SESSION   (EXAM_RECORD_ANY | EXAM_BIT(exam)               \
                               | EXAM_BIT(student) | EXAM_BIT(session)        \
                               | EXAM_BIT(gen))

/* what a record of the type must have */

static const uint32_t  exam_record_must[] = {
    [EXAM_RECORD_LOGIN] = EXAM_RECORD_SESSION | EXAM_BIT(ip)
                          | EXAM_BIT(login_at),
    [EXAM_RECORD_END] = EXAM_RECORD_SESSION | EXAM_BIT(login_at)
                        | EXAM_BIT(ended),
    [EXAM_RECORD_PRESENCE] = EXAM_RECORD_SESSION | EXAM_BIT(from)
                             | EXAM_BIT(to) | EXAM_BIT(gap_ms)
                             | EXAM_BIT(seq),
    [EXAM_RECORD_GAP] = EXAM_RECORD_SESSION | EXAM_BIT(from) | EXAM_BIT(to)
                        | EXAM_BIT(cause) | EXAM_BIT(missed),
    [EXAM_RECORD_OUTAGE] = EXAM_RECORD_ANY | EXAM_BIT(what) | EXAM_BIT(from)
                           | EXAM_BIT(to),
    [EXAM_RECORD_SENT] = EXAM_RECORD_SESSION | EXAM_BIT(command),
    [EXAM_RECORD_ACK] = EXAM_RECORD_SESSION | EXAM_BIT(command),
    [EXAM_RECORD_EVENT] = EXAM_RECORD_SESSION | EXAM_BIT(id) | EXAM_BIT(name),
    [EXAM_RECORD_RECEIPT] = EXAM_RECORD_SESSION | EXAM_BIT(upload)
                            | EXAM_BIT(kind) | EXAM_BIT(n) | EXAM_BIT(bytes)
                            | EXAM_BIT(sha256),
    [EXAM_RECORD_LOST] = EXAM_RECORD_SESSION | EXAM_BIT(kind) | EXAM_BIT(n)
                         | EXAM_BIT(reason)
};

_Static_assert(exam_record_n(exam_record_must) == EXAM_RECORD_TYPES,
               "each type needs its members");
_Static_assert(EXAM_HAS_ALL <= 32, "a bit of given for each member");


const char *
exam_record_name(exam_record_e type)
{
    return (unsigned) type < EXAM_RECORD_TYPES ? exam_record_names[type] : "";
}


const char *
exam_cause_name(exam_cause_e cause)
{
    return (unsigned) cause < exam_record_n(exam_cause_names)
           ? exam_cause_names[cause] : "";
}


void
exam_record_format(exam_buf_t *b, const exam_record_t *r)
{
    uint8_t     *line;
    exam_str_t   json;

    line = exam_buf_reserve(b, EXAM_RECORD_CRC + 1);

    if (line == NULL) {
        return;
    }

    exam_record_members(b, r);

    if (!b->overflow && (size_t) (b->pos - line) >= EXAM_RECORD_MAX) {
        b->overflow = true;
    }

    json.data = line + EXAM_RECORD_CRC + 1;
    json.len = (size_t) (b->pos - json.data);

    exam_buf_char(b, '\n');

    if (b->overflow) {
        b->pos = line;              /* a part of a line is none */
        return;
    }

    exam_record_crc((char *) line, json);
    line[EXAM_RECORD_CRC] = ' ';
}


static void
exam_record_members(exam_buf_t *b, const exam_record_t *r)
{
    const char  *name;

    name = exam_record_name(r->type);

    exam_buf_lit(b, "{\"type\":\"");
    exam_buf_put(b, name, strlen(name));
    exam_buf_char(b, '"');
    exam_record_int(b, ",\"at\":", r->at);
    exam_record_string(b, ",\"node\":", r->node);

    if (r->type != EXAM_RECORD_OUTAGE) {
        exam_record_session(b, r);
    }

    switch (r->type) {

    case EXAM_RECORD_LOGIN:
        exam_record_string(b, ",\"ip\":", r->ip);
        exam_record_int(b, ",\"login_at\":", r->login_at);
        break;

    case EXAM_RECORD_END:
        name = exam_ended_name(r->ended);
        exam_record_int(b, ",\"login_at\":", r->login_at);
        exam_record_string(b, ",\"ended\":",
                           exam_str_make(name, strlen(name)));
        break;

    case EXAM_RECORD_PRESENCE:
        exam_record_span(b, r);
        exam_record_int(b, ",\"gap_ms\":", r->gap_ms);
        exam_record_uint(b, ",\"seq\":", r->seq);
        break;

    case EXAM_RECORD_GAP:
        name = exam_cause_name(r->cause);
        exam_record_span(b, r);
        exam_record_string(b, ",\"cause\":",
                           exam_str_make(name, strlen(name)));
        exam_record_uint(b, ",\"missed\":", r->missed);
        break;

    case EXAM_RECORD_OUTAGE:
        exam_record_string(b, ",\"what\":", r->what);
        exam_record_span(b, r);
        break;

    case EXAM_RECORD_SENT:
    case EXAM_RECORD_ACK:
        exam_record_uint(b, ",\"command\":", r->command);
        break;

    case EXAM_RECORD_EVENT:
        exam_record_event(b, r);
        break;

    case EXAM_RECORD_RECEIPT:
        exam_record_receipt(b, r);
        break;

    case EXAM_RECORD_LOST:
        exam_record_string(b, ",\"kind\":", r->kind);
        exam_record_uint(b, ",\"n\":", r->n);
        exam_record_string(b, ",\"reason\":", r->reason);
        break;

    case EXAM_RECORD_TYPES:
        break;
    }

    exam_buf_char(b, '}');
}


static void
exam_record_session(exam_buf_t *b, const exam_record_t *r)
{
    exam_record_string(b, ",\"exam\":", r->exam);
    exam_record_string(b, ",\"student\":", r->student);
    exam_buf_lit(b, ",\"session\":\"");
    exam_buf_hex(b, r->sid, EXAM_SID_LEN);
    exam_buf_char(b, '"');
    exam_record_uint(b, ",\"gen\":", r->gen);
}


static void
exam_record_span(exam_buf_t *b, const exam_record_t *r)
{
    exam_record_int(b, ",\"from\":", r->from);
    exam_record_int(b, ",\"to\":", r->to);
}


static void
exam_record_event(exam_buf_t *b, const exam_record_t *r)
{
    exam_record_string(b, ",\"id\":", r->event);
    exam_record_string(b, ",\"name\":", r->name);

    if (r->client_time >= 0) {
        exam_record_int(b, ",\"client_time\":", r->client_time);
    }

    if (r->has_offset) {
        exam_record_int(b, ",\"offset_ms\":", r->offset_ms);
    }

    if (r->data.len > 0) {
        exam_buf_lit(b, ",\"data\":");
        exam_buf_put(b, r->data.data, r->data.len);
    }
}


static void
exam_record_receipt(exam_buf_t *b, const exam_record_t *r)
{
    exam_record_string(b, ",\"upload\":", r->upload);
    exam_record_string(b, ",\"kind\":", r->kind);
    exam_record_uint(b, ",\"n\":", r->n);
    exam_record_int(b, ",\"bytes\":", r->bytes);
    exam_buf_lit(b, ",\"sha256\":\"");
    exam_buf_hex(b, r->sha256, EXAM_HASH_LEN);
    exam_buf_char(b, '"');
}


static void
exam_record_int(exam_buf_t *b, const char *name, int64_t n)
{
    exam_buf_put(b, name, strlen(name));
    exam_buf_int(b, n);
}


static void
exam_record_uint(exam_buf_t *b, const char *name, uint64_t n)
{
    exam_buf_put(b, name, strlen(name));
    exam_buf_uint(b, n);
}


static void
exam_record_string(exam_buf_t *b, const char *name, exam_str_t s)
{
    exam_buf_put(b, name, strlen(name));
    exam_buf_json(b, s);
}


static void
exam_record_crc(char hex[EXAM_RECORD_CRC], exam_str_t json)
{
    uint8_t     bytes[4];
    uint32_t    crc;
    exam_buf_t  b;

    crc = exam_crc32c(0, json.data, json.len);

    bytes[0] = (uint8_t) (crc >> 24);
    bytes[1] = (uint8_t) (crc >> 16);
    bytes[2] = (uint8_t) (crc >> 8);
    bytes[3] = (uint8_t) crc;

    exam_buf_init(&b, hex, EXAM_RECORD_CRC);
    exam_buf_hex(&b, bytes, sizeof(bytes));
}


exam_err_e
exam_record_parse(exam_str_t line, exam_arena_t *arena, exam_record_t *r)
{
    char                 crc[EXAM_RECORD_CRC];
    exam_str_t           json;
    exam_err_e           err;
    exam_record_parse_t  p;

    memset(r, 0, sizeof(exam_record_t));

    if (line.len <= EXAM_RECORD_CRC + 1 || line.len >= EXAM_RECORD_MAX
        || line.data[EXAM_RECORD_CRC] != ' ')
    {
        return EXAM_ERR_BAD_REQUEST;
    }

    json.data = line.data + EXAM_RECORD_CRC + 1;
    json.len = line.len - (EXAM_RECORD_CRC + 1);

    exam_record_crc(crc, json);

    if (memcmp(line.data, crc, EXAM_RECORD_CRC) != 0) {
        return EXAM_ERR_BAD_REQUEST;
    }

    memset(&p, 0, sizeof(exam_record_parse_t));

    p.arena = arena;
    p.raw.client_time = -1;

    err = exam_json_parse(json, arena, exam_record_value, &p);

    return err != EXAM_OK ? err : exam_record_check(&p, r);
}


static exam_err_e
exam_record_value(void *data, const exam_json_value_t *v)
{
    exam_record_parse_t  *p;

    p = data;

    if (v->depth == 0) {
        return exam_json_top(v);
    }

    if (v->depth > 1) {
        return p->has_data ? EXAM_OK : EXAM_ERR_BAD_TYPE;
    }

    if (p->has_data || exam_str_eq(v->key, exam_str("data"))) {
        return exam_record_data(p, v);
    }

    return exam_json_take(exam_json_table(exam_record_table), v, p->arena,
                          &p->raw, &p->given);
}


/* from its first byte on; whatever stands behind it is not ours */

static exam_err_e
exam_record_data(exam_record_parse_t *p, const exam_json_value_t *v)
{
    if (p->whole) {
        return EXAM_ERR_BAD_VALUE;
    }

    if (!p->has_data) {
        p->has_data = true;
        p->data = v->text;
    }

    if (v->type != EXAM_JSON_BEGIN_OBJECT && v->type != EXAM_JSON_BEGIN_ARRAY) {
        p->data.len = (size_t) (v->text.data + v->text.len - p->data.data);
        p->whole = true;
    }

    return EXAM_OK;
}


static exam_err_e
exam_record_check(const exam_record_parse_t *p, exam_record_t *r)
{
    int         type;
    uint32_t    must;
    exam_err_e  err;

    if ((p->given & EXAM_BIT(type)) == 0) {
        return EXAM_ERR_MISSING_MEMBER;
    }

    type = exam_record_find(exam_record_names, EXAM_RECORD_TYPES,
                            p->raw.type);
    if (type < 0) {
        return EXAM_ERR_BAD_VALUE;
    }

    must = exam_record_must[type];

    if ((p->given & must) != must) {
        return EXAM_ERR_MISSING_MEMBER;
    }

    if (!exam_id_node(p->raw.node)) {
        return EXAM_ERR_BAD_VALUE;
    }

    r->type = (exam_record_e) type;
    r->at = p->raw.at;
    r->node = p->raw.node;
    r->client_time = -1;

    if (r->type != EXAM_RECORD_OUTAGE) {
        err = exam_record_ids(&p->raw, r);

        if (err != EXAM_OK) {
            return err;
        }
    }

    return exam_record_type(p, r);
}


static exam_err_e
exam_record_ids(const exam_record_raw_t *raw, exam_record_t *r)
{
    if (!exam_id_exam(raw->exam)
        || !exam_id_student(raw->student)
        || !exam_sid_parse(raw->session, r->sid))
    {
        return EXAM_ERR_BAD_VALUE;
    }

    r->exam = raw->exam;
    r->student = raw->student;
    r->gen = (uint64_t) raw->gen;

    return EXAM_OK;
}


/* the members of the type; others that the line may have are left out */

static exam_err_e
exam_record_type(const exam_record_parse_t *p, exam_record_t *r)
{
    const exam_record_raw_t  *raw;

    raw = &p->raw;

    switch (r->type) {

    case EXAM_RECORD_LOGIN:
        r->ip = raw->ip;
        r->login_at = raw->login_at;
        return EXAM_OK;

    case EXAM_RECORD_END:
        r->login_at = raw->login_at;
        r->ended = exam_ended_parse((const char *) raw->ended.data,
                                    raw->ended.len);
        return EXAM_OK;

    case EXAM_RECORD_PRESENCE:
    case EXAM_RECORD_GAP:
    case EXAM_RECORD_OUTAGE:
        r->from = raw->from;
        r->to = raw->to;
        return exam_record_time(raw, r);

    case EXAM_RECORD_SENT:
    case EXAM_RECORD_ACK:
        r->command = (uint64_t) raw->command;
        return EXAM_OK;

    case EXAM_RECORD_EVENT:
        r->event = raw->id;
        r->name = raw->name;
        r->client_time = raw->client_time;
        r->has_offset = (p->given & EXAM_BIT(offset_ms)) != 0;
        r->offset_ms = raw->offset_ms;
        r->data = p->data;
        return r->data.len <= EXAM_EVENT_DATA_MAX ? EXAM_OK
                                                  : EXAM_ERR_BAD_VALUE;

    case EXAM_RECORD_RECEIPT:
    case EXAM_RECORD_LOST:
        r->kind = raw->kind;
        r->n = (uint32_t) raw->n;
        return exam_record_segment(raw, r);

    case EXAM_RECORD_TYPES:
        break;
    }

    return EXAM_ERR_BAD_VALUE;
}


static exam_err_e
exam_record_time(const exam_record_raw_t *raw, exam_record_t *r)
{
    int  cause;

    if (r->type == EXAM_RECORD_PRESENCE) {
        r->gap_ms = raw->gap_ms;
        r->seq = (uint64_t) raw->seq;
        return EXAM_OK;
    }

    if (r->type == EXAM_RECORD_OUTAGE) {
        r->what = raw->what;
        return exam_str_eq(r->what, exam_str("redis"))
               || exam_str_eq(r->what, exam_str("node"))
               ? EXAM_OK : EXAM_ERR_BAD_VALUE;
    }

    cause = exam_record_find(exam_cause_names, exam_record_n(exam_cause_names),
                             raw->cause);
    if (cause < 0) {
        return EXAM_ERR_BAD_VALUE;
    }

    r->cause = (exam_cause_e) cause;
    r->missed = (uint32_t) raw->missed;

    return EXAM_OK;
}


static exam_err_e
exam_record_segment(const exam_record_raw_t *raw, exam_record_t *r)
{
    if (!exam_id_kind(r->kind) && !exam_str_eq(r->kind, exam_str("file"))) {
        return EXAM_ERR_BAD_VALUE;
    }

    if (r->type == EXAM_RECORD_LOST) {
        r->reason = raw->reason;
        return EXAM_OK;
    }

    r->upload = raw->upload;
    r->bytes = raw->bytes;

    return exam_id_upload(r->upload)
           && exam_hex_decode(raw->sha256.data, raw->sha256.len, r->sha256,
                              EXAM_HASH_LEN)
           ? EXAM_OK : EXAM_ERR_BAD_VALUE;
}


static int
exam_record_find(const char *const *names, size_t n, exam_str_t name)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (exam_str_eq(name, exam_str_make(names[i], strlen(names[i])))) {
            return (int) i;
        }
    }

    return -1;
}


bool
exam_journal_name(char out[EXAM_JOURNAL_NAME_MAX], exam_str_t boot,
    uint64_t pid, uint64_t n)
{
    exam_buf_t  b;

    if (!exam_journal_boot(boot)) {
        return false;
    }

    exam_buf_init(&b, out, EXAM_JOURNAL_NAME_MAX);
    exam_buf_put(&b, boot.data, boot.len);
    exam_buf_char(&b, '-');
    exam_buf_uint(&b, pid);
    exam_buf_char(&b, '-');
    exam_buf_uint(&b, n);
    exam_buf_lit(&b, ".log");

    return exam_buf_cstr(&b);
}


bool
exam_journal_name_parse(exam_str_t name, exam_str_t *boot, uint64_t *pid,
    uint64_t *n)
{
    size_t      dash;
    uint64_t   *numbers[2];
    unsigned    i;
    exam_str_t  suffix;

    suffix = exam_str(".log");

    if (name.len <= suffix.len
        || memcmp(name.data + name.len - suffix.len, suffix.data, suffix.len)
           != 0)
    {
        return false;
    }

    name.len -= suffix.len;
    numbers[0] = n;
    numbers[1] = pid;

    /* from the end: the boot id has dashes of its own */

    for (i = 0; i < 2; i++) {
        for (dash = name.len; dash > 0 && name.data[dash - 1] != '-'; dash--) {
            /* void */
        }

        if (dash == 0
            || !exam_uint_parse(name.data + dash, name.len - dash, UINT64_MAX,
                                numbers[i]))
        {
            return false;
        }

        name.len = dash - 1;
    }

    *boot = name;

    return exam_journal_boot(name);
}


/* as the kernel writes it, or "unknown" */

static bool
exam_journal_boot(exam_str_t boot)
{
    size_t   i;
    uint8_t  c;

    for (i = 0; i < boot.len; i++) {
        c = boot.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }

    return boot.len > 0 && boot.len <= EXAM_BOOT_MAX;
}
