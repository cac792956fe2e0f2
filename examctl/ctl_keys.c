
/*
 * The key file (core/exam_token.h): lines `kid class hex`, the first line of a
 * class signs.  It is replaced as a whole, so that nginx reads the old or the
 * new one; keys never leave this file.
 */


#include "ctl.h"
#include "exam_file.h"
#include "exam_time.h"
#include "exam_token.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>


#define CTL_KEYS_FILE_MAX  65536
#define CTL_KEY_LEN        32


static ctl_rc_e ctl_keys_locked(const ctl_t *ctl);
static ctl_rc_e ctl_keys_old(const ctl_t *ctl, char **text);
static void ctl_keys_new_line(FILE *out, const char *class);
static void ctl_keys_kept(FILE *out, const char *text, const char *class);
static ctl_rc_e ctl_keys_hup(const ctl_t *ctl);


static const char *const  ctl_keys_classes[] = { "candidate", "staff" };


ctl_rc_e
ctl_keys_rotate(ctl_t *ctl)
{
    int       fd;
    char      path[EXAM_PATH_MAX], *folder;
    ctl_rc_e  rc;

    /* two rotations at once would lose a key that has signed already */

    memcpy(path, ctl->conf.keys, sizeof(path));
    folder = dirname(path);

    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        rc = ctl_fail(CTL_FAILED, "cannot lock \"%s\": %s", folder,
                      strerror(errno));

    } else {
        rc = ctl_keys_locked(ctl);
    }

    if (fd >= 0) {
        (void) close(fd);
    }

    return (rc == CTL_OK) ? ctl_keys_hup(ctl) : rc;
}


static ctl_rc_e
ctl_keys_locked(const ctl_t *ctl)
{
    int       rc;
    char     *old, *text;
    FILE     *out;
    size_t    i, len;
    ctl_rc_e  error;

    error = ctl_keys_old(ctl, &old);

    if (error != CTL_OK) {
        return error;
    }

    text = NULL;
    out = open_memstream(&text, &len);

    if (out == NULL) {
        free(old);
        return ctl_fail(CTL_FAILED, "out of memory");
    }

    fprintf(out, "# kid class key; the first of a class signs, all verify\n");

    for (i = 0; i < 2; i++) {
        ctl_keys_new_line(out, ctl_keys_classes[i]);

        if (old != NULL) {
            ctl_keys_kept(out, old, ctl_keys_classes[i]);
        }
    }

    if (old != NULL) {
        explicit_bzero(old, strlen(old));
        free(old);
    }

    if (fclose(out) != 0) {
        free(text);
        return ctl_fail(CTL_FAILED, "out of memory");
    }

    rc = exam_file_replace(ctl->conf.keys, 0600, text, len, false);

    explicit_bzero(text, len);
    free(text);

    if (rc != 0) {
        return ctl_fail(CTL_FAILED, "cannot write \"%s\": %s", ctl->conf.keys,
                        strerror(errno));
    }

    return CTL_OK;
}


/* the valid file that is there; *text NULL: there is none */

static ctl_rc_e
ctl_keys_old(const ctl_t *ctl, char **text)
{
    size_t           len;
    unsigned         line;
    const char      *what;
    exam_keyring_t   ring;

    *text = NULL;

    if (exam_file_read(ctl->conf.keys, CTL_KEYS_FILE_MAX, text, &len) != 0) {

        if (errno == ENOENT) {
            return CTL_OK;
        }

        return ctl_fail(CTL_FAILED, "cannot read \"%s\": %s", ctl->conf.keys,
                        strerror(errno));
    }

    if (exam_keyring_parse(&ring, exam_str_make(*text, len), &line, &what)
        != EXAM_OK)
    {
        explicit_bzero(*text, len);
        free(*text);
        *text = NULL;

        return ctl_fail(CTL_FAILED, "%s:%u: %s", ctl->conf.keys, line, what);
    }

    explicit_bzero(&ring, sizeof(ring));

    return CTL_OK;
}


static void
ctl_keys_new_line(FILE *out, const char *class)
{
    size_t   i;
    uint8_t  kid[4], key[CTL_KEY_LEN];

    exam_random(kid, sizeof(kid));
    exam_random(key, sizeof(key));

    fprintf(out, "%c-%02x%02x%02x%02x %s ", class[0], kid[0], kid[1], kid[2],
            kid[3], class);

    for (i = 0; i < sizeof(key); i++) {
        fprintf(out, "%02x", key[i]);
    }

    fprintf(out, "\n");

    explicit_bzero(key, sizeof(key));
}


/* the first line of the class, which has signed until now */

static void
ctl_keys_kept(FILE *out, const char *text, const char *class)
{
    size_t       len, word;
    const char  *p, *line;

    for (line = text; *line != '\0'; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");

        p = line + strspn(line, " \t");

        if (*p == '#') {
            continue;
        }

        p += strcspn(p, " \t\n");
        p += strspn(p, " \t");
        word = strcspn(p, " \t\n");

        if (p < line + len && word == strlen(class)
            && memcmp(p, class, word) == 0)
        {
            fprintf(out, "%.*s\n", (int) len, line);
            return;
        }
    }
}


static ctl_rc_e
ctl_keys_hup(const ctl_t *ctl)
{
    int           rc;
    char         *text, path[64];
    size_t        len;
    uint64_t      pid;

    if (ctl->conf.nginx_pid[0] == '\0'
        || exam_file_read(ctl->conf.nginx_pid, 64, &text, &len) != 0)
    {
        printf("keys are in \"%s\"; nginx does not run or is not configured "
               "here\n", ctl->conf.keys);
        return CTL_OK;
    }

    len = strcspn(text, " \r\n");
    rc = exam_uint_parse((const uint8_t *) text, len, INT32_MAX, &pid);

    free(text);

    if (!rc || pid < 2) {
        return ctl_fail(CTL_FAILED, "no pid in \"%s\": nginx was not told",
                        ctl->conf.nginx_pid);
    }

    /* a left-over file may name a process that is not nginx */

    (void) snprintf(path, sizeof(path), "/proc/%llu/comm",
                    (unsigned long long) pid);

    if (exam_file_read(path, 64, &text, &len) != 0) {
        printf("keys are in \"%s\"; nginx does not run\n", ctl->conf.keys);
        return CTL_OK;
    }

    rc = strncmp(text, "nginx", 5);
    free(text);

    if (rc != 0) {
        printf("keys are in \"%s\"; nginx does not run\n", ctl->conf.keys);
        return CTL_OK;
    }

    if (kill((pid_t) pid, SIGHUP) != 0) {
        return ctl_fail(CTL_FAILED, "keys are in \"%s\", but nginx was not "
                        "told: %s", ctl->conf.keys, strerror(errno));
    }

    printf("keys are in \"%s\"; nginx reads them now\n", ctl->conf.keys);

    return CTL_OK;
}
