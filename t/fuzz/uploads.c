
/*
 * Fields of requests for uploads.  The first byte chooses:
 *
 *   0  Upload-Metadata                 3  Boolean
 *   1  Upload-Checksum                 4  Upload-Limit
 *   2  Upload-Offset, Upload-Length    5  types of attachments
 */


#include "fuzz.h"

#include "exam_sfv.h"
#include "exam_tus.h"


#define FUZZ_MAX        (EXAM_METADATA_MAX + 64)
#define FUZZ_PARTS      6


static void fuzz_metadata(exam_str_t s);
static void fuzz_known(exam_buf_t *b, const char *key, exam_str_t value);
static void fuzz_time(exam_buf_t *b, const char *key, int64_t ms);
static void fuzz_checksum(exam_str_t s);
static void fuzz_offset(exam_str_t s);
static void fuzz_boolean(exam_str_t s);
static void fuzz_limit(exam_str_t s);
static void fuzz_type(exam_str_t s);
static exam_str_t fuzz_around(exam_str_t s, const char *before,
    const char *behind);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exam_str_t  rest;

    static void (*const  parts[FUZZ_PARTS])(exam_str_t) = {
        fuzz_metadata, fuzz_checksum, fuzz_offset, fuzz_boolean, fuzz_limit,
        fuzz_type
    };

    if (size == 0 || size > FUZZ_MAX) {
        return 0;
    }

    rest = fuzz_copy(exam_str_make(data + 1, size - 1));
    parts[(uint8_t) (data[0] - '0') % FUZZ_PARTS](rest);
    fuzz_free(rest);

    return 0;
}


/* what is known of an accepted field, written again, is read as the same */

static void
fuzz_metadata(exam_str_t s)
{
    char                 number[8], text[512];
    uint8_t             *memory, other[EXAM_TUS_MEMORY];
    exam_buf_t           b;
    exam_err_e           err;
    exam_str_t           all;
    exam_tus_metadata_t  m, again;

    memory = malloc(EXAM_TUS_MEMORY);
    fuzz_check(memory != NULL, "there is memory");
    all = exam_str_make(memory, EXAM_TUS_MEMORY);

    err = exam_tus_metadata(s, memory, &m);

    if (err != EXAM_OK) {
        fuzz_check(err == EXAM_ERR_BAD_METADATA
                   || err == EXAM_ERR_HEADERS_TOO_LARGE,
                   "an error of metadata");
        free(memory);
        return;
    }

    fuzz_check(s.len <= EXAM_METADATA_MAX, "metadata have a bound");
    fuzz_check(fuzz_within(m.kind, all) && fuzz_within(m.filetype, all),
               "texts lie in the caller's memory");
    fuzz_check(m.kind.len == 0 || exam_id_kind(m.kind)
               || exam_str_eq(m.kind, exam_str("file")), "a kind is one");
    fuzz_check(!m.has_n || m.n <= EXAM_SEGMENT_MAX, "n is within its range");
    fuzz_check(exam_type_valid(m.filetype), "a type fits a manifest");

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_lit(&b, "x");
    fuzz_known(&b, "kind", m.kind);
    fuzz_known(&b, "filetype", m.filetype);
    fuzz_time(&b, "started_at", m.started_at);
    fuzz_time(&b, "duration_ms", m.duration_ms);

    if (m.has_n) {
        fuzz_known(&b, "n", exam_str_make(number, (size_t) snprintf(number,
                                          sizeof(number), "%u", m.n)));
    }

    fuzz_check(exam_tus_metadata(fuzz_written(&b), other, &again) == EXAM_OK,
               "what is known is accepted again");
    fuzz_check(exam_str_eq(m.kind, again.kind)
               && exam_str_eq(m.filetype, again.filetype)
               && m.has_n == again.has_n && m.n == again.n
               && m.started_at == again.started_at
               && m.duration_ms == again.duration_ms, "and is the same");

    free(memory);
}


static void
fuzz_known(exam_buf_t *b, const char *key, exam_str_t value)
{
    if (value.len != 0) {
        exam_buf_char(b, ',');
        exam_buf_put(b, key, strlen(key));
        exam_buf_char(b, ' ');
        exam_buf_base64(b, value.data, value.len);
    }
}


static void
fuzz_time(exam_buf_t *b, const char *key, int64_t ms)
{
    char  text[24];

    fuzz_check(ms >= -1, "a time is none, or not negative");

    if (ms >= 0) {
        fuzz_known(b, key,
                   exam_str_make(text, (size_t) snprintf(text, sizeof(text),
                                                         "%" PRId64, ms)));
    }
}


static void
fuzz_checksum(exam_str_t s)
{
    uint8_t              digest[EXAM_TUS_CHECKSUM_MAX];
    exam_err_e           err;
    exam_tus_checksum_t  sum;

    err = exam_tus_checksum(s, &sum);

    if (err != EXAM_OK) {
        fuzz_check(err == EXAM_ERR_BAD_CHECKSUM, "an error of a checksum");
        return;
    }

    fuzz_check(sum.len > 0 && sum.alg <= EXAM_TUS_CRC32C,
               "a checksum has an algorithm and a digest");

    memset(digest, 0, sizeof(digest));

    if (sum.len != exam_tus_checksum_len(sum.alg)) {
        fuzz_check(!exam_tus_checksum_eq(&sum, digest),
                   "a wrong length matches nothing");
        return;
    }

    memcpy(digest, sum.digest, sum.len);
    fuzz_check(exam_tus_checksum_eq(&sum, digest), "a digest matches itself");
    digest[sum.len - 1] ^= 1;
    fuzz_check(!exam_tus_checksum_eq(&sum, digest), "and no other");
}


/* against the C library, which takes signs and spaces too */

static void
fuzz_offset(exam_str_t s)
{
    char      text[FUZZ_MAX + 1], *end;
    bool      digits;
    size_t    i;
    int64_t   n, want;

    memcpy(text, s.data, s.len);
    text[s.len] = '\0';

    digits = s.len > 0;

    for (i = 0; i < s.len; i++) {
        digits = digits && text[i] >= '0' && text[i] <= '9';
    }

    want = strtoll(text, &end, 10);

    /* one too large is told apart from the largest by its digits */

    if (digits && want == INT64_MAX) {
        digits = strcmp(text + strspn(text, "0"), "9223372036854775807") == 0;
    }

    fuzz_check(exam_tus_number(s, &n) == digits, "digits are a number");
    fuzz_check(!digits || n == want, "and the same");
}


static void
fuzz_boolean(exam_str_t s)
{
    bool        value, again;
    exam_str_t  copy;

    if (!exam_sfv_boolean(s, &value)) {
        return;
    }

    copy = fuzz_around(s, " ", ";a=?0 ");
    fuzz_check(exam_sfv_boolean(copy, &again)
               || s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t',
               "a parameter more");
    fuzz_free(copy);

    copy = fuzz_around(s, "", ",?1");
    fuzz_check(!exam_sfv_boolean(copy, &again), "a list is no boolean");
    fuzz_free(copy);

    fuzz_check(fuzz_has(s, value ? '1' : '0') && fuzz_has(s, '?'),
               "what it says stands there");
}


/* a dictionary of integers of at most 15 digits, as others read it */

static void
fuzz_limit(exam_str_t s)
{
    char        text[256];
    size_t      digits;
    int64_t     n[4];
    exam_buf_t  b;
    exam_sfv_t  f;
    exam_str_t  key;
    unsigned    i, members;

    if (s.len < sizeof(n)) {
        return;
    }

    memcpy(n, s.data, sizeof(n));

    exam_buf_init(&b, text, sizeof(text));
    exam_rufh_limit(&b, n[0], n[1], n[2], n[3]);
    fuzz_check(!b.overflow, "a limit has its own");

    exam_sfv_init(&f, fuzz_written(&b));

    for (members = 0; f.pos < f.end; members++) {
        fuzz_check(exam_sfv_key(&f, &key) && exam_sfv_skip(&f, '='),
                   "a member");

        for (digits = 0; f.pos < f.end && *f.pos >= '0' && *f.pos <= '9';
             digits++)
        {
            f.pos++;
        }

        fuzz_check(digits > 0 && digits <= 15 && exam_sfv_next(&f),
                   "its integer");
    }

    for (i = 1; i < 4; i++) {
        members -= (n[i] >= 0);
    }

    fuzz_check(members == 1, "one for each limit, and min-size");
}


static void
fuzz_type(exam_str_t s)
{
    exam_str_t  copy;

    if (!exam_type_attachment(s)) {
        return;
    }

    fuzz_check(exam_type_valid(s), "a type fits a manifest");

    copy = fuzz_around(s, "", ";a=\"b\"");
    fuzz_check(exam_type_attachment(copy) || copy.len > EXAM_TYPE_MAX,
               "a parameter more");
    fuzz_free(copy);

    copy = fuzz_around(s, "/", "");
    fuzz_check(!exam_type_attachment(copy), "a slash more");
    fuzz_free(copy);
}


static exam_str_t
fuzz_around(exam_str_t s, const char *before, const char *behind)
{
    exam_buf_t  b;

    static uint8_t  text[FUZZ_MAX + 64];

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_put(&b, before, strlen(before));
    exam_buf_put(&b, s.data, s.len);
    exam_buf_put(&b, behind, strlen(behind));

    return fuzz_copy(fuzz_written(&b));
}
