//! Where a PIN is: read without ever quoting what stands there.

use std::fmt;
use std::path::PathBuf;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Where the PIN of a token is. Never the PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinFrom {
    /// `{ file = "pin" }`: the first line of a file that only its owner reads.
    File(PathBuf),
    /// `{ fd = 3 }`: an open file descriptor, read to its end.
    Fd(i32),
    /// `{ credential = "hsm-pin" }`: a credential of the service manager (systemd).
    Credential(String),
    /// `{ prompt = true }`: asked on the terminal, without echo.
    Prompt,
    /// `{ protected = true }`: entered on the device itself.
    Protected,
    /// `{ none = true }`: the token needs no login, or is logged in already.
    None,
    /// `{ env = "NAME" }`: an environment variable; only outside production.
    Env(String),
}

const EXPECTED: &str = "where the PIN is, never the PIN itself: { file = \"pin\" }, { fd = 3 }, \
     { credential = \"hsm-pin\" }, { prompt = true }, { protected = true }, { none = true } \
     or, in test, { env = \"NAME\" }";

impl<'de> Deserialize<'de> for PinFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PinVisitor)
    }
}

struct PinVisitor;

impl<'de> Visitor<'de> for PinVisitor {
    type Value = PinFrom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<PinFrom, E> {
        Err(E::custom(no_secret_here()))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<PinFrom, E> {
        Err(E::custom(no_secret_here()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<PinFrom, E> {
        Err(E::custom(no_secret_here()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PinFrom, A::Error> {
        let wrong = || A::Error::custom(format!("pin needs exactly one of: {EXPECTED}"));
        let Some((name, value)) = map.next_entry::<String, toml::Value>()? else {
            return Err(wrong());
        };
        let text = || value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let if_true = |source: PinFrom| (value.as_bool() == Some(true)).then_some(source);
        let source = match name.as_str() {
            "file" => text().map(|path| PinFrom::File(path.into())),
            "fd" => {
                let fd = value.as_integer().and_then(|fd| i32::try_from(fd).ok());
                fd.filter(|fd| *fd >= 0).map(PinFrom::Fd)
            }
            "credential" => text().filter(|name| !name.contains('/')).map(PinFrom::Credential),
            "prompt" => if_true(PinFrom::Prompt),
            "protected" => if_true(PinFrom::Protected),
            "none" => if_true(PinFrom::None),
            "env" => text().map(PinFrom::Env),
            _ => None,
        };
        // The value is not quoted: it may be a PIN in the wrong place.
        let source = source.ok_or_else(wrong)?;
        if map.next_key::<String>()?.is_some() {
            return Err(wrong());
        }
        Ok(source)
    }
}

fn no_secret_here() -> String {
    format!("a PIN does not belong into the configuration; pin says {EXPECTED}")
}
