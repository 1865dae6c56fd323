//! `hsm-jose verify`

use std::path::PathBuf;

use serde_json::json;
use zeroize::Zeroizing;

use super::{Report, Setup, input};
use crate::engine::load;
use crate::error::Result;
use crate::jose::base64url;
use crate::jws::{JwsToken, TrustedKeys};

/// Verify a JWS and write its payload
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose verify --keys issuer-jwks.json payload.jws")]
pub(super) struct Args {
    /// The JWK or JWK Set of those whose signatures are accepted
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// The payload of a JWS that does not carry it
    #[arg(long, value_name = "PAYLOAD")]
    detached: Option<PathBuf>,
    /// The JWS, in the compact serialization [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let policy = load::policy(&setup.config)?;
        let token = input::read_token(self.file.as_deref())?;
        let token = JwsToken::parse(&token, &policy.jws)?;
        let keys = TrustedKeys::new(load::read_jwks(&self.keys)?, &policy);
        let (payload, header, key) = match &self.detached {
            Some(path) => {
                let payload = input::read_content(Some(path))?.to_vec();
                let verified = token.verify_detached(&payload, &keys)?;
                (payload, verified.header().members().clone(), verified.key().clone())
            }
            None => {
                let verified = token.verify(&keys)?;
                let (header, key) = (verified.header().members().clone(), verified.key().clone());
                (verified.into_inner().into_bytes(), header, key)
            }
        };
        let json = json!({
            "payload": base64url::encode(&payload),
            "header": header,
            "key": key,
            "thumbprint": key.key.thumbprint(),
        });
        let mut report = Report::new("", json);
        report.text = Zeroizing::new(payload);
        Ok(report)
    }
}
