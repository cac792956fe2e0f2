#!/usr/bin/env bash
# peers: the heartbeat's job done by nginx with Lua and by Flask with gunicorn

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
ROOT=${EXAM_ROOT:-$(dirname "$here")}

# shellcheck source=util/common.sh
. "$ROOT/util/common.sh"
# shellcheck source=util/apt.sh
. "$ROOT/util/apt.sh"

case " $* " in
*" -h "* | *" --help "*) ;;
*) apt_need nginx-extras libnginx-mod-http-lua lua-nginx-redis lua-cjson \
       python3-flask gunicorn python3-gevent python3-redis ;;
esac

python "$here/peers.py" "$@"
