# shellcheck shell=bash
# test --list-protocol: which test shows what clients are promised?

# An id of t/protocol.ids has the tests whose name begins with it:
#
#   subtest 'T07: HEAD tells offset, length and no-store' => sub {
#
# and the breakages of t/mutations whose head names it: "# proves: T07 C03".


list_protocol()
{
    local ids=$ROOT/t/protocol.ids file

    (
        cd "$ROOT" || exit 1

        for file in t/*.t t/*/*.t; do
            sed -nE "s|^ *subtest '([A-Z][0-9]+): ([^']*).*|\1\t\2|p" "$file" \
                | sed "s|^|test\t$file\t|"
        done

        for file in t/mutations/*.sed; do
            sed -nE 's/^# proves: *//p' "$file" | tr ' ' '\n' \
                | sed -nE "s|^([A-Z][0-9]+)\$|proof\t\1\t${file##*/}|p"
        done
    ) | awk -F '\t' -v ids="$ids" '
        $1 == "test" {
            tests[$3] = tests[$3] "  " $2 ": " $3 ": " $4 "\n"
            used[$3] = 1
        }
        $1 == "proof" {
            proofs[$2] = proofs[$2] "  broken by " $3 "\n"
            used[$2] = 1
        }
        END {
            while ((getline line < ids) > 0) {
                if (line !~ /^[A-Z][0-9]+ /)
                    continue

                id = substr(line, 1, index(line, " ") - 1)
                known[id] = 1
                n++

                proven += (id in proofs)

                print line
                printf "%s%s", tests[id], proofs[id]

                if (id in tests) with++
                else missing = missing " " id
            }

            for (id in used)
                if (!(id in known))
                    strange = strange " " id

            printf "# %d promises, %d with a test, %d proven by a breakage\n",
                n, with, proven

            if (missing) print "# without a test:" missing
            if (strange) print "# not in t/protocol.ids:" strange

            exit (missing || strange || n == 0)
        }'
}
