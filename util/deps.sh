# shellcheck shell=bash
# deps: what building, running and testing need.

# shellcheck source=util/apt.sh
. "$ROOT/util/apt.sh"

PACKAGES="
    gcc libc6-dev make clang libclang-rt-dev pkg-config dpkg-dev
    libpcre2-dev libssl-dev zlib1g-dev libhiredis-dev libyajl-dev
    libmariadb-dev libmariadb-dev-compat
    libavformat-dev libavcodec-dev libavutil-dev
    redis-server mariadb-server-core mariadb-client
    ca-certificates curl ffmpeg perl procps python3 strace"


help_deps()
{
    cat <<'END'
usage: ./build.sh deps

Installs what is missing with apt-get (through sudo for an ordinary user),
fetches nginx's source, and makes sure that Test::Nginx is there.  A second
call with nothing missing takes no time.  The system's apt configuration is
left as it is: sources of another Debian release come through a private one
below var/apt, with the archive's signatures checked.

  NGINX_VERSION=1.26   nginx of Debian 13 (the default)
  NGINX_VERSION=1.22   nginx of Debian 12
  NGINX_SRC=DIR        any other source tree of nginx, copied to var/src
  DEB_CACHE=DIR        a folder of .deb files, looked into first: for machines
                       without a network and for packages no mirror has
END
}


cmd_deps()
{
    [ $# -eq 0 ] || usage_error "deps takes no argument: \"$1\""

    need_var
    lock_made
    need_deps
    need_test_nginx
    say "nothing is missing"
}


# For other commands: nothing is printed when nothing is missing.

need_deps()
{
    # shellcheck disable=SC2086
    apt_need $PACKAGES
    need_nginx_source
}


# For the tests only.  Test::Nginx is not in Debian 12 and 13: any installed
# one will do.

need_test_nginx()
{
    local package=libtest-nginx-perl

    test_nginx_there && return 0

    step "Test::Nginx"

    if apt_has "$package" || deb_cached "$package" >/dev/null; then
        apt_need "$package"
    else
        local dir=$MADE/apt/sid deb

        if apt_private sid "$dir" deb \
            && (cd "$dir" && logged test-nginx apt-get -c "$dir/apt.conf" \
                -q download "$package")
        then
            deb=$(find "$dir" -maxdepth 1 -name "${package}_*.deb" \
                  | sort | tail -n 1)
            apt_install "$deb"
        fi
    fi

    test_nginx_there || {
        cat >&2 <<'END'
build.sh: Test::Nginx is missing, and no mirror gave it.  Any of these helps:
  - put Debian's libtest-nginx-perl_*.deb into a folder and set DEB_CACHE to it
  - cpan Test::Nginx
Building and running do not need it, only the tests do.
END
        exit 1
    }
}


test_nginx_there()
{
    perl -e 'for (@INC) { exit 0 if -e "$_/Test/Nginx/Socket.pm" } exit 1'
}


# The source tree's folder is NGINX_TREE; the file .version in it is written
# last and tells which version it is.

need_nginx_source()
{
    if [ -n "${NGINX_SRC:-}" ]; then
        nginx_tree_given
        return
    fi

    NGINX_SERIES=${NGINX_VERSION:-1.26}
    NGINX_TREE=$MADE/src/nginx-$NGINX_SERIES

    local suite

    case $NGINX_SERIES in
    1.22) suite=bookworm ;;
    1.26) suite=trixie ;;
    *) die "NGINX_VERSION \"$NGINX_SERIES\": 1.22 and 1.26 are offered;" \
           "set NGINX_SRC to the source tree of any other" ;;
    esac

    [ ! -f "$NGINX_TREE/.version" ] || return 0

    step "nginx $NGINX_SERIES: the source package of Debian $suite"

    local dir=$MADE/apt/$suite dsc

    apt_private "$suite" "$dir" deb-src \
        || die "the package lists of Debian $suite cannot be had"

    # the newest, with the security archive's fixes; a mirror may lack it
    nginx_download "$dir" nginx 2>/dev/null \
        || nginx_download "$dir" "nginx/$suite" \
        || die "the source package cannot be had; NGINX_SRC=DIR takes a tree"

    dsc=$(find "$dir" -maxdepth 1 -name 'nginx_*.dsc' | head -n 1)

    # apt has checked the files against the signed lists
    rm -rf "$NGINX_TREE"
    logged nginx-unpack dpkg-source --no-check -x "$dsc" "$NGINX_TREE" \
        || die "the source package does not unpack"

    nginx_tree_version "$NGINX_TREE" > "$NGINX_TREE/.version.new"
    mv "$NGINX_TREE/.version.new" "$NGINX_TREE/.version"
}


nginx_download()
{
    rm -f "$1"/nginx_*

    (cd "$1" && logged nginx-source apt-get -c "$1/apt.conf" -q \
        source --download-only "$2")
}


# configure writes into the tree, so a copy is built.

nginx_tree_given()
{
    local from

    from=$(cd "$NGINX_SRC" 2>/dev/null && pwd -P) \
        || die "NGINX_SRC \"$NGINX_SRC\" is not a folder"
    [ -f "$from/src/core/nginx.h" ] \
        || die "NGINX_SRC \"$NGINX_SRC\" is not a source tree of nginx"

    NGINX_SERIES=src-$(printf '%s' "$from" | cksum | cut -d' ' -f1)
    NGINX_TREE=$MADE/src/nginx-$NGINX_SERIES

    mkdir -p "$NGINX_TREE"
    cp -au "$from/." "$NGINX_TREE/"
    nginx_tree_version "$NGINX_TREE" > "$NGINX_TREE/.version"
}


nginx_tree_version()
{
    sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$1/src/core/nginx.h"
}
