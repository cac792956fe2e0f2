# shellcheck shell=bash
# What t/clients runs: clients of others, from Debian and from npm, and the
# Node.js for them, below var/clients.

# shellcheck source=util/apt.sh
. "$ROOT/util/apt.sh"

NODE_OLDEST=20


# What cannot be had is said, and left to the tests: those that need it fail.

need_clients()
{
    local dir=$MADE/clients

    [ "${EXAM_NO_BROWSER:-}" != 1 ] || return 0

    mkdir -p "$dir/bin"

    if ! python -c 'import requests' 2>/dev/null; then
        (apt_need python3-requests) || note "t/clients: no python3-requests"
    fi

    if [ -z "${EXAM_CHROMIUM:-}" ] && ! have chromium-headless-shell \
        && ! have chromium
    then
        (apt_need chromium-headless-shell) || note "t/clients: no Chromium"
    fi

    if ! have npm && ! (apt_need npm); then
        note "t/clients: no npm"
        return 0
    fi

    npm_need "$ROOT/t/clients" "$dir" && need_node "$dir" && return 0

    cat >&2 <<END
note: npm's packages for t/clients cannot be had, so its tests will fail.
  npm said: $LOG/build-npm.log
  EXAM_NO_BROWSER=1 leaves out what needs a browser or these packages
END
}


# The machine's Node.js, or one from npm where that is too old.

need_node()
{
    local dir=$1 node version

    node=$(command -v node || true)
    version=$([ -z "$node" ] || "$node" --version | sed 's/^v//; s/\..*//')

    if [ "${version:-0}" -lt "$NODE_OLDEST" ]; then
        npm_need "$ROOT/t/clients/node" "$dir/node" || return 1
        node=$(find "$dir/node/node_modules" -path '*/bin/node' | head -n 1)
        [ -n "$node" ] || return 1
    fi

    ln -sfn "$node" "$dir/bin/node"
}


# npm_need FROM DIR: what FROM/package-lock.json names, in DIR/node_modules.
# None of the packages runs a script of its own when it is installed; what npm
# has fetched stays below var/, not in the caller's home.

npm_need()
{
    local from=$1 dir=$2

    cmp -s "$from/package-lock.json" "$dir/installed" && return 0

    step "npm: what $(basename "$from") of t/ needs"

    mkdir -p "$dir"
    rm -f "$dir/installed"
    cp "$from/package.json" "$from/package-lock.json" "$dir/"

    logged npm timeout 300 npm --prefix "$dir" ci --ignore-scripts \
        --cache "$MADE/clients/cache" --no-audit --no-fund \
        --no-update-notifier --fetch-retries=1 --fetch-timeout=60000 \
        || return 1

    cp "$from/package-lock.json" "$dir/installed"
}
