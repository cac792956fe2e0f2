
/*
 * Tokens (DESIGN 3; RFC 7515, RFC 7519).  Issued and verified by the module,
 * read by tools; the ring is written once, at configuration, and only read
 * afterwards, so that any thread may verify.
 *
 * Invariant: no claim is looked at before the MAC has been found right, and a
 * payload is accepted in the one form in which exam_token_issue() writes it.
 */


#include "exam_token.h"


#define EXAM_KEY_LEN        32
#define EXAM_SHA256_BLOCK   64
#define EXAM_MAC_B64        43      /* base64url of 32 bytes, no padding */
#define EXAM_PAYLOAD_MAX    384     /* an EXAM_TOKEN_MAX token's, decoded */

/*
 * base64url works in quads: four characters, three bytes.  The session id
 * begins at byte 8 of the payload: its first eight digits, the hash, lie in the
 * quads from byte 6 to 17; what stands before them is the same in every token.
 */

#define EXAM_PEEK_HEAD      "eyJzaWQi"          /* of `{"sid"` */
#define EXAM_PEEK_SKIP      8
#define EXAM_PEEK_LEN       (EXAM_PEEK_SKIP + 2 * 8)


/* six equal bytes in a word */

#define EXAM_SIX(c)         ((uint64_t) (c) * 0x010101010101u)

#define EXAM_B64_BAD        0xff


typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
} exam_scan_t;


static const char *exam_keyring_line(exam_keyring_t *ring, exam_str_t line);
static bool exam_keyring_word(exam_str_t *line, exam_str_t *word);
static const char *exam_key_add(exam_keyring_t *ring, exam_key_class_e class,
    exam_str_t kid, const uint8_t secret[EXAM_KEY_LEN]);
static bool exam_kid_valid(exam_str_t kid);
static void exam_key_pads(exam_key_t *key, const uint8_t secret[EXAM_KEY_LEN]);
static void exam_key_mac(const exam_key_t *key, exam_str_t text,
    uint8_t mac[EXAM_HASH_LEN]);
static const exam_key_t *exam_key_of(const exam_keyring_t *ring,
    exam_key_class_e class, exam_str_t token);
static void exam_base64url(exam_buf_t *b, const uint8_t *src, size_t len);
static bool exam_base64url_decode(exam_str_t s, uint8_t *out);
static unsigned exam_base64url_quads(const uint8_t *src, size_t quads,
    uint8_t *out);
static uint64_t exam_token_six(const uint8_t *src);
static uint64_t exam_token_nibbles(uint64_t c, uint64_t *bad);
static bool exam_claims_parse(exam_str_t payload, exam_claims_t *claims);
static bool exam_scan_text(exam_scan_t *s, exam_str_t text);
static bool exam_scan_uint(exam_scan_t *s, uint64_t max, uint64_t *n);
static bool exam_scan_string(exam_scan_t *s, exam_str_t *out);


static const char  exam_base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* the value of a character of base64url, EXAM_B64_BAD for others */

static const uint8_t  exam_base64url_value[256] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3e, 0xff, 0xff,
    0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
    0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12,
    0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0xff, 0xff, 0xff, 0xff, 0x3f,
    0xff, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24,
    0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30,
    0x31, 0x32, 0x33, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff
};


exam_err_e
exam_keyring_parse(exam_keyring_t *ring, exam_str_t file, unsigned *line,
    const char **what)
{
    size_t          i;
    exam_str_t      text;
    const uint8_t  *nl;

    memset(ring, 0, sizeof(exam_keyring_t));

    *what = NULL;

    for (*line = 1; file.len != 0; (*line)++) {
        nl = memchr(file.data, '\n', file.len);

        text = file;

        if (nl != NULL) {
            text.len = (size_t) (nl - file.data);
            file = exam_str_make(nl + 1, file.len - text.len - 1);

        } else {
            file.len = 0;
        }

        *what = exam_keyring_line(ring, text);

        if (*what != NULL) {
            return EXAM_ERR_BAD_VALUE;
        }
    }

    for (i = 0; i < ring->n; i++) {
        if (ring->keys[i].class == EXAM_KEY_CANDIDATE) {
            return EXAM_OK;
        }
    }

    *what = "no key of class candidate";

    return EXAM_ERR_BAD_VALUE;
}


/* NULL, or what is wrong with the line */

static const char *
exam_keyring_line(exam_keyring_t *ring, exam_str_t line)
{
    uint8_t           secret[EXAM_KEY_LEN];
    exam_str_t        kid, class, hex, more;
    exam_key_class_e  which;

    if (!exam_keyring_word(&line, &kid) || kid.data[0] == '#') {
        return NULL;
    }

    if (!exam_keyring_word(&line, &class) || !exam_keyring_word(&line, &hex)
        || exam_keyring_word(&line, &more))
    {
        return "a line is not \"kid class hex\"";
    }

    if (!exam_kid_valid(kid)) {
        return "a kid is not 1 to 16 of A-Z a-z 0-9 _ -";
    }

    if (exam_str_eq(class, exam_str("candidate"))) {
        which = EXAM_KEY_CANDIDATE;

    } else if (exam_str_eq(class, exam_str("staff"))) {
        which = EXAM_KEY_STAFF;

    } else {
        return "a class is neither candidate nor staff";
    }

    if (!exam_hex_decode(hex.data, hex.len, secret, sizeof(secret))) {
        return "a key is not 64 hex digits";
    }

    return exam_key_add(ring, which, kid, secret);
}


/* cuts the next word off the line; false when there is none */

static bool
exam_keyring_word(exam_str_t *line, exam_str_t *word)
{
    size_t          i, n;
    const uint8_t  *p;

    p = line->data;
    n = line->len;

    for (i = 0; i < n && (p[i] == ' ' || p[i] == '\t'); i++) { /* void */ }

    word->data = p + i;
    word->len = 0;

    while (i < n && p[i] != ' ' && p[i] != '\t') {
        word->len++;
        i++;
    }

    line->data = p + i;
    line->len = n - i;

    return word->len != 0;
}


static bool
exam_kid_valid(exam_str_t kid)
{
    size_t  i;

    if (kid.len == 0 || kid.len > EXAM_KID_MAX) {
        return false;
    }

    for (i = 0; i < kid.len; i++) {
        if (exam_base64url_value[kid.data[i]] == EXAM_B64_BAD) {
            return false;
        }
    }

    return true;
}


static const char *
exam_key_add(exam_keyring_t *ring, exam_key_class_e class, exam_str_t kid,
    const uint8_t secret[EXAM_KEY_LEN])
{
    size_t       i, same;
    uint8_t      header[64], mac[EXAM_HASH_LEN];
    exam_buf_t   b;
    exam_key_t  *key;

    same = 0;

    for (i = 0; i < ring->n; i++) {
        key = &ring->keys[i];

        if (exam_str_eq(exam_str_make(key->kid, strlen(key->kid)), kid)) {
            return "a kid stands twice";
        }

        same += (key->class == class);
    }

    if (same == EXAM_KEYS_MAX / 2) {
        return "more than two keys of a class";
    }

    key = &ring->keys[ring->n++];

    key->class = class;
    memcpy(key->kid, kid.data, kid.len);

    exam_key_pads(key, secret);

    exam_buf_init(&b, header, sizeof(header));
    exam_buf_lit(&b, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"");
    exam_buf_put(&b, kid.data, kid.len);
    exam_buf_lit(&b, "\"}");

    i = exam_buf_len(&b);

    exam_buf_init(&b, key->header, sizeof(key->header));
    exam_base64url(&b, header, i);
    exam_buf_char(&b, '.');

    key->header_len = exam_buf_len(&b);

    exam_key_mac(key, exam_str_make(key->header, key->header_len), mac);
    memcpy(&key->mark, mac, sizeof(key->mark));

    return NULL;
}


/* the two halves of HMAC (RFC 2104) after their first block */

static void
exam_key_pads(exam_key_t *key, const uint8_t secret[EXAM_KEY_LEN])
{
    size_t   i;
    uint8_t  ipad[EXAM_SHA256_BLOCK], opad[EXAM_SHA256_BLOCK];

    memset(ipad, 0x36, sizeof(ipad));
    memset(opad, 0x5c, sizeof(opad));

    for (i = 0; i < EXAM_KEY_LEN; i++) {
        ipad[i] ^= secret[i];
        opad[i] ^= secret[i];
    }

    exam_sha256_init(&key->inner);
    exam_sha256_update(&key->inner, ipad, sizeof(ipad));

    exam_sha256_init(&key->outer);
    exam_sha256_update(&key->outer, opad, sizeof(opad));
}


static void
exam_key_mac(const exam_key_t *key, exam_str_t text,
    uint8_t mac[EXAM_HASH_LEN])
{
    exam_sha256_t  h;

    h = key->inner;
    exam_sha256_update(&h, text.data, text.len);
    exam_sha256_final(&h, mac);

    h = key->outer;
    exam_sha256_update(&h, mac, EXAM_HASH_LEN);
    exam_sha256_final(&h, mac);
}


/*
 * The key whose header the token begins with.  Comparing the bytes refuses
 * every other alg, typ, kid, order and spelling at once.
 */

static const exam_key_t *
exam_key_of(const exam_keyring_t *ring, exam_key_class_e class,
    exam_str_t token)
{
    size_t             i;
    const exam_key_t  *key;

    for (i = 0; i < ring->n; i++) {
        key = &ring->keys[i];

        if (key->class == class
            && token.len > key->header_len
            && memcmp(token.data, key->header, key->header_len) == 0)
        {
            return key;
        }
    }

    return NULL;
}


size_t
exam_token_issue(const exam_keyring_t *ring, exam_key_class_e class,
    const exam_claims_t *claims, uint8_t *out, size_t size)
{
    size_t             i;
    uint8_t            payload[EXAM_PAYLOAD_MAX], mac[EXAM_HASH_LEN];
    exam_buf_t         b;
    const exam_key_t  *key;

    for (i = 0; i < ring->n && ring->keys[i].class != class; i++) { /* void */ }

    if (i == ring->n) {
        return 0;
    }

    key = &ring->keys[i];

    exam_buf_init(&b, payload, sizeof(payload));

    exam_buf_lit(&b, "{\"sid\":\"");
    exam_buf_hex(&b, claims->sid, EXAM_SID_LEN);
    exam_buf_lit(&b, "\",\"gen\":");
    exam_buf_uint(&b, claims->gen);
    exam_buf_lit(&b, ",\"iat\":");
    exam_buf_int(&b, claims->iat);
    exam_buf_lit(&b, ",\"exp\":");
    exam_buf_int(&b, claims->exp);
    exam_buf_lit(&b, ",\"exam\":\"");
    exam_buf_put(&b, claims->exam.data, claims->exam.len);
    exam_buf_lit(&b, "\",\"sub\":\"");
    exam_buf_put(&b, claims->student.data, claims->student.len);
    exam_buf_lit(&b, "\"}");

    if (b.overflow) {
        return 0;
    }

    i = exam_buf_len(&b);

    exam_buf_init(&b, out, size);
    exam_buf_put(&b, key->header, key->header_len);
    exam_base64url(&b, payload, i);

    if (b.overflow) {
        return 0;
    }

    exam_key_mac(key, exam_str_make(out, exam_buf_len(&b)), mac);

    exam_buf_char(&b, '.');
    exam_base64url(&b, mac, sizeof(mac));

    return b.overflow ? 0 : exam_buf_len(&b);
}


exam_err_e
exam_token_verify(const exam_keyring_t *ring, exam_key_class_e class,
    exam_str_t token, int64_t now, exam_claims_t *claims)
{
    size_t             dot;
    uint8_t            payload[EXAM_PAYLOAD_MAX];
    uint8_t            mac[EXAM_HASH_LEN], sent[EXAM_HASH_LEN];
    exam_str_t         part;
    const exam_key_t  *key;

    if (token.len > EXAM_TOKEN_MAX) {
        return EXAM_ERR_TOKEN_INVALID;
    }

    key = exam_key_of(ring, class, token);

    if (key == NULL || token.len - key->header_len < 1 + EXAM_MAC_B64) {
        return EXAM_ERR_TOKEN_INVALID;
    }

    dot = token.len - EXAM_MAC_B64 - 1;

    if (token.data[dot] != '.'
        || !exam_base64url_decode(exam_str_make(token.data + dot + 1,
                                                EXAM_MAC_B64),
                                  sent))
    {
        return EXAM_ERR_TOKEN_INVALID;
    }

    exam_key_mac(key, exam_str_make(token.data, dot), mac);

    if (!exam_equal_ct(mac, sent, EXAM_HASH_LEN)) {
        return EXAM_ERR_TOKEN_INVALID;
    }

    part = exam_str_make(token.data + key->header_len, dot - key->header_len);

    if (!exam_base64url_decode(part, payload)) {
        return EXAM_ERR_TOKEN_INVALID;
    }

    part = exam_str_make(payload, part.len * 3 / 4);

    if (!exam_claims_parse(part, claims)) {
        return EXAM_ERR_TOKEN_INVALID;
    }

    /* RFC 7519 section 4.1.4: now must be before exp */

    return now < claims->exp ? EXAM_OK : EXAM_ERR_TOKEN_EXPIRED;
}


/*
 * The first step of every heartbeat: two quads at a time, in registers, with
 * what is wrong gathered in `bad` for one branch at the end.
 */

const exam_key_t *
exam_token_peek(const exam_keyring_t *ring, exam_key_class_e class,
    exam_str_t token, uint32_t *hash)
{
    uint64_t           bad, hi, lo;
    const uint8_t     *p;
    const exam_key_t  *key;

    key = exam_key_of(ring, class, token);

    if (key == NULL || token.len - key->header_len < EXAM_PEEK_LEN) {
        return NULL;
    }

    p = token.data + key->header_len;

    if (memcmp(p, EXAM_PEEK_HEAD, EXAM_PEEK_SKIP) != 0) {
        return NULL;
    }

    p += EXAM_PEEK_SKIP;
    bad = 0;

    /* `:"` and four digits; the two characters are made digits too */

    hi = exam_token_six(p);
    bad |= (hi >> 32) ^ 0x3a22;
    hi = exam_token_nibbles((hi & 0xffffffffu) | 0x303000000000u, &bad);

    lo = exam_token_nibbles(exam_token_six(p + 8), &bad);

    *hash = (uint32_t) ((hi >> 16 & 0xff) << 24 | (hi & 0xff) << 16
                        | (lo >> 32 & 0xff) << 8 | (lo >> 16 & 0xff));

    return bad ? NULL : key;
}


/*
 * Eight characters of base64url, six bytes, the first one highest.  A character
 * outside the alphabet reads as one of six bits set, or more: no such six bits
 * occur in what stands there, so that the checks of the bytes find it.
 */

static uint64_t
exam_token_six(const uint8_t *src)
{
    uint64_t  a, b, c, d, hi;

    a = exam_base64url_value[src[0]];
    b = exam_base64url_value[src[1]];
    c = exam_base64url_value[src[2]];
    d = exam_base64url_value[src[3]];

    hi = a << 18 | b << 12 | c << 6 | d;

    a = exam_base64url_value[src[4]];
    b = exam_base64url_value[src[5]];
    c = exam_base64url_value[src[6]];
    d = exam_base64url_value[src[7]];

    return hi << 24 | a << 18 | b << 12 | c << 6 | d;
}


/* six lower-case hex digits, three bytes: those at bit 32, 16 and 0 */

static uint64_t
exam_token_nibbles(uint64_t c, uint64_t *bad)
{
    uint64_t  letter, v;

    /* "0".."9" is 0x30..0x39, "a".."f" 0x61..0x66: bit 6 tells them apart */

    letter = c >> 6 & EXAM_SIX(0x01);
    v = (c & EXAM_SIX(0x0f)) + letter * 9;

    /* the high half fits the low one; letters are 10..15, digits 0..9 */

    *bad |= (c & EXAM_SIX(0xf0)) ^ (EXAM_SIX(0x30) + letter * 0x30);
    *bad |= v & EXAM_SIX(0xf0);
    *bad |= ((v + EXAM_SIX(0x06)) >> 4 & EXAM_SIX(0x01)) ^ letter;

    return v | v >> 4;
}


static void
exam_base64url(exam_buf_t *b, const uint8_t *src, size_t len)
{
    uint32_t  v;

    for ( /* void */ ; len >= 3; len -= 3, src += 3) {
        v = (uint32_t) src[0] << 16 | (uint32_t) src[1] << 8 | src[2];

        exam_buf_char(b, exam_base64url_alphabet[v >> 18]);
        exam_buf_char(b, exam_base64url_alphabet[v >> 12 & 0x3f]);
        exam_buf_char(b, exam_base64url_alphabet[v >> 6 & 0x3f]);
        exam_buf_char(b, exam_base64url_alphabet[v & 0x3f]);
    }

    if (len == 0) {
        return;
    }

    v = (uint32_t) src[0] << 16;

    if (len == 2) {
        v |= (uint32_t) src[1] << 8;
    }

    exam_buf_char(b, exam_base64url_alphabet[v >> 18]);
    exam_buf_char(b, exam_base64url_alphabet[v >> 12 & 0x3f]);

    if (len == 2) {
        exam_buf_char(b, exam_base64url_alphabet[v >> 6 & 0x3f]);
    }
}


/*
 * RFC 4648 section 5 without padding, canonical: the bits behind the last byte
 * must be zero, so that a text has one spelling.  out: s.len * 3 / 4 bytes.
 */

static bool
exam_base64url_decode(exam_str_t s, uint8_t *out)
{
    size_t   full, rest;
    uint8_t  last[4], tail[3];

    full = s.len / 4;
    rest = s.len % 4;

    if (rest == 1 || exam_base64url_quads(s.data, full, out) != 0) {
        return false;
    }

    if (rest == 0) {
        return true;
    }

    memset(last, 'A', sizeof(last));
    memcpy(last, s.data + full * 4, rest);

    if (exam_base64url_quads(last, 1, tail) != 0) {
        return false;
    }

    out += full * 3;
    out[0] = tail[0];

    if (rest == 2) {
        return tail[1] == 0;
    }

    out[1] = tail[1];

    return tail[2] == 0;
}


/*
 * Quads of four characters into three bytes each; not zero if a character is
 * none of the alphabet: wrong ones gather, so that the loop has no branch.
 */

static unsigned
exam_base64url_quads(const uint8_t *src, size_t quads, uint8_t *out)
{
    unsigned  a, b, c, d, bad, v;

    bad = 0;

    while (quads-- != 0) {
        a = exam_base64url_value[src[0]];
        b = exam_base64url_value[src[1]];
        c = exam_base64url_value[src[2]];
        d = exam_base64url_value[src[3]];

        bad |= a | b | c | d;
        v = a << 18 | b << 12 | c << 6 | d;

        out[0] = (uint8_t) (v >> 16);
        out[1] = (uint8_t) (v >> 8);
        out[2] = (uint8_t) v;

        src += 4;
        out += 3;
    }

    /* values are below 64 */

    return bad & ~0x3fu;
}


/* the payload exactly as issued; the strings are copied into storage */

static bool
exam_claims_parse(exam_str_t payload, exam_claims_t *claims)
{
    uint64_t     iat, exp;
    exam_str_t   sid, exam, student;
    exam_scan_t  s;

    s.p = payload.data;
    s.end = payload.data + payload.len;

    if (!exam_scan_text(&s, exam_str("{\"sid\":"))
        || !exam_scan_string(&s, &sid)
        || !exam_sid_parse(sid, claims->sid)
        || !exam_scan_text(&s, exam_str(",\"gen\":"))
        || !exam_scan_uint(&s, UINT64_MAX, &claims->gen)
        || !exam_scan_text(&s, exam_str(",\"iat\":"))
        || !exam_scan_uint(&s, INT64_MAX, &iat)
        || !exam_scan_text(&s, exam_str(",\"exp\":"))
        || !exam_scan_uint(&s, INT64_MAX, &exp)
        || !exam_scan_text(&s, exam_str(",\"exam\":"))
        || !exam_scan_string(&s, &exam)
        || !exam_id_exam(exam)
        || !exam_scan_text(&s, exam_str(",\"sub\":"))
        || !exam_scan_string(&s, &student)
        || !exam_id_student(student)
        || !exam_scan_text(&s, exam_str("}"))
        || s.p != s.end)
    {
        return false;
    }

    if (exam_sid_hash(claims->sid) != exam_id_hash(exam, student)) {
        return false;
    }

    memcpy(claims->storage, exam.data, exam.len);
    memcpy(claims->storage + EXAM_EXAM_MAX, student.data, student.len);

    claims->exam = exam_str_make(claims->storage, exam.len);
    claims->student = exam_str_make(claims->storage + EXAM_EXAM_MAX,
                                    student.len);
    claims->iat = (int64_t) iat;
    claims->exp = (int64_t) exp;

    return true;
}


static bool
exam_scan_text(exam_scan_t *s, exam_str_t text)
{
    if ((size_t) (s->end - s->p) < text.len
        || memcmp(s->p, text.data, text.len) != 0)
    {
        return false;
    }

    s->p += text.len;

    return true;
}


static bool
exam_scan_uint(exam_scan_t *s, uint64_t max, uint64_t *n)
{
    const uint8_t  *start;

    start = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        s->p++;
    }

    return exam_uint_parse(start, (size_t) (s->p - start), max, n);
}


/* up to the next quote: no alphabet of ours holds a quote or a backslash */

static bool
exam_scan_string(exam_scan_t *s, exam_str_t *out)
{
    const uint8_t  *quote;

    if (s->p == s->end || *s->p != '"') {
        return false;
    }

    s->p++;
    quote = memchr(s->p, '"', (size_t) (s->end - s->p));

    if (quote == NULL) {
        return false;
    }

    *out = exam_str_make(s->p, (size_t) (quote - s->p));
    s->p = quote + 1;

    return true;
}
