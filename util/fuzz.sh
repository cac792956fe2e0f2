# shellcheck shell=bash
# fuzz: the parsers of core, and the whole of nginx, by libFuzzer.

# shellcheck source=util/build.sh
. "$ROOT/util/build.sh"

FUZZ=$MADE/fuzz

# for nginx and its target; UBSan looks at our code only
FUZZ_FLAGS=(-O1 -g -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1
            -fsanitize=fuzzer-no-link,address,undefined
            -fno-sanitize-recover=undefined
            -fsanitize-ignorelist="$ROOT/t/fuzz/nginx.ignore")


help_fuzz()
{
    cat <<'END'
usage: ./build.sh fuzz [--minutes N] [TARGET...]

Feeds random inputs to the parsers of core, each in a program of its own with
AddressSanitizer, UBSan and checks of what must hold; the target nginx is the
whole of nginx with the module, fed with connections.  Without targets: all.

  --minutes N   altogether, shared by the targets (10)
  JOBS=2        how many targets run at a time

Inputs that reach something new are kept in var/fuzz/corpus/TARGET and used by
the next run.  Exit 1 on a finding: the input that shows it is in
var/fuzz/findings, and

    util/fuzz-run.sh TARGET var/fuzz/findings/FILE

shows it again.  Once repaired, the input goes to t/fuzz/regress/TARGET, where
./build.sh test fuzz looks at it each time.
END
}


cmd_fuzz()
{
    local minutes=10 targets=() target known

    while [ $# -gt 0 ]; do
        case $1 in
        --minutes)
            [[ ${2:-} =~ ^[1-9][0-9]{0,4}$ ]] \
                || usage_error "--minutes takes a number"
            minutes=$2
            shift
            ;;
        -*) usage_error "unknown option \"$1\"" ;;
        *) targets+=("$1") ;;
        esac
        shift
    done

    known=$(fuzz_targets)
    [ ${#targets[@]} -gt 0 ] || mapfile -t targets <<< "$known"

    for target in "${targets[@]}"; do
        grep -qxF -- "$target" <<< "$known" \
            || usage_error "unknown target \"$target\"; there are $(
                tr '\n' ' ' <<< "$known")"
    done

    need_var
    lock_made
    need_deps
    build_fuzz "${targets[@]}"
    unlock_made

    fuzz_all $((minutes * 60)) "${targets[@]}"
}


# Names of the targets, one a line.

fuzz_targets()
{
    local file

    for file in "$ROOT"/t/fuzz/*.c; do
        basename "$file" .c
    done
}


# build_fuzz TARGET...: after need_deps; into var/build/fuzz/fuzz.

build_fuzz()
{
    have clang || die "fuzzing needs clang"

    local CC=clang FLAVOUR=fuzz BUILD=$MADE/build/fuzz JOBS=${JOBS:-$(nproc)}
    local make=(make -C "$ROOT" CC=clang FLAVOUR=fuzz BUILD=var/build/fuzz)

    mkdir -p "$BUILD/fuzz" "$BUILD/bin"

    if ! "${make[@]}" -q fuzz >/dev/null 2>&1; then
        step "fuzz targets"
        logged fuzz "${make[@]}" -j "$JOBS" fuzz \
            || die "the fuzz targets do not compile"
    fi

    case " $* " in
    *" nginx "*) build_fuzz_nginx ;;
    esac
}


# All of nginx as a library below the target: its main() is ours to call, and
# its loop ours to turn.

build_fuzz_nginx()
{
    local objects libs part includes=() program=$BUILD/fuzz/nginx
    local from=$BUILD/nginx/src/core/nginx.o to=$BUILD/nginx.main.o

    build_nginx fuzz

    mapfile -t objects < <(find "$BUILD/nginx" -name '*.o' \
                               -not -path "$from" | sort)
    # the libraries that nginx's own Makefile links
    mapfile -t libs < <(sed -n '/^\t\$(LINK) -o .*\/nginx \\$/,/^\t$/p' \
        "$BUILD/nginx/Makefile" | tr -s ' \t\\' '\n' | grep -E '^-(l|L|Wl)')

    [ -z "$(find "$BUILD/bin/nginx" "$ROOT/t/fuzz/nginx.c" \
        "$ROOT"/t/fuzz/*.h -newer "$program" 2>&1)" ] && return 0

    step "the fuzz target of nginx"

    objcopy --redefine-sym main=nginx_main \
        --redefine-sym ngx_single_process_cycle=nginx_cycle "$from" "$to"

    for part in core event event/modules event/quic os/unix http http/modules \
        http/v2 http/v3
    do
        includes+=(-isystem "$NGINX_TREE/src/$part")
    done

    logged fuzz-nginx clang "${FUZZ_FLAGS[@]}" -fsanitize=fuzzer -std=gnu11 \
        -D_GNU_SOURCE -Wall -Wextra -Werror -Wmissing-prototypes \
        -I"$ROOT/core" -I"$ROOT/ngx_exam_module" "${includes[@]}" \
        -isystem "$BUILD/nginx" -o "$program" "$ROOT/t/fuzz/nginx.c" \
        "${objects[@]}" "$to" "${libs[@]}" \
        || die "the fuzz target of nginx does not compile"
}


# fuzz_all SECONDS TARGET...: as many at a time as there are processors.

fuzz_all()
{
    local jobs=${JOBS:-$(nproc)} running=0 bad=0 each target
    local seconds=$1
    shift

    [ "$jobs" -le $# ] || jobs=$#
    each=$((seconds * jobs / $#))
    [ "$each" -ge 1 ] || each=1

    step "$# targets, $each s each, $jobs at a time"

    for target in "$@"; do
        if [ "$running" -ge "$jobs" ]; then
            wait -n || bad=1
            running=$((running - 1))
        fi

        fuzz_one "$target" "$each" &
        running=$((running + 1))
    done

    while [ "$running" -gt 0 ]; do
        wait -n || bad=1
        running=$((running - 1))
    done

    [ "$bad" = 0 ] || die "there are findings in var/fuzz/findings"
    say "nothing found"
}


fuzz_one()
{
    local target=$1 seconds=$2 log=$LOG/fuzz-$1.log
    local corpus=$FUZZ/corpus/$1 given

    mkdir -p "$corpus"
    mapfile -t given < <(find "$ROOT/t/fuzz/corpus/$target" \
        "$ROOT/t/fuzz/regress/$target" -maxdepth 0 2>/dev/null)

    if ! "$ROOT/util/fuzz-run.sh" "$target" -max_total_time="$seconds" \
        "$corpus" "${given[@]}" >"$log" 2>&1 </dev/null
    then
        fuzz_finding "$target" "$log"
        return 1
    fi

    fuzz_merge "$target" "$log" "${given[@]}"
}


fuzz_finding()
{
    {
        say "$1: FOUND SOMETHING"
        grep -E 'not true|runtime error|ERROR:|SUMMARY:' "$2" | head -n 5 \
            || tail -n 5 "$2"
        sed -n 's|^artifact_prefix=.*Test unit written to |  input: |p' "$2"
        say "  log:   $2"
    } >&2
}


# Of what was kept, only what adds to the corpus in the repository remains.

fuzz_merge()
{
    local target=$1 log=$2 corpus=$FUZZ/corpus/$1 new=$FUZZ/merge/$1 file tried
    shift 2

    tried=$(sed -n \
        's/^#\([0-9]*\)\tDONE *cov: \([0-9]*\).*/\1 inputs tried, \2 edges/p' \
        "$log" | tail -n 1)

    rm -rf "$new"
    mkdir -p "$new"

    for file in "$@"; do
        cp "$file"/* "$new/" 2>/dev/null || true
    done

    "$ROOT/util/fuzz-run.sh" "$target" -merge=1 "$new" "$corpus" \
        >>"$log" 2>&1 </dev/null || { fuzz_finding "$target" "$log"; return 1; }

    for file in "$@"; do
        (cd "$file" && find . -type f -exec rm -f "$new/{}" \;)
    done

    rm -rf "$corpus"
    mv "$new" "$corpus"

    say "$target: $tried," \
        "$(find "$corpus" -type f | wc -l) inputs add to t/fuzz/corpus/$target"
}
