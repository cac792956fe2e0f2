# shellcheck shell=bash
# The running stack below var/: finding, starting and stopping Redis, MariaDB,
# exam-worker and nginx.  A process is ours when its program and its working
# directory say so; a pid file alone proves nothing.

CONF=$VAR/nginx.conf
INI=$VAR/exam.ini
REDIS_SOCKET=$VAR/redis.sock
MYSQL_SOCKET=$VAR/mysql.sock
NODE=n1
DATABASE=exam

DEMO_EXAM=30
DEMO_CODES=$VAR/demo/codes.csv


service_title()
{
    case $1 in
    redis) echo Redis ;;
    mysql) echo MariaDB ;;
    worker) echo exam-worker ;;
    nginx) echo nginx ;;
    esac
}


# Program files and working directories of all processes whose program is
# that of the service and whose directory lies in var/: pids, lowest first.

service_processes()
{
    local program

    case $1 in
    redis) program='redis-[a-z-]+' ;;
    mysql) program='mariadbd|mysqld' ;;
    worker) program='exam-worker' ;;
    nginx) program='nginx' ;;
    esac

    # processes end while they are listed
    { find /proc -maxdepth 2 \( -name exe -o -name cwd \) \
        -printf '%h\t%f\t%l\n' 2>/dev/null || true; } \
        | awk -F '\t' -v var="$VAR" -v program="/($program)( [(]deleted[)])?$" '
            $2 == "exe" && $3 ~ program { exe[$1] = 1 }
            $2 == "cwd" && ($3 == var || index($3, var "/") == 1) {
                cwd[$1] = 1
            }
            END {
                for (p in exe) {
                    if (p in cwd) { print substr(p, 7) }
                }
            }' | sort -n
}


# service_pid NAME: the pid of the running service; fails when there is none.

service_pid()
{
    local pid

    pid=$(head -n 1 "$VAR/run/$1.pid" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ ]] || return 1

    service_processes "$1" | grep -x "$pid"
}


# started NAME command...: in var/, off the terminal, without our lock.

started()
{
    local log=$LOG/$1.log
    shift

    (
        cd "$VAR"
        setsid nohup "$@" >>"$log" 2>&1 </dev/null 9>&- &
    )
}


# wait_until SECONDS TEXT command...: a line every five seconds.

wait_until()
{
    local seconds=$1 text=$2 n=0
    shift 2

    until "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        [ "$n" -lt $((seconds * 10)) ] || return 1
        [ $((n % 50)) != 0 ] || step "$text: $((n / 10)) s"
        sleep 0.1
    done
}


show_log()
{
    {
        say "---- the end of $1:"
        tail -n 15 "$1" || true
        say "----"
    } >&2
}


no_processes() { [ -z "$(service_processes "$1")" ]; }


# stop_service NAME SECONDS SIGNAL...: each signal in turn, to the parent
# first, until nothing is left of the service; KILL at last.

stop_service()
{
    local name=$1 seconds=$2 signal pids
    shift 2

    for signal in "$@" KILL; do
        pids=$(service_pid "$name" || service_processes "$name")
        [ -n "$pids" ] || break

        # shellcheck disable=SC2086
        kill "-$signal" $pids 2>/dev/null || true

        wait_until "$seconds" "waiting for $(service_title "$name") to end" \
            no_processes "$name" && break
    done

    no_processes "$name" || die "$(service_title "$name") does not end"
    rm -f "$VAR/run/$name.pid"
}


# What a killed parent left behind (nginx's workers keep its port) has to go
# before the next start.

clear_leftovers()
{
    no_processes "$1" && return 0

    note "ending what is left of an earlier $(service_title "$1")"
    stop_service "$1" 10 QUIT TERM
}


# ---- Redis

redis_cli() { redis-cli -s "$REDIS_SOCKET" "$@"; }

redis_ready() { [ "$(redis_cli ping 2>/dev/null)" = PONG ]; }


start_redis()
{
    step "Redis"
    clear_leftovers redis
    mkdir -p "$VAR/redis"

    started redis redis-server --port 0 \
        --unixsocket "$REDIS_SOCKET" --unixsocketperm 700 \
        --dir "$VAR/redis" --pidfile "$VAR/run/redis.pid" --daemonize no \
        --appendonly yes --appendfsync everysec --save '' \
        --maxmemory-policy noeviction

    wait_until 60 "Redis reads its data" redis_ready || {
        show_log "$LOG/redis.log"
        die "Redis does not start"
    }
}


# ---- MariaDB

mysql_client() { mariadb --no-defaults -uroot -S "$MYSQL_SOCKET" "$@"; }

mysql_ready()
{
    mariadb-admin --no-defaults -uroot -S "$MYSQL_SOCKET" ping
}


start_mysql()
{
    local user=() server=mariadbd

    step "MariaDB"
    clear_leftovers mysql

    [ "$(id -u)" != 0 ] || user=(--user=root)
    have mariadbd || server=/usr/sbin/mariadbd

    # its own: a MariaDB that starts removes the temporary tables of others
    mkdir -p "$VAR/run/mysql-tmp"

    if [ ! -d "$VAR/mysql" ]; then
        rm -rf "$VAR/mysql.new"
        # --force: it need not find this machine's name, a bare one has no
        # /etc/hosts
        logged mysql-install mariadb-install-db --no-defaults --force \
            "${user[@]}" --datadir="$VAR/mysql.new" --skip-test-db \
            --tmpdir="$VAR/run/mysql-tmp" \
            --auth-root-authentication-method=normal \
            || die "MariaDB's data folder cannot be made"
        mv "$VAR/mysql.new" "$VAR/mysql"
    fi

    # durable: an acknowledged row is on the disk
    started mysql "$server" --no-defaults "${user[@]}" \
        --datadir="$VAR/mysql" --socket="$MYSQL_SOCKET" \
        --tmpdir="$VAR/run/mysql-tmp" \
        --pid-file="$VAR/run/mysql.pid" --skip-networking --skip-log-bin \
        --innodb-flush-log-at-trx-commit=1 --innodb-doublewrite=1 \
        --innodb-buffer-pool-size=128M --character-set-server=utf8mb4 \
        --sql-mode=TRADITIONAL --skip-name-resolve --max-connections=100

    wait_until 120 "MariaDB starts" mysql_ready || {
        show_log "$LOG/mysql.log"
        die "MariaDB does not start"
    }

    mysql_client -e "CREATE DATABASE IF NOT EXISTS $DATABASE
                     CHARACTER SET utf8mb4"
}


# ---- exam-worker

worker_ready()
{
    service_pid worker && [ -n "$(redis_cli hget "exam:worker:$NODE" state)" ]
}


start_worker()
{
    step "exam-worker"
    clear_leftovers worker

    # an old report must not pass for the new one's
    redis_cli del "exam:worker:$NODE" >/dev/null
    started worker "$VAR/bin/exam-worker" --config "$INI"

    wait_until 30 "exam-worker starts" worker_ready || {
        show_log "$LOG/worker.log"
        die "exam-worker does not start"
    }
}


# ---- nginx

conf_port()
{
    [ -f "$CONF" ] || return 0

    sed -n 's/^ *listen  *\([0-9][0-9]*\).*/\1/p' "$CONF" \
        | head -n 1
}


nginx_ready()
{
    service_pid nginx && curl -sf -o /dev/null --max-time 2 "$URL/ready"
}


start_nginx()
{
    step "nginx"
    clear_leftovers nginx
    need_port "$PORT"

    started nginx "$VAR/bin/nginx" -p "$VAR/" -c "$CONF"

    wait_until 30 "nginx starts" nginx_ready || {
        show_log "$LOG/nginx.log"
        show_log "$LOG/error.log"
        die "nginx does not start"
    }
}


reload_nginx()
{
    step "nginx reads its changed configuration"
    kill -HUP "$(service_pid nginx)"

    wait_until 30 "nginx reads its configuration" nginx_ready || {
        show_log "$LOG/error.log"
        die "nginx does not answer at $URL"
    }
}


# The sockets that listen on a TCP port: their inodes.

port_sockets()
{
    local hex
    hex=$(printf '%04X' "$1")

    awk -v port="$hex" '$4 == "0A" && $2 ~ ":" port "$" { print $10 }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}


# Says who has the port and what to do.

need_port()
{
    local inodes pid who="another process" next=$(($1 + 1))

    inodes=$(port_sockets "$1" | sort -u)
    [ -n "$inodes" ] || return 0

    pid=$(find /proc -maxdepth 3 -path '*/fd/*' -printf '%h %l\n' 2>/dev/null \
          | awk -v inodes="$inodes" '
                BEGIN { n = split(inodes, i) }
                {
                    for (k = 1; k <= n; k++) {
                        if ($2 == "socket:[" i[k] "]") {
                            split($1, p, "/"); print p[3]; exit
                        }
                    }
                }' || true)

    [ -z "$pid" ] || who="process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" \
                                          | cut -c 1-60))"

    die "port $1 is taken by $who; stop that, or choose another port:" \
        "PORT=$next ./build.sh up"
}


# ---- the demo exam

# DEMO_STUDENT and DEMO_CODE: the first row of the codes.

demo_candidate()
{
    DEMO_STUDENT=$(awk -F , 'NR == 2 { print $1 }' "$DEMO_CODES" \
                   2>/dev/null || true)
    DEMO_CODE=$(awk -F , 'NR == 2 { print $NF }' "$DEMO_CODES" \
                2>/dev/null | tr -d '"\r' || true)
}
