# shellcheck shell=bash
# test: all tests under one prove.

# shellcheck source=util/build.sh
. "$ROOT/util/build.sh"
# shellcheck source=util/fuzz.sh
. "$ROOT/util/fuzz.sh"
# shellcheck source=util/prove.sh
. "$ROOT/util/prove.sh"
# shellcheck source=util/clients.sh
. "$ROOT/util/clients.sh"


help_test()
{
    cat <<'END'
usage: ./build.sh test [--dynamic] [--asan] [--clang] [PART|FILE...]
       ./build.sh test valgrind
       ./build.sh test fault [--minutes N]
       ./build.sh test mutations [NAME...]
       ./build.sh test --list-protocol

Builds and runs tests; exit 0 when all passed.  Up to 5 files that fail among
others are run once more, one at a time; those that then pass are named in the
last lines, and what all said before is in var/test/first.log.  There is no
second run for what searches by chance (t/fuzz, the storm), nor after a crash or
a sanitizer's report.
Every test has servers of its own on free ports; a running stack stays as it
is.

Parts are the folders below t/ and these:

  nginx     t/*.t: the module, with Test::Nginx
  unit      t/unit: C programs
  core      the core compiled alone, gcc and clang, all warnings
  lint      what ./build.sh lint does

Without parts: everything with the static module and gcc; then nginx and unit
with the dynamic module and clang; then everything but t/build and t/fuzz
under AddressSanitizer and UBSan.

  --dynamic   the module is loaded with load_module
  --asan      sanitizers, nginx's pools in debug mode
  --clang     compiled by clang

`fault` by itself runs all of t/fault: more crash points than the test of
everything has time for, errors at them, and a random storm of a minute:
processes killed and stopped, Redis emptied, the disk full or slow, nginx
reloaded and replaced, clients that vanish, hang, crawl and lie.

  --minutes N   a storm of N minutes, with at least N/2 faults of each kind and
                250 N acknowledgements; from 20 on Redis is away for 5 minutes
                under 1,000 candidates, too, and MySQL for 10
  EXAM_SEED=N   the faults of the storm that printed this seed, in their order

A storm that finds something keeps its folder and names it.

`mutations` breaks the code in a copy of the tree, one rule after the other
(t/mutations/*.sed), and shows that the test named there turns red.  It takes
long and is no part of the above.

`clients` runs uploads by clients of others: curl, Python's requests,
tus-js-client in Node.js, and that and Uppy in Chromium.  Chromium is
installed from Debian, the others from npm's registry into var/clients.

  EXAM_NO_BROWSER=1   nothing is installed for them; tests of what is not
                      there are left out instead of failing
  EXAM_CHROMIUM=FILE  another Chromium than the installed one

`--list-protocol` runs nothing: it prints what clients of resumable uploads are
promised (t/protocol.ids), with the tests of each and the breakages that prove
them; exit 1 when something promised has no test.

`valgrind` runs the files that consist of Test::Nginx's blocks under valgrind;
any report is a failure.

  JOBS=2      how many tests run at a time, besides a search of t/fuzz
  EXAM_FUZZ_SECONDS=60    for each target of t/fuzz, at most 800
  TEST_NGINX_USE_HUP=1, TEST_NGINX_USE_VALGRIND=1, ...: see Test::Nginx
END
}


cmd_test()
{
    local base=static compiler=${CC:-gcc} chosen=no parts=() minutes=''

    while [ $# -gt 0 ]; do
        case $1 in
        --dynamic | --asan) base=${1#--}; chosen=yes ;;
        --clang) compiler=clang; chosen=yes ;;
        --minutes)
            [ $# -gt 1 ] || usage_error "--minutes takes a number"
            minutes=$2
            shift
            ;;
        --minutes=*) minutes=${1#*=} ;;
        mutations) shift; test_mutations "$@"; return ;;
        --list-protocol) test_list_protocol; return ;;
        valgrind) shift; test_valgrind "$@"; return ;;
        -*) usage_error "unknown option \"$1\"" ;;
        *)
            check_part "$1"
            parts+=("$1")
            # asked for by name, it takes its time: every scenario and state
            [ "$1" != fault ] || export EXAM_FAULT=1
            ;;
        esac
        shift
    done

    LIMIT=900
    case " ${parts[*]} " in
    *" fault "*) need_long "$minutes" ;;
    *) [ -z "$minutes" ] || usage_error "--minutes is of the part fault" ;;
    esac

    need_var
    lock_made
    need_deps
    need_test_nginx
    rm -rf "$MADE/test"

    TESTS=()

    if [ "$chosen" = no ] && [ ${#parts[@]} -eq 0 ]; then
        add_run static gcc "$(all_parts)"
        add_run dynamic clang "unit nginx"
        add_run asan gcc "$(all_parts | grep -vxE 'build|fuzz')"
    else
        [ ${#parts[@]} -gt 0 ] || mapfile -t parts < <(all_parts)
        add_run "$base" "$compiler" "${parts[*]}"
    fi

    [ ${#TESTS[@]} -gt 0 ] || die "no test there"

    unlock_made
    cd "$ROOT"
    prove_all
}


# need_long MINUTES: part fault chosen by name, with whatever takes long.

need_long()
{
    local minutes=$1

    export EXAM_FAULT=1
    LIMIT=3600

    [ -n "$minutes" ] || return 0

    [[ $minutes =~ ^[1-9][0-9]{0,3}$ ]] \
        || usage_error "\"$minutes\" is no number of minutes"

    export EXAM_STORM_MINUTES=$minutes
    LIMIT=$((minutes * 120 + 3600))

    if [ "$minutes" -ge 20 ]; then
        export EXAM_AWAY_SECONDS=${EXAM_AWAY_SECONDS:-300}
        export EXAM_AWAY_CANDIDATES=${EXAM_AWAY_CANDIDATES:-1000}
    fi
}


# Each block starts its own nginx under valgrind, which speaks on stderr.

test_valgrind()
{
    local file bad=0 log=$MADE/log/valgrind.log

    [ $# -eq 0 ] || usage_error "valgrind takes no argument: \"$1\""
    have valgrind || die "valgrind is not installed (Debian: valgrind)"

    need_var
    lock_made
    need_deps
    need_test_nginx
    build_flavour static
    unlock_made

    cd "$ROOT"
    export EXAM_ROOT=$ROOT EXAM_BIN=$BUILD/bin EXAM_FLAVOUR=static
    export TEST_NGINX_BINARY=$BUILD/bin/nginx
    export TEST_NGINX_USE_VALGRIND=1 TEST_NGINX_SLEEP=1

    for file in $(grep -l 'use Test::Nginx::Socket' t/*.t); do
        step "$file under valgrind"

        prove "$file" >"$log" 2>&1 </dev/null || bad=1

        if grep -qE '^==[0-9]+==' "$log" || [ "$bad" = 1 ]; then
            grep -vE '(WARNING|emerg)' "$log" | tail -n 60 >&2
            die "$file: valgrind or a test complains, see \"$log\""
        fi
    done

    say "valgrind has nothing to report"
}


test_list_protocol()
{
    # shellcheck source=util/protocol.sh
    . "$ROOT/util/protocol.sh"

    list_protocol
}


test_mutations()
{
    # shellcheck source=util/mutations.sh
    . "$ROOT/util/mutations.sh"

    need_var
    lock_made
    need_deps
    need_test_nginx
    unlock_made
    run_mutations "$@"
}


# unit, nginx, then the other folders.

all_parts()
{
    local folder

    echo unit
    echo nginx

    for folder in "$ROOT"/t/*/; do
        folder=$(basename "$folder")
        [ "$folder" = unit ] || [ -z "$(part_files "$folder")" ] \
            || echo "$folder"
    done
}


check_part()
{
    case $1 in
    core | lint | unit | nginx) return 0 ;;
    */* | *.t)
        [ -f "$ROOT/$1" ] || usage_error "no test file \"$1\""
        ;;
    *)
        [ -n "$(part_files "$1")" ] \
            || usage_error "unknown part \"$1\"; there are core lint $(
                all_parts | tr '\n' ' ')"
        ;;
    esac
}


# The test files of a part, relative to the root.

part_files()
{
    local glob file

    case $1 in
    core) glob=t/build/*-core.t ;;
    lint) glob=t/build/*-lint.t ;;
    nginx) glob=t/*.t ;;
    */* | *.t) glob=$1 ;;
    *) glob=t/$1/*.t ;;
    esac

    for file in "$ROOT"/$glob; do
        [ ! -f "$file" ] || printf '%s\n' "${file#"$ROOT"/}"
    done
}


# add_run BASE COMPILER "PART...": builds and adds to TESTS.

add_run()
{
    local part file target targets
    local CC=$2

    build_flavour "$1"

    for part in $3; do
        if [ "$part" = unit ]; then
            build_units
            for file in $(make -s -C "$ROOT" CC="$CC" FLAVOUR="$FLAVOUR" \
                              BUILD="var/build/$FLAVOUR" list-units)
            do
                add_test "unit/${file##*/}.t" "./$file"
            done
        fi

        case $part in
        fuzz | t/fuzz/*) mapfile -t targets < <(fuzz_targets)
                         build_fuzz "${targets[@]}" ;;
        clients | t/clients/*) need_clients ;;
        esac

        for file in $(part_files "$part"); do
            if [ "$file" = t/fuzz/020-search.t ]; then
                for target in "${targets[@]}"; do
                    add_test "fuzz/020-search-$target.t" "perl $file $target"
                done
            else
                add_test "${file#t/}" "perl $file"
            fi
        done
    done
}


build_units()
{
    local make=(make -C "$ROOT" CC="$CC" FLAVOUR="$FLAVOUR"
                BUILD="var/build/$FLAVOUR" unit)

    "${make[@]}" -q >/dev/null 2>&1 && return 0

    step "unit tests ($FLAVOUR)"
    logged "unit-$FLAVOUR" "${make[@]}" -j "$JOBS" \
        || die "the unit tests do not compile"
}


# One prove for all flavours needs a name for each test in each flavour: a
# script in var/test/FLAVOUR that sets the environment and runs the test.

add_test()
{
    local script=$MADE/test/$FLAVOUR/$1 module=

    [ ! -f "$BUILD/bin/ngx_http_exam_module.so" ] \
        || module=$BUILD/bin/ngx_http_exam_module.so

    mkdir -p "${script%/*}"

    cat > "$script" <<END
#!/bin/sh
cd '$ROOT' || exit 1
export EXAM_ROOT='$ROOT' EXAM_BIN='$BUILD/bin' EXAM_FLAVOUR='$FLAVOUR'
export EXAM_NGINX_TREE='$NGINX_TREE' EXAM_CC='$CC'
export TEST_NGINX_BINARY='$BUILD/bin/nginx' TEST_NGINX_RANDOMIZE=1
export TEST_NGINX_LOAD_MODULES='$module'
exec timeout -k 20 $LIMIT $2
END
    chmod +x "$script"
    TESTS+=("${script#"$ROOT"/}")
}
