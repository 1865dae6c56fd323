//! Strict JSON: no duplicate members at any level, bounded depth, and nothing after the value.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::secret::Wiped;

/// How deep objects and arrays may nest in a token's header or claims. Real claims (verified
/// claims of OpenID Connect for Identity Assurance) stay under 12.
pub const MAX_DEPTH: usize = 32;

/// How many values claims, a JWK or a JWK Set may have, counted at every level. A value of two
/// characters takes hundreds of bytes once it is parsed: this keeps what a parser allocates in
/// proportion to the text. A set of a thousand keys has under 16,000. Headers have less, see
/// [`MAX_HEADER_VALUES`](super::header::MAX_HEADER_VALUES); members of a JSON serialization that nobody
/// knows are not kept.
pub const MAX_VALUES: usize = 65_536;

/// Parses one JSON object.
///
/// # Errors
/// Says what is wrong, without quoting the text: duplicate members (RFC 7515 section 4), nesting
/// over [`MAX_DEPTH`], more than [`MAX_VALUES`] values, another value than an object, or no JSON at
/// all.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    parse_object_of(text, MAX_VALUES)
}

/// As [`parse_object`], of at most `max_values` values.
pub(crate) fn parse_object_of(
    text: &[u8],
    max_values: usize,
) -> Result<Map<String, Value>, JsonError> {
    parse_within(text, Room::new(usize::MAX, max_values))
}

/// Parses one JSON object that nobody else has written, of any number of values.
///
/// # Errors
/// As [`parse_object`].
pub(crate) fn parse_own_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    parse_object_of(text, usize::MAX)
}

fn parse_within(text: &[u8], room: Room) -> Result<Map<String, Value>, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_| JsonError("not UTF-8".into()))?;
    match parse_with(text, Strict { depth: MAX_DEPTH, room: &room })? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError("not a JSON object".into())),
    }
}

/// Parses one value and nothing after it, as `seed` says.
pub(crate) fn parse_with<'a, S: DeserializeSeed<'a>>(
    text: &'a str,
    seed: S,
) -> Result<S::Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Members of an object that hold secrets: their strings are cleared when they are dropped.
#[derive(Default)]
pub(crate) struct SecretMembers(pub(crate) Map<String, Value>);

impl Drop for SecretMembers {
    fn drop(&mut self) {
        self.0.values_mut().for_each(clear);
    }
}

/// Overwrites every string of a value.
fn clear(value: &mut Value) {
    match value {
        Value::String(text) => drop(Wiped::new(std::mem::take(text).into_bytes())),
        Value::Array(values) => values.iter_mut().for_each(clear),
        Value::Object(members) => members.values_mut().for_each(clear),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns what an error quotes of a stranger's text: its first 32 characters.
pub(crate) fn quotable(text: &str) -> &str {
    text.char_indices().nth(32).map_or(text, |(end, _)| &text[..end])
}

/// The longest message that quotes what is in a file or in a token, in bytes: the names of all members of
/// a key's version, which serde lists where there is another, fit.
const MAX_TOLD: usize = 480;

/// Makes a message that quotes a stranger's text fit to be told: what is not printable is escaped, so that it
/// stays one line and no terminal is told to do anything, and of a long one the middle is left out.
pub(crate) fn told(message: &str) -> String {
    let mut text = String::with_capacity(message.len().min(MAX_TOLD));
    for next in message.chars() {
        // Not those that Debug escapes for the sake of its quotes alone.
        match matches!(next, '"' | '\'' | '\\') || next.escape_debug().len() == 1 {
            true => text.push(next),
            false => text.extend(next.escape_debug()),
        }
    }
    let half = MAX_TOLD / 2;
    if text.len() <= MAX_TOLD {
        return text;
    }
    let start = (0..=half).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let end = (text.len() - half..=text.len()).find(|at| text.is_char_boundary(*at));
    format!("{}…{}", &text[..start], &text[end.unwrap_or(text.len())..])
}

/// What is wrong with a JSON text.
///
/// ```
/// use hsm_jose::jose::json::parse_object;
///
/// let error = parse_object(br#"{"a":1,"a":2}"#).unwrap_err();
/// assert!(error.to_string().contains("duplicate"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        // serde_json quotes offending strings only through messages made here and by typed
        // deserialization; line and column help, content does not.
        let message = error.to_string();
        Self(match error.classify() {
            serde_json::error::Category::Data => message,
            // It is JSON all the same, whose numbers may be of any size (RFC 8259 section 6).
            _ if message.starts_with("number out of range") => message,
            _ => format!("not JSON at line {} column {}", error.line(), error.column()),
        })
    }
}

/// Deserializes a [`Value`] strictly.
#[derive(Clone, Copy)]
pub(crate) struct Strict<'r> {
    /// How many objects and arrays may still be in each other.
    pub(crate) depth: usize,
    /// How much may still come.
    pub(crate) room: &'r Room,
}

/// How much a JSON text may still have.
pub(crate) struct Room {
    /// Each value counts for one and each text for its bytes, so that it is never more than the JSON
    /// has.
    bytes: Cell<usize>,
    values: Cell<usize>,
}

impl Room {
    /// Room for so many bytes and so many values.
    pub(crate) fn new(bytes: usize, values: usize) -> Self {
        Self { bytes: Cell::new(bytes), values: Cell::new(values) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.room.values.get().checked_sub(1);
        self.room.values.set(left.ok_or_else(|| de::Error::custom("too many values"))?);
        deserializer.deserialize_any(self)
    }
}

impl Strict<'_> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        Ok(Self { depth: deeper(self.depth)?, ..self })
    }

    fn take<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.room.bytes.get().checked_sub(bytes.saturating_add(1));
        left.map(|left| self.room.bytes.set(left)).ok_or_else(|| E::custom("too long"))
    }
}

/// Returns the depth inside of an object or array at `depth`.
pub(crate) fn deeper<E: de::Error>(depth: usize) -> Result<usize, E> {
    depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.take(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.take(0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.take(0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        self.take(0)?;
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.take(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        self.take(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.take(0)?;
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.take(0)?;
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.take(0)?;
        let inner = self.inner()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            self.take(name.len())?;
            let value = access.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse_object(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn duplicates_are_refused_at_any_level() {
        assert!(refusal(r#"{"a":1,"a":1}"#).contains("duplicate"));
        assert!(refusal(r#"{"a":1,"\u0061":1}"#).contains("duplicate"));
        assert!(refusal(r#"{"a":[{"b":1,"b":2}]}"#).contains("duplicate"));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(parse_object(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(refusal(&nested(MAX_DEPTH + 1)).contains("too deep"));
        assert!(!refusal(&nested(10_000)).is_empty());
        assert!(!refusal(&"[".repeat(10_000)).is_empty());
    }

    #[test]
    fn values_are_counted_at_every_level() {
        let text = |values: usize| format!(r#"{{"a":[[1]{}]}}"#, ",0".repeat(values - 4));
        assert!(parse_object(text(MAX_VALUES).as_bytes()).is_ok());
        assert!(refusal(&text(MAX_VALUES + 1)).contains("too many values"));
        assert!(parse_own_object(text(MAX_VALUES + 1).as_bytes()).is_ok());
    }

    #[test]
    fn only_one_object_and_nothing_else() {
        for text in [
            "",
            "1",
            "[]",
            "null",
            "\"a\"",
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "{\"a\":1,}",
            "{\"a\":1e999}",
            "{\"a\":\"\\ud800\"}",
            "{'a':1}",
            "{\"a\":01}",
        ] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_err());
        let too_large = parse_object(b"{\"a\":1e999}").unwrap_err().to_string();
        assert_eq!(too_large, "number out of range at line 1 column 10");
        assert!(parse_object(b" {\"a\": 1.5} \n").is_ok());
    }
}
