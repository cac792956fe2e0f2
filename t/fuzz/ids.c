
/*
 * Alphabets of ids against the patterns of DESIGN 3, and the small decoders.
 * The first byte chooses:
 *
 *   0  exam      3  kind      6  session id     9  number
 *   1  student   4  upload    7  access code    :  hex
 *   2  node      5  segment   8  names of states
 */


#include "fuzz.h"

#include <regex.h>

#include "exam_id.h"
#include "exam_state.h"


static void fuzz_alphabet(size_t which, exam_str_t s);
static bool fuzz_matches(size_t which, exam_str_t s);
static bool fuzz_two_dots(exam_str_t s);
static void fuzz_segment(exam_str_t s);
static void fuzz_sid(exam_str_t s);
static void fuzz_code(exam_str_t s);
static void fuzz_names(exam_str_t s);
static void fuzz_number(exam_str_t s);
static void fuzz_hex(exam_str_t s);


#define FUZZ_MAX        256
#define FUZZ_PARTS      11

typedef enum {
    FUZZ_EXAM = 0,
    FUZZ_STUDENT,
    FUZZ_NODE,
    FUZZ_KIND,
    FUZZ_UPLOAD,
    FUZZ_SEGMENT,
    FUZZ_SID,
    FUZZ_CODE,
    FUZZ_PATTERNS
} fuzz_pattern_e;

static const char *const  patterns[FUZZ_PATTERNS] = {
    "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$",
    "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$",
    "^[a-z0-9]{1,15}$",
    "^[a-z][a-z0-9]{0,14}$",
    "^[a-z0-9]{1,15}-[0-9a-f]{32}$",
    "^(0|[1-9][0-9]{0,5})$",
    "^[0-9a-f]{32}$",
    "^[0-9A-HJKMNP-TV-Z]{16}$"
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t      which;
    exam_str_t  rest;

    if (size == 0 || size > FUZZ_MAX) {
        return 0;
    }

    rest = fuzz_copy(exam_str_make(data + 1, size - 1));
    which = (uint8_t) (data[0] - '0') % FUZZ_PARTS;

    switch (which) {

    case 5:
        fuzz_segment(rest);
        break;

    case 6:
        fuzz_sid(rest);
        break;

    case 7:
        fuzz_code(rest);
        break;

    case 8:
        fuzz_names(rest);
        break;

    case 9:
        fuzz_number(rest);
        break;

    case 10:
        fuzz_hex(rest);
        break;

    default:
        fuzz_alphabet(which, rest);
        break;
    }

    fuzz_free(rest);

    return 0;
}


static void
fuzz_alphabet(size_t which, exam_str_t s)
{
    bool  got, want;

    want = fuzz_matches(which, s);

    switch (which) {

    case FUZZ_EXAM:
        got = exam_id_exam(s);
        break;

    case FUZZ_STUDENT:
        got = exam_id_student(s);
        want = want && !fuzz_two_dots(s);
        break;

    case FUZZ_NODE:
        got = exam_id_node(s);
        break;

    case FUZZ_KIND:
        got = exam_id_kind(s);
        want = want && !exam_str_eq(s, exam_str("file"))
               && !exam_str_eq(s, exam_str("resend"));
        break;

    default:
        got = exam_id_upload(s);
        break;
    }

    fuzz_check(got == want, "an id is one when the pattern says so");
}


static bool
fuzz_matches(size_t which, exam_str_t s)
{
    char  text[FUZZ_MAX];

    static regex_t  compiled[FUZZ_PATTERNS];
    static bool     is[FUZZ_PATTERNS];

    if (!is[which]) {
        fuzz_check(regcomp(&compiled[which], patterns[which],
                           REG_EXTENDED | REG_NOSUB)
                   == 0, "a pattern is one");
        is[which] = true;
    }

    if (fuzz_has(s, '\0')) {
        return false;
    }

    if (s.len != 0) {
        memcpy(text, s.data, s.len);
    }

    text[s.len] = '\0';

    return regexec(&compiled[which], text, 0, NULL, 0) == 0;
}


static bool
fuzz_two_dots(exam_str_t s)
{
    return s.len != 0 && memmem(s.data, s.len, "..", 2) != NULL;
}


static void
fuzz_segment(exam_str_t s)
{
    bool        got;
    uint32_t    n;
    exam_buf_t  b;
    uint8_t     text[16];

    got = exam_id_segment(s, &n);

    fuzz_check(got == fuzz_matches(FUZZ_SEGMENT, s),
               "a segment's number is one when the pattern says so");

    if (got) {
        exam_buf_init(&b, text, sizeof(text));
        exam_buf_uint(&b, n);
        fuzz_check(exam_str_eq(s, fuzz_written(&b)),
                   "a segment's number is what stands there");
    }
}


static void
fuzz_sid(exam_str_t s)
{
    bool        got;
    uint8_t     sid[EXAM_SID_LEN], text[EXAM_SID_HEX];
    exam_buf_t  b;

    got = exam_sid_parse(s, sid);

    fuzz_check(got == fuzz_matches(FUZZ_SID, s),
               "a session id is one when the pattern says so");

    if (got) {
        exam_buf_init(&b, text, sizeof(text));
        exam_buf_hex(&b, sid, sizeof(sid));
        fuzz_check(exam_str_eq(s, fuzz_written(&b)),
                   "a session id is what stands there");
    }
}


static void
fuzz_code(exam_str_t s)
{
    bool     got;
    char     shown[EXAM_CODE_SHOWN];
    size_t   i, n;
    uint8_t  c, code[EXAM_CODE_LEN], again[EXAM_CODE_LEN], plain[FUZZ_MAX];

    for (i = 0, n = 0; i < s.len; i++) {
        c = s.data[i];

        if (c >= 'a' && c <= 'z') {
            c = (uint8_t) (c - 'a' + 'A');
        }

        if (c != ' ' && c != '-') {
            plain[n++] = c;
        }
    }

    got = exam_code_normal(s, code);

    fuzz_check(got == fuzz_matches(FUZZ_CODE, exam_str_make(plain, n)),
               "a code is one when the pattern says so");
    fuzz_check(!got || memcmp(code, plain, sizeof(code)) == 0,
               "a code is what stands there");

    if (s.len >= 10) {
        exam_code_make(s.data, shown);

        fuzz_check(exam_code_normal(exam_str_make(shown, sizeof(shown)),
                                    again),
                   "a code that was made is one");
    }
}


static void
fuzz_names(exam_str_t s)
{
    exam_ended_e  ended;
    exam_state_e  state;

    /* names come from Redis' answers: not terminated */

    state = exam_state_parse((const char *) s.data, s.len);

    if (state != EXAM_STATE_UNKNOWN) {
        fuzz_check(exam_str_eq(s, exam_str_make(exam_state_name(state),
                                   strlen(exam_state_name(state)))),
                   "a state has its name");
    }

    ended = exam_ended_parse((const char *) s.data, s.len);

    fuzz_check((ended == EXAM_ENDED_NO) == (s.len == 0),
               "only an empty reason is none");

    if (ended != EXAM_ENDED_FORCED) {
        fuzz_check(exam_str_eq(s, exam_str_make(exam_ended_name(ended),
                                   strlen(exam_ended_name(ended)))),
                   "a reason has its name");
    }

    (void) exam_err_by_code((const char *) s.data, s.len);
}


/* `max number` */

static void
fuzz_number(exam_str_t s)
{
    bool               got;
    size_t             i;
    uint64_t           max, n;
    unsigned __int128  wide;

    if (s.len < sizeof(max)) {
        return;
    }

    memcpy(&max, s.data, sizeof(max));
    s.data += sizeof(max);
    s.len -= sizeof(max);

    got = exam_uint_parse(s.data, s.len, max, &n);
    wide = 0;

    for (i = 0; i < s.len && wide <= max; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            break;
        }

        wide = wide * 10 + (unsigned) (s.data[i] - '0');
    }

    fuzz_check(got == (i == s.len && s.len != 0 && wide <= max
                       && (s.len == 1 || s.data[0] != '0')),
               "a number is one when it is decimal and small enough");
    fuzz_check(!got || n == wide, "a number is what stands there");
}


static void
fuzz_hex(exam_str_t s)
{
    bool        got;
    size_t      i, digits;
    uint8_t     out[FUZZ_MAX / 2], text[FUZZ_MAX];
    exam_buf_t  b;

    digits = 0;

    for (i = 0; i < s.len; i++) {
        digits += memchr("0123456789abcdefABCDEF", s.data[i], 22) != NULL;
    }

    got = exam_hex_decode(s.data, s.len, out, s.len / 2);

    fuzz_check(got == (digits == s.len && s.len % 2 == 0),
               "hex is an even number of digits");

    if (!got) {
        return;
    }

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_hex(&b, out, s.len / 2);

    for (i = 0; i < s.len; i++) {
        fuzz_check(text[i] == (s.data[i] >= 'A' && s.data[i] <= 'F'
                               ? s.data[i] + 'a' - 'A' : s.data[i]),
                   "hex is what stands there");
    }
}
