
/*
 * The file of access codes.  It is complete on disk, under a temporary name,
 * before the transaction commits, and gets its name behind the commit: codes
 * that are valid are never lost, and a file that is there is valid.
 */


#include "ctl.h"
#include "exam_file.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>


static ctl_rc_e ctl_codes_publish(const ctl_codes_t *codes);


ctl_rc_e
ctl_codes_open(const ctl_t *ctl, ctl_codes_t *codes)
{
    int  n;

    codes->path = ctl_option(ctl, "codes");
    codes->force = ctl_option(ctl, "force") != NULL;

    n = snprintf(codes->tmp, sizeof(codes->tmp), "%s.%ld.new", codes->path,
                 (long) getpid());

    if (codes->path[0] == '\0' || n >= (int) sizeof(codes->tmp)) {
        return ctl_usage(ctl, "bad file name of --codes");
    }

    if (!codes->force && access(codes->path, F_OK) == 0) {
        return ctl_fail(CTL_CONFLICT, "\"%s\" exists: codes are shown only "
                        "once; another name, or --force to replace it",
                        codes->path);
    }

    return CTL_OK;
}


ctl_rc_e
ctl_codes_write(ctl_codes_t *codes, const ctl_people_t *p)
{
    int     rc;
    char   *text;
    FILE   *out;
    size_t  i, len;

    text = NULL;
    out = open_memstream(&text, &len);

    if (out == NULL) {
        return ctl_fail(CTL_FAILED, "out of memory");
    }

    fprintf(out, "student,name,code\n");

    for (i = 0; i < p->n; i++) {
        if (!p->people[i].coded) {
            continue;
        }

        fprintf(out, "%s,", p->people[i].student);
        ctl_csv_write(out, ctl_str(p->people[i].name));
        fprintf(out, ",%.*s\n", EXAM_CODE_SHOWN, p->people[i].code);
    }

    if (fclose(out) != 0) {
        free(text);
        return ctl_fail(CTL_FAILED, "out of memory");
    }

    rc = exam_file_replace(codes->tmp, 0600, text, len, false);

    explicit_bzero(text, len);
    free(text);

    if (rc != 0) {
        return ctl_fail(CTL_FAILED, "cannot write \"%s\": %s", codes->tmp,
                        strerror(errno));
    }

    return CTL_OK;
}


ctl_rc_e
ctl_codes_end(const ctl_codes_t *codes, ctl_outcome_e outcome)
{
    switch (outcome) {

    case CTL_COMMITTED:
        return ctl_codes_publish(codes);

    case CTL_UNCHANGED:
        (void) unlink(codes->tmp);
        return CTL_OK;

    case CTL_UNKNOWN:
        break;
    }

    if (access(codes->tmp, F_OK) == 0) {
        return ctl_fail(CTL_AWAY, "it is not known whether the change was made;"
                        " if it was, its codes are in \"%s\"", codes->tmp);
    }

    return CTL_AWAY;
}


static ctl_rc_e
ctl_codes_publish(const ctl_codes_t *codes)
{
    int   rc;
    char  folder[EXAM_PATH_MAX];

    if (codes->force) {
        rc = rename(codes->tmp, codes->path);

    } else {
        rc = link(codes->tmp, codes->path);

        if (rc == 0) {
            (void) unlink(codes->tmp);
        }
    }

    if (rc != 0) {
        return ctl_fail(CTL_FAILED, "the roster is changed, but \"%s\" cannot "
                        "be made: %s; the codes are in \"%s\"", codes->path,
                        strerror(errno), codes->tmp);
    }

    (void) snprintf(folder, sizeof(folder), "%s", codes->path);

    if (exam_dir_sync(dirname(folder)) != 0) {
        return ctl_fail(CTL_FAILED, "cannot sync the folder of \"%s\": %s",
                        codes->path, strerror(errno));
    }

    return CTL_OK;
}
