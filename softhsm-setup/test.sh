#!/usr/bin/env bash
# Installs what is missing, builds the test modules and runs every test, last the exchange of tokens with
# other JOSE implementations (tests/interop). Arguments go to cargo test, which then runs alone:
#
#   test.sh                  all of them
#   test.sh --test backend   one file
#
# With the TPM part where tpm2-tss and swtpm are there or can be installed, else without, and says so.
# Each test process makes a token of its own; what it leaves behind is removed here.
set -euo pipefail
# shellcheck source=softhsm-setup/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
esac

"$here/install.sh"
[[ $# -gt 0 ]] || "$here/install.sh" --peers
features=()
if "$here/install.sh" --tpm; then
    features=(--features tpm)
else
    say "WITHOUT the TPM part: what it needs is missing, see above"
fi
find_cargo
cd -- "$repo"

say "SoftHSM $(softhsm2-util --version), $(softhsm_module)"
say "OpenSC $(opensc-tool --version 2>&1 | head -n 1)"
if command -v dpkg-query >/dev/null; then
    # shellcheck disable=SC2016  # dpkg's own variables
    dpkg-query -W -f '${Package} ${Version}\n' softhsm2 opensc p11-kit >&2 || true
fi
say "$(rustc --version), $(cargo --version)"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hj.XXXXXX")
trap 'trap "" HUP INT TERM; rm -rf -- "$scratch"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# The tests' temporary files go where they are removed together. Whatever token or configuration the
# user has is not for the tests.
export TMPDIR=$scratch
unset SOFTHSM2_CONF HSM_JOSE_CONFIG HSM_JOSE_TOKEN_DIR HSM_JOSE_TPM_DIR HSM_JOSE_TCTI

modules=$(target_dir)/modules
cargo build --locked --manifest-path tests/modules/faulty/Cargo.toml --target-dir "$modules"
for name in libhsm_jose_faulty.so libhsm_jose_faulty.dylib; do
    if [[ -f $modules/debug/$name ]]; then
        export HSM_JOSE_FAULTY_SO=$modules/debug/$name
    fi
done

cargo test --locked "${features[@]}" "$@"
[[ $# -gt 0 ]] || tests/interop/run "$(target_dir)/debug/hsm-jose"
