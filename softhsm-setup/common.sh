# shellcheck shell=bash
# What the scripts of this folder share. Sourced, never run.

# The checkout, wherever it is and whatever is in its name.
repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
here=$repo/softhsm-setup
export repo here

say() { printf '%s\n' "$*" >&2; }

# Prints the path of SoftHSM's PKCS#11 module; fails where there is none. SOFTHSM2_MODULE names one
# in an unusual place.
softhsm_module() {
    local path
    for path in "${SOFTHSM2_MODULE:-}" \
        /usr/lib/softhsm/libsofthsm2.so \
        /usr/lib/*-linux-gnu*/softhsm/libsofthsm2.so \
        /usr/lib64/pkcs11/libsofthsm2.so \
        /usr/lib64/softhsm/libsofthsm2.so \
        /usr/lib64/libsofthsm2.so \
        /usr/local/lib/softhsm/libsofthsm2.so \
        /opt/homebrew/lib/softhsm/libsofthsm2.so \
        /opt/local/lib/softhsm/libsofthsm2.so; do
        if [[ -n $path && -f $path ]]; then
            printf '%s\n' "$path"
            return 0
        fi
    done
    return 1
}

# Finds cargo, also where the shell was started without rustup's line in its profile.
find_cargo() {
    if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo ]]; then
        PATH=${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH
    fi
    if ! command -v cargo >/dev/null; then
        say "cargo is not installed. Rust comes from https://rustup.rs; this crate needs the version"
        say "that Cargo.toml names as rust-version, or a later one."
        return 2
    fi
}

# Prints the folder that cargo builds into.
target_dir() {
    case ${CARGO_TARGET_DIR:-} in
        '') printf '%s\n' "$repo/target" ;;
        /*) printf '%s\n' "$CARGO_TARGET_DIR" ;;
        *) printf '%s\n' "$repo/$CARGO_TARGET_DIR" ;;
    esac
}

# Adds the context "demo" to the configuration in a folder.
demo_context() {
    cat >>"$1/hsm-jose.toml" <<'END'

[context.demo]
nesting = "jwe(jws)"
skew    = 60
[context.demo.seal]
issuer   = "https://issuer.example"
audience = "https://partner.example"
sign     = "issuer-sig"
encrypt  = ["ECDH-ES+A256KW", "RSA-OAEP-256"]
content  = ["A256GCM"]
lifetime = 300
[context.demo.open]
audience = "https://partner.example"
trust    = "issuers.json"
decrypt  = ["partner-rsa", "partner-ec"]
END
    # Nobody is trusted until the session says who.
    printf '{"keys":[]}\n' >"$1/issuers.json"
}

# Runs a command beside this shell, in the folder if the first argument is true, with the hsm-jose
# that was built here last on the PATH. Exits with its status.
run_beside() {
    local demo=$1 dir=$2 build child signal status=0
    shift 2
    for build in release debug; do
        PATH=$PATH:$(target_dir)/$build
    done
    export PATH
    # Where a relative path of a program means what it meant to the caller.
    [[ $1 != */* || $1 == /* ]] || set -- "$PWD/$1" "${@:2}"
    if $demo; then
        cd -- "$dir" || exit
    fi

    # Beside this shell and not in front of it, so that a signal sent to this shell alone is passed on;
    # in the same process group, so that a key pressed at the terminal reaches it as always.
    (
        trap - HUP INT TERM EXIT
        exec "$@"
    ) <&0 &
    child=$!
    for signal in HUP INT TERM; do
        # shellcheck disable=SC2064  # both are fixed now
        trap "kill -s $signal $child 2>/dev/null || true" "$signal"
    done
    wait "$child" || status=$?
    # A trap ends `wait` early; the command may take its time to end.
    while kill -0 "$child" 2>/dev/null; do
        status=0
        wait "$child" || status=$?
    done
    exit "$status"
}
