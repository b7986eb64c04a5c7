# Sourced by scripts/serve and scripts/test: the virtual environment in .venv, made and kept up to date.
# Works on Debian and Ubuntu with nothing but Python >= 3.11; elsewhere if Python's venv module is there.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"
python="$venv/bin/python"

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
is_root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# apt_install PACKAGE...: installs as root; otherwise ends with the one command that is missing.
apt_install() {
    command -v apt-get >/dev/null || die "Please install, with your system's package manager: $*"
    is_root_on_debian || die "Something is missing; this installs it:  sudo apt-get install -y $*"
    say "Installing $* ..."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null || say "(apt-get update failed; trying with what is known)"
    apt-get install -y -q --no-install-recommends "$@" >/dev/null || die "apt-get install $* failed."
}

# find_python: prints the first Python that is new enough; PYTHON=… chooses one.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    candidate=${PYTHON:-python3}
    if command -v "$candidate" >/dev/null; then candidate="$candidate is $("$candidate" -V)"; else candidate="there is no $candidate"; fi
    die "voicertc needs Python 3.11 or newer, and $candidate." \
        "Install one (Debian 12, Ubuntu 24.04 and later: sudo apt-get install -y python3) or name yours: PYTHON=…"
}

# make_venv: makes .venv unless there is one that works.
make_venv() {
    if [ -x "$python" ] && "$python" -c 'import pip' 2>/dev/null; then return; fi
    local base
    base=$(find_python)
    # Debian splits the module off: without ensurepip, venv would make an environment without pip.
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install "$("$base" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    fi
    say "Making a virtual environment in .venv ($("$base" -V)) ..."
    rm -rf "$venv"
    "$base" -m venv "$venv"
}

# install EXTRA: installs this clone with an extra (local or dev), if pyproject.toml changed since.
# dev contains local. The stamp is written last, so that an interrupted installation is done again.
install() {
    local stamp="$venv/.installed-$1" checksum
    make_venv
    checksum=$(sha256sum <"$root/pyproject.toml")
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$checksum" ]; then return; fi
    say "Installing voicertc[$1]; this takes a minute or two, the first time only ..."
    rm -f "$venv"/.installed-*
    "$python" -m pip install --quiet --disable-pip-version-check -e "$root[$1]"
    if [ "$1" = dev ]; then printf '%s' "$checksum" >"$venv/.installed-local"; fi
    printf '%s' "$checksum" >"$stamp"
}
