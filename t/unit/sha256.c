
/* exam_sha256: known answers (FIPS 180-4 examples), pieces, copies, equality */


#include "tap.h"

#include "exam_buf.h"
#include "exam_sha256.h"


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

    return tap_done();
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
