
/*
 * exam_sidecar: there and back, what older side-cars lack, what is none, and
 * the upload id in the names of the store.
 */


#include "tap.h"

#include "exam_sidecar.h"


#define HEX32  "0123456789abcdef0123456789abcdef"
#define SHA    "00112233445566778899aabbccddeeff"                             \
               "00112233445566778899aabbccddeeff"

#define MANIFEST                                                              \
    "{\"version\":1,\"id\":\"n1-" HEX32 "\",\"exam\":\"30\","                  \
    "\"student\":\"S001\",\"session\":\"" HEX32 "\",\"gen\":7,"                \
    "\"kind\":\"screen\",\"n\":12,\"length\":1000,\"durable_offset\":1000,"    \
    "\"sha256\":\"" SHA "\",\"content_type\":\"video/webm\","                 \
    "\"started_at\":1,\"duration_ms\":2,\"offset_ms\":-3,"                    \
    "\"received_at\":4,\"node\":\"n1\",\"boot_id\":\"3a1b\""


static exam_err_e parse(const char *text, exam_sidecar_t *s);
static void test_there_and_back(void);
static void test_longest(void);
static void test_older(void);
static void test_refused(void);
static void test_names(void);
static void name_is(const char *name, const char *id, bool sidecar);


static _Alignas(max_align_t) uint8_t  memory[EXAM_SIDECAR_ARENA];


int
main(void)
{
    test_there_and_back();
    test_longest();
    test_older();
    test_refused();
    test_names();

    return tap_done();
}


static exam_err_e
parse(const char *text, exam_sidecar_t *s)
{
    void          *p;
    size_t         len;
    exam_err_e     err;
    exam_arena_t   arena;

    len = strlen(text);
    p = tap_exact(text, len);

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_sidecar_parse(exam_str_make(p, len), &arena, s);
    free(p);

    return err;
}


static void
test_there_and_back(void)
{
    uint8_t           text[EXAM_SIDECAR_MAX];
    exam_buf_t        b;
    exam_sidecar_t    s;
    exam_recording_t  r;

    const char *const  full = MANIFEST
        ",\"stored_at\":5,\"variant\":2,\"path\":\"30/S001/x.webm\","
        "\"container\":\"matroska,webm\",\"video_codec\":\"vp8\","
        "\"audio_codec\":null,\"width\":640,\"height\":480,"
        "\"media_ms\":2000,\"playable\":0,\"reason\":\"a \\\"reason\\\"\"}\n";

    tap_is(parse(full, &s), EXAM_OK, "a side-car");
    tap_is(s.stored_at, 5, "stored_at");
    tap_is(s.variant, 2, "variant");
    tap_ok(s.has_variant, "it is told");
    tap_is(s.media.playable, 0, "not playable");
    tap_is(s.m.offset_ms, -3, "the manifest is in it");

    r.m = &s.m;
    r.media = &s.media;
    r.stored_at = s.stored_at;
    r.variant = s.variant;
    r.sid = HEX32;
    r.path = "30/S001/x.webm";

    exam_buf_init(&b, text, sizeof(text));
    exam_sidecar_format(&b, &r);
    tap_text(text, exam_buf_len(&b), full, "is written again as it was");
}


/* of the longest manifest; the worker's and the tools' buffers hold it */

static void
test_longest(void)
{
    char              metadata[EXAM_METADATA_MAX], type[EXAM_TYPE_MAX];
    char              path[EXAM_STORE_PATH_MAX];
    uint8_t           text[EXAM_SIDECAR_MAX];
    exam_buf_t        b;
    exam_sidecar_t    s, again;
    exam_recording_t  r;

    tap_is(parse(MANIFEST ",\"stored_at\":5}", &s), EXAM_OK, "a side-car");

    memset(metadata, 'x', sizeof(metadata));
    metadata[0] = '"';
    memset(type, '"', sizeof(type));
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';

    s.m.metadata = exam_str_make(metadata, sizeof(metadata) - 1);
    s.m.content_type = exam_str_make(type, sizeof(type));
    memset(s.media.container, '"', sizeof(s.media.container) - 1);
    memset(s.media.video_codec, '"', sizeof(s.media.video_codec) - 1);
    memset(s.media.audio_codec, '"', sizeof(s.media.audio_codec) - 1);
    memset(s.media.reason, '"', sizeof(s.media.reason) - 1);

    r.m = &s.m;
    r.media = &s.media;
    r.stored_at = INT64_MAX;
    r.variant = UINT8_MAX;
    r.sid = HEX32;
    r.path = path;

    exam_buf_init(&b, text, sizeof(text));
    exam_sidecar_format(&b, &r);

    tap_ok(exam_buf_cstr(&b), "the longest side-car fits: %zu bytes",
           exam_buf_len(&b));
    tap_ok(parse((char *) text, &again) == EXAM_OK
           && exam_str_eq(again.m.metadata, s.m.metadata)
           && strlen(again.media.reason) == EXAM_MEDIA_REASON_MAX - 1,
           "and is read again");
}


static void
test_older(void)
{
    exam_sidecar_t  s;

    tap_is(parse(MANIFEST ",\"stored_at\":5,\"path\":\"p\",\"container\":null,"
                 "\"video_codec\":null,\"audio_codec\":null,\"width\":null,"
                 "\"height\":null,\"media_ms\":null,\"playable\":null,"
                 "\"reason\":null}\n", &s),
           EXAM_OK, "a side-car that knows of no variants");
    tap_ok(!s.has_variant, "tells none");
    tap_is(s.variant, 0, "which is 0 until told otherwise");
    tap_is(s.media.playable, -1, "null: not probed");
    tap_is(s.media.media_ms, -1, "null: length not known");
    tap_is(s.media.width, 0, "null: width not known");
    tap_is(s.media.container[0], '\0', "null: container not known");
}


static void
test_refused(void)
{
    exam_sidecar_t  s;

    tap_is(parse(MANIFEST "}\n", &s), EXAM_ERR_MISSING_MEMBER,
           "a manifest alone is no side-car");
    tap_is(parse(MANIFEST ",\"stored_at\":5,\"variant\":256}\n", &s),
           EXAM_ERR_BAD_VALUE, "a variant beyond its column");
    tap_is(parse(MANIFEST ",\"stored_at\":-5}\n", &s), EXAM_ERR_BAD_VALUE,
           "a time before 1970");
    tap_is(parse(MANIFEST ",\"stored_at\":5,\"reason\":"
                 "\"0123456789012345678901234567890123456789"
                 "012345678901234567890123\"}\n", &s),
           EXAM_ERR_BAD_VALUE, "a reason of 64 bytes");
    tap_is(parse(MANIFEST ",\"stored_at\":5", &s), EXAM_ERR_BAD_JSON,
           "cut off");
    tap_is(parse(MANIFEST ",\"stored_at\":5,\"x\":{\"variant\":9}}\n", &s),
           EXAM_OK, "a member of something else");
    tap_ok(!s.has_variant, "is not taken for ours");
}


static void
test_names(void)
{
    name_is(HEX32 "-screen-12-n1-" HEX32 ".webm", "n1-" HEX32, false);
    name_is(HEX32 "-screen-12-n1-" HEX32 ".webm.json", "n1-" HEX32, true);
    name_is(HEX32 "-file-0-node15chars1234-" HEX32 ".bin",
            "node15chars1234-" HEX32, false);
    name_is(HEX32 "-screen-12-n1-" HEX32 ".webm.json.tmp", NULL, false);
    name_is(HEX32 "-screen-12-n1-" HEX32, NULL, false);
    name_is("n1-" HEX32 ".webm", "n1-" HEX32, false);
    name_is("-" HEX32 ".webm", NULL, false);
    name_is(HEX32 ".webm", NULL, false);
    name_is(".json", NULL, false);
    name_is("x.json", NULL, false);
    name_is("", NULL, false);
    name_is("notes.txt", NULL, false);
}


/* NULL: not a name of the store */

static void
name_is(const char *name, const char *id, bool sidecar)
{
    bool   got_sidecar, ok;
    char   got[EXAM_UPLOAD_MAX + 1];

    ok = exam_store_name_id(name, got, &got_sidecar);

    if (id == NULL) {
        tap_ok(!ok, "\"%s\" is of something else", name);
        return;
    }

    tap_ok(ok && strcmp(got, id) == 0 && got_sidecar == sidecar,
           "\"%s\" names its upload", name);
}
