# shellcheck shell=bash
# status: what is running.

# shellcheck source=util/stack.sh
. "$ROOT/util/stack.sh"


help_status()
{
    cat <<'END'
usage: ./build.sh status

One line for each part, and the main figures.  Exit 0 when all run, else 1.
END
}


cmd_status()
{
    [ $# -eq 0 ] || usage_error "status takes no argument: \"$1\""

    local name pid dead=0

    for name in redis mysql worker nginx; do
        if pid=$(service_pid "$name"); then
            printf '%-12s running  pid %s\n' "$(service_title "$name")" "$pid"
        else
            printf '%-12s stopped\n' "$(service_title "$name")"
            dead=1
        fi
    done

    [ "$dead" = 0 ] || return 1

    URL=http://127.0.0.1:$(conf_port)
    printf '%-12s %s\n' address "$URL"

    curl -sf --max-time 5 "$URL/status" | python -c '
import json, sys
s = json.load(sys.stdin)
w = s.get("worker") or {}
rows = [
    ("sessions", "%s, %s online" % (s["sessions"], s["online_students"])),
    ("uploads", "%s under way" % s["active_uploads"]),
    ("recordings", "%s stored, %s waiting in the spool"
     % (w.get("stored_total"), s["spool"]["ready"])),
    ("degraded", ", ".join(s["degraded"]) or "nothing"),
]
for row in rows:
    print("%-12s %s" % row)
' || die "nginx does not answer at $URL/status"
}
