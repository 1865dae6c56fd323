//! `hsm-jose jwk`: key files, without any device and without a configuration.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Report;
use super::input::{self, MAX_KEYS};
use crate::error::{Error, Result};
use crate::jose::jwk::{JwkSet, PublicJwk, PublicKey};
use crate::primitives::ecdh::check_point;

mod check;
mod convert;
mod thumbprint;

/// Check, convert and thumbprint public keys in files; no device, no configuration
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Check(check::Args),
    Convert(convert::Args),
    Thumbprint(thumbprint::Args),
}

/// Which keys.
#[derive(Debug, clap::Args)]
struct Source {
    /// A JWK or JWK Set, or PEM or DER: public keys, or a certificate and those of its issuers
    /// [default: stdin]
    file: Option<PathBuf>,
}

impl Command {
    pub(super) fn run(&self) -> Result<Report> {
        match self {
            Self::Check(args) => args.run(),
            Self::Convert(args) => args.run(),
            Self::Thumbprint(args) => args.run(),
        }
    }
}

impl Source {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        input::read(self.file.as_deref(), MAX_KEYS)
    }

    /// Reads the keys; at least one, and every point on its curve.
    fn keys(&self) -> Result<Vec<PublicJwk>> {
        let wrong = |what: String| Error::Usage(format!("{}: {what}", self.shown()));
        let set = JwkSet::from_any(&self.read()?).map_err(|error| wrong(error.to_string()))?;
        if set.keys.is_empty() {
            return Err(wrong("no key that this build can use".into()));
        }
        // What no command takes is not passed on in another form.
        for jwk in &set.keys {
            if let PublicKey::Point(point) = &jwk.key {
                let kid = jwk.kid.as_deref().map(|kid| format!(" {kid:?}")).unwrap_or_default();
                check_point(point).map_err(|error| wrong(format!("key{kid}: {error}")))?;
            }
        }
        Ok(set.keys)
    }

    fn shown(&self) -> String {
        let path = self.file.as_deref().filter(|path| *path != Path::new("-"));
        path.map_or_else(|| "stdin".to_owned(), |path| path.display().to_string())
    }
}
