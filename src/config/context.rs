//! What the file says of a kind of token, and of who gets one.

use std::path::PathBuf;

use super::{Audience, Nesting};
use crate::jose::alg::{ContentEncryption, KeyManagement, SignatureAlgorithm};

/// `[context.NAME]`: what a kind of token is.
///
/// ```
/// # use hsm_jose::config::*;
/// # let text = r#"
/// # schema = 1
/// # environment = "test"
/// # [keystore.soft]
/// # type = "memory"
/// # [context.id_token]
/// # nesting = "jwe(jws)"
/// # [context.id_token.seal]
/// # issuer = "https://issuer.example"
/// # audience = "recipient"
/// # sign = "issuer-sig"
/// # encrypt = ["ECDH-ES+A256KW"]
/// # content = ["A256GCM"]
/// # lifetime = 300
/// # [context.id_token.open]
/// # audience = "https://issuer.example"
/// # trust = "issuers.json"
/// # decrypt = ["partner-enc"]
/// # [recipient.partner]
/// # jwks = "partner.json"
/// # audience = "https://partner.example"
/// # "#;
/// # let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
///
/// assert_eq!(config.contexts["id_token"].nesting, Nesting::JweOfJws);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextConfig {
    /// How signature and encryption nest.
    pub nesting: Nesting,
    /// The `typ` that is written and required, on the JWT itself.
    pub typ: Option<String>,
    /// The `cty` that is written and required.
    pub cty: Option<String>,
    /// Clock skew that is tolerated, in seconds; at most 600.
    pub skew: Option<u64>,
    /// The largest token, in bytes.
    pub size: Option<usize>,
    /// How tokens of this kind are made.
    pub seal: Option<SealConfig>,
    /// How tokens of this kind are taken.
    pub open: Option<OpenConfig>,
}

/// `[context.NAME.seal]`.
///
/// ```
/// # use hsm_jose::config::*;
/// # let text = r#"
/// # schema = 1
/// # environment = "test"
/// # [keystore.soft]
/// # type = "memory"
/// # [context.id_token]
/// # nesting = "jwe(jws)"
/// # [context.id_token.seal]
/// # issuer = "https://issuer.example"
/// # audience = "recipient"
/// # sign = "issuer-sig"
/// # encrypt = ["ECDH-ES+A256KW"]
/// # content = ["A256GCM"]
/// # lifetime = 300
/// # [context.id_token.open]
/// # audience = "https://issuer.example"
/// # trust = "issuers.json"
/// # decrypt = ["partner-enc"]
/// # [recipient.partner]
/// # jwks = "partner.json"
/// # audience = "https://partner.example"
/// # "#;
/// # let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
///
/// let seal = config.contexts["id_token"].seal.as_ref().expect("tokens are made");
/// assert_eq!((seal.sign.as_deref(), seal.lifetime), (Some("issuer-sig"), Some(300)));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealConfig {
    /// The `iss` that is written; there unless the nesting is [`Nesting::Jwe`].
    pub issuer: Option<String>,
    /// The `aud` that is written; there unless the nesting is [`Nesting::Jwe`].
    pub audience: Option<Audience>,
    /// The name of the signing key; there unless the nesting is [`Nesting::Jwe`].
    pub sign: Option<String>,
    /// The JWE algs in order of preference; empty only if the nesting is [`Nesting::Jws`].
    pub encrypt: Vec<KeyManagement>,
    /// The JWE encs in order of preference; empty only if the nesting is [`Nesting::Jws`].
    pub content: Vec<ContentEncryption>,
    /// From `iat` to `exp`, in seconds; there unless the nesting is [`Nesting::Jwe`].
    pub lifetime: Option<u64>,
}

/// `[context.NAME.open]`.
///
/// ```
/// # use hsm_jose::config::*;
/// # let text = r#"
/// # schema = 1
/// # environment = "test"
/// # [keystore.soft]
/// # type = "memory"
/// # [context.id_token]
/// # nesting = "jwe(jws)"
/// # [context.id_token.seal]
/// # issuer = "https://issuer.example"
/// # audience = "recipient"
/// # sign = "issuer-sig"
/// # encrypt = ["ECDH-ES+A256KW"]
/// # content = ["A256GCM"]
/// # lifetime = 300
/// # [context.id_token.open]
/// # audience = "https://issuer.example"
/// # trust = "issuers.json"
/// # decrypt = ["partner-enc"]
/// # [recipient.partner]
/// # jwks = "partner.json"
/// # audience = "https://partner.example"
/// # "#;
/// # let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
///
/// let open = config.contexts["id_token"].open.as_ref().expect("tokens are taken");
/// assert_eq!(open.decrypt, ["partner-enc"]);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenConfig {
    /// The `aud` that must be there; given unless the nesting is [`Nesting::Jwe`].
    pub audience: Option<String>,
    /// The `iss` values that are accepted; `None` leaves it to the trust file's keys.
    pub issuers: Option<Vec<String>>,
    /// A JWK Set of the accepted issuers; there unless the nesting is [`Nesting::Jwe`].
    pub trust: Option<PathBuf>,
    /// Names of the decryption keys; empty only if the nesting is [`Nesting::Jws`].
    pub decrypt: Vec<String>,
    /// The JWE algs that are taken; `None`: the profile's, as far as `[policy]` leaves them.
    pub encrypt: Option<Vec<KeyManagement>>,
    /// The JWE encs that are taken; `None`: those of `[policy]`.
    pub content: Option<Vec<ContentEncryption>>,
    /// The JWS algs that are taken; `None`: the profile's, as far as `[policy]` leaves them.
    pub sign: Option<Vec<SignatureAlgorithm>>,
    /// The longest time from `iat` to `exp`, in seconds.
    pub lifetime: Option<u64>,
}

/// `[recipient.NAME]`.
///
/// ```
/// # use hsm_jose::config::*;
/// # let text = r#"
/// # schema = 1
/// # environment = "test"
/// # [keystore.soft]
/// # type = "memory"
/// # [context.id_token]
/// # nesting = "jwe(jws)"
/// # [context.id_token.seal]
/// # issuer = "https://issuer.example"
/// # audience = "recipient"
/// # sign = "issuer-sig"
/// # encrypt = ["ECDH-ES+A256KW"]
/// # content = ["A256GCM"]
/// # lifetime = 300
/// # [context.id_token.open]
/// # audience = "https://issuer.example"
/// # trust = "issuers.json"
/// # decrypt = ["partner-enc"]
/// # [recipient.partner]
/// # jwks = "partner.json"
/// # audience = "https://partner.example"
/// # "#;
/// # let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
///
/// let partner = &config.recipients["partner"];
/// assert_eq!(partner.jwks, std::path::Path::new("/etc/hsm-jose/partner.json"));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientConfig {
    /// A file with the recipient's public JWK Set.
    pub jwks: PathBuf,
    /// The recipient's `aud` value.
    pub audience: Option<String>,
}
