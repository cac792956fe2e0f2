# House style, for awk -f: prints file:line: what; exit 1 when anything was
# printed.

function say(text)
{
    printf "%s:%d: %s\n", FILENAME, FNR, text
    bad = 1
}


function is_c()
{
    return FILENAME ~ /\.[ch]$/
}


FNR == 1 {
    start = 0
}

length($0) > 80 {
    say(length($0) " columns")
}

/\t/ && FILENAME !~ /Makefile$/ {
    say("tab")
}

/[ \t]$/ {
    say("white space at the end")
}

is_c() {
    code = $0
    gsub(/"([^"\\]|\\.)*"/, "", code)
    gsub(/\/\*.*\*\//, "", code)
    if (code ~ /\/\// && code !~ /^[ \/]\*/) {
        say("comment with two slashes")
    }
}

is_c() && FNR == 801 {
    say("more than 800 lines")
}

is_c() && /^\{/ {
    start = FNR
}

is_c() && /^\}/ && start {
    if (FNR - start > 81) {
        say("function of " FNR - start - 1 " lines")
    }
    start = 0
}

END {
    exit bad
}
