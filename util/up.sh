# shellcheck shell=bash
# up: the whole stack, running below var/.

# shellcheck source=util/build.sh
. "$ROOT/util/build.sh"
# shellcheck source=util/stack.sh
. "$ROOT/util/stack.sh"
# shellcheck source=util/demo.sh
. "$ROOT/util/demo.sh"


help_up()
{
    cat <<'END'
usage: [PORT=8080] ./build.sh up

Installs what is missing, builds, and starts Redis, MariaDB, exam-worker and
nginx below var/, as the user who calls it.  Then the demo: exam 30 with 500
candidates, one of whom uploads recordings.

On a running stack it starts only what is dead, keeps all data, and takes
seconds.  ./build.sh down stops it; var/ holds everything: configuration
(nginx.conf, exam.ini), logs, data.

var/nginx.conf is made of nginx-conf/single.conf, and again when that changes,
until you edit it: then it is yours.

  PORT=8080     where nginx listens; kept until another is given
  EXAM_VAR=DIR  another folder than var/ for a second stack (all commands)
  CC, NGINX_VERSION, NGINX_SRC: see ./build.sh build --help
END
}


cmd_up()
{
    [ $# -eq 0 ] || usage_error "up takes no argument: \"$1\""

    need_var
    lock_var
    choose_port
    check_paths

    lock_made
    need_deps
    build_flavour static
    unlock_made

    write_ini
    write_conf

    service_pid redis >/dev/null || start_redis
    service_pid mysql >/dev/null || start_mysql
    prepare_data
    service_pid worker >/dev/null || start_worker
    up_nginx

    note_old_programs
    demo
}


choose_port()
{
    PORT=${PORT:-$(conf_port)}
    PORT=${PORT:-8080}

    if ! [[ $PORT =~ ^[1-9][0-9]{0,4}$ ]] || [ "$PORT" -gt 65535 ]; then
        die "PORT \"$PORT\" is not a port number"
    fi

    URL=http://127.0.0.1:$PORT

    # another port than nginx has now: free, or nothing is changed for it
    [ "$PORT" = "$(conf_port)" ] || need_port "$PORT"
}


# The kernel takes 107 bytes for a unix socket's path; nginx reads "{", ";" and
# white space in its own way.

check_paths()
{
    [ "${#MYSQL_SOCKET}" -le 107 ] \
        || die "the path \"$VAR\" is too long for unix sockets" \
               "(\"$MYSQL_SOCKET\" has ${#MYSQL_SOCKET} bytes, 107 are" \
               "possible): move the folder"

    case $ROOT$VAR in
    *[!A-Za-z0-9/._+@,=-]*)
        die "the path \"$VAR\" has characters that make or nginx" \
            "misread: move the folder"
        ;;
    esac
}


# The configuration of exam-worker and examctl, written once.

write_ini()
{
    mkdir -p "$VAR/spool" "$VAR/recordings"

    [ ! -f "$INI" ] || return 0

    cat > "$INI" <<END
; exam-worker and examctl read this file.  Relative paths start at its folder.

[node]
name = $NODE
spool = spool
recordings = recordings
keys = keys
kinds = screen camera
nginx_pid = run/nginx.pid

[redis]
socket = redis.sock

[mysql]
socket = mysql.sock
user = root
database = $DATABASE

[worker]
probe = on
verify = sample
log = log/worker.log
pid = run/worker.pid
; days that journals stay in the spool once MySQL has them; 0: for ever
journal_days = 30
; a candidate is late after one and a half intervals of the heartbeat
heartbeat_s = 30
offline_s = 90
END
}


# CONF_CHANGED=yes when a running nginx has to read it again.

write_conf()
{
    local made=$VAR/run/nginx.conf.made

    CONF_CHANGED=no
    render_conf > "$CONF.new"

    if [ ! -f "$CONF" ] || cmp -s "$CONF" "$made"; then

        if cmp -s "$CONF" "$CONF.new"; then
            rm -f "$CONF.new"
            return 0
        fi

        cp "$CONF.new" "$made"
        mv -f "$CONF.new" "$CONF"
        CONF_CHANGED=yes
        return 0
    fi

    [ "$(conf_port)" = "$PORT" ] \
        || die "var/nginx.conf was edited and listens on $(conf_port):" \
               "change its \"listen\", or remove the file to have it made again"

    if cmp -s "$CONF.new" "$made"; then
        rm -f "$CONF.new"
    else
        note "var/nginx.conf was edited and stays; what would be made of" \
             "nginx-conf/single.conf now is var/nginx.conf.new"
    fi
}


render_conf()
{
    local files user='#user'

    files=$(ulimit -Hn)
    [ "$files" != unlimited ] || files=1048576
    [ "$(id -u)" != 0 ] || user='user '

    sed -e "s|^\( *listen  *\)8080|\1$PORT|" \
        -e "s|^\( *include  *\)api.inc;|\1$ROOT/nginx-conf/api.inc;|" \
        -e "s|^#user \( *\)exam;|$user \1root;|" \
        "$ROOT/nginx-conf/single.conf" \
        | awk -v files="$files" '
            $1 == "worker_rlimit_nofile" && $2 + 0 > files {
                sub(/[0-9]+/, files)
            }
            { print }'
}


prepare_data()
{
    if [ ! -f "$VAR/keys" ]; then
        logged keys "$VAR/bin/examctl" --config "$INI" keys rotate \
            || die "the keys cannot be made"
    fi

    logged migrate "$VAR/bin/examctl" --config "$INI" migrate \
        || die "the database cannot be prepared"
}


up_nginx()
{
    logged nginx-test "$VAR/bin/nginx" -t -p "$VAR/" -c "$CONF" \
        || die "var/nginx.conf is not valid"

    if ! service_pid nginx >/dev/null; then
        start_nginx
    elif [ "$CONF_CHANGED" = yes ]; then
        reload_nginx
    fi
}


note_old_programs()
{
    local name pid

    for name in worker nginx; do
        pid=$(service_pid "$name") || continue

        case $(readlink "/proc/$pid/exe") in
        *" (deleted)")
            note "$(service_title "$name") runs an older build:" \
                 "./build.sh down, then up"
            ;;
        esac
    done
}
