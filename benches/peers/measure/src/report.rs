//! The table, or the JSON object with `--json`.

use std::fs;

use serde::Serialize;

use crate::rounds::{self, alternate};

/// The lock file says which version of a peer this is.
const LOCK: &str = include_str!("../../Cargo.lock");

/// What a run measures and prints.
#[derive(Serialize)]
pub struct Report {
    schema: u32,
    peer: &'static str,
    version: String,
    rounds: usize,
    /// The machine's load over one minute, before and after: one busy thread is this benchmark.
    load: [f64; 2],
    rows: Vec<Row>,
    #[serde(skip)]
    json: bool,
    #[serde(skip)]
    only: Option<String>,
}

#[derive(Serialize)]
struct Row {
    operation: String,
    bytes: usize,
    ours_us: f64,
    theirs_us: f64,
    ratio: f64,
    first_quartile: f64,
    third_quartile: f64,
    at_least: Option<f64>,
}

impl Report {
    /// Starts a report as the command line says: `[--json] [--rounds N] [TEXT]`, where TEXT picks the
    /// rows that have it in their name, "OPERATION, N bytes".
    pub fn of(peer: &'static str) -> Self {
        let mut report = Self {
            schema: 1,
            peer,
            version: version(peer),
            rounds: rounds::ROUNDS,
            load: [load(), 0.0],
            rows: Vec::new(),
            json: false,
            only: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => report.json = true,
                "--rounds" => {
                    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok());
                    report.rounds = rounds.filter(|rounds| *rounds > 0).unwrap_or_else(|| usage());
                }
                text if !text.starts_with('-') => report.only = Some(text.into()),
                _ => usage(),
            }
        }
        report
    }

    /// Measures one row: an operation of ours and the peer's, both of which panic if it fails.
    /// `at_least` is the ratio expected, where one is.
    pub fn row(
        &mut self,
        operation: &str,
        bytes: usize,
        at_least: Option<f64>,
        mut ours: impl FnMut(),
        mut theirs: impl FnMut(),
    ) {
        let name = format!("{operation}, {bytes} bytes");
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return;
        }
        eprintln!("{} {name}", self.peer);
        let measured = alternate(self.rounds, &mut ours, &mut theirs);
        let [first_quartile, ratio, third_quartile] = measured.ratio;
        self.rows.push(Row {
            operation: operation.into(),
            bytes,
            ours_us: measured.ours_us,
            theirs_us: measured.theirs_us,
            ratio,
            first_quartile,
            third_quartile,
            at_least,
        });
    }

    /// Prints what was measured.
    pub fn print(mut self) {
        self.load[1] = load();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&self).expect("plain data"));
            return;
        }
        let Self { peer, version, rounds, load: [before, after], .. } = &self;
        println!(
            "hsm-jose beside {peer} {version}: one thread, {rounds} rounds, processor time; \
             load {before} before, {after} after"
        );
        let wide = self.rows.iter().map(|row| row.operation.len()).max().unwrap_or(0);
        println!(
            "{:<wide$} {:>8} {:>10} {:>10} {:>6}  {:<14} {}",
            "operation", "bytes", "ours us", "theirs us", "ratio", "quartiles", "expected"
        );
        for row in &self.rows {
            let expected = match row.at_least {
                Some(least) if row.ratio >= least => format!(">= {least}: yes"),
                Some(least) => format!(">= {least}: NO"),
                None => String::new(),
            };
            println!(
                "{:<wide$} {:>8} {:>10.2} {:>10.2} {:>6.2}  {:<14} {}",
                row.operation,
                row.bytes,
                row.ours_us,
                row.theirs_us,
                row.ratio,
                format!("{:.2} to {:.2}", row.first_quartile, row.third_quartile),
                expected
            );
        }
    }
}

fn usage() -> ! {
    eprintln!("[--json] [--rounds N] [TEXT]");
    std::process::exit(2);
}

fn version(peer: &str) -> String {
    let start = format!("name = \"{peer}\"\nversion = \"");
    let version = LOCK.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or_else(|| "of no known version".into(), |(version, _)| version.into())
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}
