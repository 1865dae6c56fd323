//! The configuration as it stands in the file: every member with its place, nothing checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

pub(super) use super::pin::PinMember;
use super::{Nesting, Profile};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, SignatureAlgorithm};

type Named<T> = BTreeMap<Spanned<String>, Spanned<T>>;

#[derive(Deserialize)]
pub(super) struct Versioned {
    pub(super) schema: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(rename = "schema")]
    pub(super) _schema: i64,
    pub(super) environment: Spanned<String>,
    #[serde(default)]
    pub(super) keystore: Named<Keystore>,
    pub(super) keyring: Option<Keyring>,
    pub(super) policy: Option<Policy>,
    #[serde(default)]
    pub(super) context: Named<Context>,
    #[serde(default)]
    pub(super) recipient: Named<Recipient>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keystore {
    #[serde(rename = "type")]
    pub(super) kind: Spanned<String>,
    pub(super) module: Option<Spanned<PathBuf>>,
    pub(super) token: Option<Spanned<String>>,
    pub(super) pin: Option<Spanned<PinMember>>,
    pub(super) sessions: Option<Spanned<usize>>,
    pub(super) host_oaep: Option<Spanned<bool>>,
    pub(super) tcti: Option<Spanned<String>>,
    pub(super) keys: Option<Spanned<PathBuf>>,
    pub(super) auth: Option<Spanned<PinMember>>,
    pub(super) parent_name: Option<Spanned<String>>,
}

impl Keystore {
    /// Returns a setting that is there and is not one of `known`, with its place.
    pub(super) fn foreign(&self, known: &[&str]) -> Option<(&'static str, Range<usize>)> {
        let settings = [
            ("module", self.module.as_ref().map(Spanned::span)),
            ("token", self.token.as_ref().map(Spanned::span)),
            ("pin", self.pin.as_ref().map(Spanned::span)),
            ("sessions", self.sessions.as_ref().map(Spanned::span)),
            ("host_oaep", self.host_oaep.as_ref().map(Spanned::span)),
            ("tcti", self.tcti.as_ref().map(Spanned::span)),
            ("keys", self.keys.as_ref().map(Spanned::span)),
            ("auth", self.auth.as_ref().map(Spanned::span)),
            ("parent_name", self.parent_name.as_ref().map(Spanned::span)),
        ];
        let mut given = settings.into_iter().filter_map(|(name, place)| Some((name, place?)));
        given.find(|(name, _)| !known.contains(name))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyring {
    pub(super) file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) profile: Option<Spanned<Profile>>,
    pub(super) symmetric: Option<Spanned<Vec<KeyAlgorithm>>>,
    pub(super) jwe_alg: Option<Spanned<Vec<KeyManagement>>>,
    pub(super) jwe_enc: Option<Spanned<Vec<ContentEncryption>>>,
    pub(super) jws_alg: Option<Spanned<Vec<SignatureAlgorithm>>>,
    pub(super) decryption_failures: Option<Spanned<DecryptionFailures>>,
    pub(super) crit: Option<Spanned<Vec<String>>>,
    pub(super) unencoded: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecryptionFailures {
    pub(super) most: u32,
    pub(super) seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    pub(super) nesting: Nesting,
    pub(super) typ: Option<String>,
    pub(super) cty: Option<String>,
    pub(super) skew: Option<Spanned<u64>>,
    pub(super) size: Option<Spanned<usize>>,
    pub(super) seal: Option<Spanned<Seal>>,
    pub(super) open: Option<Spanned<Open>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seal {
    pub(super) issuer: Option<Spanned<String>>,
    pub(super) audience: Option<Spanned<String>>,
    pub(super) sign: Option<Spanned<String>>,
    pub(super) encrypt: Option<Spanned<Vec<KeyManagement>>>,
    pub(super) content: Option<Spanned<Vec<ContentEncryption>>>,
    pub(super) lifetime: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    pub(super) audience: Option<Spanned<String>>,
    pub(super) issuers: Option<Spanned<Vec<String>>>,
    pub(super) trust: Option<Spanned<PathBuf>>,
    pub(super) decrypt: Option<Spanned<Vec<String>>>,
    pub(super) encrypt: Option<Spanned<Vec<KeyManagement>>>,
    pub(super) content: Option<Spanned<Vec<ContentEncryption>>>,
    pub(super) sign: Option<Spanned<Vec<SignatureAlgorithm>>>,
    pub(super) lifetime: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipient {
    pub(super) jwks: Spanned<PathBuf>,
    pub(super) audience: Option<String>,
}
