//! `hsm-jose jwk thumbprint`

use serde_json::{Value, json};

use super::super::Report;
use super::super::value::thumbprint_hash;
use super::Source;
use crate::error::Result;
use crate::jose::jwk::{PublicJwk, ThumbprintHash};

/// Write the thumbprint of each key, a line each (RFC 7638)
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose jwk thumbprint --uri partner.jwk")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// Write thumbprint URIs (RFC 9278)
    #[arg(long)]
    uri: bool,
    /// The hash: sha-256, sha-384 or sha-512
    #[arg(long, value_parser = thumbprint_hash, default_value = "sha-256")]
    hash: ThumbprintHash,
}

impl Args {
    pub(super) fn run(&self) -> Result<Report> {
        let keys = self.source.keys()?;
        let mut text = String::new();
        let thumbprint = |jwk: &PublicJwk| -> Value {
            let thumbprint = jwk.key.thumbprint_with(self.hash);
            let uri = thumbprint.uri();
            text += &format!("{}\n", if self.uri { uri.clone() } else { thumbprint.to_string() });
            json!({ "kid": jwk.kid, "thumbprint": thumbprint.to_string(), "uri": uri })
        };
        let thumbprints: Vec<Value> = keys.iter().map(thumbprint).collect();
        Ok(Report::new(text, json!({ "hash": self.hash.name(), "thumbprints": thumbprints })))
    }
}
