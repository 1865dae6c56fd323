//! JSON serializations, written.

use serde_json::{Map, Value};

use super::Serialization;
use crate::jose::base64url;

/// Returns how many bytes an unencoded payload takes in a serialization (RFC 7797): in JSON, as
/// serde_json escapes it.
pub(crate) fn escaped_len(serialization: Serialization, payload: &str) -> usize {
    let len = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    match serialization {
        Serialization::Compact => payload.len(),
        Serialization::Flattened | Serialization::General => payload.bytes().map(len).sum(),
    }
}

/// The text of one JSON object in the making. What is empty is left out (RFC 7516 section 7.2.1).
pub(super) struct JsonText(String);

impl JsonText {
    /// Starts an object that will have about `capacity` bytes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut text = String::with_capacity(capacity);
        text.push('{');
        Self(text)
    }

    /// Adds a member that is base64url, and so has nothing to escape.
    pub(super) fn text(&mut self, name: &str, base64url: &str) {
        if !base64url.is_empty() {
            self.any_text(name, base64url);
        }
    }

    /// As [`JsonText::text`], also where it is empty.
    pub(super) fn any_text(&mut self, name: &str, base64url: &str) {
        debug_assert!(base64url::decode(base64url.as_bytes()).is_ok());
        self.name(name);
        self.0.push('"');
        self.0.push_str(base64url);
        self.0.push('"');
    }

    /// Adds an object.
    pub(super) fn header(&mut self, name: &str, members: &Map<String, Value>) {
        if !members.is_empty() {
            self.name(name);
            // invariant: a map of JSON values always serializes.
            self.0.push_str(&serde_json::to_string(members).unwrap_or_default());
        }
    }

    /// Adds an array of objects.
    pub(super) fn each<T>(&mut self, name: &str, items: &[T], write: impl Fn(&T, &mut Self)) {
        self.name(name);
        self.0.push('[');
        for (index, item) in items.iter().enumerate() {
            self.0.push_str(if index == 0 { "{" } else { ",{" });
            write(item, self);
            self.0.push('}');
        }
        self.0.push(']');
    }

    /// Ends the object.
    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_counted_as_it_is_written() {
        let all: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in ["", "a", "é\"\\", &all] {
            let written = Value::from(text).to_string().len() - 2;
            assert_eq!(escaped_len(Serialization::General, text), written, "{text:?}");
            assert_eq!(escaped_len(Serialization::Compact, text), text.len());
        }
    }
}
