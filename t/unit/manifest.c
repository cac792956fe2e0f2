
/*
 * exam_manifest: there and back, each member missing or wrong in turn, and the
 * names of files.
 */


#include "tap.h"

#include "exam_manifest.h"


#define HEX32  "0123456789abcdef0123456789abcdef"
#define SHA    "00112233445566778899aabbccddeeff"                             \
               "00112233445566778899aabbccddeeff"

#define FINAL                                                                 \
    "{\"version\":1,\"id\":\"n1-" HEX32 "\",\"exam\":\"30\","                  \
    "\"student\":\"S001\",\"session\":\"" HEX32 "\",\"gen\":1763650000000,"    \
    "\"kind\":\"screen\",\"n\":12,\"length\":1000,\"durable_offset\":1000,"    \
    "\"sha256\":\"" SHA "\","                                                 \
    "\"content_type\":\"video/webm;codecs=\\\"vp8,opus\\\"\","                \
    "\"started_at\":1763650000001,\"duration_ms\":120000,"                    \
    "\"offset_ms\":-35,\"received_at\":1763650120002,\"node\":\"n1\","         \
    "\"boot_id\":\"3a1b\"}\n"

#define OPEN                                                                  \
    "{\"version\":1,\"id\":\"n1-" HEX32 "\",\"exam\":\"30\","                  \
    "\"student\":\"S001\",\"session\":\"" HEX32 "\",\"gen\":7,"                \
    "\"kind\":\"file\",\"n\":0,\"length\":null,\"durable_offset\":0,"          \
    "\"sha256\":null,\"content_type\":\"\",\"started_at\":null,"               \
    "\"duration_ms\":null,\"offset_ms\":null,\"received_at\":null,"            \
    "\"node\":\"n1\",\"boot_id\":\"3a1b\"}\n"


#define BEGUN                                                                 \
    "{\"version\":1,\"id\":\"n1-" HEX32 "\",\"exam\":\"30\","                  \
    "\"student\":\"S001\",\"session\":\"" HEX32 "\",\"gen\":7,"                \
    "\"kind\":\"screen\",\"n\":3,\"length\":1000,\"durable_offset\":500,"     \
    "\"sha256\":null,\"content_type\":\"video/webm\",\"started_at\":1,"       \
    "\"duration_ms\":2,\"offset_ms\":null,\"received_at\":null,"             \
    "\"node\":\"n1\",\"boot_id\":\"3a1b\",\"protocol\":\"tus\","             \
    "\"metadata\":\"kind c2NyZWVu,n Mw==,a\\\"b\\\\\","                       \
    "\"created_at\":1763650000001,\"checked\":true,"                         \
    "\"expected_sha256\":\"" SHA "\"}\n"


static exam_err_e parse(const char *text, size_t len, exam_manifest_t *m);
static char *replaced(const char *in, const char *from, const char *to);
static void refused(const char *from, const char *to, exam_err_e want);
static void same(const char *text, const char *name);
static void test_there_and_back(void);
static void test_members(void);
static void test_missing(void);
static void test_cut(void);
static void test_longest(void);
static void resumable(const char *from, const char *to, exam_err_e want);
static void test_resumable(void);
static void test_metadata(void);
static void test_names(void);
static void test_types(void);
static void test_attachments(void);


static _Alignas(max_align_t) uint8_t  memory[EXAM_MANIFEST_ARENA];


int
main(void)
{
    test_there_and_back();
    test_members();
    test_missing();
    test_cut();
    test_longest();
    test_resumable();
    test_metadata();
    test_names();
    test_types();
    test_attachments();

    return tap_done();
}


static exam_err_e
parse(const char *text, size_t len, exam_manifest_t *m)
{
    void          *p;
    exam_err_e     err;
    exam_arena_t   arena;

    p = tap_exact(text, len);
    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_manifest_parse(exam_str_make(p, len), &arena, m);
    free(p);

    return err;
}


static void
same(const char *text, const char *name)
{
    char             out[EXAM_MANIFEST_MAX];
    exam_buf_t       b;
    exam_manifest_t  m;

    if (parse(text, strlen(text), &m) != EXAM_OK) {
        tap_ok(false, "%s: refused", name);
        return;
    }

    exam_buf_init(&b, out, sizeof(out));
    exam_manifest_format(&b, &m);
    tap_text(out, exam_buf_len(&b), text, name);
}


static void
test_there_and_back(void)
{
    uint8_t          hash[EXAM_HASH_LEN];
    exam_manifest_t  m;

    same(FINAL, "a final manifest, there and back");
    same(OPEN, "one that has just begun");

    tap_is(parse(FINAL, strlen(FINAL), &m), EXAM_OK, "final");
    (void) exam_hex_decode((const uint8_t *) SHA, 64, hash, sizeof(hash));

    tap_ok(m.final && memcmp(m.sha256, hash, sizeof(hash)) == 0, "its hash");
    tap_ok(exam_str_eq(m.id, exam_str("n1-" HEX32))
           && exam_str_eq(m.student, exam_str("S001"))
           && exam_str_eq(m.content_type,
                          exam_str("video/webm;codecs=\"vp8,opus\"")),
           "its strings");
    tap_ok(m.gen == 1763650000000u && m.n == 12 && m.length == 1000
           && m.durable_offset == 1000 && m.started_at == 1763650000001
           && m.duration_ms == 120000 && m.received_at == 1763650120002
           && m.has_offset && m.offset_ms == -35, "its numbers");

    tap_is(parse(OPEN, strlen(OPEN), &m), EXAM_OK, "open");
    tap_ok(!m.final && m.length == -1 && m.started_at == -1
           && m.duration_ms == -1 && m.received_at == -1 && !m.has_offset
           && m.offset_ms == 0, "what it does not know");
}


static char *
replaced(const char *in, const char *from, const char *to)
{
    char        *out;
    const char  *at;

    at = strstr(in, from);

    if (at == NULL) {
        printf("Bail out! '%s' is not there\n", from);
        exit(1);
    }

    out = malloc(strlen(in) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int) (at - in), in, to, at + strlen(from));

    return out;
}


static void
refused(const char *from, const char *to, exam_err_e want)
{
    char             *text;
    exam_err_e        err;
    exam_manifest_t   m;

    text = replaced(FINAL, from, to);
    err = parse(text, strlen(text), &m);
    tap_ok(err == want, "%s for %s: %s", to, from, exam_err_info(err)->code);
    free(text);
}


static void
test_members(void)
{
    refused("\"version\":1", "\"version\":2", EXAM_ERR_BAD_VALUE);
    refused("\"version\":1", "\"version\":\"1\"", EXAM_ERR_BAD_TYPE);
    refused("n1-" HEX32, "n1-../../etc/passwd", EXAM_ERR_BAD_VALUE);
    refused("\"30\"", "\"../30\"", EXAM_ERR_BAD_VALUE);
    refused("\"30\"", "30", EXAM_ERR_BAD_TYPE);
    refused("\"S001\"", "\"S0..1\"", EXAM_ERR_BAD_VALUE);
    refused("\"S001\"", "\"S00\\u00001\"", EXAM_ERR_BAD_VALUE);
    refused("\"session\":\"0", "\"session\":\"A", EXAM_ERR_BAD_VALUE);
    refused("\"session\":\"0", "\"session\":\"", EXAM_ERR_BAD_VALUE);
    refused("\"gen\":1763650000000", "\"gen\":-1", EXAM_ERR_BAD_VALUE);
    refused("\"gen\":1763650000000", "\"gen\":1.5", EXAM_ERR_BAD_VALUE);
    refused("\"screen\"", "\"Screen\"", EXAM_ERR_BAD_VALUE);
    refused("\"screen\"", "\"\"", EXAM_ERR_BAD_VALUE);
    refused("\"screen\"", "\"../screen\"", EXAM_ERR_BAD_VALUE);
    refused("\"n\":12", "\"n\":1000000", EXAM_ERR_BAD_VALUE);
    refused("\"n\":12", "\"n\":-1", EXAM_ERR_BAD_VALUE);
    refused("\"length\":1000", "\"length\":-1", EXAM_ERR_BAD_VALUE);
    refused("\"length\":1000", "\"length\":1001", EXAM_ERR_BAD_VALUE);
    refused("\"length\":1000", "\"length\":null", EXAM_ERR_BAD_VALUE);
    refused("_offset\":1000", "_offset\":999", EXAM_ERR_BAD_VALUE);
    refused("_offset\":1000", "_offset\":null", EXAM_ERR_MISSING_MEMBER);
    refused("\"" SHA "\"", "\"" HEX32 "\"", EXAM_ERR_BAD_VALUE);
    refused("\"00112233", "\"0011223g", EXAM_ERR_BAD_VALUE);
    refused("\"00112233", "\"00112233x", EXAM_ERR_BAD_VALUE);
    refused("video/webm", "video/webm\\n", EXAM_ERR_BAD_VALUE);
    refused("video/webm", "video/\xc3\xa4", EXAM_ERR_BAD_VALUE);
    refused("1763650000001", "-2", EXAM_ERR_BAD_VALUE);
    refused("120000", "\"120000\"", EXAM_ERR_BAD_TYPE);
    refused("-35", "true", EXAM_ERR_BAD_TYPE);
    refused("\"node\":\"n1\"", "\"node\":\"N1\"", EXAM_ERR_BAD_VALUE);
    refused("\"3a1b\"", "\"\"", EXAM_ERR_BAD_VALUE);
    refused("\"3a1b\"", "\"3a1b3a1b3a1b3a1b3a1b3a1b3a1b3a1b3a1b3\"",
            EXAM_ERR_BAD_VALUE);
    refused("\"3a1b\"", "\"3a1b\",\"x\":{\"n\":\"y\"}", EXAM_OK);
    refused("\"3a1b\"", "\"3a1b\",\"n\":{}", EXAM_ERR_BAD_TYPE);
    refused("{\"version\"", "[{\"version\"", EXAM_ERR_BAD_TYPE);
    refused("\"3a1b\"}", "\"3a1b\"}}", EXAM_ERR_BAD_JSON);

    /* what is not complete yet may not be longer than it will be */

    refused("1000,\"sha256\":\"" SHA "\"", "999,\"sha256\":null", EXAM_OK);
    refused("1000,\"sha256\":\"" SHA "\"", "1001,\"sha256\":null",
            EXAM_ERR_BAD_VALUE);
}


/* each member under another name: it is missing then */

static void
test_missing(void)
{
    size_t            i;
    char              from[32], to[32], *text;
    exam_manifest_t   m;

    static const char *const  names[] = {
        "version", "id", "exam", "student", "session", "gen", "kind", "n",
        "length", "durable_offset", "sha256", "content_type", "started_at",
        "duration_ms", "offset_ms", "received_at", "node", "boot_id"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(from, sizeof(from), "\"%s\":", names[i]);
        snprintf(to, sizeof(to), "\"x%s\":", names[i]);
        text = replaced(FINAL, from, to);
        tap_ok(parse(text, strlen(text), &m) == EXAM_ERR_MISSING_MEMBER,
               "without %s", names[i]);
        free(text);
    }
}


static void
test_cut(void)
{
    bool             all;
    size_t           i;
    exam_manifest_t  m;

    all = true;

    for (i = 0; i < strlen(FINAL) - 1; i++) {
        all = all && parse(FINAL, i, &m) == EXAM_ERR_BAD_JSON;
    }

    tap_ok(all, "cut off anywhere: bad_json");
    tap_is(parse(FINAL, i, &m), EXAM_OK, "but for the line feed");
}


static void
test_longest(void)
{
    char             type[EXAM_TYPE_MAX], out[EXAM_MANIFEST_MAX];
    exam_buf_t       b;
    exam_manifest_t  m, again;

    tap_is(parse(FINAL, strlen(FINAL), &m), EXAM_OK, "a manifest");

    memset(type, '"', sizeof(type));
    m.id = exam_str("abcdefghijklmno-" HEX32);
    m.exam = exam_str(HEX32);
    m.student = exam_str(HEX32 HEX32);
    m.gen = INT64_MAX;
    m.kind = exam_str("abcdefghijklmno");
    m.n = EXAM_SEGMENT_MAX;
    m.length = m.durable_offset = INT64_MAX;
    m.content_type = exam_str_make(type, sizeof(type));
    m.started_at = m.duration_ms = m.received_at = INT64_MAX;
    m.offset_ms = -INT64_MAX;
    m.node = exam_str("abcdefghijklmno");
    m.boot_id = exam_str("01234567-0123-0123-0123-0123456789ab");

    exam_buf_init(&b, out, sizeof(out));
    exam_manifest_format(&b, &m);
    tap_ok(!b.overflow, "the longest one fits: %d bytes",
           (int) exam_buf_len(&b));
    tap_ok(parse(out, exam_buf_len(&b), &again) == EXAM_OK
           && again.offset_ms == -INT64_MAX
           && exam_str_eq(again.content_type, m.content_type),
           "and is read again");

    exam_buf_init(&b, out, 500);
    exam_manifest_format(&b, &m);
    tap_ok(b.overflow, "a small buffer overflows");
}


static void
resumable(const char *from, const char *to, exam_err_e want)
{
    char             *text;
    exam_err_e        err;
    exam_manifest_t   m;

    text = replaced(BEGUN, from, to);
    err = parse(text, strlen(text), &m);
    tap_ok(err == want, "%s for %s: %s", to, from, exam_err_info(err)->code);
    free(text);
}


/* what an upload has that can be resumed, and older manifests have not */

static void
test_resumable(void)
{
    exam_manifest_t  m;

    same(BEGUN, "a resumable upload, there and back");

    tap_is(parse(BEGUN, strlen(BEGUN), &m), EXAM_OK, "begun");
    tap_is(m.protocol, EXAM_PROTOCOL_TUS, "its protocol");
    tap_text(m.metadata.data, m.metadata.len, "kind c2NyZWVu,n Mw==,a\"b\\",
             "its metadata, byte for byte");
    tap_ok(m.created_at == 1763650000001 && m.checked && m.expected
           && m.expected_sha256[1] == 0x11 && !m.final,
           "when, checked, and what it will be");

    tap_is(parse(FINAL, strlen(FINAL), &m), EXAM_OK, "one without all that");
    tap_ok(m.protocol == EXAM_PROTOCOL_NONE && m.metadata.len == 0
           && m.created_at == 0 && !m.checked && !m.expected,
           "has none of it");

    resumable("\"tus\"", "\"ietf\"", EXAM_OK);
    resumable("\"tus\"", "\"put\"", EXAM_ERR_BAD_VALUE);
    resumable("\"tus\"", "\"\"", EXAM_ERR_BAD_VALUE);
    resumable("\"tus\"", "\"rsync\"", EXAM_ERR_BAD_VALUE);
    resumable("\"tus\"", "1", EXAM_ERR_BAD_TYPE);
    resumable("kind c2", "kind\\n", EXAM_ERR_BAD_VALUE);
    resumable("kind c2", "kind\xc3\xa4", EXAM_ERR_BAD_VALUE);
    resumable("1763650000001", "0", EXAM_ERR_BAD_VALUE);
    resumable("1763650000001", "-1", EXAM_ERR_BAD_VALUE);
    resumable("true", "false", EXAM_OK);
    resumable("true", "1", EXAM_ERR_BAD_TYPE);
    resumable(SHA, "x" HEX32 HEX32, EXAM_ERR_BAD_VALUE);
    resumable("256\":\"0", "256\":\"g", EXAM_ERR_BAD_VALUE);
    resumable("\"protocol\":\"tus\",", "", EXAM_OK);
    resumable("1000", "null", EXAM_OK);
    resumable("1000", "499", EXAM_ERR_BAD_VALUE);
}


static void
test_metadata(void)
{
    char             out[EXAM_MANIFEST_MAX], text[EXAM_METADATA_MAX + 1];
    char             type[EXAM_TYPE_MAX], longer[EXAM_MANIFEST_MAX];
    size_t           i, quotes;
    exam_buf_t       b, more;
    exam_manifest_t  m, again;

    /* what they need of the arena differs */

    static const size_t  some[] = { 0, 1, 512, EXAM_METADATA_MAX / 2 };

    memset(type, '"', sizeof(type));

    for (i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        quotes = some[i];

        memset(text, 'x', sizeof(text));
        memset(text, '"', quotes);

        (void) parse(BEGUN, strlen(BEGUN), &m);
        m.content_type = exam_str_make(type, sizeof(type));
        m.metadata = exam_str_make(text, EXAM_METADATA_MAX - quotes);

        /* m lies in the arena: it is used up by the next parse */

        exam_buf_init(&b, out, sizeof(out));
        exam_manifest_format(&b, &m);
        m.metadata.len++;
        exam_buf_init(&more, longer, sizeof(longer));
        exam_manifest_format(&more, &m);
        m.metadata.len--;

        tap_ok(!b.overflow && parse(out, exam_buf_len(&b), &again) == EXAM_OK
               && exam_str_eq(m.metadata, again.metadata),
               "the longest metadata with %zu quotes: %zu bytes", quotes,
               exam_buf_len(&b));
        tap_ok(parse(longer, exam_buf_len(&more), &again) != EXAM_OK,
               "a byte more");
    }
}


static void
test_names(void)
{
    int              i;
    char             out[EXAM_SPOOL_NAME_MAX], m[512];
    exam_buf_t       b;
    exam_manifest_t  manifest;

    static const char *const  want[] = {
        "part/f1/n1-f1" HEX32, "part/f1/n1-f1" HEX32, "part/f1/n1-f1" HEX32,
        "ready/n1-f1" HEX32, "ready/n1-f1" HEX32, "work/n1-f1" HEX32,
        "bad/n1-f1" HEX32, "bad/n1-f1" HEX32, "part/f1/n1-f1" HEX32
    };
    static const char *const  suffix[] = {
        ".part", ".info", ".tmp", ".rec", ".info", ".info", ".rec", ".info",
        ".gone"
    };

    for (i = EXAM_SPOOL_PART; i <= EXAM_SPOOL_PART_GONE; i++) {
        /* 32 digits: f1 and the first 30 of HEX32 */
        snprintf(m, sizeof(m), "%.*s%s", (int) strlen(want[i]) - 2, want[i],
                 suffix[i]);
        tap_ok(exam_spool_name(out, (exam_spool_e) i,
                               exam_str("n1-f10123456789abcdef0123456789abcd"))
               && strcmp(out, m) == 0, "%s", m);
    }

    tap_ok(exam_spool_name(out, EXAM_SPOOL_PART,
                           exam_str("abcdefghijklmno-" HEX32)),
           "the longest id fits");
    tap_ok(!exam_spool_name(out, EXAM_SPOOL_PART, exam_str("../../etc/x")),
           "a path is no id");
    tap_ok(!exam_spool_name(out, EXAM_SPOOL_PART, exam_str("n1-" HEX32 "/")),
           "nor is an id with a slash behind it");
    tap_ok(!exam_spool_name(out, (exam_spool_e) 9, exam_str("n1-" HEX32)),
           "there is no tenth place");

    if (parse(FINAL, strlen(FINAL), &manifest) != EXAM_OK) {
        printf("Bail out! the manifest is refused\n");
        exit(1);
    }

    exam_buf_init(&b, m, sizeof(m));
    exam_store_name(&b, &manifest, false);
    tap_text(m, exam_buf_len(&b), "30/S001/" HEX32 "-screen-12-n1-" HEX32
             ".webm", "the file in the store");

    exam_buf_init(&b, m, sizeof(m));
    exam_store_name(&b, &manifest, true);
    tap_text(m, exam_buf_len(&b), "30/S001/" HEX32 "-screen-12-n1-" HEX32
             ".webm.json", "its side-car");
}


static void
test_types(void)
{
    size_t  i;

    static const struct {
        const char  *type;
        const char  *extension;
    } t[] = {
        { "video/webm", "webm" },
        { "video/webm;codecs=vp9", "webm" },
        { "video/webm ; codecs=\"vp8,opus\"", "webm" },
        { "VIDEO/WebM", "webm" },
        { "video/mp4", "mp4" },
        { "video/mp4;codecs=avc1", "mp4" },
        { "video/x-matroska", "mkv" },
        { "video/x-matroska;codecs=avc1", "mkv" },
        { "video/web", "bin" },
        { "video/webmx", "bin" },
        { "video/webm,video/mp4", "bin" },
        { " video/webm", "bin" },
        { "audio/webm", "bin" },
        { "text/html", "bin" },
        { ";", "bin" },
        { "", "bin" }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        size_t      len = strlen(t[i].type);
        void       *p = tap_exact(t[i].type, len);
        exam_str_t  s = exam_str_make(p, len);

        tap_ok(strcmp(exam_type_extension(s), t[i].extension) == 0
               && exam_type_recording(s)
                  == (strcmp(t[i].extension, "bin") != 0),
               "type '%s' is %s", t[i].type, t[i].extension);
        free(p);
    }

    for (i = 0; i < 256; i++) {
        uint8_t  type[] = { 'v', '/', 'w', (uint8_t) i };

        tap_ok(exam_type_valid(exam_str_make(type, sizeof(type)))
               == (i >= 0x20 && i <= 0x7e),
               "byte %zu in a type", i);
    }

    tap_ok(exam_type_valid(exam_str("")), "no type");
}


static void
test_attachments(void)
{
    char    type[EXAM_TYPE_MAX + 1];
    size_t  i;

    static const char *const  good[] = {
        "a/b", "application/pdf", "text/plain;charset=utf-8",
        "text/plain; charset=\"utf-8\"", "text/plain ;a=b ; c=\"d;\\\"e\" ;",
        "application/vnd.ms-excel.sheet+xml", "image/svg+xml; ;; a=\"\"",
        "x!#$%&'*+-.^_`|~0/1"
    };

    static const char *const  bad[] = {
        "", "a", "a/", "/b", "a/b/c", "a /b", " a/b", "a/b c", "a/b,c/d",
        "a/b;c", "a/b;c=", "a/b; =d", "a/b;c=\"d", "a/b;c=\"d\\\"",
        "a/b;c=\"d\"e", "a/b;c=\";d=e",
        "a/b;c=d e=f", "a/b\t", "<a>/b", "a/\xc3\xa4"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        void  *p = tap_exact(good[i], strlen(good[i]));

        tap_ok(exam_type_attachment(exam_str_make(p, strlen(good[i]))),
               "'%s' is a type", good[i]);
        free(p);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        void  *p = tap_exact(bad[i], strlen(bad[i]));

        tap_ok(!exam_type_attachment(exam_str_make(p, strlen(bad[i]))),
               "'%s' is none", bad[i]);
        free(p);
    }

    memset(type, 'a', sizeof(type));
    type[1] = '/';
    tap_ok(exam_type_attachment(exam_str_make(type, EXAM_TYPE_MAX)),
           "the longest one");
    tap_ok(!exam_type_attachment(exam_str_make(type, EXAM_TYPE_MAX + 1)),
           "a byte more");
}
