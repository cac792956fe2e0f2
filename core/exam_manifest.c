
/*
 * Manifests and file names of spool and store (DESIGN 6).  The module writes,
 * the worker reads; both build each path here, and only from ids whose
 * alphabets have been checked.  No file is touched.
 */


#include "exam_manifest.h"


typedef struct {
    int64_t        version;
    exam_str_t     id;
    exam_str_t     exam;
    exam_str_t     student;
    exam_str_t     session;
    int64_t        gen;
    exam_str_t     kind;
    int64_t        n;
    int64_t        length;
    int64_t        durable_offset;
    exam_str_t     sha256;
    exam_str_t     content_type;
    int64_t        started_at;
    int64_t        duration_ms;
    int64_t        offset_ms;
    int64_t        received_at;
    exam_str_t     node;
    exam_str_t     boot_id;
    exam_str_t     protocol;
    exam_str_t     metadata;
    int64_t        created_at;
    int64_t        checked;
    exam_str_t     expected_sha256;
} exam_manifest_raw_t;


typedef struct {
    exam_str_t     type;            /* without parameters */
    const char    *extension;
} exam_type_t;


static exam_err_e exam_manifest_check(const exam_manifest_raw_t *raw,
    exam_manifest_t *m);
static bool exam_manifest_hash(const exam_manifest_raw_t *raw,
    exam_manifest_t *m);
static void exam_manifest_resumable(exam_buf_t *b, const exam_manifest_t *m);
static bool exam_manifest_upload(const exam_manifest_raw_t *raw,
    exam_manifest_t *m);
static bool exam_manifest_metadata(exam_str_t s);
static void exam_manifest_string(exam_buf_t *b, const char *name,
    exam_str_t s);
static void exam_manifest_int(exam_buf_t *b, const char *name, int64_t n,
    bool known);
static const exam_type_t *exam_type_find(exam_str_t content_type);
static size_t exam_type_token(exam_str_t s, size_t i);
static size_t exam_type_value(exam_str_t s, size_t i);
static size_t exam_type_spaces(exam_str_t s, size_t i);


#define EXAM_MANIFEST_INT   INT64_MAX

#define EXAM_MEMBER(name, json, min, max, nullable)                           \
    EXAM_JSON_MEMBER(exam_manifest_raw_t, name, json, min, max, nullable)
#define EXAM_MEMBER_STR(name, max)                                            \
    EXAM_MEMBER(name, EXAM_JSON_STRING, 1, max, false)
#define EXAM_MEMBER_INT(name, min, max)                                       \
    EXAM_MEMBER(name, EXAM_JSON_INT, min, max, false)
#define EXAM_MEMBER_NULL(name, min)                                           \
    EXAM_MEMBER(name, EXAM_JSON_INT, min, EXAM_MANIFEST_INT, true)

static const exam_json_member_t  exam_manifest_members[] = {
    EXAM_MEMBER_INT(version, EXAM_MANIFEST_VERSION, EXAM_MANIFEST_VERSION),
    EXAM_MEMBER_STR(id, EXAM_UPLOAD_MAX),
    EXAM_MEMBER_STR(exam, EXAM_EXAM_MAX),
    EXAM_MEMBER_STR(student, EXAM_STUDENT_MAX),
    EXAM_MEMBER_STR(session, EXAM_SID_HEX),
    EXAM_MEMBER_INT(gen, 0, EXAM_MANIFEST_INT),
    EXAM_MEMBER_STR(kind, EXAM_KIND_MAX),
    EXAM_MEMBER_INT(n, 0, EXAM_SEGMENT_MAX),
    EXAM_MEMBER_NULL(length, 0),
    EXAM_MEMBER_INT(durable_offset, 0, EXAM_MANIFEST_INT),
    EXAM_MEMBER(sha256, EXAM_JSON_STRING, 64, 64, true),
    EXAM_MEMBER(content_type, EXAM_JSON_STRING, 0, EXAM_TYPE_MAX, false),
    EXAM_MEMBER_NULL(started_at, 0),
    EXAM_MEMBER_NULL(duration_ms, 0),
    EXAM_MEMBER_NULL(offset_ms, INT64_MIN),
    EXAM_MEMBER_NULL(received_at, 0),
    EXAM_MEMBER_STR(node, EXAM_NODE_MAX),
    EXAM_MEMBER_STR(boot_id, EXAM_BOOT_MAX),

    /* of resumable uploads: need not be there */

    EXAM_MEMBER_STR(protocol, 4),
    EXAM_MEMBER_STR(metadata, EXAM_METADATA_MAX),
    EXAM_MEMBER_INT(created_at, 1, EXAM_MANIFEST_INT),
    EXAM_MEMBER(checked, EXAM_JSON_BOOL, 0, 1, false),
    EXAM_MEMBER(expected_sha256, EXAM_JSON_STRING, 64, 64, false)
};

#define EXAM_MANIFEST_MEMBERS                                                 \
    (sizeof(exam_manifest_members) / sizeof(exam_manifest_members[0]))
#define EXAM_MANIFEST_EXTRA     5
#define EXAM_MANIFEST_ALL                                                     \
    (((uint32_t) 1 << (EXAM_MANIFEST_MEMBERS - EXAM_MANIFEST_EXTRA)) - 1)


static const exam_str_t  exam_protocols[] = {
    { 0, NULL },                                /* EXAM_PROTOCOL_NONE */
    { 3, (const uint8_t *) "tus" },
    { 4, (const uint8_t *) "ietf" }
};


static const exam_type_t  exam_types[] = {
    { { 10, (const uint8_t *) "video/webm" }, "webm" },
    { { 9, (const uint8_t *) "video/mp4" }, "mp4" },
    { { 16, (const uint8_t *) "video/x-matroska" }, "mkv" }
};


void
exam_manifest_format(exam_buf_t *b, const exam_manifest_t *m)
{
    exam_buf_lit(b, "{\"version\":");
    exam_buf_int(b, EXAM_MANIFEST_VERSION);

    exam_manifest_string(b, ",\"id\":", m->id);
    exam_manifest_string(b, ",\"exam\":", m->exam);
    exam_manifest_string(b, ",\"student\":", m->student);
    exam_buf_lit(b, ",\"session\":\"");
    exam_buf_hex(b, m->sid, EXAM_SID_LEN);
    exam_buf_lit(b, "\",\"gen\":");
    exam_buf_uint(b, m->gen);
    exam_manifest_string(b, ",\"kind\":", m->kind);
    exam_manifest_int(b, ",\"n\":", m->n, true);
    exam_manifest_int(b, ",\"length\":", m->length, m->length >= 0);
    exam_manifest_int(b, ",\"durable_offset\":", m->durable_offset, true);

    if (m->final) {
        exam_buf_lit(b, ",\"sha256\":\"");
        exam_buf_hex(b, m->sha256, EXAM_HASH_LEN);
        exam_buf_char(b, '"');

    } else {
        exam_buf_lit(b, ",\"sha256\":null");
    }

    exam_manifest_string(b, ",\"content_type\":", m->content_type);
    exam_manifest_int(b, ",\"started_at\":", m->started_at,
                      m->started_at >= 0);
    exam_manifest_int(b, ",\"duration_ms\":", m->duration_ms,
                      m->duration_ms >= 0);
    exam_manifest_int(b, ",\"offset_ms\":", m->offset_ms, m->has_offset);
    exam_manifest_int(b, ",\"received_at\":", m->received_at,
                      m->received_at >= 0);
    exam_manifest_string(b, ",\"node\":", m->node);
    exam_manifest_string(b, ",\"boot_id\":", m->boot_id);

    exam_manifest_resumable(b, m);

    exam_buf_lit(b, "}\n");
}


static void
exam_manifest_resumable(exam_buf_t *b, const exam_manifest_t *m)
{
    if (m->protocol != EXAM_PROTOCOL_NONE) {
        exam_manifest_string(b, ",\"protocol\":",
                             exam_protocols[m->protocol]);
    }

    if (m->metadata.len != 0) {
        exam_manifest_string(b, ",\"metadata\":", m->metadata);
    }

    if (m->created_at > 0) {
        exam_manifest_int(b, ",\"created_at\":", m->created_at, true);
    }

    if (m->checked) {
        exam_buf_lit(b, ",\"checked\":true");
    }

    if (m->expected) {
        exam_buf_lit(b, ",\"expected_sha256\":\"");
        exam_buf_hex(b, m->expected_sha256, EXAM_HASH_LEN);
        exam_buf_char(b, '"');
    }
}


static void
exam_manifest_string(exam_buf_t *b, const char *name, exam_str_t s)
{
    exam_buf_put(b, name, strlen(name));
    exam_buf_json(b, s);
}


static void
exam_manifest_int(exam_buf_t *b, const char *name, int64_t n, bool known)
{
    exam_buf_put(b, name, strlen(name));

    if (known) {
        exam_buf_int(b, n);

    } else {
        exam_buf_lit(b, "null");
    }
}


exam_err_e
exam_manifest_parse(exam_str_t file, exam_arena_t *arena, exam_manifest_t *m)
{
    uint32_t             given;
    exam_err_e           err;
    exam_manifest_raw_t  raw;

    memset(m, 0, sizeof(exam_manifest_t));
    memset(&raw, 0, sizeof(exam_manifest_raw_t));

    /* what a null leaves */

    raw.length = -1;
    raw.started_at = -1;
    raw.duration_ms = -1;
    raw.received_at = -1;
    raw.offset_ms = INT64_MIN;

    err = exam_json_object(file, arena, exam_json_table(exam_manifest_members),
                           &raw, &given);

    if (err != EXAM_OK) {
        return err;
    }

    if ((given & EXAM_MANIFEST_ALL) != EXAM_MANIFEST_ALL) {
        return EXAM_ERR_MISSING_MEMBER;
    }

    return exam_manifest_check(&raw, m);
}


static exam_err_e
exam_manifest_check(const exam_manifest_raw_t *raw, exam_manifest_t *m)
{
    if (!exam_id_upload(raw->id)
        || !exam_id_exam(raw->exam)
        || !exam_id_student(raw->student)
        || !exam_sid_parse(raw->session, m->sid)
        || !exam_id_node(raw->node)
        || !exam_type_valid(raw->content_type)
        || !exam_type_valid(raw->boot_id))
    {
        return EXAM_ERR_BAD_VALUE;
    }

    /* an attachment has the kind that none can be configured with */

    if (!exam_id_kind(raw->kind)
        && !exam_str_eq(raw->kind, exam_str("file")))
    {
        return EXAM_ERR_BAD_VALUE;
    }

    m->id = raw->id;
    m->exam = raw->exam;
    m->student = raw->student;
    m->gen = (uint64_t) raw->gen;
    m->kind = raw->kind;
    m->n = (uint32_t) raw->n;
    m->length = raw->length;
    m->durable_offset = raw->durable_offset;
    m->content_type = raw->content_type;
    m->started_at = raw->started_at;
    m->duration_ms = raw->duration_ms;
    m->has_offset = (raw->offset_ms != INT64_MIN);
    m->offset_ms = m->has_offset ? raw->offset_ms : 0;
    m->received_at = raw->received_at;
    m->node = raw->node;
    m->boot_id = raw->boot_id;

    if (!exam_manifest_hash(raw, m) || !exam_manifest_upload(raw, m)) {
        return EXAM_ERR_BAD_VALUE;
    }

    return EXAM_OK;
}


/* a hash stands in a manifest that is final, and only there */

static bool
exam_manifest_hash(const exam_manifest_raw_t *raw, exam_manifest_t *m)
{
    if (raw->sha256.len == 0) {
        return raw->length == -1 || raw->durable_offset <= raw->length;
    }

    m->final = true;

    return raw->length == raw->durable_offset
           && exam_hex_decode(raw->sha256.data, raw->sha256.len, m->sha256,
                              EXAM_HASH_LEN);
}


static bool
exam_manifest_upload(const exam_manifest_raw_t *raw, exam_manifest_t *m)
{
    m->metadata = raw->metadata;
    m->created_at = raw->created_at;
    m->checked = (raw->checked != 0);
    m->expected = (raw->expected_sha256.len != 0);

    if (m->expected
        && !exam_hex_decode(raw->expected_sha256.data,
                            raw->expected_sha256.len, m->expected_sha256,
                            EXAM_HASH_LEN))
    {
        return false;
    }

    m->protocol = EXAM_PROTOCOL_IETF;

    while (!exam_str_eq(raw->protocol, exam_protocols[m->protocol])) {

        if (m->protocol == EXAM_PROTOCOL_NONE) {
            return false;
        }

        m->protocol--;
    }

    return exam_manifest_metadata(raw->metadata);
}


/* as it may stand in a header, and short enough in the file */

static bool
exam_manifest_metadata(exam_str_t s)
{
    size_t  i, len;

    len = s.len;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] > 0x7e) {
            return false;
        }

        len += (s.data[i] == '"' || s.data[i] == '\\');
    }

    return len <= EXAM_METADATA_MAX;
}


bool
exam_spool_name(char out[EXAM_SPOOL_NAME_MAX], exam_spool_e what,
    exam_str_t id)
{
    exam_buf_t   b;
    const char  *folder, *suffix;

    static const struct {
        const char  *folder;
        const char  *suffix;
    } names[] = {
        { "part/", ".part" },
        { "part/", ".info" },
        { "part/", ".tmp" },
        { "ready/", ".rec" },
        { "ready/", ".info" },
        { "work/", ".info" },
        { "bad/", ".rec" },
        { "bad/", ".info" },
        { "part/", ".gone" }
    };

    if (!exam_id_upload(id)
        || (unsigned) what >= sizeof(names) / sizeof(names[0]))
    {
        return false;
    }

    folder = names[what].folder;
    suffix = names[what].suffix;

    exam_buf_init(&b, out, EXAM_SPOOL_NAME_MAX);
    exam_buf_put(&b, folder, strlen(folder));

    /* the first two random digits: many files, 256 directories */

    if (what <= EXAM_SPOOL_PART_TMP || what == EXAM_SPOOL_PART_GONE) {
        exam_buf_put(&b, id.data + id.len - EXAM_SID_HEX, 2);
        exam_buf_char(&b, '/');
    }

    exam_buf_put(&b, id.data, id.len);
    exam_buf_put(&b, suffix, strlen(suffix));

    return exam_buf_cstr(&b);
}


static const exam_type_t *
exam_type_find(exam_str_t content_type)
{
    size_t          i, k, len;
    uint8_t         c;
    exam_str_t      known;
    const uint8_t  *p;

    p = content_type.data;
    len = 0;

    while (len < content_type.len && p[len] != ';') {
        len++;
    }

    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
        len--;
    }

    for (i = 0; i < sizeof(exam_types) / sizeof(exam_types[0]); i++) {
        known = exam_types[i].type;

        for (k = 0; k < len && k < known.len; k++) {
            c = p[k];

            if (c >= 'A' && c <= 'Z') {
                c |= 0x20;
            }

            if (c != known.data[k]) {
                break;
            }
        }

        if (k == len && k == known.len) {
            return &exam_types[i];
        }
    }

    return NULL;
}


const char *
exam_type_extension(exam_str_t content_type)
{
    const exam_type_t  *type;

    type = exam_type_find(content_type);

    return type == NULL ? "bin" : type->extension;
}


bool
exam_type_valid(exam_str_t content_type)
{
    size_t  i;

    for (i = 0; i < content_type.len; i++) {
        if (content_type.data[i] < 0x20 || content_type.data[i] > 0x7e) {
            return false;
        }
    }

    return content_type.len <= EXAM_TYPE_MAX;
}


bool
exam_type_recording(exam_str_t content_type)
{
    return exam_type_find(content_type) != NULL;
}


/* type "/" subtype *( OWS ";" OWS [ name "=" ( token / quoted-string ) ] ) */

bool
exam_type_attachment(exam_str_t content_type)
{
    size_t      i, start;
    exam_str_t  s;

    s = content_type;

    if (!exam_type_valid(s)) {
        return false;
    }

    i = exam_type_token(s, 0);

    if (i == 0 || i == s.len || s.data[i] != '/') {
        return false;
    }

    start = ++i;
    i = exam_type_token(s, i);

    if (i == start) {
        return false;
    }

    for ( ;; ) {
        i = exam_type_spaces(s, i);

        if (i == s.len) {
            return true;
        }

        if (s.data[i] != ';') {
            return false;
        }

        start = exam_type_spaces(s, i + 1);
        i = exam_type_token(s, start);

        if (i == start) {
            continue;
        }

        if (i == s.len || s.data[i] != '=') {
            return false;
        }

        start = i + 1;
        i = exam_type_value(s, start);

        if (i == start) {
            return false;
        }
    }
}


/* these three: the index behind it, or the same where there is none */

static size_t
exam_type_token(exam_str_t s, size_t i)
{
    static const char  others[] = "!#$%&'*+-.^_`|~";

    while (i < s.len
           && ((s.data[i] >= '0' && s.data[i] <= '9')
               || ((s.data[i] | 0x20) >= 'a' && (s.data[i] | 0x20) <= 'z')
               || memchr(others, s.data[i], sizeof(others) - 1) != NULL))
    {
        i++;
    }

    return i;
}


static size_t
exam_type_value(exam_str_t s, size_t i)
{
    size_t  start;

    if (i == s.len || s.data[i] != '"') {
        return exam_type_token(s, i);
    }

    start = i++;

    while (i < s.len && s.data[i] != '"') {
        i += (s.data[i] == '\\') ? 2 : 1;
    }

    return i < s.len ? i + 1 : start;
}


static size_t
exam_type_spaces(exam_str_t s, size_t i)
{
    while (i < s.len && s.data[i] == ' ') {
        i++;
    }

    return i;
}


void
exam_store_name(exam_buf_t *b, const exam_manifest_t *m, bool sidecar)
{
    const char  *extension;

    extension = exam_type_extension(m->content_type);

    exam_buf_put(b, m->exam.data, m->exam.len);
    exam_buf_char(b, '/');
    exam_buf_put(b, m->student.data, m->student.len);
    exam_buf_char(b, '/');
    exam_buf_hex(b, m->sid, EXAM_SID_LEN);
    exam_buf_char(b, '-');
    exam_buf_put(b, m->kind.data, m->kind.len);
    exam_buf_char(b, '-');
    exam_buf_uint(b, m->n);
    exam_buf_char(b, '-');
    exam_buf_put(b, m->id.data, m->id.len);
    exam_buf_char(b, '.');
    exam_buf_put(b, extension, strlen(extension));

    if (sidecar) {
        exam_buf_lit(b, ".json");
    }
}
