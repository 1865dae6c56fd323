//! `hsm-jose convert`

use std::path::PathBuf;

use serde_json::json;
use zeroize::Zeroizing;

use super::value::Format;
use super::{Report, input};
use crate::error::{Error, Result};
use crate::jose::serialization::{Jwe, JwsParts, Kind, MAX_TOKEN_LEN, Serialization};

/// Write a JWE or JWS in another serialization; split one with several recipients or signatures, or
/// join them again
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Write a JWE or JWS in another serialization. Nothing is decrypted or verified, and nothing is lost: \
                  what the serialization has no place for is an error. Members that no RFC defines beside the headers \
                  are ignored, as by every recipient, and left out; an unprotected header is written anew.\n\nA token with several \
                  recipients or signatures becomes one flattened token for each, a line each. Several files with \
                  one content become one general token.",
    after_help = "Example:\n  hsm-jose convert --format flattened message.jwe > message.json"
)]
pub(super) struct Args {
    /// How the token is written
    #[arg(long, value_enum)]
    format: Format,
    /// The token; several are joined [default: stdin]
    files: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(&self) -> Result<Report> {
        let tokens: Vec<Zeroizing<Vec<u8>>> = match &self.files[..] {
            [] => vec![input::read_token(None)?],
            files => {
                files.iter().map(|file| input::read_token(Some(file))).collect::<Result<_>>()?
            }
        };
        let written = convert(&tokens, self.format.serialization())?;
        let json = json!({ "tokens": written });
        match <[String; 1]>::try_from(written) {
            Ok([token]) => Ok(Report::token(token, json)),
            Err(several) => Ok(Report::new(several.join("\n"), json)),
        }
    }
}

fn convert(tokens: &[Zeroizing<Vec<u8>>], to: Serialization) -> Result<Vec<String>> {
    let kinds = tokens.iter().map(|token| Kind::of(token, MAX_TOKEN_LEN));
    let kinds: Vec<_> = kinds.collect::<Result<_>>()?;
    if kinds.iter().all(|kind| *kind == Kind::Jwe) {
        convert_jwe(tokens, to)
    } else if kinds.iter().all(|kind| *kind == Kind::Jws) {
        convert_jws(tokens, to)
    } else {
        Err(Error::Usage("a JWE and a JWS cannot be joined".into()))
    }
}

/// Joins what is several, and splits what the serialization has no place for.
fn convert_jwe(tokens: &[Zeroizing<Vec<u8>>], to: Serialization) -> Result<Vec<String>> {
    let parsed = tokens.iter().map(|token| Jwe::parse(token, MAX_TOKEN_LEN));
    let parsed: Vec<_> = parsed.collect::<Result<_>>()?;
    let jwe = match <[Jwe<'_>; 1]>::try_from(parsed) {
        Ok([jwe]) => jwe,
        Err(several) => Jwe::join(several)?,
    };
    match to {
        Serialization::Flattened => jwe.split().map(|jwe| jwe.write(to)).collect(),
        Serialization::Compact | Serialization::General => Ok(vec![jwe.write(to)?]),
    }
}

/// As [`convert_jwe`], by signatures.
fn convert_jws(tokens: &[Zeroizing<Vec<u8>>], to: Serialization) -> Result<Vec<String>> {
    let parsed = tokens.iter().map(|token| JwsParts::parse(token, MAX_TOKEN_LEN));
    let parsed: Vec<_> = parsed.collect::<Result<_>>()?;
    let jws = match <[JwsParts<'_>; 1]>::try_from(parsed) {
        Ok([jws]) => jws,
        Err(several) => JwsParts::join(several)?,
    };
    match to {
        // The payload, which they share, is looked at once.
        Serialization::Flattened => {
            jws.check_forms()?;
            jws.split().map(|jws| jws.write_checked(to)).collect()
        }
        Serialization::Compact | Serialization::General => Ok(vec![jws.write(to)?]),
    }
}
