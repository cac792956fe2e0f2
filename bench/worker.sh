#!/usr/bin/env bash
# the worker: recordings a second from doorbell to row, rows a second

set -euo pipefail

usage()
{
    cat <<'END'
usage: ./build.sh bench worker [-- [--count N] [--students N] [--rows N]]

How fast uploads get from the stream to committed rows and stored files: small
ones (1 KB) without probing and with it, then the batched INSERT alone.  Redis,
MariaDB (innodb_flush_log_at_trx_commit=1) and the spool are private, below
var/bench, on the disk that is measured; the rate of fdatasync on it is printed
beside them, because every side-car costs one.

  --count N     uploads a run (6000)
  --students N  spread over so many (2000)
  --rows N      rows of the INSERT (102400)

Median of three runs each.  Result: var/bench/worker.json.  Exit 1 when a run
lost an upload, not when it was slow.
END
}

count=6000
students=2000
rows=102400

while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --count) count=$2; shift ;;
    --students) students=$2; shift ;;
    --rows) rows=$2; shift ;;
    *) echo "worker.sh: unknown argument \"$1\"" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=${EXAM_ROOT:-$(dirname "$here")}
bin=${EXAM_BIN:-$root/var/bin}
libs=$(dirname "$(readlink -f "$bin/exam-worker")")/..

mkdir -p "$root/var/bench"
dir=$(mktemp -d "$root/var/bench/worker.XXXXXX")
pids=()

# only what was started here, newest first; nothing is left behind

finish()
{
    local i

    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null || continue
        wait "${pids[i]}" 2>/dev/null || true
    done

    rm -rf "$dir"
}

trap finish EXIT
trap 'exit 1' INT TERM


# wait_until COMMAND...: at most 30 s

wait_until()
{
    local i

    for ((i = 0; i < 600; i++)); do
        if "$@" >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.05
    done

    echo "worker.sh: waited in vain for: $*" >&2
    return 1
}


sql()
{
    mariadb --no-defaults -uroot -S "$dir/my.sock" -N -B "$@"
}


compile()
{
    local packages=(hiredis yajl libcrypto mysqlclient)

    packages+=(libavformat libavcodec libavutil)

    # shellcheck disable=SC2046
    env -u LIBRARY_PATH "${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -Wall \
        -Wextra -I"$root/core" -I"$root/service" -I"$root/backend-worker" \
        $(pkg-config --cflags "${packages[@]}") -o "$dir/bench" \
        "$here/worker_bench.c" "$libs/libworker.a" "$libs/libservice.a" \
        "$libs/libcore.a" -Wl,--as-needed \
        $(pkg-config --libs "${packages[@]}") -lpthread
}


start_servers()
{
    local user=()

    [ "$(id -u)" != 0 ] || user=(--user=root)

    redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" \
        --save '' --appendonly yes --daemonize no >"$dir/redis.log" &
    pids+=($!)

    # its own: a MariaDB that starts removes the temporary tables of others
    mkdir "$dir/mysql-tmp"

    mariadb-install-db --no-defaults --force "${user[@]}" \
        --datadir="$dir/mysql" --tmpdir="$dir/mysql-tmp" \
        --auth-root-authentication-method=normal --skip-test-db \
        >"$dir/mysql.log" 2>&1
    PATH=$PATH:/usr/sbin mariadbd --no-defaults "${user[@]}" \
        --datadir="$dir/mysql" --socket="$dir/my.sock" \
        --tmpdir="$dir/mysql-tmp" \
        --pid-file="$dir/my.pid" --skip-networking --skip-log-bin \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=256M \
        --innodb-log-file-size=256M --character-set-server=utf8mb4 \
        >>"$dir/mysql.log" 2>&1 &
    pids+=($!)

    wait_until redis-cli -s "$dir/redis.sock" ping
    wait_until mariadb-admin --no-defaults -uroot -S "$dir/my.sock" ping

    sql -e 'CREATE DATABASE exam CHARACTER SET utf8mb4'
    cat "$root"/schema/*.sql | sql exam
}


# configure PROBE: exam.ini and an empty spool

configure()
{
    rm -rf "$dir/spool" "$dir/recordings"
    mkdir -p "$dir/spool"/{ready,work,bad,new} "$dir/recordings"

    cat >"$dir/exam.ini" <<END
[node]
name = b1
spool = spool
recordings = recordings
keys = keys
kinds = screen camera
[redis]
socket = redis.sock
[mysql]
socket = my.sock
user = root
database = exam
[worker]
probe = $1
verify = sample
log = worker.log
pid = worker.pid
END
}


# run PROBE FILE: recordings a second, of one run

run()
{
    local worker seconds stored

    configure "$1"
    sql exam -e 'TRUNCATE recordings'
    redis-cli -s "$dir/redis.sock" flushall >/dev/null

    "$dir/bench" fill "$dir/exam.ini" "$count" "$students" "$2"

    "$bin/exam-worker" --config "$dir/exam.ini" &
    worker=$!
    pids+=("$worker")
    wait_until grep -q 'redis was empty' "$dir/worker.log"

    seconds=$("$dir/bench" ring "$dir/exam.ini")

    kill "$worker"
    wait "$worker"
    unset 'pids[-1]'
    rm -f "$dir/worker.log"

    stored=$(find "$dir/recordings" -name '*.webm' | wc -l)
    if [ "$stored" != "$count" ] \
        || [ "$(sql exam -e 'SELECT COUNT(*) FROM recordings')" != "$count" ]
    then
        echo "worker.sh: of $count uploads $stored were stored" >&2
        exit 1
    fi

    awk -v n="$count" -v s="$seconds" 'BEGIN { printf "%.0f\n", n / s }'
}


insert()
{
    sql exam -e 'TRUNCATE recordings'
    "$dir/bench" insert "$dir/exam.ini" "$rows"
}


median() { sort -n | sed -n 2p; }


three()
{
    local i

    for i in 1 2 3; do
        "$@"
    done | median
}


compile
start_servers

head -c 1024 /dev/urandom >"$dir/plain"
ffmpeg -nostdin -v error -f lavfi -i testsrc=size=32x32:rate=5:duration=0.4 \
    -c:v libvpx -b:v 8k -f webm -y "$dir/video.webm"

mkdir "$dir/sync"
sync1=$(three "$dir/bench" sync "$dir/sync" 2000 1)
sync8=$(three "$dir/bench" sync "$dir/sync" 4000 8)
plain=$(three run off "$dir/plain")
probed=$(three run on "$dir/video.webm")
inserted=$(three insert)

# line TEXT RATE [GOAL]

line() { printf '%-40s %8d %10s\n' "$1" "$2" "${3:-}"; }

echo "worker: $count uploads of $students students, median of three"
printf '%-40s %8s %10s\n' '' 'a second' 'at least'
line 'probe off, 1 KB: stream to row and file' "$plain" 1000
line "probe on, $(stat -c %s "$dir/video.webm") bytes of VP8" "$probed" 200
line 'batched INSERT alone, 256 rows each' "$inserted" 30000
line 'fdatasync of this disk, one thread' "$sync1"
line 'fdatasync of this disk, eight threads' "$sync8"

cat >"$root/var/bench/worker.json" <<END
{"count":$count,"students":$students,"rows":$rows,"cpus":$(nproc),
"recordings_per_s":{"probe_off":$plain,"probe_on":$probed},
"insert_rows_per_s":$inserted,
"fdatasync_per_s":{"threads_1":$sync1,"threads_8":$sync8},
"goal":{"probe_off":1000,"probe_on":200,"insert_rows_per_s":30000}}
END
echo "written: var/bench/worker.json"
