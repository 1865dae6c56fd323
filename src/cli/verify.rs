//! `hsm-jose verify`

use std::path::{Path, PathBuf};

use serde_json::json;
use zeroize::Zeroizing;

use super::{Report, Setup, input};
use crate::engine::{Engine, load};
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::header::Header;
use crate::jws::{Jws, Require, TrustedKeys, VerifiedSignature};

/// Verify a JWS, or with --key the MAC of one, and write its payload
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hsm-jose verify --keys issuer-jwks.json payload.jws
  hsm-jose verify --key shared-mac payload.jws
  hsm-jose verify --key shared-mac --require any several.jws
  hsm-jose verify --keys jwks.json --require all-of:https://a.example,https://b.example payload.jws
  hsm-jose verify --keys jwks.json --detached large.bin large.jws")]
pub(super) struct Args {
    /// The keys of those whose signatures are accepted: JWK, JWK Set, PEM or DER
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    keys: Option<PathBuf>,
    /// The symmetric key of the keyring whose MAC (HS256, HS384, HS512) is accepted
    #[arg(long, value_name = "NAME", conflicts_with = "keys")]
    key: Option<String>,
    /// Which signatures must verify, where there are several: all, any, all-of:ISS,... or
    /// any-of:ISS,...; issuers are the "iss" members of the keys; with --key, any
    #[arg(long, value_name = "RULE", value_parser = rule)]
    require: Option<Rule>,
    /// The payload of a JWS that does not carry it; a large one is read once, and not held in memory
    #[arg(long, value_name = "PAYLOAD")]
    detached: Option<PathBuf>,
    /// The JWS, in any serialization [default: stdin]
    file: Option<PathBuf>,
}

/// What `--require` says.
#[derive(Clone, Debug)]
enum Rule {
    All,
    Any,
    AllOf(Vec<String>),
    AnyOf(Vec<String>),
}

/// What was verified: its octets, or `None` where they were read past and stay where they are.
type Taken = (Option<Zeroizing<Vec<u8>>>, Vec<VerifiedSignature>);

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let token = input::read_token(self.file.as_deref())?;
        let Some(keys) = &self.keys else {
            return self.authenticate(setup, &token);
        };
        let policy = load::policy(&setup.config)?;
        let jws = Jws::parse(&token, &policy.jws)?;
        let keys = TrustedKeys::new(load::read_jwks(keys)?, &policy);
        let count = jws.count();
        let rule = match &self.require {
            Some(rule) => rule,
            None if count == 1 => &Rule::All,
            None => {
                return Err(Error::Usage(format!(
                    "the token has {count} signatures: say which must verify, with --require all, \
                     any, all-of:ISS,... or any-of:ISS,..."
                )));
            }
        };
        let names: Vec<&str> = rule.issuers().iter().map(String::as_str).collect();
        let require = rule.require(&names);
        let (payload, signatures) = match &self.detached {
            Some(path) => verify_detached(jws, path, &keys, &require)?,
            None => {
                let (payload, signatures) = jws.verify(&keys, &require)?.into_parts();
                (Some(Zeroizing::new(payload.into_bytes())), signatures)
            }
        };
        Ok(report(payload, &signatures, count))
    }

    fn authenticate(&self, setup: &Setup, token: &[u8]) -> Result<Report> {
        let key = self.key.as_deref().unwrap_or_default(); // invariant: there where --keys is not
        let is_any = match &self.require {
            None => false,
            Some(Rule::Any) => true,
            Some(_) => {
                let what = "--key verifies the MAC of one key: --require any, or none";
                return Err(Error::Usage(what.into()));
            }
        };
        let engine = Engine::without_contexts(&setup.config)?;
        let described = |header: &Header, alg: SignatureAlgorithm, index: usize| {
            let header = header.members();
            json!({ "header": header, "alg": alg, "name": key, "index": index })
        };
        let (payload, json) = match &self.detached {
            Some(path) if input::is_large(path) && !is_any => {
                let payload = input::open_content(Some(path))?;
                let done = engine.authenticate_reader(token, payload, key)?;
                (None, described(done.header(), done.alg(), done.index()))
            }
            Some(path) => {
                let payload = input::read_content(Some(path))?;
                let done = match is_any {
                    true => engine.authenticate_any_detached(token, &payload, key)?,
                    false => engine.authenticate_detached(token, &payload, key)?,
                };
                (Some(payload), described(done.header(), done.alg(), done.index()))
            }
            None => {
                let done = match is_any {
                    true => engine.authenticate_any(token, key)?,
                    false => engine.authenticate(token, key)?,
                };
                let json = described(done.header(), done.alg(), done.index());
                (Some(Zeroizing::new(done.into_inner().into_bytes())), json)
            }
        };
        let mut report = Report::new("", json);
        report.carry(payload);
        Ok(report)
    }
}

/// Verifies over a file: one that would fit a token is read and handed on, a larger one only read.
fn verify_detached(
    jws: Jws<'_>,
    path: &Path,
    keys: &TrustedKeys,
    require: &Require<'_>,
) -> Result<Taken> {
    if input::is_large(path) {
        let payload = input::open_content(Some(path))?;
        let ((), signatures) = jws.verify_reader(payload, keys, require)?.into_parts();
        return Ok((None, signatures));
    }
    let payload = input::read_content(Some(path))?;
    let ((), signatures) = jws.verify_detached(&payload, keys, require)?.into_parts();
    Ok((Some(payload), signatures))
}

fn report(
    payload: Option<Zeroizing<Vec<u8>>>,
    signatures: &[VerifiedSignature],
    count: usize,
) -> Report {
    let member = |signature: &VerifiedSignature| {
        json!({
            "index": signature.index(),
            "header": signature.header().members(),
            "alg": signature.alg(),
            "key": signature.key(),
            "thumbprint": signature.key().key.thumbprint(),
        })
    };
    let mut json = json!({
        "signatures": signatures.iter().map(member).collect::<Vec<_>>(),
        "signatures_in_token": count,
    });
    if let (1, [signature]) = (count, signatures) {
        json["header"] = json!(signature.header().members());
        json["key"] = json!(signature.key());
        json["thumbprint"] = json!(signature.key().key.thumbprint());
    }
    let mut report = Report::new("", json);
    if count > 1 {
        let notes = signatures.iter().map(|signature| {
            let key = signature.key();
            let iss = key.iss.as_ref().map(|iss| format!(" of {iss:?}")).unwrap_or_default();
            format!("verified: signature {} by {}{iss}", signature.index(), key.key.thumbprint())
        });
        report.notes.extend(notes);
        report.notes.push(format!("{} of {count} signatures are verified", signatures.len()));
    }
    report.carry(payload);
    report
}

fn rule(text: &str) -> std::result::Result<Rule, String> {
    let names = |list: &str| -> std::result::Result<Vec<String>, String> {
        match list.split(',').any(str::is_empty) {
            true => Err("an issuer without a name".into()),
            false => Ok(list.split(',').map(str::to_owned).collect()),
        }
    };
    match text.split_once(':') {
        None if text == "all" => Ok(Rule::All),
        None if text == "any" => Ok(Rule::Any),
        Some(("all-of", list)) => names(list).map(Rule::AllOf),
        Some(("any-of", list)) => names(list).map(Rule::AnyOf),
        _ => Err("all, any, all-of:ISS,... or any-of:ISS,...".into()),
    }
}

impl Rule {
    fn issuers(&self) -> &[String] {
        match self {
            Self::All | Self::Any => &[],
            Self::AllOf(names) | Self::AnyOf(names) => names,
        }
    }

    fn require<'a>(&self, names: &'a [&'a str]) -> Require<'a> {
        match self {
            Self::All => Require::All,
            Self::Any => Require::Any,
            Self::AllOf(_) => Require::AllOf(names),
            Self::AnyOf(_) => Require::AnyOf(names),
        }
    }
}
