
/*
 * Alphabets of identifiers, session ids and access codes (DESIGN 3).  Called
 * by every program before an id becomes a path, a key or a SQL value.  Pure,
 * any thread.  Ids are case-sensitive bytes.
 */


#include "exam_id.h"
#include "exam_sha256.h"


static bool exam_id_alnum(uint8_t c);
static bool exam_id_lower(exam_str_t id, size_t max);
static uint32_t exam_id_fnv(uint32_t hash, exam_str_t s);


/* Crockford's base32: no I, L, O, U */

static const char  exam_code_alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";


static bool
exam_id_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}


/* [a-z0-9]{1,max} */

static bool
exam_id_lower(exam_str_t id, size_t max)
{
    size_t  i;

    if (id.len == 0 || id.len > max) {
        return false;
    }

    for (i = 0; i < id.len; i++) {
        if (!exam_id_alnum(id.data[i])
            || (id.data[i] >= 'A' && id.data[i] <= 'Z'))
        {
            return false;
        }
    }

    return true;
}


bool
exam_id_exam(exam_str_t id)
{
    size_t   i;
    uint8_t  c;

    if (id.len == 0 || id.len > EXAM_EXAM_MAX || !exam_id_alnum(id.data[0])) {
        return false;
    }

    for (i = 1; i < id.len; i++) {
        c = id.data[i];

        if (!exam_id_alnum(c) && c != '_' && c != '-') {
            return false;
        }
    }

    return true;
}


bool
exam_id_student(exam_str_t id)
{
    size_t   i;
    uint8_t  c;

    if (id.len == 0 || id.len > EXAM_STUDENT_MAX
        || !exam_id_alnum(id.data[0]))
    {
        return false;
    }

    for (i = 1; i < id.len; i++) {
        c = id.data[i];

        if (!exam_id_alnum(c) && c != '.' && c != '_' && c != '@' && c != '-')
        {
            return false;
        }

        if (c == '.' && id.data[i - 1] == '.') {
            return false;
        }
    }

    return true;
}


bool
exam_id_node(exam_str_t id)
{
    return exam_id_lower(id, EXAM_NODE_MAX);
}


bool
exam_id_kind(exam_str_t id)
{
    return exam_id_lower(id, EXAM_KIND_MAX)
           && id.data[0] >= 'a'
           && !exam_str_eq(id, exam_str("file"))
           && !exam_str_eq(id, exam_str("resend"));
}


bool
exam_id_upload(exam_str_t id)
{
    size_t   dash;
    uint8_t  sid[EXAM_SID_LEN];

    if (id.len < 1 + 1 + EXAM_SID_HEX) {
        return false;
    }

    dash = id.len - EXAM_SID_HEX - 1;

    /* the random part has the form of a session id */

    return id.data[dash] == '-'
           && exam_id_node(exam_str_make(id.data, dash))
           && exam_sid_parse(exam_str_make(id.data + dash + 1, EXAM_SID_HEX),
                             sid);
}


bool
exam_id_segment(exam_str_t s, uint32_t *n)
{
    uint64_t  v;

    if (!exam_uint_parse(s.data, s.len, EXAM_SEGMENT_MAX, &v)) {
        return false;
    }

    *n = (uint32_t) v;

    return true;
}


/* FNV-1a over `exam|student`, then the finalizer of MurmurHash3 */

uint32_t
exam_id_hash(exam_str_t exam, exam_str_t student)
{
    uint32_t  h;

    h = exam_id_fnv(2166136261u, exam);
    h = exam_id_fnv(h, exam_str("|"));
    h = exam_id_fnv(h, student);

    /* FNV alone leaves the high bits of similar ids alike */

    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;

    return h;
}


static uint32_t
exam_id_fnv(uint32_t hash, exam_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        hash = (hash ^ s.data[i]) * 16777619u;
    }

    return hash;
}


void
exam_sid_make(uint8_t sid[EXAM_SID_LEN], exam_str_t exam, exam_str_t student,
    const uint8_t random[12])
{
    uint32_t  h;

    h = exam_id_hash(exam, student);

    sid[0] = (uint8_t) (h >> 24);
    sid[1] = (uint8_t) (h >> 16);
    sid[2] = (uint8_t) (h >> 8);
    sid[3] = (uint8_t) h;

    memcpy(sid + 4, random, 12);
}


uint32_t
exam_sid_hash(const uint8_t sid[EXAM_SID_LEN])
{
    return (uint32_t) sid[0] << 24 | (uint32_t) sid[1] << 16
           | (uint32_t) sid[2] << 8 | sid[3];
}


bool
exam_sid_parse(exam_str_t hex, uint8_t sid[EXAM_SID_LEN])
{
    size_t  i;

    for (i = 0; i < hex.len; i++) {
        if (hex.data[i] >= 'A' && hex.data[i] <= 'F') {
            return false;
        }
    }

    return exam_hex_decode(hex.data, hex.len, sid, EXAM_SID_LEN);
}


bool
exam_code_normal(exam_str_t typed, uint8_t code[EXAM_CODE_LEN])
{
    size_t   i, n;
    uint8_t  c;

    n = 0;

    for (i = 0; i < typed.len; i++) {
        c = typed.data[i];

        if (c == ' ' || c == '-') {
            continue;
        }

        if (c >= 'a' && c <= 'z') {
            c = (uint8_t) (c - 'a' + 'A');
        }

        if (n == EXAM_CODE_LEN
            || memchr(exam_code_alphabet, c, sizeof(exam_code_alphabet) - 1)
               == NULL)
        {
            return false;
        }

        code[n++] = c;
    }

    return n == EXAM_CODE_LEN;
}


void
exam_code_make(const uint8_t random[10], char shown[EXAM_CODE_SHOWN])
{
    size_t    i, n;
    unsigned  acc, bits;

    n = 0;
    acc = 0;
    bits = 0;

    for (i = 0; i < 10; i++) {
        acc = (acc << 8 | random[i]) & 0xfff;
        bits += 8;

        while (bits >= 5) {
            bits -= 5;

            /* a dash stands before each group of four but the first */

            if (n % 5 == 4) {
                shown[n++] = '-';
            }

            shown[n++] = exam_code_alphabet[acc >> bits & 0x1f];
        }
    }
}


void
exam_code_hash(exam_str_t exam, exam_str_t student,
    const uint8_t code[EXAM_CODE_LEN], uint8_t hash[EXAM_HASH_LEN])
{
    exam_sha256_t  h;

    exam_sha256_init(&h);
    exam_sha256_update(&h, exam.data, exam.len);
    exam_sha256_update(&h, "|", 1);
    exam_sha256_update(&h, student.data, student.len);
    exam_sha256_update(&h, "|", 1);
    exam_sha256_update(&h, code, EXAM_CODE_LEN);
    exam_sha256_final(&h, hash);
}
