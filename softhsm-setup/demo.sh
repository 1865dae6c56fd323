#!/usr/bin/env bash
# Shows the main job from end to end: keys made in a SoftHSM token, a nested JWT sealed to each
# encryption key (signed in the token) and opened again (decrypted in the token), and what ran where.
#
#   demo.sh         with a SoftHSM token
#   demo.sh --tpm   with a software TPM 2.0
#
# Installs what is missing, builds, and removes the token when it is done.
set -euo pipefail
# shellcheck source=softhsm-setup/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

main() {
    local features=() with=("$here/with-token" --label demo --demo) needs=()
    if [[ ${1:-} == --tpm ]]; then
        features=(--features tpm) with=("$here/with-swtpm" --demo) needs=(--tpm)
    fi
    "$here/install.sh" "${needs[@]}"
    find_cargo
    cd -- "$repo"
    cargo build --release --locked "${features[@]}"
    local bin
    bin=$(target_dir)/release
    [[ -x $bin/hsm-jose ]] || { say "cargo did not put hsm-jose into $bin"; exit 1; }
    PATH=$bin:$PATH
    exec "${with[@]}" -- "$here/demo.sh" --session
}

# The rest runs with a token, in its directory.
session() {
    exec 3>&1

    title "Keys, made in the device; what is printed is public"
    make_key issuer-sig --alg ES256
    make_key partner-rsa --alg RSA-OAEP-256
    make_key partner-ec --alg ECDH-ES+A256KW --crv P-256
    show hsm-jose key list
    hsm-jose key list
    # Written beside and renamed: the configuration names issuers.json, so it is read meanwhile.
    show "hsm-jose jwks > issuers.json"
    hsm-jose jwks >issuers.json.new
    mv -- issuers.json.new issuers.json

    title "What ran where, from the trace of the engine (-v)"
    printf 'Left out: the known answers with which each process first finds out what a key does.\n'

    printf '{"sub":"alice","name":"Alice Example"}' >claims.json
    round partner-rsa
    round partner-ec

    title "A token with one character changed"
    tamper <partner-ec.jwt >tampered.jwt
    show "hsm-jose open --context demo < tampered.jwt"
    local status=0
    hsm-jose open --context demo <tampered.jwt || status=$?
    [[ $status == 3 ]] || { say "expected exit status 3, got $status"; exit 1; }
    printf 'exit status 3: refused, and why is not told\n'

    title "Done: both tokens were opened, the changed one was refused; the device is removed"
}

make_key() {
    show "hsm-jose key generate $*"
    hsm-jose key generate "$@" | tee "$1.jwk"
    [[ -s $1.jwk ]] || { say "no public key was printed"; exit 1; }
    newline "$1.jwk"
}

# Seals to one key and opens again.
round() {
    title "A nested JWT for $1"
    show "hsm-jose seal --context demo --to $1.jwk < claims.json > $1.jwt"
    traced hsm-jose -vv seal --context demo --to "$1.jwk" <claims.json >"$1.jwt"
    cat -- "$1.jwt"
    newline "$1.jwt"
    show "hsm-jose inspect < $1.jwt"
    hsm-jose inspect <"$1.jwt"
    show "hsm-jose open --context demo < $1.jwt"
    traced hsm-jose -vv open --context demo <"$1.jwt" >"$1.claims"
    cat -- "$1.claims"
    newline "$1.claims"
    grep -q '"alice"' "$1.claims" || { say "the claims did not come back"; exit 1; }
}

# Runs a command and shows, from its trace, where each step ran: on descriptor 3, the command's own
# output being a file.
traced() {
    local status=0
    "$@" 2>trace || status=$?
    if [[ $status != 0 ]]; then
        cat trace >&2
        return "$status"
    fi
    if ! grep -q 'hsm_jose::custody' trace; then
        say "the trace does not say what ran where:"
        cat trace >&2
        return 1
    fi
    # Known answers, with which the engine finds out what a key does, are not what was asked for.
    sed -n -E -e '/hsm_jose::custody/!d' -e '/known_answer/d' -e 's/^.*hsm_jose::custody: *//' \
        -e 's/^.*token="([^"]*)".*mechanism="([^"]*)".*$/    in the token "\1": \2/' \
        -e 's/^.*step="([^"]*)".*$/    on the host: \1/' \
        -e 's/^([^ ])/    \1/' -e p trace >&3
}

# Changes the first character of the last part: the tag, or of a JWS the signature.
tamper() {
    sed -E -e 's/\.A([^.]*)$/.B\1/' -e t -e 's/\.[^.]([^.]*)$/.A\1/'
}

title() { printf '\n== %s\n' "$*"; }
show() { printf '\n$ %s\n' "$*"; }
# Ends a line that the file left open.
newline() { [[ -z $(tail -c 1 -- "$1") ]] || printf '\n'; }

case ${1:-} in
    '' | --tpm) main "$@" ;;
    --session) session ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
    *) say "demo.sh takes no argument but --tpm"; exit 2 ;;
esac
