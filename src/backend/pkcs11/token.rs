//! Which token of a module: by its label or an RFC 7512 URI, never by the number of its slot.

use std::fmt;
use std::str::FromStr;

use cryptoki::slot::{Limit, TokenInfo};
use cryptoki_sys as ck;

use crate::backend::locator::{percent_decode, percent_encode};

/// Chooses one token of a module. Slot numbers change from one start to the next, so there is no
/// way to write one.
///
/// Written as the token's label, or as an RFC 7512 URI of `token`, `manufacturer`, `serial` and
/// `model`: `pkcs11:token=issuer;serial=0123`. Every attribute that is given must be equal.
///
/// ```
/// use hsm_jose::backend::pkcs11::TokenSelector;
///
/// let by_uri: TokenSelector = "pkcs11:token=issuer;serial=0123".parse()?;
/// let by_label: TokenSelector = "issuer".parse()?;
/// assert!(format!("{by_uri:?}").contains("0123"));
/// assert!(format!("{by_label:?}").contains("issuer"));
/// # Ok::<(), hsm_jose::backend::pkcs11::TokenSelectorError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TokenSelector {
    /// The token's label: at most 32 bytes in the device.
    pub label: Option<String>,
    /// Its manufacturer.
    pub manufacturer: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its model.
    pub model: Option<String>,
}

/// The text does not choose a token; the message says which part is wrong and what would be right.
///
/// ```
/// use hsm_jose::backend::pkcs11::TokenSelector;
///
/// let error = "pkcs11:token=a?pin-value=1234".parse::<TokenSelector>().unwrap_err();
/// assert!(!error.to_string().contains("1234"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenSelectorError(String);

impl TokenSelector {
    /// Chooses by the label.
    pub fn label(label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..Self::default() }
    }

    pub(super) fn matches(&self, token: &Token) -> bool {
        let fits = |wanted: &Option<String>, told: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == told)
        };
        fits(&self.label, &token.label)
            && fits(&self.manufacturer, &token.manufacturer)
            && fits(&self.serial, &token.serial)
            && fits(&self.model, &token.model)
    }
}

impl FromStr for TokenSelector {
    type Err = TokenSelectorError;

    fn from_str(text: &str) -> Result<Self, TokenSelectorError> {
        let error = |message: String| Err(TokenSelectorError(message));
        let Some(uri) = text.strip_prefix("pkcs11:") else {
            if text.is_empty() {
                return error("an empty token label chooses nothing".to_owned());
            }
            return Ok(Self::label(text));
        };
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        if let Some(attribute) = query.split('&').find(|attribute| !attribute.is_empty()) {
            // The value is not repeated: it may be a PIN.
            let name = attribute.split('=').next().unwrap_or_default();
            return error(match name {
                "pin-value" => "pin-value does not belong in a token URI: it would put the PIN \
                                into the configuration; use pin = { file = ... }"
                    .to_owned(),
                "pin-source" => {
                    "pin-source is not taken from a token URI: use pin = { file = ... }".to_owned()
                }
                "module-path" | "module-name" => {
                    format!("{name} is not taken from a token URI: use module = \"...\"")
                }
                _ => format!("{name:?} is not an attribute that chooses a token"),
            });
        }
        let mut selector = Self::default();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let place = match name {
                "token" => &mut selector.label,
                "manufacturer" => &mut selector.manufacturer,
                "serial" => &mut selector.serial,
                "model" => &mut selector.model,
                "slot-id" | "slot-description" | "slot-manufacturer" => {
                    return error(format!(
                        "{name} does not choose a token: slots are numbered anew at every start; \
                         use token= or serial="
                    ));
                }
                "pin-value" | "pin-source" => {
                    return error(format!(
                        "{name} does not belong in a token URI: use pin = {{ file = ... }}"
                    ));
                }
                "id" | "object" | "type" => {
                    return error(format!(
                        "{name} chooses a key, not a token: it belongs in the key's locator"
                    ));
                }
                _ => return error(format!("{name:?} is not an attribute that chooses a token")),
            };
            if place.is_some() {
                return error(format!("{name} is there twice"));
            }
            let decoded = percent_decode(value).map(String::from_utf8);
            match decoded {
                Ok(Ok(value)) if !value.is_empty() => *place = Some(value),
                _ => return error(format!("{name} is empty or not percent-encoded UTF-8")),
            }
        }
        if selector == Self::default() {
            return error(format!(
                "{text:?} chooses no token: use token=, serial=, manufacturer= or model="
            ));
        }
        Ok(selector)
    }
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = [
            ("token", &self.label),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
        ];
        f.write_str("pkcs11:")?;
        let given = attributes.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (index, (name, value)) in given.enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator}{name}={}", percent_encode(value.as_bytes()))?;
        }
        Ok(())
    }
}

/// What a token says of itself.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) label: String,
    pub(super) manufacturer: String,
    pub(super) model: String,
    pub(super) serial: String,
    pub(super) firmware: (u8, u8),
    pub(super) initialized: bool,
    pub(super) login_required: bool,
    pub(super) protected_path: bool,
    pub(super) pin_count_low: bool,
    pub(super) pin_final_try: bool,
    pub(super) pin_locked: bool,
    /// How many sessions the token allows, if it has a limit and tells it.
    pub(super) max_sessions: Option<usize>,
}

impl Token {
    /// Returns whether the token is software, whose keys are files that can be copied.
    ///
    /// | manufacturer or model | module |
    /// |---|---|
    /// | `SoftHSM` | SoftHSM 2 |
    /// | `Kryoptic` | Kryoptic |
    /// | `Mozilla`, `NSS` | NSS softokn |
    /// | `opencryptoki` with model `Soft` | opencryptoki's soft token |
    /// | `GNOME Keyring` | gnome-keyring |
    /// | `IBM` with model `SW TPM`, `swtpm` | tpm2-pkcs11 over a simulator |
    pub(super) fn is_software(&self) -> bool {
        let manufacturer = self.manufacturer.to_ascii_lowercase();
        let model = self.model.to_ascii_lowercase();
        let anywhere =
            ["softhsm", "kryoptic", "mozilla", "nss", "gnome keyring", "swtpm", "sw tpm"];
        let is_named = |name: &&str| manufacturer.contains(*name) || model.contains(*name);
        anywhere.iter().any(is_named)
            || (model.starts_with("soft")
                && (manufacturer.contains("ibm") || manufacturer.contains("opencryptoki")))
            || (manufacturer == "ibm" && model.starts_with("sw"))
    }

    pub(super) fn from_native(info: &ck::CK_TOKEN_INFO) -> Self {
        let has = |flag: ck::CK_FLAGS| info.flags & flag != 0;
        Self {
            label: text(&info.label),
            manufacturer: text(&info.manufacturerID),
            model: text(&info.model),
            serial: text(&info.serialNumber),
            firmware: (info.firmwareVersion.major, info.firmwareVersion.minor),
            initialized: has(ck::CKF_TOKEN_INITIALIZED),
            login_required: has(ck::CKF_LOGIN_REQUIRED),
            protected_path: has(ck::CKF_PROTECTED_AUTHENTICATION_PATH),
            pin_count_low: has(ck::CKF_USER_PIN_COUNT_LOW),
            pin_final_try: has(ck::CKF_USER_PIN_FINAL_TRY),
            pin_locked: has(ck::CKF_USER_PIN_LOCKED),
            max_sessions: match info.ulMaxSessionCount {
                ck::CK_EFFECTIVELY_INFINITE | ck::CK_UNAVAILABLE_INFORMATION => None,
                count => Some(count as usize),
            },
        }
    }
}

impl From<&TokenInfo> for Token {
    fn from(info: &TokenInfo) -> Self {
        let firmware = info.firmware_version();
        Self {
            label: info.label().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            serial: info.serial_number().to_owned(),
            firmware: (firmware.major(), firmware.minor()),
            initialized: info.token_initialized(),
            login_required: info.login_required(),
            protected_path: info.protected_authentication_path(),
            pin_count_low: info.user_pin_count_low(),
            pin_final_try: info.user_pin_final_try(),
            pin_locked: info.user_pin_locked(),
            max_sessions: match info.max_session_count() {
                Limit::Max(count) => usize::try_from(count).ok(),
                Limit::Unavailable | Limit::Infinite => None,
            },
        }
    }
}

/// Reads a field of fixed length, padded with blanks.
fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim_end_matches([' ', '\0']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_label_or_a_uri() {
        let parsed: TokenSelector = "my token; v=2".parse().unwrap();
        assert_eq!(parsed, TokenSelector::label("my token; v=2"));
        let uri = "pkcs11:token=my%20token;manufacturer=A%3bB;serial=01;model=M";
        let parsed: TokenSelector = uri.parse().unwrap();
        assert_eq!(parsed.label.as_deref(), Some("my token"));
        assert_eq!(parsed.manufacturer.as_deref(), Some("A;B"));
        assert_eq!(parsed.serial.as_deref(), Some("01"));
        assert_eq!(parsed.to_string().parse::<TokenSelector>().unwrap(), parsed);
    }

    #[test]
    fn what_does_not_choose_a_token_is_refused_without_repeating_a_pin() {
        for (uri, says) in [
            ("", "empty"),
            ("pkcs11:", "chooses no token"),
            ("pkcs11:slot-id=3", "slot-id"),
            ("pkcs11:token=a;token=b", "twice"),
            ("pkcs11:token=%zz", "percent-encoded"),
            ("pkcs11:token=%ff", "percent-encoded"),
            ("pkcs11:token=a;object=b", "locator"),
            ("pkcs11:token=a;colour=b", "colour"),
            ("pkcs11:token=a?pin-value=987654", "pin = { file"),
            ("pkcs11:token=a;pin-value=987654", "pin = { file"),
            ("pkcs11:token=a?pin-source=file:/p", "pin-source"),
            ("pkcs11:token=a?module-path=/lib/x.so", "module ="),
        ] {
            let message = uri.parse::<TokenSelector>().unwrap_err().to_string();
            assert!(message.contains(says), "{uri}: {message}");
            assert!(!message.contains("987654"), "{message}");
        }
    }
}
