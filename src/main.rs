//! The `hsm-jose` command line.

#[cfg(feature = "tpm")]
#[allow(unsafe_code, reason = "sets a variable before there is another thread; the block says so")]
mod quiet;

fn main() -> std::process::ExitCode {
    #[cfg(feature = "tpm")]
    quiet::silence_tpm2_tss();
    hsm_jose::cli::run(std::env::args_os())
}
