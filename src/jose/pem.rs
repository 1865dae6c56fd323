//! PEM (RFC 7468): finds the blocks of a text; other tools write remarks between them.

use pkcs8::LineEnding;
use pkcs8::der::Document;

use zeroize::Zeroizing;

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
    /// Anything but RFC 7468's lax form around one DER value.
    pub(crate) fn decode(&self) -> Result<Vec<u8>, JwkError> {
        match Document::from_pem(&self.strict()) {
            Ok((_, document)) => Ok(document.into_vec()),
            Err(_) => Err(JwkError(format!("the PEM block {:?} cannot be read", self.shown()))),
        }
    }

    /// Returns the block in the strict form, which is what the decoder takes: lines of 64 characters and
    /// nothing after them. Others write lines of any length, as Java's MIME encoder does of 76, and white
    /// space around them: the lax form of RFC 7468 section 3.
    pub(crate) fn strict(&self) -> Zeroizing<String> {
        const LINE: usize = 64;
        let (first, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
        let (base64, last) = rest.split_at(rest.find(END).unwrap_or(rest.len()));
        // As long as it can get: it may be of a secret, and is not moved.
        let mut text = Zeroizing::new(String::with_capacity(self.text.len() * 2 + 2));
        text.push_str(first.trim_end());
        for (at, next) in base64.chars().filter(|next| !next.is_ascii_whitespace()).enumerate() {
            if at % LINE == 0 {
                text.push('\n');
            }
            text.push(next);
        }
        text.push('\n');
        text.push_str(last);
        text
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
