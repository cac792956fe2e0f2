# shellcheck shell=bash
# lint: house style, and what compilers and checkers say.

# shellcheck source=util/common.sh
. "$ROOT/util/common.sh"


help_lint()
{
    cat <<'END'
usage: ./build.sh lint

Checks all files but those below var/: 80 columns, no tabs, no white space
at line ends; C files of at most 800 lines, functions of at most 80, no
comments with two slashes; the core compiled alone by gcc and clang with
-pedantic -Wconversion -Werror; cppcheck and shellcheck where installed.
Exit 0 when there is nothing to say.
END
}


cmd_lint()
{
    [ $# -eq 0 ] || usage_error "lint takes no argument: \"$1\""

    local bad=0

    cd "$ROOT"
    lint_style || bad=1
    lint_core || bad=1
    lint_c || bad=1
    lint_shell || bad=1

    [ "$bad" = 0 ] || die "lint found something"
    say "lint found nothing"
}


# lint_files PATTERN...: the files of that name or path, but not below var/.

lint_files()
{
    local tests=() pattern

    for pattern in "$@"; do
        tests+=(-o -path "./$pattern")
    done

    find . \( -path ./var -o -path ./.git \) -prune \
        -o -type f \( "${tests[@]:1}" \) -print | sed 's|^\./||' | sort
}


lint_style()
{
    local files

    mapfile -t files < <(lint_files '*.c' '*.h' '*.sh' '*.pm' '*.py' '*.sql' \
                             '*.conf' '*.inc' config Makefile)
    # Test::Nginx files hold long requests and tokens: their columns are free
    mapfile -t -O ${#files[@]} files < <(lint_files 't/*/*.t')

    [ ${#files[@]} -eq 0 ] || LC_ALL=C awk -f util/style.awk "${files[@]}"
}


# Each file by itself: a header has to bring what it needs.

lint_core()
{
    local cc file bad=0

    for cc in gcc clang; do
        have "$cc" || continue
        for file in $(lint_files 'core/*.c' 'core/*.h'); do
            printf '#include "%s"\ntypedef int exam_lint_t;\n' "$file" \
                | "$cc" -std=c11 -pedantic -Wall -Wextra -Wconversion -Werror \
                    -Wmissing-prototypes -Wstrict-prototypes -O2 -I. \
                    -x c -c -o /dev/null - || bad=1
        done
    done

    return "$bad"
}


lint_c()
{
    have cppcheck || return 0

    local files

    mapfile -t files < <(lint_files 'core/*.c' 'service/*.c' \
                             'backend-worker/*.c' 'examctl/*.c')
    [ ${#files[@]} -gt 0 ] || return 0

    cppcheck -q --enable=warning,portability --std=c11 --error-exitcode=1 \
        --inline-suppr --suppress=missingIncludeSystem -Icore -Iservice \
        --template='{file}:{line}: {id}: {message}' "${files[@]}"
}


lint_shell()
{
    local bad=0 file

    for file in $(lint_files '*.sh' '.ci/run'); do
        bash -n "$file" || bad=1
    done

    have shellcheck || return "$bad"

    # variables that one part sets for another
    shellcheck -x -e SC2034 build.sh .ci/run || bad=1

    return "$bad"
}
