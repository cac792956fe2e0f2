#!/usr/bin/env bash
# uploads: MB/s, CPU, memory, heartbeats meanwhile; DAV, Flask, @tus/server

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
ROOT=${EXAM_ROOT:-$(dirname "$here")}

# shellcheck source=util/common.sh
. "$ROOT/util/common.sh"
# shellcheck source=util/apt.sh
. "$ROOT/util/apt.sh"

case " $* " in
*" -h "* | *" --help "*) ;;
*) apt_need curl openssl python3-flask gunicorn python3-redis ;;
esac

python "$here/upload.py" "$@"
