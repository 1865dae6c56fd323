//! `hsm-jose bench`

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Report, Setup};
use crate::backend::bare::BareKeystore;
use crate::config::KeystoreConfig;
use crate::error::{Error, Result};
use crate::keystores;

mod keys;
mod turns;

use keys::Bench;

/// The length of what is signed and encrypted, in bytes.
const PAYLOAD_LEN: usize = 300;

/// Measure the engine beside the bare device call, in one run
///
/// Makes keys in the token (RSA-2048 and P-256), runs for each operation the bare native calls and
/// the engine in turns of 50 ms, and destroys the keys. Prints the median rate of each and the
/// median ratio of neighbouring turns: the ratio holds where the machine is shared and the rates
/// do not. Not in production.
///
/// The bare calls of a TPM have the same protected session as the engine's; those in clear have
/// none, and the difference is what it costs not to trust the bus. Twenty keys, more than a TPM has
/// slots for, are used by eight threads of the engine, and by one thread that loads and flushes them
/// by hand.
///
/// A run that is interrupted (Ctrl-C) leaves its keys in the token, labelled hsm-jose-bench:
/// `hsm-jose doctor` lists them as unknown-key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose bench --seconds 5")]
pub(super) struct Args {
    /// The keystore [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    keystore: Option<String>,
    /// Seconds for each row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Numbers of threads to run with [default: 1,2; for a TPM 1]
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    threads: Vec<usize>,
}

/// One measured pair.
struct Row {
    operation: String,
    bare: String,
    threads: usize,
    bare_rate: f64,
    engine_rate: f64,
    /// The bare calls without what protects the way to the device, where something does.
    clear_rate: Option<f64>,
    ratio: f64,
    turns: usize,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        if setup.config.is_production() {
            return Err(Error::Usage(
                "a measurement makes keys in the token, and environment = \"production\" refuses it: \
                 measure with a configuration of the test environment"
                    .into(),
            ));
        }
        let name = self.keystore.as_deref().map_or_else(|| setup.keystores.only(), Ok)?;
        let Some(config) = setup.config.keystores.get(name) else {
            return Err(Error::Usage(format!("the configuration has no keystore {name}")));
        };
        let keystore = open(name, config)?;
        let most = keystore.most_bare();
        let threads = match &self.threads[..] {
            [] => (1..=most.min(2)).collect(),
            given => given.to_vec(),
        };
        if threads.iter().any(|threads| !(1..=most).contains(threads)) {
            return Err(Error::Usage(format!(
                "threads are 1 to {most}, which is what {name} does at once"
            )));
        }
        let bench = Bench::new(&keystore)?;
        let mut rows = Vec::new();
        for threads in threads {
            rows.extend(bench.rows(threads, Duration::from_secs(self.seconds))?);
        }
        report(&*keystore, &rows)
    }
}

fn open(name: &str, config: &KeystoreConfig) -> Result<Arc<dyn BareKeystore>> {
    match config {
        #[cfg(feature = "pkcs11")]
        KeystoreConfig::Pkcs11(settings) => Ok(Arc::new(keystores::open_pkcs11(name, settings)?)),
        #[cfg(feature = "tpm")]
        KeystoreConfig::Tpm(settings) => Ok(Arc::new(keystores::open_tpm(name, settings)?)),
        _ => Err(Error::Usage(format!(
            "{name} is not a keystore on a device that this build drives"
        ))),
    }
}

fn report(keystore: &dyn BareKeystore, rows: &[Row]) -> Result<Report> {
    let device = keystore.describe()?;
    let device = format!("{} {} ({})", device.manufacturer, device.model, device.version);
    let is_guarded = rows.iter().any(|row| row.clear_rate.is_some());
    let clear = |text: String| if is_guarded { format!(" {text:>10}") } else { String::new() };
    let mut text = format!(
        "{device}, {PAYLOAD_LEN}-byte payload; operations per second, medians\n\
         {:<34} {:>7} {:>10} {:>10} {:>7}{}  bare call\n",
        "operation",
        "threads",
        "bare",
        "engine",
        "ratio",
        clear("in clear".to_owned())
    );
    for row in rows {
        let rate = row.clear_rate.map(|rate| format!("{rate:.0}")).unwrap_or_default();
        text += &format!(
            "{:<34} {:>7} {:>10.0} {:>10.0} {:>7.3}{}  {}\n",
            row.operation,
            row.threads,
            row.bare_rate,
            row.engine_rate,
            row.ratio,
            clear(rate),
            row.bare
        );
    }
    let json: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "operation": row.operation,
                "bare": row.bare,
                "threads": row.threads,
                "bare_per_second": row.bare_rate,
                "engine_per_second": row.engine_rate,
                "ratio": row.ratio,
                "bare_in_clear_per_second": row.clear_rate,
                "turns": row.turns,
            })
        })
        .collect();
    let json = json!({ "device": device, "payload_len": PAYLOAD_LEN, "rows": json });
    Ok(Report::new(text, json))
}
