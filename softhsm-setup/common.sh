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
