#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks. Does nothing where nothing is
# missing. Debian and Ubuntu: by apt-get, as root or through sudo. Elsewhere: says what to install.
#
#   install.sh         what the build, the demo and the tests need
#   install.sh --tpm   and what the TPM part needs besides
#   install.sh --peers and what the other JOSE implementations of tests/interop need besides
#   install.sh --ci    all of it, and what the checks of .ci/run need besides
#
# Exit status: 0 everything is there, 2 something is missing and could not be installed.
set -euo pipefail
# shellcheck source=softhsm-setup/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() { sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

ci=false tpm=false peers=false
case ${1:-} in
    '') ;;
    --tpm) tpm=true ;;
    --peers) peers=true ;;
    --ci) ci=true tpm=true peers=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

# Prints, one per line, what is missing, by Debian's package names.
missing() {
    command -v softhsm2-util >/dev/null && softhsm_module >/dev/null || echo softhsm2
    command -v pkcs11-tool >/dev/null || echo opensc
    command -v p11-kit >/dev/null || echo p11-kit
    p11_kit_client || echo p11-kit-modules
    c_compiler || printf '%s\n' gcc libc6-dev
    command -v openssl >/dev/null || echo openssl
    if $ci; then
        command -v shellcheck >/dev/null || echo shellcheck
    fi
    if $peers; then
        # Without the package python3-venv, Debian's Python has no ensurepip.
        python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
        command -v node >/dev/null || echo nodejs
        command -v npm >/dev/null || echo npm
    fi
    if $tpm; then
        pkg-config --exists tss2-sys tss2-esys tss2-tctildr tss2-mu 2>/dev/null ||
            printf '%s\n' libtss2-dev pkg-config
        command -v swtpm >/dev/null || echo swtpm
        command -v tpm2_getcap >/dev/null || echo tpm2-tools
        # Not by loading it: that needs a TPM.
        [[ -f $(openssl version -m 2>/dev/null | sed -n 's/^MODULESDIR: "\(.*\)"$/\1/p')/tpm2.so ]] ||
            printf '%s\n' openssl tpm2-openssl
    fi
}

# A C compiler and the C library's headers.
c_compiler() {
    command -v cc >/dev/null && printf '#include <stdlib.h>\n' | cc -x c -fsyntax-only - 2>/dev/null
}

p11_kit_client() {
    local path
    for path in /usr/lib/*/pkcs11/p11-kit-client.so /usr/lib{,64}/pkcs11/p11-kit-client.so \
        {/usr/local,/opt/homebrew,/opt/local}/lib/pkcs11/p11-kit-client.{so,dylib}; do
        [[ -f $path ]] && return 0
    done
    return 1
}

is_debian() {
    command -v apt-get >/dev/null && [[ -f /etc/debian_version ]]
}

# Runs a command as root: directly, or through sudo; never waits for a password without a terminal.
as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif [[ -t 0 ]]; then
        sudo -- "$@"
    else
        sudo -n -- "$@"
    fi
}

advise() {
    say "Missing here (by Debian's names): $*"
    if is_debian; then
        say "Install as root:  apt-get install $*"
        return
    fi
    cat >&2 <<'END'
Install by hand, then run this again:
  Fedora   dnf install softhsm opensc p11-kit p11-kit-server gcc openssl
  Arch     pacman -S softhsm opensc p11-kit gcc openssl
  Alpine   apk add bash softhsm opensc p11-kit p11-kit-server gcc musl-dev openssl
  macOS    brew install softhsm opensc p11-kit openssl ; xcode-select --install
(the checks of .ci/run also want shellcheck; the exchange with other implementations wants Python 3.11
or later with venv, and Node.js with npm; the TPM part wants the headers of tpm2-tss 3.2 or later,
pkg-config, swtpm, tpm2-tools and tpm2-openssl)
Where SoftHSM's module is in an unusual place, SOFTHSM2_MODULE names it.
END
}

list=$(missing)
[[ -n $list ]] || exit 0
mapfile -t packages <<<"$list"

if ! is_debian || { [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; }; then
    advise "${packages[@]}"
    exit 2
fi

say "Installing: ${packages[*]}"
apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
# A stale or partly failing package list may still do; the installation decides.
as_root "${apt[@]}" update >&2 || say "apt-get update failed; trying with the lists there are"
as_root "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >&2 || true

list=$(missing)
if [[ -n $list ]]; then
    mapfile -t packages <<<"$list"
    advise "${packages[@]}"
    exit 2
fi
