# shellcheck shell=bash
# status: what is running.

# shellcheck source=util/stack.sh
. "$ROOT/util/stack.sh"


help_status()
{
    cat <<'END'
usage: ./build.sh status

One line for each part, and the main figures, as far as they are known while
a part is stopped.  Exit 0 when all run, else 1.

  recordings   rows in MySQL, and uploads that wait in the spool for
               exam-worker
END
}


cmd_status()
{
    [ $# -eq 0 ] || usage_error "status takes no argument: \"$1\""

    local name pid rc=0

    for name in redis mysql worker nginx; do
        if pid=$(service_pid "$name"); then
            status_row "$(service_title "$name")" "running  pid $pid"
        else
            status_row "$(service_title "$name")" stopped
            rc=1
        fi
    done

    # nothing was ever started
    [ -f "$CONF" ] || return 1

    URL=http://127.0.0.1:$(conf_port)
    status_row address "$URL"
    status_live || rc=1
    status_row recordings \
        "$(status_stored) stored, $(status_waiting) waiting in the spool"

    return "$rc"
}


status_row() { printf '%-12s %s\n' "$1" "$2"; }


# What nginx knows; fails when it does not answer.

status_live()
{
    local reply

    if ! reply=$(curl -sf --max-time 5 "$URL/status"); then
        status_row sessions unknown
        status_row uploads unknown
        note "nginx does not answer at $URL/status"
        return 1
    fi

    python -c '
import json, sys
s = json.load(sys.stdin)
rows = [
    ("sessions", "%s, %s online" % (s["sessions"], s["online_students"])),
    ("uploads", "%s under way" % s["active_uploads"]),
    ("degraded", ", ".join(s["degraded"]) or "nothing"),
]
for row in rows:
    print("%-12s %s" % row)
' <<<"$reply"
}


status_stored()
{
    mysql_client -N --connect-timeout=5 "$DATABASE" \
        -e 'SELECT COUNT(*) FROM recordings' 2>/dev/null \
        || echo "unknown number"
}


# Manifests that are not filed yet: those claimed wait in work/.

status_waiting()
{
    find "$VAR/spool/ready" "$VAR/spool/work" -name '*.info' 2>/dev/null \
        | wc -l || true
}
