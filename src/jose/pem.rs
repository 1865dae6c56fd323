//! PEM (RFC 7468): finds the blocks of a text; other tools write remarks between them.

use pkcs8::LineEnding;
use pkcs8::der::Document;

use super::jwk::JwkError;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One block, from its first line to its last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// What the first line says it is: `PUBLIC KEY`, `CERTIFICATE`.
    pub(crate) label: &'a str,
    /// The block with both lines.
    pub(crate) text: &'a str,
}

/// Returns the text, if it has a PEM block in it.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN))
}

/// Returns the blocks of a text, in their order. One that has no last line goes on to the next.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut begins = text.match_indices(BEGIN).map(|(at, _)| at).peekable();
    std::iter::from_fn(move || {
        let begin = begins.next()?;
        let text = block(&text[begin..begins.peek().copied().unwrap_or(text.len())]);
        let label = text[BEGIN.len()..].split(DASHES).next().unwrap_or_default();
        Some(Block { label, text })
    })
}

impl Block<'_> {
    /// Returns the octets of the block.
    ///
    /// # Errors
    /// Anything but RFC 7468's strict form around one DER value.
    pub(crate) fn decode(&self) -> Result<Vec<u8>, JwkError> {
        match Document::from_pem(self.text) {
            Ok((_, document)) => Ok(document.into_vec()),
            Err(_) => Err(JwkError(format!("the PEM block {:?} cannot be read", self.shown()))),
        }
    }

    /// Returns whether the block has a private key in it.
    pub(crate) fn is_private(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// Returns the label as an error quotes it.
    pub(crate) fn shown(&self) -> &str {
        super::json::quotable(self.label)
    }
}

/// Writes one block, its last line ended.
pub(crate) fn encode(label: &'static str, der: &[u8]) -> Result<String, JwkError> {
    let document = Document::try_from(der).and_then(|der| der.to_pem(label, LineEnding::LF));
    document.map_err(|_| JwkError(format!("cannot be written as PEM {label:?}")))
}

fn block(text: &str) -> &str {
    let end = text.find(END).and_then(|end| {
        let end = end + END.len();
        Some(end + text[end..].find(DASHES)? + DASHES.len())
    });
    end.map_or(text, |end| &text[..end])
}
