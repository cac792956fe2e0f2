
/*
 * Inputs of the target nginx: what the marks in them stand for (see nginx.c),
 * and a mutator that leaves their form alone half of the time: a request whose
 * head is broken ends at nginx's parser.
 */


#ifndef NGINX_INPUT_H_INCLUDED
#define NGINX_INPUT_H_INCLUDED


#include "fuzz.h"
#include "exam_token.h"


#define FUZZ_OUT        65536       /* bytes of an input when expanded */
#define FUZZ_PAUSES     8


typedef struct {
    uint8_t     data[FUZZ_OUT];
    size_t      len;
    size_t      pauses[FUZZ_PAUSES + 1];    /* the last one is len */
    size_t      npauses;
} fuzz_out_t;


size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
    unsigned seed);

static void fuzz_tokens(void);
static void fuzz_token(char *out, exam_key_class_e class, int64_t exp);
static void fuzz_expand(fuzz_out_t *out, exam_str_t in);
static exam_str_t fuzz_cut(exam_str_t *rest, const char *mark);
static size_t fuzz_head_len(exam_str_t request);
static void fuzz_head(fuzz_out_t *out, exam_str_t head, exam_str_t body);
static bool fuzz_value(exam_buf_t *b, exam_str_t name, exam_str_t body);
static void fuzz_put(fuzz_out_t *out, exam_str_t s);
static void fuzz_parts(fuzz_out_t *out, exam_str_t s);
static size_t fuzz_without_marks(exam_str_t body, uint8_t *to);


static char            token[EXAM_TOKEN_MAX + 1], old[EXAM_TOKEN_MAX + 1];
static char            staff[EXAM_TOKEN_MAX + 1], sid[EXAM_SID_HEX + 1];
static exam_keyring_t  ring;
static uint8_t         fuzz_behind[FUZZ_OUT];

static const char  fuzz_keys[] =
    "c1 candidate "
    "1111111111111111111111111111111111111111111111111111111111111111\n"
    "s1 staff "
    "2222222222222222222222222222222222222222222222222222222222222222\n";


/* the body of one request, or a line of its head but the first; or anything */

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    size_t      at, len, head, skip;
    exam_str_t  in, request;

    if ((seed & 1) || size == 0) {
        return LLVMFuzzerMutate(data, size, max);
    }

    in = exam_str_make(data, size);
    request = fuzz_cut(&in, "@NEXT@");

    for (skip = seed >> 2 & 3; skip != 0 && in.len != 0; skip--) {
        request = fuzz_cut(&in, "@NEXT@");
    }

    head = fuzz_head_len(request);
    at = (size_t) (request.data - data);
    len = request.len;

    if (head != len || !(seed & 2)) {
        at += head;
        len -= head;

    } else {
        in = request;
        (void) fuzz_cut(&in, "\n");
        (void) fuzz_cut(&in, "\n");

        at = (size_t) (in.data - data);
        len = in.len;
    }

    /* what stands behind it is moved away and back */

    skip = size - at - len;

    if (skip > sizeof(fuzz_behind) || at + skip == max) {
        return LLVMFuzzerMutate(data, size, max);
    }

    memcpy(fuzz_behind, data + at + len, skip);
    len = LLVMFuzzerMutate(data + at, len, max - at - skip);
    memcpy(data + at + len, fuzz_behind, skip);

    return at + len + skip;
}


static void
fuzz_tokens(void)
{
    unsigned     line;
    const char  *what;

    fuzz_check(exam_keyring_parse(&ring,
                                  exam_str_make(fuzz_keys,
                                                sizeof(fuzz_keys) - 1),
                                  &line, &what)
               == EXAM_OK, "the key file is valid");

    fuzz_token(token, EXAM_KEY_CANDIDATE, 4102444800);
    fuzz_token(old, EXAM_KEY_CANDIDATE, 1000000000);
    fuzz_token(staff, EXAM_KEY_STAFF, 4102444800);
}


static void
fuzz_token(char *out, exam_key_class_e class, int64_t exp)
{
    size_t          len;
    exam_buf_t      b;
    exam_claims_t   claims;

    static const uint8_t  random[12];

    claims.exam = exam_str("30");
    claims.student = exam_str("S001");
    claims.gen = 1763650000000;
    claims.iat = 1763650000;
    claims.exp = exp;

    exam_sid_make(claims.sid, claims.exam, claims.student, random);

    len = exam_token_issue(&ring, class, &claims, (uint8_t *) out,
                           EXAM_TOKEN_MAX);
    fuzz_check(len != 0, "a token is issued");
    out[len] = '\0';

    exam_buf_init(&b, sid, sizeof(sid));
    exam_buf_hex(&b, claims.sid, EXAM_SID_LEN);
    fuzz_check(exam_buf_cstr(&b), "a session id fits");
}


static void
fuzz_expand(fuzz_out_t *out, exam_str_t in)
{
    size_t      len;
    exam_str_t  request;

    out->len = 0;
    out->npauses = 0;

    while (in.len != 0) {
        request = fuzz_cut(&in, "@NEXT@");
        len = fuzz_head_len(request);

        fuzz_head(out, exam_str_make(request.data, len),
                  exam_str_make(request.data + len, request.len - len));
        fuzz_parts(out, exam_str_make(request.data + len, request.len - len));
    }

    out->pauses[out->npauses++] = out->len;
}


/* what stands before the mark, or all; *rest: what stands behind it */

static exam_str_t
fuzz_cut(exam_str_t *rest, const char *mark)
{
    exam_str_t      s;
    const uint8_t  *p;

    s = *rest;
    p = memmem(s.data, s.len, mark, strlen(mark));

    if (p == NULL) {
        rest->data += rest->len;
        rest->len = 0;

        return s;
    }

    s.len = (size_t) (p - s.data);
    rest->data = p + strlen(mark);
    rest->len -= s.len + strlen(mark);

    return s;
}


static size_t
fuzz_head_len(exam_str_t request)
{
    size_t  i;

    for (i = 1; i < request.len; i++) {
        if (request.data[i] == '\n'
            && (request.data[i - 1] == '\n'
                || (i > 1 && request.data[i - 1] == '\r'
                    && request.data[i - 2] == '\n')))
        {
            return i + 1;
        }
    }

    return request.len;
}


static void
fuzz_head(fuzz_out_t *out, exam_str_t head, exam_str_t body)
{
    uint8_t     value[EXAM_TOKEN_MAX];
    exam_buf_t  b;
    exam_str_t  before, name;

    while (head.len != 0) {
        before = fuzz_cut(&head, "@");
        fuzz_parts(out, before);

        if (head.len == 0) {
            return;
        }

        name = fuzz_cut(&head, "@");

        if (exam_str_eq(name, exam_str("PAUSE"))) {
            if (out->npauses < FUZZ_PAUSES) {
                out->pauses[out->npauses++] = out->len;
            }

            continue;
        }

        exam_buf_init(&b, value, sizeof(value));

        if (!fuzz_value(&b, name, body)) {
            fuzz_put(out, exam_str("@"));
            fuzz_put(out, name);
            fuzz_put(out, exam_str("@"));
            continue;
        }

        fuzz_put(out, fuzz_written(&b));
    }
}


static bool
fuzz_value(exam_buf_t *b, exam_str_t name, exam_str_t body)
{
    size_t         i, len;
    uint8_t        hash[EXAM_HASH_LEN];
    exam_sha256_t  h;

    static uint8_t  plain[FUZZ_OUT];

    static const struct {
        const char  *name;
        const char  *value;
    } texts[] = {
        { "TOKEN", token }, { "OLD", old }, { "STAFF", staff }, { "SID", sid }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (exam_str_eq(name, exam_str_make(texts[i].name,
                                            strlen(texts[i].name))))
        {
            exam_buf_put(b, texts[i].value, strlen(texts[i].value));
            return true;
        }
    }

    if (body.len > sizeof(plain)) {
        return false;
    }

    len = fuzz_without_marks(body, plain);

    if (exam_str_eq(name, exam_str("LEN"))) {
        exam_buf_uint(b, len);
        return true;
    }

    if (exam_str_eq(name, exam_str("DIGEST"))) {
        exam_sha256_init(&h);
        exam_sha256_update(&h, plain, len);
        exam_sha256_final(&h, hash);

        exam_buf_lit(b, "sha-256=:");
        exam_buf_base64(b, hash, sizeof(hash));
        exam_buf_char(b, ':');
        return true;
    }

    return false;
}


static void
fuzz_put(fuzz_out_t *out, exam_str_t s)
{
    if (s.len > FUZZ_OUT - out->len) {
        s.len = FUZZ_OUT - out->len;
    }

    if (s.len != 0) {
        memcpy(out->data + out->len, s.data, s.len);
        out->len += s.len;
    }
}


/* parts of a body, and pauses between them */

static void
fuzz_parts(fuzz_out_t *out, exam_str_t s)
{
    while (s.len != 0) {
        fuzz_put(out, fuzz_cut(&s, "@PAUSE@"));

        if (s.len != 0 && out->npauses < FUZZ_PAUSES) {
            out->pauses[out->npauses++] = out->len;
        }
    }
}


static size_t
fuzz_without_marks(exam_str_t body, uint8_t *to)
{
    size_t      len;
    exam_str_t  part;

    len = 0;

    while (body.len != 0) {
        part = fuzz_cut(&body, "@PAUSE@");

        if (part.len != 0) {
            memcpy(to + len, part.data, part.len);
            len += part.len;
        }
    }

    return len;
}


#endif /* NGINX_INPUT_H_INCLUDED */
