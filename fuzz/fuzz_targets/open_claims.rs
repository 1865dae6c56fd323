//! `open` with any claims that an issuer has signed, against a plain reading of RFC 7519 section 4.1
//! and of the context.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::engine::{EncryptOptions, SignOptions};
use hsm_jose::jose::alg::Purpose;
use hsm_jose_fuzz::edit::{Name, Value};
use hsm_jose_fuzz::oracle::assert_told;
use hsm_jose_fuzz::world::{ISSUER, NOW, OTHER_ISSUER, world};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value as Json, json};

const AUDIENCE: &str = "https://partner.example";
const SKEW: i64 = 60;
const LIFETIME: i64 = 600;

#[derive(Arbitrary, Debug)]
struct Issued {
    key: u8,
    is_nested: bool,
    changes: Vec<(Name, Claim)>,
}

#[derive(Arbitrary, Debug)]
enum Claim {
    Absent,
    /// Seconds from now.
    At(i16),
    /// Seconds from now, and a fraction.
    Between(i16),
    Issuer(bool),
    Audience,
    Audiences(Vec<bool>),
    Other(Value),
}

fuzz_target!(|issued: Issued| {
    let world = world();
    let key = world.key(Purpose::Sign, issued.key);
    let issuer = key.public().iss;
    let mut claims = json!({ "iss": issuer, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 300 });
    let members = claims.as_object_mut().expect("an object");
    for (name, claim) in issued.changes.iter().take(8) {
        match claim.json() {
            Some(value) => drop(members.insert(name.text(), value)),
            None => drop(members.remove(&name.text())),
        }
    }
    let expected = is_taken(members, issuer.as_deref());
    let text = claims.to_string();
    let typ = if issued.is_nested { "JWT" } else { "logout+jwt" };
    let options = SignOptions { typ: Some(typ), ..Default::default() };
    let mut token = world.all.sign(&key.name, &options, text.as_bytes()).expect("a token");
    let mut context = "signed";
    if issued.is_nested {
        context = "nested";
        let recipient = world.recipient(world.key(Purpose::Decrypt, 1));
        let options = EncryptOptions { cty: Some("JWT"), ..Default::default() };
        token = world.all.encrypt(recipient, &options, token.as_bytes()).expect("a token");
    }
    match world.all.open(context, token.as_bytes()) {
        Ok(opened) => {
            assert!(expected, "{text}");
            assert_eq!(opened.claims().json(), text.as_bytes());
        }
        Err(error) => {
            assert!(!expected, "{error}: {text}");
            // Nested too deep is the one other thing that these claims can be.
            assert_told(&error, &[&["claim", "malformed"]]);
        }
    }
});

impl Claim {
    fn json(&self) -> Option<Json> {
        let issuer = |is_other: bool| if is_other { OTHER_ISSUER } else { ISSUER };
        Some(match self {
            Self::Absent => return None,
            Self::At(offset) => (NOW as i64 + i64::from(*offset)).into(),
            Self::Between(offset) => json!(NOW as f64 + f64::from(*offset) + 0.5),
            Self::Issuer(is_other) => issuer(*is_other).into(),
            Self::Audience => AUDIENCE.into(),
            Self::Audiences(ours) => {
                let one =
                    |is_ours: &bool| if *is_ours { AUDIENCE } else { "https://nobody.example" };
                ours.iter().map(one).collect::<Vec<_>>().into()
            }
            Self::Other(value) => value.json(),
        })
    }
}

fn is_taken(claims: &Map<String, Json>, issuer: Option<&str>) -> bool {
    let is_ours = |value: &Json| value == AUDIENCE;
    let audience = match claims.get("aud") {
        Some(Json::Array(values)) => {
            values.iter().all(Json::is_string) && values.iter().any(is_ours)
        }
        Some(value) => is_ours(value),
        None => false,
    };
    // In milliseconds, as whole numbers; what is no date is none of these.
    let date = |name: &str| match claims.get(name) {
        None => Some(None),
        Some(value) => {
            let seconds = value.as_f64()?;
            let is_date = (0.0..9_007_199_254_740_992.0).contains(&seconds);
            is_date.then_some(Some((seconds * 1000.0) as i128))
        }
    };
    let (Some(Some(exp)), Some(nbf), Some(Some(iat))) = (date("exp"), date("nbf"), date("iat"))
    else {
        return false;
    };
    let now = i128::from(NOW) * 1000;
    let (skew, lifetime) = (i128::from(SKEW) * 1000, i128::from(LIFETIME) * 1000);
    let is_text = |name: &str| claims.get(name).is_none_or(Json::is_string);
    let depth = claims.values().map(depth).max().unwrap_or_default() + 1;
    claims.get("iss").and_then(Json::as_str) == issuer
        && audience
        && exp + skew > now
        && nbf.is_none_or(|nbf| nbf <= now + skew)
        && iat <= now + skew
        && exp - iat <= lifetime
        && is_text("sub")
        && is_text("jti")
        && depth <= hsm_jose::jose::json::MAX_DEPTH
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
