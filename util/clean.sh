# shellcheck shell=bash
# clean: removes what can be made again.

# shellcheck source=util/stack.sh
. "$ROOT/util/stack.sh"


help_clean()
{
    cat <<'END'
usage: ./build.sh clean [--sources|--data]

Removes var/build and var/test.  The stack must be down.

  --sources   nginx's source, the package lists and npm's packages too
  --data      everything below var/: recordings, database, keys, configuration
END
}


cmd_clean()
{
    local what=("$MADE/build" "$MADE/test" "$VAR/bin") name

    while [ $# -gt 0 ]; do
        case $1 in
        --sources) what+=("$MADE/src" "$MADE/apt" "$MADE/clients") ;;
        --data) what=("$VAR") ;;
        *) usage_error "unknown argument \"$1\"" ;;
        esac
        shift
    done

    for name in redis mysql worker nginx; do
        no_processes "$name" \
            || die "$(service_title "$name") still runs: ./build.sh down"
    done

    rm -rf "${what[@]}"
}
