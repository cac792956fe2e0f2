# shellcheck shell=bash
# test mutations: does breaking a rule turn its test red?

# A mutation is a sed script t/mutations/NNN-name.sed.  Its head says in
# comments what is broken, in which file, and which test must notice:
#
#   # the client is told before the data are synced
#   # file: ngx_exam_module/ngx_http_exam_writer.c
#   # test: t/320-put-disk.t           (or unit/NAME)
#
# All of it happens in a copy of the tree, var/mutations/tree.

MUTATIONS=$ROOT/t/mutations


# run_mutations [NAME...]

run_mutations()
{
    local files=() file name bad=0 n=0 start=$SECONDS

    mapfile -t files < <(mutation_files "$@")
    [ ${#files[@]} -gt 0 ] || die "no mutation there"
    have git || die "git is not installed: it tells what is of the tree"

    MUTANT=$MADE/mutations/tree
    mutant_tree

    for file in "${files[@]}"; do
        name=$(basename "$file" .sed)
        n=$((n + 1))

        if mutation_caught "$file"; then
            say "ok $n - $name: $(mutation_title "$file")"
            mutant_why
        else
            say "not ok $n - $name: $(mutation_title "$file")"
            sed 's/^/# /' <<<"$WHY"
            bad=$((bad + 1))
        fi
    done

    say "1..$n"
    say "# $((n - bad)) of $n breakages turned their test red" \
        "($((SECONDS - start)) s)"

    [ "$bad" = 0 ]
}


# The files of the names given, or all; in order.

mutation_files()
{
    local name file

    if [ $# -eq 0 ]; then
        for file in "$MUTATIONS"/*.sed; do
            [ ! -f "$file" ] || printf '%s\n' "$file"
        done
        return 0
    fi

    for name in "$@"; do
        file=$MUTATIONS/$(basename "$name" .sed).sed
        [ -f "$file" ] || usage_error "no mutation \"$name\""
        printf '%s\n' "$file"
    done
}


mutation_title() { sed -n '1s/^# *//p' "$1"; }

mutation_field() { sed -n "s/^# $2: *//p" "$1" | head -n 1; }


# The tree as it is now, built once; what lies below its var/ stays from the
# last time, so that little is compiled.

mutant_tree()
{
    local file

    step "copying and building the tree"
    mkdir -p "$MUTANT/var"

    (cd "$ROOT" && git ls-files -co --exclude-standard) > "$MUTANT.list"

    # what is no longer in the tree
    while read -r file; do
        [ -f "$ROOT/$file" ] || rm -f "$MUTANT/$file"
    done < <(cd "$MUTANT" && find . -path ./var -prune -o -type f -print)

    # only what differs: a newer time would compile all of it again
    while read -r file; do
        mutant_restore "$file"
    done < "$MUTANT.list"

    [ -e "$MUTANT/var/src" ] || cp -r "$MADE/src" "$MUTANT/var/src"

    "$MUTANT/build.sh" build > "$MUTANT.log" 2>&1 \
        || { tail -n 25 "$MUTANT.log" >&2; die "the tree does not build"; }
}


mutant_restore()
{
    [ -f "$ROOT/$1" ] || return 0
    cmp -s "$ROOT/$1" "$MUTANT/$1" && return 0

    mkdir -p "$MUTANT/$(dirname "$1")"
    cp "$ROOT/$1" "$MUTANT/$1"
    [ ! -x "$ROOT/$1" ] || chmod +x "$MUTANT/$1"
}


# True when the test is green without the mutation and red with it; else WHY.

mutation_caught()
{
    local file test result=1

    file=$(mutation_field "$1" file)
    test=$(mutation_field "$1" test)

    if [ -z "$file" ] || [ ! -f "$ROOT/$file" ] || [ -z "$test" ]; then
        WHY="the head must name an existing file and a test"
        return 1
    fi

    if ! mutant_green "$test"; then
        WHY=$(printf '%s\n' "$test is red without it:" \
                  "$(tail -n 15 "$MUTANT.log")")
        return 1
    fi

    sed -i -f "$1" "$MUTANT/$file"

    if cmp -s "$ROOT/$file" "$MUTANT/$file"; then
        WHY="it changes nothing in $file"

    elif ! mutant_build; then
        WHY=$(printf '%s\n' "it does not compile:" \
                  "$(tail -n 15 "$MUTANT.log")")

    elif mutant_run "$test"; then
        WHY="$test stays green"

    else
        result=0
    fi

    cp "$ROOT/$file" "$MUTANT/$file"

    return "$result"
}


# Each test once: what was green stays so, the tree does not change.

mutant_green()
{
    case " ${GREEN:-} " in
    *" $1 "*) return 0 ;;
    esac

    mutant_build && mutant_run "$1" || return 1
    GREEN="${GREEN:-} $1"
}


# What the test said first, for whoever asks whether that is the point.

mutant_why()
{
    grep -m 1 -E "^ *# *Failed test '|^ *Failed tests?: " "$MUTANT.log" \
        | sed "s/^ *#* */#   /" || true
}


mutant_build() { "$MUTANT/build.sh" build > "$MUTANT.log" 2>&1; }


# Red is a test's own word, its first one; the tools' trouble is not.

mutant_run()
{
    case $1 in
    unit/*)
        make -C "$MUTANT" FLAVOUR=static BUILD=var/build/static \
            "var/build/static/$1" > "$MUTANT.log" 2>&1 \
            && (cd "$MUTANT" && prove -e '' "./var/build/static/$1") \
                >> "$MUTANT.log" 2>&1
        ;;
    *)
        EXAM_FIRST=1 "$MUTANT/build.sh" test "$1" > "$MUTANT.log" 2>&1
        ;;
    esac
}
