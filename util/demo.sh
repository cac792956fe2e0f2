# shellcheck shell=bash
# demo: exam 30 and one candidate who really records.

# shellcheck source=util/stack.sh
. "$ROOT/util/stack.sh"

DEMO_COUNT=500
DEMO_SHOWN=20


help_demo()
{
    cat <<'END'
usage: ./build.sh demo

Needs the running stack; `up` calls it.  Makes the demo exam (30, with 500
candidates) or opens it again when it is over.  One candidate logs in, beats,
uploads three recordings made by ffmpeg and waits until its heartbeats say that
they are stored, unless this candidate has stored recordings already.  Then
prints their rows of the database.
END
}


cmd_demo()
{
    [ $# -eq 0 ] || usage_error "demo takes no argument: \"$1\""

    local name
    for name in redis mysql worker nginx; do
        service_pid "$name" >/dev/null \
            || die "$(service_title "$name") does not run: ./build.sh up"
    done

    need_var
    lock_var
    URL=http://127.0.0.1:$(conf_port)
    demo
}


demo()
{
    demo_exam
    demo_candidate

    if [ "$(demo_stored)" = 0 ]; then
        demo_play
    fi

    demo_rows
    demo_next_steps
}


ctl() { "$VAR/bin/examctl" --config "$INI" "$@"; }


demo_exam()
{
    mkdir -p "$VAR/demo"

    if ! ctl exam show "$DEMO_EXAM" >/dev/null 2>&1; then
        step "demo exam $DEMO_EXAM with $DEMO_COUNT candidates"
        logged demo-exam ctl exam create "$DEMO_EXAM" --title "Demo exam" \
            --starts now --ends +3h || die "the demo exam cannot be made"
        rm -f "$DEMO_CODES"
    fi

    # codes are shown once: without the file all get new ones
    if [ ! -f "$DEMO_CODES" ]; then
        logged demo-roster ctl roster generate "$DEMO_EXAM" --force \
            --count "$DEMO_COUNT" --prefix S --codes "$DEMO_CODES" \
            || die "the demo roster cannot be made"
    fi

    if ! demo_open; then
        logged demo-open ctl exam open "$DEMO_EXAM" --ends +3h \
            || die "the demo exam cannot be opened"
    fi
}


# Open, and not over within the next minutes?

demo_open()
{
    ctl exam show "$DEMO_EXAM" --json | python -c '
import json, sys, time
exam = json.load(sys.stdin)
left = exam["ends_at"] / 1000 - time.time()
sys.exit(exam["state"] != "open" or left < 600)'
}


demo_stored()
{
    mysql_client -N "$DATABASE" -e "
        SELECT COUNT(*) FROM recordings
        WHERE exam = '$DEMO_EXAM' AND student = '$DEMO_STUDENT'"
}


demo_play()
{
    local dir=$VAR/demo

    demo_segment "$dir/screen-0.webm" testsrc2=size=640x360:rate=15 440
    demo_segment "$dir/camera-0.webm" smptebars=size=320x240:rate=15 660

    # as browsers write it: not seekable, so there is no duration in front
    demo_segment "$dir/screen-1.webm" testsrc2=size=640x360:rate=15 550 live

    step "candidate $DEMO_STUDENT sits the exam"
    python "$ROOT/util/candidate.py" "$URL" "$DEMO_EXAM" "$DEMO_STUDENT" \
        "$DEMO_CODE" screen:0:"$dir/screen-0.webm" \
        camera:0:"$dir/camera-0.webm" screen:1:"$dir/screen-1.webm" \
        || die "the demo candidate failed; see var/log/error.log and" \
               "var/log/worker.log"
}


# demo_segment FILE PICTURE FREQUENCY [live]: four seconds with sound.

demo_segment()
{
    [ ! -f "$1" ] || return 0

    step "${1##*/}: a recording made by ffmpeg"

    logged ffmpeg demo_ffmpeg "$@" || die "ffmpeg cannot make \"$1\""
    mv "$1.new" "$1"
}


demo_ffmpeg()
{
    local make=(ffmpeg -v error -nostdin -f lavfi -i "$2"
                -f lavfi -i "sine=frequency=$3" -t 4
                -c:v libvpx -deadline realtime -cpu-used 8 -b:v 400k
                -c:a libopus -b:a 48k -f webm)

    if [ "${4:-}" = live ]; then
        "${make[@]}" -live 1 pipe:1 | cat > "$1.new"
    else
        "${make[@]}" -y "$1.new"
    fi
}


demo_rows()
{
    local more

    step "recordings of candidate $DEMO_STUDENT in MySQL"

    mysql_client -N --raw "$DATABASE" -e "
        SELECT CONCAT('    ', kind, ' ', n, '  ',
            CASE
            WHEN playable THEN CONCAT_WS('  ',
                NULLIF(CONCAT_WS('/', video_codec, audio_codec), ''),
                CONCAT(width, 'x', height),
                CONCAT(ROUND(media_ms / 1000, 1), ' s'))
            WHEN playable IS NULL THEN 'not probed'
            ELSE 'not playable'
            END,
            '  ', bytes, ' bytes\n',
            '        sha256 ', LOWER(HEX(sha256)), '\n',
            '        $VAR/recordings/', path)
        FROM recordings
        WHERE exam = '$DEMO_EXAM' AND student = '$DEMO_STUDENT'
        ORDER BY kind, n, id LIMIT $DEMO_SHOWN"

    more=$(($(demo_stored) - DEMO_SHOWN))
    [ "$more" -le 0 ] || say "    and $more more"
}


demo_next_steps()
{
    cat <<END

The exam runs at $URL.  Next:

  ./build.sh status                      what is running
  ./build.sh test                        all tests
  var/bin/examctl exam list              exams; see examctl --help
  var/bin/examctl recordings $DEMO_EXAM          what was stored
  ffplay var/recordings/PATH             play one
  curl -s $URL/status

END

    # to be pasted: no line goes on in the next
    cat <<'END'
Log in as the demo candidate (all codes: var/demo/codes.csv):

  eval "$(./build.sh env)"
  who="\"exam\":\"$DEMO_EXAM\",\"student\":\"$DEMO_STUDENT\""
  curl -s -d "{$who,\"code\":\"$DEMO_CODE\"}" "$URL/api/v1/login"

./build.sh down stops everything; the data stay.
END
}
