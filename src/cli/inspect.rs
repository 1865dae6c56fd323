//! `hsm-jose inspect`

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::{Report, input};
use crate::error::Result;
use crate::jose::inspect::inspect;

/// Show a token's header, sizes and SHA-256; never its payload, with no key and no device
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose inspect token.jwt")]
pub(super) struct Args {
    /// The token [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self) -> Result<Report> {
        let found = inspect(&input::read_token(self.file.as_deref())?)?;
        let lens: Map<String, Value> =
            found.part_lens.iter().map(|(name, len)| ((*name).to_owned(), (*len).into())).collect();
        let mut text = format!(
            "{} ({} serialization), {} bytes\nsha256 {}\n",
            found.kind, found.serialization, found.token_len, found.sha256
        );
        // Escaped as JSON: a header is a stranger's text.
        let mut add = |what: &str, members: &Map<String, Value>| {
            for (name, value) in members {
                text += &format!("{what} {} = {value}\n", Value::from(name.as_str()));
            }
        };
        add("header", &found.header);
        add("unprotected header", &found.unprotected);
        for (index, recipient) in found.recipients.iter().enumerate() {
            add(&format!("recipient {index} header"), &recipient.header);
        }
        let several = found.signatures.len() > 1;
        for (index, signature) in found.signatures.iter().enumerate() {
            if several {
                add(&format!("signature {index} protected header"), &signature.protected);
            }
            add(&format!("signature {index} unprotected header"), &signature.header);
        }
        for (index, signature) in found.signatures.iter().enumerate().filter(|_| several) {
            text += &format!("signature {index} {} bytes\n", signature.signature_len);
        }
        for (index, recipient) in found.recipients.iter().enumerate() {
            if found.recipients.len() > 1 {
                let len = recipient.encrypted_key_len;
                text += &format!("recipient {index} encrypted_key {len} bytes\n");
            }
        }
        for (name, len) in &found.part_lens {
            text += &format!("{name} {len} bytes\n");
        }
        let json = json!({
            "kind": found.kind,
            "serialization": found.serialization,
            "header": found.header,
            "unprotected": found.unprotected,
            "recipients": found.recipients,
            "signatures": found.signatures,
            "token_len": found.token_len,
            "part_lens": lens,
            "sha256": found.sha256,
        });
        Ok(Report::new(text, json).with_note("nothing of this has been verified"))
    }
}
