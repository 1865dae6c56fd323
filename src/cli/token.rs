//! `hsm-jose token`: what is set up once for a device.

use super::{Report, Setup};
use crate::error::{Error, Result};

/// Set up a device: pin the parent key of a TPM
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Pin(Args),
}

/// Pin the parent key of a TPM: show its name and write it into the configuration
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Ask a TPM for the name of its parent key, show it, and write it into the \
                  configuration as parent_name. From then on nothing is sent to a TPM with another \
                  parent key: another TPM, one that was cleared, or something between that stands \
                  in for it.\n\nDo it where the way to the TPM is trusted, or compare the name with \
                  one that was read there.",
    after_help = "Example:\n  hsm-jose token pin edge"
)]
pub(crate) struct Args {
    /// The keystore's name in the configuration
    name: String,
    /// Pin another name than the one that is pinned
    #[arg(long)]
    replace: bool,
    /// Show the name and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Command {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        match self {
            Self::Pin(args) => args.run(setup),
        }
    }
}

impl Args {
    #[cfg(not(feature = "tpm"))]
    fn run(&self, _: &Setup) -> Result<Report> {
        Err(Error::Usage("this build has no TPM support: build with --features tpm".into()))
    }

    #[cfg(feature = "tpm")]
    fn run(&self, setup: &Setup) -> Result<Report> {
        use serde_json::json;

        use crate::config::KeystoreConfig;
        use crate::keystores::open_tpm;
        use crate::secret::PinSource;

        let Some(KeystoreConfig::Tpm(settings)) = setup.config.keystores.get(&self.name) else {
            return Err(Error::Usage(format!(
                "no [keystore.{}] with type = \"tpm\" in {}",
                self.name,
                setup.config.path.display()
            )));
        };
        let mut settings = settings.clone();
        let pinned = settings.parent_name.take();
        // No key is used: its authorization value is not asked for.
        settings.auth = PinSource::None;
        let (found, _) = open_tpm(&self.name, &settings)?.parent_name()?;
        let json = |written: bool| {
            json!({
                "keystore": self.name,
                "parent_name": found.to_string(),
                "pinned": pinned.as_ref().map(ToString::to_string),
                "written": written,
            })
        };
        let text = format!("{found}\n");
        match &pinned {
            Some(pinned) if *pinned == found => {
                let note = format!("keystore {} has it pinned already", self.name);
                return Ok(Report::new(text, json(false)).with_note(note));
            }
            Some(pinned) if !self.replace && !self.dry_run => {
                return Err(Error::Config(format!(
                    "the parent key of the TPM is {found}, and {pinned} is pinned: it was cleared, \
                     it is another TPM, or something stands in for it; --replace pins the new one"
                )));
            }
            _ => {}
        }
        if self.dry_run {
            return Ok(Report::new(text, json(false)).with_note("nothing was changed".to_owned()));
        }
        setup.config.write_parent_name(&self.name, &found)?;
        let note = format!("written to {} as parent_name", setup.config.path.display());
        Ok(Report::new(text, json(true)).with_note(note))
    }
}
