#!/usr/bin/env bash
# fuzz-run.sh TARGET ARGUMENT...: a fuzz target with the options that every run
# has; the arguments are libFuzzer's.  For util/fuzz.sh and t/fuzz.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
FUZZ=$ROOT/var/fuzz
TARGET=$1
shift

options=(-timeout=10 -rss_limit_mb=512 -print_final_stats=0
         -artifact_prefix="$FUZZ/findings/$TARGET-")

[ ! -f "$ROOT/t/fuzz/dict/$TARGET" ] \
    || options+=(-dict="$ROOT/t/fuzz/dict/$TARGET")

mkdir -p "$FUZZ/findings"

# what is freed is kept for a while, within the limit above
export ASAN_OPTIONS=quarantine_size_mb=32:detect_leaks=0
export UBSAN_OPTIONS=print_stacktrace=1
export EXAM_FUZZ_ROOT=$ROOT EXAM_FUZZ_DIR=$FUZZ

exec nice -n 10 "$ROOT/var/build/fuzz/fuzz/$TARGET" "${options[@]}" "$@"
