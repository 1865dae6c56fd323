//! `hsm-jose decrypt`

use std::path::PathBuf;

use serde_json::json;
use zeroize::Zeroizing;

use super::{Report, Setup, input, key};
use crate::backend::CekPlacement;
use crate::engine::Engine;
use crate::error::Result;
use crate::jose::base64url;

/// Decrypt a JWE with the key its kid names, of whichever recipient it is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose decrypt message.jwe > message.txt")]
pub(super) struct Args {
    /// The key of a token that names none; it contradicts none that does
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// The JWE, in any serialization [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let token = input::read_token(self.file.as_deref())?;
        let engine = Engine::without_contexts(&setup.config)?;
        let decrypted = engine.decrypt(&token, self.key.as_deref())?;
        // Both can be long: no more of them at once than it takes.
        drop(token);
        let json = json!({
            "header": decrypted.header.members(),
            "unprotected": decrypted.unprotected,
            "aad": base64url::encode(&decrypted.aad),
            "alg": decrypted.alg,
            "recipient": decrypted.recipient,
            "recipients": decrypted.recipients,
            "key": decrypted.key,
            "kid": decrypted.kid,
            "keystore": decrypted.keystore,
            "support": key::place(&decrypted.support),
            "cek": match decrypted.cek_placement {
                CekPlacement::Host => "host memory",
                CekPlacement::Device => "device",
            },
        });
        let plaintext = Zeroizing::new(decrypted.plaintext.into_bytes());
        let mut report = Report::content("plaintext", plaintext, json);
        report.notes.extend(key::step_on_host(&decrypted.support));
        Ok(report)
    }
}
