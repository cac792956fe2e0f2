# shellcheck shell=bash
# down: stops what up started.

# shellcheck source=util/stack.sh
. "$ROOT/util/stack.sh"


help_down()
{
    cat <<'END'
usage: ./build.sh down

Stops nginx (uploads under way have 30 s), exam-worker (it finishes what it
has claimed), MariaDB and Redis.  All data stay below var/.
END
}


cmd_down()
{
    [ $# -eq 0 ] || usage_error "down takes no argument: \"$1\""

    if [ ! -d "$VAR/run" ]; then
        say "nothing was ever started"
        return 0
    fi

    need_var
    lock_var

    local name

    for name in nginx worker mysql redis; do
        no_processes "$name" && continue
        step "stopping $(service_title "$name")"

        case $name in
        nginx) stop_service nginx 30 QUIT TERM ;;
        worker) stop_service worker 60 TERM TERM ;;
        *) stop_service "$name" 60 TERM ;;
        esac
    done

    say "stopped"
}
