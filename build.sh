#!/usr/bin/env bash
# The one door to exam-monitor: everything that is built, started, tested or
# measured goes through here.  Each command lives in util/<command>.sh, with
# its help; what several need is in util/common.sh.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
COMMANDS="deps build up down status env demo test bench lint fuzz clean"

# shellcheck source=util/common.sh
. "$ROOT/util/common.sh"


help_all()
{
    cat <<'END'
exam-monitor

  ./build.sh up            an exam running on this machine, with a recording
  ./build.sh test          all tests

usage: ./build.sh COMMAND [option...]

  deps      install what is missing (Debian packages, nginx's source)
  build     nginx with the module, exam-worker, examctl
  up        start everything below var/, with a demo exam
  down      stop it; the data stay
  status    what is running
  env       addresses and paths of the running stack, for eval in a shell
  demo      play the demo candidate (part of up)
  test      run the tests, all or some parts
  bench     measure: heartbeat, worker, ...
  lint      style and static checks
  fuzz      random inputs for every parser, and for the whole of nginx
  clean     remove what was built

./build.sh COMMAND --help tells more.
END
}


main()
{
    local command=${1:-}

    case $command in
    "" | -h | --help | help)
        help_all
        [ -n "$command" ] || exit 2
        exit 0
        ;;
    -*)
        usage_error "unknown option \"$command\""
        ;;
    esac

    shift

    case " $COMMANDS " in
    *" $command "*) ;;
    *) usage_error "unknown command \"$command\"" ;;
    esac

    # shellcheck source=/dev/null
    . "$ROOT/util/$command.sh"

    local arg
    for arg in "$@"; do
        case $arg in
        -h | --help) "help_$command"; exit 0 ;;
        --) break ;;
        esac
    done

    COMMAND=$command
    "cmd_$command" "$@"
}


main "$@"
