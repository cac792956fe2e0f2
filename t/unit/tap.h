
/*
 * The runner of the unit tests: TAP on standard output, for prove.  One
 * program, one thread; main() ends with `return tap_done()`.
 */


#ifndef TAP_H_INCLUDED
#define TAP_H_INCLUDED


#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* weak: one count for all files of a program */

__attribute__((weak)) int  tap_tests;
__attribute__((weak)) int  tap_failed;


static inline bool tap_ok(bool ok, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static inline void tap_is(int64_t got, int64_t want, const char *name);
static inline void tap_text(const void *got, size_t len, const char *want,
    const char *name);
static inline void *tap_exact(const void *data, size_t len);
static inline uint32_t tap_random(void);
static inline int tap_done(void);


static inline bool
tap_ok(bool ok, const char *fmt, ...)
{
    va_list  args;

    printf("%sok %d - ", ok ? "" : "not ", ++tap_tests);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");
    fflush(stdout);

    tap_failed += !ok;

    return ok;
}


static inline void
tap_is(int64_t got, int64_t want, const char *name)
{
    if (!tap_ok(got == want, "%s", name)) {
        printf("#   got %" PRId64 ", want %" PRId64 "\n", got, want);
    }
}


static inline void
tap_text(const void *got, size_t len, const char *want, const char *name)
{
    if (!tap_ok(len == strlen(want) && memcmp(got, want, len) == 0, "%s",
                name))
    {
        printf("#   got  '%.*s'\n#   want '%s'\n", (int) len,
               (const char *) got, want);
    }
}


/*
 * A copy of exactly that many bytes, so that AddressSanitizer sees a read one
 * byte behind them.  The caller frees it.
 */

static inline void *
tap_exact(const void *data, size_t len)
{
    void  *copy;

    copy = malloc(len);

    if (copy == NULL && len != 0) {
        printf("Bail out! no memory\n");
        exit(1);
    }

    if (len != 0) {
        memcpy(copy, data, len);
    }

    return copy;
}


/* xorshift32 from a fixed seed: each run sees the same numbers */

static inline uint32_t
tap_random(void)
{
    static uint32_t  x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;

    return x;
}


static inline int
tap_done(void)
{
    printf("1..%d\n", tap_tests);

    return tap_failed == 0 ? 0 : 1;
}


#endif /* TAP_H_INCLUDED */
