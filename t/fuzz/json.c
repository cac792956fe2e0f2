
/*
 * The JSON reader and the writers.  The first byte chooses:
 *
 *   0  the rest as a string that is written and read back, in every buffer
 *      that is too small for it too
 *   1  the rest as a document: read, written in one spelling, read again
 *   2  the rest as bytes: hex, base64 and numbers against other ways to
 *      write them; UTF-8 against a decoder
 */


#include "fuzz.h"

#include "exam_json.h"


#define FUZZ_MAX        4096
#define FUZZ_DEEP       (EXAM_JSON_DEPTH + 1)


typedef struct {
    exam_buf_t  b;
    bool        first[FUZZ_DEEP];   /* nothing stands in the container yet */
    bool        object[FUZZ_DEEP];
    unsigned    depth;
    unsigned    strings;
    exam_str_t  want;               /* of a string; else the document */
} fuzz_document_t;


static void fuzz_string(exam_str_t s);
static exam_err_e fuzz_string_value(void *data, const exam_json_value_t *v);
static void fuzz_too_small(exam_str_t s, size_t len);
static void fuzz_read(exam_str_t s);
static exam_err_e fuzz_write(exam_str_t s, uint8_t *out, size_t size,
    size_t *len);
static exam_err_e fuzz_write_value(void *data, const exam_json_value_t *v);
static void fuzz_write_one(fuzz_document_t *d, const exam_json_value_t *v);
static void fuzz_bytes(exam_str_t s);
static void fuzz_base64(exam_str_t s);
static bool fuzz_utf8(exam_str_t s);
static size_t fuzz_rune(const uint8_t *p, size_t len);


static _Alignas(max_align_t) uint8_t  memory[64 * FUZZ_MAX];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exam_str_t  rest;

    if (size == 0 || size > FUZZ_MAX) {
        return 0;
    }

    rest = fuzz_copy(exam_str_make(data + 1, size - 1));

    switch (data[0] % 3) {

    case 0:
        fuzz_string(rest);
        break;

    case 1:
        fuzz_read(rest);
        break;

    case 2:
        fuzz_bytes(rest);
        break;
    }

    fuzz_free(rest);

    return 0;
}


static void
fuzz_string(exam_str_t s)
{
    bool              valid;
    exam_buf_t        b;
    exam_err_e        err;
    exam_str_t        text;
    exam_arena_t      arena;
    fuzz_document_t   d;

    static uint8_t  json[6 * FUZZ_MAX + 2];

    exam_buf_init(&b, json, sizeof(json));
    exam_buf_json(&b, s);

    fuzz_check(!b.overflow, "a string becomes six times as long at most");

    text = fuzz_copy(fuzz_written(&b));
    valid = exam_utf8_valid(s.data, s.len);

    d.strings = 0;
    d.want = s;

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_json_parse(text, &arena, fuzz_string_value, &d);

    fuzz_check(err == (valid ? EXAM_OK : EXAM_ERR_BAD_UTF8),
               "a string that was written is JSON if it is UTF-8");
    fuzz_check(d.strings == valid, "it is one value");

    fuzz_too_small(s, text.len);
    fuzz_free(text);
}


static exam_err_e
fuzz_string_value(void *data, const exam_json_value_t *v)
{
    fuzz_document_t  *d;

    d = data;

    fuzz_check(v->type == EXAM_JSON_STRING && exam_str_eq(v->string, d->want),
               "a string that was written is read as the same");
    d->strings++;

    return EXAM_OK;
}


/* what stands in a buffer that was too small is the beginning */

static void
fuzz_too_small(exam_str_t s, size_t len)
{
    void        *p;
    exam_buf_t   b;

    static uint8_t  whole[6 * FUZZ_MAX + 2];

    exam_buf_init(&b, whole, sizeof(whole));
    exam_buf_json(&b, s);

    len = (len * 7919 + s.len) % len;
    p = malloc(len);
    fuzz_check(p != NULL || len == 0, "there is memory");

    exam_buf_init(&b, p, len);
    exam_buf_json(&b, s);

    fuzz_check(b.overflow, "a buffer that is too small says so");
    fuzz_check(len == 0 || memcmp(p, whole, exam_buf_len(&b)) == 0,
               "what it holds is the beginning");

    free(p);
}


static void
fuzz_read(exam_str_t s)
{
    size_t      n, again;
    exam_buf_t  b;
    exam_err_e  err;
    exam_str_t  copy;

    static uint8_t  one[8 * FUZZ_MAX], two[8 * FUZZ_MAX];

    err = fuzz_write(s, one, sizeof(one), &n);

    if (err != EXAM_OK) {
        fuzz_check(fuzz_json_error(err), "an error of a document");
        return;
    }

    exam_buf_init(&b, two, sizeof(two));
    exam_json_compact(&b, s);
    copy = fuzz_copy(fuzz_written(&b));

    fuzz_check(copy.len <= s.len && !fuzz_has(copy, '\n'),
               "a compact document is one line");
    fuzz_check(fuzz_write(copy, two, sizeof(two), &again) == EXAM_OK
               && n == again && memcmp(one, two, n) == 0,
               "a compact document is the same");
    fuzz_free(copy);

    copy = fuzz_copy(exam_str_make(one, n));

    fuzz_check(fuzz_write(copy, two, sizeof(two), &again) == EXAM_OK,
               "a document that was written is one");
    fuzz_check(n == again && memcmp(one, two, n) == 0,
               "a document that was written is read as the same");

    fuzz_free(copy);
}


static exam_err_e
fuzz_write(exam_str_t s, uint8_t *out, size_t size, size_t *len)
{
    exam_err_e       err;
    exam_arena_t     arena;
    fuzz_document_t  d;

    memset(&d, 0, sizeof(fuzz_document_t));
    d.first[0] = true;
    d.want = s;

    exam_buf_init(&d.b, out, size);
    exam_arena_init(&arena, memory, sizeof(memory));

    err = exam_json_parse(s, &arena, fuzz_write_value, &d);

    fuzz_check(err != EXAM_OK || (d.depth == 0 && !d.first[0]),
               "a document is one value and closed");
    fuzz_check(!d.b.overflow, "a document does not grow without limit");

    *len = exam_buf_len(&d.b);

    return err;
}


static exam_err_e
fuzz_write_value(void *data, const exam_json_value_t *v)
{
    bool              end;
    fuzz_document_t  *d;

    d = data;
    end = (v->type == EXAM_JSON_END_OBJECT || v->type == EXAM_JSON_END_ARRAY);

    if (end) {
        fuzz_check(d->depth != 0, "what ends has begun");
        fuzz_check(d->object[d->depth] == (v->type == EXAM_JSON_END_OBJECT),
                   "what ends is what has begun");
        d->depth--;
    }

    fuzz_check(v->depth == d->depth && d->depth <= EXAM_JSON_DEPTH,
               "the depth is counted");
    fuzz_check(v->text.len != 0 && v->text.data >= d->want.data
               && v->text.data + v->text.len <= d->want.data + d->want.len,
               "a value stands in the document");
    fuzz_check(v->key.len == 0 || d->object[d->depth], "a key is an object's");

    if (!end && !d->first[d->depth]) {
        fuzz_check(d->depth != 0, "there is one top value");
        exam_buf_char(&d->b, ',');
    }

    d->first[d->depth] = false;

    if (!end && d->object[d->depth]) {

        /* an escaped one is cut at 64 bytes, maybe within a character */

        if (v->key.len < 64) {
            exam_buf_json(&d->b, v->key);

        } else {
            exam_buf_lit(&d->b, "\"long\"");
        }

        exam_buf_char(&d->b, ':');
    }

    fuzz_write_one(d, v);

    return EXAM_OK;
}


static void
fuzz_write_one(fuzz_document_t *d, const exam_json_value_t *v)
{
    switch (v->type) {

    case EXAM_JSON_NULL:
        exam_buf_lit(&d->b, "null");
        break;

    case EXAM_JSON_BOOL:
        exam_buf_put(&d->b, v->boolean ? "true" : "false",
                     v->boolean ? 4 : 5);
        break;

    case EXAM_JSON_INT:
        fuzz_check(v->number == (double) v->integer, "an integer is a number");
        exam_buf_int(&d->b, v->integer);
        break;

    case EXAM_JSON_NUMBER:
        fuzz_check(v->number == v->number, "a number is one");
        exam_buf_put(&d->b, v->number < 0 ? "-1.5" : "1.5",
                     v->number < 0 ? 4 : 3);
        break;

    case EXAM_JSON_STRING:
        fuzz_check(exam_utf8_valid(v->string.data, v->string.len),
                   "a string is UTF-8");
        exam_buf_json(&d->b, v->string);
        break;

    case EXAM_JSON_BEGIN_OBJECT:
    case EXAM_JSON_BEGIN_ARRAY:
        d->depth++;
        d->first[d->depth] = true;
        d->object[d->depth] = (v->type == EXAM_JSON_BEGIN_OBJECT);
        exam_buf_char(&d->b, d->object[d->depth] ? '{' : '[');
        break;

    case EXAM_JSON_END_OBJECT:
        exam_buf_char(&d->b, '}');
        break;

    case EXAM_JSON_END_ARRAY:
        exam_buf_char(&d->b, ']');
        break;
    }
}


static void
fuzz_bytes(exam_str_t s)
{
    char        want[32];
    int64_t     n;
    uint8_t     text[32];
    exam_buf_t  b;

    fuzz_check(exam_utf8_valid(s.data, s.len) == fuzz_utf8(s),
               "UTF-8 is what RFC 3629 says");
    fuzz_base64(s);

    if (s.len < sizeof(n)) {
        return;
    }

    memcpy(&n, s.data, sizeof(n));

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_int(&b, n);
    snprintf(want, sizeof(want), "%" PRId64, n);
    fuzz_check(exam_str_eq(fuzz_written(&b),
                           exam_str_make(want, strlen(want))), "an integer");

    n = (int64_t) ((uint64_t) n >> (s.data[s.len - 1] & 0x3f));

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_uint(&b, (uint64_t) n);
    snprintf(want, sizeof(want), "%" PRIu64, (uint64_t) n);
    fuzz_check(exam_str_eq(fuzz_written(&b),
                           exam_str_make(want, strlen(want))),
               "an unsigned integer");
}


static void
fuzz_base64(exam_str_t s)
{
    size_t      i;
    uint8_t     text[256];
    uint32_t    bits;
    exam_buf_t  b;
    exam_str_t  got;
    const char  *at;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (s.len > 150) {
        s.len = 150;
    }

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_base64(&b, s.data, s.len);
    got = fuzz_written(&b);

    fuzz_check(!b.overflow && got.len == (s.len + 2) / 3 * 4,
               "base64 of its length");

    for (i = 0, bits = 0; i < got.len; i++) {
        at = strchr(alphabet, got.data[i]);

        if (got.data[i] == '=') {
            at = alphabet;
            fuzz_check(i > s.len * 4 / 3, "padding stands at the end");
        }

        fuzz_check(at != NULL, "base64 has its alphabet");
        bits = bits << 6 | (uint32_t) (at - alphabet);

        if (i % 4 != 0 && i / 4 * 3 + i % 4 - 1 < s.len) {
            fuzz_check((uint8_t) (bits >> (6 - 2 * (i % 4)))
                       == s.data[i / 4 * 3 + i % 4 - 1],
                       "base64 is read as the same");
        }
    }
}


static bool
fuzz_utf8(exam_str_t s)
{
    size_t  i, n;

    for (i = 0; i < s.len; i += n) {
        n = fuzz_rune(s.data + i, s.len - i);

        if (n == 0) {
            return false;
        }
    }

    return true;
}


/* the length of a character, found by its number; 0: none */

static size_t
fuzz_rune(const uint8_t *p, size_t len)
{
    size_t    i, n;
    uint32_t  c;

    static const uint32_t  least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    if (p[0] < 0x80) {
        return 1;
    }

    n = p[0] >= 0xf8 ? 0 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3
        : p[0] >= 0xc0 ? 2 : 0;

    if (n == 0 || n > len) {
        return 0;
    }

    c = p[0] & (0x7fu >> n);

    for (i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) {
            return 0;
        }

        c = c << 6 | (p[i] & 0x3f);
    }

    return (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
           ? 0 : n;
}
