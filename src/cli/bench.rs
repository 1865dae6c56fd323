//! `hsm-jose bench`

use super::{Report, Setup};
use crate::error::{Error, Result};

/// Measure the engine beside the bare device call, in one run
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose bench")]
pub struct Args {}

impl Args {
    pub(super) fn run(&self, _: &Setup) -> Result<Report> {
        Err(Error::Usage("bench".into()))
    }
}
