
/*
 * Writers on a bounded buffer, and the small decoders that everything else in
 * core stands on.  Pure: the caller's memory, no state, any thread.
 *
 * Invariant: start <= pos <= end, and nothing is written after an overflow, so
 * that what stands in the buffer is always a prefix of what was meant.
 */


#include "exam_buf.h"


#define EXAM_UINT_DIGITS    20      /* of UINT64_MAX */


static size_t exam_buf_digits(uint64_t n);
static void exam_buf_escape(exam_buf_t *b, uint8_t c);
static size_t exam_utf8_next(const uint8_t *p, size_t len);


static const char  exam_hex_digits[] = "0123456789abcdef";

/* 00 to 99 */

static const char  exam_buf_hundred[] =
    "0001020304050607080910111213141516171819"
    "2021222324252627282930313233343536373839"
    "4041424344454647484950515253545556575859"
    "6061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";


void
exam_buf_int(exam_buf_t *b, int64_t n)
{
    if (n < 0) {
        exam_buf_char(b, '-');

        /* INT64_MIN has no positive counterpart in int64_t */
        exam_buf_uint(b, (uint64_t) -(n + 1) + 1);
        return;
    }

    exam_buf_uint(b, (uint64_t) n);
}


/* from the last digit to the first, two a step: a time in ms has 13 */

void
exam_buf_uint(exam_buf_t *b, uint64_t n)
{
    uint8_t   *p;
    unsigned   two;

    p = exam_buf_reserve(b, exam_buf_digits(n));

    if (p == NULL) {
        return;
    }

    p = b->pos;

    while (n >= 100) {
        two = (unsigned) (n % 100) * 2;
        n /= 100;

        *--p = (uint8_t) exam_buf_hundred[two + 1];
        *--p = (uint8_t) exam_buf_hundred[two];
    }

    if (n >= 10) {
        *--p = (uint8_t) exam_buf_hundred[n * 2 + 1];
        *--p = (uint8_t) exam_buf_hundred[n * 2];

    } else {
        *--p = (uint8_t) ('0' + n);
    }
}


/* 1233 / 4096 is a little more than the logarithm of 2 */

static size_t
exam_buf_digits(uint64_t n)
{
    size_t  digits;

    static const uint64_t  ten[] = {
        0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
        1000000000, 10000000000, 100000000000, 1000000000000,
        10000000000000, 100000000000000, 1000000000000000,
        10000000000000000, 100000000000000000, 1000000000000000000,
        10000000000000000000u
    };

    digits = (size_t) (64 - __builtin_clzll(n | 1)) * 1233 >> 12;

    return digits + (n >= ten[digits]);
}


void
exam_buf_hex(exam_buf_t *b, const void *data, size_t len)
{
    size_t          i;
    uint8_t        *p;
    const uint8_t  *src;

    if (len > SIZE_MAX / 2) {
        b->overflow = true;
        return;
    }

    p = exam_buf_reserve(b, len * 2);

    if (p == NULL) {
        return;
    }

    src = data;

    for (i = 0; i < len; i++) {
        *p++ = (uint8_t) exam_hex_digits[src[i] >> 4];
        *p++ = (uint8_t) exam_hex_digits[src[i] & 0x0f];
    }
}


void
exam_buf_base64(exam_buf_t *b, const void *data, size_t len)
{
    uint8_t        *p;
    uint32_t        v;
    const uint8_t  *src;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (len > SIZE_MAX / 2) {
        b->overflow = true;
        return;
    }

    p = exam_buf_reserve(b, (len + 2) / 3 * 4);

    if (p == NULL) {
        return;
    }

    src = data;

    for ( /* void */ ; len >= 3; len -= 3, src += 3) {
        v = (uint32_t) src[0] << 16 | (uint32_t) src[1] << 8 | src[2];

        *p++ = (uint8_t) alphabet[v >> 18];
        *p++ = (uint8_t) alphabet[v >> 12 & 0x3f];
        *p++ = (uint8_t) alphabet[v >> 6 & 0x3f];
        *p++ = (uint8_t) alphabet[v & 0x3f];
    }

    if (len == 0) {
        return;
    }

    v = (uint32_t) src[0] << 16;

    if (len == 2) {
        v |= (uint32_t) src[1] << 8;
    }

    *p++ = (uint8_t) alphabet[v >> 18];
    *p++ = (uint8_t) alphabet[v >> 12 & 0x3f];
    *p++ = (uint8_t) (len == 2 ? alphabet[v >> 6 & 0x3f] : '=');
    *p = '=';
}


void
exam_buf_json(exam_buf_t *b, exam_str_t s)
{
    size_t   i, run;
    uint8_t  c;

    exam_buf_char(b, '"');

    run = 0;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }

        if (i > run) {
            exam_buf_put(b, s.data + run, i - run);
        }

        exam_buf_escape(b, c);
        run = i + 1;
    }

    if (s.len > run) {
        exam_buf_put(b, s.data + run, s.len - run);
    }

    exam_buf_char(b, '"');
}


static void
exam_buf_escape(exam_buf_t *b, uint8_t c)
{
    switch (c) {

    case '"':
        exam_buf_lit(b, "\\\"");
        return;

    case '\\':
        exam_buf_lit(b, "\\\\");
        return;

    case '\n':
        exam_buf_lit(b, "\\n");
        return;

    case '\r':
        exam_buf_lit(b, "\\r");
        return;

    case '\t':
        exam_buf_lit(b, "\\t");
        return;

    default:
        exam_buf_lit(b, "\\u00");
        exam_buf_hex(b, &c, 1);
    }
}


bool
exam_buf_cstr(exam_buf_t *b)
{
    exam_buf_char(b, '\0');

    if (b->overflow) {
        return false;
    }

    /* the NUL stands behind the text and is not a part of it */
    b->pos--;

    return true;
}


bool
exam_hex_decode(const uint8_t *hex, size_t hex_len, uint8_t *out, size_t len)
{
    size_t   i;
    uint8_t  c, v;

    if (len > SIZE_MAX / 2 || hex_len != len * 2) {
        return false;
    }

    v = 0;

    for (i = 0; i < hex_len; i++) {
        c = hex[i];

        if (c >= '0' && c <= '9') {
            c = (uint8_t) (c - '0');

        } else {
            c |= 0x20;

            if (c < 'a' || c > 'f') {
                return false;
            }

            c = (uint8_t) (c - 'a' + 10);
        }

        v = (uint8_t) (v << 4 | c);

        if (i & 1) {
            out[i / 2] = v;
        }
    }

    return true;
}


bool
exam_base64_decode(exam_str_t s, uint8_t *out, size_t size, size_t *len)
{
    int       digit;
    size_t    i, n, digits;
    uint32_t  bits;

    if (s.len % 4 != 0) {
        return false;
    }

    digits = s.len;

    while (digits > 0 && s.len - digits < 2 && s.data[digits - 1] == '=') {
        digits--;
    }

    bits = 0;
    n = 0;

    for (i = 0; i < digits; i++) {
        digit = exam_base64_digit(s.data[i]);

        if (digit < 0) {
            return false;
        }

        bits = (bits << 6) | (uint32_t) digit;

        /* the first digit of four completes no byte */

        if (i % 4 == 0) {
            continue;
        }

        if (n < size) {
            out[n] = (uint8_t) (bits >> (6 - 2 * (i % 4)));
        }

        n++;
    }

    *len = n;

    return true;
}


int
exam_base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return (c == '+') ? 62 : (c == '/') ? 63 : -1;
}


bool
exam_uint_parse(const uint8_t *p, size_t len, uint64_t max, uint64_t *out)
{
    size_t    i;
    uint64_t  d, n;

    if (len == 0 || len > EXAM_UINT_DIGITS || (len > 1 && p[0] == '0')) {
        return false;
    }

    n = 0;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }

        d = (uint64_t) (p[i] - '0');

        /* only a twentieth digit can be too much for the type */

        if (i + 1 == EXAM_UINT_DIGITS && n > (UINT64_MAX - d) / 10) {
            return false;
        }

        n = n * 10 + d;
    }

    if (n > max) {
        return false;
    }

    *out = n;

    return true;
}


bool
exam_utf8_valid(const uint8_t *p, size_t len)
{
    size_t    n;
    uint64_t  word;

    while (len != 0) {

        /* bodies are nearly all ASCII: eight bytes a step */

        if (len >= sizeof(word)) {
            memcpy(&word, p, sizeof(word));

            if ((word & 0x8080808080808080u) == 0) {
                p += sizeof(word);
                len -= sizeof(word);
                continue;
            }
        }

        n = exam_utf8_next(p, len);

        if (n == 0) {
            return false;
        }

        p += n;
        len -= n;
    }

    return true;
}


/* the length of the character at p, 0 if malformed: RFC 3629 section 4 */

static size_t
exam_utf8_next(const uint8_t *p, size_t len)
{
    size_t   i, n;
    uint8_t  hi, lo;

    lo = 0x80;
    hi = 0xbf;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;

        if (p[0] == 0xe0) {
            lo = 0xa0;              /* shorter forms exist below */

        } else if (p[0] == 0xed) {
            hi = 0x9f;              /* surrogates above */
        }

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;

        if (p[0] == 0xf0) {
            lo = 0x90;

        } else if (p[0] == 0xf4) {
            hi = 0x8f;              /* above U+10FFFF */
        }

    } else {
        return 0;
    }

    if (len < n || p[1] < lo || p[1] > hi) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}
