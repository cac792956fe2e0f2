# shellcheck shell=bash
# What was chosen by test, under prove: in which order, and what becomes of
# files that fail.

# more than that, and something is broken
CHANCES=5

# Files that take half a minute or more, mostly waiting: begun first, none of
# them is left over at the end on one processor.
LONG='/(clients|fault|stack|320-|440-|500-|examctl/120-|worker/(085|1[123]0)-)'

# What a second run says nothing about: it looks elsewhere, by chance.
RANDOM_ONES='/(fuzz/.*|fault/070-storm)\.t$'

# Whatever the second run says, these are faults of the code.
NEVER='ERROR: AddressSanitizer|runtime error: |exited on signal (4|6|7|8|11)\b'


# prove_all: TESTS, JOBS at a time.  A file that fails among others may have
# wanted for time: it is run again, alone, and the summary tells.

prove_all()
{
    local jobs=${JOBS:-2} said=$MADE/test/first.log failed=() file

    ordered
    [ "$LANES" = 1 ] || jobs=$((jobs + 1))
    mkdir -p "$MADE/test"

    proved "$said" prove --timer -j "$jobs" "${TESTS[@]}" && return 0

    mapfile -t failed < <(failed_files "$said")
    second_chance "$said" "${failed[@]}" || return 1

    step "a second run, one file at a time: ${#failed[@]} failed"

    proved "$MADE/test/second.log" prove --timer "${failed[@]}" || {
        for file in $(failed_files "$MADE/test/second.log"); do
            say "failed twice: $file"
        done
        return 1
    }

    for file in "${failed[@]}"; do
        say "failed among others, passed alone: $file"
    done

    say "what the first run said: ${said#"$ROOT"/}"
}


# Sets TESTS in the order in which they are begun, and LANES.  A search of the
# fuzzers computes for a minute, other files mostly wait: searches are spread
# evenly among them, and one file more is run at a time, a search most often.

ordered()
{
    local file every n=0 search=() long=() rest=()

    for file in "${TESTS[@]}"; do
        if [[ $file == */fuzz/020-search-* ]]; then
            search+=("$file")
        elif [[ $file =~ $LONG ]]; then
            long+=("$file")
        else
            rest+=("$file")
        fi
    done

    rest=("${long[@]}" "${rest[@]}")

    LANES=1
    [ ${#search[@]} -gt 0 ] && [ ${#rest[@]} -gt 0 ] && LANES=2

    TESTS=()
    every=$((${#rest[@]} / (${#search[@]} + 1)))
    [ "$every" -gt 0 ] || every=1

    for file in "${rest[@]}"; do
        if [ $((n % every)) = 0 ] && [ ${#search[@]} -gt 0 ]; then
            TESTS+=("${search[0]}")
            search=("${search[@]:1}")
        fi

        TESTS+=("$file")
        n=$((n + 1))
    done

    TESTS+=("${search[@]}")
}


# proved LOG COMMAND...: what it says to the terminal and to the file.

proved()
{
    local log=$1
    shift

    "$@" </dev/null 2>&1 | tee "$log"
    return "${PIPESTATUS[0]}"
}


# Those that prove's summary names, whatever was wrong.

failed_files()
{
    sed -n '/^Test Summary Report/,$s/^\([^ ]*\.t\) *(Wstat: .*/\1/p' "$1"
}


# second_chance LOG FILE...: false, and the reason, when there is none.

second_chance()
{
    local log=$1 file why=
    shift

    if [ $# = 0 ] || [ ${#TESTS[@]} = 1 ]; then
        return 1
    elif [ $# -gt "$CHANCES" ]; then
        why="$# files failed, more than $CHANCES"
    elif file=$(printf '%s\n' "$@" | grep -m 1 -E "$RANDOM_ONES"); then
        why="$file has found something"
    elif grep -qE "$NEVER" "$log"; then
        why="a sanitizer's report, or a crash, in ${log#"$ROOT"/}"
    else
        return 0
    fi

    say "no second run: $why"
    return 1
}
