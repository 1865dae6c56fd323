//! The `hsm-jose` command line.

fn main() -> std::process::ExitCode {
    hsm_jose::cli::run(std::env::args_os())
}
