# shellcheck shell=bash
# bench: runs one of bench/*.sh.

# shellcheck source=util/build.sh
. "$ROOT/util/build.sh"


help_bench()
{
    cat <<'END'
usage: ./build.sh bench NAME [option...]

Runs bench/NAME.sh on programs built for it, with servers of its own.  Results
are printed and written as JSON to var/bench.  ./build.sh bench NAME -- --help
tells what one measures.

END
    bench_names
}


bench_names()
{
    local file

    say "There are:"
    for file in "$ROOT"/bench/*.sh; do
        [ -f "$file" ] || continue
        printf '  %-12s %s\n' "$(basename "$file" .sh)" \
            "$(sed -n '2s/^# *//p' "$file")"
    done
}


cmd_bench()
{
    local name=${1:-} script

    [ -n "$name" ] || usage_error "bench wants a name: $(bench_list)"
    shift
    [ "${1:-}" != -- ] || shift

    script=$ROOT/bench/$name.sh
    case $name in
    */* | .*) usage_error "\"$name\" is not a name" ;;
    esac
    [ -f "$script" ] || usage_error "no bench \"$name\": $(bench_list)"

    need_var
    lock_made
    need_deps
    apt_need wrk
    build_flavour static
    unlock_made

    mkdir -p "$VAR/bench"
    EXAM_ROOT=$ROOT EXAM_BIN=$BUILD/bin exec bash "$script" "$@"
}


bench_list()
{
    local file list=

    for file in "$ROOT"/bench/*.sh; do
        [ ! -f "$file" ] || list="$list $(basename "$file" .sh)"
    done

    printf '%s' "${list# }"
}
