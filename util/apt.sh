# shellcheck shell=bash
# Debian packages: what is missing, installing it, and a private apt
# configuration for other releases, which leaves the system's own untouched.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg


# apt_need PACKAGE...: installs those that are missing.

apt_need()
{
    have dpkg-query || die "this system has no dpkg: install by hand: $*"

    local missing

    missing=$(apt_missing "$@")
    [ -n "$missing" ] || return 0

    step "installing, see $LOG/build-apt.log: ${missing//$'\n'/ }"

    local list=() package deb

    for package in $missing; do
        if deb=$(deb_cached "$package"); then
            list+=("$deb")
        else
            list+=("$package")
        fi
    done

    apt_install "${list[@]}"

    missing=$(apt_missing "$@")
    [ -z "$missing" ] || die "still missing: ${missing//$'\n'/ }"
}


apt_missing()
{
    # a package unknown to dpkg is missing too, so its status is no error
    { dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null \
        || true; } \
        | awk -v want="$*" '
            $2 == "installed" { have[$1] = 1 }
            END {
                n = split(want, w)
                for (i = 1; i <= n; i++) {
                    if (!(w[i] in have)) {
                        print w[i]
                    }
                }
            }'
}


# The file of a package in DEB_CACHE.

deb_cached()
{
    [ -n "${DEB_CACHE:-}" ] || return 1

    local file
    file=$(find "$(cd "$DEB_CACHE" 2>/dev/null && pwd)" -maxdepth 1 \
           -name "$1_*.deb" 2>/dev/null | sort | tail -n 1)

    [ -n "$file" ] && printf '%s\n' "$file"
}


# Does the system's own apt offer the package?

apt_has()
{
    apt-cache policy "$1" 2>/dev/null | grep -q '^ *Candidate: [^(]'
}


# apt_install NAME|FILE...: names from the system's sources.

apt_install()
{
    local sudo=() env=(env DEBIAN_FRONTEND=noninteractive)

    if [ "$(id -u)" != 0 ]; then
        if have sudo && sudo -n true 2>/dev/null; then
            sudo=(sudo -n)
        elif have sudo && [ -t 0 ]; then
            sudo=(sudo)
            sudo -v || true
        else
            die "cannot install without root or sudo; ask for this:" \
                "apt-get install -y --no-install-recommends $*"
        fi
    fi

    local name fresh=yes

    for name in "$@"; do
        case $name in
        */*) ;;
        *) apt_has "$name" || fresh=no ;;
        esac
    done

    local update=("${sudo[@]}" "${env[@]}" apt-get -q update)
    local install=("${sudo[@]}" "${env[@]}" apt-get -q install -y
                   --no-install-recommends "$@")

    if [ "$fresh" = no ]; then
        logged apt-update "${update[@]}" || note "apt-get update failed"
    fi

    logged apt "${install[@]}" >/dev/null 2>&1 && return 0

    # lists may be older than the mirror
    logged apt-update "${update[@]}" || true
    logged apt "${install[@]}" \
        || die "apt-get failed; it was asked for: $*"
}


# apt_private SUITE DIR deb|deb-src: package lists of another Debian release in
# DIR, to be used as `apt-get -c DIR/apt.conf`.  Signatures are checked with
# Debian's archive keys.  The mirror is the one that this machine's own apt
# sources name.

apt_private()
{
    local suite=$1 dir=$2 type=$3 main security

    [ -f "$KEYRING" ] || apt_need debian-archive-keyring

    main=$(apt_mirror main)
    security=$(apt_mirror security)
    [ -n "$main" ] || {
        note "no Debian mirror in the apt sources of this machine"
        return 1
    }

    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/none"

    cat > "$dir/apt.conf" <<END
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "$dir/none";
Dir::Etc::preferences "$dir/none/preferences";
Dir::Etc::preferencesparts "$dir/none";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
END

    say "$type [signed-by=$KEYRING] $main $suite main" > "$dir/sources.list"

    if [ -n "$security" ] && [ "$suite" != sid ]; then
        cp "$dir/sources.list" "$dir/main.list"
        say "$type [signed-by=$KEYRING] $security $suite-security main" \
            >> "$dir/sources.list"

        apt_private_update "$suite" "$dir" 2>/dev/null && return 0

        note "no security archive of Debian $suite at hand"
        mv "$dir/main.list" "$dir/sources.list"
    fi

    apt_private_update "$suite" "$dir"
}


apt_private_update()
{
    logged "apt-$1" apt-get -c "$2/apt.conf" -q update
}


# The URI of the Debian archive, or of its security archive, from
# sources.list and sources.list.d, in either of the two formats.  Sources of
# others may use Debian's suite names: one with "debian" in it is preferred.

apt_mirror()
{
    local etc=${APT_ETC:-/etc/apt} codename found

    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-stable}")
    [ "$1" = main ] || codename=$codename-security

    found=$(
        for file in "$etc"/sources.list "$etc"/sources.list.d/*; do
            case $file in
            *.list) apt_list_uris "$file" "$codename" ;;
            *.sources) apt_deb822_uris "$file" "$codename" ;;
            esac
        done
    )

    printf '%s\n' "$found" \
        | awk '$0 ~ /debian/ { print; found = 1; exit }
               NR == 1 { first = $0 }
               END { if (!found) { print first } }'
}


# deb [options] URI SUITE COMPONENT...

apt_list_uris()
{
    [ -f "$1" ] || return 0

    awk -v suite="$2" '
        /^[ \t]*deb[ \t]/ {
            sub(/\[[^]]*\]/, "")
            if ($2 !~ /^cdrom:/ && $3 == suite && $4 == "main") { print $2 }
        }' "$1"
}


# Stanzas of fields, an empty line between them.

apt_deb822_uris()
{
    awk -v suite="$2" '
        function has(list, word) {
            return index(" " list " ", " " word " ")
        }
        function stanza_end() {
            if (!off && uri != "" && has(suites, suite)) { print uri }
            off = 0; uri = ""; suites = ""
        }
        /^[ \t]*$/ { stanza_end(); next }
        { field = tolower($1); $1 = ""; sub(/^ /, "") }
        field == "uris:" { split($0, u, " "); uri = u[1] }
        field == "suites:" { suites = $0 }
        field == "enabled:" && tolower($0) == "no" { off = 1 }
        END { stanza_end() }' "$1"
}
