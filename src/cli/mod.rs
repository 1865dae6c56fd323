//! The command line: one file per command, named after it.
//!
//! A command takes the `Setup` and answers a `Report`; nothing reaches stdout before it is
//! known to be good.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::error::Result;

#[cfg(any(feature = "pkcs11", feature = "tpm"))]
mod bench;
mod config;
mod convert;
mod decrypt;
mod doctor;
mod encrypt;
mod input;
mod inspect;
mod jwk;
mod jwks;
mod key;
mod open;
mod output;
mod policy;
mod seal;
mod setup;
mod sign;
mod token;
mod value;
mod verify;

use output::Report;
use setup::Setup;

const GLOBAL: &str = "Options of every command";

/// JOSE tokens whose private keys live in a PKCS#11 token or a TPM 2.0
#[derive(Debug, Parser)]
#[command(
    name = "hsm-jose",
    version,
    after_help = "\
Example:
  hsm-jose key generate issuer-sig --alg ES256
  hsm-jose jwks > jwks.json

Exit status: 0 done, 1 unexpected, 2 usage or configuration, 3 token refused, 4 key not found,
5 PIN refused or locked, 6 device unavailable, 7 a check found something"
)]
struct Cli {
    /// Configuration file [default: $HSM_JOSE_CONFIG, ./hsm-jose.toml,
    /// $XDG_CONFIG_HOME/hsm-jose/config.toml, /etc/hsm-jose/config.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Write one JSON object to stdout, and errors as one JSON object to stderr
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Say more on stderr about what is done; twice or thrice for more
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Key(key::Command),
    Jwks(jwks::Args),
    #[command(subcommand)]
    Jwk(jwk::Command),
    Encrypt(encrypt::Args),
    Decrypt(decrypt::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Seal(seal::Args),
    Open(open::Args),
    Convert(convert::Args),
    Inspect(inspect::Args),
    Doctor(doctor::Args),
    #[cfg(any(feature = "pkcs11", feature = "tpm"))]
    Bench(bench::Args),
    #[command(subcommand)]
    Config(config::Command),
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Token(token::Command),
}

/// Runs the command line with its arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    match Cli::try_parse_from(&args) {
        Ok(cli) => {
            keep_memory_private();
            log_to_stderr(cli.verbose);
            output::finish(execute(&cli), cli.json)
        }
        Err(error) => output::usage(&error, &args),
    }
}

fn execute(cli: &Cli) -> Result<Report> {
    let setup = || Setup::load(cli.config.as_deref());
    match &cli.command {
        Command::Key(command) => command.run(&setup()?),
        Command::Jwks(args) => args.run(&setup()?),
        Command::Jwk(command) => command.run(),
        Command::Encrypt(args) => args.run(&setup()?),
        Command::Decrypt(args) => args.run(&setup()?),
        Command::Sign(args) => args.run(&setup()?),
        Command::Verify(args) => args.run(&setup()?),
        Command::Seal(args) => args.run(&setup()?),
        Command::Open(args) => args.run(&setup()?),
        Command::Convert(args) => args.run(),
        Command::Inspect(args) => args.run(),
        Command::Doctor(args) => args.run(&setup()?),
        #[cfg(any(feature = "pkcs11", feature = "tpm"))]
        Command::Bench(args) => args.run(&setup()?),
        Command::Config(command) => command.run(&setup()?),
        Command::Policy(command) => command.run(&setup()?),
        Command::Token(command) => command.run(&setup()?),
    }
}

/// A PIN and a plaintext are in this process's memory for a while: no core file has them, and no
/// other process of the user reads them.
fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Best effort: where the system does not allow it, the program works all the same.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Only our own events: a dependency's might tell what ours take care not to.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("hsm_jose={level},hsm_jose::custody=debug")))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time();
    // Fails only if one is set already: then that one logs.
    subscriber.try_init().unwrap_or_default();
}
