//! Where a PIN is: read without ever quoting what stands there.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::secret::PinSource;

/// A [`PinSource`] as it stands in the file; what is wrong with it is said without its value, which
/// may be a PIN in the wrong place.
pub(super) struct PinMember(pub(super) PinSource);

const EXPECTED: &str = "where the PIN is, never the PIN itself: { file = \"pin\" }, { fd = 3 }, \
     { credential = \"hsm-pin\" }, { prompt = true }, { protected = true }, { none = true } \
     or, in test, { env = \"NAME\" }";

impl<'de> Deserialize<'de> for PinMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PinVisitor)
    }
}

struct PinVisitor;

impl<'de> Visitor<'de> for PinVisitor {
    type Value = PinMember;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<PinMember, E> {
        Err(no_secret_here())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<PinMember, E> {
        Err(no_secret_here())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<PinMember, E> {
        Err(no_secret_here())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<PinMember, E> {
        Err(no_secret_here())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PinMember, A::Error> {
        let wrong = || A::Error::custom(format_args!("pin needs exactly one of: {EXPECTED}"));
        let Some((name, value)) = map.next_entry::<String, toml::Value>()? else {
            return Err(wrong());
        };
        let text = || value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let if_true = |source: PinSource| (value.as_bool() == Some(true)).then_some(source);
        let source = match name.as_str() {
            "file" => text().map(|path| PinSource::File(path.into())),
            "fd" => {
                let fd = value.as_integer().and_then(|fd| u32::try_from(fd).ok());
                fd.map(PinSource::Fd)
            }
            "credential" => text().map(PinSource::Credential),
            "prompt" => if_true(PinSource::Prompt),
            "protected" => if_true(PinSource::Protected),
            "none" => if_true(PinSource::None),
            // What cannot be a name may be the PIN itself, which messages would then quote.
            "env" => text().filter(|name| is_variable(name)).map(PinSource::Env),
            _ => None,
        };
        let source = source.ok_or_else(wrong)?;
        if map.next_key::<serde::de::IgnoredAny>()?.is_some() {
            return Err(wrong());
        }
        Ok(PinMember(source))
    }
}

/// Whether a shell could set an environment variable of this name.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn no_secret_here<E: Error>() -> E {
    E::custom(format_args!("a PIN does not belong into the configuration; pin says {EXPECTED}"))
}
