
/* exam_sha256: known answers (FIPS 180-4 examples), pieces, copies, equality */


#include "tap.h"

#include "exam_buf.h"
#include "exam_sha256.h"


static void test_two(void);
static void test_long(void);
static void hex_of(const uint8_t hash[32], char out[65]);


int
main(void)
{
    char           hex[65];
    size_t         i;
    uint8_t        a[32], b[32], block[1000];
    exam_sha256_t  h, copy;

    exam_sha256_init(&h);
    exam_sha256_final(&h, a);
    hex_of(a, hex);
    tap_text(hex, 64, "e3b0c44298fc1c149afbf4c8996fb924"
                      "27ae41e4649b934ca495991b7852b855", "the empty text");

    exam_sha256_init(&h);
    exam_sha256_update(&h, "abc", 3);
    exam_sha256_final(&h, a);
    hex_of(a, hex);
    tap_text(hex, 64, "ba7816bf8f01cfea414140de5dae2223"
                      "b00361a396177a9cb410ff61f20015ad", "abc");

    memset(block, 'a', sizeof(block));
    exam_sha256_init(&h);

    for (i = 0; i < 1000; i++) {
        exam_sha256_update(&h, block, sizeof(block));
    }

    exam_sha256_final(&h, a);
    hex_of(a, hex);
    tap_text(hex, 64, "cdc76e5c9914fb9281a1c7e284d73e67"
                      "f1809a48a497200e046d39ccc7112cd0", "a million a");

    /* a state that was copied goes on by itself: the token's pads need that */

    exam_sha256_init(&h);
    exam_sha256_update(&h, block, 77);
    copy = h;
    exam_sha256_update(&h, "x", 1);
    exam_sha256_final(&h, a);
    exam_sha256_update(&copy, "y", 1);
    exam_sha256_final(&copy, b);
    tap_ok(memcmp(a, b, 32) != 0, "a copy goes its own way");

    exam_sha256_init(&copy);
    exam_sha256_update(&copy, block, 77);
    exam_sha256_update(&copy, "x", 1);
    exam_sha256_final(&copy, b);
    tap_ok(memcmp(a, b, 32) == 0, "pieces make the whole");

    tap_is(exam_equal_ct(a, b, 32), 1, "equal");
    b[31] ^= 1;
    tap_is(exam_equal_ct(a, b, 32), 0, "the last bit differs");
    b[31] ^= 1;
    b[0] ^= 0x80;
    tap_is(exam_equal_ct(a, b, 32), 0, "the first bit differs");

    test_two();
    test_long();

    return tap_done();
}


/*
 * Two at once against one after the other: every length to some blocks, each
 * behind every other beginning, from addresses of every alignment.
 */

static void
test_two(void)
{
    size_t         i, len, first, wrong;
    uint8_t        a[400], b[400], got[2][32], want[2][32];
    exam_sha256_t  x, y, p, q;

    for (i = 0; i < sizeof(a); i++) {
        a[i] = (uint8_t) (i * 7 + 1);
        b[i] = (uint8_t) (i * 13 + i / 16);
    }

    printf("# two at once are %s\n",
           exam_sha256_two_pays() ? "interleaved" : "two calls here");

    wrong = 0;

    for (first = 0; first < 66; first++) {
        for (len = 0; len <= 300; len++) {
            exam_sha256_init(&x);
            exam_sha256_init(&y);
            exam_sha256_update(&x, a, first);
            exam_sha256_update(&y, b, (first % 3 == 0) ? first : 0);

            p = x;
            q = y;

            exam_sha256_update_two(&x, a + first, &y, b + 17, len);
            exam_sha256_update(&p, a + first, len);
            exam_sha256_update(&q, b + 17, len);

            exam_sha256_final(&x, got[0]);
            exam_sha256_final(&y, got[1]);
            exam_sha256_final(&p, want[0]);
            exam_sha256_final(&q, want[1]);

            wrong += (memcmp(got, want, sizeof(got)) != 0);
        }
    }

    tap_is(wrong, 0, "two at once: as each by itself");
}


/* over 2^32 bits, where the length needs its second word */

static void
test_long(void)
{
    int                   i;
    char                  hex[65];
    uint8_t               hash[32];
    exam_sha256_t         x, y;
    static const uint8_t  zeros[1024 * 1024];

    exam_sha256_init(&x);
    exam_sha256_init(&y);

    for (i = 0; i < 520; i++) {
        exam_sha256_update_two(&x, zeros, &y, zeros, sizeof(zeros));
    }

    exam_sha256_final(&x, hash);
    hex_of(hash, hex);
    tap_text(hex, 64, "abf51ad954b246009dfe5a50ecd582fd"
                      "5b8f1b8b27f30393853c3ef721e7fa6e", "520 MB of zeros");

    exam_sha256_final(&y, hash);
    hex_of(hash, hex);
    tap_text(hex, 64, "abf51ad954b246009dfe5a50ecd582fd"
                      "5b8f1b8b27f30393853c3ef721e7fa6e", "and of the other");
}


static void
hex_of(const uint8_t hash[32], char out[65])
{
    exam_buf_t  b;

    exam_buf_init(&b, out, 65);
    exam_buf_hex(&b, hash, 32);

    if (!exam_buf_cstr(&b)) {
        out[0] = '\0';
    }
}
