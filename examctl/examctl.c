
/*
 * examctl, the operator's command line: parses the command line against the
 * tables of commands, reads the configuration and runs one command.
 */


#include "ctl.h"

#include <locale.h>
#include <signal.h>


static const ctl_command_t *ctl_find(int argc, char **argv, int *used);
static int ctl_words(const char *words, int argc, char **argv);
static ctl_rc_e ctl_parse(ctl_t *ctl, int argc, char **argv, bool *help);
static ctl_rc_e ctl_parse_option(ctl_t *ctl, int argc, char **argv, int *i);
static ctl_rc_e ctl_globals(ctl_t *ctl, int argc, char **argv, int *used,
    bool *help);
static ctl_rc_e ctl_no_command(int argc, char **argv);
static bool ctl_in_group(const ctl_command_t *command, const char *group);
static bool ctl_is_help(const char *arg);
static void ctl_help(void);
static void ctl_help_list(FILE *out, const char *group);
static void ctl_help_command(const ctl_command_t *command);
static void ctl_help_line(FILE *out, const ctl_command_t *command);


static const ctl_command_t *const  ctl_tables[] = {
    ctl_node_commands,
    ctl_exam_commands,
    ctl_roster_commands,
    ctl_student_commands,
    ctl_evidence_commands,
    ctl_command_commands,
};

#define CTL_TABLES  (sizeof(ctl_tables) / sizeof(ctl_tables[0]))


int
main(int argc, char **argv)
{
    int       used, first;
    bool      help;
    ctl_t     ctl;
    char      error[EXAM_CONF_ERROR_MAX], path[EXAM_PATH_MAX];
    ctl_rc_e  rc;

    (void) setlocale(LC_CTYPE, "");
    (void) signal(SIGPIPE, SIG_IGN);

    memset(&ctl, 0, sizeof(ctl_t));

    ctl.program = argv[0];
    first = 1;
    help = false;

    rc = ctl_globals(&ctl, argc, argv, &first, &help);

    if (rc != CTL_OK) {
        return (int) rc;
    }

    if (first == argc) {
        ctl_help();
        return help ? CTL_OK : CTL_USAGE;
    }

    ctl.command = ctl_find(argc - first, argv + first, &used);

    if (ctl.command == NULL) {
        return (int) ctl_no_command(argc - first, argv + first);
    }

    rc = ctl_parse(&ctl, argc - first - used, argv + first + used, &help);

    if (help) {
        ctl_help_command(ctl.command);
        return CTL_OK;
    }

    if (rc != CTL_OK) {
        return (int) rc;
    }

    if (exam_conf_find(path, ctl.config, argv[0], error) != 0
        || exam_conf_load(&ctl.conf, path, error) != 0)
    {
        return (int) ctl_fail(CTL_FAILED, "%s", error);
    }

    if (exam_mysql_library() != 0) {
        return (int) ctl_fail(CTL_FAILED, "the MySQL client library cannot "
                              "be initialised");
    }

    exam_mysql_init(&ctl.db, &ctl.conf.mysql);
    exam_redis_init(&ctl.redis, &ctl.conf.redis);

    rc = ctl.command->run(&ctl);

    exam_redis_close(&ctl.redis);
    exam_mysql_close(&ctl.db);
    mysql_library_end();

    /* a listing that did not reach its reader is not a success */

    if (fflush(stdout) != 0 || ferror(stdout)) {
        rc = (rc == CTL_OK) ? CTL_FAILED : rc;
    }

    return (int) rc;
}


/* options before the command */

static ctl_rc_e
ctl_globals(ctl_t *ctl, int argc, char **argv, int *used, bool *help)
{
    int  i;

    for (i = 1; i < argc && argv[i][0] == '-'; i++) {

        if (ctl_is_help(argv[i])) {
            *help = true;
            i = argc;
            break;
        }

        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            ctl->config = argv[++i];
            continue;
        }

        if (strncmp(argv[i], "--config=", 9) == 0) {
            ctl->config = argv[i] + 9;
            continue;
        }

        return ctl_fail(CTL_USAGE, "bad option \"%s\"; see examctl --help",
                        argv[i]);
    }

    *used = i;

    return CTL_OK;
}


static const ctl_command_t *
ctl_find(int argc, char **argv, int *used)
{
    size_t                i;
    const ctl_command_t  *c;

    for (i = 0; i < CTL_TABLES; i++) {
        for (c = ctl_tables[i]; c->words != NULL; c++) {
            *used = ctl_words(c->words, argc, argv);

            if (*used != 0) {
                return c;
            }
        }
    }

    return NULL;
}


/* how many arguments the words of a command are; 0: another command */

static int
ctl_words(const char *words, int argc, char **argv)
{
    int     n;
    size_t  len;

    for (n = 0; *words != '\0'; n++) {
        len = strcspn(words, " ");

        if (n == argc || strlen(argv[n]) != len
            || strncmp(argv[n], words, len) != 0)
        {
            return 0;
        }

        words += len;
        words += strspn(words, " ");
    }

    return n;
}


/* "exam", "exam --help" or "exam destroy": lists the commands of the group */

static ctl_rc_e
ctl_no_command(int argc, char **argv)
{
    bool                  found;
    size_t                i;
    const char           *group;
    const ctl_command_t  *c;

    group = argv[0];
    found = false;

    for (i = 0; i < CTL_TABLES; i++) {
        for (c = ctl_tables[i]; c->words != NULL; c++) {
            found = found || ctl_in_group(c, group);
        }
    }

    if (!found) {
        return ctl_fail(CTL_USAGE, "no such command \"%s\"; see examctl "
                        "--help", group);
    }

    if (argc > 1 && ctl_is_help(argv[1])) {
        ctl_help_list(stdout, group);
        return CTL_OK;
    }

    if (argc > 1) {
        (void) ctl_fail(CTL_USAGE, "no such command \"%s %s\"; there are:",
                        group, argv[1]);

    } else {
        (void) ctl_fail(CTL_USAGE, "\"%s\" takes a command:", group);
    }

    ctl_help_list(stderr, group);

    return CTL_USAGE;
}


/* is `group` the first of its words, and not all of them? */

static bool
ctl_in_group(const ctl_command_t *c, const char *group)
{
    size_t  len;

    len = strlen(group);

    return strncmp(c->words, group, len) == 0 && c->words[len] == ' ';
}


static bool
ctl_is_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}


static ctl_rc_e
ctl_parse(ctl_t *ctl, int argc, char **argv, bool *help)
{
    int                  i;
    bool                 literal;
    unsigned             n, need;
    ctl_rc_e             rc;
    const ctl_option_t  *option;

    n = 0;
    literal = false;

    for (i = 0; i < argc; i++) {
        if (ctl_is_help(argv[i])) {
            *help = true;
            return CTL_OK;
        }
    }

    for (i = 0; i < argc; i++) {

        if (!literal && strcmp(argv[i], "--") == 0) {
            literal = true;
            continue;
        }

        if (!literal && argv[i][0] == '-' && argv[i][1] != '\0') {
            rc = ctl_parse_option(ctl, argc, argv, &i);

            if (rc != CTL_OK) {
                return rc;
            }

            continue;
        }

        if (n == ctl->command->nargs) {
            return ctl_usage(ctl, "one argument too many: \"%s\"", argv[i]);
        }

        ctl->args[n++] = argv[i];
    }

    need = ctl->command->nargs - (strchr(ctl->command->args, '[') != NULL);

    if (n < need) {
        return ctl_usage(ctl, "it takes %s", ctl->command->args);
    }

    for (i = 0; i < CTL_OPTIONS_MAX; i++) {
        option = &ctl->command->options[i];

        if (option->name == NULL) {
            break;
        }

        if (option->value != NULL && option->value[0] == '!'
            && ctl->values[i] == NULL)
        {
            return ctl_usage(ctl, "--%s is missing", option->name);
        }
    }

    return CTL_OK;
}


/* "--name value", "--name=value" or "--name" */

static ctl_rc_e
ctl_parse_option(ctl_t *ctl, int argc, char **argv, int *i)
{
    size_t               j, len;
    const char          *name, *value, **out;
    const ctl_option_t  *option;

    static const ctl_option_t  config = { "config", "FILE" };

    if (strncmp(argv[*i], "--", 2) != 0) {
        return ctl_usage(ctl, "bad option \"%s\"", argv[*i]);
    }

    name = argv[*i] + 2;
    len = strcspn(name, "=");
    value = (name[len] == '=') ? name + len + 1 : NULL;

    option = NULL;
    out = NULL;

    for (j = 0; j < CTL_OPTIONS_MAX; j++) {
        option = &ctl->command->options[j];

        if (option->name == NULL) {
            option = NULL;
            break;
        }

        if (strlen(option->name) == len
            && strncmp(option->name, name, len) == 0)
        {
            out = &ctl->values[j];
            break;
        }

        option = NULL;
    }

    if (option == NULL && len == 6 && strncmp(name, "config", 6) == 0) {
        option = &config;
        out = &ctl->config;
    }

    if (option == NULL) {
        return ctl_usage(ctl, "unknown option \"%s\"", argv[*i]);
    }

    if (out != &ctl->config && *out != NULL) {
        return ctl_usage(ctl, "--%s is given twice", option->name);
    }

    if (option->value == NULL) {
        if (value != NULL) {
            return ctl_usage(ctl, "--%s takes no value", option->name);
        }

        value = "";

    } else if (value == NULL) {
        if (*i + 1 == argc) {
            return ctl_usage(ctl, "--%s takes a value", option->name);
        }

        value = argv[++*i];
    }

    *out = value;

    if (strcmp(option->name, "json") == 0) {
        ctl->json = true;
    }

    return CTL_OK;
}


static void
ctl_help(void)
{
    printf("usage: examctl [--config FILE] COMMAND ...\n\n");

    ctl_help_list(stdout, NULL);

    printf("\n"
           "examctl COMMAND --help tells more of a command.\n"
           "\n"
           "Configuration: --config FILE, else $EXAM_CONFIG, else ../exam.ini"
           " beside the\n"
           "program, else /etc/exam-monitor/exam.ini.\n"
           "\n"
           "Exit codes:\n"
           "  0  done\n"
           "  1  failed; the reason is on standard error\n"
           "  2  wrong usage\n"
           "  3  no such exam, student, session or command\n"
           "  4  exists already, or not possible in this state\n"
           "  5  MySQL or Redis is unavailable\n");
}


/* `group` NULL: all commands */

static void
ctl_help_list(FILE *out, const char *group)
{
    size_t                i;
    const ctl_command_t  *c;

    for (i = 0; i < CTL_TABLES; i++) {
        for (c = ctl_tables[i]; c->words != NULL; c++) {

            if (group != NULL && !ctl_in_group(c, group)) {
                continue;
            }

            fprintf(out, "  ");
            ctl_help_line(out, c);
            fprintf(out, "\n      %s\n", c->summary);
        }
    }
}


static void
ctl_help_command(const ctl_command_t *c)
{
    printf("usage: examctl ");
    ctl_help_line(stdout, c);
    printf("\n\n%s\n", c->summary);

    if (c->help[0] != '\0') {
        printf("\n%s", c->help);
    }

    printf("\nExit codes: 0 done, 1 failed, 2 usage, 3 not found, "
           "4 conflict,\n5 MySQL or Redis unavailable.\n");
}


static void
ctl_help_line(FILE *out, const ctl_command_t *c)
{
    size_t               i;
    const ctl_option_t  *o;

    fprintf(out, "%s", c->words);

    if (c->nargs != 0) {
        fprintf(out, " %s", c->args);
    }

    for (i = 0; i < CTL_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        o = &c->options[i];

        if (o->value == NULL) {
            fprintf(out, " [--%s]", o->name);

        } else if (o->value[0] == '!') {
            fprintf(out, " --%s %s", o->name, o->value + 1);

        } else {
            fprintf(out, " [--%s %s]", o->name, o->value);
        }
    }
}
