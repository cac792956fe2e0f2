#!/usr/bin/env bash
# uploads: MB/s, CPU, memory, heartbeats meanwhile; DAV, Flask, @tus/server

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
ROOT=${EXAM_ROOT:-$(dirname "$here")}

# shellcheck source=util/common.sh
. "$ROOT/util/common.sh"
# shellcheck source=util/clients.sh
. "$ROOT/util/clients.sh"


# What the servers of others run on, unless they are left out.

need()
{
    mkdir -p "$LOG"
    apt_need curl openssl

    case "$*" in
    *--without*flask*) ;;
    *) apt_need python3-flask gunicorn python3-redis ;;
    esac

    case "$*" in
    *--without*tus*) ;;
    *) need_tus ;;
    esac
}


need_tus()
{
    have npm || apt_need npm

    mkdir -p "$MADE/clients/bin"
    need_node "$MADE/clients" \
        || die "no Node.js $NODE_OLDEST for @tus/server: --without tus"

    export EXAM_NODE=$MADE/clients/bin/node
}


case " $* " in
*" -h "* | *" --help "*) ;;
*)
    # nothing is installed for a word that is wrong
    python "$here/upload.py" --check "$@"
    need "$@"
    ;;
esac

python "$here/upload.py" "$@"
