//! `hsm-jose encrypt`

use std::path::PathBuf;

use super::value::{Format, jwe_alg, jwe_enc};
use crate::jose::alg::{ContentEncryption, KeyManagement};

/// Encrypt to a recipient's public key
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose encrypt --to partner.jwk message.txt > message.jwe")]
pub struct Args {
    /// A public JWK or JWK Set; repeated, each is a recipient (general serialization)
    #[arg(long, value_name = "FILE", required = true)]
    pub to: Vec<PathBuf>,
    /// Take the key with this kid
    #[arg(long)]
    pub kid: Option<String>,
    /// Key management algorithm [default: the first that policy and key allow]
    #[arg(long, value_parser = jwe_alg)]
    pub alg: Option<KeyManagement>,
    /// Content encryption algorithm [default: the first that policy allows]
    #[arg(long, value_parser = jwe_enc)]
    pub enc: Option<ContentEncryption>,
    /// The typ of the header
    #[arg(long)]
    pub typ: Option<String>,
    /// The cty of the header
    #[arg(long)]
    pub cty: Option<String>,
    /// Agreement PartyUInfo, as text; ECDH-ES only
    #[arg(long)]
    pub apu: Option<String>,
    /// Agreement PartyVInfo, as text; ECDH-ES only
    #[arg(long)]
    pub apv: Option<String>,
    /// Additional authenticated data; JSON serializations only
    #[arg(long, value_name = "FILE")]
    pub aad: Option<PathBuf>,
    /// How the JWE is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The plaintext [default: stdin]
    pub file: Option<PathBuf>,
}
