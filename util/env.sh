# shellcheck shell=bash
# env: where everything of the running stack is, for scripts.

# shellcheck source=util/stack.sh
. "$ROOT/util/stack.sh"


help_env()
{
    cat <<'END'
usage: eval "$(./build.sh env)"

Prints shell assignments: URL NGINX_BIN NGINX_CONF NGINX_PID WORKER_PID
REDIS_SOCKET MYSQL_SOCKET MYSQL_DATABASE SPOOL RECORDINGS EXAMCTL DEMO_EXAM
DEMO_STUDENT DEMO_CODE.  Paths are absolute; the pid of what does not run is
empty.
END
}


cmd_env()
{
    [ $# -eq 0 ] || usage_error "env takes no argument: \"$1\""
    [ -f "$CONF" ] || die "nothing is there yet: ./build.sh up"

    demo_candidate

    assign URL "http://127.0.0.1:$(conf_port)"
    assign NGINX_BIN "$VAR/bin/nginx"
    assign NGINX_CONF "$CONF"
    assign NGINX_PID "$(service_pid nginx || true)"
    assign WORKER_PID "$(service_pid worker || true)"
    assign REDIS_SOCKET "$REDIS_SOCKET"
    assign MYSQL_SOCKET "$MYSQL_SOCKET"
    assign MYSQL_DATABASE "$DATABASE"
    assign SPOOL "$VAR/spool"
    assign RECORDINGS "$VAR/recordings"
    assign EXAMCTL "$VAR/bin/examctl"
    assign DEMO_EXAM "$DEMO_EXAM"
    assign DEMO_STUDENT "$DEMO_STUDENT"
    assign DEMO_CODE "$DEMO_CODE"
}


assign()
{
    printf "%s='%s'\n" "$1" "${2//\'/\'\\\'\'}"
}
