# shellcheck shell=bash
# build: nginx with the module, exam-worker and examctl, in one flavour.

# shellcheck source=util/deps.sh
. "$ROOT/util/deps.sh"


help_build()
{
    cat <<'END'
usage: ./build.sh build [--dynamic|--asan|--debug]

Builds nginx with the module, exam-worker and examctl into
var/build/FLAVOUR/bin.  Only what has changed is compiled; the compilers'
output is in var/log/build-*.log.

  (none)       module linked into nginx; var/bin points to it, `up` runs it
  --dynamic    module as bin/ngx_http_exam_module.so for load_module
  --asan       AddressSanitizer, UBSan and nginx's pools in debug mode
  --debug      not optimised, with nginx's debug log

  CC=clang     another compiler than gcc
  NGINX_VERSION, NGINX_SRC: see ./build.sh deps --help
END
}


cmd_build()
{
    local base=static

    while [ $# -gt 0 ]; do
        case $1 in
        --dynamic | --asan | --debug)
            [ "$base" = static ] \
                || usage_error "--$base and $1 do not go together"
            base=${1#--}
            ;;
        *) usage_error "unknown argument \"$1\"" ;;
        esac
        shift
    done

    need_var
    lock_made
    need_deps
    build_flavour "$base"
    say "built: var/build/$FLAVOUR/bin"
}


# Sets FLAVOUR and BUILD.  The name tells everything that differs, so that no
# two builds share objects.

set_flavour()
{
    CC=${CC:-gcc}
    have "$CC" || die "no compiler \"$CC\""

    FLAVOUR=$1
    [ "$(basename "$CC")" = gcc ] || FLAVOUR=$FLAVOUR-$(basename "$CC")
    [ "$NGINX_SERIES" = 1.26 ] || FLAVOUR=$FLAVOUR-$NGINX_SERIES

    BUILD=$MADE/build/$FLAVOUR
    JOBS=$(nproc)
}


# After need_deps.

build_flavour()
{
    set_flavour "$1"
    mkdir -p "$BUILD/bin"

    build_programs
    build_nginx "$1"

    [ "$1" = static ] || return 0

    local program
    for program in nginx exam-worker examctl; do
        ln -sfn "$BUILD/bin/$program" "$VAR/bin/$program"
    done
}


build_programs()
{
    local make=(make -C "$ROOT" CC="$CC" FLAVOUR="$FLAVOUR"
                BUILD="var/build/$FLAVOUR")

    "${make[@]}" -q all >/dev/null 2>&1 && return 0

    step "exam-worker and examctl ($FLAVOUR)"
    logged "programs-$FLAVOUR" "${make[@]}" -j "$JOBS" all \
        || die "exam-worker and examctl do not compile"
}


build_nginx()
{
    local args config

    nginx_arguments "$1"

    # configure again only for other options or files
    config=$(printf '%s\n' "$NGINX_TREE" "$(cat "$NGINX_TREE/.version")" \
                 "${args[@]}" "$ROOT"/core/*.[ch] "$ROOT"/ngx_exam_module/*.[ch]
             cat "$ROOT/config")

    if [ "$config" != "$(cat "$BUILD/nginx.configured" 2>/dev/null)" ]; then
        step "configuring nginx $(cat "$NGINX_TREE/.version") ($FLAVOUR)"
        rm -f "$BUILD/nginx.configured"
        nginx_configure || die "nginx does not configure"
        printf '%s\n' "$config" > "$BUILD/nginx.configured"
    fi

    local make=(make -C "$NGINX_TREE" -f "$BUILD/nginx/Makefile" binary)
    [ "$1" != dynamic ] || make+=(modules)

    if ! "${make[@]}" -q >/dev/null 2>&1; then
        step "compiling nginx ($FLAVOUR)"
        logged "nginx-$FLAVOUR" "${make[@]}" -j "$JOBS" \
            || die "nginx does not compile"
    fi

    install_changed "$BUILD/nginx/nginx" "$BUILD/bin/nginx"
    [ "$1" != dynamic ] || install_changed \
        "$BUILD/nginx/ngx_http_exam_module.so" \
        "$BUILD/bin/ngx_http_exam_module.so"
}


# A running program keeps its old file: the new one comes by rename.

install_changed()
{
    cmp -s "$1" "$2" && return 0

    cp "$1" "$2.new"
    mv -f "$2.new" "$2"
}


# Sets `args` for configure.  With the prefix var/ and the paths below it,
# var/bin/nginx without options means the stack's own configuration.

nginx_arguments()
{
    local opt ld=

    args=(
        --prefix="$MADE" --conf-path=nginx.conf --pid-path=run/nginx.pid
        --error-log-path=log/error.log --http-log-path=log/access.log
        --builddir="$BUILD/nginx" --with-cc="$CC"
        --with-threads --with-file-aio
        --with-http_ssl_module --with-http_v2_module
        --with-http_realip_module --with-http_stub_status_module
        --with-http_dav_module --with-http_auth_request_module
    )

    # since 1.25
    ! grep -q with-http_v3_module "$NGINX_TREE/auto/options" \
        || args+=(--with-http_v3_module)

    case $1 in
    asan)
        opt="-O1 -g -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1"
        # nginx passes null pointers with length 0 to memcpy at its start
        opt="$opt -fsanitize=address,undefined"
        opt="$opt -fno-sanitize-recover=undefined"
        opt="$opt -fno-sanitize=nonnull-attribute"
        # nginx reads words at odd places where the machine can (pipelined
        # requests, HTTP/2)
        opt="$opt -fno-sanitize=alignment"
        ld="-fsanitize=address,undefined"
        args+=(--with-debug)
        ;;
    debug)
        opt="-O0 -g"
        args+=(--with-debug)
        ;;
    fuzz)
        opt=${FUZZ_FLAGS[*]}
        ld="-fsanitize=address,undefined"
        args+=(--with-debug)
        ;;
    *)
        opt="-O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2"
        ;;
    esac

    case $1 in
    dynamic) args+=(--with-compat --add-dynamic-module="$ROOT") ;;
    *) args+=(--add-module="$ROOT") ;;
    esac

    args+=(--with-cc-opt="$opt" --with-ld-opt="$ld")
}


# configure writes all its headers anew: those that came out the same get
# their old time back, or every object would be compiled again.

nginx_configure()
{
    local old=$BUILD/nginx.old file configure=./configure

    [ -x "$NGINX_TREE/configure" ] || configure=auto/configure

    rm -rf "$old"
    mkdir -p "$old"
    cp -p "$BUILD"/nginx/ngx_*.[ch] "$old/" 2>/dev/null || true

    (cd "$NGINX_TREE" && ASAN_OPTIONS=detect_leaks=0 \
        logged "configure-$FLAVOUR" "$configure" "${args[@]}") || return 1

    for file in "$old"/*; do
        if cmp -s "$file" "$BUILD/nginx/${file##*/}"; then
            cp -p "$file" "$BUILD/nginx/"
        fi
    done

    rm -rf "$old"
}
