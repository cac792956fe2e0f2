# shellcheck shell=bash
# Paths, messages, and running a step with its output in a log file.

# Everything that is not source: what can be made again, and the running
# stack.  EXAM_VAR puts the stack elsewhere: a second one beside the first.
MADE=$ROOT/var
VAR=${EXAM_VAR:-$MADE}
LOG=$VAR/log

# the caller's LIBRARY_PATH would reach the linker, its locale our parsers
unset LIBRARY_PATH
export LC_ALL=C.UTF-8
umask 022


say() { printf '%s\n' "$*"; }

step() { printf '==> %s\n' "$*"; }

note() { printf 'note: %s\n' "$*" >&2; }

die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }


# Wrong use: exit 2 with a hint.

usage_error()
{
    printf 'build.sh: %s\n' "$1" >&2
    printf 'try: ./build.sh %s\n' "${COMMAND:+$COMMAND }--help" >&2
    exit 2
}


# Folders below var/.  Not for other users: the sockets of the database and of
# Redis lie here, and the recordings.

need_var()
{
    local dir

    for dir in "$MADE" "$VAR"; do
        if [ ! -d "$dir" ]; then
            mkdir -m 700 "$dir" || die "cannot make \"$dir\""
        fi

        [ -w "$dir" ] \
            || die "\"$dir\" belongs to $(stat -c %U "$dir"):" \
                   "run as that user"
    done

    mkdir -p "$VAR/log" "$VAR/run" "$VAR/bin" "$MADE/src" "$MADE/build"
}


# logged NAME command...: output to var/log/build-NAME.log, its end on failure.

logged()
{
    local log=$LOG/build-$1.log
    shift

    "$@" >"$log" 2>&1 </dev/null && return 0

    {
        printf '%s\n' "---- the end of $log:"
        tail -n 25 "$log"
        printf '%s\n' "----"
    } >&2

    return 1
}


# Two locks: one for what is built (another stack, see EXAM_VAR, builds the
# same), one for the stack.  Each ends with the shell; neither is left to what
# stays behind (see started in util/stack.sh).

lock_made()
{
    exec 8>"$MADE/build.lock"
    lock_wait 8
}


unlock_made() { exec 8>&-; }


lock_var()
{
    exec 9>"$VAR/run/lock"
    lock_wait 9
}


lock_wait()
{
    flock -n "$1" && return 0

    step "waiting for another build.sh"
    flock -w 1800 "$1" || die "another build.sh does not end"
}


python()
{
    if [ -x /usr/bin/python3 ]; then
        /usr/bin/python3 "$@"
    else
        python3 "$@"
    fi
}


have() { command -v "$1" >/dev/null 2>&1; }
