//! The configuration as it stands in the file: every member with its place, nothing checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::pin::PinMember;
use super::{Nesting, Profile};
use crate::jose::alg::{ContentEncryption, KeyManagement, SignatureAlgorithm};

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
    // Those of `type = "tpm"`, so that its absence is named and not its members.
    #[serde(rename = "tcti")]
    _tcti: Option<IgnoredAny>,
    #[serde(rename = "keys")]
    _keys: Option<IgnoredAny>,
    #[serde(rename = "auth")]
    _auth: Option<IgnoredAny>,
    #[serde(rename = "parent_name")]
    _parent_name: Option<IgnoredAny>,
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
    pub(super) jwe_alg: Option<Spanned<Vec<KeyManagement>>>,
    pub(super) jwe_enc: Option<Spanned<Vec<ContentEncryption>>>,
    pub(super) jws_alg: Option<Spanned<Vec<SignatureAlgorithm>>>,
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
